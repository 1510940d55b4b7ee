//! The type names that `cast` takes: Postgres's.

use headwater_schemas::Type;
use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo};

use crate::expr::ast::CastType;

/// What is said of a type that `cast` does not take.
pub(super) const CAST_HELP: &str = "cast takes boolean, int, bigint, real, double precision, numeric(p, s), text, \
                                    varchar(n), uuid, date and timestamptz";

/// The type of this name, or what is wrong with it.
pub(super) fn cast_type(name: &DataType) -> Result<CastType, String> {
    let ty = match name {
        DataType::Bool | DataType::Boolean => Type::Boolean,
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => Type::Int,
        DataType::BigInt(None) | DataType::Int8(None) => Type::Long,
        DataType::Real | DataType::Float4 => Type::Float,
        DataType::DoublePrecision | DataType::Float8 | DataType::Double(ExactNumberInfo::None) => Type::Double,
        DataType::Float(ExactNumberInfo::None) => Type::Double,
        DataType::Numeric(digits) | DataType::Decimal(digits) | DataType::Dec(digits) => return numeric(digits),
        DataType::Text => Type::String,
        DataType::Varchar(length) | DataType::CharacterVarying(length) => return varchar(name, length.as_ref()),
        DataType::Uuid => Type::Uuid,
        DataType::Date => Type::Date,
        DataType::Timestamp(None, _) => Type::TimestampMicros,
        other => return Err(format!("there is no cast to `{other}`")),
    };
    Ok(CastType::Type(ty))
}

fn varchar(name: &DataType, length: Option<&CharacterLength>) -> Result<CastType, String> {
    match length {
        None => Ok(CastType::Type(Type::String)),
        Some(CharacterLength::IntegerLength { length, unit: None }) if *length > 0 => Ok(CastType::Varchar(*length)),
        Some(_) => Err(format!("there is no cast to `{name}`")),
    }
}

fn numeric(digits: &ExactNumberInfo) -> Result<CastType, String> {
    let (precision, scale) = match digits {
        ExactNumberInfo::None => return Ok(CastType::Numeric),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let precision = u8::try_from(precision).ok().filter(|p| (1..=38).contains(p));
    let precision = precision.ok_or("a numeric has 1 to 38 digits in all")?;
    let scale = u8::try_from(scale).ok().filter(|s| *s <= precision);
    let scale = scale.ok_or("the digits after the point of a numeric are part of its digits in all")?;
    Ok(CastType::Type(Type::Decimal { precision, scale }))
}
