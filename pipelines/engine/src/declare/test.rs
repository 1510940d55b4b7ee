//! `pipelines/<domain>/tests/*.yaml`: events given, rows expected. Values keep their source text until an Avro type
//! says how to read them.

use super::shape::{Form, Key, Names, Pattern, Rule, Shape};
use super::{Text, place_of};
use crate::source::{Diagnostic, Spanned};
use crate::yaml::{Kind, Node};

#[derive(Clone, Debug, PartialEq)]
pub struct TestDecl {
    pub name: Text,
    pub given: Vec<GivenDecl>,
    /// A view and all its rows.
    pub expect: Vec<(Text, Vec<Node>)>,
    /// Events expected to be parked, by their index in `given` (from 1) with an optional part of the reason.
    pub parked: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GivenDecl {
    pub event: Text,
    /// A mapping of fields, and `_time`, `_key`, `_headers`.
    pub fields: Node,
}

/// A test file: one test, or a list of them.
pub(super) const FILE: Form = Form::Any(&[Form::Keys(&TEST), Form::List(&Form::Keys(&TEST), 0)]);

static TEST: Shape = Shape::new(
    "A test: events given, rows expected. It runs again under faults: other batches, repeats, crashes at each write.",
    &[
        Key::required("test", Form::Text, "what it shows", "What it shows: its name."),
        Key::required(
            "given",
            Form::List(&GIVEN, 0),
            "…",
            "The events, in their order: `Event: { field: value }`. A field left out has its schema's default, or an \
             example value.",
        ),
        Key::optional(
            "expect",
            Form::Names(&EXPECT),
            "{ orders: [{ order_id: o1, total: \"12.50\" }] }",
            "Views and all of their rows. Columns left out are not compared; `view: []` for no rows.",
        ),
        Key::optional(
            "parked",
            Form::List(&PARKED, 0),
            "[{ event: 1, reason: misrouted }]",
            "The events that are set aside: their numbers in `given`, from 1.",
        ),
    ],
)
.rules(&[Rule::AtLeastOne(&["expect", "parked"])]);

const GIVEN: Form = Form::Any(&[Form::Text, Form::Names(&EVENT)]);

static EVENT: Names = Names::any(Form::Any(&[Form::Names(&FIELDS), Form::Nothing])).one();

static FIELDS: Names = Names::of(FIELD, Form::Value).known(&[
    Key::optional(
        "_time",
        Form::Value,
        "\"2026-03-01T00:00:00Z\"",
        "The record's time. Unless given, the first event's is 2026-01-01, each other's a second later.",
    ),
    Key::optional("_key", Form::Value, "o2", "The message key, where it is not the one that the fields give."),
    Key::optional("_headers", Form::Value, "{ ce_id: e1 }", "Headers of the record: names and texts."),
    Key::optional(
        "_topic",
        Form::Value,
        "customer",
        "The topic of a `Tombstone`, where several have a key of its fields.",
    ),
]);

/// What begins with an underscore stands beside the fields.
const FIELD: Pattern = Pattern {
    regex: "^([^_].*|_time|_key|_headers|_topic)$",
    says: "a field of the event, or `_time`, `_key`, `_headers`, `_topic`",
};

static EXPECT: Names = Names::any(Form::List(&ROW, 0));

const ROW: Form = Form::Names(&COLUMNS);

static COLUMNS: Names = Names::any(Form::Value);

const PARKED: Form = Form::Any(&[NUMBER, Form::Keys(&PARKED_EVENT)]);

const NUMBER: Form = Form::Integer(1, MAX_GIVEN);

pub(crate) static PARKED_EVENT: Shape = Shape::new(
    "An event that is set aside, and why.",
    &[
        Key::required("event", NUMBER, "1", "Its number in `given`, from 1."),
        Key::optional("reason", Form::Text, "misrouted", "A part of the reason."),
    ],
);

/// Events of one test.
const MAX_GIVEN: u32 = 10_000;

/// Reads a test file: one test, or a list of them.
pub fn read(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Vec<TestDecl>> {
    match &node.kind {
        Kind::Sequence(items) => Some(items.iter().filter_map(|item| read_test(item, out)).collect()),
        _ => Some(vec![read_test(node, out)?]),
    }
}

fn read_test(node: &Node, out: &mut Vec<Diagnostic>) -> Option<TestDecl> {
    let mut fields = node.fields(&TEST, "a test", &place_of(node), out)?;
    let name = fields.text("test", out);
    let given = fields.get("given");
    let given = given.and_then(|node| node.list("`given`", "a list of events", out));
    let expect = fields.entry("expect");
    let parked = fields.entry("parked");
    let misspelt = fields.misspells(&["expect", "parked"]);
    fields.finish(&[], out);
    if expect.is_none() && parked.is_none() && !misspelt {
        out.push(
            Diagnostic::error(&place_of(node), "a test that expects nothing")
                .label("`expect` is missing")
                .help("add `expect:` with views and their rows; `view: []` for no rows"),
        );
    }
    let before = out.len();
    let given: Vec<GivenDecl> = given.unwrap_or_default().iter().filter_map(|item| read_given(item, out)).collect();
    if given.len() > MAX_GIVEN as usize {
        let error = Diagnostic::error(&place_of(node), format!("a test gives at most {MAX_GIVEN} events"));
        out.push(error.label(format!("{} are given", given.len())));
    }
    let expect = expect.map(|(_, node)| read_expect(node, out)).unwrap_or_default();
    let parked = parked.and_then(|(_, node)| node.list("`parked`", "a list of events", out)).unwrap_or_default();
    if out.len() > before {
        return None;
    }
    Some(TestDecl { name: name?, given, expect, parked: parked.to_vec() })
}

/// `Event: { field: value }`, or `Event` alone, whose fields are all examples.
fn read_given(node: &Node, out: &mut Vec<Diagnostic>) -> Option<GivenDecl> {
    match &node.kind {
        Kind::Scalar { text, quoted: false } if !node.is_null() => {
            let event = Spanned::new(text.clone(), node.span.clone());
            let fields = Node { span: node.span.clone(), kind: Kind::Mapping(Vec::new()) };
            Some(GivenDecl { event, fields })
        }
        Kind::Mapping(entries) => match entries.as_slice() {
            [(event, fields)] if fields.is_null() || matches!(fields.kind, Kind::Mapping(_)) => {
                let kind = if fields.is_null() { Kind::Mapping(Vec::new()) } else { fields.kind.clone() };
                Some(GivenDecl { event: event.key_text(), fields: Node { span: fields.span.clone(), kind } })
            }
            [(event, fields)] => {
                let event = event.key_text();
                let message = format!("the fields of `{}` must be a mapping, not {}", event.value, fields.describe());
                out.push(
                    Diagnostic::error(&fields.span, message)
                        .label("expected a mapping")
                        .help(format!("write `- {}: {{ field: value }}`", event.value)),
                );
                None
            }
            _ => {
                out.push(
                    Diagnostic::error(&place_of(node), "an element of `given` is one event")
                        .label("several keys here")
                        .help("indent the fields below the event's name: `- Event: { field: value }`"),
                );
                None
            }
        },
        _ => {
            let error = Diagnostic::error(
                &node.span,
                format!("an element of `given` must be an event, not {}", node.describe()),
            );
            out.push(error.label("expected an event").help("write `- Event: { field: value }`"));
            None
        }
    }
}

fn read_expect(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<(Text, Vec<Node>)> {
    let mut expect = Vec::new();
    for (view, rows) in node.entries("`expect`", out).unwrap_or_default() {
        let view = view.key_text();
        let Some(rows) = rows.list(&format!("the rows of `{}`", view.value), "a list of rows", out) else { continue };
        for row in rows.iter().filter(|row| !matches!(row.kind, Kind::Mapping(_))) {
            let message = format!("a row of `{}` must be a mapping, not {}", view.value, row.describe());
            out.push(Diagnostic::error(&row.span, message).label("expected `{ column: value }`"));
        }
        expect.push((view, rows.to_vec()));
    }
    expect
}
