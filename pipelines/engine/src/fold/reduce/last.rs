//! `last(x)`: the value of the latest event of the row's partition, null or not.
//!
//! ```text
//! name: last(name)        a, b, null  ->  null
//! ```

use headwater_schemas::{Value, ValueRef};

use crate::fold::working::same;

pub(super) fn put(target: &mut Value, value: &ValueRef) {
    if !same(target, value) {
        *target = value.to_owned();
    }
}
