//! Parked records, written in the transaction that moves the position past them.

use std::collections::BTreeMap;

use bytes::Bytes;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite};

use super::connections::{Lease, failed};
use super::layout::Layout;
use super::statement::tuple;
use crate::parked::{Kept, KeyCount, read_headers, write_headers};
use crate::{FlushTarget, Limits, Parked, ParkedFilter, ParkedKey, ParkedRecord, StoreError};

const DOING: &str = "parking records";

/// A message key's place: topic, partition, key.
type Place<'r> = (&'r str, i32, &'r [u8]);

pub(super) async fn add(
    lease: &mut Lease,
    target: &FlushTarget,
    records: &[ParkedRecord],
    limits: Limits,
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut counts = counts(lease, target, records).await?;
    let (mut whole, mut again) = (Vec::new(), Vec::new());
    for record in records {
        let kept = match &record.key {
            None => Kept::Whole,
            Some(key) => {
                let place = (record.topic.as_str(), record.partition, &**key);
                counts.entry(place).or_insert(KeyCount::before(record.offset)).add(record.offset, limits)
            }
        };
        match kept {
            Kept::Whole => whole.push(record),
            Kept::Counted => {}
            Kept::Again => again.push(record),
        }
    }
    insert(lease, target, &whole).await?;
    for record in again {
        let sql = "UPDATE _parked SET reason = ?, is_head = ? WHERE topology = ? AND generation = ? AND topic = ? \
                   AND partition = ? AND \"offset\" = ?";
        let query = sqlx::query(sql).bind(&record.reason).bind(record.is_head).bind(&target.topology);
        let query = query.bind(target.generation).bind(&record.topic).bind(record.partition).bind(record.offset);
        query.execute(lease.connection()?).await.map_err(|error| failed(DOING, error))?;
    }
    store_counts(lease, target, &counts).await
}

/// The stored counts of the keys of these records.
async fn counts<'r>(
    lease: &mut Lease,
    target: &FlushTarget,
    records: &'r [ParkedRecord],
) -> Result<BTreeMap<Place<'r>, KeyCount>, StoreError> {
    let place = |record: &'r ParkedRecord| Some((record.topic.as_str(), record.partition, &**record.key.as_ref()?));
    let mut places: Vec<Place<'r>> = records.iter().filter_map(place).collect();
    places.sort_unstable();
    places.dedup();
    let mut counts = BTreeMap::new();
    let mut rest = places.as_slice();
    for run in Layout::runs(3, places.iter().map(|(_, _, key)| key.len())) {
        let (now, later) = rest.split_at(run);
        rest = later;
        let wanted: Vec<String> = (0..run).map(|i| format!("({i}, ?, ?, ?)")).collect();
        let sql = format!(
            "WITH w(i, topic, partition, key) AS (VALUES {}) \
             SELECT w.i, k.first_offset, k.last_offset, k.count FROM w CROSS JOIN _parked_keys AS k \
             ON k.topology = ? AND k.generation = ? AND k.topic = w.topic AND k.partition = w.partition AND k.key = w.key",
            wanted.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (topic, partition, key) in now {
            query = query.bind(*topic).bind(*partition).bind(*key);
        }
        let query = query.bind(&target.topology).bind(target.generation);
        let found = query.fetch_all(lease.connection()?).await.map_err(|error| failed(DOING, error))?;
        for row in found {
            let (place, counted) = count_of(&row, now).map_err(|error| failed(DOING, error))?;
            counts.insert(place, counted);
        }
    }
    Ok(counts)
}

fn count_of<'r>(row: &SqliteRow, places: &[Place<'r>]) -> Result<(Place<'r>, KeyCount), sqlx::Error> {
    let index: i64 = row.try_get(0)?;
    let place = usize::try_from(index).ok().and_then(|i| places.get(i));
    let place = place.ok_or_else(|| sqlx::Error::Decode("a key that was not asked for".into()))?;
    let count: i64 = row.try_get(3)?;
    Ok((*place, KeyCount { first: row.try_get(1)?, last: row.try_get(2)?, count: count.unsigned_abs() }))
}

async fn store_counts(
    lease: &mut Lease,
    target: &FlushTarget,
    counts: &BTreeMap<Place<'_>, KeyCount>,
) -> Result<(), StoreError> {
    let mut rest = counts.iter();
    for run in Layout::runs(8, counts.keys().map(|(_, _, key)| key.len())) {
        let sql = format!(
            "REPLACE INTO _parked_keys (topology, generation, topic, partition, key, first_offset, last_offset, count) \
             VALUES {}",
            vec![tuple(8); run].join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for ((topic, partition, key), counted) in rest.by_ref().take(run) {
            query = query.bind(&target.topology).bind(target.generation).bind(*topic).bind(*partition).bind(*key);
            query = query.bind(counted.first).bind(counted.last).bind(counted.count.cast_signed());
        }
        query.execute(lease.connection()?).await.map_err(|error| failed(DOING, error))?;
    }
    Ok(())
}

async fn insert(lease: &mut Lease, target: &FlushTarget, records: &[&ParkedRecord]) -> Result<(), StoreError> {
    let weight = |record: &&ParkedRecord| {
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        of(&record.key) + of(&record.payload) + record.headers.iter().map(|(_, value)| value.len()).sum::<usize>()
    };
    let mut rest = records;
    for run in Layout::runs(11, records.iter().map(weight)) {
        let (now, later) = rest.split_at(run);
        rest = later;
        let sql = format!(
            "REPLACE INTO _parked (topology, generation, topic, partition, \"offset\", timestamp_ms, key, payload, headers, \
             reason, is_head) VALUES {}",
            vec![tuple(11); run].join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for record in now {
            query = query.bind(&target.topology).bind(target.generation).bind(&record.topic).bind(record.partition);
            query = query.bind(record.offset).bind(record.timestamp_ms);
            query = query.bind(record.key.as_deref()).bind(record.payload.as_deref());
            query = query.bind(write_headers(&record.headers)).bind(&record.reason).bind(record.is_head);
        }
        query.execute(lease.connection()?).await.map_err(|error| failed(DOING, error))?;
    }
    Ok(())
}

pub(super) async fn list(
    lease: &mut Lease,
    topology: &str,
    filter: &ParkedFilter,
    limit: usize,
) -> Result<Vec<Parked>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT generation, topic, partition, \"offset\", timestamp_ms, key, payload, headers, reason, is_head \
         FROM _parked WHERE topology = ",
    );
    query.push_bind(topology);
    if let Some(generation) = filter.generation {
        query.push(" AND generation = ").push_bind(generation);
    }
    if let Some(topic) = &filter.topic {
        query.push(" AND topic = ").push_bind(topic);
    }
    if let Some(partition) = filter.partition {
        query.push(" AND partition = ").push_bind(partition);
    }
    if let Some(key) = &filter.key {
        query.push(" AND key = ").push_bind(&**key);
    }
    if filter.heads_only {
        query.push(" AND is_head = 1");
    }
    if let Some((generation, topic, partition, offset)) = &filter.after {
        query.push(" AND (generation, topic, partition, \"offset\") > (").push_bind(*generation);
        query.push(", ").push_bind(topic).push(", ").push_bind(*partition).push(", ").push_bind(*offset).push(")");
    }
    query.push(" ORDER BY generation, topic, partition, \"offset\" LIMIT ");
    query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let found = query.build().fetch_all(lease.connection()?).await;
    let found = found.and_then(|rows| rows.iter().map(parked_of).collect());
    found.map_err(|error| failed("reading parked records", error))
}

fn parked_of(row: &SqliteRow) -> Result<Parked, sqlx::Error> {
    let headers: Vec<u8> = row.try_get(7)?;
    let headers = read_headers(&headers).ok_or_else(|| sqlx::Error::Decode("a parked record's headers".into()))?;
    let record = ParkedRecord {
        topic: row.try_get(1)?,
        partition: row.try_get(2)?,
        offset: row.try_get(3)?,
        timestamp_ms: row.try_get(4)?,
        key: row.try_get::<Option<Vec<u8>>, _>(5)?.map(Bytes::from),
        payload: row.try_get::<Option<Vec<u8>>, _>(6)?.map(Bytes::from),
        headers,
        reason: row.try_get(8)?,
        is_head: row.try_get(9)?,
    };
    Ok(Parked { generation: row.try_get(0)?, record })
}

pub(super) async fn keys(lease: &mut Lease, topology: &str, generation: u32) -> Result<Vec<ParkedKey>, StoreError> {
    let sql = "SELECT topic, partition, key, first_offset, count FROM _parked_keys \
               WHERE topology = ? AND generation = ? ORDER BY topic, partition, key";
    let found = sqlx::query(sql).bind(topology).bind(generation).fetch_all(lease.connection()?).await;
    let key = |row: &SqliteRow| -> Result<ParkedKey, sqlx::Error> {
        let (key, count): (Vec<u8>, i64) = (row.try_get(2)?, row.try_get(4)?);
        Ok(ParkedKey {
            topic: row.try_get(0)?,
            partition: row.try_get(1)?,
            key: key.into(),
            first_offset: row.try_get(3)?,
            count: count.unsigned_abs(),
        })
    };
    let found = found.and_then(|rows| rows.iter().map(key).collect());
    found.map_err(|error| failed("reading parked keys", error))
}
