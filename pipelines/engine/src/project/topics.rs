//! Topics from their files: `topic.yaml` and the schemas beside it, checked against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use headwater_schemas::topic::{Event, Topic};
use headwater_schemas::{Schema, SchemaError, avsc};

use super::files::{Files, Kind};
use crate::declare::{Text, TopicDecl, topic};
use crate::source::{Diagnostic, FileId, Sources, Span, Spanned, nearest};
use crate::yaml::{self, Node};

/// The topics, with those of their events that are right, and the names of what is not: what speaks of these is not
/// judged.
#[derive(Default)]
pub(super) struct Topics {
    pub(super) topics: Vec<Arc<Topic>>,
    pub(super) broken_topics: BTreeSet<String>,
    pub(super) broken_events: BTreeSet<String>,
    /// A topic's file is so broken that not even its name is known: any unknown name may be it.
    pub(super) unnamed: bool,
}

/// What one folder under `schemas/` holds.
#[derive(Default)]
struct Folder {
    topic: Option<FileId>,
    schemas: Vec<FileId>,
}

pub(super) fn load(files: &Files, out: &mut Vec<Diagnostic>) -> Topics {
    let mut folders: BTreeMap<&str, Folder> = BTreeMap::new();
    for file in &files.declared {
        match file.kind {
            Kind::Topic => folders.entry(&file.domain).or_default().topic = Some(file.id),
            Kind::Schema => folders.entry(&file.domain).or_default().schemas.push(file.id),
            _ => {}
        }
    }
    let mut topics = Topics::default();
    let mut named: Vec<Text> = Vec::new();
    for (domain, folder) in folders {
        topics.folder(domain, &folder, &files.sources, &mut named, out);
    }
    topics
}

impl Topics {
    fn folder(
        &mut self,
        domain: &str,
        folder: &Folder,
        sources: &Sources,
        named: &mut Vec<Text>,
        out: &mut Vec<Diagnostic>,
    ) {
        let (schemas, mistaken) = parse_schemas(folder, sources, out);
        let stems = mistaken.iter().filter_map(|&id| sources.path(id).file_stem()?.to_str());
        self.broken_events.extend(stems.map(str::to_owned));
        let Some(file) = folder.topic else {
            self.without_topic(domain, folder, &schemas, out);
            return;
        };
        let node = yaml::parse_into(file, sources.text(file), out);
        let Some(decl) = node.as_ref().and_then(|node| topic::read(node, out)) else {
            self.broken(node.as_ref(), &schemas);
            return;
        };
        self.check_names(&decl, named, sources, out);
        if mistaken.is_empty() {
            let meant = check_schemas(&decl, &schemas, folder, sources, domain, out);
            self.broken_events.extend(meant);
        }
        let topic = build(&decl, &schemas, domain, out);
        let lost = decl.events.iter().filter(|name| topic.event(name).is_none());
        self.broken_events.extend(lost.map(|name| name.value.clone()));
        self.topics.push(Arc::new(topic));
    }

    /// Schemas that no `topic.yaml` speaks of.
    fn without_topic(&mut self, domain: &str, folder: &Folder, schemas: &[Schema], out: &mut Vec<Diagnostic>) {
        if let Some(&first) = folder.schemas.first() {
            let error = Diagnostic::error(&Span { file: first, range: 0..0 }, "this schema is on no topic");
            out.push(error.help(format!("declare the topic in schemas/{domain}/topic.yaml")));
            self.broken(None, schemas);
        }
    }

    /// Keeps what a broken topic was to be called and to hold.
    fn broken(&mut self, node: Option<&Node>, schemas: &[Schema]) {
        let (name, events) = (node.and_then(topic::name), node.and_then(topic::event_names));
        self.unnamed |= name.is_none() || events.is_none();
        self.broken_topics.extend(name.map(str::to_owned));
        self.broken_events.extend(events.unwrap_or_default().into_iter().map(str::to_owned));
        self.broken_events.extend(schemas.iter().map(|schema| schema.short_name().to_owned()));
    }

    /// A topic's name and its events' names are the whole project's.
    fn check_names(&mut self, decl: &TopicDecl, named: &mut Vec<Text>, sources: &Sources, out: &mut Vec<Diagnostic>) {
        let mut claim = |name: &Text, what: &str, out: &mut Vec<Diagnostic>| {
            let key = format!("{what} {}", name.value);
            if let Some(other) = named.iter().find(|other| other.value == key) {
                let other = sources.path(other.span.file).display();
                let message = format!("{what} `{}` is already declared in {other}", name.value);
                out.push(Diagnostic::error(&name.span, message).label("declared twice"));
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

/// The folder's schemas that are right, and the files that hold no schema because of a mistake in them or in what they
/// refer to.
fn parse_schemas(folder: &Folder, sources: &Sources, out: &mut Vec<Diagnostic>) -> (Vec<Schema>, Vec<FileId>) {
    let mut right = folder.schemas.clone();
    let mut mistaken = Vec::new();
    loop {
        let names: Vec<String> = right.iter().map(|&id| sources.path(id).to_string_lossy().into_owned()).collect();
        let texts = right.iter().map(|&id| sources.text(id));
        let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts).collect();
        let errors = match avsc::parse_all(&files) {
            Ok(schemas) => return (schemas, mistaken),
            Err(errors) => errors,
        };
        let found: Vec<FileId> = errors.iter().filter_map(|error| right.get(error.file).copied()).collect();
        // After the first round what is wrong is that a mistaken file is gone, which was said.
        if mistaken.is_empty() {
            let told = errors.iter().zip(&found);
            out.extend(told.map(|(error, &file)| of_schema(file, sources.text(file), error)));
        }
        right.retain(|id| !found.contains(id));
        if found.is_empty() {
            return (Vec::new(), folder.schemas.clone());
        }
        mistaken.extend(found);
    }
}

/// A schema's mistake at its token.
fn of_schema(file: FileId, text: &str, error: &SchemaError) -> Diagnostic {
    let line_index = (error.line as usize).saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(line_index).map(str::len).sum();
    let line = text[line_start..].split('\n').next().unwrap_or("");
    let column = (error.column as usize).saturating_sub(1);
    let start = line_start + line.char_indices().nth(column).map_or(line.len(), |(index, _)| index);
    let rest = &text[start..line_start + line.len()];
    let len = match rest.chars().next() {
        Some('"') => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
        Some('{' | '[' | ',' | '}' | ']' | ':') => 1,
        _ => rest.find([',', ' ', '}', ']', '\r']).unwrap_or(rest.len()),
    };
    Diagnostic::error(&Span { file, range: start..start + len }, error.message.clone()).label(error.path.clone())
}

/// Every event has its schema, every record is an event or part of one. Gives the records that a wrong name was probably
/// meant for.
fn check_schemas(
    decl: &TopicDecl,
    schemas: &[Schema],
    folder: &Folder,
    sources: &Sources,
    domain: &str,
    out: &mut Vec<Diagnostic>,
) -> BTreeSet<String> {
    let mut meant = BTreeSet::new();
    for event in &decl.events {
        match schemas.iter().filter(|schema| schema.short_name() == event.value).count() {
            0 => {
                let free = schemas.iter().map(Schema::short_name);
                let free = free.filter(|name| decl.events.iter().all(|event| event.value != *name));
                meant.extend(nearest(&event.value, free.clone()).map(str::to_owned));
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
        decl.events.iter().any(|event| event.value == name)
            || other.any(|old| old.value == name)
            || meant.contains(name)
    };
    for schema in schemas.iter().filter(|schema| !listed(schema.short_name())) {
        let name = format!("\"{}\"", schema.record.name);
        let used = schemas.iter().any(|other| other.record.name != schema.record.name && other.text.contains(&name));
        if !used {
            out.push(on_no_topic(schema, decl, file_of(schema, folder, sources), sources));
        }
    }
    meant
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
fn file_of(schema: &Schema, folder: &Folder, sources: &Sources) -> FileId {
    let name = schema.short_name();
    let called = |id: &&FileId| sources.path(**id).file_stem() == Some(Path::new(name).as_os_str());
    let quoted = format!("\"{name}\"");
    let says = |id: &&FileId| sources.text(**id).contains(&quoted) || sources.text(**id).contains(&schema.record.name);
    let file = folder.schemas.iter().find(called).or_else(|| folder.schemas.iter().find(says));
    file.or(folder.schemas.first()).copied().unwrap_or(FileId(0))
}

/// The topic, with those of its events that can be.
fn build(decl: &TopicDecl, schemas: &[Schema], domain: &str, out: &mut Vec<Diagnostic>) -> Topic {
    let key: Vec<String> = decl.key.iter().map(|key| key.value.clone()).collect();
    let mut events = Vec::with_capacity(decl.events.len());
    for name in &decl.events {
        // Missing schemas were reported.
        let Some(schema) = schemas.iter().find(|schema| schema.short_name() == name.value) else { continue };
        let was = decl.was.iter().filter(|(event, _)| event.value == name.value).flat_map(|(_, older)| older);
        let was = was.map(|older| older.value.clone()).collect();
        match Event::new(Arc::new(schema.clone()), was, &key) {
            Ok(event) => events.push(event),
            Err(error) => {
                let place = decl.key.first().map_or(&name.span, |key| &key.span);
                let error = Diagnostic::error(place, error.to_string());
                out.push(error.label("the key of every event"));
            }
        }
    }
    check_key_types(decl, &events, out);
    Topic {
        name: decl.topic.value.clone(),
        domain: domain.to_owned(),
        key,
        partitions: decl.partitions.value,
        retention_days: decl.retention_days.as_ref().map(|days| days.value),
        events,
        ignore: decl.ignore.iter().map(|name| name.value.clone()).collect(),
    }
}

/// One key, one type: the same thing is not an int here and a string there.
fn check_key_types(decl: &TopicDecl, events: &[Event], out: &mut Vec<Diagnostic>) {
    for (index, key) in decl.key.iter().enumerate() {
        let ty = |event: &Event| event.key.get(index).map(|&field| event.schema.record.fields[field].ty.ty.clone());
        let Some((first, expected)) = events.first().and_then(|event| Some((event, ty(event)?))) else { continue };
        for event in events.iter().skip(1) {
            let Some(found) = ty(event).filter(|found| *found != expected) else { continue };
            let message = format!(
                "the key field `{}` is {expected} in `{}` and {found} in `{}`",
                key.value, first.name, event.name
            );
            out.push(Diagnostic::error(&key.span, message).label("one key has one type"));
        }
    }
}
