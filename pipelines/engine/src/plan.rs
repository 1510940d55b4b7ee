//! A compiled topology: what is decoded, which rows each event touches, and how.
//!
//! Build the plan, print the plan, run the plan: this is the first. [`compile`] turns a declaration and its topics into
//! a [`Topology`]; [`crate::fold`] runs it. Views are in the order of their levels: a view comes after the view that it
//! reads (`from:`) or stands beside (`with:`), so one pass in order computes them all.

mod columns;
mod compile;
mod derived;
mod describe;
mod events;
mod retain;
mod scope;

use std::sync::Arc;

use headwater_schemas::topic::Topic;
use headwater_schemas::{Type, Value};
use sha2::{Digest, Sha256};

use crate::expr::Expr;
use crate::table::{Feeding, Merge, Merged, Row, RowPosition, SumResult, Table};

pub use compile::compile;
pub(crate) use compile::outline;

/// A unit that runs: topics in, views of one store out, one position per partition.
#[derive(Debug)]
pub struct Topology {
    pub name: String,
    /// A store named in `headwater.yaml`.
    pub store: String,
    /// How often a store's refusal of one row is retried before its event is parked.
    pub retry_times: u32,
    /// By declaration; a topic's index here is what records and inputs carry.
    pub topics: Vec<TopicPlan>,
    /// By level, then by declaration.
    pub views: Vec<View>,
    /// What the topology computes, a line a fact: the same text folds the same way. The catalog of a store holds it for
    /// each generation.
    pub description: String,
}

/// The version of the fold's own semantics: a mended reducer raises it, so that deployed views are known to differ.
pub const FOLD_VERSION: u32 = 1;

/// A topic and what is needed of its events.
#[derive(Debug)]
pub struct TopicPlan {
    pub topic: Arc<Topic>,
    /// By [`Topic::events`].
    pub events: Vec<EventPlan>,
}

/// What is decoded of an event: slots of a decoded event are these fields, in this order.
#[derive(Debug, Default)]
pub struct EventPlan {
    /// Indexes of the record's fields.
    pub needed: Vec<usize>,
    /// Where the message key's fields are among the slots.
    pub key_slots: Vec<usize>,
    /// Whether any view reads the event at all.
    pub used: bool,
}

/// A view, compiled.
#[derive(Debug)]
pub struct View {
    pub table: Table,
    /// The table as a store without transactions keeps it, where that is another: shared rows in parts.
    pub in_parts: Option<Table>,
    /// 0 for a view fed straight by events; else one more than the view it reads or stands beside.
    pub level: usize,
    /// What makes one partition feed each row. None: the row is shared.
    pub owner: Option<Owner>,
    /// The unit of each key column that is `date_trunc('unit', …)`: what a query's `walk:` steps by.
    pub buckets: Vec<Option<String>>,
    /// The store may delete whole partitions of it, so nothing reads it.
    pub deletes_partitions: bool,
    /// Some other view reads this one's changes or rows.
    pub(crate) has_dependents: bool,
    /// A grand total: its one row exists even where nothing contributes.
    pub(crate) always: bool,
    /// What makes its rows is mistaken: what its key, its owner and its source are is not to be relied on. Never of a
    /// topology that runs.
    pub(crate) doubtful: bool,
    pub(crate) source: Source,
}

/// The topic whose key a row's key contains.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// By [`Topology::topics`].
    pub topic: usize,
    /// Where each field of the topic's key is among the view's columns.
    pub columns: Vec<usize>,
}

#[derive(Debug)]
pub(crate) enum Source {
    Events(EventSource),
    /// A re-keyed copy: rows mapped from the source's rows, never read back.
    Copy(CopySource),
    /// An aggregate over a view: contributions added and taken back.
    Aggregate(AggregateSource),
}

#[derive(Debug)]
pub(crate) struct EventSource {
    pub(crate) topic: usize,
    pub(crate) with: Option<usize>,
    /// By the topic's events; None where the event is not in `from`.
    pub(crate) inputs: Vec<Option<EventInput>>,
    /// By the columns after the key.
    pub(crate) reducers: Vec<Reducer>,
}

/// How one event feeds a view.
#[derive(Debug)]
pub(crate) struct EventInput {
    pub(crate) role: Role,
    /// The key's columns; only the partition's for [`Role::DeletePartition`].
    pub(crate) key: Vec<Expr>,
    /// By reducers; None where this event does not touch the column.
    pub(crate) arguments: Vec<Option<Argument>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Makes the row where there is none.
    Create,
    /// Changes a row that exists; on an absent row it is ignored and counted.
    Change,
    DeleteRow,
    DeletePartition,
}

#[derive(Debug)]
pub(crate) struct Argument {
    /// None for `count()`.
    pub(crate) value: Option<Expr>,
    pub(crate) filter: Option<Expr>,
}

/// A reducer over events or contributions, and where its hidden state is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reducer {
    Last,
    /// `set`: the flag that says a value was taken, where not every event gives one.
    First {
        set: Option<usize>,
    },
    Count,
    /// Exact: a wide sum, and how many values are in it.
    Sum {
        sum: usize,
        count: usize,
        result: SumResult,
    },
    /// Over floating point: on owned rows only, in the order of the partition.
    FloatSum,
}

#[derive(Debug)]
pub(crate) struct CopySource {
    pub(crate) view: usize,
    /// By the table's columns.
    pub(crate) columns: Vec<CopiedColumn>,
    /// The key's columns again, as expressions over the source's columns.
    pub(crate) key: Vec<Expr>,
}

/// Where a re-keyed copy's column comes from.
#[derive(Debug)]
pub(crate) enum CopiedColumn {
    /// A part of the copy's own key.
    Key(usize),
    /// The source's column, as it is: shared, not copied.
    Column(usize),
    Computed(Expr),
}

#[derive(Debug)]
pub(crate) struct AggregateSource {
    pub(crate) view: usize,
    pub(crate) key: Vec<Expr>,
    /// By the columns after the key.
    pub(crate) reducers: Vec<(Reducer, Argument)>,
    /// The state column that counts what contributes.
    pub(crate) rows: usize,
}

impl Topology {
    /// The description as a store's catalog holds it. Where rows are ordered by their events' offsets (`in_parts`), another
    /// number of partitions is another topology: a key that moves to another partition has other offsets there.
    pub fn described(&self, in_parts: bool) -> String {
        let mut text = self.description.clone();
        for topic in self.topics.iter().map(|plan| &plan.topic).filter(|_| in_parts) {
            text.push_str(&format!("partitions {}: {}\n", topic.name, topic.partitions));
        }
        text
    }

    /// Equal fingerprints fold equally: the description, hashed (SHA-256, in hex).
    pub fn fingerprint(&self, in_parts: bool) -> String {
        Sha256::digest(self.described(in_parts).as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The index and the view of this name.
    pub fn view(&self, name: &str) -> Option<(usize, &View)> {
        self.views.iter().enumerate().find(|(_, view)| view.table.name == name)
    }

    /// The topics that feed a view, straight or through what it reads, by [`Topology::topics`].
    pub fn topics_of(&self, view: usize) -> Vec<usize> {
        match &self.views[view].source {
            Source::Events(source) => vec![source.topic],
            Source::Copy(source) => self.topics_of(source.view),
            Source::Aggregate(source) => self.topics_of(source.view),
        }
    }

    /// The index and the plan of this topic.
    pub fn topic(&self, name: &str) -> Option<(usize, &TopicPlan)> {
        self.topics.iter().enumerate().find(|(_, plan)| plan.topic.name == name)
    }
}

impl View {
    /// The topic that owns the view's rows.
    pub fn owned_by<'t>(&self, topology: &'t Topology) -> Option<&'t str> {
        self.owner.as_ref().map(|owner| topology.topics[owner.topic].topic.name.as_str())
    }

    /// What it holds is not known.
    pub(crate) fn forget(&mut self) {
        self.doubtful = true;
        self.table.columns.iter_mut().for_each(|column| column.ty = crate::unknown::ty());
        self.table.columns.push(crate::unknown::any_column());
    }

    /// Its name is another view's.
    pub(crate) fn forget_name(&mut self) {
        self.table.name.clear();
    }

    /// The table as it is kept: `in_parts` by stores without transactions.
    pub fn stored(&self, in_parts: bool) -> &Table {
        self.in_parts.as_ref().filter(|_| in_parts).unwrap_or(&self.table)
    }

    /// Tells the table what feeds it, once all else is known.
    pub(crate) fn settle(&mut self) {
        self.table.fed = match &self.source {
            Source::Copy(_) => Feeding::Mapped,
            _ if self.owner.is_some() => Feeding::ByOne,
            Source::Events(source) => Feeding::ByMany(self.merge(&mut source.reducers.iter(), None)),
            Source::Aggregate(source) => {
                Feeding::ByMany(self.merge(&mut source.reducers.iter().map(|(reducer, _)| reducer), Some(source.rows)))
            }
        };
        self.in_parts = self.table.in_parts();
    }

    fn merge(&self, reducers: &mut dyn Iterator<Item = &Reducer>, rows: Option<usize>) -> Merge {
        let columns = reducers.map(|reducer| match *reducer {
            Reducer::Sum { sum, count, result } => Merged::Sum { sum, count, result },
            // Nothing else is allowed on a shared row.
            _ => Merged::Count,
        });
        Merge { columns: columns.collect(), rows, always: self.always }
    }

    /// The row of a grand total before anything contributed; None for every other view, whose rows may be absent.
    pub fn initial_row(&self) -> Option<Row> {
        self.always.then(|| self.blank_row(&[], RowPosition { partition: -1, offset: -1 }))
    }

    /// A row to which nothing has contributed yet.
    pub(crate) fn blank_row(&self, key: &[Value], position: RowPosition) -> Row {
        let mut values = Vec::with_capacity(self.table.columns.len());
        values.extend_from_slice(key);
        let reducers: &mut dyn Iterator<Item = &Reducer> = match &self.source {
            Source::Events(source) => &mut source.reducers.iter(),
            Source::Aggregate(source) => &mut source.reducers.iter().map(|(reducer, _)| reducer),
            Source::Copy(_) => &mut std::iter::empty(),
        };
        values.extend(reducers.map(|reducer| match reducer {
            Reducer::Count => Value::Long(0),
            _ => Value::Null,
        }));
        let state = self.table.state.iter().map(|column| column.ty.zero()).collect();
        Row { values, state, position, hidden: false }
    }

    /// The name of the first column whose sum no longer fits its type: an error of the read, since accumulators never
    /// fail. Such a column reads as null otherwise.
    pub fn overflowed(&self, row: &Row) -> Option<&str> {
        let reducers: Vec<&Reducer> = match &self.source {
            Source::Events(source) => source.reducers.iter().collect(),
            Source::Aggregate(source) => source.reducers.iter().map(|(reducer, _)| reducer).collect(),
            Source::Copy(_) => return None,
        };
        reducers.iter().enumerate().find_map(|(i, reducer)| {
            let Reducer::Sum { count, .. } = reducer else { return None };
            let column = self.table.key_len() + i;
            let has_values = !matches!(row.state[*count], Value::Long(0));
            (has_values && row.values[column].is_null()).then(|| self.table.columns[column].name.as_str())
        })
    }
}

/// Whether a column of this type may be in a key: it has one canonical form and an order that every store shares.
pub(crate) fn may_be_key(ty: &Type) -> bool {
    crate::unknown::is_unknown(ty)
        || !matches!(ty, Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_))
}
