//! `schemas/<domain>/topic.yaml`.

use super::shape::{self, EVENT, FIELD, Form, Key, Names, Shape};
use super::{TOMBSTONE, Text, check_avro_name, check_topic_name, keep_avro_names, place_of, refuse_tombstone};
use crate::source::{Diagnostic, Spanned, nearest};
use crate::yaml::{Kind, Node};

#[derive(Clone, Debug, PartialEq)]
pub struct TopicDecl {
    pub topic: Text,
    /// The fields of every event that make the message key.
    pub key: Vec<Text>,
    pub key_format: KeyFormatDecl,
    pub partitions: Spanned<u32>,
    /// None: forever.
    pub retention_days: Option<Spanned<u32>>,
    /// `cleanup: compact`: of each key, all but the last record may go.
    pub compact: bool,
    pub deduplicate: Option<DeduplicateDecl>,
    pub events: Vec<Text>,
    /// An event and its older names.
    pub was: Vec<(Text, Vec<Text>)>,
    /// Known and skipped.
    pub ignore: Vec<Text>,
}

/// How the message key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormatDecl {
    String,
    Json,
    Avro,
}

/// How a repeat is known, and among how many records of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct DeduplicateDecl {
    pub by: Text,
    pub last: u32,
}

/// Partitions of a topic.
pub const MAX_PARTITIONS: u32 = 10_000;
/// Records of a key that are remembered: each takes 16 bytes, and a key's are read and written as one.
const MAX_REMEMBERED: u32 = 1_000;
/// A hundred years.
const MAX_RETENTION_DAYS: u32 = 36_500;

/// `topic.yaml`.
pub(super) static TOPIC: Shape = Shape::new(
    "What may be on a topic of the log. Each event has an Avro schema beside this file, EVENT.avsc.",
    &[
        Key::required("topic", Form::Like(shape::TOPIC_NAME), "orders", "The topic's name in the log."),
        Key::required(
            "key",
            Form::Any(&[FIELD, Form::Texts(&FIELD, 1)]),
            "order_id",
            "The field that is the message key: in every event, of one type, never null. What has the same key stands in \
             one partition, in order. Several fields need `key_format: json` or `avro`.",
        ),
        Key::optional(
            "key_format",
            Form::Word(&["string", "json", "avro"]),
            "json",
            "How the message key is written: `string` for one field, `json` for several (an object of them, in the order \
             of `key`, without spaces), `avro` for one or several (in Confluent's wire format, with the schema id of \
             version 1 of the subject `TOPIC-key`).",
        ),
        Key::required(
            "partitions",
            Form::Integer(1, MAX_PARTITIONS),
            "10",
            "How many partitions the topic has: as many processes can share its work at most.",
        ),
        Key::required(
            "retention",
            Form::Any(&[Form::Word(&["forever"]), Form::Integer(1, MAX_RETENTION_DAYS)]),
            "forever",
            "How many days records are kept, or `forever`. What is gone from the log cannot be folded again.",
        ),
        Key::required(
            "events",
            Form::Texts(&EVENT, 1),
            "[OrderPlaced]",
            "The events of this topic. Each has a schema of its name in this folder.",
        ),
        Key::optional(
            "was",
            Form::Names(&WAS),
            "{ PaymentReturned: [PaymentReversed] }",
            "Older names of events, which stand in records written before.",
        ),
        Key::optional(
            "ignore",
            Form::Texts(&EVENT, 0),
            "[PaymentPinged]",
            "Events of others on this topic: known, and skipped.",
        ),
        Key::optional(
            "cleanup",
            Form::Word(&["delete", "compact"]),
            "compact",
            "What Kafka may drop: `delete` (unless given) what is past `retention`, `compact` all but the last record of \
             each key. Views of a compacted topic show only what the last record says.",
        ),
        Key::optional(
            "deduplicate",
            Form::Keys(&DEDUPLICATE),
            "{ by: event_id, last: 64 }",
            "Drops a record that repeats one of the last of its key, as a producer that retries may write it.",
        ),
    ],
);

static WAS: Names = Names::of(shape::AVRO_NAME, Form::TextOrTexts(&EVENT));

static DEDUPLICATE: Shape = Shape::new(
    "How a repeat is known, and among how many records of its key.",
    &[
        Key::required(
            "by",
            Form::Text,
            "event_id",
            "`event_id` for the header `ce_id`, or a field that every event has. What has none is never a repeat.",
        ),
        Key::required(
            "last",
            Form::Integer(1, MAX_REMEMBERED),
            "64",
            "How many of a key's last records are remembered, 16 bytes each.",
        ),
    ],
)
.within("deduplicate.");

/// Reads `topic.yaml`: the topic, where its name, key and events are right. A mistake elsewhere is reported and leaves a
/// topic that others can be checked against.
pub fn read(node: &Node, out: &mut Vec<Diagnostic>) -> Option<TopicDecl> {
    let mut fields = node.fields(&TOPIC, "a topic", &place_of(node), out)?;
    let topic = fields.text("topic", out);
    let topic = topic.filter(|name| check_topic_name(name, out));
    let key = fields.get("key").and_then(|node| read_key(node, out));
    let key_format = read_key_format(key.as_deref(), fields.get("key_format"), out);
    // Of several fields whose format is mistaken nothing is known: it may be the fields that are.
    let key = key.filter(|key| key_format.is_some() || key.len() == 1);
    let key_format = key_format.unwrap_or(KeyFormatDecl::String);
    let partitions = fields.integer("partitions", out);
    let retention_days = fields.get("retention").and_then(|node| read_retention(node, out));
    let events = fields.get("events").and_then(|node| read_events(node, out));
    let was = fields.get("was").map(|node| read_was(node, out)).unwrap_or_default();
    let ignore = fields.texts("ignore", out).unwrap_or_default();
    let ignore = keep_avro_names(ignore, "an event", out);
    let compact = fields.get("cleanup").is_some_and(|node| read_cleanup(node, out));
    let deduplicate = fields.entry("deduplicate");
    fields.finish(&[], out);
    let deduplicate = deduplicate.and_then(|(key, node)| read_deduplicate(key, node, compact, out));

    let (topic, key, events) = (topic?, key?, events?);
    check_events(&events, &was, &ignore, out);
    if let Some(ignored) = ignore.first().filter(|_| compact) {
        let message =
            format!("`{}` is ignored, and its record may be all that compaction leaves of a key", ignored.value);
        let help = "list it in `events`, or let it be written to another topic";
        out.push(Diagnostic::error(&ignored.span, message).label("of a compacted topic").help(help));
    }
    let partitions = partitions.unwrap_or_else(|| Spanned::new(1, topic.span.clone()));
    Some(TopicDecl { topic, key, key_format, partitions, retention_days, compact, deduplicate, events, was, ignore })
}

/// The name that a topic's file gives it, whatever else is wrong in there. None where that can be no name.
pub fn name(node: &Node) -> Option<&str> {
    let Kind::Mapping(entries) = &node.kind else { return None };
    let node = &entries.iter().find(|(key, _)| key.as_text() == Some("topic"))?.1;
    node.as_text().filter(|_| check_topic_name(&node.key_text(), &mut Vec::new()))
}

/// The event names that a topic's file lists, whatever else is wrong in there. None where one of them can be no name.
pub fn event_names(node: &Node) -> Option<Vec<&str>> {
    let Kind::Mapping(entries) = &node.kind else { return None };
    match &entries.iter().find(|(key, _)| key.as_text() == Some("events"))?.1.kind {
        Kind::Sequence(items) => {
            let name = |item: &'_ Node| check_avro_name(&item.key_text(), "an event", &mut Vec::new());
            items.iter().map(|item| item.as_text().filter(|_| name(item))).collect()
        }
        _ => None,
    }
}

/// None where a name is wrong: the list is not what was meant then.
fn read_events(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Vec<Text>> {
    let before = out.len();
    let events = keep_avro_names(node.texts("`events`", out)?, "an event", out);
    let sound = out.len() == before;
    if events.is_empty() && sound {
        let error = Diagnostic::error(&node.span, "a topic without events").label("`events` is empty");
        out.push(error.help("list the events: `events: [OrderPlaced]`"));
    }
    refuse_tombstone(&events, "is on every topic, and not listed", out);
    let events: Vec<Text> = events.into_iter().filter(|event| event.value != TOMBSTONE).collect();
    (sound && !events.is_empty()).then_some(events)
}

fn read_was(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<(Text, Vec<Text>)> {
    let mut was = Vec::new();
    for (event, older) in node.entries("`was`", out).unwrap_or_default() {
        let event = event.key_text();
        let Some(older) = older.text_or_texts(&format!("`was.{}`", event.value), out) else { continue };
        was.push((event, keep_avro_names(older, "an event", out)));
    }
    was
}

fn read_key(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Vec<Text>> {
    let key = keep_avro_names(node.text_or_texts("`key`", out)?, "a field", out);
    if key.is_empty() && matches!(&node.kind, Kind::Sequence(items) if items.is_empty()) {
        let error = Diagnostic::error(&node.span, "`key` names no field").label("expected a field");
        out.push(error.help("name the field that identifies what the events are about"));
    }
    (!key.is_empty()).then_some(key)
}

/// The format, where it is one of the key: of one field its text, of any a JSON object of them, or Avro.
fn read_key_format(key: Option<&[Text]>, node: Option<&Node>, out: &mut Vec<Diagnostic>) -> Option<KeyFormatDecl> {
    let second = key.and_then(|key| key.get(1));
    let format = node.map(|node| (node, node.as_text().unwrap_or_default()));
    let error = match (format, second) {
        (None | Some((_, "string")), None) => return Some(KeyFormatDecl::String),
        (Some((_, "json")), _) => return Some(KeyFormatDecl::Json),
        (Some((_, "avro")), _) => return Some(KeyFormatDecl::Avro),
        (None, Some(second)) => {
            Diagnostic::error(&second.span, "a key of several fields needs a format").label("a second key field").help(
                "add `key_format: json`: the message key is `{\"a\":\"x\",\"b\":7}`, in this order and without spaces",
            )
        }
        (Some((node, "string")), Some(_)) => Diagnostic::error(&node.span, "a key of several fields is no string")
            .label("of one field")
            .help("write `key_format: json`"),
        (Some((node, text)), _) => {
            let message = format!("`key_format` must be `string`, `json` or `avro`, not {}", node.describe());
            let error = Diagnostic::error(&node.span, message).label("expected `string`, `json` or `avro`");
            match nearest(text, ["string", "json", "avro"]) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help("leave `key_format` out: it is `string` unless given"),
            }
        }
    };
    out.push(error);
    None
}

/// `deduplicate: { by: event_id, last: 64 }`.
fn read_deduplicate(key: &Node, node: &Node, compact: bool, out: &mut Vec<Diagnostic>) -> Option<DeduplicateDecl> {
    let mut fields = node.fields(&DEDUPLICATE, "`deduplicate`", &key.span, out)?;
    let by = fields.text("by", out);
    let last = fields.integer("last", out);
    fields.finish(&[], out);
    if compact {
        let error = Diagnostic::error(&key.span, "what is repeated on a compacted topic is all there may be");
        out.push(error.label("of a compacted topic").help("leave it out: a full state said twice is the same state"));
        return None;
    }
    Some(DeduplicateDecl { by: by?, last: last?.value })
}

/// Whether the topic is compacted.
fn read_cleanup(node: &Node, out: &mut Vec<Diagnostic>) -> bool {
    match node.as_text() {
        Some("delete") => false,
        Some("compact") => true,
        _ => {
            let message = format!("`cleanup` must be `delete` or `compact`, not {}", node.describe());
            out.push(Diagnostic::error(&node.span, message).label("expected `delete` or `compact`"));
            false
        }
    }
}

/// None: forever.
fn read_retention(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Spanned<u32>> {
    if node.as_text() == Some("forever") {
        return None;
    }
    let number =
        node.as_text().and_then(|text| text.parse().ok()).filter(|days| (1..=MAX_RETENTION_DAYS).contains(days));
    if number.is_none() {
        out.push(
            Diagnostic::error(
                &node.span,
                format!("`retention` must be `forever` or a number of days, not {}", node.describe()),
            )
            .label(format!("expected `forever` or 1 to {MAX_RETENTION_DAYS}"))
            .help("write `retention: 30` for thirty days"),
        );
    }
    number.map(|value| Spanned::new(value, node.span.clone()))
}

/// Names of events, older names and ignored ones must tell records apart.
fn check_events(events: &[Text], was: &[(Text, Vec<Text>)], ignore: &[Text], out: &mut Vec<Diagnostic>) {
    let names = || events.iter().map(|event| event.value.as_str());
    for (event, _) in was {
        if !names().any(|name| name == event.value) {
            out.push(
                Diagnostic::error(&event.span, format!("`was` speaks of `{}`, which is not in `events`", event.value))
                    .label("not an event of this topic")
                    .nearest(&event.value, names()),
            );
        }
    }
    let mut older: Vec<&Text> = Vec::new();
    for name in was.iter().flat_map(|(_, older)| older).chain(ignore) {
        let taken = if names().any(|event| event == name.value) {
            Some("is an event of this topic")
        } else if older.iter().any(|other| other.value == name.value) {
            Some("already stands in `was` or `ignore`")
        } else {
            None
        };
        if let Some(taken) = taken {
            out.push(
                Diagnostic::error(&name.span, format!("`{}` {taken}", name.value)).label("a name means one thing"),
            );
        }
        older.push(name);
    }
}
