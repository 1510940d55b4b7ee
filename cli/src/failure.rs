//! How a command ends: with an answer, or with a failure that says what to do about it. Nothing else decides exit codes.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// What a command that did its work answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 0.
    Yes,
    /// 1: a check or a test failed, a record was refused, something that was asked for is not there.
    No,
    /// 130: stopped by Ctrl-C before it was done.
    Interrupted,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => ExitCode::SUCCESS,
            Answer::No => ExitCode::from(1),
            Answer::Interrupted => ExitCode::from(130),
        }
    }
}

/// Why a command could not do its work: wrong usage or environment.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 2: what is wrong, and what to do about it.
    Environment { what: String, mend: Option<String> },
    /// Whoever read the output has gone. Not an error: `headwater consume document | head` ends like this.
    Closed,
}

impl Failure {
    pub(crate) fn new(what: impl Display) -> Self {
        Failure::Environment { what: what.to_string(), mend: None }
    }

    /// A failure of `doing`, with its whole chain of causes.
    pub(crate) fn because(doing: impl Display, error: &dyn std::error::Error) -> Self {
        let mut what = format!("{doing}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !what.contains(&text) {
                what.push_str(": ");
                what.push_str(&text);
            }
            source = cause.source();
        }
        Failure::Environment { what, mend: None }
    }

    /// What to do about it.
    pub(crate) fn mend(self, advice: impl Display) -> Self {
        match self {
            Failure::Environment { what, .. } => Failure::Environment { what, mend: Some(advice.to_string()) },
            Failure::Closed => Failure::Closed,
        }
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        let Failure::Environment { what, mend } = self else { return ExitCode::SUCCESS };
        let text = match (json, mend) {
            (true, _) => serde_json::json!({ "error": what, "mend": mend }).to_string(),
            (false, Some(mend)) => format!("{} {what}\n  {mend}", console::style("error:").red().bold().for_stderr()),
            (false, None) => format!("{} {what}", console::style("error:").red().bold().for_stderr()),
        };
        // Where even stderr is gone there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "{text}");
        ExitCode::from(2)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Environment { what, .. } => f.write_str(what),
            Failure::Closed => f.write_str("whoever read the output has gone"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::new(error),
        }
    }
}
