//! What a row remembers has a bound, and a result that its type cannot hold is an error of the read.

use headwater_engine::table::Row;
use headwater_schemas::Value;

use super::world::{Event, compile, fold};

fn capped(column: &str) -> String {
    format!(
        "topology: shop\nstore: operational\nreads: [measure]\nviews:\n  \
         capped:\n    key: [id]\n    from: Measured\n    columns:\n      n: count()\n      all: \"{column}\"\n"
    )
}

/// Folds events with these values, and gives the offsets and reasons of what is parked.
fn parked(column: &str, events: impl Iterator<Item = Event>) -> (Vec<(i64, Option<String>)>, Row) {
    let topology = compile(&capped(column));
    let events: Vec<Event> = (0..).zip(events).map(|(offset, event)| Event { offset, ..event }).collect();
    let folded = fold(&topology, &events, &[250], false);
    let rows = folded.view(&topology, "capped", false);
    (folded.parked, rows["i0"].clone())
}

#[test]
fn the_event_that_passes_the_number_of_values_is_parked() {
    for column in ["collect_list(l)", "collect_set(l)", "count(distinct l)"] {
        // The last but one is there already, which a set does not mind.
        let numbers = (0..10_000).chain([7, 10_000]);
        let (parked, row) = parked(column, numbers.map(|l| Event { l: Some(l), ..Event::default() }));
        let reason = Some("view capped: column all: it would remember more than 10000 values".to_owned());
        let list = column == "collect_list(l)";
        let expected = if list { vec![(10_000, reason), (10_001, None)] } else { vec![(10_001, reason)] };
        assert_eq!(parked, expected, "{column}");
        assert_eq!(row.values[1], Value::Long(if list { 10_000 } else { 10_001 }), "{column}");
    }
}

#[test]
fn the_event_that_passes_the_bytes_is_parked() {
    for column in ["collect_list(s)", "collect_set(s)", "count(distinct s)", "top(9, s)"] {
        let text = |letter: char| Event { s: Some(letter.to_string().repeat(300_000)), ..Event::default() };
        let (parked, _) = parked(column, ['a', 'b', 'c', 'd'].into_iter().map(text));
        let reason = "view capped: column all: the values that it would remember take more than 1 MiB";
        assert_eq!(parked, vec![(3, Some(reason.to_owned()))], "{column}");
    }
}

#[test]
fn a_result_that_does_not_fit_is_told_to_the_reader() {
    let extremes = [i64::MIN, i64::MAX, i64::MAX];
    let cases =
        [("var_pop(l)", true), ("variance(l) + 1", true), ("stddev(l)", false), ("avg(l)", false), ("sum(l)", false)];
    for (column, overflows) in cases {
        let topology = compile(&capped(column));
        let events = extremes.iter().map(|l| Event { l: Some(*l), ..Event::default() });
        let events: Vec<Event> = (0..).zip(events).map(|(offset, event)| Event { offset, ..event }).collect();
        let folded = fold(&topology, &events, &[9], false);
        let row = &folded.view(&topology, "capped", false)["i0"];
        let (_, view) = topology.view("capped").expect("the view");
        assert_eq!(folded.parked, vec![], "{column}");
        assert_eq!(view.overflowed(row), overflows.then_some("all"), "{column}");
        assert_eq!(row.values[2].is_null(), overflows, "{column}");
    }
}

/// Columns that are called as another's parts might be: stores tell state by its name.
#[test]
fn state_has_names_of_its_own() {
    let topology = compile(
        "topology: shop\nstore: operational\nreads: [measure]\nviews:\n  \
         named:\n    key: [id]\n    from: Measured\n    columns:\n      a: \"sum(i) / count()\"\n      \
         a_0: sum(i)\n      a_0_sum: \"sum(l) + max(l)\"\n      a_sum: \"avg(i) + count(distinct l)\"\n      \
         a_1: avg(x)\n      a_count: count(distinct l)\n",
    );
    let (_, view) = topology.view("named").expect("the view");
    let mut names: Vec<&str> = view.table.state.iter().map(|state| state.name.as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
}

/// One value is a population, and no sample: null is its result, not an overflow.
#[test]
fn a_sample_of_one_has_no_deviation() {
    for (column, expected) in [("stddev(l)", None), ("variance(l)", None), ("stddev_pop(l)", Some("0.000000"))] {
        let topology = compile(&capped(column));
        let folded = fold(&topology, &[Event { l: Some(5), ..Event::default() }], &[1], false);
        let row = &folded.view(&topology, "capped", false)["i0"];
        let (_, view) = topology.view("capped").expect("the view");
        let shown = match &row.values[2] {
            Value::Decimal(decimal) => Some(decimal.to_string()),
            _ => None,
        };
        assert_eq!(shown.as_deref(), expected, "{column}");
        assert_eq!(view.overflowed(row), None, "{column}");
    }
}
