//! A store in memory under SQL rules: a flush is one transaction, which compares and swaps the positions first and is there
//! wholly or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_schemas::Value;

use super::Left;
use super::mutation::Mutation;
use super::store::{Begun, Lost, Markers};
use super::write::{Write, encoded};
use crate::batch::Positions;
use crate::plan::Topology;
use crate::table::{Row, RowPosition};

pub(super) struct Sql {
    topology: Arc<Topology>,
    mutation: Option<Mutation>,
    committed: State,
    /// The transaction that is open. Transactions that touch the same rows wait for each other, so one at a time stands for
    /// all.
    open: Vec<Open>,
}

/// A transaction.
struct Open {
    worker: usize,
    /// As it sees the store.
    state: State,
    writes: Vec<Write>,
}

#[derive(Clone, Default)]
struct State {
    /// By view, then encoded key.
    views: Vec<BTreeMap<Vec<u8>, Row>>,
    positions: Positions,
    markers: Markers,
    parked: BTreeMap<(usize, i32, i64), Option<String>>,
}

impl Sql {
    pub(super) fn new(topology: Arc<Topology>, mutation: Option<Mutation>) -> Self {
        let views = topology.views.iter().map(|_| BTreeMap::new()).collect();
        Self { topology, mutation, committed: State { views, ..State::default() }, open: Vec::new() }
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.committed.positions
    }

    pub(super) fn markers(&self) -> &Markers {
        &self.committed.markers
    }

    pub(super) fn begin(&mut self, worker: usize, from: &[((usize, i32), Option<i64>)]) -> Result<Begun, Lost> {
        if !self.open.is_empty() && self.mutation != Some(Mutation::NoTurns) {
            return Ok(Begun::Waits);
        }
        let stored = |(place, from): &((usize, i32), Option<i64>)| self.committed.positions.get(place) == from.as_ref();
        if !from.iter().all(stored) && self.mutation != Some(Mutation::NoSwap) {
            return Err(Lost);
        }
        self.open.push(Open { worker, state: self.committed.clone(), writes: Vec::new() });
        Ok(Begun::Went)
    }

    pub(super) fn read(&self, worker: usize, view: usize, key: &[Value]) -> Option<Row> {
        let open = self.open.iter().find(|open| open.worker == worker);
        let state = open.map_or(&self.committed, |open| &open.state);
        state.views[view].get(&encoded(key)).cloned()
    }

    pub(super) fn write(&mut self, worker: usize, write: &Write) -> Result<(), Lost> {
        let Some(index) = self.open.iter().position(|open| open.worker == worker) else { return Err(Lost) };
        if matches!(write, Write::Commit) {
            let done = self.open.swap_remove(index);
            done.writes.iter().for_each(|write| self.committed.write(&self.topology, write));
            return Ok(());
        }
        let open = &mut self.open[index];
        open.state.write(&self.topology, write);
        open.writes.push(write.clone());
        if self.mutation == Some(Mutation::NoTransaction) {
            self.committed.write(&self.topology, write);
        }
        Ok(())
    }

    pub(super) fn roll_back(&mut self, worker: usize) {
        self.open.retain(|open| open.worker != worker);
    }

    pub(super) fn parked(&self) -> Vec<((usize, i32, i64), Option<String>)> {
        self.committed.parked.iter().map(|(place, reason)| (*place, reason.clone())).collect()
    }

    /// What there is now, as a query would see it.
    pub(super) fn left(&self) -> Left {
        let rows = self.committed.views.iter().zip(&self.topology.views).map(|(rows, view)| {
            let mut rows: Vec<Row> = rows.values().filter(|row| view.table.is_shown(row)).cloned().collect();
            if view.table.is_shared() {
                // Which of many partitions came last says nothing.
                rows.iter_mut().for_each(|row| row.position = RowPosition { partition: -1, offset: -1 });
            }
            if rows.is_empty() { view.initial_row().into_iter().collect() } else { rows }
        });
        let parked = self.committed.parked.iter().map(|(&(t, p, o), reason)| (t, p, o, reason.is_some()));
        Left { rows: rows.collect(), parked: parked.collect() }
    }
}

impl State {
    fn write(&mut self, topology: &Topology, write: &Write) {
        match write {
            Write::Markers { topic, partition, keys } => {
                for (key, first) in keys {
                    self.markers.entry((*topic, *partition, key.clone())).or_insert(*first);
                }
            }
            Write::Parked(record) => {
                let place = (record.topic, record.partition, record.offset);
                self.parked.insert(place, record.reason.clone());
            }
            Write::DeletePartition { view, key, .. } => {
                let partition = topology.views[*view].table.partition;
                self.views[*view].retain(|_, row| row.values[..partition] != key[..]);
            }
            Write::Delete { view, key, .. } => drop(self.views[*view].remove(&encoded(key))),
            Write::Put { view, row, .. } => {
                let key = encoded(row.key(&topology.views[*view].table));
                self.views[*view].insert(key, row.clone());
            }
            Write::Position { topic, partition, next } => {
                self.positions.insert((*topic, *partition), *next);
            }
            Write::Commit => {}
        }
    }
}
