//! The comparison against itself: a second fold that is wrong in one thing, and an engine without one of its rules, are found
//! out, each by a case that is made small.

use headwater_engine::harness::Mutation;

use super::SCHEDULES;
use super::bent::WRONG;
use super::judge::{Failure, Judge, Sides};

/// Fixed, since what is tested is the comparison.
const SEED: u64 = 1;

fn caught(sides: Sides, cases: u64) -> Option<Box<Failure>> {
    let judge = Judge::new(sides);
    (0..cases).find_map(|case| judge.case(SEED + case, SCHEDULES).err())
}

/// Small enough to be read: a view or two with a column each, some records.
const SMALL: usize = 10;

#[test]
fn a_second_fold_that_is_wrong_is_found_out() {
    for (name, bent) in WRONG {
        let failure = caught(Sides { bent, ..Sides::TRUE }, 500).unwrap_or_else(|| panic!("{name}: not found"));
        println!("{name}: of size {}\n{failure}", failure.size());
        assert!(failure.size() <= SMALL, "{name}: of size {}\n{failure}", failure.size());
    }
}

#[test]
fn an_engine_without_one_of_its_rules_is_found_out() {
    use Mutation::*;
    for mutation in [NoFence, OnePart, SourcesFirst, PositionFirst, NoTransaction, NoSwap] {
        let sides = Sides { mutation: Some(mutation), ..Sides::TRUE };
        let failure = caught(sides, 1000).unwrap_or_else(|| panic!("{mutation:?}: not found"));
        println!("{mutation:?}: of size {}\n{failure}", failure.size());
        assert!(failure.size() <= SMALL, "{mutation:?}: of size {}\n{failure}", failure.size());
    }
}
