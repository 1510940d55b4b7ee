//! `Range` on files: one range of bytes (RFC 9110, section 14). Several ranges at once are answered with the whole, which
//! the RFC allows, as are units other than bytes.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};
use headwater_http::{Place as In, Problem};

/// The part that is asked for; None: the whole. `tag` is the content's ETag with its quotes, `size` its bytes.
pub(crate) fn asked(headers: &HeaderMap, tag: &str, size: u64) -> Result<Option<Range<u64>>, Problem> {
    let mut given = headers.get_all(RANGE).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let malformed =
        || Problem::malformed(In::Header, "Range", "expected `bytes=first-last`, `bytes=first-` or `bytes=-last`");
    let text = value.to_str().map_err(|_| malformed())?;
    let Some((unit, specs)) = text.split_once('=') else { return Err(malformed()) };
    if !unit.trim().eq_ignore_ascii_case("bytes") || given.next().is_some() || !still_is(headers, tag) {
        return Ok(None);
    }
    let mut specs = specs.split(',').map(str::trim).filter(|spec| !spec.is_empty());
    let (first, others) = (specs.next().ok_or_else(malformed)?, specs.next());
    if others.is_some() {
        return Ok(None);
    }
    let range = one(first, size).ok_or_else(malformed)?;
    if range.is_empty() { Err(Problem::range_not_satisfiable(size)) } else { Ok(Some(range)) }
}

/// Whether `If-Range`, if it is there, names the content as it is: strongly, so a date or a weak tag never does.
fn still_is(headers: &HeaderMap, tag: &str) -> bool {
    headers.get(IF_RANGE).is_none_or(|value| value.to_str().is_ok_and(|value| value.trim() == tag))
}

/// None: malformed. Empty: it lies outside.
fn one(spec: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    match (first, last) {
        ("", last) => Some(size.saturating_sub(number(last)?)..size),
        (first, "") => Some(number(first)?.min(size)..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(size)..last.saturating_add(1).min(size))
        }
    }
}

/// Digits only; more than fit are as good as the greatest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(range: &str, if_range: Option<&str>, size: u64) -> Result<Option<Range<u64>>, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, range.parse().unwrap());
        if let Some(tag) = if_range {
            headers.insert(IF_RANGE, tag.parse().unwrap());
        }
        asked(&headers, "\"abc\"", size).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn ranges_are_read() {
        let whole = Ok(None);
        let cases = [
            ("bytes=0-0", 10, Ok(Some(0..1))),
            ("bytes=2-5", 10, Ok(Some(2..6))),
            ("bytes=2-", 10, Ok(Some(2..10))),
            ("bytes=-3", 10, Ok(Some(7..10))),
            ("bytes=-30", 10, Ok(Some(0..10))),
            ("bytes=5-999", 10, Ok(Some(5..10))),
            ("BYTES = 5-6", 10, Ok(Some(5..7))),
            ("bytes=0-18446744073709551615", 10, Ok(Some(0..10))),
            ("bytes=0-99999999999999999999999999", 10, Ok(Some(0..10))),
            ("bytes=10-", 10, Err(416)),
            ("bytes=10-20", 10, Err(416)),
            ("bytes=-0", 10, Err(416)),
            ("bytes=0-0", 0, Err(416)),
            ("bytes=-5", 0, Err(416)),
            ("bytes=0-1,4-5", 10, whole.clone()),
            ("lines=1-2", 10, whole.clone()),
            ("bytes=5-2", 10, Err(400)),
            ("bytes=a-b", 10, Err(400)),
            ("bytes=-", 10, Err(400)),
            ("bytes=+1-2", 10, Err(400)),
            ("bytes=", 10, Err(400)),
            ("bytes", 10, Err(400)),
        ];
        for (range, size, expected) in cases {
            assert_eq!(of(range, None, size), expected, "{range} of {size}");
        }
        assert_eq!(of("bytes=0-1", Some("\"abc\""), 10), Ok(Some(0..2)));
        for other in ["\"other\"", "W/\"abc\"", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(of("bytes=0-1", Some(other), 10), Ok(None), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_range_lies_within(range in "(bytes=)?[0-9a -]{0,25}(,[0-9-]{1,4})?", size: u64) {
            if let Ok(Some(range)) = of(&range, None, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
