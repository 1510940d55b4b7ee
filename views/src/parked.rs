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

/// Headers as one blob: of each, its name and then its value, each after its length (4 bytes, big-endian).
pub(crate) fn write_headers(headers: &[(String, Bytes)]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
        // A record is far smaller than 4 GiB.
        out.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(part);
    }
    out
}

/// Reads what [`write_headers`] writes.
pub(crate) fn read_headers(mut blob: &[u8]) -> Option<Vec<(String, Bytes)>> {
    let mut part = || -> Option<&[u8]> {
        let (len, rest) = blob.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        blob = rest;
        Some(part)
    };
    let mut parts = Vec::new();
    while let Some(found) = part() {
        parts.push(found);
    }
    if !blob.is_empty() || parts.len() % 2 != 0 {
        return None;
    }
    let header = |pair: &[&[u8]]| Some((String::from_utf8(pair[0].to_vec()).ok()?, Bytes::copy_from_slice(pair[1])));
    parts.chunks_exact(2).map(header).collect()
}
