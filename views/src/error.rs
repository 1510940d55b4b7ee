//! What can go wrong in a store, by what the caller can do about it.

use std::error::Error;

use headwater_engine::table::RowPosition;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, is busy, full or out of memory: nothing was written. Wait with a back-off and try
    /// again for ever; nothing is parked.
    #[error("the store is not available while {doing}: {source}")]
    Unavailable { doing: &'static str, source: Box<dyn Error + Send + Sync> },
    /// Another worker has moved this partition's position, or a reply to this one's own commit was lost. Nothing was
    /// written. Empty every cache, reload the positions, go on from there.
    #[error(
        "another worker has moved {topic}/{partition}: its position is {}, this one expected {}; reload the positions",
        place(*.found), place(*.expected)
    )]
    Fenced { topic: String, partition: i32, expected: Option<i64>, found: Option<i64> },
    /// Another worker has taken this partition over since, so this one may park nothing of it. Start again.
    #[error("another worker has taken {topic}/{partition} over; start again from the stored positions")]
    TakenOver { topic: String, partition: i32 },
    /// The topic was deleted and made again: the positions are those of another topic. The views must be folded anew.
    #[error(
        "topic {topic} is not the one that this store's positions are of (stored id {}, the log's {}): it was deleted and made again; reset or rebuild the topology",
        crate::text::uuid_text(.stored), crate::text::uuid_text(.given)
    )]
    TopicChanged { topic: String, stored: [u8; 16], given: [u8; 16] },
    /// The store refuses this one row, and would again: its event parks. Nothing of the flush was written.
    #[error("view {view} refuses the row {key}: {reason}")]
    Refused {
        /// The view's name.
        view: String,
        /// The row's key as text, shortened.
        key: String,
        /// The event that last touched the row; another one of its batch may be at fault.
        position: Option<RowPosition>,
        /// The row itself is at fault, which is seen without asking the server: it is refused whenever it is tried.
        by_shape: bool,
        reason: String,
    },
    /// A key or cursor that is not of its table's types: a defect of the caller, not of data.
    #[error("this is no key of view {view}: {reason}")]
    KeyMismatch { view: String, reason: String },
    /// This generation was never deployed here, or a reset has dropped it.
    #[error(
        "generation {generation} of topology {topology} is not deployed in this store; start again to read what is"
    )]
    NoGeneration { topology: String, generation: u32 },
    /// Something else is deployed under this name: compare the fingerprints, then reset or rebuild.
    #[error("topology {topology} is deployed as generation {generation} with another declaration; reset or rebuild it")]
    Deployed { topology: String, generation: u32, fingerprint: String },
    /// A view that this store cannot hold as declared.
    #[error("view {view}: {reason}")]
    Declaration { view: String, reason: String },
    /// The file or schema holds something, but nothing of ours.
    #[error("{path} is not a Headwater view store; name another")]
    NotAStore { path: String },
    /// The server turns this program away, or has another shape than it needs: its URL, TLS, role, privileges or schema.
    /// It stays so until someone mends that.
    #[error("the store cannot be used, while {doing}: {reason}")]
    Setup { doing: &'static str, reason: String },
    /// A newer Headwater wrote this store.
    #[error("this store has format {found}, this version of Headwater knows up to {known}; use the newer version")]
    Newer { found: i64, known: i64 },
    /// What the store gives back cannot be what was written.
    #[error("the store is damaged at {place}: {reason}; reset the topology to fold it anew from the log")]
    Corrupt { place: String, reason: String },
}

impl StoreError {
    /// Whether the same call may succeed later without anything being done about it.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. })
    }

    pub(crate) fn unavailable(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        StoreError::Unavailable { doing, source: source.into() }
    }

    pub(crate) fn corrupt(place: impl Into<String>, reason: impl Into<String>) -> Self {
        StoreError::Corrupt { place: place.into(), reason: reason.into() }
    }
}

fn place(position: Option<i64>) -> String {
    position.map_or_else(|| "unset".to_owned(), |next| next.to_string())
}
