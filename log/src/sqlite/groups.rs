//! Offsets of consumer groups. Only tools that show lag read them, so a commit does not cost a sync of the disk: it is noted
//! in memory, and what was noted is written once a second and at close.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::LogError;
use crate::record::{Offset, Partition, TopicId};
use crate::sqlite::file::WriteConnection;
use crate::sqlite::{Shared, SqliteLog};
use crate::topic::GroupOffset;
use sqlx::Row;

const WRITE_EVERY: Duration = Duration::from_secs(1);

const PUT_SQL: &str = "insert into group_offsets (group_name, slot, next)
     select ?1, slot, ?3 from partitions where slot = ?2 and topic is not null
     on conflict (group_name, slot) do update set next = excluded.next";

const GET_SQL: &str = "select t.name, p.partition, g.next
     from group_offsets g join partitions p on p.slot = g.slot join topics t on t.id = p.topic
     where g.group_name = ? order by t.name, p.partition";

/// Commits that are not written yet: as many as there are groups and partitions, at most.
#[derive(Debug, Default)]
pub(super) struct Commits(Mutex<Noted>);

/// The next offset by group and slot.
type Noted = HashMap<(String, i64), i64>;

impl Commits {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the task that writes what was noted. It ends with the log.
pub(super) fn start(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(shared) = shared.upgrade() else { return };
            match shared.flush_commits().await {
                Ok(()) => {}
                Err(LogError::Closed) => return,
                Err(error) => tracing::debug!(%error, "offsets of consumer groups are not written yet; trying again"),
            }
        }
    });
}

impl SqliteLog {
    pub(crate) async fn commit_group(&self, group: &str, offsets: &[(TopicId, GroupOffset)]) -> Result<(), LogError> {
        let shared = &self.0.shared;
        for (id, at) in offsets {
            let entry = shared.entry(&at.topic, Some(*id)).await?;
            let slot = entry.slots[entry.info.index(at.partition)?];
            shared.commits.noted().insert((group.to_owned(), slot), at.next.0);
        }
        Ok(())
    }

    pub(crate) async fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>, LogError> {
        let shared = &self.0.shared;
        shared.flush_commits().await?;
        let fault = |error| shared.file.fault("read from", &error);
        let mut reader = shared.reader().await?;
        let rows = sqlx::query(GET_SQL).bind(group).fetch_all(&mut *reader).await.map_err(fault)?;
        rows.iter()
            .map(|row| {
                Ok(GroupOffset {
                    topic: row.try_get("name").map_err(fault)?,
                    partition: Partition(row.try_get("partition").map_err(fault)?),
                    next: Offset(row.try_get("next").map_err(fault)?),
                })
            })
            .collect()
    }

    pub(crate) async fn delete_groups(&self, groups: &[String]) -> Result<(), LogError> {
        let (shared, groups) = (Arc::clone(&self.0.shared), groups.to_vec());
        shared.flush_commits().await?;
        Shared::detached(async move {
            let mut write = shared.write.lock().await;
            let result = shared.drop_groups(&mut write, &groups).await;
            write.settle(result).await
        })
        .await
    }
}

impl Shared {
    async fn drop_groups(&self, write: &mut WriteConnection, groups: &[String]) -> Result<(), LogError> {
        let fault = |error| self.file.fault("write to", &error);
        let mut transaction = write.begin().await?;
        for group in groups {
            let gone = sqlx::query("delete from group_offsets where group_name = ?").bind(group);
            gone.execute(&mut *transaction).await.map_err(fault)?;
        }
        transaction.commit().await.map_err(fault)
    }

    /// Writes the commits that were noted. Where that fails they stay noted.
    pub(super) async fn flush_commits(self: &Arc<Self>) -> Result<(), LogError> {
        if self.commits.noted().is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(self);
        Shared::detached(async move {
            let mut write = shared.write.lock().await;
            let noted = std::mem::take(&mut *shared.commits.noted());
            let result = shared.put_commits(&mut write, &noted).await;
            if result.is_err() {
                let mut newer = shared.commits.noted();
                for (place, next) in noted {
                    newer.entry(place).or_insert(next);
                }
            }
            write.settle(result).await
        })
        .await
    }

    async fn put_commits(&self, write: &mut WriteConnection, noted: &Noted) -> Result<(), LogError> {
        let fault = |error| self.file.fault("write to", &error);
        let mut transaction = write.begin().await?;
        for ((group, slot), next) in noted {
            let put = sqlx::query(PUT_SQL).bind(group).bind(slot).bind(next);
            put.execute(&mut *transaction).await.map_err(fault)?;
        }
        transaction.commit().await.map_err(fault)
    }
}
