//! One column: its SQL type, and its values in Postgres's binary form.
//!
//! | type | stored as |
//! |---|---|
//! | boolean, int, long, float, double | boolean, integer, bigint, real, double precision |
//! | decimal(p,s) | numeric(p,s) |
//! | string, enum | text, which orders by bytes |
//! | uuid, bytes, fixed, date | uuid, bytea, bytea, date |
//! | timestamp-millis, timestamp-micros | timestamptz |
//! | array, map, record, union | jsonb ([`crate::json`]) |
//! | state: flag, count, accumulator, packed | boolean, bigint, numeric, bytea |
//!
//! Postgres has no date and no instant before the year 4713 BC, nor a date after 5874897: a row with one is refused. Asked
//! for, they are its infinities, which no row has and which order as they should.

use headwater_engine::table::{StateType, Table};
use headwater_schemas::{Decimal, Type, Value};
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgRow, PgTypeInfo};
use sqlx::{Postgres, Row, ValueRef};

use super::numeric;
use crate::json;

/// Days from 1970-01-01 to 2000-01-01, where Postgres counts from.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;
/// The first and last day and the first instant of Postgres, counted its way (`datatype/timestamp.h`).
const FIRST_DAY: i64 = -2_451_545;
const LAST_DAY: i64 = 2_145_031_948;
const FIRST_MICROS: i64 = -211_813_488_000_000_000;
/// More bytes in one value Postgres may not take, as text, JSON or a message to it.
const BYTES: usize = 128 * 1024 * 1024;

/// How a column's values are kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal { precision: u8, scale: u8 },
    Text,
    Uuid,
    Blob,
    Date,
    Millis,
    Micros,
    Json(Type),
    Wide,
}

impl Cell {
    pub(super) fn of_column(table: &Table, index: usize) -> Self {
        match &table.columns[index].ty.ty {
            Type::Boolean => Cell::Boolean,
            Type::Int => Cell::Int,
            Type::Long => Cell::Long,
            Type::Float => Cell::Float,
            Type::Double => Cell::Double,
            Type::Decimal { precision, scale } => Cell::Decimal { precision: *precision, scale: *scale },
            Type::String | Type::Enum(_) => Cell::Text,
            Type::Uuid => Cell::Uuid,
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

    /// The rest of a column's definition, after its name.
    pub(super) fn definition(&self) -> String {
        match self {
            Cell::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            Cell::Text => "text COLLATE \"C\"".to_owned(),
            _ => self.sql_type().to_owned(),
        }
    }

    /// The type of a parameter.
    pub(super) fn sql_type(&self) -> &'static str {
        match self {
            Cell::Boolean => "boolean",
            Cell::Int => "integer",
            Cell::Long => "bigint",
            Cell::Float => "real",
            Cell::Double => "double precision",
            Cell::Decimal { .. } | Cell::Wide => "numeric",
            Cell::Text => "text",
            Cell::Uuid => "uuid",
            Cell::Blob => "bytea",
            Cell::Date => "date",
            Cell::Millis | Cell::Micros => "timestamptz",
            Cell::Json(_) => "jsonb",
        }
    }

    /// The ids of the type and of its arrays, the same in every Postgres (`pg_type.dat`).
    fn oids(&self) -> (u32, u32) {
        match self {
            Cell::Boolean => (16, 1000),
            Cell::Int => (23, 1007),
            Cell::Long => (20, 1016),
            Cell::Float => (700, 1021),
            Cell::Double => (701, 1022),
            Cell::Decimal { .. } | Cell::Wide => (1700, 1231),
            Cell::Text => (25, 1009),
            Cell::Uuid => (2950, 2951),
            Cell::Blob => (17, 1001),
            Cell::Date => (1082, 1182),
            Cell::Millis | Cell::Micros => (1184, 1185),
            Cell::Json(_) => (3802, 3807),
        }
    }

    /// Why Postgres cannot hold a value that is fine elsewhere, if so.
    pub(super) fn misfit(&self, value: &Value) -> Option<&'static str> {
        match (self, value) {
            (Cell::Date, Value::Date(days)) if !(FIRST_DAY..=LAST_DAY).contains(&postgres_days(*days)) => {
                Some("Postgres has dates from 4713 BC to the year 5874897 only")
            }
            (Cell::Millis | Cell::Micros, Value::Timestamp(micros)) if postgres_micros(*micros) < FIRST_MICROS => {
                Some("Postgres has no instants before 4713 BC")
            }
            _ if weight(value) > BYTES => Some("Postgres may not take a value of more than 128 MiB"),
            _ => None,
        }
    }

    /// Appends a value that [`crate::shape`] has found to fit.
    fn put(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), BoxDynError> {
        match (self, value) {
            (Cell::Boolean, Value::Boolean(b)) => out.push(u8::from(*b)),
            (Cell::Int, Value::Long(n)) => out.extend(i32::try_from(*n)?.to_be_bytes()),
            (Cell::Long, Value::Long(n)) => out.extend(n.to_be_bytes()),
            (Cell::Float, Value::Float(x)) => out.extend(x.to_be_bytes()),
            (Cell::Double, Value::Double(x)) => out.extend(x.to_be_bytes()),
            (Cell::Decimal { .. }, Value::Decimal(d)) => {
                let digits = d.unscaled.unsigned_abs().to_string();
                numeric::put(d.unscaled < 0, &digits, d.scale.into(), out);
            }
            (Cell::Wide, Value::Wide(wide)) => {
                let text = wide.to_string();
                let digits = text.trim_start_matches('-');
                numeric::put(digits.len() < text.len(), digits, 0, out);
            }
            (Cell::Text, Value::String(text)) => out.extend(text.as_bytes()),
            (Cell::Uuid, Value::Uuid(bytes)) => out.extend(bytes),
            (Cell::Blob, Value::Bytes(bytes)) => out.extend(&**bytes),
            (Cell::Date, Value::Date(days)) => {
                let days = match postgres_days(*days) {
                    before if before < FIRST_DAY => i32::MIN,
                    after if after > LAST_DAY => i32::MAX,
                    days => i32::try_from(days)?,
                };
                out.extend(days.to_be_bytes());
            }
            (Cell::Millis | Cell::Micros, Value::Timestamp(micros)) => {
                let micros = postgres_micros(*micros);
                out.extend(if micros < FIRST_MICROS { i64::MIN } else { micros }.to_be_bytes());
            }
            (Cell::Json(ty), value) => {
                // The version of the binary form.
                out.push(1);
                out.extend(json::write(ty, value).into_bytes());
            }
            _ => return Err(format!("{value:?} does not fit {self:?}").into()),
        }
        Ok(())
    }

    /// Reads the value in this column of a row.
    pub(super) fn read(&self, row: &PgRow, index: usize) -> Result<Value, String> {
        let raw = row.try_get_raw(index).map_err(|error| error.to_string())?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let bytes = raw.as_bytes().map_err(|error| error.to_string())?;
        self.value(bytes).ok_or_else(|| format!("what is stored is no {self:?}"))
    }

    fn value(&self, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Cell::Boolean => match bytes {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return None,
            },
            Cell::Int => Value::Long(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            Cell::Long => Value::Long(i64::from_be_bytes(bytes.try_into().ok()?)),
            Cell::Float => Value::Float(f32::from_be_bytes(bytes.try_into().ok()?)),
            Cell::Double => Value::Double(f64::from_be_bytes(bytes.try_into().ok()?)),
            Cell::Decimal { scale, .. } => {
                let unscaled = i128::try_from(numeric::read(bytes, *scale)?).ok()?;
                Value::Decimal(Decimal { unscaled, scale: *scale })
            }
            Cell::Wide => Value::Wide(Box::new(numeric::read(bytes, 0)?)),
            Cell::Text => Value::string(std::str::from_utf8(bytes).ok()?),
            Cell::Uuid => Value::Uuid(bytes.try_into().ok()?),
            Cell::Blob => Value::Bytes(bytes.into()),
            Cell::Date => {
                let days = i64::from(i32::from_be_bytes(bytes.try_into().ok()?));
                let days = Some(days).filter(|days| (FIRST_DAY..=LAST_DAY).contains(days))?;
                Value::Date(i32::try_from(days + EPOCH_DAYS).ok()?)
            }
            Cell::Millis | Cell::Micros => {
                let micros = i64::from_be_bytes(bytes.try_into().ok()?);
                let micros = Some(micros).filter(|micros| *micros >= FIRST_MICROS)?.checked_add(EPOCH_MICROS)?;
                if *self == Cell::Millis && micros % 1000 != 0 {
                    return None;
                }
                Value::Timestamp(micros)
            }
            Cell::Json(ty) => match bytes.split_first()? {
                (1, text) => json::read(ty, std::str::from_utf8(text).ok()?).ok()?,
                _ => return None,
            },
        })
    }
}

fn postgres_days(days: i32) -> i64 {
    i64::from(days) - EPOCH_DAYS
}

fn postgres_micros(micros: i64) -> i64 {
    micros.saturating_sub(EPOCH_MICROS)
}

/// One value as a parameter.
pub(super) struct Scalar<'v>(pub(super) &'v Cell, pub(super) &'v Value);

impl sqlx::Type<Postgres> for Scalar<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(25))
    }
}

impl Encode<'_, Postgres> for Scalar<'_> {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        if self.1.is_null() {
            return Ok(IsNull::Yes);
        }
        self.0.put(self.1, out)?;
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.0.oids().0)))
    }
}

/// A column of values as an array, written straight into the message.
pub(super) struct Array<'c, I>(pub(super) &'c Cell, pub(super) I);

impl<I> sqlx::Type<Postgres> for Array<'_, I> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1009))
    }
}

impl<'v, I: ExactSizeIterator<Item = &'v Value> + Clone> Encode<'_, Postgres> for Array<'_, I> {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let (element, _) = self.0.oids();
        let values = self.1.clone();
        let has_null = values.clone().any(Value::is_null);
        // One dimension, whether there are nulls, the type; then its length, and that it counts from 1.
        out.extend(1i32.to_be_bytes());
        out.extend(i32::from(has_null).to_be_bytes());
        out.extend(element.to_be_bytes());
        out.extend(i32::try_from(values.len())?.to_be_bytes());
        out.extend(1i32.to_be_bytes());
        for value in values {
            let at = out.len();
            out.extend((-1i32).to_be_bytes());
            if !value.is_null() {
                self.0.put(value, out)?;
                let len = i32::try_from(out.len() - at - 4)?;
                out[at..at + 4].copy_from_slice(&len.to_be_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.0.oids().1)))
    }
}

/// About how many bytes a value takes as a parameter: what bounds the rows of one statement.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) | Value::Record(items) => items.iter().map(weight).sum::<usize>() + 16,
        Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>() + 16,
        Value::Branch(_, value) => weight(value) + 16,
        _ => 16,
    }
}
