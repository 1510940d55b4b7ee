//! Topics and their events, as `topic.yaml` and the schemas beside it declare them.

use std::io::Write;
use std::sync::Arc;

use bumpalo::Bump;

use crate::avsc::Schema;
use crate::instant::{date_text, timestamp_text};
use crate::types::{FieldType, RecordType, Type};
use crate::value::{Value, ValueRef};

/// What may be said on one topic of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    pub name: String,
    /// The folder under `schemas/` that declares it.
    pub domain: String,
    /// The fields of every event that make the message key: of one its text, of several a JSON object.
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

    /// The fields of a message key, which is all that a record without a value has. Only the one form that
    /// [`Topic::message_key`] writes is read: another would be in another partition.
    ///
    /// # Errors
    /// Why these bytes are no key of this topic.
    pub fn read_key(&self, key: &[u8]) -> Result<Vec<Value>, String> {
        let text = std::str::from_utf8(key).map_err(|_| "the message key is no text".to_owned())?;
        let ty = self.key_type().ok_or("the topic has no events")?;
        let values = match ty.fields.as_slice() {
            [field] => vec![crate::json::from_text(&field.ty, text).map_err(|problem| no_key(&problem.message))?],
            _ => {
                let json = serde_json::from_str(text).map_err(|_| no_key("expected a JSON object"))?;
                let read = crate::json::from_json(&ty, &json);
                match read.map_err(|problems| no_key(&problems.first().map(ToString::to_string).unwrap_or_default()))? {
                    Value::Record(values) => values.to_vec(),
                    _ => return Err(no_key("expected a JSON object")),
                }
            }
        };
        let mut again = Vec::new();
        let bump = Bump::new();
        self.write_message_key(values.iter().map(|value| value.borrow(&bump)), &mut again);
        if again == key { Ok(values) } else { Err("the message key is not written as keys are".into()) }
    }

    /// The key's fields as a record; None where the topic has no events.
    fn key_type(&self) -> Option<RecordType> {
        let event = self.events.first()?;
        let fields = event.key.iter().map(|&index| event.schema.record.fields[index].clone()).collect();
        Some(RecordType { name: event.name.clone(), aliases: Vec::new(), fields, doc: None })
    }

    /// The message key that JSON of the key's fields, and no others, makes: of a record without a value.
    ///
    /// # Errors
    /// Every problem by field path.
    pub fn key_of(&self, fields: &serde_json::Value) -> Result<Vec<u8>, Vec<String>> {
        let ty = self.key_type().ok_or_else(|| vec!["the topic has no events".to_owned()])?;
        let record = crate::json::from_json(&ty, fields);
        let record = record.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let (mut key, bump) = (Vec::new(), Bump::new());
        match record {
            Value::Record(values) if self.write_message_key(values.iter().map(|v| v.borrow(&bump)), &mut key) => {
                Ok(key)
            }
            _ => Err(vec![format!("{} cannot be a message key", self.key.join(", "))]),
        }
    }

    /// The message key of a whole record. Empty where one of its key's fields is null, or it is no record.
    pub fn message_key(&self, event: &Event, record: &Value) -> Vec<u8> {
        let mut key = Vec::new();
        let Value::Record(fields) = record else { return key };
        let bump = Bump::new();
        let values =
            event.key.iter().map(|&index| fields.get(index).map_or(ValueRef::Null, |value| value.borrow(&bump)));
        self.write_message_key(values, &mut key);
        key
    }

    /// Appends the message key of these key fields, in the key's order: one field's text; of several a JSON object of them
    /// in that order, without spaces, whose booleans and whole numbers are bare and whose other values are their texts.
    /// False, and nothing written, where one of them cannot be in a key.
    pub fn write_message_key<'v>(&self, values: impl IntoIterator<Item = ValueRef<'v>>, out: &mut Vec<u8>) -> bool {
        let mut values = values.into_iter();
        if let [_] = self.key.as_slice() {
            return values.next().is_some_and(|value| write_key(&value, out));
        }
        let start = out.len();
        for (index, (name, value)) in self.key.iter().zip(values).enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            push_json(name, out);
            out.push(b':');
            if let ValueRef::String(text) = value {
                push_json(text, out);
                continue;
            }
            let quote = !matches!(value, ValueRef::Long(_) | ValueRef::Boolean(_));
            out.extend(quote.then_some(b'"'));
            if !write_key(&value, out) {
                out.truncate(start);
                return false;
            }
            out.extend(quote.then_some(b'"'));
        }
        out.push(b'}');
        true
    }
}

fn no_key(why: &str) -> String {
    format!("the message key: {why}")
}

/// A text as JSON has it.
fn push_json(text: &str, out: &mut Vec<u8>) {
    // Of text, into a vector: it does not fail.
    let _ = serde_json::to_writer(out, text);
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
    fn a_key_of_several_fields_is_an_object() {
        let schema = SCHEMA.replace(r#""name": "share", "type": "double""#, r#""name": "n", "type": "long""#);
        let key = vec!["n".to_owned(), "id".to_owned()];
        let events = vec![Event::new(Arc::new(Schema::parse(&schema, &[]).unwrap()), vec![], &key).unwrap()];
        let (name, domain, ignore) = ("sales".into(), "shop".into(), vec![]);
        let (partitions, retention_days, compact, deduplicate) = (3, None, false, None);
        let topic = Topic { name, domain, key, partitions, retention_days, compact, deduplicate, events, ignore };
        let record = Value::Record([Value::Null, Value::string("a \"é\"\n"), Value::Long(-7)].into());
        let written = topic.message_key(&topic.events[0], &record);
        assert_eq!(String::from_utf8_lossy(&written), r#"{"n":-7,"id":"a \"é\"\n"}"#);
        assert_eq!(topic.read_key(&written), Ok(vec![Value::Long(-7), Value::string("a \"é\"\n")]));
        for other in [r#"{"n": 7,"id":"a"}"#, r#"{"id":"a","n":7}"#, r#"{"n":"7","id":"a"}"#, r#"{"n":7}"#, "7", ""] {
            assert!(topic.read_key(other.as_bytes()).is_err(), "{other}");
        }
        assert!(!topic.write_message_key([ValueRef::Null, ValueRef::Long(1)], &mut vec![]));
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
