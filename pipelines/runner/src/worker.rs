//! A topology's worker: sessions one after another until it is told to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_engine::plan::Topology;
use headwater_log::{Log, LogError};
use headwater_schemas::registry::Registry;
use headwater_views::{Store, StoreError};
use metrics::counter;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::session::{self, Ended};

/// What a worker runs, and between what.
#[derive(Clone)]
pub struct Job {
    pub topology: Arc<Topology>,
    pub generation: u32,
    pub log: Log,
    pub store: Store,
    pub registry: Registry,
    pub settings: Settings,
}

/// Bounds of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A batch takes at most this many records…
    pub batch_records: usize,
    /// …and this many bytes of payload, save for a single larger record. It is closed as soon as the writer can take it: a
    /// lone event is not held back, and under load batches grow while the one before is written.
    pub batch_bytes: usize,
    /// Rows kept to save reading them again.
    pub cache_rows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { batch_records: 10_000, batch_bytes: 16 << 20, cache_rows: 50_000 }
    }
}

/// Why a worker stopped by itself. Everything else is waited out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log no longer has what the views have not seen, or is another log.
    #[error("topology {topology} stops: {source}")]
    Log { topology: String, source: LogError },
    #[error("topology {topology} stops: {source}")]
    Store { topology: String, source: StoreError },
    /// The position is of a topic that was deleted and made again.
    #[error(
        "topology {topology} stops: topic {topic} was deleted and created again, so its positions mean nothing; \
         fold the topology anew with `headwater up --reset {topology}`"
    )]
    TopicRecreated { topology: String, topic: String },
}

/// How often the store refused what a record makes.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// By topic, partition and offset: how often, and the last reason.
    pub(crate) counts: HashMap<(usize, i32, i64), (u32, String)>,
}

/// Runs a topology until `shutdown`, then drains what was read and returns.
///
/// # Errors
/// Only what waiting cannot mend.
pub async fn run(job: Job, shutdown: CancellationToken) -> Result<(), RunError> {
    let mut backoff = Backoff::default();
    let mut refusals = Refusals::default();
    let topology = job.topology.name.clone();
    while !shutdown.is_cancelled() {
        let mut flushed = 0;
        let ended = session::run(&job, &mut refusals, &mut flushed, &shutdown).await;
        if flushed > 0 {
            backoff.reset();
        }
        let waiting = match ended {
            Ended::Shutdown => return Ok(()),
            Ended::Fatal(problem) => {
                tracing::error!(topology, %problem, "the topology stops");
                return Err(problem);
            }
            Ended::Fenced(problem) => {
                tracing::warn!(topology, %problem, "starting again from the stored positions");
                backoff.next_wait().min(Duration::from_millis(100))
            }
            Ended::Unavailable(problem) => {
                let wait = backoff.next_wait();
                tracing::warn!(topology, %problem, ?wait, attempt = backoff.attempts(), "waiting, then trying again");
                wait
            }
        };
        counter!("headwater_runner_restarts_total", "topology" => topology.clone()).increment(1);
        tokio::select! {
            () = tokio::time::sleep(waiting) => {}
            () = shutdown.cancelled() => {}
        }
    }
    Ok(())
}
