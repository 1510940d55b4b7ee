//! Values and their types, apart from the engine's.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use serde_json::{Map, Value as Json};

use crate::calendar::{DAY, clock_text, date_text};

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Boolean,
    Int,
    Long,
    /// So many digits after the point, of 38.
    Decimal(u32),
    Double,
    Text,
    /// A timestamp.
    Time,
    Date,
    /// Records of `p`, `q` and `r`: see [`line_fields`].
    Lines,
    /// A record of `city` and `no`: see [`place_fields`].
    Place,
    /// From texts to texts.
    Map,
    List(Box<Type>),
}

/// The fields of an element of [`Type::Lines`]; the second and the third may be null.
pub fn line_fields() -> [(&'static str, Type); 3] {
    [("p", Type::Text), ("q", Type::Int), ("r", Type::Decimal(2))]
}

/// The fields of [`Type::Place`]; the first may be null.
pub fn place_fields() -> [(&'static str, Type); 2] {
    [("city", Type::Text), ("no", Type::Int)]
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    /// An int or a long.
    Whole(i64),
    /// Its digits, and how many of them are after the point.
    Decimal(BigInt, u32),
    Double(f64),
    Text(String),
    /// Seconds since 1970.
    Time(i64),
    /// Days since 1970-01-01.
    Date(i64),
    List(Vec<Value>),
    /// A record, or a map.
    Record(Vec<(&'static str, Value)>),
    /// A result that does not fit its type: an error for whoever reads it. A store shows it as null.
    Unreadable,
}

impl Type {
    pub fn is_exact(&self) -> bool {
        matches!(self, Type::Int | Type::Long | Type::Decimal(_))
    }

    /// Whether a key may hold it.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Type::Lines | Type::Place | Type::Map | Type::List(_))
    }
}

impl Value {
    pub fn text(text: &str) -> Self {
        Value::Text(text.to_owned())
    }

    /// What equal values are all shown as: 0.0 is -0.0, too.
    pub fn canonical(self) -> Self {
        match self {
            Value::Double(0.0) => Value::Double(0.0),
            other => other,
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    /// A decimal, or what does not fit one of 38 digits.
    pub fn decimal(digits: BigInt, scale: u32) -> Self {
        if fits(&digits) { Value::Decimal(digits, scale) } else { Value::Unreadable }
    }

    /// The digits and the scale of an exact number.
    pub fn exact(&self) -> Option<(BigInt, u32)> {
        match self {
            Value::Whole(n) => Some((BigInt::from(*n), 0)),
            Value::Decimal(digits, scale) => Some((digits.clone(), *scale)),
            _ => None,
        }
    }

    /// As values of one type are ordered: numbers by size, texts by bytes.
    pub fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            // What is no number is above all of them.
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b).unwrap_or(a.is_nan().cmp(&b.is_nan())),
            (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Time(a), Value::Time(b)) | (Value::Date(a), Value::Date(b)) => a.cmp(b),
            _ => match (self.exact(), other.exact()) {
                (Some((a, a_scale)), Some((b, b_scale))) => (a * power(b_scale)).cmp(&(b * power(a_scale))),
                _ => unreachable!("{self:?} and {other:?} are not compared"),
            },
        }
    }

    /// As tests and JSON show it.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null | Value::Unreadable => Json::Null,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Whole(n) => Json::from(*n),
            Value::Decimal(digits, scale) => Json::String(decimal_text(digits, *scale)),
            Value::Double(x) if x.is_finite() => serde_json::from_str(&format!("{x:?}")).unwrap_or(Json::Null),
            Value::Double(x) => Json::from(if x.is_nan() {
                "NaN"
            } else if *x > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            }),
            Value::Text(text) => Json::String(text.clone()),
            Value::Time(at) => Json::String(format!("{}T{}Z", date_text(at.div_euclid(DAY)), clock_text(*at))),
            Value::Date(day) => Json::String(date_text(*day)),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_json()));
                Json::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

pub fn power(of_ten: u32) -> BigInt {
    BigInt::from(10).pow(of_ten)
}

/// At most 38 digits.
pub fn fits(digits: &BigInt) -> bool {
    digits.magnitude() < power(38).magnitude()
}

/// The quotient, rounded half away from zero.
pub fn divided(dividend: &BigInt, divisor: &BigInt) -> BigInt {
    let (a, b) = (dividend.magnitude(), divisor.magnitude());
    let rounded = BigInt::from((a * 2u32 + b) / (b * 2u32));
    if (dividend.sign() == Sign::Minus) == (divisor.sign() == Sign::Minus) { rounded } else { -rounded }
}

pub fn decimal_text(digits: &BigInt, scale: u32) -> String {
    let sign = if digits.sign() == Sign::Minus { "-" } else { "" };
    let scale = scale as usize;
    let text = format!("{:0>width$}", digits.magnitude().to_string(), width = scale + 1);
    let (whole, rest) = text.split_at(text.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_half_away_from_zero() {
        for (dividend, divisor, quotient) in [(5, 2, 3), (-5, 2, -3), (5, -2, -3), (4, 3, 1), (-4, -3, 1), (0, 7, 0)] {
            assert_eq!(divided(&BigInt::from(dividend), &BigInt::from(divisor)), BigInt::from(quotient));
        }
    }

    #[test]
    fn values_are_written_as_tests_write_them() {
        let decimal = |digits: i64, scale| decimal_text(&BigInt::from(digits), scale);
        assert_eq!([decimal(-5, 2), decimal(1234, 2), decimal(7, 0)], ["-0.05", "12.34", "7"]);
        assert_eq!(Value::Time(90_061).to_json(), "1970-01-02T01:01:01Z");
        assert_eq!(Value::decimal(power(38), 0), Value::Unreadable);
    }
}
