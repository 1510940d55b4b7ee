//! The message key of an event to be: the bytes that are written, hashed, noted and waited for.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A message key. In a claim it is noted as text where it is some, else as `{"base64": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Noted", try_from = "Noted")]
pub(crate) struct MessageKey(pub(crate) Bytes);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Noted {
    Text(String),
    Bytes { base64: String },
}

impl MessageKey {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for MessageKey {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<MessageKey> for Noted {
    fn from(key: MessageKey) -> Self {
        match std::str::from_utf8(&key.0) {
            // Of the wire format's header every key has a NUL, which is no text to some stores.
            Ok(text) if !text.contains('\0') => Noted::Text(text.to_owned()),
            _ => Noted::Bytes { base64: BASE64.encode(&key.0) },
        }
    }
}

impl TryFrom<Noted> for MessageKey {
    type Error = base64::DecodeError;

    fn try_from(noted: Noted) -> Result<Self, Self::Error> {
        Ok(Self(match noted {
            Noted::Text(text) => text.into(),
            Noted::Bytes { base64 } => BASE64.decode(base64)?.into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_noted_as_text_or_as_bytes() {
        for (key, noted) in [
            (&b"me"[..], r#""me""#),
            (b"", r#""""#),
            (b"\0\0\0\0\x07\x04me", r#"{"base64":"AAAAAAcEbWU="}"#),
            (b"\xff", r#"{"base64":"/w=="}"#),
        ] {
            let key = MessageKey(Bytes::copy_from_slice(key));
            assert_eq!(serde_json::to_string(&key).unwrap(), noted);
            assert_eq!(serde_json::from_str::<MessageKey>(noted).unwrap(), key);
        }
        assert!(serde_json::from_str::<MessageKey>(r#"{"base64":"!"}"#).is_err());
    }
}
