//! Values to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value as Json};

use super::branch_name;
use super::read::{budget, named, plain};
use crate::instant::{date_text, timestamp_text};
use crate::types::{FieldType, RecordType, Type};
use crate::value::Value;

/// The JSON of a value of this type. A value of another type gives null where the type says how to write it.
pub fn to_json(ty: &FieldType, value: &Value) -> Json {
    type_to_json(&ty.ty, value)
}

/// As [`to_json`], for a type without its nullability.
pub fn type_to_json(ty: &Type, value: &Value) -> Json {
    match (ty, value) {
        (_, Value::Null) => Json::Null,
        (_, Value::Boolean(b)) => Json::Bool(*b),
        (_, Value::Long(n)) => Json::from(*n),
        (_, Value::Float(x)) => float(x.is_finite(), format!("{x:?}")),
        (_, Value::Double(x)) => float(x.is_finite(), format!("{x:?}")),
        (_, Value::Decimal(d)) => Json::String(d.to_string()),
        (_, Value::String(s)) => Json::String(s.as_ref().to_owned()),
        (_, Value::Uuid(u)) => Json::String(uuid::Uuid::from_bytes(*u).as_hyphenated().to_string()),
        (_, Value::Bytes(b)) => Json::String(STANDARD.encode(b)),
        (_, Value::Date(d)) => Json::String(date_text(*d)),
        (_, Value::Timestamp(t)) => Json::String(timestamp_text(*t)),
        (Type::Array(item), Value::Array(items)) => items.iter().map(|value| to_json(item, value)).collect(),
        (Type::Map(ty), Value::Map(entries)) => {
            Json::Object(entries.iter().map(|(key, value)| (key.as_ref().to_owned(), to_json(ty, value))).collect())
        }
        (Type::Record(record), Value::Record(values)) => record_to_json(record, values),
        (Type::Recursive(link), Value::Record(values)) => match link.record() {
            Some(record) => record_to_json(&record, values),
            None => Json::Null,
        },
        (Type::Union(branches), Value::Branch(index, value)) => union_to_json(branches, *index, value),
        (_, Value::Wide(n)) => Json::String(n.to_string()),
        _ => Json::Null,
    }
}

fn record_to_json(record: &RecordType, values: &[Value]) -> Json {
    let fields = record.fields.iter().zip(values);
    Json::Object(fields.map(|(field, value)| (field.name.clone(), to_json(&field.ty, value))).collect())
}

/// Plain where only this branch takes it back, else under the branch's name.
fn union_to_json(branches: &[Type], index: u32, value: &Value) -> Json {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(branch) = branches.get(index) else { return Json::Null };
    let json = type_to_json(branch, value);
    let mut left = budget(&json);
    let mut others = branches.iter().enumerate().filter(|(i, _)| *i != index);
    let mistaken = named(branches, &json).is_some()
        || others.any(|(_, other)| plain(other, &json, 0, &mut left).is_some())
        || plain(branch, &json, 0, &mut left).is_none();
    match mistaken {
        false => json,
        true => Json::Object(Map::from_iter([(branch_name(branch), json)])),
    }
}

/// Rust's `{:?}` of a float is the shortest text that reads back as the same.
fn float(finite: bool, text: String) -> Json {
    match text.parse::<Number>() {
        Ok(number) if finite => Json::Number(number),
        _ if text == "inf" => "Infinity".into(),
        _ if text == "-inf" => "-Infinity".into(),
        _ => Json::String(text),
    }
}
