//! W3C trace context: which trace a request belongs to, carried from `traceparent` through the event's headers to the
//! write.
//!
//! ```
//! use headwater_http::TraceContext;
//! let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
//! let here = TraceContext::parse(parent).expect("well formed").child();
//! assert_eq!(here.trace_id_hex(), "0af7651916cd43dd8448eb211c80319c");
//! assert_ne!(here.traceparent(), parent);
//! ```

use axum::http::HeaderMap;
use rand::Rng;

tokio::task_local! {
    /// The trace of the request that this task answers.
    pub(crate) static CURRENT: TraceContext;
}

/// A place in a trace: level 1 of the W3C recommendation, version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Not zero.
    pub trace_id: u128,
    /// This request's own span; not zero.
    pub span_id: u64,
    pub sampled: bool,
}

impl TraceContext {
    /// A trace that starts here.
    pub fn generate() -> Self {
        let mut random = rand::rng();
        Self { trace_id: random.random_range(1..=u128::MAX), span_id: random.random_range(1..=u64::MAX), sampled: true }
    }

    /// Reads a `traceparent`. None where it is malformed: the recommendation then starts a new trace.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex(version, 2)?;
        // 00 has exactly four parts; later versions may append more, which are ignored.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace_id, span_id, flags) = (hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
        let span_id = u64::try_from(span_id).ok()?;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The context of a request: a child of its `traceparent`, or a new trace.
    pub fn of(headers: &HeaderMap) -> Self {
        headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .and_then(Self::parse)
            .map_or_else(Self::generate, |parent| parent.child())
    }

    /// The context of the request that this task answers, if it answers one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|context| *context).ok()
    }

    /// The same trace, a new span.
    pub fn child(&self) -> Self {
        Self { span_id: rand::rng().random_range(1..=u64::MAX), ..*self }
    }

    /// 32 hexadecimal digits.
    pub fn trace_id_hex(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// As the header, and as the event's header `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_parents_start_a_new_trace() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
        assert!(TraceContext::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace_id in 1u128.., span_id in 1u64.., sampled: bool) {
            let context = TraceContext { trace_id, span_id, sampled };
            prop_assert_eq!(TraceContext::parse(&context.traceparent()), Some(context));
        }

        #[test]
        fn nothing_panics(text in ".{0,80}") {
            let _ = TraceContext::parse(&text);
        }
    }
}
