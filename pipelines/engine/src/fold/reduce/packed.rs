//! What packed accumulators are made of: values in one form, whatever order they came in.

use headwater_schemas::ValueRef;

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
