//! The store in memory: for tests, and as the floor that real stores are measured against.
//!
//! All of it is one value behind a lock, changed in place by whole flushes. A snapshot is a counted reference to it; who
//! writes while one is alive copies the tables that it touches.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_engine::table::{Key, Row, Table, ViewWrites};
use tokio::sync::{OwnedMutexGuard, watch};

use crate::deployment::physical;
use crate::parked::{Kept, KeyCount};
use crate::{
    Active, Claim, Deployment, FlushTarget, Limits, PageRequest, Parked, ParkedFilter, ParkedKey, ParkedRecord,
    PositionMove, StoreError, StoredPosition, order, shape,
};

/// Rows that one sweep deletes at most.
const SWEPT: usize = 1000;

/// See [`Store::memory`](crate::Store::memory).
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<Arc<State>>,
    /// Held by the one flush under way.
    writer: Arc<tokio::sync::Mutex<()>>,
    changed: watch::Sender<u64>,
    limits: Limits,
}

#[derive(Clone, Default)]
struct State {
    deployed: BTreeMap<String, Generations>,
    /// Which topology a view belongs to.
    views: BTreeMap<String, String>,
    /// Rows by physical name, then by their key's bytes.
    tables: BTreeMap<String, Arc<Rows>>,
    positions: BTreeMap<(String, u32), Positions>,
    parked: Arc<BTreeMap<ParkedPlace, ParkedRecord>>,
    parked_keys: Arc<BTreeMap<ParkedKeyPlace, KeyCount>>,
    claims: Arc<BTreeMap<(String, Vec<u8>), Claim>>,
}

type Rows = BTreeMap<Vec<u8>, Row>;
type Positions = BTreeMap<(String, i32), ([u8; 16], i64)>;
/// Topology, generation, topic, partition, offset.
type ParkedPlace = (String, u32, String, i32, i64);
/// Topology, generation, topic, partition, message key.
type ParkedKeyPlace = (String, u32, String, i32, Vec<u8>);

#[derive(Clone, Default)]
struct Generations {
    active: Option<Active>,
    /// The highest generation number ever used.
    last: u32,
}

impl MemoryStore {
    pub fn new(limits: Limits) -> Self {
        let inner = Inner { state: Mutex::default(), writer: Arc::default(), changed: watch::Sender::new(0), limits };
        Self { inner: Arc::new(inner) }
    }

    /// A panic while the lock was held is a defect elsewhere; the state is changed by steps that do not panic.
    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot { state: Arc::clone(&self.lock()) }
    }

    pub(crate) async fn create(&self, deployment: &Deployment) -> Result<u32, StoreError> {
        let _writer = self.inner.writer.lock().await;
        deployment.tables.iter().try_for_each(shape::check_table)?;
        let mut state = self.lock();
        let known = state.deployed.get(&deployment.topology).cloned().unwrap_or_default();
        if let Some(generation) = deployment.found(known.active.as_ref(), known.last)? {
            return Ok(generation);
        }
        for table in &deployment.tables {
            deployment.owns(&table.name, state.views.get(&table.name).map(String::as_str))?;
        }
        let state = Arc::make_mut(&mut state);
        for table in &deployment.tables {
            state.views.insert(table.name.clone(), deployment.topology.clone());
            state.tables.insert(physical(&table.name, deployment.generation), Arc::default());
        }
        state.positions.insert((deployment.topology.clone(), deployment.generation), Positions::new());
        let generations = Generations { active: Some(deployment.as_active()), last: deployment.generation };
        state.deployed.insert(deployment.topology.clone(), generations);
        Ok(deployment.generation)
    }

    pub(crate) async fn active(&self, topology: &str) -> Result<Option<Active>, StoreError> {
        self.snapshot().active(topology).await
    }

    pub(crate) async fn next_generation(&self, topology: &str) -> Result<u32, StoreError> {
        Ok(self.lock().deployed.get(topology).map_or(0, |known| known.last) + 1)
    }

    pub(crate) async fn reset(&self, topology: &str) -> Result<u32, StoreError> {
        let _writer = self.inner.writer.lock().await;
        let mut state = self.lock();
        let state = Arc::make_mut(&mut state);
        let Some(known) = state.deployed.get_mut(topology) else { return Ok(1) };
        known.active = None;
        let next = known.last + 1;
        let views: HashSet<String> =
            state.views.iter().filter(|(_, owner)| *owner == topology).map(|(view, _)| view.clone()).collect();
        for generation in 1..next {
            for view in &views {
                state.tables.remove(&physical(view, generation));
            }
        }
        state.views.retain(|view, _| !views.contains(view));
        state.positions.retain(|(owner, _), _| owner != topology);
        Arc::make_mut(&mut state.parked).retain(|(owner, ..), _| owner != topology);
        Arc::make_mut(&mut state.parked_keys).retain(|(owner, ..), _| owner != topology);
        Ok(next)
    }

    pub(crate) async fn positions(&self, topology: &str, generation: u32) -> Result<Vec<StoredPosition>, StoreError> {
        self.snapshot().positions(topology, generation).await
    }

    pub(crate) async fn begin(&self, target: &FlushTarget, moves: &[PositionMove]) -> Result<MemoryFlush, StoreError> {
        let writer = Arc::clone(&self.inner.writer).lock_owned().await;
        let snapshot = self.snapshot();
        let positions = snapshot.state.positions_of(&target.topology, target.generation)?;
        for step in moves {
            step.compare(positions.get(&(step.topic.clone(), step.partition)))?;
        }
        let (target, moves) = (target.clone(), moves.to_vec());
        Ok(MemoryFlush { store: self.clone(), target, moves, _writer: writer })
    }

    pub(crate) async fn parked(
        &self,
        topology: &str,
        filter: &ParkedFilter,
        limit: usize,
    ) -> Result<Vec<Parked>, StoreError> {
        let state = self.snapshot().state;
        let wanted = |(place, record): &(&ParkedPlace, &ParkedRecord)| {
            let (owner, generation, topic, partition, offset) = place;
            owner == topology
                && filter.generation.is_none_or(|wanted| wanted == *generation)
                && filter.topic.as_ref().is_none_or(|wanted| wanted == topic)
                && filter.partition.is_none_or(|wanted| wanted == *partition)
                && filter.key.as_ref().is_none_or(|wanted| Some(wanted) == record.key.as_ref())
                && (record.is_head || !filter.heads_only)
                && filter
                    .after
                    .as_ref()
                    .is_none_or(|(g, t, p, o)| (g, t, p, o) < (generation, topic, partition, offset))
        };
        let found = state.parked.iter().filter(wanted).take(limit);
        Ok(found.map(|(place, record)| Parked { generation: place.1, record: record.clone() }).collect())
    }

    pub(crate) async fn parked_keys(&self, topology: &str, generation: u32) -> Result<Vec<ParkedKey>, StoreError> {
        let state = self.snapshot().state;
        let mine = state.parked_keys.iter().filter(|((owner, of, ..), _)| owner == topology && *of == generation);
        let key = |((_, _, topic, partition, key), counted): (&ParkedKeyPlace, &KeyCount)| ParkedKey {
            topic: topic.clone(),
            partition: *partition,
            key: key.clone().into(),
            first_offset: counted.first,
            count: counted.count,
        };
        Ok(mine.map(key).collect())
    }

    pub(crate) async fn claim(&self, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
        Ok(self.lock().claims.get(&(kind.to_owned(), key.to_owned())).cloned())
    }

    pub(crate) async fn swap_claim(
        &self,
        kind: &str,
        key: &[u8],
        expected: Option<i64>,
        body: &[u8],
        expires_at_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        let place = (kind.to_owned(), key.to_owned());
        let mut state = self.lock();
        if state.claims.get(&place).map(|claim| claim.version) != expected {
            return Ok(false);
        }
        let claim = Claim { version: expected.unwrap_or(0) + 1, body: body.to_owned(), expires_at_ms };
        Arc::make_mut(&mut Arc::make_mut(&mut state).claims).insert(place, claim);
        Ok(true)
    }

    pub(crate) async fn drop_claim(&self, kind: &str, key: &[u8], expected: i64) -> Result<bool, StoreError> {
        let place = (kind.to_owned(), key.to_owned());
        let mut state = self.lock();
        if state.claims.get(&place).is_none_or(|claim| claim.version != expected) {
            return Ok(false);
        }
        Arc::make_mut(&mut Arc::make_mut(&mut state).claims).remove(&place);
        Ok(true)
    }

    pub(crate) async fn sweep_claims(&self, now_ms: i64) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let claims = Arc::make_mut(&mut Arc::make_mut(&mut state).claims);
        let before = claims.len();
        claims.retain(|_, claim| claim.expires_at_ms.is_none_or(|at| at >= now_ms));
        Ok((before - claims.len()) as u64)
    }

    pub(crate) fn sweep_rows(&self, table: &Table, generation: u32, now_ms: i64) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let past = |(_, row): &(&Vec<u8>, &Row)| table.is_past(row, now_ms);
        let keys = state.rows(table, generation)?.iter().filter(past).take(SWEPT).map(|(key, _)| key.clone());
        let keys: Vec<Vec<u8>> = keys.collect();
        if !keys.is_empty()
            && let Some(rows) = Arc::make_mut(&mut state).tables.get_mut(&physical(&table.name, generation))
        {
            let rows = Arc::make_mut(rows);
            keys.iter().for_each(|key| drop(rows.remove(key)));
        }
        Ok(keys.len() as u64)
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl State {
    fn positions_of(&self, topology: &str, generation: u32) -> Result<&Positions, StoreError> {
        let found = self.positions.get(&(topology.to_owned(), generation));
        found.ok_or_else(|| StoreError::NoGeneration { topology: topology.to_owned(), generation })
    }

    fn rows(&self, table: &Table, generation: u32) -> Result<&Arc<Rows>, StoreError> {
        self.tables.get(&physical(&table.name, generation)).ok_or_else(|| StoreError::NoGeneration {
            topology: self.views.get(&table.name).cloned().unwrap_or_else(|| format!("of view {}", table.name)),
            generation,
        })
    }

    fn get(&self, table: &Table, generation: u32, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let rows = self.rows(table, generation)?;
        let keys = shape::lookup_keys(table, keys)?;
        let row = |key: std::borrow::Cow<'_, [_]>| rows.get(&order::key_bytes(table, &key)).cloned();
        Ok(keys.into_iter().map(|key| key.and_then(row)).collect())
    }

    fn park(&mut self, target: &FlushTarget, record: &ParkedRecord, limits: Limits) {
        let (topology, generation) = (&target.topology, target.generation);
        let kept = match &record.key {
            None => Kept::Whole,
            Some(key) => {
                let place = (topology.clone(), generation, record.topic.clone(), record.partition, key.to_vec());
                let keys = Arc::make_mut(&mut self.parked_keys);
                keys.entry(place).or_insert(KeyCount::before(record.offset)).add(record.offset, limits)
            }
        };
        let place = (topology.clone(), generation, record.topic.clone(), record.partition, record.offset);
        if kept == Kept::Whole || self.parked.contains_key(&place) {
            Arc::make_mut(&mut self.parked).insert(place, record.clone());
        }
    }
}

/// See [`Flush`](crate::Flush).
pub struct MemoryFlush {
    store: MemoryStore,
    target: FlushTarget,
    moves: Vec<PositionMove>,
    _writer: OwnedMutexGuard<()>,
}

impl MemoryFlush {
    pub(crate) async fn read(&mut self, table: &Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.store.snapshot().state.get(table, self.target.generation, keys)
    }

    pub(crate) async fn commit(
        self,
        writes: &[(&Table, &ViewWrites)],
        parked: &[ParkedRecord],
    ) -> Result<(), StoreError> {
        let checked: Vec<Checked> =
            writes.iter().map(|(table, writes)| Checked::of(table, writes)).collect::<Result<_, _>>()?;
        {
            let mut state = self.store.lock();
            for (table, _) in writes {
                state.rows(table, self.target.generation)?;
            }
            let state = Arc::make_mut(&mut state);
            for ((table, _), checked) in writes.iter().zip(checked) {
                if let Some(rows) = state.tables.get_mut(&physical(&table.name, self.target.generation)) {
                    checked.apply(Arc::make_mut(rows));
                }
            }
            for record in parked {
                state.park(&self.target, record, self.store.inner.limits);
            }
            let positions = state.positions.entry((self.target.topology.clone(), self.target.generation)).or_default();
            for step in &self.moves {
                positions.insert((step.topic.clone(), step.partition), (step.topic_id, step.to));
            }
        }
        self.store.inner.changed.send_modify(|commits| *commits += 1);
        Ok(())
    }
}

impl fmt::Debug for MemoryFlush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFlush").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Writes that fit their table, by the bytes of their keys.
struct Checked {
    partitions: Vec<Vec<u8>>,
    deletes: Vec<Vec<u8>>,
    puts: Vec<(Vec<u8>, Row)>,
}

impl Checked {
    fn of(table: &Table, writes: &ViewWrites) -> Result<Self, StoreError> {
        let mut checked = Checked { partitions: Vec::new(), deletes: Vec::new(), puts: Vec::new() };
        for (key, position) in &writes.partition_deletes {
            let fitted = shape::partition_values(table, key)
                .map_err(|unfit| shape::refused(table, key, Some(*position), unfit.reason()))?;
            checked.partitions.push(order::key_bytes(table, &fitted));
        }
        for (key, position) in &writes.deletes {
            let fitted = shape::key_values(table, key)
                .map_err(|unfit| shape::refused(table, key, Some(*position), unfit.reason()))?;
            checked.deletes.push(order::key_bytes(table, &fitted));
        }
        for row in &writes.puts {
            let fitted = shape::row(table, row).map_err(|unfit| {
                let key = &row.values[..table.key_len().min(row.values.len())];
                shape::refused(table, key, Some(row.position), unfit.reason())
            })?;
            let key = order::key_bytes(table, fitted.key(table));
            if row.hidden {
                checked.deletes.push(key);
            } else {
                checked.puts.push((key, fitted.into_owned()));
            }
        }
        Ok(checked)
    }

    fn apply(self, rows: &mut Rows) {
        for partition in self.partitions {
            let keys: Vec<Vec<u8>> = in_partition(rows, &partition, None).map(|(key, _)| key.clone()).collect();
            for key in keys {
                rows.remove(&key);
            }
        }
        for key in self.deletes {
            rows.remove(&key);
        }
        rows.extend(self.puts);
    }
}

/// The rows whose key starts with these bytes, in order, past `after`.
fn in_partition<'r>(
    rows: &'r Rows,
    partition: &'r [u8],
    after: Option<Vec<u8>>,
) -> impl Iterator<Item = (&'r Vec<u8>, &'r Row)> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let from = after.map_or_else(|| Included(partition.to_vec()), Excluded);
    rows.range((from, Unbounded)).take_while(move |(key, _)| key.starts_with(partition))
}

/// See [`Snapshot`](crate::Snapshot).
pub(crate) struct MemorySnapshot {
    state: Arc<State>,
}

impl MemorySnapshot {
    pub(crate) async fn positions(
        &mut self,
        topology: &str,
        generation: u32,
    ) -> Result<Vec<StoredPosition>, StoreError> {
        let stored = self.state.positions.get(&(topology.to_owned(), generation));
        let position = |((topic, partition), (topic_id, next)): (&(String, i32), &([u8; 16], i64))| StoredPosition {
            topic: topic.clone(),
            topic_id: *topic_id,
            partition: *partition,
            next: *next,
        };
        Ok(stored.into_iter().flatten().map(position).collect())
    }

    pub(crate) async fn active(&mut self, topology: &str) -> Result<Option<Active>, StoreError> {
        Ok(self.state.deployed.get(topology).and_then(|known| known.active.clone()))
    }

    pub(crate) async fn get(
        &mut self,
        table: &Table,
        generation: u32,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        self.state.get(table, generation, keys)
    }

    pub(crate) async fn page(
        &mut self,
        table: &Table,
        generation: u32,
        page: &PageRequest,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.state.rows(table, generation)?;
        let Some(mut start) = shape::lookup(table, shape::partition_values(table, &page.partition))? else {
            return Ok(Vec::new());
        };
        let partition = order::key_bytes(table, &start);
        let after = match &page.after {
            None => None,
            Some(after) => match shape::lookup(table, shape::clustering_values(table, after))? {
                None => return Ok(Vec::new()),
                Some(after) => {
                    start.to_mut().extend_from_slice(&after);
                    Some(order::key_bytes(table, &start))
                }
            },
        };
        Ok(in_partition(rows, &partition, after).take(page.limit).map(|(_, row)| row.clone()).collect())
    }

    pub(crate) async fn table_rows(
        &mut self,
        table: &Table,
        generation: u32,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.state.rows(table, generation)?.values().take(limit).cloned().collect())
    }
}

impl fmt::Debug for MemorySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySnapshot").finish_non_exhaustive()
    }
}
