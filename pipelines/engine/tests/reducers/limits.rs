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

fn long(l: i64) -> Event {
    Event { l: Some(l), ..Event::default() }
}

/// Three of them are less than a mebibyte, and four are more.
fn text(letter: char) -> Event {
    Event { s: Some(letter.to_string().repeat(300_000)), ..Event::default() }
}

#[test]
fn the_event_that_a_list_has_no_room_for_is_parked() {
    let (at_count, row) = parked("collect_list(l)", (0..10_002).map(long));
    let reason = "view capped: column all: it would remember more than 10000 values".to_owned();
    assert_eq!(at_count, [(10_000, Some(reason)), (10_001, None)]);
    assert_eq!(row.values[1], Value::Long(10_000));
    let (at_bytes, _) = parked("collect_list(s)", ['a', 'b', 'c', 'd'].into_iter().map(text));
    let reason = "view capped: column all: the values that it would remember take more than 1 MiB";
    assert_eq!(at_bytes, [(3, Some(reason.to_owned()))]);
}

/// In whichever order the values come, and however they are spread over parts, one too many makes the set null.
#[test]
fn a_set_that_is_full_is_null_and_stays_so() {
    for (column, last) in [("collect_set(l)", None), ("count(distinct l)", Some(Value::Long(10_000)))] {
        let (none, row) = parked(column, (0..10_000).chain([7]).map(long));
        assert_eq!((none, row.values[2].is_null()), (vec![], false), "{column}");
        assert!(last.is_none_or(|last| row.values[2] == last), "{column}");
        let (none, row) = parked(column, (0..10_001).chain([7, 10_002]).map(long));
        assert_eq!((none, &row.values[1], &row.values[2]), (vec![], &Value::Long(10_003), &Value::Null), "{column}");
    }
    for column in ["collect_set(s)", "count(distinct s)"] {
        let (none, row) = parked(column, ['a', 'b', 'c', 'd', 'a'].into_iter().map(text));
        assert_eq!((none, &row.values[2]), (vec![], &Value::Null), "{column}");
    }
    for column in ["collect_set(s)", "count(distinct s)"] {
        let topology = compile(&capped(column).replace("key: [id]", "key: [shelf]"));
        // In one row, and in a part for each partition, which the id decides.
        let spread = |letters: &mut dyn Iterator<Item = char>| {
            let event = |(offset, letter)| Event { id: letter as u8 % 3, offset, ..text(letter) };
            let events: Vec<Event> = (0..).zip(letters).map(event).collect();
            [false, true].map(|in_parts| {
                let folded = fold(&topology, &events, &[1], in_parts);
                folded.view(&topology, "capped", in_parts)["s0"].values.clone()
            })
        };
        for (letters, full) in [("abcab", false), ("abcdab", true)] {
            let [whole, parts] = spread(&mut letters.chars());
            assert_eq!(whole, parts, "{column}: {letters}");
            assert_eq!(whole[2].is_null(), full, "{column}: {letters}");
            let [backwards, parts] = spread(&mut letters.chars().rev());
            assert_eq!((&backwards, &parts), (&whole, &whole), "{column}: {letters}");
        }
    }
}

#[test]
fn a_value_that_is_too_large_for_a_top_is_parked_whatever_is_there() {
    let long = |n: usize| Event { s: Some("x".repeat(n)), ..Event::default() };
    let share = (1 << 20) / 9;
    let (parked, _) = parked("top(9, s)", [1, share, share + 1, 2].into_iter().map(long));
    let reason = format!("view capped: column all: a value of more than {share} bytes, and 9 are kept");
    assert_eq!(parked, [(2, Some(reason)), (3, None)]);
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
