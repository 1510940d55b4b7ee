//! Drives the engine between a log and a store: records in by position, rows out by flush.
//!
//! The one idea is a *session*: a worker reads its positions from the store, takes records from there, folds and flushes
//! them batch by batch, and at anything it is not sure of (a lost reply, another worker's swap, an outage) it forgets all it
//! holds and starts a new session from what the store says. Nothing is lost, for positions move only with the rows;
//! nothing is doubled, for they move by compare-and-swap.

mod backoff;
mod deploy;
mod gather;
mod lag;
mod membership;
mod prune;
mod records;
mod refusals;
mod session;
mod telemetry;
mod verdicts;
mod worker;

pub use backoff::Backoff;
pub use deploy::{DeployError, deploy, reset};
pub use lag::{PartitionLag, ViewFreshness, freshness, lag, report_lag};
pub use membership::group;
pub use prune::prune;
pub use telemetry::describe_metrics;
pub use worker::{Condition, Job, RunError, Settings, run};
