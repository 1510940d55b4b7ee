//! One log under schedules that a caller draws, for a fold of the caller's own to be compared with: the second fold of
//! `pipelines/oracle` makes topologies, logs and these choices, and shrinks all three.

use std::sync::Arc;

use super::HarnessError;
use super::Left;
use super::arrangement::{self, Numbered};
use super::matrix::{CUTS, REPEATS, seen};
use super::mutation::Mutation;
use super::schedule::{AT_ONCE, Fault, Rules, Schedule, Then};
use super::store::Reached;
use super::timeline;
use super::worker::Bench;
use crate::plan::Topology;
use crate::test::TestCase;

/// A test's events on one topology, to be run as often as one likes.
pub struct Trial {
    bench: Bench,
    records: Vec<Numbered>,
}

/// What a run has left.
#[derive(Debug)]
pub struct Observed {
    /// By the topology's views: every row that a query would see, as its store has it.
    pub left: Left,
    /// The parked events by their numbers in the test, from 1, in that order; why, of those that failed themselves.
    pub parked: Vec<(usize, Option<String>)>,
    /// What is wrong whatever the rows are: workers that contradict each other, or drive each other out without end.
    pub wrong: Option<&'static str>,
    /// The schedule and what happened in it, in words; no more than the schedule where that was not asked for.
    pub told: String,
    /// How often a worker stopped.
    pub stopped: usize,
}

impl Trial {
    /// `mutation` takes out a rule of the stores or of the workers.
    ///
    /// # Errors
    /// A given event that its own schema does not take.
    pub fn new(case: &TestCase, topology: &Arc<Topology>, mutation: Option<Mutation>) -> Result<Self, HarnessError> {
        let records = arrangement::records(&case.given, topology)?;
        Ok(Self { bench: Bench::new(topology, mutation), records })
    }

    /// Runs a log and a schedule, both drawn: `choose(n)` gives a number from 0, below `n`, and the less, the simpler. Always
    /// 0 is everything in one batch in a SQL store, in the order given.
    pub fn run(&self, choose: &mut dyn FnMut(usize) -> usize, telling: bool) -> Observed {
        let log = arrangement::drawn(&self.records, &self.bench.topology, choose);
        let schedule = schedule(self.records.len(), choose);
        let ran = timeline::run(&self.bench, &log, None, &schedule, telling);
        let told = schedule.told(&log, &ran.happened);
        let wrong = match () {
            () if ran.endless => Some("workers drive each other out without end"),
            () if ran.contradicted => Some("two workers wrote different values under one timestamp"),
            () => None,
        };
        let parked = seen(&ran, &log).parked;
        Observed { left: ran.left, parked, wrong, told, stopped: ran.stopped }
    }
}

fn schedule(records: usize, choose: &mut dyn FnMut(usize) -> usize) -> Schedule {
    let rules = if choose(2) == 0 { Rules::Sql } else { Rules::Cassandra };
    let plain = Schedule::plain(rules, 0);
    // 0 is the simplest of each.
    let cut = [CUTS[1], CUTS[0], CUTS[2]][choose(3)];
    let repeat = REPEATS[if choose(3) == 2 { choose(REPEATS.len()) } else { 0 }];
    let mut faults = Vec::new();
    while faults.len() < 3 && choose(5) > 2 {
        faults.push(fault(rules, records, choose));
    }
    let rarely = |choose: &mut dyn FnMut(usize) -> usize| choose(4) == 3;
    let (split, backwards, forgets) = (rarely(choose), rarely(choose), rarely(choose));
    Schedule { cut, repeat, faults, split, backwards, forgets, replicas: choose(1 << 8) as u64, ..plain }
}

fn fault(rules: Rules, records: usize, choose: &mut dyn FnMut(usize) -> usize) -> Fault {
    // A worker takes some steps to begin, and some for each batch.
    let at = choose(4 + 3 * records);
    let after = choose(12);
    let pace = [AT_ONCE, 1, 2, 5][choose(4)];
    let then = match (choose(6), rules) {
        (0, _) => Then::Dies(Reached::Nobody),
        (1, _) => Then::Dies(Reached::All),
        (2, _) => Then::Returns { after },
        (3, Rules::Cassandra) => Then::Dies(Reached::OneReplica),
        (4, Rules::Cassandra) => Then::LandsLate { after },
        _ => Then::GoesOn { after, pace },
    };
    Fault { at, then, cut: [CUTS[1], CUTS[0], CUTS[2]][choose(3)], doubts: None }
}
