//! A topology's worker: sessions one after another until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use headwater_engine::plan::Topology;
use headwater_log::{Log, LogError};
use headwater_schemas::registry::Registry;
use headwater_views::{Store, StoreError};
use metrics::counter;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::prune;
use crate::session::{self, Ended, Past};

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

/// How a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// The log and the store answer.
    Working,
    /// One of them does not, for this reason; it is tried again.
    Waiting(&'a str),
}

/// Runs a topology until `shutdown`, then drains what was read and returns. `tell` hears how it goes. Beside that it
/// deletes, between flushes, what views no longer show and need no more.
///
/// # Errors
/// Only what waiting cannot mend.
pub async fn run(
    job: Job,
    shutdown: CancellationToken,
    tell: impl Fn(Condition<'_>) + Send + Sync,
) -> Result<(), RunError> {
    tokio::select! {
        ended = sessions(&job, &shutdown, tell) => ended,
        never = prune::run(&job) => match never {},
    }
}

async fn sessions(
    job: &Job,
    shutdown: &CancellationToken,
    tell: impl Fn(Condition<'_>) + Send + Sync,
) -> Result<(), RunError> {
    let mut backoff = Backoff::default();
    let mut past = Past::default();
    let topology = job.topology.name.clone();
    let working = || tell(Condition::Working);
    while !shutdown.is_cancelled() {
        let ended = session::run(job, &mut past, working, shutdown).await;
        if past.flushed > 0 {
            backoff.reset();
        }
        let retrying = |reason: &'static str| {
            counter!("headwater_runner_retries_total", "topology" => topology.clone(), "reason" => reason).increment(1);
        };
        match &ended {
            Ended::Fenced(_) => retrying("fenced"),
            Ended::Narrowed(_) | Ended::Refused(_) => retrying("refused"),
            Ended::Unavailable(_) => retrying("unavailable"),
            Ended::Shutdown | Ended::Fatal(_) | Ended::Widened | Ended::Rebalanced => {}
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
            Ended::Widened => continue,
            Ended::Rebalanced => {
                tracing::debug!(topology, "partitions came or went; starting again from the stored positions");
                continue;
            }
            Ended::Narrowed(problem) => {
                tracing::warn!(topology, %problem, "looking for the record that it comes of");
                continue;
            }
            Ended::Unavailable(problem) | Ended::Refused(problem) => {
                tell(Condition::Waiting(&problem));
                let wait = backoff.next_wait();
                tracing::warn!(topology, %problem, ?wait, attempt = backoff.attempts(), "waiting, then trying again");
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(waiting) => {}
            () = shutdown.cancelled() => {}
        }
    }
    Ok(())
}
