//! `+ - * / %`, the unary minus and `||`: Postgres's result types, no result ever wrong: what does not fit is an error.

use std::ops::Range;

use headwater_schemas::Type;

use super::{Checked, Checker};
use crate::expr::ast::{Ast, BinaryOp};
use crate::expr::code::{Code, Ty, Typed};
use crate::expr::error::{EvalError, Fault};
use crate::expr::kind::{Arg, Dec, Double, Long, map, map2};
use crate::expr::{ExprError, decimal, time};

/// The digits after the point that a quotient of decimals has at least.
const DIVISION_SCALE: u8 = 6;

impl Checker<'_> {
    pub(super) fn arithmetic(&mut self, op: BinaryOp, left: &Ast, right: &Ast, range: Range<usize>) -> Checked {
        let (left, right) = self.check_two(left, right)?;
        if op == BinaryOp::Concat {
            return self.concat_operator(left, right, range);
        }
        let (left, right) = self.adopt_for(op, left, right)?;
        if left.ty == Ty::Null && right.ty == Ty::Null {
            let message = format!("`{}` of two nulls: of which type?", op.symbol());
            return self.fail_with(ExprError::new(message, range, "no type").help("write cast(null as int)"));
        }
        if left.ty.is_numeric() && right.ty.is_numeric() {
            return self.numbers(op, left, right, range);
        }
        self.moments(op, left, right, range)
    }

    /// A string literal or a null takes the other side's type; beside `+` of a timestamp it is an interval.
    fn adopt_for(&mut self, op: BinaryOp, left: Typed, right: Typed) -> Option<(Typed, Typed)> {
        let to_interval = |at: &Typed| op == BinaryOp::Add && (at.ty.is_instant() || at.ty.is_date());
        if left.ty == Ty::Null && to_interval(&right) {
            return Some((self.adopt(left, &Ty::Interval)?, right));
        }
        if right.ty == Ty::Null && to_interval(&left) {
            return Some((left, self.adopt(right, &Ty::Interval)?));
        }
        if left.literal.is_some() && to_interval(&right) {
            return Some((self.interval(&left.literal?, left.range)?, right));
        }
        if right.literal.is_some() && to_interval(&left) {
            let right = self.interval(&right.literal?, right.range)?;
            return Some((left, right));
        }
        self.adopt_two(left, right)
    }

    fn numbers(&mut self, op: BinaryOp, left: Typed, right: Typed, range: Range<usize>) -> Checked {
        let nullable = left.nullable || right.nullable;
        let ty = match number_type(op, &left.ty, &right.ty) {
            Ok(ty) => ty,
            Err((message, help)) => {
                return self.fail_with(ExprError::new(message, range, "not for these").help(help));
            }
        };
        let code = match &ty {
            Type::Int => Code::Long(of_ints(op, left.code.into_long(), right.code.into_long())),
            Type::Long => Code::Long(of_longs(op, left.code.into_long(), right.code.into_long())),
            Type::Float | Type::Double => {
                let (left, right) = (left.code.into_double(&left.ty), right.code.into_double(&right.ty));
                Code::Double(of_doubles(op, left, right, ty == Type::Float))
            }
            _ => {
                let (left_scale, right_scale) = (left.ty.scale(), right.ty.scale());
                let (left, right) = (left.code.into_decimal(), right.code.into_decimal());
                Code::Dec(of_decimals(op, (left, left_scale), (right, right_scale), Ty::Of(ty.clone()).scale()))
            }
        };
        Some(Typed::new(code, ty, nullable, range))
    }

    /// Dates, timestamps and intervals.
    fn moments(&mut self, op: BinaryOp, left: Typed, right: Typed, range: Range<usize>) -> Checked {
        use BinaryOp::{Add, Divide, Multiply, Subtract};
        let nullable = left.nullable || right.nullable;
        let instant = |code| Some(Typed::new(Code::Long(code), Type::TimestampMicros, nullable, range.clone()));
        let date = |code| Some(Typed::new(Code::Long(code), Type::Date, nullable, range.clone()));
        let interval = |code| {
            let typed = Typed::new(Code::Interval(code), Type::Long, nullable, range.clone());
            Some(Typed { ty: Ty::Interval, ..typed })
        };
        let at = |typed: &Typed| typed.ty.is_instant() || typed.ty.is_date();
        match op {
            Add if at(&left) && right.ty == Ty::Interval => {
                let (at, by) = (left.code.into_instant(&left.ty), right.code.into_interval());
                instant(map2(at, by, |at, by, _| time::add(at, by)))
            }
            Add if left.ty == Ty::Interval && at(&right) => self.moments(op, right, left, range),
            Subtract if at(&left) && right.ty == Ty::Interval => {
                let (at, by) = (left.code.into_instant(&left.ty), right.code.into_interval());
                instant(map2(at, by, |at, by, _| time::add(at, time::negate(by)?)))
            }
            Add if left.ty.is_date() && right.ty.is_integer() => {
                date(map2(left.code.into_long(), right.code.into_long(), |day, n, _| {
                    time::day_range(day.checked_add(n))
                }))
            }
            Add if left.ty.is_integer() && right.ty.is_date() => self.moments(op, right, left, range),
            Subtract if left.ty.is_date() && right.ty.is_integer() => {
                date(map2(left.code.into_long(), right.code.into_long(), |day, n, _| {
                    time::day_range(day.checked_sub(n))
                }))
            }
            Subtract if left.ty.is_date() && right.ty.is_date() => {
                let days = of_ints(op, left.code.into_long(), right.code.into_long());
                Some(Typed::new(Code::Long(days), Type::Int, nullable, range))
            }
            Subtract if at(&left) && at(&right) => {
                let (left, right) = (left.code.into_instant(&left.ty), right.code.into_instant(&right.ty));
                interval(map2(left, right, |left, right, _| time::between(left, right)))
            }
            Add | Subtract if left.ty == Ty::Interval && right.ty == Ty::Interval => {
                let minus = op == Subtract;
                interval(map2(left.code.into_interval(), right.code.into_interval(), move |left, right, _| {
                    time::plus(left, if minus { time::negate(right)? } else { right })
                }))
            }
            Multiply if left.ty == Ty::Interval && right.ty.is_integer() => {
                interval(map2(left.code.into_interval(), right.code.into_long(), |span, n, _| time::times(span, n)))
            }
            Multiply | Divide if left.ty == Ty::Interval && right.ty.is_numeric() => {
                let divides = op == Divide;
                let by = right.code.into_double(&right.ty);
                interval(map2(left.code.into_interval(), by, move |span, by, _| match by {
                    0.0 if divides => Err(EvalError::division("/")),
                    by => time::scaled(span, by, divides),
                }))
            }
            Multiply if left.ty.is_numeric() && right.ty == Ty::Interval => self.moments(op, right, left, range),
            _ => self.no_operator(op, &left.ty, &right.ty, range),
        }
    }

    fn no_operator(&mut self, op: BinaryOp, left: &Ty, right: &Ty, range: Range<usize>) -> Checked {
        let symbol = op.symbol();
        let error =
            ExprError::new(format!("`{symbol}` does not work on {left} and {right}"), range, "not for these types");
        let help = match (left, right) {
            _ if op == BinaryOp::Add && (left.is_text() || right.is_text()) => "text is put together by ||".to_owned(),
            (l, r) if l.is_text() != r.is_text() && (l.is_numeric() || r.is_numeric()) => {
                format!("cast one of them: cast(… as {})", if l.is_numeric() { l } else { r })
            }
            (l, _) if l.is_instant() || l.is_date() => "a timestamp moves by an interval: interval '1 day'".to_owned(),
            _ => "arithmetic takes numbers, dates, timestamps and intervals".to_owned(),
        };
        self.fail_with(error.help(help))
    }

    pub(super) fn negate(&mut self, arg: &Ast, range: Range<usize>) -> Checked {
        let arg = self.check(arg)?;
        let code = match (&arg.ty, arg.code) {
            (Ty::Of(Type::Int), Code::Long(n)) => Code::Long(map(n, |n, _| int("-", n.checked_neg()))),
            (Ty::Of(Type::Long), Code::Long(n)) => {
                Code::Long(map(n, |n, _| n.checked_neg().ok_or_else(|| EvalError::overflow("-", "bigint"))))
            }
            (ty, Code::Double(x)) if ty.is_float() => Code::Double(map(x, |x, _| Ok(-x))),
            (Ty::Of(Type::Decimal { .. }), Code::Dec(n)) => Code::Dec(map(n, |n, _| Ok(n.wrapping_neg()))),
            (Ty::Interval, Code::Interval(span)) => Code::Interval(map(span, |span, _| time::negate(span))),
            (ty, _) => {
                let message = format!("`-` does not work on {ty}");
                return self.fail(range, message, "not a number");
            }
        };
        Some(Typed { code, ty: arg.ty, nullable: arg.nullable, range, literal: None })
    }
}

/// The type of an operation on numbers, or what is wrong and what to do.
pub(super) fn number_type(op: BinaryOp, left: &Ty, right: &Ty) -> Result<Type, (String, &'static str)> {
    let (Some(left), Some(right)) = (left.of(), right.of()) else {
        return Err(("numbers are expected".into(), "cast one of them"));
    };
    if matches!(left, Type::Float | Type::Double) || matches!(right, Type::Float | Type::Double) {
        if op == BinaryOp::Modulo {
            return Err((format!("`%` does not work on {left} and {right}"), "cast them to numeric(p, s)"));
        }
        let both_float = *left == Type::Float && *right == Type::Float;
        return Ok(if both_float { Type::Float } else { Type::Double });
    }
    if let (Some(left), Some(right)) = (digits(left), digits(right)) {
        if matches!((left, right), ((_, 0, false), (_, 0, false))) {
            return Ok(if left.0 > 10 || right.0 > 10 { Type::Long } else { Type::Int });
        }
        return decimal_type(op, (left.0, left.1), (right.0, right.1));
    }
    Err(("numbers are expected".into(), "cast one of them"))
}

/// Digits in all, after the point, and whether it is a decimal.
fn digits(ty: &Type) -> Option<(u8, u8, bool)> {
    match ty {
        Type::Int => Some((10, 0, false)),
        Type::Long => Some((19, 0, false)),
        Type::Decimal { precision, scale } => Some((*precision, *scale, true)),
        _ => None,
    }
}

fn decimal_type(op: BinaryOp, left: (u8, u8), right: (u8, u8)) -> Result<Type, (String, &'static str)> {
    let scale = match op {
        BinaryOp::Multiply => left.1 + right.1,
        BinaryOp::Divide => left.1.max(DIVISION_SCALE),
        _ => left.1.max(right.1),
    };
    if scale > decimal::MAX_DIGITS {
        let message = format!("this product would have {scale} digits after the point, and 38 is the most");
        return Err((message, "round one of them first: round(x, 6)"));
    }
    let whole = left.0.saturating_sub(left.1).max(right.0.saturating_sub(right.1));
    let precision = match op {
        BinaryOp::Multiply => left.0 + right.0,
        BinaryOp::Divide => decimal::MAX_DIGITS,
        BinaryOp::Modulo => whole + scale,
        _ => whole + scale + 1,
    };
    Ok(Type::Decimal { precision: precision.min(decimal::MAX_DIGITS), scale })
}

fn int(operation: &'static str, n: Option<i64>) -> Result<i64, Fault> {
    match n {
        Some(n) if i32::try_from(n).is_ok() => Ok(n),
        _ => Err(EvalError::overflow(operation, "int")),
    }
}

/// Both are within 32 bits, so 64 hold every result.
pub(super) fn of_ints(op: BinaryOp, left: Arg<Long>, right: Arg<Long>) -> Arg<Long> {
    match op {
        BinaryOp::Add => map2(left, right, |a, b, _| int("+", a.checked_add(b))),
        BinaryOp::Subtract => map2(left, right, |a, b, _| int("-", a.checked_sub(b))),
        BinaryOp::Multiply => map2(left, right, |a, b, _| int("*", a.checked_mul(b))),
        BinaryOp::Divide => map2(left, right, |a, b, _| match b {
            0 => Err(EvalError::division("/")),
            b => int("/", a.checked_div(b)),
        }),
        _ => map2(left, right, |a, b, _| match b {
            0 => Err(EvalError::division("%")),
            b => Ok(a.wrapping_rem(b)),
        }),
    }
}

pub(super) fn of_longs(op: BinaryOp, left: Arg<Long>, right: Arg<Long>) -> Arg<Long> {
    fn fits(operation: &'static str, n: Option<i64>) -> Result<i64, Fault> {
        n.ok_or_else(|| EvalError::overflow(operation, "bigint"))
    }
    match op {
        BinaryOp::Add => map2(left, right, |a, b, _| fits("+", a.checked_add(b))),
        BinaryOp::Subtract => map2(left, right, |a, b, _| fits("-", a.checked_sub(b))),
        BinaryOp::Multiply => map2(left, right, |a, b, _| fits("*", a.checked_mul(b))),
        BinaryOp::Divide => map2(left, right, |a, b, _| match b {
            0 => Err(EvalError::division("/")),
            b => fits("/", a.checked_div(b)),
        }),
        // wrapping: the remainder of the least by -1 is 0.
        _ => map2(left, right, |a, b, _| match b {
            0 => Err(EvalError::division("%")),
            b => Ok(a.wrapping_rem(b)),
        }),
    }
}

/// The result of an operation on doubles as Postgres takes it: neither overflow nor underflow goes by unsaid.
#[inline]
pub(super) fn double_result(
    operation: &'static str,
    result: f64,
    inputs_finite: bool,
    may_be_zero: bool,
    narrow: bool,
) -> Result<f64, Fault> {
    let (result, ty) = if narrow { (f64::from(result as f32), "real") } else { (result, "double precision") };
    if (result.is_infinite() && inputs_finite) || (result == 0.0 && !may_be_zero) {
        return Err(EvalError::overflow(operation, ty));
    }
    Ok(result)
}

fn of_doubles(op: BinaryOp, left: Arg<Double>, right: Arg<Double>, narrow: bool) -> Arg<Double> {
    match op {
        BinaryOp::Add => {
            map2(left, right, move |a, b, _| double_result("+", a + b, a.is_finite() && b.is_finite(), true, narrow))
        }
        BinaryOp::Subtract => {
            map2(left, right, move |a, b, _| double_result("-", a - b, a.is_finite() && b.is_finite(), true, narrow))
        }
        BinaryOp::Multiply => map2(left, right, move |a, b, _| {
            double_result("*", a * b, a.is_finite() && b.is_finite(), a == 0.0 || b == 0.0, narrow)
        }),
        _ => map2(left, right, move |a, b, _| {
            if b == 0.0 && !a.is_nan() {
                return Err(EvalError::division("/"));
            }
            double_result("/", a / b, a.is_finite(), a == 0.0 || b.is_infinite(), narrow)
        }),
    }
}

pub(super) fn of_decimals(op: BinaryOp, left: (Arg<Dec>, u8), right: (Arg<Dec>, u8), scale: u8) -> Arg<Dec> {
    fn fits(operation: &'static str, scale: u8, n: Option<i128>) -> Result<i128, Fault> {
        n.ok_or_else(|| EvalError::overflow(operation, Type::Decimal { precision: decimal::MAX_DIGITS, scale }))
    }
    let ((left, ls), (right, rs)) = (left, right);
    match op {
        BinaryOp::Add => map2(left, right, move |a, b, _| fits("+", scale, decimal::add((a, ls), (b, rs)))),
        BinaryOp::Subtract => {
            map2(left, right, move |a, b, _| fits("-", scale, decimal::add((a, ls), (b.wrapping_neg(), rs))))
        }
        BinaryOp::Multiply => map2(left, right, move |a, b, _| fits("*", scale, decimal::multiply(a, b))),
        BinaryOp::Divide => map2(left, right, move |a, b, _| match b {
            0 => Err(EvalError::division("/")),
            b => fits("/", scale, decimal::divide((a, ls), (b, rs), scale)),
        }),
        _ => map2(left, right, move |a, b, _| match b {
            0 => Err(EvalError::division("%")),
            b => fits("%", scale, decimal::remainder((a, ls), (b, rs))),
        }),
    }
}
