//! Notices what other processes write. SQLite tells nobody, so while anyone waits, one connection asks every 20 ms whether
//! the file has changed, which costs a look at shared memory however many wait.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::SqliteConnection;

use crate::error::LogError;
use crate::sqlite::Shared;

const POLL: Duration = Duration::from_millis(20);

/// Starts the task, which ends with the log.
pub(super) fn start(shared: &Arc<Shared>) {
    tokio::spawn(watch(Arc::downgrade(shared)));
}

async fn watch(shared: Weak<Shared>) {
    let mut connection = None;
    let mut seen = None;
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.readers.is_closed() {
            return;
        }
        if shared.changed.receiver_count() == 0 {
            continue;
        }
        match look(&shared, &mut connection).await {
            Ok(version) if seen == Some(version) => {}
            Ok(version) => {
                seen = Some(version);
                shared.notify();
            }
            Err(error) => {
                // The version counts from where its connection began: a new one has nothing to compare with.
                tracing::debug!(%error, "cannot see whether the log has changed; trying again");
                connection = None;
                seen = None;
            }
        }
    }
}

/// A number that is another one after another connection has committed.
async fn look(shared: &Shared, connection: &mut Option<SqliteConnection>) -> Result<i64, LogError> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(shared.file.connect_reader().await?),
    };
    let version = sqlx::query_scalar("pragma data_version").fetch_one(connection).await;
    version.map_err(|error| shared.file.fault("watch", &error))
}
