//! Comparisons and what is made of them: `=`, `<`, `is distinct from`, `in`, `between`; and/or/not and `is`.

use std::cmp::Ordering;
use std::ops::Range;

use headwater_schemas::{Type, ValueRef};

use super::{Checked, Checker};
use crate::expr::ast::{Ast, BinaryOp, IsTest};
use crate::expr::code::{Code, Ty, Typed, each_kind};
use crate::expr::kind::{Any, Arg, Bool, Ctx, Dec, Double, Eval, Interval, Kind, Long, Span, Text, bound, call, map2};
use crate::expr::order::{float_order, value_order};
use crate::expr::{ExprError, cast, decimal, error};
use crate::source::suggestion;

/// An argument that is compared more than once.
pub(super) struct Subject {
    /// What stands for it within the body.
    pub(super) typed: Typed,
    bind: Option<Arg<Any>>,
}

impl Subject {
    /// `None` where it cannot be kept: an interval.
    pub(super) fn new(typed: Typed) -> Option<Subject> {
        let plain = each_kind!(&typed.code, Same, arg => !matches!(arg, Arg::Computed(_)));
        if plain {
            return Some(Subject { typed, bind: None });
        }
        let ty = typed.ty.of()?.clone();
        let bind = typed.code.into_value(&typed.ty);
        Some(Subject { typed: Typed { code: Code::local(&ty), literal: None, ..typed }, bind: Some(bind) })
    }

    /// The body, with the argument computed once for all of it.
    pub(super) fn around(self, body: Code) -> Code {
        match self.bind {
            None => body,
            Some(value) => each_kind!(body, Same, body => Same(bound(value, body))),
        }
    }
}

/// Two sides of a comparison, brought to one kind.
enum Pair {
    Bool(Arg<Bool>, Arg<Bool>),
    Long(Arg<Long>, Arg<Long>),
    Double(Arg<Double>, Arg<Double>),
    /// Each with its scale.
    Dec((Arg<Dec>, u8), (Arg<Dec>, u8)),
    Text(Arg<Text>, Arg<Text>),
    Interval(Arg<Interval>, Arg<Interval>),
    Any(Arg<Any>, Arg<Any>),
}

impl Checker<'_> {
    pub(super) fn comparison(&mut self, op: BinaryOp, left: &Ast, right: &Ast, range: Range<usize>) -> Checked {
        let (left, right) = self.check_two(left, right)?;
        let nullable = left.nullable || right.nullable;
        let code = self.compare(op, left, right, &range)?;
        Some(Typed::new(Code::Bool(code), Type::Boolean, nullable, range))
    }

    /// `left op right` of two values of types that compare.
    pub(super) fn compare(
        &mut self,
        op: BinaryOp,
        left: Typed,
        right: Typed,
        range: &Range<usize>,
    ) -> Option<Arg<Bool>> {
        Some(self.pair(op, left, right, range)?.compare(op))
    }

    /// Both sides as one kind.
    fn pair(&mut self, op: BinaryOp, left: Typed, right: Typed, range: &Range<usize>) -> Option<Pair> {
        let (left, right) = self.adopt_two(left, right)?;
        let (left_ty, right_ty) = (&left.ty, &right.ty);
        if left_ty.is_numeric() && right_ty.is_numeric() {
            return Some(Pair::of_numbers(left, right));
        }
        if left_ty.is_date() && right_ty.is_date() {
            return Some(Pair::Long(left.code.into_long(), right.code.into_long()));
        }
        if (left_ty.is_instant() || left_ty.is_date()) && (right_ty.is_instant() || right_ty.is_date()) {
            return Some(Pair::Long(left.code.into_instant(left_ty), right.code.into_instant(right_ty)));
        }
        if left_ty.is_text() && right_ty.is_text() {
            return Some(Pair::Text(left.code.into_text(), right.code.into_text()));
        }
        match (left_ty, right_ty) {
            (Ty::Null, Ty::Null) => Some(Pair::Text(Arg::null(), Arg::null())),
            (Ty::Interval, Ty::Interval) => Some(Pair::Interval(left.code.into_interval(), right.code.into_interval())),
            (Ty::Of(Type::Boolean), Ty::Of(Type::Boolean)) => {
                Some(Pair::Bool(left.code.into_bool(), right.code.into_bool()))
            }
            (Ty::Of(Type::Uuid), Ty::Of(Type::Uuid))
            | (Ty::Of(Type::Bytes | Type::Fixed(_)), Ty::Of(Type::Bytes | Type::Fixed(_))) => {
                Some(Pair::Any(left.code.into_any(), right.code.into_any()))
            }
            _ => self.no_comparison(op, left_ty, right_ty, range),
        }
    }

    fn no_comparison<T>(&mut self, op: BinaryOp, left: &Ty, right: &Ty, range: &Range<usize>) -> Option<T> {
        let message = format!("`{}` cannot compare {left} with {right}", op.symbol());
        let error = ExprError::new(message, range.clone(), "these two types");
        let whole = |ty: &Ty| {
            matches!(ty, Ty::Of(Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_)))
        };
        let boolean = |ty: &Ty| *ty == Ty::Of(Type::Boolean);
        let help = if whole(left) || whole(right) {
            Some("arrays, maps, records and unions are compared element by element, or with is null")
        } else if left.is_text() || right.is_text() {
            Some("cast one of them: cast(… as text)")
        } else if boolean(left) || boolean(right) {
            Some("a condition stands for itself: x, not x")
        } else {
            None
        };
        self.fail_with(ExprError { help: help.map(str::to_owned), ..error })
    }

    /// String literals and nulls take the type of the other side.
    pub(super) fn adopt_two(&mut self, left: Typed, right: Typed) -> Option<(Typed, Typed)> {
        let (left_ty, right_ty) = (left.ty.clone(), right.ty.clone());
        let left = if right.literal.is_some() { Some(left) } else { self.adopt(left, &right_ty) };
        let right = match &left {
            Some(left) if left.literal.is_some() => Some(right),
            _ => self.adopt(right, &left_ty),
        };
        left.zip(right)
    }

    /// A string literal or a null as a value of this type; anything else as it is.
    pub(super) fn adopt(&mut self, typed: Typed, to: &Ty) -> Checked {
        if typed.ty == Ty::Null {
            return Some(match to {
                Ty::Of(ty) => Typed { code: Code::null(ty), ty: to.clone(), ..typed },
                Ty::Interval => Typed { code: Code::Interval(Arg::null()), ty: Ty::Interval, ..typed },
                Ty::Null => typed,
            });
        }
        let Some(text) = typed.literal.clone() else { return Some(typed) };
        match to {
            Ty::Null | Ty::Of(Type::String) => Some(typed),
            Ty::Interval => self.interval(&text, typed.range),
            Ty::Of(Type::Enum(symbols)) => {
                if symbols.symbols.contains(&text) {
                    return Some(typed);
                }
                let message = format!("enum {} has no symbol '{}'", symbols.name, error::shortened(&text));
                let help = suggestion(&text, symbols.symbols.iter().map(String::as_str));
                self.fail_with(ExprError { help, ..ExprError::new(message, typed.range, "not a symbol") })
            }
            // A number keeps the digits it is written with.
            Ty::Of(Type::Decimal { .. }) => match decimal::parse(cast::trimmed(&text)) {
                Some(decimal) => {
                    let ty = Type::Decimal { precision: decimal::MAX_DIGITS, scale: decimal.scale };
                    Some(Typed::new(Code::Dec(Arg::Constant(Some(decimal.unscaled))), ty, false, typed.range))
                }
                None => self.not_a(&text, to, typed.range),
            },
            Ty::Of(ty) => match cast::text_literal(&text, ty) {
                Some(Ok(code)) => Some(Typed::new(code, ty.clone(), false, typed.range)),
                Some(Err(_)) => self.not_a(&text, to, typed.range),
                None => Some(typed),
            },
        }
    }

    fn not_a(&mut self, text: &str, ty: &Ty, range: Range<usize>) -> Checked {
        self.fail(
            range,
            format!("'{}' is no {ty}, which the other side is", error::shortened(text)),
            format!("not a {ty}"),
        )
    }

    pub(super) fn distinct(&mut self, left: &Ast, right: &Ast, negated: bool, range: Range<usize>) -> Checked {
        let (left, right) = self.check_two(left, right)?;
        let pair = self.pair(BinaryOp::Equal, left, right, &range)?;
        Some(Typed::new(Code::Bool(pair.distinct(!negated)), Type::Boolean, false, range))
    }

    pub(super) fn is_in(&mut self, arg: &Ast, list: &[Ast], negated: bool, range: Range<usize>) -> Checked {
        let (arg, list) = (self.check(arg), self.check_all(list));
        let (arg, list) = arg.zip(list)?;
        let mut nullable = arg.nullable;
        let Some(subject) = Subject::new(arg) else {
            return self.fail(range, "`in` does not compare intervals", "not for this type");
        };
        if let Some(code) = self.in_constants(&subject.typed, &list, negated)? {
            return Some(Typed::new(subject.around(Code::Bool(code)), Type::Boolean, nullable, range));
        }
        let mut equals = Vec::with_capacity(list.len());
        let mut complete = true;
        for item in list {
            nullable |= item.nullable;
            let at = item.range.clone();
            match self.compare(BinaryOp::Equal, subject.typed.clone(), item, &at) {
                Some(equal) => equals.push(equal),
                None => complete = false,
            }
        }
        if !complete {
            return None;
        }
        let any = either(equals, false);
        let code = if negated { not(any) } else { any };
        Some(Typed::new(subject.around(Code::Bool(code)), Type::Boolean, nullable, range))
    }

    /// A list of constants of the argument's own kind is searched, not walked. `Some(None)`: it is no such list.
    fn in_constants(&mut self, arg: &Typed, list: &[Typed], negated: bool) -> Option<Option<Arg<Bool>>> {
        let adopted: Vec<Checked> = list.iter().map(|item| self.adopt(item.clone(), &arg.ty)).collect();
        let adopted: Vec<Typed> = adopted.into_iter().collect::<Option<_>>()?;
        fn search<K: Kind>(
            arg: Arg<K>,
            found: impl for<'a> Fn(K::Of<'a>) -> bool + Send + Sync + 'static,
        ) -> Arg<Bool> {
            Arg::computed(move |ctx| Ok(arg.get(ctx)?.map(&found)))
        }
        match &arg.code {
            Code::Text(text) if arg.ty.is_text() => {
                let all: Option<Vec<Box<str>>> = adopted.iter().map(|item| constant_text(&item.code)).collect();
                Some(all.map(|mut all| {
                    all.sort_unstable();
                    search::<Text>(text.clone(), move |text| {
                        all.binary_search_by(|one| (**one).cmp(text)).is_ok() != negated
                    })
                }))
            }
            Code::Long(n) => {
                let same =
                    adopted.iter().all(|item| item.ty == arg.ty || (item.ty.is_integer() && arg.ty.is_integer()));
                let all: Option<Vec<i64>> = adopted.iter().map(|item| constant_long(&item.code)).collect();
                Some(all.filter(|_| same).map(|mut all| {
                    all.sort_unstable();
                    search::<Long>(n.clone(), move |n| all.binary_search(&n).is_ok() != negated)
                }))
            }
            _ => Some(None),
        }
    }

    pub(super) fn between(&mut self, arg: &Ast, bounds: [&Ast; 2], negated: bool, range: Range<usize>) -> Checked {
        let (arg, bounds) = (self.check(arg), self.check_two(bounds[0], bounds[1]));
        let (arg, (low, high)) = arg.zip(bounds)?;
        let nullable = arg.nullable || low.nullable || high.nullable;
        let Some(subject) = Subject::new(arg) else {
            return self.fail(range, "`between` does not compare intervals", "not for this type");
        };
        let (low_at, high_at) = (low.range.clone(), high.range.clone());
        let low = self.compare(BinaryOp::GreaterOrEqual, subject.typed.clone(), low, &low_at);
        let high = self.compare(BinaryOp::LessOrEqual, subject.typed.clone(), high, &high_at);
        let (low, high) = low.zip(high)?;
        let within = either(vec![low, high], true);
        let code = if negated { not(within) } else { within };
        Some(Typed::new(subject.around(Code::Bool(code)), Type::Boolean, nullable, range))
    }

    pub(super) fn logic(&mut self, all: &[Ast], and: bool, range: Range<usize>) -> Checked {
        let checked: Vec<Checked> = all.iter().map(|ast| self.truth(ast, if and { "and" } else { "or" })).collect();
        let all: Vec<Typed> = checked.into_iter().collect::<Option<_>>()?;
        let nullable = all.iter().any(|one| one.nullable);
        let code = either(all.into_iter().map(|one| one.code.into_bool()).collect(), and);
        Some(Typed::new(Code::Bool(code), Type::Boolean, nullable, range))
    }

    /// A node that must be a boolean, for the word that asks for it.
    pub(super) fn truth(&mut self, ast: &Ast, word: &str) -> Checked {
        let typed = self.check(ast)?;
        let typed = self.adopt(typed, &Ty::Of(Type::Boolean))?;
        if typed.ty == Ty::Of(Type::Boolean) {
            return Some(typed);
        }
        let message = format!("`{word}` takes booleans, and this is {}", typed.ty);
        self.fail_with(
            ExprError::new(message, typed.range, "not a boolean").help("compare it: x = …, or x is not null"),
        )
    }

    pub(super) fn not(&mut self, arg: &Ast, range: Range<usize>) -> Checked {
        let arg = self.truth(arg, "not")?;
        Some(Typed::new(Code::Bool(not(arg.code.into_bool())), Type::Boolean, arg.nullable, range))
    }

    pub(super) fn is(&mut self, arg: &Ast, test: IsTest, negated: bool, range: Range<usize>) -> Checked {
        if test == IsTest::Null {
            let arg = self.check(arg)?;
            let null = arg.code.null_test();
            let code = if negated { not(null) } else { null };
            return Some(Typed::new(Code::Bool(code), Type::Boolean, false, range));
        }
        let arg = self.truth(arg, "is")?.code.into_bool();
        let wanted = match test {
            IsTest::True => Some(true),
            IsTest::False => Some(false),
            IsTest::Unknown | IsTest::Null => None,
        };
        let code = Arg::computed(move |ctx| Ok(Some((arg.get(ctx)? == wanted) != negated)));
        Some(Typed::new(Code::Bool(code), Type::Boolean, false, range))
    }
}

fn constant_text(code: &Code) -> Option<Box<str>> {
    match code {
        Code::Text(arg) => arg.as_constant().cloned(),
        _ => None,
    }
}

fn constant_long(code: &Code) -> Option<i64> {
    match code {
        Code::Long(arg) => arg.as_constant().copied(),
        _ => None,
    }
}

pub(super) fn not(arg: Arg<Bool>) -> Arg<Bool> {
    Arg::computed(move |ctx| Ok(arg.get(ctx)?.map(|b| !b)))
}

/// And, or: left to right, until one decides. What decides goes before what is null; what comes after is not computed.
fn either(all: Vec<Arg<Bool>>, and: bool) -> Arg<Bool> {
    /// Of two, what decides and where each comes from is settled here, once.
    fn two<const DECIDES: bool>(
        left: impl for<'r, 'a> Fn(&Ctx<'r, 'a>) -> Eval<bool> + Send + Sync + 'static,
        right: impl for<'r, 'a> Fn(&Ctx<'r, 'a>) -> Eval<bool> + Send + Sync + 'static,
    ) -> Arg<Bool> {
        Arg::computed(move |ctx| {
            let left = left(ctx)?;
            if left == Some(DECIDES) {
                return Ok(left);
            }
            let right = right(ctx)?;
            Ok(if right == Some(DECIDES) { right } else { left.and(right) })
        })
    }
    match <[Arg<Bool>; 2]>::try_from(all) {
        Ok([Arg::Computed(left), Arg::Computed(right)]) if and => {
            two::<false>(move |ctx| call::<Bool>(&left, ctx), move |ctx| call::<Bool>(&right, ctx))
        }
        Ok([left, right]) if and => two::<false>(move |ctx| left.get(ctx), move |ctx| right.get(ctx)),
        Ok([Arg::Computed(left), Arg::Computed(right)]) => {
            two::<true>(move |ctx| call::<Bool>(&left, ctx), move |ctx| call::<Bool>(&right, ctx))
        }
        Ok([left, right]) => two::<true>(move |ctx| left.get(ctx), move |ctx| right.get(ctx)),
        Err(all) => Arg::computed(move |ctx| {
            let mut result = Some(and);
            for one in &all {
                match one.get(ctx)? {
                    Some(b) if b != and => return Ok(Some(b)),
                    Some(_) => {}
                    None => result = None,
                }
            }
            Ok(result)
        }),
    }
}

/// The orders for which an operator holds: a bit each for less, equal and greater. A shift finds it, where an operator
/// would be branched on for each row.
#[derive(Clone, Copy)]
struct Holds(u8);

impl Holds {
    fn of(op: BinaryOp) -> Holds {
        Holds(match op {
            BinaryOp::Equal => 0b010,
            BinaryOp::NotEqual => 0b101,
            BinaryOp::Less => 0b001,
            BinaryOp::LessOrEqual => 0b011,
            BinaryOp::Greater => 0b100,
            _ => 0b110,
        })
    }

    #[inline(always)]
    fn at(self, order: Ordering) -> bool {
        (self.0 >> (order as i8 + 1)) & 1 == 1
    }
}

/// One closure, with the order inlined.
fn ordered<K: Kind>(
    op: BinaryOp,
    left: Arg<K>,
    right: Arg<K>,
    order: impl for<'a> Fn(K::Of<'a>, K::Of<'a>) -> Ordering + Send + Sync + 'static,
) -> Arg<Bool> {
    let holds = Holds::of(op);
    map2(left, right, move |a, b, _| Ok(holds.at(order(a, b))))
}

impl Pair {
    /// Postgres's rule: exact numbers are compared exactly; beside a float both are doubles.
    fn of_numbers(left: Typed, right: Typed) -> Pair {
        if left.ty.is_float() || right.ty.is_float() {
            return Pair::Double(left.code.into_double(&left.ty), right.code.into_double(&right.ty));
        }
        if left.ty.is_integer() && right.ty.is_integer() {
            return Pair::Long(left.code.into_long(), right.code.into_long());
        }
        let (mut left_scale, mut right_scale) = (left.ty.scale(), right.ty.scale());
        let (mut left, mut right) = (left.code.into_decimal(), right.code.into_decimal());
        let lift = |arg: &mut Arg<Dec>, scale: &mut u8, to: u8| {
            if let Arg::Constant(Some(n)) = arg
                && let Some(lifted) = decimal::rescale_exact(*n, *scale, to)
            {
                (*n, *scale) = (lifted, to);
            }
        };
        lift(&mut left, &mut left_scale, right_scale);
        lift(&mut right, &mut right_scale, left_scale);
        Pair::Dec((left, left_scale), (right, right_scale))
    }

    fn compare(self, op: BinaryOp) -> Arg<Bool> {
        match self {
            Pair::Bool(left, right) => ordered(op, left, right, |a: bool, b| a.cmp(&b)),
            Pair::Long(left, right) => ordered(op, left, right, |a: i64, b| a.cmp(&b)),
            Pair::Double(left, right) => ordered(op, left, right, float_order),
            Pair::Dec((left, ls), (right, rs)) if ls == rs => ordered(op, left, right, |a: i128, b| a.cmp(&b)),
            Pair::Dec((left, ls), (right, rs)) => {
                ordered(op, left, right, move |a, b| decimal::compare((a, ls), (b, rs)))
            }
            Pair::Text(left, right) => compare_text(op, left, right),
            Pair::Interval(left, right) => ordered(op, left, right, |a: Span, b| a.length().cmp(&b.length())),
            Pair::Any(left, right) => ordered(op, left, right, |a, b| value_order(&a, &b)),
        }
    }

    /// Whether they are distinct, or with `wanted` false whether they are not: never null.
    fn distinct(self, wanted: bool) -> Arg<Bool> {
        fn code<K: Kind>(
            left: Arg<K>,
            right: Arg<K>,
            wanted: bool,
            equal: impl for<'a> Fn(K::Of<'a>, K::Of<'a>) -> bool + Send + Sync + 'static,
        ) -> Arg<Bool> {
            Arg::computed(move |ctx| {
                let distinct = match (left.get(ctx)?, right.get(ctx)?) {
                    (Some(a), Some(b)) => !equal(a, b),
                    (None, None) => false,
                    _ => true,
                };
                Ok(Some(distinct == wanted))
            })
        }
        match self {
            Pair::Bool(left, right) => code(left, right, wanted, |a: bool, b| a == b),
            Pair::Long(left, right) => code(left, right, wanted, |a: i64, b| a == b),
            Pair::Double(left, right) => code(left, right, wanted, |a, b| float_order(a, b).is_eq()),
            Pair::Dec((left, ls), (right, rs)) => {
                code(left, right, wanted, move |a, b| decimal::compare((a, ls), (b, rs)).is_eq())
            }
            Pair::Text(left, right) => code(left, right, wanted, |a: &str, b| a == b),
            Pair::Interval(left, right) => code(left, right, wanted, |a: Span, b| a.length() == b.length()),
            Pair::Any(left, right) => code(left, right, wanted, |a, b| value_order(&a, &b).is_eq()),
        }
    }
}

fn compare_text(op: BinaryOp, left: Arg<Text>, right: Arg<Text>) -> Arg<Bool> {
    if let (Some(constant), false) = (right.as_constant().cloned(), left.is_constant()) {
        return with_constant(op, left, constant);
    }
    if let (Some(constant), false) = (left.as_constant().cloned(), right.is_constant()) {
        let turned = match op {
            BinaryOp::Less => BinaryOp::Greater,
            BinaryOp::LessOrEqual => BinaryOp::GreaterOrEqual,
            BinaryOp::Greater => BinaryOp::Less,
            BinaryOp::GreaterOrEqual => BinaryOp::LessOrEqual,
            same => same,
        };
        return with_constant(turned, right, constant);
    }
    match op {
        BinaryOp::Equal => map2(left, right, |a, b, _| Ok(a == b)),
        BinaryOp::NotEqual => map2(left, right, |a, b, _| Ok(a != b)),
        _ => ordered(op, left, right, |a: &str, b| a.as_bytes().cmp(b.as_bytes())),
    }
}

/// The constant stays where it is, instead of being copied for each row.
fn with_constant(op: BinaryOp, text: Arg<Text>, constant: Box<str>) -> Arg<Bool> {
    match (op, text) {
        (BinaryOp::Equal, Arg::Slot { index, .. }) => Arg::computed(move |ctx| match ctx.slots.get(index) {
            Some(ValueRef::String(text)) => Ok(Some(**text == *constant)),
            _ => Ok(Arg::<Text>::Slot { index, scale: 0 }.get(ctx)?.map(|text| *text == *constant)),
        }),
        (BinaryOp::Equal, text) => Arg::computed(move |ctx| Ok(text.get(ctx)?.map(|text| *text == *constant))),
        (op, text) => {
            let holds = Holds::of(op);
            Arg::computed(move |ctx| Ok(text.get(ctx)?.map(|text| holds.at(text.as_bytes().cmp(constant.as_bytes())))))
        }
    }
}
