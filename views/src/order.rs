//! Keys as bytes that sort as the keys do: by partition (ascending), then by each clustering column in its direction.
//!
//! Text, UUIDs and bytes go by bytes, numbers and instants by value, false before true. Each column's bytes are a
//! prefix code, so a partition is a range of keys; a descending column has all of its bits turned over.

use headwater_engine::table::{Direction, Table};
use headwater_schemas::Value;

/// The bytes of a key, or of the leading columns of one. The values have passed [`crate::shape::key_values`].
pub(crate) fn key_bytes(table: &Table, values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len() * 16);
    for (i, value) in values.iter().enumerate() {
        let start = out.len();
        push(value, &mut out);
        let direction = i.checked_sub(table.partition).and_then(|i| table.clustering.get(i));
        if direction == Some(&Direction::Descending) {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    out
}

fn push(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Boolean(b) => out.push(u8::from(*b)),
        Value::Long(n) | Value::Timestamp(n) => out.extend((n ^ i64::MIN).to_be_bytes()),
        Value::Date(days) => out.extend((days ^ i32::MIN).to_be_bytes()),
        Value::Float(x) => push_double(f64::from(*x), out),
        Value::Double(x) => push_double(*x, out),
        Value::Decimal(d) => out.extend((d.unscaled ^ i128::MIN).to_be_bytes()),
        Value::Uuid(bytes) => out.extend(bytes),
        Value::String(text) => push_bytes(text.as_bytes(), out),
        Value::Bytes(bytes) => push_bytes(bytes, out),
        // Not key types: shape refuses a table that has them there.
        Value::Null | Value::Array(_) | Value::Map(_) | Value::Record(_) | Value::Branch(..) | Value::Wide(_) => {}
    }
}

/// IEEE 754's total order: negative numbers have all bits turned over, others the sign bit.
fn push_double(x: f64, out: &mut Vec<u8>) {
    let bits = x.to_bits();
    let turned = if bits >> 63 == 1 { !bits } else { bits ^ (1 << 63) };
    out.extend(turned.to_be_bytes());
}

/// A zero byte becomes `00 FF`, the end is `00 00`: shorter sorts before longer, and no key is a prefix of another.
fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 0]);
}

#[cfg(test)]
mod tests {
    use headwater_engine::table::{Column, Feeding};
    use headwater_schemas::{FieldType, Type};
    use proptest::prelude::*;

    use super::*;

    fn table(direction: Direction) -> Table {
        let column = |name: &str| Column { name: name.to_owned(), ty: FieldType::required(Type::Bytes), doc: None };
        Table {
            name: "t".to_owned(),
            doc: None,
            columns: vec![column("a"), column("b")],
            partition: 1,
            clustering: vec![direction],
            state: Vec::new(),
            fed: Feeding::ByOne,
            retain: None,
        }
    }

    proptest! {
        #[test]
        fn bytes_sort_as_values(
            a in (prop::collection::vec(0u8..3, 0..4), prop::collection::vec(0u8..3, 0..4)),
            b in (prop::collection::vec(0u8..3, 0..4), prop::collection::vec(0u8..3, 0..4)),
        ) {
            let bytes = |v: &[u8]| Value::Bytes(v.into());
            for direction in [Direction::Ascending, Direction::Descending] {
                let table = table(direction);
                let key = |k: &(Vec<u8>, Vec<u8>)| key_bytes(&table, &[bytes(&k.0), bytes(&k.1)]);
                let second = if direction == Direction::Ascending { a.1.cmp(&b.1) } else { b.1.cmp(&a.1) };
                prop_assert_eq!(key(&a).cmp(&key(&b)), a.0.cmp(&b.0).then(second));
            }
        }

        #[test]
        fn numbers_sort_by_value(a: f64, b: f64, m: i64, n: i64) {
            let table = table(Direction::Ascending);
            let key = |value: Value| key_bytes(&table, &[value]);
            prop_assert_eq!(key(Value::Long(m)).cmp(&key(Value::Long(n))), m.cmp(&n));
            prop_assert_eq!(key(Value::Double(a)).cmp(&key(Value::Double(b))), a.total_cmp(&b));
        }
    }
}
