//! Positions: the next offset to read of each partition, kept beside the rows that reflect what came before it.

use crate::StoreError;

/// What a flush writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushTarget {
    pub topology: String,
    pub generation: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPosition {
    pub topic: String,
    /// The identity of the topic that the offset is of.
    pub topic_id: [u8; 16],
    pub partition: i32,
    /// The next offset to read: everything before it is in the views or parked.
    pub next: i64,
}

/// One partition's step in a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionMove {
    pub topic: String,
    pub topic_id: [u8; 16],
    pub partition: i32,
    /// The stored position that this worker started from. None: no position is stored yet, which is not the same as 0.
    pub from: Option<i64>,
    /// The next offset to read once the flush is committed; never before `from`.
    pub to: i64,
    /// What [`Store::take_over`](crate::Store::take_over) gave for the partition.
    pub epoch: i64,
}

impl PositionMove {
    /// Whether `found` (the topic's id and the stored next offset) is what this move starts from.
    pub(crate) fn compare(&self, found: Option<&([u8; 16], i64)>) -> Result<(), StoreError> {
        if let Some((stored, _)) = found
            && *stored != self.topic_id
        {
            return Err(StoreError::TopicChanged { topic: self.topic.clone(), stored: *stored, given: self.topic_id });
        }
        let found = found.map(|(_, next)| *next);
        if found == self.from && self.from.is_none_or(|from| from <= self.to) && self.to >= 0 {
            return Ok(());
        }
        Err(StoreError::Fenced { topic: self.topic.clone(), partition: self.partition, expected: self.from, found })
    }
}
