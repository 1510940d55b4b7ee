//! Joins: `authors[updated_by].email`, or a whole row, `customers[customer_id]`.

use std::ops::Range;
use std::sync::Arc;

use headwater_schemas::Type;

use super::Join;
use super::compile::find;
use crate::declare::Text;
use crate::plan::Topology;
use crate::source::Diagnostic;
use crate::table::Table;
use crate::unknown::{self, Missing, is_unknown};

const FORM: &str = "write `view[column].column`, or `view[column]` for the whole row; a key of several columns is \
                    `view[column, column]`";

/// Compiles the joins of a query over `table`, all mistakes of all of them. None: the table is not known.
pub(super) fn compile(
    joins: &[(Text, Text)],
    table: Option<&Table>,
    topologies: &[Arc<Topology>],
    missing: Missing,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Join> {
    let mut compiled: Vec<Join> = Vec::new();
    for (name, text) in joins {
        if table.is_some_and(|table| table.column(name).is_some())
            || compiled.iter().any(|join| join.name == name.value)
        {
            let message = format!("the answer has a field `{}` already", name.value);
            errors.push(Diagnostic::error(&name.span, message).label("taken").help("name the joined field otherwise"));
            continue;
        }
        let before = errors.len();
        if let Some(join) = join(name, text, table, topologies, missing, errors)
            && errors.len() == before
        {
            compiled.push(join);
        }
    }
    compiled
}

fn join(
    name: &Text,
    text: &Text,
    table: Option<&Table>,
    topologies: &[Arc<Topology>],
    missing: Missing,
    errors: &mut Vec<Diagnostic>,
) -> Option<Join> {
    let Some(parts) = parse(&text.value) else {
        errors.push(Diagnostic::error(&text.span, "this is not a join").label("not understood").help(FORM));
        return None;
    };
    let view = Text::new(parts.view.of(&text.value).to_owned(), text.part(parts.view.0.clone()));
    let (topology, index) = find(&view, topologies, missing, errors)?;
    let other = &topology.views[index].table;
    let key = match table {
        Some(table) if !topology.views[index].doubtful => key(text, &parts.key, table, other, errors),
        _ => None,
    };
    let column = match parts.column {
        None => None,
        Some(word) => Some(column(other, word.of(&text.value), text, &word, errors)?),
    };
    Some(Join { name: name.value.clone(), topology, view: index, key: key?, column })
}

fn key(text: &Text, words: &[Word], table: &Table, other: &Table, errors: &mut Vec<Diagnostic>) -> Option<Vec<usize>> {
    let wanted = &other.columns[..other.key_len()];
    if wanted.len() != words.len() {
        let names: Vec<&str> = wanted.iter().map(|column| column.name.as_str()).collect();
        let message = format!(
            "view `{}` has a key of {}: a join names its whole key",
            other.name,
            if names.is_empty() { "no columns".to_owned() } else { format!("`{}`", names.join("`, `")) },
        );
        errors.push(Diagnostic::error(&text.span, message).label(format!("{} given", words.len())).help(FORM));
        return None;
    }
    let mut key = Vec::with_capacity(words.len());
    for (word, wanted) in words.iter().zip(wanted) {
        let Some(index) = column(table, word.of(&text.value), text, word, errors) else { continue };
        let found = &table.columns[index].ty.ty;
        if !same_values(found, &wanted.ty.ty) && !is_unknown(found) && !is_unknown(&wanted.ty.ty) {
            let message = format!(
                "`{}` is a {found}, and the key column `{}` of view `{}` is a {}",
                table.columns[index].name, wanted.name, other.name, wanted.ty.ty
            );
            errors.push(Diagnostic::error(&text.part(word.0.clone()), message).label("of another type"));
        }
        key.push(index);
    }
    (key.len() == words.len()).then_some(key)
}

fn column(table: &Table, name: &str, text: &Text, word: &Word, errors: &mut Vec<Diagnostic>) -> Option<usize> {
    if let Some((index, _)) = unknown::column(table, name) {
        return Some(index);
    }
    let message = format!("view `{}` has no column `{name}`", table.name);
    let names = table.columns.iter().map(|column| column.name.as_str());
    errors.push(Diagnostic::error(&text.part(word.0.clone()), message).label("not a column").nearest(name, names));
    None
}

/// Whether both types have the same values, so that one's value is the other's key.
fn same_values(a: &Type, b: &Type) -> bool {
    a == b
        || (a.is_text() && b.is_text())
        || (a.is_timestamp() && b.is_timestamp())
        || matches!((a, b), (Type::Int | Type::Long, Type::Int | Type::Long))
}

/// A word's place in the text.
struct Word(Range<usize>);

impl Word {
    fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.0.clone()]
    }
}

struct Parts {
    view: Word,
    key: Vec<Word>,
    column: Option<Word>,
}

fn parse(text: &str) -> Option<Parts> {
    let mut reader = Reader { text, at: 0 };
    let view = reader.word()?;
    reader.symbol('[').then_some(())?;
    let mut key = Vec::new();
    while !reader.symbol(']') {
        if !key.is_empty() {
            reader.symbol(',').then_some(())?;
        }
        key.push(reader.word()?);
    }
    let column = if reader.symbol('.') { Some(reader.word()?) } else { None };
    reader.space();
    (reader.at == text.len()).then_some(Parts { view, key, column })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn symbol(&mut self, symbol: char) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(symbol);
        self.at += usize::from(found) * symbol.len_utf8();
        found
    }

    fn word(&mut self) -> Option<Word> {
        self.space();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let word = self.at..self.at + end;
        self.at += end;
        (end > 0).then_some(Word(word))
    }
}
