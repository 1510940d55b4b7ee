//! Values: owned ([`Value`], in rows that outlive a batch) and borrowed ([`ValueRef`], decoded from a message).
//!
//! Both say the same things. What a value does not carry (an int's width, a timestamp's unit, a record's field names) is
//! in its [`Type`](crate::Type), known when a plan is compiled.

use std::sync::Arc;

use bumpalo::Bump;
use ethnum::I256;

/// An exact number: `unscaled` · 10^-`scale`. At most 38 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    pub unscaled: i128,
    pub scale: u8,
}

/// An owned value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    /// An `int` or a `long`.
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal(Decimal),
    /// A string, or an enum's symbol.
    String(Arc<str>),
    /// Big-endian, as RFC 9562 writes it.
    Uuid([u8; 16]),
    /// `bytes` or `fixed`.
    Bytes(Arc<[u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z, for both of Avro's units.
    Timestamp(i64),
    Array(Arc<[Value]>),
    /// Sorted by key, keys unique.
    Map(Arc<[(Arc<str>, Value)]>),
    /// By position of the record type's fields.
    Record(Arc<[Value]>),
    /// A value of a union: the branch's index in [`Type::Union`](crate::Type::Union).
    Branch(u32, Arc<Value>),
    /// An accumulator, wider than any column: only in hidden state, never in a visible column.
    Wide(Box<I256>),
}

/// A borrowed value; cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    Null,
    Boolean(bool),
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal(Decimal),
    String(&'a str),
    Uuid([u8; 16]),
    Bytes(&'a [u8]),
    Date(i32),
    Timestamp(i64),
    Array(&'a [ValueRef<'a>]),
    /// Sorted by key, keys unique.
    Map(&'a [(&'a str, ValueRef<'a>)]),
    Record(&'a [ValueRef<'a>]),
    Branch(u32, &'a ValueRef<'a>),
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Value::String(text.into())
    }

    /// This value borrowed. Scalars and text cost nothing; arrays, maps and records lay their elements out in `bump`.
    /// An accumulator has no borrowed form and gives null.
    pub fn borrow<'a>(&'a self, bump: &'a Bump) -> ValueRef<'a> {
        match self {
            Value::Null | Value::Wide(_) => ValueRef::Null,
            Value::Boolean(b) => ValueRef::Boolean(*b),
            Value::Long(n) => ValueRef::Long(*n),
            Value::Float(x) => ValueRef::Float(*x),
            Value::Double(x) => ValueRef::Double(*x),
            Value::Decimal(d) => ValueRef::Decimal(*d),
            Value::String(s) => ValueRef::String(s),
            Value::Uuid(u) => ValueRef::Uuid(*u),
            Value::Bytes(b) => ValueRef::Bytes(b),
            Value::Date(d) => ValueRef::Date(*d),
            Value::Timestamp(t) => ValueRef::Timestamp(*t),
            Value::Array(items) => ValueRef::Array(bump.alloc_slice_fill_iter(items.iter().map(|v| v.borrow(bump)))),
            Value::Map(entries) => {
                ValueRef::Map(bump.alloc_slice_fill_iter(entries.iter().map(|(k, v)| (&**k, v.borrow(bump)))))
            }
            Value::Record(fields) => {
                ValueRef::Record(bump.alloc_slice_fill_iter(fields.iter().map(|v| v.borrow(bump))))
            }
            Value::Branch(i, v) => ValueRef::Branch(*i, bump.alloc(v.borrow(bump))),
        }
    }
}

impl ValueRef<'_> {
    pub fn is_null(&self) -> bool {
        matches!(self, ValueRef::Null)
    }

    /// An owned copy.
    pub fn to_owned(&self) -> Value {
        match *self {
            ValueRef::Null => Value::Null,
            ValueRef::Boolean(b) => Value::Boolean(b),
            ValueRef::Long(n) => Value::Long(n),
            ValueRef::Float(x) => Value::Float(x),
            ValueRef::Double(x) => Value::Double(x),
            ValueRef::Decimal(d) => Value::Decimal(d),
            ValueRef::String(s) => Value::String(s.into()),
            ValueRef::Uuid(u) => Value::Uuid(u),
            ValueRef::Bytes(b) => Value::Bytes(b.into()),
            ValueRef::Date(d) => Value::Date(d),
            ValueRef::Timestamp(t) => Value::Timestamp(t),
            ValueRef::Array(items) => Value::Array(items.iter().map(ValueRef::to_owned).collect()),
            ValueRef::Map(entries) => Value::Map(entries.iter().map(|(k, v)| ((*k).into(), v.to_owned())).collect()),
            ValueRef::Record(fields) => Value::Record(fields.iter().map(ValueRef::to_owned).collect()),
            ValueRef::Branch(i, v) => Value::Branch(i, Arc::new(v.to_owned())),
        }
    }
}
