//! `last(x order by at)` and `first(x order by at)`: the value of the event that is last or first by a value of its own,
//! its time as a rule, null or not.
//!
//! ```text
//! price: last(price order by at)      (1.10, noon), (1.20, one), (1.15, half past)  ->  1.20
//! ```
//!
//! Events of one time are ordered by what else `order by` names, then by their place in the log: topic, partition, offset;
//! of one event that contributes several times, the last or first contribution counts. So any order of the partitions gives
//! the same row, and halves are compared. An event without a time, or without another value of its order, has no place among
//! the others and is left out. What was last before is forgotten, so no value can be taken back.
//!
//! Packed: the time in [`sortable`] form, the partition's source number in 4 bytes, the offset in 8, big-endian. Of several
//! values each ends with two zero bytes, and a zero byte within is followed by 255, so that none runs into the next; of a
//! descending one every bit is turned.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use headwater_schemas::{Value, ValueRef};

use super::last;
use super::packed::{bytes, sortable};
use crate::plan::OrderKey;
use crate::table::{Extreme, RowPosition};

/// The bytes of a partition and an offset.
const PLACE: usize = 12;

/// Where an event stands among the others, packed; None where it has no place.
///
/// # Errors
/// An expression's, in words.
pub(super) fn place<'a>(
    order: &[OrderKey],
    slots: &[ValueRef<'a>],
    position: RowPosition,
    bump: &'a Bump,
) -> Result<Option<&'a [u8]>, String> {
    let mut packed = BumpVec::new_in(bump);
    let mut has_place = true;
    for key in order {
        // All of them, for what is wrong with them.
        let value = key.expr.eval(slots, bump).map_err(|problem| problem.to_string())?;
        has_place &= !value.is_null();
        match order {
            [_] => sortable(&value, |part| packed.extend_from_slice(part)),
            _ => delimited(&value, key.descending, &mut packed),
        }
    }
    packed.extend_from_slice(&position.partition.to_be_bytes());
    packed.extend_from_slice(&position.offset.to_be_bytes());
    Ok(has_place.then(|| packed.into_bump_slice()))
}

/// One value of several: in order, whatever comes behind it.
fn delimited(value: &ValueRef, descending: bool, packed: &mut BumpVec<u8>) {
    let turn = if descending { 0xff } else { 0 };
    sortable(value, |part| {
        for byte in part {
            packed.push(byte ^ turn);
            if *byte == 0 {
                packed.push(0xff ^ turn);
            }
        }
    });
    packed.extend_from_slice(&[turn; 2]);
}

#[inline(never)]
pub(super) fn put(of: Extreme, target: &mut Value, state: &mut Value, value: &ValueRef, place: &[u8]) {
    let (found, kept) = (keys(place), keys(bytes(state)));
    let wins = match of {
        Extreme::Least => found < kept,
        Extreme::Greatest => found >= kept,
    };
    if wins || bytes(state).is_empty() {
        last::put(target, value);
        *state = Value::Bytes(place.into());
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

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is packed is in the order of the values, the first that differs, each in its direction.
        #[test]
        fn several_values_are_in_their_order(
            pair in prop::collection::vec((prop::collection::vec(0..3u8, 0..4), any::<bool>(), -2..2i64), 2),
            descending in any::<[bool; 3]>(),
        ) {
            let bump = Bump::new();
            let values = |(bytes, flag, n): &(Vec<u8>, bool, i64)| {
                [Value::Bytes(bytes.as_slice().into()), Value::Boolean(*flag), Value::Long(*n)]
            };
            let packed = |values: &[Value]| {
                let mut packed = BumpVec::new_in(&bump);
                let values = values.iter().map(|value| value.borrow(&bump));
                values.zip(descending).for_each(|(value, descending)| delimited(&value, descending, &mut packed));
                packed
            };
            let (a, b) = (&pair[0], &pair[1]);
            let orders = [a.0.cmp(&b.0), a.1.cmp(&b.1), a.2.cmp(&b.2)];
            let turned = orders.into_iter().zip(descending).map(|(o, descending)| if descending { o.reverse() } else { o });
            let expected = turned.fold(Ordering::Equal, Ordering::then);
            prop_assert_eq!(packed(&values(a)).cmp(&packed(&values(b))), expected);
        }
    }
}
