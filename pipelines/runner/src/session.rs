//! One session: from the stored positions on, batch after batch, until something is not sure.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use headwater_engine::batch::{Positions, Record};
use headwater_engine::cache::Cache;
use headwater_engine::fold::{Aside, Fold, Outcome, Step};
use headwater_engine::table::{Key, Row, Table, ViewWrites};
use headwater_log::LogError;
use headwater_views::{Flush, FlushTarget, ParkedRecord, PositionMove, StoreError};
use metrics::{counter, histogram};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::gather::{self, Gathered, Start};
use crate::membership::{Membership, Place};
use crate::records;
use crate::refusals::{Refusal, Refusals};
use crate::verdicts::Verdicts;
use crate::worker::{Job, RunError};

/// Why a session is over.
pub(crate) enum Ended {
    Shutdown,
    Fatal(RunError),
    /// Someone else moved a position, or a reply was lost.
    Fenced(String),
    /// Nothing is known to be written; the same may succeed later.
    Unavailable(String),
    /// The store refuses what this one record makes; it may take it later.
    Refused(String),
    /// The store refuses what one record makes: go on in batches that are cut so that it is found, or without it.
    Narrowed(String),
    /// Other partitions are this worker's now; what was taken is written.
    Rebalanced,
    /// What was refused is behind: go on in batches of full size.
    Widened,
}

/// What a worker remembers from one session to the next: nothing that rows are made of.
#[derive(Default)]
pub(crate) struct Past {
    place: Place,
    refusals: Refusals,
    /// The positions from which a flush failed for the store, as long as none has gone further: that the positions can be
    /// read does not mean that rows can be written.
    stuck_at: Option<Positions>,
    /// How many flushes the last session committed.
    pub(crate) flushed: u64,
}

/// Runs a session. `working` is called whenever the store is seen to do what is asked of it.
pub(crate) async fn run(job: &Job, past: &mut Past, working: impl Fn(), shutdown: &CancellationToken) -> Ended {
    past.flushed = 0;
    let assigned = past.place.lock().await.as_ref().map(Membership::assigned).unwrap_or_default();
    let mut writer = match Writer::open(job, &assigned).await {
        Ok(writer) => writer,
        Err(ended) => {
            past.stuck_at = None;
            return ended;
        }
    };
    if past.stuck_at.as_ref() != Some(&writer.positions) {
        working();
    }
    let refusals = &mut past.refusals;
    let narrowed = refusals.batch_records(&writer.positions);
    let mut reader = job.clone();
    reader.settings.batch_records = narrowed.unwrap_or(job.settings.batch_records);
    let (batches, mut queue) = mpsc::channel(1);
    let (committed, seen) = watch::channel(Positions::new());
    let from = Start { stored: writer.positions.clone(), cuts: refusals.cuts() };
    let gathering = gather::run(reader, past.place.clone(), from, batches, seen, shutdown.clone());
    // Dropped with the session: a reader never outlives the positions that it started from.
    let gathering = AbortOnDropHandle::new(tokio::spawn(gathering));
    while let Some(gathered) = queue.recv().await {
        if let Err(ended) = writer.flush(gathered, refusals).await {
            let waits = matches!(ended, Ended::Unavailable(_) | Ended::Refused(_));
            past.stuck_at = waits.then(|| writer.positions.clone());
            return ended;
        }
        past.flushed += 1;
        if past.stuck_at.take().is_some() {
            working();
        }
        if narrowed.is_some() && refusals.batch_records(&writer.positions).is_none() {
            return Ended::Widened;
        }
        committed.send_replace(writer.positions.clone());
    }
    match gathering.await {
        Ok(None) => Ended::Shutdown,
        Ok(Some(ended)) => ended,
        Err(problem) => Ended::Unavailable(format!("the reader failed: {problem}")),
    }
}

/// What the writer holds: all of it is lost with the session, and read again.
struct Writer<'j> {
    job: &'j Job,
    target: FlushTarget,
    /// By the topology's topics.
    topic_ids: Vec<[u8; 16]>,
    /// As stored; a partition that was never flushed has none.
    positions: Positions,
    /// The message keys that are parked, and the first offset of each that is.
    parked: HashMap<(usize, i32, Bytes), i64>,
    verdicts: Verdicts,
    /// Of the partitions that this worker took over.
    epochs: HashMap<(usize, i32), i64>,
    cache: Cache,
}

impl<'j> Writer<'j> {
    /// Takes the partitions over that are this worker's, and reads what the store has of the topology.
    async fn open(job: &'j Job, assigned: &[(usize, i32)]) -> Result<Self, Ended> {
        let topology = &job.topology;
        let mut topic_ids = Vec::new();
        for plan in &topology.topics {
            let info = job.log.topic(&plan.topic.name).await.map_err(|problem| log_ended(job, problem))?;
            topic_ids.push(*info.id.0.as_bytes());
        }
        let target = FlushTarget { topology: topology.name.clone(), generation: job.generation };
        let names: Vec<(String, i32)> =
            assigned.iter().map(|&(topic, p)| (topology.topics[topic].topic.name.clone(), p)).collect();
        // Before anything is read: what an older worker may still park would be missed.
        let epochs = job.store.take_over(&target, &names).await.map_err(|problem| store_ended(job, problem))?;
        let stored = job.store.positions(&topology.name, job.generation).await;
        let mut positions = Positions::new();
        for position in stored.map_err(|problem| store_ended(job, problem))? {
            let Some((topic, _)) = topology.topic(&position.topic) else { continue };
            if position.topic_id != topic_ids[topic] {
                let (topology, topic) = (topology.name.clone(), position.topic);
                return Err(Ended::Fatal(RunError::TopicRecreated { topology, topic }));
            }
            positions.insert((topic, position.partition), position.next);
        }
        let keys = job.store.parked_keys(&topology.name, job.generation).await;
        let keys = keys.map_err(|problem| store_ended(job, problem))?;
        let verdicts = Verdicts::read(job, assigned, &positions, &keys).await;
        let verdicts = verdicts.map_err(|problem| store_ended(job, problem))?;
        let parked = keys
            .into_iter()
            .filter_map(|parked| {
                let topic = topology.topic(&parked.topic)?.0;
                Some(((topic, parked.partition, parked.key), parked.first_offset))
            })
            .collect();
        Ok(Self {
            target,
            epochs: assigned.iter().copied().zip(epochs).collect(),
            cache: Cache::new(topology.clone(), job.settings.cache_rows).in_parts(job.store.keeps_parts()),
            job,
            topic_ids,
            positions,
            parked,
            verdicts,
        })
    }

    /// Folds and writes one batch: positions compared, rows read, rows and positions written, all or nothing.
    async fn flush(&mut self, gathered: Gathered, refusals: &mut Refusals) -> Result<(), Ended> {
        let started = Instant::now();
        let moves = self.moves(&gathered.next);
        let begun = self.job.store.begin(&self.target, &moves).await;
        let mut flush = begun.map_err(|problem| store_ended(self.job, problem))?;
        refusals.trying(gathered.batch.records());
        let outcome = match self.fold(&mut flush, gathered.batch, refusals).await {
            Ok(outcome) => outcome,
            Err(problem) => {
                flush.abandon().await;
                return Err(store_ended(self.job, problem));
            }
        };
        let (topology, in_parts) = (&self.job.topology, self.job.store.keeps_parts());
        let parked: Vec<ParkedRecord> =
            outcome.parked.iter().map(|parked| records::parked(topology, &outcome.records, parked)).collect();
        let writes: Vec<(&Table, &ViewWrites)> =
            outcome.writes.iter().map(|writes| (topology.views[writes.view].stored(in_parts), writes)).collect();
        match flush.commit(&writes, &parked).await {
            Ok(()) => {}
            Err(StoreError::Refused { view, key, position, by_shape, reason }) => {
                let reason = format!("the store refuses the row {key} of view {view}: {reason}");
                let found = topology.view(&view);
                let refusal = Refusal {
                    topics: found.map(|(index, _)| topology.topics_of(index)).unwrap_or_default(),
                    is_owned: found.is_some_and(|(_, view)| view.owner.is_some()),
                    row: (view, key),
                    position,
                    by_shape,
                    reason,
                };
                return Err(refusals.note(&outcome.records, &gathered.next, refusal));
            }
            Err(problem) => return Err(store_ended(self.job, problem)),
        }
        self.committed(&outcome, &gathered.next, refusals);
        self.report(&outcome, started);
        Ok(())
    }

    fn moves(&self, next: &Positions) -> Vec<PositionMove> {
        let mut moves: Vec<PositionMove> = next
            .iter()
            .map(|(&(topic, partition), &to)| PositionMove {
                topic: self.job.topology.topics[topic].topic.name.clone(),
                topic_id: self.topic_ids[topic],
                partition,
                from: self.positions.get(&(topic, partition)).copied(),
                to,
                epoch: self.epochs.get(&(topic, partition)).copied().unwrap_or(0),
            })
            .collect();
        // In one order for every worker, so that two of them cannot wait for each other.
        moves.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        moves
    }

    async fn fold(
        &mut self,
        flush: &mut Flush,
        batch: headwater_engine::batch::Batch,
        refusals: &Refusals,
    ) -> Result<Outcome, StoreError> {
        let aside = |record: &Record| self.aside(record, refusals);
        let in_parts = self.job.store.keeps_parts();
        let mut fold = Fold::new(self.job.topology.clone(), batch, &aside).in_parts(in_parts);
        loop {
            match fold.step() {
                Step::Done(outcome) => return Ok(*outcome),
                Step::Read(needs) => {
                    let mut rows = Vec::with_capacity(needs.len());
                    for (view, keys) in needs {
                        rows.push(self.read(flush, view, keys).await?);
                    }
                    fold.supply(rows);
                }
            }
        }
    }

    fn aside(&self, record: &Record, refusals: &Refusals) -> Option<Aside> {
        if let Some(key) = &record.key
            && !self.parked.is_empty()
            && let Some(&first) = self.parked.get(&(record.topic, record.partition, key.clone()))
            // After a crash before the position moved, what came before the parked record, and that one, come again.
            && record.offset > first
        {
            return Some(Aside::Behind);
        }
        let retries = self.job.topology.retry_times;
        let reason = self.verdicts.on(record).or_else(|| refusals.exhausted(record, retries))?;
        Some(Aside::Refused(reason.to_owned()))
    }

    /// Rows from the cache where it has them, the rest from the store in one read.
    async fn read(&mut self, flush: &mut Flush, view: usize, keys: Vec<Key>) -> Result<Vec<Option<Row>>, StoreError> {
        let mut rows: Vec<Option<Option<Row>>> = keys.iter().map(|key| self.cache.get(view, key)).collect();
        let missing: Vec<Key> =
            keys.iter().zip(&rows).filter(|(_, row)| row.is_none()).map(|(key, _)| key.clone()).collect();
        if !missing.is_empty() {
            let table = self.job.topology.views[view].stored(self.job.store.keeps_parts());
            let mut found = flush.read(table, &missing).await?.into_iter();
            for row in rows.iter_mut().filter(|row| row.is_none()) {
                *row = Some(found.next().flatten());
            }
        }
        Ok(rows.into_iter().map(Option::flatten).collect())
    }

    /// Takes over what the store has acknowledged.
    fn committed(&mut self, outcome: &Outcome, next: &Positions, refusals: &mut Refusals) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.trace(outcome);
        }
        self.cache.wrote(outcome);
        self.positions.extend(next);
        refusals.taken(&self.positions);
        for parked in &outcome.parked {
            let record = &outcome.records[parked.record];
            if let Some(key) = &record.key {
                // A copy of its own: what the log gives lies in one piece with other records.
                let key = Bytes::copy_from_slice(key);
                self.parked.entry((record.topic, record.partition, key)).or_insert(record.offset);
            }
            if let Some(reason) = &parked.reason {
                let topic = &self.job.topology.topics[record.topic].topic.name;
                let (partition, offset) = (record.partition, record.offset);
                let (topology, trace_id) = (&self.target.topology, records::trace_id(record));
                tracing::warn!(topology, topic, partition, offset, trace_id, reason, "parked a record");
            }
        }
    }

    /// The end of each event's trace, for whoever follows one.
    fn trace(&self, outcome: &Outcome) {
        for record in &outcome.records {
            let Some(trace_id) = records::trace_id(record) else { continue };
            let topic = &self.job.topology.topics[record.topic].topic.name;
            let (topology, partition, offset) = (&self.target.topology, record.partition, record.offset);
            tracing::debug!(topology, topic, partition, offset, trace_id, "the views reflect a record");
        }
    }

    fn report(&mut self, outcome: &Outcome, started: Instant) {
        let topology = self.target.topology.clone();
        histogram!("headwater_runner_flush_seconds", "topology" => topology.clone()).record(started.elapsed());
        histogram!("headwater_runner_batch_records", "topology" => topology.clone())
            .record(outcome.records.len() as f64);
        let counts = outcome.counts;
        let (hits, misses) = self.cache.take_counts();
        let totals = [
            ("headwater_runner_events_total", counts.events),
            ("headwater_runner_duplicates_total", counts.duplicates),
            ("headwater_runner_ignored_total", counts.ignored),
            ("headwater_runner_unknown_total", counts.unknown),
            ("headwater_runner_absent_total", counts.absent),
            ("headwater_runner_repeated_total", counts.repeated),
            ("headwater_runner_parked_total", outcome.parked.len() as u64),
            ("headwater_runner_cache_hits_total", hits),
            ("headwater_runner_cache_misses_total", misses),
        ];
        for (name, count) in totals {
            counter!(name, "topology" => topology.clone()).increment(count);
        }
        for writes in &outcome.writes {
            let rows = writes.puts.len() + writes.deletes.len() + writes.partition_deletes.len();
            let view = self.job.topology.views[writes.view].table.name.clone();
            counter!("headwater_runner_rows_written_total", "topology" => topology.clone(), "view" => view)
                .increment(rows as u64);
        }
    }
}

/// What a log error means for a session.
pub(crate) fn log_ended(job: &Job, problem: LogError) -> Ended {
    let topology = job.topology.name.clone();
    match problem {
        LogError::TopicRecreated { topic, .. } => Ended::Fatal(RunError::TopicRecreated { topology, topic }),
        problem if problem.is_transient() || matches!(problem, LogError::Closed) => {
            Ended::Unavailable(problem.to_string())
        }
        source => Ended::Fatal(RunError::Log { topology, source }),
    }
}

/// What a store error means for a session.
fn store_ended(job: &Job, problem: StoreError) -> Ended {
    let topology = job.topology.name.clone();
    match problem {
        StoreError::Fenced { .. } | StoreError::TakenOver { .. } => Ended::Fenced(problem.to_string()),
        StoreError::TopicChanged { topic, .. } => Ended::Fatal(RunError::TopicRecreated { topology, topic }),
        problem if problem.is_transient() => Ended::Unavailable(problem.to_string()),
        source => Ended::Fatal(RunError::Store { topology, source }),
    }
}
