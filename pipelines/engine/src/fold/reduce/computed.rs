//! An expression over reducers, each with a value of its own in the state.
//!
//! ```text
//! mean_price: "sum(price) / count()"      1.10, 2.20  ->  1.650000
//! ```
//!
//! A part's value is packed ([`packed::pack`]): nothing where it is what the reducer has before anything contributed.

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::{Sign, Target, packed, reduce};
use crate::plan::{Argument, Computed, Part};

#[inline(never)]
pub(super) fn put<'a>(
    computed: &Computed,
    argument: &Argument,
    target: Target,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
) -> Result<(), String> {
    let Target { value, state, position } = target;
    let mut values = Vec::with_capacity(computed.parts.len());
    for (i, part) in computed.parts.iter().enumerate() {
        let mut found = kept(part, state);
        if let Some(Some(argument)) = argument.parts.get(i) {
            let target = Target { value: &mut found, state: &mut *state, position };
            reduce(&part.reducer, argument, target, slots, bump, Sign::Add)?;
            let blank = found == part.reducer.blank();
            state[part.value] = packed::pack(if blank { &Value::Null } else { &found });
        }
        values.push(found);
    }
    let room = Bump::new();
    let slots: Vec<ValueRef> = values.iter().map(|value| value.borrow(&room)).collect();
    let result = computed.expr.eval(&slots, &room).map_err(|problem| problem.to_string())?;
    *value = result.to_owned();
    Ok(())
}

/// A part's value so far.
pub(crate) fn kept(part: &Part, state: &[Value]) -> Value {
    packed::unpack(&state[part.value]).unwrap_or_else(|| part.reducer.blank())
}
