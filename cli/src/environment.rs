//! The log, the registry and the stores that a project's configuration names, opened; and what makes them fit what is
//! declared.

mod open;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_engine::declare::config::BlobConfig;
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_http::Keys;
use headwater_log::{Log, LogError, TopicSpec};
use headwater_runner::DeployError;
use headwater_schemas::KeyCodec;
use headwater_schemas::registry::{Registry, RegistryError};
use headwater_schemas::topic::Topic;
use headwater_views::Store;

use crate::failure::Failure;
pub(crate) use open::{
    cassandra_options, data_folder, kafka_options, log, log_folder, postgres_options, registry, registry_folder, store,
    store_files,
};

pub(crate) struct Environment {
    pub(crate) project: Project,
    pub(crate) log: Log,
    pub(crate) registry: Registry,
    stores: Vec<(String, Store)>,
}

/// A topology and the generation of it that is deployed.
#[derive(Clone)]
pub(crate) struct Deployed {
    pub(crate) topology: Arc<Topology>,
    pub(crate) generation: u32,
    pub(crate) store: Store,
}

impl Environment {
    /// Opens everything, making what is missing.
    pub(crate) async fn open(project: Project) -> Result<Self, Failure> {
        let log = log(&project, &project.config.log).await?;
        let registry = registry(&project, &project.config.registry).await?;
        let mut stores = Vec::new();
        for (name, config) in &project.config.stores {
            stores.push((name.clone(), store(&project, name, config).await?));
        }
        Ok(Self { project, log, registry, stores })
    }

    /// Opens what an earlier start has made, for commands that only look.
    pub(crate) async fn existing(project: Project) -> Result<Self, Failure> {
        if let Some(folder) = log_folder(&project)
            && !folder.join("log.db").exists()
        {
            return Err(Failure::new(format!("there is no log in {} yet", folder.display()))
                .mend("Start Headwater once (`headwater up`), or write to a topic (`headwater produce`)."));
        }
        Self::open(project).await
    }

    pub(crate) fn topic(&self, name: &str) -> Result<&Arc<Topic>, Failure> {
        let topics = &self.project.topics;
        topics.iter().find(|topic| topic.name == name).ok_or_else(|| {
            let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
            Failure::new(format!("no topic is called {name}")).mend(format!("Topics: {}.", names.join(", ")))
        })
    }

    /// Creates the declared topics in the log and registers the schemas of their events, and of keys in Avro.
    pub(crate) async fn declare(&self) -> Result<(), Failure> {
        for topic in &self.project.topics {
            self.declare_topic(topic).await?;
        }
        Ok(())
    }

    pub(crate) async fn declare_topic(&self, topic: &Topic) -> Result<(), Failure> {
        let spec = TopicSpec {
            name: topic.name.clone(),
            partitions: topic.partitions,
            retention_days: topic.retention_days,
            compact: topic.compact,
        };
        self.log.ensure_topic(&spec).await.map_err(|error| {
            let failure = Failure::because(format!("the topic {} cannot be used as declared", topic.name), &error);
            match error {
                LogError::PartitionsDiffer { existing, .. } => failure.mend(format!(
                    "Declare `partitions: {existing}`: moving keys between partitions would break their order."
                )),
                _ => failure,
            }
        })?;
        for event in &topic.events {
            let subject = topic.subject(event);
            self.registry.register(&subject, &event.schema).await.map_err(|error| {
                Failure::because(format!("the schema of {} cannot be registered as {subject}", event.name), &error)
                    .mend("A new version must be able to read every older one: give added fields a default.")
            })?;
        }
        self.keys_of(topic).await.map(drop)
    }

    /// How a topic's message keys are written. Their schema is registered, if they are in Avro and nobody has yet.
    pub(crate) async fn keys_of(&self, topic: &Topic) -> Result<KeyCodec, Failure> {
        self.registry.key_codec(topic).await.map_err(|error| {
            let failure = Failure::because(format!("keys of the topic {} cannot be written as declared", topic.name), &error);
            match error {
                RegistryError::OtherKey { .. } => failure.mend(format!(
                    "Declare the key with the types, names and order that version 1 of {} has; or write to a topic of another name.",
                    topic.key_subject()
                )),
                RegistryError::NoFirstKey { .. } => failure.mend(
                    "Restore version 1 in the registry. If no record has its id, delete the subject for good: the next start registers it anew.",
                ),
                _ => failure,
            }
        })
    }

    /// How keys of a topic are read by people, as far as that is known without registering anything.
    pub(crate) async fn known_keys(&self, topic: &str) -> Option<KeyCodec> {
        let topic = self.project.topics.iter().find(|declared| declared.name == topic)?;
        self.registry.known_key_codec(topic).await.ok().flatten()
    }

    /// The topologies, each deployed as declared. Where another declaration is deployed, the difference is named and
    /// nothing is changed.
    pub(crate) async fn deploy(&self) -> Result<Vec<Deployed>, Failure> {
        let mut deployed = Vec::new();
        let mut differences = Vec::new();
        for topology in &self.project.topologies {
            let store = self.store(topology)?;
            match headwater_runner::deploy(store, topology).await {
                Ok(generation) => {
                    deployed.push(Deployed { topology: topology.clone(), generation, store: store.clone() });
                }
                Err(error @ DeployError::Differs { .. }) => differences.push(error),
                Err(DeployError::Store(error)) => {
                    return Err(Failure::because(format!("the topology {} cannot be deployed", topology.name), &error));
                }
            }
        }
        if differences.is_empty() { Ok(deployed) } else { Err(differing(&differences)) }
    }

    /// What is deployed, whether it is what is declared or not. A topology that was never started is left out.
    pub(crate) async fn deployed(&self) -> Result<Vec<(Deployed, bool)>, Failure> {
        let mut found = Vec::new();
        for topology in &self.project.topologies {
            let store = self.store(topology)?;
            let active = store.active(&topology.name).await.map_err(|error| {
                Failure::because(format!("what is deployed of {} cannot be read", topology.name), &error)
            })?;
            if let Some(active) = active {
                let current = active.fingerprint == topology.fingerprint(store.keeps_parts());
                let deployed =
                    Deployed { topology: topology.clone(), generation: active.generation, store: store.clone() };
                found.push((deployed, current));
            }
        }
        Ok(found)
    }

    pub(crate) fn store(&self, topology: &Topology) -> Result<&Store, Failure> {
        let found = self.stores.iter().find(|(name, _)| *name == topology.store);
        found.map(|(_, store)| store).ok_or_else(|| {
            Failure::new(format!(
                "the topology {} is in the store {}, which is not configured",
                topology.name, topology.store
            ))
        })
    }

    pub(crate) fn stores(&self) -> impl Iterator<Item = &(String, Store)> {
        self.stores.iter()
    }

    /// The keys that tokens are signed with, made on the first use.
    pub(crate) fn keys(&self) -> Result<Keys, Failure> {
        keys(&self.project)
    }

    /// Finishes what is under way.
    pub(crate) async fn close(&self) {
        self.log.close().await;
        for (_, store) in &self.stores {
            store.close().await;
        }
    }
}

fn differing(differences: &[DeployError]) -> Failure {
    let mut text = String::new();
    let mut names = Vec::new();
    for error in differences {
        let DeployError::Differs { topology, difference, .. } = error else { continue };
        text.push_str(&error.to_string());
        for line in difference {
            text.push_str("\n    ");
            text.push_str(line);
        }
        text.push('\n');
        names.push(format!("--reset {topology}"));
    }
    Failure::new(text.trim_end())
        .mend(format!("Undo the change, or fold the views anew from the log: headwater up {}", names.join(" ")))
}

pub(crate) fn blob_folder(project: &Project) -> PathBuf {
    match &project.config.blobs {
        BlobConfig::Folder(folder) => project.path(folder),
    }
}

pub(crate) fn key_folder(project: &Project) -> PathBuf {
    data_folder(project).join("keys")
}

pub(crate) fn keys(project: &Project) -> Result<Keys, Failure> {
    Keys::load_or_create(&key_folder(project)).map_err(|error| Failure::because("tokens cannot be signed", &error))
}

/// Whether the folder, or the nearest one above it that exists, can be written to.
pub(crate) fn nearest_existing(path: &Path) -> Option<&Path> {
    path.ancestors().find(|folder| folder.exists())
}
