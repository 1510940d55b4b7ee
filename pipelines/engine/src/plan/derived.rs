//! Views over a view: re-keyed copies, whose rows are mapped from the source's, and aggregates that can be taken back.

use headwater_schemas::FieldType;

use super::columns::{self, Call, Kind};
use super::compile::Context;
use super::events::buckets;
use super::scope::RowScope;
use super::{AggregateSource, Argument, CopiedColumn, CopySource, Owner, Reducer, Source, View, may_be_key};
use crate::declare::{ColumnsDecl, KeyEntry, Text, ViewDecl};
use crate::expr::{self, Ast, Expr};
use crate::table::{Column, StateColumn, StateType, Table};

/// A key entry or a column, compiled over the source's row.
struct Computed {
    column: Column,
    ast: Ast,
    expr: Expr,
}

/// Compiles a view whose `from` is a view.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, source: usize) -> Option<View> {
    readable(cx, decl, source)?;
    let key = key(cx, decl, source)?;
    let mut calls: Vec<(Text, Text, Call)> = Vec::new();
    let mut copied: Vec<(Text, Text, Option<Ast>)> = Vec::new();
    let mut sound = true;
    match &decl.columns {
        ColumnsDecl::Copied(names) => copied.extend(names.iter().map(|name| (name.clone(), name.clone(), None))),
        ColumnsDecl::Computed(columns) => {
            for (name, text) in columns {
                match columns::read(cx, text) {
                    columns::Column::Mistaken => sound = false,
                    columns::Column::Reducer(call) => calls.push((name.clone(), text.clone(), call)),
                    columns::Column::Expression(ast) => copied.push((name.clone(), text.clone(), Some(ast))),
                }
            }
        }
    }
    if !sound {
        return None;
    }
    match (calls.is_empty(), copied.is_empty()) {
        (true, _) => copy(cx, decl, source, key, copied),
        (false, true) => aggregate(cx, decl, source, key, calls),
        (false, false) => {
            cx.error(
                &copied[0].1.span,
                format!("view `{}` mixes reducers with plain columns", decl.name.value),
                "not a reducer",
                Some("a view over a view is a re-keyed copy or an aggregate; put this column into the key".into()),
            );
            None
        }
    }
}

/// Whether the source's changes may be read at all.
fn readable(cx: &mut Context, decl: &ViewDecl, source: usize) -> Option<()> {
    let view = &cx.views[source];
    let name = view.table.name.clone();
    let reason = if view.owner.is_none() {
        "its rows are shared by many partitions, so nobody has one row's old and new state"
    } else if view.deletes_partitions {
        "whole partitions of it are deleted, so the deleted rows are not known one by one"
    } else if decl.with.is_some() || !decl.create_when.is_empty() || !decl.delete_when.is_empty() {
        let span =
            decl.with.iter().chain(&decl.create_when).chain(&decl.delete_when).next().map(|text| text.span.clone());
        let span = span.unwrap_or_else(|| decl.name.span.clone());
        let help = "rows of a view over a view come and go with their source's".to_owned();
        cx.error(&span, "`with`, `create_when` and `delete_when` are for events".into(), "not here", Some(help));
        return None;
    } else {
        return Some(());
    };
    let message = format!("view `{}` cannot read view `{name}`: {reason}", decl.name.value);
    cx.error(&decl.from[0].span, message, "not readable change by change", None);
    None
}

fn expression(cx: &mut Context, source: usize, text: &Text, ast: &Ast) -> Option<Expr> {
    let compiled = expr::compile(ast, &RowScope { table: &cx.views[source].table });
    cx.taken(text, compiled)
}

/// The key's entries: a column of the source, a declared column of this view, or a named expression.
fn key(cx: &mut Context, decl: &ViewDecl, source: usize) -> Option<Vec<Computed>> {
    let entries: Vec<&KeyEntry> =
        decl.key.partition.iter().chain(decl.key.clustering.iter().map(|(entry, _)| entry)).collect();
    let mut key: Vec<Computed> = Vec::new();
    let mut sound = true;
    for entry in entries {
        let declared = match &decl.columns {
            ColumnsDecl::Computed(columns) => columns.iter().find(|(name, _)| name.value == entry.name.value),
            ColumnsDecl::Copied(_) => None,
        };
        let text = entry.expression.as_ref().or(declared.map(|(_, text)| text)).unwrap_or(&entry.name);
        let Some(ast) = cx.parse(text) else {
            sound = false;
            continue;
        };
        let Some(expr) = expression(cx, source, text, &ast) else {
            sound = false;
            continue;
        };
        if !may_be_key(&expr.ty.ty) {
            sound = false;
            cx.error(&text.span, format!("a key cannot hold {}", expr.ty.ty), "not a scalar", None);
        }
        if key.iter().any(|other| other.column.name == entry.name.value) {
            sound = false;
            cx.error(
                &entry.name.span,
                format!("`{}` is in the key twice", entry.name.value),
                "already a key column",
                None,
            );
        }
        let column = Column { name: entry.name.value.clone(), ty: FieldType::required(expr.ty.ty.clone()), doc: None };
        key.push(Computed { column, ast, expr });
    }
    sound.then_some(key)
}

/// The source's column that an expression is, as it is.
fn plain(ast: &Ast, source: &Table) -> Option<usize> {
    match ast.as_path()?.as_slice() {
        [column] => source.column(column),
        [view, column] if *view == source.name => source.column(column),
        _ => None,
    }
    .map(|(index, _)| index)
}

/// Where a column of the source is in the key as it is.
fn key_position(key: &[Computed], source: &Table, column: usize) -> Option<usize> {
    key.iter().position(|entry| plain(&entry.ast, source) == Some(column))
}

fn copy(
    cx: &mut Context,
    decl: &ViewDecl,
    source: usize,
    key: Vec<Computed>,
    copied: Vec<(Text, Text, Option<Ast>)>,
) -> Option<View> {
    let table = &cx.views[source].table;
    let missing: Vec<String> = (0..table.key_len())
        .filter(|&column| key_position(&key, table, column).is_none())
        .map(|column| table.columns[column].name.clone())
        .collect();
    if !missing.is_empty() {
        let message = format!("the key of view `{}` does not contain its source's whole key", decl.name.value);
        let help = format!("add `{}`, or two rows of `{}` may be one row here", missing.join("`, `"), table.name);
        cx.error(&decl.key.span, message, "not unique", Some(help));
        return None;
    }
    let owner = cx.views[source].owner.as_ref().and_then(|owner| {
        let columns = owner.columns.iter().map(|&column| key_position(&key, table, column)).collect::<Option<_>>()?;
        Some(Owner { topic: owner.topic, columns })
    });
    let mut columns = Vec::new();
    let mut exprs = Vec::new();
    let mut sources = Vec::new();
    for (index, entry) in key.into_iter().enumerate() {
        columns.push(entry.column);
        exprs.push(entry.expr);
        sources.push(CopiedColumn::Key(index));
    }
    let mut sound = true;
    for (name, text, ast) in copied {
        if columns.iter().any(|column| column.name == name.value) {
            continue;
        }
        let ast = match ast {
            Some(ast) => Some(ast),
            None => cx.parse(&text),
        };
        let compiled =
            ast.and_then(|ast| Some((plain(&ast, &cx.views[source].table), expression(cx, source, &text, &ast)?)));
        match compiled {
            Some((plain, expr)) => {
                columns.push(Column { name: name.value, ty: expr.ty.clone(), doc: None });
                sources.push(plain.map_or(CopiedColumn::Computed(expr), CopiedColumn::Column));
            }
            None => sound = false,
        }
    }
    if !sound {
        return None;
    }
    let source = Source::Copy(CopySource { view: source, columns: sources, key: exprs });
    Some(view(cx, decl, columns, Vec::new(), owner, source))
}

fn aggregate(
    cx: &mut Context,
    decl: &ViewDecl,
    source: usize,
    key: Vec<Computed>,
    calls: Vec<(Text, Text, Call)>,
) -> Option<View> {
    let mut columns: Vec<Column> = Vec::new();
    let mut exprs = Vec::new();
    for entry in key {
        columns.push(entry.column);
        exprs.push(entry.expr);
    }
    let mut state = vec![StateColumn { name: "rows".into(), ty: StateType::Count }];
    let mut reducers = Vec::new();
    let mut sound = true;
    for (name, text, call) in calls {
        match contribution(cx, source, &name, &text, &call, &mut state) {
            Some((reducer, ty, argument)) => {
                columns.push(Column { name: name.value.clone(), ty, doc: Some(text.value.clone()) });
                reducers.push((reducer, argument));
            }
            None => sound = false,
        }
    }
    if !sound {
        return None;
    }
    let source = Source::Aggregate(AggregateSource { view: source, key: exprs, reducers, rows: 0 });
    Some(view(cx, decl, columns, state, None, source))
}

/// One aggregated column: only what can be taken back.
fn contribution(
    cx: &mut Context,
    source: usize,
    name: &Text,
    text: &Text,
    call: &Call,
    state: &mut Vec<StateColumn>,
) -> Option<(Reducer, FieldType, Argument)> {
    if matches!(call.kind, Kind::Last | Kind::First) {
        let help = "over a view: `count` or `sum`; or a re-keyed copy and a sorted query".to_owned();
        cx.error(&text.span, "this reducer cannot be taken back when a row changes".into(), "over a view", Some(help));
        return None;
    }
    if call.arguments.len() > 1 {
        cx.error(&text.span, "one argument is enough over a view".into(), "too many", None);
        return None;
    }
    let value = match call.arguments.first() {
        None => None,
        Some(ast) => Some(expression(cx, source, text, ast)?),
    };
    let filter = match &call.filter {
        None => None,
        Some(ast) => Some(expression(cx, source, text, ast)?),
    };
    let argument = value.as_ref().map_or_else(|| FieldType::required(headwater_schemas::Type::Long), |v| v.ty.clone());
    match columns::shape(call.kind, &name.value, &argument, true, state) {
        Ok((Reducer::FloatSum, _)) => {
            let message = "a sum of floating point cannot be taken back exactly";
            cx.error(&text.span, message.into(), "not associative", Some("cast to numeric first".into()));
            None
        }
        Ok((reducer, ty)) => Some((reducer, ty, Argument { value, filter })),
        Err(message) => {
            cx.error(&text.span, message, "not a number", None);
            None
        }
    }
}

fn view(
    cx: &Context,
    decl: &ViewDecl,
    columns: Vec<Column>,
    state: Vec<StateColumn>,
    owner: Option<Owner>,
    source: Source,
) -> View {
    let read = match &source {
        Source::Copy(copy) => copy.view,
        Source::Aggregate(aggregate) => aggregate.view,
        Source::Events(_) => 0,
    };
    let table = Table {
        name: decl.name.value.clone(),
        doc: decl.doc.clone(),
        columns,
        partition: decl.key.partition.len(),
        clustering: decl.key.clustering.iter().map(|(_, direction)| *direction).collect(),
        state,
        shared: owner.is_none(),
    };
    View {
        level: cx.views[read].level + 1,
        owner,
        buckets: buckets(decl),
        deletes_partitions: false,
        has_dependents: false,
        always: table.key_len() == 0 && matches!(source, Source::Aggregate(_)),
        source,
        table,
    }
}
