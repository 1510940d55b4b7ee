//! `count(distinct x)`: how many values there are, equal ones counted once.
//!
//! ```text
//! visitors: count(distinct user_id)       ann, bob, null, ann  ->  2
//! ```
//!
//! The values themselves are in the state. Halves are united. Which events gave a value is forgotten, so none can be taken
//! back.
//!
//! Packed: how many values, then where each ends among the bytes that follow, each number 4 bytes, big-endian; then the
//! values in [`sortable`] form, in the order of those bytes. So a value is found by halving. Where there are too many to
//! keep it is [`FULL`] for good, and the column null.

use std::collections::BTreeSet;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use headwater_schemas::{Value, ValueRef};

use super::elements::fit;
use super::packed::{bytes, sortable};

/// The bytes of a number.
const NUMBER: usize = 4;

/// More values than are kept.
const FULL: &[u8] = &[0xff; NUMBER];

pub(super) fn put(target: &mut Value, state: &mut Value, value: &ValueRef, bump: &Bump) {
    if bytes(state) == FULL {
        return;
    }
    let mut element = BumpVec::new_in(bump);
    sortable(value, |part| element.extend_from_slice(part));
    let kept = Kept::of(bytes(state));
    let Err(at) = kept.find(&element) else { return };
    if !fit(kept.len() + 1, kept.size() + element.len()) {
        (*target, *state) = full();
        return;
    }
    let all = (0..at).map(|i| kept.get(i)).chain([element.as_slice()]).chain((at..kept.len()).map(|i| kept.get(i)));
    let packed = pack(all, kept.len() + 1);
    *target = counted(kept.len() + 1);
    *state = packed;
}

fn full() -> (Value, Value) {
    (Value::Null, Value::Bytes(FULL.into()))
}

/// The count and the state of the values of all parts.
pub(crate) fn merged<'v>(parts: impl Iterator<Item = &'v Value>) -> (Value, Value) {
    let parts: Vec<&[u8]> = parts.map(bytes).collect();
    if parts.contains(&FULL) {
        return full();
    }
    let kept = parts.into_iter().map(Kept::of);
    let all: BTreeSet<&[u8]> = kept.flat_map(|kept| (0..kept.len()).map(move |i| kept.get(i))).collect();
    if !fit(all.len(), all.iter().map(|value| value.len()).sum()) {
        return full();
    }
    (counted(all.len()), pack(all.iter().copied(), all.len()))
}

fn counted(values: usize) -> Value {
    Value::Long(i64::try_from(values).unwrap_or(i64::MAX))
}

fn pack<'v>(values: impl Iterator<Item = &'v [u8]>, count: usize) -> Value {
    if count == 0 {
        return Value::Bytes([].as_slice().into());
    }
    // Both are bounded, also where many parts are united: by what their rows hold.
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let (mut packed, mut payload) = (Vec::from(number(count)), Vec::new());
    for value in values {
        payload.extend_from_slice(value);
        packed.extend(number(payload.len()));
    }
    packed.extend(payload);
    Value::Bytes(packed.into())
}

/// The values of a state.
#[derive(Clone, Copy)]
struct Kept<'b> {
    ends: &'b [[u8; NUMBER]],
    payload: &'b [u8],
}

impl<'b> Kept<'b> {
    /// Bytes that are no such state hold no values.
    fn of(packed: &'b [u8]) -> Self {
        let read = || {
            let (count, rest) = packed.split_first_chunk::<NUMBER>()?;
            let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
            let (ends, payload) = rest.split_at_checked(count.checked_mul(NUMBER)?)?;
            Some(Self { ends: ends.as_chunks().0, payload })
        };
        read().unwrap_or(Self { ends: &[], payload: &[] })
    }

    fn len(self) -> usize {
        self.ends.len()
    }

    /// As bytes are counted for the limit.
    fn size(self) -> usize {
        self.payload.len()
    }

    fn end(self, i: usize) -> usize {
        usize::try_from(u32::from_be_bytes(self.ends[i])).unwrap_or(usize::MAX)
    }

    fn get(self, i: usize) -> &'b [u8] {
        let start = if i == 0 { 0 } else { self.end(i - 1) };
        self.payload.get(start..self.end(i)).unwrap_or_default()
    }

    /// Where a value is, or where it belongs.
    fn find(self, value: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}
