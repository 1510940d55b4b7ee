//! What the text functions do, on `&str`: positions and lengths count characters, from 1, as Postgres's do.

use bumpalo::Bump;
use bumpalo::collections::String as BumpString;

use super::error::{EvalError, Fault, MAX_TEXT};

/// Each character that has one lower case; what has several (`İ`) takes the first.
pub(crate) fn lower<'a>(text: &'a str, bump: &'a Bump) -> &'a str {
    if text.is_ascii() {
        if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return text;
        }
        let lower = bump.alloc_str(text);
        lower.make_ascii_lowercase();
        return lower;
    }
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    BumpString::from_iter_in(text.chars().map(lower), bump).into_bump_str()
}

/// Each character that has one upper case; what has several (`ß`) stays.
pub(crate) fn upper<'a>(text: &'a str, bump: &'a Bump) -> &'a str {
    if text.is_ascii() {
        let upper = bump.alloc_str(text);
        upper.make_ascii_uppercase();
        return upper;
    }
    let upper = |c: char| {
        let mut cases = c.to_uppercase();
        match (cases.next(), cases.next()) {
            (Some(upper), None) => upper,
            _ => c,
        }
    };
    BumpString::from_iter_in(text.chars().map(upper), bump).into_bump_str()
}

pub(crate) fn length(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// From a position, which may lie before the text; as many characters as asked for, counted from that position.
pub(crate) fn substring(text: &str, from: i64, length: Option<i64>) -> Result<&str, Fault> {
    let end = match length {
        Some(length) if length < 0 => {
            return Err(EvalError::range("substring", format!("a length of {length} characters")));
        }
        Some(length) => from.saturating_add(length),
        None => i64::MAX,
    };
    let at = |position: i64| {
        let characters = usize::try_from(position.max(1) - 1).unwrap_or(usize::MAX);
        text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
    };
    let (start, end) = (at(from), at(end));
    Ok(&text[start..end.max(start)])
}

/// Which ends `trim` takes characters from.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) left: bool,
    pub(crate) right: bool,
}

pub(crate) fn trim<'a>(mut text: &'a str, characters: &str, ends: Ends) -> &'a str {
    if ends.left {
        text = text.trim_start_matches(|c| characters.contains(c));
    }
    if ends.right {
        text = text.trim_end_matches(|c| characters.contains(c));
    }
    text
}

/// The parts one after the other, in the bump.
pub(crate) fn concat<'a>(parts: &[&str], operation: &'static str, bump: &'a Bump) -> Result<&'a str, Fault> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length > MAX_TEXT {
        return Err(EvalError::too_long(operation));
    }
    let mut out = BumpString::with_capacity_in(length, bump);
    for part in parts {
        out.push_str(part);
    }
    Ok(out.into_bump_str())
}

/// The n-th part, from 1; from -1 backwards. Empty where there is none.
pub(crate) fn split_part<'a>(text: &'a str, delimiter: &str, n: i64) -> Result<&'a str, Fault> {
    if n == 0 {
        return Err(EvalError::range("split_part", "parts are counted from 1, from the end from -1"));
    }
    if delimiter.is_empty() {
        return Ok(if n.abs() == 1 { text } else { "" });
    }
    let index = usize::try_from(n.unsigned_abs() - 1).unwrap_or(usize::MAX);
    // From the end all parts are counted: where a delimiter overlaps itself, matches from the right would differ.
    let found = if n > 0 {
        text.split(delimiter).nth(index)
    } else {
        let parts = text.split(delimiter).count();
        parts.checked_sub(index.saturating_add(1)).and_then(|at| text.split(delimiter).nth(at))
    };
    Ok(found.unwrap_or(""))
}

/// Padded on one side, or cut at the right, to so many characters.
pub(crate) fn pad<'a>(text: &'a str, to: i64, fill: &str, left: bool, bump: &'a Bump) -> Result<&'a str, Fault> {
    let operation = if left { "lpad" } else { "rpad" };
    let to = usize::try_from(to.max(0)).unwrap_or(usize::MAX);
    if let Some((end, _)) = text.char_indices().nth(to) {
        return Ok(&text[..end]);
    }
    let missing = to - text.chars().count();
    if missing == 0 || fill.is_empty() {
        return Ok(text);
    }
    if to > MAX_TEXT {
        return Err(EvalError::too_long(operation));
    }
    let mut out = BumpString::new_in(bump);
    if !left {
        out.push_str(text);
    }
    out.extend(fill.chars().cycle().take(missing));
    if left {
        out.push_str(text);
    }
    if out.len() > MAX_TEXT {
        return Err(EvalError::too_long(operation));
    }
    Ok(out.into_bump_str())
}

pub(crate) fn replace<'a>(text: &'a str, from: &str, to: &str, bump: &'a Bump) -> Result<&'a str, Fault> {
    if from.is_empty() || !text.contains(from) {
        return Ok(text);
    }
    let mut out = BumpString::with_capacity_in(text.len(), bump);
    for (i, part) in text.split(from).enumerate() {
        if i > 0 {
            out.push_str(to);
        }
        out.push_str(part);
        if out.len() > MAX_TEXT {
            return Err(EvalError::too_long("replace"));
        }
    }
    Ok(out.into_bump_str())
}
