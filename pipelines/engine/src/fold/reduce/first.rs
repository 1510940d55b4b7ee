//! `first(x)`: the value of the event that first gave one, null or not.
//!
//! ```text
//! created: first(at)      1, 2, 3  ->  1
//! ```
//!
//! Where not every event gives a value, a flag in the state tells whether one was taken.

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::last::put;
use crate::plan::Argument;
use crate::table::Row;

/// Without a flag every event gives a value, so the first is the one that makes the row.
pub(in crate::fold) fn first<'a>(
    argument: &Argument,
    row: &mut Row,
    column: usize,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
) -> Result<(), String> {
    if let Some(value) = &argument.value {
        let value = value.eval(slots, bump).map_err(|problem| problem.to_string())?;
        put(&mut row.values[column], &value);
    }
    Ok(())
}

pub(super) fn put_once(target: &mut Value, set: &mut Value, value: &ValueRef) {
    if *set == Value::Boolean(false) {
        *set = Value::Boolean(true);
        put(target, value);
    }
}
