//! Parked records: events that could not be applied, and what follows them on their message key, in order.
//!
//! A record without a key parks alone. Past [`Limits::max_parked_per_key`] records of one key only the count goes on: the
//! bodies are still in the log, from the key's first parked offset.

use bytes::Bytes;

/// Bounds of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records of one message key that are kept with their body.
    pub max_parked_per_key: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_parked_per_key: 1000 }
    }
}

/// A record that waits for its redrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRecord {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970-01-01T00:00:00Z, of the record.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<(String, Bytes)>,
    /// Why it could not be applied; of a follower, what it waits for.
    pub reason: String,
    /// The record that failed, as opposed to those that wait behind it.
    pub is_head: bool,
}

/// A message key that has parked records: whatever else comes on it parks too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedKey {
    pub topic: String,
    pub partition: i32,
    pub key: Bytes,
    /// The offset of the first: redrive reads the log from here.
    pub first_offset: i64,
    /// All of them, also those whose body was left out.
    pub count: u64,
}

/// Which parked records to list. `default()` lists all of a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedFilter {
    pub generation: Option<u32>,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub key: Option<Bytes>,
    pub heads_only: bool,
    /// Goes on after this (generation, topic, partition, offset).
    pub after: Option<(u32, String, i32, i64)>,
}

/// A parked record and the generation that parked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    pub generation: u32,
    pub record: ParkedRecord,
}

/// How many records of one message key are parked, and between which offsets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyCount {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) count: u64,
}

/// What becomes of a record that parks on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Whole,
    /// Past the limit: only counted.
    Counted,
    /// It was parked before; if its body was kept, its reason is written anew.
    Again,
}

impl KeyCount {
    /// Of a key of which nothing is parked yet.
    pub(crate) fn before(offset: i64) -> Self {
        Self { first: offset, last: -1, count: 0 }
    }

    pub(crate) fn add(&mut self, offset: i64, limits: Limits) -> Kept {
        if offset <= self.last {
            return Kept::Again;
        }
        self.last = offset;
        self.count += 1;
        if self.count <= limits.max_parked_per_key { Kept::Whole } else { Kept::Counted }
    }
}
