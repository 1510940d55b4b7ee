//! A compiled node with its type: [`Typed`], and the conversions that need no `cast`.

use bumpalo::Bump;
use headwater_schemas::{Decimal, Type, Value, ValueRef};
use std::cell::Cell;
use std::ops::Range;

use super::decimal;
use super::error::{EvalError, Fault};
use super::kind::{Any, Arg, Bool, Ctx, Dec, Double, Eval, Interval, Kind, Long, Text, map};

/// The type of a node: a field's, or one of two that live only within an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ty {
    Of(Type),
    Interval,
    /// Of the literal `null`: it takes the type of what stands beside it.
    Null,
}

/// A compiled node.
#[derive(Clone)]
pub(crate) struct Typed {
    pub(crate) code: Code,
    pub(crate) ty: Ty,
    /// Whether it may be null: false only where that is certain.
    pub(crate) nullable: bool,
    pub(crate) range: Range<usize>,
    /// The text of a string literal: it takes the type of what stands beside it, as in Postgres.
    pub(crate) literal: Option<String>,
}

/// The computation, by the kind of its values. A decimal's scale is in its type.
#[derive(Clone)]
pub(crate) enum Code {
    Bool(Arg<Bool>),
    Long(Arg<Long>),
    Double(Arg<Double>),
    Dec(Arg<Dec>),
    Text(Arg<Text>),
    Interval(Arg<Interval>),
    Any(Arg<Any>),
}

pub(crate) const MICROS_PER_DAY: i64 = 86_400_000_000;

impl std::fmt::Display for Ty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ty::Of(ty) => ty.fmt(f),
            Ty::Interval => f.write_str("interval"),
            Ty::Null => f.write_str("null"),
        }
    }
}

impl Ty {
    pub(crate) fn of(&self) -> Option<&Type> {
        match self {
            Ty::Of(ty) => Some(ty),
            _ => None,
        }
    }

    pub(crate) fn is_numeric(&self) -> bool {
        self.of().is_some_and(Type::is_numeric)
    }

    pub(crate) fn is_text(&self) -> bool {
        self.of().is_some_and(Type::is_text)
    }

    pub(crate) fn is_integer(&self) -> bool {
        matches!(self, Ty::Of(Type::Int | Type::Long))
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self, Ty::Of(Type::Float | Type::Double))
    }

    pub(crate) fn is_instant(&self) -> bool {
        self.of().is_some_and(Type::is_timestamp)
    }

    pub(crate) fn is_date(&self) -> bool {
        matches!(self, Ty::Of(Type::Date))
    }

    /// Digits after the point of an exact number.
    pub(crate) fn scale(&self) -> u8 {
        match self {
            Ty::Of(Type::Decimal { scale, .. }) => *scale,
            _ => 0,
        }
    }
}

/// `$body` for whatever kind `$code` is of, `$arg` bound to its argument and `$wrap` to its variant.
macro_rules! each_kind {
    ($code:expr, $wrap:ident, $arg:pat => $body:expr) => {
        match $code {
            $crate::expr::code::Code::Bool($arg) => {
                #[allow(unused_imports)]
                use $crate::expr::code::Code::Bool as $wrap;
                $body
            }
            $crate::expr::code::Code::Long($arg) => {
                #[allow(unused_imports)]
                use $crate::expr::code::Code::Long as $wrap;
                $body
            }
            $crate::expr::code::Code::Double($arg) => {
                #[allow(unused_imports)]
                use $crate::expr::code::Code::Double as $wrap;
                $body
            }
            $crate::expr::code::Code::Dec($arg) => {
                #[allow(unused_imports)]
                use $crate::expr::code::Code::Dec as $wrap;
                $body
            }
            $crate::expr::code::Code::Text($arg) => {
                #[allow(unused_imports)]
                use $crate::expr::code::Code::Text as $wrap;
                $body
            }
            $crate::expr::code::Code::Interval($arg) => {
                #[allow(unused_imports)]
                use $crate::expr::code::Code::Interval as $wrap;
                $body
            }
            $crate::expr::code::Code::Any($arg) => {
                #[allow(unused_imports)]
                use $crate::expr::code::Code::Any as $wrap;
                $body
            }
        }
    };
}
pub(crate) use each_kind;

/// The code that reads values of a type from slots, elements or fields.
macro_rules! by_type {
    ($ty:expr, $scale:ident => $arg:expr) => {
        match $ty {
            Type::Boolean => Code::Bool({
                let $scale = 0u8;
                $arg
            }),
            Type::Int | Type::Long | Type::Date | Type::TimestampMillis | Type::TimestampMicros => Code::Long({
                let $scale = 0u8;
                $arg
            }),
            Type::Float | Type::Double => Code::Double({
                let $scale = 0u8;
                $arg
            }),
            Type::Decimal { scale, .. } => Code::Dec({
                let $scale = *scale;
                $arg
            }),
            Type::String | Type::Enum(_) => Code::Text({
                let $scale = 0u8;
                $arg
            }),
            Type::Uuid
            | Type::Bytes
            | Type::Fixed(_)
            | Type::Array(_)
            | Type::Map(_)
            | Type::Record(_)
            | Type::Recursive(_)
            | Type::Union(_) => Code::Any({
                let $scale = 0u8;
                $arg
            }),
        }
    };
}

impl Code {
    pub(crate) fn slot(index: usize, ty: &Type) -> Code {
        by_type!(ty, scale => { let _ = scale; Arg::Slot { index, scale } })
    }

    /// The nearest [`bound`](super::kind::bound) value.
    pub(crate) fn local(ty: &Type) -> Code {
        by_type!(ty, scale => { let _ = scale; Arg::Local { scale } })
    }

    pub(crate) fn null(ty: &Type) -> Code {
        by_type!(ty, scale => { let _ = scale; Arg::null() })
    }

    /// Reads what `from` gives as a value of this type.
    pub(crate) fn read(from: Arg<Any>, ty: &Type) -> Code {
        fn reader<K: Kind>(from: Arg<Any>, scale: u8) -> Arg<K> {
            Arg::computed(move |ctx| match from.get(ctx)? {
                Some(value) => K::read(&value, scale),
                None => Ok(None),
            })
        }
        by_type!(ty, scale => reader(from, scale))
    }

    /// As a value for whoever asked. An interval has none.
    pub(crate) fn into_value(self, ty: &Ty) -> Arg<Any> {
        let scale = ty.scale();
        match (self, ty.of()) {
            (Code::Any(arg), _) => arg,
            // A slot holds the value as it is asked for; the kinds left out may read one type as another.
            (Code::Bool(Arg::Slot { index, .. }), Some(Type::Boolean))
            | (Code::Text(Arg::Slot { index, .. }), Some(Type::String | Type::Enum(_)))
            | (
                Code::Long(Arg::Slot { index, .. }),
                Some(Type::Int | Type::Long | Type::Date | Type::TimestampMillis | Type::TimestampMicros),
            ) => Arg::Slot { index, scale: 0 },
            (Code::Bool(arg), _) => map(arg, |b, _| Ok(ValueRef::Boolean(b))),
            (Code::Text(arg), _) => map(arg, |text, _| Ok(ValueRef::String(text))),
            (Code::Dec(arg), _) => map(arg, move |unscaled, _| Ok(ValueRef::Decimal(Decimal { unscaled, scale }))),
            (Code::Long(arg), Some(Type::Date)) => map(arg, |days, _| match i32::try_from(days) {
                Ok(days) => Ok(ValueRef::Date(days)),
                Err(_) => Err(EvalError::overflow("date", "date")),
            }),
            (Code::Long(arg), Some(Type::TimestampMillis | Type::TimestampMicros)) => {
                map(arg, |micros, _| Ok(ValueRef::Timestamp(micros)))
            }
            (Code::Long(arg), _) => map(arg, |n, _| Ok(ValueRef::Long(n))),
            (Code::Double(arg), Some(Type::Float)) => map(arg, |x, _| Ok(ValueRef::Float(x as f32))),
            (Code::Double(arg), _) => map(arg, |x, _| Ok(ValueRef::Double(x))),
            (Code::Interval(_), _) => Arg::null(),
        }
    }

    pub(crate) fn is_constant(&self) -> bool {
        each_kind!(self, Same, arg => arg.is_constant())
    }

    /// Whether it is a constant null.
    pub(crate) fn is_null(&self) -> bool {
        each_kind!(self, Same, arg => matches!(arg, Arg::Constant(None)))
    }

    /// Computed now. What it computes of must be constant.
    pub(crate) fn folded(self) -> Result<Code, Fault> {
        fn fold<K: Kind>(arg: Arg<K>) -> Result<Arg<K>, Fault> {
            if arg.is_constant() {
                return Ok(arg);
            }
            let bump = Bump::new();
            let value: Eval<K::Of<'_>> = arg.get(&Ctx::new(&[], &bump, &Cell::new(None)));
            Ok(Arg::Constant(value?.map(K::own)))
        }
        Ok(each_kind!(self, Same, arg => Same(fold(arg)?)))
    }

    /// Numbers as doubles; `from` is their type.
    pub(crate) fn into_double(self, from: &Ty) -> Arg<Double> {
        let scale = from.scale();
        match self {
            Code::Double(arg) => arg,
            Code::Long(Arg::Slot { index, .. }) => Arg::Slot { index, scale: 0 },
            Code::Long(arg) => settled(map(arg, |n, _| Ok(n as f64))),
            Code::Dec(arg) => settled(map(arg, move |n, _| Ok(decimal::to_double(n, scale)))),
            _ => Arg::null(),
        }
    }

    /// Exact numbers as floats, rounded once; a double's error is the caller's to find.
    pub(crate) fn into_float(self, from: &Ty) -> Arg<Double> {
        let scale = from.scale();
        match self {
            Code::Long(arg) => settled(map(arg, |n, _| Ok(f64::from(n as f32)))),
            Code::Dec(arg) => settled(map(arg, move |n, _| Ok(f64::from(decimal::to_float(n, scale))))),
            other => other.into_double(from),
        }
    }

    /// Exact numbers as decimals of their own scale, an integer's being 0.
    pub(crate) fn into_decimal(self) -> Arg<Dec> {
        match self {
            Code::Dec(arg) => arg,
            Code::Long(Arg::Slot { index, .. }) => Arg::Slot { index, scale: 0 },
            Code::Long(Arg::Constant(n)) => Arg::Constant(n.map(i128::from)),
            Code::Long(arg) => map(arg, |n, _| Ok(i128::from(n))),
            _ => Arg::null(),
        }
    }

    /// Exact numbers as decimals of this scale, which is not below their own.
    pub(crate) fn into_scale(self, from: u8, to: u8) -> Result<Arg<Dec>, Fault> {
        let arg = self.into_decimal();
        if from == to {
            return Ok(arg);
        }
        let constant = arg.is_constant();
        let lifted = map(arg, move |n, _| {
            decimal::rescale(n, from, to).ok_or_else(|| EvalError::overflow("decimal", format!("decimal(38,{to})")))
        });
        match (constant, Code::Dec(lifted)) {
            (true, code) => code.folded().map(Code::into_decimal),
            (false, code) => Ok(code.into_decimal()),
        }
    }

    pub(crate) fn into_bool(self) -> Arg<Bool> {
        match self {
            Code::Bool(arg) => arg,
            _ => Arg::null(),
        }
    }

    pub(crate) fn into_long(self) -> Arg<Long> {
        match self {
            Code::Long(arg) => arg,
            _ => Arg::null(),
        }
    }

    pub(crate) fn into_text(self) -> Arg<Text> {
        match self {
            Code::Text(arg) => arg,
            _ => Arg::null(),
        }
    }

    pub(crate) fn into_interval(self) -> Arg<Interval> {
        match self {
            Code::Interval(arg) => arg,
            _ => Arg::null(),
        }
    }

    pub(crate) fn into_any(self) -> Arg<Any> {
        match self {
            Code::Any(arg) => arg,
            _ => Arg::null(),
        }
    }

    /// Dates or timestamps as timestamps: a date is its midnight in UTC.
    pub(crate) fn into_instant(self, from: &Ty) -> Arg<Long> {
        let arg = self.into_long();
        if !from.is_date() {
            return arg;
        }
        settled(map(arg, |days, _| {
            days.checked_mul(MICROS_PER_DAY).ok_or_else(|| EvalError::overflow("timestamp", "timestamp"))
        }))
    }

    /// Any of its values is null or not.
    pub(crate) fn null_test(self) -> Arg<Bool> {
        each_kind!(self, Same, arg => Arg::computed(move |ctx| Ok(Some(arg.get(ctx)?.is_none()))))
    }
}

/// A conversion that cannot fail on a constant is done at once. (If it could, it fails again when it is evaluated.)
fn settled<K: Kind>(arg: Arg<K>) -> Arg<K> {
    let bump = Bump::new();
    let outcome = arg.get(&Ctx::new(&[], &bump, &Cell::new(None)));
    match outcome {
        Ok(Some(value)) => Arg::Constant(Some(K::own(value))),
        _ => arg,
    }
}

impl Typed {
    pub(crate) fn new(code: Code, ty: Type, nullable: bool, range: Range<usize>) -> Typed {
        Typed { code, ty: Ty::Of(ty), nullable, range, literal: None }
    }

    pub(crate) fn null(range: Range<usize>) -> Typed {
        Typed { code: Code::Text(Arg::null()), ty: Ty::Null, nullable: true, range, literal: None }
    }

    /// The value of a constant.
    pub(crate) fn constant(&self) -> Option<Value> {
        if !self.code.is_constant() {
            return None;
        }
        let bump = Bump::new();
        let value = self.code.clone().into_value(&self.ty);
        let value: Eval<ValueRef<'_>> = value.get(&Ctx::new(&[], &bump, &Cell::new(None)));
        value.ok().map(|value| value.map_or(Value::Null, |value| value.to_owned()))
    }
}
