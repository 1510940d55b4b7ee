//! Who is next, within this process: a fair queue a key. Claims decide between processes; this keeps the commands of one
//! process from losing compare-and-swaps to each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Who is at the front, and who waits, of each key.
type ByKey = HashMap<Vec<u8>, Arc<Turn<()>>>;

/// Queues by key; a key that nobody waits for costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues(Arc<Mutex<ByKey>>);

/// The front of a queue, until dropped.
#[derive(Debug)]
pub(crate) struct Front {
    queues: Queues,
    key: Vec<u8>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Queues {
    /// Waits until everyone who came before is done. Cancel-safe.
    pub(crate) async fn enter(&self, key: &[u8]) -> Front {
        let turn = self.lock().entry(key.to_vec()).or_default().clone();
        // Made before waiting, so that a waiter who gives up cleans up as well.
        let mut front = Front { queues: self.clone(), key: key.to_vec(), held: None };
        front.held = Some(turn.lock_owned().await);
        front
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ByKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.held = None;
        let mut queues = self.queues.lock();
        // The map's own, and no one's who waits.
        if queues.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let queues = Queues::default();
        let first = queues.enter(b"k").await;
        let other = queues.enter(b"other").await;
        let waiting = tokio::spawn({
            let queues = queues.clone();
            async move { drop(queues.enter(b"k").await) }
        });
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), queues.enter(b"k")).await;
        assert!(given_up.is_err());
        assert!(!waiting.is_finished());
        drop((first, other));
        waiting.await.unwrap();
        assert!(queues.lock().is_empty());
    }
}
