//! What chooses one of several values: `case`, `coalesce`, `nullif`, `greatest`, `least`. Their common type is Postgres's.

use std::ops::Range;

use headwater_schemas::Type;

use super::compare::Subject;
use super::{Checked, Checker};
use crate::expr::ast::{Ast, BinaryOp};
use crate::expr::code::{Code, Ty, Typed, each_kind};
use crate::expr::kind::{Arg, Bool, Double, Kind, Span};
use crate::expr::order::{float_order, value_order};
use crate::expr::{ExprError, assign};

impl Checker<'_> {
    pub(super) fn case(
        &mut self,
        operand: Option<&Ast>,
        branches: &[(Ast, Ast)],
        otherwise: Option<&Ast>,
        range: Range<usize>,
    ) -> Checked {
        let operand = operand.map(|operand| self.check(operand));
        let subject = match operand {
            None => None,
            Some(checked) => match Subject::new(checked?) {
                Some(subject) => Some(subject),
                None => return self.fail(range, "`case` does not compare intervals", "not for this type"),
            },
        };
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for (when, then) in branches {
            conditions.push(match &subject {
                None => self.truth(when, "when").map(|when| when.code.into_bool()),
                Some(subject) => self.check(when).and_then(|when| {
                    let at = when.range.clone();
                    self.compare(BinaryOp::Equal, subject.typed.clone(), when, &at)
                }),
            });
            values.push(self.check(then));
        }
        values.push(match otherwise {
            Some(otherwise) => self.check(otherwise),
            None => Some(Typed::null(range.clone())),
        });
        let conditions: Option<Vec<Arg<Bool>>> = conditions.into_iter().collect();
        let values: Option<Vec<Typed>> = values.into_iter().collect();
        let (conditions, values) = conditions.zip(values)?;
        let nullable = values.iter().any(|value| value.nullable);
        let (ty, mut codes) = self.common(values, "case", &range)?;
        // The last value is that of `else`; there is always one.
        let otherwise = codes.pop()?;
        let code = choose(conditions, codes, otherwise);
        let code = subject.map(|subject| Subject::around(subject, code.clone())).unwrap_or(code);
        Some(Typed { code, ty, nullable, range, literal: None })
    }

    pub(super) fn coalesce(&mut self, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let nullable = args.iter().all(|arg| arg.nullable);
        let (ty, codes) = self.common(args, "coalesce", &range)?;
        // A constant null gives nothing, and what follows another constant is never asked for.
        let mut codes = codes.into_iter();
        let mut asked = vec![codes.next()?];
        while let Some(code) =
            codes.next().filter(|_| asked.last().is_some_and(|last| !last.is_constant() || last.is_null()))
        {
            if asked.last().is_some_and(Code::is_null) {
                asked.pop();
            }
            asked.push(code);
        }
        let first = asked.remove(0);
        let code = each_kind!(first, Same, first => {
            let rest: Vec<_> = asked.into_iter().filter_map(|code| if let Same(arg) = code { Some(arg) } else { None }).collect();
            if rest.is_empty() { Same(first) } else { Same(Arg::computed(move |ctx| {
                if let Some(value) = first.get(ctx)? {
                    return Ok(Some(value));
                }
                for one in &rest {
                    if let Some(value) = one.get(ctx)? {
                        return Ok(Some(value));
                    }
                }
                Ok(None)
            })) }
        });
        Some(Typed { code, ty, nullable, range, literal: None })
    }

    pub(super) fn nullif(&mut self, left: Typed, right: Typed, range: Range<usize>) -> Checked {
        let Some(subject) = Subject::new(left) else {
            return self.fail(range, "`nullif` does not compare intervals", "not for this type");
        };
        let (value, ty) = as_compared(&subject.typed, &right.ty);
        let literal = subject.typed.literal.clone();
        let equal = self.compare(BinaryOp::Equal, subject.typed.clone(), right, &range)?;
        let body = each_kind!(value, Same, value => Same(Arg::computed(move |ctx| {
            Ok(if equal.get(ctx)? == Some(true) { None } else { value.get(ctx)? })
        })));
        let ty = if literal.is_some() { Ty::Of(Type::String) } else { ty };
        Some(Typed { code: subject.around(body), ty, nullable: true, range, literal: None })
    }

    /// `greatest` and `least`: nulls are passed over.
    pub(super) fn extreme(&mut self, name: &str, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let nullable = args.iter().all(|arg| arg.nullable);
        let greatest = name == "greatest";
        let (ty, codes) = self.common(args, name, &range)?;
        let comparable = match &ty {
            Ty::Interval | Ty::Null => true,
            Ty::Of(ty) => {
                !matches!(ty, Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_))
            }
        };
        if !comparable {
            return self.fail(range, format!("`{name}` cannot compare values of {ty}"), "not for this type");
        }
        let code = match all_of_kind(codes)? {
            Codes::Bool(all) => Code::Bool(extreme_of(all, move |a: bool, b: bool| better(b.cmp(&a), greatest))),
            Codes::Long(all) => Code::Long(extreme_of(all, move |a: i64, b: i64| better(b.cmp(&a), greatest))),
            Codes::Dec(all) => Code::Dec(extreme_of(all, move |a: i128, b: i128| better(b.cmp(&a), greatest))),
            Codes::Double(all) => Code::Double(extreme_of(all, move |a, b| better(float_order(b, a), greatest))),
            Codes::Text(all) => {
                Code::Text(extreme_of(all, move |a: &str, b: &str| better(b.as_bytes().cmp(a.as_bytes()), greatest)))
            }
            Codes::Interval(all) => {
                Code::Interval(extreme_of(all, move |a: Span, b| better(b.length().cmp(&a.length()), greatest)))
            }
            Codes::Any(all) => Code::Any(extreme_of(all, move |a, b| better(value_order(&b, &a), greatest))),
        };
        Some(Typed { code, ty, nullable, range, literal: None })
    }

    /// All of one type: the first that all can be converted to without `cast`.
    pub(super) fn common(&mut self, all: Vec<Typed>, name: &str, range: &Range<usize>) -> Option<(Ty, Vec<Code>)> {
        let mut common: Option<Ty> = None;
        // A string literal takes the type of the others, whatever its place.
        for typed in all.iter().filter(|typed| typed.literal.is_none() && typed.ty != Ty::Null) {
            common = match &common {
                None => Some(typed.ty.clone()),
                Some(ty) => match common_type(ty, &typed.ty) {
                    Some(ty) => Some(ty),
                    None => {
                        let message = format!("`{name}` cannot give both {ty} and {}", typed.ty);
                        let error = ExprError::new(message, typed.range.clone(), format!("this is {}", typed.ty));
                        return self.fail_with(error.help("cast one of them: cast(… as text)"));
                    }
                },
            };
        }
        let Some(mut common) = common else {
            return if all.iter().any(|typed| typed.literal.is_some()) {
                Some((Ty::Of(Type::String), all.into_iter().map(|typed| typed.code).collect()))
            } else {
                Some((Ty::Null, all.into_iter().map(|typed| typed.code).collect()))
            };
        };
        // An enum beside other text is text.
        if matches!(common, Ty::Of(Type::Enum(_))) && all.iter().any(|typed| typed.literal.is_some()) {
            common = Ty::Of(Type::String);
        }
        let adopted: Vec<Checked> = all.into_iter().map(|typed| self.adopt(typed, &common)).collect();
        let adopted: Vec<Typed> = adopted.into_iter().collect::<Option<_>>()?;
        for typed in &adopted {
            common = common_type(&common, &typed.ty)?;
        }
        let codes: Result<Vec<Code>, _> = adopted.into_iter().map(|typed| widened(typed, &common)).collect();
        match codes {
            Ok(codes) => Some((common, codes)),
            Err(fault) => self.fail(range.clone(), fault.to_string(), "this has no value"),
        }
    }
}

/// What `nullif` gives: its first argument, of the type in which it is compared with the second. Postgres compares integers
/// with integers and floats with any number as they are.
fn as_compared(left: &Typed, right: &Ty) -> (Code, Ty) {
    let (code, ty) = (left.code.clone(), left.ty.clone());
    let alike = ty.is_float() || (ty.is_integer() && right.is_integer());
    if alike || !(ty.is_numeric() && right.is_numeric()) {
        return (code, ty);
    }
    if right.is_float() {
        return (Code::Double(code.into_double(&ty)), Ty::Of(Type::Double));
    }
    match ty {
        Ty::Of(Type::Int) => (Code::Dec(code.into_decimal()), Ty::Of(Type::Decimal { precision: 10, scale: 0 })),
        Ty::Of(Type::Long) => (Code::Dec(code.into_decimal()), Ty::Of(Type::Decimal { precision: 19, scale: 0 })),
        ty => (code, ty),
    }
}

fn better(order: std::cmp::Ordering, greatest: bool) -> bool {
    if greatest { order.is_gt() } else { order.is_lt() }
}

/// The type that both become. Postgres's: numbers go int, bigint, numeric, real, double precision.
pub(super) fn common_type(left: &Ty, right: &Ty) -> Option<Ty> {
    if left == right {
        return Some(left.clone());
    }
    let (left, right) = (left.of()?, right.of()?);
    if left.is_numeric() && right.is_numeric() {
        let rank = |ty: &Type| match ty {
            Type::Int => 0,
            Type::Long => 1,
            Type::Decimal { .. } => 2,
            Type::Float => 3,
            _ => 4,
        };
        let wider = if rank(left) >= rank(right) { left } else { right };
        return Some(Ty::Of(match wider {
            Type::Decimal { .. } => assign::common_decimal(left, right)?,
            other => other.clone(),
        }));
    }
    if left.is_text() && right.is_text() {
        return Some(Ty::Of(Type::String));
    }
    let moment = |ty: &Type| *ty == Type::Date || ty.is_timestamp();
    if moment(left) && moment(right) {
        return Some(Ty::Of(Type::TimestampMicros));
    }
    None
}

/// The code as one of a common type.
fn widened(typed: Typed, to: &Ty) -> Result<Code, crate::expr::error::Fault> {
    if typed.ty == *to {
        return Ok(typed.code);
    }
    Ok(match to {
        Ty::Of(Type::Decimal { scale, .. }) => Code::Dec(typed.code.into_scale(typed.ty.scale(), *scale)?),
        Ty::Of(Type::Double) => Code::Double(typed.code.into_double(&typed.ty)),
        Ty::Of(Type::Float) => Code::Double(typed.code.into_float(&typed.ty)),
        Ty::Of(Type::TimestampMicros) => Code::Long(typed.code.into_instant(&typed.ty)),
        _ => typed.code,
    })
}

/// The first value whose condition is true.
fn choose(conditions: Vec<Arg<Bool>>, values: Vec<Code>, otherwise: Code) -> Code {
    each_kind!(otherwise, Same, otherwise => {
        let values = values.into_iter().filter_map(|code| if let Same(arg) = code { Some(arg) } else { None });
        let branches: Vec<_> = conditions.into_iter().zip(values).collect();
        Same(Arg::computed(move |ctx| {
            for (condition, value) in &branches {
                if condition.get(ctx)? == Some(true) {
                    return value.get(ctx);
                }
            }
            otherwise.get(ctx)
        }))
    })
}

enum Codes {
    Bool(Vec<Arg<Bool>>),
    Long(Vec<Arg<crate::expr::kind::Long>>),
    Double(Vec<Arg<Double>>),
    Dec(Vec<Arg<crate::expr::kind::Dec>>),
    Text(Vec<Arg<crate::expr::kind::Text>>),
    Interval(Vec<Arg<crate::expr::kind::Interval>>),
    Any(Vec<Arg<crate::expr::kind::Any>>),
}

/// Codes of a common type are of one kind.
fn all_of_kind(codes: Vec<Code>) -> Option<Codes> {
    Some(match codes.first()? {
        Code::Bool(_) => Codes::Bool(codes.into_iter().map(Code::into_bool).collect()),
        Code::Long(_) => Codes::Long(codes.into_iter().map(Code::into_long).collect()),
        Code::Double(_) => Codes::Double(codes.into_iter().map(|code| code.into_double(&Ty::Null)).collect()),
        Code::Dec(_) => Codes::Dec(codes.into_iter().map(Code::into_decimal).collect()),
        Code::Text(_) => Codes::Text(codes.into_iter().map(Code::into_text).collect()),
        Code::Interval(_) => Codes::Interval(codes.into_iter().map(Code::into_interval).collect()),
        Code::Any(_) => Codes::Any(codes.into_iter().map(Code::into_any).collect()),
    })
}

fn extreme_of<K: Kind>(
    all: Vec<Arg<K>>,
    is_better: impl for<'a> Fn(K::Of<'a>, K::Of<'a>) -> bool + Send + Sync + 'static,
) -> Arg<K> {
    Arg::computed(move |ctx| {
        let mut best = None;
        for one in &all {
            best = match (best, one.get(ctx)?) {
                (Some(best), Some(value)) => Some(if is_better(best, value) { value } else { best }),
                (best, value) => best.or(value),
            };
        }
        Ok(best)
    })
}
