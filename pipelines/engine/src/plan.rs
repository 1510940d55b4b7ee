//! A compiled topology: what is decoded, which rows each event touches, and how.
//!
//! Build the plan, print the plan, run the plan: this is the first. [`compile`] turns a declaration and its topics into
//! a [`Topology`]; [`crate::fold`] runs it. Views are in the order of their levels: a view comes after the view that it
//! reads (`from:`) or stands beside (`with:`), so one pass in order computes them all.

mod columns;
mod compacted;
mod compile;
mod computed;
mod derived;
mod describe;
mod events;
mod inputs;
mod metadata;
mod overflow;
mod parts;
mod reducer;
mod retain;
mod scope;
mod seen;
mod values;

use std::sync::Arc;

use headwater_schemas::topic::Topic;
use headwater_schemas::{Type, Value};
use sha2::{Digest, Sha256};

use crate::declare::ViewDecl;
use crate::expr::Expr;
use crate::table::{Feeding, Merge, Merged, Row, RowPosition, Table};

pub use compile::compile;
pub(crate) use compile::outline;
pub(crate) use metadata::{Metadata, Needed};
pub(crate) use reducer::{Computed, Part, Reducer};

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
    /// The views as written, for whoever explains them.
    pub(crate) declared: Vec<ViewDecl>,
    /// What the topology computes, a line a fact: the same text folds the same way. The catalog of a store holds it for
    /// each generation.
    pub description: String,
}

/// The version of the fold's own semantics: a mended reducer raises it, so that deployed views are known to differ.
pub const FOLD_VERSION: u32 = 2;

/// A topic and what is needed of its events.
#[derive(Debug)]
pub struct TopicPlan {
    pub topic: Arc<Topic>,
    /// By [`Topic::events`], then that of a record without a value, whose slots are the key's fields.
    pub events: Vec<EventPlan>,
}

/// What is decoded of an event: slots of a decoded event are these fields, in this order.
#[derive(Debug, Default)]
pub struct EventPlan {
    /// Indexes of the record's fields; those after them are what the record says beside its event.
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
    /// Columns that it reads of another view, and whose results may come not to fit their types.
    pub(crate) watched: Vec<usize>,
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
    /// What is remembered of a topic's records.
    Seen(SeenSource),
}

#[derive(Debug)]
pub(crate) struct SeenSource {
    pub(crate) topic: usize,
    /// How many records of a key are remembered.
    pub(crate) last: usize,
    /// By the topic's events and then `Tombstone`.
    pub(crate) told: Vec<Told>,
}

/// What tells a record from others of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The header `ce_id`.
    Header,
    /// A field of the event, in this slot.
    Slot(usize),
    /// Nothing: it has no such field.
    Not,
}

#[derive(Debug)]
pub(crate) struct EventSource {
    /// One as a rule. Each of several has a part of every row; they are in the order of the topology's.
    pub(crate) topics: Vec<TopicSource>,
    pub(crate) with: Option<usize>,
    /// By the columns after the key.
    pub(crate) reducers: Vec<Reducer>,
    /// Where one of several topics makes the rows.
    pub(crate) making: Option<Making>,
}

/// What a topic gives a view.
#[derive(Debug)]
pub(crate) struct TopicSource {
    /// By [`Topology::topics`].
    pub(crate) topic: usize,
    /// What makes one partition of it feed each row, or its part of it.
    pub(crate) owner: Option<Owner>,
    /// By the topic's events and then `Tombstone`, each in the order of the aliases that it stands under; none where it is not in `from`.
    pub(crate) inputs: Vec<Vec<EventInput>>,
}

/// How rows that several topics feed come and go with the part of one of them. Until that part is there, and once it is
/// gone, those of the others are kept, and hidden.
#[derive(Debug)]
pub(crate) struct Making {
    /// By the view's topics.
    pub(crate) topic: usize,
    /// The state column that tells whether its part is there.
    pub(crate) made: usize,
    /// The state column that tells whether another topic's is.
    pub(crate) beside: usize,
    /// By the columns after the key: whether it alone feeds them.
    pub(crate) columns: Vec<bool>,
    /// By the state columns, likewise.
    pub(crate) state: Vec<bool>,
}

impl EventSource {
    /// By the view's topics, and what the topic gives it.
    pub(crate) fn topic(&self, topic: usize) -> Option<(usize, &TopicSource)> {
        self.topics.iter().enumerate().find(|(_, of)| of.topic == topic)
    }

    /// Everything that feeds it.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &EventInput> {
        self.topics.iter().flat_map(|of| of.inputs.iter().flatten())
    }

    /// By the view's topics: the one that feeds this column, counted after the key, if no other does.
    pub(crate) fn topic_of(&self, column: usize) -> Option<usize> {
        let feeds = |of: &TopicSource| of.inputs.iter().flatten().any(|input| input.arguments[column].is_some());
        let mut feeding = (0..self.topics.len()).filter(|&of| feeds(&self.topics[of]));
        feeding.next().filter(|_| feeding.next().is_none())
    }
}

/// How one event feeds a view, under one alias.
///
/// Slots: the `with` row's columns, then an element's, then the event's fields.
#[derive(Debug)]
pub(crate) struct EventInput {
    pub(crate) role: Role,
    /// Only where this holds.
    pub(crate) filter: Option<Expr>,
    /// Once for each element of an array.
    pub(crate) each: Option<Each>,
    /// The key's columns; only the partition's for [`Role::DeletePartition`].
    pub(crate) key: Vec<Expr>,
    /// By reducers; None where this event does not touch the column.
    pub(crate) arguments: Vec<Option<Argument>>,
}

/// An array that is unfolded. An element has these slots: itself, then the fields of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Each {
    /// The array's slot among the event's fields, or its column in the source's rows.
    pub(crate) array: usize,
    /// The element's first slot.
    pub(crate) base: usize,
    /// How many there are.
    pub(crate) width: usize,
}

/// The most elements that one event may unfold under one alias, and so the most rows that one array may touch.
pub const MAX_ELEMENTS: usize = 10_000;

impl EventInput {
    /// Whether the event meets one row through it, and always does.
    pub(crate) fn is_plain(&self) -> bool {
        self.filter.is_none() && self.each.is_none()
    }
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
    /// What `first` and `last` go by, where it is not the order of the partition: the first that differs tells.
    pub(crate) order: Vec<OrderKey>,
    /// Of an expression over reducers: by its parts, None where the event does not touch one.
    pub(crate) parts: Vec<Option<Argument>>,
}

/// One of the values that `first` and `last` go by.
#[derive(Debug)]
pub(crate) struct OrderKey {
    pub(crate) expr: Expr,
    /// Larger values come first.
    pub(crate) descending: bool,
}

impl Argument {
    /// Of `count()`, or in place of one that is mistaken.
    pub(crate) fn none() -> Self {
        Self { value: None, filter: None, order: Vec::new(), parts: Vec::new() }
    }

    /// All that it reads.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let parts = self.parts.iter().flatten().flat_map(Argument::own);
        self.own().chain(parts)
    }

    fn own(&self) -> impl Iterator<Item = &Expr> {
        self.value.iter().chain(&self.filter).chain(self.order.iter().map(|key| &key.expr))
    }
}

#[derive(Debug)]
pub(crate) struct CopySource {
    pub(crate) view: usize,
    /// Only rows where this holds have a copy.
    pub(crate) filter: Option<Expr>,
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
    /// In the order of the aliases that the view stands under.
    pub(crate) inputs: Vec<AggregateInput>,
    /// By the columns after the key.
    pub(crate) reducers: Vec<Reducer>,
    /// The state column that counts what contributes.
    pub(crate) rows: usize,
}

/// How the rows of a view contribute, under one alias.
///
/// Slots: the source's columns, then an element's.
#[derive(Debug)]
pub(crate) struct AggregateInput {
    /// Only rows, or elements, where this holds.
    pub(crate) filter: Option<Expr>,
    /// Once for each element of an array.
    pub(crate) each: Option<Each>,
    pub(crate) key: Vec<Expr>,
    /// By the reducers; None where nothing is contributed to the column.
    pub(crate) arguments: Vec<Option<Argument>>,
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

    /// Some view reads `_offset`, so that its rows depend on where in their partitions the events are.
    pub(crate) fn reads_offsets(&self) -> bool {
        self.topics.iter().any(|plan| {
            // `Tombstone` is after the events: its fields are the key's.
            let fields = plan.topic.events.iter().map(|event| event.schema.record.fields.len());
            let fields = fields.chain([plan.topic.key.len()]);
            let offset = |(event, fields): (&EventPlan, usize)| {
                event.needed.iter().any(|&index| Needed::of(fields, index) == Needed::Metadata(Metadata::Offset))
            };
            plan.events.iter().zip(fields).any(offset)
        })
    }

    /// The topics that feed a view, straight or through what it reads, by [`Topology::topics`].
    pub fn topics_of(&self, view: usize) -> Vec<usize> {
        match &self.views[view].source {
            Source::Events(source) => source.topics.iter().map(|of| of.topic).collect(),
            Source::Seen(source) => vec![source.topic],
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

    /// The view that it is over, or stands beside.
    pub(crate) fn read(&self) -> Option<usize> {
        match &self.source {
            Source::Events(source) => source.with,
            Source::Copy(source) => Some(source.view),
            Source::Aggregate(source) => Some(source.view),
            Source::Seen(_) => None,
        }
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
            Source::Seen(_) => Feeding::ByOne,
            _ if self.owner.is_some() => Feeding::ByOne,
            Source::Events(source) => {
                let shown = source.making.as_ref().map(|making| making.made);
                let columns = source.reducers.iter().enumerate().map(|(column, reducer)| {
                    // What has no merging is refused on a row that many partitions of one topic feed.
                    let of = || source.topic_of(column).map(|topic| Merged::Of { topic });
                    reducer.merged().or_else(of).unwrap_or(Merged::Count)
                });
                Feeding::ByMany(Merge { columns: columns.collect(), rows: None, always: self.always, shown })
            }
            Source::Aggregate(source) => {
                let columns = source.reducers.iter().map(|reducer| reducer.merged().unwrap_or(Merged::Count));
                let (columns, rows) = (columns.collect(), Some(source.rows));
                Feeding::ByMany(Merge { columns, rows, always: self.always, shown: None })
            }
        };
        self.in_parts = self.table.in_parts();
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
            Source::Aggregate(source) => &mut source.reducers.iter(),
            Source::Copy(_) | Source::Seen(_) => &mut std::iter::empty(),
        };
        values.extend(reducers.map(Reducer::blank));
        let state = self.table.state.iter().map(|column| column.ty.zero()).collect();
        Row { values, state, position, hidden: false }
    }

    /// The name of the first column whose result no longer fits its type: an error of the read, since accumulators never
    /// fail. Such a column reads as null otherwise.
    pub fn overflowed(&self, row: &Row) -> Option<&str> {
        let column = (0..self.table.columns.len()).find(|column| self.is_overflowed(row, *column))?;
        Some(&self.table.columns[column].name)
    }

    /// Whether the result in this column no longer fits its type.
    pub(crate) fn is_overflowed(&self, row: &Row, column: usize) -> bool {
        self.reducer(column).is_some_and(|reducer| reducer.overflowed(&row.values[column], &row.state))
    }

    /// Whether the result in this column may come not to fit its type.
    pub(crate) fn may_overflow(&self, column: usize) -> bool {
        let exact = |reducer: &Reducer| matches!(reducer, Reducer::Sum { .. } | Reducer::Deviation { .. });
        self.reducer(column).is_some_and(|reducer| match reducer {
            Reducer::Computed(computed) => computed.parts.iter().any(|part| exact(&part.reducer)),
            reducer => exact(reducer),
        })
    }

    fn reducer(&self, column: usize) -> Option<&Reducer> {
        let reducers = match &self.source {
            Source::Events(source) => &source.reducers,
            Source::Aggregate(source) => &source.reducers,
            Source::Copy(_) | Source::Seen(_) => return None,
        };
        reducers.get(column.checked_sub(self.table.key_len())?)
    }
}

/// Whether a column of this type may be in a key: it has one canonical form and an order that every store shares.
pub(crate) fn may_be_key(ty: &Type) -> bool {
    crate::unknown::is_unknown(ty)
        || !matches!(ty, Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_))
}
