//! How headers are stored: for each, two bytes of length and the name, then four bytes of length and the value, both lengths
//! big-endian. No headers are null.
//!
//! The form of one header is the same wherever it stands, so SQLite can search for it as bytes; what it finds is decoded
//! and compared, since a value may happen to contain the bytes of another header.

use bytes::Bytes;

use crate::record::Header;

/// The stored form, or None where there are none. Names are at most 64 KiB, which [`crate::Limits`] sees to.
pub(super) fn encode(headers: &[Header]) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(headers.iter().map(|it| 6 + it.name.len() + it.value.len()).sum());
    for header in headers {
        encode_one(&header.name, &header.value, &mut out);
    }
    Some(out)
}

/// The stored form of one header.
pub(super) fn encode_one(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

/// Headers from their stored form; None if it is not one.
pub(super) fn decode(mut stored: &[u8]) -> Option<Vec<Header>> {
    let mut headers = Vec::new();
    while !stored.is_empty() {
        let (length, rest) = stored.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        headers.push(Header { name, value: Bytes::copy_from_slice(value) });
        stored = rest;
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decode_undoes_encode(pairs in prop::collection::vec((".{0,9}", prop::collection::vec(any::<u8>(), 0..9)), 0..5)) {
            let headers: Vec<Header> =
                pairs.into_iter().map(|(name, value)| Header { name, value: value.into() }).collect();
            let stored = encode(&headers).unwrap_or_default();
            prop_assert_eq!(decode(&stored), Some(headers));
        }

        #[test]
        fn what_is_no_stored_form_is_none_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(headers) = decode(&bytes) {
                prop_assert_eq!(encode(&headers).unwrap_or_default(), bytes);
            }
        }
    }
}
