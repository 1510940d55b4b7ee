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
}

/// How a stack is reached, and what may be done to it.
pub struct Profile {
    /// The text of headwater.yaml.
    pub config: String,
    /// What headwater.yaml takes from the environment, but for the store's address.
    pub variables: Vec<(String, String)>,
    /// The store's address, where each process reaches it through a proxy of its own; None: there is no connection to cut.
    pub store: Option<String>,
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
        }
    }

    /// The servers that it needs, by the names of `deploy/dev/servers`.
    pub fn servers(self) -> &'static [&'static str] {
        match self {
            Stack::Embedded => &[],
            Stack::KafkaPostgres => &["kafka", "registry", "postgres"],
        }
    }

    /// `own`: a name that no other run has, for what is made on servers.
    pub fn profile(self, servers: Option<&Servers>, own: &str) -> Fallible<Profile> {
        match (self, servers) {
            (Stack::Embedded, _) => Ok(embedded()),
            (Stack::KafkaPostgres, Some(servers)) => Ok(kafka_postgres(servers, own)),
            (Stack::KafkaPostgres, None) => Err("no servers were started".into()),
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
        kafka: Some(kafka.bootstrap.clone()),
        registry: Some(registry.url.clone()),
        // An index entry of Postgres has at most a third of a page; a key far beyond is refused however well it compresses.
        longest_key: Some(4_000),
        // Of Headwater's members of a group.
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
