//! Path templates of commands and queries: `/documents/{doc_id}/versions`.
//!
//! A template is segments, each a word or a parameter. Two templates of one method that would take the same path are
//! refused, but for a word where another has a parameter: the word wins (`/documents/count` beside `/documents/{doc_id}`).

use std::fmt;

use crate::declare::Text;
use crate::source::Diagnostic;

/// A path template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    Word(String),
    /// A parameter's name.
    Parameter(String),
}

/// Paths that Headwater serves itself.
const RESERVED: [&str; 5] = ["live", "ready", "metrics", "docs", "openapi.json"];
const MAX_SEGMENTS: usize = 16;

/// Whether no template may begin with this word.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

impl Route {
    /// Reads a template, gathering everything that is wrong with it.
    pub fn parse(text: &Text) -> Result<Self, Vec<Diagnostic>> {
        let whole = text.value.as_str();
        let Some(path) = whole.strip_prefix('/') else {
            let error = Diagnostic::error(&text.span, "a path begins with `/`").label("no leading slash");
            return Err(vec![error.help(format!("write `/{whole}`"))]);
        };
        let mut errors = Vec::new();
        let mut segments: Vec<Segment> = Vec::new();
        let mut at = 1;
        for piece in path.split('/') {
            let span = text.part(at..at + piece.len());
            at += piece.len() + 1;
            match segment(piece) {
                Err((message, help)) => {
                    errors.push(Diagnostic::error(&span, message).label("not a path segment").help(help));
                }
                Ok(Segment::Parameter(name)) if segments.contains(&Segment::Parameter(name.clone())) => {
                    let message = format!("the path names `{{{name}}}` twice");
                    errors.push(Diagnostic::error(&span, message).label("named before"));
                }
                Ok(segment) => segments.push(segment),
            }
        }
        if segments.len() > MAX_SEGMENTS {
            let message = format!("a path has at most {MAX_SEGMENTS} segments");
            errors.push(Diagnostic::error(&text.span, message).label("too long"));
        }
        if let Some(Segment::Word(first)) = segments.first()
            && is_reserved(first)
        {
            let message = format!("`/{first}` is a path that Headwater serves itself");
            let error = Diagnostic::error(&text.span, message).label("taken");
            errors.push(error.help("choose another first segment"));
        }
        if errors.is_empty() { Ok(Self { segments }) } else { Err(errors) }
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The parameters' names, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Word(_) => None,
        })
    }

    /// Whether both take exactly the same paths: the same words, and parameters at the same places.
    pub fn clashes(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Word(a), Segment::Word(b)) => a == b,
                (Segment::Parameter(_), Segment::Parameter(_)) => true,
                _ => false,
            })
    }

    /// The path with values in its parameters' places, percent-encoded; None where `value` gives none.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Word(word) => path.push_str(word),
                Segment::Parameter(name) => encode(value(name)?, &mut path),
            }
        }
        Some(path)
    }
}

/// As declared; also what axum and OpenAPI take.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Word(word) => write!(f, "/{word}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        Ok(())
    }
}

fn segment(piece: &str) -> Result<Segment, (String, String)> {
    if let Some(name) = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if starts && fits && name.len() <= 48 {
            return Ok(Segment::Parameter(name.to_owned()));
        }
        let help = "a parameter is a column's or a field's name: lower case, digits and underscores";
        return Err((format!("`{name}` cannot be a parameter's name"), help.to_owned()));
    }
    let fits = piece.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'));
    if fits && !piece.is_empty() && piece != "." && piece != ".." {
        return Ok(Segment::Word(piece.to_owned()));
    }
    let message = match piece {
        "" => "a path segment is empty".to_owned(),
        _ => format!("`{piece}` cannot be a path segment"),
    };
    Err((message, "write a word of letters, digits, `-`, `_`, `.` and `~`, or a whole `{parameter}`".to_owned()))
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileId, Span};

    fn text(path: &str) -> Text {
        Text { value: path.to_owned(), span: Span { file: FileId(0), range: 0..path.len() } }
    }

    fn route(path: &str) -> Route {
        Route::parse(&text(path)).unwrap()
    }

    #[test]
    fn templates_are_read_and_filled() {
        let path = "/documents/{doc_id}/versions/{number}";
        let versions = route(path);
        assert_eq!(versions.to_string(), path);
        assert_eq!(versions.parameters().collect::<Vec<_>>(), ["doc_id", "number"]);
        let filled = versions.fill(|name| Some(if name == "number" { "7" } else { "a/b é%" }));
        assert_eq!(filled.as_deref(), Some("/documents/a%2Fb%20%C3%A9%25/versions/7"));
        assert_eq!(versions.fill(|_| None), None);
    }

    #[test]
    fn clashes_are_by_shape() {
        assert!(route("/a/{x}").clashes(&route("/a/{y}")));
        assert!(!route("/a/{x}").clashes(&route("/a/count")));
        assert!(!route("/a/{x}").clashes(&route("/a/{x}/b")));
    }

    #[test]
    fn mistakes_are_all_named() {
        let cases: [(&str, &[&str]); 9] = [
            ("documents", &["a path begins with `/`"]),
            ("/", &["a path segment is empty"]),
            ("/a//b/", &["a path segment is empty", "a path segment is empty"]),
            ("/a/{x}/{x}", &["the path names `{x}` twice"]),
            ("/a/{X}/b c", &["`X` cannot be a parameter's name", "`b c` cannot be a path segment"]),
            ("/a/v{x}", &["`v{x}` cannot be a path segment"]),
            ("/a/{}", &["`` cannot be a parameter's name"]),
            ("/../a", &["`..` cannot be a path segment"]),
            ("/ready/a", &["`/ready` is a path that Headwater serves itself"]),
        ];
        for (path, expected) in cases {
            let errors = Route::parse(&text(path)).unwrap_err();
            let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
            assert_eq!(messages, expected, "{path}");
        }
        let errors = Route::parse(&text("/a/{X}/b c")).unwrap_err();
        assert_eq!(errors[1].span.range, 7..10);
    }
}
