//! The record around an event: CloudEvents in binary mode, and the trace that it belongs to.

use bytes::Bytes;
use headwater_engine::command::Command;
use headwater_http::TraceContext;
use headwater_schemas::instant::timestamp_text;
use uuid::Uuid;

use crate::claims::now_ms;
use crate::flight::{EVENT_ID, Flight, Trail};
use crate::key::MessageKey;

/// The longest `tracestate` that is carried on, in bytes: what the W3C recommendation asks at least.
const TRACESTATE_BYTES: usize = 512;

/// What an event carries beside its fields.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) event_id: Uuid,
    /// When the command came, in microseconds since 1970-01-01T00:00:00Z: `now()`, and the record's time.
    pub(crate) now_us: i64,
    pub(crate) trace: TraceContext,
    /// Printable ASCII.
    pub(crate) tracestate: Option<String>,
}

impl Envelope {
    /// The `tracestate` of a request, where it can be carried on.
    pub(crate) fn tracestate(headers: &axum::http::HeaderMap) -> Option<String> {
        let text = headers.get("tracestate")?.to_str().ok()?;
        (text.len() <= TRACESTATE_BYTES).then(|| text.to_owned())
    }

    /// The event as it will be written, noted from now on. `subject`: its key as people read it.
    pub(crate) fn flight(
        &self,
        command: &Command,
        (key, subject): (&MessageKey, &str),
        trail: &Trail,
        payload: Bytes,
    ) -> Flight {
        let mut headers = vec![
            (EVENT_ID.to_owned(), self.event_id.to_string()),
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_source".to_owned(), format!("/commands/{}", command.name)),
            ("ce_type".to_owned(), command.record().name.clone()),
            ("ce_time".to_owned(), timestamp_text(self.now_us)),
            ("content-type".to_owned(), "avro/binary".to_owned()),
            ("traceparent".to_owned(), self.trace.traceparent()),
        ];
        // CloudEvents refuses an empty subject.
        if !subject.is_empty() {
            headers.push(("ce_subject".to_owned(), subject.to_owned()));
        }
        headers.extend(self.tracestate.iter().map(|state| ("tracestate".to_owned(), state.clone())));
        Flight {
            event_id: self.event_id,
            trail: trail.clone(),
            since_ms: now_ms(),
            key: key.clone(),
            payload,
            headers,
            timestamp_ms: self.now_us.div_euclid(1000),
        }
    }
}
