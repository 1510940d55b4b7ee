//! From a declaration to a [`Topology`]: names are resolved, views put in order, each compiled after what it reads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use headwater_schemas::topic::Topic;

use super::{EventPlan, Source, TopicPlan, Topology, View, derived, describe, events};
use crate::declare::{Text, TopologyDecl, ViewDecl};
use crate::expr::{self, Ast, Expr, ExprError};
use crate::source::{Diagnostic, Severity, Span, suggestion};

/// Compiles a topology against the project's topics.
///
/// # Errors
/// Every mistake found, each with its place. A view that reads a mistaken one adds nothing of its own.
pub fn compile(decl: &TopologyDecl, topics: &[Arc<Topic>]) -> Result<Topology, Vec<Diagnostic>> {
    let mut cx = Context::new(decl, topics);
    let order = cx.order();
    for index in order {
        if let Some(view) = cx.compile_view(&decl.views[index]) {
            cx.by_name.insert(decl.views[index].name.value.as_str(), cx.views.len());
            cx.views.push(view);
        }
    }
    if cx.problems.is_empty() { Ok(cx.finish()) } else { Err(cx.problems) }
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
    Events(Vec<(EventId, Span)>),
    View(usize),
}

impl<'a> Context<'a> {
    fn new(decl: &'a TopologyDecl, all: &[Arc<Topic>]) -> Self {
        let mut problems = Vec::new();
        let mut topics: Vec<Arc<Topic>> = Vec::new();
        for name in &decl.reads {
            match all.iter().find(|topic| topic.name == name.value) {
                Some(topic) if topics.iter().any(|t| t.name == topic.name) => problems.push(error(
                    &name.span,
                    format!("topic `{}` is read twice", name.value),
                    "already named",
                    None,
                )),
                Some(topic) => topics.push(topic.clone()),
                None => problems.push(error(
                    &name.span,
                    format!("there is no topic `{}`", name.value),
                    "not declared in any schemas/*/topic.yaml",
                    suggestion(&name.value, all.iter().map(|topic| topic.name.as_str())),
                )),
            }
        }
        let mut events = HashMap::new();
        for (topic, t) in topics.iter().enumerate() {
            for (event, e) in t.events.iter().enumerate() {
                events.insert(e.name.clone(), EventId { topic, event });
            }
        }
        let needed = topics.iter().map(|t| t.events.iter().map(|e| RefCell::new(e.key.clone())).collect()).collect();
        Self { decl, topics, events, needed, views: Vec::new(), by_name: HashMap::new(), problems }
    }

    /// The views' indexes, each after what it reads. Views in a cycle are reported and left out.
    fn order(&mut self) -> Vec<usize> {
        let decl = self.decl;
        let index: HashMap<&str, usize> =
            decl.views.iter().enumerate().map(|(i, view)| (view.name.value.as_str(), i)).collect();
        let mut order = Vec::new();
        let mut done = vec![false; decl.views.len()];
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
                break;
            }
        }
        for (_, view) in decl.views.iter().enumerate().filter(|(i, _)| !done[*i]) {
            self.error(
                &view.name.span,
                format!("view `{}` reads itself through others", view.name.value),
                "part of a cycle",
                Some("a view may read only views that do not read it".into()),
            );
        }
        order
    }

    fn compile_view(&mut self, decl: &ViewDecl) -> Option<View> {
        match self.from(decl)? {
            From::Events(refs) => events::compile(self, decl, &refs),
            From::View(source) => derived::compile(self, decl, source),
        }
    }

    /// What the view reads; None where that is mistaken, or reads something mistaken.
    fn from(&mut self, decl: &ViewDecl) -> Option<From> {
        let mut refs = Vec::new();
        let mut views = Vec::new();
        let mut complete = true;
        for name in &decl.from {
            if let Some(&event) = self.events.get(&name.value) {
                refs.push((event, name.span.clone()));
            } else if self.declared(&name.value) {
                views.push(name);
            } else {
                complete = false;
                let names =
                    self.events.keys().map(String::as_str).chain(self.decl.views.iter().map(|v| v.name.as_str()));
                let help = suggestion(&name.value, names);
                self.error(
                    &name.span,
                    format!("there is no event or view `{}`", name.value),
                    "neither an event of the topics read nor a view here",
                    help.or_else(|| Some("`reads:` names the topics whose events a view may use".into())),
                );
            }
        }
        match views.as_slice() {
            [] if complete && refs.is_empty() => {
                self.error(&decl.name.span, format!("view `{}` reads nothing", decl.name.value), "no `from:`", None);
                None
            }
            [] => complete.then_some(From::Events(refs)),
            [view] if refs.is_empty() && complete => self.by_name.get(view.value.as_str()).map(|&i| From::View(i)),
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
        let used = |topic: usize, event: usize| {
            self.views.iter().any(|view| match &view.source {
                Source::Events(source) => source.topic == topic && source.inputs[event].is_some(),
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

fn reads(view: &ViewDecl) -> impl Iterator<Item = &Text> {
    view.from.iter().chain(&view.with)
}

pub(super) fn error(span: &Span, message: String, label: &str, help: Option<String>) -> Diagnostic {
    Diagnostic { severity: Severity::Error, message, span: span.clone(), label: label.into(), help }
}
