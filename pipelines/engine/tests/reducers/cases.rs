//! One line of data a reducer: how it is declared, where it may stand, and what it is of a list of events.

use std::collections::BTreeSet;

use headwater_schemas::{Decimal, Value};
use num_bigint::BigInt;

use super::numbers::{average, decimal, divided, power, spread};
use super::world::Event;

/// What a reducer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Events, in rows that one partition feeds: in their order.
    Owned,
    /// Events, in rows that many partitions feed.
    Shared,
    /// The rows of a view.
    View,
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) over: &'static [Over],
    /// Of the events or rows that feed one row, in the order of the log.
    pub(super) expected: fn(&[&Event]) -> Value,
}

const ALL: &[Over] = &[Over::Owned, Over::Shared, Over::View];
const EVENTS: &[Over] = &[Over::Owned, Over::Shared];
const OWNED: &[Over] = &[Over::Owned];

const fn case(name: &'static str, text: &'static str, over: &'static [Over], expected: fn(&[&Event]) -> Value) -> Case {
    Case { name, text, over, expected }
}

pub(super) const CASES: &[Case] = &[
    case("n", "count()", ALL, |e| count(e.iter())),
    case("n_i", "count(i)", ALL, |e| count(e.iter().filter(|e| e.i.is_some()))),
    case("last_s", "last(s)", OWNED, |e| text(e.last().and_then(|e| e.s.as_deref()))),
    case("first_s", "first(s)", OWNED, |e| text(e.first().and_then(|e| e.s.as_deref()))),
    case("first_pos", "first(i) filter (where i > 0)", OWNED, |e| long(ints(e).into_iter().find(|i| *i > 0))),
    case("sum_i", "sum(i)", ALL, |e| long(some(ints(e)).map(|i| i.iter().sum()))),
    case("sum_l", "sum(l)", ALL, |e| some(longs(e)).map_or(Value::Null, |l| decimal(&l.iter().sum(), 0))),
    case("sum_d", "sum(d)", ALL, |e| some(decimals(e)).map_or(Value::Null, |d| decimal(&d.iter().sum(), 2))),
    case("sum_x", "sum(x)", OWNED, |e| double(doubles(e).into_iter().reduce(|a, b| a + b))),
    case("avg_i", "avg(i)", ALL, |e| average(&ints(e).into_iter().map(BigInt::from).collect::<Vec<_>>(), 0)),
    case("avg_l", "avg(l)", ALL, |e| average(&longs(e), 0)),
    case("avg_d", "avg(d)", ALL, |e| average(&decimals(e), 2)),
    case("avg_pos", "avg(d) filter (where d > 0)", ALL, |e| {
        average(&decimals(e).into_iter().filter(|d| *d > BigInt::from(0)).collect::<Vec<_>>(), 2)
    }),
    case("avg_x", "avg(x)", OWNED, |e| {
        double(some(doubles(e)).map(|x| x.iter().fold(0.0, |sum, x| sum + x) / x.len() as f64))
    }),
    case("min_i", "min(i)", EVENTS, |e| long(ints(e).into_iter().min())),
    case("max_i", "max(i)", EVENTS, |e| long(ints(e).into_iter().max())),
    case("min_l", "min(l)", EVENTS, |e| long(e.iter().filter_map(|e| e.l).min())),
    case("max_d", "max(d)", EVENTS, |e| hundredths(e.iter().filter_map(|e| e.d).max())),
    case("max_neg", "max(d) filter (where d < 0)", EVENTS, |e| {
        hundredths(e.iter().filter_map(|e| e.d).filter(|d| *d < 0).max())
    }),
    case("min_x", "min(x)", EVENTS, |e| double(sorted(doubles(e)).first().copied())),
    case("max_x", "max(x)", EVENTS, |e| double(sorted(doubles(e)).last().copied())),
    case("max_f", "max(f)", EVENTS, |e| {
        let floats = e.iter().filter_map(|e| e.f).map(f64::from).collect();
        sorted(floats).last().map_or(Value::Null, |x| Value::Float(*x as f32))
    }),
    case("min_s", "min(s)", EVENTS, |e| text(e.iter().filter_map(|e| e.s.as_deref()).min())),
    case("max_s", "max(s || '!')", EVENTS, |e| {
        text(e.iter().filter_map(|e| e.s.as_ref()).map(|s| format!("{s}!")).max().as_deref())
    }),
    case("max_b", "max(b)", EVENTS, |e| e.iter().filter_map(|e| e.b).max().map_or(Value::Null, Value::Boolean)),
    case("min_day", "min(day)", EVENTS, |e| e.iter().filter_map(|e| e.day).min().map_or(Value::Null, Value::Date)),
    case("max_at", "max(at)", EVENTS, |e| e.iter().filter_map(|e| e.at).max().map_or(Value::Null, Value::Timestamp)),
    case("last_i_at", "last(i order by at)", EVENTS, |e| long(by_time(e, false).and_then(|e| e.i.map(i64::from)))),
    case("first_s_at", "first(s order by at)", EVENTS, |e| text(by_time(e, true).and_then(|e| e.s.as_deref()))),
    case("last_s_x", "last(s order by x) filter (where i > 0)", EVENTS, |e| {
        let events = e.iter().filter(|e| e.i > Some(0) && e.x.is_some());
        let key = |e: &Event| (e.x.is_some_and(f64::is_nan), e.x.filter(|x| !x.is_nan()));
        let last = events
            .max_by(|a, b| key(a).partial_cmp(&key(b)).expect("no NaN is compared").then(place(a).cmp(&place(b))));
        text(last.and_then(|e| e.s.as_deref()))
    }),
    case("last_i_b", "last(i order by b, s desc, at)", EVENTS, |e| {
        long(by_several(e, false).and_then(|e| e.i.map(i64::from)))
    }),
    case("first_i_b", "first(i order by b, s desc, at)", EVENTS, |e| {
        long(by_several(e, true).and_then(|e| e.i.map(i64::from)))
    }),
    case("ratio", "sum(d) / count(d)", OWNED, |e| average(&decimals(e), 2)),
    case("spread", "coalesce(max(cast(i as bigint)), 0) - coalesce(min(i), 0)", OWNED, |e| {
        let ints = ints(e);
        Value::Long(ints.iter().max().unwrap_or(&0) - ints.iter().min().unwrap_or(&0))
    }),
    case(
        "words",
        "coalesce(first(s), '?') || count() || coalesce(last(s order by at) filter (where b), '?')",
        OWNED,
        |e| {
            let marked: Vec<&Event> = e.iter().copied().filter(|e| e.b == Some(true)).collect();
            let word = |event: Option<&Event>| event.and_then(|e| e.s.clone()).unwrap_or_else(|| "?".to_owned());
            let words = [word(e.first().copied()), e.len().to_string(), word(by_time(&marked, false))];
            Value::string(words.concat())
        },
    ),
    case("known", "count() - count(day) + count()", OWNED, |e| {
        long(i64::try_from(2 * e.len() - e.iter().filter(|e| e.day.is_some()).count()).ok())
    }),
    case("n_s", "count(distinct s)", EVENTS, |e| {
        let texts: BTreeSet<&str> = e.iter().filter_map(|e| e.s.as_deref()).collect();
        long(i64::try_from(texts.len()).ok())
    }),
    case("n_x", "count(distinct x) filter (where b is not false)", EVENTS, |e| {
        let mut numbers = sorted(e.iter().filter(|e| e.b != Some(false)).filter_map(|e| e.x).collect());
        numbers.dedup_by(|a, b| a == b || a.is_nan() && b.is_nan());
        long(i64::try_from(numbers.len()).ok())
    }),
    case("n_d", "count(distinct d)", EVENTS, |e| {
        long(i64::try_from(e.iter().filter_map(|e| e.d).collect::<BTreeSet<_>>().len()).ok())
    }),
    case("list_l", "collect_list(l)", OWNED, |e| array(e.iter().filter_map(|e| e.l).map(Value::Long).collect())),
    case("list_x", "collect_list(x)", OWNED, |e| array(doubles(e).into_iter().map(Value::Double).collect())),
    case("set_s", "collect_set(s)", EVENTS, |e| {
        let texts: BTreeSet<&str> = e.iter().filter_map(|e| e.s.as_deref()).collect();
        array(texts.into_iter().map(Value::string).collect())
    }),
    case("set_x", "collect_set(x)", EVENTS, |e| {
        let mut numbers = sorted(doubles(e));
        numbers.dedup_by(|a, b| a == b || a.is_nan() && b.is_nan());
        array(numbers.into_iter().map(Value::Double).collect())
    }),
    case("set_at", "collect_set(at) filter (where i > 0)", EVENTS, |e| {
        let times: BTreeSet<i64> = e.iter().filter(|e| e.i > Some(0)).filter_map(|e| e.at).collect();
        array(times.into_iter().map(Value::Timestamp).collect())
    }),
    case("top_i", "top(3, i)", EVENTS, |e| {
        let mut ints = ints(e);
        ints.sort_by_key(|i| std::cmp::Reverse(*i));
        array(ints.into_iter().take(3).map(Value::Long).collect())
    }),
    case("top_x", "top(2, x)", EVENTS, |e| {
        array(sorted(doubles(e)).into_iter().rev().take(2).map(Value::Double).collect())
    }),
    case("top_s", "top(1, s)", EVENTS, |e| {
        array(e.iter().filter_map(|e| e.s.as_deref()).max().into_iter().map(Value::string).collect())
    }),
    case("stddev_i", "stddev(i)", ALL, |e| {
        spread(&ints(e).into_iter().map(BigInt::from).collect::<Vec<_>>(), 0, true, true)
    }),
    case("stddev_d", "stddev_pop(d)", ALL, |e| spread(&decimals(e), 2, false, true)),
    case("variance_d", "variance(d)", ALL, |e| spread(&decimals(e), 2, true, false)),
    case("var_l", "var_pop(l)", ALL, |e| spread(&longs(e), 0, false, false)),
    case("stddev_fine", "stddev(cast(d as numeric(18, 8)) / 7)", ALL, |e| {
        // A quotient of scale 8 is rounded to 8 digits.
        let parts: Vec<BigInt> = decimals(e).iter().map(|d| divided(&(d * power(6)), &BigInt::from(7))).collect();
        spread(&parts, 8, true, true)
    }),
    case("kinds", "count(distinct s) + count(distinct b)", OWNED, |e| {
        let texts: BTreeSet<&str> = e.iter().filter_map(|e| e.s.as_deref()).collect();
        let truths: BTreeSet<bool> = e.iter().filter_map(|e| e.b).collect();
        long(i64::try_from(texts.len() + truths.len()).ok())
    }),
];

fn array(values: Vec<Value>) -> Value {
    some(values).map_or(Value::Null, |values| Value::Array(values.into()))
}

/// The place of an event in the log.
fn place(event: &Event) -> (i32, i64) {
    (event.partition(), event.offset)
}

/// The first or the last event by its time, if any has one.
fn by_time<'e>(events: &[&'e Event], first: bool) -> Option<&'e Event> {
    let mut events: Vec<&Event> = events.iter().copied().filter(|event| event.at.is_some()).collect();
    events.sort_by_key(|event| (event.at, place(event)));
    if first { events.first().copied() } else { events.last().copied() }
}

fn by_several<'e>(events: &[&'e Event], first: bool) -> Option<&'e Event> {
    let whole = |event: &&Event| event.b.is_some() && event.s.is_some() && event.at.is_some();
    let mut events: Vec<&Event> = events.iter().copied().filter(whole).collect();
    events.sort_by_key(|event| (event.b, std::cmp::Reverse(event.s.clone()), event.at, place(event)));
    if first { events.first().copied() } else { events.last().copied() }
}

fn count<'e>(events: impl Iterator<Item = &'e &'e Event>) -> Value {
    Value::Long(i64::try_from(events.count()).expect("few"))
}

fn ints(events: &[&Event]) -> Vec<i64> {
    events.iter().filter_map(|event| event.i.map(i64::from)).collect()
}

fn longs(events: &[&Event]) -> Vec<BigInt> {
    events.iter().filter_map(|event| event.l.map(BigInt::from)).collect()
}

fn decimals(events: &[&Event]) -> Vec<BigInt> {
    events.iter().filter_map(|event| event.d.map(BigInt::from)).collect()
}

fn doubles(events: &[&Event]) -> Vec<f64> {
    events.iter().filter_map(|event| event.x).collect()
}

/// In Postgres's order, NaN last; there is one zero.
fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.iter_mut().filter(|x| **x == 0.0).for_each(|x| *x = 0.0);
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())));
    values
}

/// None of none.
fn some<T>(values: Vec<T>) -> Option<Vec<T>> {
    Some(values).filter(|values| !values.is_empty())
}

fn long(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Long)
}

fn hundredths(value: Option<i64>) -> Value {
    value.map_or(Value::Null, |n| Value::Decimal(Decimal { unscaled: n.into(), scale: 2 }))
}

fn double(value: Option<f64>) -> Value {
    value.map_or(Value::Null, Value::Double)
}

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, Value::string)
}
