//! A batch of records, decoded: each record is an event with its needed fields laid out as slots, or is skipped, or has
//! failed before it could be folded.
//!
//! The slots borrow from the messages that the batch owns, so a decoded batch is one movable thing: it may be decoded
//! while the one before it is being written.

use std::collections::HashMap;
use std::sync::Arc;

use bumpalo::Bump;
use bytes::Bytes;
use headwater_schemas::avsc::Schema;
use headwater_schemas::plan::DecodePlan;
use headwater_schemas::wire::{self, SchemaId};
use headwater_schemas::{KeyCodec, KeyFormat, Value, ValueRef};
use rustc_hash::FxHashMap;
use self_cell::self_cell;

use crate::plan::{Metadata, Needed, Topology};

/// A record of one of a topology's topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The topic's index in the topology.
    pub topic: usize,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<(String, Bytes)>,
}

/// What the records of one topic written with one schema are.
enum Meaning {
    Event {
        event: usize,
        plan: Box<DecodePlan>,
        /// Where each slot comes from: the next that is decoded, or beside the event. Empty where all are decoded.
        layout: Box<[Option<Metadata>]>,
    },
    /// Listed under `ignore:`, or read by no view.
    Ignored,
    /// Not an event of the topic.
    Unknown,
    /// Cannot be decoded, ever: no such schema, or one that no plan resolves.
    Refused(String),
}

/// Decodes records by their schema ids. A decoder is taught what an id means, and which one keys have; it fetches nothing
/// itself.
pub struct Decoder {
    topology: Arc<Topology>,
    /// By topic, then schema id.
    meanings: Vec<FxHashMap<SchemaId, Meaning>>,
    /// By topic. None: in Avro, and not learned yet.
    keys: Vec<Option<KeyCodec>>,
}

impl Decoder {
    pub fn new(topology: Arc<Topology>) -> Self {
        let meanings = topology.topics.iter().map(|_| FxHashMap::default()).collect();
        let keys = topology.topics.iter().map(|plan| match &plan.topic.key_format {
            KeyFormat::String | KeyFormat::Json => Some(KeyCodec::offline(&plan.topic)),
            KeyFormat::Avro(_) => None,
        });
        Self { meanings, keys: keys.collect(), topology }
    }

    /// The topics whose keys have to be [learned](Self::learn_keys) first.
    pub fn unlearned_keys(&self) -> Vec<usize> {
        (0..self.keys.len()).filter(|&topic| self.keys[topic].is_none()).collect()
    }

    /// Learns how this topic's keys are written.
    pub fn learn_keys(&mut self, topic: usize, keys: KeyCodec) {
        self.keys[topic] = Some(keys);
    }

    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The schema ids among these records that have to be [learned](Self::learn) or [refused](Self::refuse) first.
    pub fn unlearned(&self, records: &[Record]) -> Vec<(usize, SchemaId)> {
        let mut ids: Vec<(usize, SchemaId)> = Vec::new();
        for record in records {
            let Some(Ok((id, _))) = record.payload.as_deref().map(wire::split) else { continue };
            if !self.meanings[record.topic].contains_key(&id) && ids.last() != Some(&(record.topic, id)) {
                ids.push((record.topic, id));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Learns what records of this topic written with this schema are.
    pub fn learn(&mut self, topic: usize, id: SchemaId, writer: &Schema) {
        let meaning = self.meaning(topic, writer);
        self.meanings[topic].insert(id, meaning);
    }

    /// Learns that the registry has no such id.
    pub fn refuse(&mut self, topic: usize, id: SchemaId, reason: String) {
        self.meanings[topic].insert(id, Meaning::Refused(reason));
    }

    fn meaning(&self, topic: usize, writer: &Schema) -> Meaning {
        let plan = &self.topology.topics[topic];
        let name = writer.record.short_name();
        let found = plan.topic.event_written_as(name).map(|event| event.name.as_str());
        let found = plan.topic.events.iter().position(|event| Some(event.name.as_str()) == found);
        match found {
            Some(event) if plan.events[event].used => {
                let reader = &plan.topic.events[event].schema.record;
                let needed = plan.events[event].needed.iter().map(|&index| Needed::of(reader.fields.len(), index));
                let fields = needed
                    .clone()
                    .filter_map(|needed| if let Needed::Field(field) = needed { Some(field) } else { None });
                let beside =
                    needed.map(|needed| if let Needed::Metadata(metadata) = needed { Some(metadata) } else { None });
                let layout: Box<[_]> = beside.collect();
                let layout = if layout.iter().any(Option::is_some) { layout } else { Box::default() };
                match DecodePlan::compile(writer, reader, &fields.collect::<Vec<_>>()) {
                    Ok(plan) => Meaning::Event { event, plan: Box::new(plan), layout },
                    Err(problem) => Meaning::Refused(format!("the writer's schema does not resolve: {problem}")),
                }
            }
            Some(_) => Meaning::Ignored,
            None if plan.topic.ignore.iter().any(|ignored| ignored == name) => Meaning::Ignored,
            None => Meaning::Unknown,
        }
    }
}

/// What became of a record when it was decoded.
pub(crate) enum Entry<'a> {
    Event {
        event: usize,
        slots: &'a [ValueRef<'a>],
    },
    Skipped,
    /// Why it can never be applied.
    Failed(String),
}

/// By the batch's records.
pub(crate) struct Entries<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
    pub(crate) counts: Counts,
}

/// How many records were what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    /// Below the position: delivered before.
    pub duplicates: u64,
    pub ignored: u64,
    /// Not an event of the topic.
    pub unknown: u64,
    /// Events on a row that does not exist.
    pub absent: u64,
    /// Events that say again what one of the last of their key said.
    pub repeated: u64,
}

pub(crate) struct Source {
    pub(crate) records: Vec<Record>,
    bump: Bump,
}

self_cell!(
    pub(crate) struct Cell {
        owner: Source,
        #[covariant]
        dependent: Entries,
    }
);

/// Decoded records, in the order in which they were read.
pub struct Batch {
    pub(crate) cell: Cell,
}

/// The next offset to take of a partition, by topic and partition. Records below it are duplicates.
pub type Positions = HashMap<(usize, i32), i64>;

impl Batch {
    /// Decodes records. `next` moves past each record taken; what is below it was taken before.
    pub fn decode(decoder: &Decoder, records: Vec<Record>, next: &mut Positions) -> Self {
        let source = Source { records, bump: Bump::new() };
        let cell = Cell::new(source, |source| {
            let mut counts = Counts::default();
            let mut entries = Vec::with_capacity(source.records.len());
            // Records come in runs of one partition: its position is looked up once a run.
            for run in source.records.chunk_by(|a, b| (a.topic, a.partition) == (b.topic, b.partition)) {
                let next = next.entry((run[0].topic, run[0].partition)).or_insert(run[0].offset);
                entries.extend(run.iter().map(|record| entry(decoder, record, &source.bump, next, &mut counts)));
            }
            Entries { entries, counts }
        });
        Self { cell }
    }

    pub fn records(&self) -> &[Record] {
        &self.cell.borrow_owner().records
    }

    /// The records, taken out; the batch is empty afterwards.
    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        let empty = Cell::new(Source { records: Vec::new(), bump: Bump::new() }, |_| Entries {
            entries: Vec::new(),
            counts: Counts::default(),
        });
        std::mem::replace(&mut self.cell, empty).into_owner().records
    }

    pub fn counts(&self) -> Counts {
        self.cell.borrow_dependent().counts
    }
}

fn entry<'a>(decoder: &Decoder, record: &'a Record, bump: &'a Bump, next: &mut i64, counts: &mut Counts) -> Entry<'a> {
    if record.offset < *next {
        counts.duplicates += 1;
        return Entry::Skipped;
    }
    *next = record.offset + 1;
    let Some(payload) = record.payload.as_deref() else {
        return tombstone(decoder, record, bump, counts);
    };
    let (id, body) = match wire::split(payload) {
        Ok(split) => split,
        Err(problem) => return Entry::Failed(problem.to_string()),
    };
    match decoder.meanings[record.topic].get(&id) {
        None => Entry::Failed(format!("schema id {} was not looked up", id.0)),
        Some(Meaning::Refused(reason)) => Entry::Failed(reason.clone()),
        Some(Meaning::Ignored) => {
            counts.ignored += 1;
            Entry::Skipped
        }
        Some(Meaning::Unknown) => {
            counts.unknown += 1;
            Entry::Skipped
        }
        Some(Meaning::Event { event, plan, layout }) => {
            counts.events += 1;
            let Some(keys) = &decoder.keys[record.topic] else { return Entry::Failed(UNLEARNED_KEYS.to_owned()) };
            match plan.decode(body, bump) {
                Ok(decoded) => {
                    let slots = if layout.is_empty() { decoded } else { laid_out(layout, decoded, record, keys, bump) };
                    let plan = &decoder.topology.topics[record.topic].events[*event];
                    match misrouted(keys, record, slots, &plan.key_slots) {
                        None => Entry::Event { event: *event, slots },
                        Some(reason) => Entry::Failed(reason),
                    }
                }
                Err(problem) => Entry::Failed(format!("undecodable: {problem}")),
            }
        }
    }
}

const UNLEARNED_KEYS: &str = "the schema id of message keys was not looked up";

/// A record without a value is its key, whose fields are read from the message key.
fn tombstone<'a>(decoder: &Decoder, record: &'a Record, bump: &'a Bump, counts: &mut Counts) -> Entry<'a> {
    let plan = &decoder.topology.topics[record.topic];
    let event = plan.topic.events.len();
    if !plan.events[event].used {
        counts.ignored += 1;
        return Entry::Skipped;
    }
    counts.events += 1;
    let Some(key) = record.key.as_deref() else {
        return Entry::Failed("misrouted: the record has no message key".into());
    };
    let Some(keys) = &decoder.keys[record.topic] else { return Entry::Failed(UNLEARNED_KEYS.to_owned()) };
    match keys.read(key) {
        Ok(values) => {
            let slots = plan.events[event].needed.iter().map(|&index| match Needed::of(values.len(), index) {
                Needed::Field(field) => values[field].copy_to(bump),
                Needed::Metadata(metadata) => metadata.value(record, keys, bump),
            });
            Entry::Event { event, slots: bump.alloc_slice_fill_iter(slots) }
        }
        Err(problem) => Entry::Failed(format!("misrouted: {problem}")),
    }
}

/// The slots of an event of which something beside it is needed too.
fn laid_out<'a>(
    layout: &[Option<Metadata>],
    decoded: &'a [ValueRef<'a>],
    record: &'a Record,
    keys: &KeyCodec,
    bump: &'a Bump,
) -> &'a [ValueRef<'a>] {
    let mut decoded = decoded.iter();
    let slots = layout.iter().map(|beside| match beside {
        Some(metadata) => metadata.value(record, keys, bump),
        None => decoded.next().copied().unwrap_or(ValueRef::Null),
    });
    bump.alloc_slice_fill_iter(slots)
}

/// Ownership is checked, not assumed: the message key must be what the event's key fields say.
fn misrouted(keys: &KeyCodec, record: &Record, slots: &[ValueRef], key_slots: &[usize]) -> Option<String> {
    let Some(key) = record.key.as_deref() else { return Some("misrouted: the record has no message key".into()) };
    let problem = keys.check(key, key_slots.iter().map(|&slot| slots[slot])).err()?;
    Some(format!("misrouted: {problem}"))
}

/// Whether a key's value has no place among keys.
pub(crate) fn unfit_for_key(value: &ValueRef) -> bool {
    match value {
        ValueRef::Null => true,
        ValueRef::Float(x) => x.is_nan(),
        ValueRef::Double(x) => x.is_nan(),
        _ => false,
    }
}

/// A key's value in its one form: minus zero is zero.
pub(crate) fn key_value(value: &ValueRef) -> Value {
    match value {
        ValueRef::Float(x) => Value::Float(x + 0.0),
        ValueRef::Double(x) => Value::Double(x + 0.0),
        other => other.to_owned(),
    }
}
