//! Topologies as data: what may be declared, in a form that is easy to make and to fold by.

use crate::expr::{Expr, Names};
use crate::value::{Type, Value};

/// Topics, and the views of their events.
#[derive(Clone, Debug)]
pub struct Topology {
    /// In the order of `reads:`.
    pub topics: Vec<Topic>,
    /// A view comes after what it reads.
    pub views: Vec<View>,
}

#[derive(Clone, Debug)]
pub struct Topic {
    pub name: &'static str,
    /// The fields of the message key.
    pub key: Vec<Field>,
    pub partitions: usize,
    /// A record is dropped whose id is among those of so many before it.
    pub deduplicate: Option<usize>,
    pub compacted: bool,
    /// What is declared of each event. What [`Topology::tombstone`] gives comes after them.
    pub events: Vec<EventType>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub nullable: bool,
}

#[derive(Clone, Debug)]
pub struct EventType {
    pub name: &'static str,
    /// The key's fields come first.
    pub fields: Vec<Field>,
    /// The name that it had once.
    pub was: Option<&'static str>,
    /// Known, and skipped.
    pub ignored: bool,
}

/// An event by its topic's; of as many as there are, a record without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    pub topic: usize,
    pub event: usize,
}

#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    /// The view that it reads; else it reads events.
    pub source: Option<usize>,
    /// What feeds it: events, or its source as often as it stands there. At least one.
    pub aliases: Vec<Alias>,
    /// The view whose row is readable at each event.
    pub with: Option<usize>,
    /// Each key column, with what it is.
    pub key: Vec<(String, Expr)>,
    /// How many of them are the partition key.
    pub partition: usize,
    /// By aliases. Empty: each makes a row.
    pub create_when: Vec<usize>,
    pub delete_when: Vec<usize>,
    /// Those that are not in the key.
    pub columns: Vec<(String, Column)>,
    pub retain: Option<Retain>,
}

/// Rows are shown for so many days after what a column says.
#[derive(Clone, Debug)]
pub struct Retain {
    pub days: i64,
    pub after: String,
}

/// What feeds a view.
#[derive(Clone, Debug)]
pub struct Alias {
    /// None: it is only listed.
    pub name: Option<String>,
    /// Of no meaning where a view is read.
    pub event: EventId,
    /// A new name and what it stands for.
    pub renames: Vec<(String, String)>,
    pub filter: Option<Expr>,
    /// The array whose elements are called `line`.
    pub each: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Column {
    Reducer(Reducer),
    /// An expression over reducers, which are called `#0`, `#1`, … in it.
    Computed(Vec<Reducer>, Expr),
    /// Of the `with` row, or of a copy's source.
    Plain(Expr),
}

#[derive(Clone, Debug)]
pub struct Reducer {
    pub kind: Kind,
    pub argument: Argument,
    /// The type of the argument.
    pub ty: Type,
    pub filter: Option<Expr>,
    /// What it goes by: the first that differs tells, and under `desc` the other way round. Empty: by the order of events.
    pub order: Vec<Order>,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub by: Expr,
    pub desc: bool,
}

#[derive(Clone, Debug)]
pub enum Argument {
    None,
    /// One for all.
    Same(Expr),
    /// By alias; the others leave the column as it is.
    Each(Vec<(usize, Expr)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Last,
    First,
    Count,
    Sum,
    Average,
    Least,
    Greatest,
    Distinct,
    List,
    Set,
    Top(usize),
    Deviation { sample: bool, root: bool },
}

/// What was written, one after the other.
pub type Log = Vec<Record>;

#[derive(Clone, Debug)]
pub struct Record {
    pub event: EventId,
    /// All of the event's fields; of a record without a value, the key's.
    pub fields: Names,
    /// Under the event's older name.
    pub older: bool,
    /// When it was written: a [`Value::Time`].
    pub time: Value,
    pub headers: Vec<(&'static str, String)>,
}

impl Record {
    /// What tells it from others.
    pub fn id(&self) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| *name == "ce_id");
        found.map(|(_, id)| id.as_str())
    }
}

impl Topology {
    /// The event that a topic's record without a value is.
    pub fn tombstone(&self, topic: usize) -> EventId {
        EventId { topic, event: self.topics[topic].events.len() }
    }

    fn declared(&self, event: EventId) -> Option<&EventType> {
        self.topics[event.topic].events.get(event.event)
    }

    pub fn event_name(&self, event: EventId) -> &'static str {
        self.declared(event).map_or("Tombstone", |event| event.name)
    }

    pub fn is_ignored(&self, event: EventId) -> bool {
        self.declared(event).is_some_and(|event| event.ignored)
    }

    /// The name under which a record was written, where that is not its event's.
    pub fn written_as(&self, record: &Record) -> Option<&'static str> {
        let declared = self.declared(record.event)?;
        if declared.ignored { Some(declared.name) } else { declared.was.filter(|_| record.older) }
    }

    /// What feeds views of events.
    fn feeds(&self) -> impl Iterator<Item = &Alias> {
        self.views.iter().filter(|view| view.source.is_none()).flat_map(|view| &view.aliases)
    }

    /// Whether any view reads it.
    pub fn reads(&self, event: EventId) -> bool {
        self.feeds().any(|alias| alias.event == event)
    }

    /// Whether any view reads events of it.
    pub fn reads_topic(&self, topic: usize) -> bool {
        self.feeds().any(|alias| alias.event.topic == topic)
    }

    /// What a record of this event says.
    pub fn fields(&self, event: EventId) -> &[Field] {
        self.declared(event).map_or(&self.topics[event.topic].key, |event| &event.fields)
    }
}

impl View {
    /// What may stand before a name of this alias.
    pub fn called<'a>(&'a self, alias: usize, topology: &'a Topology) -> &'a str {
        let alias = &self.aliases[alias];
        match (&alias.name, self.source) {
            (Some(name), _) => name,
            (None, Some(source)) => &topology.views[source].name,
            (None, None) => topology.event_name(alias.event),
        }
    }

    /// Over a view and without reducers: one row for each of its source's.
    pub fn is_copy(&self) -> bool {
        self.source.is_some() && self.columns.iter().all(|(_, column)| matches!(column, Column::Plain(_)))
    }

    /// All names in its expressions.
    pub fn reads(&self) -> Vec<String> {
        let mut read: Vec<&Expr> = self.key.iter().map(|(_, expr)| expr).collect();
        read.extend(self.aliases.iter().filter_map(|alias| alias.filter.as_ref()));
        for (_, column) in &self.columns {
            match column {
                Column::Plain(expr) => read.push(expr),
                Column::Reducer(reducer) => read.extend(reducer.expressions()),
                Column::Computed(reducers, expr) => {
                    let parts = expr.reads();
                    let is_read = |part: &usize| parts.contains(&format!("#{part}"));
                    read.extend((0..reducers.len()).filter(is_read).flat_map(|part| reducers[part].expressions()));
                }
            }
        }
        read.into_iter().flat_map(Expr::reads).collect()
    }

    /// The topics whose events feed it, in the order of `reads:`; of a view over a view, one without meaning.
    pub fn topics(&self) -> Vec<usize> {
        let mut topics: Vec<usize> = self.aliases.iter().map(|alias| alias.event.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// The topic whose part makes the row, if not any part does.
    pub fn creating(&self) -> Option<usize> {
        self.create_when.first().map(|alias| self.aliases[*alias].event.topic)
    }

    /// Whether the alias makes or changes rows.
    pub fn changes(&self, alias: usize) -> bool {
        !self.delete_when.contains(&alias)
    }
}

impl Reducer {
    /// Its argument under this alias: None where it has none there, which leaves the column as it is.
    pub fn argument_of(&self, alias: usize) -> Option<Option<&Expr>> {
        match &self.argument {
            Argument::None => Some(None),
            Argument::Same(expr) => Some(Some(expr)),
            Argument::Each(by_alias) => by_alias.iter().find(|(of, _)| *of == alias).map(|(_, expr)| Some(expr)),
        }
    }

    fn expressions(&self) -> Vec<&Expr> {
        let mut all: Vec<&Expr> = self.filter.iter().chain(self.order.iter().map(|order| &order.by)).collect();
        match &self.argument {
            Argument::None => {}
            Argument::Same(expr) => all.push(expr),
            Argument::Each(by_alias) => all.extend(by_alias.iter().map(|(_, expr)| expr)),
        }
        all
    }

    /// The type of what it gives.
    pub fn result(&self) -> Type {
        match (self.kind, &self.ty) {
            (Kind::Count | Kind::Distinct, _) => Type::Long,
            (Kind::Sum | Kind::Average, Type::Double) => Type::Double,
            (Kind::Sum, Type::Int) => Type::Long,
            (Kind::Sum, Type::Decimal(scale)) => Type::Decimal(*scale),
            (Kind::Sum, _) => Type::Decimal(0),
            (Kind::Average, _) => Type::Decimal(6),
            (Kind::Deviation { .. }, Type::Decimal(scale)) => Type::Decimal(*scale.max(&6)),
            (Kind::Deviation { .. }, _) => Type::Decimal(6),
            (Kind::List | Kind::Set | Kind::Top(_), ty) => Type::List(Box::new(ty.clone())),
            (_, ty) => ty.clone(),
        }
    }
}

impl Kind {
    /// Whether it goes by the order of events, unless that is given.
    pub fn goes_by_order(self) -> bool {
        matches!(self, Kind::Last | Kind::First | Kind::List)
    }

    /// The name, and what comes before the argument.
    pub fn written(self) -> (&'static str, String) {
        let name = match self {
            Kind::Last => "last",
            Kind::First => "first",
            Kind::Count | Kind::Distinct => "count",
            Kind::Sum => "sum",
            Kind::Average => "avg",
            Kind::Least => "min",
            Kind::Greatest => "max",
            Kind::List => "collect_list",
            Kind::Set => "collect_set",
            Kind::Top(_) => "top",
            Kind::Deviation { sample: true, root: true } => "stddev",
            Kind::Deviation { sample: false, root: true } => "stddev_pop",
            Kind::Deviation { sample: true, root: false } => "variance",
            Kind::Deviation { sample: false, root: false } => "var_pop",
        };
        let before = match self {
            Kind::Distinct => "distinct ".to_owned(),
            Kind::Top(n) => format!("{n}, "),
            _ => String::new(),
        };
        (name, before)
    }
}
