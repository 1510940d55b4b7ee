//! The catalog: the store's own tables, and which generations of which topologies are here.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Row as _};

use super::connections::{APPLICATION_ID, Connections, Lease, failed};
use super::layout::Layout;
use super::statement::{create as create_statements, quoted};
use crate::{Active, Deployment, StoreError, shape};

/// Each takes the store from the format of its index to the next.
const MIGRATIONS: [&str; 1] = [include_str!("catalog.sql")];
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings the store's own tables to the format that this version knows. Any number of processes may do it at once.
pub(super) async fn migrate(writer: &Arc<Connections>) -> Result<(), StoreError> {
    const DOING: &str = "bringing the store's format up to date";
    // Looks without the lock of who writes: a process that only reads does not wait for another's flush.
    let mut lease = writer.lease("BEGIN", DOING).await?;
    let found = pending(&mut lease, DOING).await;
    lease.end("ROLLBACK").await?;
    if found?.is_empty() {
        return Ok(());
    }
    let mut lease = writer.lease("BEGIN IMMEDIATE", DOING).await?;
    // Another process may have been quicker.
    let pending = pending(&mut lease, DOING).await?;
    if pending.is_empty() {
        return lease.end("ROLLBACK").await;
    }
    let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {KNOWN};");
    for sql in pending {
        run(&mut lease, DOING, (*sql).to_owned()).await?;
    }
    run(&mut lease, DOING, marks).await?;
    lease.end("COMMIT").await
}

/// The migrations that the store lacks.
async fn pending(lease: &mut Lease, doing: &'static str) -> Result<&'static [&'static str], StoreError> {
    let version = sqlx::query_scalar("PRAGMA user_version").fetch_one(lease.connection()?).await;
    let found: i64 = version.map_err(|error| failed(doing, error))?;
    let pending = usize::try_from(found).ok().and_then(|from| MIGRATIONS.get(from..));
    pending.ok_or(StoreError::Newer { found, known: KNOWN })
}

pub(super) async fn create(writer: &Arc<Connections>, deployment: &Deployment) -> Result<u32, StoreError> {
    const DOING: &str = "creating views";
    deployment.tables.iter().try_for_each(shape::check_table)?;
    let mut lease = writer.lease("BEGIN IMMEDIATE", DOING).await?;
    let known = active(&mut lease, &deployment.topology).await?;
    let last = last_generation(&mut lease, &deployment.topology).await?;
    if let Some(generation) = deployment.found(known.as_ref(), last)? {
        lease.end("ROLLBACK").await?;
        return Ok(generation);
    }
    let insert = sqlx::query(
        "INSERT INTO _generations (topology, generation, declaration, fingerprint, state, created_ms) \
         VALUES (?, ?, ?, ?, 'active', CAST(unixepoch('subsec') * 1000 AS INTEGER))",
    );
    let insert = insert.bind(&deployment.topology).bind(deployment.generation).bind(&deployment.declaration);
    let inserted = insert.bind(&deployment.fingerprint).execute(lease.connection()?).await;
    inserted.map_err(|error| failed(DOING, error))?;
    for table in &deployment.tables {
        let owner = sqlx::query_scalar("SELECT topology FROM _tables WHERE view = ? LIMIT 1").bind(&table.name);
        let owner: Result<Option<String>, _> = owner.fetch_optional(lease.connection()?).await;
        deployment.owns(&table.name, owner.map_err(|error| failed(DOING, error))?.as_deref())?;
        for sql in create_statements(&Layout::new(table, deployment.generation)) {
            run(&mut lease, DOING, sql).await?;
        }
        let listed = sqlx::query("INSERT INTO _tables (view, generation, topology) VALUES (?, ?, ?)");
        let listed = listed.bind(&table.name).bind(deployment.generation).bind(&deployment.topology);
        listed.execute(lease.connection()?).await.map_err(|error| failed(DOING, error))?;
    }
    lease.end("COMMIT").await?;
    Ok(deployment.generation)
}

pub(super) async fn active(lease: &mut Lease, topology: &str) -> Result<Option<Active>, StoreError> {
    let sql = "SELECT generation, declaration, fingerprint FROM _generations WHERE topology = ? AND state = 'active'";
    let found = sqlx::query(sql).bind(topology).fetch_optional(lease.connection()?).await;
    let active = found.and_then(|row| {
        row.map(|row| {
            Ok(Active { generation: row.try_get(0)?, declaration: row.try_get(1)?, fingerprint: row.try_get(2)? })
        })
        .transpose()
    });
    active.map_err(|error| failed("reading the catalog", error))
}

/// The highest generation number ever used; 0 if none was.
pub(super) async fn last_generation(lease: &mut Lease, topology: &str) -> Result<u32, StoreError> {
    let last = sqlx::query_scalar("SELECT coalesce(max(generation), 0) FROM _generations WHERE topology = ?");
    let last = last.bind(topology).fetch_one(lease.connection()?).await;
    last.map_err(|error| failed("reading the catalog", error))
}

/// Whether this generation may be written to.
pub(super) async fn is_active(lease: &mut Lease, topology: &str, generation: u32) -> Result<bool, StoreError> {
    let sql = "SELECT state = 'active' FROM _generations WHERE topology = ? AND generation = ?";
    let found = sqlx::query_scalar(sql).bind(topology).bind(generation).fetch_optional(lease.connection()?).await;
    Ok(found.map_err(|error| failed("reading the catalog", error))?.unwrap_or(false))
}

pub(super) async fn reset(writer: &Arc<Connections>, topology: &str) -> Result<u32, StoreError> {
    const DOING: &str = "dropping views";
    let mut lease = writer.lease("BEGIN IMMEDIATE", DOING).await?;
    let tables = sqlx::query_as("SELECT view, generation FROM _tables WHERE topology = ?").bind(topology);
    let tables: Result<Vec<(String, u32)>, _> = tables.fetch_all(lease.connection()?).await;
    for (view, generation) in tables.map_err(|error| failed(DOING, error))? {
        let physical = crate::deployment::physical(&view, generation);
        run(&mut lease, DOING, format!("DROP VIEW IF EXISTS {}", quoted(&view))).await?;
        run(&mut lease, DOING, format!("DROP TABLE IF EXISTS {}", quoted(&physical))).await?;
    }
    for sql in [
        "DELETE FROM _tables WHERE topology = ?",
        "DELETE FROM _positions WHERE topology = ?",
        "DELETE FROM _parked WHERE topology = ?",
        "DELETE FROM _parked_keys WHERE topology = ?",
        // The row stays: its number is not used again.
        "UPDATE _generations SET state = 'dropped' WHERE topology = ?",
    ] {
        let done = sqlx::query(sql).bind(topology).execute(lease.connection()?).await;
        done.map_err(|error| failed(DOING, error))?;
    }
    let next = last_generation(&mut lease, topology).await? + 1;
    lease.end("COMMIT").await?;
    Ok(next)
}

async fn run(lease: &mut Lease, doing: &'static str, sql: String) -> Result<(), StoreError> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(lease.connection()?).await;
    done.map(|_| ()).map_err(|error| failed(doing, error))
}
