//! One column: its SQL type, how a value is bound to it, how it is read back.
//!
//! | type | stored as |
//! |---|---|
//! | boolean, int, long | integer |
//! | timestamp-millis, timestamp-micros | integer, in that unit |
//! | float, double | real (a float widened, which is exact); NaN, which SQLite takes for null, is the text `NaN` |
//! | decimal | text with exactly its scale; in a key an encoding that orders ([`crate::text`]) |
//! | string, enum, uuid, date | text |
//! | bytes, fixed | blob |
//! | array, map, record, union | text, JSON ([`crate::json`]) |
//! | state: flag, count, accumulator, packed | integer, integer, text, blob |

use headwater_engine::table::{StateType, Table};
use headwater_schemas::{Type, Value};
use sqlx::sqlite::{SqliteArguments, SqliteRow, SqliteValueRef};
use sqlx::{Arguments, Decode, Row, Sqlite, ValueRef};

use crate::{StoreError, json, text};

/// How a column's values are kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Boolean,
    Long,
    Millis,
    Micros,
    Float,
    Double,
    Decimal { scale: u8 },
    KeyDecimal { precision: u8, scale: u8 },
    Text,
    Uuid,
    Date,
    Blob,
    Json(Type),
    Wide,
}

impl Cell {
    /// Of the table's column of this index.
    pub(super) fn of_column(table: &Table, index: usize) -> Self {
        let in_key = index < table.key_len();
        match &table.columns[index].ty.ty {
            Type::Boolean => Cell::Boolean,
            Type::Int | Type::Long => Cell::Long,
            Type::Float => Cell::Float,
            Type::Double => Cell::Double,
            Type::Decimal { precision, scale } if in_key => Cell::KeyDecimal { precision: *precision, scale: *scale },
            Type::Decimal { scale, .. } => Cell::Decimal { scale: *scale },
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

    /// The rest of a column's definition, after its quoted name.
    pub(super) fn definition(&self, name: &str, in_key: bool) -> String {
        let ty = match self {
            Cell::Boolean | Cell::Long | Cell::Millis | Cell::Micros => "INTEGER",
            Cell::Float | Cell::Double if in_key => "REAL",
            Cell::Float | Cell::Double => {
                return format!("ANY CHECK (typeof({name}) IN ('real', 'null') OR {name} = 'NaN')");
            }
            Cell::Blob => "BLOB",
            _ => "TEXT",
        };
        format!("{ty}{}", if in_key { " NOT NULL" } else { "" })
    }

    /// An expression that shows the column as a person reads it.
    pub(super) fn shown(&self, name: &str) -> String {
        let Cell::KeyDecimal { .. } = self else { return name.to_owned() };
        let mut digits = format!("substr({name}, 2)");
        for (digit, letter) in ('0'..='9').zip(('A'..='J').rev()) {
            digits = format!("replace({digits}, '{letter}', '{digit}')");
        }
        let negative = format!("{name} LIKE '-%'");
        let plain = format!("ltrim(CASE WHEN {negative} THEN {digits} ELSE {name} END, '0')");
        format!(
            "CASE WHEN {negative} THEN '-' ELSE '' END || CASE WHEN substr({plain}, 1, 1) IN ('', '.') THEN '0' ELSE '' END || {plain}"
        )
    }

    /// Binds a value that [`shape`] has found to fit.
    pub(super) fn bind(&self, value: &Value, arguments: &mut SqliteArguments) -> Result<(), StoreError> {
        let bound = match (self, value) {
            (_, Value::Null) => arguments.add(None::<i64>),
            (Cell::Boolean, Value::Boolean(b)) => arguments.add(i64::from(*b)),
            (Cell::Long, Value::Long(n)) | (Cell::Micros, Value::Timestamp(n)) => arguments.add(*n),
            (Cell::Millis, Value::Timestamp(micros)) => arguments.add(micros.div_euclid(1000)),
            (Cell::Float, Value::Float(x)) if x.is_nan() => arguments.add("NaN"),
            (Cell::Double, Value::Double(x)) if x.is_nan() => arguments.add("NaN"),
            (Cell::Float, Value::Float(x)) => arguments.add(f64::from(*x)),
            (Cell::Double, Value::Double(x)) => arguments.add(*x),
            (Cell::Decimal { .. }, Value::Decimal(d)) => arguments.add(d.to_string()),
            (Cell::KeyDecimal { precision, .. }, Value::Decimal(d)) => {
                arguments.add(text::decimal_key_text(d, *precision))
            }
            (Cell::Text, Value::String(text)) => arguments.add(text),
            (Cell::Uuid, Value::Uuid(bytes)) => arguments.add(text::uuid_text(bytes)),
            (Cell::Date, Value::Date(days)) => arguments.add(text::date_text(*days)),
            (Cell::Blob, Value::Bytes(bytes)) => arguments.add(&**bytes),
            (Cell::Json(ty), value) => arguments.add(json::write(ty, value)),
            (Cell::Wide, Value::Wide(wide)) => arguments.add(text::wide_text(wide)),
            _ => Err(format!("{value:?} does not fit {self:?}").into()),
        };
        bound.map_err(|error| StoreError::corrupt("a value to write", error.to_string()))
    }

    /// Reads the value in this column of a row.
    pub(super) fn read(&self, row: &SqliteRow, index: usize) -> Result<Value, String> {
        let raw = row.try_get_raw(index).map_err(|error| error.to_string())?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        match self {
            Cell::Boolean => match integer(raw)? {
                0 => Ok(Value::Boolean(false)),
                1 => Ok(Value::Boolean(true)),
                other => Err(format!("{other} is no boolean")),
            },
            Cell::Long => integer(raw).map(Value::Long),
            Cell::Micros => integer(raw).map(Value::Timestamp),
            Cell::Millis => {
                let micros = integer(raw)?.checked_mul(1000);
                micros.map(Value::Timestamp).ok_or_else(|| "the instant is out of range".to_owned())
            }
            // Exact: what was stored is a widened float.
            #[allow(clippy::cast_possible_truncation)]
            Cell::Float => real(raw).map(|x| Value::Float(x as f32)),
            Cell::Double => real(raw).map(Value::Double),
            Cell::Blob => {
                let bytes = <&[u8] as Decode<Sqlite>>::decode(raw).map_err(|error| error.to_string())?;
                Ok(Value::Bytes(bytes.into()))
            }
            _ => self.read_text(string(raw)?),
        }
    }

    fn read_text(&self, found: &str) -> Result<Value, String> {
        let value = match self {
            Cell::Text => Some(Value::string(found)),
            Cell::Uuid => text::parse_uuid(found).map(Value::Uuid),
            Cell::Date => text::parse_date(found).map(Value::Date),
            Cell::Decimal { scale } => text::parse_decimal(found, *scale).map(Value::Decimal),
            Cell::KeyDecimal { precision, scale } => {
                text::parse_decimal_key(found, *precision, *scale).map(Value::Decimal)
            }
            Cell::Wide => text::parse_wide(found).map(|wide| Value::Wide(Box::new(wide))),
            Cell::Json(ty) => return json::read(ty, found).map_err(|error| error.to_string()),
            _ => None,
        };
        value.ok_or_else(|| format!("{found:?} is no {self:?}"))
    }
}

fn integer(raw: SqliteValueRef<'_>) -> Result<i64, String> {
    <i64 as Decode<Sqlite>>::decode(raw).map_err(|error| error.to_string())
}

fn string(raw: SqliteValueRef<'_>) -> Result<&str, String> {
    <&str as Decode<Sqlite>>::decode(raw).map_err(|error| error.to_string())
}

fn real(raw: SqliteValueRef<'_>) -> Result<f64, String> {
    use sqlx::TypeInfo;
    if raw.type_info().name() == "TEXT" {
        return match string(raw)? {
            "NaN" => Ok(f64::NAN),
            other => Err(format!("{other:?} is no number")),
        };
    }
    <f64 as Decode<Sqlite>>::decode(raw).map_err(|error| error.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_schemas::FieldType;

    /// Every type has a cell, and only nested ones are JSON.
    #[test]
    fn nested_types_are_json() {
        let types = [Type::Boolean, Type::Date, Type::Fixed(3), Type::Array(FieldType::required(Type::Int).into())];
        for ty in types {
            let column =
                headwater_engine::table::Column { name: "c".into(), ty: FieldType::required(ty.clone()), doc: None };
            let table = Table {
                name: "t".into(),
                doc: None,
                columns: vec![column],
                partition: 0,
                clustering: vec![],
                state: vec![],
                fed: headwater_engine::table::Feeding::ByOne,
                retain: None,
            };
            let is_json = matches!(Cell::of_column(&table, 0), Cell::Json(_));
            assert_eq!(is_json, crate::shape::is_nested(&ty), "{ty}");
        }
    }
}
