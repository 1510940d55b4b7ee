//! A bounded write-through cache of rows: in steady state source rows are written, not read.
//!
//! Only views fed straight by events are cached across batches; derived rows are read anew in each (rule 9 of the
//! Cassandra rules, kept on every store). What a cache holds is true only while its owner is the only writer, so it is
//! emptied at any abort, lost reply or change of assignment.
//!
//! Without transactions, the memory by which repeats are dropped may have passed a record that another worker applied, while
//! the position has not. That record is left out then, and the rows that it changed have to be read: they are not cached.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::fold::Outcome;
use crate::plan::{Source, Topology};
use crate::table::{Key, Row};

/// Rows by view and key; two generations, so that the least recently used half goes first.
pub struct Cache {
    topology: Arc<Topology>,
    /// Shared rows are kept in parts, each of which one partition feeds.
    in_parts: bool,
    limit: usize,
    young: Vec<HashMap<CacheKey, Option<Row>>>,
    old: Vec<HashMap<CacheKey, Option<Row>>>,
    len: usize,
    hits: u64,
    misses: u64,
    /// The bytes of the key that is looked for.
    wanted: Vec<u8>,
}

/// A key's bytes: equal where the keys are.
type CacheKey = Box<[u8]>;

impl Cache {
    /// A cache of at most about `limit` rows.
    pub fn new(topology: Arc<Topology>, limit: usize) -> Self {
        let maps = || topology.views.iter().map(|_| HashMap::new()).collect();
        Self {
            young: maps(),
            old: maps(),
            topology,
            in_parts: false,
            limit: limit.max(2),
            len: 0,
            hits: 0,
            misses: 0,
            wanted: Vec::new(),
        }
    }

    /// For a store that keeps shared rows in parts: a part is cached as an owned row is.
    pub fn in_parts(self, in_parts: bool) -> Self {
        Self { in_parts, ..self }
    }

    /// What is known of a row: `Some(None)` is a row known to be absent.
    pub fn get(&mut self, view: usize, key: &Key) -> Option<Option<Row>> {
        if !self.holds(view) {
            return None;
        }
        self.wanted.clear();
        crate::fold::encode_key(key, &mut self.wanted);
        if let Some(row) = self.young[view].get(self.wanted.as_slice()) {
            self.hits += 1;
            return Some(row.clone());
        }
        let Some((encoded, row)) = self.old[view].remove_entry(self.wanted.as_slice()) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.put(view, encoded, row.clone());
        Some(row)
    }

    /// Takes over what a batch wrote, once the store has acknowledged it.
    pub fn wrote(&mut self, outcome: &Outcome) {
        for writes in &outcome.writes {
            let view = writes.view;
            if !self.holds(view) {
                continue;
            }
            if !writes.partition_deletes.is_empty() {
                self.forget(view);
            }
            for (key, _) in &writes.deletes {
                self.put(view, encode(key), None);
            }
            for row in &writes.puts {
                let key = encode(row.key(self.topology.views[view].stored(self.in_parts)));
                self.put(view, key, Some(row.clone()));
            }
        }
    }

    /// Forgets everything: the store may have changed under it.
    pub fn clear(&mut self) {
        for map in self.young.iter_mut().chain(&mut self.old) {
            map.clear();
        }
        self.len = 0;
    }

    /// Hits and misses since the last call.
    pub fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.hits), std::mem::take(&mut self.misses))
    }

    fn holds(&self, view: usize) -> bool {
        let view = &self.topology.views[view];
        let by_one = view.owner.is_some() || (self.in_parts && view.in_parts.is_some());
        by_one
            && match &view.source {
                Source::Events(source) => {
                    let drops = |topic: usize| self.topology.topics[topic].topic.deduplicate.is_some();
                    !(self.in_parts && source.topics.iter().any(|of| drops(of.topic)))
                }
                Source::Seen(_) => true,
                Source::Copy(_) | Source::Aggregate(_) => false,
            }
    }

    /// Forgets a view whose partitions were deleted: the cache does not know their rows.
    fn forget(&mut self, view: usize) {
        self.len -= self.young[view].len();
        self.young[view].clear();
        self.old[view].clear();
    }

    fn put(&mut self, view: usize, key: CacheKey, row: Option<Row>) {
        if self.len >= self.limit / 2 {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.iter_mut().for_each(HashMap::clear);
            self.len = 0;
        }
        if self.young[view].insert(key, row).is_none() {
            self.len += 1;
        }
    }
}

fn encode(key: &[headwater_schemas::Value]) -> CacheKey {
    let mut out = Vec::new();
    crate::fold::encode_key(key, &mut out);
    out.into()
}
