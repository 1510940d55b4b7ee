//! Clients that issue commands over HTTP, each command with an `Idempotency-Key`, again and again until an answer says
//! what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value as Json;
use tokio::sync::watch;
use url::Url;

use crate::Fallible;
use crate::ledger::{Command, Fate, Kind, Ledger};
use crate::project::Project;

pub(crate) const CLIENTS: usize = 4;
/// Documents that every client makes versions of.
const HOT: usize = 3;
/// Longer than any answer may take: the command API's own bound is 30 s.
const REQUEST: Duration = Duration::from_secs(40);
/// Between two tries of a command, and between commands: at least and at most, in milliseconds.
const RETRY_MS: std::ops::Range<u64> = 50..250;
const PAUSE_MS: std::ops::Range<u64> = 20..160;
/// Documents of its own that a client still works on.
const OWN: usize = 12;

/// Where the APIs are, and who may speak to them.
pub(crate) struct Doors {
    pub(crate) http: reqwest::Client,
    pub(crate) commands: String,
    pub(crate) queries: String,
    /// By client.
    tokens: Vec<String>,
}

impl Doors {
    pub(crate) async fn open(project: &Project, commands: &str, queries: &str) -> Fallible<Self> {
        let mut tokens = Vec::new();
        for client in 0..CLIENTS {
            let token = project.run(&["token", "--sub", &user(client), "--role", "administrator"]).await?;
            tokens.push(token.trim().to_owned());
        }
        let http = reqwest::Client::builder().timeout(REQUEST).build()?;
        Ok(Self { http, commands: commands.to_owned(), queries: queries.to_owned(), tokens })
    }

    /// A query's path from its segments, each of which may hold anything.
    pub(crate) fn query(&self, segments: &[&str]) -> Fallible<Url> {
        at(&self.queries, segments)
    }

    pub(crate) fn get(&self, url: Url) -> reqwest::RequestBuilder {
        self.http.get(url).bearer_auth(&self.tokens[0])
    }

    async fn send(&self, command: &Command) -> Fallible<Response> {
        let id = command.doc_id.as_deref().unwrap_or_default();
        let (method, segments) = match command.kind {
            Kind::Add => (Method::POST, vec!["documents"]),
            Kind::Version => (Method::POST, vec!["documents", id, "versions"]),
            Kind::Remove => (Method::DELETE, vec!["documents", id]),
        };
        let mut url = at(&self.commands, &segments)?;
        if command.kind != Kind::Remove {
            url.query_pairs_mut().append_pair("name", &command.name).append_pair("mime_type", "text/plain");
        }
        let mut request = self.http.request(method, url).bearer_auth(&self.tokens[command.client]);
        request = request.header("idempotency-key", &command.idempotency_key);
        if command.kind != Kind::Remove {
            request = request.body(command.content.clone());
        }
        Ok(request.send().await?)
    }

    /// Sends it once; whether its fate is known now. The second part: the position that its answer gave.
    async fn attempt(&self, command: &mut Command, ledger: &Ledger) -> (bool, Option<String>) {
        let (status, retry, text) = match self.send(command).await {
            Err(_) => return self.noted(ledger, "no answer"),
            Ok(answer) => {
                let retry = answer.headers().contains_key("retry-after");
                match (answer.status(), answer.text().await) {
                    (_, Err(_)) => return self.noted(ledger, "half an answer"),
                    (status, Ok(text)) => (status, retry, text),
                }
            }
        };
        let body: Json = serde_json::from_str(&text).unwrap_or_default();
        let code = body["type"].as_str().and_then(|code| code.rsplit(':').next()).unwrap_or_default().to_owned();
        self.noted(ledger, &format!("{} {code}", status.as_u16()));
        if status == StatusCode::ACCEPTED {
            let event_id = body["event_id"].as_str().unwrap_or_default().to_owned();
            command.fate = Fate::Accepted { event_id };
            if command.kind == Kind::Add {
                command.doc_id = body["doc_id"].as_str().map(str::to_owned);
            }
            return (true, body["position"].as_str().map(str::to_owned));
        }
        if status.is_client_error() && !retry && status != StatusCode::REQUEST_TIMEOUT {
            command.fate = Fate::Refused(code);
            return (true, None);
        }
        (false, None)
    }

    fn noted(&self, ledger: &Ledger, answer: &str) -> (bool, Option<String>) {
        *ledger.open().answers.entry(answer.trim().to_owned()).or_default() += 1;
        (false, None)
    }
}

fn at(base: &str, segments: &[&str]) -> Fallible<Url> {
    let mut url = Url::parse(base)?;
    url.path_segments_mut().map_err(|()| "not a base")?.clear().extend(segments);
    Ok(url)
}

pub(crate) fn user(client: usize) -> String {
    format!("client-{client}")
}

/// One client.
pub(crate) struct Client {
    number: usize,
    /// Whose token it has.
    user: usize,
    doors: Arc<Doors>,
    ledger: Ledger,
    random: StdRng,
    sent: u64,
    /// Its own documents, each with the least number of versions that it must have by now.
    own: Vec<(String, u64)>,
    hot: Vec<String>,
}

impl Client {
    /// The nth client: its number tells its random numbers and its keys from the others'.
    pub(crate) fn new(number: usize, seed: u64, doors: &Arc<Doors>, ledger: &Ledger, hot: &[String]) -> Self {
        let random = StdRng::seed_from_u64(seed ^ (0xc11e_0000 + number as u64));
        let (doors, ledger, hot) = (Arc::clone(doors), ledger.clone(), hot.to_vec());
        Self { number, user: number % CLIENTS, doors, ledger, random, sent: 0, own: Vec::new(), hot }
    }

    /// Sends until told to stop. What has no answer by then is in the ledger as unknown.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let command = self.next();
            self.insist(command, &stop).await;
            let pause = self.random.random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// The hot documents, made before anything fails.
    pub(crate) async fn make_hot(&mut self) -> Fallible<Vec<String>> {
        let (_keep, stop) = watch::channel(false);
        for _ in 0..HOT {
            let command = self.command(Kind::Add, None);
            self.insist(command, &stop).await;
        }
        let hot: Vec<String> = self.own.drain(..).map(|(id, _)| id).collect();
        if hot.len() == HOT { Ok(hot) } else { Err("the first documents could not be added".into()) }
    }

    fn next(&mut self) -> Command {
        let own = self.own.len();
        match self.random.random_range(0..100) {
            roll if roll < 25 || own == 0 => self.command(Kind::Add, None),
            roll if roll < 55 => {
                let hot = self.random.random_range(0..self.hot.len());
                self.command(Kind::Version, Some(self.hot[hot].clone()))
            }
            roll if roll < 90 && own < OWN => {
                let one = self.random.random_range(0..own);
                self.command(Kind::Version, Some(self.own[one].0.clone()))
            }
            _ => {
                // Half of them are let be as they are.
                let (id, _) = self.own.swap_remove(self.random.random_range(0..own));
                match self.random.random_bool(0.5) {
                    true => self.command(Kind::Remove, Some(id)),
                    false => self.command(Kind::Version, Some(id)),
                }
            }
        }
    }

    fn command(&mut self, kind: Kind, doc_id: Option<String>) -> Command {
        self.sent += 1;
        let size = match self.random.random_range(0..50) {
            0 => 100_000,
            _ => self.random.random_range(0..2_000),
        };
        let content = (0..size).map(|_| self.random.random()).collect();
        Command {
            kind,
            client: self.user,
            idempotency_key: format!("t-{}-{}", self.number, self.sent),
            doc_id,
            name: format!("file {} of {} \u{2603}.txt", self.sent, self.number),
            content,
            fate: Fate::Unknown,
        }
    }

    async fn insist(&mut self, mut command: Command, stop: &watch::Receiver<bool>) {
        loop {
            let (known, position) = self.doors.attempt(&mut command, &self.ledger).await;
            if known {
                self.learn(&command, position).await;
                break;
            }
            if *stop.borrow() {
                break;
            }
            let pause = self.random.random_range(RETRY_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.ledger.open().commands.push(command);
    }

    async fn learn(&mut self, command: &Command, position: Option<String>) {
        let Some(id) = command.doc_id.clone() else { return };
        let own = self.own.iter().position(|(own, _)| *own == id);
        let accepted = matches!(command.fate, Fate::Accepted { .. });
        match (command.kind, own) {
            (Kind::Add, None) if accepted => self.own.push((id, 1)),
            (Kind::Version, Some(own)) if accepted => self.own[own].1 += 1,
            // Parked, say: nothing more can be done with it.
            (_, Some(own)) if !accepted => drop(self.own.swap_remove(own)),
            _ => {}
        }
        if let (Some(position), true) = (position, self.random.random_bool(0.3)) {
            self.read_back(command, &position).await;
        }
    }

    /// Whoever passes on the position of what they wrote reads what they wrote, or is told that it cannot be had now.
    async fn read_back(&self, command: &Command, position: &str) {
        let Some(id) = &command.doc_id else { return };
        let Ok(url) = self.doors.query(&["documents", id]) else { return };
        let request = self.doors.get(url).header("headwater-after", position).header("prefer", "wait=5");
        let Ok(answer) = request.send().await else { return };
        let status = answer.status();
        let Ok(text) = answer.text().await else { return };
        let versions = serde_json::from_str::<Json>(&text).unwrap_or_default()["versions"].as_u64();
        let least = self.own.iter().find(|(own, _)| own == id).map(|(_, versions)| *versions);
        let wrong = match (status, command.kind) {
            (StatusCode::OK, Kind::Remove) => true,
            (StatusCode::OK, _) => versions < least,
            (StatusCode::NOT_FOUND, Kind::Remove) => false,
            (StatusCode::NOT_FOUND, _) => least.is_some(),
            // Parked, or not there yet.
            (StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE, _) => return,
            _ => true,
        };
        let mut ledger = self.ledger.open();
        ledger.read_back += 1;
        if wrong {
            let key = &command.idempotency_key;
            ledger
                .wrongs
                .push(format!("{key}: {id} with its own position, at least {least:?} versions: {status} {text}"));
        }
    }
}

/// Repeats every command whose fate is unknown until an answer tells it.
pub(crate) async fn settle(doors: &Doors, ledger: &Ledger, within: Duration) -> Fallible<usize> {
    let end = Instant::now() + within;
    let unknown = |ledger: &Ledger| -> Vec<usize> {
        let entries = ledger.open();
        (0..entries.commands.len()).filter(|index| entries.commands[*index].fate == Fate::Unknown).collect()
    };
    let first = unknown(ledger);
    for index in &first {
        let mut command = ledger.open().commands[*index].clone();
        while !doors.attempt(&mut command, ledger).await.0 {
            if Instant::now() > end {
                return Err(
                    format!("no answer tells what became of {} within {within:?}", command.idempotency_key).into()
                );
            }
            tokio::time::sleep(Duration::from_millis(RETRY_MS.end)).await;
        }
        ledger.open().commands[*index] = command;
    }
    Ok(first.len())
}
