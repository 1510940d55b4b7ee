//! Opens what the configuration names: files and servers, with their secrets.

use std::path::{Path, PathBuf};

use headwater_engine::declare::config::{LogConfig, RegistryConfig, RegistryServer, Secret, StoreConfig, Template};
use headwater_engine::project::Project;
use headwater_log::Log;
use headwater_schemas::registry::{Login, Registry, RemoteOptions};
use headwater_views::{SqliteOptions, Store};
use secrecy::SecretString;

use crate::failure::Failure;

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
        StoreConfig::Postgres(_) => None,
    };
    project.config.stores.iter().filter_map(file).collect()
}

pub(super) async fn log(project: &Project) -> Result<Log, Failure> {
    match &project.config.log {
        LogConfig::Embedded(folder) => {
            let folder = project.path(folder);
            Log::open_embedded(&folder).await.map_err(|error| {
                Failure::because(format!("the log in {} cannot be opened", folder.display()), &error).mend(DOCTOR)
            })
        }
        LogConfig::Kafka(_) => Err(Failure::new("Kafka is not built in yet")),
    }
}

pub(crate) async fn registry(project: &Project) -> Result<Registry, Failure> {
    match &project.config.registry {
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

pub(super) async fn store(project: &Project, name: &str, config: &StoreConfig) -> Result<Store, Failure> {
    match config {
        StoreConfig::Sqlite(file) => {
            let file = project.path(file);
            Store::open_sqlite(SqliteOptions::new(&file)).await.map_err(|error| {
                Failure::because(format!("the store {name} in {} cannot be opened", file.display()), &error)
                    .mend(DOCTOR)
            })
        }
        StoreConfig::Postgres(_) => Err(Failure::new("Postgres is not built in yet")),
    }
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
