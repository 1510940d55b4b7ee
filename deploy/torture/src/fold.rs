//! The document domain folded a second time: one record after the other, into plain maps, with nothing of the engine.
//!
//! It is written from what `pipelines/document/topology.yaml` says, not from how the engine does it, and kept naive so that
//! it can be seen to be right. What the log holds goes in; what every query must then answer comes out.

use std::collections::{BTreeMap, HashMap};

use apache_avro::Schema as Avro;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use bytes::Bytes;
use chrono::{DateTime, Datelike};

use crate::ledger::Place;

/// The last year that a month can be computed of.
const LAST_YEAR: i32 = 262_000;

/// A record as the log holds it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) place: Place,
    /// 0: the document topic; 1: the user topic.
    pub(crate) topic: usize,
    pub(crate) key: Option<Bytes>,
    pub(crate) payload: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) mime_type: String,
    pub(crate) blob: String,
    pub sha256: String,
    pub(crate) size: i64,
    pub(crate) created_by: String,
    pub(crate) created: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) mime_type: String,
    pub(crate) created_by: String,
    pub(crate) created: i64,
    pub(crate) updated_by: String,
    pub(crate) updated: i64,
    /// The first one first.
    pub(crate) versions: Vec<Version>,
}

/// What is parked at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parked {
    /// It cannot be applied itself.
    Head,
    /// It waits behind one of its key.
    Behind,
}

#[derive(Debug, Default)]
pub(crate) struct Views {
    pub(crate) documents: BTreeMap<String, Document>,
    /// E-mail addresses.
    pub(crate) authors: BTreeMap<String, String>,
    pub(crate) parked: BTreeMap<Place, Parked>,
    /// By topic, partition and message key: how many are parked.
    pub(crate) parked_keys: HashMap<(usize, i32, Bytes), u64>,
    /// Every document that was ever there.
    pub(crate) ever: BTreeMap<String, ()>,
}

/// What the fold is told.
pub(crate) struct Folding<'a> {
    /// By id; None: the registry has no such schema.
    pub(crate) schemas: &'a HashMap<u32, Option<Avro>>,
    pub(crate) longest_key: Option<usize>,
}

/// An event: its name and its fields.
struct Event {
    name: String,
    fields: HashMap<String, Value>,
}

/// Why a record is no event.
enum Not {
    /// Nothing that this topic is about: passed over, even where its key is parked.
    Ours,
    /// It cannot be read, ever.
    Readable,
}

impl Folding<'_> {
    /// Folds records, those of each partition in their order.
    pub(crate) fn fold(&self, records: &[Record]) -> Views {
        let mut views = Views::default();
        for record in records {
            self.record(record, &mut views);
        }
        views
    }

    fn record(&self, record: &Record, views: &mut Views) {
        let event = match self.event(record) {
            Err(Not::Ours) => return,
            Err(Not::Readable) => None,
            Ok(event) => Some(event),
        };
        let key = record.key.as_ref().map(|key| (record.topic, record.place.partition, key.clone()));
        if let Some(waiting) = key.as_ref().and_then(|key| views.parked_keys.get_mut(key)) {
            *waiting += 1;
            views.parked.insert(record.place.clone(), Parked::Behind);
            return;
        }
        if event.is_some_and(|event| self.applied(&event, record, views)) {
            return;
        }
        views.parked.insert(record.place.clone(), Parked::Head);
        if let Some(key) = key {
            views.parked_keys.insert(key, 1);
        }
    }

    fn event(&self, record: &Record) -> Result<Event, Not> {
        let Some(payload) = &record.payload else { return Err(Not::Ours) };
        let (Some(0), Some(id)) = (payload.first(), payload.get(1..5)) else { return Err(Not::Readable) };
        let id = u32::from_be_bytes(id.try_into().map_err(|_| Not::Readable)?);
        let Some(Some(schema)) = self.schemas.get(&id) else { return Err(Not::Readable) };
        let Avro::Record(named) = schema else { return Err(Not::Readable) };
        let name = named.name.to_string();
        let name = name.rsplit('.').next().unwrap_or_default().to_owned();
        let events: &[&str] = match record.topic {
            0 => &["DocumentAdded", "VersionAdded", "DocumentRemoved"],
            _ => &["UserRegistered", "UserRenamed"],
        };
        if !events.contains(&name.as_str()) {
            return Err(Not::Ours);
        }
        let reader = GenericDatumReader::builder(schema).build().map_err(|_| Not::Readable)?;
        let value = reader.read_value(&mut &payload[5..]).map_err(|_| Not::Readable)?;
        let Value::Record(fields) = value else { return Err(Not::Readable) };
        if fields.iter().any(|(_, value)| has_nul(value)) {
            return Err(Not::Readable);
        }
        let fields = fields.into_iter().map(|(name, value)| (name, out_of_union(value))).collect();
        Ok(Event { name, fields })
    }

    /// False where it cannot be applied.
    fn applied(&self, event: &Event, record: &Record, views: &mut Views) -> bool {
        let key_field = if record.topic == 0 { "doc_id" } else { "user_id" };
        let Some(id) = event.text(key_field) else { return false };
        if record.key.as_deref() != Some(id.as_bytes()) {
            return false;
        }
        if record.topic == 1 {
            let Some(email) = event.text("email") else { return false };
            views.authors.insert(id, email);
            return true;
        }
        if event.name == "DocumentRemoved" {
            views.documents.remove(&id);
            return true;
        }
        let Some(version) = event.version() else { return false };
        let exists = views.documents.contains_key(&id);
        if event.name == "VersionAdded" && !exists {
            return true;
        }
        let year = DateTime::from_timestamp_micros(version.created).map(|at| at.year());
        let too_long = self.longest_key.is_some_and(|longest| id.len() > longest);
        if year.is_none_or(|year| year > LAST_YEAR) || too_long {
            return false;
        }
        views.ever.insert(id.clone(), ());
        let document = views.documents.entry(id).or_insert_with(|| Document {
            name: String::new(),
            mime_type: String::new(),
            created_by: version.created_by.clone(),
            created: version.created,
            updated_by: String::new(),
            updated: 0,
            versions: Vec::new(),
        });
        document.name.clone_from(&version.name);
        document.mime_type.clone_from(&version.mime_type);
        document.updated_by.clone_from(&version.created_by);
        document.updated = version.created;
        document.versions.push(version);
        true
    }
}

impl Event {
    fn text(&self, field: &str) -> Option<String> {
        match self.fields.get(field)? {
            Value::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn version(&self) -> Option<Version> {
        let Value::Record(content) = self.fields.get("content")? else { return None };
        let content: HashMap<&str, &Value> = content.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let (Value::String(blob), Value::String(sha256)) = (content.get("blob")?, content.get("sha256")?) else {
            return None;
        };
        let (Value::Long(size), Value::TimestampMicros(created)) = (content.get("size")?, self.fields.get("at")?)
        else {
            return None;
        };
        Some(Version {
            name: self.text("name")?,
            mime_type: self.text("mime_type")?,
            blob: blob.clone(),
            sha256: sha256.clone(),
            size: *size,
            created_by: self.text("user_id")?,
            created: *created,
        })
    }
}

fn out_of_union(value: Value) -> Value {
    match value {
        Value::Union(_, inner) => *inner,
        other => other,
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Union(_, inner) => has_nul(inner),
        Value::Record(fields) => fields.iter().any(|(_, value)| has_nul(value)),
        _ => false,
    }
}
