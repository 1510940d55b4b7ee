//! Every bound on a request, in one place. A client that stays within them never meets them; one that does not is
//! answered with a problem that names the bound, or cut off where no answer can be given.

use std::time::Duration;

/// The bounds. The defaults suit one instance behind nothing.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The request line and all headers together, in bytes. 431 beyond it.
    pub header_bytes: usize,
    /// From the first byte of a request to the end of its headers. The connection is closed beyond it.
    pub header_time: Duration,
    /// The request target, in bytes. 414 beyond it.
    pub uri_bytes: usize,
    /// A body that is read whole, in bytes. 413 beyond it. Uploads are bounded by their route.
    pub body_bytes: usize,
    /// The longest pause within a body. 408 beyond it.
    pub body_stall: Duration,
    /// The time to answer, from the headers' end, of a request that neither uploads nor asks to wait. 503 beyond it.
    pub request_time: Duration,
    /// The most that `Prefer: wait` is heeded. A larger wish is cut to this.
    pub longest_wait: Duration,
    /// A connection must move [`Limits::idle_bytes`] within this time, either way. It is closed otherwise.
    pub idle_time: Duration,
    /// See [`Limits::idle_time`]: what tells a slow client from one that holds a connection by trickling.
    pub idle_bytes: usize,
    /// Connections at a time; more wait in the listener's queue.
    pub connections: usize,
    /// Requests being answered at a time. 503 with `Retry-After` beyond it.
    pub concurrent_requests: usize,
    /// From the shutdown signal until connections that still talk are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            header_time: Duration::from_secs(10),
            uri_bytes: 8 * 1024,
            body_bytes: 1024 * 1024,
            body_stall: Duration::from_secs(15),
            request_time: Duration::from_secs(30),
            longest_wait: Duration::from_secs(30),
            idle_time: Duration::from_secs(90),
            idle_bytes: 512,
            connections: 4096,
            concurrent_requests: 1024,
            drain: Duration::from_secs(20),
        }
    }
}
