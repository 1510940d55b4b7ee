//! JSON Schemas of the files, for editors: made of the [`Shape`]s that the files are read by.
//!
//! They are of draft 07, which yaml-language-server and the editors around it know best. A schema refuses nothing that
//! `check` takes, with one exception: it asks for numbers, `true` and `false` unquoted, and for quotes around a text that is
//! one of them. What needs more than one file to judge, or a parser of expressions, is left to `check`.

use serde_json::{Map, Value, json};

use super::shape::{Form, Key, Names, Pattern, Rule, Shape};
use super::{command, config, query, test, topic, topology};
use crate::source::FileId;
use crate::yaml::{self, Kind, Node};

/// A kind of file in a project.
#[derive(Debug)]
pub struct FileKind {
    /// Its schema is `NAME.json`.
    pub name: &'static str,
    /// Which files of a project are of this kind.
    pub files: &'static str,
    form: Form,
}

pub const KINDS: [FileKind; 6] = [
    FileKind {
        name: "headwater",
        files: "headwater.yaml",
        form: Form::Any(&[Form::Keys(&config::CONFIG), Form::Nothing]),
    },
    FileKind { name: "topic", files: "schemas/*/topic.yaml", form: Form::Keys(&topic::TOPIC) },
    FileKind { name: "topology", files: "pipelines/*/topology.yaml", form: Form::Keys(&topology::TOPOLOGY) },
    FileKind { name: "commands", files: "pipelines/*/commands.yaml", form: Form::Keys(&command::FILE) },
    FileKind { name: "queries", files: "pipelines/*/queries.yaml", form: Form::Keys(&query::FILE) },
    FileKind { name: "tests", files: "pipelines/*/tests/*.yaml", form: test::FILE },
];

/// Where a project keeps the schemas, from its folder: its files name them from there.
pub const FOLDER: &str = ".headwater/schemas";

impl FileKind {
    /// The kind of a file, by its path from the project's folder.
    pub fn of(path: &str) -> Option<&'static Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |kind: &&FileKind| {
            let wanted: Vec<&str> = kind.files.split('/').collect();
            wanted.len() == parts.len() && wanted.iter().zip(&parts).all(|(wanted, part)| fits(wanted, part))
        };
        KINDS.iter().find(fits)
    }

    /// The comment by which a file of this kind names its schema.
    pub fn modeline(&self) -> String {
        let up = "../".repeat(self.files.matches('/').count());
        format!("# yaml-language-server: $schema={up}{FOLDER}/{}.json", self.name)
    }

    /// The schema.
    pub fn schema(&self) -> Value {
        let mut schema = Map::new();
        schema.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        schema.insert("$comment".into(), self.files.into());
        schema.append(&mut of(&self.form));
        schema.into()
    }

    /// The schema's file.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema())
    }
}

fn fits(wanted: &str, part: &str) -> bool {
    match wanted.split_once('*') {
        Some((_, end)) => part.len() > end.len() && part.ends_with(end),
        None => wanted == part,
    }
}

fn of(form: &Form) -> Map<String, Value> {
    let schema = match form {
        Form::Text => json!({ "type": ["string", "number"], "pattern": "\\S" }),
        Form::Expression => json!({ "type": ["string", "number", "boolean"], "pattern": "\\S" }),
        Form::Like(pattern) => return with(like(pattern), "type", "string".into()),
        Form::Word(words) => json!({ "type": "string", "enum": words }),
        Form::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Form::Boolean => json!({ "type": "boolean" }),
        Form::List(item, least) => return list(item, *least),
        Form::Texts(item, least) => return with(list(item, *least), "uniqueItems", true.into()),
        Form::TextOrTexts(item) => json!({ "anyOf": [of(item), of(&Form::Texts(item, 0))] }),
        Form::Names(names) => return named(names),
        Form::Keys(shape) => return keyed(shape),
        Form::Any(forms) => json!({ "anyOf": forms.iter().map(of).collect::<Vec<_>>() }),
        Form::Nothing => json!({ "type": "null" }),
        Form::Value => json!({}),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn with(mut schema: Map<String, Value>, key: &str, value: Value) -> Map<String, Value> {
    schema.insert(key.into(), value);
    schema
}

fn like(pattern: &Pattern) -> Map<String, Value> {
    let schema = with(Map::new(), "pattern", pattern.regex.into());
    // What editors say in place of the pattern.
    with(schema, "patternErrorMessage", format!("Expected {}.", pattern.says).into())
}

fn list(item: &Form, least: usize) -> Map<String, Value> {
    let schema = with(Map::new(), "type", "array".into());
    let schema = with(schema, "items", of(item).into());
    if least > 0 { with(schema, "minItems", least.into()) } else { schema }
}

fn named(names: &Names) -> Map<String, Value> {
    let mut schema = with(Map::new(), "type", "object".into());
    if !names.known.is_empty() {
        schema.insert("properties".into(), properties(names.known).into());
    }
    if let Some(pattern) = &names.name {
        schema.insert("propertyNames".into(), like(pattern).into());
    }
    schema.insert("additionalProperties".into(), of(&names.value).into());
    if names.least > 0 {
        schema.insert("minProperties".into(), names.least.into());
    }
    schema.extend(names.most.map(|most| ("maxProperties".into(), most.into())));
    schema
}

fn keyed(shape: &Shape) -> Map<String, Value> {
    let mut schema = description(shape.doc);
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties(shape.keys).into());
    let required: Vec<&str> = shape.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    schema.insert("additionalProperties".into(), false.into());
    if !shape.rules.is_empty() {
        schema.insert("allOf".into(), shape.rules.iter().map(rule).collect());
    }
    schema
}

fn properties(keys: &[Key]) -> Map<String, Value> {
    keys.iter().map(|key| (key.name.to_owned(), property(key).into())).collect()
}

fn property(key: &Key) -> Map<String, Value> {
    let mut schema = description(key.doc);
    if let Ok(example) = yaml::parse(FileId(0), key.example)
        && key.example != "…"
    {
        schema.insert("examples".into(), vec![as_json(&example)].into());
    }
    // What is said of the key stands before what is said of its form.
    for (word, value) in of(&key.form) {
        schema.entry(word).or_insert(value);
    }
    schema
}

/// Plain, and as Markdown where that differs: editors show the latter where they know it.
fn description(doc: &str) -> Map<String, Value> {
    let schema = with(Map::new(), "description", doc.replace('`', "").into());
    if doc.contains('`') { with(schema, "markdownDescription", doc.into()) } else { schema }
}

fn rule(rule: &Rule) -> Value {
    let each = |keys: &[&str]| keys.iter().map(|key| json!({ "required": [key] })).collect::<Vec<_>>();
    match rule {
        Rule::ExactlyOne([key]) => json!({ "required": [key] }),
        Rule::ExactlyOne(keys) => json!({ "oneOf": each(keys) }),
        Rule::AtLeastOne(keys) => json!({ "anyOf": each(keys) }),
        Rule::AtMostOne(keys) => {
            let pairs = keys.iter().enumerate().flat_map(|(index, key)| {
                keys[index + 1..].iter().map(move |other| json!({ "not": { "required": [key, other] } }))
            });
            json!({ "allOf": pairs.collect::<Vec<_>>() })
        }
        Rule::Needs(key, [other]) => json!({ "dependencies": { *key: [other] } }),
        Rule::Needs(key, others) => json!({ "dependencies": { *key: { "anyOf": each(others) } } }),
    }
}

/// A node as an editor reads it: by YAML 1.2's core schema.
pub fn as_json(node: &Node) -> Value {
    match &node.kind {
        _ if node.is_null() => Value::Null,
        Kind::Scalar { text, quoted: false } => match text.as_str() {
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            text => number(text).unwrap_or_else(|| text.into()),
        },
        Kind::Scalar { text, .. } => text.as_str().into(),
        Kind::Sequence(items) => items.iter().map(as_json).collect(),
        Kind::Mapping(entries) => {
            entries.iter().map(|(key, value)| (key.key_text().value, as_json(value))).collect::<Map<_, _>>().into()
        }
    }
}

fn number(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    let written_out = text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
    let number = text.parse::<f64>().ok().filter(|_| written_out)?;
    serde_json::Number::from_f64(number).map(Value::Number)
}
