//! `collect_set(x)`: each value once, in their order; null of none.
//!
//! ```text
//! products: collect_set(product)      tea, milk, null, tea  ->  [milk, tea]
//! ```
//!
//! The column is all there is to remember. Halves are united. Which events gave a value is forgotten, so none can be taken
//! back.

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::elements::{elements, with_one_more};
use super::packed::canonical;
use crate::expr::value_order;

pub(super) fn put<'a>(target: &mut Value, value: &ValueRef<'a>, bump: &'a Bump) -> Result<(), String> {
    let found = elements(target);
    let place = found.binary_search_by(|element| value_order(&element.borrow(bump), value));
    if let Err(at) = place {
        *target = with_one_more(found, at, &canonical(value))?;
    }
    Ok(())
}

/// The values of all parts, each once.
pub(crate) fn merged<'v>(parts: impl Iterator<Item = &'v Value>) -> Value {
    // Scalars need no room to be borrowed in.
    let bump = Bump::new();
    let mut all: Vec<&Value> = parts.flat_map(elements).collect();
    all.sort_by(|a, b| value_order(&a.borrow(&bump), &b.borrow(&bump)));
    all.dedup_by(|a, b| value_order(&a.borrow(&bump), &b.borrow(&bump)).is_eq());
    if all.is_empty() { Value::Null } else { Value::Array(all.into_iter().cloned().collect()) }
}
