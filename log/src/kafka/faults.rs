//! What an error of librdkafka means to who called the log.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::LogError;
use crate::kafka::context::Complaints;

/// The code of an error; those that have none are ours, or say that the client is going away.
pub(super) fn code_of(error: &KafkaError) -> RDKafkaErrorCode {
    match error {
        // The library leaves it out.
        KafkaError::AdminOp(code) => *code,
        error => error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail),
    }
}

/// The error that this code means while doing something (`append to`, `read from`) with something (`topic document`).
pub(super) fn fault(complaints: &Complaints, code: RDKafkaErrorCode, doing: &str, topic: &str) -> LogError {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId
            if !topic.is_empty() =>
        {
            LogError::unknown(topic)
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication => LogError::Denied { cause: cause(complaints, code, doing, topic) },
        Code::InvalidConfig | Code::PolicyViolation | Code::InvalidArgument | Code::UnsupportedVersion => {
            LogError::Misconfigured { cause: cause(complaints, code, doing, topic) }
        }
        // Brokers that come and go, leaders that move, time that ran out, and what nobody has foreseen: tried again.
        _ => LogError::Unavailable { cause: cause(complaints, code, doing, topic) },
    }
}

fn cause(complaints: &Complaints, code: RDKafkaErrorCode, doing: &str, topic: &str) -> String {
    let object = if topic.is_empty() { "Kafka".to_owned() } else { format!("topic {topic}") };
    match complaints.latest() {
        Some(latest) => format!("cannot {doing} {object}: {code} ({})", latest.reason),
        _ => format!("cannot {doing} {object}: {code}"),
    }
}
