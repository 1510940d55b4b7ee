//! A column that is an expression over reducers: `"sum(x) / count()"`, on rows that one partition feeds.
//!
//! Each reducer has a value and a state of its own, hidden; the expression is evaluated anew at every event that makes or
//! changes the row. What two partitions make of a division cannot be put together, so rows of many partitions have a
//! column for each reducer instead.

use std::sync::Arc;

use headwater_schemas::FieldType;

use super::columns::{self, Call, Column};
use super::compile::Context;
use super::{Argument, Computed, Part, Reducer, may_be_key};
use crate::declare::Text;
use crate::expr::{self, Ast, Binding, Scope};
use crate::table::{StateColumn, StateType};
use crate::unknown::is_unknown;

/// A reducer, its column's type, and the argument of each event in `from`.
pub(super) type Reduced = (Reducer, FieldType, Vec<Option<Argument>>);

/// Compiles one reducer of the expression, whose state is named so.
pub(super) type Reduce<'r> = &'r mut dyn FnMut(&mut Context, &Text, &Call, &mut Vec<StateColumn>) -> Option<Reduced>;

/// Compiles a column's expression; `changing` are the events that make or change a row.
pub(super) fn compile(
    cx: &mut Context,
    (name, text): (&Text, &Text),
    ast: &Ast,
    changing: &[usize],
    state: &mut Vec<StateColumn>,
    reduce: Reduce,
) -> Option<Reduced> {
    let mut calls: Vec<&Ast> = Vec::new();
    let mut bare: Vec<&Ast> = Vec::new();
    take_apart(ast, &mut calls, &mut bare);
    for path in &bare {
        let written = text.value.get(path.range()).unwrap_or_default();
        let message = format!("`{written}` is one event's, and the row is made of many");
        cx.error(&text.part(path.range()), message, "not reduced", Some(format!("write `last({written})`")));
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut bound: Vec<(&Ast, FieldType)> = Vec::new();
    let mut arguments: Vec<Option<Argument>> = Vec::new();
    for call in calls {
        if bound.iter().any(|(other, _)| other.same(call)) {
            continue;
        }
        let Column::Reducer(call_of) = columns::reducer(cx, text, call)? else { return None };
        // No column's name starts with a digit, so no column has state of this name.
        let part_name = Text { value: format!("{}_{}", parts.len(), name.value), ..name.clone() };
        let (reducer, ty, by_event) = reduce(cx, &part_name, &call_of, state)?;
        if !may_be_key(&ty.ty) {
            let message = format!("{} is no value of an expression", ty.ty);
            cx.error(&text.part(call.range()), message, "give it a column of its own", None);
            return None;
        }
        arguments.resize_with(by_event.len(), || None);
        for event in changing {
            let whole = arguments[*event].get_or_insert_with(Argument::none);
            whole.parts.resize_with(parts.len() + 1, || None);
        }
        for (whole, part) in arguments.iter_mut().zip(by_event) {
            if let Some(whole) = whole {
                whole.parts[parts.len()] = part;
            }
        }
        parts.push(part(reducer, &part_name, state));
        bound.push((call, ty));
    }
    if !bare.is_empty() {
        return None;
    }
    let unknown = bound.iter().any(|(_, ty)| is_unknown(&ty.ty));
    let compiled = expr::compile(ast, &OverReducers { bound });
    let expr = cx.taken(text, compiled)?;
    let ty = if unknown { crate::unknown::ty() } else { expr.ty.clone() };
    Some((Reducer::Computed(Arc::new(Computed { parts, expr })), ty, arguments))
}

/// A reducer whose value is hidden, too.
fn part(reducer: Reducer, name: &Text, state: &mut Vec<StateColumn>) -> Part {
    let mut add = |suffix: &str, ty: StateType| {
        state.push(StateColumn { name: format!("{}_{suffix}", name.value), ty });
        state.len() - 1
    };
    // It is not known here which event makes the row.
    let reducer = match reducer {
        Reducer::First { set: None } => Reducer::First { set: Some(add("set", StateType::Flag)) },
        other => other,
    };
    Part { reducer, value: add("value", StateType::Packed) }
}

/// The reducers' calls, and the paths that stand beside them, left to right.
fn take_apart<'a>(ast: &'a Ast, calls: &mut Vec<&'a Ast>, bare: &mut Vec<&'a Ast>) {
    if columns::is_reducer_call(ast) {
        calls.push(ast);
    } else if ast.as_path().is_some() {
        bare.push(ast);
    } else {
        ast.children().into_iter().for_each(|child| take_apart(child, calls, bare));
    }
}

/// The reducers' calls stand for their values; there are no other names.
struct OverReducers<'a> {
    bound: Vec<(&'a Ast, FieldType)>,
}

impl Scope for OverReducers<'_> {
    fn name(&self, _path: &[&str]) -> Option<Binding> {
        None
    }

    fn node(&self, ast: &Ast) -> Option<Binding> {
        if !columns::is_reducer_call(ast) {
            return None;
        }
        let slot = self.bound.iter().position(|(call, _)| call.same(ast))?;
        Some(Binding { slot, ty: self.bound[slot].1.clone(), used: 0 })
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
