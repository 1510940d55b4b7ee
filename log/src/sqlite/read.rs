//! Reading: extents, records from an offset, and the search for a header.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::error::LogError;
use crate::log::{Batch, Fetch};
use crate::record::{Extent, Offset, Partition, Record, TopicId};
use crate::sqlite::schema::{offset_of, row_id};
use crate::sqlite::{Shared, SqliteLog, headers};
use crate::topic::TopicInfo;

/// How often something that changed while it was looked at is looked at again.
const ATTEMPTS: usize = 5;

/// One past a partition's last record, or its earliest offset where it has none.
macro_rules! end_of_partition {
    () => {
        "coalesce(
            (select (r.id & 0xffffffffff) + 1 from records r
             where r.id >= p.slot << 40 and r.id < (p.slot + 1) << 40 order by r.id desc limit 1),
            p.earliest)"
    };
}

const TOPIC_SQL: &str = concat!(
    "select t.name, t.uuid, t.partitions, t.retention_days, p.slot, p.earliest, ",
    end_of_partition!(),
    " as end from topics t join partitions p on p.topic = t.id where t.name = ? order by p.partition"
);

const SLOT_SQL: &str = concat!(
    "select p.earliest, ",
    end_of_partition!(),
    " as end from partitions p where p.slot = ? and p.topic is not null"
);

const RECORDS_SQL: &str =
    "select id, timestamp_ms, key, payload, headers from records where id >= ? and id < ? order by id limit ?";

const FIND_SQL: &str = "select id, timestamp_ms, key, payload, headers from records
     where id >= ? and id < ? and instr(headers, ?) > 0 order by id limit 1";

/// A topic and the slots of its partitions.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) info: TopicInfo,
    pub(super) slots: Vec<i64>,
}

/// A topic as one statement sees it.
pub(super) struct Seen {
    pub(super) entry: Entry,
    pub(super) extents: Vec<Extent>,
}

/// What a look at a slot found.
enum Found<T> {
    It(T),
    /// The slot's topic was deleted.
    Gone,
    /// Retention moved the partition's start in between.
    Moved,
}

/// A part of a slot.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) slot: i64,
    pub(super) from: i64,
    pub(super) end: i64,
}

impl SqliteLog {
    pub(crate) async fn extents(&self, topic: &str, id: Option<TopicId>) -> Result<Vec<Extent>, LogError> {
        let shared = &self.0.shared;
        let mut connection = shared.reader().await?;
        let seen = shared.look_up(&mut connection, topic).await?;
        same_topic(&seen.entry.info, id)?;
        Ok(seen.extents)
    }

    pub(crate) async fn fetch(&self, fetch: Fetch<'_>) -> Result<Batch, LogError> {
        let shared = &self.0.shared;
        for _ in 0..ATTEMPTS {
            let entry = shared.entry(fetch.topic, fetch.id).await?;
            let mut connection = shared.reader().await?;
            let slot = entry.slots[entry.info.index(fetch.partition)?];
            match shared.fetch_slot(&mut connection, slot, &fetch).await? {
                Found::It(batch) => return Ok(batch),
                Found::Gone => shared.forget(fetch.topic),
                Found::Moved => {}
            }
        }
        Err(shared.unstable(fetch.topic, fetch.partition, fetch.from))
    }

    pub(crate) async fn find_header(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
        name: &str,
        value: &[u8],
    ) -> Result<Option<Record>, LogError> {
        let shared = &self.0.shared;
        // No header with such a name or value can have been stored; nor would its length be.
        if name.len() > usize::from(u16::MAX) || u32::try_from(value.len()).is_err() {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            let entry = shared.entry(topic, None).await?;
            let mut connection = shared.reader().await?;
            let slot = entry.slots[entry.info.index(partition)?];
            let Some(extent) = shared.slot_extent(&mut connection, slot, partition).await? else {
                shared.forget(topic);
                continue;
            };
            extent.check(topic, from)?;
            let range = Range { slot, from: from.0, end: extent.end.0 };
            let found = shared.search(&mut connection, range, name, value).await?;
            if found.is_some() {
                return Ok(found);
            }
            // What retention took away during the search was not searched.
            match shared.slot_extent(&mut connection, slot, partition).await? {
                Some(extent) => return extent.check(topic, from).map(|()| None),
                None => shared.forget(topic),
            }
        }
        Err(shared.unstable(topic, partition, from))
    }
}

impl Shared {
    pub(super) async fn reader(&self) -> Result<PoolConnection<Sqlite>, LogError> {
        self.readers.acquire().await.map_err(|error| self.file.fault("read from", &error))
    }

    /// The topic as it is now.
    pub(super) async fn look_up(&self, on: &mut SqliteConnection, topic: &str) -> Result<Seen, LogError> {
        self.find_topic(on, topic).await?.ok_or_else(|| {
            self.forget(topic);
            LogError::unknown(topic)
        })
    }

    /// The topic as it is now, if there is one.
    pub(super) async fn find_topic(&self, on: &mut SqliteConnection, topic: &str) -> Result<Option<Seen>, LogError> {
        let fault = |error| self.file.fault("read from", &error);
        let rows = sqlx::query(TOPIC_SQL).bind(topic).fetch_all(on).await.map_err(fault)?;
        let Some(first) = rows.first() else { return Ok(None) };
        let info = self.topic_info(first)?;
        let mut slots = Vec::with_capacity(rows.len());
        let mut extents = Vec::with_capacity(rows.len());
        for (partition, row) in (0..).map(Partition).zip(&rows) {
            slots.push(row.try_get("slot").map_err(fault)?);
            extents.push(self.extent(partition, row)?);
        }
        if slots.len() != info.partitions as usize {
            let cause = format!("topic {topic} has {} of its {} partitions", slots.len(), info.partitions);
            return Err(self.file.corrupt(cause));
        }
        Ok(Some(Seen { entry: Entry { info, slots }, extents }))
    }

    /// Columns `name`, `uuid`, `partitions` and `retention_days`.
    pub(super) fn topic_info(&self, row: &SqliteRow) -> Result<TopicInfo, LogError> {
        let fault = |error| self.file.fault("read from", &error);
        let uuid = row.try_get::<&[u8], _>("uuid").map_err(fault)?;
        let uuid = Uuid::from_slice(uuid).map_err(|error| self.file.corrupt(format!("a topic's id: {error}")))?;
        Ok(TopicInfo {
            name: row.try_get("name").map_err(fault)?,
            id: TopicId(uuid),
            partitions: row.try_get("partitions").map_err(fault)?,
            retention_days: row.try_get("retention_days").map_err(fault)?,
        })
    }

    fn extent(&self, partition: Partition, row: &SqliteRow) -> Result<Extent, LogError> {
        let fault = |error| self.file.fault("read from", &error);
        Ok(Extent {
            partition,
            earliest: Offset(row.try_get("earliest").map_err(fault)?),
            end: Offset(row.try_get("end").map_err(fault)?),
        })
    }

    /// The topic's slots, from memory where it is known there.
    pub(super) async fn entry(&self, topic: &str, id: Option<TopicId>) -> Result<Arc<Entry>, LogError> {
        let known = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned();
        if let Some(entry) = known
            && id.is_none_or(|id| id == entry.info.id)
        {
            return Ok(entry);
        }
        let mut reader = self.reader().await?;
        let entry = Arc::new(self.look_up(&mut reader, topic).await?.entry);
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic.to_owned(), Arc::clone(&entry));
        drop(topics);
        same_topic(&entry.info, id)?;
        Ok(entry)
    }

    pub(super) fn forget(&self, topic: &str) {
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    async fn slot_extent(
        &self,
        on: &mut SqliteConnection,
        slot: i64,
        partition: Partition,
    ) -> Result<Option<Extent>, LogError> {
        let row = sqlx::query(SLOT_SQL).bind(slot).fetch_optional(on).await;
        let row = row.map_err(|error| self.file.fault("read from", &error))?;
        row.map(|row| self.extent(partition, &row)).transpose()
    }

    async fn fetch_slot(
        &self,
        on: &mut SqliteConnection,
        slot: i64,
        fetch: &Fetch<'_>,
    ) -> Result<Found<Batch>, LogError> {
        let Some(extent) = self.slot_extent(&mut *on, slot, fetch.partition).await? else { return Ok(Found::Gone) };
        extent.check(fetch.topic, fetch.from)?;
        if fetch.from == extent.end || fetch.max_records == 0 {
            return Ok(Found::It(Batch { records: Vec::new(), next: fetch.from, end: extent.end }));
        }
        let range = Range { slot, from: fetch.from.0, end: extent.end.0 };
        let records = self.records(on, range, fetch.max_records, fetch.max_bytes).await?;
        // This log leaves no gaps: what is not there was taken by retention between the two statements.
        let consecutive = (fetch.from.0..).zip(&records).all(|(expected, record)| record.offset.0 == expected);
        match records.last() {
            Some(last) if consecutive => {
                let next = last.offset.next();
                Ok(Found::It(Batch { records, next, end: extent.end }))
            }
            _ => Ok(Found::Moved),
        }
    }

    async fn records(
        &self,
        on: &mut SqliteConnection,
        range: Range,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let limit = i64::try_from(max_records).unwrap_or(i64::MAX);
        let mut rows = sqlx::query(RECORDS_SQL)
            .bind(row_id(range.slot, range.from))
            .bind(row_id(range.slot, range.end))
            .bind(limit)
            .fetch(on);
        let mut records = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(|error| self.file.fault("read from", &error))? {
            let record = self.record(&row)?;
            bytes += record.size();
            if bytes > max_bytes && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }

    pub(super) async fn search(
        &self,
        on: &mut SqliteConnection,
        range: Range,
        name: &str,
        value: &[u8],
    ) -> Result<Option<Record>, LogError> {
        let mut needle = Vec::with_capacity(6 + name.len() + value.len());
        headers::encode_one(name, value, &mut needle);
        let mut from = row_id(range.slot, range.from);
        loop {
            let row = sqlx::query(FIND_SQL)
                .bind(from)
                .bind(row_id(range.slot, range.end))
                .bind(needle.as_slice())
                .fetch_optional(&mut *on)
                .await
                .map_err(|error| self.file.fault("search", &error))?;
            let Some(row) = row else { return Ok(None) };
            let record = self.record(&row)?;
            if record.has_header(name, value) {
                return Ok(Some(record));
            }
            from = row_id(range.slot, record.offset.0 + 1);
        }
    }

    /// Columns `id`, `timestamp_ms`, `key`, `payload` and `headers`, in this order.
    fn record(&self, row: &SqliteRow) -> Result<Record, LogError> {
        let fault = |error| self.file.fault("read from", &error);
        let bytes = |column: usize| -> Result<Option<Bytes>, LogError> {
            let value = row.try_get::<Option<&[u8]>, _>(column).map_err(fault)?;
            Ok(value.map(Bytes::copy_from_slice))
        };
        let offset = Offset(offset_of(row.try_get(0).map_err(fault)?));
        let stored = row.try_get::<Option<&[u8]>, _>(4).map_err(fault)?.unwrap_or_default();
        let headers = headers::decode(stored)
            .ok_or_else(|| self.file.corrupt(format!("the headers of the record at offset {offset} cannot be read")))?;
        let timestamp_ms = row.try_get(1).map_err(fault)?;
        Ok(Record { offset, timestamp_ms, key: bytes(2)?, payload: bytes(3)?, headers })
    }

    /// A partition that looked different at every attempt, or lacks a record that it should have.
    fn unstable(&self, topic: &str, partition: Partition, from: Offset) -> LogError {
        self.file
            .corrupt(format!("a record at or after offset {from} of partition {partition} of topic {topic} is missing"))
    }
}

fn same_topic(info: &TopicInfo, id: Option<TopicId>) -> Result<(), LogError> {
    match id {
        Some(expected) if expected != info.id => {
            Err(LogError::TopicRecreated { topic: info.name.clone(), expected, found: info.id })
        }
        _ => Ok(()),
    }
}
