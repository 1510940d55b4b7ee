//! `pipelines/<domain>/topology.yaml`.

use std::collections::HashSet;

use super::from::{self, InputDecl};
use super::shape::{self, COLUMN, Form, Key, Names, Pattern, Shape};
use super::{Text, check_name, doc, place_of, refuse_tombstone};
use crate::source::{Diagnostic, Span, Spanned};
use crate::table::Direction;
use crate::yaml::{Kind, Node, quoted};

#[derive(Clone, Debug, PartialEq)]
pub struct TopologyDecl {
    pub name: Text,
    /// A store named in `headwater.yaml`.
    pub store: Text,
    /// Topics.
    pub reads: Vec<Text>,
    /// Not all that it reads is in `reads`: the rest was mistaken, and reported.
    pub reads_more: bool,
    /// How often a store's refusal of one row is retried before its event is parked.
    pub retry_times: u32,
    pub views: Vec<ViewDecl>,
    /// Each view has what can be a name: one that is not found here is nowhere.
    pub views_named: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ViewDecl {
    pub name: Text,
    pub doc: Option<String>,
    /// A view whose row, as it stands right after the event, is readable.
    pub with: Option<Text>,
    pub key: KeyDecl,
    /// What feeds it: events, or one view.
    pub from: Vec<InputDecl>,
    pub create_when: Vec<Text>,
    pub delete_when: Vec<Text>,
    pub columns: ColumnsDecl,
    pub retain: Option<RetainDecl>,
    /// Something here made no sense by itself, and was reported: this is what is left.
    pub unsound: bool,
}

/// How long rows are shown: so many days after the time in a column.
#[derive(Clone, Debug, PartialEq)]
pub struct RetainDecl {
    pub days: u32,
    pub after: Text,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KeyDecl {
    pub span: Span,
    pub partition: Vec<KeyEntry>,
    pub clustering: Vec<(KeyEntry, Direction)>,
}

/// A field or column, or a name for an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyEntry {
    pub name: Text,
    pub expression: Option<Text>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ColumnsDecl {
    /// Names of the source view's columns: a re-keyed copy.
    Copied(Vec<Text>),
    /// Name and expression: reducers, or for a re-keyed copy expressions over the source's columns.
    Computed(Vec<(Text, Text)>),
}

/// Retries of one row unless `retry` says otherwise.
const RETRY_TIMES: u32 = 3;
const MAX_RETRY_TIMES: u32 = 100;
/// A hundred years.
const MAX_RETAIN_DAYS: u32 = 36_500;

/// `topology.yaml`.
pub(super) static TOPOLOGY: Shape = Shape::new(
    "Views that run together, in one store, with one position for each partition that they read.",
    &[
        Key::required("topology", COLUMN, "orders", "The topology's name."),
        Key::required("store", Form::Text, "operational", "A store of headwater.yaml: it keeps the views."),
        Key::required(
            "reads",
            Form::Texts(&Form::Text, 1),
            "[orders]",
            "The topics whose events the views are made of.",
        ),
        Key::optional(
            "retry",
            Form::Keys(&RETRY),
            "{ times: 3 }",
            "How often a row that the store refuses is tried again; then its event is parked.",
        ),
        Key::required("views", Form::Names(&VIEWS), "…", "What the events become: a name for each view."),
    ],
);

static RETRY: Shape = Shape::new(
    "How often a row that the store refuses is tried again.",
    &[Key::required("times", Form::Integer(0, MAX_RETRY_TIMES), "3", "How often; 3 unless given.")],
)
.within("retry.");

static VIEWS: Names = Names::of(shape::NAME, Form::Keys(&VIEW)).at_least(1);

static VIEW: Shape = Shape::new(
    "A view: a row for each key, and in its columns what reducers make of the events of that key. As \
     `select key, reducers from events group by key`, kept up to date.",
    &[
        Key::optional("doc", Form::Text, "An order as it is now.", "A sentence on it."),
        Key::optional(
            "with",
            Form::Text,
            "orders",
            "Another view of the same topic and key, whose row is readable as it stands right after each event.",
        ),
        Key::required(
            "key",
            Form::Any(&[Form::List(&KEY_COLUMN, 0), Form::Keys(&KEY)]),
            "[order_id]",
            "What tells rows apart: fields of every event, columns of the view, or `name: expression`. A mapping of \
             `partition` and `clustering` orders rows within a partition. `[]` is a single row.",
        ),
        Key::required(
            "from",
            from::FROM,
            "[OrderPlaced]",
            "What feeds the view: events of one topic, one other view, or aliases of these.",
        ),
        Key::optional(
            "create_when",
            EVENTS,
            "OrderPlaced",
            "The events that make a row; others change it where it is. Any event does unless given.",
        ),
        Key::optional(
            "delete_when",
            EVENTS,
            "OrderCancelled",
            "The events that take the row away: events of `from`, or `Tombstone`. Needs `create_when` or `with`.",
        ),
        Key::optional(
            "columns",
            Form::Any(&[Form::Names(&COLUMNS), Form::Texts(&COLUMN, 0)]),
            "{ total: last(total), changes: count() }",
            "Columns and their reducers: `last(x)`, `first(x)`, `count()`, `sum(x)`, `avg(x)`, `min(x)`, `max(x)`, \
             `count(distinct x)`, `collect_list(x)`, `collect_set(x)`, `top(n, x)`, `stddev(x)`. In a re-keyed copy of a \
             view, a list of its columns, or expressions over them.",
        ),
        Key::optional(
            "retain",
            Form::Keys(&RETAIN),
            "{ days: 365, after: updated }",
            "For how many days rows are shown. For ever unless given.",
        ),
    ],
);

const EVENTS: Form = Form::TextOrTexts(&Form::Text);

static COLUMNS: Names = Names::of(shape::NAME, Form::Expression);

static KEY: Shape = Shape::new(
    "Rows are found by all of `partition`, and are in the order of `clustering` within it.",
    &[
        Key::required(
            "partition",
            Form::List(&KEY_COLUMN, 0),
            "[order_id]",
            "The columns that a query must give: together they name a partition.",
        ),
        Key::required(
            "clustering",
            Form::List(&CLUSTERING_COLUMN, 0),
            "[created desc]",
            "The columns that order rows within a partition, ascending unless `desc` stands behind.",
        ),
    ],
);

const KEY_COLUMN: Form = Form::Any(&[COLUMN, Form::Names(&KEY_EXPRESSION)]);

const CLUSTERING_COLUMN: Form = Form::Any(&[
    Form::Like(Pattern {
        regex: r"^[a-z][a-z0-9_]{0,47}(\s+([aA][sS][cC]|[dD][eE][sS][cC]))?\s*$",
        says: "a column, and `asc` or `desc` behind it or not",
    }),
    Form::Names(&KEY_EXPRESSION),
]);

/// `name: expression`.
static KEY_EXPRESSION: Names = Names::of(shape::NAME, Form::Expression).one();

static RETAIN: Shape = Shape::new(
    "How long rows are shown: so many days after the time in a column.",
    &[
        Key::required("days", Form::Integer(1, MAX_RETAIN_DAYS), "365", "How many days."),
        Key::required(
            "after",
            Form::Text,
            "updated",
            "The column with the time that they are counted from. Where it is null the row is shown for ever.",
        ),
    ],
)
.within("retain.");

/// Reads `topology.yaml`: the topology with what is left of it, an empty name or store where that is mistaken.
pub fn read(node: &Node, out: &mut Vec<Diagnostic>) -> Option<TopologyDecl> {
    let before = out.len();
    let mut fields = node.fields(&TOPOLOGY, "a topology", &place_of(node), out)?;
    let name = fields.text("topology", out);
    let name = name.filter(|name| check_name(name, "topology", out));
    let store = fields.text("store", out);
    let at = out.len();
    let reads = fields.texts("reads", out);
    let reads_more = reads.is_none() || out.len() > at;
    let retry_times = fields.entry("retry").map_or(Some(RETRY_TIMES), |(key, node)| read_retry(key, node, out));
    let views = fields.get("views").map(|node| read_views(node, out));
    fields.finish(&[], out);

    let place = || name.as_ref().map_or_else(|| place_of(node), |name| name.span.clone());
    if reads.as_ref().is_some_and(Vec::is_empty) {
        out.push(Diagnostic::error(&place(), "a topology that reads no topic").label("`reads` is empty"));
    }
    if views.as_ref().is_some_and(Vec::is_empty) && out.len() == before {
        out.push(Diagnostic::error(&place(), "a topology without views").label("`views` is empty"));
    }
    let unsaid = || Spanned::new(String::new(), place_of(node));
    Some(TopologyDecl {
        name: name.unwrap_or_else(unsaid),
        store: store.unwrap_or_else(unsaid),
        reads: reads.unwrap_or_default(),
        reads_more,
        retry_times: retry_times.unwrap_or(RETRY_TIMES),
        views: views.unwrap_or_default(),
        views_named: names_views(node),
    })
}

/// Whether a topology's file names its views, each by what can be a name, whatever else is wrong in there.
pub fn names_views(node: &Node) -> bool {
    let Kind::Mapping(entries) = &node.kind else { return false };
    let views = entries.iter().find(|(key, _)| key.as_text() == Some("views"));
    let Some((_, Node { kind: Kind::Mapping(views), .. })) = views else { return false };
    views.iter().all(|(name, _)| check_name(&name.key_text(), "view", &mut Vec::new()))
}

fn read_retry(key: &Node, node: &Node, out: &mut Vec<Diagnostic>) -> Option<u32> {
    let mut fields = node.fields(&RETRY, "`retry`", &key.span, out)?;
    let times = fields.integer("times", out);
    fields.finish(&[], out);
    times.map(|times| times.value)
}

fn read_views(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<ViewDecl> {
    let entries = node.entries("`views`", out).unwrap_or_default();
    entries.iter().map(|(name, node)| read_view(name.key_text(), node, out)).collect()
}

/// A view of which only the name is known.
fn unsound(name: Text) -> ViewDecl {
    let key = KeyDecl { span: name.span.clone(), partition: Vec::new(), clustering: Vec::new() };
    let columns = ColumnsDecl::Computed(Vec::new());
    let (from, create_when, delete_when) = (Vec::new(), Vec::new(), Vec::new());
    let (with, retain) = (None, None);
    ViewDecl { name, doc: None, with, key, from, create_when, delete_when, columns, retain, unsound: true }
}

fn read_view(name: Text, node: &Node, out: &mut Vec<Diagnostic>) -> ViewDecl {
    let owner = format!("view `{}`", name.value);
    check_name(&name, "view", out);
    let Some(mut fields) = node.fields(&VIEW, &owner, &name.span, out) else { return unsound(name) };
    let before = out.len();
    let doc = doc(&mut fields, out);
    let with = fields.text("with", out);
    let key = fields.get("key").and_then(|node| read_key(node, out));
    let from = fields.get("from").and_then(|node| from::read(node, out));
    let create_when = fields.text_or_texts("create_when", out).unwrap_or_default();
    let delete_when = fields.text_or_texts("delete_when", out).unwrap_or_default();
    let columns = fields.get("columns");
    let columns = columns.map_or(Some(ColumnsDecl::Computed(Vec::new())), |node| read_columns(node, out));
    refuse_tombstone(&create_when, "has its key only, and makes no row", out);
    let told = out.len();
    let retain = fields.entry("retain");
    for key in ["as", "where", "each"] {
        let Some(span) = fields.refused(key) else { continue };
        let error = Diagnostic::error(span, format!("`{key}` is of an alias, not of a view"));
        out.push(error.label("not here").help(format!("write `from: {{ it: {{ event: OrderPlaced, {key}: … }} }}`")));
    }
    fields.finish(&[], out);
    // A key that is missing or misspelt is a part of the view; one that is of no meaning changes nothing.
    let misses = |error: &Diagnostic| error.help.as_ref().is_some_and(|help| !help.starts_with("known here"));
    let unsound_keys = told > before || out[told..].iter().any(misses);
    // Last: what is wrong with it changes nothing else of the view.
    let retain = retain.and_then(|(key, node)| read_retain(key, node, out));
    let empty = unsound(name);
    ViewDecl {
        doc,
        with,
        key: key.unwrap_or(empty.key),
        from: from.unwrap_or_default(),
        create_when,
        delete_when,
        columns: columns.unwrap_or(empty.columns),
        retain,
        unsound: unsound_keys,
        name: empty.name,
    }
}

fn read_retain(key: &Node, node: &Node, out: &mut Vec<Diagnostic>) -> Option<RetainDecl> {
    let mut fields = node.fields(&RETAIN, "`retain`", &key.span, out)?;
    let days = fields.integer("days", out);
    let after = fields.text("after", out);
    fields.finish(&[], out);
    Some(RetainDecl { days: days?.value, after: after? })
}

fn read_key(node: &Node, out: &mut Vec<Diagnostic>) -> Option<KeyDecl> {
    let span = node.span.clone();
    let decl = match &node.kind {
        Kind::Sequence(items) => KeyDecl { span, partition: read_partition(items, out), clustering: Vec::new() },
        Kind::Mapping(_) => {
            let mut fields = node.fields(&KEY, "`key`", &node.span, out)?;
            let partition = fields.get("partition");
            let partition = partition.and_then(|node| node.list("`partition`", "a list of columns", out));
            let clustering = fields.get("clustering");
            let clustering = clustering.and_then(|node| node.list("`clustering`", "a list of columns", out));
            fields.finish(&[], out);
            let partition = read_partition(partition?, out);
            let clustering = clustering?.iter().filter_map(|item| read_clustering(item, out)).collect();
            KeyDecl { span, partition, clustering }
        }
        Kind::Scalar { text, .. } => {
            let error =
                Diagnostic::error(&node.span, format!("`key` must be a list of columns, not {}", node.describe()));
            let error = error.label("expected a list");
            out.push(if node.is_null() {
                error.help("write `key: []` for a single row")
            } else {
                error.help(format!("write `key: [{text}]`"))
            });
            return None;
        }
    };
    check_twice(&decl, out);
    Some(decl)
}

fn read_partition(items: &[Node], out: &mut Vec<Diagnostic>) -> Vec<KeyEntry> {
    let mut entries = Vec::new();
    for item in items {
        let Some((entry, direction)) = read_key_entry(item, out) else { continue };
        if let Some((_, span)) = direction {
            out.push(
                Diagnostic::error(&span, "a partition key has no direction").label("leave this out").help(
                    "only clustering columns are in order: `key: { partition: […], clustering: [created desc] }`",
                ),
            );
        }
        entries.push(entry);
    }
    entries
}

fn read_clustering(item: &Node, out: &mut Vec<Diagnostic>) -> Option<(KeyEntry, Direction)> {
    let (entry, direction) = read_key_entry(item, out)?;
    Some((entry, direction.map_or(Direction::Ascending, |(direction, _)| direction)))
}

/// `name`, `name desc` or `name: expression`, the expression with a direction after it or not.
fn read_key_entry(item: &Node, out: &mut Vec<Diagnostic>) -> Option<(KeyEntry, Option<(Direction, Span)>)> {
    if let Kind::Mapping(entries) = &item.kind {
        let [(name, expression)] = entries.as_slice() else {
            let error = Diagnostic::error(&item.span, "an entry of a key is one column");
            out.push(error.label("several names here").help("start each column on a line of its own, with `- `"));
            return None;
        };
        let name = name.key_text();
        check_name(&name, "column", out);
        let (expression, direction) = split_direction(expression.expression(&format!("column `{}`", name.value), out)?);
        return Some((KeyEntry { name, expression: Some(expression) }, direction));
    }
    let (name, direction) = split_direction(item.text("an entry of `key`", out)?);
    if name.contains(['(', ' ']) {
        out.push(
            Diagnostic::error(&name.span, format!("`{}` needs a name to be a key column", name.value))
                .label("an expression without a name")
                .help(format!("write `name: {}`", quoted(&name.value))),
        );
        return None;
    }
    check_name(&name, "column", out);
    Some((KeyEntry { name, expression: None }, direction))
}

/// Takes `asc` or `desc` off the end.
pub(super) fn split_direction(text: Text) -> (Text, Option<(Direction, Span)>) {
    let trimmed = text.trim_end();
    let Some(space) = trimmed.rfind(char::is_whitespace) else { return (text, None) };
    let word_start = trimmed.len() - trimmed[space..].trim_start().len();
    let direction = match trimmed[word_start..].to_ascii_lowercase().as_str() {
        "asc" => Direction::Ascending,
        "desc" => Direction::Descending,
        _ => return (text, None),
    };
    let end = text[..space].trim_end().len();
    let at = text.part(word_start..trimmed.len());
    let rest = Spanned::new(text[..end].to_owned(), text.part(0..end));
    (rest, Some((direction, at)))
}

fn check_twice(key: &KeyDecl, out: &mut Vec<Diagnostic>) {
    let mut seen: HashSet<&str> = HashSet::new();
    for entry in key.partition.iter().chain(key.clustering.iter().map(|(entry, _)| entry)) {
        if !seen.insert(&entry.name) {
            let message = format!("column `{}` stands twice in the key", entry.name.value);
            out.push(Diagnostic::error(&entry.name.span, message).label("again here"));
        }
    }
}

fn read_columns(node: &Node, out: &mut Vec<Diagnostic>) -> Option<ColumnsDecl> {
    match &node.kind {
        Kind::Sequence(_) => {
            let names = node.texts("`columns`", out)?;
            for name in &names {
                check_name(name, "column", out);
            }
            Some(ColumnsDecl::Copied(names))
        }
        Kind::Mapping(entries) => {
            let mut columns = Vec::with_capacity(entries.len());
            for (name, value) in entries {
                let name = name.key_text();
                check_name(&name, "column", out);
                let text = value.expression(&format!("column `{}`", name.value), out);
                // Mistaken, the column is there all the same.
                let text = text.unwrap_or_else(|| Spanned::new(String::new(), name.span.clone()));
                columns.push((name, text));
            }
            Some(ColumnsDecl::Computed(columns))
        }
        Kind::Scalar { .. } => {
            let message = format!("`columns` must be a mapping or a list of columns, not {}", node.describe());
            out.push(
                Diagnostic::error(&node.span, message)
                    .label("expected columns")
                    .help("write `name: last(name)`, one a line; or a list of the source view's columns"),
            );
            None
        }
    }
}
