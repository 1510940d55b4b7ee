//! How far a topology is behind its topics.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_engine::plan::Topology;
use headwater_log::{Log, LogError};
use headwater_views::{Store, StoreError};
use metrics::gauge;

use crate::worker::Job;

/// How often the gauges are brought up to date.
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

/// Keeps the gauges of a topology's lag right for as long as it is polled: also while it is idle or stuck, since it asks
/// the log and the store and not the worker. Where one of them does not answer, the gauges stay as they are.
pub async fn report_lag(job: &Job) {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let topology = &job.topology;
    loop {
        ticks.tick().await;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as i64);
        let partitions = match lag(topology, job.generation, &job.log, &job.store, now_ms).await {
            Ok(partitions) => partitions,
            Err(problem) => {
                tracing::debug!(topology = topology.name, %problem, "the lag is not known at the moment");
                continue;
            }
        };
        for partition in partitions {
            let labels = [
                ("topology", topology.name.clone()),
                ("topic", partition.topic),
                ("partition", partition.partition.to_string()),
            ];
            gauge!("headwater_runner_lag_records", &labels).set(partition.records as f64);
            let seconds = partition.oldest_ms.map_or(0.0, |ms| ms as f64 / 1000.0);
            gauge!("headwater_runner_lag_seconds", &labels).set(seconds);
        }
    }
}
