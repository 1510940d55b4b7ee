//! What a server says of itself and of this role's rights, for whoever looks whether everything is as it should be.

use std::time::{Duration, Instant, SystemTime};

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::connections::Connections;
use super::fault::failed;
use super::{PostgresOptions, check_schema};
use crate::StoreError;

const DOING: &str = "looking at the server";

/// A server, as it is seen through one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresFacts {
    /// As in `server_version_num`: 150004 is 15.4.
    pub version: u32,
    pub database: String,
    pub encoding: String,
    pub role: String,
    /// The connection is encrypted.
    pub tls: bool,
    /// The server is on this machine.
    pub is_loopback: bool,
    pub synchronous_commit: String,
    pub fsync: bool,
    pub full_page_writes: bool,
    pub isolation: String,
    /// It is a standby, which takes no writes.
    pub is_standby: bool,
    /// How many standbys follow it, and which it waits for (`synchronous_standby_names`).
    pub standbys: i64,
    pub waits_for: String,
    /// Connections that it takes beside those reserved for administrators, and those in use.
    pub connections: i64,
    pub used: i64,
    /// How many this role may have; None: no limit of its own.
    pub role_connections: Option<i64>,
    pub may_create_schema: bool,
    pub has_schema: bool,
    /// The role may use the schema and make tables in it. False where there is none.
    pub may_create_tables: bool,
    /// Tables of the schema that the role may not read and write.
    pub denied_tables: Vec<String>,
    /// How far its clock is ahead of this machine's.
    pub clock_ahead_ms: i64,
    /// How long the answer took: the clock is as uncertain as that.
    pub round_trip: Duration,
}

const SQL: &str = "SELECT current_setting('server_version_num')::bigint, current_database()::text, \
    current_setting('server_encoding'), current_user::text, \
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), \
    coalesce(inet_server_addr() << '127.0.0.0/8' OR inet_server_addr() = '::1', true), \
    current_setting('synchronous_commit'), current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
    current_setting('default_transaction_isolation'), pg_is_in_recovery(), \
    (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'), \
    current_setting('synchronous_standby_names'), \
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint, \
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
    (SELECT rolconnlimit::bigint FROM pg_roles WHERE rolname = current_user), \
    has_database_privilege(current_database(), 'CREATE'), \
    EXISTS (SELECT FROM pg_namespace WHERE nspname = $1), \
    coalesce((SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE') \
        FROM pg_namespace WHERE nspname = $1), false), \
    ARRAY(SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = $1 AND relkind IN ('r', 'p') AND NOT (has_table_privilege(c.oid, 'SELECT') \
        AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') \
        AND has_table_privilege(c.oid, 'DELETE')) ORDER BY relname LIMIT 5), \
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

impl PostgresOptions {
    /// Connects and asks the server about itself. Nothing is made or changed, so the schema need not be there.
    ///
    /// # Errors
    /// [`StoreError::Setup`] where the URL, TLS or the role do not do; [`StoreError::Unavailable`] where nobody answers.
    pub async fn facts(&self) -> Result<PostgresFacts, StoreError> {
        check_schema(&self.schema)?;
        let connections = Connections::new(self)?;
        let mut lease = connections.lease("", DOING).await?;
        // The first statement takes longer, for it is prepared: the clock is told by the second.
        for _ in 0..2 {
            lease.fetch(sqlx::query("SELECT clock_timestamp()")).await.map_err(|error| failed(DOING, error))?;
        }
        let (before, began) = (SystemTime::now(), Instant::now());
        let found = lease.fetch(sqlx::query(SQL).bind(&self.schema)).await.map_err(|error| failed(DOING, error))?;
        let round_trip = began.elapsed();
        let now_ms = before.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + round_trip / 2;
        let row = found.first().ok_or_else(|| failed(DOING, sqlx::Error::RowNotFound))?;
        let facts = facts(row, i64::try_from(now_ms.as_millis()).unwrap_or(i64::MAX), round_trip);
        drop(lease);
        connections.close().await;
        facts.map_err(|error| failed(DOING, error))
    }
}

fn facts(row: &PgRow, now_ms: i64, round_trip: Duration) -> Result<PostgresFacts, sqlx::Error> {
    let version: i64 = row.try_get(0)?;
    let limit: i64 = row.try_get(15)?;
    let clock_ms: i64 = row.try_get(20)?;
    Ok(PostgresFacts {
        version: u32::try_from(version).unwrap_or(0),
        database: row.try_get(1)?,
        encoding: row.try_get(2)?,
        role: row.try_get(3)?,
        tls: row.try_get(4)?,
        is_loopback: row.try_get(5)?,
        synchronous_commit: row.try_get(6)?,
        fsync: row.try_get(7)?,
        full_page_writes: row.try_get(8)?,
        isolation: row.try_get(9)?,
        is_standby: row.try_get(10)?,
        standbys: row.try_get(11)?,
        waits_for: row.try_get(12)?,
        connections: row.try_get(13)?,
        used: row.try_get(14)?,
        role_connections: (limit >= 0).then_some(limit),
        may_create_schema: row.try_get(16)?,
        has_schema: row.try_get(17)?,
        may_create_tables: row.try_get(18)?,
        denied_tables: row.try_get(19)?,
        clock_ahead_ms: clock_ms - now_ms,
        round_trip,
    })
}
