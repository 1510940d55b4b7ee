//! View stores: where the rows of a fold, and the positions that they reflect, are kept and read.
//!
//! One interface, a closed set of backends: [`Store`] is an enum with one match a method. A flush moves positions by
//! compare-and-swap, reads rows, writes rows and parks records; on an SQL store that is one transaction, on a store
//! without them it is an order of idempotent writes, so nothing of the interface may promise more than:
//!
//! 1. [`Store::begin`] fails with [`StoreError::Fenced`] where another worker has moved a position;
//! 2. [`Flush::read`] gives rows as of the positions that `begin` compared;
//! 3. once [`Flush::commit`] returns, rows, parked records and positions are durable together;
//! 4. a flush that is dropped, or refused, leaves nothing.

mod cassandra;
mod claim;
mod deployment;
mod error;
mod json;
mod memory;
mod order;
mod page;
mod parked;
mod position;
mod postgres;
mod shape;
mod snapshot;
mod sqlite;
mod store;
mod text;

pub use cassandra::{
    CassandraFacts, CassandraOptions, CassandraStore, KeyspaceHolds, KeyspaceRights, NodeAnswer, NodeFacts, TableFacts,
};
pub use claim::Claim;
pub use deployment::{Active, Deployment};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use page::PageRequest;
pub use parked::{Limits, Parked, ParkedFilter, ParkedKey, ParkedRecord};
pub use position::{FlushTarget, PositionMove, StoredPosition};
pub use postgres::{PostgresFacts, PostgresOptions, PostgresStore};
pub use snapshot::Snapshot;
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{Flush, Store};
