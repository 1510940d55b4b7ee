//! `headwater check`: every mistake in every file of a project, with no server and nothing started.

use clap::Args;

use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::output::{counted, note};

/// Check every file of the project, and name every mistake with its place
#[derive(Debug, Args)]
#[command(
    long_about = "Checks headwater.yaml, schemas/*/topic.yaml and *.avsc, and pipelines/*/{topology,commands,queries}.yaml \
                  and tests/*.yaml, against each other and with no server. It never stops at the first mistake: each is \
                  named with its file, its line, what was expected and the nearest valid name.",
    after_help = "Examples:\n  headwater check\n  headwater check --json | jq '.diagnostics[].message'\n\n\
                  With --json, one document on stdout: errors, warnings and diagnostics, each of these with severity, \
                  code, file, line, column, message, label and help. Codes: unreadable, syntax, unknown-key, \
                  missing-key, wrong-type, unknown-name, duplicate, not-supported, invalid.\n\n\
                  Exit codes: 0 nothing is wrong (warnings aside), 1 there are mistakes, 2 wrong usage or no project."
)]
pub(crate) struct Check {}

impl Check {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let views: usize = project.topologies.iter().map(|topology| topology.views.len()).sum();
        let counts = [
            ("topics", "topic", project.topics.len()),
            ("topologies", "topology", project.topologies.len()),
            ("views", "view", views),
            ("commands", "command", project.commands.len()),
            ("queries", "query", project.queries.len()),
            ("tests", "test", project.tests.len()),
        ];
        let warnings = project.report();
        let mut out = context.output();
        if context.json {
            let counts: serde_json::Map<_, _> =
                counts.iter().map(|(name, _, count)| ((*name).to_owned(), (*count).into())).collect();
            let mut said = warnings.json();
            said["declared"] = counts.into();
            out.value(&said)?;
        } else {
            if !warnings.is_empty() {
                note(warnings.render(console::colors_enabled_stderr()));
            }
            let counts: Vec<String> = counts.iter().map(|(_, noun, count)| counted(*count, noun)).collect();
            out.line(format!("Nothing wrong in {}.", counts.join(", ")))?;
        }
        out.flush()?;
        Ok(Answer::Yes)
    }
}
