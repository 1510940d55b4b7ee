//! Logs: few keys, so that they meet, and values that are often the same, sometimes null, and seldom at their limits.

use num_bigint::BigInt;

use super::{CHANGED, GONE, MADE, all_fields};
use crate::choice::Choices;
use crate::expr::Names;
use crate::render::precision;
use crate::topology::{Field, Log, Record, Topology};
use crate::value::{Type, Value, line_fields, power};

const MOST_RECORDS: usize = 14;

/// Once in so many values one is at a limit of its type, or past what others are computed with.
const LIMIT_ONCE_IN: usize = 24;

/// A log of the topology's topic.
pub fn log(topology: &Topology, choices: &mut Choices) -> Log {
    choices.more(0, MOST_RECORDS, |choices, place| {
        // Most make or change.
        let event = [MADE, MADE, CHANGED, CHANGED, CHANGED, GONE, topology.tombstone()][choices.below(7)];
        // All that there may be is chosen, so that a topology with less in it leaves the rest of the log as it is.
        let keys = [("id", key(choices, &Type::Text)), ("n", key(choices, &Type::Int))];
        let id = choices.below(4).checked_sub(1).filter(|_| topology.deduplicate.is_some()).map(|id| format!("e{id}"));
        let values = all_fields().map(|field| (field.name.clone(), value(choices, &field, place)));
        let all: Names = keys.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(values).collect();
        let own = topology.fields(event).iter();
        let fields = own.filter_map(|own| all.iter().find(|(name, _)| *name == own.name).cloned()).collect();
        Record { event, fields, id }
    })
}

fn key(choices: &mut Choices, ty: &Type) -> Value {
    match ty {
        Type::Text => Value::text(["k0", "k1", "k2"][choices.below(3)]),
        _ => Value::Whole(choices.below(2) as i64),
    }
}

fn value(choices: &mut Choices, field: &Field, place: usize) -> Value {
    if field.nullable && choices.rarely(6) {
        return Value::Null;
    }
    of_type(choices, &field.ty, place)
}

fn of_type(choices: &mut Choices, ty: &Type, place: usize) -> Value {
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
        Type::Double => Value::Double(choices.one_of(&[0.5, 1.0, 1.5, -2.0])),
        Type::Text => Value::text(choices.one_of(&["a", "b", "ab", "", "B", "é"])),
        // No two events have the same time: among those of one time, who is last is the log's affair.
        Type::Time => Value::Time(choices.below(200) as u32 * 10_000 + place as u32 * 7),
        Type::Lines => Value::List(choices.more(0, 3, |choices, _| {
            let fields = line_fields().map(|(name, ty)| {
                let field = Field { name: name.to_owned(), nullable: name != "p", ty };
                (name, value(choices, &field, place))
            });
            Value::Record(fields.to_vec())
        })),
        Type::List(_) => unreachable!("no field is a list of scalars"),
    }
}
