//! The one way a router is served: HTTP/1.1 and HTTP/2 (without TLS: prior knowledge), with every bound that has to be
//! held below the handlers, and a drain that ends.
//!
//! A connection that moves too little for too long is closed ([`Pace`]), whatever it does: send headers slowly, a body
//! slowly, read an answer slowly, or nothing at all.

mod pace;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Limits;
use pace::Pace;

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that still talked at the deadline, and were cut.
    pub cut: usize,
}

/// Accepts connections until `shutdown` resolves, then lets the requests under way finish, within [`Limits::drain`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    limits: &Limits,
) -> io::Result<Drained> {
    let builder = builder(limits);
    let service = TowerToHyperService::new(router);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
            // Finished connections are taken out as they end.
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, slot)) = accepted else { break };
        let io = TokioIo::new(Pace::new(stream, limits));
        let connection = builder.serve_connection(io, service.clone()).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                // The peer's doing, most of the time.
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    // Nobody new from here on: a load balancer sees a refused connection.
    drop(listener);
    let finished = tokio::time::timeout(limits.drain, graceful.shutdown()).await;
    let cut = if finished.is_ok() { 0 } else { connections.len() };
    if cut > 0 {
        tracing::warn!(cut, "connections were cut at the end of the drain");
    }
    connections.shutdown().await;
    Ok(Drained { cut })
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Twice the bound: what is within it but over ours is answered with a problem, the rest with hyper's bare 431.
    let buffer = (limits.header_bytes + limits.uri_bytes) * 2;
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(buffer.max(8192))
        .max_headers(128);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(u32::try_from(buffer).unwrap_or(u32::MAX))
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

type Slot = tokio::sync::OwnedSemaphorePermit;

/// The next connection and its slot; waits for a slot first, so that what is beyond the bound queues in the kernel. None
/// where slots are no more.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, Slot)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let mut pause = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and written whole: waiting to fill a segment only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was gone before it began");
                }
                return Some((stream, slot));
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely: connections that end give some back.
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
