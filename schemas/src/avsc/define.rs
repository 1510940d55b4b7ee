//! Definitions: records with their fields, enums and fixed types, and the rules for their names.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::Rules;
use super::build::{Builder, Built, normal, primitive};
use super::locate::Step;
use super::logical::{Base, Logical, is_misspelt, logical};
use super::names::{defined, full_name};
use crate::layout::{FixedName, Node, NodeField, RecordNode};
use crate::types::EnumType;

impl<'f> Builder<'f, '_> {
    pub(super) fn definition(
        &mut self,
        kind: &str,
        object: &'f Map<String, Json>,
        json: &'f Json,
        around: &str,
    ) -> Option<Built> {
        let Some((name, namespace)) = defined(object, around) else {
            self.mistake(format!("expected `name`: what this {kind} is called"));
            return None;
        };
        self.check_name(&name, object);
        if let Some((id, earlier)) = self.by_name.get(&name) {
            let (id, same) = (*id, std::ptr::eq(*earlier, json) || *earlier == json);
            if !same {
                self.mistake_at("name", format!("`{name}` is defined twice, differently"));
                return None;
            }
            return Some((id, Json::String(name)));
        }
        let id = self.push(Node::Unfinished);
        self.by_name.insert(name.clone(), (id, json));
        let aliases = self.aliases(object, &namespace);
        let mut head = vec![("type", Json::from(if kind == "error" { "record" } else { kind }))];
        head.push(("name", Json::from(name.as_str())));
        if namespace.is_empty() && !around.is_empty() {
            head.push(("namespace", Json::from("")));
        }
        if !aliases.is_empty() {
            head.push(("aliases", Json::from(aliases.clone())));
        }
        let node = match kind {
            "enum" => self.enumeration(name, aliases, object)?,
            "fixed" => self.fixed(name, object)?,
            _ => {
                self.places.insert(id, (self.file, self.path.clone()));
                let (record, fields) = self.record(name, aliases, object, &namespace)?;
                head.push(("fields", fields));
                record
            }
        };
        self.layout.nodes[id] = node;
        let order = ["doc", "symbols", "default", "size", "logicalType", "precision", "scale"];
        Some((id, normal(object, &head, &order, &["namespace", "aliases"])))
    }

    fn check_name(&mut self, name: &str, object: &Map<String, Json>) {
        let short = name.rsplit('.').next().unwrap_or(name);
        if self.rules == Rules::Registered {
            return;
        }
        let key = if object.get("namespace").is_some_and(|n| n.as_str().is_some_and(|n| !is_name(n, true))) {
            "namespace"
        } else {
            "name"
        };
        if !is_name(name, true) {
            self.mistake_at(
                key,
                format!("expected letters, digits and _ in each part, no digit first, found `{name}`"),
            );
        } else if primitive(short).is_some() {
            self.mistake_at("name", format!("expected a name that is no type of Avro, found `{short}`"));
        } else if short == "Tombstone" && self.path.is_empty() {
            self.mistake_at("name", "`Tombstone` is the built-in event of a record without a value");
        }
    }

    fn aliases(&mut self, object: &'f Map<String, Json>, namespace: &str) -> Vec<String> {
        let names = self.strings("aliases", object).unwrap_or_default();
        for name in &names {
            if self.rules == Rules::Declared && !is_name(name, true) {
                self.mistake_at("aliases", format!("expected letters, digits and _, no digit first, found `{name}`"));
            }
        }
        names.iter().map(|name| full_name(name, namespace).0).collect()
    }

    /// A list of strings; None where the key is absent or holds something else.
    fn strings(&mut self, key: &str, object: &'f Map<String, Json>) -> Option<Vec<String>> {
        let list = object.get(key)?;
        let strings: Option<Vec<String>> =
            list.as_array().and_then(|list| list.iter().map(|s| s.as_str().map(str::to_owned)).collect());
        if strings.is_none() {
            self.mistake_at(key, format!("expected a list of names, found {list}"));
        }
        strings
    }

    fn enumeration(&mut self, name: String, aliases: Vec<String>, object: &'f Map<String, Json>) -> Option<Node> {
        if !object.contains_key("symbols") {
            self.mistake("expected `symbols`: the values of the enum");
        }
        let symbols = self.strings("symbols", object)?;
        let mut seen = HashSet::new();
        for (i, symbol) in symbols.iter().enumerate() {
            self.path.extend([Step::Key("symbols".into()), Step::Index(i)]);
            if self.rules == Rules::Declared && !is_name(symbol, false) {
                self.mistake(format!("expected letters, digits and _, no digit first, found `{symbol}`"));
            }
            if !seen.insert(symbol) {
                self.mistake(format!("expected each symbol once, found `{symbol}` again"));
            }
            self.path.truncate(self.path.len() - 2);
        }
        if symbols.is_empty() {
            self.mistake_at("symbols", "expected at least one symbol");
        }
        let default = match object.get("default") {
            None => None,
            Some(Json::String(symbol)) if symbols.contains(symbol) => Some(symbol.clone()),
            Some(_) if self.rules == Rules::Registered => None,
            Some(other) => {
                self.mistake_at("default", format!("expected one of {}, found {other}", symbols.join(", ")));
                None
            }
        };
        Some(Node::Enum(EnumType { name, aliases, symbols, default }.into()))
    }

    fn fixed(&mut self, name: String, object: &'f Map<String, Json>) -> Option<Node> {
        let size = object.get("size").and_then(Json::as_u64).filter(|n| (1..=i32::MAX as u64).contains(n));
        let Some(size) = size.and_then(|n| usize::try_from(n).ok()) else {
            self.mistake("expected `size`: a number of bytes, at least 1");
            return None;
        };
        let on = FixedName { name: name.clone(), size };
        match logical(object, &Base::Fixed(on), self.rules) {
            Ok(Logical::Node(node)) => Some(node),
            Ok(Logical::None) => Some(Node::Fixed { name, size }),
            Ok(Logical::Foreign(logical)) => {
                let base = self.push(Node::Fixed { name, size });
                Some(Node::Foreign { logical, base })
            }
            Err((key, message)) => {
                self.mistake_at(key, message);
                None
            }
        }
    }

    /// A record's node and the normal JSON of its fields.
    fn record(
        &mut self,
        name: String,
        aliases: Vec<String>,
        object: &'f Map<String, Json>,
        namespace: &str,
    ) -> Option<(Node, Json)> {
        let Some(Json::Array(list)) = object.get("fields") else {
            self.mistake("expected `fields`: a list of the record's fields");
            return None;
        };
        let (mut fields, mut texts) = (Vec::new(), Vec::new());
        self.path.push(Step::Key("fields".into()));
        for (i, json) in list.iter().enumerate() {
            self.path.push(Step::Index(i));
            if let Some((field, text)) = self.field(json, namespace) {
                fields.push(field);
                texts.push(text);
            }
            self.path.pop();
        }
        self.check_field_names(list);
        self.path.pop();
        let doc = object.get("doc").and_then(Json::as_str).map(str::to_owned);
        Some((Node::Record(RecordNode { name, aliases, doc, fields }), Json::Array(texts)))
    }

    fn field(&mut self, json: &'f Json, namespace: &str) -> Option<(NodeField, Json)> {
        let Some(object) = json.as_object() else {
            self.mistake(format!("expected a field (an object with `name` and `type`), found {json}"));
            return None;
        };
        let Some(name) = object.get("name").and_then(Json::as_str) else {
            self.mistake("expected `name`: what the field is called");
            return None;
        };
        if self.rules == Rules::Declared {
            self.check_field(name, object);
        }
        let aliases = self.strings("aliases", object).unwrap_or_default();
        let (node, ty) = self.value_type_at("type", object, namespace)?;
        let head = [("name", Json::from(name)), ("type", ty)];
        let text = normal(object, &head, &["default", "doc", "aliases", "order"], &[]);
        let doc = object.get("doc").and_then(Json::as_str).map(str::to_owned);
        Some((NodeField { name: name.to_owned(), aliases, doc, node, default: object.get("default").cloned() }, text))
    }

    fn check_field(&mut self, name: &str, object: &Map<String, Json>) {
        if name.starts_with('_') {
            let message = format!("expected no _ first, found `{name}`: `_key`, `_time` and their like are built in");
            self.mistake_at("name", message);
        } else if !is_name(name, false) {
            self.mistake_at("name", format!("expected letters, digits and _, no digit first, found `{name}`"));
        }
        if let Some(key) = object.keys().find(|key| *key == "logicalType" || is_misspelt(key)) {
            self.mistake_at(key, "a logical type stands inside `type`: {\"type\": …, \"logicalType\": …}");
        }
    }

    /// Each name once, aliases included: else a reader could not tell which field is meant.
    fn check_field_names(&mut self, list: &[Json]) {
        let mut seen: HashSet<&str> = HashSet::new();
        for (i, field) in list.iter().enumerate() {
            if let Some(name) = field.get("name").and_then(Json::as_str)
                && !seen.insert(name)
            {
                self.path.push(Step::Index(i));
                self.mistake_at("name", format!("expected each field once, found `{name}` again"));
                self.path.pop();
            }
        }
        for (i, field) in list.iter().enumerate() {
            for alias in field.get("aliases").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
                if self.rules == Rules::Declared && !seen.insert(alias) {
                    self.path.push(Step::Index(i));
                    self.mistake_at("aliases", format!("`{alias}` already names a field of this record"));
                    self.path.pop();
                }
            }
        }
    }
}

fn is_name(name: &str, dotted: bool) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if dotted { name.split('.').all(part) } else { part(name) }
}
