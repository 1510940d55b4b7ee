//! What packed accumulators are made of: values in one form, whatever order they came in.

use headwater_schemas::{Value, ValueRef};

/// The bytes of a packed state.
pub(super) fn bytes(state: &Value) -> &[u8] {
    match state {
        Value::Bytes(bytes) => bytes,
        _ => &[],
    }
}

/// The one form of values that are equal: 0.0 for -0.0, and one NaN.
pub(super) fn canonical<'a>(value: &ValueRef<'a>) -> ValueRef<'a> {
    match *value {
        ValueRef::Float(x) if x.is_nan() => ValueRef::Float(f32::NAN),
        ValueRef::Double(x) if x.is_nan() => ValueRef::Double(f64::NAN),
        ValueRef::Float(x) => ValueRef::Float(x + 0.0),
        ValueRef::Double(x) => ValueRef::Double(x + 0.0),
        other => other,
    }
}

/// Gives `out` a scalar as bytes: of values of one type, equal bytes are equal values, and bytes in order are values in
/// order, as [`value_order`](crate::expr::value_order) has them. Nothing for null and what is no scalar.
pub(super) fn sortable(value: &ValueRef, mut out: impl FnMut(&[u8])) {
    // Two's complement and IEEE 754 sort as unsigned bytes once the sign is turned, and all of a negative float.
    const SIGN: u64 = 1 << 63;
    let long = |n: i64| (n.cast_unsigned() ^ SIGN).to_be_bytes();
    let float = |bits: u64| if bits & SIGN == 0 { bits ^ SIGN } else { !bits };
    match canonical(value) {
        ValueRef::Boolean(b) => out(&[u8::from(b)]),
        ValueRef::Long(n) | ValueRef::Timestamp(n) => out(&long(n)),
        ValueRef::Date(days) => out(&long(i64::from(days))),
        ValueRef::Float(x) => out(&float(f64::from(x).to_bits()).to_be_bytes()),
        ValueRef::Double(x) => out(&float(x.to_bits()).to_be_bytes()),
        // Of one scale, being of one column.
        ValueRef::Decimal(d) => out(&(d.unscaled.cast_unsigned() ^ (1 << 127)).to_be_bytes()),
        ValueRef::String(text) => out(text.as_bytes()),
        ValueRef::Uuid(uuid) => out(&uuid),
        ValueRef::Bytes(bytes) => out(bytes),
        ValueRef::Null | ValueRef::Array(_) | ValueRef::Map(_) | ValueRef::Record(_) | ValueRef::Branch(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use headwater_schemas::Decimal;
    use proptest::prelude::*;

    use super::*;
    use crate::expr::value_order;

    fn scalar() -> impl Strategy<Value = Vec<Value>> {
        let decimal = any::<i128>().prop_map(|unscaled| Value::Decimal(Decimal { unscaled, scale: 3 })).boxed();
        let special = prop::sample::select(vec![f64::NAN, -f64::NAN, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY]);
        let double = prop_oneof![any::<f64>(), special].boxed();
        let kinds: Vec<BoxedStrategy<Value>> = vec![
            any::<bool>().prop_map(Value::Boolean).boxed(),
            any::<i64>().prop_map(Value::Long).boxed(),
            any::<i64>().prop_map(Value::Timestamp).boxed(),
            any::<i32>().prop_map(Value::Date).boxed(),
            double.clone().prop_map(Value::Double).boxed(),
            double.prop_map(|x| Value::Float(x as f32)).boxed(),
            decimal,
            ".{0,4}".prop_map(Value::string).boxed(),
            any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
            prop::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        ];
        prop::sample::select(kinds).prop_flat_map(|kind| prop::collection::vec(kind, 2))
    }

    proptest! {
        #[test]
        fn sortable_bytes_are_in_the_order_of_values(pair in scalar()) {
            let bump = bumpalo::Bump::new();
            let packed = |value: &Value| {
                let mut out = Vec::new();
                sortable(&value.borrow(&bump), |part| out.extend_from_slice(part));
                out
            };
            let expected = value_order(&pair[0].borrow(&bump), &pair[1].borrow(&bump));
            prop_assert_eq!(packed(&pair[0]).cmp(&packed(&pair[1])), expected, "{:?}", pair);
        }
    }
}
