//! `headwater explain`: what the compiled dataflow does and costs, without any server.

use clap::Args;
use headwater_engine::explain::Explanation;
use headwater_engine::project::Project;
use headwater_engine::source::suggestion;
use serde_json::json;

use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::output::{Output, printable};

/// Explain what views are made of, what an event reads and writes, what grows, and what each store promises
#[derive(Debug, Args)]
#[command(
    long_about = "Prints the plan that `run` runs, from the declarations alone and with no server.\n\nFirst an overview: the \
                  topics that are read, then every view with its level (a view of level 1 reads what changes in views of \
                  level 0), what it is made of, whether its rows are owned (one partition of the topic feeds each, in order) \
                  or shared (many do, in no order), how many rows an event reads and writes, and what is worth a look: a row \
                  that every event changes, a partition that grows without bound.\n\nThen a block for each view: which event \
                  makes, changes or deletes rows; where key and columns come from; what is read and written and from \
                  where; how large partitions grow, and what to write instead; how SQLite, Postgres and Cassandra write it; \
                  who reads it.",
    after_help = "Examples:\n  headwater explain\n  headwater explain document\n  headwater explain --view totals\n  \
                  headwater explain --json | jq -r '.topologies[].views[] | select(.size.growth == \"unbounded\") | .name'\n\n\
                  How to read a line of the overview:\n  \
                  1  totals  an aggregate of documents  shared  1  1  one hot row\n  \
                  is: the view totals adds up the rows of documents; many partitions add to each of its rows; an event that \
                  changes a document reads one row of totals and writes one; and there is only one, which all events meet.\n\n\
                  Exit codes: 0 explained, 1 there are mistakes in the project, 2 wrong usage or no project."
)]
pub(crate) struct Explain {
    /// Only this topology
    topology: Option<String>,

    /// Only this view, without the overview
    #[arg(long, value_name = "VIEW")]
    view: Option<String>,
}

impl Explain {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let explanations = self.explanations(&project)?;
        let mut out = context.output();
        if context.json {
            out.value(&json!({ "topologies": explanations }))?;
        } else if explanations.is_empty() {
            out.line("No topology is declared.")?;
        } else {
            self.show(&explanations, &mut out)?;
        }
        out.flush()?;
        Ok(Answer::Yes)
    }

    /// What is asked for: where a view is named, of its topology only that view.
    fn explanations(&self, project: &Project) -> Result<Vec<Explanation>, Failure> {
        check_topology(project, self.topology.as_deref())?;
        let topologies = project.topologies.iter();
        let chosen = topologies.filter(|found| self.topology.as_ref().is_none_or(|name| found.name == *name));
        let mut explanations: Vec<Explanation> = chosen.map(|found| Explanation::of(project, found)).collect();
        let Some(wanted) = &self.view else { return Ok(explanations) };
        let known: Vec<String> =
            explanations.iter().flat_map(|found| &found.views).map(|view| view.name.clone()).collect();
        for explanation in &mut explanations {
            explanation.views.retain(|view| view.name == *wanted);
        }
        explanations.retain(|explanation| !explanation.views.is_empty());
        if explanations.is_empty() {
            let place = self.topology.as_ref().map_or(String::new(), |name| format!(" in topology {name}"));
            let failure = Failure::new(format!("no view is called {wanted}{place}"));
            return Err(mended(failure, suggestion(wanted, known.iter().map(String::as_str))));
        }
        Ok(explanations)
    }

    fn show(&self, explanations: &[Explanation], out: &mut Output) -> Result<(), Failure> {
        for (index, explanation) in explanations.iter().enumerate() {
            if index > 0 {
                out.line("")?;
            }
            match (&self.view, explanation.views.first()) {
                (Some(_), Some(view)) => lines(&view.text(), out)?,
                _ => lines(&explanation.text(), out)?,
            }
        }
        Ok(())
    }
}

/// What starts a block stands out.
fn lines(text: &str, out: &mut Output) -> Result<(), Failure> {
    for line in text.lines().map(printable) {
        match line.starts_with(|c: char| !c.is_whitespace()) {
            true => out.line(console::style(line).bold().to_string())?,
            false => out.line(line)?,
        }
    }
    Ok(())
}

/// Refuses a topology that is not declared.
pub(crate) fn check_topology(project: &Project, name: Option<&str>) -> Result<(), Failure> {
    let names = || project.topologies.iter().map(|topology| topology.name.as_str());
    match name {
        Some(name) if names().all(|known| known != name) => {
            Err(mended(Failure::new(format!("no topology is called {name}")), suggestion(name, names())))
        }
        _ => Ok(()),
    }
}

fn mended(failure: Failure, help: Option<String>) -> Failure {
    match help {
        Some(help) => failure.mend(help),
        None => failure,
    }
}
