//! Cursors: where the next page starts, opaque to clients.
//!
//! A cursor holds the generation that it was given in, the walked bucket and how many are left, and the clustering values
//! of the last row. Its checksum covers the query and the partition too, so a cursor of another page is noticed instead
//! of being followed. It is not secret and nothing is trusted in it: what it says is checked like any other parameter.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use headwater_engine::query::{CURSOR, Query};
use headwater_engine::table::Table;
use headwater_http::{Place as In, Problem};
use headwater_schemas::{Decimal, Type, Value};
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const CHECKSUM: usize = 8;

/// Where a page starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) generation: u32,
    /// The walked bucket, and how many are left with it; zeros where nothing is walked. Of a sorted page `left` is how many
    /// rows were given.
    pub(crate) bucket: i64,
    pub(crate) left: u32,
    /// The clustering values of the last row; None: the partition's start.
    pub(crate) after: Option<Vec<Value>>,
}

impl Cursor {
    pub(crate) fn text(&self, query: &Query, key: &[Value]) -> String {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.bucket.to_be_bytes());
        out.extend_from_slice(&self.left.to_be_bytes());
        match &self.after {
            None => out.push(0),
            Some(after) => {
                out.push(1);
                encode(after, &mut out);
            }
        }
        let sum = checksum(&out, query, key);
        out.extend_from_slice(&sum);
        BASE64.encode(out)
    }

    pub(crate) fn parse(text: &str, query: &Query, key: &[Value]) -> Result<Self, Problem> {
        read(text, query, key).ok_or_else(|| {
            let message = "expected `next` exactly as a page of this query gave it, with the same other parameters";
            Problem::malformed(In::Query, CURSOR, message)
        })
    }
}

fn read(text: &str, query: &Query, key: &[Value]) -> Option<Cursor> {
    let bytes = BASE64.decode(text).ok()?;
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    if checksum(body, query, key) != sum {
        return None;
    }
    let mut reader = Reader(body);
    if reader.array()? != [VERSION] {
        return None;
    }
    let generation = u32::from_be_bytes(reader.array()?);
    let bucket = i64::from_be_bytes(reader.array()?);
    let left = u32::from_be_bytes(reader.array()?);
    let after = match reader.array()? {
        [0] => None,
        [1] => Some(clustering(query.table(), &mut reader)?),
        _ => return None,
    };
    reader.0.is_empty().then_some(Cursor { generation, bucket, left, after })
}

/// Values of the clustering columns' own types.
fn clustering(table: &Table, reader: &mut Reader<'_>) -> Option<Vec<Value>> {
    let columns = &table.columns[table.partition..table.key_len()];
    let values = columns.iter().map(|column| reader.value().filter(|value| is_of(&column.ty.ty, value)));
    values.collect()
}

fn checksum(body: &[u8], query: &Query, key: &[Value]) -> [u8; CHECKSUM] {
    let mut digest = Sha256::new();
    digest.update(query.name.as_bytes());
    digest.update([0]);
    let mut encoded = Vec::new();
    encode(key, &mut encoded);
    digest.update((encoded.len() as u64).to_be_bytes());
    digest.update(&encoded);
    digest.update(body);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest.finalize()[..CHECKSUM]);
    sum
}

/// Key values as bytes: equal values, equal bytes. Types that no key has are not told apart.
pub(crate) fn encode(values: &[Value], out: &mut Vec<u8>) {
    for value in values {
        match value {
            Value::Boolean(b) => out.extend_from_slice(&[1, u8::from(*b)]),
            Value::Long(n) => tagged(out, 2, &n.to_be_bytes()),
            Value::Float(x) => tagged(out, 3, &x.to_be_bytes()),
            Value::Double(x) => tagged(out, 4, &x.to_be_bytes()),
            Value::Decimal(d) => {
                tagged(out, 5, &{ d.unscaled }.to_be_bytes());
                out.push(d.scale);
            }
            Value::String(text) => sized(out, 6, text.as_bytes()),
            Value::Uuid(id) => tagged(out, 7, id),
            Value::Bytes(bytes) => sized(out, 8, bytes),
            Value::Date(days) => tagged(out, 9, &days.to_be_bytes()),
            Value::Timestamp(micros) => tagged(out, 10, &micros.to_be_bytes()),
            _ => out.push(0),
        }
    }
}

fn tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn sized(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    tagged(out, tag, &(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u64::from_be_bytes(self.array()?)).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn value(&mut self) -> Option<Value> {
        let [tag] = self.array()?;
        Some(match tag {
            1 => match self.array()? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return None,
            },
            2 => Value::Long(i64::from_be_bytes(self.array()?)),
            3 => Value::Float(f32::from_be_bytes(self.array()?)),
            4 => Value::Double(f64::from_be_bytes(self.array()?)),
            5 => {
                let unscaled = i128::from_be_bytes(self.array()?);
                let [scale] = self.array()?;
                Value::Decimal(Decimal { unscaled, scale })
            }
            6 => Value::string(std::str::from_utf8(self.sized()?).ok()?),
            7 => Value::Uuid(self.array()?),
            8 => Value::Bytes(self.sized()?.into()),
            9 => Value::Date(i32::from_be_bytes(self.array()?)),
            10 => Value::Timestamp(i64::from_be_bytes(self.array()?)),
            _ => return None,
        })
    }
}

/// Whether a column of this type can have the value in a key: never null, never NaN.
fn is_of(ty: &Type, value: &Value) -> bool {
    match (ty, value) {
        (Type::Boolean, Value::Boolean(_))
        | (Type::Long, Value::Long(_))
        | (Type::Uuid, Value::Uuid(_))
        | (Type::Bytes, Value::Bytes(_))
        | (Type::Date, Value::Date(_))
        | (Type::TimestampMillis | Type::TimestampMicros, Value::Timestamp(_)) => true,
        (Type::Int, Value::Long(n)) => i32::try_from(*n).is_ok(),
        (Type::Float, Value::Float(x)) => !x.is_nan(),
        (Type::Double, Value::Double(x)) => !x.is_nan(),
        (Type::Decimal { precision, scale }, Value::Decimal(d)) => {
            let limit = 10u128.pow(u32::from((*precision).min(38)));
            d.scale == *scale && d.unscaled.unsigned_abs() < limit
        }
        (Type::String | Type::Enum(_), Value::String(text)) => !text.contains('\0'),
        (Type::Fixed(size), Value::Bytes(bytes)) => bytes.len() == *size,
        _ => false,
    }
}
