//! The store on Cassandra: one keyspace, any number of processes, no transactions.
//!
//! What is promised is at-least-once delivery made idempotent: every write carries the offset of the event that last
//! touched its row, as its timestamp and in the row, and an older one never wins. Queries are no snapshots across rows:
//! derived views lead their sources for a moment. Beside the views' tables the keyspace holds:
//!
//! | table | what |
//! |---|---|
//! | `<view>_g<generation>` | a view's rows: visible columns, then `_s_<name>` (state), `_pos` and `_part` (the event that a row reflects) and `_hidden` (a guard: a row that is gone, kept for its position) |
//! | | of shared rows a part for each partition that feeds them: `_part` and `_lane` end the key, and readers merge |
//! | `_format`, `_catalog`, `_views` | the store's format; which generation runs; whose a view's name is |
//! | `_positions`, `_parked_keys`, `_parked`, `_claims` | what they say; `_parked_keys` also holds who took a partition over |
//!
//! Timestamps are offsets, small numbers: a `DELETE` or `UPDATE` by hand carries a clock's and hides the row from the
//! pipeline for good, until the topology is folded anew. Guards are kept for [`CassandraOptions::guards`]: a worker that
//! was frozen for longer must not wake up.
//!
//! Rows that are shown for some days (`retain`), and of which nothing is made again, are written with a time to live: what
//! is left of those days. Where nothing is left they are written as what is gone.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use headwater_engine::table::{Key, Row, Table};
use secrecy::SecretString;
use tokio::sync::watch;

use crate::{
    Active, Claim, Deployment, FlushTarget, Limits, PageRequest, Parked, ParkedFilter, ParkedKey, PositionMove,
    StoreError, StoredPosition,
};

mod bound;
mod catalog;
mod cell;
mod claims;
mod connection;
mod facts;
mod fault;
mod flush;
mod layout;
mod lifetime;
mod parked;
mod positions;
mod read;

pub use facts::{CassandraFacts, KeyspaceHolds, KeyspaceRights, NodeAnswer, NodeFacts, TableFacts};
pub(crate) use flush::CassandraFlush;

use connection::Connection;
use layout::Layouts;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct CassandraOptions {
    /// `host:port` of some nodes; the others are found through them.
    pub nodes: Vec<String>,
    /// It must exist, with the replication that the data needs.
    pub keyspace: String,
    /// Makes the keyspace where it is missing, with the replication of this one.
    pub like: Option<String>,
    /// The datacenter whose nodes are asked, and whose quorum counts. None where there is only one.
    pub datacenter: Option<String>,
    pub login: Option<(String, SecretString)>,
    pub tls: bool,
    /// Certificates, as PEM, that sign the nodes' own; the system's where there is none. Implies TLS.
    pub ca_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    /// How long one statement may take.
    pub request_timeout: Duration,
    /// Statements under way at once, of one flush or read.
    pub concurrency: usize,
    /// How long the guard of a row that is gone is kept: well past the longest freeze of a worker that is tolerated, and
    /// not longer than the tables' `gc_grace_seconds` (10 days).
    pub guards: Duration,
    /// Tells how long a row that is kept for some days is still to live when it is written. It may run differently from
    /// Cassandra's own and from readers': rows go a little sooner or later, and are hidden by readers' clocks.
    pub clock: fn() -> SystemTime,
    pub limits: Limits,
}

impl CassandraOptions {
    pub fn new(nodes: Vec<String>, keyspace: impl Into<String>) -> Self {
        Self {
            nodes,
            keyspace: keyspace.into(),
            like: None,
            datacenter: None,
            login: None,
            tls: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            concurrency: 128,
            guards: Duration::from_secs(7 * 86_400),
            clock: SystemTime::now,
            limits: Limits::default(),
        }
    }
}

/// See [`Store::open_cassandra`](crate::Store::open_cassandra).
#[derive(Clone)]
pub struct CassandraStore {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    concurrency: usize,
    guard_seconds: i32,
    clock: fn() -> SystemTime,
    limits: Limits,
    layouts: Layouts,
    changed: watch::Sender<u64>,
}

impl CassandraStore {
    pub(crate) async fn open(options: CassandraOptions) -> Result<Self, StoreError> {
        catalog::check_keyspace(&options.keyspace)?;
        let connection = Connection::open(&options).await?;
        catalog::migrate(&connection).await?;
        let inner = Inner {
            connection,
            concurrency: options.concurrency.max(1),
            guard_seconds: i32::try_from(options.guards.as_secs()).unwrap_or(i32::MAX),
            clock: options.clock,
            limits: options.limits,
            layouts: Layouts::default(),
            changed: watch::Sender::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn keyspace(&self) -> &str {
        self.inner.connection.keyspace()
    }

    pub(crate) async fn create(&self, deployment: &Deployment) -> Result<u32, StoreError> {
        catalog::create(&self.inner.connection, deployment).await
    }

    pub(crate) async fn active(&self, topology: &str) -> Result<Option<Active>, StoreError> {
        catalog::active(&self.inner.connection, topology).await
    }

    pub(crate) async fn next_generation(&self, topology: &str) -> Result<u32, StoreError> {
        Ok(catalog::last_generation(&self.inner.connection, topology).await? + 1)
    }

    pub(crate) async fn reset(&self, topology: &str) -> Result<u32, StoreError> {
        catalog::reset(&self.inner.connection, topology).await
    }

    pub(crate) async fn positions(&self, topology: &str, generation: u32) -> Result<Vec<StoredPosition>, StoreError> {
        positions::all(&self.inner.connection, topology, generation).await
    }

    pub(crate) async fn take_over(
        &self,
        target: &FlushTarget,
        places: &[(String, i32)],
    ) -> Result<Vec<i64>, StoreError> {
        parked::take_over(&self.inner.connection, target, places).await
    }

    pub(crate) async fn begin(
        &self,
        target: &FlushTarget,
        moves: &[PositionMove],
    ) -> Result<CassandraFlush, StoreError> {
        CassandraFlush::begin(self, target, moves).await
    }

    pub(crate) fn snapshot(&self) -> CassandraSnapshot {
        CassandraSnapshot { store: self.clone() }
    }

    pub(crate) async fn parked(
        &self,
        topology: &str,
        filter: &ParkedFilter,
        limit: usize,
    ) -> Result<Vec<Parked>, StoreError> {
        let connection = &self.inner.connection;
        let last = catalog::last_generation(connection, topology).await?;
        parked::list(connection, topology, last, filter, limit).await
    }

    pub(crate) async fn parked_keys(&self, topology: &str, generation: u32) -> Result<Vec<ParkedKey>, StoreError> {
        parked::keys(&self.inner.connection, topology, generation).await
    }

    pub(crate) async fn claim(&self, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
        claims::read(&self.inner.connection, kind, key).await
    }

    pub(crate) async fn swap_claim(
        &self,
        kind: &str,
        key: &[u8],
        expected: Option<i64>,
        body: &[u8],
        expires_at_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        claims::swap(&self.inner.connection, kind, key, expected, body, expires_at_ms).await
    }

    pub(crate) async fn drop_claim(&self, kind: &str, key: &[u8], expected: i64) -> Result<bool, StoreError> {
        claims::remove(&self.inner.connection, kind, key, expected).await
    }

    /// Drops the keyspace.
    pub(crate) async fn destroy(&self) -> Result<(), StoreError> {
        let cql = format!("DROP KEYSPACE IF EXISTS {}", connection::quoted(self.keyspace()));
        self.inner.connection.define(&cql, "dropping the store").await
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }
}

impl fmt::Debug for CassandraStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CassandraStore").field("keyspace", &self.keyspace()).finish_non_exhaustive()
    }
}

/// See [`Snapshot`](crate::Snapshot). Not one moment: what it reads is as it is when it is read.
pub(crate) struct CassandraSnapshot {
    store: CassandraStore,
}

impl CassandraSnapshot {
    pub(crate) async fn positions(
        &mut self,
        topology: &str,
        generation: u32,
    ) -> Result<Vec<StoredPosition>, StoreError> {
        self.store.positions(topology, generation).await
    }

    pub(crate) async fn active(&mut self, topology: &str) -> Result<Option<Active>, StoreError> {
        self.store.active(topology).await
    }

    pub(crate) async fn get(
        &mut self,
        table: &Table,
        generation: u32,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::seen_rows(&self.store, &layout, keys).await
    }

    pub(crate) async fn page(
        &mut self,
        table: &Table,
        generation: u32,
        page: &PageRequest,
    ) -> Result<Vec<Row>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::page(&self.store, &layout, page).await
    }

    pub(crate) async fn table_rows(
        &mut self,
        table: &Table,
        generation: u32,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::all(&self.store, &layout, limit).await
    }
}

impl fmt::Debug for CassandraSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CassandraSnapshot").field("store", &self.store).finish_non_exhaustive()
    }
}
