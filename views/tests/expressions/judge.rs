//! What came out on either side, in one form, so that the two can be compared.

use bumpalo::Bump;
use headwater_engine::expr::{EvalError, compile, parse};
use headwater_schemas::{Type, ValueRef};

use crate::forms::Expression;
use crate::row::{self, Columns, Row};

/// What an expression came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The type as Postgres names it; the value as text with every digit of its scale, `None` where it is null.
    Value {
        ty: String,
        text: Option<String>,
    },
    Error(Class, String),
    /// Before anything was evaluated: the types do not go together, or what is constant has no value.
    Refused {
        message: String,
        constant: bool,
    },
}

/// Kinds of errors that both sides tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    OutOfRange,
    DivisionByZero,
    NotReadable,
    Argument,
    Pattern,
    TooLong,
    /// The harness's own mistake, or one that has no place above.
    Other,
}

/// What the engine makes of it, the type of its values and the slots that it reads.
pub(crate) struct Evaluated {
    pub(crate) outcome: Outcome,
    pub(crate) ty: Option<Type>,
    pub(crate) slots: Vec<usize>,
}

pub(crate) fn engine(expression: &Expression, row: &Row) -> Evaluated {
    let compiled = parse(&expression.text).map_err(|error| vec![error]).and_then(|ast| compile(&ast, &Columns));
    let expr = match compiled {
        Ok(expr) => expr,
        Err(errors) => {
            let constant = errors.iter().all(|error| error.label == "this has no value");
            let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            let outcome = Outcome::Refused { message: messages.join("; "), constant };
            return Evaluated { outcome, ty: None, slots: vec![] };
        }
    };
    let bump = Bump::new();
    let slots = row::slots(row, &bump);
    let outcome = match expr.eval(&slots, &bump) {
        Ok(value) => {
            assert!(expr.ty.nullable || !value.is_null(), "{} is null and says it cannot be", expression.text);
            Outcome::Value { ty: type_name(&expr.ty.ty), text: text(&value) }
        }
        Err(error) => Outcome::Error(class(&error), error.to_string()),
    };
    Evaluated { outcome, ty: Some(expr.ty.ty.clone()), slots: expr.slots().to_vec() }
}

fn class(error: &EvalError) -> Class {
    match error {
        EvalError::Overflow { .. } => Class::OutOfRange,
        EvalError::DivisionByZero { .. } => Class::DivisionByZero,
        EvalError::BadCast { reason: Some("out of range"), .. } => Class::OutOfRange,
        EvalError::BadCast { .. } => Class::NotReadable,
        EvalError::OutOfRange { .. } => Class::Argument,
        EvalError::Pattern { .. } => Class::Pattern,
        EvalError::TooLong { .. } => Class::TooLong,
        EvalError::Slot { .. } => Class::Other,
    }
}

/// Postgres's name of a type: enums are text there, and both timestamps are one.
fn type_name(ty: &Type) -> String {
    match ty {
        Type::Boolean => "boolean",
        Type::Int => "integer",
        Type::Long => "bigint",
        Type::Float => "real",
        Type::Double => "double precision",
        Type::Decimal { .. } => "numeric",
        Type::String | Type::Enum(_) => "text",
        Type::Uuid => "uuid",
        Type::Bytes => "bytea",
        Type::Date => "date",
        Type::TimestampMillis | Type::TimestampMicros => "timestamp with time zone",
        other => panic!("no expression here is of {other}"),
    }
    .to_owned()
}

fn text(value: &ValueRef<'_>) -> Option<String> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Boolean(b) => b.to_string(),
        ValueRef::Long(n) => n.to_string(),
        ValueRef::Float(x) => format!("{x:?}"),
        ValueRef::Double(x) => format!("{x:?}"),
        ValueRef::Decimal(d) => {
            let digits = format!("{:0>width$}", d.unscaled.unsigned_abs(), width = usize::from(d.scale) + 1);
            let (whole, fraction) = digits.split_at(digits.len() - usize::from(d.scale));
            let point = if d.scale > 0 { "." } else { "" };
            format!("{}{whole}{point}{fraction}", if d.unscaled < 0 { "-" } else { "" })
        }
        ValueRef::String(text) => (*text).to_owned(),
        ValueRef::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).hyphenated().to_string(),
        ValueRef::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ValueRef::Date(days) => days.to_string(),
        ValueRef::Timestamp(micros) => micros.to_string(),
        other => panic!("no expression here gives {other:?}"),
    })
}

/// The query that gives an expression's type and value over one row. The value is bound apart from how it is shown, and
/// `offset 0` keeps the planner from taking the two together.
pub(crate) fn query(expression: &Expression, ty: Option<&Type>, row: usize) -> String {
    let shown = match ty {
        Some(Type::TimestampMicros | Type::TimestampMillis) => "round(extract(epoch from v) * 1000000)::text",
        Some(Type::Date) => "(v - date '1970-01-01')::text",
        Some(Type::Bytes) => "encode(v, 'hex')",
        _ => "v::text",
    };
    let sql = &expression.sql;
    format!(
        "select pg_typeof(v)::text, {shown} from (select {sql} as v from sample where row_number = {row} offset 0) q"
    )
}

/// What Postgres said, by its SQLSTATE where it failed.
pub(crate) fn postgres(ty: Option<String>, text: Option<String>, failure: Option<(String, String)>) -> Outcome {
    if let Some((state, message)) = failure {
        let class = match state.as_str() {
            // What is written, not what was computed.
            "22008" if message.starts_with("date/time field value out of range") => Class::NotReadable,
            "22003" | "22008" | "22015" => Class::OutOfRange,
            "22012" => Class::DivisionByZero,
            "22P02" | "22007" | "22009" => Class::NotReadable,
            "22023" | "2201E" | "2201F" | "22011" => Class::Argument,
            "22025" | "22019" | "2201B" => Class::Pattern,
            "54000" => Class::TooLong,
            state if state.starts_with("42") || state == "0A000" => {
                return Outcome::Refused { message: format!("{state} {message}"), constant: false };
            }
            _ => Class::Other,
        };
        return Outcome::Error(class, format!("{state} {message}"));
    }
    // What has a length is text here.
    let ty = ty.map(|ty| if ty == "character varying" { "text".to_owned() } else { ty }).unwrap_or_default();
    let text = match (ty.as_str(), text) {
        ("real", Some(text)) => Some(format!("{:?}", text.parse::<f32>().expect("a real"))),
        ("double precision", Some(text)) => Some(format!("{:?}", text.parse::<f64>().expect("a double"))),
        (_, text) => text,
    };
    Outcome::Value { ty, text }
}

/// Whether both sides say the same. Of two errors in one expression either may be met first, and text that is no number may
/// be found too long before.
pub(crate) fn agree(engine: &Outcome, postgres: &Outcome, operations: usize) -> bool {
    match (engine, postgres) {
        (Outcome::Error(Class::NotReadable, _), Outcome::Error(Class::OutOfRange, _)) => true,
        (Outcome::Error(a, _), Outcome::Error(b, _)) => a == b || operations > 1,
        (Outcome::Refused { .. }, Outcome::Refused { .. }) => true,
        (a, b) => a == b,
    }
}
