//! What is made for a run and dropped after it: topics and groups in the log, subjects in the registry, stores.
//!
//! Every name begins with the run's own, `headwater-test-` (of the bench, `headwater-bench-`) and twelve digits, so that rights
//! can be given by that prefix and whatever a kill -9 leaves is found by it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use headwater_engine::declare::config::{LogConfig, RegistryConfig, StoreConfig};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_log::{Log, LogError, TopicSpec};
use headwater_schemas::registry::{Registry, RegistryError};
use headwater_schemas::topic::{Event, Topic};
use headwater_schemas::wire::SchemaId;
use headwater_schemas::{KeyCodec, KeyFormat};
use headwater_views::Store;

pub(crate) use super::lane::Ids;
use super::lane::Lane;
use crate::environment;
use crate::failure::Failure;
use crate::output::note;

pub(crate) struct Scratch {
    /// What its name begins with, by which rights are given: `headwater-test`.
    prefix: &'static str,
    /// `headwater-test-0123456789ab`
    name: String,
    /// The configuration that names where all of it is.
    profile: PathBuf,
    /// Where files of this run are; None where everything is on servers.
    folder: Option<PathBuf>,
    is_log_embedded: bool,
    log: Log,
    registry: Registry,
    lanes: usize,
    topics: Vec<String>,
    subjects: Vec<String>,
    stores: Vec<(StoreConfig, Store)>,
    /// The groups that workers have joined.
    groups: Groups,
}

/// Groups of the log that are to be forgotten.
#[derive(Clone, Default)]
pub(crate) struct Groups(Arc<Mutex<Vec<String>>>);

impl Groups {
    pub(crate) fn note(&self, topology: &Topology, generation: u32) {
        let group = headwater_runner::group(&topology.name, generation);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(group);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Scratch {
    /// Reaches the log and the registry; makes nothing on them.
    pub(crate) async fn open(
        project: &Project,
        profile: &Path,
        lanes: usize,
        prefix: &'static str,
    ) -> Result<Self, Failure> {
        let name = format!("{prefix}-{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
        let config = &project.config;
        let files = matches!(config.log, LogConfig::Embedded(_))
            || matches!(config.registry, RegistryConfig::Embedded(_))
            || config.stores.iter().any(|(_, store)| matches!(store, StoreConfig::Sqlite(_)));
        let folder = files.then(|| std::env::temp_dir().join(&name));
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::because(format!("the scratch folder {} cannot be made", folder.display()), &error)
                    .mend("Name another place for temporary files: TMPDIR=…")
            })?;
        }
        let place = folder.as_deref().unwrap_or(Path::new(""));
        let log_config = match &config.log {
            LogConfig::Embedded(_) => LogConfig::Embedded(place.to_owned()),
            LogConfig::Kafka(kafka) => LogConfig::Kafka(kafka.clone()),
        };
        let registry_config = match &config.registry {
            RegistryConfig::Embedded(_) => RegistryConfig::Embedded(place.to_owned()),
            RegistryConfig::Remote(server) => RegistryConfig::Remote(server.clone()),
        };
        let opened = async {
            let log = environment::log(project, &log_config).await?;
            Ok((log, environment::registry(project, &registry_config).await?))
        };
        let (log, registry) = match opened.await {
            Ok(opened) => opened,
            Err(failure) => {
                folder.as_deref().map_or(Ok(()), remove)?;
                return Err(failure);
            }
        };
        let is_log_embedded = matches!(log_config, LogConfig::Embedded(_));
        let (topics, subjects, stores, groups) = Default::default();
        let profile = profile.to_owned();
        Ok(Self {
            prefix,
            name,
            profile,
            folder,
            is_log_embedded,
            log,
            registry,
            lanes,
            topics,
            subjects,
            stores,
            groups,
        })
    }

    /// Makes all that the tests need. Where that fails, what was made is known and dropped by [`Scratch::drop_all`].
    pub(super) async fn make(&mut self, project: &Project, patience: Duration) -> Result<Vec<Lane>, Failure> {
        let mut lanes = Vec::new();
        let ids = Arc::new(self.register(&project.topics).await?);
        let lane_topics = |lane| project.topics.iter().map(move |topic| (lane, topic));
        let names: Vec<(usize, &Arc<Topic>)> = (0..self.lanes).flat_map(lane_topics).collect();
        self.make_topics(&names).await?;
        for number in 0..self.lanes {
            let mut stores = Vec::new();
            for (index, (name, _)) in project.config.stores.iter().enumerate() {
                let (_, store) = self.make_store(project, number, index).await?;
                stores.push((name.clone(), store));
            }
            let mut keys = HashMap::new();
            for topic in &project.topics {
                keys.insert(topic.name.clone(), self.keys(number, topic).await?);
            }
            lanes.push(Lane {
                keys,
                log: self.log.clone(),
                registry: self.registry.clone(),
                ids: ids.clone(),
                topologies: self.topologies(number, project)?,
                topics: project.topics.iter().map(|t| (t.name.clone(), self.topic(number, &t.name))).collect(),
                stores,
                groups: self.groups.clone(),
                patience,
            });
        }
        Ok(lanes)
    }

    /// Makes lanes' topics.
    pub(crate) async fn make_topics(&mut self, topics: &[(usize, &Arc<Topic>)]) -> Result<(), Failure> {
        let spec = |&(lane, topic): &(usize, &Arc<Topic>)| {
            let name = self.topic(lane, &topic.name);
            // Kept for ever: a test's events are as old as it says.
            TopicSpec { name, partitions: topic.partitions, retention_days: None, compact: false }
        };
        let specs: Vec<TopicSpec> = topics.iter().map(spec).collect();
        self.topics.extend(specs.iter().map(|spec| spec.name.clone()));
        for (lane, topic) in topics.iter().filter(|(_, topic)| matches!(topic.key_format, KeyFormat::Avro(_))) {
            self.subjects.push(self.named(*lane, topic).key_subject());
        }
        let made = try_join_all(specs.iter().map(|spec| self.log.ensure_topic(spec))).await;
        made.map(drop).map_err(|error| {
            let right = "The user of `log:` needs the right to create topics whose names begin with";
            Failure::because("the scratch topics cannot be made", &error).mend(format!("{right} {}-", self.prefix))
        })
    }

    /// Makes a lane's store like one of the profile's, and says where it is.
    pub(crate) async fn make_store(
        &mut self,
        project: &Project,
        lane: usize,
        index: usize,
    ) -> Result<(StoreConfig, Store), Failure> {
        let (name, config) = &project.config.stores[index];
        let scratch = self.store(lane, index, config);
        let store = environment::store(project, name, &scratch).await?;
        self.stores.push((scratch.clone(), store.clone()));
        Ok((scratch, store))
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// `headwater-test-0123456789ab-2-document`
    fn topic(&self, lane: usize, topic: &str) -> String {
        format!("{}-{lane}-{topic}", self.name)
    }

    /// A store of the same kind in the same place, under a name of its own.
    fn store(&self, lane: usize, index: usize, config: &StoreConfig) -> StoreConfig {
        let name = format!("{}-{lane}-{index}", self.name);
        match config {
            StoreConfig::Sqlite(_) => {
                StoreConfig::Sqlite(self.folder.clone().unwrap_or_default().join(format!("{name}.db")))
            }
            StoreConfig::Postgres(postgres) => {
                let mut postgres = postgres.clone();
                postgres.schema = name.replace('-', "_");
                StoreConfig::Postgres(postgres)
            }
            StoreConfig::Cassandra(cassandra) => {
                let mut cassandra = cassandra.clone();
                let like = std::mem::replace(&mut cassandra.keyspace, name.replace('-', "_"));
                cassandra.like = Some(like);
                StoreConfig::Cassandra(cassandra)
            }
        }
    }

    /// The project's topologies as this lane runs them: under names of its own, over topics of its own. Read anew, for a
    /// compiled topology cannot be copied.
    fn topologies(&self, lane: usize, project: &Project) -> Result<Vec<Arc<Topology>>, Failure> {
        let defect = || Failure::new("the declarations have changed while they were read: try again");
        // All the rest is gone then: commands and queries hold on to the topologies.
        let topologies = Project::load(&project.dir, Some(&self.profile)).map_err(|_| defect())?.topologies;
        let same = topologies.len() == project.topologies.len()
            && topologies
                .iter()
                .zip(&project.topologies)
                .all(|(a, b)| a.name == b.name && a.fingerprint(true) == b.fingerprint(true));
        if !same {
            return Err(defect());
        }
        topologies.into_iter().map(|topology| self.renamed(lane, topology).ok_or_else(defect)).collect()
    }

    /// A topology under the lane's names; None where somebody else holds on to it.
    pub(crate) fn renamed(&self, lane: usize, topology: Arc<Topology>) -> Option<Arc<Topology>> {
        let mut topology = Arc::into_inner(topology)?;
        topology.name = format!("{}-{lane}-{}", self.name, topology.name);
        // As topics are, rows are kept for ever: what a test finds does not depend on the day that it runs.
        topology.views.iter_mut().for_each(|view| view.table.retain = None);
        for plan in &mut topology.topics {
            plan.topic = Arc::new(self.named(lane, &plan.topic));
        }
        Some(Arc::new(topology))
    }

    /// A topic under the lane's name.
    fn named(&self, lane: usize, topic: &Topic) -> Topic {
        Topic { name: self.topic(lane, &topic.name), ..topic.clone() }
    }

    /// How keys of a lane's topic are written, whose subject is known to be dropped.
    async fn keys(&self, lane: usize, topic: &Topic) -> Result<KeyCodec, Failure> {
        let keys = self.registry.key_codec(&self.named(lane, topic)).await;
        keys.map_err(|error| refused(error, self.prefix))
    }

    /// The ids of all events' schemas, by topic and event: what stands in front of a real producer's records.
    pub(crate) async fn register(&mut self, topics: &[Arc<Topic>]) -> Result<Ids, Failure> {
        let prefix = self.prefix;
        let refused = |error| refused(error, prefix);
        let subject = |topic: &Topic, event: &Event| format!("{}-{}", self.name, topic.subject(event));
        let each = topics.iter().flat_map(|topic| topic.events.iter().map(move |event| (topic, event)));
        let wanted: Vec<(&Arc<Topic>, &Event, String)> =
            each.map(|(topic, event)| (topic, event, subject(topic, event))).collect();
        let mut ids = Ids::default();
        for (topic, event, subject) in wanted {
            if self.subjects.is_empty() {
                // Whether it answers at all, before anything may have been made there.
                self.registry.versions(&subject).await.map_err(refused)?;
            }
            self.subjects.push(subject.clone());
            let id: SchemaId = self.registry.register(&subject, &event.schema).await.map_err(refused)?;
            ids.entry(topic.name.clone()).or_default().push(id);
        }
        Ok(ids)
    }

    /// Where all of it is, for a summary.
    pub(super) fn place(&self) -> String {
        let mut names = vec![if self.is_log_embedded { "the embedded log" } else { "Kafka" }];
        for (config, _) in &self.stores {
            let kind = match config {
                StoreConfig::Sqlite(_) => "SQLite",
                StoreConfig::Postgres(_) => "Postgres",
                StoreConfig::Cassandra(_) => "Cassandra",
            };
            if !names.contains(&kind) {
                names.push(kind);
            }
        }
        names.join(" and ")
    }

    /// Leaves everything, and says what it is.
    pub(super) async fn keep(&self) -> Result<(), Failure> {
        self.close().await;
        let mut text = format!("Kept, all of it under {}:", self.name);
        let mut line = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                text.push_str(&format!("\n  {what}: {}", names.join(", ")));
            }
        };
        line("folder", self.folder.iter().map(|folder| folder.display().to_string()).collect());
        line("topics", self.topics.clone());
        line("subjects", self.subjects.clone());
        line("stores", self.stores.iter().map(|(config, _)| describe(config)).collect());
        note(text);
        Ok(())
    }

    /// Drops everything, and goes on where one part of it cannot be dropped.
    ///
    /// # Errors
    /// What is left, and why.
    pub(crate) async fn drop_all(&self) -> Result<(), Failure> {
        let mut left = Vec::new();
        if !self.is_log_embedded {
            let deleted = join_all(self.topics.iter().map(|topic| self.log.delete_topic(topic))).await;
            for (topic, deleted) in self.topics.iter().zip(deleted) {
                match deleted {
                    Ok(()) | Err(LogError::UnknownTopic { .. }) => {}
                    Err(error) => left.push(format!("topic {topic}: {error}")),
                }
            }
            if let Err(error) = self.log.delete_groups(&self.groups.all()).await {
                left.push(format!("groups {}-…: {error}", self.name));
            }
        }
        for subject in &self.subjects {
            if let Err(error) = self.registry.delete_subject(subject).await {
                left.push(format!("subject {subject}: {error}"));
            }
        }
        for (config, store) in &self.stores {
            if let Err(error) = store.destroy().await {
                left.push(format!("{}: {error}", describe(config)));
            }
        }
        self.close().await;
        if let Some(Err(failure)) = self.folder.as_deref().map(remove) {
            left.push(failure.to_string());
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("what was made for the run could not be dropped: {}", left.join("; ")))
            .mend(format!("Drop by hand what is named {}…", self.name)))
    }

    async fn close(&self) {
        self.log.close().await;
        for (_, store) in &self.stores {
            store.close().await;
        }
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    std::fs::remove_dir_all(folder)
        .map_err(|error| Failure::because(format!("the folder {} cannot be removed", folder.display()), &error))
}

fn refused(error: RegistryError, prefix: &str) -> Failure {
    let failure = Failure::because("the schemas cannot be registered under scratch subjects", &error);
    match error {
        RegistryError::Unreachable { .. } | RegistryError::Corrupt { .. } => failure.mend("See `registry:` in the profile."),
        RegistryError::Denied { .. } => failure.mend(format!(
            "See `registry:` in the profile; its user needs the right to write and delete subjects that begin with {prefix}-"
        )),
        _ => failure,
    }
}

/// A store's place, as it is named where it is left.
fn describe(config: &StoreConfig) -> String {
    match config {
        StoreConfig::Sqlite(file) => format!("file {}", file.display()),
        StoreConfig::Postgres(postgres) => format!("Postgres schema {}", postgres.schema),
        StoreConfig::Cassandra(cassandra) => format!("keyspace {}", cassandra.keyspace),
    }
}
