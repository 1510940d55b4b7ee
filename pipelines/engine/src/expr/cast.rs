//! Values from text and as text: Postgres's input and output of each type, without the forms that depend on a clock, a
//! locale or a session.

use headwater_schemas::{Type, ValueRef};

use super::code::Code;
use super::error::{EvalError, Fault};
use super::kind::{Arg, Kind, Text, map};
use super::{decimal, time};

/// The code that reads text as a value of a type; `None` where `cast` has no such pair.
pub(crate) fn from_text(text: Arg<Text>, to: &Type) -> Option<Code> {
    Some(match to {
        Type::Boolean => {
            Code::Bool(map(text, |text, _| boolean(text).ok_or_else(|| EvalError::cast(quoted(text), "boolean"))))
        }
        Type::Int => Code::Long(map(text, |text, _| integer(text, true))),
        Type::Long => Code::Long(map(text, |text, _| integer(text, false))),
        Type::Float => Code::Double(map(text, |text, _| double(text, true))),
        Type::Double => Code::Double(map(text, |text, _| double(text, false))),
        Type::Decimal { precision, scale } => {
            let (precision, scale) = (*precision, *scale);
            Code::Dec(map(text, move |text, _| {
                let read = decimal::parse_rounded(trimmed(text), scale);
                fit(
                    read.ok_or_else(|| EvalError::cast(quoted(text), Type::Decimal { precision, scale }))?,
                    precision,
                    scale,
                )
            }))
        }
        Type::Date => Code::Long(map(text, |text, _| {
            time::parse_date(text).map(i64::from).ok_or_else(|| EvalError::cast(quoted(text), "date"))
        })),
        Type::TimestampMicros | Type::TimestampMillis => Code::Long(map(text, |text, _| {
            time::parse_timestamp(text).ok_or_else(|| EvalError::cast(quoted(text), "timestamptz"))
        })),
        Type::Uuid => Code::Any(map(text, |text, _| match uuid(text) {
            Some(bytes) => Ok(ValueRef::Uuid(bytes)),
            None => Err(EvalError::cast(quoted(text), "uuid")),
        })),
        _ => return None,
    })
}

/// A string literal as a value of a type.
pub(crate) fn text_literal(text: &str, to: &Type) -> Option<Result<Code, Fault>> {
    from_text(Arg::Constant(Some(text.into())), to).map(Code::folded)
}

/// Without the blanks at its ends: those of ASCII, no others.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

/// Text in quotes, shortened.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", super::error::shortened(text))
}

/// A decimal of so many digits, or the error that says so.
pub(crate) fn fit(unscaled: Option<i128>, precision: u8, scale: u8) -> Result<i128, Fault> {
    match unscaled {
        Some(n) if decimal::fits(n, precision) => Ok(n),
        _ => Err(EvalError::overflow("cast", Type::Decimal { precision, scale })),
    }
}

/// `true`, `f`, `yes`, `off`, `1` and their like, and what is the start of only one of them.
fn boolean(text: &str) -> Option<bool> {
    let text = trimmed(text).to_ascii_lowercase();
    let starts = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    match text.as_str() {
        "1" => Some(true),
        "0" => Some(false),
        _ if starts("true", 1) || starts("yes", 1) || starts("on", 2) => Some(true),
        _ if starts("false", 1) || starts("no", 1) || starts("off", 2) => Some(false),
        _ => None,
    }
}

fn integer(text: &str, narrow: bool) -> Result<i64, Fault> {
    let ty = if narrow { "int" } else { "bigint" };
    let trimmed = trimmed(text);
    match trimmed.parse::<i64>() {
        Ok(n) if !narrow || i32::try_from(n).is_ok() => Ok(n),
        Err(_) if !trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed).bytes().all(|b| b.is_ascii_digit()) => {
            Err(EvalError::cast(quoted(text), ty))
        }
        Err(_) if !trimmed.bytes().any(|b| b.is_ascii_digit()) => Err(EvalError::cast(quoted(text), ty)),
        _ => Err(EvalError::cast_because(quoted(text), ty, "out of range")),
    }
}

fn double(text: &str, narrow: bool) -> Result<f64, Fault> {
    let ty = if narrow { "real" } else { "double precision" };
    let trimmed = trimmed(text);
    let x = if narrow { trimmed.parse::<f32>().map(f64::from) } else { trimmed.parse::<f64>() };
    let Ok(x) = x else { return Err(EvalError::cast(quoted(text), ty)) };
    let mantissa = trimmed.split(['e', 'E']).next().unwrap_or_default();
    let overflowed = x.is_infinite() && mantissa.bytes().any(|b| b.is_ascii_digit());
    let underflowed = x == 0.0 && mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if overflowed || underflowed {
        return Err(EvalError::cast_because(quoted(text), ty, "out of range"));
    }
    Ok(x)
}

/// 32 hexadecimal digits, a hyphen allowed after each four, braces around them.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let text = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut bytes = [0u8; 16];
    let mut digits = 0usize;
    let mut after_hyphen = false;
    for c in text.chars() {
        if c == '-' && digits > 0 && digits.is_multiple_of(4) && !after_hyphen {
            after_hyphen = true;
            continue;
        }
        let digit = u8::try_from(c.to_digit(16)?).ok()?;
        let byte = bytes.get_mut(digits / 2)?;
        *byte = *byte << 4 | digit;
        digits += 1;
        after_hyphen = false;
    }
    (digits == 32 && !after_hyphen).then_some(bytes)
}

/// The code that writes values of a type as text; `None` where `cast` has no such pair.
pub(crate) fn to_text(code: Code, from: &Type) -> Option<Arg<Text>> {
    fn shown<K: Kind>(
        arg: Arg<K>,
        show: impl for<'a> Fn(K::Of<'a>) -> Result<String, Fault> + Send + Sync + 'static,
    ) -> Arg<Text> {
        map(arg, move |value, bump| Ok(&*bump.alloc_str(&show(value)?)))
    }
    Some(match (code, from) {
        (Code::Text(arg), _) => arg,
        (Code::Bool(arg), _) => map(arg, |b, _| Ok(if b { "true" } else { "false" })),
        (Code::Long(arg), Type::Int | Type::Long) => shown(arg, |n| Ok(n.to_string())),
        (Code::Long(arg), Type::Date) => shown(arg, |days| {
            let at = time::datetime(days.saturating_mul(super::code::MICROS_PER_DAY))?;
            Ok(time::date_text(at.date()))
        }),
        (Code::Long(arg), _) => shown(arg, |micros| Ok(time::timestamp_text(time::datetime(micros)?))),
        (Code::Double(arg), Type::Float) => shown(arg, |x| Ok(double_text(x, true))),
        (Code::Double(arg), _) => shown(arg, |x| Ok(double_text(x, false))),
        (Code::Dec(arg), Type::Decimal { scale, .. }) => {
            let scale = *scale;
            shown(arg, move |n| Ok(decimal::text(n, scale)))
        }
        (Code::Any(arg), Type::Uuid) => map(arg, |value, bump| match value {
            ValueRef::Uuid(bytes) => {
                Ok(&*bump.alloc_str(uuid::Uuid::from_bytes(bytes).hyphenated().encode_lower(&mut [0; 36])))
            }
            _ => Ok(""),
        }),
        _ => return None,
    })
}

/// The shortest text that reads as the same number; an exponent from 15 digits on, of a float from 6.
fn double_text(x: f64, narrow: bool) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let scientific = if narrow { format!("{:e}", x as f32) } else { format!("{x:e}") };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if exponent < -4 || exponent >= if narrow { 6 } else { 15 } {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    if narrow { format!("{}", x as f32) } else { format!("{x}") }
}
