//! From a declaration to a [`Topology`]: names are resolved, views put in order, each compiled after what it reads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use headwater_schemas::RecordType;
use headwater_schemas::topic::Topic;

use super::scope::AnyScope;
use super::{
    EventPlan, EventSource, Source, TopicPlan, Topology, View, columns, compacted, derived, describe, events, overflow,
    retain, seen,
};
use crate::declare::{ColumnsDecl, InputDecl, InputKind, TOMBSTONE, Text, TopologyDecl, ViewDecl};
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
    for topic in 0..cx.topics.len() {
        cx.remember(topic);
    }
    let cycle = cx.cycle();
    for &index in &cycle {
        cx.cyclic(&decl.views[index]);
    }
    for index in cx.order(&cycle) {
        let mut view = cx.compile_view(&decl.views[index]);
        compacted::check(&mut cx, &decl.views[index], &view);
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
    /// By topic: what a record without a value has, the key's fields.
    tombstones: Vec<Arc<RecordType>>,
    events: HashMap<String, EventId>,
    /// By topic and event: the fields needed so far.
    needed: Vec<Vec<RefCell<Vec<usize>>>>,
    pub(super) views: Vec<View>,
    by_name: HashMap<&'a str, usize>,
    problems: Vec<Diagnostic>,
}

/// What a view's `from` names.
enum From<'d> {
    /// And whether these are all that were meant.
    Events(Vec<(EventId, &'d InputDecl)>, bool),
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
        let (topics_read, tombstones) = (Vec::new(), Vec::new());
        let mut cx = Self {
            decl,
            all,
            events_missing,
            topics: topics_read,
            tombstones,
            events,
            needed,
            views,
            by_name,
            problems,
        };
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
        let tombstone = tombstone(&topic);
        let keys = topic.events.iter().map(|event| event.key.clone()).chain([(0..tombstone.fields.len()).collect()]);
        self.needed.push(keys.map(RefCell::new).collect());
        self.tombstones.push(tombstone);
        self.topics.push(topic);
    }

    /// Makes the view that drops a topic's repeats, before all that derive from it.
    fn remember(&mut self, topic: usize) {
        let Some(view) = seen::view(self, topic) else { return };
        if let Some(declared) = self.decl.views.iter().find(|declared| declared.name.value == view.table.name) {
            let message =
                format!("`{}` is what the fold remembers of topic `{}`", view.table.name, self.topics[topic].name);
            self.error(&declared.name.span, message, "taken", Some("call the view something else".into()));
        }
        self.views.push(view);
    }

    /// The topology's name.
    pub(super) fn topology(&self) -> &str {
        &self.decl.name.value
    }

    /// The slot of an event's field, which becomes needed.
    pub(super) fn slot(&self, id: EventId, field: &str) -> Option<usize> {
        let (index, _) = unknown::field_of(self.record(id), field)?;
        let mut needed = self.needed(id).borrow_mut();
        let slot = needed.iter().position(|&n| n == index);
        Some(slot.unwrap_or_else(|| {
            needed.push(index);
            needed.len() - 1
        }))
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
    fn from<'d>(&mut self, decl: &'d ViewDecl) -> Option<From<'d>> {
        let mut refs = Vec::new();
        let mut views = Vec::new();
        let mut complete = true;
        for input in decl.from.iter().filter(|input| !is_tombstone(input)) {
            let name = &input.source;
            if input.kind != InputKind::View
                && let Some(event) = self.event(name)
            {
                refs.push((event, input));
            } else if input.kind != InputKind::Event && self.declared(&name.value) {
                views.push(name);
            } else {
                complete = false;
                self.no_input(input);
            }
        }
        complete &= self.tombstones(decl, &mut refs);
        match views.as_slice() {
            [] if refs.is_empty() => {
                if complete && !decl.unsound {
                    let message = format!("view `{}` reads nothing", decl.name.value);
                    self.error(&decl.name.span, message, "no `from:`", None);
                }
                None
            }
            [] => Some(From::Events(refs, complete)),
            [view, others @ ..]
                if refs.is_empty() && complete && others.iter().all(|other| other.value == view.value) =>
            {
                self.view(&view.value).map(From::View)
            }
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

    /// Resolves `Tombstone`, which is of the topic that the other events are of, or of several the one that makes rows, in
    /// the order of the aliases.
    fn tombstones<'d>(&mut self, decl: &'d ViewDecl, refs: &mut Vec<(EventId, &'d InputDecl)>) -> bool {
        let tombstones: Vec<&InputDecl> = decl.from.iter().filter(|input| is_tombstone(input)).collect();
        let Some(first) = tombstones.first() else { return true };
        let makes = |input: &InputDecl| decl.create_when.iter().any(|name| input.is_named(name));
        let making = refs.iter().find(|(_, input)| makes(input)).or(refs.first());
        let topic = match (making, self.topics.len()) {
            (Some((id, _)), _) => id.topic,
            (None, 1) => 0,
            (None, _) => {
                let message = format!("`{TOMBSTONE}` of which topic?");
                let help = "list it beside the events whose rows it deletes".to_owned();
                self.error(&first.source.span, message, "alone here", Some(help));
                return false;
            }
        };
        let event = self.topics[topic].events.len();
        for input in tombstones {
            if !decl.delete_when.iter().any(|name| input.is_named(name)) {
                let message = format!("`{TOMBSTONE}` has its key only, so it can but delete");
                let help = format!("add `{}` to `delete_when`", input.alias.as_ref().unwrap_or(&input.source).value);
                self.error(&input.source.span, message, "not in `delete_when`", Some(help));
                return false;
            }
            refs.push((EventId { topic, event }, input));
        }
        let place = |input: &InputDecl| decl.from.iter().position(|other| std::ptr::eq(other, input));
        refs.sort_by_key(|(_, input)| place(input));
        true
    }

    /// Neither an event nor a view, or not what it was said to be.
    fn no_input(&mut self, input: &InputDecl) {
        if self.events_missing {
            return;
        }
        let name = &input.source;
        let events = self.events.keys().map(String::as_str).filter(|_| input.kind != InputKind::View);
        let views = self.decl.views.iter().map(|view| view.name.as_str()).filter(|_| input.kind != InputKind::Event);
        let help = suggestion(&name.value, events.chain(views));
        let (what, label) = match input.kind {
            InputKind::Listed => ("event or view", "neither an event of the topics read nor a view here"),
            InputKind::Event => ("event", "not an event of the topics read"),
            InputKind::View => ("view", "not declared here"),
        };
        let help = match input.kind {
            InputKind::Event if self.declared(&name.value) => {
                Some(format!("it is a view: write `view: {}`", name.value))
            }
            InputKind::View if self.is_event(name) => Some(format!("it is an event: write `event: {}`", name.value)),
            InputKind::View => help,
            _ => help.or_else(|| Some("`reads:` names the topics whose events a view may use".into())),
        };
        self.unknown(&name.span, format!("there is no {what} `{}`", name.value), label, help);
    }

    /// Whether an event of the topics read has this name.
    pub(super) fn is_event(&self, name: &str) -> bool {
        self.events.contains_key(name)
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

    /// An event's fields.
    pub(super) fn record(&self, id: EventId) -> &Arc<RecordType> {
        self.topics[id.topic].events.get(id.event).map_or(&self.tombstones[id.topic], |event| &event.schema.record)
    }

    pub(super) fn event_name(&self, id: EventId) -> &str {
        self.topics[id.topic].events.get(id.event).map_or(TOMBSTONE, |event| &event.name)
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
            if let Some(read) = self.views[i].read() {
                self.views[read].has_dependents = true;
            }
        }
        overflow::settle(&mut self.views);
        self.views.iter_mut().for_each(retain::settle);
        let used = |topic: usize, event: usize| {
            self.views.iter().any(|view| match &view.source {
                Source::Events(source) => {
                    let inputs = source.topic(topic).and_then(|(_, of)| of.inputs.get(event));
                    inputs.is_some_and(|inputs| !inputs.is_empty())
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
                events: self.needed[t]
                    .iter()
                    .enumerate()
                    .map(|(e, needed)| EventPlan {
                        // The message key's fields were needed first, in order.
                        key_slots: (0..topic.events.get(e).map_or(topic.key.len(), |event| event.key.len())).collect(),
                        needed: needed.borrow().clone(),
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
            declared: self.decl.views.clone(),
        }
    }
}

/// Whether an input is the record without a value.
fn is_tombstone(input: &InputDecl) -> bool {
    input.source.value == TOMBSTONE && input.kind != InputKind::View
}

/// What is known of a record without a value: the fields of its key.
fn tombstone(topic: &Topic) -> Arc<RecordType> {
    let field = |name: &String| {
        let known = topic.events.iter().find_map(|event| event.schema.record.field(name));
        known.map_or_else(|| unknown::field(name), |(_, field)| field.clone())
    };
    let fields = topic.key.iter().map(field).collect();
    Arc::new(RecordType { name: TOMBSTONE.to_owned(), aliases: Vec::new(), fields, doc: None })
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
                        let order = call.order.iter().map(|(ast, _)| ast);
                        for ast in call.arguments.iter().chain(&call.filter).chain(order) {
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
    let source = EventSource { topics: Vec::new(), with: None, reducers: Vec::new(), making: None };
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
        watched: Vec::new(),
        table,
    }
}

fn reads(view: &ViewDecl) -> impl Iterator<Item = &Text> {
    view.from.iter().map(|input| &input.source).chain(&view.with)
}

pub(super) fn error(span: &Span, message: String, label: &str, help: Option<String>) -> Diagnostic {
    Diagnostic { help, ..Diagnostic::error(span, message).label(label) }
}
