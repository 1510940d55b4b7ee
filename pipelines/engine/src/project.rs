//! A project: its folders read, every declaration checked, everything compiled; or every mistake in all of its files.
//!
//! A mistake is said once. What depends on something mistaken is checked as far as it can be, and adds nothing about what
//! is missing only because of that mistake.

mod files;
mod routes;
mod topics;
mod topologies;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_schemas::Topic;
use rayon::prelude::*;

use crate::command::{self, Command};
use crate::declare::config::Environment;
use crate::declare::query::AnswerDecl;
use crate::declare::{self, CommandDecl, Config, QueryDecl, TestDecl, Text};
use crate::plan::Topology;
use crate::query::{self, Query};
use crate::route::Route;
use crate::source::{self, Code, Diagnostic, Sources};
use crate::test::{self, TestCase};
use crate::unknown::Missing;
use crate::yaml::Node;
use files::{Declared, Files, Kind};

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
        let mut topics = topics::load(&files, &mut loader.out);
        topics.unnamed |= files.unreadable_folder;
        let topologies = topologies::load(&files, config.as_ref(), &topics, &mut loader.out);
        let missing = Missing {
            // Without any topic, that is what is mistaken, wherever one is named.
            events: topics.unnamed || (topics.topics.is_empty() && loader.out.iter().any(Diagnostic::is_error)),
            views: topologies.unnamed || files.unreadable_folder,
        };
        let mut known = Known { topics: &topics.topics, topologies: &topologies.topologies, missing };
        let (commands, queries) = loader.ends(&mut known);
        let tests = loader.tests(&known);
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

/// What commands, queries and tests are checked against: all that is known of topics and topologies.
struct Known<'a> {
    topics: &'a [Arc<Topic>],
    topologies: &'a [Arc<Topology>],
    missing: Missing,
}

struct Loader<'f> {
    files: &'f Files,
    out: Vec<Diagnostic>,
}

impl<'f> Loader<'f> {
    fn config(&mut self, environment: Environment<'_>) -> Option<Config> {
        let file = self.files.of(Kind::Config).next()?;
        if !file.unreadable && is_blank(self.files.sources.text(file.id)) {
            return Some(Config::default());
        }
        let node = self.files.tree(file, &mut self.out)?;
        declare::config::read(&node, environment, &mut self.out)
    }

    /// What the files of a kind declare.
    fn read<T: Send>(&mut self, kind: Kind, read: fn(&Node, &mut Vec<Diagnostic>) -> Option<Vec<T>>) -> Vec<T> {
        // Reading YAML is most of the work of a large project; each file stands for itself.
        let files: Vec<&Declared> = self.files.of(kind).collect();
        let tree = |file: &&Declared| {
            let mut out = Vec::new();
            let node = self.files.tree(file, &mut out);
            (node.and_then(|node| read(&node, &mut out)).unwrap_or_default(), out)
        };
        let each: Vec<(Vec<T>, Vec<Diagnostic>)> = files.par_iter().map(tree).collect();
        let mut decls = Vec::new();
        for (read, mistakes) in each {
            decls.extend(read);
            self.out.extend(mistakes);
        }
        decls
    }

    /// The two ends: what is compiled of commands and of queries.
    fn ends(&mut self, known: &mut Known<'_>) -> (Vec<Arc<Command>>, Vec<Arc<Query>>) {
        let commands = self.read(Kind::Commands, declare::command::read);
        let queries = self.read(Kind::Queries, declare::query::read);
        if let (Some(first), true, false) = (queries.first(), known.topologies.is_empty(), known.missing.views) {
            // That there is no view is said once, not of each that is named.
            let message = format!("query `{}` reads a view, and no topology declares any", first.name.value);
            let error = Diagnostic::error(&first.name.span, message).label("of which view?");
            self.out.push(error.help("declare views in pipelines/<domain>/topology.yaml"));
            known.missing.views = true;
        }
        let compiled = (self.commands(&commands, &queries, known), self.queries(&queries, known));
        routes::check(&commands, &queries, &self.files.sources, &mut self.out);
        compiled
    }

    fn commands(&mut self, decls: &[CommandDecl], queries: &[QueryDecl], known: &Known<'_>) -> Vec<Arc<Command>> {
        let Known { topics, topologies, missing } = *known;
        let rows = queries.iter().filter(|query| matches!(query.answer, AnswerDecl::Row(_)));
        let rows: Vec<Route> = rows.filter_map(|query| Route::parse(&query.path).ok()).collect();
        let context = command::Context { topics, topologies, rows: &rows, missing };
        let commands = command::compile_all(decls, &context).unwrap_or_else(|found| {
            self.out.extend(found);
            Vec::new()
        });
        self.all_compiled(commands.len(), decls.iter().map(|decl| &decl.name));
        commands
    }

    fn queries(&mut self, decls: &[QueryDecl], known: &Known<'_>) -> Vec<Arc<Query>> {
        let mut queries = Vec::new();
        let compile = |decl: &QueryDecl| query::compile_with(decl, known.topologies, known.missing);
        let compiled: Vec<_> = decls.par_iter().map(compile).collect();
        for compiled in compiled {
            match compiled {
                Ok(query) => queries.push(Arc::new(query)),
                Err(found) => self.out.extend(found),
            }
        }
        self.all_compiled(queries.len(), decls.iter().map(|decl| &decl.name));
        queries
    }

    fn tests(&mut self, known: &Known<'_>) -> Vec<TestCase> {
        let decls: Vec<TestDecl> = self.read(Kind::Tests, declare::test::read);
        let mut cases = Vec::new();
        let names = test::Names::new(known.topics, known.topologies);
        let compile = |decl: &TestDecl| test::compile_with(decl, &names, known.missing);
        let compiled: Vec<_> = decls.par_iter().map(compile).collect();
        let mut called = HashSet::with_capacity(decls.len());
        for (decl, compiled) in decls.iter().zip(compiled) {
            if !called.insert((decl.name.span.file, decl.name.value.as_str())) {
                let message = format!("two tests are called `{}`", decl.name.value);
                let error = Diagnostic::error(&decl.name.span, message).label("the second one").code(Code::Duplicate);
                self.out.push(error.help("a name says which of them failed"));
            }
            match compiled {
                Ok(case) => cases.push(case),
                Err(found) => self.out.extend(found),
            }
        }
        self.all_compiled(cases.len(), decls.iter().map(|decl| &decl.name));
        cases
    }

    /// What is not compiled has a mistake in it or in what it reads. Should none have been reported, nothing may run as if
    /// it were not declared.
    fn all_compiled<'d>(&mut self, compiled: usize, mut declared: impl ExactSizeIterator<Item = &'d Text>) {
        if compiled < declared.len() && !self.out.iter().any(Diagnostic::is_error) {
            self.out.extend(declared.next().map(|name| {
                let message = format!("`{}`, or one of its kind, cannot be compiled", name.value);
                Diagnostic::error(&name.span, message).help("this is a defect of headwater: it should say why")
            }));
        }
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
