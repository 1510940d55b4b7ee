//! What Cassandra's errors mean to a caller.

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError,
};

use crate::StoreError;

/// What an error of a statement is. Its outcome is unknown where it is [`StoreError::Unavailable`].
pub(super) fn failed(doing: &'static str, error: impl Into<ExecutionError>) -> StoreError {
    let error = error.into();
    match server_said(&error) {
        Some((said, message)) => match said {
            DbError::Unauthorized => setup(doing, format!("{message}; grant it to the role that `user` names")),
            DbError::AuthenticationError => setup(doing, format!("{message}; mend `user` or `password`")),
            DbError::Invalid | DbError::SyntaxError | DbError::ConfigError | DbError::ProtocolError => {
                setup(doing, message.clone())
            }
            _ => StoreError::unavailable(doing, error),
        },
        None => match &error {
            ExecutionError::ConnectionPoolError(ConnectionPoolError::Broken { last_connection_error }) => {
                refused_connection(doing, last_connection_error)
                    .unwrap_or_else(|| StoreError::unavailable(doing, error))
            }
            _ => StoreError::unavailable(doing, error),
        },
    }
}

/// Whether the table of a statement is not there.
pub(super) fn has_no_table(error: &ExecutionError) -> bool {
    server_said(error).is_some_and(|(said, message)| {
        matches!(said, DbError::Invalid)
            && (message.contains("unconfigured table") || message.contains("does not exist"))
    })
}

fn server_said(error: &ExecutionError) -> Option<(&DbError, &String)> {
    let attempt = match error {
        ExecutionError::LastAttemptError(attempt) => attempt,
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt }) => first_attempt,
        _ => return None,
    };
    match attempt {
        RequestAttemptError::DbError(said, message) => Some((said, message)),
        _ => None,
    }
}

/// Why no session could be opened.
pub(super) fn not_connected(error: NewSessionError) -> StoreError {
    const DOING: &str = "opening the store";
    let refused = match &error {
        NewSessionError::FailedToResolveAnyHostname(names) => {
            return StoreError::unavailable(DOING, format!("no address was found for {}", names.join(", ")));
        }
        NewSessionError::EmptyKnownNodesList => Some(setup(DOING, "`nodes` names no node".to_owned())),
        NewSessionError::IllegalConfig(reason) => Some(setup(DOING, reason.to_string())),
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error,
        })) => refused_connection(DOING, last_connection_error),
        _ => None,
    };
    refused.unwrap_or_else(|| StoreError::unavailable(DOING, error))
}

/// What stays so until someone mends it: a password, a certificate.
fn refused_connection(doing: &'static str, error: &ConnectionError) -> Option<StoreError> {
    match error {
        ConnectionError::ConnectionSetupRequestError(request) => match request.get_error() {
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, message) => {
                Some(setup(doing, format!("{message}; mend `user` or `password`")))
            }
            ConnectionSetupRequestErrorKind::MissingAuthentication => {
                Some(setup(doing, "the server asks who this is; set `user` and `password`".to_owned()))
            }
            _ => None,
        },
        ConnectionError::IoError(cause) if cause.to_string().contains("certificate verify failed") => {
            Some(setup(doing, format!("the server's certificate is not trusted: {cause}; mend `ca_file`")))
        }
        _ => None,
    }
}

pub(super) fn setup(doing: &'static str, reason: String) -> StoreError {
    StoreError::Setup { doing, reason }
}
