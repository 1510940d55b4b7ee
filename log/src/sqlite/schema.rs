//! The tables of `log.db`, and how an older file becomes a newer one.
//!
//! A record's rowid is its place: `slot << 40 | offset`, where a slot is one partition of one topic and is never given
//! twice. One integer key keeps the inner pages of the tree free of records, which a composite primary key without rowid
//! would not: with records of 1 kB that is a third of the disk and half of the time.
//!
//! A partition's end is not stored: it is one past its last record, or `earliest` where it has none. So it cannot disagree
//! with the records, and an append writes nothing but them.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, SqliteExecutor};

use crate::error::LogError;
use crate::sqlite::file::LogFile;

/// Bits of a record's rowid that are its offset: 1.1e12 records a partition.
const OFFSET_BITS: u32 = 40;

/// The offset that no record reaches.
pub(super) const MAX_OFFSET: i64 = (1 << OFFSET_BITS) - 1;

/// Slots that fit above the offset.
pub(super) const MAX_SLOT: i64 = (1 << (63 - OFFSET_BITS)) - 1;

/// "HWLG": says in the file's header whose file this is.
const APPLICATION_ID: i64 = 0x4857_4c47;

/// What brings the file from each version to the next. What has been released is never changed, only added to.
const MIGRATIONS: &[&str] = &["
    create table topics (
        id integer primary key autoincrement,
        name text not null unique,
        uuid blob not null unique,
        partitions integer not null,
        retention_days integer
    ) strict;

    -- topic is null once the topic is deleted, until its records are gone too
    create table partitions (
        slot integer primary key autoincrement,
        topic integer references topics (id) on delete set null,
        partition integer not null,
        earliest integer not null default 0,
        unique (topic, partition)
    ) strict;

    -- id is slot << 40 | offset
    create table records (
        id integer primary key,
        timestamp_ms integer not null,
        headers blob,
        key blob,
        payload blob
    ) strict;

    create table group_offsets (
        group_name text not null,
        slot integer not null,
        next integer not null,
        primary key (group_name, slot)
    ) strict, without rowid;

    -- for people with a SQLite shell; nothing here reads it
    create view readable_records as
        select t.name as topic, p.partition, r.id & 0xffffffffff as \"offset\",
               r.timestamp_ms, r.key, r.payload, r.headers
        from records r
        join partitions p on p.slot = r.id >> 40
        join topics t on t.id = p.topic;
"];

/// Checks whose file it is, and brings its tables up to date.
pub(super) async fn prepare(file: &LogFile, connection: &mut SqliteConnection) -> Result<(), LogError> {
    let journal: String = ask(file, &mut *connection, "pragma journal_mode").await?;
    if journal != "wal" {
        let cause = format!(
            "cannot use write-ahead logging in {} (SQLite answers {journal:?}); it needs a local disk",
            file.path.display()
        );
        return Err(LogError::Unavailable { cause });
    }
    if version(file, &mut *connection).await? == MIGRATIONS.len() {
        return Ok(());
    }
    let fault = |error| file.fault("create the tables of", &error);
    let mut transaction = connection.begin_with("begin immediate").await.map_err(fault)?;
    // Read again under the lock: another process may have done it meanwhile.
    let found = version(file, &mut transaction).await?;
    for script in MIGRATIONS.get(found..).unwrap_or_default() {
        sqlx::raw_sql(*script).execute(&mut *transaction).await.map_err(fault)?;
    }
    let stamp = format!("pragma application_id = {APPLICATION_ID}; pragma user_version = {}", MIGRATIONS.len());
    sqlx::raw_sql(AssertSqlSafe(stamp)).execute(&mut *transaction).await.map_err(fault)?;
    transaction.commit().await.map_err(fault)
}

/// The number of migrations that the file has had.
async fn version(file: &LogFile, connection: &mut SqliteConnection) -> Result<usize, LogError> {
    let application: i64 = ask(file, &mut *connection, "pragma application_id").await?;
    let version: i64 = ask(file, &mut *connection, "pragma user_version").await?;
    let tables: i64 = ask(file, &mut *connection, "select count(*) from sqlite_schema").await?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || tables > 0) {
        return Err(file.corrupt("it is a SQLite database of something else".to_owned()));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => {
            Err(LogError::NewerVersion { path: file.path.clone(), found: version, supported: MIGRATIONS.len() as i64 })
        }
    }
}

async fn ask<'c, T>(file: &LogFile, on: impl SqliteExecutor<'c>, sql: &'static str) -> Result<T, LogError>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let fault = |error| file.fault("open", &error);
    let row: SqliteRow = sqlx::query(sql).fetch_one(on).await.map_err(fault)?;
    row.try_get(0).map_err(fault)
}

/// The rowid of a record.
pub(super) fn row_id(slot: i64, offset: i64) -> i64 {
    slot << OFFSET_BITS | offset
}

/// The slot in a rowid.
pub(super) fn slot_of(row_id: i64) -> i64 {
    row_id >> OFFSET_BITS
}

/// The offset in a rowid.
pub(super) fn offset_of(row_id: i64) -> i64 {
    row_id & MAX_OFFSET
}
