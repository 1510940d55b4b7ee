//! What a compiled topology does and what it costs, said for people and for programs: what feeds each view, who owns its
//! rows, what an event reads and writes, what grows, and under which promise each store writes it.
//!
//! It is made from the plan that runs, without any server. [`Explanation::text`] is for a person, serde for a program.

mod columns;
mod cost;
mod inputs;
mod rows;
mod size;
mod stores;
mod text;

use serde::Serialize;

use crate::declare::ViewDecl;
use crate::declare::config::StoreConfig;
use crate::plan::{Source, Topology, View};
use crate::project::Project;

pub use columns::{Column, KeyColumn};
pub use cost::Cost;
pub use inputs::Input;
pub use rows::Rows;
pub use size::{Growth, Hot, Size};
pub use stores::Promise;

/// A topology, explained.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub topology: String,
    /// The store that its views are in.
    pub store: String,
    /// `sqlite`, `postgres` or `cassandra`.
    pub store_kind: &'static str,
    pub topics: Vec<TopicRead>,
    /// By level.
    pub views: Vec<ViewExplained>,
    /// What holds for the topology as a whole, by stores.
    pub promises: Vec<Promise>,
}

/// A topic, and what is read of it.
#[derive(Debug, Serialize)]
pub struct TopicRead {
    pub name: String,
    pub key: Vec<String>,
    pub partitions: u32,
    /// Only of each key's last record is it sure that it is there.
    pub compacted: bool,
    /// The events that some view reads.
    pub events: Vec<String>,
}

/// How a view's rows are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// Of events.
    Events,
    /// A re-keyed copy of another view's rows.
    Copy,
    /// An aggregate over another view's rows.
    Aggregate,
    /// The fold's own memory, by which repeats are dropped.
    Memory,
}

/// A view, explained.
#[derive(Debug, Serialize)]
pub struct ViewExplained {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// 0 where events alone feed it; else one more than what it reads.
    pub level: usize,
    pub made: Made,
    /// The topic that feeds it, or each of several, or the view.
    pub from: Vec<String>,
    pub inputs: Vec<Input>,
    /// The view whose row each event may read (`with`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    pub key: Vec<KeyColumn>,
    pub columns: Vec<Column>,
    /// One partition feeds each row, in order.
    pub owned: bool,
    /// Why it is owned, or shared.
    pub ownership: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retained>,
    pub cost: Cost,
    pub size: Size,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hot: Option<Hot>,
    /// How each kind of store writes it.
    pub stores: Vec<Promise>,
    pub read_by: ReadBy,
}

/// For how long rows are shown.
#[derive(Debug, Serialize)]
pub struct Retained {
    pub days: u32,
    pub after: String,
    /// The store may delete them then; otherwise they are only hidden.
    pub deleted: bool,
}

/// Who reads a view: other views, queries, commands.
#[derive(Debug, Default, Serialize)]
pub struct ReadBy {
    pub views: Vec<String>,
    pub queries: Vec<String>,
    pub commands: Vec<String>,
}

/// A view, with all that explaining it takes.
#[derive(Clone, Copy)]
struct Subject<'a> {
    topology: &'a Topology,
    index: usize,
    view: &'a View,
    /// None for the fold's own memory, which nobody declares.
    decl: Option<&'a ViewDecl>,
}

impl<'a> Subject<'a> {
    fn new(topology: &'a Topology, index: usize) -> Self {
        let view = &topology.views[index];
        let decl = topology.declared.iter().find(|decl| decl.name.value == view.table.name);
        Self { topology, index, view, decl }
    }

    fn made(self) -> Made {
        match &self.view.source {
            Source::Events(_) => Made::Events,
            Source::Copy(_) => Made::Copy,
            Source::Aggregate(_) => Made::Aggregate,
            Source::Seen(_) => Made::Memory,
        }
    }

    /// The view that it derives from.
    fn source(self) -> Option<Subject<'a>> {
        match &self.view.source {
            Source::Copy(source) => Some(Subject::new(self.topology, source.view)),
            Source::Aggregate(source) => Some(Subject::new(self.topology, source.view)),
            Source::Events(_) | Source::Seen(_) => None,
        }
    }

    /// The view that stands beside it.
    fn beside(self) -> Option<&'a str> {
        let Source::Events(source) = &self.view.source else { return None };
        source.with.map(|with| self.topology.views[with].table.name.as_str())
    }

    /// The topics whose events feed it, straight or through other views: one as a rule.
    fn topics(self) -> Vec<&'a headwater_schemas::Topic> {
        let topics = self.topology.topics_of(self.index).into_iter();
        topics.map(|topic| &*self.topology.topics[topic].topic).collect()
    }

    /// The topics or the view that feed it.
    fn from(self) -> Vec<String> {
        let topics = || self.topics().iter().map(|topic| topic.name.clone()).collect();
        self.source().map_or_else(topics, |source| vec![source.view.table.name.clone()])
    }
}

impl Explanation {
    /// Explains a topology of the project.
    pub fn of(project: &Project, topology: &Topology) -> Self {
        let kind = project.config.stores.iter().find(|(name, _)| *name == topology.store).map(|(_, store)| store);
        let topics = topology.topics.iter().map(|plan| {
            let used = plan.topic.events.iter().map(|event| event.name.as_str()).chain([crate::declare::TOMBSTONE]);
            let used = used.zip(&plan.events).filter(|(_, event)| event.used).map(|(name, _)| name.to_owned());
            TopicRead {
                name: plan.topic.name.clone(),
                key: plan.topic.key.clone(),
                partitions: plan.topic.partitions,
                compacted: plan.topic.compact,
                events: used.collect(),
            }
        });
        let mut views: Vec<_> =
            (0..topology.views.len()).map(|index| view(project, Subject::new(topology, index))).collect();
        views.sort_by_key(|view| view.level);
        Self {
            topology: topology.name.clone(),
            store: topology.store.clone(),
            store_kind: match kind {
                Some(StoreConfig::Sqlite(_)) | None => "sqlite",
                Some(StoreConfig::Postgres(_)) => "postgres",
                Some(StoreConfig::Cassandra(_)) => "cassandra",
            },
            topics: topics.collect(),
            views,
            promises: stores::of_topology(topology),
        }
    }
}

fn view(project: &Project, subject: Subject) -> ViewExplained {
    let table = &subject.view.table;
    let retain = table.retain.map(|retain| Retained {
        days: retain.days,
        after: table.columns[retain.column].name.clone(),
        deleted: retain.pruned,
    });
    ViewExplained {
        name: table.name.clone(),
        doc: table.doc.clone(),
        level: subject.view.level,
        made: subject.made(),
        from: subject.from(),
        inputs: inputs::of(subject),
        beside: subject.beside().map(str::to_owned),
        key: columns::key(subject),
        columns: columns::values(subject),
        owned: subject.view.owner.is_some(),
        ownership: columns::ownership(subject),
        retain,
        cost: cost::of(subject),
        size: size::of(subject),
        hot: size::hot(subject),
        stores: stores::of_view(subject),
        read_by: read_by(project, subject),
    }
}

fn read_by(project: &Project, subject: Subject) -> ReadBy {
    let name = &subject.view.table.name;
    let reads = |other: &usize| {
        let other = Subject::new(subject.topology, *other);
        other.source().is_some_and(|source| source.index == subject.index) || other.beside() == Some(name)
    };
    let views = (0..subject.topology.views.len()).filter(reads);
    // A view's name is the whole project's.
    let queries = project
        .queries
        .iter()
        .filter(|query| query.table().name == *name || query.joins.iter().any(|join| join.table().name == *name));
    let commands = project.commands.iter().filter(|command| {
        let on = command.on.as_ref().is_some_and(|on| on.view().table.name == *name);
        on || command.unique.as_ref().is_some_and(|unique| unique.view().table.name == *name)
    });
    ReadBy {
        views: views.map(|view| subject.topology.views[view].table.name.clone()).collect(),
        queries: queries.map(|query| query.name.clone()).collect(),
        commands: commands.map(|command| command.name.clone()).collect(),
    }
}
