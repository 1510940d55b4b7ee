//! What was sent, and what came of it as far as whoever sent it knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A command's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No answer that says which: it is repeated until there is one.
    Unknown,
    /// 202, with the event's id.
    Accepted { event_id: String },
    /// It will not be done: the problem's code.
    Refused(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Version,
    Remove,
}

/// A command as it was sent, and is sent again.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) kind: Kind,
    /// The index of its sender.
    pub(crate) client: usize,
    pub(crate) idempotency_key: String,
    /// The document; of an addition, once it is accepted.
    pub(crate) doc_id: Option<String>,
    /// The file's name.
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
    pub(crate) fate: Fate,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// A raw record, by the number that it carries.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) what: &'static str,
    /// Where it was acknowledged; None: it may be in the log or not.
    pub(crate) place: Option<Place>,
}

#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) commands: Vec<Command>,
    pub(crate) raws: BTreeMap<u64, Raw>,
    /// Answers of the command API, by status and problem code.
    pub(crate) answers: BTreeMap<String, u64>,
    /// What a client saw that it must not see.
    pub(crate) wrongs: Vec<String>,
    /// Reads of what was just written that were answered.
    pub(crate) read_back: u64,
}

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Entries>>);

impl Ledger {
    pub(crate) fn open(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
