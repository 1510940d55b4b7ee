//! JSON bodies, strictly: one object, no key twice in any object, and what is wrong told by line and column.

use std::collections::HashSet;

use headwater_http::Problem;
use serde_json::{Map, Value as Json};

/// Reads a body. Nothing at all reads as an object without fields.
pub(crate) fn object(text: &[u8]) -> Result<Map<String, Json>, Problem> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let json = serde_json::from_slice(text).map_err(|error| {
        let detail = format!("the body is not JSON: {error}");
        malformed(detail, error.line(), error.column())
    })?;
    if let Some((key, at)) = doubled(text) {
        let (line, column) = place(text, at);
        let detail = format!("the body has the key {key:?} twice in one object, at line {line} column {column}");
        return Err(malformed(detail, line, column));
    }
    match json {
        Json::Object(object) => Ok(object),
        other => {
            let found = match other {
                Json::Null => "null",
                Json::Bool(_) => "a boolean",
                Json::Number(_) => "a number",
                Json::String(_) => "a string",
                Json::Array(_) | Json::Object(_) => "an array",
            };
            Err(malformed(format!("the body must be a JSON object, and it is {found}"), 1, 1))
        }
    }
}

fn malformed(detail: String, line: usize, column: usize) -> Problem {
    Problem::bad_request(detail).code("malformed-json").with("line", line).with("column", column)
}

/// The first key that an object has twice, and where it stands again. The text is valid JSON.
fn doubled(text: &[u8]) -> Option<(String, usize)> {
    // The keys seen of each enclosing object; None of an array.
    let mut enclosing: Vec<Option<HashSet<String>>> = Vec::new();
    let mut key_comes = false;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let end = string_end(text, at);
                if let (true, Some(Some(seen))) = (key_comes, enclosing.last_mut()) {
                    let key: String = serde_json::from_slice(&text[at..end]).ok()?;
                    if seen.contains(&key) {
                        return Some((key, at));
                    }
                    seen.insert(key);
                }
                key_comes = false;
                at = end;
                continue;
            }
            b'{' => {
                enclosing.push(Some(HashSet::new()));
                key_comes = true;
            }
            b'[' => enclosing.push(None),
            b'}' | b']' => {
                enclosing.pop();
                key_comes = false;
            }
            b',' => key_comes = matches!(enclosing.last(), Some(Some(_))),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Past the closing quote of the string that begins here.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// Line and column, both from 1, as serde_json counts them: columns in bytes.
fn place(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (line, at - start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_twice_are_found_wherever_they_are() {
        let cases: [(&str, Option<(usize, usize)>); 8] = [
            (r#"{"a": 1, "b": {"a": 2}, "c": [{"a": 1}, {"a": 1}]}"#, None),
            (r#"{"a": 1, "a": 1}"#, Some((1, 10))),
            ("{\"a\": 1,\n  \"\\u0061\": 1}", Some((2, 3))),
            (r#"{"x": {"b": [1, {"q": "\\", "q": 1}]}}"#, Some((1, 29))),
            (r#"{"a": "a", "b": "a"}"#, None),
            (r#"{"a": ["a", "a", "{\"a\":1,\"a\":2}"]}"#, None),
            (r#"{"a": "\"", "a": 1}"#, Some((1, 13))),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = object(text.as_bytes()).err().map(|problem| {
                let document = problem.document();
                (document["line"].as_u64().unwrap() as usize, document["column"].as_u64().unwrap() as usize)
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_told_where() {
        for (text, detail) in [
            ("{\n\"a\" 1}", "the body is not JSON: expected `:` at line 2 column 5"),
            ("[]", "the body must be a JSON object, and it is an array"),
            ("null", "the body must be a JSON object, and it is null"),
            ("{} x", "the body is not JSON: trailing characters at line 1 column 4"),
        ] {
            let problem = object(text.as_bytes()).unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.detail()), (400, detail), "{text}");
        }
        assert!(object(&[b'{', b'"', 0xff, b'"', b':', b'1', b'}']).is_err());
    }
}
