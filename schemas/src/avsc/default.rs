//! Defaults: JSON by Avro's own rules (bytes as a string of code points, timestamps as numbers) read by the field's type.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::layout::{Layout, Node, NodeId};
use crate::value::{Decimal, Value, decimal_from_bytes};

/// Defaults stand in defaults where a record's default leaves a field out; a circle of them has no end.
const MAX_DEPTH: usize = 32;

/// The value of a default, or what was expected and found.
pub(super) fn read(layout: &Layout, id: NodeId, json: &Json) -> Result<Value, String> {
    Reader { layout }.read(id, json, 0)
}

struct Reader<'l> {
    layout: &'l Layout,
}

impl Reader<'_> {
    fn read(&self, id: NodeId, json: &Json, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("the default needs itself without end".into());
        }
        let expected = |what: &str| Err(format!("expected a default that is {what}, found {json}"));
        match (self.layout.node(id), json) {
            (Node::Null, Json::Null) => Ok(Value::Null),
            (Node::Null, _) => expected("null"),
            (Node::Boolean, Json::Bool(b)) => Ok(Value::Boolean(*b)),
            (Node::Boolean, _) => expected("true or false"),
            (Node::Int | Node::Date, _) => match json.as_i64().and_then(|n| i32::try_from(n).ok()) {
                Some(n) if matches!(self.layout.node(id), Node::Date) => Ok(Value::Date(n)),
                Some(n) => Ok(Value::Long(n.into())),
                None => expected("a whole number of 32 bits"),
            },
            (Node::Long | Node::TimestampMicros | Node::TimestampMillis, _) => match json.as_i64() {
                None => expected("a whole number of 64 bits"),
                Some(n) => match self.layout.node(id) {
                    Node::TimestampMicros => Ok(Value::Timestamp(n)),
                    Node::TimestampMillis => {
                        n.checked_mul(1000).map(Value::Timestamp).ok_or_else(|| format!("{n} ms is out of range"))
                    }
                    _ => Ok(Value::Long(n)),
                },
            },
            (Node::Float | Node::Double, Json::Number(n)) => match self.layout.node(id) {
                Node::Float => finite(n.as_str().parse::<f32>().ok().filter(|x| x.is_finite()).map(Value::Float), json),
                _ => finite(n.as_f64().filter(|x| x.is_finite()).map(Value::Double), json),
            },
            (Node::Float | Node::Double, _) => expected("a number"),
            (Node::String, Json::String(text)) if text.contains('\0') => expected("text without NUL"),
            (Node::String, Json::String(text)) => Ok(Value::string(text.as_str())),
            (Node::String, _) => expected("text"),
            (Node::Bytes, _) => code_points(json, None).map(|bytes| Value::Bytes(bytes.into())),
            (Node::Fixed { size, .. }, _) => code_points(json, Some(*size)).map(|bytes| Value::Bytes(bytes.into())),
            (Node::Decimal { precision, scale, fixed }, _) => {
                let bytes = code_points(json, fixed.as_ref().map(|on| on.size))?;
                let Some(unscaled) = decimal_from_bytes(&bytes, *precision) else {
                    return expected(&format!("the bytes of a decimal of {precision} digits"));
                };
                Ok(Value::Decimal(Decimal { unscaled, scale: *scale }))
            }
            (Node::Uuid { fixed: Some(on) }, _) => {
                let bytes = code_points(json, Some(on.size))?;
                bytes.try_into().map(Value::Uuid).or_else(|_| expected("the 16 bytes of a uuid"))
            }
            (Node::Uuid { fixed: None }, Json::String(text)) => {
                uuid::Uuid::try_parse(text).map(|u| Value::Uuid(u.into_bytes())).or_else(|_| expected("a uuid"))
            }
            (Node::Uuid { fixed: None }, _) => expected("a uuid as text"),
            (Node::Foreign { base, .. }, _) => self.read(*base, json, depth + 1),
            (Node::Enum(e), Json::String(symbol)) if e.symbols.contains(symbol) => Ok(Value::string(symbol.as_str())),
            (Node::Enum(e), _) => expected(&format!("one of {}", e.symbols.join(", "))),
            (Node::Union(branches), _) => self.union(branches, json, depth),
            _ => self.nested(id, json, depth),
        }
    }

    fn nested(&self, id: NodeId, json: &Json, depth: usize) -> Result<Value, String> {
        match (self.layout.node(id), json) {
            (Node::Array(item), Json::Array(items)) => {
                items.iter().map(|json| self.read(*item, json, depth + 1)).collect::<Result<_, _>>().map(Value::Array)
            }
            (Node::Map(value), Json::Object(entries)) => {
                let entries: BTreeMap<&String, &Json> = entries.iter().collect();
                let read =
                    |(key, json): (&String, &Json)| Ok((Arc::from(key.as_str()), self.read(*value, json, depth + 1)?));
                entries.into_iter().map(read).collect::<Result<_, String>>().map(Value::Map)
            }
            (Node::Record(record), Json::Object(object)) => {
                if let Some(key) = object.keys().find(|key| !record.fields.iter().any(|f| f.name == **key)) {
                    return Err(format!("expected a default with the fields of {}, found `{key}`", record.name));
                }
                let field = |field: &crate::layout::NodeField| match object.get(&field.name).or(field.default.as_ref())
                {
                    Some(json) => {
                        self.read(field.node, json, depth + 1).map_err(|e| format!("field `{}`: {e}", field.name))
                    }
                    None => {
                        Err(format!("expected a default with the field `{}`, which has none of its own", field.name))
                    }
                };
                record.fields.iter().map(field).collect::<Result<_, _>>().map(Value::Record)
            }
            (Node::Array(_), _) => Err(format!("expected a default that is an array, found {json}")),
            (Node::Map(_), _) => Err(format!("expected a default that is an object, found {json}")),
            (Node::Record(record), _) => {
                Err(format!("expected a default that is an object with the fields of {}, found {json}", record.name))
            }
            _ => Err("a field of this type can have no default".into()),
        }
    }

    /// Avro up to 1.11 takes the first branch only, 1.12 any: the first that fits.
    fn union(&self, branches: &[NodeId], json: &Json, depth: usize) -> Result<Value, String> {
        let several = self.layout.branches(branches).count() > 1;
        let mut errors = Vec::new();
        let mut index = 0;
        for branch in branches {
            let is_null = matches!(self.layout.node(*branch), Node::Null);
            match self.read(*branch, json, depth + 1) {
                Ok(value) if is_null || !several => return Ok(value),
                Ok(value) => return Ok(Value::Branch(index, Arc::new(value))),
                Err(error) => errors.push(error),
            }
            index += u32::from(!is_null);
        }
        Err(errors.join("; or "))
    }
}

fn finite(value: Option<Value>, json: &Json) -> Result<Value, String> {
    value.ok_or_else(|| format!("expected a default that is a finite number, found {json}"))
}

/// Avro writes bytes in JSON as text whose code points are the bytes.
fn code_points(json: &Json, size: Option<usize>) -> Result<Vec<u8>, String> {
    let bytes: Option<Vec<u8>> =
        json.as_str().and_then(|text| text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect());
    match (bytes, size) {
        (Some(bytes), None) => Ok(bytes),
        (Some(bytes), Some(size)) if bytes.len() == size => Ok(bytes),
        (_, None) => Err(format!("expected a default that is text of code points 0 to 255, a byte each, found {json}")),
        (_, Some(size)) => {
            Err(format!("expected a default that is text of {size} code points 0 to 255, a byte each, found {json}"))
        }
    }
}
