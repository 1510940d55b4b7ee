//! Arrays, maps, records and unions as JSON text in one column, exactly: reading gives back the value that was written.
//!
//! What is inside has the form that a column of its own would have: decimals, dates and UUIDs as their text, instants as
//! integers in Avro's unit, bytes as base64. A union names its branch by index, `{"1": …}`; NaN, the infinities and -0.0
//! are text. The text is read by its type, never through a tree of untyped JSON: nothing in a map's keys can pass for
//! anything else, and no number goes through a rounding parser.

use std::fmt::{self, Write};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use headwater_schemas::{FieldType, RecordType, Type, Value};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text;

/// The JSON text of a value that has passed [`crate::shape`].
pub(crate) fn write(ty: &Type, value: &Value) -> String {
    let mut out = String::new();
    push(ty, value, &mut out);
    out
}

/// Reads what [`write`] writes.
pub(crate) fn read(ty: &Type, json: &str) -> Result<Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(json);
    let value = Typed { ty, nullable: false }.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

fn push(ty: &Type, value: &Value, out: &mut String) {
    match (ty, value) {
        (Type::Array(item), Value::Array(items)) => {
            push_all(out, ['[', ']'], items.iter(), |out, value| push(&item.ty, value, out));
        }
        (Type::Map(of), Value::Map(entries)) => push_all(out, ['{', '}'], entries.iter(), |out, (key, value)| {
            push_name(key, out);
            push(&of.ty, value, out);
        }),
        (Type::Record(record), Value::Record(values)) => push_record(record, values, out),
        (Type::Recursive(link), Value::Record(values)) => {
            // The table that names the type holds the enclosing record.
            if let Some(record) = link.record() {
                push_record(&record, values, out);
            }
        }
        (Type::Union(branches), Value::Branch(branch, value)) => {
            let ty = usize::try_from(*branch).ok().and_then(|branch| branches.get(branch));
            let _ = write!(out, "{{\"{branch}\":");
            match ty {
                Some(ty) => push(ty, value, out),
                None => out.push_str("null"),
            }
            out.push('}');
        }
        _ => push_scalar(ty, value, out),
    }
}

fn push_record(record: &RecordType, values: &[Value], out: &mut String) {
    push_all(out, ['{', '}'], record.fields.iter().zip(values), |out, (field, value)| {
        push_name(&field.name, out);
        push(&field.ty.ty, value, out);
    });
}

fn push_all<T>(out: &mut String, around: [char; 2], items: impl Iterator<Item = T>, each: impl Fn(&mut String, T)) {
    out.push(around[0]);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        each(out, item);
    }
    out.push(around[1]);
}

fn push_scalar(ty: &Type, value: &Value, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Boolean(b) => write!(out, "{b}"),
        Value::Long(n) => write!(out, "{n}"),
        Value::Timestamp(micros) if *ty == Type::TimestampMillis => write!(out, "{}", micros.div_euclid(1000)),
        Value::Timestamp(micros) => write!(out, "{micros}"),
        // Debug gives the shortest text that reads back as the same number, and is JSON where it is finite.
        // A store that keeps numbers by their value (jsonb) has no -0.0.
        Value::Float(x) if is_negative_zero(f64::from(*x)) => write!(out, "\"-0.0\""),
        Value::Double(x) if is_negative_zero(*x) => write!(out, "\"-0.0\""),
        Value::Float(x) if x.is_finite() => write!(out, "{x:?}"),
        Value::Double(x) if x.is_finite() => write!(out, "{x:?}"),
        Value::Float(x) => write!(out, "\"{x}\""),
        Value::Double(x) => write!(out, "\"{x}\""),
        Value::Decimal(d) => write!(out, "\"{d}\""),
        Value::Date(days) => write!(out, "\"{}\"", text::date_text(*days)),
        Value::Uuid(bytes) => write!(out, "\"{}\"", text::uuid_text(bytes)),
        Value::Bytes(bytes) => write!(out, "\"{}\"", STANDARD.encode(bytes)),
        Value::String(string) => {
            push_text(string, out);
            Ok(())
        }
        // The rest does not get here: shape compares values with their types.
        _ => write!(out, "null"),
    };
}

fn is_negative_zero(x: f64) -> bool {
    x == 0.0 && x.is_sign_negative()
}

fn push_name(name: &str, out: &mut String) {
    push_text(name, out);
    out.push(':');
}

fn push_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}

/// A value of a type, as something to deserialize into.
struct Typed<'t> {
    ty: &'t Type,
    nullable: bool,
}

impl<'t> Typed<'t> {
    /// Null is null whatever the type says of it: whether a null may be there is not the store's affair.
    fn inner(ty: &'t FieldType) -> Self {
        Self { ty: &ty.ty, nullable: true }
    }
}

impl<'de> DeserializeSeed<'de> for Typed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        if self.nullable {
            return from.deserialize_option(self);
        }
        match self.ty {
            Type::Boolean => bool::deserialize(from).map(Value::Boolean),
            Type::Int => i32::deserialize(from).map(|n| Value::Long(i64::from(n))),
            Type::Long => i64::deserialize(from).map(Value::Long),
            Type::TimestampMicros => i64::deserialize(from).map(Value::Timestamp),
            Type::TimestampMillis => i64::deserialize(from)?
                .checked_mul(1000)
                .map(Value::Timestamp)
                .ok_or_else(|| D::Error::custom("an instant out of range")),
            Type::Float => number(from).map(Value::Float),
            Type::Double => number(from).map(Value::Double),
            Type::Array(_) => from.deserialize_seq(self),
            Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_) => from.deserialize_map(self),
            _ => from.deserialize_str(self),
        }
    }
}

/// A float, parsed from its very text: exact. NaN, the infinities and -0.0 are text in quotes.
fn number<'de, D: Deserializer<'de>, T: std::str::FromStr>(from: D) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    raw.get().trim_matches('"').parse().map_err(|_| D::Error::custom("not a number"))
}

impl<'de> Visitor<'de> for Typed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ty)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Typed { ty: self.ty, nullable: false }.deserialize(from)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        let value = match self.ty {
            Type::String | Type::Enum(_) => Some(Value::string(text)),
            Type::Uuid => text::parse_uuid(text).map(Value::Uuid),
            Type::Date => text::parse_date(text).map(Value::Date),
            Type::Decimal { scale, .. } => text::parse_decimal(text, *scale).map(Value::Decimal),
            Type::Bytes | Type::Fixed(_) => STANDARD.decode(text).ok().map(|bytes| Value::Bytes(bytes.into())),
            _ => None,
        };
        value.ok_or_else(|| E::custom(format_args!("{text:?} is no {}", self.ty)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Type::Array(item) = self.ty else { return Err(A::Error::custom("an array is not expected")) };
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Typed::inner(item))? {
            values.push(value);
        }
        Ok(Value::Array(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Value, A::Error> {
        match self.ty {
            Type::Map(of) => map(of, entries),
            Type::Record(ty) => record(ty, entries),
            Type::Recursive(link) => match link.record() {
                Some(ty) => record(&ty, entries),
                None => Err(A::Error::custom("the type of this record is gone")),
            },
            Type::Union(branches) => branch(branches, entries),
            _ => Err(A::Error::custom("an object is not expected")),
        }
    }
}

fn map<'de, A: MapAccess<'de>>(of: &FieldType, mut entries: A) -> Result<Value, A::Error> {
    let mut values: Vec<(Arc<str>, Value)> = Vec::new();
    while let Some(key) = entries.next_key::<String>()? {
        values.push((key.into(), entries.next_value_seed(Typed::inner(of))?));
    }
    // A store that keeps JSON by its meaning (jsonb) has an order of its own.
    values.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Value::Map(values.into()))
}

fn record<'de, A: MapAccess<'de>>(ty: &RecordType, mut entries: A) -> Result<Value, A::Error> {
    let mut values = vec![None; ty.fields.len()];
    while let Some(name) = entries.next_key::<String>()? {
        let Some((i, field)) = ty.field(&name) else {
            return Err(A::Error::custom(format_args!("record {} has no field {name}", ty.name)));
        };
        values[i] = Some(entries.next_value_seed(Typed::inner(&field.ty))?);
    }
    match values.into_iter().collect::<Option<Arc<[Value]>>>() {
        Some(values) => Ok(Value::Record(values)),
        None => Err(A::Error::custom(format_args!("record {} lacks a field", ty.name))),
    }
}

fn branch<'de, A: MapAccess<'de>>(branches: &[Type], mut entries: A) -> Result<Value, A::Error> {
    let index: u32 = entries
        .next_key::<String>()?
        .and_then(|key| key.parse().ok())
        .ok_or_else(|| A::Error::custom("a union's branch is expected"))?;
    let ty = usize::try_from(index)
        .ok()
        .and_then(|i| branches.get(i))
        .ok_or_else(|| A::Error::custom(format_args!("the union has no branch {index}")))?;
    let value = entries.next_value_seed(Typed { ty, nullable: false })?;
    match entries.next_key::<IgnoredAny>()? {
        None => Ok(Value::Branch(index, Arc::new(value))),
        Some(_) => Err(A::Error::custom("a union has one branch")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A person may have written in the store: whatever the text, it is an error and no panic.
    #[test]
    fn other_text_is_an_error() {
        let item = |ty| Arc::new(FieldType::required(ty));
        let field = |name: &str, ty| headwater_schemas::Field {
            name: name.to_owned(),
            aliases: vec![],
            ty: FieldType::required(ty),
            default: None,
            doc: None,
        };
        let record =
            RecordType { name: "R".to_owned(), aliases: vec![], fields: vec![field("a", Type::Long)], doc: None };
        let cases = [
            (
                Type::Array(item(Type::Long)),
                vec!["", "[", "[1", "[1,]", "[1] 2", "{}", "null", "[1.5]", "[9223372036854775808]"],
            ),
            (Type::Array(item(Type::Int)), vec!["[2147483648]", "[\"1\"]"]),
            (Type::Array(item(Type::Double)), vec!["[\"x\"]", "[{}]", "[[1]]"]),
            (Type::Array(item(Type::TimestampMillis)), vec!["[9223372036854775807]"]),
            (Type::Array(item(Type::Uuid)), vec!["[\"00\"]"]),
            (Type::Array(item(Type::Bytes)), vec!["[\"*\"]"]),
            (Type::Array(item(Type::Decimal { precision: 3, scale: 1 })), vec!["[\"1\"]", "[1.0]"]),
            (Type::Map(item(Type::Long)), vec!["{\"a\":\"b\"}", "[]"]),
            (Type::Record(Arc::new(record)), vec!["{}", "{\"b\":1}", "{\"a\":1,\"b\":1}"]),
            (
                Type::Union([Type::Long, Type::String].into()),
                vec!["{}", "{\"2\":1}", "{\"0\":1,\"1\":\"\"}", "{\"x\":1}", "1"],
            ),
        ];
        for (ty, texts) in cases {
            for text in texts {
                assert!(read(&ty, text).is_err(), "{ty}: {text}");
            }
        }
        let deep = "[".repeat(100_000);
        assert!(read(&Type::Array(item(Type::Array(item(Type::Long)))), &deep).is_err());
    }
}
