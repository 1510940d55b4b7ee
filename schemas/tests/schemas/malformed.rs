//! Whatever the bytes: an error or a value, never a panic, and memory in proportion to the message.

use bumpalo::Bump;
use headwater_schemas::Schema;
use headwater_schemas::plan::{DecodePlan, Malformed};
use proptest::prelude::*;

use crate::decode::{all, decoded, encoded};
use crate::generate::{evolve, fields, record_value, schema, schema_and_value};

/// A value takes 48 bytes for one of the message at least; growing arrays and sorting maps take a few times that, and
/// each record of a reader as many slots as it has fields, here at most a few.
const FACTOR: usize = 2000;

fn bounded(plan: &DecodePlan, body: &[u8]) -> Result<(), TestCaseError> {
    let bump = Bump::new();
    let _ = plan.decode(body, &bump);
    let used = bump.allocated_bytes();
    prop_assert!(used <= FACTOR * body.len() + (1 << 18), "{used} bytes for a message of {}", body.len());
    Ok(())
}

proptest! {
    #[test]
    fn mutated_messages(
        (schema, value) in schema_and_value(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let plan = DecodePlan::compile(&schema, &schema.record, &all(&schema)).unwrap();
        let none = DecodePlan::compile(&schema, &schema.record, &[]).unwrap();
        let mut body = encoded(&schema, &value);
        if !body.is_empty() {
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            bounded(&plan, &body)?;
            bounded(&none, &body)?;
            body.truncate(cut.index(body.len()));
        }
        bounded(&plan, &body)?;
        bounded(&none, &body)?;
    }

    /// A message cut short is never taken for a whole one.
    #[test]
    fn truncated_messages((schema, value) in schema_and_value(), cut in any::<prop::sample::Index>()) {
        let body = encoded(&schema, &value);
        if !body.is_empty() {
            for needed in [all(&schema), vec![]] {
                let plan = DecodePlan::compile(&schema, &schema.record, &needed).unwrap();
                prop_assert!(decoded(&plan, &body[..cut.index(body.len())]).is_err());
                let longer = [&body[..], &[0]].concat();
                prop_assert_eq!(decoded(&plan, &longer), Err(Malformed::TrailingBytes));
            }
        }
    }

    #[test]
    fn random_bytes(
        written in fields(),
        dice in proptest::collection::vec(any::<u8>(), 40),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let writer = schema(&written);
        let reader = schema(&evolve(&written, &mut dice.into_iter()));
        if let Ok(plan) = DecodePlan::compile(&writer, &reader.record, &all(&reader)) {
            bounded(&plan, &body)?;
        }
    }

    /// Reading some fields only is no more lenient about structure than reading all; it may be about what text says.
    #[test]
    fn skipping_finds_what_reading_finds(
        (writer, value) in fields().prop_map(|f| schema(&f)).prop_flat_map(|s| { let v = record_value(&s.record); (Just(s), v) }),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut body = encoded(&writer, &value);
        if !body.is_empty() {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let read = decoded(&DecodePlan::compile(&writer, &writer.record, &all(&writer)).unwrap(), &body).err();
        let skipped = decoded(&DecodePlan::compile(&writer, &writer.record, &[]).unwrap(), &body).err();
        let of_content = |kind| matches!(kind, Malformed::NotUtf8 | Malformed::NulInText | Malformed::NotDecimal
            | Malformed::NotUuid | Malformed::TimestampOutOfRange | Malformed::IntOutOfRange);
        prop_assert!(read == skipped || read.is_some_and(of_content), "{read:?}, skipping {skipped:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    use Malformed::*;
    let varint = |n: u64| -> Vec<u8> {
        let mut rest = n;
        std::iter::from_fn(move || {
            (rest != u64::MAX).then(|| {
                let byte = (rest & 0x7f) as u8;
                rest >>= 7;
                if rest == 0 {
                    rest = u64::MAX;
                    byte
                } else {
                    byte | 0x80
                }
            })
        })
        .collect()
    };
    let cases: Vec<(&str, Vec<u8>, Malformed)> = vec![
        (r#""long""#, vec![], Truncated),
        (r#""long""#, vec![0x80], Truncated),
        (r#""long""#, vec![0xff; 9], Truncated),
        (r#""long""#, vec![0xff; 10], VarintTooLong),
        (r#""long""#, [vec![0xff; 9], vec![0x02]].concat(), VarintTooLong),
        (r#""long""#, vec![0, 0], TrailingBytes),
        (r#""int""#, varint(1 << 32), IntOutOfRange),
        (r#""boolean""#, vec![2], NotBoolean),
        (r#""float""#, vec![0, 0, 0], Truncated),
        (r#""string""#, vec![0x01], NegativeLength),
        (r#""string""#, vec![0x04, b'a'], Truncated),
        (r#""string""#, vec![0x02, 0xff], NotUtf8),
        (r#""string""#, vec![0x02, 0x00], NulInText),
        (r#""bytes""#, varint(u64::MAX - 1), Truncated),
        (r#"["null", "int"]"#, vec![4], NoSuchBranch),
        (r#"["null", "int"]"#, vec![1], NoSuchBranch),
        (r#"["int", "string", "boolean"]"#, vec![6], NoSuchBranch),
        (r#"{"type": "enum", "name": "C", "symbols": ["A"]}"#, vec![2], NoSuchSymbol),
        (r#"{"type": "enum", "name": "C", "symbols": ["A"]}"#, vec![1], NoSuchSymbol),
        (r#"{"type": "array", "items": "int"}"#, vec![0x04, 0x00], TooManyItems),
        (r#"{"type": "array", "items": "int"}"#, varint(u64::MAX - 1), TooManyItems),
        (r#"{"type": "array", "items": "int"}"#, [vec![0xff; 9], vec![0x01, 0x00]].concat(), TooManyItems),
        (r#"{"type": "array", "items": "int"}"#, vec![0x01, 0x06, 0x00, 0x00], Truncated),
        (r#"{"type": "array", "items": "int"}"#, vec![0x01, 0x04, 0x00, 0x00], WrongBlockSize),
        (r#"{"type": "array", "items": "int"}"#, vec![0x01, 0x01, 0x00, 0x00], NegativeLength),
        (r#"{"type": "map", "values": "int"}"#, vec![0x04, 0x00, 0x00, 0x00], TooManyItems),
        (r#"{"type": "map", "values": "int"}"#, vec![0x02, 0x02, 0xff, 0x00, 0x00], NotUtf8),
        (r#"{"type": "string", "logicalType": "uuid"}"#, vec![0x02, b'a'], NotUuid),
        (r#"{"type": "long", "logicalType": "timestamp-millis"}"#, varint(u64::MAX - 1), TimestampOutOfRange),
        (
            r#"{"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}"#,
            [varint(2050), vec![0]].concat(),
            TooManyItems,
        ),
        (
            r#"{"type": "array", "items": {"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}}"#,
            [vec![0x04], varint(2000), vec![0], varint(2000), vec![0, 0]].concat(),
            TooManyItems,
        ),
    ];
    for (ty, body, error) in cases {
        let text = format!(r#"{{"type": "record", "name": "E", "fields": [{{"name": "f", "type": {ty}}}]}}"#);
        let schema = Schema::parse(&text, &[]).unwrap();
        let plan = DecodePlan::compile(&schema, &schema.record, &[0]).unwrap();
        assert_eq!(decoded(&plan, &body), Err(error), "{ty} of {body:02x?}");
    }
}

#[test]
fn an_error_says_which_field_and_where() {
    let text = r#"{"type": "record", "name": "E", "fields": [
        {"name": "a", "type": "long"}, {"name": "b", "type": "long"},
        {"name": "name", "type": "string"}, {"name": "c", "type": "long"}]}"#;
    let schema = Schema::parse(text, &[]).unwrap();
    let plan = DecodePlan::compile(&schema, &schema.record, &[2]).unwrap();
    for (body, message) in [
        (&b"\x02\x02\x02\xff\x02"[..], "field `name`, at byte 4: text is not UTF-8"),
        (b"\x02", "field `a`, at byte 1: the message ends in the middle of a value"),
        (b"\x02\x02\x02a\x02!", "at byte 5: bytes are left after the last field"),
    ] {
        assert_eq!(plan.decode(body, &Bump::new()).unwrap_err().to_string(), message);
    }
}
