//! Claims: rows of their own, apart from views, that commands take by compare-and-swap.
//!
//! Turns, unique values and idempotency keys are all claims, told apart by their kind. A claim is durable once a call has
//! returned. An expiry frees nothing by itself: it only marks what [`Store::sweep_claims`](crate::Store::sweep_claims)
//! may drop. A claim that was dropped and made again has version 1 again, so a kind whose claims are dropped keeps in the
//! body who holds it, and whoever sweeps passes a time well before the slowest holder's last write.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// 1 when made, one more by each swap.
    pub version: i64,
    pub body: Vec<u8>,
    /// Milliseconds since 1970-01-01T00:00:00Z; None: kept until dropped.
    pub expires_at_ms: Option<i64>,
}
