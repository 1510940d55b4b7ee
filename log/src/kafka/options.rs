//! How a Kafka cluster is reached, and what librdkafka is told. What correctness rests on is set here and cannot be
//! overridden.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::{ExposeSecret, SecretString};

use crate::error::LogError;
use crate::limits::Limits;

/// What a record may take beyond [`Limits::max_record_bytes`] in Kafka: lengths, offsets, the head of its batch.
const OVERHEAD_BYTES: usize = 64 << 10;

/// Fetched at a time from a partition, and records at hand in one above which no more are fetched.
const FETCH_BYTES: usize = 256 << 10;
const FETCH_AHEAD_RECORDS: usize = 5_000;

/// Settings that `extra` may not touch: each either has an option of its own or keeps a promise of the log.
const RESERVED: [&str; 42] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "compression.codec",
    "compression.type",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "enable.sparse.connections",
    "enable.ssl.certificate.verification",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "linger.ms",
    "log.queue",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "queue.buffering.max.ms",
    "queuing.strategy",
    "request.required.acks",
    "retries",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "ssl.key.location",
    "transactional.id",
];

/// How the connection is secured.
#[derive(Clone, Debug, Default)]
pub enum KafkaSecurity {
    /// Neither encrypted nor authenticated: for development.
    #[default]
    Plain,
    /// TLS. `ca_file` is a PEM file of who signs brokers' certificates; without one, those that this machine trusts.
    Ssl { ca_file: Option<PathBuf>, certificate: Option<KafkaCertificate> },
    /// TLS, and a user with a password. The mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    SaslSsl { mechanism: String, user: String, password: SecretString, ca_file: Option<PathBuf> },
}

/// A certificate that this program shows to the broker, and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct KafkaCertificate {
    pub file: PathBuf,
    pub key_file: PathBuf,
    pub key_password: Option<SecretString>,
}

/// How batches are compressed by the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaCompression {
    None,
    Lz4,
    Zstd,
}

/// How a Kafka cluster is used. [`KafkaOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port`, several with commas between them.
    pub brokers: String,
    pub security: KafkaSecurity,
    /// By what name brokers know this program. Default `headwater`.
    pub client_id: String,
    /// How long an append may take before it is [`LogError::Unavailable`]. It is then no longer sent; whether it was
    /// written is not known. Default 10 s.
    pub delivery_timeout: Duration,
    /// How long any other request may take. Default 5 s.
    pub request_timeout: Duration,
    /// How long an append waits for others to share its request. Default 5 ms.
    pub linger: Duration,
    /// Default LZ4.
    pub compression: KafkaCompression,
    /// Copies of a topic that is created. None, the default: what the broker has as its default.
    pub replication: Option<i32>,
    /// Copies that must have a record before it counts as written, for topics that are created. None: the broker's default.
    pub min_insync_replicas: Option<u32>,
    /// How long a member of a group may be silent before another takes its partitions over. Default 10 s.
    pub session_timeout: Duration,
    /// How long a member may go without calling `next` before another takes its partitions over. Default 5 min.
    pub max_poll_interval: Duration,
    /// A name of its own for each process that outlives its restarts: a member that comes back under it within the session
    /// timeout has its partitions again, and nobody else's move. One that leaves is missed only after that timeout.
    pub instance_id: Option<String>,
    /// Checked before a record is sent; topics are created to hold what these allow.
    pub limits: Limits,
    /// Fetched ahead and waiting, for each partition of a consumer, in KiB; a fetch that is under way comes on top.
    /// Default 512.
    pub fetch_ahead_kib: u32,
    /// Further settings of librdkafka, by its names. None of those that a promise of the log rests on.
    pub extra: BTreeMap<String, String>,
}

impl KafkaOptions {
    pub fn new(brokers: impl Into<String>) -> Self {
        KafkaOptions {
            brokers: brokers.into(),
            security: KafkaSecurity::Plain,
            client_id: "headwater".into(),
            delivery_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            linger: Duration::from_millis(5),
            compression: KafkaCompression::Lz4,
            replication: None,
            min_insync_replicas: None,
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(300),
            instance_id: None,
            limits: Limits::default(),
            fetch_ahead_kib: 512,
            extra: BTreeMap::new(),
        }
    }

    /// What cannot work, by the name of the option.
    pub(super) fn validate(&self) -> Result<(), LogError> {
        let refuse = |cause: String| Err(LogError::Misconfigured { cause });
        if self.brokers.trim().is_empty() {
            return refuse("it names no brokers".into());
        }
        if let Some(name) = self.extra.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return refuse(format!("{name} may not be among the extra settings of Kafka: Headwater sets it itself"));
        }
        let secret = |name: &&String| ["password", "secret", "pem"].iter().any(|part| name.contains(part));
        if let Some(name) = self.extra.keys().find(secret) {
            return refuse(format!(
                "{name} may not be among the extra settings of Kafka: a secret has an option of its own"
            ));
        }
        if self.max_poll_interval < self.session_timeout {
            return refuse("max_poll_interval must not be shorter than session_timeout".into());
        }
        Ok(())
    }

    /// The most bytes that a record of these limits takes in Kafka.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.limits.max_record_bytes.saturating_add(OVERHEAD_BYTES)
    }

    /// What every client has.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.extra {
            config.set(name, value);
        }
        config
            .set_log_level(RDKafkaLogLevel::Notice)
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("log.connection.close", "false")
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true");
        self.secure(&mut config);
        config
    }

    /// What clients have that administer topics. They keep a connection to every broker: where one is made only for a
    /// request, librdkafka makes another as soon as it has failed, without pause, for as long as the request waits, and with
    /// no broker there several threads do nothing else.
    pub(super) fn administrator(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("enable.sparse.connections", "false");
        config
    }

    fn secure(&self, config: &mut ClientConfig) {
        let ca = |config: &mut ClientConfig, file: &Option<PathBuf>| {
            if let Some(file) = file {
                config.set("ssl.ca.location", file.display().to_string());
            }
        };
        match &self.security {
            KafkaSecurity::Plain => {
                config.set("security.protocol", "PLAINTEXT");
            }
            KafkaSecurity::Ssl { ca_file, certificate } => {
                config.set("security.protocol", "SSL");
                ca(config, ca_file);
                if let Some(shown) = certificate {
                    config.set("ssl.certificate.location", shown.file.display().to_string());
                    config.set("ssl.key.location", shown.key_file.display().to_string());
                    if let Some(password) = &shown.key_password {
                        config.set("ssl.key.password", password.expose_secret());
                    }
                }
            }
            KafkaSecurity::SaslSsl { mechanism, user, password, ca_file } => {
                config
                    .set("security.protocol", "SASL_SSL")
                    .set("sasl.mechanism", mechanism)
                    .set("sasl.username", user)
                    .set("sasl.password", password.expose_secret());
                ca(config, ca_file);
            }
        }
    }

    /// An append resolves once every in-sync copy has it; librdkafka's own retries neither double nor reorder.
    pub(super) fn producer(&self) -> ClientConfig {
        let timeout_ms = self.delivery_timeout.as_millis().max(1);
        let compression = match self.compression {
            KafkaCompression::None => "none",
            KafkaCompression::Lz4 => "lz4",
            KafkaCompression::Zstd => "zstd",
        };
        let mut config = self.client();
        let mut default = |name: &str, value: String| {
            if !self.extra.contains_key(name) {
                config.set(name, value);
            }
        };
        default("queue.buffering.max.messages", "100000".into());
        default("queue.buffering.max.kbytes", "65536".into());
        default("request.timeout.ms", timeout_ms.min(30_000).to_string());
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("delivery.timeout.ms", timeout_ms.to_string())
            .set("linger.ms", self.linger.as_millis().to_string())
            .set("compression.type", compression)
            .set("message.max.bytes", self.max_message_bytes().to_string());
        config
    }

    /// What every client that reads has: committed records only, and never a position that nobody asked for.
    fn fetching(&self) -> ClientConfig {
        let mut config = self.client();
        let fetch_bytes = self.max_message_bytes().max(1 << 20);
        let mut default = |name: &str, value: String| {
            if !self.extra.contains_key(name) {
                config.set(name, value);
            }
        };
        default("fetch.wait.max.ms", "100".into());
        default("fetch.queue.backoff.ms", "10".into());
        default("fetch.error.backoff.ms", "100".into());
        // What waits costs several times its bytes, in each partition: enough for a batch to be made of, and fetched a little
        // at a time. A record that is larger comes all the same (KIP-74).
        default("fetch.message.max.bytes", FETCH_BYTES.to_string());
        default("queued.min.messages", FETCH_AHEAD_RECORDS.to_string());
        default("fetch.max.bytes", (fetch_bytes * 4).to_string());
        default("receive.message.max.bytes", (fetch_bytes * 4 + (1 << 20)).to_string());
        default("queued.max.messages.kbytes", self.fetch_ahead_kib.max(1).to_string());
        config
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error");
        config
    }

    /// Reads partitions that it is told to, and is a member of nothing: its group has a name because librdkafka wants one.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.fetching();
        config.set("group.id", format!("{}.reader", self.client_id));
        config
    }

    /// A member of this group.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.fetching();
        let session_ms = self.session_timeout.as_millis().max(1);
        if !self.extra.contains_key("heartbeat.interval.ms") {
            config.set("heartbeat.interval.ms", (session_ms / 3).clamp(1, 3_000).to_string());
        }
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session_ms.to_string())
            .set("max.poll.interval.ms", self.max_poll_interval.as_millis().to_string());
        if let Some(instance) = &self.instance_id {
            config.set("group.instance.id", instance);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_promises_rest_on_cannot_be_overridden() {
        for name in RESERVED {
            let mut options = KafkaOptions::new("localhost:9092");
            options.extra.insert(name.into(), "x".into());
            let refused = options.validate().unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
        let mut options = KafkaOptions::new("localhost:9092");
        options.extra.insert("socket.nagle.disable".into(), "true".into());
        options.extra.insert("fetch.wait.max.ms".into(), "7".into());
        assert_eq!(options.validate(), Ok(()));
        let member = options.member("g");
        assert_eq!(member.get("socket.nagle.disable"), Some("true"));
        assert_eq!(member.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(member.get("isolation.level"), Some("read_committed"));
        assert_eq!(options.producer().get("acks"), Some("all"));
        options.extra.insert("ssl.keystore.password".into(), "hunter2".into());
        let refused = options.validate().unwrap_err().to_string();
        assert!(refused.contains("ssl.keystore.password") && !refused.contains("hunter2"), "{refused}");
        assert!(KafkaOptions::new(" ").validate().is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let mut options = KafkaOptions::new("localhost:9092");
        let password = SecretString::from("hunter2");
        let (mechanism, user) = ("SCRAM-SHA-512".to_owned(), "u".to_owned());
        options.security = KafkaSecurity::SaslSsl { mechanism, user, password, ca_file: None };
        assert_eq!(options.client().get("sasl.password"), Some("hunter2"));
        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
    }
}
