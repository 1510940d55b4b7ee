//! The dataflow as a picture: commands, topics, views by their levels and queries, from left to right, a topology a frame.
//!
//! [`Graph::of`] says what is connected; [`Graph::svg`], [`Graph::mermaid`] and [`Graph::dot`] write it. The SVG is laid out
//! here ([`layout`]), so that drawing it takes no other program.

mod dot;
pub mod layout;
mod mermaid;
mod svg;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::declare::TOMBSTONE;
use crate::plan::{Source, Topology, View};
use crate::project::Project;

/// What flows into what.
#[derive(Debug, Default, Serialize)]
pub struct Graph {
    /// The topologies' names, each with its store's.
    pub topologies: Vec<(String, String)>,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// A box.
#[derive(Debug, Serialize)]
pub struct Node {
    pub kind: Kind,
    pub name: String,
    /// A second line: a key, a path.
    pub detail: String,
    /// What a tooltip says.
    pub title: String,
    /// Where it is drawn, from left to right.
    pub layer: usize,
    /// By [`Graph::topologies`]: its frame, or the one that it is drawn beside. None: a topic that nothing reads.
    pub topology: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Command,
    Topic,
    /// One partition feeds each row.
    Owned,
    /// Many partitions feed a row.
    Shared,
    Query,
}

impl Kind {
    pub fn is_view(self) -> bool {
        matches!(self, Kind::Owned | Kind::Shared)
    }

    /// What stands above its boxes.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Command => "command",
            Kind::Topic => "topic",
            Kind::Owned | Kind::Shared => "view",
            Kind::Query => "query",
        }
    }
}

/// An arrow, by [`Graph::nodes`].
#[derive(Debug, Serialize)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// It is looked at, and does not feed: a row beside, a join.
    pub aside: bool,
    /// In a few words: `copy`, `join`; events are in the title.
    pub label: String,
    /// What a tooltip says.
    pub title: String,
}

impl Graph {
    /// The project's dataflow, or that of one topology.
    pub fn of(project: &Project, only: Option<&str>) -> Self {
        let mut maker = Maker { project, graph: Graph::default(), by_name: HashMap::new() };
        let topologies = project.topologies.iter().filter(|topology| only.is_none_or(|only| topology.name == only));
        let topologies: Vec<&Arc<Topology>> = topologies.collect();
        for topology in &topologies {
            maker.graph.topologies.push((topology.name.clone(), topology.store.clone()));
        }
        for (index, topology) in topologies.iter().enumerate() {
            maker.topics(index, topology);
        }
        if only.is_none() {
            maker.other_topics();
        }
        for (index, topology) in topologies.iter().enumerate() {
            maker.views(index, topology);
        }
        maker.commands();
        maker.queries();
        maker.graph.arrange();
        maker.graph
    }

    /// Puts queries behind all views, and leaves out columns without boxes.
    fn arrange(&mut self) {
        let last = self.nodes.iter().filter(|node| node.kind.is_view()).map(|node| node.layer).max().unwrap_or(1);
        self.nodes.iter_mut().filter(|node| node.kind == Kind::Query).for_each(|node| node.layer = last + 1);
        let first = self.nodes.iter().map(|node| node.layer).min().unwrap_or(0);
        self.nodes.iter_mut().for_each(|node| node.layer -= first);
    }
}

struct Maker<'p> {
    project: &'p Project,
    graph: Graph,
    /// Topics as `topic x`, views as `view x`: names of views are the whole project's.
    by_name: HashMap<String, usize>,
}

impl Maker<'_> {
    fn add(&mut self, node: Node) -> usize {
        let place = self.graph.nodes.len();
        if node.kind == Kind::Topic || node.kind.is_view() {
            self.by_name.insert(format!("{} {}", node.kind.word(), node.name), place);
        }
        self.graph.nodes.push(node);
        place
    }

    fn find(&self, kind: &str, name: &str) -> Option<usize> {
        self.by_name.get(&format!("{kind} {name}")).copied()
    }

    fn arrow(&mut self, from: usize, to: usize, aside: bool, label: &str, title: String) {
        let label = label.to_owned();
        self.graph.edges.push(Edge { from, to, aside, label, title });
    }

    fn topics(&mut self, index: usize, topology: &Topology) {
        for plan in &topology.topics {
            if self.find("topic", &plan.topic.name).is_none() {
                self.topic(Some(index), &plan.topic);
            }
        }
    }

    fn other_topics(&mut self) {
        for topic in &self.project.topics {
            if self.find("topic", &topic.name).is_none() {
                self.topic(None, topic);
            }
        }
    }

    fn topic(&mut self, topology: Option<usize>, topic: &headwater_schemas::Topic) {
        let events: Vec<&str> = topic.events.iter().map(|event| event.name.as_str()).collect();
        let repeats = if topic.deduplicate.is_some() { "; repeats are dropped" } else { "" };
        let compacted = if topic.compact { "; compacted" } else { "" };
        self.add(Node {
            kind: Kind::Topic,
            name: topic.name.clone(),
            detail: format!("key {}", topic.key.join(", ")),
            title: format!(
                "topic {}: key {}, {} partitions{compacted}{repeats}; events {}",
                topic.name,
                topic.key.join(", "),
                topic.partitions,
                events.join(", ")
            ),
            layer: 1,
            topology,
        });
    }

    fn views(&mut self, index: usize, topology: &Topology) {
        for view in topology.views.iter().filter(|view| !matches!(view.source, Source::Seen(_))) {
            let name = &view.table.name;
            let made = self.feeds(topology, view);
            let level = made.iter().map(|(from, ..)| self.graph.nodes[*from].layer).max().unwrap_or(1);
            let place = self.add(Node {
                kind: if view.owner.is_some() { Kind::Owned } else { Kind::Shared },
                name: name.clone(),
                detail: key(view),
                title: view_title(view),
                layer: level + 1,
                topology: Some(index),
            });
            for (from, aside, label, title) in made {
                self.arrow(from, place, aside, label, title);
            }
        }
    }

    /// What feeds a view, and what it looks at.
    fn feeds(&self, topology: &Topology, view: &View) -> Vec<(usize, bool, &'static str, String)> {
        let name = &view.table.name;
        let (source, label) = match &view.source {
            Source::Events(source) => {
                let from = source.topics.iter().filter_map(|of| {
                    let topic = &topology.topics[of.topic].topic;
                    let events = topic.events.iter().map(|event| event.name.as_str()).chain([TOMBSTONE]);
                    let events = events.zip(&of.inputs).filter(|(_, inputs)| !inputs.is_empty());
                    let events: Vec<&str> = events.map(|(event, _)| event).collect();
                    let title = format!("{} of topic {} to view {name}", events.join(", "), topic.name);
                    self.find("topic", &topic.name).map(|from| (from, false, "", title))
                });
                let with = source.with.map(|with| &topology.views[with].table.name);
                let title =
                    with.map(|with| format!("view {name} stands beside {with}, and may read its row at each event"));
                let with = with.and_then(|with| self.find("view", with)).zip(title);
                return from.chain(with.map(|(with, title)| (with, true, "beside", title))).collect();
            }
            Source::Copy(source) => (source.view, "copy"),
            Source::Aggregate(source) => (source.view, "aggregate"),
            Source::Seen(_) => return Vec::new(),
        };
        let from = &topology.views[source].table.name;
        let title = match label {
            "copy" => format!("view {name} is a re-keyed copy of {from}"),
            _ => format!("view {name} is an aggregate over {from}"),
        };
        self.find("view", from).map(|from| (from, false, label, title)).into_iter().collect()
    }

    fn commands(&mut self) {
        for command in &self.project.commands {
            let Some(topic) = self.find("topic", &command.topic.name) else { continue };
            let event = &command.event().name;
            let detail = format!("{} {}", command.method.as_str(), command.path);
            let title = format!("command {}: {detail}, writes {event}", command.name);
            let topology = self.graph.nodes[topic].topology;
            let (kind, name) = (Kind::Command, command.name.clone());
            let place = self.add(Node { kind, name, detail, title, layer: 0, topology });
            self.arrow(place, topic, false, "", format!("command {} writes {event}", command.name));
        }
    }

    fn queries(&mut self) {
        for query in &self.project.queries {
            let Some(view) = self.find("view", &query.table().name) else { continue };
            let detail = format!("GET {}", query.route);
            let title = format!("query {}: {detail}, of view {}", query.name, query.table().name);
            let topology = self.graph.nodes[view].topology;
            let (kind, name) = (Kind::Query, query.name.clone());
            let place = self.add(Node { kind, name, detail, title, layer: 0, topology });
            self.arrow(view, place, false, "", format!("query {} reads view {}", query.name, query.table().name));
            let mut joined: Vec<&str> = query.joins.iter().map(|join| join.table().name.as_str()).collect();
            joined.sort_unstable();
            joined.dedup();
            for name in joined.into_iter().filter(|name| *name != query.table().name) {
                let Some(from) = self.find("view", name) else { continue };
                self.arrow(from, place, true, "join", format!("query {} joins view {name} to each row", query.name));
            }
        }
    }
}

/// `doc_id | number desc`: the partition key, then the clustering.
fn key(view: &View) -> String {
    let table = &view.table;
    let name = |index: usize| table.columns[index].name.as_str();
    if table.key_len() == 0 {
        return "one row".to_owned();
    }
    let partition: Vec<&str> = (0..table.partition).map(name).collect();
    let clustering = table.clustering.iter().enumerate().map(|(index, direction)| {
        let desc = if *direction == crate::table::Direction::Descending { " desc" } else { "" };
        format!("{}{desc}", name(table.partition + index))
    });
    let clustering: Vec<String> = clustering.collect();
    match clustering.as_slice() {
        [] => partition.join(", "),
        clustering => format!("{} | {}", partition.join(", "), clustering.join(", ")),
    }
}

fn view_title(view: &View) -> String {
    let table = &view.table;
    let columns: Vec<&str> = table.columns[table.key_len()..].iter().map(|column| column.name.as_str()).collect();
    let owned =
        if view.owner.is_some() { "owned: one partition feeds each row" } else { "shared: many partitions feed a row" };
    let mut title = format!("view {}: key {}; {owned}; columns {}", table.name, key(view), columns.join(", "));
    if let Some(doc) = &table.doc {
        title.push_str(&format!(". {doc}"));
    }
    title
}
