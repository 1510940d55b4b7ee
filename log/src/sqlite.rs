//! The embedded log: one SQLite file, `log.db`, in WAL mode with `synchronous=FULL`.
//!
//! One task writes. It takes whatever appends are waiting, writes them in one transaction and acknowledges them after its
//! commit, so that a thousand callers share one sync of the disk. Offsets are given inside the transaction, which is what
//! lets several processes append to one file: SQLite lets one of them write at a time. Readers have connections of their own
//! and never wait for the writer.

mod append;
mod file;
mod groups;
mod headers;
mod read;
mod retention;
mod schema;
mod topics;
mod watch;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::{Mutex, watch as tokio_watch};
use tokio::task::JoinHandle;

use crate::error::LogError;
use crate::limits::Limits;
use crate::log::Once;
use crate::record::{Appended, NewRecord};
use append::Queue;
use file::{LogFile, WriteConnection};
use groups::Commits;
use read::Entry;

/// How the embedded log is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub limits: Limits,
    /// How long a write waits for another process's before it is [`LogError::Unavailable`]. Default 5 s.
    pub busy_timeout: Duration,
    /// Connections for reading. Default 4.
    pub readers: u32,
    /// The file grows no further than this; appends beyond are [`LogError::Unavailable`] until retention makes room. None, the
    /// default, is as far as the disk goes. The write-ahead log beside the file comes on top: some 20 MB, and while a long
    /// read is under way, more.
    pub max_file_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            limits: Limits::default(),
            busy_timeout: Duration::from_secs(5),
            readers: 4,
            max_file_bytes: None,
        }
    }
}

/// The log in a SQLite file. Clones share it.
#[derive(Clone, Debug)]
pub struct SqliteLog(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    queue: Queue,
    writer: StdMutex<Option<JoinHandle<()>>>,
    limits: Limits,
}

/// What the log's tasks and its callers share. It lives until the writer has written what was accepted.
#[derive(Debug)]
struct Shared {
    file: LogFile,
    /// The one connection that writes. Also the order of writers within this process.
    write: Mutex<WriteConnection>,
    readers: SqlitePool,
    /// Topics by name, as last seen. An entry may be outdated (another process may delete the topic): its slots then hold
    /// nothing any more, which each use checks.
    topics: RwLock<HashMap<String, Arc<Entry>>>,
    changed: tokio_watch::Sender<u64>,
    commits: Commits,
}

impl SqliteLog {
    /// Opens `log.db` in this folder, creating both if need be. Within a tokio runtime.
    pub async fn open(folder: &Path, options: SqliteOptions) -> Result<SqliteLog, LogError> {
        let file = LogFile::new(folder, &options)?;
        let write = WriteConnection::open(&file).await?;
        let shared = Arc::new(Shared {
            readers: file.readers(options.readers),
            file,
            write: Mutex::new(write),
            topics: RwLock::default(),
            changed: tokio_watch::Sender::new(0),
            commits: Commits::default(),
        });
        let (queue, writer) = append::start(Arc::clone(&shared));
        watch::start(&shared);
        groups::start(&shared);
        let (writer, limits) = (StdMutex::new(Some(writer)), options.limits);
        Ok(SqliteLog(Arc::new(Handle { shared, queue, writer, limits })))
    }

    pub(crate) async fn append(&self, topic: &str, record: NewRecord) -> Result<Appended, LogError> {
        self.0.limits.check(topic, &record)?;
        let appended = self.0.queue.submit(topic, vec![record], None).await?;
        appended.first().copied().ok_or(LogError::Closed)
    }

    pub(crate) async fn append_once(&self, topic: &str, record: NewRecord, once: Once) -> Result<Appended, LogError> {
        self.0.limits.check(topic, &record)?;
        let appended = self.0.queue.submit(topic, vec![record], Some(once)).await?;
        appended.first().copied().ok_or(LogError::Closed)
    }

    pub(crate) async fn append_all(&self, topic: &str, records: Vec<NewRecord>) -> Result<Vec<Appended>, LogError> {
        for record in &records {
            self.0.limits.check(topic, record)?;
        }
        let mut appended = Vec::with_capacity(records.len());
        // One part after the other, so that what is written when one fails is what came first.
        for part in append::parts(records) {
            appended.extend(self.0.queue.submit(topic, part, None).await?);
        }
        Ok(appended)
    }

    pub(crate) fn changed(&self) -> tokio_watch::Receiver<u64> {
        self.0.shared.changed.subscribe()
    }

    /// Writes what was accepted, then closes every connection: the last to close leaves one file, without its write-ahead log.
    pub(crate) async fn close(&self) {
        self.0.queue.close();
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.await.is_err()
        {
            tracing::error!("the log's writer ended before it was told to");
        }
        let shared = &self.0.shared;
        if let Err(error) = shared.flush_commits().await {
            tracing::warn!(%error, "offsets of consumer groups were not written; only tools that show lag read them");
        }
        shared.readers.close().await;
        shared.write.lock().await.close().await;
        shared.notify();
    }
}

impl Shared {
    fn notify(&self) {
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Runs work that must not stop half-way where its caller is dropped.
    async fn detached<T, W>(work: W) -> Result<T, LogError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, LogError>> + Send + 'static,
    {
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(LogError::Closed),
        }
    }
}
