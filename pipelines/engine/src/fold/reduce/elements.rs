//! Single values that a row remembers, in a column that is an array or in packed form, and how many there may be.
//!
//! A row is read and written whole, so what it remembers has a bound: the event that would pass it is parked. On rows that
//! many partitions feed each partition's part is bounded where rows are kept in parts, and the whole row elsewhere.

use headwater_schemas::{Value, ValueRef};

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
pub(super) fn with_one_more(elements: &[Value], at: usize, value: &ValueRef) -> Result<Value, String> {
    let value = value.to_owned();
    check(elements.len() + 1, elements.iter().map(size).sum::<usize>() + size(&value))?;
    let (before, after) = elements.split_at(at);
    Ok(Value::Array(before.iter().cloned().chain([value]).chain(after.iter().cloned()).collect()))
}

/// Whether a row may remember so many values of so many bytes.
pub(super) fn check(count: usize, bytes: usize) -> Result<(), String> {
    if count > MAX_ELEMENTS {
        return Err(format!("it would remember more than {MAX_ELEMENTS} values"));
    }
    if bytes > MAX_BYTES {
        return Err(format!("the values that it would remember take more than {} MiB", MAX_BYTES >> 20));
    }
    Ok(())
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) | Value::Record(items) => items.iter().map(size).sum::<usize>() + 16,
        Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 16,
        Value::Branch(_, value) => size(value) + 16,
        _ => 16,
    }
}
