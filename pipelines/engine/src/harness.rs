//! `headwater test`: a test's events through the real decode, fold and cache into a store in memory, then again under
//! faults. Every run must give the same rows.
//!
//! The store keeps the rules of a SQL store: one transaction a flush, which compares and swaps the positions, and is there
//! wholly or not at all.

mod memory;
mod report;

use std::sync::Arc;

use bytes::Bytes;
use headwater_schemas::encode::encode;
use headwater_schemas::wire::{self, SchemaId};

use crate::batch::{Batch, Decoder, Positions, Record};
use crate::cache::Cache;
use crate::fold::{Aside, Fold, Outcome, Step};
use crate::plan::Topology;
use crate::test::{GivenEvent, TestCase};
use memory::{Crash, Memory};

pub use report::{Failure, Left, Verdict, compare, differs, parked};

/// The reason of a parked event that did not fail itself.
pub const BEHIND: &str = "behind another event of its key";

/// How a test's records are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub cut: Cut,
    pub repeat: Repeat,
    /// The worker dies at this write or commit, counted from 0 over the whole run, and starts again from the store.
    pub crash: Option<usize>,
}

/// Where batches end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    AllInOne,
    OneEach,
    /// Two, three, two, … a batch.
    Uneven,
}

/// Whether records are delivered again at the same offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Never,
    /// Each twice in a row.
    Each,
    /// All of them, then all of them again from the first.
    All,
}

/// What went wrong while running a test, apart from its verdict.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A given event that its own schema does not take.
    #[error("event {event} of the test cannot be written: {problem}")]
    Unwritable { event: usize, problem: String },
}

/// Runs a test, plainly and under every schedule.
///
/// # Errors
/// Only where the test's events cannot be written; rows that differ are a [`Verdict`].
pub fn run(case: &TestCase, topologies: &[Arc<Topology>]) -> Result<Verdict, HarnessError> {
    let mut runs = 0;
    let mut failures = Vec::new();
    let mut parked = Vec::new();
    for topology in concerned(case, topologies) {
        let records = records(&case.given, topology)?;
        let plain = Schedule { cut: Cut::AllInOne, repeat: Repeat::Never, crash: None };
        let first = deliver(topology, &records, plain);
        runs += 1;
        let left = first.store.left();
        failures.extend(compare(case, topology, &left));
        parked.extend(first.store.parked(topology, &records));
        for schedule in schedules(first.writes.max(records.len() * 2)) {
            let again = deliver(topology, &records, schedule);
            runs += 1;
            if let Some(failure) = differs(topology, &left, &again.store.left(), &schedule) {
                failures.push(failure);
                break;
            }
        }
    }
    failures.extend(report::parked(case, &parked));
    Ok(Verdict { name: case.name.clone(), runs, failures })
}

/// The topologies that a test is about: those that read what it gives, then those that only have a view that it names. A
/// test without events still says what the views hold: nothing, and a grand total's first row.
pub fn concerned<'t>(case: &TestCase, topologies: &'t [Arc<Topology>]) -> Vec<&'t Arc<Topology>> {
    let reads = |t: &Topology| case.given.iter().any(|given| t.topic(&given.topic.name).is_some());
    let is_named = |t: &Topology| case.expect.iter().any(|expected| t.view(&expected.view).is_some());
    let reading = topologies.iter().filter(|t| reads(t));
    reading.chain(topologies.iter().filter(|t| !reads(t) && is_named(t))).collect()
}

/// Every schedule of the matrix for a run of about this many writes.
fn schedules(writes: usize) -> impl Iterator<Item = Schedule> {
    let cuts = [Cut::OneEach, Cut::AllInOne, Cut::Uneven];
    let repeats = [Repeat::Never, Repeat::Each, Repeat::All];
    let plain = cuts
        .into_iter()
        .flat_map(move |cut| repeats.into_iter().map(move |repeat| Schedule { cut, repeat, crash: None }));
    // One event a batch writes most often: a crash beyond a run's last write changes nothing.
    let limit = (writes * 4).min(400);
    let crashes = (0..limit).flat_map(move |crash| {
        [Cut::AllInOne, Cut::OneEach].into_iter().map(move |cut| Schedule {
            cut,
            repeat: Repeat::Never,
            crash: Some(crash),
        })
    });
    plain.chain(crashes)
}

/// A given record and the number of its event in the test, from 1.
pub(crate) struct Numbered {
    pub(crate) number: usize,
    pub(crate) record: Record,
}

/// The records that producers would have written, with gaps between offsets as Kafka has them.
fn records(given: &[GivenEvent], topology: &Topology) -> Result<Vec<Numbered>, HarnessError> {
    let mut records: Vec<Numbered> = Vec::new();
    for (index, event) in given.iter().enumerate() {
        let Some((topic, plan)) = topology.topic(&event.topic.name) else { continue };
        let payload = payload(event, index)?;
        let partition = spread(event.key.as_deref().unwrap_or_default(), plan.topic.partitions);
        let before = records.iter().rev().find(|r| r.record.topic == topic && r.record.partition == partition);
        let offset = before.map_or(0, |before| before.record.offset + 1 + (index as i64 % 3));
        let record = Record {
            topic,
            partition,
            offset,
            timestamp_ms: event.time.div_euclid(1000),
            key: event.key.clone().map(Bytes::from),
            payload: payload.map(Bytes::from),
            headers: event.headers.iter().map(|(k, v)| (k.clone(), Bytes::from(v.clone()))).collect(),
        };
        records.push(Numbered { number: index + 1, record });
    }
    Ok(records)
}

/// What a producer would have sent: nothing for `Tombstone`.
fn payload(event: &GivenEvent, index: usize) -> Result<Option<Vec<u8>>, HarnessError> {
    let Some(declared) = event.topic.events.get(event.event) else { return Ok(None) };
    let (mut body, mut payload) = (Vec::new(), Vec::new());
    encode(&declared.schema, &event.value, &mut body)
        .map_err(|problem| HarnessError::Unwritable { event: index + 1, problem: problem.to_string() })?;
    wire::frame(SchemaId(event.event as u32 + 1), &body, &mut payload);
    Ok(Some(payload))
}

/// A partition for a key: any fixed spread will do here, for no row may depend on it.
fn spread(key: &[u8], partitions: u32) -> i32 {
    let hash = key.iter().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    (hash % partitions.max(1)) as i32
}

struct Run {
    store: Memory,
    writes: usize,
}

/// Delivers the records under a schedule, from the first to the last, as a worker would.
fn deliver(topology: &Arc<Topology>, records: &[Numbered], schedule: Schedule) -> Run {
    let mut store = Memory::new(topology.clone(), schedule.crash);
    let mut worker = Worker::new(topology);
    let mut batches = batches(records, schedule).into_iter();
    let mut batch = batches.next();
    while let Some(records) = &batch {
        match worker.flush(records.clone(), &mut store) {
            Ok(()) => batch = batches.next(),
            // A new worker takes over from what the store says; the log delivers the batch again.
            Err(Crash) => worker = Worker::restarted(topology, &store),
        }
    }
    Run { writes: store.writes(), store }
}

fn batches(records: &[Numbered], schedule: Schedule) -> Vec<Vec<Record>> {
    let all: Vec<Record> = records.iter().map(|numbered| numbered.record.clone()).collect();
    let delivered: Vec<Record> = match schedule.repeat {
        Repeat::Never => all,
        Repeat::Each => all.into_iter().flat_map(|record| [record.clone(), record]).collect(),
        Repeat::All => all.iter().chain(&all).cloned().collect(),
    };
    let mut batches = Vec::new();
    let mut rest = delivered.as_slice();
    let mut size = 2;
    while !rest.is_empty() {
        let take = match schedule.cut {
            Cut::AllInOne => rest.len(),
            Cut::OneEach => 1,
            Cut::Uneven => size,
        };
        size = 5 - size;
        let (batch, after) = rest.split_at(take.min(rest.len()));
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

/// What a worker holds in memory, and loses when it dies.
struct Worker {
    decoder: Decoder,
    cache: Cache,
    next: Positions,
}

impl Worker {
    fn new(topology: &Arc<Topology>) -> Self {
        let mut decoder = Decoder::new(topology.clone());
        for (topic, plan) in topology.topics.iter().enumerate() {
            for (event, e) in plan.topic.events.iter().enumerate() {
                decoder.learn(topic, SchemaId(event as u32 + 1), &e.schema);
            }
        }
        Self { decoder, cache: Cache::new(topology.clone(), 1000), next: Positions::new() }
    }

    fn restarted(topology: &Arc<Topology>, store: &Memory) -> Self {
        Self { next: store.positions().clone(), ..Self::new(topology) }
    }

    fn flush(&mut self, records: Vec<Record>, store: &mut Memory) -> Result<(), Crash> {
        let from = self.next.clone();
        let mut next = from.clone();
        let batch = Batch::decode(&self.decoder, records, &mut next);
        store.begin(&from)?;
        let aside = |record: &Record| store.is_parked(record).then_some(Aside::Behind);
        let mut fold = Fold::new(self.decoder.topology().clone(), batch, &aside);
        let outcome: Box<Outcome> = loop {
            match fold.step() {
                Step::Done(outcome) => break outcome,
                Step::Read(needs) => {
                    let rows = needs.iter().map(|(view, keys)| {
                        keys.iter()
                            .map(|key| self.cache.get(*view, key).unwrap_or_else(|| store.row(*view, key)))
                            .collect()
                    });
                    let rows = rows.collect();
                    fold.supply(rows);
                }
            }
        };
        store.commit(&outcome, &next)?;
        self.cache.wrote(&outcome);
        self.next = next;
        Ok(())
    }
}
