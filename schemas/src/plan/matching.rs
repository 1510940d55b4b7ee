//! Which of a writer's types can be read as which of a reader's: everything about a pair of types that needs no
//! look at what they hold.

use super::read::Read;
use crate::layout::{Layout, Node, NodeId};
use crate::types::{EnumType, RecordType, Type};

/// How well a writer's type suits a reader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    None,
    /// By promotion, or by a name's last part.
    Loose,
    Exact,
}

/// How to read a value that holds no others; None where it cannot be, or holds others.
pub(super) fn scalar(writer: &Node, reader: &Type) -> Option<Read> {
    Some(match (writer, reader) {
        (Node::Boolean, Type::Boolean) => Read::Boolean,
        (Node::Int | Node::Date, Type::Int | Type::Long) => Read::Int,
        (Node::Int | Node::Date, Type::Float) => Read::IntToFloat,
        (Node::Int | Node::Date, Type::Double) => Read::IntToDouble,
        (Node::Int | Node::Date, Type::Date) => Read::Date,
        (Node::Int, Type::TimestampMillis) => Read::IntMillis,
        (Node::Int, Type::TimestampMicros) => Read::IntMicros,
        (Node::Long | Node::TimestampMillis | Node::TimestampMicros, Type::Long) => Read::Long,
        (Node::Long | Node::TimestampMillis | Node::TimestampMicros, Type::Float) => Read::LongToFloat,
        (Node::Long | Node::TimestampMillis | Node::TimestampMicros, Type::Double) => Read::LongToDouble,
        (Node::Long, Type::TimestampMillis) => Read::Millis,
        (Node::Long, Type::TimestampMicros) => Read::Micros,
        (Node::TimestampMillis, Type::TimestampMillis | Type::TimestampMicros) => Read::Millis,
        (Node::TimestampMicros, Type::TimestampMicros) => Read::Micros,
        (Node::Float, Type::Float) => Read::Float,
        (Node::Float, Type::Double) => Read::FloatToDouble,
        (Node::Double, Type::Double) => Read::Double,
        (Node::String | Node::Uuid { fixed: None } | Node::Bytes, Type::String) => Read::Text,
        (Node::String | Node::Uuid { fixed: None }, Type::Uuid) => Read::UuidText,
        (Node::String | Node::Uuid { fixed: None } | Node::Bytes | Node::Decimal { fixed: None, .. }, Type::Bytes) => {
            Read::Bytes
        }
        (Node::Bytes, Type::Decimal { precision, scale }) => Read::Decimal { precision: *precision, scale: *scale },
        (Node::Decimal { .. } | Node::Fixed { .. }, Type::Decimal { precision, scale }) => {
            decimal(writer, *precision, *scale)?
        }
        (Node::Fixed { size: 16, .. } | Node::Uuid { fixed: Some(_) }, Type::Uuid) => Read::UuidBytes,
        (_, Type::Fixed(size)) if fixed_size(writer) == Some(*size) => Read::Fixed(u32::try_from(*size).ok()?),
        _ => return None,
    })
}

fn fixed_size(writer: &Node) -> Option<usize> {
    match writer {
        Node::Fixed { size, .. } => Some(*size),
        Node::Decimal { fixed: Some(on), .. } | Node::Uuid { fixed: Some(on) } => Some(on.size),
        _ => None,
    }
}

/// Of equal scale and no narrower; what is no decimal at all is the reader's.
fn decimal(writer: &Node, precision: u8, scale: u8) -> Option<Read> {
    if let Node::Decimal { precision: written, scale: written_scale, .. } = writer
        && (*written_scale != scale || *written > precision)
    {
        return None;
    }
    Some(match fixed_size(writer) {
        Some(size) => Read::FixedDecimal { size: u32::try_from(size).ok()?, precision, scale },
        None => Read::Decimal { precision, scale },
    })
}

/// How well a writer's type suits a branch of a reader's union.
pub(super) fn fit(layout: &Layout, writer: NodeId, reader: &Type) -> Fit {
    match (layout.node(writer), reader) {
        (Node::Record(node), Type::Record(record)) => names_fit(&node.name, &record.name, &record.aliases),
        (Node::Record(node), Type::Recursive(link)) => match link.record() {
            Some(record) => names_fit(&node.name, &record.name, &record.aliases),
            None => Fit::None,
        },
        (Node::Enum(node), Type::Enum(e)) => names_fit(&node.name, &e.name, &e.aliases),
        (Node::Array(_), Type::Array(_)) | (Node::Map(_), Type::Map(_)) => Fit::Exact,
        (Node::Foreign { base, .. }, _) if !is_logical(reader) => fit(layout, *base, reader),
        (node, _) => match scalar(node, reader) {
            None => Fit::None,
            // Plain bytes are no decimal because a union happens to have one.
            Some(_) if is_logical(reader) && is_plain(node) => Fit::None,
            Some(_) if is_same(node, reader) => Fit::Exact,
            Some(_) => Fit::Loose,
        },
    }
}

fn is_same(writer: &Node, reader: &Type) -> bool {
    match (writer, reader) {
        (Node::Boolean, Type::Boolean)
        | (Node::Int, Type::Int)
        | (Node::Long, Type::Long)
        | (Node::Float, Type::Float)
        | (Node::Double, Type::Double)
        | (Node::String, Type::String)
        | (Node::Bytes, Type::Bytes)
        | (Node::Date, Type::Date)
        | (Node::Uuid { .. }, Type::Uuid)
        | (Node::TimestampMillis, Type::TimestampMillis)
        | (Node::TimestampMicros, Type::TimestampMicros)
        | (Node::Fixed { .. }, Type::Fixed(_)) => true,
        (Node::Decimal { precision, scale, .. }, Type::Decimal { precision: p, scale: s }) => {
            precision == p && scale == s
        }
        _ => false,
    }
}

/// A type that a logical type may stand on.
pub(super) fn is_plain(writer: &Node) -> bool {
    matches!(writer, Node::Int | Node::Long | Node::Bytes | Node::String | Node::Fixed { .. })
}

pub(super) fn is_logical(reader: &Type) -> bool {
    reader.is_timestamp() || matches!(reader, Type::Decimal { .. } | Type::Uuid | Type::Date)
}

/// Avro compares names without their namespaces, and a reader may know the writer's by an alias.
fn names_fit(writer: &str, reader: &str, aliases: &[String]) -> Fit {
    if writer == reader {
        Fit::Exact
    } else if last_part(writer) == last_part(reader) || aliases.iter().any(|alias| alias == writer) {
        Fit::Loose
    } else {
        Fit::None
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// By writer's symbol, the reader's: its own, or its default, or none.
pub(super) fn symbols(writer: &EnumType, reader: &EnumType) -> Box<[Option<Box<str>>]> {
    let known = |symbol: &String| match reader.symbols.contains(symbol) {
        true => Some(symbol.as_str().into()),
        false => reader.default.as_deref().map(Into::into),
    };
    writer.symbols.iter().map(known).collect()
}

/// Where in the writer's record a reader's field stands: by its name, else by an alias that is no other field's name.
pub(super) fn written_field(
    writer: &crate::layout::RecordNode,
    reader: &RecordType,
    field: &crate::types::Field,
) -> Option<usize> {
    let find = |name: &str| writer.fields.iter().position(|f| f.name == name);
    find(&field.name)
        .or_else(|| field.aliases.iter().filter(|alias| reader.field(alias).is_none()).find_map(|alias| find(alias)))
}

/// What a writer wrote, for messages.
pub(super) fn describe(layout: &Layout, id: NodeId) -> String {
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
        Node::Enum(e) => format!("enum {}", e.name),
        Node::Decimal { precision, scale, .. } => format!("decimal({precision},{scale})"),
        Node::Uuid { .. } => "uuid".into(),
        Node::Date => "date".into(),
        Node::TimestampMillis => "timestamp-millis".into(),
        Node::TimestampMicros => "timestamp-micros".into(),
        Node::Foreign { logical, base } => format!("{} ({logical})", describe(layout, *base)),
        Node::Array(_) => "array".into(),
        Node::Map(_) => "map".into(),
        Node::Union(branches) => {
            let branches: Vec<String> = branches.iter().map(|b| describe(layout, *b)).collect();
            format!("union of {}", branches.join(", "))
        }
        Node::Record(record) => format!("record {}", record.name),
        Node::Unfinished => "nothing".into(),
    }
}
