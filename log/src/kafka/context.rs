//! What librdkafka tells on the side: its log goes to `tracing`, and its latest complaint into the errors that name a cause.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The latest complaint of any client of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints(Arc<Mutex<Option<Complaint>>>);

#[derive(Clone, Debug)]
pub(super) struct Complaint {
    pub(super) code: RDKafkaErrorCode,
    pub(super) reason: String,
}

impl Complaints {
    pub(super) fn latest(&self) -> Option<Complaint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cluster answers again.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn note(&self, complaint: Complaint) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That no broker is left is said after each of them has said why it is gone, which tells more.
        if complaint.code != RDKafkaErrorCode::AllBrokersDown || latest.is_none() {
            *latest = Some(complaint);
        }
    }
}

impl Complaint {
    /// Whether somebody must act before this goes away.
    pub(super) fn is_denial(&self) -> bool {
        use RDKafkaErrorCode::{Authentication, SSL, SaslAuthenticationFailed};
        matches!(self.code, Authentication | SaslAuthenticationFailed | SSL)
    }
}

/// The context of a client.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    pub(super) complaints: Complaints,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        match level {
            Emerg | Alert | Critical | Error => tracing::error!(target: "kafka", facility, "{message}"),
            Warning => tracing::warn!(target: "kafka", facility, "{message}"),
            Notice | Info => tracing::info!(target: "kafka", facility, "{message}"),
            Debug => tracing::debug!(target: "kafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", %error, "{reason}");
        if let Some(code) = error.rdkafka_error_code() {
            self.complaints.note(Complaint { code, reason: reason.to_owned() });
        }
    }
}

impl ConsumerContext for Context {}
