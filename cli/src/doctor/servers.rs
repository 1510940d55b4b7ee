//! The log against the topics, the registry against the schemas, the stores against the topologies.

use headwater_log::{LogError, Offset, Partition};
use headwater_schemas::KeyFormat;
use headwater_schemas::registry::RegistryError;
use headwater_schemas::topic::Topic;

use super::Finding;
use crate::environment::{Deployed, Environment};
use crate::output::counted;

/// A record this much younger than now means that a clock is wrong.
const AHEAD_MS: i64 = 60_000;

pub(super) async fn look(environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    for topic in &environment.project.topics {
        findings.extend(in_log(environment, topic).await);
        findings.push(in_registry(environment, topic).await);
    }
    findings.extend(undeclared(environment).await);
    findings.extend(ahead(environment).await);
    findings.extend(stores(environment).await);
    findings
}

async fn in_log(environment: &Environment, topic: &Topic) -> Option<Finding> {
    let about = "log";
    Some(match environment.log.topic(&topic.name).await {
        Ok(info) if info.partitions != topic.partitions => Finding::wrong(
            about,
            format!(
                "{} has {} and is declared with {}",
                topic.name,
                counted(info.partitions as usize, "partition"),
                topic.partitions
            ),
            format!("Declare `partitions: {}` in schemas/{}/topic.yaml.", info.partitions, topic.domain),
        ),
        Ok(info) if info.retention_days != topic.retention_days => Finding::note(
            about,
            format!(
                "{} keeps its records for {} and is declared with {}",
                topic.name,
                days(info.retention_days),
                days(topic.retention_days)
            ),
            "The next start sets what is declared; records beyond it go for ever.",
        ),
        Ok(info) => {
            Finding::ok(about, format!("{} has {}", topic.name, counted(info.partitions as usize, "partition")))
        }
        Err(LogError::UnknownTopic { .. }) => {
            Finding::note(about, format!("{} is not there yet", topic.name), "The next start creates it: headwater up")
        }
        // Said of the server already.
        Err(LogError::Denied { .. }) => return None,
        Err(error) => Finding::wrong(
            about,
            format!("{} cannot be read: {error}", topic.name),
            "Mend the log's file or restore it.",
        ),
    })
}

fn days(retention: Option<u32>) -> String {
    retention.map_or_else(|| "ever".to_owned(), |days| counted(days as usize, "day"))
}

async fn in_registry(environment: &Environment, topic: &Topic) -> Finding {
    let about = "registry";
    let mut unknown = Vec::new();
    for event in &topic.events {
        let subject = topic.subject(event);
        match environment.registry.check(&subject, &event.schema).await {
            Ok(()) => {}
            Err(error @ RegistryError::Incompatible { .. }) => {
                return Finding::wrong(
                    about,
                    error.to_string(),
                    "A new version must be able to read every older one: give added fields a default.",
                );
            }
            Err(error) => return Finding::wrong(about, error.to_string(), "Mend the registry's file or restore it."),
        }
        let registered = environment.registry.versions(&subject).await.unwrap_or_default();
        if !registered.iter().any(|version| version.schema.fingerprint == event.schema.fingerprint) {
            unknown.push(event.name.as_str());
        }
    }
    match environment.registry.known_key_codec(topic).await {
        Ok(Some(_)) => {}
        Ok(None) => unknown.push("the key"),
        Err(error) => {
            let help =
                format!("Declare the key as version 1 of {} has it, or write to another topic.", topic.key_subject());
            return Finding::wrong(about, error.to_string(), help);
        }
    }
    let schemas = topic.events.len() + usize::from(matches!(topic.key_format, KeyFormat::Avro(_)));
    if unknown.is_empty() {
        return Finding::ok(about, format!("{} of {} are registered", counted(schemas, "schema"), topic.name));
    }
    let found = format!("{}: not registered as declared: {}", topic.name, unknown.join(", "));
    Finding::note(about, found, "The next start registers them: headwater up")
}

async fn undeclared(environment: &Environment) -> Option<Finding> {
    let topics = environment.log.topics().await.ok()?;
    let declared = |name: &str| environment.project.topics.iter().any(|topic| topic.name == name);
    let others: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).filter(|name| !declared(name)).collect();
    let found = format!("the log also has {}, which nothing declares", others.join(", "));
    (!others.is_empty()).then(|| Finding::note("log", found, "Declare them under schemas/, or let them be."))
}

/// Whether the newest records are younger than now.
async fn ahead(environment: &Environment) -> Option<Finding> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    for topic in &environment.project.topics {
        for extent in environment.log.extents(&topic.name).await.unwrap_or_default() {
            if extent.end == extent.earliest {
                continue;
            }
            let last = Offset(extent.end.0 - 1);
            let records = environment.log.read(&topic.name, extent.partition, last, 1, 1).await.unwrap_or_default();
            if let Some(record) = records.first().filter(|record| record.timestamp_ms > now_ms + AHEAD_MS) {
                let seconds = (record.timestamp_ms - now_ms) / 1000;
                return Some(Finding::note(
                    "clock",
                    format!("{}/{}/{last} was written {seconds} s in the future", topic.name, extent.partition),
                    "Set the clock of this machine or of the producer; no view depends on it, but months and retention do.",
                ));
            }
        }
    }
    None
}

async fn stores(environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    let deployed = match environment.deployed().await {
        Ok(deployed) => deployed,
        Err(_) => {
            findings.push(Finding::wrong(
                "stores",
                "what is deployed cannot be read",
                "Mend the store's file, or remove it: views are rebuilt from the log.",
            ));
            return findings;
        }
    };
    for topology in &environment.project.topologies {
        let Some((found, current)) = deployed.iter().find(|(found, _)| found.topology.name == topology.name) else {
            findings.push(Finding::note(
                "stores",
                format!("{} was never started", topology.name),
                "Start it: headwater up",
            ));
            continue;
        };
        if !current {
            findings.push(Finding::wrong(
                "stores",
                format!(
                    "{} is deployed as generation {}, which differs from its declaration",
                    topology.name, found.generation
                ),
                format!("Undo the change, or fold its views anew: headwater up --reset {}", topology.name),
            ));
        }
        findings.push(positions(environment, found).await);
        findings.extend(parked(found).await);
    }
    findings
}

async fn positions(environment: &Environment, deployed: &Deployed) -> Finding {
    let name = &deployed.topology.name;
    let reset = format!("Fold its views anew from what the log holds: headwater up --reset {name}");
    let positions = match deployed.store.positions(name, deployed.generation).await {
        Ok(positions) => positions,
        Err(error) => {
            return Finding::wrong("stores", format!("the positions of {name} cannot be read: {error}"), reset);
        }
    };
    for position in &positions {
        let Ok(info) = environment.log.topic(&position.topic).await else { continue };
        let place = format!("{}/{}", position.topic, position.partition);
        if *info.id.0.as_bytes() != position.topic_id {
            return Finding::wrong(
                "stores",
                format!("{name} has a position in another topic called {}", position.topic),
                reset,
            );
        }
        let extents = environment.log.extents(&position.topic).await.unwrap_or_default();
        let Some(extent) = extents.iter().find(|extent| extent.partition == Partition(position.partition)) else {
            continue;
        };
        if position.next < extent.earliest.0 {
            let found =
                format!("{name} wants {place} from {}, and the log begins at {}", position.next, extent.earliest);
            return Finding::wrong("stores", found, reset);
        }
        if position.next > extent.end.0 {
            let found = format!(
                "{name} wants {place} from {}, and the log ends at {}: it lost records",
                position.next, extent.end
            );
            return Finding::wrong(
                "stores",
                found,
                format!("Restore the log from a backup, or: headwater up --reset {name}"),
            );
        }
    }
    Finding::ok("stores", format!("{name} is generation {}, with its positions in the log", deployed.generation))
}

async fn parked(deployed: &Deployed) -> Option<Finding> {
    let keys = deployed.store.parked_keys(&deployed.topology.name, deployed.generation).await.ok()?;
    let records: u64 = keys.iter().map(|key| key.count).sum();
    let found = format!("{} of {} are parked", counted(records as usize, "record"), counted(keys.len(), "key"));
    (records > 0).then(|| Finding::note("parked", found, "See why: headwater parked list"))
}
