//! What can go wrong when an expression is evaluated. All of it is a fault of the values, never of the machine: the same
//! values fail again.

use thiserror::Error;

/// Why an expression has no value for these slots. Values are quoted shortened: messages are logged.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EvalError {
    /// The result has no place in its type.
    #[error("{operation}: the result is out of the range of {ty}")]
    Overflow { operation: &'static str, ty: String },
    #[error("{operation}: division by zero")]
    DivisionByZero { operation: &'static str },
    /// `cast`, or a conversion that an assignment needs.
    #[error("cannot cast {value} to {to}{}", reason.map(|reason| format!(": {reason}")).unwrap_or_default())]
    BadCast { value: String, to: String, reason: Option<&'static str> },
    /// An argument outside of what the function takes: the root of a negative number, a negative length.
    #[error("{operation}: {message}")]
    OutOfRange { operation: &'static str, message: String },
    /// A pattern of `like` that ends within an escape.
    #[error("{operation}: {message}")]
    Pattern { operation: &'static str, message: String },
    /// The text that a function would make is longer than [`MAX_TEXT`].
    #[error("{operation}: the text would be longer than {MAX_TEXT} bytes")]
    TooLong { operation: &'static str },
    /// A slot holds a value that its type does not have, or there is no such slot: whoever fills the slots is wrong.
    #[error("slot {slot} holds {found} where {expected} is expected")]
    Slot { slot: usize, expected: &'static str, found: &'static str },
}

/// The longest text that an expression makes, in bytes.
pub const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Boxed inside of the evaluation, so that results stay small.
pub(crate) type Fault = Box<EvalError>;

impl EvalError {
    #[cold]
    pub(crate) fn overflow(operation: &'static str, ty: impl ToString) -> Fault {
        Box::new(EvalError::Overflow { operation, ty: ty.to_string() })
    }

    #[cold]
    pub(crate) fn division(operation: &'static str) -> Fault {
        Box::new(EvalError::DivisionByZero { operation })
    }

    /// `value` is shortened already.
    #[cold]
    pub(crate) fn cast(value: impl ToString, to: impl ToString) -> Fault {
        Box::new(EvalError::BadCast { value: value.to_string(), to: to.to_string(), reason: None })
    }

    #[cold]
    pub(crate) fn cast_because(value: impl ToString, to: impl ToString, reason: &'static str) -> Fault {
        let reason = Some(reason);
        Box::new(EvalError::BadCast { value: value.to_string(), to: to.to_string(), reason })
    }

    #[cold]
    pub(crate) fn range(operation: &'static str, message: impl Into<String>) -> Fault {
        Box::new(EvalError::OutOfRange { operation, message: message.into() })
    }

    #[cold]
    pub(crate) fn too_long(operation: &'static str) -> Fault {
        Box::new(EvalError::TooLong { operation })
    }
}

/// At most 24 characters of a value.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(24) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
