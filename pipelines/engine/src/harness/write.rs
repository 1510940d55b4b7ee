//! The single writes that a flush is made of, and how they are said.

use bytes::Bytes;
use headwater_schemas::{Value, json};

use crate::fold::{Outcome, encode_key};
use crate::plan::Topology;
use crate::table::{Key, Row, RowPosition, Table};

#[derive(Clone)]
pub(super) enum Write {
    /// Message keys of one partition that are parked from these offsets on.
    Markers {
        topic: usize,
        partition: i32,
        keys: Vec<(Bytes, i64)>,
    },
    Parked(ParkedRecord),
    DeletePartition {
        view: usize,
        key: Key,
        at: RowPosition,
    },
    Delete {
        view: usize,
        key: Key,
        at: RowPosition,
    },
    /// Of these columns, by the table's and then the state's, if not of all.
    Put {
        view: usize,
        row: Row,
        only: Option<Vec<bool>>,
    },
    Position {
        topic: usize,
        partition: i32,
        next: i64,
    },
    /// The end of a transaction.
    Commit,
}

#[derive(Clone)]
pub(super) struct ParkedRecord {
    pub(super) topic: usize,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// None where it only waits behind another.
    pub(super) reason: Option<String>,
}

/// The markers of each partition that parks something.
pub(super) fn markers(outcome: &Outcome) -> Vec<Write> {
    let mut markers: Vec<Write> = Vec::new();
    for parked in &outcome.parked {
        let record = &outcome.records[parked.record];
        let Some(key) = &record.key else { continue };
        let same = markers.iter_mut().find_map(|write| match write {
            Write::Markers { topic, partition, keys } if (*topic, *partition) == (record.topic, record.partition) => {
                Some(keys)
            }
            _ => None,
        });
        match same {
            Some(keys) if keys.iter().any(|(known, _)| known == key) => {}
            Some(keys) => keys.push((key.clone(), record.offset)),
            None => markers.push(Write::Markers {
                topic: record.topic,
                partition: record.partition,
                keys: vec![(key.clone(), record.offset)],
            }),
        }
    }
    markers
}

pub(super) fn parked(outcome: &Outcome) -> Vec<Write> {
    let record = |parked: &crate::fold::Parked| {
        let record = &outcome.records[parked.record];
        Write::Parked(ParkedRecord {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            reason: parked.reason.clone(),
        })
    };
    outcome.parked.iter().map(record).collect()
}

/// The writes of each view, in the order of the views.
pub(super) fn views(outcome: &Outcome) -> Vec<Vec<Write>> {
    let of_view = |writes: &crate::table::ViewWrites| {
        let view = writes.view;
        let partitions =
            writes.partition_deletes.iter().map(|(key, at)| Write::DeletePartition { view, key: key.clone(), at: *at });
        let deletes = writes.deletes.iter().map(|(key, at)| Write::Delete { view, key: key.clone(), at: *at });
        let puts = writes.puts.iter().map(|row| Write::Put { view, row: row.clone(), only: None });
        partitions.chain(deletes).chain(puts).collect()
    };
    outcome.writes.iter().map(of_view).collect()
}

pub(super) fn encoded(key: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(key, &mut out);
    out
}

/// A write in words: `the row (d1) of documents`.
pub(super) fn told(write: &Write, topology: &Topology, in_parts: bool) -> String {
    let row = |view: usize, key: &[Value]| {
        let view = &topology.views[view];
        let table = view.stored(in_parts);
        let own = key.len().min(view.table.key_len());
        let name = &view.table.name;
        let of = if own == 0 { name.clone() } else { format!("({}) of {name}", values(&key[..own], table)) };
        match key.get(own) {
            Some(Value::Long(part)) => format!("{of}, the part of partition {part}"),
            _ => of,
        }
    };
    match write {
        Write::Markers { topic, partition, .. } => {
            format!("the parked keys of {}", place(topology, *topic, *partition))
        }
        Write::Parked(record) => {
            let place = place(topology, record.topic, record.partition);
            format!("the parked record {} of {place}", record.offset)
        }
        Write::DeletePartition { view, key, .. } => format!("the deletion of the partition {}", row(*view, key)),
        Write::Delete { view, key, .. } => format!("the deletion of the row {}", row(*view, key)),
        Write::Put { view, row: put, .. } => {
            format!("the row {}", row(*view, put.key(topology.views[*view].stored(in_parts))))
        }
        Write::Position { topic, partition, next } => {
            format!("the position {next} of {}", place(topology, *topic, *partition))
        }
        Write::Commit => "the commit".to_owned(),
    }
}

fn place(topology: &Topology, topic: usize, partition: i32) -> String {
    format!("{}, partition {partition}", topology.topics[topic].topic.name)
}

fn values(key: &[Value], table: &Table) -> String {
    let shown = |(value, column): (&Value, &crate::table::Column)| match value {
        Value::String(text) => text.to_string(),
        other => json::to_json(&column.ty, other).to_string(),
    };
    key.iter().zip(&table.columns).map(shown).collect::<Vec<_>>().join(", ")
}
