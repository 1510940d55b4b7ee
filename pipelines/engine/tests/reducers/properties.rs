//! The property: what the engine makes is what the oracle says, on owned rows, on shared ones whole and in parts, and over
//! a view.

use std::collections::BTreeMap;

use headwater_schemas::Value;
use proptest::prelude::*;

use super::cases::{CASES, Over};
use super::world::{Event, column, events, fold, topology};

/// The events of each row, in the order of the log.
fn grouped<'e>(
    events: impl Iterator<Item = &'e Event>,
    of: impl Fn(&Event) -> String,
) -> BTreeMap<String, Vec<&'e Event>> {
    let mut groups: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    events.for_each(|event| groups.entry(of(event)).or_default().push(event));
    groups
}

/// The last event of each id that was not removed since.
fn latest(events: &[Event]) -> Vec<&Event> {
    let mut latest: BTreeMap<u8, &Event> = BTreeMap::new();
    for event in events {
        match event.removed {
            true => drop(latest.remove(&event.id)),
            false => drop(latest.insert(event.id, event)),
        }
    }
    latest.into_values().collect()
}

fn shown(values: BTreeMap<String, Value>) -> String {
    format!("{values:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn reducers_are_what_their_values_make(events in events(), cuts in prop::collection::vec(1u8..9, 1..6)) {
        let topology = topology();
        let measured = || events.iter().filter(|event| !event.removed);
        let by_shelf = |event: &Event| format!("s{}", event.shelf);
        let views = [
            (Over::Owned, "owned", grouped(measured(), |event| format!("i{}", event.id))),
            (Over::Shared, "shared", grouped(measured(), by_shelf)),
            (Over::View, "over", grouped(latest(&events).into_iter(), by_shelf)),
        ];
        for in_parts in [false, true] {
            let folded = fold(&topology, &events, &cuts, in_parts);
            prop_assert_eq!(&folded.parked, &vec![]);
            for (over, view, groups) in &views {
                let rows = folded.view(&topology, view, in_parts);
                prop_assert_eq!(rows.keys().collect::<Vec<_>>(), groups.keys().collect::<Vec<_>>());
                for case in CASES.iter().filter(|case| case.over.contains(over)) {
                    let expected = groups.iter().map(|(key, group)| (key.clone(), (case.expected)(group))).collect();
                    let found = column(&topology, &rows, view, case);
                    prop_assert_eq!(shown(found), shown(expected), "{} in {}, in parts: {}", case.text, view, in_parts);
                }
            }
        }
    }

    /// The state of a row tells no batches either: it is what the next event goes on from.
    #[test]
    fn batches_leave_no_trace(events in events(), cuts in prop::collection::vec(1u8..9, 1..6)) {
        let topology = topology();
        let one_each = fold(&topology, &events, &[1], false);
        let cut = fold(&topology, &events, &cuts, false);
        for view in ["owned", "shared", "over"] {
            let (a, b) = (one_each.view(&topology, view, false), cut.view(&topology, view, false));
            prop_assert_eq!(format!("{a:?}"), format!("{b:?}"), "{}", view);
        }
    }
}
