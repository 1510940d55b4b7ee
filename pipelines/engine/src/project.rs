//! A project: its folders read, every declaration checked, everything compiled; or every mistake in all of its files.
//!
//! A mistake is said once. What depends on something mistaken is checked as far as it can be, and adds nothing about what
//! is missing only because of that mistake.

mod files;
mod routes;
mod topics;
mod topologies;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_schemas::Topic;

use crate::command::{self, Command};
use crate::declare::config::Environment;
use crate::declare::query::AnswerDecl;
use crate::declare::{self, CommandDecl, Config, QueryDecl, TestDecl, Text};
use crate::plan::Topology;
use crate::query::{self, Query};
use crate::route::Route;
use crate::source::{Diagnostic, Sources};
use crate::test::{self, TestCase};
use crate::yaml::{self, Node};
use crate::{expr, source};
use files::{Files, Kind};
use topics::Topics;

pub use crate::diagnostics::Report;

/// A project without a mistake.
#[derive(Debug)]
pub struct Project {
    pub dir: PathBuf,
    pub config: Config,
    pub topics: Vec<Arc<Topic>>,
    pub topologies: Vec<Arc<Topology>>,
    pub commands: Vec<Arc<Command>>,
    pub queries: Vec<Arc<Query>>,
    pub tests: Vec<TestCase>,
    pub warnings: Vec<Diagnostic>,
    pub sources: Sources,
}

impl Project {
    /// The nearest folder from `start` upward that holds a `headwater.yaml`.
    pub fn find(start: &Path) -> Option<PathBuf> {
        start.ancestors().find(|folder| folder.join(files::CONFIG).is_file()).map(Path::to_owned)
    }

    /// Reads and checks the project in `dir`; `config` stands in for its `headwater.yaml`. `${NAME}` in it is taken from
    /// the process's environment.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(dir: &Path, config: Option<&Path>) -> Result<Self, Report> {
        Self::load_with(dir, config, &|name| std::env::var(name).ok())
    }

    /// As [`Project::load`], with an environment of the caller's own.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load_with(dir: &Path, config: Option<&Path>, environment: Environment<'_>) -> Result<Self, Report> {
        let files = Files::read(dir, config);
        let mut loader = Loader { files: &files, out: files.problems.clone() };
        let config = loader.config(environment);
        let topics = topics::load(&files, &mut loader.out);
        let topologies = topologies::load(&files, config.as_ref(), &topics, &mut loader.out);
        let sound = Sound { topics: &topics, topologies: &topologies };
        let (commands, queries) = loader.ends(&sound);
        let tests = loader.tests(&sound);
        let out = loader.out;
        let Files { sources, .. } = files;
        match config {
            Some(config) if !out.iter().any(Diagnostic::is_error) => {
                let (topics, topologies) = (topics.topics, topologies.topologies);
                let dir = dir.to_owned();
                Ok(Self { dir, config, topics, topologies, commands, queries, tests, warnings: out, sources })
            }
            _ => Err(Report::new(sources, out)),
        }
    }

    /// What is not wrong, but worth a word.
    pub fn report(&self) -> Report {
        Report::new(self.sources.clone(), self.warnings.clone())
    }

    /// A path of the configuration, which is relative to the project's folder.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }
}

/// What is right so far, and what is not and must not be judged by.
struct Sound<'a> {
    topics: &'a Topics,
    topologies: &'a topologies::Topologies,
}

impl Sound<'_> {
    /// Whether a text names an event or a view that is mistaken itself.
    fn speaks_of_broken(&self, text: &str) -> bool {
        mentions(text, &self.topics.broken_events) || mentions(text, &self.topologies.broken_views)
    }

    fn any_broken<'t>(&self, texts: impl IntoIterator<Item = &'t Text>) -> bool {
        texts.into_iter().any(|text| self.speaks_of_broken(text))
    }

    /// A file is so broken that the names in it are unknown: nothing can be called unknown then.
    fn names_missing(&self) -> bool {
        self.topics.unnamed || self.topologies.unnamed
    }
}

/// Whether one of the names stands in the text as a word.
fn mentions(text: &str, names: &BTreeSet<String>) -> bool {
    !names.is_empty() && text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| names.contains(word))
}

/// Parses expressions whose names cannot be resolved, for what can be said of them all the same.
fn check_syntax<'t>(texts: impl IntoIterator<Item = &'t Text>, out: &mut Vec<Diagnostic>) {
    for text in texts {
        if let Err(error) = expr::parse(text) {
            out.push(Diagnostic::of_expression(text, error));
        }
    }
}

struct Loader<'f> {
    files: &'f Files,
    out: Vec<Diagnostic>,
}

impl<'f> Loader<'f> {
    fn config(&mut self, environment: Environment<'_>) -> Option<Config> {
        let file = self.files.of(Kind::Config).next()?;
        let text = self.files.sources.text(file.id);
        if is_blank(text) {
            return Some(Config::default());
        }
        let node = yaml::parse_into(file.id, text, &mut self.out)?;
        declare::config::read(&node, environment, &mut self.out)
    }

    /// What the files of a kind declare.
    fn read<T>(&mut self, kind: Kind, read: fn(&Node, &mut Vec<Diagnostic>) -> Option<Vec<T>>) -> Vec<T> {
        let mut decls = Vec::new();
        for file in self.files.of(kind) {
            let node = yaml::parse_into(file.id, self.files.sources.text(file.id), &mut self.out);
            decls.extend(node.and_then(|node| read(&node, &mut self.out)).unwrap_or_default());
        }
        decls
    }

    /// The two ends: what is compiled of commands and of queries.
    fn ends(&mut self, sound: &Sound<'_>) -> (Vec<Arc<Command>>, Vec<Arc<Query>>) {
        let commands = self.read(Kind::Commands, declare::command::read);
        let queries = self.read(Kind::Queries, declare::query::read);
        routes::check(&commands, &queries, &self.files.sources, &mut self.out);
        (self.commands(&commands, &queries, sound), self.queries(&queries, sound))
    }

    fn commands(&mut self, decls: &[CommandDecl], queries: &[QueryDecl], sound: &Sound<'_>) -> Vec<Arc<Command>> {
        let context =
            command::Context { topics: &sound.topics.topics, topologies: &sound.topologies.topologies, queries };
        let (doubtful, judged): (Vec<CommandDecl>, Vec<CommandDecl>) = decls.iter().cloned().partition(|decl| {
            sound.names_missing()
                || sound.any_broken([&decl.emits])
                || sound.any_broken(decl.on.iter().chain(&decl.unique))
                || sound.any_broken(decl.set.iter().map(|(_, text)| text))
                || sound.any_broken(decl.require.iter().map(|require| &require.that))
        });
        for decl in &doubtful {
            self.out.extend(Route::parse(&decl.path).err().into_iter().flatten());
            let texts = decl.set.iter().map(|(_, text)| text).chain(decl.require.iter().map(|require| &require.that));
            check_syntax(texts, &mut self.out);
        }
        command::compile_all(&judged, &context).unwrap_or_else(|found| {
            self.out.extend(found);
            Vec::new()
        })
    }

    fn queries(&mut self, decls: &[QueryDecl], sound: &Sound<'_>) -> Vec<Arc<Query>> {
        let mut queries = Vec::new();
        for decl in decls {
            let view = match &decl.answer {
                AnswerDecl::Row(view) | AnswerDecl::Page { view, .. } | AnswerDecl::File { view, .. } => view,
            };
            let joined = decl.join.iter().map(|(_, text)| text);
            if sound.names_missing() || sound.any_broken(joined.chain([view])) {
                self.out.extend(Route::parse(&decl.path).err().into_iter().flatten());
                continue;
            }
            match query::compile(decl, &sound.topologies.topologies) {
                Ok(query) => queries.push(Arc::new(query)),
                Err(found) => self.out.extend(found),
            }
        }
        queries
    }

    fn tests(&mut self, sound: &Sound<'_>) -> Vec<TestCase> {
        let decls: Vec<TestDecl> = self.read(Kind::Tests, declare::test::read);
        let mut cases = Vec::new();
        for decl in &decls {
            let events = decl.given.iter().map(|given| &given.event);
            if sound.names_missing() || sound.any_broken(events.chain(decl.expect.iter().map(|(view, _)| view))) {
                continue;
            }
            match test::compile(decl, &sound.topics.topics, &sound.topologies.topologies) {
                Ok(case) => cases.push(case),
                Err(found) => self.out.extend(found),
            }
        }
        cases
    }
}

/// Nothing but comments: a configuration where everything is as it is by default.
fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
}

/// Help for an unknown name, as everywhere.
fn help(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let candidates: Vec<String> = candidates.collect();
    source::suggestion(name, candidates.iter().map(String::as_str))
}
