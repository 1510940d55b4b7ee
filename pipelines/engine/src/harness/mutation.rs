//! The rules that keep the rows right, each of which can be taken out: what the matrix does not catch then, it does not hold.
//!
//! Only tests take one out: the matrix's own, and those of the second fold. `headwater test` keeps them all.

/// One rule broken. The numbers are those of the rules of a store without transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// 1: writes are stamped by a clock.
    ClockTimestamps,
    /// 1: writes are stamped by the epoch of their worker, then by offset.
    EpochTimestamps,
    /// 2: an event is applied though its row reflects it.
    NoFence,
    /// 3: one part a row, whichever partition feeds it.
    OnePart,
    /// 3: one part a partition's number, whichever topic's it is.
    OnePartOfTopics,
    /// 4: a source is written before what derives from it.
    SourcesFirst,
    /// 4: the position is written before the rows.
    PositionFirst,
    /// 5: columns that the batch did not change are left out.
    ChangedColumns,
    /// 6: an aggregate that holds nothing is deleted.
    DeletedAggregates,
    /// 7: what a batch made and took back is not written.
    NetWrites,
    /// 8: derived rows are read before their sources.
    MixedReads,
    /// 9: derived aggregates stay cached.
    CachedAggregates,
    /// 10: a source row that is gone is deleted.
    DeletedSources,
    /// 11: one replica is asked, and one has to take a write.
    QuorumOne,
    /// 11: what a quorum read differently is not mended.
    NoReadRepair,
    /// 12: the topic's id is not compared.
    AnyTopic,
    /// 13: the number of partitions is not compared.
    AnyPartitions,
    /// P2: parked records are written after the position.
    ParkedLast,
    /// P4: a marker is written whoever has the partition.
    MarkerOfAnyone,
    /// P4: markers are written after the rows.
    MarkerLast,
    /// Takeover: markers are read, then the partition is taken over.
    MarkersBeforeTakeover,
    /// SQL: the positions are not compared.
    NoSwap,
    /// SQL: a transaction does not wait for another that has the same rows.
    NoTurns,
    /// SQL: every write is there at once.
    NoTransaction,
    /// SQL: what is cached outlives what was refused.
    KeptCache,
    /// SQL: rows are read before the transaction.
    ReadsOutside,
    /// SQL: rows are read first, then the positions are loaded again.
    PositionsAfterReads,
}
