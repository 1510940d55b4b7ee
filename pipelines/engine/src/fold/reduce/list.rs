//! `collect_list(x)`: every value, in the order of the events; null of none.
//!
//! ```text
//! prices: collect_list(price)     1.10, null, 1.20, 1.10  ->  [1.10, 1.20, 1.10]
//! ```
//!
//! Only the events of one partition have an order, so it is for rows that one partition feeds.

use headwater_schemas::{Value, ValueRef};

use super::elements::{MAX_BYTES, MAX_ELEMENTS, elements, size, sizes, with_one_more};

pub(super) fn put(target: &mut Value, value: &ValueRef) -> Result<(), String> {
    let found = elements(target);
    let value = value.to_owned();
    if found.len() == MAX_ELEMENTS {
        return Err(format!("it would remember more than {MAX_ELEMENTS} values"));
    }
    if sizes(found) + size(&value) > MAX_BYTES {
        return Err(format!("the values that it would remember take more than {} MiB", MAX_BYTES >> 20));
    }
    *target = with_one_more(found, found.len(), value);
    Ok(())
}
