//! The files of a folder and the names that they define: what a reference can find.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::SchemaError;
use super::locate::{Step, locate, show};

/// Files read as JSON, and every definition in them.
pub(super) struct Files<'a> {
    files: Vec<File<'a>>,
}

struct File<'a> {
    name: &'a str,
    text: &'a str,
    tree: Result<Json, SchemaError>,
    /// By full name.
    definitions: HashMap<String, Place>,
}

/// Where a name is defined.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) path: Vec<Step>,
    /// The namespace around the definition.
    pub(super) namespace: String,
}

/// What a reference finds.
pub(super) enum Found<'f> {
    One(&'f Place),
    /// Files that define the name, differently.
    Several(Vec<&'f str>),
    None,
}

impl<'a> Files<'a> {
    pub(super) fn read(files: &[(&'a str, &'a str)]) -> Self {
        let files = files.iter().enumerate().map(|(index, (name, text))| File::read(index, name, text)).collect();
        Self { files }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn tree(&self, file: usize) -> Result<&Json, SchemaError> {
        self.files[file].tree.as_ref().map_err(Clone::clone)
    }

    /// The JSON at a place; null where there is none, which cannot be for a place that was recorded.
    pub(super) fn at(&self, place: &Place) -> &Json {
        let Ok(tree) = &self.files[place.file].tree else { return &Json::Null };
        place.path.iter().fold(tree, |json, step| {
            match step {
                Step::Key(key) => json.get(key),
                Step::Index(i) => json.get(i),
            }
            .unwrap_or(&Json::Null)
        })
    }

    pub(super) fn error(&self, file: usize, path: &[Step], message: String) -> SchemaError {
        let File { name, text, .. } = &self.files[file];
        let (line, column) = locate(text, path);
        SchemaError { file, name: (*name).to_owned(), path: show(path), line, column, message }
    }

    /// The definition of a full name: the file's own, else the one that all other files agree on.
    pub(super) fn find(&self, from: usize, name: &str) -> Found<'_> {
        if let Some(own) = self.files[from].definitions.get(name) {
            return Found::One(own);
        }
        let all: Vec<&Place> = self.files.iter().filter_map(|file| file.definitions.get(name)).collect();
        match all.as_slice() {
            [] => Found::None,
            [first, rest @ ..] if rest.iter().all(|other| self.at(other) == self.at(first)) => Found::One(first),
            _ => Found::Several(all.iter().map(|place| self.files[place.file].name).collect()),
        }
    }

    /// Every name that is defined, for messages.
    pub(super) fn all_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.files.iter().flat_map(|f| f.definitions.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl<'a> File<'a> {
    fn read(index: usize, name: &'a str, text: &'a str) -> Self {
        let tree = serde_json::from_str::<Json>(text).map_err(|error| SchemaError {
            file: index,
            name: name.to_owned(),
            path: "$".into(),
            line: u32::try_from(error.line()).unwrap_or(u32::MAX).max(1),
            column: u32::try_from(error.column()).unwrap_or(u32::MAX).max(1),
            message: format!("expected JSON: {}", json_message(&error)),
        });
        let mut definitions = HashMap::new();
        if let Ok(tree) = &tree {
            collect(tree, index, &mut vec![], "", &mut definitions);
        }
        Self { name, text, tree, definitions }
    }
}

/// serde_json's message without its own line and column.
fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// The name and the namespace that an object defines, if it defines one.
pub(super) fn defined(object: &Map<String, Json>, enclosing: &str) -> Option<(String, String)> {
    let name = object.get("name")?.as_str()?;
    let namespace = object.get("namespace").and_then(Json::as_str).unwrap_or(enclosing);
    Some(full_name(name, namespace))
}

/// A full name and its namespace, from a name as written.
pub(super) fn full_name(name: &str, namespace: &str) -> (String, String) {
    match name.rsplit_once('.') {
        Some((space, _)) => (name.to_owned(), space.to_owned()),
        None if namespace.is_empty() => (name.to_owned(), String::new()),
        None => (format!("{namespace}.{name}"), namespace.to_owned()),
    }
}

/// Records the definitions under `json`; the first one of a name wins, the other is found when the schema is built.
fn collect(json: &Json, file: usize, path: &mut Vec<Step>, namespace: &str, definitions: &mut HashMap<String, Place>) {
    let mut inner = namespace.to_owned();
    match json {
        Json::Array(branches) => {
            for (i, branch) in branches.iter().enumerate() {
                below(Step::Index(i), branch, file, path, &inner, definitions);
            }
        }
        Json::Object(object) => {
            let kind = object.get("type").and_then(Json::as_str).unwrap_or_default();
            if matches!(kind, "record" | "error" | "enum" | "fixed")
                && let Some((name, space)) = defined(object, namespace)
            {
                let place = Place { file, path: path.clone(), namespace: namespace.to_owned() };
                definitions.entry(name).or_insert(place);
                inner = space;
            }
            for key in ["type", "items", "values"] {
                if let Some(value @ (Json::Object(_) | Json::Array(_))) = object.get(key) {
                    below(Step::Key(key.into()), value, file, path, &inner, definitions);
                }
            }
            if let Some(Json::Array(fields)) = object.get("fields") {
                path.push(Step::Key("fields".into()));
                for (i, field) in fields.iter().enumerate() {
                    if let Some(ty) = field.get("type") {
                        path.push(Step::Index(i));
                        below(Step::Key("type".into()), ty, file, path, &inner, definitions);
                        path.pop();
                    }
                }
                path.pop();
            }
        }
        _ => {}
    }
}

fn below(
    step: Step,
    json: &Json,
    file: usize,
    path: &mut Vec<Step>,
    namespace: &str,
    definitions: &mut HashMap<String, Place>,
) {
    path.push(step);
    collect(json, file, path, namespace, definitions);
    path.pop();
}
