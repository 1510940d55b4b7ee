//! What a run is on: the log, the registry and the store, as a profile of the project.
//!
//! A new stack is a variant here and a profile below; the compiler finds the one other place.

use std::path::Path;

use headwater_dev_servers::Servers;
use headwater_log::{KafkaOptions, Log};
use headwater_schemas::registry::{Registry, RemoteOptions};

use crate::Fallible;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stack {
    /// SQLite files, on a small disk of their own where this user may mount one
    Embedded,
    /// Kafka, a schema registry and Postgres, started for this run alone
    KafkaPostgres,
    /// Kafka, a schema registry and Cassandra, started for this run alone
    KafkaCassandra,
}

/// How a stack is reached, and what may be done to it.
pub struct Profile {
    /// The text of headwater.yaml.
    pub config: String,
    /// What headwater.yaml takes from the environment, but for the store's address.
    pub variables: Vec<(String, String)>,
    /// The store's address, where each process reaches it through a proxy of its own; None: there is no connection to cut.
    pub store: Option<String>,
    /// What a process sends where it commits: there a connection is cut.
    pub commit: Vec<u8>,
    /// Where the log is reached, if it is a server.
    kafka: Option<String>,
    registry: Option<String>,
    /// The longest text that the store takes as a key, in bytes, if records may well be beyond it.
    pub longest_key: Option<usize>,
    /// How long a worker must be silent until another takes its partitions over, in milliseconds.
    pub session_ms: u64,
}

/// The variable by which headwater.yaml names the store's address: that of the process's own proxy.
pub const STORE_ADDRESS: &str = "TORTURE_STORE";

impl Stack {
    pub fn name(self) -> &'static str {
        match self {
            Stack::Embedded => "embedded",
            Stack::KafkaPostgres => "kafka-postgres",
            Stack::KafkaCassandra => "kafka-cassandra",
        }
    }

    /// The servers that it needs, by the names of `deploy/dev/servers`.
    pub fn servers(self) -> &'static [&'static str] {
        match self {
            Stack::Embedded => &[],
            Stack::KafkaPostgres => &["kafka", "registry", "postgres"],
            Stack::KafkaCassandra => &["kafka", "registry", "cassandra"],
        }
    }

    /// `own`: a name that no other run has, for what is made on servers.
    pub fn profile(self, servers: Option<&Servers>, own: &str) -> Fallible<Profile> {
        match (self, servers) {
            (Stack::Embedded, _) => Ok(embedded()),
            (Stack::KafkaPostgres, Some(servers)) => Ok(kafka_postgres(servers, own)),
            (Stack::KafkaCassandra, Some(servers)) => Ok(kafka_cassandra(servers, own)),
            (Stack::KafkaPostgres | Stack::KafkaCassandra, None) => Err("no servers were started".into()),
        }
    }
}

fn embedded() -> Profile {
    let config = "log:\n  embedded: data\nregistry:\n  embedded: data\nstores:\n  operational:\n    \
                  sqlite: data/operational.db\nblobs:\n  folder: data/blobs\n";
    Profile {
        config: config.to_owned(),
        variables: Vec::new(),
        store: None,
        commit: Vec::new(),
        kafka: None,
        registry: None,
        longest_key: None,
        // Whoever is there folds on at once: this much is for others to have done so.
        session_ms: 1_500,
    }
}

fn kafka_postgres(servers: &Servers, own: &str) -> Profile {
    let Servers { kafka, registry, postgres, .. } = servers;
    let (user, database) = (&postgres.user, &postgres.database);
    let password = postgres.password_file.display();
    // Without TLS, so that the proxy sees where a transaction commits.
    let config = format!(
        "log:\n  kafka:\n    brokers: \"{}\"\nregistry:\n  url: \"{}\"\nstores:\n  operational:\n    postgres:\n      \
         url: \"postgres://{user}@${{{STORE_ADDRESS}}}/{database}?sslmode=disable\"\n      \
         password_file: \"{password}\"\n      schema: {own}\nblobs:\n  folder: data/blobs\n",
        kafka.bootstrap, registry.url,
    );
    Profile {
        config,
        variables: Vec::new(),
        store: Some(format!("{}:{}", postgres.host, postgres.port)),
        commit: b"COMMIT\0".to_vec(),
        kafka: Some(kafka.bootstrap.clone()),
        registry: Some(registry.url.clone()),
        // An index entry of Postgres has at most a third of a page; a key far beyond is refused however well it compresses.
        longest_key: Some(4_000),
        // Of Headwater's members of a group.
        session_ms: 10_000,
    }
}

/// `own` is also the keyspace's name: it was made for the run.
fn kafka_cassandra(servers: &Servers, own: &str) -> Profile {
    let Servers { kafka, registry, cassandra, .. } = servers;
    let (user, datacenter) = (&cassandra.user, &cassandra.datacenter);
    let password = cassandra.password_file.display();
    // Without TLS, so that the proxy sees what is written.
    let config = format!(
        "log:\n  kafka:\n    brokers: \"{}\"\nregistry:\n  url: \"{}\"\nstores:\n  operational:\n    cassandra:\n      \
         nodes: [\"${{{STORE_ADDRESS}}}\"]\n      datacenter: {datacenter}\n      user: {user}\n      \
         password_file: \"{password}\"\n      keyspace: {own}\nblobs:\n  folder: data/blobs\n",
        kafka.bootstrap, registry.url,
    );
    Profile {
        config,
        variables: Vec::new(),
        store: Some(cassandra.address.clone()),
        // There are no transactions: a topic is named where positions and parked records are written.
        commit: format!("document_{own}").into_bytes(),
        kafka: Some(kafka.bootstrap.clone()),
        registry: Some(registry.url.clone()),
        longest_key: None,
        session_ms: 10_000,
    }
}

impl Profile {
    /// The log, for the run's own producer and for reading it back. `data` is the folder that the configuration calls so.
    pub async fn open_log(&self, data: &Path) -> Fallible<Log> {
        match &self.kafka {
            None => Ok(Log::open_embedded(data).await?),
            Some(brokers) => Ok(Log::connect_kafka(KafkaOptions::new(brokers)).await?),
        }
    }

    pub async fn open_registry(&self, data: &Path) -> Fallible<Registry> {
        match &self.registry {
            None => Ok(Registry::open_embedded(data).await?),
            Some(url) => Ok(Registry::remote(&RemoteOptions::new(url))?),
        }
    }
}
