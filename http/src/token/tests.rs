//! Tokens survive their text, merge like sets, stay within their bounds, and never panic.

use super::*;
use proptest::prelude::*;

fn topic(n: u8) -> TopicKey {
    TopicKey::new([n; 16], &format!("topic-{n}"))
}

fn tokens() -> impl Strategy<Value = PositionToken> {
    let place = (0u8..4, 0i32..20, 0i64..i64::MAX, proptest::option::of(any::<[u8; 4]>()));
    proptest::collection::vec(place, 0..30).prop_map(|places| {
        let mut token = PositionToken::new();
        for (n, partition, offset, key) in places {
            token.merge(&PositionToken::written(topic(n), partition, offset, key.as_ref().map(|key| &key[..])));
        }
        token
    })
}

proptest! {
    #[test]
    fn a_token_survives_its_text(token in tokens()) {
        prop_assert_eq!(PositionToken::parse(&token.to_string()), Ok(token));
    }

    #[test]
    fn merging_is_the_union_by_greatest_offset(a in tokens(), b in tokens()) {
        let mut ab = a.clone();
        ab.merge(&b);
        let mut ba = b.clone();
        ba.merge(&a);
        prop_assert_eq!(&ab, &ba);
        let mut again = ab.clone();
        again.merge(&a);
        prop_assert_eq!(&ab, &again);
        for (topic, partition, seen) in a.iter().chain(b.iter()) {
            let merged = &ab.topics[&topic][&partition];
            prop_assert!(merged.offset >= seen.offset);
        }
    }

    #[test]
    fn hostile_text_never_panics(text in "[A-Za-z0-9_-]{0,400}|.{0,40}") {
        let _ = PositionToken::parse(&text);
    }

    #[test]
    fn hostile_bytes_with_a_right_checksum_never_panic(mut body in proptest::collection::vec(any::<u8>(), 0..200)) {
        body.insert(0, VERSION);
        let sum = checksum(&body);
        body.extend_from_slice(&sum);
        let _ = PositionToken::parse(&BASE64.encode(body));
    }

    #[test]
    fn one_changed_character_is_noticed(token in tokens(), at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
        let text = token.to_string();
        let at = at.index(text.len());
        let mut changed = text.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != text);
        prop_assert!(PositionToken::parse(&changed).is_err());
    }
}

#[test]
fn a_token_stays_within_its_bounds() {
    let mut token = PositionToken::new();
    for n in 0..2 * MAX_KEYS as i64 {
        token.merge(&PositionToken::written(topic(1), 0, n, Some(&n.to_be_bytes())));
    }
    let (_, _, seen) = token.iter().next().unwrap();
    assert_eq!((seen.offset, seen.keys.len()), (127, MAX_KEYS));
    assert!(seen.keys.values().all(|offset| *offset >= MAX_KEYS as i64));
    for partition in 0..2 * MAX_PARTITIONS as i32 {
        token.see(topic(2), partition, 1 << 40);
    }
    assert_eq!(token.iter().count(), MAX_PARTITIONS);
    let text = token.to_string();
    assert!(text.len() < MAX_TEXT, "{}", text.len());
    assert_eq!(PositionToken::parse(&text), Ok(token));
}

#[test]
fn the_headers_are_read_or_named() {
    let one = PositionToken::written(topic(1), 0, 5, None);
    let two = PositionToken::written(topic(2), 3, 7, Some(b"k"));
    let mut both = one.clone();
    both.merge(&two);
    let mut headers = HeaderMap::new();
    assert_eq!(PositionToken::after(&headers).unwrap(), None);
    headers.append(AFTER, one.to_string().parse().unwrap());
    headers.append(AFTER, format!("{two}, {one}").parse().unwrap());
    assert_eq!(PositionToken::after(&headers).unwrap(), Some(both));
    for wrong in ["nonsense", "", " ", &format!("{one},")] {
        let headers = HeaderMap::from_iter([(AFTER, wrong.parse().unwrap())]);
        let problem = PositionToken::after(&headers).unwrap_err();
        assert_eq!(
            (problem.status().as_u16(), problem.errors()[0].field.as_str()),
            (400, "Headwater-After"),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_wait_is_read_and_bounded() {
    let limits = Limits::default();
    let cases = [
        ("wait=5", Some(5)),
        ("respond-async, wait=10", Some(10)),
        ("WAIT = \"7\"; foo=bar", Some(7)),
        ("wait=31", Some(30)),
        ("wait=99999999999999999999999", Some(30)),
        ("return=minimal", Some(0)),
        ("wait", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
    ];
    for (text, expected) in cases {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("prefer"), text.parse().unwrap())]);
        let found = preferred_wait(&headers, &limits).ok().map(|wait| wait.as_secs());
        assert_eq!(found, expected, "{text}");
    }
}
