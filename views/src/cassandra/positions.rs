//! Positions: one row a partition, written last, with the position itself as its timestamp: an older one never wins.

use uuid::Uuid;

use super::connection::Connection;
use crate::{FlushTarget, PositionMove, StoreError, StoredPosition};

pub(super) async fn all(
    connection: &Connection,
    topology: &str,
    generation: u32,
) -> Result<Vec<StoredPosition>, StoreError> {
    let cql = format!(
        "SELECT topic, partition, topic_id, next FROM {} WHERE topology = ? AND generation = ?",
        connection.name("_positions")
    );
    let found: Vec<(String, i32, Uuid, i64)> =
        connection.all(&cql, (topology, i64::from(generation)), "reading positions").await?;
    let position = |(topic, partition, topic_id, next): (String, i32, Uuid, i64)| StoredPosition {
        topic,
        topic_id: topic_id.into_bytes(),
        partition,
        next,
    };
    Ok(found.into_iter().map(position).collect())
}

/// Compares what is stored with what these moves start from.
pub(super) fn compare(stored: &[StoredPosition], moves: &[PositionMove]) -> Result<(), StoreError> {
    for step in moves {
        let found = stored.iter().find(|found| found.topic == step.topic && found.partition == step.partition);
        step.compare(found.map(|found| (found.topic_id, found.next)).as_ref())?;
    }
    Ok(())
}

pub(super) async fn write(
    connection: &Connection,
    target: &FlushTarget,
    moves: &[PositionMove],
) -> Result<(), StoreError> {
    let cql = format!(
        "INSERT INTO {} (topology, generation, topic, partition, topic_id, next) VALUES (?, ?, ?, ?, ?, ?) \
         USING TIMESTAMP ?",
        connection.name("_positions")
    );
    let generation = i64::from(target.generation);
    let each = moves.iter().map(|step| {
        let id = Uuid::from_bytes(step.topic_id);
        let values = (&target.topology, generation, &step.topic, step.partition, id, step.to, step.to);
        connection.run(&cql, values, "writing positions")
    });
    futures::future::try_join_all(each).await.map(drop)
}
