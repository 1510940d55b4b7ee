//! Taking a node apart: each reader says what it expected and what it found, at the place, and goes on.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::{Kind, Node};
use crate::declare::Text;
use crate::source::{Code, Diagnostic, Span, Spanned, nearest, suggestion};

impl Node {
    /// Nothing, `null` or `~`, unquoted.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, quoted: false } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A scalar's text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        }
    }

    /// What was found, as a message says it.
    pub fn describe(&self) -> String {
        match &self.kind {
            _ if self.is_null() => "nothing".into(),
            Kind::Scalar { text, .. } if text.is_empty() => "an empty text".into(),
            Kind::Scalar { text, .. } if text.len() <= 40 && !text.contains('\n') => format!("`{text}`"),
            Kind::Scalar { .. } => "a text".into(),
            Kind::Sequence(_) => "a list".into(),
            Kind::Mapping(_) => "a mapping".into(),
        }
    }

    fn expected(&self, owner: &str, what: &str, out: &mut Vec<Diagnostic>) {
        out.push(
            Diagnostic::error(&self.span, format!("{owner} must be {what}, not {}", self.describe()))
                .label(format!("expected {what}"))
                .code(Code::WrongType),
        );
    }

    /// A text that is not empty. `owner` is what it is of, as a message says it: "`topic`".
    pub fn text(&self, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Text> {
        self.text_that_is("a text", owner, out)
    }

    /// An expression, as its text.
    pub fn expression(&self, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Text> {
        self.text_that_is("an expression", owner, out)
    }

    fn text_that_is(&self, what: &str, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Text> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() && !text.trim().is_empty() => {
                Some(Spanned { value: text.clone(), span: self.span.clone() })
            }
            _ => {
                self.expected(owner, what, out);
                None
            }
        }
    }

    /// The elements of a list.
    pub fn list(&self, owner: &str, what: &str, out: &mut Vec<Diagnostic>) -> Option<&[Node]> {
        match &self.kind {
            Kind::Sequence(items) => Some(items),
            _ => {
                self.expected(owner, what, out);
                None
            }
        }
    }

    /// A list of texts, none of them twice. Elements that are no text are reported and left out.
    pub fn texts(&self, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Vec<Text>> {
        let items = self.list(owner, "a list", out)?;
        let mut texts: Vec<Text> = Vec::with_capacity(items.len());
        let mut seen: HashSet<&str> = HashSet::with_capacity(items.len());
        for item in items {
            let Some(text) = item.text(&format!("an element of {owner}"), out) else { continue };
            if !item.as_text().is_some_and(|text| seen.insert(text)) {
                let message = format!("`{}` stands twice in {owner}", text.value);
                out.push(Diagnostic::error(&text.span, message).label("again here").code(Code::Duplicate));
            } else {
                texts.push(text);
            }
        }
        Some(texts)
    }

    /// One text or a list of them.
    pub fn text_or_texts(&self, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Vec<Text>> {
        match &self.kind {
            Kind::Sequence(_) => self.texts(owner, out),
            Kind::Scalar { .. } => self.text(owner, out).map(|text| vec![text]),
            Kind::Mapping(_) => {
                self.expected(owner, "a text or a list of texts", out);
                None
            }
        }
    }

    /// A whole number within `range`, both ends included.
    pub fn integer(&self, owner: &str, range: RangeInclusive<u32>, out: &mut Vec<Diagnostic>) -> Option<Spanned<u32>> {
        let number =
            self.as_text().filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|t| t.parse().ok());
        match number.filter(|number| range.contains(number)) {
            Some(value) => Some(Spanned { value, span: self.span.clone() }),
            None => {
                let what = format!("a whole number from {} to {}", range.start(), range.end());
                self.expected(owner, &what, out);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<bool>> {
        let value = match self.as_text() {
            Some("true") => true,
            Some("false") => false,
            _ => {
                self.expected(owner, "`true` or `false`", out);
                return None;
            }
        };
        Some(Spanned { value, span: self.span.clone() })
    }

    /// A mapping's entries whose keys are names that the author chose.
    pub fn entries(&self, owner: &str, out: &mut Vec<Diagnostic>) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ => {
                self.expected(owner, "a mapping", out);
                None
            }
        }
    }

    /// A mapping whose keys are known. `place` is what a missing key is reported at: the name that owns the mapping.
    pub fn fields<'n>(&'n self, owner: &str, place: &Span, out: &mut Vec<Diagnostic>) -> Option<Fields<'n>> {
        let entries = self.entries(owner, out)?;
        Some(Fields {
            owner: owner.into(),
            place: place.clone(),
            entries,
            known: Vec::new(),
            missing: Vec::new(),
            refused: Vec::new(),
        })
    }

    /// A key's text and place. Keys are scalars; that was seen to when the tree was built.
    pub fn key_text(&self) -> Text {
        Spanned { value: self.as_text().unwrap_or_default().to_owned(), span: self.span.clone() }
    }
}

/// A mapping that is read key by key: [`Fields::finish`] reports each key that is missing or that nobody asked for.
#[must_use = "what is missing or unknown is reported by `finish`"]
pub struct Fields<'n> {
    owner: String,
    place: Span,
    entries: &'n [(Node, Node)],
    known: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
    refused: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The key's place and its value.
    pub fn entry(&mut self, key: &'static str) -> Option<(&'n Node, &'n Node)> {
        self.known.push(key);
        self.entries.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(name, value)| (name, value))
    }

    /// The value of a key that may be left out.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The value of a key that must be there; `example` shows what to write.
    pub fn required(&mut self, key: &'static str, example: &'static str) -> Option<&'n Node> {
        let value = self.optional(key);
        if value.is_none() {
            self.missing.push((key, example));
        }
        value
    }

    /// Whether a key that nobody knows was probably meant to be one of these.
    pub fn misspells(&self, keys: &[&str]) -> bool {
        self.entries.iter().any(|(name, _)| {
            let name = name.as_text().unwrap_or_default();
            !self.known.contains(&name) && nearest(name, keys.iter().copied()).is_some()
        })
    }

    /// The place of a key that has no place here, for the caller to say why.
    pub fn refused(&mut self, key: &'static str) -> Option<&'n Span> {
        self.refused.push(key);
        self.entries.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(name, _)| &name.span)
    }

    /// Reports every key that is missing, and every one that was never asked for with the nearest that was. `not_yet`
    /// are keys of the language that are refused by name.
    pub fn finish(mut self, not_yet_keys: &[&'static str], out: &mut Vec<Diagnostic>) {
        for (name, _) in self.entries {
            let key = name.as_text().unwrap_or_default();
            if self.known.contains(&key) || self.refused.contains(&key) {
                continue;
            }
            if not_yet_keys.contains(&key) {
                out.push(not_yet(&name.span, key));
                continue;
            }
            let mut error = Diagnostic::error(&name.span, format!("unknown key `{key}` in {}", self.owner));
            error.code = Code::UnknownKey;
            error.label = "not known here".into();
            error.help = suggestion(key, self.known.iter().copied());
            out.push(error);
            // What was probably meant is not missing too.
            if let Some(meant) = nearest(key, self.known.iter().copied()) {
                self.missing.retain(|(missing, _)| *missing != meant);
            }
        }
        for (key, example) in &self.missing {
            out.push(
                Diagnostic::error(&self.place, format!("{} has no `{key}`", self.owner))
                    .label(format!("`{key}` is missing"))
                    .code(Code::MissingKey)
                    .help(format!("add `{key}: {example}`")),
            );
        }
    }

    /// As [`Fields::finish`], of a file whose one key all else stands below: where that is missing the rest is not
    /// unknown for that.
    pub fn finish_file(mut self, out: &mut Vec<Diagnostic>) {
        if let (Some((key, _)), false) = (self.missing.first(), self.misspells(&self.known)) {
            let error = Diagnostic::error(&self.place, format!("{} has no `{key}`", self.owner));
            let error = error.label(format!("`{key}` is missing")).code(Code::MissingKey);
            out.push(error.help(format!("write `{key}:` above, and indent what is here below it")));
            self.entries = &[];
            self.missing.clear();
        }
        self.finish(&[], out);
    }

    pub fn entries(&self) -> &'n [(Node, Node)] {
        self.entries
    }
}

/// A form of the language that this version does not have.
pub fn not_yet(span: &Span, form: &str) -> Diagnostic {
    let error = Diagnostic::error(span, format!("`{form}` is not supported yet"));
    error.label("planned, but not built").code(Code::NotSupported)
}
