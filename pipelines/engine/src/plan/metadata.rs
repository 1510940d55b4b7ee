//! What a record says beside its event: `_key`, `_time`, `_offset` and `_header['x']` of a view's expressions.
//!
//! They are slots like the event's fields, filled only for events of which some view reads one. `_event` is none of them:
//! where an expression is compiled, the event's name is known.

use std::borrow::Cow;
use std::sync::Arc;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use headwater_schemas::{FieldType, KeyCodec, RecordType, Type, ValueRef};

use crate::batch::Record;

/// The event's name, a constant.
pub(super) const EVENT: &str = "_event";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// The message key as text, in every format of keys the same; null where there is none, or none that is text.
    Key,
    /// When the record was written, as its log has it.
    Time,
    Offset,
    /// Headers as text by their names, of several the last; what is no text is left out.
    Header,
}

use Metadata::{Header, Key, Offset, Time};

const ALL: [(&str, Metadata); 4] = [("_key", Key), ("_time", Time), ("_offset", Offset), ("_header", Header)];

/// Their names, and `_event`.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(EVENT).chain(ALL.into_iter().map(|(name, _)| name))
}

/// What is needed of an event by an index of [`EventPlan::needed`](super::EventPlan): a field of its record, or what comes
/// after those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    Field(usize),
    Metadata(Metadata),
}

impl Needed {
    /// Of a record of so many fields.
    pub(crate) fn of(fields: usize, index: usize) -> Needed {
        match index.checked_sub(fields).and_then(|after| ALL.get(after)) {
            Some((_, metadata)) => Needed::Metadata(*metadata),
            None => Needed::Field(index),
        }
    }
}

impl Metadata {
    /// The one of this name, and its index beside the fields of a record.
    pub(super) fn named(record: &RecordType, name: &str) -> Option<(usize, Metadata)> {
        let after = ALL.iter().position(|(known, _)| *known == name)?;
        Some((record.fields.len() + after, ALL[after].1))
    }

    pub(super) fn name(self) -> &'static str {
        ALL.iter().find(|(_, metadata)| *metadata == self).map_or("", |(name, _)| name)
    }

    pub(super) fn ty(self) -> FieldType {
        match self {
            Key => FieldType::nullable(Type::String),
            Time => FieldType::required(Type::TimestampMillis),
            Offset => FieldType::required(Type::Long),
            Header => FieldType::required(Type::Map(Arc::new(FieldType::required(Type::String)))),
        }
    }

    /// `keys`: of the record's topic.
    pub(crate) fn value<'a>(self, record: &'a Record, keys: &KeyCodec, bump: &'a Bump) -> ValueRef<'a> {
        match self {
            Key => match record.key.as_deref().and_then(|key| keys.text(key)) {
                Some(text) if text.contains('\0') => ValueRef::Null,
                Some(Cow::Borrowed(text)) => ValueRef::String(text),
                Some(Cow::Owned(text)) => ValueRef::String(bump.alloc_str(&text)),
                None => ValueRef::Null,
            },
            Time => ValueRef::Timestamp(record.timestamp_ms.saturating_mul(1_000)),
            Offset => ValueRef::Long(record.offset),
            Header => headers(record, bump),
        }
    }
}

fn headers<'a>(record: &'a Record, bump: &'a Bump) -> ValueRef<'a> {
    let mut all = BumpVec::with_capacity_in(record.headers.len(), bump);
    for (name, value) in &record.headers {
        let Ok(text) = std::str::from_utf8(value) else { continue };
        if text.contains('\0') {
            continue;
        }
        // Maps are in the order of their keys.
        match all.binary_search_by(|(known, _): &(&str, ValueRef)| (*known).cmp(name)) {
            Ok(at) => all[at].1 = ValueRef::String(text),
            Err(at) => all.insert(at, (name.as_str(), ValueRef::String(text))),
        }
    }
    ValueRef::Map(all.into_bump_slice())
}
