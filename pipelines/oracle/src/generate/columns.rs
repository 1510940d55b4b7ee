//! Columns: reducers, and expressions over them, of the kinds that the rows may have.

use crate::choice::Choices;
use crate::expr::{Expr, Operator, TextFunction};
use crate::topology::{Argument, Column, Field, Kind, Order, Reducer};
use crate::value::{Type, Value, line_fields, place_fields};

use super::exprs::{self, Typed};

/// What feeds the rows of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Owned,
    Shared,
    Derived,
}

const ANY_ROWS: [Kind; 5] =
    [Kind::Count, Kind::Sum, Kind::Average, Kind::Deviation { sample: true, root: true }, Kind::Sum];
const DEVIATIONS: [Kind; 4] = [
    Kind::Deviation { sample: true, root: true },
    Kind::Deviation { sample: false, root: true },
    Kind::Deviation { sample: true, root: false },
    Kind::Deviation { sample: false, root: false },
];
const OF_EVENTS: [Kind; 7] =
    [Kind::Last, Kind::Least, Kind::Greatest, Kind::First, Kind::Distinct, Kind::Set, Kind::Top(2)];

/// At least one reducer.
pub(super) fn reducers(
    choices: &mut Choices,
    scope: &[Field],
    changing: &[usize],
    rows: Rows,
) -> Vec<(String, Column)> {
    choices.more(1, 4, |choices, place| {
        let column = match rows == Rows::Owned && choices.rarely(6) {
            true => computed(choices, &mut |choices| reducer(choices, scope, changing, rows)),
            false => Column::Reducer(reducer(choices, scope, changing, rows)),
        };
        (format!("c{place}"), column)
    })
}

/// What a column holds.
pub(super) fn shown(name: &str, column: &Column, ty_of: &dyn Fn(&Expr) -> Option<Type>) -> Option<Field> {
    let ty = match column {
        Column::Reducer(reducer) => reducer.result(),
        Column::Computed(reducers, expr) => {
            let parts: Vec<Field> = parts(reducers);
            type_of(expr, &parts)?
        }
        Column::Plain(expr) => ty_of(expr)?,
    };
    Some(Field { name: name.to_owned(), ty, nullable: true })
}

/// The type of an expression over these.
pub(super) fn type_of(expr: &Expr, scope: &[Field]) -> Option<Type> {
    let of_field = |fields: &[(&'static str, Type)], name: &str| {
        fields.iter().find(|(own, _)| *own == name).map(|(_, ty)| ty.clone())
    };
    match expr {
        Expr::Name(name) => scope.iter().find(|field| field.name == *name).map(|field| field.ty.clone()),
        Expr::Field(record, name) => match &**record {
            Expr::Item(..) => of_field(&line_fields(), name),
            _ => of_field(&place_fields(), name),
        },
        Expr::Item(list, _) => match type_of(list, scope)? {
            Type::List(of) => Some(*of),
            _ => None,
        },
        Expr::Arithmetic(_, _, _, ty) | Expr::Negate(_, ty) | Expr::Cast(_, ty) => Some(ty.clone()),
        Expr::Literal(_) => None,
        Expr::Coalesce(first, _) | Expr::NullIf(first, _) | Expr::Case(_, first, _) | Expr::Switch(_, _, first, _) => {
            type_of(first, scope)
        }
        Expr::Cardinality(_) | Expr::Text(TextFunction::Length, _) => Some(Type::Int),
        Expr::Entry(..) | Expr::Concat(..) | Expr::Joined(..) | Expr::Text(..) => Some(Type::Text),
        Expr::Truncate(..) => Some(Type::Time),
        Expr::Extract(_, scale, _) => Some(Type::Decimal(*scale)),
        _ => Some(Type::Boolean),
    }
}

fn parts(reducers: &[Reducer]) -> Vec<Field> {
    let part = |(i, reducer): (usize, &Reducer)| Field { name: format!("#{i}"), ty: reducer.result(), nullable: true };
    reducers.iter().enumerate().map(part).collect()
}

/// An expression over reducers.
pub(super) fn computed(choices: &mut Choices, part: &mut dyn FnMut(&mut Choices) -> Reducer) -> Column {
    let mut reducers = choices.more(1, 3, |choices, _| part(choices));
    let scalars: Vec<Field> = parts(&reducers).into_iter().filter(|part| part.ty.is_scalar()).collect();
    match exprs::any(choices, &scalars, &|ty| ty.is_scalar()) {
        // One by itself is a reducer.
        Some(Typed { expr: Expr::Name(part), .. }) => {
            let which = part.trim_start_matches('#').parse().unwrap_or(0);
            Column::Reducer(reducers.swap_remove(which))
        }
        Some(typed) => Column::Computed(reducers, typed.expr),
        None => Column::Reducer(reducers.swap_remove(0)),
    }
}

fn count() -> Reducer {
    Reducer { kind: Kind::Count, argument: Argument::None, ty: Type::Long, filter: None, order: Vec::new() }
}

pub(super) fn reducer(choices: &mut Choices, scope: &[Field], changing: &[usize], rows: Rows) -> Reducer {
    let kind = kind(choices, rows);
    let filter = choices.rarely(5).then(|| exprs::condition(choices, scope)).flatten();
    if kind == Kind::Count && choices.below(2) == 0 {
        return Reducer { filter, ..count() };
    }
    let order = order(choices, scope, kind, rows);
    if kind.goes_by_order() && rows == Rows::Shared && order.is_empty() {
        return Reducer { filter, ..count() };
    }
    let allowed = |ty: &Type| match kind {
        Kind::Last | Kind::First => true,
        Kind::Sum | Kind::Average => ty.is_exact() || (*ty == Type::Double && rows == Rows::Owned),
        Kind::Deviation { .. } => ty.is_exact(),
        _ => ty.is_scalar(),
    };
    if choices.rarely(5)
        && let Some((argument, ty)) = by_alias(choices, scope, changing, &allowed)
    {
        return Reducer { kind, argument, ty, filter, order };
    }
    match exprs::any(choices, scope, &allowed) {
        Some(typed) => Reducer { kind, argument: Argument::Same(typed.expr), ty: typed.ty, filter, order },
        None => Reducer { filter, ..count() },
    }
}

fn kind(choices: &mut Choices, rows: Rows) -> Kind {
    let of_events = rows != Rows::Derived && choices.below(3) > 0;
    let kind = match of_events {
        true => choices.one_of(&OF_EVENTS),
        false => choices.one_of(&ANY_ROWS),
    };
    match kind {
        Kind::Deviation { .. } => choices.one_of(&DEVIATIONS),
        Kind::Top(_) => Kind::Top(1 + choices.below(3)),
        Kind::Set if rows == Rows::Owned && choices.below(2) == 0 => Kind::List,
        kind => kind,
    }
}

/// By the time that the event carries, or that of its record, and something else: on a shared row always, on others at times.
fn order(choices: &mut Choices, scope: &[Field], kind: Kind, rows: Rows) -> Vec<Order> {
    let has = |name: &&str| scope.iter().any(|field| field.name == *name);
    // Offsets are of one partition.
    let offset = (rows == Rows::Owned && has(&"_event")).then_some("_offset");
    let times: Vec<&str> = ["at", "_time"].into_iter().filter(has).chain(offset).collect();
    let may = matches!(kind, Kind::Last | Kind::First) && rows != Rows::Derived && !times.is_empty();
    if !may || (rows == Rows::Owned && !choices.rarely(4)) {
        return Vec::new();
    }
    let mut order = vec![Expr::name(choices.one_of(&times))];
    // An event's name is a constant, and orders nothing.
    if choices.below(2) == 1
        && let Some(other) = exprs::leaf(choices, scope, &Type::is_scalar)
        && other.expr != Expr::name("_event")
    {
        order.insert(choices.below(2), other.expr);
    }
    // The first goes up.
    order.into_iter().enumerate().map(|(place, by)| Order { by, desc: place > 0 && choices.below(2) == 1 }).collect()
}

/// An argument for one alias or another, of one type.
fn by_alias(
    choices: &mut Choices,
    scope: &[Field],
    changing: &[usize],
    allowed: &dyn Fn(&Type) -> bool,
) -> Option<(Argument, Type)> {
    let is_own = |field: &&Field| allowed(&field.ty) && !field.name.contains('.') && !field.name.starts_with('_');
    let fields: Vec<&Field> = scope.iter().filter(is_own).collect();
    if fields.is_empty() {
        return None;
    }
    let field = choices.one_of(&fields);
    let least = choices.below(changing.len());
    let mut arguments = Vec::new();
    for (place, alias) in changing.iter().enumerate() {
        let name = Box::new(Expr::name(&field.name));
        let expr = match (choices.below(2), &field.ty) {
            (1, Type::Int | Type::Long) => {
                let one = Expr::Literal(Value::Whole(1));
                Expr::Arithmetic(Operator::Add, name, one.into(), field.ty.clone())
            }
            (1, Type::Decimal(_)) => Expr::Negate(name, field.ty.clone()),
            (1, Type::Text) => Expr::Text(TextFunction::Upper, name),
            _ => *name,
        };
        if place >= least {
            arguments.push((*alias, expr));
        }
    }
    Some((Argument::Each(arguments), field.ty.clone()))
}
