//! Keyspaces of the real Cassandra, each of one test.

use std::path::Path;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::{Cassandra, fresh_name, password};

/// A keyspace that a test has to itself, gone when it ends.
pub struct Keyspace {
    pub name: String,
    cassandra: Cassandra,
}

impl Keyspace {
    /// Makes one.
    ///
    /// # Panics
    /// If Cassandra does not take it.
    pub async fn fresh(cassandra: &Cassandra) -> Self {
        let name = fresh_name("t");
        let keyspace = Self { name, cassandra: cassandra.clone() };
        let cql = format!(
            "CREATE KEYSPACE {} WITH replication = {{'class': 'NetworkTopologyStrategy', '{}': 1}}",
            keyspace.name, cassandra.datacenter
        );
        keyspace.session().await.query_unpaged(cql, ()).await.expect("a keyspace can be made");
        keyspace
    }

    /// A session beside the one under test.
    ///
    /// # Panics
    /// If Cassandra does not answer.
    pub async fn session(&self) -> Session {
        session(&self.cassandra).await
    }

    /// Runs statements as the administrator, who may make roles and grant them rights.
    ///
    /// # Panics
    /// If Cassandra does not take one.
    pub async fn as_admin(&self, statements: &[String]) {
        let Cassandra { admin_user, admin_password_file, .. } = &self.cassandra;
        let session = session_as(&self.cassandra, admin_user, admin_password_file).await;
        for cql in statements {
            session.query_unpaged(cql.as_str(), ()).await.unwrap_or_else(|error| panic!("{cql}: {error}"));
        }
    }
}

async fn session(cassandra: &Cassandra) -> Session {
    session_as(cassandra, &cassandra.user, &cassandra.password_file).await
}

async fn session_as(cassandra: &Cassandra, user: &str, password_file: &Path) -> Session {
    let builder = SessionBuilder::new()
        .known_node(&cassandra.address)
        .user(user, password(password_file))
        .fetch_schema_metadata(false);
    builder.build().await.expect("Cassandra answers")
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        let cql = format!("DROP KEYSPACE IF EXISTS {}", self.name);
        let cassandra = self.cassandra.clone();
        let work = async move { session(&cassandra).await.query_unpaged(cql, ()).await.map(drop).map_err(Box::new) };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let dropped = std::thread::spawn(move || runtime().block_on(work)).join();
        if !std::thread::panicking() {
            dropped.expect("no panic").expect("the keyspace can be dropped");
        }
    }
}
