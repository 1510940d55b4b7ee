//! Connections, lent out with a transaction open.
//!
//! A connection goes back among the idle ones only when every reply to it was read and its transaction has ended well. One
//! whose call was cancelled or failed on the way is closed, and the server then undoes what it had begun.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{error::Elapsed, timeout};

use super::PostgresOptions;
use super::fault::failed;
use crate::StoreError;

/// Prepared statements kept a connection.
const STATEMENTS: usize = 512;
/// A connection that was idle for longer is tried before it is used.
const FRESH: Duration = Duration::from_secs(1);
/// The server ends a statement that takes too long; a server that does not answer at all is given up so much later.
const GRACE: Duration = Duration::from_secs(5);
/// What a URL may say after its `?`; anything else would silently not be heeded.
const PARAMETERS: [&str; 15] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
];

pub(super) struct Connections {
    options: PgConnectOptions,
    /// Run on each new connection.
    session: String,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
    permits: Arc<Semaphore>,
    most: u32,
    wait: Duration,
    patience: Duration,
}

impl Connections {
    pub(super) fn new(options: &PostgresOptions) -> Result<Arc<Self>, StoreError> {
        let most = options.connections.max(1);
        Ok(Arc::new(Self {
            options: connect_options(options)?,
            session: session(options),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(most as usize)),
            most,
            wait: options.acquire_timeout,
            patience: options.statement_timeout.saturating_add(GRACE),
        }))
    }

    /// A connection on which `begin` has been executed (nothing, if empty).
    pub(super) async fn lease(self: &Arc<Self>, begin: &str, doing: &'static str) -> Result<Lease, StoreError> {
        let permit = timeout(self.wait, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| {
                StoreError::unavailable(doing, "every connection is in use; too much at once, or a slow server")
            })?
            .map_err(|_| StoreError::unavailable(doing, "the store was closed"))?;
        let mut lease = Lease {
            home: Arc::clone(self),
            connection: None,
            permit: Some(permit),
            doing,
            at_rest: true,
            in_transaction: !begin.is_empty(),
            broken: false,
        };
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let is_idle = idle.is_some();
            let (connection, used) = match idle {
                Some(idle) => idle,
                None => (self.connect(doing).await?, Instant::now()),
            };
            let first = if begin.is_empty() && used.elapsed() > FRESH { "SELECT" } else { begin };
            lease.connection = Some(connection);
            match if first.is_empty() { Ok(()) } else { lease.run(first.to_owned()).await } {
                Ok(()) => return Ok(lease),
                // The server has closed it while it was idle, say: the next one, and in the end a new one, may do.
                Err(error) if is_idle && lost(&error) => {
                    lease.connection = None;
                    (lease.at_rest, lease.broken) = (true, false);
                }
                Err(error) => {
                    lease.connection = None;
                    return Err(failed(doing, error));
                }
            }
        }
    }

    async fn connect(&self, doing: &'static str) -> Result<PgConnection, StoreError> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(self.session.clone())).execute(&mut connection).await?;
            Ok(connection)
        };
        match timeout(self.wait, connecting).await {
            Ok(connected) => connected.map_err(|error| failed(doing, error)),
            Err(_) => Err(StoreError::unavailable(doing, "the server does not answer")),
        }
    }

    /// Waits for what is lent out, then closes everything; nothing is lent from then on.
    pub(super) async fn close(&self) {
        let _all = self.permits.acquire_many(self.most).await;
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for (connection, _) in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a connection to the view store did not close well");
            }
        }
    }

    fn put_back(&self, connection: PgConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
    }
}

/// A connection on loan. Dropped without [`Lease::end`], its transaction is rolled back behind the scenes.
pub(super) struct Lease {
    home: Arc<Connections>,
    connection: Option<PgConnection>,
    permit: Option<OwnedSemaphorePermit>,
    doing: &'static str,
    /// Every reply was read: nothing was cancelled on the way.
    at_rest: bool,
    in_transaction: bool,
    /// A statement has failed, so the transaction can only be rolled back: Postgres would answer a COMMIT with a quiet
    /// ROLLBACK.
    broken: bool,
}

impl Lease {
    pub(super) async fn fetch(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, sqlx::Error> {
        let patience = self.home.patience;
        let connection = self.connection()?;
        let done = timeout(patience, query.fetch_all(connection)).await;
        self.settle(done)
    }

    pub(super) async fn execute(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<u64, sqlx::Error> {
        let patience = self.home.patience;
        let connection = self.connection()?;
        let done = timeout(patience, query.execute(connection)).await;
        self.settle(done).map(|done| done.rows_affected())
    }

    /// Runs statements without parameters.
    pub(super) async fn run(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let patience = self.home.patience;
        let connection = self.connection()?;
        let done = timeout(patience, sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection)).await;
        self.settle(done).map(|_| ())
    }

    fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.at_rest = false;
        let lost = || sqlx::Error::Io(std::io::Error::other("the connection was lost"));
        self.connection.as_mut().ok_or_else(lost)
    }

    fn settle<T>(&mut self, done: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, sqlx::Error> {
        let done = done.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        self.at_rest = done.as_ref().err().is_none_or(|error| !lost(error));
        if !self.at_rest {
            // What ended this connection has likely ended those that wait as well.
            self.home.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        self.broken |= done.is_err();
        done
    }

    /// Commits, and gives the connection back. Where that fails the connection is closed, and it may or may not be
    /// committed.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::unavailable(self.doing, "a statement of this transaction has failed before"));
        }
        self.finish("COMMIT").await
    }

    /// Rolls back, and gives the connection back. Where that fails it is closed, which rolls back too.
    pub(super) async fn roll_back(mut self) -> Result<(), StoreError> {
        self.finish("ROLLBACK").await
    }

    async fn finish(&mut self, how: &str) -> Result<(), StoreError> {
        let ended = self.run(how.to_owned()).await;
        let connection = self.connection.take();
        match (ended, connection) {
            (Ok(()), Some(connection)) => self.home.put_back(connection),
            (Ok(()), None) => {}
            (Err(error), _) => return Err(failed(self.doing, error)),
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(mut connection), permit) = (self.connection.take(), self.permit.take()) else { return };
        if !self.at_rest {
            return;
        }
        let (home, patience) = (Arc::clone(&self.home), self.home.patience);
        if !self.in_transaction {
            return home.put_back(connection);
        }
        // Without a runtime the connection just closes, which rolls back too.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Ok(Ok(_)) = timeout(patience, sqlx::raw_sql("ROLLBACK").execute(&mut connection)).await {
                home.put_back(connection);
            }
            drop(permit);
        });
    }
}

/// Whether the connection cannot be used after this error. Class 57P is the server's shutdown of it.
fn lost(error: &sqlx::Error) -> bool {
    super::fault::code(error).is_none_or(|code| code.starts_with("57P") || code == "25P03" || code.starts_with("08"))
}

fn connect_options(options: &PostgresOptions) -> Result<PgConnectOptions, StoreError> {
    // What is wrong in a URL may be its password: none of it is repeated.
    let refuse = |reason: &str| StoreError::Setup { doing: "reading the store's URL", reason: reason.to_owned() };
    let url = options.url.expose_secret();
    let parameters = url.split_once('?').map_or("", |(_, after)| after);
    let names =
        parameters.split('&').filter(|part| !part.is_empty()).map(|part| part.split('=').next().unwrap_or(part));
    let names: Vec<&str> = names.collect();
    if names.iter().any(|name| !PARAMETERS.contains(name)) {
        return Err(refuse(&format!("it has a parameter other than {}", PARAMETERS.join(", "))));
    }
    let parsed: Result<PgConnectOptions, _> = url.parse();
    let Some(parsed) = parsed.ok().filter(|_| url.starts_with("postgres://") || url.starts_with("postgresql://"))
    else {
        return Err(refuse(
            "it is not postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE, with what is \
             special in a URL as %XX",
        ));
    };
    // As libpq has it: who names an authority wants it asked.
    let names_authority = names.iter().any(|name| matches!(*name, "sslrootcert" | "ssl-root-cert" | "ssl-ca"));
    let parsed = match parsed.get_ssl_mode() {
        PgSslMode::Require if names_authority => parsed.ssl_mode(PgSslMode::VerifyCa),
        _ => parsed,
    };
    Ok(parsed.application_name("headwater").statement_cache_capacity(STATEMENTS).disable_statement_logging())
}

/// The settings of a session. Every statement looks rows up by keys, so plans that scan are not wanted, whatever the
/// statistics say of a table that is filling; a plan is made once.
fn session(options: &PostgresOptions) -> String {
    // 0 would be for ever.
    let ms = |duration: Duration| duration.as_millis().clamp(1, i32::MAX as u128);
    let mut sql = format!(
        "SET search_path = {}; SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; SET standard_conforming_strings = on; \
         SET client_min_messages = warning; SET plan_cache_mode = force_generic_plan; SET jit = off",
        super::statement::quoted(&options.schema),
        ms(options.statement_timeout),
        ms(options.acquire_timeout),
        ms(options.idle_timeout),
    );
    for plan in ["seqscan", "bitmapscan", "hashjoin", "mergejoin"] {
        sql.push_str("; SET enable_");
        sql.push_str(plan);
        sql.push_str(" = off");
    }
    sql
}
