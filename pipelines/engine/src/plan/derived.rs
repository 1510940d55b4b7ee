//! Views over a view: re-keyed copies, whose rows are mapped from the source's, and aggregates that can be taken back.

use headwater_schemas::FieldType;

use super::columns::{self, Call};
use super::compile::{Context, unknown_view};
use super::events::buckets;
use super::scope::RowScope;
use super::{AggregateSource, Argument, CopiedColumn, CopySource, Owner, Reducer, Source, View, may_be_key};
use crate::declare::{ColumnsDecl, KeyEntry, Text, ViewDecl};
use crate::expr::{self, Ast, Expr};
use crate::table::{Column, Feeding, StateColumn, StateType, Table};
use crate::unknown;

/// A key entry or a column, compiled over the source's row.
struct Computed {
    column: Column,
    /// None where it is mistaken.
    ast: Option<Ast>,
    expr: Expr,
}

/// A view's key, compiled, and whether all of it and of what it is made from is known.
struct Key {
    entries: Vec<Computed>,
    doubtful: bool,
    /// A column is called by the name of what it should be, and that is mistaken.
    misnamed: bool,
}

/// Compiles a view whose `from` is a view.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, source: usize) -> View {
    let sound = readable(cx, decl, source);
    let key = key(cx, decl, source, !sound || decl.unsound || cx.views[source].doubtful);
    let mut calls: Vec<(Text, Text, Call)> = Vec::new();
    let mut copied: Vec<(Text, Text, Option<Ast>)> = Vec::new();
    let mut mistaken: Vec<&Text> = Vec::new();
    match &decl.columns {
        ColumnsDecl::Copied(names) => copied.extend(names.iter().map(|name| (name.clone(), name.clone(), None))),
        ColumnsDecl::Computed(columns) => {
            for (name, text) in columns {
                // An empty text was reported.
                let read = if text.is_empty() { columns::Column::Mistaken } else { columns::read(cx, text) };
                match read {
                    columns::Column::Mistaken => mistaken.push(name),
                    columns::Column::Computed(_) => {
                        columns::refuse_computed(cx, text, "made of a view's");
                        mistaken.push(name);
                    }
                    columns::Column::Reducer(call) => calls.push((name.clone(), text.clone(), call)),
                    columns::Column::Expression(ast) => copied.push((name.clone(), text.clone(), Some(ast))),
                }
            }
        }
    }
    let copies = copied.iter().any(|(name, ..)| key.entries.iter().all(|entry| entry.column.name != name.value));
    let mut view = match (calls.is_empty(), copies) {
        // What is mistaken may have been a reducer.
        (true, false) if !mistaken.is_empty() => unknown_view(cx, decl),
        (true, _) => copy(cx, decl, source, key, copied),
        (false, false) => aggregate(cx, decl, source, key, calls),
        (false, true) => {
            cx.error(
                &copied[0].1.span,
                format!("view `{}` mixes reducers with plain columns", decl.name.value),
                "not a reducer",
                Some("a view over a view is a re-keyed copy or an aggregate; put this column into the key".into()),
            );
            unknown_view(cx, decl)
        }
    };
    let mistaken =
        mistaken.into_iter().filter(|name| view.table.column(name).is_none()).map(|name| unknown::named(name));
    let mistaken: Vec<Column> = mistaken.collect();
    view.table.columns.extend(mistaken);
    if decl.unsound && view.table.columns.iter().all(|column| !unknown::is_any(&column.name)) {
        view.table.columns.push(unknown::any_column());
    }
    view
}

/// Whether the source's changes may be read at all.
fn readable(cx: &mut Context, decl: &ViewDecl, source: usize) -> bool {
    let view = &cx.views[source];
    let name = view.table.name.clone();
    let reason = if view.owner.is_none() && !view.doubtful {
        "its rows are shared by many partitions, so nobody has one row's old and new state"
    } else if view.deletes_partitions {
        "whole partitions of it are deleted, so the deleted rows are not known one by one"
    } else if decl.with.is_some() || !decl.create_when.is_empty() || !decl.delete_when.is_empty() {
        let span =
            decl.with.iter().chain(&decl.create_when).chain(&decl.delete_when).next().map(|text| text.span.clone());
        let span = span.unwrap_or_else(|| decl.name.span.clone());
        let help = "rows of a view over a view come and go with their source's".to_owned();
        cx.error(&span, "`with`, `create_when` and `delete_when` are for events".into(), "not here", Some(help));
        return false;
    } else {
        return true;
    };
    let message = format!("view `{}` cannot read view `{name}`: {reason}", decl.name.value);
    cx.error(&decl.from[0].span, message, "not readable change by change", None);
    false
}

fn expression(cx: &mut Context, source: usize, text: &Text, ast: &Ast) -> Option<Expr> {
    let compiled = expr::compile(ast, &RowScope { table: &cx.views[source].table });
    cx.taken(text, compiled)
}

/// The key's entries: a column of the source, a declared column of this view, or a named expression.
fn key(cx: &mut Context, decl: &ViewDecl, source: usize, mut doubtful: bool) -> Key {
    let entries: Vec<&KeyEntry> =
        decl.key.partition.iter().chain(decl.key.clustering.iter().map(|(entry, _)| entry)).collect();
    let mut key: Vec<Computed> = Vec::new();
    let mut misnamed = false;
    for entry in entries {
        let declared = match &decl.columns {
            ColumnsDecl::Computed(columns) => columns.iter().find(|(name, _)| name.value == entry.name.value),
            ColumnsDecl::Copied(_) => None,
        };
        let text = entry.expression.as_ref().or(declared.map(|(_, text)| text)).unwrap_or(&entry.name);
        // An empty text was reported.
        let ast = if text.is_empty() { None } else { cx.parse(text) };
        let expr = ast.as_ref().and_then(|ast| expression(cx, source, text, ast));
        misnamed |= ast.is_some() && expr.is_none() && *text == entry.name;
        let expr = expr.unwrap_or_else(Expr::unknown);
        doubtful |= expr.is_unknown();
        if !may_be_key(&expr.ty.ty) {
            doubtful = true;
            cx.error(&text.span, format!("a key cannot hold {}", expr.ty.ty), "not a scalar", None);
        }
        let column = Column { name: entry.name.value.clone(), ty: FieldType::required(expr.ty.ty.clone()), doc: None };
        key.push(Computed { column, ast, expr });
    }
    Key { entries: key, doubtful, misnamed }
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
    key.iter().position(|entry| entry.ast.as_ref().and_then(|ast| plain(ast, source)) == Some(column))
}

fn copy(cx: &mut Context, decl: &ViewDecl, source: usize, key: Key, copied: Vec<(Text, Text, Option<Ast>)>) -> View {
    let Key { entries: key, mut doubtful, mut misnamed } = key;
    let table = &cx.views[source].table;
    let missing: Vec<String> = (0..table.key_len())
        .filter(|&column| key_position(&key, table, column).is_none())
        .map(|column| table.columns[column].name.clone())
        .collect();
    if !missing.is_empty() && !doubtful {
        doubtful = true;
        let message = format!("the key of view `{}` does not contain its source's whole key", decl.name.value);
        let help = format!("add `{}`, or two rows of `{}` may be one row here", missing.join("`, `"), table.name);
        misnamed = true;
        cx.error(&decl.key.span, message, "not unique", Some(help));
    }
    let table = &cx.views[source].table;
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
    for (name, text, ast) in copied {
        if columns.iter().any(|column| column.name == name.value) {
            continue;
        }
        let ast = match ast {
            Some(ast) => Some(ast),
            None => cx.parse(&text),
        };
        let plain = ast.as_ref().and_then(|ast| plain(ast, &cx.views[source].table));
        let expr = ast.and_then(|ast| expression(cx, source, &text, &ast));
        misnamed |= expr.is_none() && text == name;
        let expr = expr.unwrap_or_else(Expr::unknown);
        columns.push(Column { name: name.value, ty: expr.ty.clone(), doc: None });
        sources.push(plain.map_or(CopiedColumn::Computed(expr), CopiedColumn::Column));
    }
    columns.extend(misnamed.then(unknown::any_column));
    let source = Source::Copy(CopySource { view: source, columns: sources, key: exprs });
    View { owner, doubtful, ..view(cx, decl, columns, Vec::new(), source) }
}

fn aggregate(cx: &mut Context, decl: &ViewDecl, source: usize, key: Key, calls: Vec<(Text, Text, Call)>) -> View {
    let mut columns: Vec<Column> = Vec::new();
    let mut exprs = Vec::new();
    for entry in key.entries {
        columns.push(entry.column);
        exprs.push(entry.expr);
    }
    let any = key.misnamed.then(unknown::any_column);
    let mut state = vec![StateColumn { name: "rows".into(), ty: StateType::Count }];
    let mut reducers = Vec::new();
    for (name, text, call) in calls {
        let contribution = contribution(cx, source, &name, &text, &call, &mut state);
        let (reducer, ty, argument) = contribution.unwrap_or_else(|| (Reducer::Last, unknown::ty(), Argument::none()));
        columns.push(Column { name: name.value.clone(), ty, doc: Some(text.value.clone()) });
        reducers.push((reducer, argument));
    }
    columns.extend(any);
    let source = Source::Aggregate(AggregateSource { view: source, key: exprs, reducers, rows: 0 });
    View { doubtful: key.doubtful, ..view(cx, decl, columns, state, source) }
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
    if !call.kind.can_be_taken_back() {
        let help = "over a view: `count`, `sum`, `avg` or `stddev`; or a re-keyed copy and a sorted query".to_owned();
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
        Ok((reducer, ty)) => match columns::not_associative(&reducer) {
            None => Some((reducer, ty, Argument { value, filter, ..Argument::none() })),
            Some(what) => {
                let message = format!("{what} cannot be taken back exactly");
                cx.error(&text.span, message, "not associative", Some("cast to numeric first".into()));
                None
            }
        },
        Err(message) => {
            cx.error(&text.span, message, "of another type", None);
            None
        }
    }
}

fn view(cx: &Context, decl: &ViewDecl, columns: Vec<Column>, state: Vec<StateColumn>, source: Source) -> View {
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
        fed: Feeding::ByOne,
        retain: None,
    };
    View {
        level: cx.views[read].level + 1,
        owner: None,
        buckets: buckets(decl),
        deletes_partitions: false,
        has_dependents: false,
        doubtful: false,
        always: table.key_len() == 0 && matches!(source, Source::Aggregate(_)),
        in_parts: None,
        source,
        table,
    }
}
