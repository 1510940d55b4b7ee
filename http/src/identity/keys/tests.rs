//! Tokens that hold, tokens that do not, and keys that two processes make at once.

use super::*;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use proptest::prelude::*;
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);

fn identity(sub: &str, roles: &[&str]) -> Identity {
    Identity { sub: sub.into(), roles: roles.iter().map(|r| (*r).to_owned()).collect() }
}

/// A token with any header and claims, properly signed.
fn forge(keys: &Keys, header: serde_json::Value, claims: serde_json::Value) -> String {
    let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &keys.0.signing, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn a_signed_token_says_who() {
    let keys = Keys::ephemeral().unwrap();
    let token = keys.sign("alice", &["administrator".into()], HOUR).unwrap();
    for _ in 0..2 {
        assert_eq!(keys.verify(&token), Ok(identity("alice", &["administrator"])));
    }
}

#[test]
fn each_wrong_token_is_refused_for_its_reason() {
    let keys = Keys::ephemeral().unwrap();
    let kid = keys.0.signing_id.clone();
    let now = now_s();
    let header = json!({"alg": "EdDSA", "kid": kid});
    let good = json!({"sub": "a", "iss": ISSUER, "aud": [ISSUER, "other"], "exp": now + 60});
    assert_eq!(keys.verify(&forge(&keys, header.clone(), good.clone())), Ok(identity("a", &[])));

    let with = |name: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let cases = [
        (header.clone(), with("exp", json!(now - 31)), TokenError::Expired),
        (header.clone(), with("nbf", json!(now + 90)), TokenError::NotYet),
        (header.clone(), with("iss", json!("else")), TokenError::NotForUs),
        (header.clone(), with("aud", json!("else")), TokenError::NotForUs),
        (header.clone(), with("sub", json!("")), TokenError::Malformed),
        (header.clone(), with("roles", json!("administrator")), TokenError::Malformed),
        (header.clone(), without("sub"), TokenError::Malformed),
        (header.clone(), without("exp"), TokenError::Malformed),
        (header.clone(), without("aud"), TokenError::Malformed),
        (header.clone(), without("iss"), TokenError::Malformed),
        (json!({"alg": "EdDSA", "kid": "other"}), good.clone(), TokenError::UnknownKey),
        (json!({"alg": "none", "kid": kid}), good.clone(), TokenError::Malformed),
        (json!({"alg": "HS256", "kid": kid}), good.clone(), TokenError::Malformed),
    ];
    for (header, claims, expected) in cases {
        assert_eq!(keys.verify(&forge(&keys, header.clone(), claims.clone())), Err(expected), "{header} {claims}");
    }
    let mut tampered = keys.sign("a", &[], HOUR).unwrap();
    let last = tampered.len() - 10;
    let other = if tampered.as_bytes()[last] == b'A' { "B" } else { "A" };
    tampered.replace_range(last..=last, other);
    assert_eq!(keys.verify(&tampered), Err(TokenError::Signature));
    assert_eq!(keys.verify(&"a".repeat(TOKEN_BYTES + 1)), Err(TokenError::TooLong));
    assert_eq!(keys.verify(&Keys::ephemeral().unwrap().sign("a", &[], HOUR).unwrap()), Err(TokenError::UnknownKey));
}

#[test]
fn processes_that_start_at_once_agree_on_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("keys");
    let all: Vec<Keys> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Keys::load_or_create(&dir).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let token = all[0].sign("alice", &[], HOUR).unwrap();
    for keys in &all {
        assert_eq!(keys.verify(&token), Ok(identity("alice", &[])));
    }
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["signing.pem"]);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    Keys::load_or_create(dir.path()).unwrap();
    let path = dir.path().join(SIGNING);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Keys::load_or_create(dir.path()), Err(KeyError::Exposed { .. })));
}

#[test]
fn a_rotated_key_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let old = Keys::load_or_create(dir.path()).unwrap().sign("alice", &[], HOUR).unwrap();
    fs::rename(dir.path().join(SIGNING), dir.path().join("2026-01.pem")).unwrap();
    let keys = Keys::load_or_create(dir.path()).unwrap();
    assert_eq!(keys.verify(&old), Ok(identity("alice", &[])));
    let new = keys.sign("bob", &[], HOUR).unwrap();
    assert_eq!(keys.verify(&new), Ok(identity("bob", &[])));
    fs::remove_file(dir.path().join("2026-01.pem")).unwrap();
    assert_eq!(Keys::load_or_create(dir.path()).unwrap().verify(&old), Err(TokenError::UnknownKey));
}

#[test]
fn a_file_that_is_no_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_private(&dir.path().join(SIGNING), b"\xff\xfe").unwrap();
    let error = Keys::load_or_create(dir.path()).unwrap_err().to_string();
    assert!(error.contains("signing.pem: not an Ed25519 key"), "{error}");
}

proptest! {
    #[test]
    fn hostile_tokens_never_panic(token in "[A-Za-z0-9_.=-]{0,200}|.{0,60}") {
        let keys = Keys::ephemeral().unwrap();
        prop_assert!(keys.verify(&token).is_err());
    }
}
