//! Single values that a row remembers, in a column that is an array or in packed form, and how many there may be.
//!
//! A row is read and written whole, so what it remembers has a bound. A list, which one partition feeds, parks the event that
//! would pass it. A set is full then and shows null for good: whether it is depends on its values and not on their order,
//! nor on how they are spread over parts, for a set with a full part is full. Of `top` no value may take more than its share.

use headwater_schemas::Value;

/// The most values that a column of a row remembers.
pub(super) const MAX_ELEMENTS: usize = 10_000;
/// The most bytes that they may take, about: text and bytes by their length, all else as 16.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// A column's elements; none where it is null.
pub(super) fn elements(column: &Value) -> &[Value] {
    match column {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

/// The elements with one more.
pub(super) fn with_one_more(elements: &[Value], at: usize, value: Value) -> Value {
    let (before, after) = elements.split_at(at);
    Value::Array(before.iter().cloned().chain([value]).chain(after.iter().cloned()).collect())
}

/// Whether a row may remember so many values of so many bytes.
pub(super) fn fit(count: usize, bytes: usize) -> bool {
    count <= MAX_ELEMENTS && bytes <= MAX_BYTES
}

/// What they take, about.
pub(super) fn sizes(elements: &[Value]) -> usize {
    elements.iter().map(size).sum()
}

/// What one takes, about.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) | Value::Record(items) => items.iter().map(size).sum::<usize>() + 16,
        Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 16,
        Value::Branch(_, value) => size(value) + 16,
        _ => 16,
    }
}
