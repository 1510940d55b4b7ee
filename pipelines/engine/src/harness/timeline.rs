//! One run: workers step by step over one store, as the schedule says.

use super::Left;
use super::arrangement::Log;
use super::schedule::{AT_ONCE, Cut, Fault, Repeat, Schedule, Then};
use super::store::{Reached, Store};
use super::worker::{Bench, Task, Went, Worker};
use super::write;

/// Workers that lose their place start anew so often, before the run is said to have no end.
const STARTS: usize = 40;

/// What a run has left.
pub(super) struct Ran {
    pub(super) left: Left,
    /// Why each head was parked.
    pub(super) parked: Vec<((usize, i32, i64), Option<String>)>,
    /// How many steps the first worker took.
    pub(super) steps: usize,
    /// How often a worker stopped, of the faults that were to come.
    pub(super) stopped: usize,
    /// A worker would not go on: the topic is another.
    pub(super) refused: bool,
    /// Two workers wrote different values under one timestamp.
    pub(super) contradicted: bool,
    /// Workers drove each other out for ever.
    pub(super) endless: bool,
    /// The record that a worker held for poison was parked before another took over, if any did: that holds.
    pub(super) doubt_holds: bool,
    /// What happened to the workers, in words; only where it was to be told.
    pub(super) happened: Vec<String>,
}

/// A worker that stopped, and what it is still to do.
struct Stopped<'r> {
    worker: Worker<'r>,
    then: Then,
    /// By the count of steps.
    wakes: usize,
    began: bool,
}

struct Timeline<'r> {
    store: Store,
    task: Task<'r>,
    /// One, or two that split the partitions; faults come to the first.
    live: Vec<Worker<'r>>,
    stopped: Vec<Stopped<'r>>,
    faults: std::slice::Iter<'r, Fault>,
    /// Steps of those that are live and first.
    clock: usize,
    workers: usize,
    first_steps: usize,
    /// The last write, for telling.
    last: Option<String>,
    telling: bool,
    ran: Ran,
}

/// Delivers a log; `then` is what it becomes afterwards, to a worker that starts only then.
pub(super) fn run<'r>(
    bench: &'r Bench,
    log: &'r Log,
    then: Option<&'r Log>,
    schedule: &'r Schedule,
    telling: bool,
) -> Ran {
    let doubts = schedule.faults.first().and_then(|fault| fault.doubts);
    let odd = schedule.split.then_some(false);
    let (cut, repeat) = (schedule.cut, schedule.repeat);
    let made_for = log.identity;
    let task = Task { bench, log, schedule, cut, repeat, odd, doubts, made_for };
    let mut live = vec![Worker::new(1, task.clone())];
    if schedule.split {
        live.push(Worker::new(2, Task { odd: Some(true), doubts: None, ..task.clone() }));
    }
    let (left, happened) = (Left::default(), Vec::new());
    let mut timeline = Timeline {
        store: Store::new(bench.topology.clone(), schedule.rules, schedule.replicas, bench.mutation),
        workers: live.len(),
        live,
        task,
        stopped: Vec::new(),
        faults: schedule.faults.iter(),
        clock: 0,
        first_steps: 0,
        last: None,
        telling,
        ran: Ran {
            left,
            parked: Vec::new(),
            steps: 0,
            stopped: 0,
            refused: false,
            contradicted: false,
            endless: false,
            doubt_holds: doubts.is_some(),
            happened,
        },
    };
    while timeline.goes_on() {}
    if let Some(log) = then {
        timeline.live = vec![Worker::new(9, Task { log, repeat: Repeat::Never, ..timeline.task.clone() })];
        while timeline.goes_on() {}
    }
    let Timeline { mut store, mut ran, first_steps, .. } = timeline;
    ran.contradicted = store.is_contradicted();
    ran.left = store.left();
    ran.parked = store.parked();
    ran.steps = first_steps;
    ran
}

impl<'r> Timeline<'r> {
    /// A step of everyone whose turn it is; false when nobody has anything left to do.
    fn goes_on(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.live.len() {
            if index == 0 && self.fails() {
                any = true;
                continue;
            }
            any |= self.step(index);
        }
        self.wake(!any) || any
    }

    /// The next fault, if its time has come.
    fn fails(&mut self) -> bool {
        let worker = &self.live[0];
        let due = self.faults.as_slice().first().filter(|fault| fault.at == worker.steps && !worker.is_done());
        let Some(fault) = due.copied() else { return false };
        self.faults.next();
        self.ran.stopped += 1;
        self.workers += 1;
        let task = Task { cut: fault.cut, repeat: Repeat::Never, doubts: None, ..self.task.clone() };
        let next = Worker::new(self.workers, task);
        let mut worker = std::mem::replace(&mut self.live[0], next);
        self.last = None;
        if self.telling {
            let happened = self.tell(&worker, fault);
            self.ran.happened.push(happened);
        }
        let wakes = match fault.then {
            Then::Dies(reached) => {
                worker.dies(&mut self.store, reached);
                self.settle_doubt(fault);
                return true;
            }
            Then::LandsLate { after } | Then::GoesOn { after, .. } | Then::Returns { after } => self.clock + after,
        };
        self.settle_doubt(fault);
        self.store.disconnect(worker.number);
        self.stopped.push(Stopped { worker, then: fault.then, wakes, began: false });
        true
    }

    /// What a worker parked while the partitions were its own holds.
    fn settle_doubt(&mut self, fault: Fault) {
        let Some(doubted) = fault.doubts.and_then(|doubted| self.task.log.records.get(doubted)) else { return };
        let record = &doubted.record;
        let markers = self.store.markers();
        let marked = |key: &bytes::Bytes| markers.contains_key(&(record.topic, record.partition, key.clone()));
        self.ran.doubt_holds = record.key.as_ref().is_some_and(marked);
    }

    fn step(&mut self, index: usize) -> bool {
        let worker = &mut self.live[index];
        if worker.is_done() {
            return false;
        }
        if self.telling
            && let Some(next) = worker.in_flight()
        {
            let write = write::told(next, &self.task.bench.topology, worker.in_parts());
            self.last = Some(format!("worker {} has written {write}", worker.number));
        }
        let went = worker.step(&mut self.store);
        self.clock += usize::from(index == 0);
        self.first_steps += usize::from(worker.number == 1);
        match went {
            Ok(Went::On) => true,
            Ok(Went::Waits | Went::Done) => false,
            Ok(Went::Refused) => {
                self.ran.refused = true;
                false
            }
            Err(_) => self.starts_anew(index),
        }
    }

    /// It was driven out, and comes back with what is stored now.
    fn starts_anew(&mut self, index: usize) -> bool {
        self.workers += 1;
        if self.workers > STARTS {
            self.ran.endless = true;
            return false;
        }
        let task = self.live[index].task.clone();
        let worker = std::mem::replace(&mut self.live[index], Worker::new(0, task));
        self.store.disconnect(worker.number);
        if self.telling {
            let happened = format!("worker {} finds that others went on, and starts anew", worker.number);
            self.ran.happened.push(happened);
        }
        self.live[index] = worker.anew(self.workers);
        true
    }

    /// Lets those that stopped do what they are still to do; `idle` when nobody else has anything left.
    fn wake(&mut self, idle: bool) -> bool {
        let mut any = false;
        for mut stopped in std::mem::take(&mut self.stopped) {
            if self.clock < stopped.wakes && !idle {
                self.stopped.push(stopped);
                continue;
            }
            any = true;
            self.say_woken(&mut stopped);
            let worker = &mut stopped.worker;
            match stopped.then {
                Then::Dies(_) => {}
                Then::LandsLate { .. } => worker.dies(&mut self.store, Reached::All),
                Then::Returns { .. } => {
                    self.store.disconnect(self.live[0].number);
                    self.live[0] = stopped.worker;
                }
                Then::GoesOn { pace, .. } => {
                    let mut steps = 0;
                    while !worker.is_done() {
                        steps += 1;
                        match worker.step(&mut self.store) {
                            Ok(Went::On) if steps < pace => {}
                            Ok(Went::On | Went::Waits) => {
                                self.stopped.push(stopped);
                                break;
                            }
                            Ok(Went::Done | Went::Refused) | Err(_) => {
                                self.store.disconnect(worker.number);
                                break;
                            }
                        }
                    }
                }
            }
        }
        any
    }

    fn say_woken(&mut self, stopped: &mut Stopped<'r>) {
        if stopped.began || !self.telling {
            return;
        }
        stopped.began = true;
        let number = stopped.worker.number;
        let mut after = match &self.last {
            None => "before anything else is written".to_owned(),
            Some(last) => format!("after {last}"),
        };
        if self.live[0].is_reading() {
            after.push_str(&format!(", while worker {} reads", self.live[0].number));
        }
        let happened = match stopped.then {
            Then::Dies(_) => return,
            Then::LandsLate { .. } => format!("that write of worker {number} lands {after}"),
            Then::GoesOn { pace: AT_ONCE, .. } => format!("worker {number} wakes {after}, and goes on"),
            Then::GoesOn { pace: 1, .. } => format!("worker {number} wakes {after}, and the two go on in turns"),
            Then::GoesOn { pace, .. } => {
                format!("worker {number} wakes {after}, and goes on, {pace} steps for each of the other's")
            }
            Then::Returns { .. } => format!("worker {number} wakes {after}, and the other stops"),
        };
        self.ran.happened.push(happened);
    }

    fn tell(&self, worker: &Worker<'_>, fault: Fault) -> String {
        let number = worker.number;
        let does = match fault.then {
            Then::Dies(_) | Then::LandsLate { .. } => "dies",
            Then::GoesOn { .. } | Then::Returns { .. } => "freezes",
        };
        let write = worker.in_flight().map(|next| write::told(next, &self.task.bench.topology, worker.in_parts()));
        let when = match (write, worker.written) {
            (Some(write), before) => {
                let (moment, ending) = match fault.then {
                    Then::Dies(Reached::All) => ("after", ""),
                    Then::Dies(Reached::OneReplica) => ("during", ", which has reached one replica of three"),
                    Then::LandsLate { .. } => ("during", ", which is still under way"),
                    _ => ("before", ""),
                };
                format!("{moment} its {} write, {write}{ending}", nth(before + 1))
            }
            (None, 0) => "before it has written anything".to_owned(),
            (None, before) => format!("while it reads, after its {} write", nth(before)),
        };
        let doubts = match fault.doubts.and_then(|doubted| self.task.log.records.get(doubted)) {
            Some(doubted) => format!(" holds event {} for poison and", doubted.number),
            None => String::new(),
        };
        let coarsest = fault.cut == Cut::AllInOne && self.task.schedule.cut == Cut::AllInOne;
        let cut = if coarsest { String::new() } else { format!(", {}", fault.cut) };
        format!("worker {number}{doubts} {does} {when}; worker {} takes over{cut}", self.workers)
    }
}

/// `3rd`.
fn nth(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
