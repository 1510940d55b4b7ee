//! A store in memory under Cassandra's rules: no transaction, three replicas, cells of which the last write wins.
//!
//! A write is acknowledged by two replicas and a read asks two; the third hears of a write only when a read finds that two
//! differ and mends them. Rows are laid out as the real store has them: the offset of the event that last touched a row is
//! its timestamp and one of its cells, what is gone is a guard, and shared rows are kept in parts. What is decided by
//! conditional writes (who has a partition, which keys are parked) is one, as the real one is.

mod replica;

use std::collections::HashMap;
use std::sync::Arc;

use headwater_schemas::Value;

use super::Left;
use super::draw::Draw;
use super::mutation::Mutation;
use super::store::{Lost, Markers, Reached};
use super::write::{ParkedRecord, Write, encoded};
use crate::batch::Positions;
use crate::plan::{Topology, View};
use crate::table::{Feeding, Key, Row, RowPosition, Table, partition_of};
use replica::{Cell, Cells, Held};

const REPLICAS: usize = 3;
/// What comes before a row's values and state: its position, whether it is hidden, and its position's partition.
const BESIDE: usize = 3;

pub(super) struct Cassandra {
    topology: Arc<Topology>,
    mutation: Option<Mutation>,
    tables: [Vec<Held>; REPLICAS],
    /// Which replica is left out of a read or a write.
    draw: Draw,
    epochs: HashMap<(usize, i32), i64>,
    markers: Markers,
    /// Statements so far.
    clock: i64,
    /// Two workers wrote different values under one timestamp: of those, any may win.
    pub(super) contradicted: bool,
    /// As it was when a batch began, for a worker that mixes what it reads.
    before: Option<[Vec<Held>; REPLICAS]>,
}

impl Cassandra {
    pub(super) fn new(topology: Arc<Topology>, seed: u64, mutation: Option<Mutation>) -> Self {
        // One more for the positions, and one for what is parked.
        let tables = || (0..topology.views.len() + 2).map(|_| Held::default()).collect();
        let (epochs, markers) = (HashMap::new(), Markers::new());
        let tables = [tables(), tables(), tables()];
        Self {
            topology,
            mutation,
            tables,
            draw: Draw::new(seed),
            epochs,
            markers,
            clock: 0,
            contradicted: false,
            before: None,
        }
    }

    fn breaks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn position_table(&self) -> usize {
        self.topology.views.len()
    }

    fn parked_table(&self) -> usize {
        self.topology.views.len() + 1
    }

    pub(super) fn take_over(&mut self, places: &[(usize, i32)]) -> i64 {
        let mut last = 0;
        for place in places {
            let epoch = self.epochs.entry(*place).or_default();
            *epoch += 1;
            last = last.max(*epoch);
        }
        last
    }

    pub(super) fn markers(&self) -> &Markers {
        &self.markers
    }

    pub(super) fn positions(&mut self) -> Positions {
        let table = self.position_table();
        let mut positions = Positions::new();
        for key in self.keys(table) {
            let cells = self.cells(table, &key, None);
            if let Some((key, values)) = cells
                && let [Value::Long(topic), Value::Long(partition)] = key[..]
                && let Value::Long(next) = values[0]
            {
                positions.insert((topic as usize, partition as i32), next);
            }
        }
        positions
    }

    pub(super) fn compare(&mut self, from: &[((usize, i32), Option<i64>)]) -> Result<(), Lost> {
        if self.breaks(Mutation::MixedReads) {
            self.tables = self.whole();
            self.before = Some(self.tables.clone());
        }
        let stored = self.positions();
        let same = from.iter().all(|(place, from)| stored.get(place) == from.as_ref());
        if same { Ok(()) } else { Err(Lost) }
    }

    /// What the replicas have together, each of them.
    fn whole(&self) -> [Vec<Held>; REPLICAS] {
        let mut whole = self.tables[0].clone();
        for replica in &self.tables[1..] {
            for (held, other) in whole.iter_mut().zip(replica) {
                other.rows.iter().for_each(|(key, cells)| held.take(key, cells));
                other.deleted.iter().for_each(|(partition, at)| held.delete_partition(partition, *at));
            }
        }
        [whole.clone(), whole.clone(), whole]
    }

    pub(super) fn read(&mut self, view: usize, key: &[Value]) -> Option<Row> {
        let derived = self.topology.views[view].level > 0;
        let now = self.before.take_if(|_| derived).map(|before| std::mem::replace(&mut self.tables, before));
        let partition = self.topology.views[view].stored(true).partition;
        let key = self.stored_key(view, key);
        let cells = self.cells(view, &encoded(&key), Some(&encoded(&key[..partition])));
        if let Some(now) = now {
            self.before = Some(std::mem::replace(&mut self.tables, now));
        }
        let (key, values) = cells?;
        Some(row(&self.topology.views[view], &key, values))
    }

    /// The key under which a row is kept.
    fn stored_key(&self, view: usize, key: &[Value]) -> Key {
        let mut key: Vec<Value> = key.to_vec();
        let compiled = &self.topology.views[view];
        if self.breaks(Mutation::OnePart) && compiled.in_parts.is_some() {
            key[compiled.table.key_len()] = Value::Long(0);
        }
        if self.breaks(Mutation::OnePartOfTopics)
            && compiled.in_parts.is_some()
            && let Value::Long(source) = &mut key[compiled.table.key_len()]
        {
            *source = i64::from(partition_of(*source));
        }
        key.into()
    }

    fn keys(&self, table: usize) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> =
            self.tables.iter().flat_map(|replica| replica[table].rows.keys().cloned()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Reads a row with a quorum, and mends what differs between the two that were asked.
    fn cells(&mut self, table: usize, key: &[u8], partition: Option<&[u8]>) -> Option<(Key, Vec<Value>)> {
        let left_out = self.draw.below(REPLICAS);
        let (a, b) = ((left_out + 1) % REPLICAS, (left_out + 2) % REPLICAS);
        let b = if self.breaks(Mutation::QuorumOne) { a } else { b };
        let (first, second) = (&self.tables[a][table], &self.tables[b][table]);
        let deleted = partition.and_then(|p| first.deleted.get(p).max(second.deleted.get(p)).copied());
        let mut merged = Held::default();
        let found = [first, second].map(|held| held.rows.get(key).cloned());
        found.iter().flatten().for_each(|cells| merged.take(key, cells));
        let cells = merged.rows.remove(key);
        let same = found.iter().all(|found| *found == cells);
        if !same && !self.breaks(Mutation::NoReadRepair) {
            for replica in [a, b] {
                cells.iter().for_each(|cells| self.tables[replica][table].take(key, cells));
            }
        }
        if let (Some(deleted), Some(partition)) = (deleted, partition) {
            for replica in [a, b].into_iter().filter(|_| self.mutation != Some(Mutation::NoReadRepair)) {
                self.tables[replica][table].delete_partition(partition, deleted);
            }
        }
        let cells = cells?;
        Some((cells.key.clone(), cells.values(deleted)?))
    }

    pub(super) fn write(&mut self, epoch: i64, write: &Write, reached: Reached) -> Result<(), Lost> {
        self.clock += 1;
        let deletes_guards = |view: &View| match view.source {
            crate::plan::Source::Events(_) => self.breaks(Mutation::DeletedSources),
            _ => self.breaks(Mutation::DeletedAggregates),
        };
        match write {
            Write::Markers { .. } => return self.mark(epoch, write, reached),
            Write::Parked(record) => self.park(record, reached),
            Write::Position { topic, partition, next } => {
                let key = [Value::Long(*topic as i64), Value::Long(i64::from(*partition))];
                let cells = vec![Some(Cell { at: *next, value: Some(Value::Long(*next)) })];
                self.put(self.position_table(), Cells::new(key.into(), cells), reached);
            }
            Write::DeletePartition { view, key, at } => {
                let at = self.timestamp(epoch, *at);
                let partition = encoded(key);
                for replica in self.replicas(reached) {
                    self.tables[replica][*view].delete_partition(&partition, at);
                }
            }
            Write::Delete { view, key, at } => {
                let compiled = &self.topology.views[*view];
                let table = compiled.stored(true);
                let (key, stamp) = (self.stored_key(*view, key), self.timestamp(epoch, *at));
                let cells = if table.fed == Feeding::Mapped || deletes_guards(compiled) {
                    Cells::deleted(key, stamp)
                } else {
                    guard(table, key, *at, stamp)
                };
                self.put(*view, cells, reached);
            }
            Write::Put { view, row, only } => {
                let compiled = &self.topology.views[*view];
                let table = compiled.stored(true);
                let (key, stamp) = (self.stored_key(*view, row.key(table)), self.timestamp(epoch, row.position));
                let mut cells = match row.hidden {
                    true if deletes_guards(compiled) => Cells::deleted(key, stamp),
                    true => guard(table, key, row.position, stamp),
                    false => Cells::new(key, live(table, row, stamp)),
                };
                let values = cells.cells.iter_mut().skip(BESIDE);
                for (cell, _) in values.zip(only.iter().flatten()).filter(|(_, written)| !**written) {
                    *cell = None;
                }
                self.put(*view, cells, reached);
            }
            Write::Commit => {}
        }
        Ok(())
    }

    /// Markers are written while the partition is the worker's own. What is marked already is compared with nothing.
    fn mark(&mut self, epoch: i64, write: &Write, reached: Reached) -> Result<(), Lost> {
        let Write::Markers { topic, partition, keys } = write else { return Ok(()) };
        let place = |key: &bytes::Bytes| (*topic, *partition, key.clone());
        let is_new = keys.iter().any(|(key, _)| !self.markers.contains_key(&place(key)));
        let owner = self.epochs.get(&(*topic, *partition)).copied().unwrap_or(0);
        if is_new && owner != epoch && !self.breaks(Mutation::MarkerOfAnyone) {
            return Err(Lost);
        }
        // A conditional write is decided or it is not.
        if reached == Reached::All {
            for (key, first) in keys {
                self.markers.entry(place(key)).or_insert(*first);
            }
        }
        Ok(())
    }

    fn park(&mut self, record: &ParkedRecord, reached: Reached) {
        let numbers = [record.topic as i64, i64::from(record.partition), record.offset];
        let key: Key = numbers.map(Value::Long).into();
        let reason = record.reason.as_ref().map(|reason| Value::String(reason.as_str().into()));
        let cell = |value| Some(Cell { at: record.offset, value });
        let cells = Cells::new(key, vec![cell(Some(Value::Boolean(true))), cell(reason)]);
        self.put(self.parked_table(), cells, reached);
    }

    fn timestamp(&self, epoch: i64, at: RowPosition) -> i64 {
        match self.mutation {
            Some(Mutation::ClockTimestamps) => self.clock,
            Some(Mutation::EpochTimestamps) => epoch * 1_000_000 + at.offset,
            _ => at.offset,
        }
    }

    /// Those that a write comes to.
    fn replicas(&mut self, reached: Reached) -> Vec<usize> {
        let left_out = self.draw.below(REPLICAS);
        let count = match reached {
            Reached::Nobody => 0,
            Reached::OneReplica => 1,
            Reached::All if self.breaks(Mutation::QuorumOne) => 1,
            Reached::All => 2,
        };
        (1..=count).map(|i| (left_out + i) % REPLICAS).collect()
    }

    fn put(&mut self, table: usize, cells: Cells, reached: Reached) {
        let key = encoded(&cells.key);
        let cells = Arc::new(cells);
        self.contradicted |= self.tables.iter().any(|replica| replica[table].contradicts(&key, &cells));
        for replica in self.replicas(reached) {
            self.tables[replica][table].take(&key, &cells);
        }
    }

    pub(super) fn parked(&mut self) -> Vec<((usize, i32, i64), Option<String>)> {
        let table = self.parked_table();
        let mut parked = Vec::new();
        for key in self.keys(table) {
            let Some((key, values)) = self.cells(table, &key, None) else { continue };
            let [Value::Long(topic), Value::Long(partition), Value::Long(offset)] = key[..] else { continue };
            let reason = match &values[1] {
                Value::String(reason) => Some(reason.to_string()),
                _ => None,
            };
            parked.push(((topic as usize, partition as i32, offset), reason));
        }
        parked.sort_unstable();
        parked
    }

    /// What there is now, as a query would see it.
    pub(super) fn left(&mut self) -> Left {
        let rows = (0..self.topology.views.len()).map(|view| self.seen(view)).collect();
        let parked = self.parked().into_iter().map(|((t, p, o), reason)| (t, p, o, reason.is_some()));
        Left { rows, parked: parked.collect() }
    }

    /// The rows of a view, of their parts, by encoded key.
    fn seen(&mut self, view: usize) -> Vec<Row> {
        let topology = Arc::clone(&self.topology);
        let compiled = &topology.views[view];
        let (table, kept) = (&compiled.table, compiled.stored(true));
        let mut rows: Vec<Row> = Vec::new();
        for key in self.keys(view) {
            let Some(held) = self.tables.iter().find_map(|replica| replica[view].rows.get(&key)) else { continue };
            let partition = encoded(&held.key[..kept.partition]);
            let cells = self.cells(view, &key, Some(&partition));
            rows.extend(cells.map(|(key, values)| row(compiled, &key, values)).filter(|row| !row.hidden));
        }
        if compiled.in_parts.is_some() {
            let parts = rows.chunk_by(|a, b| a.key(table) == b.key(table));
            rows = parts.filter_map(|parts| table.merged(parts)).collect();
        }
        if rows.is_empty() { compiled.initial_row().into_iter().collect() } else { rows }
    }
}

/// A row's cells, every one of them.
fn live(table: &Table, row: &Row, at: i64) -> Vec<Option<Cell>> {
    let beside =
        [Value::Long(row.position.offset), Value::Boolean(row.hidden), Value::Long(i64::from(row.position.partition))];
    let values = row.values[table.key_len()..].iter().chain(&row.state).cloned();
    let cell = |value: Value| Some(Cell { at, value: Some(value).filter(|value| !value.is_null()) });
    beside.into_iter().chain(values).map(cell).collect()
}

/// A row that is gone, kept for its position.
fn guard(table: &Table, key: Key, position: RowPosition, at: i64) -> Cells {
    let blank = |columns: usize| vec![Value::Null; columns];
    let (values, state) = (blank(table.columns.len()), blank(table.state.len()));
    Cells::new(key, live(table, &Row { values, state, position, hidden: true }, at))
}

fn row(view: &View, key: &[Value], mut cells: Vec<Value>) -> Row {
    let table = view.stored(true);
    cells.resize(BESIDE + table.columns.len() - table.key_len() + table.state.len(), Value::Null);
    let state = cells.split_off(cells.len() - table.state.len());
    let mut values = key.to_vec();
    values.extend(cells.drain(BESIDE..));
    let (offset, partition) = match cells[..] {
        [Value::Long(offset), _, Value::Long(partition)] => (offset, partition as i32),
        _ => (-1, -1),
    };
    let hidden = cells[1] == Value::Boolean(true);
    Row { values, state, position: RowPosition { partition, offset }, hidden }
}
