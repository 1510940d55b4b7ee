//! A worker, a step at a time: what `headwater run` does, in pieces that other workers' may come between.
//!
//! It takes over, reads positions and markers, and then, batch after batch, compares the positions, reads the rows that the
//! fold asks for and writes what it gives, in the order that the store's rules say.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::arrangement::{self, Log};
use super::mutation::Mutation;
use super::schedule::{Cut, Repeat, Rules, Schedule};
use super::store::{Begun, Identity, Lost, Markers, Reached, Store};
use super::write::{self, Write};
use crate::batch::{Batch, Decoder, Positions, Record};
use crate::cache::Cache;
use crate::fold::{Aside, Fold, Outcome, Step};
use crate::plan::{Source, Topology};
use crate::table::{Feeding, Key, Row, RowPosition};

const CACHED_ROWS: usize = 1000;

/// What all runs of a test have in common.
pub(super) struct Bench {
    pub(super) topology: Arc<Topology>,
    pub(super) decoder: Decoder,
    pub(super) mutation: Option<Mutation>,
}

impl Bench {
    pub(super) fn new(topology: &Arc<Topology>, mutation: Option<Mutation>) -> Self {
        let mut decoder = Decoder::new(topology.clone());
        for (topic, plan) in topology.topics.iter().enumerate() {
            for (id, schema) in arrangement::schemas(&plan.topic) {
                decoder.learn(topic, id, &schema);
            }
            decoder.learn_keys(topic, headwater_schemas::KeyCodec::offline(&plan.topic));
        }
        Self { topology: topology.clone(), decoder, mutation }
    }

    pub(super) fn breaks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// What a worker is to do.
#[derive(Clone)]
pub(super) struct Task<'r> {
    pub(super) bench: &'r Bench,
    pub(super) log: &'r Log,
    pub(super) schedule: &'r Schedule,
    pub(super) cut: Cut,
    pub(super) repeat: Repeat,
    /// Where partitions are split between two workers: whether it has the odd ones.
    pub(super) odd: Option<bool>,
    /// By the log's records: one that this worker holds for poison, as an older build might.
    pub(super) doubts: Option<usize>,
    /// What the topic was when the views were made.
    pub(super) made_for: Identity,
}

/// What came of a step.
pub(super) enum Went {
    On,
    /// Another's transaction is open.
    Waits,
    /// There is nothing left to do.
    Done,
    /// What it would read is not what was read before.
    Refused,
}

enum Phase {
    TakeOver,
    Positions,
    Markers,
    Begin,
    Read(Box<Reading>),
    Write(Box<Writing>),
    Done,
}

struct Reading {
    fold: Fold,
    next: Positions,
    needs: Vec<(usize, Vec<Key>)>,
    rows: Vec<Vec<Option<Option<Row>>>>,
    /// Rows as they were read, for a worker that writes only what it changed.
    seen: HashMap<(usize, Vec<u8>), Option<Row>>,
}

struct Writing {
    /// Whether the transaction began.
    begun: bool,
    next: Positions,
    outcome: Outcome,
    writes: VecDeque<Write>,
}

pub(super) struct Worker<'r> {
    /// From 1.
    pub(super) number: usize,
    pub(super) task: Task<'r>,
    /// So many steps were taken.
    pub(super) steps: usize,
    /// So many of them were writes.
    pub(super) written: usize,
    epoch: i64,
    cache: Cache,
    /// For a worker that caches too much.
    aggregates: HashMap<(usize, Vec<u8>), Option<Row>>,
    positions: Positions,
    markers: Markers,
    batches: VecDeque<Vec<Record>>,
    phase: Phase,
}

impl<'r> Worker<'r> {
    pub(super) fn new(number: usize, task: Task<'r>) -> Self {
        let in_parts = task.schedule.rules == Rules::Cassandra;
        Self {
            number,
            steps: 0,
            written: 0,
            epoch: 0,
            cache: Cache::new(task.bench.topology.clone(), CACHED_ROWS).in_parts(in_parts),
            aggregates: HashMap::new(),
            positions: Positions::new(),
            markers: Markers::new(),
            batches: VecDeque::new(),
            phase: Phase::TakeOver,
            task,
        }
    }

    /// The same process, from what the store says now.
    pub(super) fn anew(self, number: usize) -> Self {
        let mut worker = Self::new(number, Task { repeat: Repeat::Never, ..self.task });
        if worker.task.bench.breaks(Mutation::KeptCache) {
            worker.cache = self.cache;
        }
        worker
    }

    pub(super) fn in_parts(&self) -> bool {
        self.task.schedule.rules == Rules::Cassandra
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Read(_))
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// The write that the next step makes, if it makes one.
    pub(super) fn in_flight(&self) -> Option<&Write> {
        match &self.phase {
            Phase::Write(writing) if writing.begun => writing.writes.front(),
            _ => None,
        }
    }

    /// The worker dies, and its write comes to these.
    pub(super) fn dies(&mut self, store: &mut Store, reached: Reached) {
        if let Some(write) = self.in_flight() {
            // Whether it was refused is nobody's to hear.
            let _ = store.write(self.number, self.epoch, write, reached);
        }
        store.disconnect(self.number);
    }

    pub(super) fn step(&mut self, store: &mut Store) -> Result<Went, Lost> {
        self.steps += 1;
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::TakeOver => {
                if self.task.bench.breaks(Mutation::MarkersBeforeTakeover) {
                    self.markers = store.markers();
                    self.phase = Phase::Positions;
                } else {
                    self.epoch = store.take_over(&self.places());
                    self.phase = Phase::Positions;
                }
            }
            Phase::Positions => {
                self.positions = store.positions();
                let Task { bench, made_for, log, .. } = self.task;
                if !self.positions.is_empty() && store.refuses(made_for, log.identity, bench.mutation) {
                    return Ok(Went::Refused);
                }
                self.positions.retain(|&(_, partition), _| owns(self.task.odd, partition));
                self.batches = self.deliver();
                self.phase = Phase::Markers;
            }
            Phase::Markers => {
                if self.task.bench.breaks(Mutation::MarkersBeforeTakeover) {
                    self.epoch = store.take_over(&self.places());
                } else {
                    self.markers = store.markers();
                }
                self.phase = self.next_phase();
            }
            Phase::Begin => return self.begin(store),
            Phase::Read(reading) => self.read(store, reading),
            Phase::Write(writing) => return self.write(store, writing),
            Phase::Done => return Ok(Went::Done),
        }
        Ok(Went::On)
    }

    fn places(&self) -> Vec<(usize, i32)> {
        let topics = self.task.bench.topology.topics.iter().enumerate();
        let places = topics.flat_map(|(topic, plan)| (0..plan.topic.partitions as i32).map(move |p| (topic, p)));
        places.filter(|&(_, partition)| owns(self.task.odd, partition)).collect()
    }

    /// What the log delivers from the positions on, cut into batches.
    fn deliver(&self) -> VecDeque<Vec<Record>> {
        let odd = self.task.odd;
        let records = self.task.log.records.iter().map(|numbered| &numbered.record);
        let behind = |record: &&Record| {
            let place = (record.topic, record.partition);
            owns(odd, record.partition) && self.positions.get(&place).is_none_or(|&next| record.offset >= next)
        };
        let all: Vec<Record> = records.filter(behind).cloned().collect();
        let delivered: Vec<Record> = match self.task.repeat {
            Repeat::Never => all,
            Repeat::Each => all.into_iter().flat_map(|record| [record.clone(), record]).collect(),
            Repeat::All => all.iter().chain(&all).cloned().collect(),
        };
        let mut rest = delivered.into_iter();
        let mut batches = VecDeque::new();
        let mut size = 2;
        loop {
            let take = match self.task.cut {
                Cut::AllInOne => usize::MAX,
                Cut::OneEach => 1,
                Cut::Uneven => size,
            };
            size = 5 - size;
            let batch: Vec<Record> = rest.by_ref().take(take).collect();
            if batch.is_empty() {
                return batches;
            }
            batches.push_back(batch);
        }
    }

    fn next_phase(&self) -> Phase {
        if self.batches.is_empty() { Phase::Done } else { Phase::Begin }
    }

    fn begin(&mut self, store: &mut Store) -> Result<Went, Lost> {
        let Some(records) = self.batches.front() else { return Ok(Went::Done) };
        let mut next = self.positions.clone();
        let batch = Batch::decode(&self.task.bench.decoder, records.clone(), &mut next);
        // Nothing is compared or written of partitions that the batch does not move.
        next.retain(|place, _| records.iter().any(|record| (record.topic, record.partition) == *place));
        if !self.reads_first() {
            let from: Vec<_> = next.keys().map(|place| (*place, self.positions.get(place).copied())).collect();
            if let Begun::Waits = store.begin(self.number, &from)? {
                self.phase = Phase::Begin;
                return Ok(Went::Waits);
            }
        }
        self.batches.pop_front();
        let aside = |record: &Record| self.aside(record);
        let fold = Fold::new(self.task.bench.topology.clone(), batch, &aside).in_parts(self.in_parts());
        let (needs, rows, seen) = (Vec::new(), Vec::new(), HashMap::new());
        self.go_on(Box::new(Reading { fold, next, needs, rows, seen }));
        Ok(Went::On)
    }

    fn reads_first(&self) -> bool {
        let bench = self.task.bench;
        !self.in_parts() && (bench.breaks(Mutation::ReadsOutside) || bench.breaks(Mutation::PositionsAfterReads))
    }

    fn aside(&self, record: &Record) -> Option<Aside> {
        if let Some(key) = &record.key
            && let Some(&first) = self.markers.get(&(record.topic, record.partition, key.clone()))
            // After a crash before the position moved, what came before the parked record, and that one, come again.
            && record.offset > first
        {
            return Some(Aside::Behind);
        }
        let doubted = &self.task.log.records.get(self.task.doubts?)?.record;
        let same = (doubted.topic, doubted.partition, doubted.offset);
        let refused = || Aside::Refused("an older build cannot apply it".to_owned());
        ((record.topic, record.partition, record.offset) == same).then(refused)
    }

    /// Folds as far as it goes with what is known.
    fn go_on(&mut self, mut reading: Box<Reading>) {
        loop {
            match reading.fold.step() {
                Step::Done(outcome) => {
                    let writes = self.writes(&reading, &outcome);
                    let begun = !self.reads_first();
                    let Reading { next, .. } = *reading;
                    self.phase = Phase::Write(Box::new(Writing { begun, next, outcome: *outcome, writes }));
                    return;
                }
                Step::Read(needs) => {
                    let mut known = |view: usize, key: &Key| {
                        let aggregate = self.aggregates.get(&(view, write::encoded(key))).cloned();
                        self.cache.get(view, key).or(aggregate).map(|row| self.shown(view, row))
                    };
                    reading.rows =
                        needs.iter().map(|(view, keys)| keys.iter().map(|key| known(*view, key)).collect()).collect();
                    reading.needs = needs;
                    if reading.rows.iter().flatten().any(Option::is_none) {
                        self.phase = Phase::Read(reading);
                        return;
                    }
                    self.supply(&mut reading);
                }
            }
        }
    }

    /// Reads one row.
    fn read(&mut self, store: &mut Store, mut reading: Box<Reading>) {
        let missing =
            reading.rows.iter().enumerate().find_map(|(i, rows)| Some((i, rows.iter().position(Option::is_none)?)));
        if let Some((i, j)) = missing {
            let (view, keys) = &reading.needs[i];
            let row = store.read(self.number, *view, &keys[j]);
            reading.rows[i][j] = Some(self.shown(*view, row));
        }
        if reading.rows.iter().flatten().any(Option::is_none) {
            self.phase = Phase::Read(reading);
        } else {
            self.supply(&mut reading);
            self.go_on(reading);
        }
    }

    /// A row as the fold sees it.
    fn shown(&self, view: usize, row: Option<Row>) -> Option<Row> {
        if !self.task.bench.breaks(Mutation::NoFence) || self.task.bench.topology.views.len() <= view {
            return row;
        }
        row.map(|row| Row { position: RowPosition { offset: -1, ..row.position }, ..row })
    }

    fn supply(&self, reading: &mut Reading) {
        let rows = std::mem::take(&mut reading.rows);
        let rows: Vec<Vec<Option<Row>>> =
            rows.into_iter().map(|rows| rows.into_iter().map(Option::flatten).collect()).collect();
        let bench = self.task.bench;
        if bench.breaks(Mutation::ChangedColumns) || bench.breaks(Mutation::NetWrites) {
            for ((view, keys), rows) in reading.needs.iter().zip(&rows) {
                let each = keys.iter().zip(rows).map(|(key, row)| ((*view, write::encoded(key)), row.clone()));
                reading.seen.extend(each);
            }
        }
        reading.fold.supply(rows);
    }

    /// What a batch writes, in order.
    fn writes(&self, reading: &Reading, outcome: &Outcome) -> VecDeque<Write> {
        let bench = self.task.bench;
        let mut views = write::views(outcome);
        for writes in &mut views {
            if self.task.schedule.backwards {
                // What one view is written is under way at once, but for whole partitions, which go first.
                let rows = writes.iter().position(|write| !matches!(write, Write::DeletePartition { .. }));
                writes[rows.unwrap_or(0)..].reverse();
            }
            if bench.mutation.is_some() {
                self.mutate(reading, writes);
            }
        }
        let changed = |(place, next): &(&(usize, i32), &i64)| self.positions.get(place) != Some(next);
        let mut positions: Vec<((usize, i32), i64)> =
            reading.next.iter().filter(changed).map(|(place, next)| (*place, *next)).collect();
        positions.sort_unstable();
        let positions =
            positions.into_iter().map(|((topic, partition), next)| Write::Position { topic, partition, next });
        let (markers, parked) = (write::markers(outcome), write::parked(outcome));
        let mut writes = VecDeque::new();
        if !self.in_parts() {
            writes.extend(views.into_iter().flatten().chain(markers).chain(parked).chain(positions));
            writes.push_back(Write::Commit);
            return writes;
        }
        if !bench.breaks(Mutation::SourcesFirst) {
            views.reverse();
        }
        let views = views.into_iter().flatten();
        match bench.mutation {
            Some(Mutation::PositionFirst) => {
                writes.extend(markers.into_iter().chain(parked).chain(positions).chain(views))
            }
            Some(Mutation::ParkedLast) => {
                writes.extend(markers.into_iter().chain(views).chain(positions).chain(parked))
            }
            Some(Mutation::MarkerLast) => writes.extend(views.chain(markers).chain(parked).chain(positions)),
            // Markers before any row, parked records before the position, what derives from a view before it.
            _ => writes.extend(markers.into_iter().chain(parked).chain(views).chain(positions)),
        }
        writes
    }

    /// Leaves out what a worker would that does not write whole rows, or not each that was touched.
    fn mutate(&self, reading: &Reading, writes: &mut Vec<Write>) {
        let topology = &self.task.bench.topology;
        let seen = |view: usize, key: &[headwater_schemas::Value]| {
            let row = reading.seen.get(&(view, write::encoded(key))).cloned().flatten();
            row.filter(|row| !row.hidden)
        };
        match self.task.bench.mutation {
            Some(Mutation::NetWrites) => writes.retain(|write| match write {
                // What a copy held is not known: it is never read.
                Write::Delete { view, key, .. } => {
                    topology.views[*view].table.fed == Feeding::Mapped || seen(*view, key).is_some()
                }
                Write::Put { view, row, .. } if row.hidden => {
                    seen(*view, row.key(topology.views[*view].stored(true))).is_some()
                }
                _ => true,
            }),
            Some(Mutation::ChangedColumns) => {
                for written in writes.iter_mut() {
                    let Write::Put { view, row, only } = written else { continue };
                    let table = topology.views[*view].stored(self.in_parts());
                    let Some(before) = seen(*view, row.key(table)) else { continue };
                    let values = row.values.iter().zip(&before.values).skip(table.key_len());
                    *only =
                        Some(values.chain(row.state.iter().zip(&before.state)).map(|(now, old)| now != old).collect());
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, store: &mut Store, mut writing: Box<Writing>) -> Result<Went, Lost> {
        if !writing.begun {
            let loaded = self.task.bench.breaks(Mutation::PositionsAfterReads).then(|| store.positions());
            let positions = loaded.as_ref().unwrap_or(&self.positions);
            let from: Vec<_> = writing.next.keys().map(|place| (*place, positions.get(place).copied())).collect();
            writing.begun = matches!(store.begin(self.number, &from)?, Begun::Went);
            let went = if writing.begun { Went::On } else { Went::Waits };
            self.phase = Phase::Write(writing);
            return Ok(went);
        }
        if let Some(next) = writing.writes.pop_front() {
            self.written += 1;
            store.write(self.number, self.epoch, &next, Reached::All)?;
        }
        if !writing.writes.is_empty() {
            self.phase = Phase::Write(writing);
            return Ok(Went::On);
        }
        self.committed(*writing);
        Ok(Went::On)
    }

    /// Takes over what the store has acknowledged.
    fn committed(&mut self, writing: Writing) {
        let Writing { next, outcome, .. } = writing;
        self.cache.wrote(&outcome);
        if self.task.schedule.forgets {
            self.cache.clear();
        }
        if self.task.bench.breaks(Mutation::CachedAggregates) {
            for writes in &outcome.writes {
                let view = &self.task.bench.topology.views[writes.view];
                if matches!(view.source, Source::Aggregate(_)) {
                    let table = view.stored(self.in_parts());
                    let each = writes.puts.iter().map(|row| (write::encoded(row.key(table)), Some(row.clone())));
                    self.aggregates.extend(each.map(|(key, row)| ((writes.view, key), row)));
                }
            }
        }
        self.positions.extend(next);
        for parked in &outcome.parked {
            let record = &outcome.records[parked.record];
            if let Some(key) = &record.key {
                self.markers.entry((record.topic, record.partition, key.clone())).or_insert(record.offset);
            }
        }
        self.phase = self.next_phase();
    }
}

/// Whether a partition is this worker's.
fn owns(odd: Option<bool>, partition: i32) -> bool {
    odd.is_none_or(|odd| (partition % 2 == 1) == odd)
}
