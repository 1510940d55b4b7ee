//! Topics: created, compared, described and deleted.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use crate::error::LogError;
use crate::kafka::native::{self, Described};
use crate::kafka::{FRESH, KafkaLog, faults};
use crate::record::TopicId;
use crate::topic::{TopicInfo, TopicSpec};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Between two looks at whether brokers have heard of what the controller decided.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl KafkaLog {
    pub(crate) async fn ensure_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        self.open()?;
        spec.validate()?;
        match self.topic(&spec.name).await {
            Ok(existing) => return self.compare(spec, existing).await,
            Err(LogError::UnknownTopic { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.create(spec, false).await {
            // Somebody else was faster.
            Ok(()) | Err(Some(RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err(Some(code)) => return Err(self.not_created(spec, code)),
            Err(None) => return Err(LogError::Closed),
        }
        let existing = self.seen(&spec.name).await?;
        self.compare(spec, existing).await
    }

    pub(super) async fn create(&self, spec: &TopicSpec, validate_only: bool) -> Result<(), Option<RDKafkaErrorCode>> {
        let options = &self.0.options;
        let failed = |error| Some(faults::code_of(&error));
        let retention_ms = retention_ms(spec.retention_days);
        let message_bytes = options.max_message_bytes().to_string();
        let insync = options.min_insync_replicas.map(|count| count.to_string());
        // Copies: -1 is what the broker has as its default.
        let replication = TopicReplication::Fixed(options.replication.unwrap_or(-1));
        let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
        let mut topic = NewTopic::new(&spec.name, partitions, replication)
            .set("cleanup.policy", cleanup_policy(spec))
            .set("retention.ms", &retention_ms)
            .set("max.message.bytes", &message_bytes);
        if let Some(insync) = &insync {
            topic = topic.set("min.insync.replicas", insync);
        }
        let made = self.0.admin.create_topics([&topic], &self.validate_only(validate_only)).await.map_err(failed)?;
        match made.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(Some(code)),
            None => Err(None),
        }
    }

    pub(super) fn not_created(&self, spec: &TopicSpec, code: RDKafkaErrorCode) -> LogError {
        use RDKafkaErrorCode as Code;
        match code {
            Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::InvalidConfig
            | Code::InvalidRequest
            | Code::PolicyViolation => LogError::InvalidTopic { topic: spec.name.clone(), reason: code.to_string() },
            code => faults::fault(&self.0.complaints, code, "create", &spec.name),
        }
    }

    /// Compares a topic with its declaration, and sets how it is cleaned up where that differs.
    async fn compare(&self, spec: &TopicSpec, mut existing: TopicInfo) -> Result<TopicInfo, LogError> {
        spec.fits(&existing)?;
        if existing.retention_days == spec.retention_days && self.is_cleaned_as(spec).await? {
            return Ok(existing);
        }
        let (name, complaints) = (spec.name.clone(), self.0.complaints.clone());
        let retention_ms = retention_ms(spec.retention_days);
        let policy = cleanup_policy(spec);
        self.ask(move |asker, timeout| {
            let configs = [("retention.ms", retention_ms.as_str()), ("cleanup.policy", policy)];
            native::set_topic_configs(asker.client(), &name, &configs, timeout)
                .map_err(|code| faults::fault(&complaints, code, "set the retention of", &name))
        })
        .await?;
        existing.retention_days = spec.retention_days;
        self.remember(&existing);
        // Until the broker that is asked has heard of it.
        let began = Instant::now();
        while self.retention_days(&spec.name).await? != spec.retention_days || !self.is_cleaned_as(spec).await? {
            self.again(began, "set the retention of", &spec.name).await?;
        }
        Ok(existing)
    }

    /// The topic as the cluster has it now.
    pub(crate) async fn topic(&self, name: &str) -> Result<TopicInfo, LogError> {
        let (described, retention_days) = tokio::try_join!(self.describe(name), self.retention_days(name))?;
        let Described { id, partitions, .. } = described;
        let info = TopicInfo { name: name.to_owned(), id: TopicId(id), partitions, retention_days };
        self.remember(&info);
        Ok(info)
    }

    /// The topic as it was at most [`FRESH`] ago, its retention older than that perhaps.
    pub(super) async fn recent(&self, name: &str) -> Result<TopicInfo, LogError> {
        let known = self.0.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        match known {
            Some((info, at)) if at.elapsed() < FRESH => Ok(info),
            known => {
                let Described { id, partitions, .. } = self.describe(name).await?;
                let retention_days = known.and_then(|(info, _)| info.retention_days);
                let info = TopicInfo { name: name.to_owned(), id: TopicId(id), partitions, retention_days };
                self.remember(&info);
                Ok(info)
            }
        }
    }

    pub(crate) async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        let complaints = self.0.complaints.clone();
        let described = self
            .ask(move |asker, timeout| {
                let fault = |code| faults::fault(&complaints, code, "list the topics of", "");
                let metadata = asker.client().fetch_metadata(None, timeout);
                let metadata = metadata.map_err(|error| fault(faults::code_of(&error)))?;
                let names: Vec<String> = metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
                if names.is_empty() {
                    return Ok(Vec::new());
                }
                native::describe_topics(asker.client(), &names, timeout).map_err(fault)
            })
            .await?;
        let mut topics = Vec::new();
        for (name, described) in described {
            // One that was deleted meanwhile, or that this user may not see.
            let Ok(Described { id, partitions, internal }) = described else { continue };
            if !internal {
                topics.push(TopicInfo { name, id: TopicId(id), partitions, retention_days: None });
            }
        }
        let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
        let configs = match asked.is_empty() {
            true => Vec::new(),
            false => self
                .0
                .admin
                .describe_configs(&asked, &self.admin_options())
                .await
                .map_err(|error| self.fault(faults::code_of(&error), "list the topics of", ""))?,
        };
        for (topic, config) in topics.iter_mut().zip(configs) {
            topic.retention_days = config.ok().and_then(|config| days(&config));
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        self.open()?;
        let failed = |error| self.fault(faults::code_of(&error), "delete", name);
        let deleted = self.0.admin.delete_topics(&[name], &self.admin_options()).await.map_err(failed)?;
        if let Some(Err((_, code))) = deleted.into_iter().next() {
            return Err(self.fault(code, "delete", name));
        }
        self.forget(name);
        let began = Instant::now();
        loop {
            match self.describe(name).await {
                Err(LogError::UnknownTopic { .. }) => return Ok(()),
                Ok(_) => self.again(began, "delete", name).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// A member that is about to leave its group is waited for, until Kafka itself takes it for gone.
    pub(crate) async fn delete_groups(&self, groups: &[String]) -> Result<(), LogError> {
        self.open()?;
        let mut left: Vec<&str> = groups.iter().map(String::as_str).collect();
        // Kafka's client takes none twice.
        left.sort_unstable();
        left.dedup();
        let began = Instant::now();
        while !left.is_empty() {
            let failed = |code| self.fault(code, "delete a group of", "");
            let deleted = self.0.admin.delete_groups(&left, &self.admin_options()).await;
            let mut busy = Vec::new();
            for group in deleted.map_err(|error| failed(faults::code_of(&error)))? {
                match group {
                    Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
                    Err((name, RDKafkaErrorCode::NonEmptyGroup)) => busy.extend(left.iter().find(|it| **it == name)),
                    Err((_, code)) => return Err(failed(code)),
                }
            }
            left = busy;
            if !left.is_empty() && began.elapsed() > self.0.options.session_timeout + self.0.options.request_timeout {
                return Err(failed(RDKafkaErrorCode::NonEmptyGroup));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Ids of topics, each as of now. One that is not there is an error.
    pub(super) async fn ids(&self, names: Vec<String>) -> Result<Vec<(String, TopicId)>, LogError> {
        let complaints = self.0.complaints.clone();
        self.ask(move |asker, timeout| {
            let fault = |code, name: &str| faults::fault(&complaints, code, "look at", name);
            let all = native::describe_topics(asker.client(), &names, timeout).map_err(|code| fault(code, ""))?;
            let id = |(name, found): (String, Result<Described, _>)| match found {
                Ok(described) => Ok((name, TopicId(described.id))),
                Err(code) => Err(fault(code, &name)),
            };
            all.into_iter().map(id).collect()
        })
        .await
    }

    async fn describe(&self, name: &str) -> Result<Described, LogError> {
        let (asked, complaints) = (name.to_owned(), self.0.complaints.clone());
        let described = self
            .ask(move |asker, timeout| {
                let fault = |code| faults::fault(&complaints, code, "look at", &asked);
                // A name that no topic can have is not asked for: brokers answer that with an error of its own.
                let all = native::describe_topics(asker.client(), std::slice::from_ref(&asked), timeout);
                let first = all.map_err(fault)?.into_iter().next();
                first.map_or_else(|| Err(LogError::unknown(&asked)), |(_, found)| found.map_err(fault))
            })
            .await;
        if matches!(described, Err(LogError::UnknownTopic { .. })) {
            self.forget(name);
        }
        described
    }

    /// The topic, once the broker that is asked has heard of it and all its partitions have leaders.
    async fn seen(&self, name: &str) -> Result<TopicInfo, LogError> {
        let began = Instant::now();
        loop {
            match self.topic(name).await {
                Ok(info) => return Ok(info),
                Err(LogError::UnknownTopic { .. }) => self.again(began, "create", name).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn again(&self, began: Instant, doing: &str, name: &str) -> Result<(), LogError> {
        if began.elapsed() > self.0.options.request_timeout {
            return Err(self.fault(RDKafkaErrorCode::OperationTimedOut, doing, name));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        Ok(())
    }

    async fn retention_days(&self, name: &str) -> Result<Option<u32>, LogError> {
        Ok(days(&self.config(name).await?))
    }

    /// Whether the broker has the topic's policy as declared, in whichever order it names its parts.
    async fn is_cleaned_as(&self, spec: &TopicSpec) -> Result<bool, LogError> {
        let config = self.config(&spec.name).await?;
        let found = config.get("cleanup.policy").and_then(|entry| entry.value.as_deref()).unwrap_or_default();
        let parts = |policy: &str| policy.split(',').map(|part| part.trim().to_owned()).collect::<BTreeSet<_>>();
        Ok(parts(found) == parts(cleanup_policy(spec)))
    }

    async fn config(&self, name: &str) -> Result<ConfigResource, LogError> {
        let failed = |code| self.fault(code, "look at the settings of", name);
        let asked = [ResourceSpecifier::Topic(name)];
        let configs = self.0.admin.describe_configs(&asked, &self.admin_options()).await;
        match configs.map_err(|error| failed(faults::code_of(&error)))?.into_iter().next() {
            Some(Ok(config)) => Ok(config),
            Some(Err(code)) => Err(failed(code)),
            None => Err(failed(RDKafkaErrorCode::Fail)),
        }
    }

    /// The most bytes of a batch that the topic takes, as far as that can be found out.
    pub(super) async fn max_message_bytes(&self, name: &str) -> Option<usize> {
        let configs = self.0.admin.describe_configs(&[ResourceSpecifier::Topic(name)], &self.admin_options()).await;
        let config = configs.ok()?.into_iter().next()?.ok()?;
        config.get("max.message.bytes")?.value.as_ref()?.parse().ok()
    }

    pub(super) fn fault(&self, code: RDKafkaErrorCode, doing: &str, topic: &str) -> LogError {
        faults::fault(&self.0.complaints, code, doing, topic)
    }

    fn remember(&self, info: &TopicInfo) {
        let mut topics = self.0.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(info.name.clone(), (info.clone(), Instant::now()));
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.topics.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub(super) fn admin_options(&self) -> AdminOptions {
        let timeout = Some(self.0.options.request_timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

/// What goes: what is beyond retention, what a newer record of its key replaces, or both.
fn cleanup_policy(spec: &TopicSpec) -> &'static str {
    match (spec.compact, spec.retention_days) {
        (false, _) => "delete",
        (true, None) => "compact",
        (true, Some(_)) => "compact,delete",
    }
}

fn retention_ms(days: Option<u32>) -> String {
    days.map_or(-1, |days| i64::from(days) * DAY_MS).to_string()
}

/// Days that a topic keeps its records, rounded up; None is for ever.
fn days(config: &ConfigResource) -> Option<u32> {
    let ms: i64 = config.get("retention.ms")?.value.as_ref()?.parse().ok()?;
    u32::try_from((ms.max(-1) + DAY_MS - 1).div_euclid(DAY_MS)).ok().filter(|_| ms >= 0)
}
