//! `from:` of a view: events, one view, or aliases, where one event feeds several rows, names differ, or arrays are
//! unfolded.
//!
//! ```yaml
//! from:
//!   debit:  { event: Transferred, as: { account: from_account } }
//!   credit: { event: Transferred, as: { account: to_account }, where: "amount > 0" }
//! ```

use std::collections::HashSet;

use super::shape::{self, EVENT, Form, Key, Names, Rule, Shape};
use super::{Text, check_avro_name, check_name, keep_avro_names};
use crate::source::{Code, Diagnostic};
use crate::yaml::{Kind, Node};

/// Events, one view, or aliases.
pub(super) const FROM: Form = Form::Any(&[EVENT, Form::Texts(&EVENT, 1), Form::Names(&ALIASES)]);

static ALIASES: Names = Names::of(shape::NAME, Form::Keys(&ALIAS)).at_least(1);

static ALIAS: Shape = Shape::new(
    "An event or a view under a name of your own: where one event feeds two rows, names differ, only some events count, \
     or an array is unfolded.",
    &[
        Key::optional("view", EVENT, "orders", "The view that this is. Either this or `event`."),
        Key::optional("event", EVENT, "OrderPlaced", "The event that this is. Either this or `view`."),
        Key::optional(
            "as",
            Form::Names(&RENAMES),
            "{ account: from_account }",
            "Other names for fields: `name: field`. A field is a path, not an expression.",
        ),
        Key::optional(
            "where",
            Form::Expression,
            "amount > 0",
            "Only where this is true, neither false nor null. Over the fields' own names.",
        ),
        Key::optional(
            "each",
            Form::Names(&EACH),
            "{ line: lines }",
            "Once for each element of an array: `name: array`. An element is read as `name`, its fields as `name.field`.",
        ),
    ],
)
.rules(&[Rule::ExactlyOne(&["event", "view"])]);

static RENAMES: Names = Names::of(shape::AVRO_NAME, Form::Text);

static EACH: Names = Names::of(shape::AVRO_NAME, Form::Text).one();

/// One thing that feeds a view.
#[derive(Clone, Debug, PartialEq)]
pub struct InputDecl {
    /// The name that it has here; none where events or a view are only listed.
    pub alias: Option<Text>,
    /// An event or a view.
    pub source: Text,
    /// What it was said to be.
    pub kind: InputKind,
    /// Names, and the field that each stands for.
    pub renames: Vec<(Text, Text)>,
    /// Only where this holds.
    pub filter: Option<Text>,
    /// A name, and the array field of whose elements each is called so.
    pub each: Option<(Text, Text)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Not said: whatever has this name.
    Listed,
    Event,
    View,
}

impl InputDecl {
    /// Whether this names it: by its alias, or by what it is.
    pub fn is_named(&self, name: &str) -> bool {
        self.source.value == name || self.alias.as_ref().is_some_and(|alias| alias.value == name)
    }
}

/// Reads `from`. None where nothing is left of it, which was reported.
pub(super) fn read(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Vec<InputDecl>> {
    if let Kind::Mapping(entries) = &node.kind {
        return read_aliases(node, entries, out);
    }
    let names = keep_avro_names(node.text_or_texts("`from`", out)?, "an event or a view", out);
    if names.is_empty() {
        out.push(names_nothing(node));
        return None;
    }
    let listed = |source| {
        let (kind, renames) = (InputKind::Listed, Vec::new());
        InputDecl { alias: None, source, kind, renames, filter: None, each: None }
    };
    Some(names.into_iter().map(listed).collect())
}

fn names_nothing(node: &Node) -> Diagnostic {
    Diagnostic::error(&node.span, "`from` names nothing").label("expected events, or one view")
}

fn read_aliases(node: &Node, entries: &[(Node, Node)], out: &mut Vec<Diagnostic>) -> Option<Vec<InputDecl>> {
    if entries.is_empty() {
        out.push(names_nothing(node));
        return None;
    }
    for key in ["event", "view"] {
        let said = entries.iter().find(|(name, value)| name.as_text() == Some(key) && value.as_text().is_some());
        let Some((name, value)) = said else { continue };
        let source = value.as_text().unwrap_or_default();
        out.push(
            Diagnostic::error(&name.span, format!("`from` is a mapping of aliases, and `{key}` is none"))
                .label("below an alias")
                .help(format!("give it a name: `from: {{ it: {{ {key}: {source} }} }}`")),
        );
        return None;
    }
    let inputs: Vec<InputDecl> =
        entries.iter().filter_map(|(alias, node)| read_alias(alias.key_text(), node, out)).collect();
    (!inputs.is_empty()).then_some(inputs)
}

fn read_alias(alias: Text, node: &Node, out: &mut Vec<Diagnostic>) -> Option<InputDecl> {
    let owner = format!("alias `{}`", alias.value);
    let sound = check_name(&alias, "alias", out);
    if let Some(name) = node.as_text().filter(|_| !node.is_null()) {
        out.push(
            Diagnostic::error(&node.span, format!("{owner} must be a mapping, not `{name}`"))
                .label("expected a mapping")
                .code(Code::WrongType)
                .help(format!("write `{}: {{ event: {name} }}`", alias.value)),
        );
        return None;
    }
    let mut fields = node.fields(&ALIAS, &owner, &alias.span, out)?;
    let view = fields.get("view");
    let (kind, source) = match view {
        Some(view) => (InputKind::View, Some(view)),
        None => (InputKind::Event, fields.require("event")),
    };
    if let (Some(_), Some((event, _))) = (view, fields.entry("event")) {
        let error = Diagnostic::error(&event.span, format!("{owner} is of an event or of a view, not of both"));
        out.push(error.label("beside `view`"));
        return None;
    }
    let renames = fields.get("as").map(|node| read_renames(node, out)).unwrap_or_default();
    let filter = fields.text("where", out);
    let each = fields.get("each").and_then(|node| read_each(node, out));
    fields.finish(&[], out);
    let source = source.and_then(|node| node.text(if view.is_some() { "`view`" } else { "`event`" }, out))?;
    let what = if view.is_some() { "a view" } else { "an event" };
    let sound = check_avro_name(&source, what, out) && sound;
    sound.then_some(InputDecl { alias: Some(alias), source, kind, renames, filter, each })
}

/// `as: { name: field }`.
fn read_renames(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<(Text, Text)> {
    let mut renames: Vec<(Text, Text)> = Vec::new();
    let mut seen = HashSet::new();
    for (name, field) in node.entries("`as`", out).unwrap_or_default() {
        let name = name.key_text();
        let field = field.text(&format!("`as.{}`", name.value), out);
        if let (true, true, Some(field)) =
            (check_avro_name(&name, "a field", out), seen.insert(name.value.clone()), field)
        {
            renames.push((name, field));
        }
    }
    renames
}

/// `each: { line: lines }`.
fn read_each(node: &Node, out: &mut Vec<Diagnostic>) -> Option<(Text, Text)> {
    let entries = node.entries("`each`", out)?;
    let [(name, array)] = entries else {
        let place = entries.get(1).map_or(&node.span, |(name, _)| &name.span);
        let error = Diagnostic::error(place, "an alias unfolds one array");
        let help = "give each array an alias of its own: their elements are told apart by it";
        out.push(if entries.is_empty() {
            error.label("expected a name and an array").help("write `each: { line: lines }`")
        } else {
            error.label("a second array").help(help)
        });
        return None;
    };
    let name = name.key_text();
    let array = array.text(&format!("`each.{}`", name.value), out)?;
    check_avro_name(&name, "an element", out).then_some((name, array))
}
