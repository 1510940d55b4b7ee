//! The Avro schema of a topic's message keys: of one field its own type, of several a record of them in the key's order.
//!
//! It is made of the events' schemas, without their docs, defaults and aliases. For reading, a key of one field is taken for
//! a record of that field, which has the same bytes.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::avsc::{Fingerprint, Schema, SchemaError};
use crate::layout::{Layout, Node, NodeId};
use crate::plan::DecodePlan;
use crate::topic::Event;

/// See the module.
#[derive(Clone)]
pub struct KeySchema {
    /// As it stands in the registry: `"string"`.
    pub text: Arc<str>,
    /// SHA-256 of `text`.
    pub fingerprint: Fingerprint,
    /// What is written, apart from names of types: `string`, `record {place: string, item: long}`. Schemas of one shape write
    /// the same bytes.
    pub shape: Arc<str>,
    pub(super) parts: Arc<[Part]>,
    pub(super) plan: DecodePlan,
}

/// How a field of a key is written.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Boolean,
    Int,
    Long,
    Text,
    Symbol(Box<[String]>),
    Decimal { precision: u8, scale: u8, fixed: Option<usize> },
    UuidText,
    UuidBytes,
    Date,
    Millis,
    Micros,
}

/// Why the events of a topic give no schema of its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySchemaError {
    #[error("the key field `{field}` is {first_shape} in `{first}` and {shape} in `{event}`")]
    Differs { field: String, first: String, first_shape: String, event: String, shape: String },
    #[error("{0}")]
    Invalid(String),
}

impl KeySchema {
    /// The schema of a topic's key, of which every event has the fields `key`. A key of several fields is a record that is
    /// called after the topic, in the namespace of the first event: `shop.OrderLinesKey` of the topic `order-lines`.
    ///
    /// # Errors
    /// Where events write a field differently: a decimal in `bytes` here and `fixed` there.
    pub fn of_events(topic: &str, key: &[String], events: &[Event]) -> Result<Self, KeySchemaError> {
        let invalid = |why: &str| KeySchemaError::Invalid(why.to_owned());
        let first = events.first().ok_or_else(|| invalid("a topic without events has no key"))?;
        let mut fields = Vec::new();
        for (index, name) in key.iter().enumerate() {
            let node = |event: &Event| Some(field_nodes(&event.schema.layout).get(*event.key.get(index)?)?.1);
            let shape = |event: &Event| Some(shape(&event.schema.layout, node(event)?));
            let expected = shape(first).ok_or_else(|| invalid("the key's fields are not known"))?;
            for event in events {
                let shape = shape(event).unwrap_or_default();
                if shape != expected {
                    let (field, first, event) = (name.clone(), first.name.clone(), event.name.clone());
                    return Err(KeySchemaError::Differs { field, first, first_shape: expected, event, shape });
                }
            }
            let layout = &first.schema.layout;
            let ty = node(first).and_then(|node| declared(layout, node, &fields));
            fields.push((name, ty.ok_or_else(|| invalid("a key holds no such type"))?));
        }
        let text = match fields.as_slice() {
            [(_, ty)] => ty.to_string(),
            _ => {
                let namespace = first.schema.record.name.rsplit_once('.').map(|(namespace, _)| namespace);
                let name = match namespace {
                    Some(namespace) => format!("{namespace}.{}", record_name(topic)),
                    None => record_name(topic),
                };
                let fields: Vec<Json> = fields.iter().map(|(name, ty)| json!({ "name": name, "type": ty })).collect();
                json!({ "type": "record", "name": name, "fields": fields }).to_string()
            }
        };
        Self::parse(&text).map_err(|error| KeySchemaError::Invalid(error.to_string()))
    }

    /// Reads a key's schema, ours or one that others registered.
    ///
    /// # Errors
    /// Where it is no Avro.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let (is_record, schema) = match Schema::parse_registered(text) {
            Ok(schema) => (true, schema),
            Err(error) => {
                let Ok(ty) = serde_json::from_str::<Json>(text) else { return Err(error) };
                let field = json!({ "name": "key", "type": ty });
                let wrapped = json!({ "type": "record", "name": "HeadwaterKey", "fields": [field] });
                (false, Schema::parse_registered(&wrapped.to_string()).map_err(|_| error)?)
            }
        };
        let (layout, record) = (&schema.layout, &schema.record);
        let fields = field_nodes(layout);
        let shapes = fields.iter().map(|&(name, node)| match is_record {
            true => format!("{name}: {}", shape(layout, node)),
            false => shape(layout, node),
        });
        let shapes = shapes.collect::<Vec<_>>().join(", ");
        let whole: Vec<usize> = (0..fields.len()).collect();
        let plan = DecodePlan::compile(&schema, record, &whole).map_err(|error| SchemaError {
            file: 0,
            name: "key".to_owned(),
            path: "$".to_owned(),
            line: 1,
            column: 1,
            message: error.to_string(),
        })?;
        Ok(Self {
            fingerprint: Fingerprint(Sha256::digest(text.as_bytes()).into()),
            text: text.into(),
            shape: if is_record { format!("record {{{shapes}}}") } else { shapes }.into(),
            // None of a schema that is not of a key's types: it is no topic's, and writes nothing.
            parts: fields
                .iter()
                .map(|&(_, node)| part(layout, node))
                .collect::<Option<Arc<[Part]>>>()
                .unwrap_or_default(),
            plan,
        })
    }
}

/// `OrderLinesKey` of `order-lines`.
fn record_name(topic: &str) -> String {
    let mut name = String::new();
    for word in topic.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters);
    }
    let digit = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    format!("{digit}{name}Key")
}

/// The fields of a layout's record.
fn field_nodes(layout: &Layout) -> Vec<(&str, NodeId)> {
    match layout.node(layout.root) {
        Node::Record(record) => record.fields.iter().map(|field| (field.name.as_str(), field.node)).collect(),
        _ => Vec::new(),
    }
}

/// A field's type as JSON. A type with a name is defined once: `before` are the fields that come before it.
fn declared(layout: &Layout, id: NodeId, before: &[(&String, Json)]) -> Option<Json> {
    let named = |name: &str, mut definition: Json| {
        if before.iter().any(|(_, ty)| ty["name"] == name) {
            return Json::from(name);
        }
        if !name.contains('.') {
            // Else it would be taken for one of the record's namespace.
            definition["namespace"] = Json::from("");
        }
        definition
    };
    Some(match layout.node(id) {
        Node::Boolean => json!("boolean"),
        Node::Int => json!("int"),
        Node::Long => json!("long"),
        Node::String => json!("string"),
        Node::Enum(e) => named(&e.name, json!({ "type": "enum", "name": e.name, "symbols": e.symbols })),
        Node::Decimal { precision, scale, fixed: None } => {
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        }
        Node::Decimal { precision, scale, fixed: Some(on) } => {
            let decimal = json!({ "type": "fixed", "name": on.name, "size": on.size, "logicalType": "decimal",
                "precision": precision, "scale": scale });
            named(&on.name, decimal)
        }
        Node::Uuid { fixed: None } => json!({ "type": "string", "logicalType": "uuid" }),
        Node::Uuid { fixed: Some(on) } => {
            named(&on.name, json!({ "type": "fixed", "name": on.name, "size": on.size, "logicalType": "uuid" }))
        }
        Node::Date => json!({ "type": "int", "logicalType": "date" }),
        Node::TimestampMillis => json!({ "type": "long", "logicalType": "timestamp-millis" }),
        Node::TimestampMicros => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        Node::Foreign { base, .. } => return declared(layout, *base, before),
        _ => return None,
    })
}

fn part(layout: &Layout, id: NodeId) -> Option<Part> {
    Some(match layout.node(id) {
        Node::Boolean => Part::Boolean,
        Node::Int => Part::Int,
        Node::Long => Part::Long,
        Node::String => Part::Text,
        Node::Enum(e) => Part::Symbol(e.symbols.clone().into()),
        Node::Decimal { precision, scale, fixed } => {
            Part::Decimal { precision: *precision, scale: *scale, fixed: fixed.as_ref().map(|on| on.size) }
        }
        Node::Uuid { fixed: None } => Part::UuidText,
        Node::Uuid { fixed: Some(_) } => Part::UuidBytes,
        Node::Date => Part::Date,
        Node::TimestampMillis => Part::Millis,
        Node::TimestampMicros => Part::Micros,
        Node::Foreign { base, .. } => return part(layout, *base),
        _ => return None,
    })
}

/// What is written of a type, for comparing and for people.
fn shape(layout: &Layout, id: NodeId) -> String {
    match layout.node(id) {
        Node::Null => "null".into(),
        Node::Boolean => "boolean".into(),
        Node::Int => "int".into(),
        Node::Long => "long".into(),
        Node::Float => "float".into(),
        Node::Double => "double".into(),
        Node::Bytes => "bytes".into(),
        Node::String => "string".into(),
        Node::Fixed { size, .. } => format!("fixed({size})"),
        Node::Enum(e) => format!("enum of {}", e.symbols.join(", ")),
        Node::Decimal { precision, scale, fixed: None } => format!("decimal({precision},{scale}) in bytes"),
        Node::Decimal { precision, scale, fixed: Some(on) } => {
            format!("decimal({precision},{scale}) in fixed({})", on.size)
        }
        Node::Uuid { fixed: None } => "uuid in string".into(),
        Node::Uuid { fixed: Some(_) } => "uuid in fixed(16)".into(),
        Node::Date => "date".into(),
        Node::TimestampMillis => "timestamp-millis".into(),
        Node::TimestampMicros => "timestamp-micros".into(),
        Node::Foreign { base, .. } => shape(layout, *base),
        Node::Union(branches) => {
            format!("union of {}", branches.iter().map(|id| shape(layout, *id)).collect::<Vec<_>>().join(", "))
        }
        Node::Array(_) => "array".into(),
        Node::Map(_) => "map".into(),
        Node::Record(record) => format!("record {}", record.name),
        Node::Unfinished => String::new(),
    }
}

impl PartialEq for KeySchema {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for KeySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySchema({})", self.text)
    }
}
