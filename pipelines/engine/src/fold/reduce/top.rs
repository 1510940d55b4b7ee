//! `top(n, x)`: the n largest values, the largest first, equal ones as often as they came; null of none.
//!
//! ```text
//! best: top(2, score)     3, 5, null, 5  ->  [5, 5]
//! ```
//!
//! The column is all there is to remember. Of halves the n largest are taken. What fell out is forgotten, so no value can be
//! taken back.

use std::cmp::Ordering;

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::elements::{MAX_BYTES, elements, size, with_one_more};
use super::packed::canonical;
use crate::expr::value_order;

/// The most values that it may be asked for.
pub(crate) const MAX_TOP: usize = 1_000;

pub(super) fn put<'a>(n: usize, target: &mut Value, value: &ValueRef<'a>, bump: &'a Bump) -> Result<(), String> {
    let mut found = elements(target);
    let above = |element: &Value| value_order(&element.borrow(bump), value) != Ordering::Less;
    let at = found.partition_point(above);
    if at >= n {
        return Ok(());
    }
    let value = canonical(value).to_owned();
    // By what the value is alone, so that no order of the events tells.
    if size(&value) > MAX_BYTES / n {
        return Err(format!("a value of more than {} bytes, and {n} are kept", MAX_BYTES / n));
    }
    found = &found[..found.len().min(n - 1)];
    *target = with_one_more(found, at, value);
    Ok(())
}

/// The n largest of all parts.
pub(crate) fn merged<'v>(n: usize, parts: impl Iterator<Item = &'v Value>) -> Value {
    // Scalars need no room to be borrowed in.
    let bump = Bump::new();
    let mut all: Vec<&Value> = parts.flat_map(elements).collect();
    all.sort_by(|a, b| value_order(&b.borrow(&bump), &a.borrow(&bump)));
    all.truncate(n);
    if all.is_empty() { Value::Null } else { Value::Array(all.into_iter().cloned().collect()) }
}
