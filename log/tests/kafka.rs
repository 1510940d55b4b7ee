//! What only Kafka can go through: security, groups that rebalance, transactions, compaction, records and topics deleted
//! under a reader. All of it on a real broker, which other tests use at the same time.

#![allow(clippy::unwrap_used)] // the functions that tests call are tests, which clippy does not see

mod kafka {
    mod cluster;
    mod connecting;
    mod frozen;
    mod groups;
    mod positions;
    mod writes;
}
