//! What a YAML parser says, said to the person who wrote the file: most often "quote this".

use std::ops::Range;

use crate::source::{Diagnostic, FileId, Span, floor_char_boundary};

/// Whether every parenthesis that opens is closed.
pub(super) fn is_balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// The text that starts at `start` and was probably meant as one value: up to a comma or a closing bracket outside of
/// its own parentheses, at most to the end of the line.
pub(super) fn whole_value(text: &str, start: usize) -> Range<usize> {
    let line = text[start..].split(['\n', '\r']).next().unwrap_or("");
    let mut depth = 0_i32;
    let mut len = line.len();
    for (index, c) in line.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ']' | '}' | ',' if depth <= 0 => {
                len = index;
                break;
            }
            _ => {}
        }
    }
    start..start + line[..len].trim_end().len()
}

/// "Quote this", with the quotes in place.
pub(super) fn quote_this(file: FileId, text: &str, range: Range<usize>) -> Diagnostic {
    let value = &text[range.clone()];
    Diagnostic::error(
        &Span { file, range },
        "a text with a comma, colon, bracket, brace, quote or # in it must be quoted",
    )
    .label("quote this")
    .help(format!("write {}", quoted(value)))
}

/// The value in the quotes that need the fewest escapes.
pub(crate) fn quoted(value: &str) -> String {
    if !value.contains(['"', '\\']) {
        format!("\"{value}\"")
    } else if value.contains('\'') {
        format!("'{}'", value.replace('\'', "''"))
    } else {
        format!("'{value}'")
    }
}

/// A parser's error at byte `at`.
pub(super) fn explain(file: FileId, text: &str, at: usize, info: &str) -> Diagnostic {
    let at = floor_char_boundary(text, at);
    if let Some(range) = unquoted(text, at, info) {
        return quote_this(file, text, range);
    }
    let line_start = text[..at].rfind('\n').map_or(0, |index| index + 1);
    let word = text[at..].split([' ', '\t', '\n', '\r', ',', ']', '}']).next().unwrap_or("");
    let error = |message: &str| Diagnostic::error(&Span { file, range: at..at + word.len() }, message);
    match info {
        _ if info.contains("recursion limit") => error("nested too deep").label("too deep"),
        _ if info.contains("tab") => {
            let range = match text[line_start..at].rfind('\t') {
                Some(index) => line_start + index..line_start + index + 1,
                None => at..at + word.len(),
            };
            Diagnostic::error(&Span { file, range }, "a tab cannot indent YAML")
                .label("a tab stands here")
                .help("indent with spaces, two for each level")
        }
        _ if info.contains("quoted scalar") && !info.contains("trailing") && !info.contains("escape") => {
            error("this quote is not closed where it should be")
                .label("opens here")
                .help("close it, and indent each further line of the text deeper than its key")
        }
        _ if info.contains("unknown anchor") => error("no anchor of this name stands before this alias")
            .label("`*` starts an alias")
            .help("quote this if the `*` belongs to the text"),
        _ if info.contains("block mapping, did not find expected key") || info.contains("simple key expect") => {
            error("this line is not a `key: value` of the mapping that it stands in")
                .label("expected `key: value`, here or in the line above")
                .help("compare its indentation with the lines above, and look for a missing `:`")
        }
        _ if info.contains("did not find expected '-'") => {
            error("this line is not an element of the list it stands in")
                .label("expected `- ` here")
                .help("compare its indentation with the lines above")
        }
        _ if info.contains("indentation") => {
            error("the indentation fits no line above").label("indented differently").help("align it with its siblings")
        }
        _ if info.contains("end of stream") || info.contains("unexpected eof") => {
            error("the file ends inside a quoted text or a bracket")
                .label("the end")
                .help("look for a quote or a bracket that is not closed")
        }
        _ if info.contains("mapping values are not allowed") => {
            error("a `:` cannot stand here").label("unexpected `:`").help("quote this if the colon belongs to the text")
        }
        _ if info.contains("unexpected character") || info.contains("block scalar") => {
            error("a text cannot start with this character").label("quote this").help("put the whole text in quotes")
        }
        _ => error(&format!("this is not YAML: {info}")).label("the parser stopped here"),
    }
}

/// The value around `at` that would have been read if it had been quoted.
fn unquoted(text: &str, at: usize, info: &str) -> Option<Range<usize>> {
    let line_start = text[..at].rfind('\n').map_or(0, |index| index + 1);
    let before = &text[line_start..at];
    if info.contains("flow mapping, did not") || info.contains("flow sequence, expected") {
        let starts = [": ", ", ", "{ ", "[ ", "{", "["].map(|mark| before.rfind(mark).map(|index| index + mark.len()));
        let start = line_start + starts.into_iter().flatten().max()?;
        let range = whole_value(text, start);
        return (range.end > at && !text[range.clone()].is_empty()).then_some(range);
    }
    let value_start = line_start + before.find(": ").map(|index| index + 2)?;
    let value_start = value_start + (text[value_start..].len() - text[value_start..].trim_start_matches(' ').len());
    let line = text[value_start..].split(['\n', '\r']).next().unwrap_or("").trim_end();
    let range = value_start..value_start + line.len();
    let first = line.chars().next()?;
    let plain = !matches!(first, '"' | '\'' | '[' | '{' | '|' | '>' | '&' | '*' | '!');
    let colon = info.contains("mapping values are not allowed") && plain;
    // `'a' = b` and `"a" || b`: a quote that closes before the value ends.
    let trailing =
        matches!(first, '"' | '\'') && at > value_start && line[1..].contains(first) && !line.ends_with(first);
    let forbidden = info.contains("unexpected character") && at == value_start;
    (colon || trailing || forbidden).then_some(range)
}
