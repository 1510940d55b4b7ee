//! The registry in a SQLite file, shared by all processes of one machine.
//!
//! A registration is one transaction that takes SQLite's write lock first, so that two processes with one schema get one
//! id. Schemas never change once they have an id, so what was read once is kept.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::{First, RegistryError, Version, compatible, unreadable};
use crate::avsc::{Fingerprint, Schema};
use crate::key::KeySchema;
use crate::wire::SchemaId;

/// How long a process waits for another one's write.
const BUSY: Duration = Duration::from_secs(10);

/// Handles that find the file half made by another process try again, so often and so far apart.
const OPEN_TRIES: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(100);

const CONNECTIONS: u32 = 4;

/// `PRAGMA application_id`: `HwSr`.
const APPLICATION_ID: i64 = 0x4877_5372;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS schemas (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint BLOB NOT NULL UNIQUE,
    text        TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS versions (
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    id      INTEGER NOT NULL REFERENCES schemas (id),
    PRIMARY KEY (subject, version),
    UNIQUE (subject, id)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = 1215779698;
PRAGMA user_version = 1;
";

/// See [`Registry::Embedded`](super::Registry::Embedded).
#[derive(Clone, Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    place: String,
    pool: SqlitePool,
    known: RwLock<HashMap<SchemaId, Arc<Schema>>>,
}

impl Embedded {
    pub(super) async fn open(folder: &Path) -> Result<Self, RegistryError> {
        let file = folder.join("registry.db");
        let place = file.display().to_string();
        let unreachable = |reason: std::io::Error| RegistryError::Unreachable {
            place: place.clone(),
            reason: format!("its folder cannot be made: {reason}"),
        };
        tokio::fs::create_dir_all(folder).await.map_err(unreachable)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_lazy_with(options);
        let embedded = Self { shared: Arc::new(Shared { place, pool, known: RwLock::default() }) };
        embedded.prepare().await?;
        Ok(embedded)
    }

    /// Makes the tables. Turning a new file to WAL does not wait for others who do the same, so this does.
    async fn prepare(&self) -> Result<(), RegistryError> {
        let mut tries = 0;
        loop {
            match self.create_tables().await {
                Err(RegistryError::Unreachable { .. }) if tries < OPEN_TRIES => tries += 1,
                done => return done,
            }
            tokio::time::sleep(OPEN_PAUSE).await;
        }
    }

    async fn create_tables(&self) -> Result<(), RegistryError> {
        let mut write = self.shared.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.failed(e))?;
        let (application, version) = self.stamp(&mut write).await?;
        match (application, version) {
            (APPLICATION_ID, 1) => return Ok(()),
            (0, 0) => {}
            (APPLICATION_ID, newer) => {
                return Err(self.corrupt(format!("it was written by a later version of Headwater (format {newer})")));
            }
            _ => return Err(self.corrupt("the file belongs to another program".into())),
        }
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut *write)
            .await
            .map_err(|e| self.failed(e))?;
        if tables > 0 {
            return Err(self.corrupt("the file belongs to another program".into()));
        }
        sqlx::raw_sql(TABLES).execute(&mut *write).await.map_err(|e| self.failed(e))?;
        write.commit().await.map_err(|e| self.failed(e))?;
        tracing::info!(place = self.shared.place, "made a schema registry");
        Ok(())
    }

    async fn stamp(&self, connection: &mut SqliteConnection) -> Result<(i64, i64), RegistryError> {
        let application = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await;
        let version = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await;
        Ok((application.map_err(|e| self.failed(e))?, version.map_err(|e| self.failed(e))?))
    }

    pub(super) async fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, RegistryError> {
        let mut read = self.shared.pool.acquire().await.map_err(|e| self.failed(e))?;
        if let Some(id) = self.registered(&mut read, subject, schema).await? {
            return Ok(id);
        }
        drop(read);
        let mut write = self.shared.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.failed(e))?;
        let versions = self.versions_on(&mut write, subject).await?;
        if let Some(known) = versions.iter().find(|v| v.schema.fingerprint == schema.fingerprint) {
            return Ok(known.id);
        }
        compatible(subject, schema, &versions)?;
        let id =
            self.insert(&mut write, subject, schema.fingerprint, &schema.text).await.map_err(|e| self.failed(e))?;
        write.commit().await.map_err(|e| self.failed(e))?;
        let id = self.id(id)?;
        self.keep(id, Arc::new(schema.clone()));
        tracing::info!(subject, id = id.0, "registered a schema");
        Ok(id)
    }

    async fn registered(
        &self,
        connection: &mut SqliteConnection,
        subject: &str,
        schema: &Schema,
    ) -> Result<Option<SchemaId>, RegistryError> {
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT v.id FROM versions v JOIN schemas s ON s.id = v.id WHERE v.subject = ? AND s.fingerprint = ?",
        )
        .bind(subject)
        .bind(schema.fingerprint.0.as_slice())
        .fetch_optional(connection)
        .await
        .map_err(|e| self.failed(e))?;
        id.map(|id| self.id(id)).transpose()
    }

    async fn insert(
        &self,
        connection: &mut SqliteConnection,
        subject: &str,
        fingerprint: Fingerprint,
        text: &str,
    ) -> Result<i64, sqlx::Error> {
        let fingerprint = fingerprint.0.as_slice();
        sqlx::query("INSERT INTO schemas (fingerprint, text) VALUES (?, ?) ON CONFLICT (fingerprint) DO NOTHING")
            .bind(fingerprint)
            .bind(text)
            .execute(&mut *connection)
            .await?;
        let id = sqlx::query_scalar("SELECT id FROM schemas WHERE fingerprint = ?")
            .bind(fingerprint)
            .fetch_one(&mut *connection)
            .await?;
        sqlx::query(
            "INSERT INTO versions (subject, version, id)
             SELECT ?1, coalesce(max(version), 0) + 1, ?2 FROM versions WHERE subject = ?1",
        )
        .bind(subject)
        .bind(id)
        .execute(connection)
        .await?;
        Ok(id)
    }

    pub(super) async fn by_id(&self, id: SchemaId) -> Result<Arc<Schema>, RegistryError> {
        if let Some(schema) = self.known(id) {
            return Ok(schema);
        }
        let text: Option<String> = sqlx::query_scalar("SELECT text FROM schemas WHERE id = ?")
            .bind(i64::from(id.0))
            .fetch_optional(&self.shared.pool)
            .await
            .map_err(|e| self.failed(e))?;
        self.parse(id, &text.ok_or(RegistryError::UnknownId(id))?)
    }

    pub(super) async fn versions(&self, subject: &str) -> Result<Vec<Version>, RegistryError> {
        let mut connection = self.shared.pool.acquire().await.map_err(|e| self.failed(e))?;
        self.versions_on(&mut connection, subject).await
    }

    async fn versions_on(
        &self,
        connection: &mut SqliteConnection,
        subject: &str,
    ) -> Result<Vec<Version>, RegistryError> {
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT v.version, v.id, s.text FROM versions v JOIN schemas s ON s.id = v.id
             WHERE v.subject = ? ORDER BY v.version",
        )
        .bind(subject)
        .fetch_all(connection)
        .await
        .map_err(|e| self.failed(e))?;
        let version = |(version, id, text): (i64, i64, String)| {
            let id = self.id(id)?;
            let schema = self.known(id).map_or_else(|| self.parse(id, &text), Ok)?;
            let version =
                u32::try_from(version).map_err(|_| self.corrupt(format!("version {version} of {subject}")))?;
            Ok(Version { version, id, schema })
        };
        rows.into_iter().map(version).collect()
    }

    /// Registers a key's schema, unless the subject has one.
    pub(super) async fn register_key(&self, subject: &str, schema: &KeySchema) -> Result<(), RegistryError> {
        let mut write = self.shared.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.failed(e))?;
        if self.first_key_on(&mut write, subject).await?.is_some() {
            return Ok(());
        }
        let id =
            self.insert(&mut write, subject, schema.fingerprint, &schema.text).await.map_err(|e| self.failed(e))?;
        write.commit().await.map_err(|e| self.failed(e))?;
        tracing::info!(subject, id, "registered a key's schema");
        Ok(())
    }

    pub(super) async fn first_key(&self, subject: &str) -> Result<Option<First>, RegistryError> {
        let mut connection = self.shared.pool.acquire().await.map_err(|e| self.failed(e))?;
        self.first_key_on(&mut connection, subject).await
    }

    async fn first_key_on(
        &self,
        connection: &mut SqliteConnection,
        subject: &str,
    ) -> Result<Option<First>, RegistryError> {
        let first: Option<(i64, String)> = sqlx::query_as(
            "SELECT v.id, s.text FROM versions v JOIN schemas s ON s.id = v.id WHERE v.subject = ? AND v.version = 1",
        )
        .bind(subject)
        .fetch_optional(connection)
        .await
        .map_err(|e| self.failed(e))?;
        first.map(|(id, text)| Ok(First { id: self.id(id)?, text: text.into() })).transpose()
    }

    pub(super) async fn delete_subject(&self, subject: &str) -> Result<(), RegistryError> {
        let deleted = sqlx::query("DELETE FROM versions WHERE subject = ?").bind(subject);
        deleted.execute(&self.shared.pool).await.map(drop).map_err(|e| self.failed(e))
    }

    fn known(&self, id: SchemaId) -> Option<Arc<Schema>> {
        self.shared.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn keep(&self, id: SchemaId, schema: Arc<Schema>) {
        self.shared.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, schema);
    }

    fn parse(&self, id: SchemaId, text: &str) -> Result<Arc<Schema>, RegistryError> {
        let schema = Schema::parse_registered(text).map_err(|e| unreadable(&self.shared.place, id, text, &e))?;
        let schema = Arc::new(schema);
        self.keep(id, schema.clone());
        Ok(schema)
    }

    fn id(&self, id: i64) -> Result<SchemaId, RegistryError> {
        u32::try_from(id).map(SchemaId).map_err(|_| self.corrupt(format!("a schema has the id {id}")))
    }

    fn corrupt(&self, reason: String) -> RegistryError {
        RegistryError::Corrupt { place: self.shared.place.clone(), reason }
    }

    /// Damage is told from a file that cannot be reached or written now.
    fn failed(&self, error: sqlx::Error) -> RegistryError {
        // https://www.sqlite.org/rescode.html: the low byte is the primary code.
        let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<u32>().ok());
        let damaged = matches!(code.map(|code| code & 0xff), Some(11 | 26))
            || matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_));
        match damaged {
            true => self.corrupt(error.to_string()),
            false => RegistryError::Unreachable { place: self.shared.place.clone(), reason: error.to_string() },
        }
    }
}
