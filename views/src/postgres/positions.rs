//! Positions: read, and moved by compare-and-swap.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::catalog;
use super::connections::Lease;
use super::fault::failed;
use crate::{FlushTarget, PositionMove, StoreError, StoredPosition};

const DOING: &str = "moving positions";

/// The stored positions, by topic and partition.
pub(super) async fn all(lease: &mut Lease, topology: &str, generation: u32) -> Result<Vec<StoredPosition>, StoreError> {
    let sql = "SELECT topic, partition, topic_id, next FROM _positions WHERE topology = $1 AND generation = $2 \
               ORDER BY topic, partition";
    let found = lease.fetch(sqlx::query(sql).bind(topology).bind(i64::from(generation))).await;
    let found = found.and_then(|rows| rows.iter().map(position).collect());
    found.map_err(|error| failed("reading positions", error))
}

fn position(row: &PgRow) -> Result<StoredPosition, sqlx::Error> {
    let topic_id: Vec<u8> = row.try_get(2)?;
    let topic_id = topic_id.try_into().map_err(|_| sqlx::Error::Decode("a topic's id has 16 bytes".into()))?;
    Ok(StoredPosition { topic: row.try_get(0)?, partition: row.try_get(1)?, topic_id, next: row.try_get(3)? })
}

/// The compare-and-swap, before anything else of a flush. Rows are locked in key order, so that two flushes never wait for
/// each other in a ring; who comes second sees what the first has stored.
pub(super) async fn swap(lease: &mut Lease, target: &FlushTarget, moves: &[PositionMove]) -> Result<(), StoreError> {
    let FlushTarget { topology, generation } = target;
    if !catalog::is_active(lease, topology, *generation).await? {
        return Err(StoreError::NoGeneration { topology: topology.clone(), generation: *generation });
    }
    if moves.is_empty() {
        return Ok(());
    }
    compare(moves, &locked(lease, target, moves).await?)?;
    let (stored, new): (Vec<_>, Vec<_>) = moves.iter().partition(|step| step.from.is_some());
    let update = "UPDATE _positions AS p SET next = w.next \
         FROM unnest($3::text[], $4::integer[], $5::bytea[], $6::bigint[]) AS w(topic, partition, topic_id, next) \
         WHERE p.topology = $1 AND p.generation = $2 AND p.topic = w.topic AND p.partition = w.partition";
    let insert = "INSERT INTO _positions (topology, generation, topic, partition, topic_id, next) SELECT $1, $2, w.* \
         FROM unnest($3::text[], $4::integer[], $5::bytea[], $6::bigint[]) AS w(topic, partition, topic_id, next) \
         ORDER BY w.topic COLLATE \"C\", w.partition ON CONFLICT DO NOTHING";
    if write(lease, target, &stored, update).await? && write(lease, target, &new, insert).await? {
        return Ok(());
    }
    // Someone else stored a first position since then; this transaction has waited for theirs.
    compare(moves, &all(lease, topology, *generation).await?)?;
    Err(StoreError::unavailable(DOING, "a position changed under its lock"))
}

fn compare(moves: &[PositionMove], stored: &[StoredPosition]) -> Result<(), StoreError> {
    for step in moves {
        let found = stored.iter().find(|found| found.topic == step.topic && found.partition == step.partition);
        step.compare(found.map(|found| (found.topic_id, found.next)).as_ref())?;
    }
    Ok(())
}

/// The stored positions of these partitions, locked until the transaction ends.
async fn locked(
    lease: &mut Lease,
    target: &FlushTarget,
    moves: &[PositionMove],
) -> Result<Vec<StoredPosition>, StoreError> {
    let sql = "SELECT p.topic, p.partition, p.topic_id, p.next \
               FROM _positions AS p JOIN unnest($3::text[], $4::integer[]) AS w(topic, partition) \
               ON p.topic = w.topic AND p.partition = w.partition \
               WHERE p.topology = $1 AND p.generation = $2 ORDER BY p.topic, p.partition FOR UPDATE OF p";
    let query = sqlx::query(sql).bind(&target.topology).bind(i64::from(target.generation));
    let query = query.bind(moves.iter().map(|step| step.topic.as_str()).collect::<Vec<_>>());
    let query = query.bind(moves.iter().map(|step| step.partition).collect::<Vec<_>>());
    let found = lease.fetch(query).await.and_then(|rows| rows.iter().map(position).collect());
    found.map_err(|error| failed(DOING, error))
}

/// Whether every one of them was written.
async fn write(
    lease: &mut Lease,
    target: &FlushTarget,
    moves: &[&PositionMove],
    sql: &'static str,
) -> Result<bool, StoreError> {
    if moves.is_empty() {
        return Ok(true);
    }
    let query = sqlx::query(sql).bind(&target.topology).bind(i64::from(target.generation));
    let query = query.bind(moves.iter().map(|step| step.topic.as_str()).collect::<Vec<_>>());
    let query = query.bind(moves.iter().map(|step| step.partition).collect::<Vec<_>>());
    let query = query.bind(moves.iter().map(|step| step.topic_id.to_vec()).collect::<Vec<_>>());
    let query = query.bind(moves.iter().map(|step| step.to).collect::<Vec<_>>());
    let written = lease.execute(query).await.map_err(|error| failed(DOING, error))?;
    Ok(written == moves.len() as u64)
}
