//! A store in memory under SQL rules: a flush is one transaction, and a crash at any of its writes undoes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{BEHIND, Left, Numbered};
use crate::batch::{Positions, Record};
use crate::fold::{Outcome, encode_key};
use crate::plan::Topology;
use crate::table::Row;

/// The worker died.
#[derive(Debug)]
pub(super) struct Crash;

type EncodedKey = Vec<u8>;

#[derive(Clone)]
pub(super) struct Memory {
    topology: Arc<Topology>,
    committed: State,
    /// Writes and commits so far, over the whole run.
    writes: usize,
    crash: Option<usize>,
}

#[derive(Clone, Default)]
struct State {
    /// By view, then encoded key.
    views: Vec<BTreeMap<EncodedKey, Row>>,
    positions: Positions,
    parked_keys: BTreeSet<(usize, i32, Bytes)>,
    /// Topic, partition, offset; and why, where it is a head.
    parked: Vec<(usize, i32, i64, Option<String>)>,
}

impl Memory {
    pub(super) fn new(topology: Arc<Topology>, crash: Option<usize>) -> Self {
        let views = topology.views.iter().map(|_| BTreeMap::new()).collect();
        Self { topology, committed: State { views, ..State::default() }, writes: 0, crash }
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.committed.positions
    }

    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    pub(super) fn is_parked(&self, record: &Record) -> bool {
        let Some(key) = &record.key else { return false };
        self.committed.parked_keys.contains(&(record.topic, record.partition, key.clone()))
    }

    /// The compare-and-swap of the positions: a worker that believes otherwise has lost its place.
    pub(super) fn begin(&mut self, from: &Positions) -> Result<(), Crash> {
        if *from == self.committed.positions { Ok(()) } else { Err(Crash) }
    }

    pub(super) fn row(&self, view: usize, key: &[headwater_schemas::Value]) -> Option<Row> {
        self.committed.views[view].get(&encoded(key)).cloned()
    }

    /// Writes a batch, a step at a time; the worker may die before any step, or after the commit with its reply lost.
    pub(super) fn commit(&mut self, outcome: &Outcome, next: &Positions) -> Result<(), Crash> {
        let mut state = self.committed.clone();
        for writes in &outcome.writes {
            let table = &self.topology.views[writes.view].table;
            let rows = &mut state.views[writes.view];
            for (partition, _) in &writes.partition_deletes {
                step(&mut self.writes, self.crash)?;
                rows.retain(|_, row| row.values[..table.partition] != partition[..]);
            }
            for (key, _) in &writes.deletes {
                step(&mut self.writes, self.crash)?;
                rows.remove(&encoded(key));
            }
            for row in &writes.puts {
                step(&mut self.writes, self.crash)?;
                rows.insert(encoded(row.key(table)), row.clone());
            }
        }
        for parked in &outcome.parked {
            step(&mut self.writes, self.crash)?;
            let record = &outcome.records[parked.record];
            state.parked.push((record.topic, record.partition, record.offset, parked.reason.clone()));
            if let Some(key) = &record.key {
                state.parked_keys.insert((record.topic, record.partition, key.clone()));
            }
        }
        state.positions.clone_from(next);
        step(&mut self.writes, self.crash)?;
        self.committed = state;
        step(&mut self.writes, self.crash)
    }

    /// Every row that a query would see, in the order of the encoded keys.
    fn rows(&self, view: usize) -> Vec<Row> {
        let rows: Vec<Row> = self.committed.views[view].values().cloned().collect();
        if rows.is_empty() { self.topology.views[view].initial_row().into_iter().collect() } else { rows }
    }

    /// The parked events by their numbers in the test.
    pub(super) fn parked(&self, topology: &Topology, records: &[Numbered]) -> Vec<(usize, String)> {
        let number = |topic: usize, partition: i32, offset: i64| {
            records
                .iter()
                .find(|n| (n.record.topic, n.record.partition, n.record.offset) == (topic, partition, offset))
                .map_or(0, |n| n.number)
        };
        let name = &topology.name;
        self.committed
            .parked
            .iter()
            .map(|(topic, partition, offset, reason)| {
                let reason = reason.clone().unwrap_or_else(|| BEHIND.to_owned());
                (number(*topic, *partition, *offset), format!("{name}: {reason}"))
            })
            .collect()
    }

    /// What there is now, for comparing.
    pub(super) fn left(&self) -> Left {
        let mut parked: Vec<_> =
            self.committed.parked.iter().map(|(t, p, o, reason)| (*t, *p, *o, reason.is_some())).collect();
        parked.sort_unstable();
        Left { rows: (0..self.topology.views.len()).map(|view| self.rows(view)).collect(), parked }
    }
}

fn step(writes: &mut usize, crash: Option<usize>) -> Result<(), Crash> {
    let at = *writes;
    *writes += 1;
    if crash == Some(at) { Err(Crash) } else { Ok(()) }
}

fn encoded(key: &[headwater_schemas::Value]) -> EncodedKey {
    let mut out = Vec::new();
    encode_key(key, &mut out);
    out
}
