//! What a cluster says of itself, its topics and this user's rights, for whoever looks whether everything is as it should be.

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::Consumer;

use crate::error::LogError;
use crate::kafka::native::{self, TopicRights};
use crate::kafka::{KafkaLog, faults};
use crate::topic::TopicSpec;

/// A cluster and what its brokers are set to; of several brokers, what the first that answers says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    pub brokers: usize,
    /// None where this user may not see it.
    pub settings: Option<BrokerSettings>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    /// `auto.create.topics.enable`
    pub auto_create: bool,
    /// `message.max.bytes`
    pub max_message_bytes: u64,
    /// `default.replication.factor`
    pub default_replication: u32,
    /// `unclean.leader.election.enable`
    pub unclean_election: bool,
    /// `offsets.topic.replication.factor`: of what the groups remember.
    pub group_replication: u32,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// Copies of the partition that has the fewest.
    pub replication: usize,
    /// Copies that are in sync, of the partition that has the fewest.
    pub in_sync: usize,
    pub min_insync: usize,
    /// `delete`, `compact` or both.
    pub cleanup_policy: String,
    pub max_message_bytes: u64,
    /// `retention.bytes`; None: however many.
    pub retention_bytes: Option<u64>,
    pub rights: TopicRights,
}

impl KafkaLog {
    /// The cluster and its brokers' settings.
    pub async fn cluster_facts(&self) -> Result<ClusterFacts, LogError> {
        let complaints = self.0.complaints.clone();
        let brokers = self
            .ask(move |asker, timeout| {
                let metadata = asker.client().fetch_metadata(None, timeout);
                let fault = |error| faults::fault(&complaints, faults::code_of(&error), "ask", "");
                Ok(metadata.map_err(fault)?.brokers().iter().map(|broker| broker.id()).collect::<Vec<i32>>())
            })
            .await?;
        let mut settings = None;
        if let Some(first) = brokers.first() {
            settings = self.broker_settings(*first).await;
        }
        Ok(ClusterFacts { brokers: brokers.len(), settings })
    }

    async fn broker_settings(&self, broker: i32) -> Option<BrokerSettings> {
        let asked = [ResourceSpecifier::Broker(broker)];
        let found = self.0.admin.describe_configs(&asked, &self.admin_options()).await.ok()?;
        let config = found.into_iter().next()?.ok()?;
        let text = |name: &str| config.get(name)?.value.clone();
        Some(BrokerSettings {
            auto_create: text("auto.create.topics.enable")? == "true",
            max_message_bytes: text("message.max.bytes")?.parse().ok()?,
            default_replication: text("default.replication.factor")?.parse().ok()?,
            unclean_election: text("unclean.leader.election.enable")? == "true",
            group_replication: text("offsets.topic.replication.factor")?.parse().ok()?,
        })
    }

    /// A topic's copies, its settings, and what this user may do with it.
    pub async fn topic_facts(&self, name: &str) -> Result<TopicFacts, LogError> {
        let (asked, complaints) = (name.to_owned(), self.0.complaints.clone());
        let (copies, rights) = self
            .ask(move |asker, timeout| {
                let fault = |code| faults::fault(&complaints, code, "look at", &asked);
                let rights = native::topic_rights(asker.client(), &asked, timeout).map_err(fault)?;
                let metadata = asker.client().fetch_metadata(Some(&asked), timeout);
                let metadata = metadata.map_err(|error| fault(faults::code_of(&error)))?;
                let topic = metadata.topics().iter().find(|topic| topic.name() == asked);
                let partitions = topic.ok_or_else(|| LogError::unknown(&asked))?.partitions();
                let fewest = |count: &dyn Fn(usize) -> usize| (0..partitions.len()).map(count).min().unwrap_or(0);
                let replication = fewest(&|index| partitions[index].replicas().len());
                Ok(((replication, fewest(&|index| partitions[index].isr().len())), rights))
            })
            .await?;
        let failed = |code| self.fault(code, "look at the settings of", name);
        let configs = self.0.admin.describe_configs(&[ResourceSpecifier::Topic(name)], &self.admin_options()).await;
        let configs = configs.map_err(|error| failed(faults::code_of(&error)))?;
        let config = configs.into_iter().next().ok_or_else(|| LogError::unknown(name))?.map_err(failed)?;
        let text = |name: &str| config.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
        Ok(TopicFacts {
            replication: copies.0,
            in_sync: copies.1,
            min_insync: text("min.insync.replicas").parse().unwrap_or(1),
            cleanup_policy: text("cleanup.policy"),
            max_message_bytes: text("max.message.bytes").parse().unwrap_or(0),
            retention_bytes: text("retention.bytes").parse().ok(),
            rights,
        })
    }

    /// Whether the topic could be created; it is not.
    pub async fn may_create(&self, spec: &TopicSpec) -> Result<(), LogError> {
        self.open()?;
        spec.validate()?;
        match self.create(spec, true).await {
            Ok(()) => Ok(()),
            Err(Some(code)) => Err(self.not_created(spec, code)),
            Err(None) => Err(LogError::Closed),
        }
    }

    /// The most bytes that a record of this program takes.
    pub fn largest_message_bytes(&self) -> u64 {
        self.0.options.max_message_bytes() as u64
    }

    pub(super) fn validate_only(&self, only: bool) -> AdminOptions {
        self.admin_options().validate_only(only)
    }
}
