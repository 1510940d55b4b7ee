//! One column: its CQL type, and its values in the binary form of the native protocol (version 4, section 6).
//!
//! | type | stored as |
//! |---|---|
//! | boolean, int, long, float, double | boolean, int, bigint, float, double |
//! | decimal(p,s) | decimal, always of scale s |
//! | string, enum | text, which orders by bytes |
//! | uuid | uuid; text in a clustering key, for Cassandra orders UUIDs by their version first |
//! | bytes, fixed, date | blob, blob, date |
//! | timestamp-millis, timestamp-micros | timestamp, bigint |
//! | array, map, record, union | text ([`crate::json`]) |
//! | state: flag, count, accumulator, packed | boolean, bigint, varint, blob |
//!
//! A partition key of one column cannot be empty in Cassandra. Empty text is stored there as the NUL character, which no
//! text may hold; empty bytes are refused.

use ethnum::I256;
use headwater_engine::table::{StateType, Table};
use headwater_schemas::{Decimal, Type, Value};

use crate::{json, text};

/// A date is the days since 1970-01-01, plus this.
const EPOCH: i64 = 1 << 31;
/// The protocol's bound on a key's column.
const KEY_BYTES: usize = u16::MAX as usize;

/// How a column's values are kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal {
        scale: u8,
    },
    Text,
    /// Text that is the whole partition key.
    LoneText,
    Uuid,
    OrderedUuid,
    Blob,
    /// Bytes that are the whole partition key.
    LoneBlob,
    Date,
    Millis,
    Micros,
    Json(Type),
    Wide,
}

impl Cell {
    pub(super) fn of_column(table: &Table, index: usize) -> Self {
        let lone = table.partition == 1 && index == 0;
        let clustering = (table.partition..table.key_len()).contains(&index);
        match &table.columns[index].ty.ty {
            Type::Boolean => Cell::Boolean,
            Type::Int => Cell::Int,
            Type::Long => Cell::Long,
            Type::Float => Cell::Float,
            Type::Double => Cell::Double,
            Type::Decimal { scale, .. } => Cell::Decimal { scale: *scale },
            Type::String | Type::Enum(_) if lone => Cell::LoneText,
            Type::String | Type::Enum(_) => Cell::Text,
            Type::Uuid if clustering => Cell::OrderedUuid,
            Type::Uuid => Cell::Uuid,
            Type::Bytes | Type::Fixed(_) if lone => Cell::LoneBlob,
            Type::Bytes | Type::Fixed(_) => Cell::Blob,
            Type::Date => Cell::Date,
            Type::TimestampMillis => Cell::Millis,
            Type::TimestampMicros => Cell::Micros,
            ty @ (Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_)) => {
                Cell::Json(ty.clone())
            }
        }
    }

    pub(super) fn of_state(ty: StateType) -> Self {
        match ty {
            StateType::Flag => Cell::Boolean,
            StateType::Count => Cell::Long,
            StateType::Wide => Cell::Wide,
            StateType::Packed => Cell::Blob,
        }
    }

    pub(super) fn cql_type(&self) -> &'static str {
        match self {
            Cell::Boolean => "boolean",
            Cell::Int => "int",
            Cell::Long | Cell::Micros => "bigint",
            Cell::Float => "float",
            Cell::Double => "double",
            Cell::Decimal { .. } => "decimal",
            Cell::Text | Cell::LoneText | Cell::OrderedUuid | Cell::Json(_) => "text",
            Cell::Uuid => "uuid",
            Cell::Blob | Cell::LoneBlob => "blob",
            Cell::Date => "date",
            Cell::Millis => "timestamp",
            Cell::Wide => "varint",
        }
    }

    /// Why Cassandra cannot hold a key's value that is fine elsewhere, if so.
    pub(super) fn misfit_in_key(&self, value: &Value) -> Option<&'static str> {
        let bytes: &[u8] = match value {
            Value::String(text) => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
            _ => return None,
        };
        if bytes.len() > KEY_BYTES {
            return Some("Cassandra takes up to 65,535 bytes in a key");
        }
        (*self == Cell::LoneBlob && bytes.is_empty()).then_some("Cassandra takes no empty partition key")
    }

    /// Appends a value that [`crate::shape`] has found to fit. False where it is of another type.
    pub(super) fn put(&self, value: &Value, out: &mut Vec<u8>) -> bool {
        match (self, value) {
            (Cell::Boolean, Value::Boolean(b)) => out.push(u8::from(*b)),
            (Cell::Int, Value::Long(n)) => match i32::try_from(*n) {
                Ok(n) => out.extend(n.to_be_bytes()),
                Err(_) => return false,
            },
            (Cell::Long, Value::Long(n)) | (Cell::Micros, Value::Timestamp(n)) => out.extend(n.to_be_bytes()),
            (Cell::Float, Value::Float(x)) => out.extend(x.to_be_bytes()),
            (Cell::Double, Value::Double(x)) => out.extend(x.to_be_bytes()),
            (Cell::Decimal { .. }, Value::Decimal(d)) => {
                out.extend(i32::from(d.scale).to_be_bytes());
                out.extend(shortest(&{ d.unscaled }.to_be_bytes()));
            }
            (Cell::Wide, Value::Wide(wide)) => out.extend(shortest(&wide.to_be_bytes())),
            (Cell::LoneText, Value::String(text)) if text.is_empty() => out.push(0),
            (Cell::Text | Cell::LoneText, Value::String(text)) => out.extend(text.as_bytes()),
            (Cell::Uuid, Value::Uuid(bytes)) => out.extend(bytes),
            (Cell::OrderedUuid, Value::Uuid(bytes)) => out.extend(text::uuid_text(bytes).as_bytes()),
            (Cell::Blob | Cell::LoneBlob, Value::Bytes(bytes)) => out.extend(&**bytes),
            (Cell::Date, Value::Date(days)) => match u32::try_from(i64::from(*days) + EPOCH) {
                Ok(days) => out.extend(days.to_be_bytes()),
                Err(_) => return false,
            },
            (Cell::Millis, Value::Timestamp(micros)) => out.extend(micros.div_euclid(1000).to_be_bytes()),
            (Cell::Json(ty), value) => out.extend(json::write(ty, value).into_bytes()),
            _ => return false,
        }
        true
    }

    /// Reads what [`put`](Self::put) wrote; None where it is no such value.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Cell::Boolean => match bytes {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return None,
            },
            Cell::Int => Value::Long(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            Cell::Long => Value::Long(i64::from_be_bytes(bytes.try_into().ok()?)),
            Cell::Micros => Value::Timestamp(i64::from_be_bytes(bytes.try_into().ok()?)),
            Cell::Float => Value::Float(f32::from_be_bytes(bytes.try_into().ok()?)),
            Cell::Double => Value::Double(f64::from_be_bytes(bytes.try_into().ok()?)),
            Cell::Decimal { scale } => {
                let (written, unscaled) = bytes.split_first_chunk::<4>()?;
                let unscaled = i128::from_be_bytes(widened(unscaled)?);
                Some(i32::from_be_bytes(*written)).filter(|written| *written == i32::from(*scale))?;
                Value::Decimal(Decimal { unscaled, scale: *scale })
            }
            Cell::Wide => Value::Wide(Box::new(I256::from_be_bytes(widened(bytes)?))),
            Cell::LoneText if bytes == [0] => Value::string(""),
            Cell::Text | Cell::LoneText => Value::string(std::str::from_utf8(bytes).ok()?),
            Cell::Uuid => Value::Uuid(bytes.try_into().ok()?),
            Cell::OrderedUuid => Value::Uuid(text::parse_uuid(std::str::from_utf8(bytes).ok()?)?),
            Cell::Blob | Cell::LoneBlob => Value::Bytes(bytes.into()),
            Cell::Date => {
                let days = i64::from(u32::from_be_bytes(bytes.try_into().ok()?)) - EPOCH;
                Value::Date(i32::try_from(days).ok()?)
            }
            Cell::Millis => Value::Timestamp(i64::from_be_bytes(bytes.try_into().ok()?).checked_mul(1000)?),
            Cell::Json(ty) => json::read(ty, std::str::from_utf8(bytes).ok()?).ok()?,
        })
    }
}

/// A two's complement number without the leading bytes that say nothing.
fn shortest(bytes: &[u8]) -> &[u8] {
    let negative = bytes[0] >> 7 == 1;
    let filler = if negative { 0xff } else { 0 };
    let same_sign = |byte: u8| (byte >> 7 == 1) == negative;
    let redundant = bytes.windows(2).take_while(|pair| pair[0] == filler && same_sign(pair[1])).count();
    &bytes[redundant..]
}

/// The same number in N bytes; None where it does not fit.
fn widened<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let negative = bytes.first()? >> 7 == 1;
    let mut wide = [if negative { 0xff } else { 0 }; N];
    let start = N.checked_sub(bytes.len())?;
    wide[start..].copy_from_slice(bytes);
    Some(wide)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_varints(high: i128, low: i128, shift in 0u32..256) {
            let number = I256::from_words(high, low) >> shift;
            let bytes = shortest(&number.to_be_bytes()).to_vec();
            let oracle: BigInt = number.to_string().parse().unwrap();
            prop_assert_eq!(&bytes, &oracle.to_signed_bytes_be());
            prop_assert_eq!(I256::from_be_bytes(widened(&bytes).unwrap()), number);
        }

        #[test]
        fn ordered_uuids_sort_as_their_bytes(a: [u8; 16], b: [u8; 16]) {
            let text = |uuid: [u8; 16]| {
                let mut out = Vec::new();
                assert!(Cell::OrderedUuid.put(&Value::Uuid(uuid), &mut out));
                out
            };
            prop_assert_eq!(text(a).cmp(&text(b)), a.cmp(&b));
        }
    }

    #[test]
    fn empty_text_may_be_a_partition_key() {
        for text in ["", "a"] {
            let mut out = Vec::new();
            assert!(Cell::LoneText.put(&Value::string(text), &mut out));
            assert!(!out.is_empty());
            assert_eq!(Cell::LoneText.read(&out), Some(Value::string(text)));
        }
    }
}
