//! The fold: a batch of events in, the rows it changes out. Pure: it reads nothing and writes nothing itself.
//!
//! Level by level, it names the rows that it needs, is given them, and applies each record in order; the changes of one
//! level feed the next. The same fold runs in tests, live and in rebuilds.
//!
//! ```text
//! let mut fold = Fold::new(topology, batch);
//! let outcome = loop {
//!     match fold.step() {
//!         Step::Read(needs) => fold.supply(/* a row or none for each key */),
//!         Step::Done(outcome) => break outcome,
//!     }
//! };
//! ```
//!
//! A record that fails at any level has failed at all: the batch is folded again without it and without what follows it
//! on its message key, from the rows already read.

mod apply;
mod derived;
pub(crate) mod reduce;
mod seen;
pub(crate) mod slots;
mod unreadable;
mod working;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{Batch, Counts, Entry, Record};
use crate::plan::{AggregateSource, CopySource, Source, Topology};
use crate::table::{Key, Row, RowPosition, ViewWrites};
use apply::Kept;
use working::Working;
pub(crate) use working::encode_key;

/// A batch being folded.
pub struct Fold {
    topology: Arc<Topology>,
    batch: Batch,
    work: Vec<Working>,
    /// By record: why it is left out, if it is.
    out: Vec<Option<Out>>,
    /// Found in this pass, to be left out in the next.
    failures: Vec<(usize, String)>,
    view: usize,
    /// The rows asked for and not yet supplied, by view.
    asked: Vec<(usize, Vec<usize>)>,
    touched: bool,
    absent: u64,
    repeated: u64,
    in_parts: bool,
}

/// Why a record is left out of the fold.
#[derive(Clone, Debug, PartialEq)]
enum Out {
    /// Not an event that any view reads.
    Skipped,
    Failed(String),
    Behind,
    /// The views have what it says. Known anew in each pass: what it repeats may be left out.
    Repeated,
}

/// What a fold needs, or gives.
pub enum Step {
    /// These rows, by view and in order: answer with [`Fold::supply`].
    Read(Vec<(usize, Vec<Key>)>),
    Done(Box<Outcome>),
}

/// What a batch changes.
#[derive(Debug)]
pub struct Outcome {
    /// One for each view that changes, in the order of levels: sources before what derives from them.
    pub writes: Vec<ViewWrites>,
    /// Records that cannot be applied, and those behind them on their keys, in order.
    pub parked: Vec<Parked>,
    /// The batch's records, for the positions and for parking.
    pub records: Vec<Record>,
    pub counts: Counts,
}

/// A record that is kept aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Parked {
    /// By the outcome's records.
    pub record: usize,
    /// Why it cannot be applied; None where it only waits behind another of its key.
    pub reason: Option<String>,
}

/// What is known of a record before it is folded.
#[derive(Clone, Debug, PartialEq)]
pub enum Aside {
    /// Its message key is parked already.
    Behind,
    /// The store refuses what it makes, for good.
    Refused(String),
}

impl Fold {
    /// `aside` tells the records that are not to be applied: asked here, not at decoding, for the batch before this one may
    /// have parked a key meanwhile.
    pub fn new(topology: Arc<Topology>, batch: Batch, aside: &dyn Fn(&Record) -> Option<Aside>) -> Self {
        let work = topology.views.iter().map(|_| Working::default()).collect();
        let mut failures = Vec::new();
        let entries = &batch.cell.borrow_dependent().entries;
        let known = entries.iter().zip(batch.records()).enumerate().map(|(record, (entry, input))| {
            let failed = match (entry, aside(input)) {
                (Entry::Skipped, _) => return Some(Out::Skipped),
                (_, Some(Aside::Behind)) => return Some(Out::Behind),
                (Entry::Failed(reason), _) => reason.clone(),
                (Entry::Event { .. }, Some(Aside::Refused(reason))) => reason,
                (Entry::Event { .. }, None) => return None,
            };
            failures.push((record, failed));
            None
        });
        let out = known.collect();
        Self {
            topology,
            batch,
            work,
            out,
            failures,
            view: 0,
            asked: Vec::new(),
            touched: false,
            absent: 0,
            repeated: 0,
            in_parts: false,
        }
    }

    /// For a store that keeps shared rows in parts: rows are asked for and written as [`View::stored`] has them.
    ///
    /// [`View::stored`]: crate::plan::View::stored
    pub fn in_parts(self, in_parts: bool) -> Self {
        Self { in_parts, ..self }
    }

    /// Goes on until rows are needed or the batch is folded.
    ///
    /// # Panics
    /// Where a read was not [supplied](Self::supply).
    pub fn step(&mut self) -> Step {
        assert!(self.asked.is_empty(), "the rows asked for are supplied before the next step");
        loop {
            if !self.failures.is_empty() {
                self.leave_out();
            }
            let Some(level) = self.topology.views.get(self.view).map(|view| view.level) else {
                return Step::Done(Box::new(self.finish()));
            };
            let views: Vec<usize> =
                (self.view..self.topology.views.len()).take_while(|&v| self.topology.views[v].level == level).collect();
            if !self.touched {
                for &view in &views {
                    self.touch(view);
                }
                self.touched = true;
                if let Some(needs) = self.ask(&views) {
                    return Step::Read(needs);
                }
            }
            for &view in &views {
                self.apply(view);
            }
            self.view += views.len();
            self.touched = false;
        }
    }

    /// Gives the rows last asked for: by view and key, as asked.
    ///
    /// # Panics
    /// Where there is not one answer for each key.
    pub fn supply(&mut self, rows: Vec<Vec<Option<Row>>>) {
        let asked = std::mem::take(&mut self.asked);
        assert_eq!(asked.len(), rows.len(), "one answer a view");
        for ((view, asked), rows) in asked.into_iter().zip(rows) {
            assert_eq!(asked.len(), rows.len(), "one answer a key");
            for (row, stored) in asked.into_iter().zip(rows) {
                self.work[view].load(row, stored);
            }
        }
    }

    fn ask(&mut self, views: &[usize]) -> Option<Vec<(usize, Vec<Key>)>> {
        let mut needs = Vec::new();
        for &view in views {
            let unread = self.work[view].unread();
            if !unread.is_empty() {
                needs.push((view, unread.iter().map(|&row| self.work[view].rows[row].key.clone()).collect()));
                self.asked.push((view, unread));
            }
        }
        (!needs.is_empty()).then_some(needs)
    }

    /// Finds the rows that the view's records touch.
    fn touch(&mut self, view: usize) {
        let mut work = std::mem::take(&mut self.work[view]);
        let kept = Kept::new(&self.topology.views[view], self.in_parts);
        if let Source::Copy(CopySource { view: read, .. }) | Source::Aggregate(AggregateSource { view: read, .. }) =
            &kept.view.source
        {
            unreadable::check(&self.topology, kept.view, &self.work[*read].changes, &mut self.failures);
        }
        match &self.topology.views[view].source {
            Source::Seen(source) => {
                seen::touch(&self.topology.topics[source.topic], kept, source, &self.batch, &self.out, &mut work);
            }
            Source::Events(source) => apply::touch_events(
                &self.topology,
                kept,
                source,
                &self.batch,
                &self.out,
                source.with.map(|with| self.work[with].changes.as_slice()),
                &mut work,
                &mut self.failures,
                &mut self.absent,
            ),
            Source::Copy(source) => derived::touch_copies(
                kept,
                source,
                &self.batch,
                &self.work[source.view].changes,
                &mut work,
                &mut self.failures,
            ),
            Source::Aggregate(source) => derived::touch_contributions(
                kept,
                source,
                &self.batch,
                &self.work[source.view].changes,
                &mut work,
                &mut self.failures,
            ),
        }
        self.work[view] = work;
    }

    fn apply(&mut self, view: usize) {
        let mut work = std::mem::take(&mut self.work[view]);
        let kept = Kept::new(&self.topology.views[view], self.in_parts);
        match &self.topology.views[view].source {
            Source::Seen(source) => self.repeated += seen::apply(source, &self.batch, &mut work, &mut self.out),
            Source::Events(source) => apply::events(
                &self.topology,
                kept,
                source,
                &self.batch,
                source.with.map(|with| self.work[with].changes.as_slice()),
                &mut work,
                &mut self.failures,
                &mut self.absent,
            ),
            Source::Copy(source) => derived::copy(
                &self.topology.views[view],
                source,
                &self.batch,
                &self.work[source.view].changes,
                &mut work,
                &mut self.failures,
            ),
            Source::Aggregate(source) => derived::aggregate(
                kept,
                source,
                &self.batch,
                &self.work[source.view].changes,
                &mut work,
                &mut self.failures,
            ),
        }
        self.work[view] = work;
    }

    /// Leaves the failed records out, and what follows each on its message key, and starts again.
    fn leave_out(&mut self) {
        self.out.iter_mut().filter(|out| **out == Some(Out::Repeated)).for_each(|out| *out = None);
        self.repeated = 0;
        let records = self.batch.records();
        let mut heads: HashMap<(usize, i32, &Bytes), usize> = HashMap::new();
        for (record, _) in &self.failures {
            let record_of = &records[*record];
            if let Some(key) = &record_of.key {
                let head = heads.entry((record_of.topic, record_of.partition, key)).or_insert(*record);
                *head = (*head).min(*record);
            }
        }
        for (index, record) in records.iter().enumerate() {
            let Some(key) = &record.key else { continue };
            let head = heads.get(&(record.topic, record.partition, key));
            if head.is_some_and(|&head| index > head) && self.out[index] != Some(Out::Skipped) {
                self.out[index] = Some(Out::Behind);
            }
        }
        for (record, reason) in std::mem::take(&mut self.failures) {
            if self.out[record].is_none() {
                self.out[record] = Some(Out::Failed(reason));
            }
        }
        for work in &mut self.work {
            work.restart();
        }
        self.view = 0;
        self.touched = false;
        self.absent = 0;
    }

    fn finish(&mut self) -> Outcome {
        let writes = std::mem::take(&mut self.work)
            .into_iter()
            .enumerate()
            .map(|(view, work)| work.into_writes(view))
            .filter(|writes| !writes.is_empty())
            .collect();
        let parked = std::mem::take(&mut self.out)
            .into_iter()
            .enumerate()
            .filter_map(|(record, out)| match out? {
                Out::Skipped | Out::Repeated => None,
                Out::Failed(reason) => Some(Parked { record, reason: Some(reason) }),
                Out::Behind => Some(Parked { record, reason: None }),
            })
            .collect();
        let counts = Counts { absent: self.absent, repeated: self.repeated, ..self.batch.counts() };
        let records = self.batch.take_records();
        Outcome { writes, parked, records, counts }
    }
}

/// The position of a record, as rows carry it.
pub(crate) fn position(record: &Record) -> RowPosition {
    RowPosition { partition: record.partition, offset: record.offset }
}
