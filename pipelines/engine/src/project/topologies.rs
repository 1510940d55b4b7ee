//! Topologies from their files. A mistaken view is left out, with what reads it, and the rest is compiled, so that
//! commands and queries over the rest are checked too.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::files::{Files, Kind};
use super::topics::Topics;
use super::{check_syntax, help, mentions};
use crate::declare::{ColumnsDecl, Config, Text, TopologyDecl, ViewDecl, topology};
use crate::plan::{self, Topology};
use crate::source::{Diagnostic, Sources};
use crate::yaml;

#[derive(Default)]
pub(super) struct Topologies {
    pub(super) topologies: Vec<Arc<Topology>>,
    /// Views that are declared and not compiled.
    pub(super) broken_views: BTreeSet<String>,
    /// A file is so broken that not even its views' names are known.
    pub(super) unnamed: bool,
}

pub(super) fn load(files: &Files, config: Option<&Config>, topics: &Topics, out: &mut Vec<Diagnostic>) -> Topologies {
    let mut loaded = Topologies::default();
    let mut names: Vec<Text> = Vec::new();
    let mut twice = BTreeSet::new();
    for file in files.of(Kind::Topology) {
        let Some(node) = yaml::parse_into(file.id, files.sources.text(file.id), out) else {
            loaded.unnamed = true;
            continue;
        };
        let decl = topology::read(&node, out);
        let views = topology::view_names(&node);
        loaded.unnamed |= views.is_none();
        loaded.broken_views.extend(views.unwrap_or_default().into_iter().map(str::to_owned));
        let Some(decl) = decl else { continue };
        twice.extend(check_names(&decl, &mut names, &files.sources, out));
        check_store(&decl, config, out);
        if let Some(topology) = loaded.compile(decl, topics, out) {
            for view in &topology.views {
                loaded.broken_views.remove(&view.table.name);
            }
            loaded.topologies.push(Arc::new(topology));
        }
    }
    loaded.broken_views.extend(twice);
    loaded
}

impl Topologies {
    /// The topology with those of its views that are right; `decl` lacks those that made no sense by themselves.
    fn compile(&self, mut decl: TopologyDecl, topics: &Topics, out: &mut Vec<Diagnostic>) -> Option<Topology> {
        let mut broken = self.broken_views.clone();
        for view in &decl.views {
            broken.remove(&view.name.value);
        }
        if topics.unnamed && decl.reads.iter().any(|read| topics.topics.iter().all(|topic| topic.name != read.value)) {
            check_views_syntax(&decl.views, out);
            return None;
        }
        decl.reads.retain(|read| !topics.broken_topics.contains(&read.value));
        let doubtful = prune(&mut decl, |view| speaks_of(view, &broken) || speaks_of(view, &topics.broken_events));
        check_views_syntax(&doubtful, out);
        let mut first = true;
        loop {
            if decl.reads.is_empty() {
                return None;
            }
            let errors = match plan::compile(&decl, &topics.topics) {
                Ok(topology) => return Some(topology),
                Err(errors) => errors,
            };
            if !leave_out(&mut decl, &errors) {
                out.extend(errors.into_iter().filter(|_| first));
                return None;
            }
            // Only the first round speaks of the declaration as it is written.
            out.extend(errors.into_iter().filter(|_| first));
            first = false;
        }
    }
}

/// Removes the views that `doubtful` holds of, and every view that reads one of them.
fn prune(decl: &mut TopologyDecl, doubtful: impl Fn(&ViewDecl) -> bool) -> Vec<ViewDecl> {
    let mut gone: BTreeSet<String> = BTreeSet::new();
    let mut pruned = Vec::new();
    loop {
        let views = std::mem::take(&mut decl.views);
        let (out, kept): (Vec<_>, Vec<_>) =
            views.into_iter().partition(|view| doubtful(view) || speaks_of(view, &gone));
        decl.views = kept;
        if out.is_empty() {
            return pruned;
        }
        gone.extend(out.iter().map(|view| view.name.value.clone()));
        pruned.extend(out);
    }
}

/// Leaves out what the errors are about: views, and topics that are read. False where they are about neither, and to try
/// again would find the same.
fn leave_out(decl: &mut TopologyDecl, errors: &[Diagnostic]) -> bool {
    let reads = decl.reads.len();
    decl.reads.retain(|read| errors.iter().all(|error| error.span != read.span));
    // A view's text goes from its name to the next view's.
    let mut starts: Vec<usize> = decl.views.iter().map(|view| view.name.span.range.start).collect();
    starts.sort_unstable();
    let mistaken: BTreeSet<usize> = errors
        .iter()
        .filter(|error| error.span.file == decl.name.span.file)
        .filter_map(|error| starts.iter().rev().find(|&&start| start <= error.span.range.start).copied())
        .collect();
    let views = prune(decl, |view| mistaken.contains(&view.name.span.range.start));
    decl.reads.len() < reads || !views.is_empty()
}

/// Every text of a view that can name an event or another view.
fn texts(view: &ViewDecl) -> impl Iterator<Item = &Text> {
    let columns: Box<dyn Iterator<Item = &Text>> = match &view.columns {
        ColumnsDecl::Copied(_) => Box::new(std::iter::empty()),
        ColumnsDecl::Computed(columns) => Box::new(columns.iter().map(|(_, text)| text)),
    };
    let keys = view.key.partition.iter().chain(view.key.clustering.iter().map(|(entry, _)| entry));
    view.from.iter().chain(&view.with).chain(columns).chain(keys.filter_map(|entry| entry.expression.as_ref()))
}

fn speaks_of(view: &ViewDecl, names: &BTreeSet<String>) -> bool {
    texts(view).any(|text| mentions(text, names))
}

fn check_views_syntax(views: &[ViewDecl], out: &mut Vec<Diagnostic>) {
    for view in views {
        let skipped = view.from.len() + view.with.iter().len();
        check_syntax(texts(view).skip(skipped), out);
    }
}

/// Names of topologies and views are the whole project's: commands and queries name a view without its topology. Gives
/// the views whose names are taken.
fn check_names(
    decl: &TopologyDecl,
    names: &mut Vec<Text>,
    sources: &Sources,
    out: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut twice = Vec::new();
    let named = std::iter::once((&decl.name, "topology")).chain(decl.views.iter().map(|view| (&view.name, "view")));
    for (name, what) in named {
        let key = format!("{what} {}", name.value);
        let Some(other) = names.iter().find(|other| other.value == key) else {
            names.push(Text { value: key, span: name.span.clone() });
            continue;
        };
        let file = sources.path(other.span.file).display();
        let message = format!("{what} `{}` is already declared in {file}", name.value);
        out.push(Diagnostic::error(&name.span, message).label("declared twice"));
        twice.extend((what == "view").then(|| name.value.clone()));
    }
    twice
}

fn check_store(decl: &TopologyDecl, config: Option<&Config>, out: &mut Vec<Diagnostic>) {
    let Some(config) = config else { return };
    if config.stores.iter().any(|(name, _)| *name == decl.store.value) {
        return;
    }
    let mut error = Diagnostic::error(&decl.store.span, format!("there is no store `{}`", decl.store.value))
        .label("not under `stores` in headwater.yaml");
    error.help = help(&decl.store.value, config.stores.iter().map(|(name, _)| name.clone()));
    out.push(error);
}
