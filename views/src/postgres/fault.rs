//! What Postgres's errors mean to a caller, by SQLSTATE (its manual, appendix A).

use crate::StoreError;

/// The SQLSTATE of an error that the server has sent.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Whether the server refused a row rather than failed: a value it cannot hold, a constraint, a limit, a trigger.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| ["22", "23", "44", "54", "P0"].iter().any(|class| code.starts_with(class)))
}

/// What an error is to a caller.
pub(super) fn failed(doing: &'static str, error: sqlx::Error) -> StoreError {
    let setup = |reason: String| StoreError::Setup { doing, reason };
    let Some(code) = code(&error) else {
        return match error {
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_) => {
                StoreError::corrupt(doing, error.to_string())
            }
            // A certificate that is not trusted stays so; a connection that broke in the handshake does not.
            sqlx::Error::Tls(ref cause) if !has_io(&**cause) => setup(format!("no TLS connection: {cause}")),
            sqlx::Error::Configuration(_) => setup("the URL's settings cannot be used".to_owned()),
            _ => StoreError::unavailable(doing, error),
        };
    };
    match (&code[..2], code.as_str()) {
        (_, "42501") => setup(format!("{error}; grant it to the role that the URL names")),
        ("28", _) | (_, "3D000") => setup(format!("{error}; mend the URL or the server's access rules")),
        (_, "3F000" | "42P01") => setup(format!("{error}; was the schema dropped? start again to make it anew")),
        (_, "0A000") => setup(error.to_string()),
        (_, "XX001" | "XX002") => StoreError::corrupt("the server's files", error.to_string()),
        ("22" | "23" | "42" | "44" | "54" | "P0", _) => StoreError::corrupt(doing, error.to_string()),
        // Connections, rollbacks, resources, timeouts, shutdowns, a server that only reads: none of them stays.
        _ => StoreError::unavailable(doing, error),
    }
}

fn has_io(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What an error of making a view's tables is, where the name or what hangs on it is at fault.
pub(super) fn failed_for_view(doing: &'static str, view: &str, error: sqlx::Error) -> StoreError {
    let reason = match code(&error).as_deref() {
        Some("42809" | "42P07" | "42710") => format!("{error}: something else has this name in the schema; rename one"),
        Some("2BP01") => format!("{error}: drop what was made on top of it, then try again"),
        Some(code) if code.starts_with("54") => error.to_string(),
        _ => return failed(doing, error),
    };
    StoreError::Declaration { view: view.to_owned(), reason }
}
