//! How a test's records are delivered, and what goes wrong meanwhile.

use std::fmt;

use super::arrangement::Log;
use super::store::Reached;

/// The rules that a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    Sql,
    Cassandra,
}

/// One run of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) rules: Rules,
    /// By the test's logs.
    pub(super) log: usize,
    pub(super) cut: Cut,
    pub(super) repeat: Repeat,
    /// Two workers have the odd and the even partitions, and take turns step by step.
    pub(super) split: bool,
    /// The rows of one view are written in the other order.
    pub(super) backwards: bool,
    /// What workers have cached is forgotten after each batch, as a full cache forgets.
    pub(super) forgets: bool,
    /// Which replicas are asked first.
    pub(super) replicas: u64,
    /// One after the other: the second comes to the worker that took over after the first.
    pub(super) faults: Vec<Fault>,
}

/// Where batches end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    AllInOne,
    OneEach,
    /// Two, three, two, … a batch.
    Uneven,
}

/// Whether records are delivered again at the same offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Never,
    /// Each twice in a row.
    Each,
    /// All of them, then all of them again from the first.
    All,
}

/// A worker stops, and another takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// After so many of its steps.
    pub(super) at: usize,
    pub(super) then: Then,
    /// How the worker that takes over cuts its batches.
    pub(super) cut: Cut,
    /// The worker that stops held this record for poison, by the log's records; the one that takes over does not.
    pub(super) doubts: Option<usize>,
}

/// What becomes of the worker that stops; `after` counts the steps of those that took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It dies, and its write in flight comes to these.
    Dies(Reached),
    /// It dies, and its write in flight lands late.
    LandsLate { after: usize },
    /// It was frozen, and goes on with what it was doing: so many steps for each of the others'.
    GoesOn { after: usize, pace: usize },
    /// It was frozen, and the partitions are its own again.
    Returns { after: usize },
}

/// All steps before any of the others'.
pub(super) const AT_ONCE: usize = usize::MAX;

impl Fault {
    /// What a worker parks while the partitions are its own holds, whoever else would have applied it: that is no failure.
    pub(super) fn is_sound(&self) -> bool {
        let wakes = |then: Then| match then {
            Then::Dies(_) => usize::MAX,
            Then::LandsLate { after } | Then::GoesOn { after, .. } | Then::Returns { after } => after,
        };
        self.doubts.is_none() || (self.at > 0 && wakes(self.then) > 0)
    }
}

impl Schedule {
    pub(super) fn plain(rules: Rules, log: usize) -> Self {
        let (cut, repeat) = (Cut::AllInOne, Repeat::Never);
        Self {
            rules,
            log,
            cut,
            repeat,
            split: false,
            backwards: false,
            forgets: false,
            replicas: 0,
            faults: Vec::new(),
        }
    }

    /// In words; what happened to the workers was told by the run.
    pub(super) fn told(&self, log: &Log, happened: &[String]) -> String {
        let mut text = format!("{}, {}{}", self.rules, self.cut, log.arrangement);
        text.push_str(match self.repeat {
            Repeat::Never => "",
            Repeat::Each => ", each delivered twice",
            Repeat::All => ", all delivered again",
        });
        text.push_str(if self.split { ", two workers with half of the partitions each" } else { "" });
        text.push_str(if self.backwards { ", rows of one view in the other order" } else { "" });
        text.push_str(if self.forgets { ", nothing cached from batch to batch" } else { "" });
        happened.iter().for_each(|happened| text.push_str(&format!("; {happened}")));
        text
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rules::Sql => "in a SQL store",
            Rules::Cassandra => "in Cassandra",
        })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cut::AllInOne => "all events in one batch",
            Cut::OneEach => "one event a batch",
            Cut::Uneven => "two and three events a batch",
        })
    }
}
