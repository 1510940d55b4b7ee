//! Expressions over what a scope knows. Each reads a field, so that none is a constant.

use num_bigint::BigInt;

use super::log::midnight;
use crate::choice::Choices;
use crate::expr::{Comparison, Expr, Operator, TextFunction};
use crate::topology::Field;
use crate::value::{Type, Value, line_fields, place_fields, power};

/// An expression and its type.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) ty: Type,
}

/// An expression of a type that is allowed; None where no field has one.
pub(super) fn any(choices: &mut Choices, scope: &[Field], allowed: &dyn Fn(&Type) -> bool) -> Option<Typed> {
    let depth = [0, 0, 1, 1, 2][choices.below(5)];
    let mut found = leaf(choices, scope, allowed)?;
    for _ in 0..depth {
        let wrapped = wrapped(choices, scope, found.clone());
        found = wrapped.filter(|wrapped| allowed(&wrapped.ty)).unwrap_or(found);
    }
    Some(found)
}

/// A field, or a part of one; of two only one is a part.
pub(super) fn leaf(choices: &mut Choices, scope: &[Field], allowed: &dyn Fn(&Type) -> bool) -> Option<Typed> {
    let is_allowed = |leaves: Vec<Typed>| leaves.into_iter().filter(|leaf| allowed(&leaf.ty)).collect::<Vec<_>>();
    let fields = scope.iter().map(|field| Typed { expr: Expr::name(&field.name), ty: field.ty.clone() });
    let parts = is_allowed(scope.iter().flat_map(parts).collect());
    let fields = is_allowed(fields.collect());
    let of_parts = fields.is_empty() || choices.rarely(3);
    let all = if of_parts && !parts.is_empty() { parts } else { fields };
    if all.is_empty() { None } else { Some(choices.one_of(&all)) }
}

/// What a field has in it, by its path.
fn parts(field: &Field) -> Vec<Typed> {
    let own = || Box::new(Expr::name(&field.name));
    let of_record = |record: &Expr, fields: &[(&'static str, Type)]| -> Vec<Typed> {
        let part = |(name, ty): &(&'static str, Type)| Typed {
            expr: Expr::Field(record.clone().into(), name),
            ty: ty.clone(),
        };
        fields.iter().map(part).collect()
    };
    let size = || Typed { expr: Expr::Cardinality(own()), ty: Type::Int };
    match &field.ty {
        Type::Place => of_record(&own(), &place_fields()),
        Type::Map => vec![Typed { expr: Expr::Entry(own(), "x"), ty: Type::Text }],
        Type::Lines => {
            let first = of_record(&Expr::Item(own(), 1), &line_fields());
            first.into_iter().chain(of_record(&Expr::Item(own(), 2), &line_fields())).chain([size()]).collect()
        }
        Type::List(of) => {
            let item = |place: usize| Typed { expr: Expr::Item(own(), place), ty: (**of).clone() };
            vec![item(1), item(2), size()]
        }
        _ => Vec::new(),
    }
}

/// An expression that is seldom null, of a scalar type, for a key.
pub(super) fn for_key(choices: &mut Choices, scope: &[Field]) -> Option<Typed> {
    let found = any(choices, scope, &|ty| ty.is_scalar() && *ty != Type::Boolean)?;
    let Some(instead) = literal(choices, &found.ty) else { return Some(found) };
    // Moved, parked, or left where it is.
    if choices.rarely(4) {
        return Some(found);
    }
    Some(Typed { expr: Expr::Coalesce(found.expr.into(), instead.into()), ty: found.ty })
}

/// Something that is true of some.
pub(super) fn condition(choices: &mut Choices, scope: &[Field]) -> Option<Expr> {
    let Typed { expr, ty } = leaf(choices, scope, &Type::is_scalar)?;
    let own = || Box::new(expr.clone());
    let is_known = Expr::Not(Expr::IsNull(own()).into());
    let simple = match (choices.below(8), literal(choices, &ty)) {
        (_, None) | (3, _) if ty == Type::Boolean => expr.clone(),
        (_, None) | (0, _) => is_known,
        (1, Some(other)) => Expr::IsDistinct(own(), other.into()),
        (4, Some(other)) => Expr::In(own(), vec![other, literal(choices, &ty)?, Expr::Literal(Value::Null)]),
        (5, Some(other)) => Expr::In(own(), vec![other, literal(choices, &ty)?]),
        (6, Some(other)) => Expr::Between(own(), other.into(), literal(choices, &ty)?.into()),
        (7, Some(_)) if ty == Type::Text => Expr::Like(own(), choices.one_of(&["a%", "%b", "_", "%_b%", ""])),
        (_, Some(other)) => Expr::Compare(choices.one_of(&Comparison::ALL), own(), other.into()),
    };
    if !choices.rarely(4) {
        return Some(simple);
    }
    let other = condition(choices, scope)?;
    Some(match choices.below(3) {
        0 => Expr::And(simple.into(), other.into()),
        1 => Expr::Or(simple.into(), other.into()),
        _ => Expr::Not(simple.into()),
    })
}

/// A value that fields of this type often have.
fn literal(choices: &mut Choices, ty: &Type) -> Option<Expr> {
    let n = choices.below(4);
    Some(Expr::Literal(match ty {
        Type::Int | Type::Long => Value::Whole(n as i64),
        Type::Decimal(scale) if *scale <= 8 => Value::Decimal(BigInt::from(n * 5) * power(*scale) / 2, *scale),
        Type::Double => Value::Double([0.5, 1.0, f64::INFINITY, f64::NAN][n]),
        Type::Text => Value::text(["a", "b", "ab", "é"][n]),
        Type::Time => Value::Time(midnight(n as i64)),
        Type::Date => Value::Date(midnight(n as i64) / crate::calendar::DAY),
        _ => return None,
    }))
}

/// The expression within another, whose type it may change.
fn wrapped(choices: &mut Choices, scope: &[Field], Typed { expr, ty }: Typed) -> Option<Typed> {
    let same = |expr: Expr| Some(Typed { expr, ty: ty.clone() });
    if choices.rarely(4)
        && let Some(other) = other(choices, scope, &ty)
    {
        return same(chosen(choices, scope, expr, other)?);
    }
    if choices.rarely(4) {
        return cast(choices, expr, &ty);
    }
    match &ty {
        Type::Int | Type::Long | Type::Decimal(_) | Type::Double => number(choices, scope, expr, ty),
        Type::Text => match choices.below(5) {
            0 => same(Expr::Concat(expr.into(), other(choices, scope, &ty)?.into())),
            1 => same(Expr::Coalesce(expr.into(), literal(choices, &ty)?.into())),
            2 => same(Expr::NullIf(expr.into(), literal(choices, &ty)?.into())),
            3 => same(Expr::Joined(expr.into(), other(choices, scope, &ty)?.into())),
            _ => {
                let function = text_function(choices);
                let ty = if function == TextFunction::Length { Type::Int } else { Type::Text };
                Some(Typed { expr: Expr::Text(function, expr.into()), ty })
            }
        },
        Type::Boolean => match choices.below(2) {
            0 => same(Expr::Not(expr.into())),
            _ => same(Expr::Or(expr.into(), condition(choices, scope)?.into())),
        },
        Type::Time => match choices.below(3) {
            0 => Some(extract(choices, expr, &["hour", "day", "month", "year", "dow", "epoch"])),
            _ => {
                let zone = choices.one_of(&["UTC", "Europe/Zurich", "Asia/Kolkata"]);
                let unit = choices.one_of(&["day", "hour", "week", "month", "year"]);
                same(Expr::Truncate(unit, zone, expr.into()))
            }
        },
        Type::Date => Some(extract(choices, expr, &["day", "month", "year"])),
        _ => None,
    }
}

fn text_function(choices: &mut Choices) -> TextFunction {
    match choices.below(8) {
        0 => TextFunction::Upper,
        1 => TextFunction::Length,
        2 => TextFunction::Lower,
        3 => TextFunction::Trim,
        4 => TextFunction::Substring(choices.below(3) as i64, choices.below(3) as i64),
        5 => TextFunction::SplitPart(choices.one_of(&[1, 2, -1])),
        6 => TextFunction::Replace,
        _ => TextFunction::Pad(choices.below(4) as i64),
    }
}

fn extract(choices: &mut Choices, expr: Expr, parts: &[&'static str]) -> Typed {
    let part = choices.one_of(parts);
    let scale = if part == "epoch" { 6 } else { 0 };
    Typed { expr: Expr::Extract(part, scale, expr.into()), ty: Type::Decimal(scale) }
}

/// This, or another, as something says.
fn chosen(choices: &mut Choices, scope: &[Field], expr: Expr, other: Expr) -> Option<Expr> {
    if choices.below(2) == 0 {
        return Some(Expr::Case(condition(choices, scope)?.into(), expr.into(), other.into()));
    }
    let subject = leaf(choices, scope, &Type::is_scalar)?;
    let when = literal(choices, &subject.ty)?;
    Some(Expr::Switch(subject.expr.into(), when.into(), expr.into(), other.into()))
}

/// As another type; of some texts there is no value in it.
fn cast(choices: &mut Choices, expr: Expr, ty: &Type) -> Option<Typed> {
    // An event's name is a constant, and what cannot be computed of constants is refused.
    if expr.reads().iter().all(|name| name == "_event") {
        return None;
    }
    let to = match ty {
        Type::Text => [Type::Int, Type::Decimal(2), Type::Double, Type::Boolean, Type::Long][choices.below(5)].clone(),
        Type::Int => [Type::Text, Type::Long, Type::Decimal(2), Type::Double, Type::Boolean][choices.below(5)].clone(),
        Type::Long => [Type::Text, Type::Int, Type::Decimal(2), Type::Double][choices.below(4)].clone(),
        Type::Decimal(_) => {
            [Type::Text, Type::Int, Type::Long, Type::Decimal(1), Type::Double][choices.below(5)].clone()
        }
        Type::Double => [Type::Int, Type::Long][choices.below(2)].clone(),
        Type::Boolean => [Type::Text, Type::Int][choices.below(2)].clone(),
        Type::Time => [Type::Date, Type::Text][choices.below(2)].clone(),
        Type::Date => [Type::Time, Type::Text][choices.below(2)].clone(),
        _ => return None,
    };
    // What is most often no number is asked first.
    let expr = match (ty, &to) {
        (Type::Text, _) if choices.below(2) == 0 => {
            let looks = Expr::In(
                expr.clone().into(),
                ["7", "2.5", "NaN", "t"].map(|text| Expr::Literal(Value::text(text))).to_vec(),
            );
            Expr::Case(looks.into(), expr.into(), Expr::Literal(Value::Null).into())
        }
        _ => expr,
    };
    Some(Typed { expr: Expr::Cast(expr.into(), to.clone()), ty: to })
}

/// A field or a literal of this type.
fn other(choices: &mut Choices, scope: &[Field], ty: &Type) -> Option<Expr> {
    let fields: Vec<&Field> = scope.iter().filter(|field| field.ty == *ty).collect();
    if fields.is_empty() || choices.below(2) == 0 {
        return literal(choices, ty);
    }
    Some(Expr::name(&choices.one_of(&fields).name))
}

fn number(choices: &mut Choices, scope: &[Field], expr: Expr, ty: Type) -> Option<Typed> {
    let same = |expr: Expr| Some(Typed { expr, ty: ty.clone() });
    let operator = match choices.below(8) {
        0 => return same(Expr::Coalesce(expr.into(), literal(choices, &ty)?.into())),
        1 => return same(Expr::Negate(expr.into(), ty.clone())),
        2 => return same(Expr::NullIf(expr.into(), literal(choices, &ty)?.into())),
        3 | 4 => Operator::Add,
        5 => Operator::Subtract,
        6 => Operator::Multiply,
        _ if choices.below(2) == 0 => Operator::Divide,
        _ => Operator::Remainder,
    };
    let is_number = |ty: &Type| ty.is_exact() || *ty == Type::Double;
    let right = choices.rarely(3).then(|| leaf(choices, scope, &is_number)).flatten();
    let two = Typed { expr: Expr::Literal(Value::Whole(2)), ty: Type::Int };
    let right = right.unwrap_or(two);
    let ty = operator.result(&ty, &right.ty)?;
    Some(Typed { expr: Expr::Arithmetic(operator, expr.into(), right.expr.into(), ty.clone()), ty })
}
