//! The total order of keys and sorts.

use std::cmp::Ordering;

use headwater_engine::expr::value_order;
use headwater_schemas::{Decimal, ValueRef};
use proptest::prelude::*;

#[test]
fn known_places() {
    let decimal = |unscaled, scale| ValueRef::Decimal(Decimal { unscaled, scale });
    let array = [ValueRef::Long(1), ValueRef::Null];
    let ascending = [
        ValueRef::Null,
        ValueRef::Boolean(false),
        ValueRef::Boolean(true),
        ValueRef::Long(i64::MIN),
        decimal(-15, 1),
        ValueRef::Long(-1),
        decimal(0, 5),
        decimal(149, 2),
        decimal(15, 1),
        ValueRef::Long(2),
        ValueRef::Double(f64::NEG_INFINITY),
        ValueRef::Double(-1.5),
        ValueRef::Double(0.0),
        ValueRef::Double(1e300),
        ValueRef::Double(f64::INFINITY),
        ValueRef::Double(f64::NAN),
        ValueRef::String(""),
        ValueRef::String("Z"),
        ValueRef::String("a"),
        ValueRef::String("é"),
        ValueRef::Array(&array[..1]),
        ValueRef::Array(&array),
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            // An array that goes on comes after one that ends.
            assert_eq!(value_order(a, b), i.cmp(&j), "{a:?} beside {b:?}");
        }
    }
    assert_eq!(value_order(&ValueRef::Double(-0.0), &ValueRef::Double(0.0)), Ordering::Equal);
    assert_eq!(value_order(&decimal(150, 2), &decimal(15, 1)), Ordering::Equal);
    assert_eq!(value_order(&decimal(2, 0), &ValueRef::Long(2)), Ordering::Equal);
}

pub(crate) fn any_value() -> impl Strategy<Value = ValueRef<'static>> {
    prop_oneof![
        Just(ValueRef::Null),
        any::<bool>().prop_map(ValueRef::Boolean),
        prop_oneof![any::<i64>(), -3..3i64, Just(i64::MIN), Just(i64::MAX)].prop_map(ValueRef::Long),
        any::<f32>().prop_map(ValueRef::Float),
        prop_oneof![any::<f64>(), Just(f64::NAN), Just(-0.0), Just(f64::INFINITY)].prop_map(ValueRef::Double),
        (prop_oneof![any::<i128>(), -3..3i128, Just(i128::MIN)], 0..=38u8)
            .prop_map(|(unscaled, scale)| ValueRef::Decimal(Decimal { unscaled, scale })),
        prop_oneof![Just(""), Just("a"), Just("placed"), Just("12"), Just("éa%_\\"), Just("2026-01-31")]
            .prop_map(ValueRef::String),
        any::<[u8; 16]>().prop_map(ValueRef::Uuid),
        Just(ValueRef::Bytes(&[0, 255])),
        prop_oneof![any::<i32>(), -9..9i32].prop_map(ValueRef::Date),
        prop_oneof![any::<i64>(), -9..9i64].prop_map(ValueRef::Timestamp),
        Just(ValueRef::Array(&[ValueRef::Null])),
        Just(ValueRef::Record(&[])),
        Just(ValueRef::Map(&[("a", ValueRef::Long(1))])),
    ]
}

proptest! {
    #[test]
    fn it_is_an_order(a in any_value(), b in any_value(), c in any_value()) {
        prop_assert_eq!(value_order(&a, &a), Ordering::Equal);
        prop_assert_eq!(value_order(&a, &b), value_order(&b, &a).reverse());
        if value_order(&a, &b).is_le() && value_order(&b, &c).is_le() {
            prop_assert!(value_order(&a, &c).is_le(), "{:?} {:?} {:?}", a, b, c);
        }
    }
}
