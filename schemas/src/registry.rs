//! The schema registry: every version of every event's schema, under a number that messages carry.
//!
//! The one idea: a new version must be able to read all history (BACKWARD_TRANSITIVE), and the judge is the decode plan
//! itself: the plan of the whole new schema compiles, without gaps, against every registered version. What the registry
//! accepts, a rebuild can read.
//!
//! A schema's id belongs to its text: registered under two subjects it has one id. Ids count from 1 and are never used
//! again.

mod embedded;
mod memory;
mod remote;

use std::path::Path;
use std::sync::Arc;

use crate::avsc::{Schema, SchemaError};
use crate::key::{KeyCodec, KeyFormat, KeySchema};
use crate::plan::{DecodePlan, ResolveError};
use crate::topic::Topic;
use crate::wire::SchemaId;
pub use embedded::Embedded;
pub use memory::Memory;
pub use remote::{Login, RegistryFacts, Remote, RemoteOptions};

/// A registry; cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub enum Registry {
    /// In this process alone, and gone with it: for tests.
    Memory(Memory),
    /// A SQLite file that several processes may open at once.
    Embedded(Embedded),
    /// Over HTTP, with Confluent's API.
    Remote(Remote),
}

/// A version of a subject, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub version: u32,
    pub id: SchemaId,
    pub schema: Arc<Schema>,
}

/// The first version of a subject of keys, whose id is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct First {
    id: SchemaId,
    text: Arc<str>,
}

/// What went wrong, by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A message names an id that was never given out: the message is at fault.
    #[error("the registry has no schema {0}")]
    UnknownId(SchemaId),
    /// A message names the id of what is no event's schema, as that of a key: the message is at fault.
    #[error("schema {id} is no record: it is {shape}")]
    NoRecord { id: SchemaId, shape: Arc<str> },
    /// The id that the topic's keys must have is that of another schema.
    #[error(
        "{subject}: version 1 (id {id}), which all keys of the topic have, is {registered}; the declared key is {declared}"
    )]
    OtherKey { subject: String, id: SchemaId, registered: String, declared: Arc<str> },
    /// Nobody can tell any more which id the topic's keys have.
    #[error("{subject}: there are versions, but the first, whose id all keys of the topic have, was deleted")]
    NoFirstKey { subject: String },
    /// The registry cannot be asked now; wait and ask again.
    #[error("the registry at {place} cannot be reached: {reason}")]
    Unreachable { place: String, reason: String },
    /// The schema cannot read what earlier versions wrote.
    #[error("{subject} cannot take this schema: it does not read version {version} (id {id}): {}", list(conflicts))]
    Incompatible { subject: String, version: u32, id: SchemaId, conflicts: Vec<ResolveError> },
    /// The registry does not let this caller in, or cannot be asked as configured; waiting alone does not mend it.
    #[error("the registry at {place} cannot be used as configured: {reason}")]
    Denied { place: String, reason: String },
    /// The registry's own rule refuses what ours accepts.
    #[error("the registry refuses this schema for {subject}: {reason}")]
    Refused { subject: String, reason: String },
    /// The registry's own data is broken, or is not a registry's.
    #[error("the registry at {place} is broken: {reason}")]
    Corrupt { place: String, reason: String },
}

fn list(conflicts: &[ResolveError]) -> String {
    conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Registry {
    /// An empty registry in memory.
    pub fn memory() -> Self {
        Registry::Memory(Memory::default())
    }

    /// The registry in the file `registry.db` of this folder; both are made if they are missing.
    pub async fn open_embedded(folder: &Path) -> Result<Self, RegistryError> {
        Embedded::open(folder).await.map(Registry::Embedded)
    }

    /// The registry at these addresses; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`RegistryError::Denied`] where the options cannot be used.
    pub fn remote(options: &RemoteOptions) -> Result<Self, RegistryError> {
        Remote::new(options).map(Registry::Remote)
    }

    /// The id of a schema under a subject: its own if it is registered there, else as a new version, provided that it
    /// reads every earlier one. Durable once it returns.
    pub async fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, RegistryError> {
        match self {
            Registry::Memory(memory) => memory.register(subject, schema),
            Registry::Embedded(embedded) => embedded.register(subject, schema).await,
            Registry::Remote(remote) => remote.register(subject, schema).await,
        }
    }

    /// The schema of an id.
    pub async fn by_id(&self, id: SchemaId) -> Result<Arc<Schema>, RegistryError> {
        match self {
            Registry::Memory(memory) => memory.by_id(id),
            Registry::Embedded(embedded) => embedded.by_id(id).await,
            Registry::Remote(remote) => remote.by_id(id).await,
        }
    }

    /// All versions of a subject, oldest first; none where the subject is unknown.
    pub async fn versions(&self, subject: &str) -> Result<Vec<Version>, RegistryError> {
        match self {
            Registry::Memory(memory) => Ok(memory.versions(subject)),
            Registry::Embedded(embedded) => embedded.versions(subject).await,
            Registry::Remote(remote) => remote.versions(subject).await,
        }
    }

    /// Forgets a subject with all of its versions; one that is not there is no error. Ids stay given out. For what was made
    /// to be thrown away: whoever reads messages needs the schemas that wrote them.
    pub async fn delete_subject(&self, subject: &str) -> Result<(), RegistryError> {
        match self {
            Registry::Memory(memory) => {
                memory.delete_subject(subject);
                Ok(())
            }
            Registry::Embedded(embedded) => embedded.delete_subject(subject).await,
            Registry::Remote(remote) => remote.delete_subject(subject).await,
        }
    }

    /// How a topic's message keys are written and read: with the id of version 1 of its subject of keys, which is registered
    /// where there is none, if they are in Avro.
    ///
    /// # Errors
    /// [`RegistryError::OtherKey`] where version 1 has another shape than the declared key.
    pub async fn key_codec(&self, topic: &Topic) -> Result<KeyCodec, RegistryError> {
        let KeyFormat::Avro(schema) = &topic.key_format else { return Ok(KeyCodec::offline(topic)) };
        let subject = topic.key_subject();
        if let Some(first) = self.first_key(&subject).await? {
            return first.pinned(&subject, schema).map(|id| KeyCodec::new(topic, id));
        }
        let registered = match self {
            Registry::Memory(memory) => memory.register_key(&subject, schema),
            Registry::Embedded(embedded) => embedded.register_key(&subject, schema).await,
            Registry::Remote(remote) => remote.register_key(&subject, schema).await,
        };
        // Another may have been first: then it is theirs that counts, and ours may have been refused for it.
        match (self.first_key(&subject).await?, registered) {
            (Some(first), _) => first.pinned(&subject, schema).map(|id| KeyCodec::new(topic, id)),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(RegistryError::NoFirstKey { subject }),
        }
    }

    /// As [`key_codec`](Registry::key_codec), but registers nothing: None where a topic's keys are in Avro and nobody has
    /// registered their schema.
    pub async fn known_key_codec(&self, topic: &Topic) -> Result<Option<KeyCodec>, RegistryError> {
        let KeyFormat::Avro(schema) = &topic.key_format else { return Ok(Some(KeyCodec::offline(topic))) };
        let subject = topic.key_subject();
        let Some(first) = self.first_key(&subject).await? else { return Ok(None) };
        first.pinned(&subject, schema).map(|id| Some(KeyCodec::new(topic, id)))
    }

    async fn first_key(&self, subject: &str) -> Result<Option<First>, RegistryError> {
        match self {
            Registry::Memory(memory) => Ok(memory.first_key(subject)),
            Registry::Embedded(embedded) => embedded.first_key(subject).await,
            Registry::Remote(remote) => remote.first_key(subject).await,
        }
    }

    /// Whether [`register`](Registry::register) would take the schema, without registering it.
    pub async fn check(&self, subject: &str, schema: &Schema) -> Result<(), RegistryError> {
        compatible(subject, schema, &self.versions(subject).await?)
    }
}

impl First {
    /// The id that keys have.
    fn pinned(self, subject: &str, declared: &KeySchema) -> Result<SchemaId, RegistryError> {
        let found = KeySchema::parse(&self.text);
        if found.as_ref().is_ok_and(|found| found.shape == declared.shape) {
            return Ok(self.id);
        }
        let registered =
            found.map_or_else(|_| format!("not understood: {}", self.text), |found| found.shape.to_string());
        let (subject, declared) = (subject.to_owned(), declared.shape.clone());
        Err(RegistryError::OtherKey { subject, id: self.id, registered, declared })
    }
}

/// Why a schema that was registered cannot be read as that of an event.
fn unreadable(place: &str, id: SchemaId, text: &str, error: &SchemaError) -> RegistryError {
    match KeySchema::parse(text) {
        Ok(key) => RegistryError::NoRecord { id, shape: key.shape },
        Err(_) => RegistryError::Corrupt { place: place.to_owned(), reason: format!("schema {id}: {error}") },
    }
}

/// A schema that reads every version, or the first that it does not. A registered version is always welcome again.
fn compatible(subject: &str, schema: &Schema, versions: &[Version]) -> Result<(), RegistryError> {
    if versions.iter().any(|v| v.schema.fingerprint == schema.fingerprint) {
        return Ok(());
    }
    for Version { version, id, schema: earlier } in versions {
        let conflicts = DecodePlan::conflicts(earlier, &schema.record);
        if !conflicts.is_empty() {
            return Err(RegistryError::Incompatible {
                subject: subject.to_owned(),
                version: *version,
                id: *id,
                conflicts,
            });
        }
    }
    Ok(())
}
