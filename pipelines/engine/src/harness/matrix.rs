//! Which runs a test gets, and what they are compared with.
//!
//! Every cut and repeat, every log that the events make, and faults: the first, plainest run says what the rows are, and
//! every other must leave the same. There are far more ways to fail than can be run for each test, so of them a fixed number
//! is drawn by a fixed seed, evenly over the steps of a run and the kinds of faults: the same ones every time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::arrangement::{self, Changed, Log};
use super::draw::Draw;
use super::mutation::Mutation;
use super::report::{Failure, differs};
use super::schedule::{AT_ONCE, Cut, Fault, Repeat, Rules, Schedule, Then};
use super::store::Reached;
use super::timeline::{self, Ran};
use super::worker::Bench;
use super::{HarnessError, Left, shrink};
use crate::plan::Topology;
use crate::test::GivenEvent;

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Runs with faults, of each store's rules.
    pub(super) faulty: usize,
    /// Orders of keys that are drawn, beside those that are named.
    pub(super) shuffles: u64,
}

impl Effort {
    /// What one test costs is tens of milliseconds, in a build for development.
    pub(super) const USUAL: Effort = Effort { faulty: 80, shuffles: 2 };
}

/// The most crashes of a test, each at another step of the run in one batch.
const CRASHES: usize = 500;

pub(super) const CUTS: [Cut; 3] = [Cut::OneEach, Cut::AllInOne, Cut::Uneven];
pub(super) const REPEATS: [Repeat; 3] = [Repeat::Never, Repeat::Each, Repeat::All];

/// A test's events on one topology.
pub(super) struct Matrix {
    bench: Bench,
    pub(super) logs: Vec<Log>,
    effort: Effort,
    /// What the plainest run has left, by whether its log is poisoned: what a query sees, and what is parked by number.
    expected: BTreeMap<bool, Seen>,
    /// What the plain run of each log has left under each store's rules: the same, position by position.
    plain: Vec<(Rules, usize, Ran)>,
    /// How often events were folded under each store's rules.
    pub(super) sql: usize,
    pub(super) cassandra: usize,
}

/// What all stores and all logs must agree on.
#[derive(Clone, PartialEq)]
pub(super) struct Seen {
    left: Left,
    pub(super) parked: Vec<(usize, Option<String>)>,
}

impl Matrix {
    pub(super) fn new(
        given: &[GivenEvent],
        topology: &Arc<Topology>,
        effort: Effort,
        mutation: Option<Mutation>,
    ) -> Result<Self, HarnessError> {
        let logs = arrangement::logs(given, topology, effort.shuffles)?;
        let bench = Bench::new(topology, mutation);
        Ok(Self { bench, logs, effort, expected: BTreeMap::new(), plain: Vec::new(), sql: 0, cassandra: 0 })
    }

    /// What the plainest run leaves, and what it parks, by number and reason.
    pub(super) fn first(&mut self) -> (Left, Vec<(usize, Option<String>)>) {
        let ran = self.run(&Schedule::plain(Rules::Sql, 0), false);
        let seen = seen(&ran, &self.logs[0]);
        self.expected.insert(false, seen.clone());
        let parked = seen.parked.clone();
        let left = ran.left.clone();
        self.plain.push((Rules::Sql, 0, ran));
        (left, parked)
    }

    /// Runs everything under these rules; the shortest schedule that leaves something else, if any does.
    pub(super) fn fails(&mut self, rules: Rules) -> Option<Schedule> {
        let mut steps = [0; CUTS.len()];
        for schedule in self.faultless(rules) {
            let (ran, same) = self.judge(&schedule);
            if !same {
                return Some(shrink::shortest(self, schedule));
            }
            let cut = CUTS.iter().position(|cut| *cut == schedule.cut).unwrap_or(0);
            if schedule.log == 0 && schedule.repeat == Repeat::Never && !schedule.split {
                steps[cut] = ran.steps;
            }
        }
        let parks = |log: usize| self.plain.iter().any(|plain| plain.1 == log && !plain.2.parked.is_empty());
        let parks: Vec<bool> = (0..self.logs.len()).map(parks).collect();
        let faulty: Vec<Schedule> = faulty(rules, steps, &self.logs, &parks, self.effort.faulty).collect();
        // A crash at every step (of a test with hundreds of views, at some all over it), and then the smallest batches: whoever comes next meets what is ahead of its source.
        let dies = Then::Dies(Reached::Nobody);
        let crash = |at| Fault { at, then: dies, cut: Cut::OneEach, doubts: None };
        let crashes = (0..steps[1]).step_by(steps[1].div_ceil(CRASHES).max(1)).map(|at| {
            let replicas = at as u64;
            Schedule { faults: vec![crash(at)], forgets: true, replicas, ..Schedule::plain(rules, 0) }
        });
        for schedule in crashes.chain(faulty) {
            if !self.judge(&schedule).1 {
                return Some(shrink::shortest(self, schedule));
            }
        }
        None
    }

    /// What went wrong where the topic is not what it was: a worker has to stop, or to be right all the same.
    pub(super) fn fails_changed(&mut self, rules: Rules, changed: &[Changed]) -> Option<Failure> {
        for (what, before, after) in changed {
            let schedule = Schedule::plain(rules, 0);
            let anew = timeline::run(&self.bench, after, None, &Schedule::plain(Rules::Sql, 0), false);
            let ran = timeline::run(&self.bench, before, Some(after), &schedule, false);
            self.count(Rules::Sql, 1);
            self.count(rules, 1);
            if ran.refused {
                continue;
            }
            let told = format!("{rules}, {what}, and the next worker goes on");
            let (expected, found) = (seen(&anew, after), seen(&ran, after));
            if let Some(failure) = differs(&self.bench.topology, &expected.left, &found.left, &told) {
                return Some(failure);
            }
        }
        None
    }

    fn count(&mut self, rules: Rules, runs: usize) {
        match rules {
            Rules::Sql => self.sql += runs,
            Rules::Cassandra => self.cassandra += runs,
        }
    }

    /// Cuts and repeats, and each log in two ways.
    fn faultless(&self, rules: Rules) -> Vec<Schedule> {
        let plain = |log| Schedule::plain(rules, log);
        let cuts = CUTS
            .into_iter()
            .flat_map(|cut| REPEATS.into_iter().map(move |repeat| Schedule { cut, repeat, ..plain(0) }));
        let logs = (1..self.logs.len()).flat_map(|log| {
            let backwards = log % 2 == 0;
            let split = Schedule { cut: Cut::Uneven, split: true, replicas: log as u64, ..plain(log) };
            [plain(log), Schedule { cut: Cut::OneEach, backwards, ..plain(log) }, split]
        });
        cuts.chain(logs).collect()
    }

    fn run(&mut self, schedule: &Schedule, telling: bool) -> Ran {
        self.count(schedule.rules, 1);
        timeline::run(&self.bench, &self.logs[schedule.log], None, schedule, telling)
    }

    /// Runs a schedule; whether it leaves what it should.
    pub(super) fn judge(&mut self, schedule: &Schedule) -> (Ran, bool) {
        let (rules, log) = (schedule.rules, schedule.log);
        if !self.plain.iter().any(|plain| (plain.0, plain.1) == (rules, log)) {
            let plain = self.run(&Schedule::plain(rules, log), false);
            self.plain.push((rules, log, plain));
        }
        let ran = self.run(schedule, false);
        let same = !ran.endless && (ran.doubt_holds || (!ran.contradicted && self.agrees(rules, log, &ran)));
        (ran, same)
    }

    fn agrees(&mut self, rules: Rules, log: usize, ran: &Ran) -> bool {
        let Some((_, _, plain)) = self.plain.iter().find(|plain| (plain.0, plain.1) == (rules, log)) else {
            return false;
        };
        let this = &self.logs[log];
        let poisoned = this.arrangement.poisoned;
        let found = seen(plain, this);
        let expected = self.expected.entry(poisoned).or_insert_with(|| found.clone());
        *expected == found && plain.left == ran.left && plain.parked == ran.parked
    }

    /// The rows that differ under a schedule, and what happened in it.
    pub(super) fn told(&mut self, schedule: &Schedule) -> Failure {
        let ran = self.run(schedule, true);
        let (rules, log) = (schedule.rules, schedule.log);
        let told = schedule.told(&self.logs[log], &ran.happened);
        if ran.endless {
            let message = format!("workers drive each other out without end: {told}");
            return Failure { message, lines: Vec::new(), span: None };
        }
        let plain = self.plain.iter().find(|plain| (plain.0, plain.1) == (rules, log));
        let topology = &self.bench.topology;
        let expected = self.expected.get(&self.logs[log].arrangement.poisoned);
        let against_plain = plain.and_then(|plain| differs(topology, &plain.2.left, &ran.left, &told));
        let found = seen(&ran, &self.logs[log]);
        let against_first = expected.and_then(|expected| differs(topology, &expected.left, &found.left, &told));
        let what = if ran.contradicted {
            "two workers wrote different values under one timestamp"
        } else {
            "other events are parked, or for other reasons"
        };
        let lines = expected.map(|expected| parked_differs(&expected.parked, &found.parked)).unwrap_or_default();
        let otherwise = || Failure { message: format!("{what}: {told}"), lines, span: None };
        against_first.or(against_plain).unwrap_or_else(otherwise)
    }
}

/// What is parked, by number and reason, that should not be, and what should be.
fn parked_differs(expected: &[(usize, Option<String>)], found: &[(usize, Option<String>)]) -> Vec<String> {
    let line = |sign: char, (number, reason): &(usize, Option<String>)| {
        format!("{sign} event {number} is parked: {}", reason.as_deref().unwrap_or(super::BEHIND))
    };
    let minus = expected.iter().filter(|parked| !found.contains(parked)).map(|parked| line('-', parked));
    let plus = found.iter().filter(|parked| !expected.contains(parked)).map(|parked| line('+', parked));
    minus.chain(plus).collect()
}

/// Without what differs between stores and logs: positions and hidden state.
pub(super) fn seen(ran: &Ran, log: &Log) -> Seen {
    let mut left = ran.left.clone();
    for row in left.rows.iter_mut().flatten() {
        row.state.clear();
        row.position = crate::table::RowPosition { partition: 0, offset: 0 };
    }
    left.parked.clear();
    let number =
        |(place, reason): &((usize, i32, i64), Option<String>)| (log.number(place.0, place.1, place.2), reason.clone());
    let mut parked: Vec<_> = ran.parked.iter().map(number).collect();
    parked.sort_unstable();
    Seen { left, parked }
}

/// What may happen to a worker; the numbers are drawn.
#[derive(Clone, Copy)]
enum Kind {
    Dies(Reached),
    LandsLate,
    /// At once.
    GoesOn,
    /// Some steps for each of the others'.
    Alternates,
    Returns,
    Doubts,
}

const IN_SQL: [Kind; 5] =
    [Kind::Dies(Reached::Nobody), Kind::Alternates, Kind::Dies(Reached::All), Kind::Returns, Kind::GoesOn];
const IN_CASSANDRA: [Kind; 8] = [
    Kind::Dies(Reached::Nobody),
    Kind::Alternates,
    Kind::Dies(Reached::OneReplica),
    Kind::LandsLate,
    Kind::Dies(Reached::All),
    Kind::GoesOn,
    Kind::Returns,
    Kind::Doubts,
];

/// So many schedules with faults, over runs of so many steps by cut; `parks` tells the logs of which something is parked.
fn faulty<'l>(
    rules: Rules,
    steps: [usize; CUTS.len()],
    logs: &'l [Log],
    parks: &'l [bool],
    count: usize,
) -> impl Iterator<Item = Schedule> + 'l {
    let kinds: &[Kind] = if rules == Rules::Sql { &IN_SQL } else { &IN_CASSANDRA };
    let all: usize = steps.iter().sum();
    let stride = stride(all);
    (0..count).filter_map(move |index| {
        let mut draw = Draw::new(index as u64);
        let (cut, at) = place(index / kinds.len() * stride % all.max(1), steps)?;
        // Most logs are like the first; the others' steps are not known, and may be fewer.
        let log = if draw.below(2) == 0 { 0 } else { draw.below(logs.len()) };
        let longest = steps[0].max(at + 1);
        let doubted = if parks[log] { 0 } else { logs[log].records.len() };
        let mut faults = vec![fault(kinds[index % kinds.len()], at, longest, doubted, &mut draw)];
        if draw.below(6) == 0 {
            let kind = kinds[draw.below(kinds.len() - 1)];
            faults.push(fault(kind, draw.below(longest), longest, 0, &mut draw));
        }
        Some(Schedule {
            cut: CUTS[cut],
            faults,
            log,
            split: draw.below(8) == 0,
            backwards: draw.below(4) == 0,
            forgets: draw.below(4) == 0,
            replicas: draw.below(1 << 20) as u64,
            ..Schedule::plain(rules, 0)
        })
    })
}

fn fault(kind: Kind, at: usize, longest: usize, records: usize, draw: &mut Draw) -> Fault {
    // Sooner is likelier than later.
    let limit = 1 + draw.below(longest);
    let after = draw.below(limit);
    let then = match kind {
        Kind::Dies(reached) => Then::Dies(reached),
        Kind::LandsLate => Then::LandsLate { after },
        Kind::GoesOn => Then::GoesOn { after, pace: AT_ONCE },
        Kind::Alternates => Then::GoesOn { after, pace: 1 + draw.below(2) * draw.below(8) },
        Kind::Returns => Then::Returns { after },
        // Before the partitions are taken over, what it parks holds.
        Kind::Doubts => Then::GoesOn { after: after + 1, pace: AT_ONCE },
    };
    // Of a key that is parked anyway, it is not told apart who parks what.
    let doubts = (matches!(kind, Kind::Doubts) && records > 0).then(|| draw.below(records));
    // It has taken over itself, or its verdict is as good as any.
    let at = if doubts.is_some() { at.max(1) } else { at };
    Fault { at, then, cut: CUTS[draw.below(CUTS.len())], doubts }
}

/// The cut and the step that have this number, among all.
fn place(mut number: usize, steps: [usize; CUTS.len()]) -> Option<(usize, usize)> {
    for (cut, steps) in steps.into_iter().enumerate() {
        if number < steps {
            return Some((cut, number));
        }
        number -= steps;
    }
    None
}

/// Goes through all numbers below this one, far from one to the next.
fn stride(all: usize) -> usize {
    let divides = |a: usize, b: usize| {
        let (mut a, mut b) = (a, b);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = all * 618 / 1000;
    (golden.max(1)..).find(|&stride| divides(stride, all.max(1)) == 1).unwrap_or(1)
}
