//! Expressions over what a scope knows. Each reads a field, so that none is a constant.

use num_bigint::BigInt;

use crate::choice::Choices;
use crate::expr::{Comparison, Expr, Operator};
use crate::topology::Field;
use crate::value::{Type, Value};

/// An expression and its type.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) ty: Type,
}

/// An expression of a type that is allowed; None where no field has one.
pub(super) fn any(choices: &mut Choices, scope: &[Field], allowed: &dyn Fn(&Type) -> bool) -> Option<Typed> {
    let depth = [0, 0, 1, 1, 2][choices.below(5)];
    let fields: Vec<&Field> = scope.iter().filter(|field| allowed(&field.ty)).collect();
    if fields.is_empty() {
        return None;
    }
    let field = choices.one_of(&fields);
    let mut found = Typed { expr: Expr::name(&field.name), ty: field.ty.clone() };
    for _ in 0..depth {
        let wrapped = wrapped(choices, scope, found.clone());
        found = wrapped.filter(|wrapped| allowed(&wrapped.ty)).unwrap_or(found);
    }
    Some(found)
}

/// An expression that is seldom null, of a scalar type, for a key.
pub(super) fn for_key(choices: &mut Choices, scope: &[Field]) -> Option<Typed> {
    let allowed = |ty: &Type| ty.is_scalar() && !matches!(ty, Type::Double | Type::Boolean);
    let found = any(choices, scope, &allowed)?;
    let Some(instead) = literal(choices, &found.ty) else { return Some(found) };
    // Moved, parked, or left where it is.
    if choices.rarely(4) {
        return Some(found);
    }
    Some(Typed { expr: Expr::Coalesce(found.expr.into(), instead.into()), ty: found.ty })
}

/// Something that is true of some.
pub(super) fn condition(choices: &mut Choices, scope: &[Field]) -> Option<Expr> {
    let scalars: Vec<&Field> = scope.iter().filter(|field| field.ty.is_scalar()).collect();
    if scalars.is_empty() {
        return None;
    }
    let field = choices.one_of(&scalars);
    let name = || Box::new(Expr::name(&field.name));
    let is_known = Expr::Not(Expr::IsNull(name()).into());
    let simple = match (choices.below(4), literal(choices, &field.ty)) {
        (_, None) | (3, _) if field.ty == Type::Boolean => *name(),
        (_, None) | (0, _) => is_known,
        (1, Some(other)) => Expr::IsDistinct(name(), other.into()),
        (_, Some(other)) => Expr::Compare(choices.one_of(&Comparison::ALL), name(), other.into()),
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
        Type::Decimal(scale) if *scale <= 8 => {
            Value::Decimal(BigInt::from(n * 5) * crate::value::power(*scale) / 2, *scale)
        }
        Type::Text => Value::text(["a", "b", "ab", "é"][n]),
        Type::Time => Value::Time(n as u32 * 86_400),
        _ => return None,
    }))
}

/// The expression within another, whose type it may change.
fn wrapped(choices: &mut Choices, scope: &[Field], Typed { expr, ty }: Typed) -> Option<Typed> {
    let same = |expr: Expr| Some(Typed { expr, ty: ty.clone() });
    if choices.rarely(4)
        && let Some(condition) = condition(choices, scope)
        && let Some(other) = other(choices, scope, &ty)
    {
        return same(Expr::Case(condition.into(), expr.into(), other.into()));
    }
    match &ty {
        Type::Int | Type::Long | Type::Decimal(_) => number(choices, scope, expr, ty),
        Type::Text => match choices.below(5) {
            0 => same(Expr::Concat(expr.into(), other(choices, scope, &ty)?.into())),
            1 => same(Expr::Coalesce(expr.into(), literal(choices, &ty)?.into())),
            2 => same(Expr::NullIf(expr.into(), literal(choices, &ty)?.into())),
            3 => same(Expr::Upper(expr.into())),
            _ => Some(Typed { expr: Expr::Length(expr.into()), ty: Type::Int }),
        },
        Type::Boolean => match choices.below(2) {
            0 => same(Expr::Not(expr.into())),
            _ => same(Expr::Or(expr.into(), condition(choices, scope)?.into())),
        },
        Type::Time => same(Expr::Truncate(choices.one_of(&["day", "hour", "month"]), expr.into())),
        _ => None,
    }
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
    let fields: Vec<&Field> = scope.iter().filter(|field| field.ty.is_exact()).collect();
    let (right, right_ty) = match (!fields.is_empty() && choices.rarely(3)).then(|| choices.one_of(&fields)) {
        Some(field) => (Expr::name(&field.name), field.ty.clone()),
        None => (Expr::Literal(Value::Whole(2)), Type::Int),
    };
    let ty = operator.result(&ty, &right_ty)?;
    Some(Typed { expr: Expr::Arithmetic(operator, expr.into(), right.into(), ty.clone()), ty })
}
