//! The types of a command's extra body fields: `body: { password: string, note: "string?" }`. A question mark: it may be
//! null or left out.

use headwater_schemas::{Field, FieldType, Type, Value};

use crate::declare::Text;
use crate::source::{Diagnostic, suggestion};

const NAMES: [&str; 11] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "string",
    "bytes",
    "uuid",
    "date",
    "timestamp-millis",
    "timestamp-micros",
];

/// The field that a body has beside the event's.
pub(super) fn field(name: &Text, text: &Text) -> Result<Field, Diagnostic> {
    let written = text.value.trim();
    let (word, nullable) = match written.strip_suffix('?') {
        Some(word) => (word.trim_end(), true),
        None => (written, false),
    };
    let Some(ty) = ty(word) else {
        let message = format!("`{written}` is not the type of a body field");
        let help = suggestion(word, NAMES.into_iter().chain(["decimal(10,2)"]));
        let diagnostic = Diagnostic::error(&text.span, message).label("not a type");
        return Err(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic.help("write a type such as `string`, or `string?` where it may be left out"),
        });
    };
    Ok(Field {
        name: name.value.clone(),
        aliases: Vec::new(),
        ty: FieldType { ty, nullable },
        default: nullable.then_some(Value::Null),
        doc: None,
    })
}

fn ty(word: &str) -> Option<Type> {
    Some(match word {
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "uuid" => Type::Uuid,
        "date" => Type::Date,
        "timestamp-millis" => Type::TimestampMillis,
        "timestamp-micros" => Type::TimestampMicros,
        _ => return decimal(word),
    })
}

/// `decimal(precision,scale)`.
fn decimal(word: &str) -> Option<Type> {
    let (precision, scale) = word.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: u8 = scale.trim().parse().ok()?;
    ((1..=38).contains(&precision) && scale <= precision).then_some(Type::Decimal { precision, scale })
}
