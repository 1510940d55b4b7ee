//! A record of the log as a line of JSON, and back: what `consume` prints, `produce` takes and `parked show` shows.
//!
//! A line is the event's fields, and beside them what is not of the event itself, under names that begin with `_`:
//! `{"_event": "UserRegistered", "_partition": 3, "_offset": 17, "_time": "2026-01-01T00:00:00Z", "_key": "ann", …}`.
//! What one prints the other takes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bumpalo::Bump;
use chrono::{DateTime, SecondsFormat, Utc};
use headwater_log::Header;
use headwater_schemas::plan::DecodePlan;
use headwater_schemas::registry::{Registry, RegistryError};
use headwater_schemas::{KeyCodec, Schema, Value, json, wire};
use serde_json::{Map, Value as Json};

use crate::failure::Failure;

/// Reads payloads by the schema that wrote them; each schema is looked up and planned once.
pub(crate) struct Reader {
    registry: Registry,
    known: HashMap<u32, Option<Arc<Writer>>>,
    bump: Bump,
}

struct Writer {
    schema: Arc<Schema>,
    plan: DecodePlan,
}

/// What a payload holds.
pub(crate) enum Read {
    Event {
        name: String,
        fields: Map<String, Json>,
    },
    /// A record with a null value.
    Tombstone,
    /// It cannot be read, and why.
    Malformed(String),
}

/// A record's parts, whether it comes from the log or from what is parked.
pub(crate) struct Parts<'a> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    /// How keys of its topic are written, where that is known.
    pub(crate) keys: Option<&'a KeyCodec>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
}

impl Reader {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, known: HashMap::new(), bump: Bump::new() }
    }

    pub(crate) async fn read(&mut self, payload: Option<&[u8]>) -> Result<Read, Failure> {
        let Some(payload) = payload else { return Ok(Read::Tombstone) };
        let (id, body) = match wire::split(payload) {
            Ok(parts) => parts,
            Err(error) => return Ok(Read::Malformed(error.to_string())),
        };
        let Some(writer) = self.writer(id).await? else {
            return Ok(Read::Malformed(format!("the registry has no schema {} of a record", id.0)));
        };
        self.bump.reset();
        match writer.plan.decode(body, &self.bump) {
            Ok(values) => {
                let fields = writer.schema.record.fields.iter().zip(values);
                let fields =
                    fields.map(|(field, value)| (field.name.clone(), json::to_json(&field.ty, &value.to_owned())));
                Ok(Read::Event { name: writer.schema.record.short_name().to_owned(), fields: fields.collect() })
            }
            Err(error) => Ok(Read::Malformed(error.to_string())),
        }
    }

    async fn writer(&mut self, id: wire::SchemaId) -> Result<Option<Arc<Writer>>, Failure> {
        if let Some(known) = self.known.get(&id.0) {
            return Ok(known.clone());
        }
        let found = match self.registry.by_id(id).await {
            Ok(schema) => {
                let whole: Vec<usize> = (0..schema.record.fields.len()).collect();
                let plan = DecodePlan::compile(&schema, &schema.record, &whole).map_err(|error| {
                    Failure::because(format!("the schema {} cannot be read with itself", id.0), &error)
                })?;
                Some(Arc::new(Writer { schema, plan }))
            }
            Err(RegistryError::UnknownId(_) | RegistryError::NoRecord { .. }) => None,
            Err(error) => return Err(Failure::because("the registry does not answer", &error)),
        };
        self.known.insert(id.0, found.clone());
        Ok(found)
    }

    /// The whole record as one JSON object.
    pub(crate) async fn line(&mut self, parts: &Parts<'_>) -> Result<Map<String, Json>, Failure> {
        let read = self.read(parts.payload).await?;
        let mut line = Map::new();
        let event = match &read {
            Read::Event { name, .. } => Json::from(name.as_str()),
            Read::Tombstone => Json::from("Tombstone"),
            Read::Malformed(_) => Json::Null,
        };
        line.insert("_event".into(), event);
        line.insert("_partition".into(), parts.partition.into());
        line.insert("_offset".into(), parts.offset.into());
        line.insert("_time".into(), time_text(parts.timestamp_ms).into());
        match parts.key.map(|key| key_text(parts.keys, key).ok_or(key)) {
            None => drop(line.insert("_key".into(), Json::Null)),
            Some(Ok(key)) => drop(line.insert("_key".into(), key.into())),
            Some(Err(key)) => drop(line.insert("_key_base64".into(), BASE64_STANDARD.encode(key).into())),
        }
        if !parts.headers.is_empty() {
            let headers = parts.headers.iter();
            let headers = headers.map(|(name, value)| ((*name).to_owned(), String::from_utf8_lossy(value).into()));
            line.insert("_headers".into(), Json::Object(headers.collect()));
        }
        match read {
            Read::Event { fields, .. } => line.extend(fields),
            Read::Tombstone => {}
            Read::Malformed(reason) => {
                line.insert("_malformed".into(), reason.into());
                line.insert("_payload_base64".into(), BASE64_STANDARD.encode(parts.payload.unwrap_or_default()).into());
            }
        }
        Ok(line)
    }
}

/// What a line says beside the event's own fields.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Beside {
    pub(crate) event: Option<String>,
    pub(crate) key: Option<SaidKey>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) headers: Vec<Header>,
}

/// The message key that a line says.
#[derive(Debug, PartialEq)]
pub(crate) enum SaidKey {
    None,
    /// As people read it.
    Text(String),
    Bytes(Vec<u8>),
}

/// A message key as people read it. None where it cannot be read so, and is to be shown as bytes.
pub(crate) fn key_text<'k>(keys: Option<&KeyCodec>, key: &'k [u8]) -> Option<Cow<'k, str>> {
    match keys {
        Some(keys) => keys.text(key),
        None => std::str::from_utf8(key).ok().map(Cow::Borrowed),
    }
}

/// Takes what begins with `_` out of a line; every problem at once.
pub(crate) fn beside(line: &mut Map<String, Json>) -> Result<Beside, Vec<String>> {
    let mut beside = Beside::default();
    let mut problems = Vec::new();
    let names: Vec<String> = line.keys().filter(|name| name.starts_with('_')).cloned().collect();
    for name in names {
        let Some(value) = line.shift_remove(&name) else { continue };
        match (name.as_str(), value) {
            ("_event", Json::String(event)) => beside.event = Some(event),
            ("_key", Json::Null) => beside.key = Some(SaidKey::None),
            ("_key", Json::String(key)) => beside.key = Some(SaidKey::Text(key)),
            ("_key_base64", Json::String(key)) => match BASE64_STANDARD.decode(key) {
                Ok(key) => beside.key = Some(SaidKey::Bytes(key)),
                Err(_) => problems.push("_key_base64: expected base64".to_owned()),
            },
            ("_time", Json::String(time)) => match DateTime::parse_from_rfc3339(&time) {
                Ok(time) => beside.timestamp_ms = Some(time.timestamp_millis()),
                Err(_) => {
                    problems.push(format!("_time: expected RFC 3339 such as 2026-01-01T00:00:00Z, found {time:?}"))
                }
            },
            ("_headers", Json::Object(headers)) => {
                for (name, value) in headers {
                    match value {
                        Json::String(value) => beside.headers.push(Header { name, value: value.into_bytes().into() }),
                        other => problems.push(format!("_headers.{name}: expected text, found {other}")),
                    }
                }
            }
            // Where a record was is not where it goes.
            ("_partition" | "_offset", _) => {}
            ("_malformed" | "_payload_base64", _) => {
                problems.push(format!("{name}: a record that could not be read cannot be written again"));
            }
            ("_event" | "_time" | "_key" | "_key_base64" | "_headers", other) => {
                problems.push(format!("{name}: expected text, found {other}"));
            }
            _ => problems.push(format!("{name}: expected _event, _key, _time or _headers beside the event's fields")),
        }
    }
    if problems.is_empty() { Ok(beside) } else { Err(problems) }
}

/// RFC 3339, in milliseconds, UTC.
pub(crate) fn time_text(timestamp_ms: i64) -> String {
    match DateTime::<Utc>::from_timestamp_millis(timestamp_ms) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => format!("{timestamp_ms} ms"),
    }
}

/// An event of the schema from a line's fields, encoded and framed; or every problem by field path.
pub(crate) fn payload(
    schema: &Schema,
    id: wire::SchemaId,
    fields: &Map<String, Json>,
) -> Result<(Value, Vec<u8>), Vec<String>> {
    let value = json::from_json(&schema.record, &Json::Object(fields.clone()))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let mut body = Vec::new();
    headwater_schemas::encode::encode(schema, &value, &mut body).map_err(|error| vec![error.to_string()])?;
    let mut framed = Vec::with_capacity(body.len() + 5);
    wire::frame(id, &body, &mut framed);
    Ok((value, framed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_an_event_is_taken_or_named() {
        let cases = [
            (r#"{"a": 1}"#, Ok(Beside::default())),
            (
                r#"{"_key": null, "_partition": 3, "_offset": 9}"#,
                Ok(Beside { key: Some(SaidKey::None), ..Beside::default() }),
            ),
            (
                r#"{"_event": "E", "_key": "k", "_time": "1970-01-01T00:00:01Z"}"#,
                Ok(Beside {
                    event: Some("E".into()),
                    key: Some(SaidKey::Text("k".into())),
                    timestamp_ms: Some(1000),
                    headers: Vec::new(),
                }),
            ),
            (r#"{"_time": "yesterday", "_keys": 1}"#, Err(2)),
            (r#"{"_headers": {"a": 1, "b": {}}}"#, Err(2)),
            (r#"{"_malformed": "x"}"#, Err(1)),
        ];
        for (text, expected) in cases {
            let Ok(Json::Object(mut line)) = serde_json::from_str(text) else { panic!("{text}") };
            assert_eq!(beside(&mut line).map_err(|problems| problems.len()), expected, "{text}");
        }
    }
}
