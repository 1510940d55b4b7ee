//! Confluent's wire format: a zero byte, the schema id as four big-endian bytes, then the Avro body.
//!
//! ```
//! use headwater_schemas::wire::{SchemaId, frame, split};
//! let mut message = Vec::new();
//! frame(SchemaId(7), b"body", &mut message);
//! assert_eq!(message, b"\0\0\0\0\x07body");
//! assert_eq!(split(&message)?, (SchemaId(7), &b"body"[..]));
//! # Ok::<(), headwater_schemas::wire::WireError>(())
//! ```

use std::fmt;

const MAGIC: u8 = 0;
const HEADER: usize = 5;

/// A schema's number in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a message cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("expected 5 bytes of header (a zero byte and a schema id), found a message of {0} bytes")]
    TooShort(usize),
    #[error("expected a zero byte first, found {0:#04x}: the message is not in Confluent's wire format")]
    WrongMagic(u8),
}

/// Appends the framed `body` to `out`.
pub fn frame(id: SchemaId, body: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER + body.len());
    out.push(MAGIC);
    out.extend_from_slice(&id.0.to_be_bytes());
    out.extend_from_slice(body);
}

/// The schema id and the Avro body of a message.
#[inline]
pub fn split(message: &[u8]) -> Result<(SchemaId, &[u8]), WireError> {
    match message {
        [MAGIC, a, b, c, d, body @ ..] => Ok((SchemaId(u32::from_be_bytes([*a, *b, *c, *d])), body)),
        [magic, ..] if *magic != MAGIC => Err(WireError::WrongMagic(*magic)),
        _ => Err(WireError::TooShort(message.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_it_framed() {
        for (id, body) in [(0, &b""[..]), (1, b"x"), (u32::MAX, b"\0\0\0\0\0\0")] {
            let mut out = vec![];
            frame(SchemaId(id), body, &mut out);
            assert_eq!(split(&out), Ok((SchemaId(id), body)));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (message, error) in [
            (&b""[..], WireError::TooShort(0)),
            (b"\0\0\0\0", WireError::TooShort(4)),
            (b"{", WireError::WrongMagic(b'{')),
            (b"\x01\0\0\0\0\0", WireError::WrongMagic(1)),
        ] {
            assert_eq!(split(message), Err(error));
        }
    }
}
