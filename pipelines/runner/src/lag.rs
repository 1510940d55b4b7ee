//! How far a topology is behind its topics, and how old what its views show may be.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_engine::plan::Topology;
use headwater_log::{Log, LogError};
use headwater_views::{Store, StoreError, StoredPosition};
use metrics::gauge;

use crate::worker::Job;

/// How often the gauges are brought up to date, and how long the log and the store may take to answer for them.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// One partition's lag.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionLag {
    pub topic: String,
    pub partition: i32,
    /// The next offset that the views want.
    pub next: i64,
    /// The partition's end.
    pub end: i64,
    /// End minus position: an upper bound, for offsets have gaps; zero at the end.
    pub records: i64,
    /// The age of the oldest record that is not in the views yet, in milliseconds; None where nothing is behind.
    pub oldest_ms: Option<i64>,
}

/// How old the newest state that a view shows may be.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewFreshness {
    pub view: String,
    /// The age of the oldest record of the view's topics that it does not reflect yet, in milliseconds; None where there is
    /// none. An upper bound: the record may be one that changes nothing of this view.
    pub oldest_ms: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum LagError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The lag of each partition of a topology, from what the log and the store say.
pub async fn lag(
    topology: &Topology,
    generation: u32,
    log: &Log,
    store: &Store,
    now_ms: i64,
) -> Result<Vec<PartitionLag>, LagError> {
    // Positions before ends: a record that lands in between shows as lag, never the other way round.
    let positions = store.positions(&topology.name, generation).await?;
    Ok(behind(topology, log, &positions, now_ms).await?)
}

async fn behind(
    topology: &Topology,
    log: &Log,
    positions: &[StoredPosition],
    now_ms: i64,
) -> Result<Vec<PartitionLag>, LogError> {
    let mut all = Vec::new();
    for plan in &topology.topics {
        let topic = &plan.topic.name;
        for extent in log.extents(topic).await? {
            let partition = extent.partition.0;
            let stored = positions.iter().find(|p| p.topic == *topic && p.partition == partition);
            let next = stored.map_or(extent.earliest.0, |stored| stored.next);
            let records = (extent.end.0 - next).max(0);
            let oldest_ms = if records == 0 {
                None
            } else {
                let first = log.read(topic, extent.partition, headwater_log::Offset(next), 1, 1).await?;
                first.first().map(|record| (now_ms - record.timestamp_ms).max(0))
            };
            all.push(PartitionLag { topic: topic.clone(), partition, next, end: extent.end.0, records, oldest_ms });
        }
    }
    Ok(all)
}

/// The freshness of each view, from the lag of all partitions: a view is as old as what is furthest behind in the topics that
/// feed it. Partitions without new records do not count, however long they have been silent, nor do other views' topics.
pub fn freshness(topology: &Topology, lag: &[PartitionLag]) -> Vec<ViewFreshness> {
    let of = |(index, view): (usize, &headwater_engine::plan::View)| {
        let topics = topology.topics_of(index);
        let feeds = |lag: &&PartitionLag| topics.iter().any(|&topic| topology.topics[topic].topic.name == lag.topic);
        let oldest_ms = lag.iter().filter(feeds).filter_map(|lag| lag.oldest_ms).max();
        ViewFreshness { view: view.table.name.clone(), oldest_ms }
    };
    topology.views.iter().enumerate().map(of).collect()
}

/// Keeps the gauges of a topology's lag and of its views' freshness right for as long as it is polled: also while it is idle
/// or stuck, since it asks the log and the store and not the worker. Where the store does not answer, nothing is written
/// either, and its positions are taken to be the last known; where the log does not, what was behind grows older.
pub async fn report_lag(job: &Job) {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = Known::default();
    loop {
        ticks.tick().await;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as i64);
        known.look(job, now_ms).await;
        known.show(&job.topology);
    }
}

/// What was last known of a topology's lag.
#[derive(Default)]
struct Known {
    /// None until the store has answered once.
    positions: Option<Vec<StoredPosition>>,
    lag: Vec<PartitionLag>,
    at_ms: i64,
}

impl Known {
    async fn look(&mut self, job: &Job, now_ms: i64) {
        let (topology, name) = (&job.topology, &job.topology.name);
        match tokio::time::timeout(REPORT_EVERY, job.store.positions(name, job.generation)).await {
            Ok(Ok(positions)) => self.positions = Some(positions),
            Ok(Err(problem)) => tracing::debug!(topology = name, %problem, "the positions are not known at the moment"),
            Err(_) => tracing::debug!(topology = name, "the store does not tell the positions in time"),
        }
        let Some(positions) = &self.positions else { return };
        match tokio::time::timeout(REPORT_EVERY, behind(topology, &job.log, positions, now_ms)).await {
            Ok(Ok(lag)) => self.lag = lag,
            unknown => {
                let problem = unknown.map(|lag| lag.err().map(|problem| problem.to_string()));
                tracing::debug!(topology = name, ?problem, "the ends of the log are not known at the moment");
                self.grow_older(now_ms - self.at_ms);
            }
        }
        self.at_ms = now_ms;
    }

    fn grow_older(&mut self, passed_ms: i64) {
        for oldest_ms in self.lag.iter_mut().filter_map(|lag| lag.oldest_ms.as_mut()) {
            *oldest_ms += passed_ms.max(0);
        }
    }

    fn show(&self, topology: &Topology) {
        let seconds = |oldest_ms: Option<i64>| oldest_ms.map_or(0.0, |ms| ms as f64 / 1000.0);
        for partition in &self.lag {
            let labels = [
                ("topology", topology.name.clone()),
                ("topic", partition.topic.clone()),
                ("partition", partition.partition.to_string()),
            ];
            gauge!("headwater_runner_lag_records", &labels).set(partition.records as f64);
            gauge!("headwater_runner_lag_seconds", &labels).set(seconds(partition.oldest_ms));
        }
        if self.positions.is_none() {
            return;
        }
        for view in freshness(topology, &self.lag) {
            let labels = [("topology", topology.name.clone()), ("view", view.view)];
            gauge!("headwater_view_freshness_seconds", &labels).set(seconds(view.oldest_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_grows_older_while_nobody_answers_and_what_is_not_does_not() {
        let of =
            |oldest_ms| PartitionLag { topic: "t".to_owned(), partition: 0, next: 0, end: 1, records: 1, oldest_ms };
        let mut known = Known { lag: vec![of(Some(1000)), of(None)], ..Known::default() };
        known.grow_older(5000);
        // A clock that was set back makes nothing younger.
        known.grow_older(-60_000);
        assert_eq!(known.lag, [of(Some(6000)), of(None)]);
    }
}
