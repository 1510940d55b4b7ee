//! `like`, and the regular expressions of `regexp_like` and `regexp_replace`.
//!
//! Regular expressions are those of Rust's regex crate, which run in linear time: no back-references, no look-around, and
//! of alternatives the first that matches, where Postgres takes the longest. `.` matches a line break and `^` and `$` the
//! ends of the text, unless the flag `n` says otherwise: as in Postgres.

use bumpalo::Bump;
use bumpalo::collections::String as BumpString;
use regex::{Captures, Regex, RegexBuilder};

use super::error::{EvalError, Fault, MAX_TEXT};

/// The most memory that a compiled regular expression takes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A pattern of `like`, read.
#[derive(Clone, Debug)]
pub(crate) enum Like {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    General(Vec<LikeToken>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LikeToken {
    Char(char),
    /// `_`
    One,
    /// `%`
    Any,
}

/// The escape character; `None` where `escape ''` says that there is none.
pub(crate) fn escape_character(text: &str) -> Result<Option<char>, Fault> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (escape, None) => Ok(escape),
        _ => Err(pattern_error("like", "the escape is one character or none")),
    }
}

fn pattern_error(operation: &'static str, message: impl Into<String>) -> Fault {
    Box::new(EvalError::Pattern { operation, message: message.into() })
}

impl Like {
    pub(crate) fn read(pattern: &str, escape: Option<char>) -> Result<Like, Fault> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                c if Some(c) == escape => match chars.next() {
                    Some(literal) => LikeToken::Char(literal),
                    None => return Err(pattern_error("like", "the pattern ends with its escape character")),
                },
                '%' if tokens.last() == Some(&LikeToken::Any) => continue,
                '%' => LikeToken::Any,
                '_' => LikeToken::One,
                c => LikeToken::Char(c),
            });
        }
        let literal = |tokens: &[LikeToken]| -> Option<String> {
            let char_of = |token: &LikeToken| if let LikeToken::Char(c) = token { Some(*c) } else { None };
            tokens.iter().map(char_of).collect()
        };
        let simple = match tokens.as_slice() {
            [LikeToken::Any, middle @ .., LikeToken::Any] => literal(middle).map(Like::Contains),
            [LikeToken::Any, rest @ ..] => literal(rest).map(Like::Suffix),
            [rest @ .., LikeToken::Any] => literal(rest).map(Like::Prefix),
            all => literal(all).map(Like::Exact),
        };
        Ok(simple.unwrap_or(Like::General(tokens)))
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Like::Exact(exact) => text == exact,
            Like::Prefix(start) => text.starts_with(start.as_str()),
            Like::Suffix(end) => text.ends_with(end.as_str()),
            Like::Contains(part) => text.contains(part.as_str()),
            Like::General(tokens) => walk(tokens, text),
        }
    }
}

/// Back to the last `%` where it does not go on: the one before need not be tried again.
fn walk(tokens: &[LikeToken], text: &str) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut back: Option<(usize, &str)> = None;
    loop {
        let mut chars = rest.chars();
        match (tokens.get(at), chars.next()) {
            (Some(LikeToken::Any), _) => {
                at += 1;
                back = Some((at, rest));
                continue;
            }
            (None, None) => return true,
            (Some(LikeToken::Char(c)), Some(d)) if *c == d => {
                (at, rest) = (at + 1, chars.as_str());
                continue;
            }
            (Some(LikeToken::One), Some(_)) => {
                (at, rest) = (at + 1, chars.as_str());
                continue;
            }
            _ => {}
        }
        let Some((token, from)) = back else { return false };
        let mut chars = from.chars();
        if chars.next().is_none() {
            return false;
        }
        (at, rest) = (token, chars.as_str());
        back = Some((token, rest));
    }
}

/// A regular expression with Postgres's flags, or what is wrong with either.
pub(crate) fn regex(pattern: &str, flags: &str, replaces: bool) -> Result<(Regex, bool), String> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).nest_limit(64).dot_matches_new_line(true);
    let mut global = false;
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'c' => builder.case_insensitive(false),
            'n' | 'm' => builder.multi_line(true).dot_matches_new_line(false),
            's' => builder.multi_line(false).dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            'g' if replaces => {
                global = true;
                &mut builder
            }
            other => {
                return Err(format!(
                    "there is no flag `{other}` here: i, c, n, s, x{}",
                    if replaces { ", g" } else { "" }
                ));
            }
        };
    }
    match builder.build() {
        Ok(regex) => Ok((regex, global)),
        Err(regex::Error::CompiledTooBig(_)) => Err("this regular expression is too large".to_owned()),
        Err(error) => {
            // The last line says what is wrong; those before it draw the pattern.
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default();
            Err(format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last)))
        }
    }
}

/// The first match, or all, replaced. `\1` to `\9` stand for groups, `\&` for the match, `\\` for a backslash.
pub(crate) fn regex_replace<'a>(
    (regex, global): (&Regex, bool),
    text: &'a str,
    replacement: &str,
    bump: &'a Bump,
) -> Result<&'a str, Fault> {
    let mut out = BumpString::new_in(bump);
    let (mut copied, mut from) = (0, 0);
    while let Some(captures) = regex.captures_at(text, from) {
        let Some(found) = captures.get(0) else { break };
        out.push_str(&text[copied..found.start()]);
        expand(replacement, &captures, &mut out);
        copied = found.end();
        if out.len() > MAX_TEXT {
            return Err(EvalError::too_long("regexp_replace"));
        }
        // After nothing the search goes on a character later; nothing may be found right after something.
        let next = if found.is_empty() { text[copied..].chars().next().map(char::len_utf8) } else { Some(0) };
        match next {
            Some(step) if global => from = copied + step,
            _ => break,
        }
    }
    if copied == 0 && out.is_empty() {
        return Ok(text);
    }
    out.push_str(&text[copied..]);
    Ok(out.into_bump_str())
}

fn expand(replacement: &str, captures: &Captures<'_>, out: &mut BumpString<'_>) {
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        match chars.next() {
            Some('&') => out.push_str(captures.get(0).map_or("", |group| group.as_str())),
            Some(digit @ '1'..='9') => {
                let group = digit.to_digit(10).and_then(|n| captures.get(n as usize));
                out.push_str(group.map_or("", |group| group.as_str()));
            }
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}
