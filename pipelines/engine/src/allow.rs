//! Who may: the rules after `allow:`, in commands and queries alike.
//!
//! `anyone`, `signed_in`, `role(x)` and `owner(column)`, joined by `and`, `or`, `not` and parentheses. `owner(created_by)`
//! holds where the row's column `created_by` is the caller's subject, so it is known only once the row has been read; what
//! a rule says before that is [`Verdict::AskRow`].
//!
//! ```text
//! allow: "owner(created_by) or role(administrator)"
//! ```

use std::ops::Range;

use headwater_schemas::{FieldType, Type, Value};

use crate::declare::Text;
use crate::source::Diagnostic;

/// A compiled rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Allow {
    Anyone,
    SignedIn,
    Role(String),
    /// The caller's subject is in this column of the row.
    Owner {
        column: String,
        /// The column's index in the row.
        index: usize,
    },
    And(Box<Allow>, Box<Allow>),
    Or(Box<Allow>, Box<Allow>),
    Not(Box<Allow>),
}

/// Somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The token's subject.
    pub sub: &'a str,
    pub roles: &'a [String],
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No,
    /// It depends on the row.
    AskRow,
}

/// The columns that `owner(…)` may name: their indexes and types.
pub trait Columns {
    fn column(&self, name: &str) -> Option<(usize, &FieldType)>;
    /// For the message where `column` gives none.
    fn names(&self) -> Vec<String>;
}

/// No row: a rule that may not say `owner(…)`.
pub struct NoRow;

impl Columns for NoRow {
    fn column(&self, _: &str) -> Option<(usize, &FieldType)> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A row of which nothing is known.
pub(crate) struct AnyRow;

impl Columns for AnyRow {
    fn column(&self, _: &str) -> Option<(usize, &FieldType)> {
        const STRING: &FieldType = &FieldType { ty: Type::String, nullable: true };
        Some((0, STRING))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Columns for crate::table::Table {
    fn column(&self, name: &str) -> Option<(usize, &FieldType)> {
        crate::unknown::column(self, name).map(|(index, column)| (index, &column.ty))
    }

    fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }
}

/// How deep a rule may nest.
const MAX_DEPTH: usize = 32;

impl Allow {
    /// Compiles a rule; `columns` are those of the row that `owner(…)` speaks of.
    pub fn compile(text: &Text, columns: &dyn Columns) -> Result<Self, Diagnostic> {
        let tokens = tokens(text)?;
        let mut parser = Parser { text, tokens: &tokens, at: 0, depth: 0, columns };
        let rule = parser.or()?;
        match parser.tokens.get(parser.at) {
            None => Ok(rule),
            Some(token) => Err(parser.expected("`and`, `or` or the end of the rule", token.range.clone())),
        }
    }

    /// What the rule says before a row is read. Nobody owns anything unless signed in.
    pub fn before_row(&self, who: Option<Who<'_>>) -> Verdict {
        self.verdict(who, None)
    }

    /// Whether the rule lets `who`, given the row that was read; without a row nobody owns it.
    pub fn permits(&self, who: Option<Who<'_>>, row: Option<&[Value]>) -> bool {
        self.verdict(who, Some(row.unwrap_or_default())) == Verdict::Yes
    }

    /// The roles that it names.
    pub fn roles(&self) -> Vec<&str> {
        match self {
            Allow::Role(role) => vec![role],
            Allow::And(a, b) | Allow::Or(a, b) => [a.roles(), b.roles()].concat(),
            Allow::Not(a) => a.roles(),
            Allow::Anyone | Allow::SignedIn | Allow::Owner { .. } => Vec::new(),
        }
    }

    /// The columns that `owner(…)` names, by index.
    pub fn owner_columns(&self) -> Vec<usize> {
        match self {
            Allow::Owner { index, .. } => vec![*index],
            Allow::And(a, b) | Allow::Or(a, b) => [a.owner_columns(), b.owner_columns()].concat(),
            Allow::Not(a) => a.owner_columns(),
            Allow::Anyone | Allow::SignedIn | Allow::Role(_) => Vec::new(),
        }
    }

    fn verdict(&self, who: Option<Who<'_>>, row: Option<&[Value]>) -> Verdict {
        match self {
            Allow::Anyone => Verdict::Yes,
            Allow::SignedIn => Verdict::of(who.is_some()),
            Allow::Role(role) => Verdict::of(who.is_some_and(|who| who.roles.contains(role))),
            Allow::Owner { index, .. } => match (who, row) {
                (None, _) => Verdict::No,
                (Some(_), None) => Verdict::AskRow,
                (Some(who), Some(row)) => Verdict::of(row.get(*index).is_some_and(|value| is_subject(value, who.sub))),
            },
            Allow::And(a, b) => match (a.verdict(who, row), b.verdict(who, row)) {
                (Verdict::No, _) | (_, Verdict::No) => Verdict::No,
                (Verdict::Yes, Verdict::Yes) => Verdict::Yes,
                _ => Verdict::AskRow,
            },
            Allow::Or(a, b) => match (a.verdict(who, row), b.verdict(who, row)) {
                (Verdict::Yes, _) | (_, Verdict::Yes) => Verdict::Yes,
                (Verdict::No, Verdict::No) => Verdict::No,
                _ => Verdict::AskRow,
            },
            Allow::Not(a) => match a.verdict(who, row) {
                Verdict::Yes => Verdict::No,
                Verdict::No => Verdict::Yes,
                Verdict::AskRow => Verdict::AskRow,
            },
        }
    }
}

impl Verdict {
    fn of(yes: bool) -> Self {
        if yes { Verdict::Yes } else { Verdict::No }
    }
}

/// As declared, for messages and documents.
impl std::fmt::Display for Allow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Allow::Anyone => f.write_str("anyone"),
            Allow::SignedIn => f.write_str("signed_in"),
            Allow::Role(role) => write!(f, "role({role})"),
            Allow::Owner { column, .. } => write!(f, "owner({column})"),
            Allow::And(a, b) => write!(f, "({a} and {b})"),
            Allow::Or(a, b) => write!(f, "({a} or {b})"),
            Allow::Not(a) => write!(f, "not {a}"),
        }
    }
}

fn is_subject(value: &Value, sub: &str) -> bool {
    match value {
        Value::String(text) => &**text == sub,
        Value::Uuid(bytes) => uuid::Uuid::parse_str(sub).is_ok_and(|sub| sub.as_bytes() == bytes),
        _ => false,
    }
}

struct Token<'a> {
    /// A word without its quotes, or one of `(` and `)`.
    text: &'a str,
    quoted: bool,
    range: Range<usize>,
}

fn tokens(text: &Text) -> Result<Vec<Token<'_>>, Diagnostic> {
    let rule = text.value.as_str();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = rule[at..].chars().next() {
        let rest = &rule[at..];
        let (length, token) = match first {
            c if c.is_whitespace() => (c.len_utf8(), None),
            '(' | ')' => (1, Some((&rest[..1], false))),
            '\'' | '"' => {
                let Some(end) = rest[1..].find(first) else {
                    let span = text.part(at..rule.len());
                    return Err(Diagnostic::error(&span, "this quote is never closed").label("opens here"));
                };
                (end + 2, Some((&rest[1..=end], true)))
            }
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (end, Some((&rest[..end], false)))
            }
            c => {
                let message = format!("`{c}` has no meaning in an `allow` rule");
                let span = text.part(at..at + c.len_utf8());
                return Err(Diagnostic::error(&span, message).label("not expected").help(FORMS));
            }
        };
        if let Some((word, quoted)) = token {
            tokens.push(Token { text: word, quoted, range: at..at + length });
        }
        at += length;
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

const FORMS: &str =
    "write `anyone`, `signed_in`, `role(name)` or `owner(column)`, joined by `and`, `or`, `not` and parentheses";

struct Parser<'a> {
    text: &'a Text,
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
    columns: &'a dyn Columns,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Allow, Diagnostic> {
        let mut rule = self.and()?;
        while self.take("or") {
            rule = Allow::Or(Box::new(rule), Box::new(self.and()?));
        }
        Ok(rule)
    }

    fn and(&mut self) -> Result<Allow, Diagnostic> {
        let mut rule = self.not()?;
        while self.take("and") {
            rule = Allow::And(Box::new(rule), Box::new(self.not()?));
        }
        Ok(rule)
    }

    fn not(&mut self) -> Result<Allow, Diagnostic> {
        if self.depth == MAX_DEPTH || self.tokens.len() > 16 * MAX_DEPTH {
            let whole = 0..self.text.value.len();
            let error = Diagnostic::error(&self.text.part(whole), "this rule is too long or too deep");
            return Err(error.label("say it shorter"));
        }
        self.depth += 1;
        let rule = if self.take("not") { Allow::Not(Box::new(self.not()?)) } else { self.term()? };
        self.depth -= 1;
        Ok(rule)
    }

    fn term(&mut self) -> Result<Allow, Diagnostic> {
        let Some(token) = self.tokens.get(self.at) else {
            let end = self.text.value.len();
            return Err(self.expected("a rule", end..end));
        };
        self.at += 1;
        match token.text {
            _ if token.quoted => Err(self.expected("a rule", token.range.clone())),
            "(" => {
                let rule = self.or()?;
                self.close()?;
                Ok(rule)
            }
            "anyone" => Ok(Allow::Anyone),
            "signed_in" => Ok(Allow::SignedIn),
            "role" => Ok(Allow::Role(self.argument("the role's name")?.text.to_owned())),
            "owner" => {
                let column = self.argument("a column of the row")?;
                self.owner(column)
            }
            _ => Err(self.expected("a rule", token.range.clone())),
        }
    }

    /// `(word)`.
    fn argument(&mut self, what: &str) -> Result<&'a Token<'a>, Diagnostic> {
        if !self.take("(") {
            return Err(self.expected_here(&format!("`(` and {what}")));
        }
        let token = self.tokens.get(self.at).filter(|token| token.quoted || !matches!(token.text, "(" | ")"));
        let Some(token) = token.filter(|token| !token.text.is_empty()) else {
            return Err(self.expected_here(what));
        };
        self.at += 1;
        self.close()?;
        Ok(token)
    }

    fn owner(&self, token: &Token<'_>) -> Result<Allow, Diagnostic> {
        let span = self.text.part(token.range.clone());
        let Some((index, ty)) = self.columns.column(token.text) else {
            let names = self.columns.names();
            if names.is_empty() {
                let message = "`owner(…)` needs a row, and none is read here";
                let help = "a command names its row by `on:`";
                return Err(Diagnostic::error(&span, message).label("of which row?").help(help));
            }
            let message = format!("the row has no column `{}`", token.text);
            let candidates = names.iter().map(String::as_str);
            return Err(Diagnostic::error(&span, message).label("not a column").nearest(token.text, candidates));
        };
        if !matches!(ty.ty, Type::String | Type::Uuid) && !crate::unknown::is_unknown(&ty.ty) {
            let message = format!("column `{}` is a {}, and a caller's subject is a string", token.text, ty.ty);
            return Err(Diagnostic::error(&span, message).label("not a string or uuid"));
        }
        Ok(Allow::Owner { column: token.text.to_owned(), index })
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        if self.take(")") { Ok(()) } else { Err(self.expected_here("`)`")) }
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| !token.quoted && token.text == word);
        self.at += usize::from(found);
        found
    }

    fn expected_here(&self, what: &str) -> Diagnostic {
        let end = self.text.value.len();
        self.expected(what, self.tokens.get(self.at).map_or(end..end, |token| token.range.clone()))
    }

    fn expected(&self, what: &str, range: Range<usize>) -> Diagnostic {
        let found = match &self.text.value[range.clone()] {
            "" => "the end".to_owned(),
            found => format!("`{found}`"),
        };
        let message = format!("expected {what} in this `allow` rule, found {found}");
        Diagnostic::error(&self.text.part(range), message).label(format!("expected {what}")).help(FORMS)
    }
}

#[cfg(test)]
mod tests;
