//! A lane: topics and stores that one test at a time has to itself, and the schedules that each test is run under.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_engine::harness::{self, Failure as Difference, Left, Verdict};
use headwater_engine::plan::Topology;
use headwater_engine::table::RowPosition;
use headwater_engine::test::{GivenEvent, TestCase};
use headwater_log::{Header, Log, LogError, NewRecord};
use headwater_runner::Settings;
use headwater_schemas::KeyCodec;
use headwater_schemas::encode::encode;
use headwater_schemas::registry::Registry;
use headwater_schemas::wire::{self, SchemaId};
use headwater_views::{FlushTarget, ParkedFilter, PositionMove, Store, StoreError};

use super::scratch::Groups;
use super::session::Session;
use crate::failure::Failure;

/// What each test is run under, as a summary says it.
pub(super) const SCHEDULES: [&str; 3] = ["plainly", "with a worker that takes over", "with a worker that dies"];

/// Rows of a view and parked records that are compared, at most: more than a test can give.
const ROWS: usize = 100_000;

/// The ids of a topic's events, by its name.
pub(crate) type Ids = HashMap<String, Vec<SchemaId>>;

pub(super) struct Lane {
    pub(super) log: Log,
    pub(super) registry: Registry,
    pub(super) ids: Arc<Ids>,
    /// By the project's topologies.
    pub(super) topologies: Vec<Arc<Topology>>,
    /// The lane's topic of each declared one.
    pub(super) topics: HashMap<String, String>,
    /// How keys are written, by declared topic.
    pub(super) keys: HashMap<String, KeyCodec>,
    pub(super) stores: Vec<(String, Store)>,
    pub(super) groups: Groups,
    /// How long the views may take to come to the end.
    pub(super) patience: Duration,
}

/// Where a given event is, by the topics of the topology that reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) topic: usize,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Of the event in its test, from 1.
    pub(super) number: usize,
}

/// An event in the log.
struct Given {
    /// As declared.
    topic: String,
    partition: i32,
    offset: i64,
    number: usize,
}

/// A topology that a test is about.
struct Concerned<'l> {
    declared: &'l Arc<Topology>,
    /// The same, under the lane's names.
    topology: &'l Arc<Topology>,
    /// Where its topics ended before the test, by topic and partition.
    from: Vec<PositionMove>,
}

impl Lane {
    pub(super) fn store(&self, topology: &Topology) -> Result<&Store, Failure> {
        let found = self.stores.iter().find(|(name, _)| *name == topology.store);
        found.map(|(_, store)| store).ok_or_else(|| {
            Failure::new(format!("the store {} of the topology {} is not configured", topology.store, topology.name))
        })
    }

    /// Runs a test under every schedule. Rows that differ are a verdict, servers that fail a failure.
    pub(super) async fn run(&self, case: &TestCase, declared: &[Arc<Topology>]) -> Result<Verdict, Failure> {
        let mut concerned = Vec::new();
        for found in harness::concerned(case, declared) {
            let index = declared.iter().position(|it| Arc::ptr_eq(it, found));
            let topology =
                index.and_then(|index| self.topologies.get(index)).ok_or_else(|| Failure::new("no topology"))?;
            concerned.push(Concerned { declared: found, topology, from: self.ends(topology).await? });
        }
        let verdict = |runs, failures| Verdict { name: case.name.clone(), runs, by_rules: Vec::new(), failures };
        // First the run that the events are written in, half of them after the first worker has gone.
        let (given, taken_over) = match self.taken_over(&concerned, &case.given).await? {
            Ok(done) => done,
            Err(unwritable) => {
                let span = Some(case.span.clone());
                let message = format!("its events cannot be written: {unwritable}");
                return Ok(verdict(0, vec![Difference { message, lines: Vec::new(), span }]));
            }
        };
        let plain = self.plain(&concerned, &given).await?;
        let dying = self.dying(&concerned, &given).await?;
        let mut failures = Vec::new();
        let mut parked = Vec::new();
        for (index, concerned) in concerned.iter().enumerate() {
            failures.extend(harness::compare(case, concerned.declared, &plain[index].0));
            parked.extend(plain[index].1.iter().cloned());
            let others = [(&taken_over, "one worker takes over from another"), (&dying, "a worker dies in mid-batch")];
            for (run, schedule) in others {
                failures.extend(harness::differs(concerned.declared, &plain[index].0, &run[index].0, &schedule));
            }
        }
        failures.extend(harness::parked(case, &parked));
        Ok(verdict(concerned.len() * SCHEDULES.len(), failures))
    }

    /// Where the topology's topics end, as moves that put a new generation there.
    async fn ends(&self, topology: &Topology) -> Result<Vec<PositionMove>, Failure> {
        let mut moves = Vec::new();
        for plan in &topology.topics {
            let name = &plan.topic.name;
            let unread = |error: LogError| Failure::because(format!("the ends of {name} cannot be read"), &error);
            let topic_id = *self.log.topic(name).await.map_err(unread)?.id.0.as_bytes();
            for extent in self.log.extents(name).await.map_err(unread)? {
                let (partition, to) = (extent.partition.0, extent.end.0);
                moves.push(PositionMove { topic: name.clone(), topic_id, partition, from: None, to, epoch: 0 });
            }
        }
        Ok(moves)
    }

    /// Views that are empty, with positions where the test begins.
    async fn begin(&self, concerned: &Concerned<'_>) -> Result<u32, Failure> {
        let topology = concerned.topology;
        let failed = |error: StoreError| Failure::because("the views cannot be made anew", &error);
        let store = self.store(topology)?;
        headwater_runner::reset(store, &topology.name).await.map_err(failed)?;
        let deployed = headwater_runner::deploy(store, topology).await;
        let generation = deployed.map_err(|error| Failure::because("the views cannot be made anew", &error))?;
        let moves: Vec<PositionMove> = concerned.from.iter().filter(|it| it.to > 0).cloned().collect();
        if !moves.is_empty() {
            let target = FlushTarget { topology: topology.name.clone(), generation };
            let flush = store.begin(&target, &moves).await.map_err(failed)?;
            flush.commit(&[], &[]).await.map_err(failed)?;
        }
        Ok(generation)
    }

    /// Half of the events, all of which one worker folds and ends; then the rest, and another goes on.
    async fn taken_over(
        &self,
        concerned: &[Concerned<'_>],
        events: &[GivenEvent],
    ) -> Result<Result<(Vec<Given>, Vec<(Left, Parked)>), LogError>, Failure> {
        let mut generations = Vec::new();
        for concerned in concerned {
            generations.push(self.begin(concerned).await?);
        }
        let (first, second) = events.split_at(events.len().div_ceil(2));
        let mut given = Vec::new();
        for (half, before) in [(first, 0), (second, first.len())] {
            match self.write(half, before).await? {
                Ok(written) => given.extend(written),
                Err(unwritable) => return Ok(Err(unwritable)),
            }
            for (concerned, generation) in concerned.iter().zip(&generations) {
                let written = read_by(concerned, &given);
                if !written.is_empty() {
                    let mut session = Session::start(self, concerned.topology, *generation, Settings::default())?;
                    session.passed(&written).await?;
                    session.stop().await?;
                }
            }
        }
        let mut left = Vec::new();
        for (concerned, generation) in concerned.iter().zip(generations) {
            left.push(self.left(concerned, generation, &given).await?);
        }
        Ok(Ok((given, left)))
    }

    /// One worker from the first event to the last.
    async fn plain(&self, concerned: &[Concerned<'_>], given: &[Given]) -> Result<Vec<(Left, Parked)>, Failure> {
        let mut left = Vec::new();
        for concerned in concerned {
            let generation = self.begin(concerned).await?;
            let written = read_by(concerned, given);
            if !written.is_empty() {
                let mut session = Session::start(self, concerned.topology, generation, Settings::default())?;
                session.passed(&written).await?;
                session.stop().await?;
            }
            left.push(self.left(concerned, generation, given).await?);
        }
        Ok(left)
    }

    /// One event a batch; once the first worker has written something it is gone, in the middle of what comes next.
    async fn dying(&self, concerned: &[Concerned<'_>], given: &[Given]) -> Result<Vec<(Left, Parked)>, Failure> {
        let mut left = Vec::new();
        for concerned in concerned {
            let generation = self.begin(concerned).await?;
            let written = read_by(concerned, given);
            let settings = Settings { batch_records: 1, ..Settings::default() };
            if written.len() > 1 {
                let mut session = Session::start(self, concerned.topology, generation, settings)?;
                session.began(&written).await?;
            }
            if !written.is_empty() {
                let mut session = Session::start(self, concerned.topology, generation, settings)?;
                session.passed(&written).await?;
                session.stop().await?;
            }
            left.push(self.left(concerned, generation, given).await?);
        }
        Ok(left)
    }

    /// Writes events to the lane's topics as a producer would, each topic's in the order of the test.
    async fn write(&self, events: &[GivenEvent], before: usize) -> Result<Result<Vec<Given>, LogError>, Failure> {
        let mut by_topic: Vec<(&str, Vec<usize>, Vec<NewRecord>)> = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let number = before + index + 1;
            let record = self.record(event, number)?;
            let name = event.topic.name.as_str();
            let index = by_topic.iter().position(|(topic, ..)| *topic == name).unwrap_or_else(|| {
                by_topic.push((name, Vec::new(), Vec::new()));
                by_topic.len() - 1
            });
            by_topic[index].1.push(number);
            by_topic[index].2.push(record);
        }
        let mut given = Vec::new();
        for (topic, numbers, records) in by_topic {
            let Some(scratch) = self.topics.get(topic) else { continue };
            let appended = match self.log.append_all(scratch, records).await {
                Ok(appended) => appended,
                Err(error @ (LogError::Unwritable { .. } | LogError::TooLarge { .. })) => return Ok(Err(error)),
                Err(error) => return Err(Failure::because("the events cannot be written to the log", &error)),
            };
            given.extend(numbers.into_iter().zip(appended).map(|(number, at)| Given {
                topic: topic.to_owned(),
                partition: at.partition.0,
                offset: at.offset.0,
                number,
            }));
        }
        Ok(Ok(given))
    }

    fn record(&self, event: &GivenEvent, number: usize) -> Result<NewRecord, Failure> {
        let unwritable = |why: &str| Failure::new(format!("event {number} of the test cannot be written: {why}"));
        // A record without a value is no event of the topic's own.
        let payload = match event.topic.events.get(event.event) {
            None => None,
            Some(declared) => {
                let id = self.ids.get(&event.topic.name).and_then(|ids| ids.get(event.event));
                let id = id.ok_or_else(|| unwritable("its schema has no id"))?;
                let (mut body, mut payload) = (Vec::new(), Vec::new());
                encode(&declared.schema, &event.value, &mut body)
                    .map_err(|problem| unwritable(&problem.to_string()))?;
                wire::frame(*id, &body, &mut payload);
                Some(payload.into())
            }
        };
        let headers = event.headers.iter();
        let keys = self.keys.get(&event.topic.name).ok_or_else(|| unwritable("its keys are not known"))?;
        Ok(NewRecord {
            key: event.key.clone().map(|key| keys.online(key).into()),
            payload,
            headers: headers.map(|(name, value)| Header { name: name.clone(), value: value.clone().into() }).collect(),
            timestamp_ms: Some(event.time.div_euclid(1000)),
            partition: None,
        })
    }

    /// What a run has left: rows and parked records as the in-memory harness has them, and the parked events by number.
    async fn left(
        &self,
        concerned: &Concerned<'_>,
        generation: u32,
        given: &[Given],
    ) -> Result<(Left, Parked), Failure> {
        let topology = concerned.topology;
        let failed = |error: StoreError| Failure::because("the views cannot be read", &error);
        let store = self.store(topology)?;
        let mut snapshot = store.snapshot().await.map_err(failed)?;
        let mut left = Left::default();
        for view in &topology.views {
            let mut rows = snapshot.table_rows(&view.table, generation, ROWS).await.map_err(failed)?;
            if rows.is_empty() {
                rows.extend(view.initial_row());
            }
            if view.table.is_shared() {
                // Only a version there, which depends on how batches were cut.
                rows.iter_mut().for_each(|row| row.position = RowPosition { partition: -1, offset: -1 });
            }
            left.rows.push(rows);
        }
        drop(snapshot);
        let filter = ParkedFilter { generation: Some(generation), ..ParkedFilter::default() };
        let found = store.parked(&topology.name, &filter, ROWS).await.map_err(failed)?;
        let written = read_by(concerned, given);
        let mut parked = Parked::new();
        for record in found.into_iter().map(|parked| parked.record) {
            let topic = topology.topic(&record.topic).map_or(0, |(index, _)| index);
            left.parked.push((topic, record.partition, record.offset, record.is_head));
            let place = (topic, record.partition, record.offset);
            let number =
                written.iter().find(|it| (it.topic, it.partition, it.offset) == place).map_or(0, |it| it.number);
            let reason = if record.is_head { self.as_declared(record.reason) } else { harness::BEHIND.to_owned() };
            parked.push((number, format!("{}: {reason}", concerned.declared.name)));
        }
        left.parked.sort_unstable();
        parked.sort();
        Ok((left, parked))
    }

    /// A reason, in the names that its reader knows.
    fn as_declared(&self, reason: String) -> String {
        self.topics.iter().fold(reason, |reason, (declared, scratch)| reason.replace(scratch, declared))
    }
}

/// Parked events by their number, each with its reason.
type Parked = Vec<(usize, String)>;

/// The events that a topology reads.
fn read_by(concerned: &Concerned<'_>, given: &[Given]) -> Vec<Written> {
    let written = given.iter().filter_map(|given| {
        let (topic, _) = concerned.declared.topic(&given.topic)?;
        Some(Written { topic, partition: given.partition, offset: given.offset, number: given.number })
    });
    written.collect()
}
