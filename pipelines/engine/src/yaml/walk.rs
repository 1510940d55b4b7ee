//! Taking a node apart: each reader says what it expected and what it found, at the place, and goes on.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::{Kind, Node};
use crate::declare::Text;
use crate::declare::shape::{Form, Key, Shape};
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

    /// A mapping whose keys are those of `shape`. `place` is what a missing key is reported at: the name that owns the
    /// mapping.
    pub fn fields<'n>(
        &'n self,
        shape: &'static Shape,
        owner: &str,
        place: &Span,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Fields<'n>> {
        let entries = self.entries(owner, out)?;
        Some(Fields {
            shape,
            owner: owner.into(),
            place: place.clone(),
            entries,
            asked: Vec::new(),
            missing: Vec::new(),
            refused: Vec::new(),
        })
    }

    /// A key's text and place. Keys are scalars; that was seen to when the tree was built.
    pub fn key_text(&self) -> Text {
        Spanned { value: self.as_text().unwrap_or_default().to_owned(), span: self.span.clone() }
    }
}

/// A mapping that is read key by key: [`Fields::finish`] reports each key that is missing or that its shape does not have.
#[must_use = "what is missing or unknown is reported by `finish`"]
pub struct Fields<'n> {
    shape: &'static Shape,
    owner: String,
    place: Span,
    entries: &'n [(Node, Node)],
    asked: Vec<&'static str>,
    missing: Vec<&'static Key>,
    refused: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The key's place and its value. One that the shape requires is missing if it is not there.
    pub fn entry(&mut self, name: &'static str) -> Option<(&'n Node, &'n Node)> {
        self.take(name).map(|(_, entry)| entry)
    }

    /// The value of a key. One that the shape requires is missing if it is not there.
    pub fn get(&mut self, name: &'static str) -> Option<&'n Node> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The value of a key that must be there here, as another that could stand for it does not.
    pub fn require(&mut self, name: &'static str) -> Option<&'n Node> {
        let value = self.get(name);
        if value.is_none() {
            self.missing.extend(self.shape.key(name));
        }
        value
    }

    fn take(&mut self, name: &'static str) -> Option<(&'static Key, (&'n Node, &'n Node))> {
        let key = self.shape.key(name);
        debug_assert!(key.is_some(), "the shape of {} has no `{name}`", self.owner);
        self.asked.push(name);
        let entry = self.entries.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(key, value)| (key, value));
        self.missing.extend(key.filter(|key| key.required && entry.is_none()));
        key.zip(entry)
    }

    /// A text or an expression, as the key's form says.
    pub fn text(&mut self, name: &'static str, out: &mut Vec<Diagnostic>) -> Option<Text> {
        let (key, (_, node)) = self.take(name)?;
        let owner = self.called(key);
        match key.form {
            Form::Expression => node.expression(&owner, out),
            form => {
                debug_assert!(matches!(form, Form::Text | Form::Like(_)), "{owner} is of another form");
                node.text(&owner, out)
            }
        }
    }

    /// A list of texts, none of them twice.
    pub fn texts(&mut self, name: &'static str, out: &mut Vec<Diagnostic>) -> Option<Vec<Text>> {
        let (key, (_, node)) = self.take(name)?;
        debug_assert!(matches!(key.form, Form::Texts(..)), "`{name}` is of another form");
        node.texts(&self.called(key), out)
    }

    /// One text or a list of them.
    pub fn text_or_texts(&mut self, name: &'static str, out: &mut Vec<Diagnostic>) -> Option<Vec<Text>> {
        let (key, (_, node)) = self.take(name)?;
        debug_assert!(matches!(key.form, Form::TextOrTexts(_)), "`{name}` is of another form");
        node.text_or_texts(&self.called(key), out)
    }

    /// A whole number within the range of the key's form.
    pub fn integer(&mut self, name: &'static str, out: &mut Vec<Diagnostic>) -> Option<Spanned<u32>> {
        let (key, (_, node)) = self.take(name)?;
        let Form::Integer(least, most) = key.form else {
            debug_assert!(false, "`{name}` is of another form");
            return None;
        };
        node.integer(&self.called(key), least..=most, out)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str, out: &mut Vec<Diagnostic>) -> Option<Spanned<bool>> {
        let (key, (_, node)) = self.take(name)?;
        debug_assert!(matches!(key.form, Form::Boolean), "`{name}` is of another form");
        node.boolean(&self.called(key), out)
    }

    fn called(&self, key: &Key) -> String {
        format!("`{}{}`", self.shape.prefix, key.name)
    }

    fn known(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.shape.keys.iter().map(|key| key.name)
    }

    /// Whether a key that nobody knows was probably meant to be one of these.
    pub fn misspells(&self, keys: &[&str]) -> bool {
        self.entries.iter().any(|(name, _)| {
            let name = name.as_text().unwrap_or_default();
            self.shape.key(name).is_none() && nearest(name, keys.iter().copied()).is_some()
        })
    }

    /// The place of a key that has no place here, for the caller to say why.
    pub fn refused(&mut self, key: &'static str) -> Option<&'n Span> {
        self.refused.push(key);
        self.entries.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(name, _)| &name.span)
    }

    /// Reports every key that is missing, and every one that the shape does not have with the nearest that it has.
    /// `not_yet` are keys of the language that are refused by name.
    pub fn finish(mut self, not_yet_keys: &[&'static str], out: &mut Vec<Diagnostic>) {
        // A key that is known and never read would be taken without a word.
        debug_assert!(self.known().all(|key| self.asked.contains(&key)), "{}: {:?}", self.owner, self.asked);
        for (name, _) in self.entries {
            let key = name.as_text().unwrap_or_default();
            if self.shape.key(key).is_some() || self.refused.contains(&key) {
                continue;
            }
            if not_yet_keys.contains(&key) {
                out.push(not_yet(&name.span, key));
                continue;
            }
            let mut error = Diagnostic::error(&name.span, format!("unknown key `{key}` in {}", self.owner));
            error.code = Code::UnknownKey;
            error.label = "not known here".into();
            error.help = suggestion(key, self.known());
            out.push(error);
            // What was probably meant is not missing too.
            if let Some(meant) = nearest(key, self.known()) {
                self.missing.retain(|missing| missing.name != meant);
            }
        }
        for Key { name, example, .. } in &self.missing {
            out.push(
                Diagnostic::error(&self.place, format!("{} has no `{name}`", self.owner))
                    .label(format!("`{name}` is missing"))
                    .code(Code::MissingKey)
                    .help(format!("add `{name}: {example}`")),
            );
        }
    }

    /// As [`Fields::finish`], of a file whose one key all else stands below: where that is missing the rest is not
    /// unknown for that.
    pub fn finish_file(mut self, out: &mut Vec<Diagnostic>) {
        let known: Vec<&str> = self.known().collect();
        if let (Some(Key { name, .. }), false) = (self.missing.first(), self.misspells(&known)) {
            let error = Diagnostic::error(&self.place, format!("{} has no `{name}`", self.owner));
            let error = error.label(format!("`{name}` is missing")).code(Code::MissingKey);
            out.push(error.help(format!("write `{name}:` above, and indent what is here below it")));
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
