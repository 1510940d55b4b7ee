//! Bounds and times of the command API, and the named steps at which a test may stop it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Bounds and times. The defaults suit one instance on the embedded log.
#[derive(Clone)]
pub struct Settings {
    /// The longest content of one upload, in bytes. 413 beyond it.
    pub upload_bytes: u64,
    /// Uploads at a time; each holds at most 16 MiB of memory. 503 beyond it.
    pub uploads: usize,
    /// Commands at a time that are past their checks. They go on when their client leaves. 503 beyond it.
    pub flights: usize,
    /// How long a command waits for its turn and for the views to reflect what came before. 503 beyond it.
    pub wait: Duration,
    /// After this long an event that was noted and not acknowledged will not come any more by itself: at least the
    /// producer's own delivery timeout. Whoever comes then looks into the log, and writes what was noted.
    pub delivery_timeout: Duration,
    /// How long the answer to an `Idempotency-Key` is kept.
    pub answers_kept: Duration,
    /// Content that no event names is removed after this long.
    pub orphans_kept: Duration,
    /// How often what has expired is swept.
    pub sweep_every: Duration,
    /// Called at every step of every command; None in production. A test aborts the process there.
    pub at: Option<Arc<dyn Fn(Step) + Send + Sync>>,
}

/// What was just done, in the order in which a command does it. Everything named here is durable when it is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The upload's note is written: what the sweep goes by.
    UploadNoted,
    /// The content is stored.
    ContentStored,
    /// The `Idempotency-Key` is taken; nothing is decided yet.
    KeyTaken,
    /// The unique value is taken; whether another owner has it is not known yet.
    ValueTaken,
    /// The view shows no other owner.
    ValueFree,
    /// The event is noted where its fate is decided: it will be written, by this attempt or by whoever comes next.
    EventNoted,
    /// The log has the event.
    EventWritten,
    /// The turn has the event's position: the next one may have it.
    TurnPassed,
    /// The unique value's claim has the event's position.
    ValueWritten,
    /// The answer is kept under the `Idempotency-Key`.
    AnswerKept,
    /// The upload's note is removed.
    UploadNamed,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Step; 11] = [
        Step::UploadNoted,
        Step::ContentStored,
        Step::KeyTaken,
        Step::ValueTaken,
        Step::ValueFree,
        Step::EventNoted,
        Step::EventWritten,
        Step::TurnPassed,
        Step::ValueWritten,
        Step::AnswerKept,
        Step::UploadNamed,
    ];
}

impl Settings {
    pub(crate) fn reached(&self, step: Step) {
        if let Some(at) = &self.at {
            at(step);
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            upload_bytes: 5 * 1024 * 1024 * 1024,
            uploads: 32,
            flights: 1024,
            wait: Duration::from_secs(10),
            delivery_timeout: Duration::from_secs(10),
            answers_kept: Duration::from_secs(7 * DAY),
            orphans_kept: Duration::from_secs(DAY),
            sweep_every: Duration::from_secs(10 * 60),
            at: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("upload_bytes", &self.upload_bytes)
            .field("delivery_timeout", &self.delivery_timeout)
            .finish_non_exhaustive()
    }
}
