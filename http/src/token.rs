//! Position tokens: how far a client has seen, so that what it reads next is never older.
//!
//! A token is a set of (topic, partition, offset), each with the hashes of the message keys that the client wrote there. It
//! travels in `Headwater-Position` (answers) and `Headwater-After` (requests). Tokens merge by the greatest offset. To
//! clients it is opaque: base64url of a version byte, varints and a checksum.
//!
//! Bounds: [`MAX_TOPICS`] topics, [`MAX_PARTITIONS`] partitions, [`MAX_KEYS`] key hashes. Beyond the last, the keys of the
//! lowest offsets are forgotten: should such a key be parked, the client is told that its write is reflected when it waits
//! behind the parked record. Beyond the others a token is refused, or not merged.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest, Sha256};

use crate::{Limits, Place, Problem};

/// The request header: answer with what reflects this.
pub const AFTER: HeaderName = HeaderName::from_static("headwater-after");
/// The response header: what the answer reflects.
pub const POSITION: HeaderName = HeaderName::from_static("headwater-position");

pub const MAX_TOPICS: usize = 32;
pub const MAX_PARTITIONS: usize = 512;
pub const MAX_KEYS: usize = 64;
/// The longest token, in characters of base64url.
pub const MAX_TEXT: usize = 16 * 1024;

const VERSION: u8 = 1;
const CHECKSUM: usize = 4;

/// A set of places in the log, each of which the bearer has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionToken {
    topics: BTreeMap<TopicKey, BTreeMap<i32, Seen>>,
}

/// A topic as a token names it: its id, and a hash of its name that tells a topic re-created under the same name from one
/// that a reader does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicKey {
    pub id: [u8; 16],
    pub name_hash: u32,
}

impl TopicKey {
    pub fn new(id: [u8; 16], name: &str) -> Self {
        let digest = Sha256::digest(name);
        Self { id, name_hash: u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) }
    }
}

/// What was seen of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last record seen; never negative.
    pub offset: i64,
    /// Hashes of the message keys written, each with the offset of its last record.
    pub keys: BTreeMap<u64, i64>,
}

/// Why a token is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a position token exactly as an answer's Headwater-Position gave it; {0}")]
pub struct TokenError(&'static str);

impl PositionToken {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// A record that was written: what a command answers.
    pub fn written(topic: TopicKey, partition: i32, offset: i64, message_key: Option<&[u8]>) -> Self {
        let mut token = Self::new();
        token.see(topic, partition, offset);
        if let (Some(seen), Some(key)) = (token.seen_mut(topic, partition), message_key) {
            seen.keys.insert(key_hash(key), offset);
        }
        token
    }

    /// Adds that a partition was seen up to and with `offset`. A place beyond the bounds is left out.
    pub fn see(&mut self, topic: TopicKey, partition: i32, offset: i64) {
        if partition < 0 || offset < 0 || !self.has_room(topic, partition) {
            return;
        }
        let seen = self.topics.entry(topic).or_default().entry(partition).or_default();
        seen.offset = seen.offset.max(offset);
    }

    /// Both tokens' places, by the greatest offset of each.
    pub fn merge(&mut self, other: &Self) {
        for (topic, partition, seen) in other.iter() {
            self.see(topic, partition, seen.offset);
            if let Some(mine) = self.seen_mut(topic, partition) {
                for (key, offset) in &seen.keys {
                    let known = mine.keys.entry(*key).or_insert(*offset);
                    *known = (*known).max(*offset);
                }
            }
        }
        self.forget_old_keys();
    }

    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Every place, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (TopicKey, i32, &Seen)> {
        self.topics.iter().flat_map(|(topic, seen)| seen.iter().map(|(partition, seen)| (*topic, *partition, seen)))
    }

    /// Reads a token's text.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_TEXT {
            return Err(TokenError("this one is too long"));
        }
        let bytes = BASE64.decode(text).map_err(|_| TokenError("this one is not base64url"))?;
        let Some(length) = bytes.len().checked_sub(CHECKSUM).filter(|length| *length > 0) else {
            return Err(TokenError("this one is cut short"));
        };
        let (body, sum) = bytes.split_at(length);
        if checksum(body) != sum {
            return Err(TokenError("this one was changed or cut short"));
        }
        if body[0] != VERSION {
            return Err(TokenError("this one is of another version"));
        }
        let token = read(&mut Reader(&body[1..])).ok_or(TokenError("this one is malformed"))?;
        Ok(token)
    }

    /// The token of the request: all `Headwater-After` headers, merged. None where there is none.
    pub fn after(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut merged: Option<Self> = None;
        for value in headers.get_all(&AFTER) {
            let text = value.to_str().map_err(|_| malformed_after(&TokenError("this one is not base64url")))?;
            for part in text.split(',').map(str::trim) {
                if part.is_empty() {
                    return Err(malformed_after(&TokenError("this one is empty")));
                }
                let token = Self::parse(part).map_err(|error| malformed_after(&error))?;
                merged.get_or_insert_default().merge(&token);
            }
        }
        Ok(merged)
    }

    fn has_room(&self, topic: TopicKey, partition: i32) -> bool {
        match self.topics.get(&topic) {
            Some(partitions) if partitions.contains_key(&partition) => true,
            Some(_) => self.partitions() < MAX_PARTITIONS,
            None => self.topics.len() < MAX_TOPICS && self.partitions() < MAX_PARTITIONS,
        }
    }

    fn partitions(&self) -> usize {
        self.topics.values().map(BTreeMap::len).sum()
    }

    fn seen_mut(&mut self, topic: TopicKey, partition: i32) -> Option<&mut Seen> {
        self.topics.get_mut(&topic)?.get_mut(&partition)
    }

    fn forget_old_keys(&mut self) {
        let mut all: Vec<(i64, TopicKey, i32, u64)> = self
            .iter()
            .flat_map(|(topic, partition, seen)| seen.keys.iter().map(move |(key, at)| (*at, topic, partition, *key)))
            .collect();
        if all.len() <= MAX_KEYS {
            return;
        }
        all.sort_unstable();
        let excess = all.len() - MAX_KEYS;
        for (_, topic, partition, key) in all.drain(..excess) {
            if let Some(seen) = self.seen_mut(topic, partition) {
                seen.keys.remove(&key);
            }
        }
    }
}

/// The hash by which a token names a message key.
pub fn key_hash(key: &[u8]) -> u64 {
    let digest = Sha256::digest(key);
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// How long `Prefer: wait=<seconds>` asks to wait, at most [`Limits::longest_wait`]; zero where it does not ask.
pub fn preferred_wait(headers: &HeaderMap, limits: &Limits) -> Result<Duration, Problem> {
    let malformed = || Problem::malformed(Place::Header, "Prefer", "expected `wait=<whole seconds>`, as in `wait=5`");
    for value in headers.get_all("prefer") {
        let text = value.to_str().map_err(|_| malformed())?;
        for preference in text.split([',', ';']).map(str::trim) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            if !name.trim().eq_ignore_ascii_case("wait") {
                continue;
            }
            let value = value.trim().trim_matches('"');
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(malformed());
            }
            // More digits than a u64 holds is longer than any limit.
            return Ok(Duration::from_secs(value.parse().unwrap_or(u64::MAX)).min(limits.longest_wait));
        }
    }
    Ok(Duration::ZERO)
}

fn malformed_after(error: &TokenError) -> Problem {
    Problem::malformed(Place::Header, "Headwater-After", error.to_string())
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::digest(body);
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Topics, each: id, name's hash, partitions, each: number, offset, keys, each: hash, how far before the offset.
impl fmt::Display for PositionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = vec![VERSION];
        put(&mut out, self.topics.len() as u64);
        for (topic, partitions) in &self.topics {
            out.extend_from_slice(&topic.id);
            out.extend_from_slice(&topic.name_hash.to_be_bytes());
            put(&mut out, partitions.len() as u64);
            for (partition, seen) in partitions {
                put(&mut out, u64::from(partition.unsigned_abs()));
                put(&mut out, seen.offset.unsigned_abs());
                put(&mut out, seen.keys.len() as u64);
                for (key, offset) in &seen.keys {
                    out.extend_from_slice(&key.to_be_bytes());
                    put(&mut out, seen.offset.abs_diff(*offset));
                }
            }
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        f.write_str(&BASE64.encode(out))
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A count that `most` bounds.
    fn count(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.varint()?).ok().filter(|count| *count <= most)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<PositionToken> {
    let mut token = PositionToken::new();
    let mut keys_left = MAX_KEYS;
    for _ in 0..reader.count(MAX_TOPICS)? {
        let topic = TopicKey { id: reader.array()?, name_hash: u32::from_be_bytes(reader.array()?) };
        for _ in 0..reader.count(MAX_PARTITIONS)? {
            let partition = i32::try_from(reader.varint()?).ok()?;
            let offset = i64::try_from(reader.varint()?).ok()?;
            token.see(topic, partition, offset);
            let keys = reader.count(keys_left)?;
            keys_left -= keys;
            // None: there was no room, so the token has more partitions than one may have.
            let seen = token.seen_mut(topic, partition)?;
            for _ in 0..keys {
                let key = u64::from_be_bytes(reader.array()?);
                seen.keys.insert(key, offset.checked_sub_unsigned(reader.varint()?).filter(|at| *at >= 0)?);
            }
        }
    }
    reader.0.is_empty().then_some(token)
}

#[cfg(test)]
mod tests;
