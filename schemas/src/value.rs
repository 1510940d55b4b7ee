//! Values: owned ([`Value`], in rows that outlive a batch) and borrowed ([`ValueRef`], decoded from a message).
//!
//! Both say the same things. What a value does not carry (an int's width, a timestamp's unit, a record's field names) is
//! in its [`Type`](crate::Type), known when a plan is compiled.

use std::fmt;
use std::sync::Arc;

use bumpalo::Bump;
use ethnum::I256;

/// An exact number: `unscaled` · 10^-`scale`. At most 38 digits.
///
/// Packed, because a value is as large and as aligned as the largest: an aligned `i128` made every value 48 bytes, half of
/// them padding, in every row and every slot. Fields are read by copy; a reference to one does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(Rust, packed)]
pub struct Decimal {
    pub unscaled: i128,
    pub scale: u8,
}

impl Decimal {
    /// The number that `text` writes (`1.10`, `-7`, `2e3`), exactly, at this scale; None where it is no number, has digits
    /// finer than the scale or more than `precision` digits in all.
    pub fn parse(text: &str, precision: u8, scale: u8) -> Option<Self> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (digits, exponent) = match digits.iter().position(|b| b.eq_ignore_ascii_case(&b'e')) {
            Some(at) => (&digits[..at], std::str::from_utf8(&digits[at + 1..]).ok()?.parse::<i32>().ok()?),
            None => (digits, 0),
        };
        let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
        let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
        if whole.is_empty() && fraction.is_empty() || point < digits.len() && fraction.is_empty() {
            return None;
        }
        // How many digits after the last one written the scale reaches; below zero, that many must be zeros.
        let reach = i64::from(exponent) + i64::from(scale) - i64::try_from(fraction.len()).ok()?;
        let count = whole.len() + fraction.len();
        let kept = count.saturating_sub(usize::try_from(-reach.min(0)).ok()?);
        let mut unscaled = 0i128;
        for (i, digit) in whole.iter().chain(fraction).enumerate() {
            if !digit.is_ascii_digit() || i >= kept && *digit != b'0' {
                return None;
            }
            if i < kept {
                unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            }
        }
        if unscaled != 0 && reach > 0 {
            let power = usize::try_from(reach).ok().and_then(|n| POWERS_OF_TEN.get(n))?;
            unscaled = unscaled.checked_mul(*power)?;
        }
        let unscaled = if negative { -unscaled } else { unscaled };
        fits_precision(unscaled, precision).then_some(Self { unscaled, scale })
    }
}

/// All digits of the scale: `1.10`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        let digits = format!("{:0>1$}", { self.unscaled }.unsigned_abs(), scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}{}{fraction}", if scale > 0 { "." } else { "" })
    }
}

/// An owned value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    /// An `int` or a `long`.
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal(Decimal),
    /// A string, or an enum's symbol.
    String(Arc<str>),
    /// Big-endian, as RFC 9562 writes it.
    Uuid([u8; 16]),
    /// `bytes` or `fixed`.
    Bytes(Arc<[u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z, for both of Avro's units.
    Timestamp(i64),
    Array(Arc<[Value]>),
    /// Sorted by key, keys unique.
    Map(Arc<[(Arc<str>, Value)]>),
    /// By position of the record type's fields.
    Record(Arc<[Value]>),
    /// A value of a union: the branch's index in [`Type::Union`](crate::Type::Union).
    Branch(u32, Arc<Value>),
    /// An accumulator, wider than any column: only in hidden state, never in a visible column.
    Wide(Box<I256>),
}

/// A borrowed value; cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    Null,
    Boolean(bool),
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal(Decimal),
    String(&'a str),
    Uuid([u8; 16]),
    Bytes(&'a [u8]),
    Date(i32),
    Timestamp(i64),
    Array(&'a [ValueRef<'a>]),
    /// Sorted by key, keys unique.
    Map(&'a [(&'a str, ValueRef<'a>)]),
    Record(&'a [ValueRef<'a>]),
    Branch(u32, &'a ValueRef<'a>),
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Value::String(text.into())
    }

    /// This value borrowed. Scalars and text cost nothing; arrays, maps and records lay their elements out in `bump`.
    /// An accumulator has no borrowed form and gives null.
    #[inline]
    pub fn borrow<'a>(&'a self, bump: &'a Bump) -> ValueRef<'a> {
        match self {
            Value::Null | Value::Wide(_) => ValueRef::Null,
            Value::Boolean(b) => ValueRef::Boolean(*b),
            Value::Long(n) => ValueRef::Long(*n),
            Value::Float(x) => ValueRef::Float(*x),
            Value::Double(x) => ValueRef::Double(*x),
            Value::Decimal(d) => ValueRef::Decimal(*d),
            Value::String(s) => ValueRef::String(s),
            Value::Uuid(u) => ValueRef::Uuid(*u),
            Value::Bytes(b) => ValueRef::Bytes(b),
            Value::Date(d) => ValueRef::Date(*d),
            Value::Timestamp(t) => ValueRef::Timestamp(*t),
            Value::Array(_) | Value::Map(_) | Value::Record(_) | Value::Branch(..) => self.borrow_elements(bump),
        }
    }

    fn borrow_elements<'a>(&'a self, bump: &'a Bump) -> ValueRef<'a> {
        match self {
            Value::Array(items) => ValueRef::Array(bump.alloc_slice_fill_iter(items.iter().map(|v| v.borrow(bump)))),
            Value::Map(entries) => {
                ValueRef::Map(bump.alloc_slice_fill_iter(entries.iter().map(|(k, v)| (&**k, v.borrow(bump)))))
            }
            Value::Record(fields) => {
                ValueRef::Record(bump.alloc_slice_fill_iter(fields.iter().map(|v| v.borrow(bump))))
            }
            Value::Branch(i, v) => ValueRef::Branch(*i, bump.alloc(v.borrow(bump))),
            scalar => scalar.borrow(bump),
        }
    }

    /// This value laid out whole in `bump`, text and bytes too, so that it lives as long as the bump does: what a plan
    /// does with a default. An accumulator gives null.
    pub fn copy_to<'a>(&self, bump: &'a Bump) -> ValueRef<'a> {
        match self {
            Value::String(s) => ValueRef::String(bump.alloc_str(s)),
            Value::Bytes(b) => ValueRef::Bytes(bump.alloc_slice_copy(b)),
            Value::Array(items) => ValueRef::Array(bump.alloc_slice_fill_iter(items.iter().map(|v| v.copy_to(bump)))),
            Value::Map(entries) => ValueRef::Map(
                bump.alloc_slice_fill_iter(entries.iter().map(|(k, v)| (&*bump.alloc_str(k), v.copy_to(bump)))),
            ),
            Value::Record(fields) => {
                ValueRef::Record(bump.alloc_slice_fill_iter(fields.iter().map(|v| v.copy_to(bump))))
            }
            Value::Branch(i, v) => ValueRef::Branch(*i, bump.alloc(v.copy_to(bump))),
            Value::Null | Value::Wide(_) => ValueRef::Null,
            Value::Boolean(b) => ValueRef::Boolean(*b),
            Value::Long(n) => ValueRef::Long(*n),
            Value::Float(x) => ValueRef::Float(*x),
            Value::Double(x) => ValueRef::Double(*x),
            Value::Decimal(d) => ValueRef::Decimal(*d),
            Value::Uuid(u) => ValueRef::Uuid(*u),
            Value::Date(d) => ValueRef::Date(*d),
            Value::Timestamp(t) => ValueRef::Timestamp(*t),
        }
    }
}

impl ValueRef<'_> {
    pub fn is_null(&self) -> bool {
        matches!(self, ValueRef::Null)
    }

    /// An owned copy.
    pub fn to_owned(&self) -> Value {
        match *self {
            ValueRef::Null => Value::Null,
            ValueRef::Boolean(b) => Value::Boolean(b),
            ValueRef::Long(n) => Value::Long(n),
            ValueRef::Float(x) => Value::Float(x),
            ValueRef::Double(x) => Value::Double(x),
            ValueRef::Decimal(d) => Value::Decimal(d),
            ValueRef::String(s) => Value::String(s.into()),
            ValueRef::Uuid(u) => Value::Uuid(u),
            ValueRef::Bytes(b) => Value::Bytes(b.into()),
            ValueRef::Date(d) => Value::Date(d),
            ValueRef::Timestamp(t) => Value::Timestamp(t),
            ValueRef::Array(items) => Value::Array(items.iter().map(ValueRef::to_owned).collect()),
            ValueRef::Map(entries) => Value::Map(entries.iter().map(|(k, v)| ((*k).into(), v.to_owned())).collect()),
            ValueRef::Record(fields) => Value::Record(fields.iter().map(ValueRef::to_owned).collect()),
            ValueRef::Branch(i, v) => Value::Branch(i, Arc::new(v.to_owned())),
        }
    }
}

/// Rows, slots and caches are made of these.
const _: () = assert!(size_of::<Value>() == 24 && size_of::<ValueRef<'_>>() == 24);

/// The most digits of a decimal.
pub const MAX_PRECISION: u8 = 38;

/// 10^n, up to 10^38.
const POWERS_OF_TEN: [i128; MAX_PRECISION as usize + 1] = {
    let mut powers = [1; MAX_PRECISION as usize + 1];
    let mut i = 1;
    while i <= MAX_PRECISION as usize {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Whether a number has at most `precision` digits.
#[inline]
pub(crate) fn fits_precision(unscaled: i128, precision: u8) -> bool {
    let limit = POWERS_OF_TEN[usize::from(precision.min(MAX_PRECISION))];
    -limit < unscaled && unscaled < limit
}

/// Big-endian two's complement of any length above zero, with or without bytes that only repeat the sign; None where it
/// has more than `precision` digits.
#[inline]
pub(crate) fn decimal_from_bytes(bytes: &[u8], precision: u8) -> Option<i128> {
    let negative = bytes.first()? & 0x80 != 0;
    let sign = if negative { 0xff } else { 0 };
    let significant = match bytes.len().checked_sub(16) {
        None | Some(0) => bytes,
        Some(extra) => {
            let (head, tail) = bytes.split_at(extra);
            let repeats = head.iter().all(|b| *b == sign) && (tail[0] & 0x80 != 0) == negative;
            if !repeats {
                return None;
            }
            tail
        }
    };
    let mut wide = [sign; 16];
    wide[16 - significant.len()..].copy_from_slice(significant);
    let unscaled = i128::from_be_bytes(wide);
    fits_precision(unscaled, precision).then_some(unscaled)
}
