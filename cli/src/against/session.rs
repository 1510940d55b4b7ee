//! A worker as production runs it, for as long as a test needs it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headwater_engine::plan::Topology;
use headwater_runner::{Condition, Job, RunError, Settings};
use headwater_views::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::lane::{Lane, Written};
use crate::failure::Failure;

/// What another process's commit, or a lost notice of one, may cost.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A running worker. Dropped, it is gone at once, in the middle of whatever it does.
pub(super) struct Session<'l> {
    lane: &'l Lane,
    topology: &'l Arc<Topology>,
    generation: u32,
    store: Store,
    stop: CancellationToken,
    task: AbortOnDropHandle<Result<(), RunError>>,
    /// Why it does nothing at the moment.
    waiting: Arc<Mutex<Option<String>>>,
}

impl<'l> Session<'l> {
    pub(super) fn start(
        lane: &'l Lane,
        topology: &'l Arc<Topology>,
        generation: u32,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let store = lane.store(topology)?.clone();
        let job = Job {
            topology: topology.clone(),
            generation,
            log: lane.log.clone(),
            store: store.clone(),
            registry: lane.registry.clone(),
            settings,
        };
        lane.groups.note(topology, generation);
        let (stop, waiting) = (CancellationToken::new(), Arc::new(Mutex::new(None)));
        let (stopped, told) = (stop.clone(), waiting.clone());
        let tell = move |condition: Condition<'_>| {
            let why = match condition {
                Condition::Working => None,
                Condition::Waiting(why) => Some(why.to_owned()),
            };
            *told.lock().unwrap_or_else(PoisonError::into_inner) = why;
        };
        let task = AbortOnDropHandle::new(tokio::spawn(headwater_runner::run(job, stopped, tell)));
        Ok(Self { lane, topology, generation, store, stop, task, waiting })
    }

    /// Waits until the views have passed all of these.
    pub(super) async fn passed(&mut self, written: &[Written]) -> Result<(), Failure> {
        self.until(written, |behind| behind.is_empty()).await
    }

    /// Waits until the views have passed one of these, or more.
    pub(super) async fn began(&mut self, written: &[Written]) -> Result<(), Failure> {
        self.until(written, |behind| behind.len() < written.len().max(1)).await
    }

    async fn until(&mut self, written: &[Written], enough: impl Fn(&[Behind]) -> bool) -> Result<(), Failure> {
        let started = Instant::now();
        let mut changed = self.store.changed();
        loop {
            changed.borrow_and_update();
            let behind = self.behind(written).await?;
            if enough(&behind) {
                return Ok(());
            }
            if self.task.is_finished() {
                return Err(self.ended().await);
            }
            if started.elapsed() > self.lane.patience {
                return Err(self.late(&behind));
            }
            let notice = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
            if let Ok(Err(_)) = notice {
                // Nobody will tell any more: the next look says why.
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// The records that the views have not passed yet. Where the store does not answer for now, all of them.
    async fn behind(&self, written: &[Written]) -> Result<Vec<Behind>, Failure> {
        let positions = match self.store.positions(&self.topology.name, self.generation).await {
            Ok(positions) => positions,
            Err(error) if error.is_transient() => Vec::new(),
            Err(error) => return Err(Failure::because("the positions cannot be read", &error)),
        };
        let behind = written.iter().filter_map(|record| {
            let topic = &self.topology.topics[record.topic].topic.name;
            let stored = positions.iter().find(|it| it.topic == *topic && it.partition == record.partition);
            let at = stored.map_or(0, |stored| stored.next);
            (at <= record.offset).then(|| Behind {
                place: format!("{topic}/{}", record.partition),
                at,
                wants: record.offset + 1,
            })
        });
        Ok(behind.collect())
    }

    fn late(&self, behind: &[Behind]) -> Failure {
        let mut places: Vec<&Behind> = Vec::new();
        for record in behind.iter().rev() {
            if !places.iter().any(|seen| seen.place == record.place) {
                places.push(record);
            }
        }
        let places = places.iter().map(|it| format!("{} is at {} and should be at {}", it.place, it.at, it.wants));
        let places: Vec<String> = places.collect();
        let seconds = self.lane.patience.as_secs();
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why = waiting.map(|why| format!("; its worker waits: {why}")).unwrap_or_default();
        Failure::new(format!("the views have not come to the end in {seconds} s: {}{why}", places.join(", ")))
            .mend("See whether the servers answer (`headwater doctor`), or give them longer: --patience SECONDS")
    }

    /// Why the worker has ended though nobody told it to.
    async fn ended(&mut self) -> Failure {
        match (&mut self.task).await {
            Ok(Ok(())) => Failure::new("a worker ended before it was told to: this is a defect of headwater"),
            Ok(Err(error)) => Failure::because("a worker stopped", &error),
            Err(error) => Failure::because("a worker failed: this is a defect of headwater", &error),
        }
    }

    /// Ends it as a shutdown does: what it has read is written.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        match tokio::time::timeout(self.lane.patience, &mut self.task).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(Failure::because("a worker stopped", &error)),
            Ok(Err(error)) => Err(Failure::because("a worker failed: this is a defect of headwater", &error)),
            Err(_) => Err(Failure::new(format!("a worker does not end in {} s", self.lane.patience.as_secs()))),
        }
    }
}

struct Behind {
    /// `topic/partition`
    place: String,
    at: i64,
    wants: i64,
}
