//! Making a topology's tables, and noticing that what is deployed is not what is declared.

use headwater_engine::plan::Topology;
use headwater_engine::table::Table;
use headwater_views::{Deployment, Store, StoreError};

/// Why a topology cannot run as declared.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The folder says something else than the active generation.
    #[error("topology {topology} is deployed as generation {generation}, and the declaration differs from it")]
    Differs {
        topology: String,
        generation: u32,
        /// Lines of the two descriptions that differ: `- deployed`, `+ declared`.
        difference: Vec<String>,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the topology's tables in its store where there are none, and gives the generation to run.
///
/// # Errors
/// [`DeployError::Differs`] where another declaration is deployed: nothing was changed.
pub async fn deploy(store: &Store, topology: &Topology) -> Result<u32, DeployError> {
    let in_parts = store.keeps_parts();
    let (declaration, fingerprint) = (topology.described(in_parts), topology.fingerprint(in_parts));
    if let Some(active) = store.active(&topology.name).await? {
        if active.fingerprint == fingerprint {
            return Ok(active.generation);
        }
        return Err(DeployError::Differs {
            topology: topology.name.clone(),
            generation: active.generation,
            difference: difference(&active.declaration, &declaration),
        });
    }
    let generation = store.next_generation(&topology.name).await?;
    // Two first starts at once: one of them creates, and both run what it created.
    let running = store
        .create(&Deployment {
            topology: topology.name.clone(),
            generation,
            tables: topology.views.iter().map(|view| view.table.clone()).collect::<Vec<Table>>(),
            declaration,
            fingerprint,
        })
        .await?;
    Ok(running)
}

/// Drops what is deployed of a topology, so that it is folded anew from the log. The views are empty until then.
pub async fn reset(store: &Store, topology: &str) -> Result<(), StoreError> {
    store.reset(topology).await.map(drop)
}

fn difference(deployed: &str, declared: &str) -> Vec<String> {
    let minus = deployed.lines().filter(|line| !declared.lines().any(|other| other == *line));
    let plus = declared.lines().filter(|line| !deployed.lines().any(|other| other == *line));
    minus.map(|line| format!("- {line}")).chain(plus.map(|line| format!("+ {line}"))).collect()
}
