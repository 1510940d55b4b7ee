//! Views over a view: re-keyed copies, whose rows are mapped from the source's, and aggregates that can be taken back.

use headwater_schemas::{FieldType, Type};

use super::columns::{self, Call};
use super::compile::{Context, unknown_view};
use super::events::buckets;
use super::inputs::{self, NO_RENAMES, Names};
use super::scope::{Element, RowScope};
use super::{
    AggregateInput, AggregateSource, Argument, CopiedColumn, CopySource, Each, Owner, Reducer, Source, View, may_be_key,
};
use crate::declare::{ColumnsDecl, InputDecl, KeyEntry, Text, ViewDecl};
use crate::expr::{self, Ast, Expr};
use crate::table::{Column, Feeding, StateColumn, StateType, Table};
use crate::unknown;

/// A key entry, compiled over the source's row.
struct Computed {
    column: Column,
    /// None where it is mistaken.
    ast: Option<Ast>,
    /// By inputs.
    exprs: Vec<Expr>,
}

/// A view's key, compiled, and whether all of it and of what it is made from is known.
struct Key {
    entries: Vec<Computed>,
    doubtful: bool,
    /// A column is called by the name of what it should be, and that is mistaken.
    misnamed: bool,
}

/// The source view, as one alias has it.
struct Input<'d> {
    decl: &'d InputDecl,
    names: Names,
    filter: Option<Expr>,
    /// What it unfolds.
    each: Option<Each>,
}

impl Input<'_> {
    fn scope<'a>(&'a self, cx: &'a Context, source: usize) -> RowScope<'a> {
        let alias = self.decl.alias.as_ref().map(|alias| alias.value.as_str());
        let (renames, element) = (self.names.renames.as_slice(), self.names.element.as_ref());
        RowScope { table: &cx.views[source].table, alias, renames, element }
    }

    fn expression(&self, cx: &mut Context, source: usize, text: &Text, ast: &Ast) -> Option<Expr> {
        let compiled = expr::compile(ast, &self.scope(cx, source));
        cx.taken(text, compiled)
    }

    /// The source's column that an expression is, as it is.
    fn plain(&self, cx: &Context, source: usize, ast: &Ast) -> Option<usize> {
        let path = ast.as_path()?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.scope(cx, source).column(&path)
    }
}

/// Compiles a view whose `from` is a view.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, source: usize) -> View {
    let sound = readable(cx, decl, source);
    let inputs: Vec<Input> = decl.from.iter().map(|input| self::input(cx, source, input)).collect();
    let doubtful =
        !sound || decl.unsound || cx.views[source].doubtful || inputs.iter().any(|input| input.names.doubtful);
    let key = key(cx, decl, source, &inputs, doubtful);
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
        (true, _) => copy(cx, decl, (source, inputs), key, copied),
        (false, false) => aggregate(cx, decl, (source, inputs), key, calls),
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
    let several = matches!(&view.source, Source::Events(source) if source.topics.len() > 1);
    let (reason, help) = if several && !view.doubtful {
        (
            "it is fed by several topics, so nobody has one row's old and new state",
            "declare it over the events of one topic",
        )
    } else if view.owner.is_none() && !view.doubtful {
        (
            "its rows are shared by many partitions, so nobody has one row's old and new state",
            "declare it over the events, or over a view whose key contains the topic's",
        )
    } else if view.deletes_partitions {
        (
            "whole partitions of it are deleted, so the deleted rows are not known one by one",
            "declare it over the events, or let the event that deletes carry the row's whole key",
        )
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
    cx.error(&decl.from[0].source.span, message, "not readable change by change", Some(help.to_owned()));
    false
}

/// Settles what one alias takes of the source's rows, and under which names.
fn input<'d>(cx: &mut Context, source: usize, decl: &'d InputDecl) -> Input<'d> {
    let mut doubtful = !inputs::alias_is_free(cx, decl);
    let table = &cx.views[source].table;
    let owner = format!("view `{}`", table.name);
    let (width, known): (usize, Vec<String>) =
        (table.columns.len(), table.columns.iter().map(|column| column.name.clone()).collect());
    let mut element: Option<Element> = None;
    let mut each = None;
    if let Some((name, array)) = &decl.each {
        let found = unknown::column(table, &array.value).map(|(index, column)| (index, column.ty.clone()));
        let ty = found.as_ref().map(|(_, ty)| ty.clone());
        let (unfolded, sound) = inputs::element(cx, name, array, ty, &known, &owner);
        each = unfolded.as_ref().zip(found).map(|(unfolded, (array, _))| Each {
            array,
            base: width,
            width: unfolded.slots(),
        });
        (element, doubtful) = (unfolded, doubtful || !sound);
    }
    let asts = inputs::parsed(cx, decl);
    let table = &cx.views[source].table;
    let scope = RowScope { table, alias: None, renames: NO_RENAMES, element: element.as_ref() };
    let (renames, problems) = inputs::resolved(&asts, &scope);
    doubtful |= inputs::report(cx, problems) || asts.iter().any(|(.., ast)| ast.is_none());
    let mut input = Input { decl, names: Names { renames, element, doubtful }, filter: None, each };
    if let Some(text) = &decl.filter {
        input.filter = cx.parse(text).and_then(|ast| {
            let compiled = expr::compile(&ast, &input.scope(cx, source));
            inputs::condition(cx, text, compiled)
        });
        input.names.doubtful |= input.filter.is_none();
    }
    input
}

/// The key's entries: a column of the source, a declared column of this view, or a named expression.
fn key(cx: &mut Context, decl: &ViewDecl, source: usize, inputs: &[Input], mut doubtful: bool) -> Key {
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
        let mut exprs: Vec<Expr> = Vec::new();
        for input in inputs {
            let expr = ast.as_ref().and_then(|ast| input.expression(cx, source, text, ast));
            misnamed |= ast.is_some() && expr.is_none() && *text == entry.name;
            let mistaken = expr.is_none();
            exprs.push(expr.unwrap_or_else(Expr::unknown));
            // Said once.
            if mistaken {
                exprs.resize_with(inputs.len(), Expr::unknown);
                break;
            }
        }
        doubtful |= exprs.iter().any(Expr::is_unknown);
        let ty = one_type(cx, &entry.name, &exprs, &mut doubtful);
        let column = Column { name: entry.name.value.clone(), ty: FieldType::required(ty.clone()), doc: None };
        if !may_be_key(&ty) {
            doubtful = true;
            cx.error(&text.span, format!("a key cannot hold {ty}"), "not a scalar", None);
        }
        key.push(Computed { column, ast, exprs });
    }
    Key { entries: key, doubtful, misnamed }
}

/// The type of a key's column that every input gives.
fn one_type(cx: &mut Context, name: &Text, exprs: &[Expr], doubtful: &mut bool) -> Type {
    let mut ty: Option<Type> = None;
    for expr in exprs {
        let found = &expr.ty.ty;
        let unified = ty.as_ref().map_or_else(|| Some(found.clone()), |ty| columns::unify(ty, found));
        if let (None, Some(ty)) = (&unified, &ty) {
            *doubtful = true;
            let message = format!("key column `{}` has two types: {ty} and {found}", name.value);
            cx.error(&name.span, message, "the same under every alias, please", None);
        }
        ty = unified.or(ty);
    }
    ty.unwrap_or_else(|| unknown::ty().ty)
}

type Inputs<'d> = (usize, Vec<Input<'d>>);

fn copy(
    cx: &mut Context,
    decl: &ViewDecl,
    (source, mut inputs): Inputs,
    key: Key,
    copied: Vec<(Text, Text, Option<Ast>)>,
) -> View {
    let Key { entries: key, mut doubtful, mut misnamed } = key;
    doubtful |= !copies_once(cx, decl);
    let input = inputs.remove(0);
    let position = |cx: &Context, column: usize| {
        let is = |ast: &Ast| input.plain(cx, source, ast) == Some(column);
        key.iter().position(|entry| entry.ast.as_ref().is_some_and(is))
    };
    let table = &cx.views[source].table;
    let missing: Vec<String> = (0..table.key_len())
        .filter(|&column| position(cx, column).is_none())
        .map(|column| table.columns[column].name.clone())
        .collect();
    if !missing.is_empty() && !doubtful {
        doubtful = true;
        let message = format!("the key of view `{}` does not contain its source's whole key", decl.name.value);
        let help = format!("add `{}`, or two rows of `{}` may be one row here", missing.join("`, `"), table.name);
        misnamed = true;
        cx.error(&decl.key.span, message, "not unique", Some(help));
    }
    let owner = cx.views[source].owner.as_ref().and_then(|owner| {
        let columns = owner.columns.iter().map(|&column| position(cx, column)).collect::<Option<_>>()?;
        Some(Owner { topic: owner.topic, columns })
    });
    let mut columns = Vec::new();
    let mut exprs = Vec::new();
    let mut sources = Vec::new();
    for (index, entry) in key.into_iter().enumerate() {
        columns.push(entry.column);
        exprs.extend(entry.exprs.into_iter().take(1));
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
        let plain = ast.as_ref().and_then(|ast| input.plain(cx, source, ast));
        let expr = ast.and_then(|ast| input.expression(cx, source, &text, &ast));
        misnamed |= expr.is_none() && text == name;
        let expr = expr.unwrap_or_else(Expr::unknown);
        columns.push(Column { name: name.value, ty: expr.ty.clone(), doc: None });
        sources.push(plain.map_or(CopiedColumn::Computed(expr), CopiedColumn::Column));
    }
    columns.extend(misnamed.then(unknown::any_column));
    let source = Source::Copy(CopySource { view: source, filter: input.filter, columns: sources, key: exprs });
    View { owner, doubtful, ..view(cx, decl, columns, Vec::new(), source) }
}

/// Whether each row has one copy at most.
fn copies_once(cx: &mut Context, decl: &ViewDecl) -> bool {
    let help = "declare reducers, as `count()` or `sum(…)`; or one view for each alias".to_owned();
    let (place, message) = match decl.from.as_slice() {
        [InputDecl { each: Some((name, _)), .. }] => {
            (&name.span, "a re-keyed copy has one row for each of its source's")
        }
        [_, second, ..] => (&second.source.span, "a re-keyed copy is of one alias"),
        _ => return true,
    };
    cx.error(place, message.into(), "in a view without reducers", Some(help));
    false
}

fn aggregate(
    cx: &mut Context,
    decl: &ViewDecl,
    (source, inputs): Inputs,
    key: Key,
    calls: Vec<(Text, Text, Call)>,
) -> View {
    let mut columns: Vec<Column> = Vec::new();
    let mut keys: Vec<Vec<Expr>> = inputs.iter().map(|_| Vec::new()).collect();
    for entry in key.entries {
        columns.push(entry.column);
        for (key, expr) in keys.iter_mut().zip(entry.exprs) {
            key.push(expr);
        }
    }
    let any = key.misnamed.then(unknown::any_column);
    let mut state = vec![StateColumn { name: "rows".into(), ty: StateType::Count }];
    let mut reducers = Vec::new();
    let mut arguments: Vec<Vec<Option<Argument>>> = inputs.iter().map(|_| Vec::new()).collect();
    for (name, text, call) in calls {
        let contribution = contribution(cx, source, &inputs, &name, &text, &call, &mut state);
        let (reducer, ty, by_input) =
            contribution.unwrap_or_else(|| (Reducer::Last, unknown::ty(), inputs.iter().map(|_| None).collect()));
        columns.push(Column { name: name.value.clone(), ty, doc: Some(text.value.clone()) });
        reducers.push(reducer);
        for (all, argument) in arguments.iter_mut().zip(by_input) {
            all.push(argument);
        }
    }
    columns.extend(any);
    let inputs = inputs.into_iter().zip(keys).zip(arguments).map(|((input, key), arguments)| {
        let Input { filter, each, .. } = input;
        AggregateInput { filter, each, key, arguments }
    });
    let source = AggregateSource { view: source, inputs: inputs.collect(), reducers, rows: 0 };
    View { doubtful: key.doubtful, ..view(cx, decl, columns, state, Source::Aggregate(source)) }
}

type Contribution = (Reducer, FieldType, Vec<Option<Argument>>);

/// One aggregated column: only what can be taken back.
fn contribution(
    cx: &mut Context,
    source: usize,
    inputs: &[Input],
    name: &Text,
    text: &Text,
    call: &Call,
    state: &mut Vec<StateColumn>,
) -> Option<Contribution> {
    if !call.kind.can_be_taken_back() {
        let help =
            "over a view: `count`, `sum`, `avg` or `stddev`; or a copy in that order, whose first row it is".to_owned();
        cx.error(&text.span, "this reducer cannot be taken back when a row changes".into(), "over a view", Some(help));
        return None;
    }
    if call.arguments.len() > inputs.len() {
        cx.error(&text.span, "one argument is enough over a view".into(), "too many", None);
        return None;
    }
    let called =
        |input: &Input| input.decl.alias.iter().chain([&input.decl.source]).map(|name| name.value.clone()).collect();
    let called: Vec<Vec<String>> = inputs.iter().map(called).collect();
    let assigned = columns::assign(cx, text, call, &called)?;
    let mut ty: Option<FieldType> = None;
    let mut arguments: Vec<Option<Argument>> = Vec::new();
    for (input, index) in inputs.iter().zip(assigned) {
        let argument = match index {
            None => None,
            Some(index) => Some(argument(cx, source, input, text, (call, index), &mut ty)?),
        };
        arguments.push(argument);
    }
    let argument = ty.unwrap_or_else(|| FieldType::required(Type::Long));
    match columns::shape(call.kind, &name.value, &argument, true, state) {
        Ok((reducer, ty)) => match columns::not_associative(&reducer) {
            None => Some((reducer, ty, arguments)),
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

/// What one input gives a column; `ty` gathers the type that holds what every input gives.
fn argument(
    cx: &mut Context,
    source: usize,
    input: &Input,
    text: &Text,
    (call, index): (&Call, usize),
    ty: &mut Option<FieldType>,
) -> Option<Argument> {
    let value = match call.arguments.get(index) {
        None => None,
        Some(ast) => Some(input.expression(cx, source, text, ast)?),
    };
    let filter = match &call.filter {
        None => None,
        Some(ast) => {
            let compiled = expr::compile(ast, &input.scope(cx, source));
            Some(inputs::condition(cx, text, compiled)?)
        }
    };
    if let Some(value) = &value {
        *ty = Some(columns::one_type(cx, text, ty.as_ref(), &value.ty)?);
    }
    Some(Argument { value, filter, ..Argument::none() })
}

fn view(cx: &Context, decl: &ViewDecl, columns: Vec<Column>, state: Vec<StateColumn>, source: Source) -> View {
    let read = match &source {
        Source::Copy(copy) => copy.view,
        Source::Aggregate(aggregate) => aggregate.view,
        Source::Events(_) | Source::Seen(_) => 0,
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
        watched: Vec::new(),
        source,
        table,
    }
}
