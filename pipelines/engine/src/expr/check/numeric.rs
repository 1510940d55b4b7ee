//! `abs`, `round`, `floor`, `ceil`, `power`, `sqrt`, `mod`. Integers become doubles where Postgres makes them doubles.

use std::ops::Range;

use headwater_schemas::Type;

use super::arithmetic::{double_result, number_type, of_decimals, of_ints, of_longs};
use super::cast::as_double;
use super::{Checked, Checker};
use crate::expr::ast::BinaryOp;
use crate::expr::code::{Code, Ty, Typed};
use crate::expr::error::{EvalError, Fault};
use crate::expr::kind::{Arg, Dec, Double, map, map2};
use crate::expr::{ExprError, decimal};

/// The digits after the point that a root or power of a decimal has at least, as a quotient has.
const LEAST_SCALE: u8 = 6;

impl Checker<'_> {
    pub(super) fn numeric_function(&mut self, name: &str, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let args: Vec<Checked> = args.into_iter().map(|arg| self.number_argument(name, arg)).collect();
        let args: Vec<Typed> = args.into_iter().collect::<Option<_>>()?;
        match (name, args.len()) {
            ("abs", _) => self.one(args, |arg| self_abs(&arg)),
            ("mod", _) => self.modulo(args, range),
            ("power", _) => self.power(args, range),
            ("sqrt", _) => self.square_root(args, range),
            ("round", 2) => self.round_to(args, range),
            _ => {
                let [arg] = self.exactly(args)?;
                Some(rounded(name, arg, range))
            }
        }
    }

    fn number_argument(&mut self, name: &str, arg: Typed) -> Checked {
        let wanted = if arg.literal.is_some() || arg.ty == Ty::Null { Ty::Of(Type::Double) } else { arg.ty.clone() };
        let arg = self.adopt(arg, &wanted)?;
        if arg.ty.is_numeric() {
            return Some(arg);
        }
        let message = format!("`{name}` takes a number, and this is {}", arg.ty);
        self.fail(arg.range, message, "not a number")
    }

    fn one(&mut self, args: Vec<Typed>, f: impl Fn(Typed) -> Typed) -> Checked {
        let [arg] = self.exactly(args)?;
        Some(f(arg))
    }

    fn modulo(&mut self, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let [left, right] = self.exactly(args)?;
        let nullable = left.nullable || right.nullable;
        let ty = match number_type(BinaryOp::Modulo, &left.ty, &right.ty) {
            Ok(ty) => ty,
            Err((message, help)) => return self.fail_with(ExprError::new(message, range, "not for these").help(help)),
        };
        let code = match &ty {
            Type::Int => Code::Long(of_ints(BinaryOp::Modulo, left.code.into_long(), right.code.into_long())),
            Type::Long => Code::Long(of_longs(BinaryOp::Modulo, left.code.into_long(), right.code.into_long())),
            ty => {
                let (ls, rs) = (left.ty.scale(), right.ty.scale());
                let (left, right) = (left.code.into_decimal(), right.code.into_decimal());
                Code::Dec(of_decimals(BinaryOp::Modulo, (left, ls), (right, rs), Ty::Of(ty.clone()).scale()))
            }
        };
        Some(Typed::new(code, ty, nullable, range))
    }

    /// Of a decimal and a whole number a decimal; else doubles.
    fn power(&mut self, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let [base, exponent] = self.exactly(args)?;
        let nullable = base.nullable || exponent.nullable;
        let decimal = |ty: &Ty| matches!(ty, Ty::Of(Type::Decimal { .. }));
        let float = base.ty.is_float() || exponent.ty.is_float();
        if float || !(decimal(&base.ty) || decimal(&exponent.ty)) {
            let (base, exponent) = (as_double(base), as_double(exponent));
            let code = map2(base, exponent, |base, exponent, _| double_power(base, exponent));
            return Some(Typed::new(Code::Double(code), Type::Double, nullable, range));
        }
        if exponent.ty.scale() != 0 {
            let error = ExprError::new("the power of a decimal takes a whole number", exponent.range, "not whole");
            return self.fail_with(error.help("cast one of them: cast(… as double precision)"));
        }
        let from = base.ty.scale();
        let to = from.max(LEAST_SCALE);
        let code: Arg<Dec> = map2(base.code.into_decimal(), exponent.code.into_decimal(), move |base, exponent, _| {
            let overflow = || EvalError::overflow("power", Type::Decimal { precision: decimal::MAX_DIGITS, scale: to });
            let exponent = i64::try_from(exponent).map_err(|_| overflow())?;
            if base == 0 && exponent < 0 {
                return Err(EvalError::range("power", "zero to a negative power"));
            }
            decimal::power((base, from), exponent, to).ok_or_else(overflow)
        });
        Some(Typed::new(Code::Dec(code), Type::Decimal { precision: decimal::MAX_DIGITS, scale: to }, nullable, range))
    }

    fn square_root(&mut self, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let [arg] = self.exactly(args)?;
        let nullable = arg.nullable;
        let negative = || EvalError::range("sqrt", "the square root of a negative number");
        let Ty::Of(Type::Decimal { scale: from, .. }) = arg.ty else {
            let code = map(as_double(arg), move |x, _| if x < 0.0 { Err(negative()) } else { Ok(x.sqrt()) });
            return Some(Typed::new(Code::Double(code), Type::Double, nullable, range));
        };
        let to = from.max(LEAST_SCALE);
        let ty = Type::Decimal { precision: decimal::MAX_DIGITS, scale: to };
        let code = map(arg.code.into_decimal(), move |n, _| match n {
            n if n < 0 => Err(negative()),
            n => decimal::square_root(n, from, to).ok_or_else(|| {
                EvalError::overflow("sqrt", Type::Decimal { precision: decimal::MAX_DIGITS, scale: to })
            }),
        });
        Some(Typed::new(Code::Dec(code), ty, nullable, range))
    }

    /// The digits are a constant: they are part of the type.
    fn round_to(&mut self, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let [arg, digits] = self.exactly(args)?;
        if arg.ty.is_float() {
            let error =
                ExprError::new("digits are rounded to of decimals, and this is a double", arg.range, "not a decimal");
            return self.fail_with(error.help("write round(cast(… as numeric(38, 10)), n)"));
        }
        let constant = match &digits.code {
            Code::Long(arg) if digits.ty.is_integer() => arg.as_constant().copied(),
            _ => None,
        };
        let Some(digits) = constant else {
            return self.fail(
                digits.range,
                "`round` takes a constant int here: the digits are part of the type",
                "not constant",
            );
        };
        let (from, nullable) = (arg.ty.scale(), arg.nullable);
        let Ok(to) = u8::try_from(digits.clamp(0, 100)) else { return None };
        if to > decimal::MAX_DIGITS {
            return self.fail(range, "a decimal has at most 38 digits after the point", "too many");
        }
        // Below zero it rounds to tens, hundreds, …
        let zeros = u8::try_from((-digits).clamp(0, 39)).unwrap_or(39);
        let ty = Type::Decimal { precision: decimal::MAX_DIGITS, scale: to };
        let message_ty = ty.clone();
        let code = map(arg.code.into_decimal(), move |n, _| {
            let rounded = if zeros > decimal::MAX_DIGITS {
                Some(0)
            } else if zeros > 0 {
                round_tens(n, from, zeros)
            } else {
                decimal::rescale(n, from, to)
            };
            rounded.ok_or_else(|| EvalError::overflow("round", &message_ty))
        });
        Some(Typed::new(Code::Dec(code), ty, nullable, range))
    }
}

/// To a multiple of 10^zeros, scale 0. In one step: a rounded number is not rounded again.
fn round_tens(n: i128, from: u8, zeros: u8) -> Option<i128> {
    let total = from + zeros;
    if total > decimal::MAX_DIGITS {
        return Some(0);
    }
    let tens = decimal::rescale(n, total, 0)?;
    decimal::rescale(tens, 0, zeros)
}

fn self_abs(arg: &Typed) -> Typed {
    let narrow = arg.ty == Ty::Of(Type::Int);
    let code = match arg.code.clone() {
        Code::Long(n) => Code::Long(map(n, move |n, _| {
            let result = n.checked_abs().filter(|n| !narrow || i32::try_from(*n).is_ok());
            result.ok_or_else(|| EvalError::overflow("abs", if narrow { "int" } else { "bigint" }))
        })),
        Code::Double(x) => Code::Double(map(x, |x, _| Ok(x.abs()))),
        Code::Dec(n) => Code::Dec(map(n, |n, _| Ok(n.wrapping_abs()))),
        other => other,
    };
    Typed { code, literal: None, ..arg.clone() }
}

/// `round(x)`, `floor`, `ceil`: of decimals to whole decimals, of all else to doubles.
fn rounded(name: &str, arg: Typed, range: Range<usize>) -> Typed {
    let nullable = arg.nullable;
    if let Ty::Of(Type::Decimal { precision, scale }) = arg.ty {
        let n = arg.code.into_decimal();
        let fits = |n: Option<i128>| n.ok_or_else(|| EvalError::overflow("round", "decimal(38,0)"));
        let code = match name {
            "round" => map(n, move |n, _| fits(decimal::rescale(n, scale, 0))),
            "floor" => map(n, move |n, _| Ok(decimal::floor(n, scale))),
            _ => map(n, move |n, _| Ok(decimal::ceil(n, scale))),
        };
        let precision = (precision - scale.min(precision) + 1).min(decimal::MAX_DIGITS);
        return Typed::new(Code::Dec(code), Type::Decimal { precision, scale: 0 }, nullable, range);
    }
    let x: Arg<Double> = as_double(arg);
    let code = match name {
        "round" => map(x, |x, _| Ok(x.round_ties_even())),
        "floor" => map(x, |x, _| Ok(x.floor())),
        _ => map(x, |x, _| Ok(x.ceil())),
    };
    Typed::new(Code::Double(code), Type::Double, nullable, range)
}

fn double_power(base: f64, exponent: f64) -> Result<f64, Fault> {
    if base == 0.0 && exponent < 0.0 {
        return Err(EvalError::range("power", "zero to a negative power"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(EvalError::range("power", "a negative number to a power that is not whole"));
    }
    let result = base.powf(exponent);
    let finite = base.is_finite() && exponent.is_finite();
    double_result("power", result, finite, !finite || base == 0.0, false)
}
