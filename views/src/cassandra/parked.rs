//! Who has a partition, and what is parked of it.
//!
//! | of a (topology, generation) | |
//! |---|---|
//! | a takeover | the partition's epoch, one more with each worker that takes it over, by a conditional write |
//! | a marker | a message key that is parked, from its first offset on; written only while the epoch is the writer's own |
//! | a record | what is parked, by its offset |
//!
//! Takeovers and markers share one Cassandra partition, so that one conditional batch compares the one and writes the
//! others: a frozen worker that wakes up cannot park what a newer one has applied. Markers come before any row of their
//! batch, records before the position, and all of them may be written again.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::try_join_all;
use scylla::statement::SerialConsistency;
use scylla::statement::batch::{Batch, BatchType};

use super::connection::{Connection, applied};
use super::fault::failed;
use crate::parked::{Kept, KeyCount, read_headers, write_headers};
use crate::{FlushTarget, Limits, Parked, ParkedFilter, ParkedKey, ParkedRecord, PositionMove, StoreError};

const DOING: &str = "parking records";
/// The two kinds of rows.
const TAKEOVER: i8 = 0;
const MARKER: i8 = 1;
/// Markers of one conditional batch.
const MARKERS: usize = 100;
/// Takeovers that lose against each other are tried so often.
const ATTEMPTS: usize = 20;

/// Takes partitions over: from now on no older worker parks anything of them. Gives their epochs.
pub(super) async fn take_over(
    connection: &Connection,
    target: &FlushTarget,
    places: &[(String, i32)],
) -> Result<Vec<i64>, StoreError> {
    let mut epochs = Vec::with_capacity(places.len());
    // One after the other: they share a partition of Cassandra's, where conditional writes wait for each other anyway.
    for (topic, partition) in places {
        epochs.push(bump(connection, target, topic, *partition).await?);
    }
    Ok(epochs)
}

async fn bump(connection: &Connection, target: &FlushTarget, topic: &str, partition: i32) -> Result<i64, StoreError> {
    const DOING: &str = "taking a partition over";
    let name = connection.name("_parked_keys");
    let (topology, generation) = (&target.topology, i64::from(target.generation));
    let read = format!(
        "SELECT epoch FROM {name} WHERE topology = ? AND generation = ? AND topic = ? AND partition = ? AND kind = ? \
         AND key = 0x"
    );
    let set = format!(
        "UPDATE {name} SET epoch = ? WHERE topology = ? AND generation = ? AND topic = ? AND partition = ? AND kind = ? \
         AND key = 0x IF epoch = ?"
    );
    for _ in 0..ATTEMPTS {
        let place = (topology, generation, topic, partition, TAKEOVER);
        let found: Option<(Option<i64>,)> = connection.first_settled(&read, place, DOING).await?;
        let epoch = found.and_then(|(epoch,)| epoch);
        let next = epoch.unwrap_or(0) + 1;
        let values = (next, topology, generation, topic, partition, TAKEOVER, epoch);
        if connection.swap(&set, values, DOING).await? {
            return Ok(next);
        }
    }
    Err(StoreError::unavailable(DOING, "other workers take the same partition over, again and again"))
}

/// Writes markers, then records, then counts. `moves` tell the epochs.
pub(super) async fn add(
    connection: &Connection,
    target: &FlushTarget,
    moves: &[PositionMove],
    records: &[ParkedRecord],
    limits: Limits,
) -> Result<(), StoreError> {
    let mut by_place: BTreeMap<(&str, i32), Vec<&ParkedRecord>> = BTreeMap::new();
    for record in records {
        by_place.entry((record.topic.as_str(), record.partition)).or_default().push(record);
    }
    for ((topic, partition), records) in by_place {
        let step = moves.iter().find(|step| step.topic == topic && step.partition == partition);
        let epoch = step.map_or(0, |step| step.epoch);
        let place = Place { connection, target, topic, partition, epoch };
        place.add(&records, limits).await?;
    }
    Ok(())
}

/// One partition of a topic.
struct Place<'p> {
    connection: &'p Connection,
    target: &'p FlushTarget,
    topic: &'p str,
    partition: i32,
    epoch: i64,
}

impl Place<'_> {
    async fn add(&self, records: &[&ParkedRecord], limits: Limits) -> Result<(), StoreError> {
        let keys: Vec<&Bytes> = records.iter().filter_map(|record| record.key.as_ref()).collect();
        let mut counts: BTreeMap<&[u8], KeyCount> = self.counts(&keys).await?;
        // Below what is marked nothing was parked when that was marked: whoever parks it now may be long overtaken.
        let below = |record: &&&ParkedRecord| {
            let count = record.key.as_deref().and_then(|key| counts.get(key));
            count.is_some_and(|count| record.offset < count.first)
        };
        if records.iter().any(|record| below(&record)) {
            self.mark(&[]).await?;
        }
        let mut new = Vec::new();
        let mut whole = Vec::new();
        for record in records {
            let Some(key) = record.key.as_deref() else {
                whole.push(*record);
                continue;
            };
            let count = counts.entry(key).or_insert_with(|| {
                new.push((key, record.offset));
                KeyCount::before(record.offset)
            });
            // One that was parked before is written already: records come before the counts that say so.
            if count.add(record.offset, limits) == Kept::Whole {
                whole.push(*record);
            }
        }
        for markers in new.chunks(MARKERS) {
            self.mark(markers).await?;
        }
        try_join_all(whole.into_iter().map(|record| self.write(record))).await?;
        try_join_all(counts.iter().map(|(key, count)| self.count(key, *count))).await.map(drop)
    }

    /// What is stored of these keys.
    async fn counts<'k>(&self, keys: &[&'k Bytes]) -> Result<BTreeMap<&'k [u8], KeyCount>, StoreError> {
        let cql = format!(
            "SELECT first_offset, last_offset, count FROM {} WHERE topology = ? AND generation = ? AND topic = ? \
             AND partition = ? AND kind = ? AND key = ?",
            self.connection.name("_parked_keys")
        );
        let mut keys: Vec<&[u8]> = keys.iter().map(|key| &***key).collect();
        keys.sort_unstable();
        keys.dedup();
        let each = keys.into_iter().map(|key| {
            let cql = &cql;
            async move {
                let generation = i64::from(self.target.generation);
                let values = (&self.target.topology, generation, self.topic, self.partition, MARKER, key);
                let found: Option<(i64, Option<i64>, Option<i64>)> =
                    self.connection.first_settled(cql, values, DOING).await?;
                Ok::<_, StoreError>(found.map(|(first, last, count)| {
                    let count = count.unwrap_or(0).unsigned_abs();
                    (key, KeyCount { first, last: last.unwrap_or(-1), count })
                }))
            }
        });
        Ok(try_join_all(each).await?.into_iter().flatten().collect())
    }

    /// Writes markers, if the partition is still this worker's. Without one: says whether it is.
    async fn mark(&self, markers: &[(&[u8], i64)]) -> Result<(), StoreError> {
        let name = self.connection.name("_parked_keys");
        let (topology, generation) = (&self.target.topology, i64::from(self.target.generation));
        let compare = format!(
            "UPDATE {name} SET epoch = ? WHERE topology = ? AND generation = ? AND topic = ? AND partition = ? \
             AND kind = ? AND key = ? IF epoch = ?"
        );
        let insert = format!(
            "INSERT INTO {name} (first_offset, topology, generation, topic, partition, kind, key) \
             VALUES (?, ?, ?, ?, ?, ?, ?)"
        );
        let prepare = async |cql: &str| self.connection.prepare(cql).await.map_err(|error| failed(DOING, error));
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        batch.append_statement(prepare(&compare).await?);
        let insert = prepare(&insert).await?;
        let key = |number: i64, kind: i8, key: &[u8]| {
            let place = (topology.clone(), generation, self.topic.to_owned(), self.partition);
            (number, place.0, place.1, place.2, place.3, kind, key.to_vec())
        };
        let (epoch, topology, generation, topic, partition, kind, empty) = key(self.epoch, TAKEOVER, &[]);
        let compared = (epoch, topology, generation, topic, partition, kind, empty, epoch);
        let mut values: Vec<Box<dyn scylla::serialize::row::SerializeRow + Send + Sync>> = vec![Box::new(compared)];
        for (marked, first) in markers {
            batch.append_statement(insert.clone());
            values.push(Box::new(key(*first, MARKER, marked)));
        }
        let done = self.connection.session().batch(&batch, values).await.map_err(|error| failed(DOING, error))?;
        if applied(done, DOING)? {
            return Ok(());
        }
        let (topic, partition) = (self.topic.to_owned(), self.partition);
        Err(StoreError::TakenOver { topic, partition })
    }

    async fn write(&self, record: &ParkedRecord) -> Result<(), StoreError> {
        let cql = format!(
            "INSERT INTO {} (topology, generation, topic, partition, offset, timestamp_ms, key, payload, headers, reason, \
             is_head) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            self.connection.name("_parked")
        );
        let place = (&self.target.topology, i64::from(self.target.generation), self.topic, self.partition);
        let (key, payload) = (record.key.as_deref(), record.payload.as_deref());
        let headers = write_headers(&record.headers);
        let (offset, at) = (record.offset, record.timestamp_ms);
        let reason = record.reason.as_str();
        let values =
            (place.0, place.1, place.2, place.3, offset, at, key, payload, headers, reason, record.is_head, offset);
        self.connection.run(&cql, values, DOING).await.map(drop)
    }

    async fn count(&self, key: &[u8], count: KeyCount) -> Result<(), StoreError> {
        let cql = format!(
            "UPDATE {} USING TIMESTAMP ? SET last_offset = ?, count = ? WHERE topology = ? AND generation = ? \
             AND topic = ? AND partition = ? AND kind = ? AND key = ?",
            self.connection.name("_parked_keys")
        );
        let generation = i64::from(self.target.generation);
        let counted = (count.last, count.last, count.count.cast_signed());
        let place = (&self.target.topology, generation, self.topic, self.partition, MARKER, key);
        let values = (counted.0, counted.1, counted.2, place.0, place.1, place.2, place.3, place.4, place.5);
        self.connection.run(&cql, values, DOING).await.map(drop)
    }
}

/// The message keys that are parked, by topic, partition and key.
pub(super) async fn keys(
    connection: &Connection,
    topology: &str,
    generation: u32,
) -> Result<Vec<ParkedKey>, StoreError> {
    let rows = takeovers_and_markers(connection, topology, generation).await?;
    let marker = |row: Found| {
        let Found { topic, partition, kind, key, first, count } = row;
        let first_offset = first.filter(|_| kind == MARKER)?;
        Some(ParkedKey { topic, partition, key: key.into(), first_offset, count: count.unwrap_or(0).unsigned_abs() })
    };
    Ok(rows.into_iter().filter_map(marker).collect())
}

type FoundColumns = (String, i32, i8, Vec<u8>, Option<i64>, Option<i64>);

struct Found {
    topic: String,
    partition: i32,
    kind: i8,
    key: Vec<u8>,
    first: Option<i64>,
    count: Option<i64>,
}

async fn takeovers_and_markers(
    connection: &Connection,
    topology: &str,
    generation: u32,
) -> Result<Vec<Found>, StoreError> {
    let cql = format!(
        "SELECT topic, partition, kind, key, first_offset, count FROM {} WHERE topology = ? AND generation = ?",
        connection.name("_parked_keys")
    );
    // What was written on a condition is settled first.
    let settle = (topology, i64::from(generation));
    let found: Vec<FoundColumns> = connection.all_settled(&cql, settle, "reading parked keys").await?;
    let found = found.into_iter().map(|(topic, partition, kind, key, first, count)| Found {
        topic,
        partition,
        kind,
        key,
        first,
        count,
    });
    Ok(found.collect())
}

/// Parked records by generation, topic, partition and offset.
pub(super) async fn list(
    connection: &Connection,
    topology: &str,
    last_generation: u32,
    filter: &ParkedFilter,
    limit: usize,
) -> Result<Vec<Parked>, StoreError> {
    let mut listed = Vec::new();
    for generation in 1..=last_generation {
        let (start, wanted) = (filter.after.as_ref(), filter.generation);
        if wanted.is_some_and(|wanted| wanted != generation) || start.is_some_and(|after| generation < after.0) {
            continue;
        }
        for (topic, partition) in places(connection, topology, generation).await? {
            if filter.topic.as_ref().is_some_and(|wanted| *wanted != topic)
                || filter.partition.is_some_and(|wanted| wanted != partition)
            {
                continue;
            }
            let after = match start.map(|(g, t, p, o)| ((*g, t.as_str(), *p), *o)) {
                Some((place, _)) if place > (generation, topic.as_str(), partition) => continue,
                Some((place, offset)) if place == (generation, topic.as_str(), partition) => offset,
                _ => -1,
            };
            let place = (topology, generation, topic.as_str(), partition);
            of_place(connection, place, after, filter, limit, &mut listed).await?;
            if listed.len() >= limit {
                return Ok(listed);
            }
        }
    }
    Ok(listed)
}

/// The partitions that anyone ever took over, in order.
pub(super) async fn places(
    connection: &Connection,
    topology: &str,
    generation: u32,
) -> Result<Vec<(String, i32)>, StoreError> {
    let rows = takeovers_and_markers(connection, topology, generation).await?;
    let mut places: Vec<(String, i32)> = rows.into_iter().map(|row| (row.topic, row.partition)).collect();
    places.dedup();
    Ok(places)
}

type RecordColumns = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>, String, bool);

async fn of_place(
    connection: &Connection,
    (topology, generation, topic, partition): (&str, u32, &str, i32),
    after: i64,
    filter: &ParkedFilter,
    limit: usize,
    listed: &mut Vec<Parked>,
) -> Result<(), StoreError> {
    const DOING: &str = "reading parked records";
    let cql = format!(
        "SELECT offset, timestamp_ms, key, payload, headers, reason, is_head FROM {} WHERE topology = ? \
         AND generation = ? AND topic = ? AND partition = ? AND offset > ?",
        connection.name("_parked")
    );
    let values = (topology, i64::from(generation), topic, partition, after);
    let mut rows = connection.pages::<RecordColumns, _>(&cql, values, DOING).await?;
    while let Some(page) = rows.next().await? {
        for (offset, timestamp_ms, key, payload, headers, reason, is_head) in page {
            let key = key.map(Bytes::from);
            if filter.heads_only && !is_head || filter.key.is_some() && filter.key != key {
                continue;
            }
            let headers = read_headers(&headers)
                .ok_or_else(|| StoreError::corrupt("_parked.headers", "they are not what was written"))?;
            let topic = topic.to_owned();
            let payload = payload.map(Bytes::from);
            let record =
                ParkedRecord { topic, partition, offset, timestamp_ms, key, payload, headers, reason, is_head };
            listed.push(Parked { generation, record });
            if listed.len() >= limit {
                return Ok(());
            }
        }
    }
    Ok(())
}
