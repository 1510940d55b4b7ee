//! What the catalog of a store says about a topology: which generation runs, and what it was declared as.

use headwater_engine::table::Table;

use crate::StoreError;

/// A generation to create: its tables and what it was declared as.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub topology: String,
    /// From 1; [`Store::next_generation`](crate::Store::next_generation) gives one that was never used.
    pub generation: u32,
    /// By the topology's views.
    pub tables: Vec<Table>,
    /// The full declaration and schema text: what workers and APIs run.
    pub declaration: String,
    /// Equal fingerprints fold equally.
    pub fingerprint: String,
}

/// The generation that a topology's plain view names show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    pub generation: u32,
    pub declaration: String,
    pub fingerprint: String,
}

/// The physical name of a view's table in a generation.
pub(crate) fn physical(view: &str, generation: u32) -> String {
    format!("{view}_g{generation}")
}

impl Deployment {
    /// The generation that runs just this already, if any, given the topology's active generation and the highest
    /// number ever used.
    pub(crate) fn found(&self, active: Option<&Active>, last: u32) -> Result<Option<u32>, StoreError> {
        match active {
            Some(active) if active.fingerprint == self.fingerprint => Ok(Some(active.generation)),
            Some(active) => Err(StoreError::Deployed {
                topology: self.topology.clone(),
                generation: active.generation,
                fingerprint: active.fingerprint.clone(),
            }),
            None if self.generation > last => Ok(None),
            None => Err(StoreError::NoGeneration { topology: self.topology.clone(), generation: self.generation }),
        }
    }

    /// Whether this topology may have a view of this name, given which topology has one.
    pub(crate) fn owns(&self, view: &str, owner: Option<&str>) -> Result<(), StoreError> {
        match owner {
            Some(owner) if owner != self.topology => Err(StoreError::Declaration {
                view: view.to_owned(),
                reason: format!("topology {owner} has a view of this name in the same store; rename one of them"),
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn as_active(&self) -> Active {
        Active {
            generation: self.generation,
            declaration: self.declaration.clone(),
            fingerprint: self.fingerprint.clone(),
        }
    }
}
