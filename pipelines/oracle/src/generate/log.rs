//! Logs: few keys, so that they meet, and values that are often the same, sometimes null, and seldom at their limits.

use num_bigint::BigInt;

use super::{CHANGED, GONE, MADE, PINGED, TOPICS, all_fields};
use crate::calendar::{DAY, first_of_month};
use crate::choice::Choices;
use crate::expr::Names;
use crate::render::precision;
use crate::topology::{EventId, Field, Log, Record, Topology};
use crate::value::{Type, Value, line_fields, power};

const MOST_RECORDS: usize = 14;

/// Once in so many values one is at a limit of its type, or past what others are computed with.
const LIMIT_ONCE_IN: usize = 24;

/// A log of the topology's topics.
pub fn log(topology: &Topology, choices: &mut Choices) -> Log {
    choices.more(0, MOST_RECORDS, |choices, _| {
        // All that there may be is chosen, so that a topology with less in it leaves the rest of the log as it is.
        let topic = choices.below(TOPICS.len()).min(topology.topics.len() - 1);
        // Most make or change. What a topic does not have is a record without a value.
        let event = [MADE, MADE, CHANGED, CHANGED, CHANGED, GONE, LAST, PINGED][choices.below(8)];
        let event = event_of(topology, topic, event);
        let keys: Names = vec![named("id", key(choices, &Type::Text)), named("n", key(choices, &Type::Int))];
        let id = choices.below(4).checked_sub(1).filter(|_| topology.topics[topic].deduplicate.is_some());
        let values = all_fields().map(|field| (field.name.clone(), value(choices, &field, &keys)));
        let all: Names = keys.iter().cloned().chain(values).collect();
        let own = topology.fields(event).iter();
        let fields = own.filter_map(|own| all.iter().find(|(name, _)| *name == own.name).cloned()).collect();
        let mut headers: Vec<(&'static str, String)> = id.map(|id| ("ce_id", format!("e{id}"))).into_iter().collect();
        let other = choices.below(3).checked_sub(1);
        headers.extend(other.map(|other| ("x", ["a", "b"][other].to_owned())));
        Record { event, fields, older: choices.rarely(4), time: time(choices, &keys), headers }
    })
}

/// A record without a value, for [`event_of`].
const LAST: usize = usize::MAX;

/// A topic's event; of a topic that has no such, its record without a value.
fn event_of(topology: &Topology, topic: usize, event: usize) -> EventId {
    let tombstone = topology.tombstone(topic);
    if event < tombstone.event { EventId { topic, event } } else { tombstone }
}

fn named(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}

fn key(choices: &mut Choices, ty: &Type) -> Value {
    match ty {
        Type::Text => Value::text(["k0", "k1", "k2"][choices.below(3)]),
        _ => Value::Whole(choices.below(2) as i64),
    }
}

fn value(choices: &mut Choices, field: &Field, keys: &Names) -> Value {
    if field.nullable && choices.rarely(6) {
        return Value::Null;
    }
    of_type(choices, &field.ty, keys)
}

fn of_type(choices: &mut Choices, ty: &Type, keys: &Names) -> Value {
    let limit = ty.is_exact() && choices.rarely(LIMIT_ONCE_IN);
    match ty {
        Type::Boolean => Value::Boolean(choices.below(2) == 1),
        Type::Int if limit => Value::Whole(choices.one_of(&[i32::MAX.into(), i32::MIN.into()])),
        Type::Long if limit => Value::Whole(choices.one_of(&[i64::MAX, i64::MIN, i64::MAX / 2])),
        Type::Int | Type::Long => Value::Whole(choices.one_of(&[0, 1, 2, 3, 4, -1])),
        Type::Decimal(scale) if limit => {
            let most: BigInt = power(precision(*scale)) - 1;
            Value::Decimal(choices.one_of(&[most.clone(), -most.clone(), most / 2]), *scale)
        }
        Type::Decimal(scale) => {
            let digits = choices.one_of(&[0, 1, 10, 25, 100, 150, -100, -75, 333]);
            Value::Decimal(BigInt::from(digits), *scale)
        }
        Type::Double if choices.rarely(LIMIT_ONCE_IN) => Value::Double(choices.one_of(&[1.7e308, -1.7e308, 1e-308])),
        Type::Double => Value::Double(choices.one_of(&[0.5, 1.0, 1.5, -2.0, 0.0])),
        Type::Text => Value::text(choices.one_of(&["a", "b", "ab", "", "B", "é", "7", " -3", "2.5", "NaN", "t"])),
        Type::Time => time(choices, keys),
        Type::Lines => Value::List(choices.more(0, 3, |choices, _| {
            let fields = line_fields().map(|(name, ty)| {
                let field = Field { name: name.to_owned(), nullable: name != "p", ty };
                (name, value(choices, &field, keys))
            });
            Value::Record(fields.to_vec())
        })),
        Type::List(of) => Value::List(choices.more(0, 3, |choices, _| of_type(choices, of, keys))),
        Type::Map => Value::Record(
            [("x", choices.below(2)), ("y", choices.below(2))]
                .into_iter()
                .filter(|(_, there)| *there == 1)
                .map(|(name, _)| (name, Value::text(choices.one_of(&["a", "b"]))))
                .collect(),
        ),
        Type::Place => {
            let city = Field { name: "city".to_owned(), ty: Type::Text, nullable: true };
            Value::Record(vec![("city", value(choices, &city, keys)), ("no", of_type(choices, &Type::Int, keys))])
        }
        Type::Date => unreachable!("no field is a date"),
    }
}

/// At one time there are only events of one thing, of each topic: their order is given, where that of two things is the
/// schedule's.
fn time(choices: &mut Choices, keys: &Names) -> Value {
    let texts: Vec<String> = keys.iter().map(|(_, value)| value.to_json().to_string()).collect();
    let digits = texts.concat();
    let thing = digits.bytes().filter(u8::is_ascii_digit).fold(0, |all, digit| all * 10 + i64::from(digit - b'0'));
    let when = match choices.below(5) {
        0 | 1 => choices.below(4) as i64 * 10_000,
        2 | 3 => choices.below(200) as i64 * 10_000,
        // Where the clocks of Zurich are changed.
        _ => {
            (first_of_month(2026, choices.one_of(&[3, 10])) + choices.one_of(&[23, 24, 27, 28])) * DAY - midnight(0)
                + 9_000
        }
    };
    Value::Time(midnight(0) + when + thing)
}

/// So many days after 2026 began.
pub(super) fn midnight(day: i64) -> i64 {
    (first_of_month(2026, 1) + day) * DAY
}
