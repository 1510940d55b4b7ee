//! A stream that must move: at least some bytes, in either direction, within a time. The first bytes have less time, since
//! nothing else bounds a client that connects and says nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::Limits;

/// Enough to tell HTTP/2's preface from a request.
const FIRST_BYTES: usize = 24;

pub(super) struct Pace<S> {
    stream: S,
    idle_time: Duration,
    idle_bytes: usize,
    /// Bytes still to move before the deadline.
    due: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Pace<S> {
    pub(super) fn new(stream: S, limits: &Limits) -> Self {
        Self {
            stream,
            idle_time: limits.idle_time,
            idle_bytes: limits.idle_bytes.max(1),
            due: FIRST_BYTES,
            deadline: Box::pin(tokio::time::sleep(limits.header_time)),
        }
    }

    fn moved(&mut self, bytes: usize) {
        if bytes < self.due {
            self.due -= bytes;
            return;
        }
        self.due = self.idle_bytes;
        self.deadline.as_mut().reset(Instant::now() + self.idle_time);
    }

    /// For a side that has to wait: an error once the deadline has passed.
    fn check<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn count(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.check(cx),
            Poll::Ready(Ok(bytes)) => {
                self.moved(bytes);
                Poll::Ready(Ok(bytes))
            }
            failed => failed,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Pace<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending => self.check(cx),
            Poll::Ready(Ok(())) => {
                let read = buf.filled().len() - before;
                self.moved(read);
                Poll::Ready(Ok(()))
            }
            failed => failed,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pace<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
