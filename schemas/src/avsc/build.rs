//! Builds one file's schema: its layout and its normal text together, from JSON, gathering every mistake.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::locate::Step;
use super::logical::{Base, Logical, logical};
use super::names::{Files, Found, Place, full_name};
use super::shape::{Defaults, Shapes};
use super::{Rules, Schema, SchemaError, default};
use crate::layout::{ENDLESS, Layout, Node, NodeId};

/// Types nested deeper than this are refused; what they would need of the stack is bounded so.
const MAX_DEPTH: usize = 64;

/// The node of a primitive type's name.
pub(super) fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}

/// The schema of a file whose JSON has been read; None where its root is no record or something is wrong with it.
pub(super) fn schema(files: &Files<'_>, file: usize, rules: Rules) -> (Option<Schema>, Vec<SchemaError>) {
    let mut builder = Builder {
        files,
        rules,
        file,
        path: vec![],
        depth: 0,
        layout: Layout::default(),
        by_name: HashMap::new(),
        places: HashMap::new(),
        errors: vec![],
    };
    let root = Place { file, path: vec![], namespace: String::new() };
    let Some((root, text)) = builder.type_of(files.at(&root), "") else { return (None, builder.errors) };
    builder.layout.root = root;
    if !matches!(builder.layout.node(root), Node::Record(_) | Node::Enum(_)) && !builder.is_fixed(root) {
        builder.mistake("expected a record, an enum or a fixed type: one named type a file");
    }
    builder.layout.measure();
    builder.refuse_endless();
    let defaults = builder.defaults();
    if !builder.errors.is_empty() {
        return (None, builder.errors);
    }
    let Builder { mut layout, .. } = builder;
    let shapes_of = layout.clone();
    let shapes = Shapes::new(&shapes_of, &defaults);
    for node in &mut layout.nodes {
        if let Node::Record(record) = node {
            record.fields.iter_mut().for_each(|field| field.default = None);
        }
    }
    (Schema::assemble(layout, text.to_string(), &shapes), vec![])
}

pub(super) struct Builder<'f, 'a> {
    files: &'f Files<'a>,
    pub(super) rules: Rules,
    /// Where the text that is being read stands.
    pub(super) file: usize,
    pub(super) path: Vec<Step>,
    depth: usize,
    pub(super) layout: Layout,
    pub(super) by_name: HashMap<String, (NodeId, &'f Json)>,
    /// Where each record's definition stands, for mistakes found once all is read.
    pub(super) places: HashMap<NodeId, (usize, Vec<Step>)>,
    errors: Vec<SchemaError>,
}

/// A node, and the normal JSON that defines or names it.
pub(super) type Built = (NodeId, Json);

impl<'f> Builder<'f, '_> {
    pub(super) fn mistake(&mut self, message: impl Into<String>) {
        let error = self.files.error(self.file, &self.path, message.into());
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub(super) fn mistake_at(&mut self, key: &str, message: impl Into<String>) {
        self.path.push(Step::Key(key.into()));
        self.mistake(message);
        self.path.pop();
    }

    pub(super) fn push(&mut self, node: Node) -> NodeId {
        self.layout.nodes.push(node);
        self.layout.nodes.len() - 1
    }

    fn is_fixed(&self, id: NodeId) -> bool {
        match self.layout.node(id) {
            Node::Fixed { .. } | Node::Decimal { fixed: Some(_), .. } | Node::Uuid { fixed: Some(_) } => true,
            Node::Foreign { base, .. } => self.is_fixed(*base),
            _ => false,
        }
    }

    fn type_of(&mut self, json: &'f Json, namespace: &str) -> Option<Built> {
        if self.depth >= MAX_DEPTH {
            self.mistake(format!("types are nested deeper than {MAX_DEPTH}"));
            return None;
        }
        self.depth += 1;
        let built = match json {
            Json::String(name) => self.named(name, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(object) => self.object(object, json, namespace),
            other => {
                self.mistake(format!("expected a type (a name, an object or an array), found {other}"));
                None
            }
        };
        self.depth -= 1;
        built
    }

    /// What is under `key` of an object, with the path leading there.
    fn type_at(&mut self, key: &str, json: &'f Json, namespace: &str) -> Option<Built> {
        self.path.push(Step::Key(key.into()));
        let built = self.type_of(json, namespace);
        self.path.pop();
        built
    }

    /// A type that holds values: all but null alone.
    pub(super) fn value_type_at(&mut self, key: &str, object: &'f Map<String, Json>, namespace: &str) -> Option<Built> {
        let Some(json) = object.get(key) else {
            self.mistake(format!("expected `{key}`"));
            return None;
        };
        let built = self.type_at(key, json, namespace)?;
        if matches!(self.layout.node(built.0), Node::Null) {
            self.mistake_at(key, "null alone carries nothing: expected another type, or a union of null and another");
            return None;
        }
        Some(built)
    }

    fn named(&mut self, name: &str, namespace: &str) -> Option<Built> {
        if let Some(node) = primitive(name) {
            return Some((self.push(node), Json::String(name.to_owned())));
        }
        let full = full_name(name, namespace).0;
        for candidate in [full.as_str(), name] {
            if let Some((id, _)) = self.by_name.get(candidate) {
                return Some((*id, Json::String(candidate.to_owned())));
            }
            match self.files.find(self.file, candidate) {
                Found::One(place) => return self.elsewhere(&place.clone()),
                Found::Several(files) => {
                    self.mistake(format!("`{candidate}` is defined differently in {}", files.join(" and ")));
                    return None;
                }
                Found::None => {}
            }
        }
        let known = self.files.all_names();
        let known = if known.is_empty() { String::new() } else { format!(", or one of {}", known.join(", ")) };
        self.mistake(format!("expected a type that exists, found `{full}`: a type of Avro{known}"));
        None
    }

    /// A definition in another place, read as if it stood here.
    fn elsewhere(&mut self, place: &Place) -> Option<Built> {
        let files: &'f Files<'_> = self.files;
        let here =
            (std::mem::replace(&mut self.file, place.file), std::mem::replace(&mut self.path, place.path.clone()));
        let built = self.type_of(files.at(place), &place.namespace);
        (self.file, self.path) = here;
        built
    }

    fn union(&mut self, branches: &'f [Json], namespace: &str) -> Option<Built> {
        let (mut nodes, mut texts) = (Vec::new(), Vec::new());
        let (mut bases, mut looks) = (HashSet::new(), HashSet::new());
        let mistakes = self.errors.len();
        for (i, json) in branches.iter().enumerate() {
            self.path.push(Step::Index(i));
            if let Some((id, text)) = self.type_of(json, namespace) {
                if matches!(self.layout.node(id), Node::Union(_)) {
                    self.mistake("expected no union in a union");
                }
                let (base, look) = (self.base(id), self.look(id));
                if !bases.insert(base.clone()) {
                    self.mistake(format!("expected each type once in a union, found `{base}` again"));
                } else if !looks.insert(look.clone()) {
                    self.mistake(format!(
                        "two branches of this union read as {look}: their values cannot be told apart"
                    ));
                }
                nodes.push(id);
                texts.push(text);
            }
            self.path.pop();
        }
        if self.errors.len() > mistakes {
            return None;
        }
        if nodes.iter().all(|id| matches!(self.layout.node(*id), Node::Null)) {
            self.mistake("expected a union with a type other than null");
            return None;
        }
        Some((self.push(Node::Union(nodes)), Json::Array(texts)))
    }

    /// What Avro tells a union's branches apart by.
    fn base(&self, id: NodeId) -> String {
        match self.layout.node(id) {
            Node::Null => "null".into(),
            Node::Boolean => "boolean".into(),
            Node::Int | Node::Date => "int".into(),
            Node::Long | Node::TimestampMillis | Node::TimestampMicros => "long".into(),
            Node::Float => "float".into(),
            Node::Double => "double".into(),
            Node::Bytes | Node::Decimal { fixed: None, .. } => "bytes".into(),
            Node::String | Node::Uuid { fixed: None } => "string".into(),
            Node::Fixed { name, .. } => name.clone(),
            Node::Decimal { fixed: Some(on), .. } | Node::Uuid { fixed: Some(on) } => on.name.clone(),
            Node::Enum(e) => e.name.clone(),
            Node::Record(record) => record.name.clone(),
            Node::Foreign { base, .. } => self.base(*base),
            Node::Array(_) => "array".into(),
            Node::Map(_) => "map".into(),
            Node::Union(_) => "union".into(),
            // A record that is still being read: only its name can be.
            Node::Unfinished => {
                let name = self.by_name.iter().find(|(_, (node, _))| *node == id).map(|(name, _)| name.clone());
                name.unwrap_or_default()
            }
        }
    }

    /// What readers here tell a union's branches apart by.
    fn look(&self, id: NodeId) -> String {
        match self.layout.node(id) {
            Node::Fixed { size, .. } => format!("fixed({size})"),
            Node::Decimal { precision, scale, .. } => format!("decimal({precision},{scale})"),
            Node::Uuid { .. } => "uuid".into(),
            Node::Date => "date".into(),
            Node::TimestampMillis | Node::TimestampMicros => "timestamp".into(),
            Node::Foreign { base, .. } => self.look(*base),
            _ => self.base(id),
        }
    }

    fn object(&mut self, object: &'f Map<String, Json>, json: &'f Json, namespace: &str) -> Option<Built> {
        let kind = match object.get("type") {
            Some(Json::String(kind)) => kind.as_str(),
            Some(inner) => return self.type_at("type", inner, namespace),
            None => {
                self.mistake("expected an object with `type`");
                return None;
            }
        };
        match kind {
            "array" | "map" => {
                let key = if kind == "array" { "items" } else { "values" };
                let (inner, inner_text) = self.value_type_at(key, object, namespace)?;
                let text = normal(object, &[("type", Json::from(kind)), (key, inner_text)], &[], &[]);
                let node = if kind == "array" { Node::Array(inner) } else { Node::Map(inner) };
                Some((self.push(node), text))
            }
            "record" | "error" | "enum" | "fixed" => self.definition(kind, object, json, namespace),
            _ => self.primitive(kind, object, namespace),
        }
    }

    fn primitive(&mut self, kind: &str, object: &'f Map<String, Json>, namespace: &str) -> Option<Built> {
        let Some(node) = primitive(kind) else { return self.type_at("type", object.get("type")?, namespace) };
        let text = match object.len() {
            1 => Json::from(kind),
            _ => normal(object, &[("type", Json::from(kind))], &["logicalType", "precision", "scale"], &[]),
        };
        let node = match logical(object, &Base::Primitive(node.clone()), self.rules) {
            Ok(Logical::Node(node)) => node,
            Ok(Logical::None) => node,
            Ok(Logical::Foreign(logical)) => {
                let base = self.push(node);
                Node::Foreign { logical, base }
            }
            Err((key, message)) => {
                self.mistake_at(key, message);
                return None;
            }
        };
        Some((self.push(node), text))
    }

    fn refuse_endless(&mut self) {
        let endless: Vec<NodeId> =
            (0..self.layout.nodes.len()).filter(|id| self.layout.smallest[*id] == ENDLESS).collect();
        for id in endless {
            if let (Node::Record(record), Some((file, path))) = (self.layout.node(id), self.places.get(&id)) {
                let message = format!("a {} always holds another, without end: make one nullable", record.name);
                self.errors.push(self.files.error(*file, path, message));
            }
        }
    }

    /// Every field's default by its type. What does not match is a mistake, or is dropped from a registered schema.
    fn defaults(&mut self) -> Defaults {
        let mut defaults = Defaults::new();
        for (id, node) in self.layout.nodes.iter().enumerate() {
            let Node::Record(record) = node else { continue };
            for (i, field) in record.fields.iter().enumerate() {
                let Some(json) = &field.default else { continue };
                match default::read(&self.layout, field.node, json) {
                    Ok(value) => {
                        defaults.insert((id, i), value);
                    }
                    Err(message) if self.rules == Rules::Declared => {
                        let Some((file, place)) = self.places.get(&id) else { continue };
                        let steps = [Step::Key("fields".into()), Step::Index(i), Step::Key("default".into())];
                        let path: Vec<Step> = place.iter().cloned().chain(steps).collect();
                        self.errors.push(self.files.error(*file, &path, message));
                    }
                    Err(_) => {}
                }
            }
        }
        defaults
    }
}

/// Attributes in one order: `head`, then those of `object` that `order` names, then its others by name, but for what
/// `head` holds and what is named in `without`.
pub(super) fn normal(object: &Map<String, Json>, head: &[(&str, Json)], order: &[&str], without: &[&str]) -> Json {
    let mut out = Map::new();
    for (key, value) in head {
        out.insert((*key).to_owned(), value.clone());
    }
    let mut others: Vec<&String> = object.keys().filter(|key| !order.contains(&key.as_str())).collect();
    others.sort_unstable();
    for key in order.iter().copied().chain(others.into_iter().map(String::as_str)) {
        if let Some(value) = object.get(key)
            && !out.contains_key(key)
            && !without.contains(&key)
        {
            out.insert(key.to_owned(), value.clone());
        }
    }
    Json::Object(out)
}
