//! `min(x)` and `max(x)`: the least and the greatest value, of any type that has an order.
//!
//! ```text
//! cheapest: min(price)    2.20, null, 1.10  ->  1.10
//! latest: max(at)
//! ```
//!
//! The column is all there is to remember. Halves are compared. As in Postgres NaN is above every number; 0.0 and -0.0 are
//! one, and read 0.0, so that it does not show which came first. A value that went in cannot be taken back: what was the
//! least before it is forgotten.

use std::cmp::Ordering;

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::packed::canonical;
use crate::expr::value_order;
use crate::table::Extreme;

pub(super) fn put<'a>(of: Extreme, target: &mut Value, value: &ValueRef<'a>, bump: &'a Bump) {
    if target.is_null() || beats(of, value, &target.borrow(bump)) {
        *target = canonical(value).to_owned();
    }
}

/// The least or the greatest of what the parts have; null where all are.
pub(crate) fn merged<'v>(of: Extreme, values: impl Iterator<Item = &'v Value>) -> Value {
    // Scalars need no room to be borrowed in.
    let bump = Bump::new();
    let best = values
        .filter(|value| !value.is_null())
        .reduce(|best, value| if beats(of, &value.borrow(&bump), &best.borrow(&bump)) { value } else { best });
    best.cloned().unwrap_or(Value::Null)
}

fn beats(of: Extreme, value: &ValueRef, best: &ValueRef) -> bool {
    let wanted = match of {
        Extreme::Least => Ordering::Less,
        Extreme::Greatest => Ordering::Greater,
    };
    value_order(value, best) == wanted
}
