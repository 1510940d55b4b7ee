//! A schema registry: whether it answers, takes schemas, and by which rule.

use chrono::{DateTime, Utc};
use headwater_engine::declare::config::RegistryConfig;
use headwater_engine::project::Project;
use headwater_schemas::registry::{Registry, RegistryError, RegistryFacts};

use super::{Finding, Looked, addresses_are_loopback, clock, failed};
use crate::environment;

const ABOUT: &str = "registry";

pub(super) async fn look(project: &Project) -> Looked {
    let RegistryConfig::Remote(server) = &project.config.registry else { return Looked::default() };
    let registry = match environment::registry(project, &project.config.registry).await {
        Ok(registry) => registry,
        Err(failure) => return Looked::unusable(vec![failed(ABOUT, failure, "See `registry` in headwater.yaml.")]),
    };
    let Registry::Remote(remote) = &registry else { return Looked::default() };
    let facts = match remote.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            let mend = match &error {
                RegistryError::Denied { .. } => "See `registry.user`, `password_file` and `token` in headwater.yaml.",
                _ => "See `registry.url` in headwater.yaml, and `registry.ca_file` where its certificate is refused.",
            };
            return Looked::unusable(vec![Finding::wrong(ABOUT, error.to_string(), mend)]);
        }
    };
    let version = facts.version.as_deref().map_or_else(String::new, |version| format!(", version {version}"));
    let mut findings = vec![Finding::ok(ABOUT, format!("{} answers{version}", remote.place()))];
    let url = server.url.resolve(&|name| std::env::var(name).ok()).unwrap_or_default();
    if url.starts_with("http://") && !addresses_are_loopback(&url) {
        findings.push(Finding::note(
            ABOUT,
            "the connection is not encrypted",
            "Name an https:// address in `registry.url`.",
        ));
    }
    findings.extend(rules(&facts));
    let date = facts.date.as_deref().and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    // It tells whole seconds.
    findings.extend(date.and_then(|date| clock(ABOUT, (date.to_utc() - Utc::now()).num_milliseconds(), 1000)));
    Looked::usable(findings)
}

fn rules(facts: &RegistryFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(mode) = facts.mode.as_deref().filter(|mode| *mode != "READWRITE") {
        findings.push(Finding::wrong(
            ABOUT,
            format!("it takes no schemas: its mode is {mode}"),
            "Set its mode: PUT /mode {\"mode\": \"READWRITE\"}",
        ));
    }
    let strict = "PUT /config {\"compatibility\": \"BACKWARD_TRANSITIVE\"}";
    match facts.compatibility.as_deref() {
        Some("BACKWARD_TRANSITIVE" | "FULL_TRANSITIVE") => {}
        Some(rule) => findings.push(Finding::note(
            ABOUT,
            format!("its rule for new versions is {rule}; views are built anew from every older one"),
            format!("So that nobody registers what history cannot be read with: {strict}"),
        )),
        None => findings.push(Finding::note(
            ABOUT,
            "it does not tell its rule for new versions",
            format!("Give this user the right to see it, or set it: {strict}"),
        )),
    }
    findings
}
