//! `file:` the content that a row refers to, streamed from the blob store in bounded memory.
//!
//! The row says how long the content is and what it hashes to; a blob that is not that is cut off before its last bytes,
//! so that no client takes it for whole. The snapshot is given back before the first byte is sent.

use std::io;
use std::ops::Range;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use headwater_engine::query::{Answer, Query};
use headwater_engine::table::Row;
use headwater_http::{PositionToken, Problem, etag};
use headwater_schemas::Value;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::disposition::attachment;
use crate::reading::Reading;
use crate::request::read;
use crate::{QueryApi, answer, range, row};

/// Bytes read from a file at a time.
const CHUNK: usize = 128 * 1024;
const ANY_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");

pub(crate) async fn answer(api: &QueryApi, query: &Query, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let asked = read(api, query, &mut parts, &[]).await?;
    let mut reading = Reading::open(api, query, asked.after.as_ref()).await?;
    let row = row::find(query, &asked, &mut reading).await?;
    let token = std::mem::take(&mut reading.token);
    // A download may take an hour; a snapshot must not.
    drop(reading);
    let content = Content::of(query, &row)?;
    let tag = content.tag();
    let mut response = Response::new(Body::empty());
    content.describe(response.headers_mut(), &tag, &token);
    if etag::not_modified(&asked.headers, &tag)? {
        for whole in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_DISPOSITION] {
            response.headers_mut().remove(whole);
        }
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    // RFC 9110: a range is of GET alone.
    if parts.method == Method::HEAD {
        return Ok(response);
    }
    let part = range::asked(&asked.headers, &tag, content.size)?;
    if let Some(part) = &part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {}-{}/{}", part.start, part.end - 1, content.size);
        set(response.headers_mut(), CONTENT_RANGE, &range);
        set(response.headers_mut(), CONTENT_LENGTH, &(part.end - part.start).to_string());
    }
    *response.body_mut() = Body::from_stream(content.open(&*api.blobs, part).await?);
    Ok(response)
}

/// What the row says of its content.
struct Content {
    blob: String,
    sha256: [u8; 32],
    /// Bytes.
    size: u64,
    name: String,
    mime_type: String,
}

impl Content {
    fn of(query: &Query, row: &Row) -> Result<Self, Problem> {
        let Answer::File { content, fields, name, mime_type } = query.answer else {
            return Err(Problem::internal("not a file"));
        };
        let text = |column: usize| match &row.values[column] {
            Value::String(text) => text.to_string(),
            _ => String::new(),
        };
        let record = match &row.values[content] {
            Value::Record(record) => record,
            _ => return Err(Problem::not_found("this has no content")),
        };
        let damaged = || Problem::internal(format!("a row of {} refers to no content", query.table().name));
        let Value::String(blob) = &record[fields.blob] else { return Err(damaged()) };
        let Value::Long(size) = &record[fields.size] else { return Err(damaged()) };
        Ok(Self {
            blob: blob.to_string(),
            sha256: sha256(&record[fields.sha256]).ok_or_else(damaged)?,
            size: u64::try_from(*size).map_err(|_| damaged())?,
            name: text(name),
            mime_type: text(mime_type),
        })
    }

    /// The content's hash: the same bytes, the same tag, whatever the row says beside it.
    fn tag(&self) -> String {
        let hex: String = self.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    }

    fn describe(&self, headers: &mut HeaderMap, tag: &str, token: &PositionToken) {
        answer::validators(headers, tag, token);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_TYPE, media_type(&self.mime_type));
        // Somebody else's bytes on our origin: nothing in them runs.
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
        set(headers, CONTENT_DISPOSITION, &attachment(&self.name));
        set(headers, CONTENT_LENGTH, &self.size.to_string());
    }

    async fn open(
        &self,
        blobs: &dyn ObjectStore,
        part: Option<Range<u64>>,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Problem> {
        let lost = |why: &dyn std::fmt::Display| Problem::internal(format!("blob {}: {why}", self.blob));
        let path = Path::parse(&self.blob).map_err(|error| lost(&error))?;
        let options = GetOptions { range: part.clone().map(GetRange::Bounded), ..GetOptions::default() };
        let found = blobs.get_opts(&path, options).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => {
                tracing::error!(blob = self.blob, "a row names content that the blob store does not have");
                let detail = "the content that this row names is not in the blob store; an operator has to restore it";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "content-missing", detail)
            }
            error => lost(&error),
        })?;
        if found.meta.size != self.size {
            return Err(lost(&format!("it has {} bytes and should have {}", found.meta.size, self.size)));
        }
        let expected = Expected {
            blob: self.blob.clone(),
            bytes: part.as_ref().map_or(self.size, |part| part.end - part.start),
            sha256: part.is_none().then_some(self.sha256),
        };
        Ok(verified(chunks(found).await.map_err(|error| lost(&error))?, expected))
    }
}

fn set(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// 32 bytes, or 64 hexadecimal digits.
fn sha256(value: &Value) -> Option<[u8; 32]> {
    match value {
        Value::Bytes(bytes) => bytes[..].try_into().ok(),
        Value::String(hex) if hex.len() == 64 && hex.is_ascii() => {
            let mut bytes = [0; 32];
            for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
                *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
            }
            Some(bytes)
        }
        _ => None,
    }
}

/// What the client that added it said it is, if that is a media type at all.
fn media_type(text: &str) -> HeaderValue {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let fits = essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    HeaderValue::from_str(text).ok().filter(|_| fits).unwrap_or(ANY_TYPE)
}

async fn chunks(found: GetResult) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
    let range = found.range.clone();
    match found.payload {
        GetResultPayload::File(file, _) => {
            let mut file = tokio::fs::File::from_std(file);
            file.seek(io::SeekFrom::Start(range.start)).await?;
            Ok(ReaderStream::with_capacity(file.take(range.end - range.start), CHUNK).boxed())
        }
        GetResultPayload::Stream(stream) => Ok(stream.map_err(io::Error::other).boxed()),
    }
}

#[derive(Default)]
struct Expected {
    blob: String,
    bytes: u64,
    /// Of the whole; a part cannot be told.
    sha256: Option<[u8; 32]>,
}

struct Verifying {
    chunks: BoxStream<'static, io::Result<Bytes>>,
    /// The last chunk read: given only once what follows, or the end, is as expected.
    held: Option<Bytes>,
    taken: u64,
    hash: Sha256,
    expected: Expected,
}

/// The chunks, the last of which is given only if all of them are what is expected.
fn verified(
    chunks: BoxStream<'static, io::Result<Bytes>>,
    expected: Expected,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let chunks = chunks.fuse().boxed();
    let state = Verifying { chunks, held: None, taken: 0, hash: Sha256::new(), expected };
    stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        match state.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(state))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(blob = state.expected.blob, %error, "a download was cut off");
                Some((Err(error), None))
            }
        }
    })
}

impl Verifying {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk?;
            if chunk.is_empty() {
                continue;
            }
            self.taken += chunk.len() as u64;
            if self.taken > self.expected.bytes {
                return Err(wrong_bytes());
            }
            if self.expected.sha256.is_some() {
                self.hash.update(&chunk);
            }
            if let Some(before) = self.held.replace(chunk) {
                return Ok(Some(before));
            }
        }
        let hash: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        if self.taken != self.expected.bytes || self.expected.sha256.is_some_and(|expected| expected != hash) {
            return Err(wrong_bytes());
        }
        // Asked again after the last, nothing is left to check.
        self.expected = Expected { bytes: self.taken, sha256: None, ..std::mem::take(&mut self.expected) };
        Ok(self.held.take())
    }
}

fn wrong_bytes() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its bytes are not those that were added")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(whole: &[u8]) -> Expected {
        Expected { blob: "b".into(), bytes: whole.len() as u64, sha256: Some(Sha256::digest(whole).into()) }
    }

    async fn read_all(chunks: &[&'static [u8]], expected: Expected) -> (Vec<u8>, bool) {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        let mut stream = std::pin::pin!(verified(stream::iter(chunks).boxed(), expected));
        let mut read = Vec::new();
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => read.extend_from_slice(&chunk),
                Err(_) => return (read, false),
            }
        }
        (read, true)
    }

    #[tokio::test]
    async fn only_what_is_expected_is_given_whole() {
        type Chunks<'a> = &'a [&'static [u8]];
        let cases: [(Chunks<'_>, &[u8], bool); 6] = [
            (&[b"abc", b"def"], b"abcdef", true),
            (&[], b"", true),
            (&[b""], b"", true),
            (&[b"abc", b"deX"], b"abcdef", false),
            (&[b"abc"], b"abcdef", false),
            (&[b"abc", b"def", b"g"], b"abcdef", false),
        ];
        for (chunks, whole, fine) in cases {
            let (read, ended) = read_all(chunks, expected(whole)).await;
            assert_eq!(ended, fine, "{chunks:?}");
            assert_eq!(read == whole, fine, "{chunks:?}: what is wrong is never given whole");
        }
    }

    #[test]
    fn a_media_type_is_one_or_is_not_given() {
        for (text, given) in [
            ("text/plain", "text/plain"),
            ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
            ("image/svg+xml", "image/svg+xml"),
            ("", "application/octet-stream"),
            ("plain", "application/octet-stream"),
            ("text/", "application/octet-stream"),
            ("text/pl ain", "application/octet-stream"),
            ("text/plain\r\nX: y", "application/octet-stream"),
            ("té/xt", "application/octet-stream"),
        ] {
            assert_eq!(media_type(text), given, "{text:?}");
        }
    }
}
