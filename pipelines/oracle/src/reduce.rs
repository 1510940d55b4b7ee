//! Reducers, each over all that contributes to a row at once.

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::expr::{Mistake, Names};
use crate::topology::{Kind, Reducer};
use crate::value::{Type, Value, divided, power};

/// What one event, or one element of its array, says to a row.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// By the view's aliases.
    pub alias: usize,
    /// Whose part of the row it is.
    pub topic: usize,
    pub names: Names,
}

/// What a reducer gives of these, which are in their order.
///
/// # Errors
/// An argument that cannot be computed.
pub fn reduced(reducer: &Reducer, contributions: &[Contribution]) -> Result<Value, Mistake> {
    let mut values: Vec<Value> = Vec::new();
    let mut places: Vec<Vec<Value>> = Vec::new();
    // What is ordered by its time is in the order of the topics where that is the same.
    let mut contributions: Vec<&Contribution> = contributions.iter().collect();
    contributions.sort_by_key(|contribution| contribution.topic);
    for Contribution { alias, names, .. } in contributions {
        let Some(argument) = reducer.argument_of(*alias) else { continue };
        if let Some(filter) = &reducer.filter
            && !filter.holds(names)?
        {
            continue;
        }
        // `count()` counts whatever there is.
        values.push(argument.map_or(Ok(Value::Boolean(true)), |argument| argument.evaluate(names))?);
        let place = reducer.order.iter().map(|order| order.by.evaluate(names));
        places.push(place.collect::<Result<_, Mistake>>()?);
    }
    if !reducer.order.is_empty() {
        return Ok(by_order(reducer, values, places));
    }
    let nothing = values.iter().all(Value::is_null);
    Ok(match reducer.kind {
        Kind::Last => values.pop().unwrap_or(Value::Null),
        Kind::First => values.into_iter().next().unwrap_or(Value::Null),
        kind => {
            let known = values.into_iter().filter(|value| !value.is_null()).collect();
            of_known(kind, &reducer.ty, known, nothing)?
        }
    })
}

/// The first by the least of the places, the last by the greatest; at the same place, by their order. A null is no place.
fn by_order(reducer: &Reducer, values: Vec<Value>, places: Vec<Vec<Value>>) -> Value {
    let is_known = |(place, _): &(Vec<Value>, Value)| !place.iter().any(Value::is_null);
    let mut known: Vec<(Vec<Value>, Value)> = places.into_iter().zip(values).filter(is_known).collect();
    let compare = |a: &[Value], b: &[Value]| {
        let each = reducer.order.iter().zip(a.iter().zip(b));
        let mut each = each.map(|(order, (a, b))| if order.desc { b.compare(a) } else { a.compare(b) });
        each.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    // Stable: what is at the same place stays as it is.
    known.sort_by(|(a, _), (b, _)| compare(a, b));
    let found = if reducer.kind == Kind::First { known.into_iter().next() } else { known.pop() };
    found.map_or(Value::Null, |(_, value)| value)
}

/// Of values that are not null.
fn of_known(kind: Kind, ty: &Type, values: Vec<Value>, nothing: bool) -> Result<Value, Mistake> {
    Ok(match kind {
        Kind::Count => Value::Whole(values.len() as i64),
        Kind::Distinct => Value::Whole(distinct(values).len() as i64),
        _ if nothing => Value::Null,
        // Minus zero is what nothing is added to changes.
        Kind::Sum if *ty == Type::Double => Value::Double(total(-0.0, &values)?),
        Kind::Average if *ty == Type::Double => Value::Double(total(0.0, &values)? / values.len() as f64),
        Kind::Sum => {
            let (digits, scale) = sum(&values);
            match (ty, i64::try_from(&digits)) {
                (Type::Int, Ok(n)) => Value::Whole(n),
                (Type::Int, Err(_)) => Value::Unreadable,
                _ => Value::decimal(digits, scale),
            }
        }
        Kind::Average => {
            let (digits, scale) = sum(&values);
            Value::decimal(divided(&(digits * power(6)), &(power(scale) * values.len())), 6)
        }
        Kind::Deviation { sample, root } => deviation(&values, sample, root),
        Kind::List => Value::List(values),
        Kind::Set => Value::List(distinct(values)),
        Kind::Least => ascending(values).swap_remove(0),
        Kind::Greatest => ascending(values).pop().unwrap_or(Value::Null),
        Kind::Top(n) => {
            let mut largest = ascending(values);
            largest.reverse();
            largest.truncate(n);
            Value::List(largest)
        }
        Kind::Last | Kind::First => unreachable!("they keep nulls"),
    })
}

fn ascending(values: Vec<Value>) -> Vec<Value> {
    let mut values: Vec<Value> = values.into_iter().map(Value::canonical).collect();
    values.sort_by(Value::compare);
    values
}

/// Each once, in the order of the values.
fn distinct(values: Vec<Value>) -> Vec<Value> {
    let mut values = ascending(values);
    values.dedup_by(|a, b| a.compare(b).is_eq());
    values
}

/// All values of a column have one scale.
fn sum(values: &[Value]) -> (BigInt, u32) {
    let exact = values.iter().filter_map(Value::exact);
    exact.fold((BigInt::from(0), 0), |(sum, _), (digits, scale)| (sum + digits, scale))
}

/// In their order. It is infinite only where a value is.
fn total(from: f64, values: &[Value]) -> Result<f64, Mistake> {
    let doubles = values.iter().filter_map(|value| if let Value::Double(x) = value { Some(*x) } else { None });
    doubles.into_iter().try_fold(from, |total, x| match total + x {
        sum if sum.is_infinite() && total.is_finite() && x.is_finite() => Err(Mistake::OutOfRange),
        sum => Ok(sum),
    })
}

/// The variance is the mean of the squared distances from the mean; of a sample, by one less. With as many digits after the
/// point as the values have, at least 6, rounded half up.
fn deviation(values: &[Value], sample: bool, root: bool) -> Value {
    let n = values.len();
    if sample && n < 2 {
        return Value::Null;
    }
    let (sum, scale) = sum(values);
    // n times each distance, so that all is whole: their squares are n² too large.
    let distance = |value: &Value| value.exact().map_or_else(BigInt::default, |(digits, _)| digits * n - &sum);
    let squares: BigInt = values.iter().map(distance).map(|distance| &distance * &distance).sum();
    let divisor = BigInt::from(n) * n * (n - usize::from(sample)) * power(scale) * power(scale);
    let shown = scale.max(6);
    if !root {
        return Value::decimal(divided(&(squares * power(shown)), &divisor), shown);
    }
    // The root with one digit more by far than is shown, then half up.
    let finer = power(shown) * power(20);
    let long: BigInt = (squares * &finer * &finer / divisor).sqrt();
    Value::decimal(divided(&long, &power(20)), shown)
}
