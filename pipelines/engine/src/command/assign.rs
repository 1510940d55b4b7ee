//! Assignment conversion: what `set:` gives, as the event's field takes it. As Postgres assigns: numbers to numbers where
//! they fit (exact ones rounded half away from zero), anything scalar to text, text to an enum's symbol.

use headwater_schemas::instant::{date_text, timestamp_text};
use headwater_schemas::{Decimal, FieldType, Type, Value, ValueRef};
use uuid::Uuid;

/// How a value of one type becomes one of another; decided once, when the command is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assignment {
    /// The types hold the same values.
    Same,
    /// To int or long.
    Integer,
    Decimal,
    Float,
    Double,
    Text,
    /// Text to one of an enum's symbols.
    Symbol,
    /// To milliseconds.
    Millis,
    Uuid,
}

/// How to assign `from` to `to`; None where that has no meaning.
pub(super) fn between(from: &Type, to: &Type) -> Option<Assignment> {
    let scalar = crate::plan::may_be_key(from);
    Some(match to {
        _ if from == to => Assignment::Same,
        Type::Int | Type::Long if from.is_numeric() => Assignment::Integer,
        Type::Decimal { .. } if from.is_numeric() => Assignment::Decimal,
        Type::Float if from.is_numeric() => Assignment::Float,
        Type::Double if from.is_numeric() => Assignment::Double,
        Type::String if from.is_text() => Assignment::Same,
        Type::String if scalar && !matches!(from, Type::Bytes | Type::Fixed(_)) => Assignment::Text,
        Type::Enum(_) if from.is_text() => Assignment::Symbol,
        Type::TimestampMicros if from.is_timestamp() => Assignment::Same,
        Type::TimestampMillis if from.is_timestamp() => Assignment::Millis,
        Type::Uuid if matches!(from, Type::String) => Assignment::Uuid,
        _ => return None,
    })
}

impl Assignment {
    /// The value as `to` takes it.
    ///
    /// # Errors
    /// What is wrong, to follow the field's name.
    pub(super) fn convert(self, value: &ValueRef<'_>, to: &FieldType) -> Result<Value, String> {
        if value.is_null() {
            return if to.nullable { Ok(Value::Null) } else { Err("would be null, and it may not be".into()) };
        }
        let converted = match self {
            Assignment::Same => Some(value.to_owned()),
            Assignment::Integer => integer(value, &to.ty),
            Assignment::Decimal => decimal(value, &to.ty),
            Assignment::Float => double(value).map(|x| x as f32).filter(|x| x.is_finite()).map(Value::Float),
            Assignment::Double => double(value).filter(|x| x.is_finite()).map(Value::Double),
            Assignment::Text => text(value).map(Value::string),
            Assignment::Symbol => symbol(value, &to.ty),
            Assignment::Millis => match value {
                ValueRef::Timestamp(micros) => Some(Value::Timestamp(micros.div_euclid(1000) * 1000)),
                _ => None,
            },
            Assignment::Uuid => match value {
                ValueRef::String(text) => Uuid::parse_str(text).ok().map(|id| Value::Uuid(*id.as_bytes())),
                _ => None,
            },
        };
        converted.ok_or_else(|| match text(value) {
            Some(found) => format!("expected {}, found {found}", to.ty),
            None => format!("expected {}", to.ty),
        })
    }
}

fn integer(value: &ValueRef<'_>, to: &Type) -> Option<Value> {
    let number: i128 = match *value {
        ValueRef::Long(number) => i128::from(number),
        ValueRef::Decimal(number) => rescale(number, 0)?,
        // Postgres rounds half to even here, as the hardware does.
        ValueRef::Float(x) => whole(f64::from(x))?,
        ValueRef::Double(x) => whole(x)?,
        _ => return None,
    };
    let fits = match to {
        Type::Int => i32::try_from(number).is_ok(),
        _ => true,
    };
    i64::try_from(number).ok().filter(|_| fits).map(Value::Long)
}

fn whole(x: f64) -> Option<i128> {
    let rounded = x.round_ties_even();
    // Both bounds are exact in a double.
    (rounded >= -(2f64.powi(63)) && rounded < 2f64.powi(63)).then_some(rounded as i128)
}

fn decimal(value: &ValueRef<'_>, to: &Type) -> Option<Value> {
    let Type::Decimal { precision, scale } = *to else { return None };
    let number = match *value {
        ValueRef::Long(number) => Decimal { unscaled: i128::from(number), scale: 0 },
        ValueRef::Decimal(number) => number,
        ValueRef::Float(x) => parse_decimal(&format!("{x}"))?,
        ValueRef::Double(x) => parse_decimal(&format!("{x}"))?,
        _ => return None,
    };
    let unscaled = rescale(number, scale)?;
    let fits = unscaled.unsigned_abs() < 10u128.pow(u32::from(precision));
    fits.then_some(Value::Decimal(Decimal { unscaled, scale }))
}

/// The unscaled number at another scale, rounded half away from zero.
fn rescale(number: Decimal, scale: u8) -> Option<i128> {
    if scale >= number.scale {
        let factor = 10i128.checked_pow(u32::from(scale - number.scale))?;
        return number.unscaled.checked_mul(factor);
    }
    let factor = 10i128.checked_pow(u32::from(number.scale - scale))?;
    let (quotient, rest) = (number.unscaled / factor, number.unscaled % factor);
    let up = rest.unsigned_abs() >= factor.unsigned_abs().div_ceil(2);
    Some(if up { quotient + number.unscaled.signum() } else { quotient })
}

/// The shortest decimal text of a double, which Rust prints without an exponent.
fn parse_decimal(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = u8::try_from(fraction.len()).ok().filter(|scale| *scale <= 38)?;
    Some(Decimal { unscaled: format!("{whole}{fraction}").parse().ok()?, scale })
}

fn double(value: &ValueRef<'_>) -> Option<f64> {
    match *value {
        ValueRef::Long(number) => Some(number as f64),
        ValueRef::Float(x) => Some(f64::from(x)),
        ValueRef::Double(x) => Some(x),
        // By its text: the nearest double, rounded once.
        ValueRef::Decimal(_) => text(value)?.parse().ok(),
        _ => None,
    }
}

fn symbol(value: &ValueRef<'_>, to: &Type) -> Option<Value> {
    match (value, to) {
        (ValueRef::String(text), Type::Enum(symbols)) => {
            symbols.symbols.iter().any(|symbol| symbol == text).then(|| Value::string(*text))
        }
        _ => None,
    }
}

/// A scalar as text.
fn text(value: &ValueRef<'_>) -> Option<String> {
    Some(match *value {
        ValueRef::Boolean(flag) => flag.to_string(),
        ValueRef::Long(number) => number.to_string(),
        ValueRef::Float(x) => x.to_string(),
        ValueRef::Double(x) => x.to_string(),
        ValueRef::Decimal(number) => number.to_string(),
        ValueRef::String(text) => text.to_owned(),
        ValueRef::Uuid(bytes) => Uuid::from_bytes(bytes).to_string(),
        ValueRef::Date(days) => date_text(days),
        ValueRef::Timestamp(micros) => timestamp_text(micros),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headwater_schemas::EnumType;

    use super::*;

    fn dec(unscaled: i128, scale: u8) -> ValueRef<'static> {
        ValueRef::Decimal(Decimal { unscaled, scale })
    }

    #[test]
    fn values_are_assigned_as_postgres_assigns() {
        let color = Type::Enum(Arc::new(EnumType {
            name: "Color".into(),
            aliases: vec![],
            symbols: vec!["red".into(), "blue".into()],
            default: None,
        }));
        let money = Type::Decimal { precision: 5, scale: 2 };
        let wide = Type::Decimal { precision: 38, scale: 3 };
        let cases: Vec<(Type, ValueRef<'_>, Type, Option<Value>)> = vec![
            (Type::Long, ValueRef::Long(7), Type::Int, Some(Value::Long(7))),
            (Type::Long, ValueRef::Long(1 << 40), Type::Int, None),
            (wide.clone(), dec(2500, 3), Type::Long, Some(Value::Long(3))),
            (wide.clone(), dec(-2500, 3), Type::Long, Some(Value::Long(-3))),
            (wide.clone(), dec(2499, 3), Type::Long, Some(Value::Long(2))),
            (Type::Double, ValueRef::Double(2.5), Type::Long, Some(Value::Long(2))),
            (Type::Double, ValueRef::Double(f64::NAN), Type::Long, None),
            (Type::Double, ValueRef::Double(9.3e18), Type::Long, None),
            (wide.clone(), dec(123_455, 3), money.clone(), Some(Value::Decimal(Decimal { unscaled: 12346, scale: 2 }))),
            (wide, dec(1_000_000, 3), money.clone(), None),
            (Type::Int, ValueRef::Long(12), money.clone(), Some(Value::Decimal(Decimal { unscaled: 1200, scale: 2 }))),
            (money.clone(), dec(-5, 2), Type::String, Some(Value::string("-0.05"))),
            (money, dec(1050, 2), Type::Double, Some(Value::Double(10.5))),
            (Type::Uuid, ValueRef::Uuid([0; 16]), Type::String, Some(Value::string(Uuid::nil().to_string()))),
            (Type::String, ValueRef::String("red"), color.clone(), Some(Value::string("red"))),
            (Type::String, ValueRef::String("green"), color, None),
            (Type::TimestampMicros, ValueRef::Timestamp(-1), Type::TimestampMillis, Some(Value::Timestamp(-1000))),
        ];
        for (from, value, to, expected) in cases {
            let assignment = between(&from, &to).unwrap_or_else(|| panic!("{from} to {to}"));
            let found = assignment.convert(&value, &FieldType::required(to.clone()));
            assert_eq!(found.ok(), expected, "{from} {value:?} to {to}");
        }
        for (from, to) in [(Type::String, Type::Long), (Type::Boolean, Type::Int), (Type::Bytes, Type::String)] {
            assert_eq!(between(&from, &to), None, "{from} to {to}");
        }
    }

    #[test]
    fn null_goes_only_where_it_may() {
        assert!(Assignment::Same.convert(&ValueRef::Null, &FieldType::required(Type::Int)).is_err());
        assert_eq!(Assignment::Same.convert(&ValueRef::Null, &FieldType::nullable(Type::Int)), Ok(Value::Null));
    }
}
