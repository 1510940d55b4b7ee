//! Keys in Confluent's wire format. Whether a record's key is its event's is told by comparing bytes, part by part, without
//! decoding or allocating; a key is decoded where its fields are asked for, and where it is wrong, to say how.

use std::sync::Arc;

use bumpalo::Bump;

use super::KeyProblem;
use super::schema::{KeySchema, Part};
use crate::encode::{significant, varint};
use crate::value::{Decimal, ValueRef, fits_precision};
use crate::wire::{self, SchemaId};

const HEADER: usize = 5;

#[derive(Clone, Debug)]
pub(super) struct AvroKeys {
    schema: Arc<KeySchema>,
    id: SchemaId,
    header: [u8; HEADER],
}

impl AvroKeys {
    pub(super) fn new(schema: Arc<KeySchema>, id: SchemaId) -> Self {
        let [a, b, c, d] = id.0.to_be_bytes();
        Self { schema, id, header: [0, a, b, c, d] }
    }

    pub(super) fn id(&self) -> SchemaId {
        self.id
    }

    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    pub(super) fn write<'v>(&self, fields: impl IntoIterator<Item = ValueRef<'v>>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.extend_from_slice(&self.header);
        let mut append = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            true
        };
        let written = self.each(fields, &mut append);
        if !written {
            out.truncate(start);
        }
        written
    }

    #[inline]
    pub(super) fn is_key_of<'v>(&self, key: &[u8], fields: impl Iterator<Item = ValueRef<'v>>) -> bool {
        let Some(mut rest) = key.strip_prefix(&self.header) else { return false };
        let mut strip = |bytes: &[u8]| match rest.strip_prefix(bytes) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        };
        self.each(fields, &mut strip) && rest.is_empty()
    }

    /// Hands over the bytes of each field; false as soon as one is not taken, or has none.
    #[inline]
    fn each<'v>(&self, fields: impl IntoIterator<Item = ValueRef<'v>>, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
        let mut fields = fields.into_iter();
        self.schema.parts.iter().all(|part| fields.next().is_some_and(|value| part.bytes(&value, take)))
    }

    /// The fields of a key, borrowed from it and from `bump`.
    pub(super) fn read<'a>(&self, key: &'a [u8], bump: &'a Bump) -> Result<&'a [ValueRef<'a>], KeyProblem> {
        let (id, body) = wire::split(key)?;
        if id != self.id {
            return Err(KeyProblem::OtherId { found: id, pinned: self.id });
        }
        let values = self.schema.plan.decode(body, bump)?;
        // Avro has several ways to write a number; the partition is that of one of them.
        match self.is_key_of(key, values.iter().copied()) {
            true => Ok(values),
            false => Err(KeyProblem::OtherForm),
        }
    }

    /// Why a key is not that of its event.
    #[cold]
    pub(super) fn problem(&self, key: &[u8]) -> KeyProblem {
        self.read(key, &Bump::new()).err().unwrap_or(KeyProblem::OfAnother)
    }
}

impl Part {
    /// Hands over a field's bytes, in one piece or in a length and the rest.
    #[inline]
    fn bytes(&self, value: &ValueRef<'_>, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
        match (self, *value) {
            (Part::Text, ValueRef::String(text)) => {
                !text.contains('\0') && number(length(text.len()), take) && take(text.as_bytes())
            }
            (Part::Int, ValueRef::Long(n)) => i32::try_from(n).is_ok() && number(n, take),
            (Part::Long, ValueRef::Long(n)) | (Part::Micros, ValueRef::Timestamp(n)) => number(n, take),
            (Part::Millis, ValueRef::Timestamp(micros)) => number(micros.div_euclid(1000), take),
            (Part::Date, ValueRef::Date(days)) => number(days.into(), take),
            (Part::Boolean, ValueRef::Boolean(is_so)) => take(&[u8::from(is_so)]),
            (Part::Symbol(symbols), ValueRef::String(symbol)) => {
                symbols.iter().position(|known| known == symbol).is_some_and(|index| number(length(index), take))
            }
            (Part::UuidText, ValueRef::Uuid(uuid)) => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                let text = uuid::Uuid::from_bytes(uuid).as_hyphenated().encode_lower(&mut text).as_bytes();
                number(length(text.len()), take) && take(text)
            }
            (Part::UuidBytes, ValueRef::Uuid(uuid)) => take(&uuid),
            (Part::Decimal { precision, scale, fixed }, ValueRef::Decimal(decimal)) => {
                decimal.scale == *scale
                    && fits_precision(decimal.unscaled, *precision)
                    && decimal_bytes(decimal, *fixed, take)
            }
            _ => false,
        }
    }
}

#[inline]
fn number(n: i64, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
    take(varint(n, &mut [0; 10]))
}

/// Of text or symbols that are in memory.
fn length(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn decimal_bytes(decimal: Decimal, fixed: Option<usize>, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let bytes = decimal.unscaled.to_be_bytes();
    match fixed {
        None => {
            let bytes = significant(&bytes);
            number(length(bytes.len()), take) && take(bytes)
        }
        Some(size) => {
            let sign = if decimal.unscaled < 0 { 0xff } else { 0 };
            let (extra, from) = (size.saturating_sub(bytes.len()), bytes.len().saturating_sub(size));
            (0..extra).all(|_| take(&[sign])) && take(&bytes[from..])
        }
    }
}
