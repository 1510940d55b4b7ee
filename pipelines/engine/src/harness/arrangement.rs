//! A test's events as logs: which partition each is in, and in what order they come. Only the order of a message key's own
//! events is given, so any other order must give the same rows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use headwater_schemas::RecordType;
use headwater_schemas::avsc::Schema;
use headwater_schemas::encode::encode;
use headwater_schemas::topic::Topic;
use headwater_schemas::wire::{self, SchemaId};

use super::HarnessError;
use super::draw::Draw;
use super::store::Identity;
use crate::batch::Record;
use crate::plan::Topology;
use crate::test::GivenEvent;

/// One way to lay the events out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrangement {
    order: Order,
    spread: Spread,
    /// A record that nobody can decode comes after the first one of a key: what follows on that key waits behind it.
    pub(super) poisoned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsGiven,
    KeyByKey,
    KeysBackwards,
    InTurns,
    Shuffled(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// By a hash of the key, over the partitions that are declared.
    Hashed,
    /// Keys in turns, over at most so many partitions.
    Over(u32),
}

/// A given record and the number of its event in the test, from 1.
#[derive(Clone)]
pub(super) struct Numbered {
    pub(super) number: usize,
    pub(super) record: Record,
}

/// Records in the order in which they are delivered.
pub(super) struct Log {
    pub(super) identity: Identity,
    pub(super) arrangement: Arrangement,
    pub(super) records: Vec<Numbered>,
    /// What became of the events' partitions, to tell logs apart.
    layout: Vec<(usize, i32)>,
}

impl Log {
    /// The number of the event at this place.
    pub(super) fn number(&self, topic: usize, partition: i32, offset: i64) -> usize {
        let place = (topic, partition, offset);
        let found = self.records.iter().find(|n| (n.record.topic, n.record.partition, n.record.offset) == place);
        found.map_or(0, |found| found.number)
    }
}

/// What becomes of a topic, in words, and its log before and after.
pub(super) type Changed = (&'static str, Log, Log);

/// Topics that are not what they were when their views were made: made again without its first event, or, half-way, of more
/// partitions.
pub(super) fn changed(given: &[GivenEvent], topology: &Topology) -> Result<Vec<Changed>, HarnessError> {
    let records = records(given, topology)?;
    let arranged = |records: &[Numbered], id: u64, partitions: u32| {
        let arrangement = Arrangement { order: Order::AsGiven, spread: Spread::Over(partitions), poisoned: false };
        Log { identity: Identity { id, partitions }, ..arranged(records, topology, arrangement) }
    };
    let Some((_, rest)) = records.split_first() else { return Ok(Vec::new()) };
    let again = ("the topic is deleted and made again", arranged(&records, 1, 1), arranged(rest, 2, 1));
    let mut changed = vec![again];
    if topology.topics.iter().any(|plan| plan.topic.partitions > 2) {
        let half = &records[..records.len().div_ceil(2)];
        let before = arranged(half, 1, 1);
        // What was there stays where it is; what comes after it goes by the new number.
        let mut after = arranged(&records, 1, 3);
        let mut next: BTreeMap<(usize, i32), i64> = BTreeMap::new();
        for (index, numbered) in after.records.iter_mut().enumerate() {
            if index < half.len() {
                numbered.record.partition = 0;
            }
            let next = next.entry((numbered.record.topic, numbered.record.partition)).or_default();
            numbered.record.offset = before.records.get(index).map_or(*next, |before| before.record.offset);
            *next = numbered.record.offset + 1;
        }
        changed.push(("the topic has more partitions, half-way", before, after));
    }
    Ok(changed)
}

/// The logs that these events make, the plainest first. No two are the same.
pub(super) fn logs(given: &[GivenEvent], topology: &Topology, shuffles: u64) -> Result<Vec<Log>, HarnessError> {
    let records = records(given, topology)?;
    let mut logs: Vec<Log> = Vec::new();
    // What reads offsets says of each log what that log is.
    let only = if topology.reads_offsets() { 1 } else { usize::MAX };
    for arrangement in arrangements(shuffles).take(only) {
        let log = arranged(&records, topology, arrangement);
        let known = logs.iter().any(|l| l.layout == log.layout && l.arrangement.poisoned == arrangement.poisoned);
        let is_poisoned = log.records.len() > records.len();
        if !known && is_poisoned == arrangement.poisoned {
            logs.push(log);
        }
    }
    Ok(logs)
}

fn arrangements(shuffles: u64) -> impl Iterator<Item = Arrangement> {
    use {Order::*, Spread::*};
    let plain = [
        (AsGiven, Hashed),
        (AsGiven, Over(1)),
        (InTurns, Over(2)),
        (KeyByKey, Over(3)),
        (KeysBackwards, Over(2)),
        (KeysBackwards, Over(1)),
    ];
    let shuffled = (0..shuffles).map(|seed| (Shuffled(seed), if seed % 2 == 0 { Over(2) } else { Over(3) }));
    let whole = plain.into_iter().chain(shuffled).map(|(order, spread)| (order, spread, false));
    let poisoned = [(AsGiven, Hashed, true), (InTurns, Over(1), true)];
    whole.chain(poisoned).map(|(order, spread, poisoned)| Arrangement { order, spread, poisoned })
}

/// One log of these records, laid out as `choose` says: of so many possibilities, one from 0, the plainest first.
pub(super) fn drawn(records: &[Numbered], topology: &Topology, choose: &mut dyn FnMut(usize) -> usize) -> Log {
    let order = match choose(6) {
        0 => Order::AsGiven,
        1 => Order::KeyByKey,
        2 => Order::KeysBackwards,
        3 => Order::InTurns,
        _ => Order::Shuffled(choose(1 << 16) as u64),
    };
    let spread = match choose(4) {
        0 => Spread::Hashed,
        partitions => Spread::Over(partitions as u32),
    };
    arranged(records, topology, Arrangement { order, spread, poisoned: false })
}

/// The records that producers would have written; partitions and offsets come later.
pub(super) fn records(given: &[GivenEvent], topology: &Topology) -> Result<Vec<Numbered>, HarnessError> {
    let mut records: Vec<Numbered> = Vec::new();
    for (index, event) in given.iter().enumerate() {
        let Some((topic, _)) = topology.topic(&event.topic.name) else { continue };
        let payload = payload(event, index)?;
        let record = Record {
            topic,
            partition: 0,
            offset: 0,
            timestamp_ms: event.time.div_euclid(1000),
            key: event.key.clone().map(Bytes::from),
            payload: payload.map(Bytes::from),
            headers: event.headers.iter().map(|(k, v)| (k.clone(), Bytes::from(v.clone()))).collect(),
        };
        records.push(Numbered { number: index + 1, record });
    }
    Ok(records)
}

/// What a producer would have sent: nothing for `Tombstone`, no fields of what is ignored.
fn payload(event: &GivenEvent, index: usize) -> Result<Option<Vec<u8>>, HarnessError> {
    let (mut body, mut payload) = (Vec::new(), Vec::new());
    let name = match (&event.written_as, event.topic.events.get(event.event)) {
        (None, None) => return Ok(None),
        (Some(name), _) => name,
        (None, Some(declared)) => &declared.name,
    };
    let Some((id, schema)) = schemas(&event.topic).find(|(_, schema)| schema.record.short_name() == name) else {
        let problem = format!("topic `{}` has no event that is or was called `{name}`", event.topic.name);
        return Err(HarnessError::Unwritable { event: index + 1, problem });
    };
    if !event.topic.ignore.contains(name) {
        encode(&schema, &event.value, &mut body)
            .map_err(|problem| HarnessError::Unwritable { event: index + 1, problem: problem.to_string() })?;
    }
    wire::frame(id, &body, &mut payload);
    Ok(Some(payload))
}

/// The schemas that records of a topic are written with: those of its events, the same under their older names, and of what
/// is ignored the name alone.
pub(super) fn schemas(topic: &Topic) -> impl Iterator<Item = (SchemaId, Schema)> {
    let named = |schema: &Schema, name: &String| {
        let mut schema = schema.clone();
        schema.record = Arc::new(RecordType { name: name.clone(), ..(*schema.record).clone() });
        schema
    };
    let own = topic.events.iter().map(|event| (*event.schema).clone());
    let older = topic.events.iter().flat_map(move |event| event.was.iter().map(move |name| named(&event.schema, name)));
    let first = topic.events.first();
    let ignored = topic.ignore.iter().filter_map(move |name| Some(named(&first?.schema, name)));
    (1..).map(SchemaId).zip(own.chain(older).chain(ignored))
}

fn arranged(records: &[Numbered], topology: &Topology, arrangement: Arrangement) -> Log {
    let mut groups: Vec<Vec<Numbered>> = Vec::new();
    let mut group_of: BTreeMap<(usize, Option<Bytes>), usize> = BTreeMap::new();
    let mut given = Vec::new();
    for record in records {
        let group = *group_of.entry((record.record.topic, record.record.key.clone())).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(record.clone());
        given.push(group);
    }
    if arrangement.poisoned
        && let Some(group) = groups.iter().position(|group| group.len() > 1 && group[0].record.key.is_some())
    {
        let mut poison = groups[group][0].clone();
        poison.record.payload = Some(Bytes::from_static(b"no frame"));
        poison.number = records.iter().map(|record| record.number).max().unwrap_or(0) + 1;
        groups[group].insert(1, poison);
        let first = given.iter().position(|of| *of == group).unwrap_or(0);
        given.insert(first + 1, group);
    }
    let turns = turns(&groups, given, arrangement.order);
    let layout: Vec<(usize, i32)> =
        turns.iter().map(|&group| (group, partition(&groups, group, topology, arrangement.spread))).collect();
    let mut records: Vec<Numbered> = Vec::new();
    let mut queues: Vec<_> = groups.into_iter().map(Vec::into_iter).collect();
    for (index, &(group, partition)) in layout.iter().enumerate() {
        let Some(mut next) = queues[group].next() else { continue };
        let before =
            records.iter().rev().find(|r| r.record.topic == next.record.topic && r.record.partition == partition);
        // Offsets have gaps, as Kafka's have.
        next.record.offset = before.map_or(0, |before| before.record.offset + 1 + (index as i64 % 3));
        next.record.partition = partition;
        records.push(next);
    }
    Log { identity: Identity { id: 1, partitions: 0 }, arrangement, records, layout }
}

/// By delivery: whose turn it is.
fn turns(groups: &[Vec<Numbered>], given: Vec<usize>, order: Order) -> Vec<usize> {
    let whole = |group: usize| std::iter::repeat_n(group, groups[group].len());
    match order {
        Order::AsGiven => given,
        Order::KeyByKey => (0..groups.len()).flat_map(whole).collect(),
        Order::KeysBackwards => (0..groups.len()).rev().flat_map(whole).collect(),
        Order::InTurns => {
            let longest = groups.iter().map(Vec::len).max().unwrap_or(0);
            let round = |round: usize| (0..groups.len()).rev().filter(move |&group| round < groups[group].len());
            (0..longest).flat_map(round).collect()
        }
        Order::Shuffled(seed) => {
            let mut turns = given;
            let mut draw = Draw::new(seed);
            for last in (1..turns.len()).rev() {
                turns.swap(last, draw.below(last + 1));
            }
            turns
        }
    }
}

fn partition(groups: &[Vec<Numbered>], group: usize, topology: &Topology, spread: Spread) -> i32 {
    let Record { topic, key, .. } = &groups[group][0].record;
    let declared = topology.topics[*topic].topic.partitions.max(1);
    let number = match spread {
        Spread::Hashed => {
            let key = key.as_deref().unwrap_or_default();
            key.iter().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte))) % declared
        }
        Spread::Over(partitions) => group as u32 % declared.min(partitions),
    };
    number as i32
}

impl fmt::Display for Arrangement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.order {
            Order::AsGiven => "",
            Order::KeyByKey => ", the events of one key after those of another",
            Order::KeysBackwards => ", the events of one key after those of another, the last key first",
            Order::InTurns => ", keys in turns",
            Order::Shuffled(_) => ", keys in another order",
        })?;
        match self.spread {
            Spread::Hashed => {}
            Spread::Over(1) => f.write_str(", all in one partition")?,
            Spread::Over(partitions) => write!(f, ", over {partitions} partitions")?,
        }
        f.write_str(if self.poisoned { ", an undecodable record after the first of a key" } else { "" })
    }
}
