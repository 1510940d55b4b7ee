//! Reading a request's body: whole and bounded, or as a stream whose pauses are bounded. A client that stops in the
//! middle is told so (408) instead of being waited for.

use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt};

use crate::{Limits, Problem};

/// A body that moves less than this for as long as it may pause holds its place by trickling.
const LEAST_BYTES: usize = 1024;

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

/// The body as it arrives: at most `limit_bytes`, and no more than `stall` waited for each [`LEAST_BYTES`] of it. Ends after
/// the first error.
pub fn paced(body: Body, stall: Duration, limit_bytes: u64) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    let pace = Paced { chunks: body.into_data_stream(), taken: 0, stall, patience: stall, due: LEAST_BYTES };
    stream::unfold(Some(pace), move |pace| async move {
        let mut pace = pace?;
        match pace.next().await? {
            Err(error) => Some((Err(error), None)),
            Ok(_) if pace.taken > limit_bytes => Some((Err(BodyError::TooLarge { limit_bytes }), None)),
            Ok(chunk) => Some((Ok(chunk), Some(pace))),
        }
    })
}

struct Paced {
    chunks: BodyDataStream,
    taken: u64,
    stall: Duration,
    /// How much longer to wait, all waits together, until `due` bytes have come.
    patience: Duration,
    due: usize,
}

impl Paced {
    /// Only what is spent here counts: while the reader is busy, the client may not be able to go on.
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let began = Instant::now();
        let Ok(chunk) = tokio::time::timeout(self.patience, self.chunks.next()).await else {
            return Some(Err(BodyError::Stalled { stall: self.stall }));
        };
        let chunk = match chunk? {
            Ok(chunk) => chunk,
            Err(error) => return Some(Err(BodyError::Broken { why: error.to_string() })),
        };
        self.taken += chunk.len() as u64;
        self.patience = self.patience.saturating_sub(began.elapsed());
        self.due = self.due.saturating_sub(chunk.len());
        if self.due == 0 {
            (self.patience, self.due) = (self.stall, LEAST_BYTES);
        }
        Some(Ok(chunk))
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
    async fn a_body_that_trickles_is_not_waited_for() {
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let limits = Limits { body_stall: Duration::from_millis(50), ..Limits::default() };
        let read = read(Body::from_stream(trickle), &limits).await;
        assert_eq!(read, Err(BodyError::Stalled { stall: limits.body_stall }));
    }

    #[tokio::test]
    async fn a_body_that_stops_is_not_waited_for() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from("1"))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let limits = Limits { body_stall: Duration::from_millis(20), ..Limits::default() };
        assert_eq!(read(body, &limits).await, Err(BodyError::Stalled { stall: limits.body_stall }));
    }
}
