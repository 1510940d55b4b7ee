//! Keys as text: one field's text, or a JSON object of the fields. So they are written by `key_format: string` and `json`, and so
//! people read them in every format.

use std::io::Write;

use bumpalo::Bump;

use super::{KeyProblem, NO_EVENTS};
use crate::instant::{date_text, timestamp_text};
use crate::types::{RecordType, Type};
use crate::value::{Value, ValueRef};

/// Appends the text of these fields: of the one field its text; `as_object` a JSON object of them in that order, without spaces,
/// whose booleans and whole numbers are bare and whose other values are their texts. False, and nothing written, where one
/// of them cannot be in a key.
pub(super) fn write<'v>(
    ty: &RecordType,
    as_object: bool,
    fields: impl IntoIterator<Item = ValueRef<'v>>,
    out: &mut Vec<u8>,
) -> bool {
    let mut values = fields.into_iter();
    if !as_object {
        return values.next().is_some_and(|value| write_key(&value, out));
    }
    let start = out.len();
    for (index, (field, value)) in ty.fields.iter().zip(values).enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        push_json(&field.name, out);
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

/// The fields that a text was written of.
pub(super) fn read(ty: &RecordType, as_object: bool, key: &[u8]) -> Result<Vec<Value>, KeyProblem> {
    let text = std::str::from_utf8(key).map_err(|_| KeyProblem::NoText)?;
    let unreadable = |why: &str| KeyProblem::Unreadable(why.to_owned());
    let values = match ty.fields.as_slice() {
        [] => return Err(unreadable(NO_EVENTS)),
        [field] if !as_object => {
            vec![crate::json::from_text(&field.ty, text).map_err(|problem| unreadable(&problem.message))?]
        }
        _ => {
            let json = serde_json::from_str(text).map_err(|_| unreadable("expected a JSON object"))?;
            let first =
                |problems: Vec<crate::FieldError>| problems.first().map(ToString::to_string).unwrap_or_default();
            match crate::json::from_json(ty, &json).map_err(|problems| unreadable(&first(problems)))? {
                Value::Record(values) => values.to_vec(),
                _ => return Err(unreadable("expected a JSON object")),
            }
        }
    };
    let (mut again, bump) = (Vec::new(), Bump::new());
    write(ty, as_object, values.iter().map(|value| value.borrow(&bump)), &mut again);
    if again == key { Ok(values) } else { Err(KeyProblem::OtherForm) }
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

/// Whether [`write_key`] writes values of this type.
pub fn has_key_text(ty: &Type) -> bool {
    ty.is_text()
        || ty.is_timestamp()
        || matches!(ty, Type::Boolean | Type::Int | Type::Long | Type::Decimal { .. } | Type::Uuid | Type::Date)
}
