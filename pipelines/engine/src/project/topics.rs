//! Topics from their files: `topic.yaml` and the schemas beside it, checked against each other.

mod salvage;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headwater_schemas::Schema;
use headwater_schemas::key::{KeyFormat, KeySchema, KeySchemaError, has_key_text};
use headwater_schemas::topic::{Deduplicate, Event, Identity, Topic};
use rayon::prelude::*;

use super::files::{Declared, Files, Kind};
use crate::declare::topic::{DeduplicateDecl, KeyFormatDecl};
use crate::declare::{Text, TopicDecl, topic};
use crate::source::{Code, Diagnostic, FileId, Sources, Span, Spanned, nearest};
use crate::unknown::{field_of, is_unknown};
use crate::yaml::Node;
use salvage::Schemas;

/// The topics and their events, as far as each is known.
#[derive(Default)]
pub(super) struct Topics {
    pub(super) topics: Vec<Arc<Topic>>,
    /// A topic's file is so broken that not even its name is known: any unknown name may be it.
    pub(super) unnamed: bool,
}

/// What one folder under `schemas/` holds.
#[derive(Default)]
struct Folder<'f> {
    topic: Option<&'f Declared>,
    schemas: Vec<&'f Declared>,
}

pub(super) fn load(files: &Files, out: &mut Vec<Diagnostic>) -> Topics {
    let mut folders: BTreeMap<&str, Folder<'_>> = BTreeMap::new();
    for file in &files.declared {
        match file.kind {
            Kind::Topic => folders.entry(&file.domain).or_default().topic = Some(file),
            Kind::Schema => folders.entry(&file.domain).or_default().schemas.push(file),
            _ => {}
        }
    }
    let mut topics = Topics::default();
    let mut named: Vec<Text> = Vec::new();
    let folders: Vec<(&str, Folder<'_>)> = folders.into_iter().collect();
    let each: Vec<Parsed> = folders.par_iter().map(|(_, folder)| parsed(folder, files)).collect();
    for ((domain, folder), parsed) in folders.iter().zip(each) {
        topics.folder(domain, folder, parsed, files, &mut named, out);
    }
    topics
}

/// What the files of one folder say, each by itself.
struct Parsed {
    schemas: Schemas,
    node: Option<Node>,
    decl: Option<TopicDecl>,
    mistakes: Vec<Diagnostic>,
}

fn parsed(folder: &Folder<'_>, files: &Files) -> Parsed {
    let mut mistakes = Vec::new();
    let schemas = salvage::read(&folder.schemas, &files.sources, &mut mistakes);
    let node = folder.topic.and_then(|file| files.tree(file, &mut mistakes));
    let decl = node.as_ref().and_then(|node| topic::read(node, &mut mistakes));
    Parsed { schemas, node, decl, mistakes }
}

impl Topics {
    fn folder(
        &mut self,
        domain: &str,
        folder: &Folder<'_>,
        parsed: Parsed,
        files: &Files,
        named: &mut Vec<Text>,
        out: &mut Vec<Diagnostic>,
    ) {
        let Parsed { schemas, node, decl, mistakes } = parsed;
        out.extend(mistakes);
        if folder.topic.is_none() {
            if let Some(first) = folder.schemas.first() {
                let error = Diagnostic::error(&Span { file: first.id, range: 0..0 }, "this schema is on no topic");
                out.push(error.help(format!("declare the topic in schemas/{domain}/topic.yaml")));
                self.broken(domain, None, &schemas);
            }
            return;
        }
        let Some(decl) = decl else {
            self.broken(domain, node.as_ref(), &schemas);
            return;
        };
        self.check_names(&decl, named, &files.sources, out);
        let others = check_schemas(&decl, &schemas, folder, &files.sources, domain, out);
        let topic = build(&decl, &schemas, &others, domain, out);
        self.topics.push(Arc::new(topic));
    }

    /// What a topic was to be called and to hold, where its own file does not say so. Its key is not known.
    fn broken(&mut self, domain: &str, node: Option<&Node>, schemas: &Schemas) {
        let (name, events) = (node.and_then(topic::name), node.and_then(topic::event_names));
        self.unnamed |= name.is_none() || events.is_none();
        let names: Vec<&str> = events.unwrap_or_else(|| schemas.all().map(Schema::short_name).collect());
        let events = names.into_iter().filter_map(|name| salvage::event(name, schemas, &[])).collect();
        let (key, ignore) = (Vec::new(), Vec::new());
        let (name, domain) = (name.unwrap_or(domain).to_owned(), domain.to_owned());
        let topic = Topic {
            name,
            domain,
            key,
            key_format: KeyFormat::String,
            partitions: 1,
            retention_days: None,
            compact: false,
            deduplicate: None,
            events,
            ignore,
        };
        self.topics.push(Arc::new(topic));
    }

    /// A topic's name and its events' names are the whole project's.
    fn check_names(&mut self, decl: &TopicDecl, named: &mut Vec<Text>, sources: &Sources, out: &mut Vec<Diagnostic>) {
        let mut claim = |name: &Text, what: &str, out: &mut Vec<Diagnostic>| {
            let key = format!("{what} {}", name.value);
            if let Some(other) = named.iter().find(|other| other.value == key) {
                let other = sources.path(other.span.file).display();
                let message = format!("{what} `{}` is already declared in {other}", name.value);
                out.push(Diagnostic::error(&name.span, message).label("declared twice").code(Code::Duplicate));
            } else {
                named.push(Spanned::new(key, name.span.clone()));
            }
        };
        claim(&decl.topic, "topic", out);
        for event in &decl.events {
            claim(event, "event", out);
        }
    }
}

/// Every event has its schema, every record is an event or part of one. Gives the names of the records that are events
/// by mistake of the list: what a wrong name was probably meant for, and what was forgotten.
fn check_schemas<'s>(
    decl: &TopicDecl,
    schemas: &'s Schemas,
    folder: &Folder<'_>,
    sources: &Sources,
    domain: &str,
    out: &mut Vec<Diagnostic>,
) -> Vec<&'s str> {
    let mut others: Vec<&str> = Vec::new();
    for event in &decl.events {
        match schemas.all().filter(|schema| schema.short_name() == event.value).count() {
            0 => {
                let free = schemas.all().map(Schema::short_name);
                let free = free.filter(|name| decl.events.iter().all(|event| event.value != *name));
                others.extend(nearest(&event.value, free.clone()));
                out.push(
                    Diagnostic::error(&event.span, format!("event `{}` has no schema", event.value))
                        .label(format!("expected schemas/{domain}/{}.avsc", event.value))
                        .nearest(&event.value, free),
                );
            }
            1 => {}
            _ => out.push(
                Diagnostic::error(&event.span, format!("event `{}` has two schemas, in two namespaces", event.value))
                    .label("which of them?"),
            ),
        }
    }
    let listed = |name: &str| {
        let mut other = decl.was.iter().flat_map(|(_, older)| older).chain(&decl.ignore);
        decl.events.iter().any(|event| event.value == name) || other.any(|old| old.value == name)
    };
    for schema in schemas.right.iter().filter(|schema| !listed(schema.short_name())) {
        let name = schema.short_name();
        let file = file_of(schema, folder, sources);
        let used = folder.schemas.iter().any(|other| other.id != file && names(sources.text(other.id), schema));
        if !used && !others.contains(&name) {
            out.push(on_no_topic(schema, decl, file, sources));
            others.push(name);
        }
    }
    others
}

/// Whether a schema's text speaks of a record, by its full name or its short one.
fn names(text: &str, schema: &Schema) -> bool {
    [schema.record.name.as_str(), schema.short_name()].iter().any(|name| text.contains(&format!("\"{name}\"")))
}

fn on_no_topic(schema: &Schema, decl: &TopicDecl, file: FileId, sources: &Sources) -> Diagnostic {
    let name = schema.short_name();
    let range = sources.text(file).find(&format!("\"{name}\"")).map_or(0..0, |at| at + 1..at + 1 + name.len());
    let message = format!("`{name}` is no event of topic `{}`, and no event uses it", decl.topic.value);
    let topic = sources.path(decl.topic.span.file).display();
    Diagnostic::error(&Span { file, range }, message)
        .label("on no topic")
        .help(format!("add it to `events` in {topic}, or remove the file"))
}

/// The file that a schema was read from: the one that is called like it, or that says its name.
fn file_of(schema: &Schema, folder: &Folder<'_>, sources: &Sources) -> FileId {
    let called =
        |file: &&&Declared| sources.path(file.id).file_stem() == Some(Path::new(schema.short_name()).as_os_str());
    let says = |file: &&&Declared| names(sources.text(file.id), schema);
    let file = folder.schemas.iter().find(called).or_else(|| folder.schemas.iter().find(says));
    file.or(folder.schemas.first()).map_or(FileId(0), |file| file.id)
}

/// The topic and its events, those included that only a mistake of the list leaves out.
fn build(decl: &TopicDecl, schemas: &Schemas, others: &[&str], domain: &str, out: &mut Vec<Diagnostic>) -> Topic {
    let key: Vec<String> = decl.key.iter().map(|key| key.value.clone()).collect();
    let before = out.len();
    let sound = check_key(decl, schemas, out);
    let names = decl.events.iter().map(|name| name.value.as_str()).chain(others.iter().copied());
    let mut events = Vec::with_capacity(decl.events.len());
    for name in names {
        let Some(mut event) = salvage::event(name, schemas, &key) else { continue };
        let was = decl.was.iter().filter(|(event, _)| event.value == name).flat_map(|(_, older)| older);
        if !sound {
            event.key.clear();
        }
        event.was = was.map(|older| older.value.clone()).collect();
        events.push(event);
    }
    check_key_types(decl, &events, out);
    let is_right = sound && out.len() == before;
    let key_format = if is_right { key_format(decl, &key, &events, out) } else { KeyFormat::String };
    Topic {
        name: decl.topic.value.clone(),
        domain: domain.to_owned(),
        // Of a mistaken key nothing is known: whatever is keyed is owned by it.
        key: if sound { key } else { Vec::new() },
        key_format,
        partitions: decl.partitions.value,
        retention_days: decl.retention_days.as_ref().map(|days| days.value),
        compact: decl.compact,
        deduplicate: decl.deduplicate.as_ref().map(|declared| deduplicate(declared, &events, out)),
        events,
        ignore: decl.ignore.iter().map(|name| name.value.clone()).collect(),
    }
}

/// Whether every event has the topic's key. Where none of them has, the key is what is mistaken.
fn check_key(decl: &TopicDecl, schemas: &Schemas, out: &mut Vec<Diagnostic>) -> bool {
    let named = |schema: &&Schema| decl.events.iter().any(|name| name.value == schema.short_name());
    let right: Vec<&Schema> = schemas.right.iter().filter(named).collect();
    let missing = decl.key.iter().find(|field| right.iter().all(|schema| schema.record.field(field).is_none()));
    if let Some(field) = missing.filter(|_| !right.is_empty()) {
        let fields = right.iter().flat_map(|schema| &schema.record.fields).map(|field| field.name.as_str());
        let mut common: Vec<&str> = fields.collect();
        common.retain(|name| right.iter().all(|schema| schema.record.field(name).is_some()));
        let message = format!("no event of topic `{}` has a field `{}`", decl.topic.value, field.value);
        let error = Diagnostic::error(&field.span, message).label("the key of every event");
        out.push(error.nearest(field, common));
        return false;
    }
    let before = out.len();
    for schema in right {
        let wrong =
            |field: &&Text| Event::new(Arc::new(schema.clone()), Vec::new(), std::slice::from_ref(&field.value)).err();
        let wrong = decl.key.iter().filter_map(|field| Some((field, wrong(&field)?)));
        out.extend(
            wrong.map(|(field, error)| {
                Diagnostic::error(&field.span, error.to_string()).label("the key of every event")
            }),
        );
    }
    out.len() == before
}

/// How message keys are written; text, where the events are so mistaken that they give no Avro.
fn key_format(decl: &TopicDecl, key: &[String], events: &[Event], out: &mut Vec<Diagnostic>) -> KeyFormat {
    match decl.key_format {
        KeyFormatDecl::String => return KeyFormat::String,
        KeyFormatDecl::Json => return KeyFormat::Json,
        KeyFormatDecl::Avro => {}
    }
    match KeySchema::of_events(&decl.topic.value, key, events) {
        Ok(schema) => return KeyFormat::Avro(Arc::new(schema)),
        Err(error @ KeySchemaError::Differs { .. }) => {
            let field = decl
                .key
                .iter()
                .find(|name| matches!(&error, KeySchemaError::Differs { field, .. } if *field == name.value));
            let span = field.map_or(&decl.topic.span, |name| &name.span);
            let help = "with `key_format: avro` the same value must be the same bytes in every event's key";
            out.push(Diagnostic::error(span, error.to_string()).label("one key has one form").help(help));
        }
        // Of events whose schemas are mistaken, which was reported.
        Err(KeySchemaError::Invalid(_)) => {}
    }
    KeyFormat::String
}

/// How a repeat is known: by a field of every event, or by the header that commands write.
fn deduplicate(decl: &DeduplicateDecl, events: &[Event], out: &mut Vec<Diagnostic>) -> Deduplicate {
    let field = |event: &Event| field_of(&event.schema.record, &decl.by).map(|(_, field)| field.ty.ty.clone());
    let (by, last) = (decl.by.value.clone(), decl.last);
    if by == EVENT_ID && !events.iter().all(|event| field(event).is_some()) {
        return Deduplicate { by: Identity::Header, last };
    }
    let help = format!("name a field of every event, or `{EVENT_ID}`: the header `ce_id`, which commands write");
    for event in events {
        let error = match field(event) {
            None => format!("event `{}` has no field `{by}`", event.name),
            Some(ty) if !has_key_text(&ty) && !is_unknown(&ty) => format!("`{by}` of `{}` is {ty}", event.name),
            Some(_) => continue,
        };
        out.push(Diagnostic::error(&decl.by.span, error).label("tells no repeat").help(help));
        break;
    }
    Deduplicate { by: Identity::Field(by), last }
}

/// The header `ce_id`, where no field of every event is called so.
const EVENT_ID: &str = "event_id";

/// One key, one type: the same thing is not an int here and a string there.
fn check_key_types(decl: &TopicDecl, events: &[Event], out: &mut Vec<Diagnostic>) {
    for (index, key) in decl.key.iter().enumerate() {
        let ty = |event: &Event| event.key.get(index).map(|&field| event.schema.record.fields[field].ty.ty.clone());
        let ty = |event: &Event| ty(event).filter(|ty| !is_unknown(ty));
        let Some((first, expected)) = events.iter().find_map(|event| Some((event, ty(event)?))) else { continue };
        for event in events {
            let Some(found) = ty(event).filter(|found| *found != expected) else { continue };
            let message = format!(
                "the key field `{}` is {expected} in `{}` and {found} in `{}`",
                key.value, first.name, event.name
            );
            out.push(Diagnostic::error(&key.span, message).label("one key has one type"));
        }
    }
}
