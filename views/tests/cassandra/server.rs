//! Keyspaces of a real Cassandra that a test has to itself, gone when it ends.

use std::sync::OnceLock;
use std::time::Duration;

use headwater_dev_servers::{Servers, fresh_name, password, start};
use headwater_views::CassandraOptions;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

pub(crate) fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| start(&["cassandra"]))
}

/// A keyspace's name, and how to open it.
pub(crate) struct Keyspace {
    pub(crate) name: String,
}

impl Keyspace {
    pub(crate) async fn fresh() -> Self {
        let name = fresh_name("views");
        let datacenter = &servers().cassandra.datacenter;
        let cql = format!(
            "CREATE KEYSPACE {name} WITH replication = {{'class': 'NetworkTopologyStrategy', '{datacenter}': 1}}"
        );
        session().await.query_unpaged(cql, ()).await.unwrap();
        Self { name }
    }

    pub(crate) fn options(&self) -> CassandraOptions {
        let cassandra = &servers().cassandra;
        let mut options = CassandraOptions::new(vec![cassandra.address.clone()], &self.name);
        options.datacenter = Some(cassandra.datacenter.clone());
        options.login = Some((cassandra.user.clone(), password(&cassandra.password_file).into()));
        // The machine may be busy with everything else that is tested.
        options.request_timeout = Duration::from_secs(60);
        options
    }
}

/// A session beside the store's, as another driver would have it.
pub(crate) async fn session() -> Session {
    let cassandra = &servers().cassandra;
    SessionBuilder::new()
        .known_node(&cassandra.address)
        .user(&cassandra.user, password(&cassandra.password_file))
        .fetch_schema_metadata(false)
        .build()
        .await
        .unwrap()
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        let cql = format!("DROP KEYSPACE IF EXISTS {}", self.name);
        let work = async move { session().await.query_unpaged(cql, ()).await.map(drop) };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dropped = std::thread::spawn(move || runtime().block_on(work)).join();
        if !std::thread::panicking() {
            dropped.unwrap().unwrap();
        }
    }
}
