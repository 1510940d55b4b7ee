//! Message keys: how a topic's are written, and read again.
//!
//! The one idea: a key has one form. Where a record stands is said by the bytes of its key, so that the same fields in other
//! bytes would be in another partition, out of order with the rest. What would write other bytes is no key of the topic.
//!
//! In Avro the id of the key's schema is part of those bytes, and is pinned: it is that of version 1 of the subject
//! `<topic>-key`. A [`KeyCodec`] is made once, when that id is known, and carries it from then on.

mod avro;
mod schema;
mod text;

use std::borrow::Cow;
use std::sync::Arc;

use bumpalo::Bump;

use crate::plan::DecodeError;
use crate::topic::{Event, Topic};
use crate::types::RecordType;
use crate::value::{Value, ValueRef};
use crate::wire::{SchemaId, WireError};
use avro::AvroKeys;
pub use schema::{KeySchema, KeySchemaError};
pub use text::{has_key_text, write_key};

/// How a topic's message keys are written: `key_format`.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyFormat {
    /// One field, as its text.
    String,
    /// As a JSON object of them.
    Json,
    /// Confluent's wire format, with a schema that the events' own give.
    Avro(Arc<KeySchema>),
}

/// Why bytes are no key of a topic, or not that of their event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    #[error("the record's message key is not the event's key")]
    OfAnother,
    #[error("the message key is no text")]
    NoText,
    #[error("the message key: {0}")]
    Unreadable(String),
    #[error("the message key is not written as keys are")]
    OtherForm,
    #[error("the message key: {0}")]
    Unframed(#[from] WireError),
    #[error("the message key has the schema id {found}, and the keys of this topic have {pinned}")]
    OtherId { found: SchemaId, pinned: SchemaId },
    #[error("the message key: {0}")]
    Malformed(#[from] DecodeError),
}

/// Stands in keys where there is no registry: in declared tests. No registry gives it out.
const OFFLINE: SchemaId = SchemaId(0);

/// Writes and reads the message keys of one topic.
#[derive(Clone, Debug)]
pub struct KeyCodec {
    /// The key's fields, in the key's order; none where the topic has no events.
    ty: Arc<RecordType>,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    String,
    Json,
    Avro(AvroKeys),
}

impl KeyCodec {
    /// Of a topic. `id`: of its key's schema, of no meaning where keys have none.
    pub fn new(topic: &Topic, id: SchemaId) -> Self {
        let form = match &topic.key_format {
            KeyFormat::String => Form::String,
            KeyFormat::Json => Form::Json,
            KeyFormat::Avro(schema) => Form::Avro(AvroKeys::new(schema.clone(), id)),
        };
        Self { ty: Arc::new(key_type(topic)), form }
    }

    /// Of a topic as declared tests have it, without a registry.
    pub fn offline(topic: &Topic) -> Self {
        Self::new(topic, OFFLINE)
    }

    /// The id of the key's schema, where keys have one.
    pub fn id(&self) -> Option<SchemaId> {
        match &self.form {
            Form::Avro(keys) => Some(keys.id()),
            Form::String | Form::Json => None,
        }
    }

    /// A key that was written offline, as it is here. What is none is left as it is.
    pub fn online(&self, mut key: Vec<u8>) -> Vec<u8> {
        if let Form::Avro(keys) = &self.form
            && crate::wire::split(&key).is_ok_and(|(id, _)| id == OFFLINE)
        {
            key[..keys.header().len()].copy_from_slice(keys.header());
        }
        key
    }

    /// Appends the message key of these key fields, in the key's order. False, and nothing written, where one of them
    /// cannot be in a key.
    pub fn write<'v>(&self, fields: impl IntoIterator<Item = ValueRef<'v>>, out: &mut Vec<u8>) -> bool {
        match &self.form {
            Form::String | Form::Json => text::write(&self.ty, self.as_object(), fields, out),
            Form::Avro(keys) => keys.write(fields, out),
        }
    }

    /// The message key of a whole record. Empty where one of its key's fields is null, or it is no record.
    pub fn of_record(&self, event: &Event, record: &Value) -> Vec<u8> {
        let mut key = Vec::new();
        let Value::Record(fields) = record else { return key };
        let bump = Bump::new();
        let field = |&index: &usize| fields.get(index).map_or(ValueRef::Null, |value| value.borrow(&bump));
        self.write(event.key.iter().map(field), &mut key);
        key
    }

    /// The message key that JSON of the key's fields, and no others, makes: of a record without a value.
    ///
    /// # Errors
    /// Every problem by field path.
    pub fn of_json(&self, fields: &serde_json::Value) -> Result<Vec<u8>, Vec<String>> {
        if self.ty.fields.is_empty() {
            return Err(vec![NO_EVENTS.to_owned()]);
        }
        let record = crate::json::from_json(&self.ty, fields);
        let record = record.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let (mut key, bump) = (Vec::new(), Bump::new());
        match record {
            Value::Record(values) if self.write(values.iter().map(|v| v.borrow(&bump)), &mut key) => Ok(key),
            _ => Err(vec![format!("{} cannot be a message key", self.names())]),
        }
    }

    /// The message key that people write as [`KeyCodec::text`] shows it.
    ///
    /// # Errors
    /// Why it is no key of this topic. Where keys are text, what is written is the key, right or wrong.
    pub fn of_text(&self, text: &str) -> Result<Vec<u8>, KeyProblem> {
        let Form::Avro(keys) = &self.form else { return Ok(text.as_bytes().to_vec()) };
        let values = text::read(&self.ty, self.as_object(), text.as_bytes())?;
        let (mut key, bump) = (Vec::new(), Bump::new());
        match keys.write(values.iter().map(|value| value.borrow(&bump)), &mut key) {
            true => Ok(key),
            false => Err(KeyProblem::OtherForm),
        }
    }

    /// A message key as people read it: text as it is; in Avro of one field its text, of several a JSON object of them. None
    /// where it is no text or, in Avro, no key of this topic.
    pub fn text<'k>(&self, key: &'k [u8]) -> Option<Cow<'k, str>> {
        let Form::Avro(keys) = &self.form else { return std::str::from_utf8(key).ok().map(Cow::Borrowed) };
        let (mut out, bump) = (Vec::new(), Bump::new());
        let values = keys.read(key, &bump).ok()?;
        text::write(&self.ty, self.as_object(), values.iter().copied(), &mut out).then_some(())?;
        String::from_utf8(out).ok().map(Cow::Owned)
    }

    /// The fields of a message key, which is all that a record without a value has. Only the one form that
    /// [`KeyCodec::write`] writes is read: another would be in another partition.
    ///
    /// # Errors
    /// Why these bytes are no key of this topic.
    pub fn read(&self, key: &[u8]) -> Result<Vec<Value>, KeyProblem> {
        match &self.form {
            Form::String | Form::Json => text::read(&self.ty, self.as_object(), key),
            Form::Avro(keys) => {
                let bump = Bump::new();
                Ok(keys.read(key, &bump)?.iter().map(ValueRef::to_owned).collect())
            }
        }
    }

    /// Whether this is the message key of an event with these key fields, in the key's order.
    ///
    /// # Errors
    /// Why it is not.
    #[inline]
    pub fn check<'v>(
        &self,
        key: &[u8],
        fields: impl ExactSizeIterator<Item = ValueRef<'v>> + Clone,
    ) -> Result<(), KeyProblem> {
        if let Form::Avro(keys) = &self.form {
            return if keys.is_key_of(key, fields) { Ok(()) } else { Err(keys.problem(key)) };
        }
        let is_it = match fields.clone().next() {
            Some(ValueRef::String(text)) if !self.as_object() => text.as_bytes() == key,
            _ => {
                let mut own = Vec::with_capacity(key.len());
                text::write(&self.ty, self.as_object(), fields, &mut own) && own == key
            }
        };
        if is_it { Ok(()) } else { Err(KeyProblem::OfAnother) }
    }

    /// Whether the text of a key is a JSON object.
    fn as_object(&self) -> bool {
        matches!(self.form, Form::Json) || self.ty.fields.len() != 1
    }

    /// The key's fields, for messages.
    fn names(&self) -> String {
        self.ty.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

const NO_EVENTS: &str = "the topic has no events";

/// The key's fields as a record.
fn key_type(topic: &Topic) -> RecordType {
    let event = topic.events.first();
    let fields = event.map(|event| event.key.iter().map(|&index| event.schema.record.fields[index].clone()).collect());
    let name = event.map(|event| event.name.clone()).unwrap_or_default();
    RecordType { name, aliases: Vec::new(), fields: fields.unwrap_or_default(), doc: None }
}

#[cfg(test)]
mod tests;
