//! Retention: whole prefixes of partitions go, in steps short enough that appends get in between, and the file shrinks.

use std::sync::Arc;

use sqlx::Row;

use crate::error::LogError;
use crate::sqlite::file::WriteConnection;
use crate::sqlite::schema::{offset_of, row_id};
use crate::sqlite::{Shared, SqliteLog};

/// Records and bytes of payload that one step removes, at most.
const STEP_RECORDS: usize = 1_000;
const STEP_BYTES: i64 = 16 << 20;

/// Gives up to 2,048 free pages, 8 MiB, back to the file system.
const VACUUM_SQL: &str = "pragma incremental_vacuum(2048)";

/// A partition that may have something to remove.
struct Candidate {
    slot: i64,
    /// Records older than this go. None: all of them, since the topic was deleted.
    cutoff_ms: Option<i64>,
}

/// What one step did.
struct Step {
    removed: u64,
    /// Nothing that is left may go.
    done: bool,
}

impl SqliteLog {
    pub(crate) async fn enforce_retention(&self, now_ms: i64) -> Result<u64, LogError> {
        let shared = Arc::clone(&self.0.shared);
        Shared::detached(async move {
            let expired = shared.remove_expired(now_ms).await?;
            shared.remove_orphans().await?;
            shared.reclaim().await?;
            Ok(expired)
        })
        .await
    }
}

impl Shared {
    async fn remove_expired(&self, now_ms: i64) -> Result<u64, LogError> {
        let fault = |error| self.file.fault("read from", &error);
        let mut reader = self.reader().await?;
        let rows = sqlx::query(
            "select t.name, t.uuid, t.partitions, t.retention_days, p.slot
             from topics t join partitions p on p.topic = t.id where t.retention_days is not null order by p.slot",
        )
        .fetch_all(&mut *reader)
        .await
        .map_err(fault)?;
        drop(reader);
        let mut removed = 0;
        for row in rows {
            let cutoff_ms = self.topic_info(&row)?.cutoff_ms(now_ms);
            let slot = row.try_get("slot").map_err(fault)?;
            if cutoff_ms.is_some() {
                removed += self.empty(Candidate { slot, cutoff_ms }).await?;
            }
        }
        Ok(removed)
    }

    /// Removes what deleted topics have left.
    pub(super) async fn remove_orphans(&self) -> Result<u64, LogError> {
        let mut reader = self.reader().await?;
        let slots: Vec<i64> = sqlx::query_scalar("select slot from partitions where topic is null order by slot")
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| self.file.fault("read from", &error))?;
        drop(reader);
        let mut removed = 0;
        for slot in slots {
            removed += self.empty(Candidate { slot, cutoff_ms: None }).await?;
        }
        Ok(removed)
    }

    async fn empty(&self, candidate: Candidate) -> Result<u64, LogError> {
        let mut removed = 0;
        loop {
            let mut write = self.write.lock().await;
            let step = self.step(&mut write, &candidate).await;
            let step = write.settle(step).await?;
            removed += step.removed;
            if step.done {
                return Ok(removed);
            }
        }
    }

    /// Removes the first records of the slot, as far as they are old enough and one step goes.
    async fn step(&self, write: &mut WriteConnection, candidate: &Candidate) -> Result<Step, LogError> {
        let fault = |error| self.file.fault("remove old records from", &error);
        let slot = candidate.slot;
        let (first, beyond) = (row_id(slot, 0), row_id(slot + 1, 0));
        let mut transaction = write.begin().await?;
        // The length of a blob is read without the blob.
        let rows = sqlx::query(
            "select id, timestamp_ms, coalesce(length(payload), 0) as bytes
             from records where id >= ? and id < ? order by id limit ?",
        )
        .bind(first)
        .bind(beyond)
        .bind(STEP_RECORDS as i64)
        .fetch_all(&mut *transaction)
        .await
        .map_err(fault)?;

        let (mut removed, mut bytes, mut upto) = (0, 0, first);
        let mut done = rows.len() < STEP_RECORDS;
        for row in rows {
            let timestamp_ms: i64 = row.try_get("timestamp_ms").map_err(fault)?;
            if candidate.cutoff_ms.is_some_and(|cutoff_ms| timestamp_ms >= cutoff_ms) {
                done = true;
                break;
            }
            bytes += row.try_get::<i64, _>("bytes").map_err(fault)?;
            if bytes > STEP_BYTES && removed > 0 {
                done = false;
                break;
            }
            removed += 1;
            upto = row.try_get::<i64, _>("id").map_err(fault)? + 1;
        }

        if removed > 0 {
            let delete = sqlx::query("delete from records where id >= ? and id < ?").bind(first).bind(upto);
            delete.execute(&mut *transaction).await.map_err(fault)?;
            let earliest = offset_of(upto - 1) + 1;
            let update = sqlx::query("update partitions set earliest = ? where slot = ?").bind(earliest).bind(slot);
            update.execute(&mut *transaction).await.map_err(fault)?;
        }
        if done && candidate.cutoff_ms.is_none() {
            let delete = sqlx::query("delete from partitions where slot = ? and topic is null").bind(slot);
            delete.execute(&mut *transaction).await.map_err(fault)?;
        }
        transaction.commit().await.map_err(fault)?;
        Ok(Step { removed, done })
    }

    /// Gives free pages back to the file system. The file itself gets shorter with the next checkpoint.
    async fn reclaim(&self) -> Result<(), LogError> {
        loop {
            let mut write = self.write.lock().await;
            let left = self.reclaim_step(&mut write).await;
            if write.settle(left).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Answers how many free pages are left for another step.
    async fn reclaim_step(&self, write: &mut WriteConnection) -> Result<i64, LogError> {
        let fault = |error| self.file.fault("shrink", &error);
        let connection = write.connection().await?;
        let free = "pragma freelist_count";
        let before: i64 = sqlx::query_scalar(free).fetch_one(&mut *connection).await.map_err(fault)?;
        if before == 0 {
            return Ok(0);
        }
        // It frees a page a row of its answer, so all rows must be asked for.
        sqlx::query(VACUUM_SQL).fetch_all(&mut *connection).await.map_err(fault)?;
        let after: i64 = sqlx::query_scalar(free).fetch_one(&mut *connection).await.map_err(fault)?;
        // A file that was made without incremental vacuum keeps its free pages, and uses them again.
        Ok(if after < before { after } else { 0 })
    }
}
