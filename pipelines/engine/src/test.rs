//! Test files compiled against the project's events and views: values are read by their Avro type from the source text.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_schemas::json;
use headwater_schemas::topic::Topic;
use headwater_schemas::{FieldType, KeyCodec, RecordType, Type, Value};

use crate::declare::test::{GivenDecl, PARKED_EVENT};
use crate::declare::{TOMBSTONE, TestDecl, Text};
use crate::plan::Topology;
use crate::source::{Code, Diagnostic, Span, suggestion};
use crate::table::Table;
use crate::unknown::{self, Missing};
use crate::yaml::{Kind, Node};

/// A test: events given, rows and parked events expected.
#[derive(Debug)]
pub struct TestCase {
    pub name: String,
    pub span: Span,
    pub given: Vec<GivenEvent>,
    /// View and all its rows.
    pub expect: Vec<ExpectedView>,
    pub parked: Vec<ExpectedParked>,
}

/// An event as a producer would write it.
#[derive(Clone, Debug)]
pub struct GivenEvent {
    pub topic: Arc<Topic>,
    /// Its index in the topic; as many as there are of a record without a value.
    pub event: usize,
    /// The name of its schema, where that is not the event's: an older one, or that of a record that the topic ignores.
    pub written_as: Option<String>,
    /// Of a record without a value, the fields of its key.
    pub value: Value,
    /// The message key; None is a record without one.
    pub key: Option<Vec<u8>>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct ExpectedView {
    pub view: String,
    pub rows: Vec<ExpectedRow>,
}

/// Columns by index and their values; columns left out are not compared.
#[derive(Debug)]
pub struct ExpectedRow {
    pub columns: Vec<(usize, Value)>,
    pub span: Span,
}

/// A given event, from 1, and a part of the reason.
#[derive(Debug)]
pub struct ExpectedParked {
    pub event: usize,
    pub reason: Option<String>,
}

/// Event time of the first event given without `_time`; each further one is a second later. 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000_000;

/// Compiles a test against all topics and topologies.
///
/// # Errors
/// Every mistake found, each with its place.
pub fn compile(
    decl: &TestDecl,
    topics: &[Arc<Topic>],
    topologies: &[Arc<Topology>],
) -> Result<TestCase, Vec<Diagnostic>> {
    compile_with(decl, &Names::new(topics, topologies), Missing::default())
}

/// As [`compile`], where topics or topologies may be `missing`.
pub(crate) fn compile_with(decl: &TestDecl, names: &Names<'_>, missing: Missing) -> Result<TestCase, Vec<Diagnostic>> {
    let mut reader = Reader { missing, problems: Vec::new() };
    let given = decl
        .given
        .iter()
        .enumerate()
        .filter_map(|(i, given)| {
            if given.event.value == TOMBSTONE {
                return reader.tombstone(given, names.topics, START + i as i64 * 1_000_000);
            }
            let (topic, event) = reader.event(&given.event, names)?;
            reader.given(&given.fields, topic, event, START + i as i64 * 1_000_000)
        })
        .collect();
    let expect = decl
        .expect
        .iter()
        .filter_map(|(name, rows)| {
            let table = reader.table(name, names)?;
            let rows = rows.iter().map(|row| reader.row(row, table)).collect();
            Some(ExpectedView { view: name.value.clone(), rows })
        })
        .collect();
    let parked = decl.parked.iter().filter_map(|node| reader.parked(node, decl.given.len())).collect();
    if reader.problems.is_empty() {
        Ok(TestCase { name: decl.name.value.clone(), span: decl.name.span.clone(), given, expect, parked })
    } else {
        Err(reader.problems)
    }
}

/// What tests name, found by its name: a large project has thousands of tests.
pub(crate) struct Names<'t> {
    topics: &'t [Arc<Topic>],
    topologies: &'t [Arc<Topology>],
    /// Of those of one name the first.
    events: HashMap<&'t str, (&'t Arc<Topic>, usize)>,
    tables: HashMap<&'t str, &'t Table>,
}

impl<'t> Names<'t> {
    pub(crate) fn new(topics: &'t [Arc<Topic>], topologies: &'t [Arc<Topology>]) -> Self {
        let (mut events, mut tables) = (HashMap::new(), HashMap::new());
        for topic in topics {
            for (index, event) in topic.events.iter().enumerate() {
                events.entry(event.name.as_str()).or_insert((topic, index));
            }
        }
        for view in topologies.iter().flat_map(|topology| &topology.views) {
            tables.entry(view.table.name.as_str()).or_insert(&view.table);
        }
        Self { topics, topologies, events, tables }
    }
}

struct Reader {
    missing: Missing,
    problems: Vec<Diagnostic>,
}

impl Reader {
    fn error(&mut self, span: &Span, message: String, label: &str, help: Option<String>) {
        let known =
            help.as_ref().is_some_and(|help| help.starts_with("did you mean") || help.starts_with("known here"));
        let code = if known { Code::UnknownName } else { Code::Invalid };
        self.problems.push(Diagnostic { help, ..Diagnostic::error(span, message).label(label).code(code) });
    }

    fn event<'t>(&mut self, name: &Text, names: &Names<'t>) -> Option<(&'t Arc<Topic>, usize)> {
        let found = names.events.get(name.value.as_str()).copied();
        if found.is_none() && !self.missing.events {
            let names = names.topics.iter().flat_map(|topic| topic.events.iter().map(|event| event.name.as_str()));
            let help = suggestion(&name.value, names);
            self.error(&name.span, format!("there is no event `{}`", name.value), "of no topic", help);
        }
        found
    }

    /// A record without a value, of the topic whose key it gives.
    fn tombstone(&mut self, given: &GivenDecl, topics: &[Arc<Topic>], time: i64) -> Option<GivenEvent> {
        let entries = self.mapping(&given.fields)?;
        let (mut meta, fields): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| scalar(key).starts_with('_'));
        let said = meta.iter().find(|(key, _)| scalar(key) == "_topic").map(|(_, name)| scalar(name));
        meta.retain(|(key, _)| scalar(key) != "_topic");
        let named = |name: &String| fields.iter().any(|(key, _)| scalar(key) == name);
        let of = |topic: &&Arc<Topic>| {
            topic.key.len() == fields.len() && topic.key.iter().all(named) && said.is_none_or(|said| topic.name == said)
        };
        let of: Vec<&Arc<Topic>> = topics.iter().filter(of).collect();
        let [topic] = of.as_slice() else {
            let (label, help) = match of.first() {
                None => {
                    ("of none", "write the fields of the key, and no others: `Tombstone: { order_id: o1 }`".to_owned())
                }
                Some(topic) => ("of several", format!("say which: `_topic: {}`", topic.name)),
            };
            let message = format!("`{TOMBSTONE}` does not say which topic's key it has");
            self.error(&given.event.span, message, label, Some(help));
            return None;
        };
        let record = &topic.events.first()?.schema.record;
        let fields = topic.key.iter().map(|name| record.field(name).map(|(_, field)| field.clone()));
        let fields = fields.collect::<Option<Vec<_>>>()?;
        let ty = RecordType { name: TOMBSTONE.to_owned(), aliases: Vec::new(), fields, doc: None };
        let entries: Vec<_> = entries.iter().filter(|(key, _)| !scalar(key).starts_with('_')).collect();
        let value = self.record(&ty, &entries, &given.fields.span)?;
        let mut key = Vec::new();
        if let Value::Record(values) = &value {
            let bump = bumpalo::Bump::new();
            KeyCodec::offline(topic).write(values.iter().map(|value| value.borrow(&bump)), &mut key);
        }
        let event = topic.events.len();
        let topic = Arc::clone(topic);
        let (written_as, headers) = (None, Vec::new());
        let mut given = GivenEvent { topic, event, written_as, value, key: Some(key), time, headers };
        self.meta(&meta, &mut given)?;
        Some(given)
    }

    fn table<'t>(&mut self, name: &Text, names: &Names<'t>) -> Option<&'t Table> {
        let found = names.tables.get(name.value.as_str()).copied();
        if found.is_none() && !self.missing.views {
            let names = names.topologies.iter().flat_map(|t| t.views.iter().map(|view| view.table.name.as_str()));
            let help = suggestion(&name.value, names);
            self.error(&name.span, format!("there is no view `{}`", name.value), "of no topology", help);
        }
        found
    }

    fn given(&mut self, node: &Node, topic: &Arc<Topic>, event: usize, time: i64) -> Option<GivenEvent> {
        let entries = self.mapping(node)?;
        let (meta, fields): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| scalar(key).starts_with('_'));
        let schema = &topic.events[event].schema;
        let value = self.record(&schema.record, &fields, &node.span)?;
        let mut given = GivenEvent {
            key: Some(KeyCodec::offline(topic).of_record(&topic.events[event], &value)),
            topic: topic.clone(),
            event,
            written_as: None,
            value,
            time,
            headers: Vec::new(),
        };
        self.meta(&meta, &mut given)?;
        Some(given)
    }

    /// What stands beside an event's fields.
    fn meta(&mut self, meta: &[&(Node, Node)], given: &mut GivenEvent) -> Option<()> {
        for (key, node) in meta {
            match scalar(key) {
                "_time" => {
                    if let Value::Timestamp(time) = self.value(node, &FieldType::required(Type::TimestampMicros))? {
                        given.time = time;
                    }
                }
                "_key" => match self.value(node, &FieldType::nullable(Type::String))? {
                    // What is no key of the topic is what some other producer might have written there.
                    Value::String(key) => {
                        let own = KeyCodec::offline(&given.topic).of_text(&key);
                        given.key = Some(own.unwrap_or_else(|_| key.as_bytes().to_vec()));
                    }
                    _ => given.key = None,
                },
                "_headers" => {
                    for (name, value) in self.mapping(node)? {
                        given.headers.push((scalar(name).to_owned(), scalar(value).to_owned()));
                    }
                }
                "_topic" if scalar(node) == given.topic.name => {}
                "_topic" => {
                    let message = format!("this is an event of topic `{}`", given.topic.name);
                    self.error(&node.span, message, "not of this one", Some("leave `_topic` out".into()));
                }
                other => {
                    let help = suggestion(other, ["_time", "_key", "_headers", "_topic"]);
                    let label = "expected _time, _key, _headers or _topic";
                    self.error(&key.span, format!("unknown `{other}`"), label, help);
                }
            }
        }
        Some(())
    }

    fn mapping<'n>(&mut self, node: &'n Node) -> Option<&'n [(Node, Node)]> {
        match &node.kind {
            Kind::Mapping(entries) => Some(entries),
            Kind::Scalar { text, quoted: false } if text.is_empty() => Some(&[]),
            _ => {
                self.error(&node.span, "expected a mapping".into(), "write `{ name: value }`", None);
                None
            }
        }
    }

    fn record(&mut self, ty: &RecordType, entries: &[&(Node, Node)], span: &Span) -> Option<Value> {
        let mut values: Vec<Option<Value>> = vec![None; ty.fields.len()];
        let mut sound = true;
        for (key, node) in entries {
            let Some((index, field)) = unknown::field_of(ty, scalar(key)) else {
                let help = suggestion(scalar(key), ty.fields.iter().map(|field| field.name.as_str()));
                self.error(&key.span, format!("`{}` has no field `{}`", ty.short_name(), scalar(key)), "unknown", help);
                sound = false;
                continue;
            };
            values[index] = self.value(node, &field.ty);
            sound &= values[index].is_some();
        }
        if !sound {
            return None;
        }
        let values = values.into_iter().zip(&ty.fields).map(|(value, field)| {
            value.or_else(|| field.default.clone()).unwrap_or_else(|| example(&field.ty, &field.name))
        });
        let _ = span;
        Some(Value::Record(values.collect()))
    }

    /// A value read by its type from what was written.
    fn value(&mut self, node: &Node, ty: &FieldType) -> Option<Value> {
        if unknown::is_unknown(&ty.ty) {
            return Some(Value::Null);
        }
        if is_null(node) {
            if ty.nullable {
                return Some(Value::Null);
            }
            self.error(&node.span, format!("expected {}, found nothing", ty.ty), "null is not allowed here", None);
            return None;
        }
        match (&ty.ty, &node.kind) {
            (Type::Record(record), Kind::Mapping(entries)) => {
                self.record(record, &entries.iter().collect::<Vec<_>>(), &node.span)
            }
            (Type::Array(item), Kind::Sequence(nodes)) => {
                let values: Vec<_> = nodes.iter().map(|node| self.value(node, item)).collect();
                Some(Value::Array(values.into_iter().collect::<Option<_>>()?))
            }
            (Type::Map(item), Kind::Mapping(entries)) => {
                let mut values = Vec::new();
                for (key, node) in entries {
                    values.push((Arc::from(scalar(key)), self.value(node, item)?));
                }
                values.sort_by(|(a, _): &(Arc<str>, Value), (b, _)| a.cmp(b));
                Some(Value::Map(values.into()))
            }
            (Type::Union(branches), _) => self.branch(node, branches),
            (ty @ (Type::Record(_) | Type::Array(_) | Type::Map(_)), _) => {
                self.error(&node.span, format!("expected {ty}"), "another shape", None);
                None
            }
            (scalar_type, Kind::Scalar { text, .. }) => match json::from_text(ty, text) {
                Ok(value) => Some(value),
                Err(problem) => {
                    self.error(&node.span, problem.message, &format!("expected {scalar_type}"), None);
                    None
                }
            },
            (other, _) => {
                self.error(&node.span, format!("expected {other}, found a list or a mapping"), "one value", None);
                None
            }
        }
    }

    /// `{ branch: value }` where the key names a branch, else the first branch that takes the value.
    fn branch(&mut self, node: &Node, branches: &[Type]) -> Option<Value> {
        if let Kind::Mapping(entries) = &node.kind
            && let [(key, inner)] = entries.as_slice()
            && let Some(i) = json::branch_named(branches, scalar(key))
        {
            let value = self.value(inner, &FieldType::required(branches[i].clone()))?;
            return Some(Value::Branch(i as u32, Arc::new(value)));
        }
        let before = self.problems.len();
        for (i, branch) in branches.iter().enumerate() {
            if let Some(value) = self.value(node, &FieldType::required(branch.clone())) {
                self.problems.truncate(before);
                return Some(Value::Branch(i as u32, Arc::new(value)));
            }
        }
        self.problems.truncate(before);
        self.error(&node.span, "no branch of the union takes this value".into(), "unfit", None);
        None
    }

    fn row(&mut self, node: &Node, table: &Table) -> ExpectedRow {
        let mut columns = Vec::new();
        for (key, node) in self.mapping(node).unwrap_or_default() {
            match unknown::column(table, scalar(key)) {
                Some((index, column)) => {
                    let ty = FieldType { ty: column.ty.ty.clone(), nullable: true };
                    columns.extend(self.value(node, &ty).map(|value| (index, value)));
                }
                None => {
                    let help = suggestion(scalar(key), table.columns.iter().map(|c| c.name.as_str()));
                    let message = format!("view `{}` has no column `{}`", table.name, scalar(key));
                    self.error(&key.span, message, "unknown column", help);
                }
            }
        }
        ExpectedRow { columns, span: node.span.clone() }
    }

    /// `3`, or `{ event: 3, reason: misrouted }`.
    fn parked(&mut self, node: &Node, given: usize) -> Option<ExpectedParked> {
        let (number, reason) = match &node.kind {
            Kind::Mapping(_) => {
                let out = &mut self.problems;
                let mut fields = node.fields(&PARKED_EVENT, "an element of `parked`", &node.span, out)?;
                let (event, reason) = (fields.get("event"), fields.text("reason", out));
                fields.finish(&[], out);
                (event?, reason.map(|reason| reason.value))
            }
            _ => (node, None),
        };
        let event = scalar(number).parse::<usize>().ok().filter(|n| (1..=given).contains(n));
        if event.is_none() {
            let help = "write `- 2`, or `- { event: 2, reason: misrouted }`".to_owned();
            self.error(&node.span, format!("expected an event's number, 1 to {given}"), "not one", Some(help));
        }
        Some(ExpectedParked { event: event?, reason })
    }
}

fn scalar(node: &Node) -> &str {
    match &node.kind {
        Kind::Scalar { text, .. } => text,
        _ => "",
    }
}

fn is_null(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar { text, quoted: false } if matches!(text.as_str(), "" | "~" | "null"))
}

/// A plain value for a field left out that has no default.
fn example(ty: &FieldType, name: &str) -> Value {
    if ty.nullable {
        return Value::Null;
    }
    match &ty.ty {
        Type::Boolean => Value::Boolean(false),
        Type::Int | Type::Long => Value::Long(0),
        Type::Float => Value::Float(0.0),
        Type::Double => Value::Double(0.0),
        Type::Decimal { scale, .. } => Value::Decimal(headwater_schemas::Decimal { unscaled: 0, scale: *scale }),
        Type::String => Value::string(name),
        Type::Enum(e) => Value::string(e.symbols.first().map_or("", String::as_str)),
        Type::Uuid => Value::Uuid([0; 16]),
        Type::Bytes => Value::Bytes(Arc::from([])),
        Type::Fixed(size) => Value::Bytes(vec![0; *size].into()),
        Type::Date => Value::Date(0),
        Type::TimestampMillis | Type::TimestampMicros => Value::Timestamp(START),
        Type::Array(_) => Value::Array(Arc::from([])),
        Type::Map(_) => Value::Map(Arc::from([])),
        Type::Record(record) => {
            Value::Record(record.fields.iter().map(|field| example(&field.ty, &field.name)).collect())
        }
        // A record that must contain itself has no value at all.
        Type::Recursive(_) => Value::Null,
        Type::Union(branches) => {
            let first = branches.first().map_or(Value::Null, |ty| example(&FieldType::required(ty.clone()), name));
            Value::Branch(0, Arc::new(first))
        }
    }
}
