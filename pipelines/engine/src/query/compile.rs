//! From a query's declaration to a [`Query`].

use std::sync::Arc;

use headwater_schemas::Type;

use super::{Answer, CURSOR, Parameter, Place, Query, SIZE, Unit, UploadFields, Walk, bucket, join, sort};
use crate::allow::{Allow, AnyRow};
use crate::declare::query::{AnswerDecl, PAGE_DEFAULT, PAGE_MAX};
use crate::declare::{QueryDecl, Text};
use crate::plan::Topology;
use crate::route::Route;
use crate::source::{Diagnostic, Spanned};
use crate::table::Table;
use crate::unknown::{self, Missing};

/// Compiles a query against the project's topologies.
///
/// # Errors
/// Every mistake found, each with its place. That two queries take the same path is the project's to say.
pub fn compile(decl: &QueryDecl, topologies: &[Arc<Topology>]) -> Result<Query, Vec<Diagnostic>> {
    compile_with(decl, topologies, Missing::default())
}

/// As [`compile`], where views may be `missing`. A query that nothing is wrong with but what it reads is an error without
/// a diagnostic.
pub(crate) fn compile_with(
    decl: &QueryDecl,
    topologies: &[Arc<Topology>],
    missing: Missing,
) -> Result<Query, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    // An empty path was reported.
    let path = Some(&decl.path).filter(|path| !path.is_empty());
    let route = path.and_then(|path| Route::parse(path).map_err(|mut found| errors.append(&mut found)).ok());
    let view = match &decl.answer {
        AnswerDecl::Row(view) | AnswerDecl::Page { view, .. } | AnswerDecl::File { view, .. } => view,
    };
    let Some((topology, index)) = find(view, topologies, missing, &mut errors) else {
        errors.extend(Allow::compile(&decl.allow, &AnyRow).err());
        join::compile(&decl.join, None, topologies, missing, &mut errors);
        return Err(errors);
    };
    let table = &topology.views[index].table;
    let allow = Allow::compile(&decl.allow, table).map_err(|error| errors.push(error)).ok();
    let answer = answer(decl, &topology, index, &mut errors);
    let joins = join::compile(&decl.join, Some(table), topologies, missing, &mut errors);
    if let (AnswerDecl::File { .. }, Some((name, _))) = (&decl.answer, decl.join.first()) {
        let error = Diagnostic::error(&name.span, "a file is answered as it is: it has no fields to join to");
        errors.push(error.label("no place for it"));
    }
    let mut parameters = Vec::new();
    if let (Some(route), Some(answer), false) = (&route, &answer, topology.views[index].doubtful) {
        parameters = self::parameters(decl, table, route, answer, &mut errors);
        if let Some(allow) = &allow {
            check_owner(decl, table, answer, allow, &parameters, &mut errors);
        }
    }
    let (Some(route), Some(allow), Some(answer), true) = (route, allow, answer, errors.is_empty()) else {
        return Err(errors);
    };
    Ok(Query {
        name: decl.name.value.clone(),
        doc: decl.doc.clone(),
        route,
        allow,
        topology,
        view: index,
        parameters,
        answer,
        joins,
    })
}

/// The view of this name, of whichever topology has it.
pub(super) fn find(
    name: &Text,
    topologies: &[Arc<Topology>],
    missing: Missing,
    errors: &mut Vec<Diagnostic>,
) -> Option<(Arc<Topology>, usize)> {
    let mut having = topologies.iter().filter_map(|topology| Some((topology, topology.view(name)?.0)));
    let Some((topology, index)) = having.next() else {
        if missing.views {
            return None;
        }
        let names = topologies.iter().flat_map(|topology| &topology.views).map(|view| view.table.name.as_str());
        let error = Diagnostic::error(&name.span, format!("there is no view `{}`", name.value));
        errors.push(error.label("not declared in any topology").nearest(name, names));
        return None;
    };
    if let Some((other, _)) = having.next() {
        let message = format!("topologies `{}` and `{}` both have a view `{}`", topology.name, other.name, name.value);
        errors.push(Diagnostic::error(&name.span, message).label("which one?").help("give one of them another name"));
        return None;
    }
    Some((Arc::clone(topology), index))
}

fn answer(decl: &QueryDecl, topology: &Topology, view: usize, errors: &mut Vec<Diagnostic>) -> Option<Answer> {
    let table = &topology.views[view].table;
    match &decl.answer {
        AnswerDecl::Row(_) => Some(Answer::Row),
        AnswerDecl::Page { view: name, walk, size_default, size_max, sort } => {
            if !topology.views[view].doubtful {
                refuse_page_of_single_rows(table, name, errors)?;
            }
            // The reader has seen to their bounds.
            let size_default = size_default.as_ref().map_or(PAGE_DEFAULT, |size| size.value);
            let size_max = size_max.as_ref().map_or(PAGE_MAX, |size| size.value);
            let walk = match walk {
                None => None,
                Some(walk) => Some(self::walk(walk, topology, view, errors)?),
            };
            let sort = sort::compile(sort, table, errors);
            Some(Answer::Page { walk, size_default, size_max, sort })
        }
        AnswerDecl::File { view: at, content, name, mime_type } => {
            let before = errors.len();
            let fields = upload(table, content.as_ref(), at, errors);
            let name = text_column(table, name.as_ref(), "name", at, errors);
            let mime_type = text_column(table, mime_type.as_ref(), "mime_type", at, errors);
            let ((content, fields), name, mime_type) = (fields?, name?, mime_type?);
            (errors.len() == before).then_some(Answer::File { content, fields, name, mime_type })
        }
    }
}

/// A page over a view whose partitions are single rows: what is meant is a scan.
fn refuse_page_of_single_rows(table: &Table, name: &Text, errors: &mut Vec<Diagnostic>) -> Option<()> {
    if !table.clustering.is_empty() {
        return Some(());
    }
    let error = if table.partition == 0 {
        Diagnostic::error(&name.span, format!("view `{}` has one row, so there is nothing to page", name.value))
            .label("one row")
            .help(format!("write `row: {}`", name.value))
    } else {
        let keys = key_names(table).join(", ");
        Diagnostic::error(
            &name.span,
            format!("a page of view `{}` would scan it: each of its partitions is one row", name.value),
        )
        .label(format!("its key is [{keys}], without clustering"))
        .help(format!(
            "declare a view `from: {}` whose key has a partition that pages can be read from and clustering that orders \
             them, for example `partition: [month: \"date_trunc('month', …)\"]` and `clustering: [… desc, {keys}]`, and \
             page that with `walk`",
            name.value
        ))
    };
    errors.push(error);
    None
}

fn walk(
    (name, back): &(Text, Spanned<u32>),
    topology: &Topology,
    view: usize,
    errors: &mut Vec<Diagnostic>,
) -> Option<Walk> {
    let view = &topology.views[view];
    let table = &view.table;
    if view.doubtful && unknown::column(table, name).is_some() {
        return None;
    }
    let partition = table.columns[..table.partition].iter().map(|column| column.name.as_str());
    let Some((column, found)) = table.column(name).filter(|(index, _)| *index < table.partition) else {
        let message = format!("`{}` is not a partition column of view `{}`", name.value, table.name);
        errors.push(Diagnostic::error(&name.span, message).label("cannot be walked").nearest(name, partition));
        return None;
    };
    let unit = view.buckets.get(column).and_then(Option::as_deref).and_then(Unit::parse);
    match unit.filter(|unit| found.ty.ty.is_timestamp() && bucket::is_utc(view, column, *unit)) {
        Some(unit) => Some(Walk { column, unit, back: back.value }),
        None => {
            let message =
                format!("`{}` is no time bucket, so nothing says which partition comes before another", name.value);
            let error = Diagnostic::error(&name.span, message).label("cannot be walked");
            errors.push(
                error.help(format!(
                    "walk a key column declared as `{}: \"date_trunc('month', …)\"`, in UTC",
                    name.value
                )),
            );
            None
        }
    }
}

/// The content column, and where its record says what the content is.
fn upload(
    table: &Table,
    named: Option<&Text>,
    view: &Text,
    errors: &mut Vec<Diagnostic>,
) -> Option<(usize, UploadFields)> {
    let (index, ty) = file_column(table, named, "content", view, errors)?;
    if unknown::is_unknown(ty) {
        return None;
    }
    let fields = match ty {
        Type::Record(record) => {
            let field = |name: &str, fits: fn(&Type) -> bool| {
                record.field(name).filter(|(_, field)| fits(&field.ty.ty)).map(|(index, _)| index)
            };
            let blob = field("blob", |ty| matches!(ty, Type::String));
            let sha256 = field("sha256", |ty| matches!(ty, Type::String | Type::Bytes | Type::Fixed(32)));
            let size = field("size", |ty| matches!(ty, Type::Long | Type::Int));
            blob.zip(sha256).zip(size).map(|((blob, sha256), size)| UploadFields { blob, sha256, size })
        }
        _ => None,
    };
    if fields.is_none() {
        let message = format!(
            "column `{}` is a {ty}, and content is what `upload()` gives: a record of `blob` (string), `sha256` (string or \
             bytes) and `size` (long)",
            table.columns[index].name
        );
        errors.push(Diagnostic::error(&named.unwrap_or(view).span, message).label("refers to no content"));
    }
    Some((index, fields?))
}

fn text_column(
    table: &Table,
    named: Option<&Text>,
    usual: &str,
    view: &Text,
    errors: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let (index, ty) = file_column(table, named, usual, view, errors)?;
    if ty.is_text() || unknown::is_unknown(ty) {
        return Some(index);
    }
    let message = format!("column `{}` is a {ty}, and a file's {usual} is a string", table.columns[index].name);
    errors.push(Diagnostic::error(&named.unwrap_or(view).span, message).label("not a string"));
    None
}

fn file_column<'t>(
    table: &'t Table,
    named: Option<&Text>,
    usual: &str,
    view: &Text,
    errors: &mut Vec<Diagnostic>,
) -> Option<(usize, &'t Type)> {
    let name = named.map_or(usual, |named| named.value.as_str());
    if let Some((index, column)) = unknown::column(table, name) {
        return Some((index, &column.ty.ty));
    }
    let message = format!("view `{}` has no column `{name}`, which a file needs", table.name);
    let error = Diagnostic::error(&named.unwrap_or(view).span, message).label("no such column");
    let names = table.columns.iter().map(|column| column.name.as_str());
    errors.push(match named {
        Some(_) => error.nearest(name, names),
        None => {
            error.help(format!("name the column that is its {usual}: `file: {{ view: {}, {usual}: … }}`", table.name))
        }
    });
    None
}

/// Where each key column that the read needs comes from.
fn parameters(
    decl: &QueryDecl,
    table: &Table,
    route: &Route,
    answer: &Answer,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Parameter> {
    let (needed, walked) = match answer {
        Answer::Page { walk, .. } => (table.partition, walk.map(|walk| walk.column)),
        Answer::Row | Answer::File { .. } => (table.key_len(), None),
    };
    let needed: Vec<usize> = (0..needed).filter(|column| Some(*column) != walked).collect();
    for name in route.parameters() {
        if !needed.iter().any(|column| table.columns[*column].name == name) {
            errors.push(not_a_key(decl, table, name, &needed, walked, matches!(answer, Answer::Page { .. })));
        }
    }
    let mut parameters = Vec::new();
    for column in needed {
        let name = table.columns[column].name.clone();
        let place = if route.parameters().any(|given| given == name) { Place::Path } else { Place::Query };
        if place == Place::Query && (name == SIZE || name == CURSOR) {
            let message =
                format!("the key column `{name}` would be given in the query string, where `{name}` has a meaning");
            let error = Diagnostic::error(&decl.path.span, message).label("ambiguous");
            errors.push(error.help(format!("put `{{{name}}}` into the path")));
        }
        parameters.push(Parameter { name, column, place });
    }
    parameters
}

/// A path parameter that no key column takes: the query would scan.
fn not_a_key(
    decl: &QueryDecl,
    table: &Table,
    name: &str,
    needed: &[usize],
    walked: Option<usize>,
    page: bool,
) -> Diagnostic {
    let whole = format!("{{{name}}}");
    let at = decl.path.value.find(&whole).unwrap_or(0);
    let span = decl.path.part(at..at + whole.len());
    if walked.is_some_and(|column| table.columns[column].name == name) {
        let message = format!("`{name}` is walked, so the path cannot name it");
        return Diagnostic::error(&span, message).label("walked").help("leave out `walk`, or take it out of the path");
    }
    let Some((_, column)) = table.column(name) else {
        let message = format!("view `{}` has no column `{name}`", table.name);
        let names = needed.iter().map(|column| table.columns[*column].name.as_str());
        return Diagnostic::error(&span, message).label("not a key column").nearest(name, names);
    };
    let what = if page { "partition" } else { "key" };
    let keys: Vec<&str> = key_names(table).into_iter().filter(|key| *key != name).collect();
    let message =
        format!("`{name}` is not in the {what} of view `{}`, so this query would scan the whole view", table.name);
    let clustering = if keys.is_empty() { String::new() } else { format!(", clustering: [{}]", keys.join(", ")) };
    Diagnostic::error(&span, message).label(format!("not a {what} column")).help(format!(
        "declare a view `{view}_by_{name}` with `from: {view}` and `key: {{ partition: [{name}]{clustering} }}`, and query \
         that by `page: {view}_by_{name}`",
        view = table.name,
        name = column.name,
    ))
}

/// On a page, who owns it must be known of all its rows at once.
fn check_owner(
    decl: &QueryDecl,
    table: &Table,
    answer: &Answer,
    allow: &Allow,
    parameters: &[Parameter],
    errors: &mut Vec<Diagnostic>,
) {
    if !matches!(answer, Answer::Page { .. }) {
        return;
    }
    for column in allow.owner_columns() {
        if parameters.iter().any(|parameter| parameter.column == column) {
            continue;
        }
        let name = &table.columns[column].name;
        let message = format!("the rows of a page may have different owners in `{name}`, which is no partition column");
        let error = Diagnostic::error(&decl.allow.span, message).label("not the same for the whole page");
        errors.push(error.help(format!("declare a view with `partition: [{name}]` and page that")));
    }
}

fn key_names(table: &Table) -> Vec<&str> {
    table.columns[..table.key_len()].iter().map(|column| column.name.as_str()).collect()
}
