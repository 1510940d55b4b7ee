//! `collect_set(x)`: each value once, in their order; null of none.
//!
//! ```text
//! products: collect_set(product)      tea, milk, null, tea  ->  [milk, tea]
//! ```
//!
//! The column is all there is to remember, but for a flag: a set that became too large is full, and null from then on.
//! Halves are united. Which events gave a value is forgotten, so none can be taken back.

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::elements::{elements, fit, size, sizes, with_one_more};
use super::packed::canonical;
use crate::expr::value_order;

pub(super) fn put<'a>(target: &mut Value, full: &mut Value, value: &ValueRef<'a>, bump: &'a Bump) {
    if is_full(full) {
        return;
    }
    let found = elements(target);
    let place = found.binary_search_by(|element| value_order(&element.borrow(bump), value));
    let Err(at) = place else { return };
    let value = canonical(value).to_owned();
    if fit(found.len() + 1, sizes(found) + size(&value)) {
        *target = with_one_more(found, at, value);
    } else {
        (*target, *full) = (Value::Null, Value::Boolean(true));
    }
}

fn is_full(full: &Value) -> bool {
    matches!(full, Value::Boolean(true))
}

/// The values of all parts, each once; and whether they are too many.
pub(crate) fn merged<'v>(parts: impl Iterator<Item = (&'v Value, &'v Value)>) -> (Value, Value) {
    let parts: Vec<(&Value, &Value)> = parts.collect();
    let all = united(parts.iter().map(|(value, _)| *value));
    let full = parts.iter().any(|(_, full)| is_full(full)) || !fit(elements(&all).len(), sizes(elements(&all)));
    (if full { Value::Null } else { all }, Value::Boolean(full))
}

fn united<'v>(parts: impl Iterator<Item = &'v Value>) -> Value {
    // Scalars need no room to be borrowed in.
    let bump = Bump::new();
    let mut all: Vec<&Value> = parts.flat_map(elements).collect();
    all.sort_by(|a, b| value_order(&a.borrow(&bump), &b.borrow(&bump)));
    all.dedup_by(|a, b| value_order(&a.borrow(&bump), &b.borrow(&bump)).is_eq());
    if all.is_empty() { Value::Null } else { Value::Array(all.into_iter().cloned().collect()) }
}
