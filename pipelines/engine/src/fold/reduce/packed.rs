//! What packed accumulators are made of: values in one form, whatever order they came in.

use bumpalo::Bump;
use headwater_schemas::{Decimal, Value, ValueRef};

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

/// Two's complement and IEEE 754 sort as unsigned bytes once the sign is turned, and all of a negative float.
const SIGN: u64 = 1 << 63;

/// Gives `out` a scalar as bytes: of values of one type, equal bytes are equal values, and bytes in order are values in
/// order, as [`value_order`](crate::expr::value_order) has them. Nothing for null and what is no scalar.
pub(super) fn sortable(value: &ValueRef, out: impl FnMut(&[u8])) {
    in_order(canonical(value), out);
}

fn in_order(value: ValueRef, mut out: impl FnMut(&[u8])) {
    let long = |n: i64| (n.cast_unsigned() ^ SIGN).to_be_bytes();
    let float = |bits: u64| if bits & SIGN == 0 { bits ^ SIGN } else { !bits };
    match value {
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

/// A scalar that can be read back: a byte for its type, its [`sortable`] form but with the sign of a zero, and of a decimal the
/// scale. Nothing for null.
pub(super) fn pack(value: &Value) -> Value {
    let tag = match value {
        Value::Boolean(_) => 1,
        Value::Long(_) => 2,
        Value::Timestamp(_) => 3,
        Value::Date(_) => 4,
        Value::Float(_) => 5,
        Value::Double(_) => 6,
        Value::Decimal(_) => 7,
        Value::String(_) => 8,
        Value::Uuid(_) => 9,
        Value::Bytes(_) => 10,
        _ => return Value::Bytes([].as_slice().into()),
    };
    let mut packed = vec![tag];
    // Scalars need no room to be borrowed in.
    let bump = Bump::new();
    let zero = matches!(value, Value::Float(0.0) | Value::Double(0.0));
    let borrowed = value.borrow(&bump);
    in_order(if zero { borrowed } else { canonical(&borrowed) }, |part| packed.extend_from_slice(part));
    if let Value::Decimal(decimal) = value {
        packed.push(decimal.scale);
    }
    Value::Bytes(packed.into())
}

/// What [`pack`] packed; None where that is nothing.
pub(super) fn unpack(packed: &Value) -> Option<Value> {
    let (tag, payload) = bytes(packed).split_first()?;
    let word = || Some(u64::from_be_bytes(payload.try_into().ok()?));
    let long = || Some((word()? ^ SIGN).cast_signed());
    let double = || word().map(|bits| f64::from_bits(if bits & SIGN == 0 { !bits } else { bits ^ SIGN }));
    Some(match tag {
        1 => Value::Boolean(*payload != [0]),
        2 => Value::Long(long()?),
        3 => Value::Timestamp(long()?),
        4 => Value::Date(i32::try_from(long()?).ok()?),
        // Exact: what was packed is a widened float.
        #[allow(clippy::cast_possible_truncation)]
        5 => Value::Float(double()? as f32),
        6 => Value::Double(double()?),
        7 => {
            let (scale, unscaled) = payload.split_last()?;
            let unscaled = (u128::from_be_bytes(unscaled.try_into().ok()?) ^ (1 << 127)).cast_signed();
            Value::Decimal(Decimal { unscaled, scale: *scale })
        }
        8 => Value::string(std::str::from_utf8(payload).ok()?),
        9 => Value::Uuid(payload.try_into().ok()?),
        10 => Value::Bytes(payload.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
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
            let bump = Bump::new();
            let packed = |value: &Value| {
                let mut out = Vec::new();
                sortable(&value.borrow(&bump), |part| out.extend_from_slice(part));
                out
            };
            for value in &pair {
                let unpacked = unpack(&pack(value)).unwrap_or(Value::Null);
                let zero = matches!(value, Value::Float(0.0) | Value::Double(0.0));
                let expected = if zero { value.borrow(&bump) } else { canonical(&value.borrow(&bump)) };
                prop_assert_eq!(format!("{:?}", unpacked.borrow(&bump)), format!("{:?}", expected));
            }
            let expected = value_order(&pair[0].borrow(&bump), &pair[1].borrow(&bump));
            prop_assert_eq!(packed(&pair[0]).cmp(&packed(&pair[1])), expected, "{:?}", pair);
        }
    }
}
