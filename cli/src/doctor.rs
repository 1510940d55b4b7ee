//! `headwater doctor`: whether everything that a project needs is there and fits together, and how to mend what does not.

mod cassandra;
mod kafka;
mod places;
mod postgres;
mod registry;
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
                  the declared ones, the registry against the schemas and the stores against the topologies. Of each server \
                  that is configured: whether it answers, what its user may do, whether what it takes is durable and \
                  copied, its version and its clock (but Kafka's, which its protocol does not tell). It changes nothing. \
                  Each finding says how to mend it.",
    after_help = "Examples:\n  headwater doctor\n  headwater --config deploy/dev/headwater.yaml doctor\n  \
                  headwater doctor --json | jq '.[] | select(.state != \"ok\")'"
)]
pub(crate) struct Doctor {}

/// Clocks that are no further apart than this are as good as one.
const CLOCKS_APART_MS: i64 = 2_000;

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
                out.line(format!("{mark} {:<18} {}", finding.about, printable(&finding.found)))?;
                if let Some(mend) = &finding.mend {
                    out.line(format!("{:24} → {mend}", ""))?;
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
    let servers = [
        kafka::look(&project).await,
        registry::look(&project).await,
        postgres::look(&project).await,
        cassandra::look(&project).await,
    ];
    let is_usable = servers.iter().all(|looked| looked.is_usable);
    findings.extend(servers.into_iter().flat_map(|looked| looked.findings));
    if !is_usable {
        // What could be said beyond that would only repeat it.
        return findings;
    }
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

/// What was found of servers, and whether they do for a look at what Headwater keeps there.
struct Looked {
    findings: Vec<Finding>,
    is_usable: bool,
}

impl Default for Looked {
    fn default() -> Self {
        Self::usable(Vec::new())
    }
}

impl Looked {
    fn usable(findings: Vec<Finding>) -> Self {
        Self { findings, is_usable: true }
    }

    fn unusable(findings: Vec<Finding>) -> Self {
        Self { findings, is_usable: false }
    }

    fn extend(&mut self, other: Looked) {
        self.findings.extend(other.findings);
        self.is_usable &= other.is_usable;
    }
}

/// What kept a server from being opened.
fn failed(about: &str, failure: Failure, otherwise: &str) -> Finding {
    match failure {
        Failure::Environment { what, mend } => {
            Finding::wrong(about, what, mend.unwrap_or_else(|| otherwise.to_owned()))
        }
        Failure::Closed => Finding::wrong(about, "it was closed", otherwise),
    }
}

/// A clock that is further from this machine's than what can be explained by how it was asked.
fn clock(about: &str, ahead_ms: i64, uncertain_ms: i64) -> Option<Finding> {
    if ahead_ms.abs() <= CLOCKS_APART_MS + uncertain_ms {
        return None;
    }
    let how = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let found = format!("its clock is {:.1} s {how} this machine's", ahead_ms.abs() as f64 / 1000.0);
    Some(Finding::note(about, found, "Set both by one time server: retention, claims and tokens go by clocks."))
}

/// Whether all addresses of a list, such as `127.0.0.1:9092,localhost:9093`, are this machine's own.
fn addresses_are_loopback(addresses: &str) -> bool {
    let host = |address: &str| {
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest).to_owned();
        let rest = rest.split('/').next().unwrap_or_default().to_owned();
        rest.rsplit_once(':').map_or(rest.clone(), |(host, _)| host.to_owned())
    };
    addresses.split(',').map(|address| host(address.trim())).all(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_own_addresses_are_known() {
        for (addresses, own) in [
            ("127.0.0.1:9092", true),
            ("127.0.0.1:9092, localhost:9093", true),
            ("http://[::1]:8081/apis", true),
            ("https://registry.example.org", false),
            ("127.0.0.1:9092,10.0.0.7:9092", false),
        ] {
            assert_eq!(addresses_are_loopback(addresses), own, "{addresses}");
        }
    }

    #[test]
    fn a_clock_is_wrong_beyond_what_asking_explains() {
        assert!(clock("log", 1500, 1000).is_none());
        assert!(clock("log", -1500, 1000).is_none());
        let finding = clock("log", -4200, 1000).expect("a finding");
        assert_eq!(finding.found, "its clock is 4.2 s behind this machine's");
    }
}
