//! Schemas and roles of a real Postgres that a test has to itself, gone when it ends.

use std::sync::OnceLock;

use headwater_dev_servers::{Servers, fresh_name, password, start};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub(crate) fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| start(&["postgres"]))
}

/// The URL of a role, without TLS.
pub(crate) fn url(user: &str, password: &str) -> String {
    let postgres = &servers().postgres;
    let (host, port, database) = (&postgres.host, postgres.port, &postgres.database);
    format!("postgres://{user}:{password}@{host}:{port}/{database}?sslmode=disable")
}

/// A schema's name and a role that may make it.
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) url: String,
    /// A role of its own, made for this test.
    own_role: Option<String>,
}

impl Schema {
    #[allow(dead_code)]
    pub(crate) fn fresh() -> Self {
        let postgres = &servers().postgres;
        Self { name: fresh_name("views"), url: url(&postgres.user, &password(&postgres.password_file)), own_role: None }
    }

    /// A schema whose role nobody else is, so that its sessions can be told from others'.
    #[allow(dead_code)]
    pub(crate) fn with_own_role(may_create: bool) -> Self {
        let role = fresh_name("role");
        let mut sql = format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'");
        if may_create {
            sql.push_str(&format!("; GRANT CREATE ON DATABASE {} TO {role}", servers().postgres.database));
        }
        run(admin_url(), sql).unwrap();
        Self { name: fresh_name("views"), url: url(&role, &role), own_role: Some(role) }
    }

    #[allow(dead_code)]
    pub(crate) fn role(&self) -> &str {
        self.own_role.as_deref().unwrap_or(&servers().postgres.user)
    }
}

pub(crate) fn admin_url() -> String {
    let postgres = &servers().postgres;
    url(&postgres.admin_user, &password(&postgres.admin_password_file))
}

impl Drop for Schema {
    fn drop(&mut self) {
        // This waits on the thread that a rollback of the test may still have to run on: its sessions are ended first.
        let mut sql = format!(
            "SET lock_timeout = '30s'; SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_class ON pg_class.oid = relation \
             WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = '{0}'); \
             DROP SCHEMA IF EXISTS \"{0}\" CASCADE",
            self.name
        );
        if let Some(role) = &self.own_role {
            sql.push_str(&format!("; DROP OWNED BY {role}; DROP ROLE {role}"));
        }
        let dropped = run(admin_url(), sql);
        if !std::thread::panicking() {
            dropped.unwrap();
        }
    }
}

/// Runs statements on a connection of their own, from anywhere.
pub(crate) fn run(url: String, sql: String) -> Result<(), sqlx::Error> {
    let work = async move {
        let mut connection = PgConnection::connect(&url).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await
    };
    std::thread::spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work))
        .join()
        .unwrap()
}
