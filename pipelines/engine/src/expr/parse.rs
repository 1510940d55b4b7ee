//! Text to [`Ast`]: sqlparser's PostgreSQL dialect reads it, and what is not on the whitelist is refused by its name.
//!
//! Bounds: [`MAX_BYTES`] of text, [`MAX_NESTING`] levels.

mod cast_type;
mod lower;
mod refuse;

use std::ops::Range;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::{Ast, ExprError};
use crate::source::Code;

/// The longest expression that is read.
pub const MAX_BYTES: usize = 8 * 1024;

/// How deep an expression may nest: parentheses, calls, operators on the left of operators.
pub const MAX_NESTING: usize = 64;

/// Reads one expression. Nothing is known of its names yet: see [`compile`](super::compile).
pub fn parse(text: &str) -> Result<Ast, ExprError> {
    read(text).map_err(|error| ExprError { code: Code::Syntax, ..error })
}

fn read(text: &str) -> Result<Ast, ExprError> {
    if text.len() > MAX_BYTES {
        let message = format!("this expression has {} bytes, and {MAX_BYTES} is the most", text.len());
        return Err(ExprError::new(message, 0..0, "too long").help("compute a part of it in a column of its own"));
    }
    let source = Source::read(text)?;
    if source.tokens.is_empty() {
        return Err(ExprError::new("an expression is expected, and here is nothing", 0..text.len(), "empty"));
    }
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(MAX_NESTING)
        .with_tokens_with_locations(source.for_sqlparser.clone());
    let outcome = parser.parse_expr().map_err(|error| source.syntax_error(error));
    let error = match (outcome, parser.peek_token_ref()) {
        (Ok(expr), next) if next.token == Token::EOF => return lower::lower(&source, &expr),
        (Ok(_), next) => source.left_over(next),
        (Err(error), _) => error,
    };
    // At its limit sqlparser takes keywords for names, and then stumbles over what follows.
    Err(if source.depth() >= MAX_NESTING { too_deep(0..text.len()) } else { error })
}

/// The text with its tokens' places, in bytes: sqlparser counts lines and characters.
struct Source<'t> {
    text: &'t str,
    /// Where each line starts.
    lines: Vec<usize>,
    /// Without white space.
    tokens: Vec<(Token, Range<usize>)>,
    for_sqlparser: Vec<TokenWithSpan>,
}

impl<'t> Source<'t> {
    fn read(text: &'t str) -> Result<Source<'t>, ExprError> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut source = Source { text, lines, tokens: Vec::new(), for_sqlparser: Vec::new() };
        let dialect = PostgreSqlDialect {};
        let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| {
            let at = source.byte(error.location);
            let message = error.message.trim_end_matches('.').to_owned();
            ExprError::new(format!("not readable: {}", lower_first(&message)), at..text.len(), "from here")
        })?;
        source.tokens = tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
            .map(|token| (token.token.clone(), source.bytes(token.span)))
            .collect();
        source.for_sqlparser = tokens;
        Ok(source)
    }

    /// Where a line and column, both from 1, are in the text. The empty location (0, 0) is its start.
    fn byte(&self, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or(usize::MAX).saturating_sub(1);
        let column = usize::try_from(location.column).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(&start) = self.lines.get(line) else { return self.text.len() };
        let rest = &self.text[start..];
        rest.char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start);
        start..self.byte(span.end).max(start)
    }

    /// The token that starts at this byte or is the first after it.
    fn token_at(&self, byte: usize) -> usize {
        self.tokens.partition_point(|(_, range)| range.start < byte)
    }

    /// What stands in parentheses around this range, with them and with `words` tokens before them.
    fn parenthesised(&self, inner: &Range<usize>, words: usize) -> Range<usize> {
        let mut depth = 0usize;
        let mut open = self.token_at(inner.start);
        loop {
            let Some(before) = open.checked_sub(1) else { return inner.clone() };
            open = before;
            match self.tokens[open].0 {
                Token::RParen => depth += 1,
                Token::LParen if depth == 0 => break,
                Token::LParen => depth -= 1,
                _ => {}
            }
        }
        let start = self.tokens[open.saturating_sub(words)].1.start;
        start..self.closing(open).unwrap_or(inner.end)
    }

    /// The end of the parenthesis that the token at this index opens.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for (token, range) in &self.tokens[open..] {
            match token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => return Some(range.end),
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        None
    }

    /// This range and the words right after it that are among `words`.
    fn and_words(&self, range: Range<usize>, words: &[&str]) -> Range<usize> {
        let mut end = range.end;
        for (token, place) in &self.tokens[self.token_at(range.end)..] {
            match token {
                Token::Word(word) if words.iter().any(|w| word.value.eq_ignore_ascii_case(w)) => end = place.end,
                _ => break,
            }
        }
        range.start..end
    }

    /// How deep parentheses, brackets and `case` nest.
    fn depth(&self) -> usize {
        let (mut depth, mut deepest) = (0usize, 0);
        for (token, _) in &self.tokens {
            match token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                Token::Word(word) if word.value.eq_ignore_ascii_case("case") => depth += 1,
                Token::Word(word) if word.value.eq_ignore_ascii_case("end") => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        deepest
    }

    /// Its words that are not quoted.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|(token, _)| match token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.as_str()),
            _ => None,
        })
    }

    /// This range from the token before it on.
    fn with_word_before(&self, range: Range<usize>) -> Range<usize> {
        let start = self.token_at(range.start).checked_sub(1).map_or(range.start, |before| self.tokens[before].1.start);
        start..range.end
    }

    fn syntax_error(&self, error: ParserError) -> ExprError {
        let message = match error {
            ParserError::RecursionLimitExceeded => return too_deep(0..self.text.len()),
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        };
        let (what, at) = match message.rsplit_once(" at Line: ") {
            Some((what, at)) => (what.to_owned(), location(at)),
            None => (message, None),
        };
        let end = self.text.len();
        let at = at.map_or(end, |location| self.byte(location));
        let range = self.tokens.get(self.token_at(at)).map_or(end..end, |(_, range)| range.clone());
        let (message, label) = match what.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
            // What stands in brackets is read as the start of a slice.
            Some((":", _)) => {
                let message = "the end of the index is expected: `]`".to_owned();
                let error = ExprError::new(message, range, "not expected here");
                return error.help("put what is computed in parentheses: attributes[(a || b)]");
            }
            Some((_, "EOF")) => ("this expression ends too early".to_owned(), "more is expected here"),
            Some((expected, found)) => (format!("expected {expected}, found `{found}`"), "not understood here"),
            None => (lower_first(&what), "not understood here"),
        };
        ExprError { help: refuse::keyword_help(self, &range), ..ExprError::new(message, range, label) }
    }

    fn left_over(&self, next: &TokenWithSpan) -> ExprError {
        let range = self.bytes(next.span);
        let found = self.text.get(range.clone()).unwrap_or_default();
        let message = format!("an operator or the end is expected, and here is `{found}`");
        let error = ExprError::new(message, range.clone(), "not expected here");
        match &next.token {
            Token::RParen => error.help("a `)` without its `(`"),
            Token::SemiColon => error.help("an expression is no statement: leave the `;` out"),
            Token::Comma => error.help("one expression is expected here"),
            _ => ExprError { help: refuse::keyword_help(self, &range), ..error },
        }
    }
}

fn too_deep(range: Range<usize>) -> ExprError {
    let message = format!("this expression is nested more than {MAX_NESTING} levels deep");
    ExprError::new(message, range, "too deep").help("compute a part of it in a column of its own")
}

/// `1, Column: 5` as sqlparser ends its messages.
fn location(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
