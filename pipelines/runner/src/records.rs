//! Records between the rooms: the log's become the engine's, and the engine's parked ones become the store's.

use headwater_engine::batch;
use headwater_engine::fold::Parked;
use headwater_engine::plan::Topology;
use headwater_log::Record;
use headwater_views::ParkedRecord;

/// A record of the log as the engine takes it.
pub(crate) fn incoming(topic: usize, partition: i32, record: Record) -> batch::Record {
    batch::Record {
        topic,
        partition,
        offset: record.offset.0,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        payload: record.payload,
        headers: record.headers.into_iter().map(|header| (header.name, header.value)).collect(),
    }
}

/// The trace that the record's event belongs to: the second part of its W3C `traceparent`.
pub(crate) fn trace_id(record: &batch::Record) -> Option<&str> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == "traceparent")?;
    std::str::from_utf8(value).ok()?.split('-').nth(1).filter(|id| id.len() == 32)
}

/// A record to park as the store takes it.
pub(crate) fn parked(topology: &Topology, records: &[batch::Record], parked: &Parked) -> ParkedRecord {
    let record = &records[parked.record];
    ParkedRecord {
        topic: topology.topics[record.topic].topic.name.clone(),
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.clone(),
        payload: record.payload.clone(),
        headers: record.headers.clone(),
        reason: parked.reason.clone().unwrap_or_else(|| "waits behind a parked record of its message key".to_owned()),
        is_head: parked.reason.is_some(),
    }
}
