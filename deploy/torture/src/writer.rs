//! A producer that writes straight to the topics, as programs do that know nothing of Headwater: good records, and poison of
//! every kind between good records of the same key.

use std::time::Duration;

use headwater_log::{Header, Log, NewRecord};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::Fallible;
use crate::clients::{CLIENTS, user};
use crate::events::{Events, Said};
use crate::ledger::{Fate, Kind, Ledger, Place, Raw};

/// The header by which a raw record is known again.
pub(crate) const NUMBER: &str = "torture";

/// 2024-01-01, and a month, in microseconds.
const START: i64 = 1_704_067_200_000_000;
const MONTH: i64 = 30 * 86_400_000_000;
/// Beyond any month that can be computed with.
const NEVER: i64 = i64::MAX;
const PAUSE_MS: std::ops::Range<u64> = 15..90;

pub(crate) struct Writer {
    log: Log,
    topics: [String; 2],
    events: Events,
    ledger: Ledger,
    random: StdRng,
    /// Ends what this run calls its documents.
    own: String,
    /// The longest key that the store takes, if records may well be beyond it.
    longest_key: Option<usize>,
    written: u64,
    documents: Vec<String>,
    made: u64,
}

/// A record to write: what it is, its key and its payload.
struct Draft {
    what: &'static str,
    user: bool,
    key: Option<String>,
    payload: Option<Vec<u8>>,
}

impl Writer {
    pub(crate) fn new(
        log: Log,
        topics: &[String; 2],
        events: Events,
        ledger: &Ledger,
        seed: u64,
        longest_key: Option<usize>,
    ) -> Self {
        let random = StdRng::seed_from_u64(seed ^ 0x3a5e);
        let (topics, ledger) = (topics.clone(), ledger.clone());
        let own = format!("{:x}", seed & 0xffff);
        Self { log, topics, events, ledger, random, own, longest_key, written: 0, documents: Vec::new(), made: 0 }
    }

    /// Writes until told to stop.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) -> Fallible<()> {
        while !*stop.borrow() {
            let draft = self.next()?;
            self.write(draft).await;
            let pause = self.random.random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    async fn write(&mut self, draft: Draft) {
        self.written += 1;
        let number = self.written;
        let topic = self.topics[usize::from(draft.user)].clone();
        let raw = Raw { what: draft.what, place: None };
        // Noted before it is sent: an append that is never answered may be in the log all the same.
        self.ledger.open().raws.insert(number, raw);
        let record = NewRecord {
            key: draft.key.map(Into::into),
            payload: draft.payload.map(Into::into),
            headers: vec![Header { name: NUMBER.to_owned(), value: number.to_string().into() }],
            ..NewRecord::default()
        };
        if let Ok(at) = self.log.append(&topic, record).await {
            let place = Place { topic, partition: at.partition.0, offset: at.offset.0 };
            if let Some(raw) = self.ledger.open().raws.get_mut(&number) {
                raw.place = Some(place);
            }
        }
    }

    fn next(&mut self) -> Fallible<Draft> {
        match self.random.random_range(0..100) {
            roll if roll < 14 => self.user(),
            roll if roll < 84 || self.documents.is_empty() => self.good(),
            _ => self.poison(),
        }
    }

    fn good(&mut self) -> Fallible<Draft> {
        let roll = self.random.random_range(0..100);
        if roll < 25 || self.documents.len() < 4 {
            self.made += 1;
            let id = format!(
                "raw/{} {}%2F{}",
                self.made,
                ["\u{e9}", "e\u{301}", "A", "a"][self.made as usize % 4],
                self.own
            );
            self.documents.push(id.clone());
            return self.draft("added", &id, Events::added);
        }
        let id = self.document();
        match roll {
            25..70 => self.draft("version", &id, Events::version),
            70..80 => self.draft("version by another schema", &id, Events::nullable_version),
            80..84 => self.draft("added again", &id, Events::added),
            84..88 => self.draft("version of nothing", &format!("never {id}"), Events::version),
            88..96 => self.draft("removed", &id, Events::removed),
            _ => match self.client_document() {
                Some(id) => self.draft("version of a client's", &id, Events::version),
                None => self.draft("version", &id, Events::version),
            },
        }
    }

    /// Two hot ones, which are never poisoned, and among the others the newer ones rather than the older ones.
    fn document(&mut self) -> String {
        let hot = self.random.random_bool(0.3);
        let last = self.documents.len();
        let from = if hot { 0..2 } else { last.saturating_sub(60)..last };
        self.documents[self.random.random_range(from)].clone()
    }

    /// A document that a client has added: now and then somebody else writes to it as well.
    fn client_document(&mut self) -> Option<String> {
        let ledger = self.ledger.open();
        let added = |command: &&crate::ledger::Command| {
            command.kind == Kind::Add && matches!(command.fate, Fate::Accepted { .. })
        };
        let documents: Vec<&String> = ledger.commands.iter().filter(added).filter_map(|c| c.doc_id.as_ref()).collect();
        // The first ones are hot.
        let cold = documents.get(3..).unwrap_or_default();
        if cold.is_empty() { None } else { Some(cold[self.random.random_range(0..cold.len())].clone()) }
    }

    fn said(&mut self, id: &str) -> Said {
        let at = match self.random.random_range(0..40) {
            // Long before what is listed.
            0 => -MONTH + self.random.random_range(0..MONTH),
            _ => START + self.random.random_range(0..20 * MONTH),
        };
        let name = format!("n{} \u{1f40b} \"'\\", self.written);
        Said { doc_id: Some(id.to_owned()), name, user_id: self.user_id(), at }
    }

    /// Of the clients, of others, and one of whom nothing is known.
    fn user_id(&mut self) -> String {
        match self.random.random_range(0..12) {
            number if number < CLIENTS => user(number),
            11 => "nobody".to_owned(),
            number => format!("user {number}"),
        }
    }

    fn draft(
        &mut self,
        what: &'static str,
        id: &str,
        encode: impl Fn(&Events, &Said) -> Fallible<Vec<u8>>,
    ) -> Fallible<Draft> {
        let said = self.said(id);
        let payload = Some(encode(&self.events, &said)?);
        Ok(Draft { what, user: false, key: Some(id.to_owned()), payload })
    }

    fn user(&mut self) -> Fallible<Draft> {
        let id = loop {
            let id = self.user_id();
            if id != "nobody" {
                break id;
            }
        };
        let email = format!("{}@example.org", self.written);
        let event = if self.random.random_bool(0.5) { "UserRegistered" } else { "UserRenamed" };
        let mut payload = self.events.user(event, &id, &email, START)?;
        let (mut what, mut key) = ("user", Some(id.clone()));
        match self.random.random_range(0..40) {
            0 => (what, key) = ("user: misrouted", Some(format!("other {}", self.written))),
            1 => (what, key) = ("user: no key", None),
            // One of them has nobody's place any more.
            2 if id == "user 10" => {
                what = "user: cut off";
                payload.truncate(8);
            }
            _ => {}
        }
        Ok(Draft { what, user: true, key, payload: Some(payload) })
    }

    fn poison(&mut self) -> Fallible<Draft> {
        // A key that is poisoned takes no more good ones: so not the hot ones, and seldom a client's.
        let own = self.documents.len();
        let victim = match self.client_document().filter(|_| self.random.random_bool(0.05)) {
            Some(id) => id,
            None if own < 6 => format!("victim {}", self.written),
            None => self.documents[self.random.random_range(2.max(own.saturating_sub(40))..own)].clone(),
        };
        let said = self.said(&victim);
        let good = self.events.version(&said)?;
        let kinds = if self.longest_key.is_some() { 14 } else { 13 };
        let (what, key, payload) = match self.random.random_range(0..kinds) {
            0 => ("poison: empty", Some(victim), Some(Vec::new())),
            1 => ("poison: too short", Some(victim), Some(vec![0, 0, 1])),
            2 => ("poison: wrong magic", Some(victim), Some([&[7], &good[1..]].concat())),
            3 => ("poison: unknown schema", Some(victim), Some([&[0, 0x3f, 0, 0, 9], &good[5..]].concat())),
            4 => ("poison: schema beyond an int", Some(victim), Some([&[0, 0xff, 0, 0, 9], &good[5..]].concat())),
            5 => ("poison: cut off", Some(victim), Some(good[..10].to_vec())),
            6 => ("poison: garbage", Some(victim), Some([&good[..5], &[0xff; 30]].concat())),
            7 => ("poison: misrouted", Some(format!("another {}", self.written)), Some(good)),
            8 => ("poison: no key", None, Some(good)),
            9 => ("null value", Some(victim), None),
            10 => {
                let said = Said { doc_id: None, ..said };
                ("poison: null in the key", Some(victim), Some(self.events.nullable_version(&said)?))
            }
            11 => {
                let said = Said { name: "a\0b".to_owned(), ..said };
                ("poison: NUL in a text", Some(victim), Some(self.events.version(&said)?))
            }
            12 if self.random.random_bool(0.5) => {
                ("stranger", Some(victim.clone()), Some(self.events.stranger(&victim)?))
            }
            12 => {
                let said = Said { at: NEVER, ..said };
                ("poison: no such month", Some(victim), Some(self.events.added(&said)?))
            }
            // Seldom: each is tried several times, with pauses.
            13 if self.random.random_bool(0.25) => {
                let letters: String = (0..9_000).map(|_| char::from(self.random.random_range(b'!'..=b'~'))).collect();
                let said = Said { doc_id: Some(letters.clone()), ..said };
                ("poison: key too long for the store", Some(letters), Some(self.events.added(&said)?))
            }
            _ => ("poison: one byte", Some(victim), Some(vec![0])),
        };
        Ok(Draft { what, user: false, key, payload })
    }
}
