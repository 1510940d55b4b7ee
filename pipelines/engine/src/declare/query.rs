//! `pipelines/<domain>/queries.yaml`.

use super::command::{ALLOW, nothing, read_allow, unsaid};
use super::shape::{self, Form, Key, Names, Rule, Shape};
use super::topology::split_direction;
use super::{Text, check_name, doc, place_of};
use crate::source::{Diagnostic, Spanned};
use crate::table::Direction;
use crate::yaml::{Fields, Kind, Node};

#[derive(Clone, Debug, PartialEq)]
pub struct QueryDecl {
    pub name: Text,
    pub doc: Option<String>,
    /// `/documents/{doc_id}`.
    pub path: Text,
    pub allow: Text,
    pub answer: AnswerDecl,
    /// Column name and `view[column].column` or `view[column]`.
    pub join: Vec<(Text, Text)>,
}

/// What the query answers with, and the view that it reads.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerDecl {
    Row(Text),
    Page {
        view: Text,
        /// The partition column that the page walks, and how many partitions back at most.
        walk: Option<(Text, Spanned<u32>)>,
        /// Default 50.
        size_default: Option<Spanned<u32>>,
        /// Default 500.
        size_max: Option<Spanned<u32>>,
        /// Columns of the view, the first counting most; none: the order of its clustering.
        sort: Vec<(Text, Direction)>,
    },
    File {
        view: Text,
        /// Columns; `content`, `name` and `mime_type` unless named.
        content: Option<Text>,
        name: Option<Text>,
        mime_type: Option<Text>,
    },
}

/// Rows of a page where neither the query nor its caller says.
pub const PAGE_DEFAULT: u32 = 50;
/// What a caller may ask for where the query does not say.
pub const PAGE_MAX: u32 = 500;
/// Rows of a page that a query may allow, at most.
pub const LARGEST_PAGE: u32 = 10_000;
/// Partitions that a page may walk back through.
const MAX_BACK: u32 = 100_000;

/// `queries.yaml`.
pub(super) static FILE: Shape = Shape::new(
    "What may be asked. Each query reads one view by its key, and joins rows of others by theirs.",
    &[Key::required("queries", Form::Names(&QUERIES), "…", "A name for each query.")],
);

static QUERIES: Names = Names::of(shape::NAME, Form::Keys(&QUERY));

static QUERY: Shape = Shape::new(
    "A query: a path, who may ask, and the view that answers.",
    &[
        Key::optional("doc", Form::Text, "An order as it is now.", "A sentence on it, shown in the API's description."),
        Key::required(
            "get",
            Form::Text,
            "/orders",
            "The path: `/orders/{order_id}`. A parameter is a column of the view's key.",
        ),
        Key::required("allow", Form::Text, "signed_in", ALLOW),
        Key::optional("row", Form::Text, "orders", "Answers with one row of this view; the path gives its whole key."),
        Key::optional(
            "page",
            Form::Text,
            "orders_by_customer",
            "Answers with a page of one partition of this view, in the order of its clustering.",
        ),
        Key::optional(
            "file",
            Form::Any(&[Form::Text, Form::Keys(&FILE_OF)]),
            "document_versions",
            "Answers with the bytes that a row of this view names, under its name and MIME type.",
        ),
        Key::optional(
            "walk",
            Form::Names(&WALK),
            "{ month: { back: 240 } }",
            "Goes back through the partitions of a time bucket, the newest first: the column, and how many at most.",
        ),
        Key::optional("size", Form::Keys(&SIZE), "{ default: 50, max: 500 }", "How many rows a page has."),
        Key::optional(
            "sort",
            Form::Any(&[Form::Text, Form::List(&Form::Text, 1)]),
            "[sold desc, product]",
            "The page's rows in another order than the clustering's: columns of the view, `desc` or not, nulls last. For \
             partitions of up to 10,000 rows.",
        ),
        Key::optional(
            "join",
            Form::Names(&JOIN),
            "{ customer_name: \"customers[customer].name\" }",
            "Columns of other views, found by their key: `name: view[column].column`, or `view[column]` for the row.",
        ),
    ],
)
.rules(&[
    Rule::ExactlyOne(&["row", "page", "file"]),
    Rule::Needs("walk", &["page"]),
    Rule::Needs("size", &["page"]),
    Rule::Needs("sort", &["page"]),
    Rule::AtMostOne(&["sort", "walk"]),
]);

static FILE_OF: Shape = Shape::new(
    "A view, and its columns where they have other names.",
    &[
        Key::required("view", Form::Text, "document_versions", "The view whose row names the bytes."),
        Key::optional("content", Form::Text, "content", "The column that names the bytes; `content` unless given."),
        Key::optional("name", Form::Text, "name", "The column with the file's name; `name` unless given."),
        Key::optional("mime_type", Form::Text, "mime_type", "The column with its MIME type; `mime_type` unless given."),
    ],
);

static WALK: Names = Names::any(Form::Keys(&WALK_OF)).one();

static WALK_OF: Shape = Shape::new(
    "How far back a page walks.",
    &[Key::required("back", Form::Integer(1, MAX_BACK), "240", "How many partitions at most.")],
);

static SIZE: Shape = Shape::new(
    "How many rows a page has.",
    &[
        Key::optional(
            "default",
            Form::Integer(1, LARGEST_PAGE),
            "50",
            "Where the caller does not say; 50 unless given.",
        ),
        Key::optional("max", Form::Integer(1, LARGEST_PAGE), "500", "What a caller may ask for; 500 unless given."),
    ],
)
.within("size.");

static JOIN: Names = Names::of(shape::NAME, Form::Text);

/// Reads `queries.yaml`: every query that makes sense by itself.
pub fn read(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Vec<QueryDecl>> {
    let mut fields = node.fields(&FILE, "the file", &place_of(node), out)?;
    let queries = fields.get("queries");
    fields.finish_file(out);
    let entries = queries?.entries("`queries`", out)?;
    Some(entries.iter().filter_map(|(name, node)| read_query(name.key_text(), node, out)).collect())
}

fn read_query(name: Text, node: &Node, out: &mut Vec<Diagnostic>) -> Option<QueryDecl> {
    let owner = format!("query `{}`", name.value);
    check_name(&name, "query", out);
    let mut fields = node.fields(&QUERY, &owner, &name.span, out)?;
    let doc = doc(&mut fields, out);
    let path = fields.text("get", out);
    let allow = read_allow(&mut fields, out);
    let answer = read_answer(&owner, &name, &mut fields, out);
    let join = fields.get("join").map(|node| read_join(node, out)).unwrap_or_default();
    fields.finish(&[], out);
    let allow = allow.unwrap_or_else(|| unsaid(&name));
    // A mistaken path is empty, and was reported.
    let path = path.unwrap_or_else(|| nothing(&name));
    Some(QueryDecl { name, doc, path, allow, answer: answer?, join })
}

/// Exactly one of `row`, `page` and `file`, with the keys that go with it.
fn read_answer(owner: &str, name: &Text, fields: &mut Fields<'_>, out: &mut Vec<Diagnostic>) -> Option<AnswerDecl> {
    let row = fields.entry("row");
    let page = fields.entry("page");
    let file = fields.entry("file");
    let walk = fields.entry("walk");
    let size = fields.entry("size");
    let sort = fields.entry("sort");
    let given: Vec<_> = [row, page, file].into_iter().flatten().collect();
    match given.as_slice() {
        [_] => {}
        [] if fields.misspells(&["row", "page", "file"]) => return None,
        [] => {
            out.push(
                Diagnostic::error(&name.span, format!("{owner} does not say what it answers with"))
                    .label("`row`, `page` or `file` is missing")
                    .help("add `row: view` for one row, `page: view` for a list, or `file: view` for a download"),
            );
            return None;
        }
        [_, (second, _), ..] => {
            let error = Diagnostic::error(&second.span, format!("{owner} answers with two things"));
            out.push(error.label("a second answer").help("a query has one of `row`, `page` and `file`"));
            return None;
        }
    }
    if page.is_none() {
        for (key, _) in [walk, size, sort].into_iter().flatten() {
            let message = format!("`{}` is for pages, and {owner} has no `page`", key.key_text().value);
            out.push(Diagnostic::error(&key.span, message).label("only beside `page`"));
        }
    }
    if let Some((_, node)) = row {
        return Some(AnswerDecl::Row(node.text("`row`", out)?));
    }
    if let Some((key, node)) = file {
        return read_file(key, node, out);
    }
    let view = page?.1.text("`page`", out);
    let (size_default, size_max) = size.map_or((None, None), |(key, node)| read_size(key, node, out));
    let sorted = sort.map(|(_, node)| read_sort(node, out)).unwrap_or_default();
    if let (Some((key, _)), Some(_)) = (sort, walk) {
        let error = Diagnostic::error(&key.span, "a page that walks from bucket to bucket is in their order");
        out.push(
            error.label("not beside `walk`").help("leave out one of the two: `sort` is for the rows of one partition"),
        );
    }
    // A walk that is mistaken cannot be left out: the page would need its column from elsewhere.
    let walk = match walk {
        Some((_, node)) => Some(read_walk(node, out)?),
        None => None,
    };
    Some(AnswerDecl::Page { view: view?, walk, size_default, size_max, sort: sorted })
}

/// `sold desc`, or a list of such.
fn read_sort(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<(Text, Direction)> {
    let items = match &node.kind {
        Kind::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        let error = Diagnostic::error(&node.span, "`sort` names no column").label("nothing to sort by");
        out.push(error.help("write `sort: [sold desc]`, or leave it out"));
    }
    let texts = items.iter().filter_map(|item| item.text("`sort`", out)).collect::<Vec<_>>();
    let directed = texts.into_iter().map(split_direction);
    directed
        .map(|(name, direction)| (name, direction.map_or(Direction::Ascending, |(direction, _)| direction)))
        .collect()
}

/// A view, or `{view, content, name, mime_type}` with the columns to use.
fn read_file(key: &Node, node: &Node, out: &mut Vec<Diagnostic>) -> Option<AnswerDecl> {
    if !matches!(node.kind, Kind::Mapping(_)) {
        let view = node.text("`file`", out)?;
        return Some(AnswerDecl::File { view, content: None, name: None, mime_type: None });
    }
    let mut fields = node.fields(&FILE_OF, "`file`", &key.span, out)?;
    let view = fields.text("view", out);
    let content = fields.text("content", out);
    let name = fields.text("name", out);
    let mime_type = fields.text("mime_type", out);
    fields.finish(&[], out);
    Some(AnswerDecl::File { view: view?, content, name, mime_type })
}

/// `{ month: { back: 240 } }`.
fn read_walk(node: &Node, out: &mut Vec<Diagnostic>) -> Option<(Text, Spanned<u32>)> {
    let entries = node.entries("`walk`", out)?;
    let [(column, how)] = entries else {
        let error = Diagnostic::error(&node.span, "`walk` names one column").label("expected one column");
        out.push(error.help("write `walk: { month: { back: 240 } }`"));
        return None;
    };
    let mut fields = how.fields(&WALK_OF, "`walk`", &column.span, out)?;
    let back = fields.integer("back", out);
    fields.finish(&[], out);
    Some((column.key_text(), back?))
}

fn read_size(key: &Node, node: &Node, out: &mut Vec<Diagnostic>) -> (Option<Spanned<u32>>, Option<Spanned<u32>>) {
    let Some(mut fields) = node.fields(&SIZE, "`size`", &key.span, out) else { return (None, None) };
    let default = fields.integer("default", out);
    let max = fields.integer("max", out);
    fields.finish(&[], out);
    let (d, m) =
        (default.as_ref().map_or(PAGE_DEFAULT, |size| size.value), max.as_ref().map_or(PAGE_MAX, |size| size.value));
    if let Some(size) = default.as_ref().or(max.as_ref()).filter(|_| d > m) {
        let error =
            Diagnostic::error(&size.span, format!("a page of {d} rows by default is more than the {m} allowed"));
        out.push(error.label("default above max").help("`size: { default: …, max: … }`, 50 and 500 unless given"));
    }
    (default, max)
}

fn read_join(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<(Text, Text)> {
    let mut join = Vec::new();
    for (name, value) in node.entries("`join`", out).unwrap_or_default() {
        let name = name.key_text();
        check_name(&name, "column", out);
        if let Some(value) = value.text(&format!("`join.{}`", name.value), out) {
            join.push((name, value));
        }
    }
    join
}
