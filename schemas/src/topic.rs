//! Topics and their events, as `topic.yaml` and the schemas beside it declare them.

use std::sync::Arc;

use crate::avsc::Schema;
use crate::key::{KeyFormat, has_key_text};
use crate::types::FieldType;

/// What may be said on one topic of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    pub name: String,
    /// The folder under `schemas/` that declares it.
    pub domain: String,
    /// The fields of every event that make the message key.
    pub key: Vec<String>,
    /// How it is written.
    pub key_format: KeyFormat,
    pub partitions: u32,
    /// None: for ever.
    pub retention_days: Option<u32>,
    /// Of each key, all but the last record may be gone: `cleanup: compact`.
    pub compact: bool,
    /// How a repeat is told from what was said before.
    pub deduplicate: Option<Deduplicate>,
    pub events: Vec<Event>,
    /// Names of events that are known and skipped.
    pub ignore: Vec<String>,
}

/// A record that says again what one of the last of its key said is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deduplicate {
    pub by: Identity,
    /// How many records of a key are remembered.
    pub last: u32,
}

/// What two records have in common that are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The header `ce_id`.
    Header,
    /// A field of every event.
    Field(String),
}

/// One kind of record on a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The schema's short name.
    pub name: String,
    pub schema: Arc<Schema>,
    /// Older short names: the same history under a new name.
    pub was: Vec<String>,
    /// Where the topic's key fields stand in the record, in the key's order.
    pub key: Vec<usize>,
}

/// Why an event cannot be on a topic with this key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the event {event} has no field `{field}`, which is the topic's key; its fields are {known}")]
    NoSuchField { event: String, field: String, known: String },
    #[error("the field `{field}` of {event} is {ty}, which cannot be a message key: expected {KEY_TYPES}")]
    NoKey { event: String, field: String, ty: String },
}

const KEY_TYPES: &str = "boolean, int, long, decimal, string, enum, uuid, date or timestamp, not nullable";

impl Event {
    /// An event of a topic whose key is made of these fields.
    pub fn new(schema: Arc<Schema>, was: Vec<String>, key: &[String]) -> Result<Self, KeyError> {
        let event = schema.short_name().to_owned();
        let mut indexes = Vec::with_capacity(key.len());
        for name in key {
            let Some((index, field)) = schema.record.field(name) else {
                let known = schema.record.fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(KeyError::NoSuchField { event, field: name.clone(), known });
            };
            if !can_be_key(&field.ty) {
                let ty = format!("{}{}", if field.ty.nullable { "a nullable " } else { "" }, field.ty.ty);
                return Err(KeyError::NoKey { event, field: name.clone(), ty });
            }
            indexes.push(index);
        }
        Ok(Self { name: event, schema, was, key: indexes })
    }
}

impl Topic {
    /// The event of this name; not by an older one.
    pub fn event(&self, name: &str) -> Option<&Event> {
        self.events.iter().find(|event| event.name == name)
    }

    /// The event that a writer's record is, by its short name now or an older one.
    pub fn event_written_as(&self, name: &str) -> Option<&Event> {
        self.event(name).or_else(|| self.events.iter().find(|event| event.was.iter().any(|was| was == name)))
    }

    /// The registry's subject of an event: topic and full record name.
    pub fn subject(&self, event: &Event) -> String {
        format!("{}-{}", self.name, event.schema.record.name)
    }

    /// The registry's subject of the message keys' schema, where they have one.
    pub fn key_subject(&self) -> String {
        format!("{}-key", self.name)
    }
}

fn can_be_key(ty: &FieldType) -> bool {
    has_key_text(&ty.ty) && !ty.nullable
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "shop.Sold", "fields": [
        {"name": "note", "type": ["null", "string"], "default": null},
        {"name": "id", "type": "string"},
        {"name": "share", "type": "double"}]}"#;

    fn event(key: &[&str]) -> Result<Event, KeyError> {
        let key: Vec<String> = key.iter().map(|k| (*k).to_owned()).collect();
        Event::new(Arc::new(Schema::parse(SCHEMA, &[]).unwrap()), vec!["Bought".into()], &key)
    }

    #[test]
    fn an_event_knows_its_key_and_its_names() {
        let topic = Topic {
            name: "sales".into(),
            domain: "shop".into(),
            key: vec!["id".into()],
            key_format: KeyFormat::String,
            partitions: 3,
            retention_days: None,
            compact: false,
            deduplicate: None,
            events: vec![event(&["id"]).unwrap()],
            ignore: vec![],
        };
        let sold = topic.event("Sold").unwrap();
        assert_eq!(sold.key, [1]);
        assert_eq!(topic.subject(sold), "sales-shop.Sold");
        assert_eq!(topic.key_subject(), "sales-key");
        assert_eq!(topic.event("Bought"), None);
        assert_eq!(topic.event_written_as("Bought"), Some(sold));
    }

    #[test]
    fn keys_that_cannot_be_are_named() {
        for (key, message) in [
            (
                &["id", "ident"][..],
                "the event Sold has no field `ident`, which is the topic's key; its fields are note, id, share",
            ),
            (
                &["note"],
                "the field `note` of Sold is a nullable string, which cannot be a message key: expected boolean, int, long, decimal, string, enum, uuid, date or timestamp, not nullable",
            ),
            (
                &["share"],
                "the field `share` of Sold is double, which cannot be a message key: expected boolean, int, long, decimal, string, enum, uuid, date or timestamp, not nullable",
            ),
        ] {
            assert_eq!(event(key).unwrap_err().to_string(), message);
        }
    }
}
