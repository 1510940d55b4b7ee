//! `headwater doctor`: whether everything that a project needs is there and fits together, and how to mend what does not.

mod places;
mod servers;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::environment::{self, Environment};
use crate::failure::{Answer, Failure};
use crate::output::printable;

/// Look at everything a project needs: files, rights, space, clock, log, registry, stores
#[derive(Debug, Args)]
#[command(
    long_about = "Looks at the declarations, the folders and their rights, disk space, the clock, the log's topics against \
                  the declared ones, the registry against the schemas and the stores against the topologies. It changes \
                  nothing. Each finding says how to mend it.",
    after_help = "Examples:\n  headwater doctor\n  headwater doctor --json | jq '.[] | select(.state != \"ok\")'"
)]
pub(crate) struct Doctor {}

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    state: State,
    about: String,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, and somebody should know.
    Note,
    Wrong,
}

impl Finding {
    pub(crate) fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { state: State::Ok, about: about.into(), found: found.into(), mend: None }
    }

    pub(crate) fn note(about: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Note, about: about.into(), found: found.into(), mend: Some(mend.into()) }
    }

    pub(crate) fn wrong(about: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Wrong, about: about.into(), found: found.into(), mend: Some(mend.into()) }
    }
}

impl Doctor {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let findings = look(context).await;
        let wrong = findings.iter().any(|finding| finding.state == State::Wrong);
        let mut out = context.output();
        if context.json {
            out.value(&findings)?;
        } else {
            for finding in &findings {
                let mark = match finding.state {
                    State::Ok => console::style("ok   ").green(),
                    State::Note => console::style("note ").yellow(),
                    State::Wrong => console::style("WRONG").red().bold(),
                };
                out.line(format!("{mark} {:<12} {}", finding.about, printable(&finding.found)))?;
                if let Some(mend) = &finding.mend {
                    out.line(format!("{:18} → {mend}", ""))?;
                }
            }
        }
        out.flush()?;
        Ok(if wrong { Answer::No } else { Answer::Yes })
    }
}

async fn look(context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    let project = match context.load() {
        Ok(project) => project,
        Err(_) => {
            findings.push(Finding::wrong(
                "files",
                "the declarations have mistakes",
                "Run `headwater check`: it names each.",
            ));
            return findings;
        }
    };
    findings.push(Finding::ok("files", "the declarations are right"));
    findings.extend(places::look(&project));
    if environment::log_folder(&project).is_some_and(|folder| !folder.join("log.db").exists()) {
        findings.push(Finding::note("log", "nothing was started here yet", "Start it: headwater up"));
        return findings;
    }
    match Environment::open(project).await {
        Ok(environment) => {
            findings.extend(servers::look(&environment).await);
            environment.close().await;
        }
        Err(Failure::Environment { what, .. }) => {
            findings.push(Finding::wrong(
                "log",
                what,
                "Restore the file from a backup, or stop whatever else has it open.",
            ));
        }
        Err(Failure::Closed) => {}
    }
    findings
}
