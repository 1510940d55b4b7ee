//! Assignment: what a value of one type may become in a column or field of another without being asked to (`set:` of
//! commands, sums). Only what loses nothing: int to long to decimal, and a null only where null is allowed.

use headwater_schemas::{Decimal, FieldType, Type, ValueRef};

use super::decimal;
use super::error::EvalError;

/// Why a value of a type is not assigned to a field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AssignError {
    /// The types do not go together.
    #[error("a value of {from} cannot become {to}{}", help(.from, .to))]
    Types { from: String, to: String },
    /// The value may be null, and the field may not.
    #[error("this may be null, and {to} may not: write coalesce(…, something)")]
    Null { to: String },
    /// The value has no place in the type.
    #[error(transparent)]
    Value(#[from] EvalError),
}

fn help(from: &str, to: &str) -> String {
    let number = |name: &str| ["int", "long", "float", "double", "decimal"].iter().any(|n| name.starts_with(n));
    let name = match to {
        "long" => "bigint",
        "float" => "real",
        "double" => "double precision",
        "string" => "text",
        other if other.starts_with("timestamp") => "timestamptz",
        other => other,
    };
    let cast = number(from) || number(to) || matches!(name, "text" | "date" | "timestamptz" | "uuid" | "boolean");
    if cast { format!(": write cast(… as {})", name.replace("decimal", "numeric")) } else { String::new() }
}

/// Whether every value of `from` that is there to be assigned fits `to`, by type alone. `from.nullable` counts.
pub fn assignable(from: &FieldType, to: &FieldType) -> Result<(), AssignError> {
    if !type_assignable(&from.ty, &to.ty) {
        return Err(AssignError::Types { from: from.ty.to_string(), to: to.ty.to_string() });
    }
    if from.nullable && !to.nullable {
        return Err(AssignError::Null { to: to.ty.to_string() });
    }
    Ok(())
}

fn type_assignable(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Int, Type::Int | Type::Long) | (Type::Long, Type::Long) => true,
        // Values that need more digits are an error of the value.
        (Type::Int | Type::Long, Type::Decimal { .. }) => true,
        (Type::Decimal { scale: from, .. }, Type::Decimal { scale: to, .. }) => from <= to,
        (Type::Float, Type::Double) => true,
        (Type::Enum(from), Type::Enum(to)) => from.symbols.iter().all(|symbol| to.symbols.contains(symbol)),
        (Type::Enum(_), Type::String) => true,
        (Type::TimestampMicros | Type::TimestampMillis, Type::TimestampMicros | Type::TimestampMillis) => true,
        (Type::Uuid, Type::Uuid) => true,
        (Type::Array(from), Type::Array(to)) | (Type::Map(from), Type::Map(to)) => from == to,
        (Type::Record(from), Type::Record(to)) => {
            from == to
                || (from.fields.len() == to.fields.len()
                    && from.fields.iter().zip(&to.fields).all(|(from, to)| from.name == to.name && from.ty == to.ty))
        }
        (from, to) => from == to,
    }
}

/// Converts a value of `from` to one of `to`, as [`assignable`] allows. A `timestamp-millis` takes whole milliseconds,
/// the rest being cut off.
pub fn cast_to_field<'a>(value: &ValueRef<'a>, from: &FieldType, to: &FieldType) -> Result<ValueRef<'a>, AssignError> {
    if !type_assignable(&from.ty, &to.ty) {
        return Err(AssignError::Types { from: from.ty.to_string(), to: to.ty.to_string() });
    }
    if value.is_null() {
        return if to.nullable { Ok(ValueRef::Null) } else { Err(AssignError::Null { to: to.ty.to_string() }) };
    }
    let converted = match (value, &to.ty) {
        (ValueRef::Long(n), Type::Decimal { precision, scale }) => fitted(i128::from(*n), 0, *precision, *scale),
        (ValueRef::Decimal(d), Type::Decimal { precision, scale }) => fitted(d.unscaled, d.scale, *precision, *scale),
        (ValueRef::Long(n), Type::Int) if i32::try_from(*n).is_err() => None,
        (ValueRef::Float(x), Type::Double) => Some(ValueRef::Double(f64::from(*x))),
        (ValueRef::Timestamp(micros), Type::TimestampMillis) => {
            Some(ValueRef::Timestamp(micros.div_euclid(1000).saturating_mul(1000)))
        }
        (same, _) => Some(*same),
    };
    converted.ok_or_else(|| AssignError::Value(EvalError::Overflow { operation: "assignment", ty: to.ty.to_string() }))
}

fn fitted<'a>(unscaled: i128, from: u8, precision: u8, scale: u8) -> Option<ValueRef<'a>> {
    let unscaled = decimal::rescale_exact(unscaled, from, scale).filter(|n| decimal::fits(*n, precision))?;
    Some(ValueRef::Decimal(Decimal { unscaled, scale }))
}

/// The narrowest decimal that holds both, with at most 38 digits in all; the digits after the point go first.
pub(crate) fn common_decimal(left: &Type, right: &Type) -> Option<Type> {
    let digits = |ty: &Type| match ty {
        Type::Int => Some((10, 0)),
        Type::Long => Some((19, 0)),
        Type::Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    };
    let ((left_digits, left_scale), (right_digits, right_scale)) = (digits(left)?, digits(right)?);
    let scale = left_scale.max(right_scale);
    let whole = left_digits.saturating_sub(left_scale).max(right_digits.saturating_sub(right_scale));
    Some(Type::Decimal { precision: (whole + scale).min(decimal::MAX_DIGITS), scale })
}
