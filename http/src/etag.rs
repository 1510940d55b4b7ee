//! Entity tags, and the conditions that name them.
//!
//! A row's tag is opaque to clients: its generation, the position of the event that it reflects, and a hash of the answer.
//! `If-None-Match` compares it whole, so that a changed join is a changed answer; `If-Match` compares the position alone,
//! so that a join that changed, or a rebuild, refuses no command.

use std::fmt;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName};
use headwater_engine::table::RowPosition;
use sha2::{Digest, Sha256};

use crate::{Place, Problem};

/// At most this many tags in one condition.
const MAX_TAGS: usize = 64;

/// The tag of a row's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowTag {
    pub generation: u32,
    pub position: RowPosition,
    /// Of the answer's bytes.
    pub hash: u64,
}

impl RowTag {
    pub fn new(generation: u32, position: RowPosition, answer: &[u8]) -> Self {
        Self { generation, position, hash: hash(answer) }
    }

    /// Reads a tag without its quotes. None where it is not one of ours.
    pub fn parse(opaque: &str) -> Option<Self> {
        let mut parts = opaque.split('.');
        let mut number = |prefix: char| parts.next()?.strip_prefix(prefix);
        let (generation, partition, offset, hash) = (number('g')?, number('p')?, number('o')?, number('h')?);
        let tag = Self {
            generation: generation.parse().ok()?,
            position: RowPosition { partition: partition.parse().ok()?, offset: offset.parse().ok()? },
            hash: u64::from_str_radix(hash, 16).ok()?,
        };
        parts.next().is_none().then_some(tag)
    }
}

/// With its quotes: as `ETag` takes it.
impl fmt::Display for RowTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RowPosition { partition, offset } = self.position;
        write!(f, "\"g{}.p{partition}.o{offset}.h{:016x}\"", self.generation, self.hash)
    }
}

/// The tag, with its quotes, of an answer that is not one row: its generation and a hash.
pub fn answer_tag(generation: u32, answer: &[u8]) -> String {
    format!("\"g{generation}.h{:016x}\"", hash(answer))
}

fn hash(answer: &[u8]) -> u64 {
    Sha256::digest(answer).iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// What `If-Match` asks of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: that there is one.
    Any,
    /// That it is at one of these. Tags that are not ours match nothing.
    Tags(Vec<RowTag>),
}

impl IfMatch {
    /// Reads the header. None where there is none.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        Ok(condition(headers, &IF_MATCH)?.map(|condition| match condition {
            Condition::Any => IfMatch::Any,
            // If-Match compares strongly: a weak tag matches nothing.
            Condition::Tags(tags) => {
                let strong = tags.iter().filter(|tag| !tag.weak);
                IfMatch::Tags(strong.filter_map(|tag| RowTag::parse(&tag.opaque)).collect())
            }
        }))
    }

    /// Whether a row at this position (None: no row) is what was asked for.
    pub fn holds(&self, position: Option<RowPosition>) -> bool {
        match (self, position) {
            (_, None) => false,
            (IfMatch::Any, Some(_)) => true,
            (IfMatch::Tags(tags), Some(position)) => tags.iter().any(|tag| tag.position == position),
        }
    }
}

/// Whether `If-None-Match` names `tag` (with its quotes): answer 304 then. A malformed header is a 400.
pub fn not_modified(headers: &HeaderMap, tag: &str) -> Result<bool, Problem> {
    Ok(match condition(headers, &IF_NONE_MATCH)? {
        None => false,
        Some(Condition::Any) => true,
        Some(Condition::Tags(tags)) => tags.iter().any(|known| tag.trim_matches('"') == known.opaque),
    })
}

enum Condition {
    Any,
    Tags(Vec<Tag>),
}

struct Tag {
    weak: bool,
    opaque: String,
}

fn condition(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Condition>, Problem> {
    let malformed = || {
        let shown = if *name == IF_MATCH { "If-Match" } else { "If-None-Match" };
        Problem::malformed(
            Place::Header,
            shown,
            "expected `*`, or an answer's ETag in its quotes, or several by commas",
        )
    };
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = value.to_str().map_err(|_| malformed())?.trim();
        if rest == "*" {
            return Ok(Some(Condition::Any));
        }
        while !rest.is_empty() {
            let (tag, after) = tag(rest).ok_or_else(malformed)?;
            tags.push(tag);
            rest = after.trim_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',').ok_or_else(malformed)?.trim_start();
            }
            if tags.len() > MAX_TAGS {
                return Err(malformed());
            }
        }
    }
    let sent = headers.contains_key(name);
    if sent && tags.is_empty() {
        return Err(malformed());
    }
    Ok(sent.then_some(Condition::Tags(tags)))
}

/// One `"opaque"` or `W/"opaque"`, and what follows it.
fn tag(text: &str) -> Option<(Tag, &str)> {
    let (weak, quoted) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
    Some((Tag { weak, opaque: opaque.to_owned() }, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    fn row(offset: i64) -> RowTag {
        RowTag::new(2, RowPosition { partition: 3, offset }, b"{}")
    }

    #[test]
    fn if_match_is_by_position() {
        let tag = row(7).to_string();
        let cases: [(&[&str], bool, bool); 7] = [
            (&[], true, true),
            (&["*"], true, false),
            (&[&tag], true, false),
            (&["\"other\"", &tag], true, false),
            (&["\"other\""], false, false),
            (&[&format!("W/{tag}")], false, false),
            (&[&row(8).to_string()], false, false),
        ];
        for (values, row_holds, absent_holds) in cases {
            let condition = IfMatch::of(&headers(IF_MATCH, values)).unwrap();
            let holds = |position| condition.as_ref().is_none_or(|condition| condition.holds(position));
            assert_eq!((holds(Some(row(7).position)), holds(None)), (row_holds, absent_holds), "{values:?}");
        }
        // Another hash and another generation, the same event.
        let rebuilt = RowTag { generation: 3, hash: 1, ..row(7) }.to_string();
        assert!(IfMatch::of(&headers(IF_MATCH, &[&rebuilt])).unwrap().unwrap().holds(Some(row(7).position)));
    }

    #[test]
    fn if_none_match_is_by_the_whole_tag() {
        let tag = row(7).to_string();
        let weak = format!("W/{tag}");
        let list = format!("\"a\" , {tag}");
        for (value, expected) in [
            ("*", true),
            (&*tag, true),
            (&*weak, true),
            (&*list, true),
            ("\"a\"", false),
            (&*row(8).to_string(), false),
        ] {
            assert_eq!(not_modified(&headers(IF_NONE_MATCH, &[value]), &tag).unwrap(), expected, "{value}");
        }
        for malformed in ["", "a", "\"a", "\"a\" \"b\"", "\"a\",,\"b\"", "*, \"a\""] {
            let problem = not_modified(&headers(IF_NONE_MATCH, &[malformed]), &tag).unwrap_err();
            assert_eq!(problem.errors()[0].field, "If-None-Match", "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_survives_its_text(generation: u32, partition: i32, offset: i64, hash: u64) {
            let tag = RowTag { generation, position: RowPosition { partition, offset }, hash };
            prop_assert_eq!(RowTag::parse(tag.to_string().trim_matches('"')), Some(tag));
        }

        #[test]
        fn hostile_conditions_never_panic(text in "[ -~]{0,60}") {
            let _ = IfMatch::of(&headers(IF_MATCH, &[&text]));
            let _ = not_modified(&headers(IF_NONE_MATCH, &[&text]), "\"a\"");
            let _ = RowTag::parse(&text);
        }
    }
}
