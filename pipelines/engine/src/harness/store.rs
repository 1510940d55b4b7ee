//! The stores that runs write to, and what they say of a worker.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use headwater_schemas::Value;

use super::Left;
use super::cassandra::Cassandra;
use super::mutation::Mutation;
use super::schedule::Rules;
use super::sql::Sql;
use super::write::Write;
use crate::batch::Positions;
use crate::plan::Topology;
use crate::table::Row;

/// The worker has lost its place: someone else moved on. It starts anew, from what the store says.
#[derive(Debug)]
pub(super) struct Lost;

/// By topic, partition and message key: the first offset that is parked.
pub(super) type Markers = HashMap<(usize, i32, Bytes), i64>;

/// What is asked of a store when a batch begins.
pub(super) enum Begun {
    Went,
    /// Another transaction is open.
    Waits,
}

/// Where a write came to when its worker died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    Nobody,
    OneReplica,
    /// It is there; only the reply was lost.
    All,
}

pub(super) enum Store {
    Sql(Box<Sql>),
    Cassandra(Box<Cassandra>),
}

/// What a topic was when its views were made, and what a worker finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Another one where the topic was deleted and made again.
    pub(super) id: u64,
    pub(super) partitions: u32,
}

impl Store {
    /// Whether a worker has to stop: the offsets that it would read mean something else than those stored.
    pub(super) fn refuses(&self, made_for: Identity, found: Identity, mutation: Option<Mutation>) -> bool {
        let other_topic = made_for.id != found.id && mutation != Some(Mutation::AnyTopic);
        let by_offset = matches!(self, Store::Cassandra(_)) && mutation != Some(Mutation::AnyPartitions);
        other_topic || (by_offset && made_for.partitions != found.partitions)
    }

    /// Two workers wrote different values where they should have written the same.
    pub(super) fn is_contradicted(&self) -> bool {
        matches!(self, Store::Cassandra(store) if store.contradicted)
    }

    pub(super) fn new(topology: Arc<Topology>, rules: Rules, seed: u64, mutation: Option<Mutation>) -> Self {
        match rules {
            Rules::Sql => Store::Sql(Box::new(Sql::new(topology, mutation))),
            Rules::Cassandra => Store::Cassandra(Box::new(Cassandra::new(topology, seed, mutation))),
        }
    }

    /// Takes partitions over; gives the epoch that the worker has from then on.
    pub(super) fn take_over(&mut self, places: &[(usize, i32)]) -> i64 {
        match self {
            Store::Sql(_) => 0,
            Store::Cassandra(store) => store.take_over(places),
        }
    }

    pub(super) fn positions(&mut self) -> Positions {
        match self {
            Store::Sql(store) => store.positions().clone(),
            Store::Cassandra(store) => store.positions(),
        }
    }

    pub(super) fn markers(&self) -> Markers {
        match self {
            Store::Sql(store) => store.markers().clone(),
            Store::Cassandra(store) => store.markers().clone(),
        }
    }

    /// Compares the positions that a batch starts from with those stored; in SQL the transaction begins.
    pub(super) fn begin(&mut self, worker: usize, from: &[((usize, i32), Option<i64>)]) -> Result<Begun, Lost> {
        match self {
            Store::Sql(store) => store.begin(worker, from),
            Store::Cassandra(store) => store.compare(from).map(|()| Begun::Went),
        }
    }

    pub(super) fn read(&mut self, worker: usize, view: usize, key: &[Value]) -> Option<Row> {
        match self {
            Store::Sql(store) => store.read(worker, view, key),
            Store::Cassandra(store) => store.read(view, key),
        }
    }

    pub(super) fn write(&mut self, worker: usize, epoch: i64, write: &Write, reached: Reached) -> Result<(), Lost> {
        match self {
            Store::Sql(_) if reached == Reached::Nobody => Ok(()),
            Store::Sql(store) => store.write(worker, write),
            Store::Cassandra(store) => store.write(epoch, write, reached),
        }
    }

    /// The worker is gone, or was frozen for so long that its connection is.
    pub(super) fn disconnect(&mut self, worker: usize) {
        if let Store::Sql(store) = self {
            store.roll_back(worker);
        }
    }

    pub(super) fn left(&mut self) -> Left {
        match self {
            Store::Sql(store) => store.left(),
            Store::Cassandra(store) => store.left(),
        }
    }

    /// The parked records and, where they failed themselves, why.
    pub(super) fn parked(&mut self) -> Vec<((usize, i32, i64), Option<String>)> {
        match self {
            Store::Sql(store) => store.parked(),
            Store::Cassandra(store) => store.parked(),
        }
    }
}
