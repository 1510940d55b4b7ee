//! `cast(x as type)`: what is a value of another type, or a mistake where it has no place there.

use num_bigint::BigInt;

use crate::calendar::{DAY, clock_text, date_text};
use crate::expr::{Evaluated, Mistake};
use crate::value::{Type, Value, decimal_text, divided, fits, power};

/// A value as one of another type.
pub(super) fn cast(value: &Value, to: &Type) -> Evaluated {
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Text(text), to) => read(text.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']), to),
        (value, Type::Text) => Ok(Value::Text(shown(value))),
        (Value::Boolean(value), Type::Int) => Ok(Value::Whole(i64::from(*value))),
        (Value::Whole(n), Type::Boolean) => Ok(Value::Boolean(*n != 0)),
        (Value::Double(x), to) => {
            // A half goes to the even one.
            let whole = x.round_ties_even();
            let limit = if *to == Type::Int { 31 } else { 63 };
            let most = 2f64.powi(limit);
            if (-most..most).contains(&whole) { Ok(Value::Whole(whole as i64)) } else { Err(Mistake::OutOfRange) }
        }
        (value, Type::Double) => Ok(Value::Double(double(value))),
        (Value::Time(at), Type::Date) => Ok(Value::Date(at.div_euclid(DAY))),
        (Value::Date(day), Type::Time) => Ok(Value::Time(day * DAY)),
        (value, to) => exact(value, to),
    }
}

/// An exact number with as many digits after the point as its new type has.
fn exact(value: &Value, to: &Type) -> Evaluated {
    let Some((digits, own)) = value.exact() else { unreachable!("{value:?} is not cast to {to:?}") };
    let scale = if let Type::Decimal(scale) = to { *scale } else { 0 };
    let digits = divided(&(digits * power(scale)), &power(own));
    fitted(digits, to)
}

fn fitted(digits: BigInt, to: &Type) -> Evaluated {
    let whole = i64::try_from(&digits).ok();
    match to {
        Type::Decimal(scale) if fits(&digits) => Ok(Value::Decimal(digits, *scale)),
        Type::Int => whole.filter(|n| i32::try_from(*n).is_ok()).map(Value::Whole).ok_or(Mistake::OutOfRange),
        Type::Long => whole.map(Value::Whole).ok_or(Mistake::OutOfRange),
        _ => Err(Mistake::OutOfRange),
    }
}

/// The nearest double.
pub(super) fn double(value: &Value) -> f64 {
    match value {
        Value::Double(x) => *x,
        Value::Whole(n) => *n as f64,
        Value::Decimal(digits, scale) => decimal_text(digits, *scale).parse().unwrap_or(f64::NAN),
        other => unreachable!("{other:?} is no number"),
    }
}

/// A value of a text without blanks around it.
fn read(text: &str, to: &Type) -> Evaluated {
    let none = Err(Mistake::BadCast);
    match to {
        Type::Text => unreachable!("a text is not cast to one"),
        Type::Boolean => boolean(&text.to_ascii_lowercase()),
        Type::Double => text.parse().map_or(none, |x| Ok(Value::Double(x))),
        to => {
            let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
            let (whole, after) = match (unsigned.split_once('.'), to) {
                (Some(parts), Type::Decimal(_)) => parts,
                _ => (unsigned, ""),
            };
            let digits = format!("{whole}{after}");
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return none;
            }
            let digits: BigInt = digits.parse().map_err(|_| Mistake::BadCast)?;
            let digits = if text.starts_with('-') { -digits } else { digits };
            exact(&Value::Decimal(digits, after.len() as u32), to)
        }
    }
}

/// A word, or what only one of them begins with.
fn boolean(text: &str) -> Evaluated {
    let of = |words: [&str; 4]| words.iter().any(|word| !text.is_empty() && word.starts_with(text));
    match (text, of(["true", "yes", "on", "1"]), of(["false", "no", "off", "0"])) {
        (_, true, false) => Ok(Value::Boolean(true)),
        (_, false, true) => Ok(Value::Boolean(false)),
        _ => Err(Mistake::BadCast),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Whole(n) => n.to_string(),
        Value::Decimal(digits, scale) => decimal_text(digits, *scale),
        Value::Date(day) => date_text(*day),
        Value::Time(at) => format!("{} {}+00", date_text(at.div_euclid(DAY)), clock_text(*at)),
        other => unreachable!("{other:?} is not cast to text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_or_is_a_mistake() {
        let of = |text: &str, to: Type| cast(&Value::text(text), &to);
        assert_eq!(of(" -7 ", Type::Int), Ok(Value::Whole(-7)));
        assert_eq!(of("2.5", Type::Int), Err(Mistake::BadCast));
        assert_eq!(of("2147483648", Type::Int), Err(Mistake::OutOfRange));
        assert_eq!(of("2.345", Type::Decimal(2)), Ok(Value::Decimal(235.into(), 2)));
        assert_eq!(of("NaN", Type::Decimal(2)), Err(Mistake::BadCast));
        assert_eq!(of("Infinity", Type::Double), Ok(Value::Double(f64::INFINITY)));
        assert_eq!([of("T", Type::Boolean), of("o", Type::Boolean)], [Ok(Value::Boolean(true)), Err(Mistake::BadCast)]);
    }

    #[test]
    fn numbers_are_rounded_and_have_to_fit() {
        assert_eq!(cast(&Value::Decimal((-25).into(), 1), &Type::Int), Ok(Value::Whole(-3)));
        assert_eq!(cast(&Value::Double(2.5), &Type::Int), Ok(Value::Whole(2)));
        assert_eq!(cast(&Value::Double(f64::NAN), &Type::Long), Err(Mistake::OutOfRange));
        assert_eq!(cast(&Value::Whole(i64::MAX), &Type::Int), Err(Mistake::OutOfRange));
        assert_eq!(cast(&Value::Time(90_061), &Type::Text), Ok(Value::text("1970-01-02 01:01:01+00")));
    }
}
