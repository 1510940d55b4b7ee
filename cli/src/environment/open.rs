//! Opens what the configuration names: files and servers, with their secrets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_engine::declare::config::{
    CassandraConfig, KafkaConfig, LogConfig, PostgresConfig, RegistryConfig, RegistryServer, Secret, StoreConfig,
    Template,
};
use headwater_engine::project::Project;
use headwater_log::{KafkaOptions, KafkaSecurity, Log};
use headwater_schemas::registry::{Login, Registry, RemoteOptions};
use headwater_views::{CassandraOptions, PostgresOptions, SqliteOptions, Store};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::failure::Failure;

/// How long Kafka may take to acknowledge a record.
const KAFKA_DELIVERY: Duration = Duration::from_secs(7);

/// What to do about embedded files that cannot be opened.
const DOCTOR: &str = "Run `headwater doctor` to see what it needs.";

/// Where local state lies that is in no store: keys, the demo's marker.
pub(crate) fn data_folder(project: &Project) -> PathBuf {
    match &project.config.log {
        LogConfig::Embedded(folder) => project.path(folder),
        LogConfig::Kafka(_) => project.path(Path::new("data")),
    }
}

/// The embedded log's folder, where the log is embedded.
pub(crate) fn log_folder(project: &Project) -> Option<PathBuf> {
    match &project.config.log {
        LogConfig::Embedded(folder) => Some(project.path(folder)),
        LogConfig::Kafka(_) => None,
    }
}

/// The embedded registry's folder, where the registry is embedded.
pub(crate) fn registry_folder(project: &Project) -> Option<PathBuf> {
    match &project.config.registry {
        RegistryConfig::Embedded(folder) => Some(project.path(folder)),
        RegistryConfig::Remote(_) => None,
    }
}

/// The files of the stores that are files.
pub(crate) fn store_files(project: &Project) -> Vec<(String, PathBuf)> {
    let file = |(name, config): &(String, StoreConfig)| match config {
        StoreConfig::Sqlite(file) => Some((name.clone(), project.path(file))),
        StoreConfig::Postgres(_) | StoreConfig::Cassandra(_) => None,
    };
    project.config.stores.iter().filter_map(file).collect()
}

pub(crate) async fn log(project: &Project, config: &LogConfig) -> Result<Log, Failure> {
    match config {
        LogConfig::Embedded(folder) => {
            let folder = project.path(folder);
            Log::open_embedded(&folder).await.map_err(|error| {
                Failure::because(format!("the log in {} cannot be opened", folder.display()), &error).mend(DOCTOR)
            })
        }
        LogConfig::Kafka(kafka) => {
            let options = kafka_options(project, kafka)?;
            Log::connect_kafka(options).await.map_err(|error| {
                Failure::because("the log in Kafka cannot be opened", &error).mend("See `log:` in headwater.yaml.")
            })
        }
    }
}

pub(crate) fn kafka_options(project: &Project, kafka: &KafkaConfig) -> Result<KafkaOptions, Failure> {
    let mut options = KafkaOptions::new(resolve(&kafka.brokers, "log.kafka.brokers")?);
    // Well below the command API's own, which counts from when an event is noted: after that one, whoever comes next looks
    // for the event, and nothing may land behind that search.
    options.delivery_timeout = KAFKA_DELIVERY;
    options.replication = kafka.replication.map(|copies| i32::try_from(copies).unwrap_or(i32::MAX));
    let ca_file = kafka.ca_file.as_deref().map(|file| project.path(file));
    options.security = match &kafka.login {
        Some((user, password)) => KafkaSecurity::SaslSsl {
            mechanism: kafka.mechanism.clone(),
            user: resolve(user, "log.kafka.user")?,
            password: secret(project, password, "log.kafka.password")?,
            ca_file,
        },
        None if kafka.tls => KafkaSecurity::Ssl { ca_file, certificate: None },
        None => KafkaSecurity::Plain,
    };
    Ok(options)
}

pub(crate) fn postgres_options(
    project: &Project,
    name: &str,
    postgres: &PostgresConfig,
) -> Result<PostgresOptions, Failure> {
    let place = format!("stores.{name}.postgres");
    let mut url = resolve(&postgres.url, &place)?;
    if let Some(password) = &postgres.password {
        let password = secret(project, password, &place)?;
        let wrong = || Failure::new(format!("{place} is no address")).mend("Write postgres://USER@HOST:PORT/DATABASE");
        let mut parsed = Url::parse(&url).map_err(|_| wrong())?;
        parsed.set_password(Some(password.expose_secret())).map_err(|()| wrong())?;
        url = parsed.into();
    }
    Ok(PostgresOptions { schema: postgres.schema.clone(), ..PostgresOptions::new(url.into()) })
}

pub(crate) async fn registry(project: &Project, config: &RegistryConfig) -> Result<Registry, Failure> {
    match config {
        RegistryConfig::Embedded(folder) => {
            let folder = project.path(folder);
            Registry::open_embedded(&folder).await.map_err(|error| {
                Failure::because(format!("the registry in {} cannot be opened", folder.display()), &error).mend(DOCTOR)
            })
        }
        RegistryConfig::Remote(server) => remote_registry(project, server),
    }
}

fn remote_registry(project: &Project, server: &RegistryServer) -> Result<Registry, Failure> {
    let urls = resolve(&server.url, "registry.url")?;
    let login = match (&server.login, &server.token) {
        (Some((user, password)), _) => Login::Basic {
            user: resolve(user, "registry.user")?,
            password: secret(project, password, "registry.password")?,
        },
        (None, Some(token)) => Login::Bearer(secret(project, token, "registry.token")?),
        (None, None) => Login::None,
    };
    let options = RemoteOptions {
        urls: urls.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect(),
        login,
        ca_file: server.ca_file.as_deref().map(|file| project.path(file)),
        ..RemoteOptions::new("")
    };
    Registry::remote(&options).map_err(|error| {
        Failure::because("the registry cannot be used", &error).mend("See `registry:` in headwater.yaml.")
    })
}

pub(crate) async fn store(project: &Project, name: &str, config: &StoreConfig) -> Result<Store, Failure> {
    match config {
        StoreConfig::Sqlite(file) => {
            let file = project.path(file);
            Store::open_sqlite(SqliteOptions::new(&file)).await.map_err(|error| {
                Failure::because(format!("the store {name} in {} cannot be opened", file.display()), &error)
                    .mend(DOCTOR)
            })
        }
        StoreConfig::Postgres(postgres) => {
            let options = postgres_options(project, name, postgres)?;
            Store::open_postgres(options).await.map_err(|error| {
                Failure::because(format!("the store {name} in Postgres cannot be opened"), &error)
                    .mend(format!("See `stores.{name}` in headwater.yaml."))
            })
        }
        StoreConfig::Cassandra(cassandra) => {
            let options = cassandra_options(project, name, cassandra)?;
            Store::open_cassandra(options).await.map_err(|error| {
                Failure::because(format!("the store {name} in Cassandra cannot be opened"), &error)
                    .mend(format!("See `stores.{name}` in headwater.yaml."))
            })
        }
    }
}

pub(crate) fn cassandra_options(
    project: &Project,
    name: &str,
    cassandra: &CassandraConfig,
) -> Result<CassandraOptions, Failure> {
    let place = |setting: &str| format!("stores.{name}.cassandra.{setting}");
    let mut nodes = Vec::new();
    for template in &cassandra.nodes {
        let text = resolve(template, &place("nodes"))?;
        nodes.extend(text.split(',').map(|node| node.trim().to_owned()).filter(|node| !node.is_empty()));
    }
    let mut options = CassandraOptions::new(nodes, &cassandra.keyspace);
    options.like.clone_from(&cassandra.like);
    options.datacenter = match &cassandra.datacenter {
        Some(template) => Some(resolve(template, &place("datacenter"))?),
        None => None,
    };
    options.login = match &cassandra.login {
        Some((user, password)) => {
            Some((resolve(user, &place("user"))?, secret(project, password, &place("password"))?))
        }
        None => None,
    };
    (options.tls, options.ca_file) = (cassandra.tls, cassandra.ca_file.as_deref().map(|file| project.path(file)));
    if let Some(days) = cassandra.guard_days {
        options.guards = Duration::from_secs(u64::from(days) * 86_400);
    }
    Ok(options)
}

/// A template with the environment's values.
fn resolve(template: &Template, place: &str) -> Result<String, Failure> {
    template.resolve(&|name| std::env::var(name).ok()).map_err(|name| unset(&name, place))
}

/// A secret, read where it lies. It is never shown.
fn secret(project: &Project, secret: &Secret, place: &str) -> Result<SecretString, Failure> {
    match secret {
        Secret::Variable(name) => std::env::var(name).map(SecretString::from).map_err(|_| unset(name, place)),
        Secret::File(file) => {
            let file = project.path(file);
            let text = std::fs::read_to_string(&file).map_err(|error| {
                Failure::because(format!("{place}: the file {} cannot be read", file.display()), &error)
                    .mend("Give this user the right to read it, or name another file in headwater.yaml.")
            })?;
            Ok(text.trim_end_matches(['\r', '\n']).into())
        }
    }
}

fn unset(name: &str, place: &str) -> Failure {
    Failure::new(format!("the environment has no variable {name}, which {place} in headwater.yaml names"))
        .mend(format!("Set it: export {name}=…"))
}
