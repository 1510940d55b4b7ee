//! Reading a request's body: whole and bounded, or as a stream whose pauses are bounded. A client that stops in the
//! middle is told so (408) instead of being waited for.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt};

use crate::{Limits, Problem};

/// Why a body ended before its end.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    #[error("the body stopped for more than {} s", stall.as_secs())]
    Stalled { stall: Duration },
    #[error("the body has more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: u64 },
    #[error("the body broke off: {why}")]
    Broken { why: String },
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Stalled { .. } => Problem::request_timeout(error.to_string()),
            BodyError::TooLarge { limit_bytes } => Problem::too_large(limit_bytes),
            BodyError::Broken { .. } => Problem::bad_request(error.to_string()).code("body-broken"),
        }
    }
}

/// The whole body, at most [`Limits::body_bytes`].
pub async fn read(body: Body, limits: &Limits) -> Result<Bytes, BodyError> {
    let mut chunks = std::pin::pin!(paced(body, limits.body_stall, limits.body_bytes as u64));
    let mut whole = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        whole.extend_from_slice(&chunk?);
    }
    Ok(whole.freeze())
}

/// The body as it arrives: at most `limit_bytes`, and no pause longer than `stall`. Ends after the first error.
pub fn paced(body: Body, stall: Duration, limit_bytes: u64) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    let start = Some((body.into_data_stream(), 0u64));
    stream::unfold(start, move |state| async move {
        let (mut chunks, taken) = state?;
        match next_chunk(&mut chunks, stall).await? {
            Err(error) => Some((Err(error), None)),
            Ok(chunk) => {
                let taken = taken + chunk.len() as u64;
                if taken > limit_bytes {
                    return Some((Err(BodyError::TooLarge { limit_bytes }), None));
                }
                Some((Ok(chunk), Some((chunks, taken))))
            }
        }
    })
}

async fn next_chunk(chunks: &mut BodyDataStream, stall: Duration) -> Option<Result<Bytes, BodyError>> {
    match tokio::time::timeout(stall, chunks.next()).await {
        Err(_) => Some(Err(BodyError::Stalled { stall })),
        Ok(chunk) => Some(chunk?.map_err(|error| BodyError::Broken { why: error.to_string() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let limits = Limits { body_bytes: 5, ..Limits::default() };
        assert_eq!(read(Body::from("12345"), &limits).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Body::from("123456"), &limits).await, Err(BodyError::TooLarge { limit_bytes: 5 }));
    }

    #[tokio::test]
    async fn a_body_that_stops_is_not_waited_for() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from("1"))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let limits = Limits { body_stall: Duration::from_millis(20), ..Limits::default() };
        assert_eq!(read(body, &limits).await, Err(BodyError::Stalled { stall: limits.body_stall }));
    }
}
