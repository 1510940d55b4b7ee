//! `headwater test`: a test's events through the real decode, fold and cache into a store in memory, then again under
//! faults. Every run must give the same rows.
//!
//! There are two stores in memory: one keeps the rules of a SQL store, where a flush is one transaction; the other those of
//! Cassandra, where it is many writes on three replicas, which may come late and of which the last wins. Workers go through
//! both a step at a time, die at any of them, or freeze and wake up beside those that took over.

mod arrangement;
mod cassandra;
mod draw;
mod drawn;
mod matrix;
mod mutation;
mod report;
mod schedule;
mod shrink;
mod sql;
mod store;
#[cfg(test)]
mod tests;
mod timeline;
mod worker;
mod write;

use std::sync::Arc;

use crate::plan::Topology;
use crate::test::TestCase;
use matrix::{Effort, Matrix};
use schedule::Rules;

pub use drawn::{Observed, Trial};
pub use mutation::Mutation;
pub use report::{Failure, Left, Verdict, compare, differs, parked};

/// The reason of a parked event that did not fail itself.
pub const BEHIND: &str = "behind another event of its key";

/// What went wrong while running a test, apart from its verdict.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A given event that its own schema does not take.
    #[error("event {event} of the test cannot be written: {problem}")]
    Unwritable { event: usize, problem: String },
}

/// Runs a test, plainly and under every schedule of the matrix.
///
/// # Errors
/// Only where the test's events cannot be written; rows that differ are a [`Verdict`].
pub fn run(case: &TestCase, topologies: &[Arc<Topology>]) -> Result<Verdict, HarnessError> {
    let (mut sql, mut cassandra) = (0, 0);
    let mut failures = Vec::new();
    let mut parked = Vec::new();
    for topology in concerned(case, topologies) {
        let mut matrix = Matrix::new(&case.given, topology, Effort::USUAL, None)?;
        let changed = arrangement::changed(&case.given, topology)?;
        let (left, set_aside) = matrix.first();
        failures.extend(compare(case, topology, &left));
        parked.extend(set_aside.into_iter().map(|(number, reason)| {
            let reason = reason.unwrap_or_else(|| BEHIND.to_owned());
            (number, format!("{}: {reason}", topology.name))
        }));
        for rules in [Rules::Sql, Rules::Cassandra] {
            let failed = matrix.fails(rules).map(|schedule| matrix.told(&schedule));
            failures.extend(failed.or_else(|| matrix.fails_changed(rules, &changed)));
        }
        sql += matrix.sql;
        cassandra += matrix.cassandra;
    }
    failures.extend(report::parked(case, &parked));
    let by_rules = vec![("sql", sql), ("cassandra", cassandra)];
    Ok(Verdict { name: case.name.clone(), runs: sql + cassandra, by_rules, failures })
}

/// The topologies that a test is about: those that read what it gives, then those that only have a view that it names. A
/// test without events still says what the views hold: nothing, and a grand total's first row.
pub fn concerned<'t>(case: &TestCase, topologies: &'t [Arc<Topology>]) -> Vec<&'t Arc<Topology>> {
    let reads = |t: &Topology| case.given.iter().any(|given| t.topic(&given.topic.name).is_some());
    let is_named = |t: &Topology| case.expect.iter().any(|expected| t.view(&expected.view).is_some());
    let reading = topologies.iter().filter(|t| reads(t));
    reading.chain(topologies.iter().filter(|t| !reads(t) && is_named(t))).collect()
}
