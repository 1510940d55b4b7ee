//! Topics and their events, as `topic.yaml` and the schemas beside it declare them.

use std::io::Write;
use std::sync::Arc;

use crate::avsc::Schema;
use crate::instant::{date_text, timestamp_text};
use crate::types::{FieldType, Type};
use crate::value::{Value, ValueRef};

/// What may be said on one topic of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    pub name: String,
    /// The folder under `schemas/` that declares it.
    pub domain: String,
    /// The fields of every event that make the message key: one, for now.
    pub key: Vec<String>,
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
    #[error("expected one key field, found {0}: a key of several fields is not built yet")]
    NotOne(usize),
    #[error("the event {event} has no field `{field}`, which is the topic's key; its fields are {known}")]
    NoSuchField { event: String, field: String, known: String },
    #[error("the field `{field}` of {event} is {ty}, which cannot be a message key: expected {KEY_TYPES}")]
    NoKey { event: String, field: String, ty: String },
}

const KEY_TYPES: &str = "boolean, int, long, decimal, string, enum, uuid, date or timestamp, not nullable";

impl Event {
    /// An event of a topic whose key is made of these fields.
    pub fn new(schema: Arc<Schema>, was: Vec<String>, key: &[String]) -> Result<Self, KeyError> {
        let [name] = key else { return Err(KeyError::NotOne(key.len())) };
        let event = schema.short_name().to_owned();
        let Some((index, field)) = schema.record.field(name) else {
            let known = schema.record.fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(KeyError::NoSuchField { event, field: name.clone(), known });
        };
        if !can_be_key(&field.ty) {
            let ty = format!("{}{}", if field.ty.nullable { "a nullable " } else { "" }, field.ty.ty);
            return Err(KeyError::NoKey { event, field: name.clone(), ty });
        }
        Ok(Self { name: event, schema, was, key: vec![index] })
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

    /// The fields of a message key, which is all that a record without a value has. Only the one form that
    /// [`Topic::message_key`] writes is read: another would be in another partition.
    ///
    /// # Errors
    /// Why these bytes are no key of this topic.
    pub fn read_key(&self, key: &[u8]) -> Result<Vec<Value>, String> {
        let Some((event, [index])) = self.events.first().map(|event| (event, event.key.as_slice())) else {
            return Err("the topic's key is not one field".into());
        };
        let ty = &event.schema.record.fields[*index].ty;
        let text = std::str::from_utf8(key).map_err(|_| "the message key is no text".to_owned())?;
        let value =
            crate::json::from_text(ty, text).map_err(|problem| format!("the message key: {}", problem.message))?;
        let mut again = Vec::new();
        write_key_value(&value, &mut again);
        if again == key { Ok(vec![value]) } else { Err("the message key is not written as keys are".into()) }
    }

    /// The message key of a whole record: its key field as text. Empty where the value is null or no record.
    pub fn message_key(&self, event: &Event, record: &Value) -> Vec<u8> {
        let mut key = Vec::new();
        if let (Value::Record(fields), [index]) = (record, event.key.as_slice())
            && let Some(value) = fields.get(*index)
        {
            write_key_value(value, &mut key);
        }
        key
    }
}

/// Appends a key field as text, the same for every program that writes it: text as it is, numbers in decimal digits,
/// uuids with hyphens in lower case, dates and instants by RFC 3339. False, and nothing written, for null and for types
/// that cannot be a key.
pub fn write_key(value: &ValueRef<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        ValueRef::String(s) => out.extend_from_slice(s.as_bytes()),
        // Writing to a vector cannot fail.
        ValueRef::Long(n) => drop(write!(out, "{n}")),
        ValueRef::Boolean(b) => drop(write!(out, "{b}")),
        ValueRef::Decimal(d) => drop(write!(out, "{d}")),
        ValueRef::Uuid(u) => drop(write!(out, "{}", uuid::Uuid::from_bytes(*u).as_hyphenated())),
        ValueRef::Date(d) => out.extend_from_slice(date_text(*d).as_bytes()),
        ValueRef::Timestamp(t) => out.extend_from_slice(timestamp_text(*t).as_bytes()),
        _ => return false,
    }
    true
}

fn write_key_value(value: &Value, out: &mut Vec<u8>) {
    let borrowed = match value {
        Value::String(s) => ValueRef::String(s),
        Value::Long(n) => ValueRef::Long(*n),
        Value::Boolean(b) => ValueRef::Boolean(*b),
        Value::Decimal(d) => ValueRef::Decimal(*d),
        Value::Uuid(u) => ValueRef::Uuid(*u),
        Value::Date(d) => ValueRef::Date(*d),
        Value::Timestamp(t) => ValueRef::Timestamp(*t),
        _ => ValueRef::Null,
    };
    write_key(&borrowed, out);
}

fn can_be_key(ty: &FieldType) -> bool {
    has_key_text(&ty.ty) && !ty.nullable
}

/// Whether [`write_key`] writes values of this type.
pub fn has_key_text(ty: &Type) -> bool {
    ty.is_text()
        || ty.is_timestamp()
        || matches!(ty, Type::Boolean | Type::Int | Type::Long | Type::Decimal { .. } | Type::Uuid | Type::Date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Decimal;

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
        assert_eq!(topic.event("Bought"), None);
        assert_eq!(topic.event_written_as("Bought"), Some(sold));
        let record = Value::Record([Value::Null, Value::string("é1"), Value::Double(1.0)].into());
        assert_eq!(topic.message_key(sold, &record), "é1".as_bytes());
        assert_eq!(topic.read_key("é1".as_bytes()), Ok(vec![Value::string("é1")]));
        assert_eq!(topic.read_key(b"\xff"), Err("the message key is no text".into()));
    }

    #[test]
    fn keys_that_cannot_be_are_named() {
        for (key, message) in [
            (&["id", "note"][..], "expected one key field, found 2: a key of several fields is not built yet"),
            (
                &["ident"],
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

    #[test]
    fn a_key_has_one_form() {
        let schema = SCHEMA.replace(r#""name": "id", "type": "string""#, r#""name": "id", "type": "long""#);
        let schema = Arc::new(Schema::parse(&schema, &[]).unwrap());
        let events = vec![Event::new(schema, vec![], &["id".to_owned()]).unwrap()];
        let (name, domain, key) = ("sales".into(), "shop".into(), vec!["id".into()]);
        let topic = Topic {
            name,
            domain,
            key,
            partitions: 3,
            retention_days: None,
            compact: false,
            deduplicate: None,
            events,
            ignore: vec![],
        };
        assert_eq!(topic.read_key(b"-7"), Ok(vec![Value::Long(-7)]));
        assert_eq!(topic.read_key(b"+7"), Err("the message key is not written as keys are".into()));
        assert!(topic.read_key(b"seven").is_err());
    }

    #[test]
    fn keys_as_text() {
        for (value, text) in [
            (ValueRef::Long(-7), "-7"),
            (ValueRef::Boolean(true), "true"),
            (ValueRef::Decimal(Decimal { unscaled: -5, scale: 2 }), "-0.05"),
            (ValueRef::Uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab"),
            (ValueRef::Date(0), "1970-01-01"),
            (ValueRef::Timestamp(1_500_000), "1970-01-01T00:00:01.500Z"),
        ] {
            let mut out = vec![];
            assert!(write_key(&value, &mut out));
            assert_eq!(out, text.as_bytes());
        }
        assert!(!write_key(&ValueRef::Null, &mut vec![]));
    }
}
