//! From a declaration to a [`Topology`]: names are resolved, views put in order, each compiled after what it reads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use headwater_schemas::topic::Topic;

use super::scope::AnyScope;
use super::{EventPlan, EventSource, Source, TopicPlan, Topology, View, columns, derived, describe, events, retain};
use crate::declare::{ColumnsDecl, Text, TopologyDecl, ViewDecl};
use crate::expr::{self, Ast, Expr, ExprError};
use crate::source::{Code, Diagnostic, Span, suggestion};
use crate::table::{Column, Feeding, Table};
use crate::unknown;

/// Compiles a topology against the project's topics.
///
/// # Errors
/// Every mistake found, each with its place.
pub fn compile(decl: &TopologyDecl, topics: &[Arc<Topic>]) -> Result<Topology, Vec<Diagnostic>> {
    let (topology, problems) = outline(decl, topics, false);
    if problems.is_empty() { Ok(topology) } else { Err(problems) }
}

/// Every mistake, and the topology as far as it is known: each view that is declared, with a column for each that is
/// declared, of unknown type where that is mistaken. With a mistake in it, it is for checking others against, and never
/// to be run. `events_missing`: a topic's file could not be read, so a name that is not found may be there.
pub(crate) fn outline(decl: &TopologyDecl, topics: &[Arc<Topic>], events_missing: bool) -> (Topology, Vec<Diagnostic>) {
    let mut cx = Context::new(decl, topics, events_missing);
    let cycle = cx.cycle();
    for &index in &cycle {
        cx.cyclic(&decl.views[index]);
    }
    for index in cx.order(&cycle) {
        let mut view = cx.compile_view(&decl.views[index]);
        retain::compile(&mut cx, &decl.views[index], &mut view);
        cx.keep(&decl.views[index], view);
    }
    let problems = std::mem::take(&mut cx.problems);
    (cx.finish(), problems)
}

/// An event of a topic: its topic's index in the topology and its own in the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) topic: usize,
    pub(super) event: usize,
}

/// What is known while a topology is compiled.
pub(super) struct Context<'a> {
    decl: &'a TopologyDecl,
    /// All that the project has.
    all: &'a [Arc<Topic>],
    /// A name that is not found may be an event or a view that is not known.
    pub(super) events_missing: bool,
    pub(super) topics: Vec<Arc<Topic>>,
    events: HashMap<String, EventId>,
    /// By topic and event: the fields needed so far.
    needed: Vec<Vec<RefCell<Vec<usize>>>>,
    pub(super) views: Vec<View>,
    by_name: HashMap<&'a str, usize>,
    problems: Vec<Diagnostic>,
}

/// What a view's `from` names.
enum From {
    /// And whether these are all that were meant.
    Events(Vec<(EventId, Span)>, bool),
    View(usize),
}

impl<'a> Context<'a> {
    fn new(decl: &'a TopologyDecl, all: &'a [Arc<Topic>], events_missing: bool) -> Self {
        let mut problems = Vec::new();
        let mut topics: Vec<Arc<Topic>> = Vec::new();
        let mut reads_more = decl.reads_more;
        for name in &decl.reads {
            match all.iter().find(|topic| topic.name == name.value) {
                Some(topic) if topics.iter().any(|t| t.name == topic.name) => problems.push(error(
                    &name.span,
                    format!("topic `{}` is read twice", name.value),
                    "already named",
                    None,
                )),
                None => {
                    reads_more = true;
                    problems.extend((!events_missing).then(|| {
                        let help = suggestion(&name.value, all.iter().map(|topic| topic.name.as_str()));
                        let label = "not declared in any schemas/*/topic.yaml";
                        let message = format!("there is no topic `{}`", name.value);
                        error(&name.span, message, label, help).code(Code::UnknownName)
                    }));
                }
                Some(topic) => topics.push(topic.clone()),
            }
        }
        let events_missing = events_missing || (reads_more && all.is_empty()) || !decl.views_named;
        let (events, needed, views, by_name) = (HashMap::new(), Vec::new(), Vec::new(), HashMap::new());
        let mut cx = Self { decl, all, events_missing, topics: Vec::new(), events, needed, views, by_name, problems };
        topics.into_iter().for_each(|topic| cx.read(topic));
        if reads_more {
            // Whichever topic was meant, its events are known.
            let others = all.iter().filter(|topic| decl.reads.iter().all(|read| read.value != topic.name));
            others.for_each(|topic| cx.read(topic.clone()));
        }
        cx
    }

    /// Makes a topic's events known.
    fn read(&mut self, topic: Arc<Topic>) {
        for (event, e) in topic.events.iter().enumerate() {
            self.events.insert(e.name.clone(), EventId { topic: self.topics.len(), event });
        }
        self.needed.push(topic.events.iter().map(|event| RefCell::new(event.key.clone())).collect());
        self.topics.push(topic);
    }

    fn keep(&mut self, decl: &'a ViewDecl, mut view: View) {
        if !view.doubtful {
            view.settle();
        }
        self.by_name.insert(decl.name.value.as_str(), self.views.len());
        self.views.push(view);
    }

    /// A view that reads itself through others: of those nothing is known when it is its turn.
    fn cyclic(&mut self, decl: &'a ViewDecl) {
        let message = format!("view `{}` reads itself through others", decl.name.value);
        let help = "a view may read only views that do not read it".to_owned();
        self.error(&decl.name.span, message, "part of a cycle", Some(help));
        let view = unknown_view(self, decl);
        self.keep(decl, view);
    }

    /// The views, by index, that read themselves through others.
    fn cycle(&self) -> Vec<usize> {
        let decl = self.decl;
        let index: HashMap<&str, usize> =
            decl.views.iter().enumerate().map(|(i, view)| (view.name.value.as_str(), i)).collect();
        let read: Vec<Vec<usize>> = decl
            .views
            .iter()
            .map(|view| reads(view).filter_map(|name| index.get(name.value.as_str()).copied()).collect())
            .collect();
        let on_cycle = |start: usize| {
            let mut seen = vec![false; read.len()];
            let mut next = read[start].clone();
            while let Some(view) = next.pop() {
                if view == start {
                    return true;
                }
                if !std::mem::replace(&mut seen[view], true) {
                    next.extend(&read[view]);
                }
            }
            false
        };
        (0..read.len()).filter(|&view| on_cycle(view)).collect()
    }

    /// The other views' indexes, each after what it reads.
    fn order(&self, cycle: &[usize]) -> Vec<usize> {
        let decl = self.decl;
        let index: HashMap<&str, usize> =
            decl.views.iter().enumerate().map(|(i, view)| (view.name.value.as_str(), i)).collect();
        let mut order = Vec::new();
        let mut done: Vec<bool> = (0..decl.views.len()).map(|view| cycle.contains(&view)).collect();
        loop {
            let before = order.len();
            for (i, view) in decl.views.iter().enumerate() {
                let ready = reads(view).all(|name| index.get(name.value.as_str()).is_none_or(|&j| done[j]));
                if !done[i] && ready {
                    order.push(i);
                    done[i] = true;
                }
            }
            if order.len() == before {
                return order;
            }
        }
    }

    fn compile_view(&mut self, decl: &ViewDecl) -> View {
        match self.from(decl) {
            Some(From::Events(refs, complete)) => events::compile(self, decl, &refs, complete),
            Some(From::View(source)) => derived::compile(self, decl, source),
            None => unknown_view(self, decl),
        }
    }

    /// What the view reads; None where nothing is known of that, which was reported.
    fn from(&mut self, decl: &ViewDecl) -> Option<From> {
        let mut refs = Vec::new();
        let mut views = Vec::new();
        let mut complete = true;
        for name in &decl.from {
            if let Some(event) = self.event(name) {
                refs.push((event, name.span.clone()));
            } else if self.declared(&name.value) {
                views.push(name);
            } else {
                complete = false;
                if self.events_missing {
                    continue;
                }
                let names =
                    self.events.keys().map(String::as_str).chain(self.decl.views.iter().map(|v| v.name.as_str()));
                let help = suggestion(&name.value, names);
                self.unknown(
                    &name.span,
                    format!("there is no event or view `{}`", name.value),
                    "neither an event of the topics read nor a view here",
                    help.or_else(|| Some("`reads:` names the topics whose events a view may use".into())),
                );
            }
        }
        match views.as_slice() {
            [] if refs.is_empty() => {
                if complete && !decl.unsound {
                    let message = format!("view `{}` reads nothing", decl.name.value);
                    self.error(&decl.name.span, message, "no `from:`", None);
                }
                None
            }
            [] => Some(From::Events(refs, complete)),
            [view] if refs.is_empty() && complete => self.view(&view.value).map(From::View),
            [_, ..] if !complete => None,
            [view, ..] => {
                self.error(
                    &view.span,
                    format!("view `{}` reads a view beside something else", decl.name.value),
                    "a view",
                    Some("`from:` is a list of events, or one view".into()),
                );
                None
            }
        }
    }

    /// The event of this name. One of a topic that is not read is reported, once a topic, and known from then on.
    fn event(&mut self, name: &Text) -> Option<EventId> {
        if let Some(&event) = self.events.get(&name.value) {
            return Some(event);
        }
        let all = self.all;
        let topic = all.iter().find(|topic| topic.event(&name.value).is_some())?;
        if self.declared(&name.value) {
            return None;
        }
        let message = format!("event `{}` is of topic `{}`, which this topology does not read", name.value, topic.name);
        let help = format!("add `{}` to `reads:`", topic.name);
        self.unknown(&name.span, message, "of a topic that is not read", Some(help));
        self.read(topic.clone());
        self.events.get(&name.value).copied()
    }

    /// Whether a view of this name is declared, mistaken or not.
    pub(super) fn declared(&self, name: &str) -> bool {
        self.decl.views.iter().any(|view| view.name.value == name)
    }

    /// The compiled view of this name.
    pub(super) fn view(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn needed(&self, id: EventId) -> &RefCell<Vec<usize>> {
        &self.needed[id.topic][id.event]
    }

    pub(super) fn declared_views(&self) -> impl Iterator<Item = &str> {
        self.decl.views.iter().map(|view| view.name.as_str())
    }

    pub(super) fn error(&mut self, span: &Span, message: String, label: &str, help: Option<String>) {
        self.problems.push(error(span, message, label, help));
    }

    /// How much was reported so far, for [`Context::forget_since`].
    pub(super) fn reported(&self) -> usize {
        self.problems.len()
    }

    /// Takes back what was reported since: it may follow from another mistake.
    pub(super) fn forget_since(&mut self, reported: usize) {
        self.problems.truncate(reported);
    }

    /// A name that is not known.
    pub(super) fn unknown(&mut self, span: &Span, message: String, label: &str, help: Option<String>) {
        self.problems.push(error(span, message, label, help).code(Code::UnknownName));
    }

    /// What the language plans and the engine does not do.
    pub(super) fn not_supported(&mut self, span: &Span, message: String, label: &str, help: Option<String>) {
        self.problems.push(error(span, message, label, help).code(Code::NotSupported));
    }

    pub(super) fn expr_error(&mut self, text: &Text, problem: ExprError) {
        self.problems.push(Diagnostic::of_expression(text, problem));
    }

    pub(super) fn parse(&mut self, text: &Text) -> Option<Ast> {
        expr::parse(&text.value).map_err(|problem| self.expr_error(text, problem)).ok()
    }

    /// Takes a compiled expression of `text`, or reports what is wrong with it at its place.
    pub(super) fn taken(&mut self, text: &Text, compiled: Result<Expr, Vec<ExprError>>) -> Option<Expr> {
        match compiled {
            Ok(expr) => Some(expr),
            Err(problems) => {
                for problem in problems {
                    self.expr_error(text, problem);
                }
                None
            }
        }
    }

    /// As [`Context::taken`], with something of unknown type in place of what is wrong.
    pub(super) fn taken_or_unknown(&mut self, text: &Text, compiled: Result<Expr, Vec<ExprError>>) -> Expr {
        self.taken(text, compiled).unwrap_or_else(Expr::unknown)
    }

    fn finish(mut self) -> Topology {
        for i in 0..self.views.len() {
            let reads = match &self.views[i].source {
                Source::Events(source) => source.with,
                Source::Copy(source) => Some(source.view),
                Source::Aggregate(source) => Some(source.view),
            };
            if let Some(read) = reads {
                self.views[read].has_dependents = true;
            }
        }
        self.views.iter_mut().for_each(retain::settle);
        let used = |topic: usize, event: usize| {
            self.views.iter().any(|view| match &view.source {
                Source::Events(source) => {
                    source.topic == topic && source.inputs.get(event).is_some_and(Option::is_some)
                }
                _ => false,
            })
        };
        let topics: Vec<TopicPlan> = self
            .topics
            .iter()
            .enumerate()
            .map(|(t, topic)| TopicPlan {
                topic: topic.clone(),
                events: topic
                    .events
                    .iter()
                    .enumerate()
                    .map(|(e, event)| EventPlan {
                        // The message key's fields were needed first, in order.
                        key_slots: (0..event.key.len()).collect(),
                        needed: self.needed[t][e].borrow().clone(),
                        used: used(t, e),
                    })
                    .collect(),
            })
            .collect();
        Topology {
            description: describe::describe(self.decl, &topics, &self.views),
            name: self.decl.name.value.clone(),
            store: self.decl.store.value.clone(),
            retry_times: self.decl.retry_times,
            topics,
            views: self.views,
        }
    }
}

/// A view of which no more is known than the names of its columns.
pub(super) fn unknown_view(cx: &mut Context, decl: &ViewDecl) -> View {
    let key = decl.key.partition.iter().chain(decl.key.clustering.iter().map(|(entry, _)| entry));
    let mut columns: Vec<Column> = key.map(|entry| unknown::named(&entry.name.value)).collect();
    let names: Vec<&Text> = match &decl.columns {
        ColumnsDecl::Copied(names) => names.iter().collect(),
        ColumnsDecl::Computed(declared) => {
            // What is wrong with them whatever they are over.
            for (_, text) in declared.iter().filter(|(_, text)| !text.is_empty()) {
                match columns::read(cx, text) {
                    columns::Column::Mistaken | columns::Column::Computed(_) => {}
                    columns::Column::Expression(ast) => drop(cx.taken(text, expr::compile(&ast, &AnyScope))),
                    columns::Column::Reducer(call) => {
                        for ast in call.arguments.iter().chain(&call.filter).chain(&call.order) {
                            cx.taken(text, expr::compile(ast, &AnyScope));
                        }
                    }
                }
            }
            declared.iter().map(|(name, _)| name).collect()
        }
    };
    for name in names {
        if columns.iter().all(|column| column.name != name.value) {
            columns.push(unknown::named(&name.value));
        }
    }
    let source = EventSource { topic: 0, with: None, inputs: Vec::new(), reducers: Vec::new() };
    doubtful_view(decl, columns, Source::Events(source))
}

/// A view with a mistake in what makes its rows.
fn doubtful_view(decl: &ViewDecl, mut columns: Vec<Column>, source: Source) -> View {
    if decl.unsound {
        columns.push(unknown::any_column());
    }
    let table = Table {
        name: decl.name.value.clone(),
        doc: decl.doc.clone(),
        columns,
        partition: decl.key.partition.len(),
        clustering: decl.key.clustering.iter().map(|(_, direction)| *direction).collect(),
        state: Vec::new(),
        fed: Feeding::ByOne,
        retain: None,
    };
    View {
        level: 0,
        owner: None,
        buckets: events::buckets(decl),
        deletes_partitions: false,
        has_dependents: false,
        always: false,
        doubtful: true,
        source,
        in_parts: None,
        table,
    }
}

fn reads(view: &ViewDecl) -> impl Iterator<Item = &Text> {
    view.from.iter().chain(&view.with)
}

pub(super) fn error(span: &Span, message: String, label: &str, help: Option<String>) -> Diagnostic {
    Diagnostic { help, ..Diagnostic::error(span, message).label(label) }
}
