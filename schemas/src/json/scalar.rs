//! Values that hold no others, from text by their type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::FieldError;
use crate::instant::{parse_date, parse_timestamp};
use crate::types::{FieldType, Type};
use crate::value::{Decimal, Value};

/// Text longer than this is cut in messages.
const SHOWN: usize = 60;

/// A value from bare text (a path parameter, a YAML scalar) read by its type: `0123` is a string where the type is
/// string, and the number 123 where it is int. Never null. The error's path is empty.
pub fn from_text(ty: &FieldType, text: &str) -> Result<Value, FieldError> {
    text_value(&ty.ty, text).map_err(|message| FieldError { path: String::new(), message })
}

fn text_value(ty: &Type, text: &str) -> Result<Value, String> {
    let read = match ty {
        Type::Boolean => text.parse().ok().map(Value::Boolean),
        Type::Int => text.parse::<i32>().ok().map(|n| Value::Long(n.into())),
        Type::Long => text.parse().ok().map(Value::Long),
        Type::Float | Type::Double => number(ty, text),
        Type::Decimal { precision, scale } => Decimal::parse(text, *precision, *scale).map(Value::Decimal),
        Type::Union(branches) => return union(branches, text),
        Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) => None,
        _ => return from_string(ty, text),
    };
    read.ok_or_else(|| format!("expected {}, found {}", expected(ty), shown(text)))
}

/// The one branch that takes the text.
fn union(branches: &[Type], text: &str) -> Result<Value, String> {
    let mut taking = branches.iter().enumerate().filter_map(|(i, branch)| Some((i, text_value(branch, text).ok()?)));
    let names = || branches.iter().map(expected).collect::<Vec<_>>().join(", or ");
    match (taking.next(), taking.next()) {
        (Some((index, value)), None) => Ok(Value::Branch(u32::try_from(index).unwrap_or(u32::MAX), value.into())),
        (Some(_), Some(_)) => Err(format!("{} can be read in several ways: as {}", shown(text), names())),
        (None, _) => Err(format!("expected {}, found {}", names(), shown(text))),
    }
}

/// A finite float or double; text such as `1.5` or `2e3`.
pub(super) fn number(ty: &Type, text: &str) -> Option<Value> {
    // Rust also reads `inf` and `nan`.
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    match ty {
        _ if !numeric => None,
        Type::Float => text.parse::<f32>().ok().filter(|x| x.is_finite()).map(Value::Float),
        _ => text.parse::<f64>().ok().filter(|x| x.is_finite()).map(Value::Double),
    }
}

/// A value of a type that JSON has as a string.
pub(super) fn from_string(ty: &Type, text: &str) -> Result<Value, String> {
    let read = match ty {
        Type::String if text.contains('\0') => return Err("expected text without NUL".into()),
        Type::String => Some(Value::string(text)),
        Type::Enum(e) => e.symbols.iter().any(|symbol| symbol == text).then(|| Value::string(text)),
        Type::Uuid if text.len() == uuid::fmt::Hyphenated::LENGTH => {
            uuid::Uuid::try_parse(text).ok().map(|u| Value::Uuid(u.into_bytes()))
        }
        Type::Bytes => STANDARD.decode(text).ok().map(|bytes| Value::Bytes(bytes.into())),
        Type::Fixed(size) => {
            STANDARD.decode(text).ok().filter(|bytes| bytes.len() == *size).map(|bytes| Value::Bytes(bytes.into()))
        }
        Type::Date => parse_date(text).map(Value::Date),
        Type::TimestampMillis => parse_timestamp(text).filter(|t| t % 1000 == 0).map(Value::Timestamp),
        Type::TimestampMicros => parse_timestamp(text).map(Value::Timestamp),
        Type::Decimal { precision, scale } => Decimal::parse(text, *precision, *scale).map(Value::Decimal),
        _ => None,
    };
    read.ok_or_else(|| format!("expected {}, found {}", expected(ty), shown(text)))
}

/// What a type looks like, in words for a message.
pub(super) fn expected(ty: &Type) -> String {
    match ty {
        Type::Boolean => "true or false".into(),
        Type::Int => "a whole number of 32 bits".into(),
        Type::Long => "a whole number of 64 bits".into(),
        Type::Float => "a finite number (float)".into(),
        Type::Double => "a finite number (double)".into(),
        Type::Decimal { precision, scale } => {
            format!("a number of at most {precision} digits, {scale} of them after the point")
        }
        Type::String => "text".into(),
        Type::Enum(e) => format!("one of {}", e.symbols.join(", ")),
        Type::Uuid => "a uuid (like 6ba7b810-9dad-11d1-80b4-00c04fd430c8)".into(),
        Type::Bytes => "bytes as base64".into(),
        Type::Fixed(size) => format!("{size} bytes as base64"),
        Type::Date => "a date (like 2026-01-31)".into(),
        Type::TimestampMillis => "an instant by RFC 3339, to the millisecond (like 2026-01-31T08:30:00.125Z)".into(),
        Type::TimestampMicros => "an instant by RFC 3339, to the microsecond (like 2026-01-31T08:30:00Z)".into(),
        Type::Array(item) => format!("a list of {}", item.ty),
        Type::Map(value) => format!("an object whose values are {}", value.ty),
        Type::Record(record) => format!("an object with the fields of {}", record.name),
        Type::Recursive(link) => format!("an object with the fields of {}", link.name()),
        Type::Union(branches) => branches.iter().map(expected).collect::<Vec<_>>().join(", or "),
    }
}

/// Text in quotes, cut where it is long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}
