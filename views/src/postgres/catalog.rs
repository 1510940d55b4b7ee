//! The catalog: the store's own tables, and which generations of which topologies are here.

use std::sync::Arc;

use sqlx::Row as _;

use super::connections::{Connections, Lease};
use super::fault::{failed, failed_for_view};
use super::layout::Layout;
use super::lock;
use super::statement::{create as create_statements, quoted};
use crate::{Active, Deployment, StoreError, shape};

/// Each takes the store from the format of its index to the next.
const MIGRATIONS: [&str; 1] = [include_str!("catalog.sql")];
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Makes the schema if missing, and brings the store's own tables to the format that this version knows. Any number of
/// processes may do it at once.
pub(super) async fn migrate(connections: &Arc<Connections>, schema: &str) -> Result<(), StoreError> {
    const DOING: &str = "opening the store";
    let mut lease = connections.lease(&lock::begin_tables(schema), DOING).await?;
    let (encoding, has_schema) = look(&mut lease, schema).await.map_err(|error| failed(DOING, error))?;
    if encoding != "UTF8" {
        let reason = format!("the database's encoding is {encoding}; name a database with encoding UTF8");
        return Err(StoreError::Setup { doing: DOING, reason });
    }
    if !has_schema {
        let sql = format!("CREATE SCHEMA {}", quoted(schema));
        lease.run(sql).await.map_err(|error| failed(DOING, error))?;
    }
    let found = format(&mut lease, schema).await?;
    let pending = usize::try_from(found).ok().and_then(|from| MIGRATIONS.get(from..));
    let Some(pending) = pending else {
        return Err(StoreError::Newer { found, known: KNOWN });
    };
    if pending.is_empty() {
        return lease.roll_back().await;
    }
    for sql in pending {
        lease.run((*sql).to_owned()).await.map_err(|error| failed(DOING, error))?;
    }
    let mark = sqlx::query("INSERT INTO _format (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = $1");
    lease.execute(mark.bind(KNOWN)).await.map_err(|error| failed(DOING, error))?;
    lease.commit().await
}

async fn look(lease: &mut Lease, schema: &str) -> Result<(String, bool), sqlx::Error> {
    let sql = "SELECT current_setting('server_encoding'), EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    let found = lease.fetch(sqlx::query(sql).bind(schema)).await?;
    let row = found.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// The format of the store's tables; 0 where there are none yet.
async fn format(lease: &mut Lease, schema: &str) -> Result<i64, StoreError> {
    const DOING: &str = "reading the store's format";
    let sql = "SELECT count(*) FILTER (WHERE relname = '_format') > 0, count(*) > 0 \
               FROM pg_class WHERE relnamespace = quote_ident($1)::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')";
    let found = lease.fetch(sqlx::query(sql).bind(schema)).await.map_err(|error| failed(DOING, error))?;
    let flags = found.first().map(|row| Ok::<(bool, bool), sqlx::Error>((row.try_get(0)?, row.try_get(1)?)));
    match flags.transpose().map_err(|error| failed(DOING, error))? {
        Some((false, true)) => Err(StoreError::NotAStore { path: format!("schema {schema}") }),
        Some((true, _)) => {
            let found = lease.fetch(sqlx::query("SELECT version FROM _format")).await;
            let found = found.map_err(|error| failed(DOING, error))?;
            let version = found.first().map_or(Ok(0), |row| row.try_get(0));
            version.map_err(|error| failed(DOING, error))
        }
        _ => Ok(0),
    }
}

pub(super) async fn create(
    connections: &Arc<Connections>,
    schema: &str,
    deployment: &Deployment,
) -> Result<u32, StoreError> {
    const DOING: &str = "creating views";
    let (topology, generation) = (&deployment.topology, i64::from(deployment.generation));
    for table in &deployment.tables {
        shape::check_table(table)?;
        Layout::check(table)?;
    }
    let mut lease = connections.lease(&lock::begin_tables(schema), DOING).await?;
    let known = active(&mut lease, topology).await?;
    let last = last_generation(&mut lease, topology).await?;
    if let Some(generation) = deployment.found(known.as_ref(), last)? {
        lease.roll_back().await?;
        return Ok(generation);
    }
    let insert = sqlx::query(
        "INSERT INTO _generations (topology, generation, declaration, fingerprint, state, shared) \
         VALUES ($1, $2, $3, $4, 'active', $5)",
    );
    let insert = insert.bind(topology).bind(generation).bind(&deployment.declaration).bind(&deployment.fingerprint);
    let insert = insert.bind(deployment.tables.iter().any(|table| table.is_shared()));
    lease.execute(insert).await.map_err(|error| failed(DOING, error))?;
    for table in &deployment.tables {
        let owner = sqlx::query("SELECT topology FROM _tables WHERE view = $1 LIMIT 1").bind(&table.name);
        let owner = lease.fetch(owner).await.and_then(|found| found.first().map(|row| row.try_get(0)).transpose());
        let owner: Option<String> = owner.map_err(|error| failed(DOING, error))?;
        deployment.owns(&table.name, owner.as_deref())?;
        for sql in create_statements(&Layout::new(table, deployment.generation), topology) {
            lease.run(sql).await.map_err(|error| failed_for_view(DOING, &table.name, error))?;
        }
        let listed = sqlx::query("INSERT INTO _tables (view, generation, topology) VALUES ($1, $2, $3)");
        let listed = listed.bind(&table.name).bind(generation).bind(topology);
        lease.execute(listed).await.map_err(|error| failed(DOING, error))?;
    }
    lease.commit().await?;
    Ok(deployment.generation)
}

pub(super) async fn active(lease: &mut Lease, topology: &str) -> Result<Option<Active>, StoreError> {
    let sql = "SELECT generation, declaration, fingerprint FROM _generations WHERE topology = $1 AND state = 'active'";
    let found = lease.fetch(sqlx::query(sql).bind(topology)).await;
    let active = found.and_then(|rows| {
        let active = rows.first().map(|row| {
            Ok(Active {
                generation: number(row.try_get(0)?)?,
                declaration: row.try_get(1)?,
                fingerprint: row.try_get(2)?,
            })
        });
        active.transpose()
    });
    active.map_err(|error| failed("reading the catalog", error))
}

/// The highest generation number ever used; 0 if none was.
pub(super) async fn last_generation(lease: &mut Lease, topology: &str) -> Result<u32, StoreError> {
    let last = sqlx::query("SELECT coalesce(max(generation), 0) FROM _generations WHERE topology = $1");
    let found = lease.fetch(last.bind(topology)).await;
    let last = found.and_then(|rows| number(rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?));
    last.map_err(|error| failed("reading the catalog", error))
}

/// Whether several workers may feed one row of this generation, which never changes; None if there is none such.
pub(super) async fn has_shared_rows(
    lease: &mut Lease,
    topology: &str,
    generation: u32,
) -> Result<Option<bool>, StoreError> {
    flag(lease, "SELECT shared FROM _generations WHERE topology = $1 AND generation = $2", topology, generation).await
}

/// Whether this generation may be written to.
pub(super) async fn is_active(lease: &mut Lease, topology: &str, generation: u32) -> Result<bool, StoreError> {
    let sql = "SELECT state = 'active' FROM _generations WHERE topology = $1 AND generation = $2";
    Ok(flag(lease, sql, topology, generation).await?.unwrap_or(false))
}

async fn flag(
    lease: &mut Lease,
    sql: &'static str,
    topology: &str,
    generation: u32,
) -> Result<Option<bool>, StoreError> {
    let found = lease.fetch(sqlx::query(sql).bind(topology).bind(i64::from(generation))).await;
    let flag = found.and_then(|rows| rows.first().map(|row| row.try_get(0)).transpose());
    flag.map_err(|error| failed("reading the catalog", error))
}

pub(super) async fn reset(connections: &Arc<Connections>, schema: &str, topology: &str) -> Result<u32, StoreError> {
    const DOING: &str = "dropping views";
    let mut lease = connections.lease(&lock::begin_tables(schema), DOING).await?;
    if let Some(active) = active(&mut lease, topology).await? {
        let sql = lock::keep_out_flushes(schema, topology, active.generation);
        lease.run(sql).await.map_err(|error| failed(DOING, error))?;
    }
    let tables = sqlx::query("SELECT view, generation FROM _tables WHERE topology = $1 ORDER BY view, generation");
    let tables = lease.fetch(tables.bind(topology)).await.map_err(|error| failed(DOING, error))?;
    for row in tables {
        let table = row.try_get(0).and_then(|view: String| Ok((view, number(row.try_get(1)?)?)));
        let (view, generation) = table.map_err(|error| failed(DOING, error))?;
        let physical = crate::deployment::physical(&view, generation);
        for sql in
            [format!("DROP VIEW IF EXISTS {}", quoted(&view)), format!("DROP TABLE IF EXISTS {}", quoted(&physical))]
        {
            lease.run(sql).await.map_err(|error| failed_for_view(DOING, &view, error))?;
        }
    }
    for sql in [
        "DELETE FROM _tables WHERE topology = $1",
        "DELETE FROM _positions WHERE topology = $1",
        "DELETE FROM _parked WHERE topology = $1",
        "DELETE FROM _parked_keys WHERE topology = $1",
        // The row stays: its number is not used again.
        "UPDATE _generations SET state = 'dropped' WHERE topology = $1",
    ] {
        lease.execute(sqlx::query(sql).bind(topology)).await.map_err(|error| failed(DOING, error))?;
    }
    let next = last_generation(&mut lease, topology).await? + 1;
    lease.commit().await?;
    Ok(next)
}

/// Drops the schema with all that it holds.
pub(super) async fn drop_schema(connections: &Arc<Connections>, schema: &str) -> Result<(), StoreError> {
    const DOING: &str = "dropping the store";
    let mut lease = connections.lease(&lock::begin_tables(schema), DOING).await?;
    let sql = format!("DROP SCHEMA {} CASCADE", quoted(schema));
    lease.run(sql).await.map_err(|error| failed(DOING, error))?;
    lease.commit().await
}

fn number(generation: i64) -> Result<u32, sqlx::Error> {
    u32::try_from(generation).map_err(|_| sqlx::Error::Decode("a generation's number is out of range".into()))
}
