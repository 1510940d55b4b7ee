//! Values to Avro's bytes, by the writer's own schema.
//!
//! The value is laid out as [`Schema::record`](crate::Schema) says: fields by position, a union's value as its branch,
//! instants in microseconds. What does not fit its type is an error with its path and nothing is written.

use crate::avsc::Schema;
use crate::layout::{Layout, Node, NodeId};
use crate::plan::MAX_DEPTH;
use crate::value::{Decimal, Value, fits_precision};

/// Why a value cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct EncodeError {
    /// `lines[2].product`; empty for the record itself.
    pub path: String,
    /// What was expected and what was found.
    pub message: String,
}

/// Appends the Avro body of a record to `out`, without the wire format's header. On an error `out` is as it was.
///
/// An instant finer than its field's milliseconds is cut down to the millisecond before it.
pub fn encode(schema: &Schema, record: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let mut writer = Writer { layout: &schema.layout, out };
    writer.value(schema.layout.root, record, 0).map_err(|error| {
        out.truncate(start);
        EncodeError { path: error.path.trim_start_matches('.').to_owned(), ..error }
    })
}

struct Writer<'w> {
    layout: &'w Layout,
    out: &'w mut Vec<u8>,
}

type Written = Result<(), EncodeError>;

impl EncodeError {
    /// The same error, seen from one step further out.
    fn under(mut self, part: impl FnOnce() -> String) -> Self {
        self.path.insert_str(0, &part());
        self
    }
}

fn mistake(message: String) -> EncodeError {
    EncodeError { path: String::new(), message }
}

impl Writer<'_> {
    fn long(&mut self, n: i64) {
        self.out.extend_from_slice(varint(n, &mut [0; 10]));
    }

    fn count(&mut self, n: usize) -> Written {
        self.long(i64::try_from(n).map_err(|_| mistake("expected fewer than 2^63 items".into()))?);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Written {
        self.count(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn value(&mut self, id: NodeId, value: &Value, depth: usize) -> Written {
        match (self.layout.node(id), value) {
            (Node::Null, Value::Null) => {}
            (Node::Boolean, Value::Boolean(b)) => self.out.push(u8::from(*b)),
            (Node::Int, Value::Long(n)) => match i32::try_from(*n) {
                Ok(n) => self.long(n.into()),
                Err(_) => return Err(mistake(format!("expected an int of 32 bits, found {n}"))),
            },
            (Node::Long, Value::Long(n)) => self.long(*n),
            (Node::Float, Value::Float(x)) => self.out.extend_from_slice(&x.to_le_bytes()),
            (Node::Double, Value::Double(x)) => self.out.extend_from_slice(&x.to_le_bytes()),
            (Node::String, Value::String(text)) => match text.contains('\0') {
                true => return Err(mistake("expected text without NUL".into())),
                false => self.bytes(text.as_bytes())?,
            },
            (Node::Bytes, Value::Bytes(bytes)) => self.bytes(bytes)?,
            (Node::Fixed { size, .. }, Value::Bytes(bytes)) if bytes.len() == *size => {
                self.out.extend_from_slice(bytes);
            }
            (Node::Fixed { size, .. }, Value::Bytes(bytes)) => {
                return Err(mistake(format!("expected {size} bytes, found {}", bytes.len())));
            }
            (Node::Enum(e), Value::String(symbol)) => match e.symbols.iter().position(|s| **s == **symbol) {
                Some(index) => self.count(index)?,
                None => return Err(mistake(format!("expected one of {}, found {symbol}", e.symbols.join(", ")))),
            },
            (Node::Decimal { precision, scale, fixed }, Value::Decimal(d)) => {
                let size = fixed.as_ref().map(|on| on.size);
                self.decimal(*d, *precision, *scale, size)?;
            }
            (Node::Uuid { fixed: Some(_) }, Value::Uuid(uuid)) => self.out.extend_from_slice(uuid),
            (Node::Uuid { fixed: None }, Value::Uuid(uuid)) => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                self.bytes(uuid::Uuid::from_bytes(*uuid).as_hyphenated().encode_lower(&mut text).as_bytes())?;
            }
            (Node::Date, Value::Date(days)) => self.long((*days).into()),
            (Node::TimestampMillis, Value::Timestamp(micros)) => self.long(micros.div_euclid(1000)),
            (Node::TimestampMicros, Value::Timestamp(micros)) => self.long(*micros),
            (Node::Foreign { base, .. }, _) => self.value(*base, value, depth)?,
            _ => self.compound(id, value, depth)?,
        }
        Ok(())
    }

    fn compound(&mut self, id: NodeId, value: &Value, depth: usize) -> Written {
        let layout = self.layout;
        match (layout.node(id), value) {
            (Node::Array(item), Value::Array(items)) => self.block(items.len(), |this| {
                items.iter().enumerate().try_for_each(|(i, value)| {
                    this.value(*item, value, depth).map_err(|e| e.under(|| format!("[{i}]")))
                })
            }),
            (Node::Map(item), Value::Map(entries)) => self.block(entries.len(), |this| {
                entries.iter().try_for_each(|(key, value)| {
                    if key.contains('\0') {
                        return Err(mistake("expected keys without NUL".into()));
                    }
                    this.bytes(key.as_bytes())?;
                    this.value(*item, value, depth).map_err(|e| e.under(|| format!("[{key:?}]")))
                })
            }),
            // The root is a record that stands in none.
            (Node::Record(_), _) if depth > MAX_DEPTH => {
                Err(mistake(format!("records are nested deeper than {MAX_DEPTH}")))
            }
            (Node::Record(record), Value::Record(values)) if values.len() == record.fields.len() => {
                record.fields.iter().zip(values.iter()).try_for_each(|(field, value)| {
                    self.value(field.node, value, depth + 1).map_err(|e| e.under(|| format!(".{}", field.name)))
                })
            }
            (Node::Record(record), Value::Record(values)) => Err(mistake(format!(
                "expected the {} fields of {}, found {}",
                record.fields.len(),
                record.name,
                values.len()
            ))),
            (Node::Union(branches), _) => self.union(branches, value, depth),
            (node, _) => Err(mistake(format!("expected {}, found {}", name(node), kind(value)))),
        }
    }

    fn block(&mut self, count: usize, items: impl FnOnce(&mut Self) -> Written) -> Written {
        if count > 0 {
            self.count(count)?;
            items(self)?;
        }
        self.out.push(0);
        Ok(())
    }

    fn union(&mut self, branches: &[NodeId], value: &Value, depth: usize) -> Written {
        let layout = self.layout;
        let is_null = |id: &NodeId| matches!(layout.node(*id), Node::Null);
        let several = layout.branches(branches).count() > 1;
        let (wanted, value) = match value {
            Value::Null => (branches.iter().position(is_null), value),
            Value::Branch(index, value) if several => {
                let nth = usize::try_from(*index).unwrap_or(usize::MAX);
                (branches.iter().enumerate().filter(|(_, b)| !is_null(b)).nth(nth).map(|(i, _)| i), &**value)
            }
            _ if several => (None, value),
            _ => (branches.iter().position(|b| !is_null(b)), value),
        };
        let Some(index) = wanted else {
            let names: Vec<&str> = branches.iter().map(|b| name(layout.node(*b))).collect();
            return Err(mistake(format!(
                "expected a branch of the union of {}, found {}",
                names.join(", "),
                kind(value)
            )));
        };
        self.count(index)?;
        self.value(branches[index], value, depth)
    }

    fn decimal(&mut self, decimal: Decimal, precision: u8, scale: u8, fixed: Option<usize>) -> Written {
        if decimal.scale != scale || !fits_precision(decimal.unscaled, precision) {
            return Err(mistake(format!("expected a decimal({precision},{scale}), found {decimal}")));
        }
        let bytes = decimal.unscaled.to_be_bytes();
        let sign = if decimal.unscaled < 0 { 0xff } else { 0 };
        match fixed {
            None => self.bytes(significant(&bytes)),
            Some(size) => {
                let (extra, from) = (size.saturating_sub(bytes.len()), bytes.len().saturating_sub(size));
                self.out.extend(std::iter::repeat_n(sign, extra));
                self.out.extend_from_slice(&bytes[from..]);
                Ok(())
            }
        }
    }
}

/// A number in Avro's zigzag.
#[inline]
pub(crate) fn varint(n: i64, out: &mut [u8; 10]) -> &[u8] {
    let mut rest = ((n << 1) ^ (n >> 63)).cast_unsigned();
    let mut length = 0;
    while rest >= 0x80 {
        out[length] = 0x80 | (rest & 0x7f) as u8;
        rest >>= 7;
        length += 1;
    }
    out[length] = rest as u8;
    &out[..=length]
}

/// A number's bytes without those in front that only repeat its sign.
pub(crate) fn significant(bytes: &[u8; 16]) -> &[u8] {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
    let repeats = bytes.windows(2).take_while(|w| w[0] == sign && (w[1] ^ sign) & 0x80 == 0).count();
    &bytes[repeats..]
}

fn name(node: &Node) -> &str {
    match node {
        Node::Null => "null",
        Node::Boolean => "a boolean",
        Node::Int => "an int",
        Node::Long => "a long",
        Node::Float => "a float",
        Node::Double => "a double",
        Node::Bytes => "bytes",
        Node::String => "a string",
        Node::Fixed { .. } => "fixed bytes",
        Node::Enum(e) => &e.name,
        Node::Decimal { .. } => "a decimal",
        Node::Uuid { .. } => "a uuid",
        Node::Date => "a date",
        Node::TimestampMillis | Node::TimestampMicros => "a timestamp",
        Node::Foreign { logical, .. } => logical,
        Node::Array(_) => "an array",
        Node::Map(_) => "a map",
        Node::Union(_) => "a union",
        Node::Record(record) => &record.name,
        Node::Unfinished => "nothing",
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "a boolean",
        Value::Long(_) => "a whole number",
        Value::Float(_) => "a float",
        Value::Double(_) => "a double",
        Value::Decimal(_) => "a decimal",
        Value::String(_) => "text",
        Value::Uuid(_) => "a uuid",
        Value::Bytes(_) => "bytes",
        Value::Date(_) => "a date",
        Value::Timestamp(_) => "a timestamp",
        Value::Array(_) => "an array",
        Value::Map(_) => "a map",
        Value::Record(_) => "a record",
        Value::Branch(..) => "a branch of a union",
        Value::Wide(_) => "an accumulator",
    }
}
