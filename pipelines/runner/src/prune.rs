//! Deletes what a topology's views no longer show, where nothing is ever made of it again.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_engine::plan::Topology;
use headwater_views::{Store, StoreError};

use crate::worker::Job;

/// How often rows are looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Sweeps of one view each time, at most, so that a long backlog leaves the store to the flushes in between.
const SWEEPS: usize = 100;

/// Prunes a topology's views again and again, for as long as it is polled. Several workers may do so at once. Where the
/// store does not answer it is tried again later: readers do not see what is past in any case.
pub(crate) async fn run(job: &Job) -> Infallible {
    if !job.topology.views.iter().any(|view| view.table.retain.is_some_and(|retain| retain.pruned)) {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as i64);
        let topology = job.topology.name.as_str();
        match prune(&job.topology, job.generation, &job.store, now_ms).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(topology, rows, "pruned rows that are past their retention"),
            Err(problem) => tracing::warn!(topology, %problem, "rows could not be pruned; it is tried again"),
        }
    }
}

/// Deletes rows that are past their `retain` at this time, in milliseconds since 1970, from the views that are pruned; how
/// many. A bounded number: the rest is for the next time.
pub async fn prune(topology: &Topology, generation: u32, store: &Store, now_ms: i64) -> Result<u64, StoreError> {
    let mut rows = 0;
    for view in &topology.views {
        for _ in 0..SWEEPS {
            let swept = store.sweep_rows(&view.table, generation, now_ms).await?;
            rows += swept;
            if swept == 0 {
                break;
            }
        }
    }
    Ok(rows)
}
