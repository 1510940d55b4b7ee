//! `headwater consume`: what a topic holds, as JSON lines.

use std::collections::VecDeque;

use clap::Args;
use futures::future::select_all;
use headwater_log::{Log, LogError, Offset, Partition, Record};
use headwater_schemas::KeyCodec;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::{Output, note};
use crate::records::{Parts, Reader, key_text};

/// Records and bytes of a partition that are read at once.
const READ_RECORDS: usize = 500;
const READ_BYTES: usize = 1 << 20;

/// Print what a topic holds, a JSON line a record
#[derive(Debug, Args)]
#[command(
    long_about = "Prints the records of a topic as JSON lines: the event's fields, and beside them _event, _partition, \
                  _offset, _time, _key and _headers. Records of one partition come in order; partitions are merged by time. \
                  It reads and changes nothing: no position moves. What it prints, `headwater produce TOPIC` takes.",
    after_help = "Examples:\n  headwater consume document\n  headwater consume document --event VersionAdded --limit 10\n  \
                  headwater consume document --from end --follow\n  headwater consume document --partition 3 --from 120\n  \
                  headwater consume user | jq -r .email"
)]
pub(crate) struct Consume {
    topic: String,

    /// Where to begin in each partition: `earliest`, `end`, or an offset
    #[arg(long, value_name = "PLACE", default_value = "earliest", value_parser = From::parse)]
    from: From,

    /// Only this partition
    #[arg(long, value_name = "NUMBER")]
    partition: Option<i32>,

    /// Only events of this name
    #[arg(long, value_name = "NAME")]
    event: Option<String>,

    /// Only records with this message key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Stop after this many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,

    /// Wait for more at the end, until Ctrl-C
    #[arg(long)]
    follow: bool,
}

#[derive(Clone, Copy, Debug)]
enum From {
    Earliest,
    End,
    Offset(i64),
}

impl From {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(From::Earliest),
            "end" => Ok(From::End),
            _ => match text.parse() {
                Ok(offset @ 0..) => Ok(From::Offset(offset)),
                _ => Err("expected `earliest`, `end` or an offset, a whole number from 0".to_owned()),
            },
        }
    }
}

/// One partition being read: what was read and not yet printed, and where to go on.
struct Lane {
    partition: Partition,
    next: Offset,
    ahead: VecDeque<Record>,
}

struct Reading<'a> {
    command: &'a Consume,
    environment: &'a Environment,
    log: &'a Log,
    lanes: Vec<Lane>,
    reader: Reader,
    /// How keys are written, once that is known.
    keys: Option<KeyCodec>,
    out: Output,
    printed: u64,
}

impl Consume {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let environment = Environment::existing(project).await?;
        environment.topic(&self.topic)?;
        let lanes = self.lanes(&environment.log).await?;
        let mut reading = Reading {
            command: self,
            environment: &environment,
            log: &environment.log,
            keys: None,
            lanes,
            reader: Reader::new(environment.registry.clone()),
            // Lines of JSON either way: a person and a program see the same.
            out: context.output(),
            printed: 0,
        };
        let stop = interrupt::token()?;
        let answer = reading.run(&stop).await;
        drop(reading);
        environment.close().await;
        answer
    }

    async fn lanes(&self, log: &Log) -> Result<Vec<Lane>, Failure> {
        let extents = log.extents(&self.topic).await.map_err(|error| self.unreadable(&error))?;
        if let Some(partition) = self.partition
            && !extents.iter().any(|extent| extent.partition.0 == partition)
        {
            let what = format!("the topic {} has no partition {partition}", self.topic);
            return Err(Failure::new(what).mend(format!("It has partitions 0 to {}.", extents.len() - 1)));
        }
        let chosen = extents.iter().filter(|extent| self.partition.is_none_or(|wanted| wanted == extent.partition.0));
        Ok(chosen
            .map(|extent| Lane {
                partition: extent.partition,
                next: match self.from {
                    From::Earliest => extent.earliest,
                    From::End => extent.end,
                    From::Offset(offset) => Offset(offset).max(extent.earliest),
                },
                ahead: VecDeque::new(),
            })
            .collect())
    }

    fn unreadable(&self, error: &LogError) -> Failure {
        Failure::because(format!("the topic {} cannot be read", self.topic), error)
    }
}

impl Reading<'_> {
    async fn run(&mut self, stop: &CancellationToken) -> Result<Answer, Failure> {
        loop {
            while let Some(lane) = self.earliest().await? {
                let Some(record) = self.lanes[lane].ahead.pop_front() else { continue };
                self.print(lane, &record).await?;
                if self.command.limit.is_some_and(|limit| self.printed >= limit) {
                    self.out.flush()?;
                    return Ok(Answer::Yes);
                }
                if stop.is_cancelled() {
                    self.out.flush()?;
                    return Ok(Answer::Interrupted);
                }
            }
            self.out.flush()?;
            if !self.command.follow {
                return Ok(Answer::Yes);
            }
            tokio::select! {
                // To follow has no other end: this one is as good as any.
                () = stop.cancelled() => return Ok(Answer::Yes),
                more = self.more() => more?,
            }
        }
    }

    /// The lane whose next record is the oldest; none where all are at their end.
    async fn earliest(&mut self) -> Result<Option<usize>, Failure> {
        let topic = &self.command.topic;
        for lane in &mut self.lanes {
            if !lane.ahead.is_empty() {
                continue;
            }
            let read = match self.log.read(topic, lane.partition, lane.next, READ_RECORDS, READ_BYTES).await {
                Err(LogError::OffsetOutOfRange { earliest, end, .. }) => {
                    let next = lane.next.clamp(earliest, end);
                    note(format!(
                        "Partition {}: offset {} is not there any more; going on at {next}.",
                        lane.partition, lane.next
                    ));
                    lane.next = next;
                    self.log.read(topic, lane.partition, next, READ_RECORDS, READ_BYTES).await
                }
                read => read,
            };
            let records = read.map_err(|error| self.command.unreadable(&error))?;
            if let Some(last) = records.last() {
                lane.next = last.offset.next();
            }
            lane.ahead.extend(records);
        }
        let heads =
            self.lanes.iter().enumerate().filter_map(|(lane, read)| Some((read.ahead.front()?.timestamp_ms, lane)));
        Ok(heads.min().map(|(_, lane)| lane))
    }

    async fn print(&mut self, lane: usize, record: &Record) -> Result<(), Failure> {
        if self.keys.is_none() && record.key.is_some() {
            self.keys = self.environment.known_keys(&self.command.topic).await;
        }
        let key = record.key.as_deref().and_then(|key| key_text(self.keys.as_ref(), key));
        if let Some(wanted) = &self.command.key
            && key.as_deref() != Some(wanted.as_str())
        {
            return Ok(());
        }
        let parts = Parts {
            partition: self.lanes[lane].partition.0,
            offset: record.offset.0,
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            keys: self.keys.as_ref(),
            payload: record.payload.as_deref(),
            headers: record.headers.iter().map(|header| (header.name.as_str(), &*header.value)).collect(),
        };
        let line = self.reader.line(&parts).await?;
        if let Some(wanted) = &self.command.event
            && line.get("_event").and_then(|event| event.as_str()) != Some(wanted)
        {
            return Ok(());
        }
        self.printed += 1;
        self.out.value(&line)
    }

    /// Waits until any lane has more.
    async fn more(&self) -> Result<(), Failure> {
        let waits = self.lanes.iter().map(|lane| {
            let past = Offset(lane.next.0 - 1);
            Box::pin(self.log.wait(&self.command.topic, lane.partition, past))
        });
        select_all(waits).await.0.map_err(|error| self.command.unreadable(&error))
    }
}
