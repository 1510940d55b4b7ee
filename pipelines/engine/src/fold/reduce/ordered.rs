//! `last(x order by at)` and `first(x order by at)`: the value of the event that is last or first by a value of its own,
//! its time as a rule, null or not.
//!
//! ```text
//! price: last(price order by at)      (1.10, noon), (1.20, one), (1.15, half past)  ->  1.20
//! ```
//!
//! Events of one time are ordered by their place in the log: partition, then offset (a row is fed by one topic); of one
//! event that contributes several times, the last or first contribution counts. So any order of the partitions gives the
//! same row, and halves are compared. An event without a time has no place among the others and is left out. What was
//! last before is forgotten, so no value can be taken back.
//!
//! Packed: the time in [`sortable`] form, the partition in 4 bytes, the offset in 8, big-endian.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use headwater_schemas::{Value, ValueRef};

use super::last;
use super::packed::{bytes, sortable};
use crate::table::{Extreme, RowPosition};

/// The bytes of a partition and an offset.
const PLACE: usize = 12;

#[inline(never)]
pub(super) fn put<'a>(
    of: Extreme,
    target: &mut Value,
    state: &mut Value,
    value: &ValueRef,
    order: &ValueRef<'a>,
    position: RowPosition,
    bump: &'a Bump,
) {
    if order.is_null() {
        return;
    }
    let mut packed = BumpVec::new_in(bump);
    sortable(order, |part| packed.extend_from_slice(part));
    packed.extend_from_slice(&position.partition.to_be_bytes());
    packed.extend_from_slice(&position.offset.to_be_bytes());
    let (found, kept) = (keys(&packed), keys(bytes(state)));
    let wins = match of {
        Extreme::Least => found < kept,
        Extreme::Greatest => found >= kept,
    };
    if wins || bytes(state).is_empty() {
        last::put(target, value);
        *state = Value::Bytes(packed.as_slice().into());
    }
}

/// The value of the part that is last or first, and its state; null and none where no part has any.
pub(crate) fn merged<'v>(of: Extreme, parts: impl Iterator<Item = (&'v Value, &'v Value)>) -> Option<(Value, Value)> {
    let parts = parts.filter(|(_, state)| !bytes(state).is_empty());
    let order = |a: &(_, &Value), b: &(_, &Value)| keys(bytes(a.1)).cmp(&keys(bytes(b.1)));
    let best = match of {
        Extreme::Least => parts.min_by(order),
        Extreme::Greatest => parts.max_by(order),
    };
    best.map(|(value, state)| (value.clone(), state.clone()))
}

/// The time, then the place: times of different lengths are compared by themselves.
fn keys(packed: &[u8]) -> (&[u8], &[u8]) {
    packed.split_at(packed.len().saturating_sub(PLACE))
}
