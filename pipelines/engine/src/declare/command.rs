//! `pipelines/<domain>/commands.yaml`.

use super::shape::{self, EVENT, Form, Key, Names, Rule, Shape};
use super::{Text, check_avro_name, check_name, doc, place_of, refuse_tombstone};
use crate::source::{Diagnostic, Spanned};
use crate::yaml::{Fields, Node, quoted};

#[derive(Clone, Debug, PartialEq)]
pub struct CommandDecl {
    pub name: Text,
    pub doc: Option<String>,
    pub method: Method,
    /// `/documents/{doc_id}/versions`.
    pub path: Text,
    /// `anyone | signed_in | role(x) | owner(column)`, joined by `and`, `or`, `not`. Required.
    pub allow: Text,
    /// The view whose row the path names.
    pub on: Option<Text>,
    /// The event.
    pub emits: Text,
    pub set: Vec<(Text, Text)>,
    /// Extra body fields that never reach the event: name and type.
    pub body: Vec<(Text, Text)>,
    pub require: Vec<RequireDecl>,
    /// A re-keyed copy whose partition key is the value that must be unique.
    pub unique: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RequireDecl {
    pub that: Text,
    pub say: Text,
    /// 422 unless given.
    pub status: Option<Spanned<u16>>,
}

impl Method {
    /// As HTTP has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// As declarations and OpenAPI write it.
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

const METHODS: [(&str, Method); 4] =
    [("post", Method::Post), ("put", Method::Put), ("patch", Method::Patch), ("delete", Method::Delete)];

/// `commands.yaml`.
pub(super) static FILE: Shape = Shape::new(
    "What may be asked to be done. Each command checks what it is given and writes one event.",
    &[Key::required("commands", Form::Names(&COMMANDS), "…", "A name for each command.")],
);

static COMMANDS: Names = Names::of(shape::NAME, Form::Keys(&COMMAND));

const PATH: &str = "The method and the path: `/orders/{order_id}`. A parameter is a field of the event. Either `post`, \
                    `put`, `patch` or `delete`.";

/// Of commands and queries.
pub(super) const ALLOW: &str = "Who may: `anyone`, `signed_in`, `role(x)`, or `owner(column)` of the row that the path \
                                names, joined by `and`, `or`, `not`.";

static COMMAND: Shape = Shape::new(
    "A command: a path, who may, and the event that it writes. The body's fields are those of the event, but for what \
     the path gives and `set` computes.",
    &[
        Key::optional("doc", Form::Text, "Place an order.", "A sentence on it, shown in the API's description."),
        Key::optional("post", Form::Text, "/orders", PATH),
        Key::optional("put", Form::Text, "\"/orders/{order_id}\"", PATH),
        Key::optional("patch", Form::Text, "\"/orders/{order_id}\"", PATH),
        Key::optional("delete", Form::Text, "\"/orders/{order_id}\"", PATH),
        Key::required("allow", Form::Text, "signed_in", ALLOW),
        Key::optional(
            "on",
            Form::Text,
            "orders",
            "The view whose row the path names. Without that row the command is refused (404), and the row's columns can \
             be read as `view.column`. Commands on one row take turns.",
        ),
        Key::required("emits", EVENT, "OrderPlaced", "The event that it writes."),
        Key::optional(
            "set",
            Form::Names(&SET),
            "{ order_id: new_id(), at: now() }",
            "Fields of the event that are computed: expressions over the body, the row of `on`, and `new_id()`, \
             `actor()`, `now()`, `upload()`.",
        ),
        Key::optional(
            "body",
            Form::Names(&BODY),
            "{ password: text }",
            "Fields of the request that never reach the event: a name and a type.",
        ),
        Key::optional(
            "require",
            Form::List(&Form::Keys(&REQUIRE), 0),
            "[{ that: quantity > 0, say: quantity must be positive }]",
            "What must hold for the command to be accepted, and what to say if it does not.",
        ),
        Key::optional(
            "unique",
            Form::Text,
            "accounts_by_email",
            "A re-keyed copy whose partition key is the value that only one may have.",
        ),
    ],
)
.rules(&[Rule::ExactlyOne(&["post", "put", "patch", "delete"])]);

static SET: Names = Names::of(shape::AVRO_NAME, Form::Expression);

static BODY: Names = Names::of(shape::AVRO_NAME, Form::Text);

static REQUIRE: Shape = Shape::new(
    "A condition, and what to say where it does not hold.",
    &[
        Key::required("that", Form::Expression, "quantity > 0", "What must be true, neither false nor null."),
        Key::required("say", Form::Text, "quantity must be positive", "What the client is told where it is not."),
        Key::optional("status", Form::Integer(400, 499), "409", "The status of that answer; 422 unless given."),
    ],
);

/// Reads `commands.yaml`: every command that makes sense by itself.
pub fn read(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Vec<CommandDecl>> {
    let mut fields = node.fields(&FILE, "the file", &place_of(node), out)?;
    let commands = fields.get("commands");
    fields.finish_file(out);
    let entries = commands?.entries("`commands`", out)?;
    Some(entries.iter().filter_map(|(name, node)| read_command(name.key_text(), node, out)).collect())
}

fn read_command(name: Text, node: &Node, out: &mut Vec<Diagnostic>) -> Option<CommandDecl> {
    let owner = format!("command `{}`", name.value);
    check_name(&name, "command", out);
    let mut fields = node.fields(&COMMAND, &owner, &name.span, out)?;
    let doc = doc(&mut fields, out);
    let route = read_route(&owner, &name, &mut fields, out);
    let allow = read_allow(&mut fields, out);
    // Mistaken, it is empty: a row is looked at, and nobody knows which.
    let on = fields.get("on").map(|node| node.text("`on`", out).unwrap_or_else(|| nothing(&name)));
    let emits = fields.text("emits", out);
    let set = read_pairs("set", &mut fields, out);
    let body = read_pairs("body", &mut fields, out);
    let require = fields.get("require").map(|node| read_requires(node, out)).unwrap_or_default();
    let unique = fields.text("unique", out);
    fields.finish(&[], out);
    for (field, _) in set.iter().chain(&body) {
        check_avro_name(field, "a field", out);
    }
    if let Some(emits) = &emits {
        check_avro_name(emits, "an event", out);
        refuse_tombstone(std::slice::from_ref(emits), "is no event that a command writes", out);
    }
    // What is mistaken is empty, and was reported.
    let (method, path) = route.unwrap_or_else(|| (Method::Post, nothing(&name)));
    let emits = emits.unwrap_or_else(|| nothing(&name));
    let allow = allow.unwrap_or_else(|| unsaid(&name));
    Some(CommandDecl { name, doc, method, path, allow, on, emits, set, body, require, unique })
}

/// Exactly one of `post`, `put`, `patch` and `delete`.
fn read_route(owner: &str, name: &Text, fields: &mut Fields<'_>, out: &mut Vec<Diagnostic>) -> Option<(Method, Text)> {
    let given: Vec<_> =
        METHODS.iter().filter_map(|&(key, method)| fields.entry(key).map(|(at, node)| (method, at, node))).collect();
    if let Some(get) = fields.refused("get") {
        out.push(
            Diagnostic::error(get, format!("{owner} cannot be a `get`"))
                .label("reads, and a command writes")
                .help("move it to queries.yaml, or take `post`, `put`, `patch` or `delete`"),
        );
        return None;
    }
    match given.as_slice() {
        [(method, key, node)] => {
            let path = node.text(&format!("`{}`", key.key_text().value), out)?;
            Some((*method, path))
        }
        [] if fields.misspells(&METHODS.map(|(key, _)| key)) => None,
        [] => {
            out.push(
                Diagnostic::error(&name.span, format!("{owner} has no path")).label("which method and path?").help(
                    "add `post: /orders`, or `put`, `patch` or `delete`; what is read is a query, in queries.yaml",
                ),
            );
            None
        }
        [_, (_, second, _), ..] => {
            out.push(
                Diagnostic::error(&second.span, format!("{owner} has two methods"))
                    .label("a second method")
                    .help("a command has one of `post`, `put`, `patch` and `delete`"),
            );
            None
        }
    }
}

/// A mapping of names to texts.
fn read_pairs(key: &'static str, fields: &mut Fields<'_>, out: &mut Vec<Diagnostic>) -> Vec<(Text, Text)> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let entries = node.entries(&format!("`{key}`"), out).unwrap_or_default();
    entries
        .iter()
        .filter_map(|(name, value)| {
            let name = name.key_text();
            let value = value.text(&format!("`{key}.{}`", name.value), out)?;
            Some((name, value))
        })
        .collect()
}

fn read_requires(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<RequireDecl> {
    let items = node.list("`require`", "a list of `that` and `say`", out).unwrap_or_default();
    items.iter().filter_map(|item| read_require(item, out)).collect()
}

fn read_require(node: &Node, out: &mut Vec<Diagnostic>) -> Option<RequireDecl> {
    if let Some(text) = node.as_text().filter(|_| !node.is_null()) {
        let error = Diagnostic::error(&node.span, "an element of `require` says what must hold and what to say if not");
        let help = format!("write `- that: {}` and below it `say: what must hold`", quoted(text));
        out.push(error.label("expected `that` and `say`").help(help));
        return None;
    }
    let mut fields = node.fields(&REQUIRE, "an element of `require`", &place_of(node), out)?;
    let that = fields.text("that", out);
    let say = fields.text("say", out);
    let status = fields.integer("status", out);
    fields.finish(&[], out);
    // 400 to 499 fits.
    let status =
        status.and_then(|status| u16::try_from(status.value).ok().map(|value| Spanned::new(value, status.span)));
    let that = that?;
    let say = say.unwrap_or_else(|| Spanned::new(String::new(), that.span.clone()));
    Some(RequireDecl { that, say, status })
}

/// In place of a text that is missing or mistaken, which was reported.
pub(super) fn nothing(name: &Text) -> Text {
    Spanned::new(String::new(), name.span.clone())
}

/// In place of an `allow` that is missing, which was reported: what else is wrong can be said then.
pub(super) fn unsaid(name: &Text) -> Text {
    Spanned::new("signed_in".to_owned(), name.span.clone())
}

/// Who may: required, so that nothing is open by omission.
pub(super) fn read_allow(fields: &mut Fields<'_>, out: &mut Vec<Diagnostic>) -> Option<Text> {
    fields.text("allow", out)
}
