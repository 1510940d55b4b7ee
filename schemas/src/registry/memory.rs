//! The registry in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{First, RegistryError, Version, compatible, unreadable};
use crate::avsc::{Fingerprint, Schema};
use crate::key::KeySchema;
use crate::wire::SchemaId;

/// See [`Registry::Memory`](super::Registry::Memory).
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By id, less one.
    schemas: Vec<Known>,
    subjects: HashMap<String, Vec<Version>>,
    keys: HashMap<String, First>,
}

#[derive(Debug)]
enum Known {
    Event(Arc<Schema>),
    Key(Arc<KeySchema>),
}

impl Known {
    fn fingerprint(&self) -> Fingerprint {
        match self {
            Known::Event(schema) => schema.fingerprint,
            Known::Key(schema) => schema.fingerprint,
        }
    }
}

impl State {
    /// The id of a schema, its own or the next.
    fn id(&mut self, known: Known) -> SchemaId {
        let fingerprint = known.fingerprint();
        let index = self.schemas.iter().position(|s| s.fingerprint() == fingerprint).unwrap_or_else(|| {
            self.schemas.push(known);
            self.schemas.len() - 1
        });
        SchemaId(count(index))
    }
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn delete_subject(&self, subject: &str) {
        let mut state = self.state();
        state.subjects.remove(subject);
        state.keys.remove(subject);
    }

    pub(super) fn first_key(&self, subject: &str) -> Option<First> {
        self.state().keys.get(subject).cloned()
    }

    pub(super) fn register_key(&self, subject: &str, schema: &KeySchema) -> Result<(), RegistryError> {
        let mut state = self.state();
        let id = state.id(Known::Key(Arc::new(schema.clone())));
        state.keys.entry(subject.to_owned()).or_insert_with(|| First { id, text: schema.text.clone() });
        Ok(())
    }

    pub(super) fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, RegistryError> {
        let mut state = self.state();
        let versions = state.subjects.get(subject).map(Vec::as_slice).unwrap_or_default();
        if let Some(known) = versions.iter().find(|v| v.schema.fingerprint == schema.fingerprint) {
            return Ok(known.id);
        }
        compatible(subject, schema, versions)?;
        let version = count(versions.len());
        let schema = Arc::new(schema.clone());
        let id = state.id(Known::Event(schema.clone()));
        state.subjects.entry(subject.to_owned()).or_default().push(Version { version, id, schema });
        Ok(id)
    }

    pub(super) fn by_id(&self, id: SchemaId) -> Result<Arc<Schema>, RegistryError> {
        let state = self.state();
        let index = id.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| state.schemas.get(index)) {
            Some(Known::Event(schema)) => Ok(schema.clone()),
            Some(Known::Key(schema)) => {
                let read = Schema::parse_registered(&schema.text);
                read.map(Arc::new).map_err(|error| unreadable("memory", id, &schema.text, &error))
            }
            None => Err(RegistryError::UnknownId(id)),
        }
    }

    pub(super) fn versions(&self, subject: &str) -> Vec<Version> {
        self.state().subjects.get(subject).cloned().unwrap_or_default()
    }
}

/// From an index to a number from 1.
fn count(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
