//! Connections, lent out with a transaction open, and what their errors mean.
//!
//! SQLite itself may roll a transaction back (disk full, I/O error), so whether one is open is never assumed: a
//! connection goes back among the idle ones only after a COMMIT or ROLLBACK that succeeded; otherwise it is closed, which
//! undoes whatever it had begun.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{SqliteOptions, StoreError};

/// In the file's header: this database is a view store.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"HdwV");

const WRITER_CACHE_KIB: u32 = 32 * 1024;
const READER_CACHE_KIB: u32 = 4 * 1024;
/// Pages in the WAL before a commit folds it into the file: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4096;
const WAL_BYTES_KEPT: u32 = 64 * 1024 * 1024;
/// Prepared statements kept a connection.
const STATEMENTS: usize = 256;
/// Rows that a connection's thread reads ahead of its task.
const ROWS_AHEAD: usize = 512;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

pub(super) struct Connections {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Arc<Semaphore>,
    most: u32,
    wait: Duration,
}

impl Connections {
    pub(super) fn new(options: &SqliteOptions, role: Role) -> Arc<Self> {
        let writes = role == Role::Writer;
        let most = if writes { 1 } else { options.readers.max(1) };
        let cache_kib = if writes { WRITER_CACHE_KIB } else { READER_CACHE_KIB };
        let connect = plain(&options.path)
            .busy_timeout(options.busy_timeout)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(ROWS_AHEAD)
            .pragma("cache_size", format!("-{cache_kib}"))
            .pragma("temp_store", "MEMORY")
            .pragma("trusted_schema", "OFF")
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
            .pragma("journal_size_limit", WAL_BYTES_KEPT.to_string())
            .pragma("query_only", if writes { "OFF" } else { "ON" });
        let permits = Arc::new(Semaphore::new(most as usize));
        Arc::new(Self { options: connect, idle: Mutex::default(), permits, most, wait: options.busy_timeout })
    }

    /// A connection on which `begin` has been executed (nothing, if empty).
    pub(super) async fn lease(self: &Arc<Self>, begin: &'static str, doing: &'static str) -> Result<Lease, StoreError> {
        let permit = tokio::time::timeout(self.wait, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| {
                StoreError::unavailable(doing, "every connection is in use; too much at once, or a slow disk")
            })?
            .map_err(|_| StoreError::unavailable(doing, "the store was closed"))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(|error| failed(doing, error))?,
        };
        if !begin.is_empty() {
            sqlx::raw_sql(begin).execute(&mut connection).await.map_err(|error| failed(doing, error))?;
        }
        Ok(Lease { home: Arc::clone(self), connection: Some(connection), permit: Some(permit), doing })
    }

    /// Waits for what is lent out, then closes everything; nothing is lent from then on.
    pub(super) async fn close(&self) {
        let _all = self.permits.acquire_many(self.most).await;
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "a connection to the view store did not close");
            }
        }
    }

    fn put_back(&self, connection: SqliteConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// A connection on loan. Dropped without [`Lease::end`], its transaction is rolled back behind the scenes.
pub(super) struct Lease {
    home: Arc<Connections>,
    connection: Option<SqliteConnection>,
    permit: Option<OwnedSemaphorePermit>,
    doing: &'static str,
}

impl Lease {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let doing = self.doing;
        self.connection.as_mut().ok_or_else(|| StoreError::unavailable(doing, "the connection was lost"))
    }

    /// Ends with `COMMIT` or `ROLLBACK` and gives the connection back. Where that fails, all is rolled back.
    pub(super) async fn end(mut self, how: &'static str) -> Result<(), StoreError> {
        let connection = self.connection()?;
        let ended = sqlx::raw_sql(how).execute(connection).await;
        match ended {
            Ok(_) => {
                if let Some(connection) = self.connection.take() {
                    self.home.put_back(connection);
                }
                Ok(())
            }
            Err(error) => Err(failed(self.doing, error)),
        }
    }

    /// Gives back a connection on which no transaction was begun.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.put_back(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(mut connection), permit) = (self.connection.take(), self.permit.take()) else { return };
        let home = Arc::clone(&self.home);
        // Without a runtime the connection just closes, which rolls back too.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.is_ok() {
                home.put_back(connection);
            }
            drop(permit);
        });
    }
}

fn plain(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(false).disable_statement_logging()
}

/// Makes the folder and looks whether the file, if there is one, is ours, before anything is changed in it.
pub(super) async fn prepare(options: &SqliteOptions) -> Result<(), StoreError> {
    const DOING: &str = "opening the store";
    if let Some(folder) = options.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        tokio::fs::create_dir_all(folder).await.map_err(|error| StoreError::unavailable(DOING, error))?;
    }
    let not_ours = || StoreError::NotAStore { path: options.path.display().to_string() };
    let deadline = Instant::now() + options.busy_timeout;
    loop {
        match probe(options).await {
            Ok((_, 0)) | Ok((APPLICATION_ID, _)) => return Ok(()),
            Ok(_) => return Err(not_ours()),
            Err(error) if code(&error) == Some(26) => return Err(not_ours()),
            // Switching to WAL needs the file for itself for a moment and does not wait for it.
            Err(error) if code(&error) == Some(5) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(failed(DOING, error)),
        }
    }
}

/// The file's application id and how many tables it has. Switches an empty file or one of ours to WAL.
async fn probe(options: &SqliteOptions) -> Result<(i32, i64), sqlx::Error> {
    let mut connection = plain(&options.path).busy_timeout(options.busy_timeout).connect().await?;
    // One moment of the file: another process may be making it a store just now.
    sqlx::raw_sql("BEGIN").execute(&mut connection).await?;
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
    sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
    if tables == 0 || id == APPLICATION_ID {
        sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok((id, tables))
}

/// SQLite's primary result code.
pub(super) fn code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Whether SQLite refused a row rather than failed: a constraint, a type, a value too big.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(18..=20))
}

/// What an error of the driver is to a caller.
pub(super) fn failed(doing: &'static str, error: sqlx::Error) -> StoreError {
    match code(&error) {
        Some(11 | 26) => StoreError::corrupt("the database file", error.to_string()),
        Some(1) => StoreError::corrupt(doing, error.to_string()),
        _ if matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }) => {
            StoreError::corrupt(doing, error.to_string())
        }
        _ => StoreError::unavailable(doing, error),
    }
}
