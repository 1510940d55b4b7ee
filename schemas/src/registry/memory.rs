//! The registry in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{RegistryError, Version, compatible};
use crate::avsc::Schema;
use crate::wire::SchemaId;

/// See [`Registry::Memory`](super::Registry::Memory).
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By id, less one.
    schemas: Vec<Arc<Schema>>,
    subjects: HashMap<String, Vec<Version>>,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn delete_subject(&self, subject: &str) {
        self.state().subjects.remove(subject);
    }

    pub(super) fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, RegistryError> {
        let mut state = self.state();
        let versions = state.subjects.get(subject).map(Vec::as_slice).unwrap_or_default();
        if let Some(known) = versions.iter().find(|v| v.schema.fingerprint == schema.fingerprint) {
            return Ok(known.id);
        }
        compatible(subject, schema, versions)?;
        let version = count(versions.len());
        let index = state.schemas.iter().position(|s| s.fingerprint == schema.fingerprint).unwrap_or_else(|| {
            state.schemas.push(Arc::new(schema.clone()));
            state.schemas.len() - 1
        });
        let (id, schema) = (SchemaId(count(index)), state.schemas[index].clone());
        state.subjects.entry(subject.to_owned()).or_default().push(Version { version, id, schema });
        Ok(id)
    }

    pub(super) fn by_id(&self, id: SchemaId) -> Result<Arc<Schema>, RegistryError> {
        let index = id.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|i| self.state().schemas.get(i).cloned()).ok_or(RegistryError::UnknownId(id))
    }

    pub(super) fn versions(&self, subject: &str) -> Vec<Version> {
        self.state().subjects.get(subject).cloned().unwrap_or_default()
    }
}

/// From an index to a number from 1.
fn count(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
