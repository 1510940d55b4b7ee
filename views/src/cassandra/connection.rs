//! The session with the cluster: how it is reached, and the statements that are prepared once.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use scylla::client::caching_session::{CachingSession, CachingSessionBuilder};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::{ColumnIterator, DeserializeRow};
use scylla::errors::ExecutionError;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use secrecy::ExposeSecret;

use super::CassandraOptions;
use super::fault::{failed, not_connected, setup};
use crate::StoreError;

const DOING: &str = "opening the store";
/// A connection that is silent is asked for a sign of life so often, and given up without one after as long again: a server
/// that hangs would otherwise be waited for even where the driver sets no limit, as while a connection is set up.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Prepared statements that are kept: five or so a view.
const STATEMENTS: usize = 2000;
/// Rows of one page of an answer.
const PAGE_ROWS: i32 = 1000;

/// A row of the store's own tables, as owned values.
pub(super) trait Columns: for<'f, 'm> DeserializeRow<'f, 'm> {}

impl<R: for<'f, 'm> DeserializeRow<'f, 'm>> Columns for R {}

pub(super) struct Connection {
    session: CachingSession,
    keyspace: String,
}

impl Connection {
    pub(super) async fn open(options: &CassandraOptions) -> Result<Self, StoreError> {
        let mut policy = DefaultPolicy::builder().token_aware(true).permit_dc_failover(false);
        if let Some(datacenter) = &options.datacenter {
            policy = policy.prefer_datacenter(datacenter.clone());
        }
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::LocalQuorum)
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .request_timeout(Some(options.request_timeout))
            .load_balancing_policy(policy.build());
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.nodes)
            .connection_timeout(options.connect_timeout)
            .keepalive_interval(SIGN_OF_LIFE)
            .keepalive_timeout(SIGN_OF_LIFE)
            .default_execution_profile_handle(profile.build().into_handle())
            .keyspaces_to_fetch([&options.keyspace])
            .fetch_full_schema_metadata(false);
        if let Some((user, password)) = &options.login {
            builder = builder.user(user, password.expose_secret());
        }
        if options.tls || options.ca_file.is_some() {
            builder = builder.tls_context(Some(tls(options)?));
        }
        // Only the driver's TCP connect has a limit of its own.
        let limit = options.connect_timeout + options.request_timeout;
        let session = tokio::time::timeout(limit, builder.build()).await;
        let silent = |_| StoreError::unavailable(DOING, format!("the cluster did not answer within {limit:?}"));
        let session = session.map_err(silent)?.map_err(not_connected)?;
        check_datacenter(&session, options.datacenter.as_deref())?;
        let session = CachingSessionBuilder::new(session).max_capacity(STATEMENTS).build();
        let connection = Self { session, keyspace: options.keyspace.clone() };
        connection.check_keyspace(options.like.as_deref()).await?;
        Ok(connection)
    }

    async fn check_keyspace(&self, like: Option<&str>) -> Result<(), StoreError> {
        if self.replication(&self.keyspace).await?.is_some() {
            return Ok(());
        }
        if let Some(like) = like
            && let Some(replication) = self.replication(like).await?
        {
            let options = replication.iter().map(|(name, value)| format!("{}: {}", literal(name), literal(value)));
            let options = options.collect::<Vec<_>>().join(", ");
            let keyspace = quoted(&self.keyspace);
            return self.define(&format!("CREATE KEYSPACE {keyspace} WITH replication = {{{options}}}"), DOING).await;
        }
        let keyspace = &self.keyspace;
        let reason = format!(
            "there is no keyspace {keyspace}; make it with the replication that your data needs: CREATE KEYSPACE \
             {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', '<datacenter>': 3}}"
        );
        Err(setup(DOING, reason))
    }

    /// How a keyspace is replicated; None where there is none of this name.
    async fn replication(&self, keyspace: &str) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        let cql = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let found: Option<(BTreeMap<String, String>,)> = self.first(cql, (keyspace,), DOING).await?;
        Ok(found.map(|(replication,)| replication))
    }

    pub(super) fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// A table of the keyspace, quoted.
    pub(super) fn name(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.keyspace), quoted(table))
    }

    /// A statement that may be sent twice.
    pub(super) async fn prepare(&self, cql: &str) -> Result<PreparedStatement, ExecutionError> {
        let mut statement = Statement::new(cql);
        statement.set_is_idempotent(true);
        statement.set_page_size(PAGE_ROWS);
        Ok(self.session.add_prepared_statement(&statement).await?)
    }

    pub(super) fn session(&self) -> &Session {
        self.session.get_session()
    }

    /// Runs a statement that may be sent twice.
    pub(super) async fn run(
        &self,
        cql: &str,
        values: impl SerializeRow,
        doing: &'static str,
    ) -> Result<QueryResult, StoreError> {
        let prepared = self.prepare(cql).await.map_err(|error| failed(doing, error))?;
        self.session().execute_unpaged(&prepared, values).await.map_err(|error| failed(doing, error))
    }

    /// Runs a change of the schema, and waits until the nodes agree on it.
    pub(super) async fn define(&self, cql: &str, doing: &'static str) -> Result<(), StoreError> {
        self.session().query_unpaged(cql, ()).await.map(drop).map_err(|error| failed(doing, error))
    }

    /// Runs a conditional statement once; whether its condition held. What an error leaves behind is not known.
    pub(super) async fn swap(
        &self,
        cql: &str,
        values: impl SerializeRow,
        doing: &'static str,
    ) -> Result<bool, StoreError> {
        let statement = Statement::new(cql);
        let prepared = self.session.add_prepared_statement(&statement).await;
        let prepared = prepared.map_err(|error| failed(doing, error))?;
        let done = self.session().execute_unpaged(&prepared, values).await.map_err(|error| failed(doing, error))?;
        applied(done, doing)
    }

    /// All rows of a small answer.
    pub(super) async fn all<R: Columns>(
        &self,
        cql: &str,
        values: impl SerializeRow,
        doing: &'static str,
    ) -> Result<Vec<R>, StoreError> {
        self.read(cql, values, None, doing).await
    }

    /// The first row, if any.
    pub(super) async fn first<R: Columns>(
        &self,
        cql: &str,
        values: impl SerializeRow,
        doing: &'static str,
    ) -> Result<Option<R>, StoreError> {
        Ok(self.all(cql, values, doing).await?.into_iter().next())
    }

    /// The first row as the last conditional statement left it.
    pub(super) async fn first_settled<R: Columns>(
        &self,
        cql: &str,
        values: impl SerializeRow,
        doing: &'static str,
    ) -> Result<Option<R>, StoreError> {
        Ok(self.read(cql, values, Some(Consistency::LocalSerial), doing).await?.into_iter().next())
    }

    /// All rows of a small answer, as the last conditional statement left them.
    pub(super) async fn all_settled<R: Columns>(
        &self,
        cql: &str,
        values: impl SerializeRow,
        doing: &'static str,
    ) -> Result<Vec<R>, StoreError> {
        self.read(cql, values, Some(Consistency::LocalSerial), doing).await
    }

    /// An answer of any size, a page at a time.
    pub(super) async fn pages<R, V: SerializeRow>(
        &self,
        cql: &str,
        values: V,
        doing: &'static str,
    ) -> Result<TypedPages<'_, R, V>, StoreError> {
        let prepared = self.prepare(cql).await.map_err(|error| failed(doing, error))?;
        Ok(TypedPages { pages: Pages::new(self, prepared), values, doing, rows: PhantomData })
    }

    async fn read<R: Columns>(
        &self,
        cql: &str,
        values: impl SerializeRow,
        consistency: Option<Consistency>,
        doing: &'static str,
    ) -> Result<Vec<R>, StoreError> {
        let mut pages = self.pages::<R, _>(cql, values, doing).await?;
        if let Some(consistency) = consistency {
            pages.pages.prepared.set_consistency(consistency);
        }
        let mut found = Vec::new();
        while let Some(page) = pages.next().await? {
            found.extend(page);
        }
        Ok(found)
    }
}

/// The rows of an answer, a page at a time.
pub(super) struct TypedPages<'c, R, V> {
    pages: Pages<'c>,
    values: V,
    doing: &'static str,
    rows: PhantomData<fn() -> R>,
}

impl<R: Columns, V: SerializeRow> TypedPages<'_, R, V> {
    /// None after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<R>>, StoreError> {
        let page = self.pages.next(&self.values).await.map_err(|error| failed(self.doing, error))?;
        let Some(page) = page else { return Ok(None) };
        let rows = page.rows::<R>().map_err(|error| unreadable(self.doing, error))?;
        let rows: Result<Vec<R>, _> = rows.collect();
        rows.map(Some).map_err(|error| unreadable(self.doing, error))
    }
}

/// The pages of an answer, one at a time.
pub(super) struct Pages<'c> {
    connection: &'c Connection,
    prepared: PreparedStatement,
    next: Option<PagingState>,
}

impl<'c> Pages<'c> {
    pub(super) fn new(connection: &'c Connection, prepared: PreparedStatement) -> Self {
        Self { connection, prepared, next: Some(PagingState::start()) }
    }

    /// None after the last.
    pub(super) async fn next(&mut self, values: &impl SerializeRow) -> Result<Option<QueryRowsResult>, ExecutionError> {
        let Some(state) = self.next.take() else { return Ok(None) };
        let (page, response) = self.connection.session().execute_single_page(&self.prepared, values, state).await?;
        if let PagingStateResponse::HasMorePages { state } = response {
            self.next = Some(state);
        }
        // A SELECT's answer is always rows.
        Ok(page.into_rows_result().ok())
    }
}

/// Whether a conditional statement's condition held.
pub(super) fn applied(done: QueryResult, doing: &'static str) -> Result<bool, StoreError> {
    let rows = done.into_rows_result().map_err(|error| unreadable(doing, error))?;
    let mut rows = rows.rows::<ColumnIterator>().map_err(|error| unreadable(doing, error))?;
    let Some(mut row) = rows.next().transpose().map_err(|error| unreadable(doing, error))? else {
        return Err(unreadable(doing, "a conditional statement did not say whether it was applied"));
    };
    let column = row.find(|column| column.as_ref().is_ok_and(|column| column.spec.name() == "[applied]"));
    let column = column.transpose().map_err(|error| unreadable(doing, error))?;
    Ok(column.and_then(|column| column.slice).is_some_and(|slice| slice.as_slice() == [1]))
}

pub(super) fn unreadable(doing: &'static str, error: impl std::fmt::Display) -> StoreError {
    StoreError::corrupt(doing, error.to_string())
}

/// Text within a statement.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name that was validated, quoted all the same.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn tls(options: &CassandraOptions) -> Result<openssl::ssl::SslConnectorBuilder, StoreError> {
    let refuse = |reason: String| setup(DOING, reason);
    let broken = |error: openssl::error::ErrorStack| refuse(format!("no TLS: {error}"));
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(broken)?;
    if let Some(file) = &options.ca_file {
        let unreadable = |reason: String| refuse(format!("`ca_file` {}: {reason}", file.display()));
        let pem = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
        let certificates = X509::stack_from_pem(&pem).map_err(|error| unreadable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unreadable("it holds no certificate".to_owned()));
        }
        let mut store = X509StoreBuilder::new().map_err(broken)?;
        certificates.into_iter().try_for_each(|certificate| store.add_cert(certificate)).map_err(broken)?;
        builder.set_cert_store(store.build());
    }
    Ok(builder)
}

/// A datacenter that does not exist would leave every request without a node.
fn check_datacenter(session: &Session, wanted: Option<&str>) -> Result<(), StoreError> {
    let state = session.get_cluster_state();
    let mut known: Vec<&str> = state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
    known.sort_unstable();
    known.dedup();
    match wanted {
        Some(wanted) if known.contains(&wanted) => Ok(()),
        None if known.len() <= 1 => Ok(()),
        Some(wanted) => {
            Err(setup(DOING, format!("there is no datacenter {wanted}; `datacenter` is one of {}", known.join(", "))))
        }
        None => Err(setup(DOING, format!("set `datacenter` to the one nearby: one of {}", known.join(", ")))),
    }
}
