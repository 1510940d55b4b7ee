//! An event on its way to the log: the record as it will be written, and from where on to look for it.
//!
//! The one idea: once a flight is noted in the claim that decides its fate, the event will be in the log, whatever
//! crashes. [`Flights::settle`] is how whoever comes next sees to it: look for the event's id from the noted place, and
//! write the noted bytes only if it is not there.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use headwater_http::Problem;
use headwater_log::{Appended, Header, Log, LogError, NewRecord, Offset, Partition, Record, TopicId, partition_for};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::claims::now_ms;
use crate::key::MessageKey;

/// The header by which an event is known.
pub(crate) const EVENT_ID: &str = "ce_id";

/// A place in the log that holds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// From where on an event may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trail {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    /// The partition's end before the event was noted.
    pub(crate) from: i64,
}

/// An event as it will be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flight {
    pub(crate) event_id: Uuid,
    pub(crate) trail: Trail,
    /// When it was noted, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) since_ms: i64,
    pub(crate) key: MessageKey,
    #[serde(serialize_with = "write_base64", deserialize_with = "read_base64")]
    pub(crate) payload: Bytes,
    pub(crate) headers: Vec<(String, String)>,
    /// The record's own time.
    pub(crate) timestamp_ms: i64,
}

/// Why a record was not acknowledged.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// It certainly was not written, and will not be.
    Refused(Problem),
    /// It may have been.
    Unknown(Problem),
}

impl From<Unwritten> for Problem {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Refused(problem) | Unwritten::Unknown(problem) => problem,
        }
    }
}

/// Sends events to the log, and looks for them there.
#[derive(Clone, Debug)]
pub(crate) struct Flights {
    pub(crate) log: Log,
    pub(crate) delivery_timeout: Duration,
}

impl Trail {
    /// Of an event that nobody will look for, since no claim names it.
    pub(crate) fn unnoted(topic: &str, key: &MessageKey, partitions: u32) -> Self {
        let partition = partition_for(key.as_bytes(), partitions).0;
        Self { topic: topic.to_owned(), topic_id: Uuid::nil(), partition, from: 0 }
    }

    fn is_noted(&self) -> bool {
        !self.topic_id.is_nil()
    }
}

impl Flight {
    /// Whether whoever noted it has had the time to write it.
    pub(crate) fn is_abandoned(&self, timeout: Duration) -> bool {
        is_past(self.since_ms, timeout)
    }

    /// The same event, noted as of now.
    pub(crate) fn renewed(&self) -> Self {
        Self { since_ms: now_ms(), ..self.clone() }
    }

    fn record(&self) -> NewRecord {
        let header =
            |(name, value): &(String, String)| Header { name: name.clone(), value: Bytes::from(value.clone()) };
        NewRecord {
            key: Some(self.key.0.clone()),
            payload: Some(self.payload.clone()),
            headers: self.headers.iter().map(header).collect(),
            timestamp_ms: Some(self.timestamp_ms),
            partition: Some(Partition(self.trail.partition)),
        }
    }
}

/// Whether `timeout` is over since then.
pub(crate) fn is_past(since_ms: i64, timeout: Duration) -> bool {
    let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    now_ms() >= since_ms.saturating_add(timeout_ms)
}

impl Flights {
    /// Where an event of this key would come to stand: to be noted before anything is written.
    pub(crate) async fn trail(&self, topic: &str, key: &MessageKey) -> Result<Trail, Problem> {
        let info = self.log.topic(topic).await.map_err(problem)?;
        let partition = partition_for(key.as_bytes(), info.partitions);
        let from = self.end(topic, partition).await?.0;
        Ok(Trail { topic: topic.to_owned(), topic_id: info.id.0, partition: partition.0, from })
    }

    async fn end(&self, topic: &str, partition: Partition) -> Result<Offset, Problem> {
        let extents = self.log.extents(topic).await.map_err(problem)?;
        Ok(extents.iter().find(|extent| extent.partition == partition).map_or(Offset(0), |extent| extent.end))
    }

    /// Writes the record, and only while it is this attempt's to write: from then on it counts as abandoned, and whoever
    /// comes next may have written it while this attempt was held up.
    pub(crate) async fn send(&self, flight: &Flight) -> Result<Place, Unwritten> {
        self.send_from(flight, Offset(flight.trail.from)).await
    }

    /// Writes the record unless the log has it from this offset on.
    async fn send_from(&self, flight: &Flight, from: Offset) -> Result<Place, Unwritten> {
        let (log, topic) = (&self.log, &flight.trail.topic);
        match flight.trail.is_noted() {
            true => self.written(flight, log.append_once(topic, flight.record(), EVENT_ID, from)).await,
            false => self.written(flight, log.append(topic, flight.record())).await,
        }
    }

    async fn written(
        &self,
        flight: &Flight,
        append: impl Future<Output = Result<Appended, LogError>>,
    ) -> Result<Place, Unwritten> {
        let spent = Duration::from_millis(u64::try_from(now_ms() - flight.since_ms).unwrap_or(0));
        let Some(left) = self.delivery_timeout.checked_sub(spent).filter(|left| !left.is_zero()) else {
            return Err(Unwritten::Unknown(busy("this took too long and was given up; try again")));
        };
        match tokio::time::timeout(left, append).await {
            Ok(Ok(appended)) => Ok(place(&appended)),
            Ok(Err(error @ (LogError::Unavailable { .. } | LogError::Closed))) => {
                Err(Unwritten::Unknown(problem(error)))
            }
            Ok(Err(error)) => Err(Unwritten::Refused(problem(error))),
            Err(_) => Err(Unwritten::Unknown(busy("the log has not acknowledged the event in time"))),
        }
    }

    /// Makes sure that an abandoned event is in the log. The caller has taken it over ([`Flight::renewed`]), so nobody else
    /// does the same at the same time; but an append that its caller gave up waiting for may still come through, so this
    /// one is written only if that one has not been.
    ///
    /// # Errors
    /// [`Unwritten::Refused`] where it never will be: whatever notes it lets go of it.
    pub(crate) async fn settle(&self, flight: &Flight) -> Result<Place, Unwritten> {
        // What is there now is looked through without holding anyone up; what comes later, as it is written.
        let trail = &flight.trail;
        let now = self.end(&trail.topic, Partition(trail.partition)).await.map_err(Unwritten::Unknown)?;
        let found = self.find(trail, flight.event_id).await.map_err(Unwritten::Unknown)?;
        if let Some((place, _)) = found {
            return Ok(place);
        }
        tracing::info!(event_id = %flight.event_id, topic = %trail.topic, "an event was noted and not written; it is written now");
        self.send_from(flight, now).await
    }

    /// The event, if the log has it.
    pub(crate) async fn find(&self, trail: &Trail, event_id: Uuid) -> Result<Option<(Place, Record)>, Problem> {
        let info = self.log.topic(&trail.topic).await.map_err(problem)?;
        let partition = Partition(trail.partition);
        let id = event_id.to_string();
        // Offsets of a topic that was made again say nothing.
        let from = if info.id == TopicId(trail.topic_id) { trail.from } else { 0 };
        let topic = &trail.topic;
        let found = match self.log.find_header(topic, partition, Offset(from), EVENT_ID, id.as_bytes()).await {
            // Retention has removed what came before: the event, if written, is younger than that or gone with it.
            Err(LogError::OffsetOutOfRange { earliest, .. }) => {
                self.log.find_header(topic, partition, earliest, EVENT_ID, id.as_bytes()).await
            }
            found => found,
        };
        let record = found.map_err(problem)?;
        Ok(record
            .map(|record| (Place { topic_id: info.id.0, partition: trail.partition, offset: record.offset.0 }, record)))
    }
}

fn place(appended: &Appended) -> Place {
    Place { topic_id: appended.topic.0, partition: appended.partition.0, offset: appended.offset.0 }
}

/// 503: try again in a second.
pub(crate) fn busy(detail: &str) -> Problem {
    Problem::unavailable(detail, Duration::from_secs(1))
}

fn problem(error: LogError) -> Problem {
    match error {
        LogError::Unavailable { .. } | LogError::Closed => {
            tracing::warn!(%error, "a command met a log that is not available");
            busy("the log is not available at the moment").code("log-unavailable")
        }
        LogError::TooLarge { allowed, .. } => Problem::too_large(allowed as u64),
        error => Problem::internal(error),
    }
}

fn write_base64<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn read_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use headwater_log::TopicSpec;

    use super::*;

    /// As appends that come through after they were given up on: all look, find nothing, and write.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_event_is_written_once_however_many_see_to_it() {
        let folder = tempfile::tempdir().unwrap();
        for log in [Log::memory(), Log::open_embedded(folder.path()).await.unwrap()] {
            let spec = TopicSpec { name: "t".to_owned(), partitions: 1, retention_days: None, compact: false };
            log.ensure_topic(&spec).await.unwrap();
            let flights = Flights { log: log.clone(), delivery_timeout: Duration::from_secs(60) };
            let event_id = Uuid::from_u128(7);
            let flight = Flight {
                event_id,
                trail: flights.trail("t", &"k".into()).await.unwrap(),
                since_ms: now_ms(),
                key: "k".into(),
                payload: Bytes::from_static(b"p"),
                headers: vec![(EVENT_ID.to_owned(), event_id.to_string())],
                timestamp_ms: 0,
            };
            let places = join_all((0..50).map(|_| flights.settle(&flight))).await;
            for place in places {
                assert_eq!(place.unwrap().offset, 0);
            }
            // So does whoever noted it and was held up.
            assert_eq!(flights.send(&flight).await.unwrap().offset, 0);
            assert_eq!(log.extents("t").await.unwrap()[0].end, Offset(1));
            log.close().await;
        }
    }
}
