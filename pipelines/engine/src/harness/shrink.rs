//! From a schedule that fails to the shortest that does: nothing in it can be left out, and no fault can come earlier.

use super::matrix::Matrix;
use super::schedule::{AT_ONCE, Cut, Fault, Repeat, Schedule, Then};
use super::store::Reached;

/// Attempts, so that a failure is told in time.
const ATTEMPTS: usize = 1500;

pub(super) fn shortest(matrix: &mut Matrix, mut failing: Schedule) -> Schedule {
    let mut attempts = 0;
    loop {
        let simpler = simpler(&failing).into_iter().find(|candidate| {
            attempts += 1;
            attempts <= ATTEMPTS && !matrix.judge(candidate).1
        });
        match simpler {
            Some(simpler) => failing = simpler,
            None => return failing,
        }
    }
}

/// Schedules that are simpler in one way each, the simplest first.
fn simpler(schedule: &Schedule) -> Vec<Schedule> {
    let mut simpler = Vec::new();
    for index in (0..schedule.faults.len()).rev() {
        let mut faults = schedule.faults.clone();
        faults.remove(index);
        simpler.push(Schedule { faults, ..schedule.clone() });
    }
    let mut also = |is_simpler: bool, changed: Schedule| {
        if is_simpler {
            simpler.push(changed);
        }
    };
    also(schedule.split, Schedule { split: false, ..schedule.clone() });
    also(schedule.repeat != Repeat::Never, Schedule { repeat: Repeat::Never, ..schedule.clone() });
    also(schedule.log != 0, Schedule { log: 0, ..schedule.clone() });
    also(schedule.backwards, Schedule { backwards: false, ..schedule.clone() });
    also(schedule.forgets, Schedule { forgets: false, ..schedule.clone() });
    for cut in coarser(schedule.cut) {
        also(true, Schedule { cut: *cut, ..schedule.clone() });
    }
    for log in 1..schedule.log {
        also(true, Schedule { log, ..schedule.clone() });
    }
    for replicas in 0..schedule.replicas.min(4) {
        also(true, Schedule { replicas, ..schedule.clone() });
    }
    for (index, fault) in schedule.faults.iter().enumerate() {
        for fault in simpler_faults(*fault) {
            let mut faults = schedule.faults.clone();
            faults[index] = fault;
            simpler.push(Schedule { faults, ..schedule.clone() });
        }
    }
    // What a worker holds for poison is a record of one log.
    let sound = |candidate: &Schedule| {
        let doubts = candidate.faults.iter().any(|fault| fault.doubts.is_some());
        candidate.faults.iter().all(Fault::is_sound) && (!doubts || candidate.log == schedule.log)
    };
    simpler.retain(sound);
    simpler
}

fn coarser(cut: Cut) -> &'static [Cut] {
    match cut {
        Cut::AllInOne => &[],
        Cut::OneEach => &[Cut::AllInOne],
        Cut::Uneven => &[Cut::AllInOne, Cut::OneEach],
    }
}

fn simpler_faults(fault: Fault) -> Vec<Fault> {
    let then = |then: Then| Fault { then, ..fault };
    let mut simpler = Vec::new();
    if fault.doubts.is_some() {
        simpler.push(Fault { doubts: None, ..fault });
    }
    let (all, one, nobody) = (Reached::All, Reached::OneReplica, Reached::Nobody);
    let kinds: Vec<Then> = match fault.then {
        Then::Dies(Reached::Nobody) => vec![],
        Then::Dies(Reached::All) => vec![Then::Dies(nobody)],
        Then::Dies(Reached::OneReplica) => vec![Then::Dies(nobody), Then::Dies(all)],
        Then::LandsLate { .. } => vec![Then::Dies(nobody), Then::Dies(all)],
        Then::GoesOn { after, pace: AT_ONCE } => {
            vec![Then::Dies(nobody), Then::Dies(all), Then::LandsLate { after }]
        }
        Then::GoesOn { after, .. } => {
            vec![Then::Dies(nobody), Then::Dies(all), Then::LandsLate { after }, Then::GoesOn { after, pace: AT_ONCE }]
        }
        Then::Returns { .. } => vec![Then::Dies(nobody), Then::Dies(one)],
    };
    simpler.extend(kinds.into_iter().map(then));
    simpler.extend(coarser(fault.cut).iter().map(|cut| Fault { cut: *cut, ..fault }));
    simpler.extend((0..fault.at).map(|at| Fault { at, ..fault }));
    let earlier = |limit: usize| 0..limit;
    match fault.then {
        Then::Dies(_) => {}
        Then::LandsLate { after } => simpler.extend(earlier(after).map(|after| then(Then::LandsLate { after }))),
        Then::GoesOn { after, pace } => {
            simpler.extend(earlier(after).map(|after| then(Then::GoesOn { after, pace })));
        }
        Then::Returns { after } => simpler.extend(earlier(after).map(|after| then(Then::Returns { after }))),
    }
    simpler
}
