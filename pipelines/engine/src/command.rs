//! A command, compiled: what a request must bring, who may ask, what must hold, and the one event that comes of it.
//!
//! Pure: the caller brings the facts (what the client gave, the row, the actor, the time, the event's id) and gets the
//! event's record or what is wrong. The server around it keeps turns, claims and the log.
//!
//! A command's facts lie in slots, in this order: path parameters, body fields, columns of the `on` row, `actor()`,
//! `now()`, `new_id()`.

mod assign;
mod body_type;
mod compile;
mod link;
mod scope;
mod unique;

use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::json::FieldError;
use headwater_schemas::key::{KeyCodec, write_key};
use headwater_schemas::topic::{Event, Topic};
use headwater_schemas::{Field, FieldType, RecordType, Value, ValueRef};
use uuid::Uuid;

use crate::allow::Allow;
pub use crate::declare::command::Method;
use crate::expr::Expr;
use crate::plan::{Topology, View};
use crate::route::Route;
use crate::table::{Key, Row};

pub use compile::{Context, compile};
pub use link::compile_all;
pub use unique::Unique;

/// A command, compiled.
#[derive(Debug)]
pub struct Command {
    pub name: String,
    pub doc: Option<String>,
    pub method: Method,
    pub path: Route,
    pub allow: Allow,
    pub topic: Arc<Topic>,
    /// By [`Topic::events`].
    pub event: usize,
    /// What each parameter of the path is, by [`Route`]'s parameters.
    pub params: Vec<Param>,
    /// What the body may hold, as a record of its own: fields with a default may be left out.
    pub body: Arc<RecordType>,
    /// The view whose row the path names.
    pub on: Option<On>,
    pub require: Vec<Require>,
    pub unique: Option<Unique>,
    /// Some command of the topic looks at a row before it writes, so all of them take the key's turn.
    pub takes_turns: bool,
    /// Whose store holds the claims of this command, where a view decides that: the topology of the views that the
    /// topic's commands name.
    pub home: Option<Arc<Topology>>,
    /// By the event's fields.
    fields: Vec<Given>,
    /// The event's field that `upload()` gives.
    upload: Option<usize>,
    /// Fields that `new_id()` gives: what the answer names beside the event.
    ids: Vec<usize>,
    /// Where what was made can be read: a query's path, each parameter an event's field.
    location: Option<Route>,
}

/// A path parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: String,
    pub ty: FieldType,
}

/// The row that a command looks at.
#[derive(Debug)]
pub struct On {
    pub topology: Arc<Topology>,
    /// By [`Topology::views`].
    pub view: usize,
    /// Which parameter gives each of the key's columns.
    key: Vec<usize>,
}

/// What must hold, and what to say where it does not.
#[derive(Debug)]
pub struct Require {
    that: Expr,
    pub say: String,
    /// 400 to 499.
    pub status: u16,
    /// The parameters and body fields that it speaks of, in the order of the command's slots.
    pub fields: Vec<String>,
    /// It names a column of the row, so it can be judged only once that is read.
    pub reads_row: bool,
}

/// Where a field of the event comes from.
#[derive(Debug)]
enum Given {
    Param(usize),
    Body(usize),
    Set { value: Expr, to: assign::Assignment },
    Upload(UploadShape),
}

/// Where `blob`, `sha256` and `size` are in the record that an upload is noted as; other fields take their default.
#[derive(Debug)]
struct UploadShape {
    blob: usize,
    sha256: usize,
    size: usize,
    others: Vec<Value>,
}

/// What is known of one request. What the client gave is by parameter and by body field; `None` stands for what is wrong
/// or missing, and was reported as such.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub params: &'a [Option<Value>],
    pub body: &'a [Option<Value>],
    /// The `on` row.
    pub row: Option<&'a Row>,
    /// Who is signed in.
    pub actor: Option<&'a str>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub now_us: i64,
    pub event_id: Uuid,
    pub upload: Option<&'a Upload>,
}

/// Content that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name in the blob store.
    pub blob: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

impl On {
    pub fn view(&self) -> &View {
        &self.topology.views[self.view]
    }

    /// The row's key; None where a parameter is missing.
    pub fn key(&self, params: &[Option<Value>]) -> Option<Key> {
        self.key.iter().map(|&param| params.get(param).cloned().flatten()).collect()
    }
}

impl Command {
    /// The event that it emits.
    pub fn event(&self) -> &Event {
        &self.topic.events[self.event]
    }

    /// The record type of the event that it emits.
    pub fn record(&self) -> &Arc<RecordType> {
        &self.event().schema.record
    }

    /// Whether the request carries content beside its fields.
    pub fn takes_upload(&self) -> bool {
        self.upload.is_some()
    }

    /// Whether deciding needs the `on` row.
    pub fn reads_row(&self) -> bool {
        self.on.is_some()
    }

    /// The event's record.
    ///
    /// # Errors
    /// Every field of the event that would be wrong.
    pub fn record_of(&self, facts: &Facts<'_>) -> Result<Value, Vec<FieldError>> {
        self.values(facts, |_| true)
    }

    /// The message key of the event to be, which depends neither on the row nor on the upload.
    ///
    /// # Errors
    /// As [`Command::record_of`], of the key's fields.
    pub fn message_key(&self, keys: &KeyCodec, facts: &Facts<'_>) -> Result<Vec<u8>, Vec<FieldError>> {
        let key = &self.event().key;
        let record = self.values(facts, |field| key.contains(&field))?;
        Ok(keys.of_record(self.event(), &record))
    }

    /// What the answer names: each field that `new_id()` gave, and its value.
    pub fn ids<'c>(&'c self, record: &'c Value) -> impl Iterator<Item = (&'c str, &'c Value)> {
        self.ids.iter().filter_map(move |&field| match record {
            Value::Record(values) => Some((self.record().fields[field].name.as_str(), values.get(field)?)),
            _ => None,
        })
    }

    /// The fields that `new_id()` gives.
    pub fn id_fields(&self) -> impl Iterator<Item = &Field> {
        self.ids.iter().map(|&field| &self.record().fields[field])
    }

    /// The path at which what was made can be read; None where no query has one.
    pub fn location(&self, record: &Value) -> Option<String> {
        let Value::Record(values) = record else { return None };
        let names: Vec<&str> = self.location.as_ref()?.parameters().collect();
        let texts: Vec<String> =
            names.iter().map(|name| key_text(values.get(self.record().field(name)?.0)?)).collect::<Option<_>>()?;
        let text = |name: &str| names.iter().position(|known| *known == name).map(|at| texts[at].as_str());
        self.location.as_ref()?.fill(text)
    }

    /// The name of the blob that a record of this command's event names.
    pub fn blob_of<'r>(&self, record: &'r Value) -> Option<&'r str> {
        let field = self.upload?;
        let (Given::Upload(shape), Value::Record(values)) = (&self.fields[field], record) else { return None };
        match values.get(field)? {
            Value::Record(content) => match content.get(shape.blob)? {
                Value::String(blob) => Some(blob),
                _ => None,
            },
            _ => None,
        }
    }

    /// The requirements that do not hold, of those that can be judged: those that name the row only if there is one in
    /// `facts`, and none that names a value which is `None` there. What cannot be computed does not hold.
    pub fn unmet<'c>(&'c self, facts: &Facts<'_>) -> Vec<&'c Require> {
        let bump = Bump::new();
        let slots = self.slots(facts, &bump);
        let given = |slot: usize| match slot.checked_sub(self.params.len()) {
            None => facts.params[slot].is_some(),
            Some(field) if field < self.body.fields.len() => facts.body[field].is_some(),
            Some(_) => true,
        };
        self.require
            .iter()
            .filter(|require| !require.reads_row || facts.row.is_some())
            .filter(|require| require.that.slots().iter().all(|&slot| given(slot)))
            .filter(|require| !matches!(require.that.eval(&slots, &bump), Ok(ValueRef::Boolean(true))))
            .collect()
    }

    /// The record, with null for every field that is not `wanted`.
    fn values(&self, facts: &Facts<'_>, wanted: impl Fn(usize) -> bool) -> Result<Value, Vec<FieldError>> {
        let bump = Bump::new();
        let mut slots = self.slots(facts, &bump);
        let id_slot = slots.len() - 1;
        let mut problems = Vec::new();
        let mut values = vec![Value::Null; self.fields.len()];
        for (index, given) in self.fields.iter().enumerate().filter(|(index, _)| wanted(*index)) {
            let field = &self.record().fields[index];
            let id = Uuid::new_v5(&facts.event_id, field.name.as_bytes());
            slots[id_slot] = ValueRef::Uuid(*id.as_bytes());
            let value = match given {
                Given::Param(param) => facts.params[*param].clone().ok_or_else(|| "is missing".to_owned()),
                Given::Body(body) => facts.body[*body].clone().ok_or_else(|| "is missing".to_owned()),
                Given::Upload(shape) => {
                    facts.upload.map(|upload| shape.value(upload)).ok_or_else(|| "expected content".to_owned())
                }
                Given::Set { value, to } => match value.eval(&slots, &bump) {
                    Err(error) => Err(format!("cannot be computed: {error}")),
                    Ok(value) => to.convert(&value, &field.ty),
                },
            };
            match value {
                Ok(value) => values[index] = value,
                Err(message) => problems.push(FieldError { path: field.name.clone(), message }),
            }
        }
        if problems.is_empty() { Ok(Value::Record(values.into())) } else { Err(problems) }
    }

    fn row_len(&self) -> usize {
        self.on.as_ref().map_or(0, |on| on.view().table.columns.len())
    }

    /// `new_id()` is the last slot, and is filled in for each field.
    fn slots<'a>(&self, facts: &'a Facts<'_>, bump: &'a Bump) -> Vec<ValueRef<'a>> {
        let given = facts.params.iter().chain(facts.body);
        let mut slots: Vec<ValueRef<'a>> =
            given.map(|value| value.as_ref().map_or(ValueRef::Null, |value| value.borrow(bump))).collect();
        let row =
            (0..self.row_len()).map(|column| facts.row.map_or(ValueRef::Null, |row| row.values[column].borrow(bump)));
        slots.extend(row);
        slots.push(facts.actor.map_or(ValueRef::Null, ValueRef::String));
        slots.push(ValueRef::Timestamp(facts.now_us));
        slots.push(ValueRef::Null);
        slots
    }
}

impl UploadShape {
    fn value(&self, upload: &Upload) -> Value {
        let mut values = self.others.clone();
        values[self.blob] = Value::string(upload.blob.as_str());
        values[self.sha256] = Value::string(upload.sha256.as_str());
        values[self.size] = Value::Long(i64::try_from(upload.size).unwrap_or(i64::MAX));
        Value::Record(values.into())
    }
}

/// A scalar as it stands in a path, before it is escaped: as it would be in a message key.
fn key_text(value: &Value) -> Option<String> {
    let mut text = Vec::new();
    let written = write_key(&value.borrow(&Bump::new()), &mut text);
    written.then(|| String::from_utf8(text).ok()).flatten()
}

#[cfg(test)]
mod tests;
