//! How large a record may be. A limit is checked before a record is queued, so what is refused costs nobody else anything.

use crate::error::LogError;
use crate::record::{NewRecord, Record};

/// The most that any configuration allows for a record, in bytes: far below what SQLite can hold in a row, and as much as
/// anyone should keep in memory for one event.
const RECORD_CEILING_BYTES: usize = 256 << 20;

/// Limits on one record. Content beyond them belongs in a blob that the event names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Key, payload and headers together, in bytes. Default 1 MiB; at most 256 MiB whatever is set.
    pub max_record_bytes: usize,
    /// Default 65,535: what a Cassandra partition key can hold.
    pub max_key_bytes: usize,
    /// Default 100.
    pub max_headers: usize,
    /// Names and values of all headers together, in bytes. Default 64 KiB.
    pub max_header_bytes: usize,
    /// Default 1,024.
    pub max_header_name_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_record_bytes: 1 << 20,
            max_key_bytes: 65_535,
            max_headers: 100,
            max_header_bytes: 64 << 10,
            max_header_name_bytes: 1_024,
        }
    }
}

impl Limits {
    /// The first limit that the record breaks.
    pub(crate) fn check(&self, topic: &str, record: &NewRecord) -> Result<(), LogError> {
        let key = record.key.as_ref().map_or(0, |key| key.len());
        let name = record.headers.iter().map(|header| header.name.len()).max().unwrap_or(0);
        let headers = header_bytes(&record.headers);
        let whole = record.size();
        let max_record = self.max_record_bytes.min(RECORD_CEILING_BYTES);
        // The header's length is stored in 16 bits.
        let max_name = self.max_header_name_bytes.min(usize::from(u16::MAX));
        let checks = [
            ("its bytes are", "max_record_bytes", max_record, whole),
            ("the bytes of its key are", "max_key_bytes", self.max_key_bytes, key),
            ("the number of its headers is", "max_headers", self.max_headers, record.headers.len()),
            ("the bytes of a header's name are", "max_header_name_bytes", max_name, name),
            ("the bytes of its headers are", "max_header_bytes", self.max_header_bytes, headers),
        ];
        for (what, limit, allowed, found) in checks {
            if found > allowed {
                return Err(LogError::TooLarge { topic: topic.to_owned(), what, limit, allowed, found });
            }
        }
        Ok(())
    }
}

fn header_bytes(headers: &[crate::record::Header]) -> usize {
    headers.iter().map(|header| header.name.len() + header.value.len()).sum()
}

impl NewRecord {
    /// Bytes of key, payload and headers.
    pub fn size(&self) -> usize {
        let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        len(&self.key) + len(&self.payload) + header_bytes(&self.headers)
    }
}

impl Record {
    /// Bytes of key, payload and headers.
    pub fn size(&self) -> usize {
        let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        len(&self.key) + len(&self.payload) + header_bytes(&self.headers)
    }
}
