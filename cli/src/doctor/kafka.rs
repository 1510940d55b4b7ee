//! A Kafka cluster: whether it can be reached, what this user may do there, and whether topics are kept as they should be.

use headwater_engine::declare::config::{KafkaConfig, LogConfig};
use headwater_engine::project::Project;
use headwater_log::{BrokerSettings, KafkaLog, Log, LogError, TopicFacts, TopicSpec};
use headwater_schemas::topic::Topic;

use super::{Finding, Looked, addresses_are_loopback, failed};
use crate::environment;
use crate::output::counted;

const ABOUT: &str = "log";

pub(super) async fn look(project: &Project) -> Looked {
    let LogConfig::Kafka(config) = &project.config.log else { return Looked::default() };
    let log = match environment::log(project, &project.config.log).await {
        Ok(log) => log,
        Err(failure) => return Looked::unusable(vec![failed(ABOUT, failure, "See `log.kafka` in headwater.yaml.")]),
    };
    let mut findings = Vec::new();
    if let Log::Kafka(kafka) = &log {
        findings.extend(cluster(kafka, config).await);
        for topic in &project.topics {
            findings.extend(in_cluster(kafka, topic).await);
        }
        findings.extend(groups(&log, project).await);
    }
    log.close().await;
    Looked::usable(findings)
}

async fn cluster(kafka: &KafkaLog, config: &KafkaConfig) -> Vec<Finding> {
    let facts = match kafka.cluster_facts().await {
        Ok(facts) => facts,
        Err(error) => return vec![Finding::wrong(ABOUT, error.to_string(), "See `log.kafka` in headwater.yaml.")],
    };
    // Clients are told which requests a broker knows, not its version, and no request tells its clock: a record's timestamp is
    // its producer's. What a clock that is wrong does is looked for in the newest records.
    let found =
        format!("Kafka answers, with {}, whose versions and clocks it does not tell", counted(facts.brokers, "broker"));
    let mut findings = vec![Finding::ok(ABOUT, found)];
    let brokers = config.brokers.resolve(&|name| std::env::var(name).ok()).unwrap_or_default();
    if !config.tls && config.login.is_none() && !addresses_are_loopback(&brokers) {
        findings.push(Finding::note(
            ABOUT,
            "the connection to Kafka is neither encrypted nor authenticated",
            "Set `tls: true`, or `user:` and a password, in `log.kafka`.",
        ));
    }
    match &facts.settings {
        Some(settings) => findings.extend(brokers_set(settings, config)),
        None => findings.push(Finding::note(
            ABOUT,
            "the brokers' settings cannot be seen",
            "To have them looked at, grant DescribeConfigs on the cluster to the user of `log.kafka`.",
        )),
    }
    findings
}

fn brokers_set(settings: &BrokerSettings, config: &KafkaConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |found: String, mend: &str| findings.push(Finding::note(ABOUT, found, mend));
    if settings.auto_create {
        note("the brokers create a topic that anyone names by mistake".into(), "Set auto.create.topics.enable=false.");
    }
    if settings.unclean_election {
        note(
            "the brokers may make a copy leader that lacks acknowledged records".into(),
            "Set unclean.leader.election.enable=false.",
        );
    }
    if settings.default_replication < 2 && config.replication.is_none_or(|copies| copies < 2) {
        note(
            "topics that are made get one copy: for development only".into(),
            "Set `replication: 3` in `log.kafka`, or default.replication.factor=3 on the brokers.",
        );
    }
    findings
}

async fn in_cluster(kafka: &KafkaLog, topic: &Topic) -> Vec<Finding> {
    let name = &topic.name;
    match kafka.topic_facts(name).await {
        Ok(facts) => described(kafka, name, &facts),
        Err(LogError::UnknownTopic { .. }) => {
            let spec = TopicSpec {
                name: name.clone(),
                partitions: topic.partitions,
                retention_days: topic.retention_days,
                compact: topic.compact,
            };
            let Err(error) = kafka.may_create(&spec).await else { return Vec::new() };
            let mend = format!(
                "Grant Create on it to the user of `log.kafka`, or have it made with {}.",
                counted(topic.partitions as usize, "partition")
            );
            vec![Finding::wrong(ABOUT, format!("{name} is not there and cannot be made: {error}"), mend)]
        }
        Err(error @ LogError::Denied { .. }) => vec![Finding::wrong(
            ABOUT,
            format!("the user of `log.kafka` may not look at {name}: {error}"),
            granting("Describe, DescribeConfigs, Read and Write", name),
        )],
        Err(error) => vec![Finding::wrong(ABOUT, format!("{name} cannot be looked at: {error}"), "Try again.")],
    }
}

fn granting(operations: &str, topic: &str) -> String {
    format!(
        "Grant {operations} on the topic {topic} to that user (kafka-acls --add), or set another `user:` in `log.kafka`."
    )
}

fn described(kafka: &KafkaLog, name: &str, facts: &TopicFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (may, what, operation) in [(facts.rights.read, "read", "Read"), (facts.rights.write, "write to", "Write")] {
        if !may {
            let found = format!("the user of `log.kafka` may not {what} {name}");
            findings.push(Finding::wrong(ABOUT, found, granting(operation, name)));
        }
    }
    findings.extend(copies(name, facts));
    let setting = |setting: &str| {
        format!("kafka-configs --alter --entity-type topics --entity-name {name} --add-config {setting}")
    };
    if facts.cleanup_policy != "delete" {
        findings.push(Finding::wrong(
            ABOUT,
            format!("{name} is cleaned up by {}: views cannot be built again from what is left", facts.cleanup_policy),
            setting("cleanup.policy=delete"),
        ));
    }
    if let Some(bytes) = facts.retention_bytes {
        findings.push(Finding::note(
            ABOUT,
            format!("{name} keeps {bytes} bytes a partition, however young the records beyond are"),
            setting("retention.bytes=-1"),
        ));
    }
    let largest = kafka.largest_message_bytes();
    if facts.max_message_bytes < largest {
        findings.push(Finding::note(
            ABOUT,
            format!("{name} takes records of {} bytes, and events may have {largest}", facts.max_message_bytes),
            setting(&format!("max.message.bytes={largest}")),
        ));
    }
    findings
}

fn copies(name: &str, facts: &TopicFacts) -> Option<Finding> {
    let (copies, in_sync, least) = (facts.replication, facts.in_sync, facts.min_insync);
    let replicate = "Give it three copies (kafka-reassign-partitions) and min.insync.replicas=2.";
    if in_sync < least {
        let found = format!("{name} has {in_sync} of {copies} copies in sync and wants {least}: it takes no records");
        return Some(Finding::wrong(ABOUT, found, "Bring the missing brokers back, or lower min.insync.replicas."));
    }
    match copies {
        ..=1 => Some(Finding::note(ABOUT, format!("{name} has one copy: for development only"), replicate)),
        _ if in_sync < copies => {
            let found = format!("{name} has {in_sync} of {copies} copies in sync");
            Some(Finding::note(ABOUT, found, "See which broker is behind or away."))
        }
        _ if least < 2 => {
            let found = format!("{name} acknowledges records that one copy alone has");
            Some(Finding::note(ABOUT, found, "Set min.insync.replicas=2 on it."))
        }
        _ if least == copies => {
            let found = format!("{name} takes no records while any one of its {copies} brokers is away");
            Some(Finding::note(ABOUT, found, "Set min.insync.replicas one lower than its copies."))
        }
        _ => None,
    }
}

/// Whether the groups of the topologies may be used.
async fn groups(log: &Log, project: &Project) -> Option<Finding> {
    for topology in &project.topologies {
        let group = headwater_runner::group(&topology.name, 1);
        if let Err(error @ LogError::Denied { .. }) = log.group_offsets(&group).await {
            return Some(Finding::wrong(
                ABOUT,
                format!("the user of `log.kafka` may not use the group {group}: {error}"),
                format!("Grant Read on groups that begin with {}.g to that user.", topology.name),
            ));
        }
    }
    None
}
