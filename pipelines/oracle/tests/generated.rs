//! The engine against the second fold, over generated topologies, logs and schedules.
//!
//! `HEADWATER_ORACLE_CASES` says how many cases, `HEADWATER_ORACLE_SEED` which: a failure names the seed that is its first.

#[path = "generated/bent.rs"]
mod bent;
#[path = "generated/caught.rs"]
mod caught;
#[path = "generated/judge.rs"]
mod judge;

use std::hash::{BuildHasher, RandomState};

use judge::{Judge, Seen, Sides};

/// A case is a topology and a log, which run under so many schedules.
const SCHEDULES: usize = 8;

const CASES: u64 = 6000;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")))
}

/// Says which case it was where the engine panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("HEADWATER_ORACLE_SEED={} HEADWATER_ORACLE_CASES=1", self.0);
        }
    }
}

#[test]
fn the_engine_folds_as_the_second_fold_does() {
    let seed = setting("HEADWATER_ORACLE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let cases = setting("HEADWATER_ORACLE_CASES").unwrap_or(CASES);
    let judge = Judge::new(Sides::TRUE);
    let mut all = Seen::default();
    for case in 0..cases {
        let named = Named(seed.wrapping_add(case));
        match judge.case(named.0, SCHEDULES) {
            Ok(seen) => {
                all.runs += seen.runs;
                all.stopped += seen.stopped;
                all.rows += seen.rows;
                all.parked += seen.parked;
            }
            Err(failure) => panic!("case {case} of seed {seed}\n{failure}"),
        }
    }
    println!("seed {seed}: {cases} cases, {all:?}");
    if cases >= 1000 {
        // What never happens proves nothing.
        assert!(all.stopped as u64 > cases && all.rows as u64 > 3 * cases && all.parked as u64 > cases / 4, "{all:?}");
    }
}
