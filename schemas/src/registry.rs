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

use crate::avsc::Schema;
use crate::plan::{DecodePlan, ResolveError};
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

/// What went wrong, by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A message names an id that was never given out: the message is at fault.
    #[error("the registry has no schema {0}")]
    UnknownId(SchemaId),
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

    /// Whether [`register`](Registry::register) would take the schema, without registering it.
    pub async fn check(&self, subject: &str, schema: &Schema) -> Result<(), RegistryError> {
        compatible(subject, schema, &self.versions(subject).await?)
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
