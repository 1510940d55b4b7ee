//! `headwater produce`: JSON lines into a topic, through the schemas.

use std::sync::Arc;

use clap::Args;
use headwater_engine::declare::TOMBSTONE;
use headwater_log::{Header, NewRecord};
use headwater_schemas::topic::{Event, Topic};
use headwater_schemas::wire::SchemaId;
use headwater_schemas::{KeyCodec, KeyProblem};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value as Json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::{counted, note, printable, watched};
use crate::records::{self, Beside, SaidKey};

/// Lines and bytes that are checked, then written, at once.
const BATCH_LINES: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;
/// A longer line is refused: no event is that large.
const LINE_BYTES: usize = 4 << 20;
/// Problems that are shown; the rest are counted.
const SHOWN: usize = 100;

/// Write JSON lines to a topic
#[derive(Debug, Args)]
#[command(
    long_about = "Reads JSON lines from stdin or a file and writes each as an event, checked against its schema. Lines are \
                  taken a thousand at a time: a batch with a wrong line is not written, nor is anything after it, but all \
                  the rest is still checked, so that every problem is named by its line at once.\n\nValues are plain: \
                  timestamps as RFC 3339, decimals as strings, bytes as base64. Beside the event's fields a line may say \
                  _event (needed where no EVENT is given), _key, _time and _headers. The event Tombstone is a record without a \
                  value: it has the key's fields only, or says _key.",
    after_help = "Examples:\n  echo '{\"user_id\":\"ann\",\"email\":\"ann@example.org\",\"at\":\"2026-01-01T00:00:00Z\"}' \\\n    \
                  | headwater produce user UserRegistered\n  headwater produce user --file users.jsonl --check\n  \
                  headwater consume user | headwater --project ../copy produce user"
)]
pub(crate) struct Produce {
    topic: String,

    /// The event's name; left out, each line says _event
    event: Option<String>,

    /// Read from this file instead of stdin
    #[arg(long, value_name = "FILE")]
    file: Option<std::path::PathBuf>,

    /// Only check the lines, write nothing
    #[arg(long)]
    check: bool,
}

/// Lines that were checked and wait to be written.
#[derive(Default)]
struct Batch {
    records: Vec<NewRecord>,
    bytes: usize,
    first_line: u64,
}

struct Producing<'a> {
    command: &'a Produce,
    environment: &'a Environment,
    topic: Arc<Topic>,
    /// By the topic's events.
    ids: Vec<SchemaId>,
    keys: KeyCodec,
    bar: ProgressBar,
    line: u64,
    records: u64,
    written: u64,
    problems: Vec<(u64, String)>,
    more_problems: u64,
    /// The first line of the first batch that was not written.
    unwritten_from: Option<u64>,
}

impl Produce {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let environment = Environment::open(project).await?;
        let topic = environment.topic(&self.topic)?.clone();
        if let Some(name) = &self.event
            && topic.event(name).is_none()
            && name != TOMBSTONE
        {
            return Err(unknown_event(&topic, name));
        }
        environment.declare_topic(&topic).await?;
        let mut ids = Vec::new();
        for event in &topic.events {
            let id = environment.registry.register(&topic.subject(event), &event.schema).await;
            ids.push(id.map_err(|error| Failure::because("the registry does not answer", &error))?);
        }
        let keys = environment.keys_of(&topic).await?;
        let mut producing = Producing {
            command: self,
            environment: &environment,
            topic,
            ids,
            keys,
            bar: bar(),
            line: 0,
            records: 0,
            written: 0,
            problems: Vec::new(),
            more_problems: 0,
            unwritten_from: None,
        };
        let stop = interrupt::token()?;
        let finished = match &self.file {
            Some(file) => {
                let opened = tokio::fs::File::open(file).await;
                let opened =
                    opened.map_err(|error| Failure::because(format!("{} cannot be read", file.display()), &error))?;
                producing.run(opened, &stop).await
            }
            None => producing.run(tokio::io::stdin(), &stop).await,
        };
        producing.bar.finish_and_clear();
        let answer = producing.report(context, finished?);
        drop(producing);
        environment.close().await;
        answer
    }
}

impl Producing<'_> {
    /// Whether the input was read to its end.
    async fn run(&mut self, input: impl AsyncRead + Unpin, stop: &CancellationToken) -> Result<bool, Failure> {
        let mut input = BufReader::new(input);
        let mut batch = Batch { first_line: 1, ..Batch::default() };
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut input).take(LINE_BYTES as u64 + 1);
            let read = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                read = limited.read_until(b'\n', &mut line) => read,
            };
            if read.map_err(|error| Failure::because("the input cannot be read", &error))? == 0 {
                break;
            }
            self.line += 1;
            if line.len() > LINE_BYTES {
                return Err(Failure::new(format!("line {}: longer than {LINE_BYTES} bytes", self.line))
                    .mend("One event a line; large content belongs in the blob store."));
            }
            self.take(&line, &mut batch);
            if batch.records.len() >= BATCH_LINES || batch.bytes >= BATCH_BYTES {
                self.write(std::mem::take(&mut batch)).await?;
                batch.first_line = self.line + 1;
            }
        }
        self.write(batch).await?;
        Ok(true)
    }

    /// Checks a line and adds its record to the batch.
    fn take(&mut self, line: &[u8], batch: &mut Batch) {
        if line.trim_ascii().is_empty() {
            return;
        }
        self.records += 1;
        match self.record(line) {
            Ok(record) => {
                batch.bytes += line.len();
                batch.records.push(record);
            }
            Err(problems) => {
                self.unwritten_from.get_or_insert(batch.first_line);
                for problem in problems {
                    if self.problems.len() < SHOWN {
                        self.problems.push((self.line, problem));
                    } else {
                        self.more_problems += 1;
                    }
                }
            }
        }
    }

    fn record(&self, line: &[u8]) -> Result<NewRecord, Vec<String>> {
        let json: Json = serde_json::from_slice(line).map_err(|error| vec![format!("not JSON: {error}")])?;
        let Json::Object(mut fields) = json else {
            return Err(vec![format!("expected an object, found {}", printable(&json.to_string()))]);
        };
        let beside = records::beside(&mut fields)?;
        let name = match (&self.command.event, &beside.event) {
            (Some(asked), Some(said)) if asked != said => {
                return Err(vec![format!("_event: expected {asked}, found {said}")]);
            }
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Err(vec!["_event: expected, for no EVENT was given".to_owned()]),
        };
        if name == TOMBSTONE {
            return self.tombstone(beside, fields);
        }
        let Some(index) = self.topic.events.iter().position(|event| event.name == *name) else {
            let names: Vec<&str> =
                self.topic.events.iter().map(|event| event.name.as_str()).chain([TOMBSTONE]).collect();
            return Err(vec![format!("_event: expected one of {}, found {name}", names.join(", "))]);
        };
        let event: &Event = &self.topic.events[index];
        let (value, payload) = records::payload(&event.schema, self.ids[index], &fields)?;
        let own = self.keys.of_record(event, &value);
        // What its workers would park as misrouted, and what follows it on the key with it.
        if beside.key.is_some_and(|said| !self.says(&said, &own)) {
            let fields = self.topic.key.join(", ");
            return Err(vec![format!("_key: expected {}, which {fields} says; or leave it out", self.shown(&own))]);
        }
        Ok(NewRecord {
            key: Some(own.into()),
            payload: Some(payload.into()),
            headers: with_own(beside.headers, &event.schema.record.name),
            timestamp_ms: beside.timestamp_ms,
            partition: None,
        })
    }

    /// A record without a value: of the key that the line's fields say, or, as `consume` prints it, `_key`.
    fn tombstone(&self, beside: Beside, fields: Map<String, Json>) -> Result<NewRecord, Vec<String>> {
        let problem = |problem: KeyProblem| vec![format!("_key: {problem}")];
        let key = match beside.key {
            Some(SaidKey::Text(text)) if fields.is_empty() => {
                let key = self.keys.of_text(&text).map_err(problem)?;
                self.keys.read(&key).map_err(problem)?;
                key
            }
            Some(SaidKey::Bytes(key)) if fields.is_empty() => {
                self.keys.read(&key).map_err(problem)?;
                key
            }
            Some(SaidKey::None) => {
                return Err(vec!["_key: a record without a value has nothing but its key".to_owned()]);
            }
            said => {
                let own = self.keys.of_json(&Json::Object(fields))?;
                if said.is_some_and(|said| !self.says(&said, &own)) {
                    return Err(vec![format!("_key: expected {}, or leave it out", self.shown(&own))]);
                }
                own
            }
        };
        let (key, headers) = (Some(key.into()), with_own(beside.headers, TOMBSTONE));
        Ok(NewRecord { key, payload: None, headers, timestamp_ms: beside.timestamp_ms, partition: None })
    }

    /// Whether what a line says of its key is this key.
    fn says(&self, said: &SaidKey, own: &[u8]) -> bool {
        match said {
            SaidKey::None => false,
            SaidKey::Bytes(key) => key == own,
            SaidKey::Text(text) => self.keys.text(own).is_some_and(|own| own == *text),
        }
    }

    fn shown(&self, key: &[u8]) -> String {
        printable(&self.keys.text(key).unwrap_or_default())
    }

    async fn write(&mut self, batch: Batch) -> Result<(), Failure> {
        if self.unwritten_from.is_some() || self.command.check || batch.records.is_empty() {
            return Ok(());
        }
        let count = batch.records.len() as u64;
        self.environment.log.append_all(&self.topic.name, batch.records).await.map_err(|error| {
            Failure::because(format!("the topic {} cannot be written", self.topic.name), &error).mend(format!(
                "{} written; of the lines from {} on some may be.",
                counted(self.written as usize, "record"),
                batch.first_line
            ))
        })?;
        self.written += count;
        self.bar.set_position(self.written);
        Ok(())
    }

    fn report(&self, context: &Context, finished: bool) -> Result<Answer, Failure> {
        let wrong = !self.problems.is_empty();
        let mut out = context.output();
        if context.json {
            let problems: Vec<_> = self
                .problems
                .iter()
                .map(|(line, problem)| serde_json::json!({ "line": line, "problem": problem }))
                .collect();
            out.value(&serde_json::json!({
                "lines": self.line, "records": self.records, "written": self.written, "problems": problems,
                "more_problems": self.more_problems, "unwritten_from_line": self.unwritten_from, "finished": finished,
            }))?;
        } else {
            for (line, problem) in &self.problems {
                note(format!("{} {}", console::style(format!("line {line}:")).red().for_stderr(), printable(problem)));
            }
            if self.more_problems > 0 {
                note(format!("… and {}", counted(self.more_problems as usize, "more problem")));
            }
            out.line(self.summary(finished))?;
        }
        out.flush()?;
        Ok(match (wrong, finished) {
            (true, _) => Answer::No,
            (false, true) => Answer::Yes,
            (false, false) => Answer::Interrupted,
        })
    }

    fn summary(&self, finished: bool) -> String {
        let records = counted(self.records as usize, "record");
        let written = counted(self.written as usize, "record");
        match (self.unwritten_from, finished) {
            (Some(_), _) if self.command.check => format!("{records} checked, some are wrong."),
            (Some(from), _) => format!(
                "{written} written; nothing from line {from} on. Mend the lines named, then produce from there."
            ),
            (None, false) => {
                format!("Interrupted: {written} written, of {} read.", counted(self.line as usize, "line"))
            }
            (None, true) if self.command.check => format!("{records} checked, nothing wrong."),
            (None, true) => format!("{written} written to {}.", self.topic.name),
        }
    }
}

/// The headers of an event of this type that are not there yet.
fn with_own(mut headers: Vec<Header>, event_type: &str) -> Vec<Header> {
    let own = [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", Uuid::new_v4().to_string()),
        ("ce_source", "headwater/produce".to_owned()),
        ("ce_type", event_type.to_owned()),
    ];
    for (name, value) in own {
        if !headers.iter().any(|header| header.name == name) {
            headers.push(Header { name: name.to_owned(), value: value.into_bytes().into() });
        }
    }
    headers
}

fn unknown_event(topic: &Topic, name: &str) -> Failure {
    let names: Vec<&str> = topic.events.iter().map(|event| event.name.as_str()).collect();
    Failure::new(format!("the topic {} has no event {name}", topic.name)).mend(format!("Events: {}.", names.join(", ")))
}

fn bar() -> ProgressBar {
    if !watched() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} records written, {per_sec}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
