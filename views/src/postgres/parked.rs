//! Parked records, written in the transaction that moves the position past them.

use std::collections::BTreeMap;

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::connections::Lease;
use super::fault::failed;
use super::layout::runs;
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
    explain_again(lease, target, &again).await?;
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
    let sql = "SELECT w.i, k.first_offset, k.last_offset, k.count \
               FROM unnest($3::text[], $4::integer[], $5::bytea[]) WITH ORDINALITY AS w(topic, partition, key, i) \
               JOIN _parked_keys AS k ON k.topology = $1 AND k.generation = $2 AND k.topic = w.topic \
               AND k.partition = w.partition AND k.key_hash = sha256(w.key)";
    let mut counts = BTreeMap::new();
    let mut rest = places.as_slice();
    for run in runs(places.iter().map(|(_, _, key)| key.len())) {
        let (now, later) = rest.split_at(run);
        rest = later;
        let query = sqlx::query(sql).bind(&target.topology).bind(i64::from(target.generation));
        let query = query.bind(now.iter().map(|(topic, ..)| *topic).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|(_, partition, _)| *partition).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|(.., key)| *key).collect::<Vec<_>>());
        for row in lease.fetch(query).await.map_err(|error| failed(DOING, error))? {
            let (place, counted) = count_of(&row, now).map_err(|error| failed(DOING, error))?;
            counts.insert(place, counted);
        }
    }
    Ok(counts)
}

fn count_of<'r>(row: &PgRow, places: &[Place<'r>]) -> Result<(Place<'r>, KeyCount), sqlx::Error> {
    let index: i64 = row.try_get(0)?;
    let place = usize::try_from(index - 1).ok().and_then(|i| places.get(i));
    let place = place.ok_or_else(|| sqlx::Error::Decode("a key that was not asked for".into()))?;
    let count: i64 = row.try_get(3)?;
    Ok((*place, KeyCount { first: row.try_get(1)?, last: row.try_get(2)?, count: count.unsigned_abs() }))
}

async fn store_counts(
    lease: &mut Lease,
    target: &FlushTarget,
    counts: &BTreeMap<Place<'_>, KeyCount>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO _parked_keys (topology, generation, topic, partition, key, first_offset, last_offset, count) \
               SELECT $1, $2, w.* FROM unnest($3::text[], $4::integer[], $5::bytea[], $6::bigint[], $7::bigint[], \
               $8::bigint[]) AS w ON CONFLICT (topology, generation, topic, partition, key_hash) DO UPDATE \
               SET first_offset = excluded.first_offset, last_offset = excluded.last_offset, count = excluded.count";
    let counts: Vec<_> = counts.iter().collect();
    let mut rest = counts.as_slice();
    for run in runs(counts.iter().map(|((_, _, key), _)| key.len())) {
        let (now, later) = rest.split_at(run);
        rest = later;
        let query = sqlx::query(sql).bind(&target.topology).bind(i64::from(target.generation));
        let query = query.bind(now.iter().map(|((topic, ..), _)| *topic).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|((_, partition, _), _)| *partition).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|((.., key), _)| *key).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|(_, counted)| counted.first).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|(_, counted)| counted.last).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|(_, counted)| counted.count.cast_signed()).collect::<Vec<_>>());
        lease.execute(query).await.map_err(|error| failed(DOING, error))?;
    }
    Ok(())
}

async fn insert(lease: &mut Lease, target: &FlushTarget, records: &[&ParkedRecord]) -> Result<(), StoreError> {
    let sql = "INSERT INTO _parked (topology, generation, topic, partition, \"offset\", timestamp_ms, key, payload, \
               headers, reason, is_head) SELECT $1, $2, w.* FROM unnest($3::text[], $4::integer[], $5::bigint[], \
               $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[], $10::text[], $11::boolean[]) AS w \
               ON CONFLICT (topology, generation, topic, partition, \"offset\") DO UPDATE \
               SET timestamp_ms = excluded.timestamp_ms, key = excluded.key, payload = excluded.payload, \
               headers = excluded.headers, reason = excluded.reason, is_head = excluded.is_head";
    let weight = |record: &&ParkedRecord| {
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        of(&record.key) + of(&record.payload) + record.headers.iter().map(|(_, value)| value.len()).sum::<usize>()
    };
    let mut rest = records;
    for run in runs(records.iter().map(weight)) {
        let (now, later) = rest.split_at(run);
        rest = later;
        let query = sqlx::query(sql).bind(&target.topology).bind(i64::from(target.generation));
        let query = query.bind(now.iter().map(|record| record.topic.as_str()).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.partition).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.offset).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.timestamp_ms).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.key.as_deref()).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.payload.as_deref()).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| write_headers(&record.headers)).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| readable(&record.reason)).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.is_head).collect::<Vec<_>>());
        lease.execute(query).await.map_err(|error| failed(DOING, error))?;
    }
    Ok(())
}

/// Writes the reasons of records that are parked already anew.
async fn explain_again(lease: &mut Lease, target: &FlushTarget, records: &[&ParkedRecord]) -> Result<(), StoreError> {
    let sql = "UPDATE _parked AS p SET reason = w.reason, is_head = w.is_head \
               FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::text[], $7::boolean[]) \
               AS w(topic, partition, at, reason, is_head) WHERE p.topology = $1 AND p.generation = $2 \
               AND p.topic = w.topic AND p.partition = w.partition AND p.\"offset\" = w.at";
    let mut rest = records;
    for run in runs(records.iter().map(|record| record.reason.len())) {
        let (now, later) = rest.split_at(run);
        rest = later;
        let query = sqlx::query(sql).bind(&target.topology).bind(i64::from(target.generation));
        let query = query.bind(now.iter().map(|record| record.topic.as_str()).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.partition).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.offset).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| readable(&record.reason)).collect::<Vec<_>>());
        let query = query.bind(now.iter().map(|record| record.is_head).collect::<Vec<_>>());
        lease.execute(query).await.map_err(|error| failed(DOING, error))?;
    }
    Ok(())
}

/// A reason may quote the data that is at fault, and Postgres's text has no NUL.
fn readable(reason: &str) -> String {
    reason.replace('\0', "\u{fffd}")
}

pub(super) async fn list(
    lease: &mut Lease,
    topology: &str,
    filter: &ParkedFilter,
    limit: usize,
) -> Result<Vec<Parked>, StoreError> {
    if filter.topic.as_ref().is_some_and(|topic| topic.contains('\0')) {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT generation, topic, partition, \"offset\", timestamp_ms, key, payload, headers, reason, is_head \
         FROM _parked WHERE topology = ",
    );
    query.push_bind(topology);
    if let Some(generation) = filter.generation {
        query.push(" AND generation = ").push_bind(i64::from(generation));
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
        query.push(" AND is_head");
    }
    if let Some((generation, topic, partition, offset)) = &filter.after {
        query.push(" AND (generation, topic, partition, \"offset\") > (").push_bind(i64::from(*generation));
        query.push(", ").push_bind(topic).push(", ").push_bind(*partition).push(", ").push_bind(*offset).push(")");
    }
    query.push(" ORDER BY generation, topic, partition, \"offset\" LIMIT ");
    query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let found = lease.fetch(query.build()).await;
    let found = found.and_then(|rows| rows.iter().map(parked_of).collect());
    found.map_err(|error| failed("reading parked records", error))
}

fn parked_of(row: &PgRow) -> Result<Parked, sqlx::Error> {
    let headers = read_headers(row.try_get(7)?);
    let headers = headers.ok_or_else(|| sqlx::Error::Decode("a parked record's headers".into()))?;
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
    let generation = u32::try_from(row.try_get::<i64, _>(0)?);
    let generation = generation.map_err(|_| sqlx::Error::Decode("a generation's number is out of range".into()))?;
    Ok(Parked { generation, record })
}

pub(super) async fn keys(lease: &mut Lease, topology: &str, generation: u32) -> Result<Vec<ParkedKey>, StoreError> {
    let sql = "SELECT topic, partition, key, first_offset, count FROM _parked_keys \
               WHERE topology = $1 AND generation = $2 ORDER BY topic, partition, key";
    let found = lease.fetch(sqlx::query(sql).bind(topology).bind(i64::from(generation))).await;
    let key = |row: &PgRow| -> Result<ParkedKey, sqlx::Error> {
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
