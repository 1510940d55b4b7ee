//! The file and the connections to it.
//!
//! A connection on which a transaction failed is thrown away: SQLite may have rolled back by itself, or not, and a new
//! connection is the one state that is known for certain.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::error::LogError;
use crate::sqlite::{SqliteOptions, schema};

const PAGE_BYTES: u32 = 4096;

/// How long a read waits for one of the read connections.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Rows that SQLite may read ahead of us: with records of the largest size this bounds what a read holds in memory.
const ROWS_AHEAD: usize = 32;

/// Where the log is and how to connect to it.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    options: SqliteConnectOptions,
    busy_timeout: Duration,
}

impl LogFile {
    pub(super) fn new(folder: &Path, options: &SqliteOptions) -> Result<LogFile, LogError> {
        std::fs::create_dir_all(folder).map_err(|error| LogError::Unavailable {
            cause: format!("the folder {} cannot be created: {error}", folder.display()),
        })?;
        let path = folder.join("log.db");
        let mut connect = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(options.busy_timeout)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // 16 MB between checkpoints, a write-ahead log that shrinks back to 64 MB, 16 MB of cache.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-16000")
            .row_buffer_size(ROWS_AHEAD)
            .thread_name(|id| format!("log-sqlite-{id}"))
            .disable_statement_logging();
        if let Some(bytes) = options.max_file_bytes {
            let pages = (bytes / u64::from(PAGE_BYTES)).clamp(1, u64::from(u32::MAX - 1));
            connect = connect.pragma("max_page_count", pages.to_string());
        }
        Ok(LogFile { path, options: connect, busy_timeout: options.busy_timeout })
    }

    /// Connections that can only read.
    pub(super) fn readers(&self, connections: u32) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(self.options.clone().pragma("query_only", "on"))
    }

    pub(super) async fn connect_reader(&self) -> Result<SqliteConnection, LogError> {
        let options = self.options.clone().pragma("query_only", "on");
        options.connect().await.map_err(|error| self.fault("open", &error))
    }

    /// What SQLite's error means to a caller of the log.
    pub(super) fn fault(&self, doing: &str, error: &sqlx::Error) -> LogError {
        let path = self.path.display();
        match error {
            sqlx::Error::PoolClosed => LogError::Closed,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                self.corrupt(error.to_string())
            }
            sqlx::Error::Database(database) => match primary_code(database.code()) {
                // SQLITE_CORRUPT, SQLITE_NOTADB; and a table that is missing or a row that is there already
                // (SQLITE_ERROR, SQLITE_CONSTRAINT, SQLITE_MISMATCH): the log writes neither such a query nor such a row.
                Some(11 | 26 | 1 | 19 | 20) => self.corrupt(database.message().to_owned()),
                _ => LogError::Unavailable { cause: format!("cannot {doing} {path}: {}", database.message()) },
            },
            _ => LogError::Unavailable { cause: format!("cannot {doing} {path}: {error}") },
        }
    }

    pub(super) fn corrupt(&self, cause: String) -> LogError {
        LogError::Corrupt { path: self.path.clone(), cause }
    }
}

/// SQLite's primary result code; the extended one has it in its low byte.
fn primary_code(code: Option<Cow<'_, str>>) -> Option<i32> {
    Some(code?.parse::<i32>().ok()? & 0xff)
}

/// The connection that writes.
#[derive(Debug)]
pub(super) struct WriteConnection {
    file: LogFile,
    connection: Option<SqliteConnection>,
    closed: bool,
}

impl WriteConnection {
    /// Connects, creating the file and bringing its tables up to date.
    pub(super) async fn open(file: &LogFile) -> Result<WriteConnection, LogError> {
        let deadline = Instant::now() + file.busy_timeout;
        loop {
            // Changing a new file to WAL mode takes a lock that SQLite does not wait for: where two processes open it at
            // once, one of them is told that it is locked.
            match Self::try_open(file).await {
                Ok(connection) => {
                    return Ok(WriteConnection { file: file.clone(), connection: Some(connection), closed: false });
                }
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_open(file: &LogFile) -> Result<SqliteConnection, LogError> {
        let mut options = file.options.clone();
        // What only a new file can be given. On one that exists, asking for incremental vacuum takes the write lock, even
        // where nothing changes: no other connection does, or readers would wait for writers.
        if std::fs::metadata(&file.path).map_or(0, |found| found.len()) == 0 {
            let vacuum = SqliteAutoVacuum::Incremental;
            options = options.create_if_missing(true).page_size(PAGE_BYTES).auto_vacuum(vacuum);
        }
        let mut connection = options.connect().await.map_err(|error| file.fault("open", &error))?;
        schema::prepare(file, &mut connection).await?;
        Ok(connection)
    }

    /// Begins a transaction that holds SQLite's write lock from the start.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, LogError> {
        let file = self.file.clone();
        let connection = self.connection().await?;
        connection.begin_with("begin immediate").await.map_err(|error| file.fault("write to", &error))
    }

    /// The connection itself, for what is no transaction.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, LogError> {
        if self.closed {
            return Err(LogError::Closed);
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => {
                // Without creating it: an empty log in place of one that has gone would be no log at all.
                let connection = self.file.options.connect().await;
                Ok(none.insert(connection.map_err(|error| self.file.fault("open", &error))?))
            }
        }
    }

    /// To be called with the result of each use: after a failure of the file the next use gets a new connection.
    pub(super) async fn settle<T>(&mut self, result: Result<T, LogError>) -> Result<T, LogError> {
        if matches!(result, Err(LogError::Unavailable { .. } | LogError::Corrupt { .. }))
            && let Some(connection) = self.connection.take()
            && let Err(error) = connection.close_hard().await
        {
            tracing::debug!(%error, "a failed connection to the log did not close cleanly");
        }
        result
    }

    pub(super) async fn close(&mut self) {
        self.closed = true;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the log's connection did not close cleanly");
        }
    }
}
