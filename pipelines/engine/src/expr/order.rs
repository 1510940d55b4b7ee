//! One total order over values of one type, for keys and sorts: null first, then as `<` says, text and bytes by their
//! bytes, `-0.0` equal to `0.0`, NaN equal to itself and last.
//!
//! Values of different types are ordered by type, so that a sort never fails; no view compares such.

use std::cmp::Ordering;

use headwater_schemas::ValueRef;

use super::decimal;

/// Where `left` stands beside `right`.
pub fn value_order(left: &ValueRef<'_>, right: &ValueRef<'_>) -> Ordering {
    use ValueRef::{
        Array, Boolean, Branch, Bytes, Date, Decimal, Double, Float, Long, Map, Record, String, Timestamp, Uuid,
    };
    match (left, right) {
        (Boolean(a), Boolean(b)) => a.cmp(b),
        (Long(a), Long(b)) => a.cmp(b),
        (Float(a), Float(b)) => float_order(f64::from(*a), f64::from(*b)),
        (Double(a), Double(b)) => float_order(*a, *b),
        (Float(a), Double(b)) => float_order(f64::from(*a), *b),
        (Double(a), Float(b)) => float_order(*a, f64::from(*b)),
        (Decimal(a), Decimal(b)) => decimal::compare((a.unscaled, a.scale), (b.unscaled, b.scale)),
        (Decimal(a), Long(b)) => decimal::compare((a.unscaled, a.scale), (i128::from(*b), 0)),
        (Long(a), Decimal(b)) => decimal::compare((i128::from(*a), 0), (b.unscaled, b.scale)),
        (String(a), String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Uuid(a), Uuid(b)) => a.cmp(b),
        (Bytes(a), Bytes(b)) => a.cmp(b),
        (Date(a), Date(b)) => a.cmp(b),
        (Timestamp(a), Timestamp(b)) => a.cmp(b),
        (Array(a), Array(b)) | (Record(a), Record(b)) => all_in_order(a.iter(), b.iter(), value_order),
        (Map(a), Map(b)) => all_in_order(a.iter(), b.iter(), |(key_a, a), (key_b, b)| {
            key_a.as_bytes().cmp(key_b.as_bytes()).then_with(|| value_order(a, b))
        }),
        (Branch(i, a), Branch(j, b)) => i.cmp(j).then_with(|| value_order(a, b)),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// Numbers as usual, `-0.0` equal to `0.0`, NaN equal to itself and above everything: Postgres's order.
#[inline]
pub(crate) fn float_order(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

fn all_in_order<T>(
    mut left: impl Iterator<Item = T>,
    mut right: impl Iterator<Item = T>,
    order: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        match (left.next(), right.next()) {
            (Some(a), Some(b)) => match order(a, b) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

fn rank(value: &ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Boolean(_) => 1,
        ValueRef::Long(_) | ValueRef::Decimal(_) => 2,
        ValueRef::Float(_) | ValueRef::Double(_) => 3,
        ValueRef::String(_) => 4,
        ValueRef::Uuid(_) => 5,
        ValueRef::Bytes(_) => 6,
        ValueRef::Date(_) => 7,
        ValueRef::Timestamp(_) => 8,
        ValueRef::Array(_) => 9,
        ValueRef::Map(_) => 10,
        ValueRef::Record(_) => 11,
        ValueRef::Branch(..) => 12,
    }
}
