//! How a compiled expression computes: every node is an [`Arg`] of one [`Kind`], which gives a bare `i64`, `f64`, `i128`,
//! `&str`… or null. Types are settled when it is compiled, so nothing is boxed or matched per value.
//!
//! A slot and a constant are read in place; only what computes is behind a pointer, and that closure has its operators
//! inlined. `a = 'X' and q * p > 100` is four calls.

use std::cell::Cell;
use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::decimal;
use super::error::{EvalError, Fault};

/// What an evaluation sees.
#[derive(Clone, Copy)]
pub(crate) struct Ctx<'r, 'a> {
    pub(crate) slots: &'r [ValueRef<'a>],
    pub(crate) bump: &'a Bump,
    /// What the nearest enclosing [`bound`] computed.
    local: Option<&'r ValueRef<'a>>,
    /// A fault on its way from a closure to whoever called it: see [`Kind::Handed`].
    fault: &'r Cell<Option<Fault>>,
}

impl<'r, 'a> Ctx<'r, 'a> {
    pub(crate) fn new(slots: &'r [ValueRef<'a>], bump: &'a Bump, fault: &'r Cell<Option<Fault>>) -> Self {
        Self { slots, bump, local: None, fault }
    }
}

/// A value, null, or the reason why there is none.
pub(crate) type Eval<T> = Result<Option<T>, Fault>;

/// A family of types that compute alike.
pub(crate) trait Kind: 'static {
    type Of<'a>: Copy;
    /// A value or null as a closure hands it on: two registers, where that is possible. [`Eval`] would go through memory,
    /// written in parts and read at once, which costs more than the arithmetic. A fault is handed on as null, and left
    /// in the context.
    type Handed<'a>: Copy;
    /// A constant; owned by the expression.
    type Owned: Clone + Send + Sync + 'static;

    /// The value of a slot, element or field. `scale` is that of a decimal's type.
    fn read<'a>(value: &ValueRef<'a>, scale: u8) -> Eval<Self::Of<'a>>;

    fn constant<'a>(owned: &Self::Owned, bump: &'a Bump) -> Self::Of<'a>;

    fn own(of: Self::Of<'_>) -> Self::Owned;

    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_>;

    fn take(handed: Self::Handed<'_>) -> Option<Self::Of<'_>>;
}

pub(crate) struct Bool;
/// int, long, date (days) and both timestamps (microseconds).
pub(crate) struct Long;
/// float and double. A float is a double that a float can hold.
pub(crate) struct Double;
/// A decimal of a scale that its node knows.
pub(crate) struct Dec;
/// string and enum.
pub(crate) struct Text;
/// An interval: only within an expression.
pub(crate) struct Interval;
/// uuid, bytes, fixed, arrays, maps, records, unions: what is passed on and looked into.
pub(crate) struct Any;

/// Postgres's interval: the parts are kept apart, because months and days differ in length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) months: i32,
    pub(crate) days: i32,
    pub(crate) micros: i64,
}

pub(crate) type Closure<K> = Arc<dyn for<'r, 'a> Fn(&Ctx<'r, 'a>) -> <K as Kind>::Handed<'a> + Send + Sync>;

/// What a closure gives.
#[inline(always)]
pub(crate) fn call<'a, K: Kind>(closure: &Closure<K>, ctx: &Ctx<'_, 'a>) -> Eval<K::Of<'a>> {
    match K::take(closure(ctx)) {
        Some(value) => Ok(Some(value)),
        None => match ctx.fault.take() {
            None => Ok(None),
            Some(fault) => Err(fault),
        },
    }
}

/// Where a node's value comes from.
pub(crate) enum Arg<K: Kind> {
    Slot {
        index: usize,
        scale: u8,
    },
    /// [`Ctx::local`].
    Local {
        scale: u8,
    },
    Constant(Option<K::Owned>),
    Computed(Closure<K>),
}

impl<K: Kind> Arg<K> {
    #[inline(always)]
    pub(crate) fn get<'a>(&self, ctx: &Ctx<'_, 'a>) -> Eval<K::Of<'a>> {
        match self {
            Arg::Slot { index, scale } => read_slot::<K>(ctx, *index, *scale),
            Arg::Local { scale } => ctx.local.map_or_else(|| Err(no_slot(0)), |value| K::read(value, *scale)),
            Arg::Constant(None) => Ok(None),
            Arg::Constant(Some(owned)) => Ok(Some(K::constant(owned, ctx.bump))),
            Arg::Computed(closure) => call::<K>(closure, ctx),
        }
    }

    pub(crate) fn computed(
        closure: impl for<'r, 'a> Fn(&Ctx<'r, 'a>) -> Eval<K::Of<'a>> + Send + Sync + 'static,
    ) -> Arg<K> {
        Arg::Computed(Arc::new(move |ctx: &Ctx<'_, '_>| match closure(ctx) {
            Ok(value) => K::hand(value),
            Err(fault) => {
                ctx.fault.set(Some(fault));
                K::hand(None)
            }
        }))
    }

    pub(crate) fn null() -> Arg<K> {
        Arg::Constant(None)
    }

    pub(crate) fn is_constant(&self) -> bool {
        matches!(self, Arg::Constant(_))
    }

    /// The constant that this is, unless that is null.
    pub(crate) fn as_constant(&self) -> Option<&K::Owned> {
        match self {
            Arg::Constant(Some(owned)) => Some(owned),
            _ => None,
        }
    }
}

impl<K: Kind> Clone for Arg<K> {
    fn clone(&self) -> Self {
        match self {
            Arg::Slot { index, scale } => Arg::Slot { index: *index, scale: *scale },
            Arg::Local { scale } => Arg::Local { scale: *scale },
            Arg::Constant(constant) => Arg::Constant(constant.clone()),
            Arg::Computed(closure) => Arg::Computed(Arc::clone(closure)),
        }
    }
}

/// `body` with what `value` gives as its local: an argument that is compared more than once is computed once.
pub(crate) fn bound<K: Kind>(value: Arg<Any>, body: Arg<K>) -> Arg<K> {
    Arg::computed(move |ctx| {
        let value = value.get(ctx)?.unwrap_or(ValueRef::Null);
        body.get(&Ctx { slots: ctx.slots, bump: ctx.bump, local: Some(&value), fault: ctx.fault })
    })
}

/// A node that is null where its argument is.
pub(crate) fn map<A: Kind, K: Kind>(
    arg: Arg<A>,
    f: impl for<'a> Fn(A::Of<'a>, &'a Bump) -> Result<K::Of<'a>, Fault> + Send + Sync + 'static,
) -> Arg<K> {
    Arg::computed(move |ctx| match arg.get(ctx)? {
        Some(value) => f(value, ctx.bump).map(Some),
        None => Ok(None),
    })
}

/// A node that is null where one of its arguments is. Where the arguments come from is settled here, once: two slots, or
/// something beside a constant, are most of what is written.
pub(crate) fn map2<A: Kind, B: Kind, K: Kind>(
    left: Arg<A>,
    right: Arg<B>,
    f: impl for<'a> Fn(A::Of<'a>, B::Of<'a>, &'a Bump) -> Result<K::Of<'a>, Fault> + Send + Sync + 'static,
) -> Arg<K> {
    match (left, right) {
        (Arg::Slot { index: l, scale: ls }, Arg::Slot { index: r, scale: rs }) => {
            Arg::computed(move |ctx| match (read_slot::<A>(ctx, l, ls)?, read_slot::<B>(ctx, r, rs)?) {
                (Some(left), Some(right)) => f(left, right, ctx.bump).map(Some),
                _ => Ok(None),
            })
        }
        (Arg::Slot { index, scale }, Arg::Constant(Some(right))) => {
            Arg::computed(move |ctx| match read_slot::<A>(ctx, index, scale)? {
                Some(left) => f(left, B::constant(&right, ctx.bump), ctx.bump).map(Some),
                None => Ok(None),
            })
        }
        (Arg::Computed(left), Arg::Constant(Some(right))) => Arg::computed(move |ctx| match call::<A>(&left, ctx)? {
            Some(left) => f(left, B::constant(&right, ctx.bump), ctx.bump).map(Some),
            None => Ok(None),
        }),
        (left, right) => Arg::computed(move |ctx| match (left.get(ctx)?, right.get(ctx)?) {
            (Some(left), Some(right)) => f(left, right, ctx.bump).map(Some),
            _ => Ok(None),
        }),
    }
}

#[inline(always)]
fn read_slot<'a, K: Kind>(ctx: &Ctx<'_, 'a>, index: usize, scale: u8) -> Eval<K::Of<'a>> {
    match ctx.slots.get(index) {
        Some(value) => K::read(value, scale).map_err(|fault| at_slot(fault, index)),
        None => Err(no_slot(index)),
    }
}

#[cold]
fn no_slot(slot: usize) -> Fault {
    Box::new(EvalError::Slot { slot, expected: "a value", found: "nothing" })
}

#[cold]
fn at_slot(mut fault: Fault, index: usize) -> Fault {
    if let EvalError::Slot { slot, .. } = &mut *fault {
        *slot = index;
    }
    fault
}

#[cold]
fn mismatch<T>(expected: &'static str, found: &ValueRef<'_>) -> Eval<T> {
    Err(Box::new(EvalError::Slot { slot: 0, expected, found: variant(found) }))
}

/// What a value is, without showing it.
pub(crate) fn variant(value: &ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "null",
        ValueRef::Boolean(_) => "a boolean",
        ValueRef::Long(_) => "an integer",
        ValueRef::Float(_) => "a float",
        ValueRef::Double(_) => "a double",
        ValueRef::Decimal(_) => "a decimal",
        ValueRef::String(_) => "text",
        ValueRef::Uuid(_) => "a uuid",
        ValueRef::Bytes(_) => "bytes",
        ValueRef::Date(_) => "a date",
        ValueRef::Timestamp(_) => "a timestamp",
        ValueRef::Array(_) => "an array",
        ValueRef::Map(_) => "a map",
        ValueRef::Record(_) => "a record",
        ValueRef::Branch(..) => "a value of a union",
    }
}

impl Kind for Bool {
    type Of<'a> = bool;
    type Handed<'a> = Option<bool>;
    type Owned = bool;

    #[inline(always)]
    fn read(value: &ValueRef<'_>, _: u8) -> Eval<bool> {
        match value {
            ValueRef::Boolean(b) => Ok(Some(*b)),
            ValueRef::Null => Ok(None),
            other => mismatch("a boolean", other),
        }
    }

    #[inline]
    fn constant(owned: &bool, _: &Bump) -> bool {
        *owned
    }

    fn own(of: bool) -> bool {
        of
    }

    #[inline(always)]
    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_> {
        of
    }

    #[inline(always)]
    fn take(handed: Self::Handed<'_>) -> Option<Self::Of<'_>> {
        handed
    }
}

impl Kind for Long {
    type Of<'a> = i64;
    type Handed<'a> = Option<i64>;
    type Owned = i64;

    #[inline(always)]
    fn read(value: &ValueRef<'_>, _: u8) -> Eval<i64> {
        match value {
            ValueRef::Long(n) | ValueRef::Timestamp(n) => Ok(Some(*n)),
            ValueRef::Date(days) => Ok(Some(i64::from(*days))),
            ValueRef::Null => Ok(None),
            other => mismatch("an integer, a date or a timestamp", other),
        }
    }

    #[inline]
    fn constant(owned: &i64, _: &Bump) -> i64 {
        *owned
    }

    fn own(of: i64) -> i64 {
        of
    }

    #[inline(always)]
    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_> {
        of
    }

    #[inline(always)]
    fn take(handed: Self::Handed<'_>) -> Option<Self::Of<'_>> {
        handed
    }
}

impl Kind for Double {
    type Of<'a> = f64;
    type Handed<'a> = Option<f64>;
    type Owned = f64;

    #[inline(always)]
    fn read(value: &ValueRef<'_>, _: u8) -> Eval<f64> {
        match value {
            ValueRef::Double(x) => Ok(Some(*x)),
            ValueRef::Float(x) => Ok(Some(f64::from(*x))),
            // An integer beside a double: see `Code::into_double`.
            ValueRef::Long(n) => Ok(Some(*n as f64)),
            ValueRef::Null => Ok(None),
            other => mismatch("a float or a double", other),
        }
    }

    #[inline]
    fn constant(owned: &f64, _: &Bump) -> f64 {
        *owned
    }

    fn own(of: f64) -> f64 {
        of
    }

    #[inline(always)]
    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_> {
        of
    }

    #[inline(always)]
    fn take(handed: Self::Handed<'_>) -> Option<Self::Of<'_>> {
        handed
    }
}

impl Kind for Dec {
    type Of<'a> = i128;
    /// The upper half, the lower half. No number of 38 digits has the upper half [`NO_DECIMAL`].
    type Handed<'a> = (i64, u64);
    type Owned = i128;

    #[inline(always)]
    fn read(value: &ValueRef<'_>, scale: u8) -> Eval<i128> {
        match value {
            ValueRef::Decimal(d) if d.scale == scale => Ok(Some(d.unscaled)),
            // An integer beside a decimal: see `Code::into_decimal`.
            ValueRef::Long(n) if scale == 0 => Ok(Some(i128::from(*n))),
            ValueRef::Null => Ok(None),
            other => rescaled(other, scale),
        }
    }

    #[inline]
    fn constant(owned: &i128, _: &Bump) -> i128 {
        *owned
    }

    fn own(of: i128) -> i128 {
        of
    }

    #[inline(always)]
    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_> {
        debug_assert!(of.is_none_or(|of| (of >> 64) as i64 != NO_DECIMAL), "{of:?} has more than 38 digits");
        of.map_or((NO_DECIMAL, 0), |of| ((of >> 64) as i64, of as u64))
    }

    #[inline(always)]
    fn take((high, low): Self::Handed<'_>) -> Option<Self::Of<'_>> {
        (high != NO_DECIMAL).then(|| i128::from(high) << 64 | i128::from(low))
    }
}

/// The upper half of null: no more than 10^38 is below 2^127.
const NO_DECIMAL: i64 = i64::MIN;

/// A decimal that was written with another scale than its type's is the same number, if that scale can say it.
#[cold]
fn rescaled(value: &ValueRef<'_>, scale: u8) -> Eval<i128> {
    match value {
        ValueRef::Decimal(d) => match decimal::rescale_exact(d.unscaled, d.scale, scale) {
            Some(unscaled) => Ok(Some(unscaled)),
            None => mismatch("a decimal of its type's scale", value),
        },
        other => mismatch("a decimal", other),
    }
}

impl Kind for Text {
    type Of<'a> = &'a str;
    type Handed<'a> = Option<&'a str>;
    type Owned = Box<str>;

    #[inline(always)]
    fn read<'a>(value: &ValueRef<'a>, _: u8) -> Eval<&'a str> {
        match value {
            ValueRef::String(s) => Ok(Some(s)),
            ValueRef::Null => Ok(None),
            other => mismatch("text", other),
        }
    }

    /// A constant belongs to the expression, a result to the batch: it is copied. Whoever can works on
    /// [`Arg::as_constant`] instead.
    #[inline]
    fn constant<'a>(owned: &Box<str>, bump: &'a Bump) -> &'a str {
        bump.alloc_str(owned)
    }

    fn own(of: &str) -> Box<str> {
        of.into()
    }

    #[inline(always)]
    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_> {
        of
    }

    #[inline(always)]
    fn take(handed: Self::Handed<'_>) -> Option<Self::Of<'_>> {
        handed
    }
}

impl Kind for Interval {
    type Of<'a> = Span;
    type Handed<'a> = Option<Span>;
    type Owned = Span;

    fn read(value: &ValueRef<'_>, _: u8) -> Eval<Span> {
        match value {
            ValueRef::Null => Ok(None),
            other => mismatch("null", other),
        }
    }

    #[inline]
    fn constant(owned: &Span, _: &Bump) -> Span {
        *owned
    }

    fn own(of: Span) -> Span {
        of
    }

    #[inline(always)]
    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_> {
        of
    }

    #[inline(always)]
    fn take(handed: Self::Handed<'_>) -> Option<Self::Of<'_>> {
        handed
    }
}

impl Kind for Any {
    type Of<'a> = ValueRef<'a>;
    type Handed<'a> = Option<ValueRef<'a>>;
    type Owned = Value;

    #[inline(always)]
    fn read<'a>(value: &ValueRef<'a>, _: u8) -> Eval<ValueRef<'a>> {
        Ok(Some(*value).filter(|value| !value.is_null()))
    }

    fn constant<'a>(owned: &Value, bump: &'a Bump) -> ValueRef<'a> {
        owned.copy_to(bump)
    }

    fn own(of: ValueRef<'_>) -> Value {
        of.to_owned()
    }

    #[inline(always)]
    fn hand(of: Option<Self::Of<'_>>) -> Self::Handed<'_> {
        of
    }

    #[inline(always)]
    fn take(handed: Self::Handed<'_>) -> Option<Self::Of<'_>> {
        handed
    }
}
