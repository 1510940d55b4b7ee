//! The embedded store: one SQLite file, several processes.
//!
//! WAL, so that readers and the writer do not wait for each other; `synchronous=FULL`, because claims are facts that no
//! log holds. One writer a process, taken by a flush for its whole transaction, and a few readers. Beside the views'
//! tables it holds:
//!
//! | table | what |
//! |---|---|
//! | `<view>_g<generation>` | a view's rows: visible columns, then `_s_<name>` (state), `_pos` and `_part` (the event that a row reflects) |
//! | `<view>` | an SQL view of the active generation's visible columns, decimals in keys as plain numbers |
//! | `_generations`, `_tables` | the catalog |
//! | `_positions`, `_parked`, `_parked_keys`, `_claims` | what they say |

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headwater_engine::table::{Key, Row, Table};
use headwater_schemas::Value;
use tokio::sync::watch;

use crate::{
    Active, Claim, Deployment, FlushTarget, Limits, PageRequest, Parked, ParkedFilter, ParkedKey, PositionMove,
    StoreError, StoredPosition,
};

mod catalog;
mod cell;
mod claims;
mod connections;
mod flush;
mod layout;
mod parked;
mod read;
mod statement;
mod sweep;

pub(crate) use flush::SqliteFlush;

use connections::{Connections, Lease};
use layout::Layouts;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The database file; it and its folder are made if missing.
    pub path: PathBuf,
    /// Connections that read, at most.
    pub readers: u32,
    /// How long to wait for another process's write, or for a connection, before saying
    /// [`StoreError::Unavailable`].
    pub busy_timeout: Duration,
    pub limits: Limits,
}

impl SqliteOptions {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), readers: 4, busy_timeout: Duration::from_secs(5), limits: Limits::default() }
    }
}

/// See [`Store::open_sqlite`](crate::Store::open_sqlite).
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    options: SqliteOptions,
    writer: Arc<Connections>,
    readers: Arc<Connections>,
    layouts: Layouts,
    changed: watch::Sender<u64>,
}

impl SqliteStore {
    pub(crate) async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        connections::prepare(&options).await?;
        let writer = Connections::new(&options, connections::Role::Writer);
        let readers = Connections::new(&options, connections::Role::Reader);
        catalog::migrate(&writer).await?;
        let (layouts, changed) = (Layouts::default(), watch::Sender::new(0));
        Ok(Self { inner: Arc::new(Inner { options, writer, readers, layouts, changed }) })
    }

    pub(crate) async fn create(&self, deployment: &Deployment) -> Result<u32, StoreError> {
        catalog::create(&self.inner.writer, deployment).await
    }

    pub(crate) async fn active(&self, topology: &str) -> Result<Option<Active>, StoreError> {
        let mut lease = self.reader("reading the catalog").await?;
        let active = catalog::active(&mut lease, topology).await?;
        lease.end("ROLLBACK").await?;
        Ok(active)
    }

    pub(crate) async fn next_generation(&self, topology: &str) -> Result<u32, StoreError> {
        let mut lease = self.reader("reading the catalog").await?;
        let next = catalog::last_generation(&mut lease, topology).await? + 1;
        lease.end("ROLLBACK").await?;
        Ok(next)
    }

    pub(crate) async fn reset(&self, topology: &str) -> Result<u32, StoreError> {
        catalog::reset(&self.inner.writer, topology).await
    }

    pub(crate) async fn positions(&self, topology: &str, generation: u32) -> Result<Vec<StoredPosition>, StoreError> {
        let mut lease = self.reader("reading positions").await?;
        let positions = read::positions(&mut lease, topology, generation).await?;
        lease.end("ROLLBACK").await?;
        Ok(positions)
    }

    pub(crate) async fn begin(&self, target: &FlushTarget, moves: &[PositionMove]) -> Result<SqliteFlush, StoreError> {
        SqliteFlush::begin(self, target, moves).await
    }

    pub(crate) async fn snapshot(&self) -> Result<SqliteSnapshot, StoreError> {
        Ok(SqliteSnapshot { store: self.clone(), lease: self.reader("starting to read").await? })
    }

    pub(crate) async fn parked(
        &self,
        topology: &str,
        filter: &ParkedFilter,
        limit: usize,
    ) -> Result<Vec<Parked>, StoreError> {
        let mut lease = self.reader("reading parked records").await?;
        let parked = parked::list(&mut lease, topology, filter, limit).await?;
        lease.end("ROLLBACK").await?;
        Ok(parked)
    }

    pub(crate) async fn parked_keys(&self, topology: &str, generation: u32) -> Result<Vec<ParkedKey>, StoreError> {
        let mut lease = self.reader("reading parked keys").await?;
        let keys = parked::keys(&mut lease, topology, generation).await?;
        lease.end("ROLLBACK").await?;
        Ok(keys)
    }

    pub(crate) async fn claim(&self, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
        let mut lease = self.reader("reading a claim").await?;
        let claim = claims::read(&mut lease, kind, key).await?;
        lease.end("ROLLBACK").await?;
        Ok(claim)
    }

    pub(crate) async fn swap_claim(
        &self,
        kind: &str,
        key: &[u8],
        expected: Option<i64>,
        body: &[u8],
        expires_at_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        claims::swap(&self.inner.writer, kind, key, expected, body, expires_at_ms).await
    }

    pub(crate) async fn drop_claim(&self, kind: &str, key: &[u8], expected: i64) -> Result<bool, StoreError> {
        claims::remove(&self.inner.writer, kind, key, expected).await
    }

    pub(crate) async fn sweep_claims(&self, now_ms: i64) -> Result<u64, StoreError> {
        claims::sweep(&self.inner.writer, now_ms).await
    }

    pub(crate) async fn sweep_rows(&self, table: &Table, generation: u32, horizon: &Value) -> Result<u64, StoreError> {
        let layout = self.inner.layouts.of(table, generation);
        sweep::rows(&self.inner.writer, &layout, horizon).await
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    pub(crate) async fn close(&self) {
        self.inner.readers.close().await;
        // Last, as the last connection to close folds the WAL into the file.
        self.inner.writer.close().await;
    }

    /// Removes the file, and what SQLite keeps beside it while it is open.
    pub(crate) async fn destroy(&self) -> Result<(), StoreError> {
        self.close().await;
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.inner.options.path.clone().into_os_string();
            path.push(suffix);
            match tokio::fs::remove_file(path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::unavailable("removing the store's file", error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn reader(&self, doing: &'static str) -> Result<Lease, StoreError> {
        self.inner.readers.lease("BEGIN", doing).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.inner.options.path).finish_non_exhaustive()
    }
}

/// See [`Snapshot`](crate::Snapshot). A read transaction, ended when it is dropped.
pub(crate) struct SqliteSnapshot {
    store: SqliteStore,
    lease: Lease,
}

impl SqliteSnapshot {
    pub(crate) async fn positions(
        &mut self,
        topology: &str,
        generation: u32,
    ) -> Result<Vec<StoredPosition>, StoreError> {
        read::positions(&mut self.lease, topology, generation).await
    }

    pub(crate) async fn active(&mut self, topology: &str) -> Result<Option<Active>, StoreError> {
        catalog::active(&mut self.lease, topology).await
    }

    pub(crate) async fn get(
        &mut self,
        table: &Table,
        generation: u32,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::rows_of_keys(&mut self.lease, &layout, keys).await
    }

    pub(crate) async fn page(
        &mut self,
        table: &Table,
        generation: u32,
        page: &PageRequest,
    ) -> Result<Vec<Row>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::page(&mut self.lease, &layout, page).await
    }

    pub(crate) async fn table_rows(
        &mut self,
        table: &Table,
        generation: u32,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::all(&mut self.lease, &layout, limit).await
    }
}

impl fmt::Debug for SqliteSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSnapshot").field("store", &self.store).finish_non_exhaustive()
    }
}
