//! A folder's schemas, and what can be made of those that are mistaken: the fields that are right keep their types.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use headwater_schemas::topic::Event;
use headwater_schemas::{Field, Schema, SchemaError, avsc};
use serde_json::{Value as Json, json};

use crate::project::files::Declared;
use crate::source::{Code, Diagnostic, FileId, Sources, Span, nearest};
use crate::unknown;

/// What the files of a folder hold.
pub(super) struct Schemas {
    pub(super) right: Vec<Schema>,
    /// Records with a mistake in them or in what they refer to.
    mistaken: Vec<Schema>,
}

impl Schemas {
    pub(super) fn all(&self) -> impl Iterator<Item = &Schema> + Clone {
        self.right.iter().chain(&self.mistaken)
    }
}

/// Reads a folder's schemas and says what is wrong with them.
pub(super) fn read(files: &[&Declared], sources: &Sources, out: &mut Vec<Diagnostic>) -> Schemas {
    let mut readable: Vec<FileId> = files.iter().filter(|file| !file.unreadable).map(|file| file.id).collect();
    let unreadable = files.iter().filter(|file| file.unreadable).map(|file| file.id);
    let mut mistaken: Vec<FileId> = unreadable.collect();
    let mut misnamed: Vec<(FileId, String)> = Vec::new();
    let right = loop {
        let texts: Vec<(String, &str)> =
            readable.iter().map(|&id| (sources.path(id).to_string_lossy().into_owned(), sources.text(id))).collect();
        let named: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let errors = match avsc::parse_all(&named) {
            Ok(schemas) => break schemas,
            Err(errors) => errors,
        };
        let found: Vec<FileId> = errors.iter().filter_map(|error| readable.get(error.file).copied()).collect();
        for (error, &file) in errors.iter().zip(&found) {
            // Once a file is gone or mistaken, what refers to its types is not wrong for that.
            let missing = missing_type(&error.message).and_then(|name| {
                files.iter().map(|other| other.id).find(|other| stem(*other, sources) == short(name)).zip(Some(name))
            });
            match missing {
                Some((other, name)) if other != file => {
                    let is_gone = mistaken.contains(&other) || found.contains(&other);
                    misnamed.extend((!is_gone).then(|| (other, name.to_owned())));
                }
                _ => out.push(of_schema(file, sources, error)),
            }
        }
        misnamed.dedup();
        for (file, name) in misnamed.drain(..) {
            out.push(of_name(file, sources, &name));
            readable.retain(|id| *id != file);
            mistaken.push(file);
        }
        readable.retain(|id| !found.contains(id));
        mistaken.extend(&found);
        if found.is_empty() {
            break Vec::new();
        }
    };
    let mistaken = mistaken.into_iter().filter_map(|id| salvaged(id, sources, &right)).collect();
    Schemas { right, mistaken }
}

/// The type that a message misses.
fn missing_type(message: &str) -> Option<&str> {
    message.split_once("a type that exists, found `").and_then(|(_, rest)| rest.split('`').next())
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A file that is called like a type which others use, and holds one of another name.
fn of_name(file: FileId, sources: &Sources, wanted: &str) -> Diagnostic {
    let text = sources.text(file);
    let json: Json = serde_json::from_str(text).unwrap_or_default();
    let name = json["name"].as_str().unwrap_or_default();
    let quoted = format!("\"{name}\"");
    let at = text.find(&quoted).map_or(0..0, |at| at + 1..at + 1 + name.len());
    let held = match json["namespace"].as_str() {
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    };
    let message = format!("others use `{wanted}`, and this file holds `{held}`");
    let error = Diagnostic::error(&Span { file, range: at }, message).label("of another name or namespace");
    error.help(format!("its full name is its namespace and its name: `{wanted}`"))
}

fn stem(file: FileId, sources: &Sources) -> &str {
    sources.path(file).file_stem().and_then(|stem| Path::new(stem).to_str()).unwrap_or_default()
}

/// What is known of a mistaken file's record: its name, and the fields that are right by themselves.
fn salvaged(file: FileId, sources: &Sources, right: &[Schema]) -> Option<Schema> {
    let json: Json = serde_json::from_str(sources.text(file)).unwrap_or_default();
    let name = json["name"].as_str().unwrap_or_else(|| stem(file, sources));
    let name = short(name);
    let Some(declared) = json["fields"].as_array() else {
        return unknown::schema(name, vec![unknown::any_field()]);
    };
    let mut fields: Vec<Field> = Vec::with_capacity(declared.len());
    for declared in declared {
        let Some(name) = declared["name"].as_str() else { continue };
        fields.push(field(declared, &json, right).unwrap_or_else(|| unknown::field(name)));
    }
    if fields.len() < declared.len() {
        fields.push(unknown::any_field());
    }
    unknown::schema(name, fields)
}

/// A field as it is in a record of its own.
fn field(declared: &Json, record: &Json, right: &[Schema]) -> Option<Field> {
    let mut alone = json!({ "type": "record", "name": "Salvaged", "fields": [declared] });
    if let Some(namespace) = record["namespace"].as_str() {
        alone["namespace"] = namespace.into();
    }
    let alone = alone.to_string();
    let references: Vec<&str> = right.iter().map(|schema| &*schema.text).collect();
    let schema = Schema::parse(&alone, &references).ok()?;
    schema.record.fields.first().cloned()
}

/// The event of this name with the topic's key in it, whatever is known of its schema.
pub(super) fn event(name: &str, schemas: &Schemas, key: &[String]) -> Option<Event> {
    let schema = schemas.all().find(|schema| schema.short_name() == name).cloned();
    let mut schema = match schema {
        Some(schema) => schema,
        None => unknown::schema(name, vec![unknown::any_field()])?,
    };
    let missing = key.iter().filter(|key| schema.record.field(key).is_none());
    let missing: Vec<Field> = missing.map(|key| unknown::field(key)).collect();
    if !missing.is_empty() {
        Arc::make_mut(&mut schema.record).fields.extend(missing);
    }
    let key = key.iter().filter_map(|key| schema.record.field(key).map(|(index, _)| index)).collect();
    Some(Event { name: name.to_owned(), schema: Arc::new(schema), was: Vec::new(), key })
}

/// What Avro calls types and their attributes.
const WORDS: [&str; 34] = [
    "null",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    "record",
    "enum",
    "array",
    "map",
    "fixed",
    "decimal",
    "uuid",
    "date",
    "timestamp-millis",
    "timestamp-micros",
    "type",
    "name",
    "namespace",
    "doc",
    "fields",
    "default",
    "aliases",
    "symbols",
    "items",
    "values",
    "size",
    "logicalType",
    "precision",
    "scale",
    "order",
    "time-millis",
];

/// A schema's mistake at its token, or at the attribute that was probably meant to be the one that is missing.
fn of_schema(file: FileId, sources: &Sources, error: &SchemaError) -> Diagnostic {
    let text = sources.text(file);
    let start = byte_of(text, error);
    let rest = text[start..].split('\n').next().unwrap_or("");
    let len = match rest.chars().next() {
        Some('"') => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
        Some('{' | '[' | ',' | '}' | ']' | ':') => 1,
        _ => rest.find([',', ' ', '}', ']', '\r']).unwrap_or(rest.len()),
    };
    let code = match error.message.as_str() {
        message if message.starts_with("expected JSON") => Code::Syntax,
        message if message.contains("a type that exists") => Code::UnknownName,
        _ => Code::Invalid,
    };
    let at =
        |range| Diagnostic::error(&Span { file, range }, error.message.clone()).label(error.path.clone()).code(code);
    if let Some((key, missing)) = misspelt(text, &error.message) {
        return at(key).help(format!("did you mean `{missing}`?"));
    }
    if text.starts_with('\u{feff}') {
        return at(0..'\u{feff}'.len_utf8()).help("save the file without a byte-order mark");
    }
    let token = &text[start..start + len];
    let near = token.strip_prefix('"').and_then(|word| word.strip_suffix('"')).and_then(|word| {
        let records = sources.files.iter().filter_map(|file| file.path.file_stem()?.to_str());
        nearest(short(word), WORDS.into_iter().chain(records)).filter(|near| *near != short(word))
    });
    let found = at(start..start + len);
    match near {
        Some(near) => found.help(format!("did you mean `{near}`?")),
        None => found,
    }
}

/// The attribute that a message misses, where one of nearly that name is there: its place and the right name.
fn misspelt<'m>(text: &str, message: &'m str) -> Option<(Range<usize>, &'m str)> {
    let missing = message.strip_prefix("expected `")?.split('`').next().filter(|word| WORDS.contains(word))?;
    let mut keys = text.match_indices('"').filter_map(|(start, _)| {
        let key = text[start + 1..].split('"').next()?;
        let end = start + key.len() + 2;
        text.get(end..)?.trim_start().starts_with(':').then_some((start..end, key))
    });
    let (place, _) = keys.find(|(_, key)| !WORDS.contains(key) && nearest(key, [missing]).is_some())?;
    Some((place, missing))
}

/// Where an error is in the text.
fn byte_of(text: &str, error: &SchemaError) -> usize {
    let line_index = (error.line as usize).saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(line_index).map(str::len).sum();
    let line = text[line_start..].split('\n').next().unwrap_or("");
    let column = (error.column as usize).saturating_sub(1);
    line_start + line.char_indices().nth(column).map_or(line.len(), |(index, _)| index)
}
