//! The comparison against itself: a second fold that is wrong in one thing, and an engine without one of its rules, are found
//! out, each by a case that is made small.

use headwater_engine::harness::Mutation;
use headwater_oracle::Topology;
use headwater_oracle::topology::{Column, Kind, Reducer, View};

use super::SCHEDULES;
use super::judge::{Failure, Judge, Sides};

/// Fixed, since what is tested is the comparison.
const SEED: u64 = 1;

fn caught(sides: Sides, cases: u64) -> Option<Box<Failure>> {
    let judge = Judge::new(sides);
    (0..cases).find_map(|case| judge.case(SEED + case, SCHEDULES).err())
}

fn with_reducers(topology: &Topology, change: impl Fn(&mut Reducer)) -> Topology {
    with_views(topology, |view| {
        for (_, column) in &mut view.columns {
            match column {
                Column::Reducer(reducer) => change(reducer),
                Column::Computed(reducers, _) => reducers.iter_mut().for_each(&change),
                Column::Plain(_) => {}
            }
        }
    })
}

fn with_views(topology: &Topology, change: impl Fn(&mut View)) -> Topology {
    let mut topology = topology.clone();
    topology.views.iter_mut().for_each(change);
    topology
}

fn swapped(topology: &Topology, from: Kind, to: Kind) -> Topology {
    with_reducers(topology, |reducer| {
        if reducer.kind == from {
            reducer.kind = to;
        }
    })
}

type Bent = fn(&Topology) -> Topology;

const WRONG: [(&str, Bent); 11] = [
    ("min as max", |topology| swapped(topology, Kind::Least, Kind::Greatest)),
    ("first as last", |topology| swapped(topology, Kind::First, Kind::Last)),
    ("count of distinct as count", |topology| swapped(topology, Kind::Distinct, Kind::Count)),
    ("a set as a list", |topology| swapped(topology, Kind::Set, Kind::List)),
    ("no filter", |topology| with_reducers(topology, |reducer| reducer.filter = None)),
    ("no order by", |topology| with_reducers(topology, |reducer| reducer.order = None)),
    ("a population for a sample", |topology| {
        with_reducers(topology, |reducer| {
            if let Kind::Deviation { sample, .. } = &mut reducer.kind {
                *sample = false;
            }
        })
    }),
    ("no where", |topology| with_views(topology, |view| view.aliases.iter_mut().for_each(|alias| alias.filter = None))),
    ("nothing deleted", |topology| {
        with_views(topology, |view| {
            // What deletes comes last.
            view.aliases.truncate(view.aliases.len() - view.delete_when.len());
            view.delete_when.clear();
        })
    }),
    ("made by anything", |topology| with_views(topology, |view| view.create_when.clear())),
    ("repeats counted", |topology| {
        let mut topology = topology.clone();
        topology.topics.iter_mut().for_each(|topic| topic.deduplicate = None);
        topology
    }),
];

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
