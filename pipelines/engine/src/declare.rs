//! What the YAML files say, with the place of every word: the shapes of declarations before anything is checked
//! against schemas or each other.
//!
//! Each shape has a reader that gathers every mistake and goes on; it gives a declaration only where what is left of the
//! file makes sense without guessing.

pub mod command;
pub mod config;
pub mod from;
pub mod json_schema;
pub mod query;
pub mod shape;
pub mod test;
pub mod topic;
pub mod topology;

pub use command::CommandDecl;
pub use config::Config;
pub use from::{InputDecl, InputKind};
pub use query::QueryDecl;
pub use test::TestDecl;
pub use topic::TopicDecl;
pub use topology::{ColumnsDecl, KeyDecl, KeyEntry, TopologyDecl, ViewDecl};

use crate::source::{Diagnostic, Span, Spanned};
use crate::yaml::Node;

/// A word or an expression as written.
pub type Text = Spanned<String>;

/// Bytes of a name: what every store takes, with room for a generation and a prefix.
pub const MAX_NAME: usize = 48;

/// What a table of SQLite may not start with: <https://www.sqlite.org/lang_createtable.html>.
const SQLITES_OWN: &str = "sqlite_";

/// Where a whole file's missing keys are reported: its first key, or its start.
fn place_of(node: &Node) -> Span {
    match &node.kind {
        crate::yaml::Kind::Mapping(entries) if !entries.is_empty() => entries[0].0.span.clone(),
        _ => Span { file: node.span.file, range: node.span.range.start..node.span.range.start },
    }
}

/// Checks a name that this language gives: views, columns, topologies, commands, queries. `what` is "view".
fn check_name(name: &Text, what: &str, out: &mut Vec<Diagnostic>) -> bool {
    if what == "view" && name.starts_with(SQLITES_OWN) {
        let error = Diagnostic::error(&name.span, format!("`{}` cannot be the name of a {what}", name.value));
        out.push(
            error.label("SQLite's own").help(format!("SQLite keeps names that start with `{SQLITES_OWN}` to itself")),
        );
        return false;
    }
    check(name, what, "", out)
}

/// Checks a topic's name, which may hold points and dashes.
fn check_topic_name(name: &Text, out: &mut Vec<Diagnostic>) -> bool {
    check(name, "topic", ".-", out)
}

fn check(name: &Text, what: &str, also: &str, out: &mut Vec<Diagnostic>) -> bool {
    let lower_snake: String = snake(name);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || also.contains(c);
    let fine = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed);
    if fine && name.len() <= MAX_NAME {
        return true;
    }
    let points = if also.is_empty() { "" } else { ", points, dashes" };
    let rule = format!("a letter, then lower-case letters, digits{points} and underscores, at most {MAX_NAME} bytes");
    let article = if what.starts_with('a') { "an" } else { "a" };
    let mut error = Diagnostic::error(&name.span, format!("`{}` cannot be the name of {article} {what}", name.value));
    error = if fine { error.label(format!("{} bytes long", name.len())) } else { error.label("not a name") };
    let better = lower_snake != name.value && lower_snake.len() <= MAX_NAME && !lower_snake.is_empty();
    out.push(if better && !fine {
        error.help(format!("a name is {rule}: for example `{lower_snake}`"))
    } else {
        error.help(format!("a name is {rule}"))
    });
    false
}

/// `CreatedAt` and `created at` as `created_at`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('_') {
            out.push('_');
        }
        before = c;
    }
    out.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit()).trim_end_matches('_').to_owned()
}

/// Checks an event's or a field's name: Avro's rule, without a namespace.
fn check_avro_name(name: &Text, what: &str, out: &mut Vec<Diagnostic>) -> bool {
    let fine = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fine {
        out.push(
            Diagnostic::error(&name.span, format!("`{}` cannot be the name of {what}", name.value))
                .label("not a name")
                .help(
                    "Avro's names are a letter or underscore, then letters, digits and underscores; no namespace here",
                ),
        );
    }
    fine
}

/// Checks the names in a list, keeping those that are right.
fn keep_avro_names(names: Vec<Text>, what: &str, out: &mut Vec<Diagnostic>) -> Vec<Text> {
    names.into_iter().filter(|name| check_avro_name(name, what, out)).collect()
}

/// The optional sentence that documents a thing.
fn doc(fields: &mut crate::yaml::Fields<'_>, out: &mut Vec<Diagnostic>) -> Option<String> {
    fields.text("doc", out).map(|text| text.value)
}

/// The built-in event of a record without a value, which has its key only. It is on every topic.
pub const TOMBSTONE: &str = "Tombstone";

/// Reports `Tombstone` where it makes no sense.
fn refuse_tombstone(names: &[Text], why: &str, out: &mut Vec<Diagnostic>) {
    for name in names.iter().filter(|name| name.value == TOMBSTONE) {
        let error = Diagnostic::error(&name.span, format!("`{TOMBSTONE}` {why}")).label("not here");
        out.push(error.help("it is a record without a value: a view lists it in `from` and `delete_when`"));
    }
}
