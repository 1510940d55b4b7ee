//! The query string, strictly: what is malformed, unknown or given twice is named instead of guessed at.

use axum::http::Uri;

use crate::{Place, Problem};

/// At most this many parameters.
const MAX_PARAMETERS: usize = 256;

/// The query string's parameters, decoded, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads `name=value&…` (`+` is a space, `%XX` a byte of UTF-8).
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let malformed = || {
                let message = "expected `name=value` with `%XX` for every byte that is not plain, in UTF-8";
                Problem::malformed(Place::Query, name, message)
            };
            let (name, value) = (decode(name).ok_or_else(malformed)?, decode(value).ok_or_else(malformed)?);
            if found.iter().any(|(other, _)| *other == name) {
                return Err(Problem::malformed(Place::Query, name, "expected it once, found it twice"));
            }
            if found.len() == MAX_PARAMETERS {
                return Err(Problem::bad_request(format!(
                    "the query string has more than {MAX_PARAMETERS} parameters"
                )));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses every parameter that is not in `known`, all at once.
    pub fn refuse_unknown(&self, known: &[&str]) -> Result<(), Problem> {
        let mut unknown = self.0.iter().filter(|(name, _)| !known.contains(&name.as_str())).peekable();
        if unknown.peek().is_none() {
            return Ok(());
        }
        let takes = match known {
            [] => "this path takes no parameters".to_owned(),
            known => format!("this path takes {}", known.join(", ")),
        };
        let problem = Problem::bad_request("the query string has parameters that are not known: see `errors`");
        Err(unknown.fold(problem, |problem, (name, _)| problem.error(Place::Query, name, format!("unknown; {takes}"))))
    }
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(query: &str) -> Result<Parameters, Problem> {
        Parameters::of(&format!("/a?{query}").parse().unwrap())
    }

    #[test]
    fn parameters_are_decoded_or_named() {
        let found = parameters("a=b+c%20d&e=%C3%A9%00&f&&g==").unwrap();
        let pairs: Vec<_> = found.iter().collect();
        assert_eq!(pairs, [("a", "b c d"), ("e", "é\0"), ("f", ""), ("g", "=")]);
        for malformed in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2", "a=1&%61=2"] {
            let problem = parameters(malformed).unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.errors()[0].field.as_str()), (400, "a"), "{malformed}");
        }
    }

    #[test]
    fn unknown_parameters_are_all_named() {
        let problem = parameters("size=1&sort=up&page=2").unwrap().refuse_unknown(&["size", "cursor"]).unwrap_err();
        let fields: Vec<_> = problem.errors().iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["sort", "page"]);
        assert_eq!(problem.errors()[0].message, "unknown; this path takes size, cursor");
    }

    proptest! {
        #[test]
        fn hostile_query_strings_never_panic(query in "[a-z0-9%+&=;/?.-]{0,80}") {
            let _ = parameters(&query);
        }
    }
}
