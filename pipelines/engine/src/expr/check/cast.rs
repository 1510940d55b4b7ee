//! `cast(x as type)`: Postgres's pairs of types, its rounding, and an error where a value has no place in the type.

use std::ops::Range;

use headwater_schemas::Type;

use super::{Checked, Checker};
use crate::expr::ast::{Ast, CastType};
use crate::expr::code::{Code, Ty, Typed};
use crate::expr::error::{EvalError, Fault};
use crate::expr::kind::{Arg, Dec, Double, map};
use crate::expr::{ExprError, cast, decimal, time};

impl Checker<'_> {
    pub(super) fn cast(&mut self, arg: &Ast, to: &CastType, range: Range<usize>) -> Checked {
        let arg = self.check(arg)?;
        let to = match to {
            CastType::Type(ty) => ty.clone(),
            CastType::Varchar(length) => return self.cast_to_varchar(arg, *length, range),
            CastType::Numeric => match own_digits(&arg) {
                Some(ty) => ty,
                None => {
                    let message = format!("numeric has as many digits as its argument, and {} does not say", arg.ty);
                    let error = ExprError::new(message, range, "how many digits?");
                    return self.fail_with(error.help("give them: numeric(38, 6) has 38, 6 of them after the point"));
                }
            },
        };
        if arg.ty == Ty::Null {
            return Some(Typed::new(Code::null(&to), to, true, range));
        }
        let nullable = arg.nullable;
        match converted(&arg, &to) {
            Some(code) => Some(Typed::new(code, to, nullable, range)),
            None => {
                let message = format!("{} cannot be cast to {to}", arg.ty);
                self.fail(range, message, "no such cast")
            }
        }
    }

    fn cast_to_varchar(&mut self, arg: Typed, length: u64, range: Range<usize>) -> Checked {
        let nullable = arg.nullable;
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        match converted(&arg, &Type::String) {
            Some(Code::Text(text)) => {
                let cut = map(text, move |text, _| match text.char_indices().nth(most) {
                    Some((end, _)) => Ok(&text[..end]),
                    None => Ok(text),
                });
                Some(Typed::new(Code::Text(cut), Type::String, nullable, range))
            }
            _ if arg.ty == Ty::Null => Some(Typed::new(Code::Text(Arg::null()), Type::String, true, range)),
            _ => self.fail(range, format!("{} cannot be cast to text", arg.ty), "no such cast"),
        }
    }
}

/// The decimal type that holds an exact number as it is.
fn own_digits(arg: &Typed) -> Option<Type> {
    match &arg.ty {
        Ty::Of(Type::Int) => Some(Type::Decimal { precision: 10, scale: 0 }),
        Ty::Of(Type::Long) => Some(Type::Decimal { precision: 19, scale: 0 }),
        Ty::Of(ty @ Type::Decimal { .. }) => Some(ty.clone()),
        _ => {
            let decimal = decimal::parse(cast::trimmed(arg.literal.as_ref()?))?;
            Some(Type::Decimal { precision: decimal::MAX_DIGITS, scale: decimal.scale })
        }
    }
}

/// The code of a cast; `None` where Postgres has no such pair, or this module does not.
fn converted(arg: &Typed, to: &Type) -> Option<Code> {
    let (code, from_ty) = (arg.code.clone(), &arg.ty);
    let from = from_ty.of()?;
    if from == to || (from.is_text() && *to == Type::String) {
        return Some(code);
    }
    if from.is_text() {
        return cast::from_text(code.into_text(), to);
    }
    match to {
        Type::String => cast::to_text(code, from).map(Code::Text),
        Type::Int | Type::Long => to_integer(code, from_ty, to),
        Type::Decimal { precision, scale } => to_decimal(code, from_ty, *precision, *scale).map(Code::Dec),
        Type::Double if from.is_numeric() => Some(Code::Double(code.into_double(from_ty))),
        Type::Float if from.is_numeric() => Some(Code::Double(map(code.into_float(from_ty), |x, _| to_float(x)))),
        Type::Boolean if *from == Type::Int => Some(Code::Bool(map(code.into_long(), |n, _| Ok(n != 0)))),
        Type::Date if from.is_timestamp() => Some(Code::Long(map(code.into_long(), |at, _| Ok(time::day_of(at))))),
        Type::TimestampMicros if *from == Type::Date || from.is_timestamp() => {
            Some(Code::Long(code.into_instant(from_ty)))
        }
        _ => None,
    }
}

/// Decimals round half away from zero, doubles half to even.
fn to_integer(code: Code, from: &Ty, to: &Type) -> Option<Code> {
    let narrow = *to == Type::Int;
    let name = if narrow { "int" } else { "bigint" };
    let fit = move |n: Option<i64>| -> Result<i64, Fault> {
        n.filter(|n| !narrow || i32::try_from(*n).is_ok()).ok_or_else(|| EvalError::overflow("cast", name))
    };
    let scale = from.scale();
    let code = match code {
        Code::Bool(arg) if narrow => map(arg, |b, _| Ok(i64::from(b))),
        Code::Long(arg) if from.is_integer() => map(arg, move |n, _| fit(Some(n))),
        Code::Dec(arg) => map(arg, move |n, _| fit(decimal::rescale(n, scale, 0).and_then(|n| i64::try_from(n).ok()))),
        Code::Double(arg) => map(arg, move |x, _| fit(double_to_integer(x))),
        _ => return None,
    };
    Some(Code::Long(code))
}

fn double_to_integer(x: f64) -> Option<i64> {
    // 2^63 is a double; what is below it and not below -2^63 is an i64.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let rounded = x.round_ties_even();
    (-LIMIT..LIMIT).contains(&rounded).then_some(rounded as i64)
}

fn to_decimal(code: Code, from: &Ty, precision: u8, scale: u8) -> Option<Arg<Dec>> {
    let significant = if *from == Ty::Of(Type::Float) { 6 } else { 15 };
    let from_scale = from.scale();
    match code {
        Code::Double(arg) => Some(map(arg, move |x, _| {
            if !x.is_finite() {
                let ty = Type::Decimal { precision, scale };
                return Err(EvalError::cast(if x.is_nan() { "NaN" } else { "an infinity" }, ty));
            }
            cast::fit(decimal::from_double(x, significant, scale), precision, scale)
        })),
        code if from.is_numeric() => Some(map(code.into_decimal(), move |n, _| {
            cast::fit(decimal::rescale(n, from_scale, scale), precision, scale)
        })),
        _ => None,
    }
}

fn to_float(x: f64) -> Result<f64, Fault> {
    let narrow = f64::from(x as f32);
    if (narrow.is_infinite() && x.is_finite()) || (narrow == 0.0 && x != 0.0) {
        return Err(EvalError::overflow("cast", "real"));
    }
    Ok(narrow)
}

/// A double for a function that takes nothing else.
pub(super) fn as_double(arg: Typed) -> Arg<Double> {
    arg.code.into_double(&arg.ty)
}
