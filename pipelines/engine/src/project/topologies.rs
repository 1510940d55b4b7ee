//! Topologies from their files. What is mistaken in a view is not known, and the rest is compiled, so that commands, queries
//! and tests are checked against all that is known.

use std::sync::Arc;

use rayon::prelude::*;

use super::files::{Declared, Files, Kind};
use super::help;
use super::topics::Topics;
use crate::declare::{Config, Text, TopologyDecl, topology};
use crate::plan::{self, Topology, View};
use crate::source::{Code, Diagnostic, Sources};

#[derive(Default)]
pub(super) struct Topologies {
    /// As far as each is known.
    pub(super) topologies: Vec<Arc<Topology>>,
    /// A file is so broken that not even its views' names are known.
    pub(super) unnamed: bool,
}

pub(super) fn load(files: &Files, config: Option<&Config>, topics: &Topics, out: &mut Vec<Diagnostic>) -> Topologies {
    let mut loaded = Topologies::default();
    let mut names: Vec<Text> = Vec::new();
    let mut topologies: Vec<Topology> = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    let declared: Vec<&Declared> = files.of(Kind::Topology).collect();
    let each: Vec<Outlined> = declared.par_iter().map(|file| outlined(files, file, topics)).collect();
    for Outlined { names_views, mistakes, outline } in each {
        loaded.unnamed |= !names_views;
        out.extend(mistakes);
        let Some((decl, topology, problems)) = outline else { continue };
        twice.extend(check_names(&decl, &mut names, &files.sources, out));
        check_store(&decl, config, out);
        out.extend(problems);
        topologies.push(topology);
    }
    for name in &twice {
        // Whoever names such a view may mean either.
        let mut views = topologies.iter_mut().flat_map(|topology| &mut topology.views);
        if let Some(view) = views.find(|view| view.table.name == *name) {
            view.forget();
        }
        views.filter(|view| view.table.name == *name).for_each(View::forget_name);
    }
    loaded.topologies = topologies.into_iter().map(Arc::new).collect();
    loaded
}

/// One file, by itself.
struct Outlined {
    /// Whether its views' names are known.
    names_views: bool,
    /// What is wrong with it as a declaration.
    mistakes: Vec<Diagnostic>,
    /// What it declares, as far as it is known, and what is wrong with that.
    outline: Option<(TopologyDecl, Topology, Vec<Diagnostic>)>,
}

fn outlined(files: &Files, file: &Declared, topics: &Topics) -> Outlined {
    let mut mistakes = Vec::new();
    let node = files.tree(file, &mut mistakes);
    let names_views = node.as_ref().is_some_and(topology::names_views);
    let decl = node.and_then(|node| topology::read(&node, &mut mistakes));
    let outline = decl.map(|decl| {
        let (topology, problems) = plan::outline(&decl, &topics.topics, topics.unnamed);
        (decl, topology, problems)
    });
    Outlined { names_views, mistakes, outline }
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
    for (name, what) in named.filter(|(name, _)| !name.is_empty()) {
        let key = format!("{what} {}", name.value);
        let Some(other) = names.iter().find(|other| other.value == key) else {
            names.push(Text { value: key, span: name.span.clone() });
            continue;
        };
        let file = sources.path(other.span.file).display();
        let message = format!("{what} `{}` is already declared in {file}", name.value);
        out.push(Diagnostic::error(&name.span, message).label("declared twice").code(Code::Duplicate));
        twice.extend((what == "view").then(|| name.value.clone()));
    }
    twice
}

fn check_store(decl: &TopologyDecl, config: Option<&Config>, out: &mut Vec<Diagnostic>) {
    let Some(config) = config else { return };
    if decl.store.is_empty() {
        return;
    }
    if config.stores.iter().any(|(name, _)| *name == decl.store.value) {
        return;
    }
    let mut error = Diagnostic::error(&decl.store.span, format!("there is no store `{}`", decl.store.value))
        .label("not under `stores` in headwater.yaml")
        .code(Code::UnknownName);
    error.help = help(&decl.store.value, config.stores.iter().map(|(name, _)| name.clone()));
    out.push(error);
}
