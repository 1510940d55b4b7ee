//! Topics: created, listed and deleted.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::LogError;
use crate::record::TopicId;
use crate::sqlite::file::WriteConnection;
use crate::sqlite::schema::MAX_SLOT;
use crate::sqlite::{Shared, SqliteLog};
use crate::topic::{TopicInfo, TopicSpec};

const ADD_PARTITIONS_SQL: &str = "insert into partitions (topic, partition)
     with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?2)
     select ?1, i from n order by i";

impl SqliteLog {
    pub(crate) async fn ensure_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        spec.validate()?;
        match self.topic(&spec.name).await {
            // The usual case, which takes no lock.
            Ok(info) if info.retention_days == spec.retention_days => return spec.fits(&info).map(|()| info),
            Ok(_) | Err(LogError::UnknownTopic { .. }) => {}
            Err(error) => return Err(error),
        }
        let (shared, spec) = (Arc::clone(&self.0.shared), spec.clone());
        Shared::detached(async move {
            let mut write = shared.write.lock().await;
            let result = shared.put_topic(&mut write, &spec).await;
            write.settle(result).await
        })
        .await
    }

    pub(crate) async fn topic(&self, name: &str) -> Result<TopicInfo, LogError> {
        let shared = &self.0.shared;
        let mut reader = shared.reader().await?;
        Ok(shared.look_up(&mut reader, name).await?.entry.info)
    }

    pub(crate) async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        let shared = &self.0.shared;
        let mut reader = shared.reader().await?;
        let rows = sqlx::query("select name, uuid, partitions, retention_days from topics order by name")
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| shared.file.fault("read from", &error))?;
        rows.iter().map(|row| shared.topic_info(row)).collect()
    }

    /// The topic goes at once; its records are removed after that in steps which let appends in between. Should that be
    /// interrupted, the next [`SqliteLog::enforce_retention`] goes on with it.
    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        let (shared, name) = (Arc::clone(&self.0.shared), name.to_owned());
        Shared::detached(async move {
            let mut write = shared.write.lock().await;
            let result = shared.drop_topic(&mut write, &name).await;
            write.settle(result).await?;
            drop(write);
            shared.forget(&name);
            shared.notify();
            shared.remove_orphans().await.map(|_| ())
        })
        .await
    }
}

impl Shared {
    async fn put_topic(&self, write: &mut WriteConnection, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let fault = |error| self.file.fault("create a topic in", &error);
        let mut transaction = write.begin().await?;
        if let Some(seen) = self.find_topic(&mut transaction, &spec.name).await? {
            let mut info = seen.entry.info;
            spec.fits(&info)?;
            sqlx::query("update topics set retention_days = ? where name = ?")
                .bind(spec.retention_days)
                .bind(&spec.name)
                .execute(&mut *transaction)
                .await
                .map_err(fault)?;
            transaction.commit().await.map_err(fault)?;
            info.retention_days = spec.retention_days;
            return Ok(info);
        }
        let uuid = Uuid::new_v4();
        let topic = sqlx::query("insert into topics (name, uuid, partitions, retention_days) values (?, ?, ?, ?)")
            .bind(&spec.name)
            .bind(uuid.as_bytes().as_slice())
            .bind(spec.partitions)
            .bind(spec.retention_days)
            .execute(&mut *transaction)
            .await
            .map_err(fault)?
            .last_insert_rowid();
        let last_slot = sqlx::query(ADD_PARTITIONS_SQL)
            .bind(topic)
            .bind(spec.partitions)
            .execute(&mut *transaction)
            .await
            .map_err(fault)?
            .last_insert_rowid();
        if last_slot > MAX_SLOT {
            let reason = format!("this log has had {MAX_SLOT} partitions, and can have no more; start a new one");
            return Err(LogError::InvalidTopic { topic: spec.name.clone(), reason });
        }
        transaction.commit().await.map_err(fault)?;
        let TopicSpec { name, partitions, retention_days, .. } = spec.clone();
        Ok(TopicInfo { name, id: TopicId(uuid), partitions, retention_days })
    }

    async fn drop_topic(&self, write: &mut WriteConnection, name: &str) -> Result<(), LogError> {
        let fault = |error| self.file.fault("delete a topic from", &error);
        let mut transaction = write.begin().await?;
        let seen = self.find_topic(&mut transaction, name).await?.ok_or_else(|| LogError::unknown(name))?;
        for slot in seen.entry.slots {
            sqlx::query("delete from group_offsets where slot = ?")
                .bind(slot)
                .execute(&mut *transaction)
                .await
                .map_err(fault)?;
        }
        // Its partitions stay without a topic, until their records are gone.
        sqlx::query("delete from topics where name = ?").bind(name).execute(&mut *transaction).await.map_err(fault)?;
        transaction.commit().await.map_err(fault)
    }
}
