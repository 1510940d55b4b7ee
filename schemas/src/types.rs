//! The types that a field, a column or an expression can have: Avro's, with its logical types made first-class.
//!
//! A union of null and one other type is that type, nullable; any other union is a [`Type::Union`].

use std::fmt;
use std::sync::{Arc, Weak};

use crate::Value;

/// The type of a value that is not null.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Boolean,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    Float,
    Double,
    /// Exact: at most `precision` digits (1 to 38), `scale` of them after the point.
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Enum(Arc<EnumType>),
    Uuid,
    /// Avro `bytes`.
    Bytes,
    /// Avro `fixed`: this many bytes.
    Fixed(usize),
    /// Days since 1970-01-01.
    Date,
    /// An instant that Avro keeps in milliseconds; a [`Value::Timestamp`] in microseconds here.
    TimestampMillis,
    /// An instant in microseconds since 1970-01-01T00:00:00Z.
    TimestampMicros,
    Array(Arc<FieldType>),
    /// Keys are strings.
    Map(Arc<FieldType>),
    Record(Arc<RecordType>),
    /// A record that encloses this place, as in a tree: the same values as [`Type::Record`].
    Recursive(RecordLink),
    /// Two or more branches other than null.
    Union(Arc<[Type]>),
}

/// The way back to a record from inside itself. It does not keep the record alive: whoever holds the enclosing
/// [`RecordType`] does.
#[derive(Clone)]
pub struct RecordLink {
    name: Arc<str>,
    record: Weak<RecordType>,
}

/// A type and whether null is one of its values.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldType {
    pub ty: Type,
    pub nullable: bool,
}

/// An Avro enum; a value is its symbol.
#[derive(Clone, Debug, PartialEq)]
pub struct EnumType {
    /// Full name, with the namespace.
    pub name: String,
    /// Full names by which a writer may know it.
    pub aliases: Vec<String>,
    pub symbols: Vec<String>,
    /// The symbol that stands for a writer's symbol that the reader does not know.
    pub default: Option<String>,
}

/// An Avro record: an event, or one nested in an event.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordType {
    /// Full name, with the namespace.
    pub name: String,
    /// Full names by which a writer may know it.
    pub aliases: Vec<String>,
    pub fields: Vec<Field>,
    pub doc: Option<String>,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub ty: FieldType,
    /// What a reader takes where the writer has no such field. `Some(Value::Null)` is a default of null.
    pub default: Option<Value>,
    pub doc: Option<String>,
}

impl RecordType {
    /// The index and the field of this name.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name == name)
    }

    /// The name without its namespace: what declarations call the event.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

impl RecordLink {
    pub(crate) fn new(name: &str, record: Weak<RecordType>) -> Self {
        Self { name: name.into(), record }
    }

    /// The record; None once the enclosing one is gone.
    pub fn record(&self) -> Option<Arc<RecordType>> {
        self.record.upgrade()
    }

    /// The record's full name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// By name: following the link would never end.
impl PartialEq for RecordLink {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for RecordLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordLink({})", self.name)
    }
}

impl FieldType {
    pub fn required(ty: Type) -> Self {
        Self { ty, nullable: false }
    }

    pub fn nullable(ty: Type) -> Self {
        Self { ty, nullable: true }
    }
}

impl Type {
    pub fn is_numeric(&self) -> bool {
        matches!(self, Type::Int | Type::Long | Type::Float | Type::Double | Type::Decimal { .. })
    }

    /// Strings, enums: what text functions take.
    pub fn is_text(&self) -> bool {
        matches!(self, Type::String | Type::Enum(_))
    }

    pub fn is_timestamp(&self) -> bool {
        matches!(self, Type::TimestampMillis | Type::TimestampMicros)
    }
}

/// As declarations and messages name it: `decimal(38,2)`, `array of string`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Boolean => f.write_str("boolean"),
            Type::Int => f.write_str("int"),
            Type::Long => f.write_str("long"),
            Type::Float => f.write_str("float"),
            Type::Double => f.write_str("double"),
            Type::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Type::String => f.write_str("string"),
            Type::Enum(e) => write!(f, "enum {}", e.name),
            Type::Uuid => f.write_str("uuid"),
            Type::Bytes => f.write_str("bytes"),
            Type::Fixed(size) => write!(f, "fixed({size})"),
            Type::Date => f.write_str("date"),
            Type::TimestampMillis => f.write_str("timestamp-millis"),
            Type::TimestampMicros => f.write_str("timestamp-micros"),
            Type::Array(item) => write!(f, "array of {}", item.ty),
            Type::Map(value) => write!(f, "map of {}", value.ty),
            Type::Record(record) => write!(f, "record {}", record.name),
            Type::Recursive(link) => write!(f, "record {}", link.name),
            Type::Union(branches) => {
                f.write_str("union of ")?;
                for (i, branch) in branches.iter().enumerate() {
                    write!(f, "{}{branch}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
