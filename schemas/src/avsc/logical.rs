//! Logical types: what `logicalType` beside a type makes of it.

use serde_json::{Map, Value as Json};

use super::Rules;
use crate::layout::{FixedName, Node};

/// The most digits that a decimal may have: what 128 bits hold.
const MAX_PRECISION: u64 = 38;

const KNOWN: &str = "decimal, uuid, date, timestamp-millis and timestamp-micros";

/// What stands under a logical type.
pub(super) enum Base {
    Primitive(Node),
    Fixed(FixedName),
}

/// What `logicalType` makes of a type.
pub(super) enum Logical {
    Node(Node),
    /// Nothing that is known here; its name.
    Foreign(String),
    /// There is none.
    None,
}

/// Reads `logicalType` in `object`, whose type is `base`. An error is a message, at the attribute named first.
pub(super) fn logical(
    object: &Map<String, Json>,
    base: &Base,
    rules: Rules,
) -> Result<Logical, (&'static str, String)> {
    if rules == Rules::Declared
        && let Some(key) = object.keys().find(|key| is_misspelt(key))
    {
        return Err(("type", format!("expected `logicalType`, found `{key}`, which Avro would ignore")));
    }
    let name = match object.get("logicalType") {
        None => return Ok(Logical::None),
        Some(Json::String(name)) => name.as_str(),
        Some(_) if rules == Rules::Registered => return Ok(Logical::None),
        Some(other) => return Err(("logicalType", format!("expected the name of a logical type, found {other}"))),
    };
    match (name, base) {
        ("decimal", Base::Primitive(Node::Bytes)) => decimal(object, None).map(Logical::Node),
        ("decimal", Base::Fixed(on)) => decimal(object, Some(on)).map(Logical::Node),
        ("uuid", Base::Primitive(Node::String)) => Ok(Logical::Node(Node::Uuid { fixed: None })),
        ("uuid", Base::Fixed(on)) if on.size == 16 => {
            Ok(Logical::Node(Node::Uuid { fixed: Some(Box::new(on.clone())) }))
        }
        ("date", Base::Primitive(Node::Int)) => Ok(Logical::Node(Node::Date)),
        ("timestamp-millis", Base::Primitive(Node::Long)) => Ok(Logical::Node(Node::TimestampMillis)),
        ("timestamp-micros", Base::Primitive(Node::Long)) => Ok(Logical::Node(Node::TimestampMicros)),
        _ if rules == Rules::Registered => Ok(Logical::Foreign(name.to_owned())),
        _ => Err(("logicalType", misplaced(name))),
    }
}

fn misplaced(name: &str) -> String {
    match name {
        "decimal" => "expected `decimal` on bytes or fixed".into(),
        "uuid" => "expected `uuid` on string or on fixed of size 16".into(),
        "date" => "expected `date` on int".into(),
        "timestamp-millis" | "timestamp-micros" => format!("expected `{name}` on long"),
        _ => format!("the logical type `{name}` is not one of those that are read here: {KNOWN}"),
    }
}

/// `logicaltype`, `logical_type`: Avro ignores what it does not know, and nobody means that.
pub(super) fn is_misspelt(key: &str) -> bool {
    key != "logicalType" && key.replace(['_', '-', ' '], "").eq_ignore_ascii_case("logicaltype")
}

fn decimal(object: &Map<String, Json>, fixed: Option<&FixedName>) -> Result<Node, (&'static str, String)> {
    let Some(precision) = object.get("precision") else {
        return Err(("logicalType", "expected `precision`: how many digits the decimal has, 1 to 38".into()));
    };
    let precision = match precision.as_u64() {
        Some(p @ 1..=MAX_PRECISION) => p,
        _ => return Err(("precision", format!("expected 1 to {MAX_PRECISION} digits, found {precision}"))),
    };
    let scale = match object.get("scale") {
        None => 0,
        Some(scale) => match scale.as_u64() {
            Some(s) if s <= precision => s,
            _ => return Err(("scale", format!("expected 0 to {precision} (the precision), found {scale}"))),
        },
    };
    if let Some(on) = fixed {
        let room = digits_in(on.size);
        if precision > room {
            return Err((
                "precision",
                format!("expected at most {room} digits in {} bytes, found {precision}", on.size),
            ));
        }
    }
    let narrow = |n: u64| u8::try_from(n).unwrap_or(u8::MAX);
    Ok(Node::Decimal {
        precision: narrow(precision),
        scale: narrow(scale),
        fixed: fixed.map(|on| Box::new(on.clone())),
    })
}

/// The digits that always fit in this many bytes of two's complement; 38 for 16 bytes and more.
fn digits_in(bytes: usize) -> u64 {
    match bytes {
        0 => 0,
        1..16 => u64::from(((1u128 << (8 * bytes - 1)) - 1).ilog10()),
        _ => MAX_PRECISION,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_by_size() {
        for (bytes, digits) in [(1, 2), (2, 4), (3, 6), (4, 9), (8, 18), (12, 28), (15, 35), (16, 38), (40, 38)] {
            assert_eq!(super::digits_in(bytes), digits, "{bytes} bytes");
        }
    }
}
