//! Expressions: what they say, what they are worth, and how they are written.

mod cast;
mod text;

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::calendar::{DAY, part, truncated};
use crate::value::{Type, Value, decimal_text, divided, fits, power};
use cast::double;

pub use text::TextFunction;

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A field or a column: the name under which it stands in [`Names`].
    Name(String),
    /// A record's field.
    Field(Box<Expr>, &'static str),
    /// An array's element, from 1.
    Item(Box<Expr>, usize),
    /// What a map has under this key.
    Entry(Box<Expr>, &'static str),
    /// How many elements an array has.
    Cardinality(Box<Expr>),
    Literal(Value),
    Negate(Box<Expr>, Type),
    /// Of the operands' result type, which is what bounds it.
    Arithmetic(Operator, Box<Expr>, Box<Expr>, Type),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    IsDistinct(Box<Expr>, Box<Expr>),
    Coalesce(Box<Expr>, Box<Expr>),
    /// The first where it is not the second.
    NullIf(Box<Expr>, Box<Expr>),
    /// Where the condition holds, and else.
    Case(Box<Expr>, Box<Expr>, Box<Expr>),
    /// Where the first is the second, the third, and else.
    Switch(Box<Expr>, Box<Expr>, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    Like(Box<Expr>, &'static str),
    /// `a || b`
    Concat(Box<Expr>, Box<Expr>),
    /// `concat(a, b)`, which passes nulls over.
    Joined(Box<Expr>, Box<Expr>),
    Text(TextFunction, Box<Expr>),
    Cast(Box<Expr>, Type),
    /// To the start of a unit, by the clocks of a zone.
    Truncate(&'static str, &'static str, Box<Expr>),
    /// A part of a time, of so many digits after the point.
    Extract(&'static str, u32, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Why an event cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    DivisionByZero,
    OutOfRange,
    /// A sum was read that does not fit its type.
    Unreadable,
    /// A null or a NaN.
    NullInKey,
    BadCast,
}

/// What names stand for.
pub type Names = Vec<(String, Value)>;

pub type Evaluated = Result<Value, Mistake>;

impl Expr {
    pub fn name(name: impl Into<String>) -> Self {
        Expr::Name(name.into())
    }

    pub fn evaluate(&self, names: &Names) -> Evaluated {
        let of = |expr: &Expr| expr.evaluate(names);
        match self {
            Expr::Name(name) => named(name, names),
            Expr::Field(..) | Expr::Item(..) | Expr::Entry(..) | Expr::Cardinality(_) => self.of_parts(names),
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Negate(of, ty) => negated(of.evaluate(names)?, ty),
            Expr::Arithmetic(operator, left, right, ty) => arithmetic(*operator, &of(left)?, &of(right)?, ty),
            Expr::Compare(comparison, left, right) => Ok(comparison.of(&of(left)?, &of(right)?)),
            // What decides is not asked twice: behind a false, nothing else of an `and` is looked at.
            Expr::And(left, right) => match of(left)? {
                Value::Boolean(false) => Ok(Value::Boolean(false)),
                left => Ok(both(left, of(right)?)),
            },
            Expr::Or(left, right) => match of(left)? {
                Value::Boolean(true) => Ok(Value::Boolean(true)),
                left => Ok(not(both(not(left), not(of(right)?)))),
            },
            Expr::Not(condition) => Ok(not(of(condition)?)),
            Expr::IsNull(of) => Ok(Value::Boolean(of.evaluate(names)?.is_null())),
            Expr::IsDistinct(left, right) => Ok(Value::Boolean(!same(&of(left)?, &of(right)?))),
            Expr::Coalesce(first, second) => match of(first)? {
                Value::Null => of(second),
                found => Ok(found),
            },
            Expr::NullIf(first, second) => {
                let (first, second) = (of(first)?, of(second)?);
                Ok(if !first.is_null() && same(&first, &second) { Value::Null } else { first })
            }
            Expr::Case(condition, then, otherwise) => match of(condition)? {
                Value::Boolean(true) => of(then),
                _ => of(otherwise),
            },
            Expr::Switch(subject, when, then, otherwise) => match Comparison::Equal.of(&of(subject)?, &of(when)?) {
                Value::Boolean(true) => of(then),
                _ => of(otherwise),
            },
            // One or the other: a true decides, else a null leaves it open.
            Expr::In(subject, list) => {
                let subject = of(subject)?;
                let found = list.iter().map(|item| Ok(not(Comparison::Equal.of(&subject, &of(item)?))));
                let found = found.collect::<Result<Vec<Value>, Mistake>>()?;
                Ok(not(found.into_iter().fold(Value::Boolean(true), both)))
            }
            Expr::Between(subject, least, most) => {
                let (subject, least, most) = (of(subject)?, of(least)?, of(most)?);
                Ok(both(Comparison::AtLeast.of(&subject, &least), Comparison::AtMost.of(&subject, &most)))
            }
            Expr::Like(..) | Expr::Concat(..) | Expr::Joined(..) | Expr::Text(..) => self.of_text(names),
            Expr::Cast(value, to) => cast::cast(&of(value)?, to),
            Expr::Truncate(unit, zone, time) => Ok(match of(time)? {
                Value::Time(at) => Value::Time(truncated(unit, zone, at)),
                other => other,
            }),
            Expr::Extract(which, scale, time) => Ok(match of(time)? {
                Value::Time(at) => Value::Decimal(BigInt::from(part(which, at)) * power(*scale), *scale),
                Value::Date(day) => Value::Decimal(BigInt::from(part(which, day * DAY)) * power(*scale), *scale),
                other => other,
            }),
        }
    }

    /// A part of what has parts; what is not there is null.
    fn of_parts(&self, names: &Names) -> Evaluated {
        let of = |expr: &Expr| expr.evaluate(names);
        match self {
            Expr::Field(record, name) | Expr::Entry(record, name) => Ok(match of(record)? {
                Value::Record(fields) => {
                    let found = fields.into_iter().find(|(own, _)| own == name);
                    found.map_or(Value::Null, |(_, value)| value)
                }
                _ => Value::Null,
            }),
            Expr::Item(list, place) => Ok(match of(list)? {
                Value::List(items) => items.get(*place - 1).cloned().unwrap_or(Value::Null),
                _ => Value::Null,
            }),
            Expr::Cardinality(list) => Ok(match of(list)? {
                Value::List(items) => Value::Whole(items.len() as i64),
                _ => Value::Null,
            }),
            _ => unreachable!("{self:?} is no part"),
        }
    }

    /// What is made of texts.
    fn of_text(&self, names: &Names) -> Evaluated {
        let of = |expr: &Expr| expr.evaluate(names);
        match self {
            Expr::Like(text, pattern) => Ok(match of(text)? {
                Value::Text(text) => {
                    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
                    Value::Boolean(text::is_like(&text, &pattern))
                }
                other => other,
            }),
            Expr::Concat(left, right) => Ok(match (of(left)?, of(right)?) {
                (Value::Text(left), Value::Text(right)) => Value::Text(left + &right),
                _ => Value::Null,
            }),
            Expr::Joined(left, right) => {
                let (left, right) = (of(left)?, of(right)?);
                let text = |value: Value| if let Value::Text(text) = value { text } else { String::new() };
                Ok(Value::Text(text(left) + &text(right)))
            }
            Expr::Text(function, text) => match of(text)? {
                Value::Text(text) => function.of(&text),
                other => Ok(other),
            },
            _ => unreachable!("{self:?} is not made of texts"),
        }
    }

    /// The names that it reads.
    pub fn reads(&self) -> Vec<String> {
        let found = std::cell::RefCell::new(Vec::new());
        self.written(&|name| {
            found.borrow_mut().push(name.to_owned());
            String::new()
        });
        found.into_inner()
    }

    /// Whether the condition holds: neither false nor null.
    pub fn holds(&self, names: &Names) -> Result<bool, Mistake> {
        Ok(self.evaluate(names)? == Value::Boolean(true))
    }

    /// The expression as it is declared; `name` gives how a name is written here.
    pub fn written(&self, name: &dyn Fn(&str) -> String) -> String {
        let of = |expr: &Expr| expr.written(name);
        match self {
            Expr::Name(own) => name(own),
            Expr::Field(record, field) => format!("{}.{field}", of(record)),
            Expr::Item(list, place) => format!("{}[{place}]", of(list)),
            Expr::Entry(map, key) => format!("{}['{key}']", of(map)),
            Expr::Cardinality(list) => format!("cardinality({})", of(list)),
            Expr::Literal(value) => literal(value),
            Expr::Negate(of, _) => format!("(-{})", of.written(name)),
            Expr::Arithmetic(operator, left, right, _) => format!("({} {} {})", of(left), operator.symbol(), of(right)),
            Expr::Compare(comparison, left, right) => format!("({} {} {})", of(left), comparison.symbol(), of(right)),
            Expr::And(left, right) => format!("({} and {})", of(left), of(right)),
            Expr::Or(left, right) => format!("({} or {})", of(left), of(right)),
            Expr::Not(condition) => format!("(not {})", of(condition)),
            Expr::IsNull(of) => format!("({} is null)", of.written(name)),
            Expr::IsDistinct(left, right) => format!("({} is distinct from {})", of(left), of(right)),
            Expr::Coalesce(first, second) => format!("coalesce({}, {})", of(first), of(second)),
            Expr::NullIf(first, second) => format!("nullif({}, {})", of(first), of(second)),
            Expr::Case(condition, then, otherwise) => {
                format!("case when {} then {} else {} end", of(condition), of(then), of(otherwise))
            }
            Expr::Switch(subject, when, then, otherwise) => {
                let (subject, when) = (of(subject), of(when));
                format!("case {subject} when {when} then {} else {} end", of(then), of(otherwise))
            }
            Expr::In(subject, list) => {
                let list: Vec<String> = list.iter().map(of).collect();
                format!("({} in ({}))", of(subject), list.join(", "))
            }
            Expr::Between(subject, least, most) => {
                format!("({} between {} and {})", of(subject), of(least), of(most))
            }
            Expr::Like(text, pattern) => format!("({} like '{pattern}')", of(text)),
            Expr::Concat(left, right) => format!("({} || {})", of(left), of(right)),
            Expr::Joined(left, right) => format!("concat({}, {})", of(left), of(right)),
            Expr::Text(function, text) => function.written(&of(text)),
            Expr::Cast(value, to) => format!("cast({} as {})", of(value), type_name(to)),
            Expr::Truncate(unit, "UTC", time) => format!("date_trunc('{unit}', {})", of(time)),
            Expr::Truncate(unit, zone, time) => format!("date_trunc('{unit}', {}, '{zone}')", of(time)),
            Expr::Extract(part, _, time) => format!("extract({part} from {})", of(time)),
        }
    }
}

impl Operator {
    fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }

    /// The type of the result; None where it would have too many digits after the point.
    pub fn result(self, left: &Type, right: &Type) -> Option<Type> {
        let scale = |ty: &Type| if let Type::Decimal(scale) = ty { *scale } else { 0 };
        let (a, b) = (scale(left), scale(right));
        let decimal = |scale| (scale <= 38).then_some(Type::Decimal(scale));
        match (left, right, self) {
            (Type::Double, _, Operator::Remainder) | (_, Type::Double, Operator::Remainder) => None,
            (Type::Double, ..) | (_, Type::Double, _) => Some(Type::Double),
            (Type::Int, Type::Int, _) => Some(Type::Int),
            (Type::Int | Type::Long, Type::Int | Type::Long, _) => Some(Type::Long),
            (_, _, Operator::Multiply) => decimal(a + b),
            (_, _, Operator::Divide) => decimal(a.max(6)),
            _ => decimal(a.max(b)),
        }
    }
}

impl Comparison {
    pub const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::Unequal,
        Comparison::Less,
        Comparison::AtMost,
        Comparison::More,
        Comparison::AtLeast,
    ];

    fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::Unequal => "<>",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::More => ">",
            Comparison::AtLeast => ">=",
        }
    }

    /// Of two values; a null is not known.
    fn of(self, left: &Value, right: &Value) -> Value {
        if left.is_null() || right.is_null() {
            return Value::Null;
        }
        Value::Boolean(self.holds(left.compare(right)))
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::AtMost => order.is_le(),
            Comparison::More => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
        }
    }
}

fn named(name: &str, names: &Names) -> Evaluated {
    match names.iter().find(|(own, _)| own == name) {
        Some((_, Value::Unreadable)) => Err(Mistake::Unreadable),
        Some((_, value)) => Ok(value.clone()),
        None => unreachable!("`{name}` is none of {names:?}"),
    }
}

/// Null and null are the same.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, other) | (other, Value::Null) => other.is_null(),
        (left, right) => left.compare(right).is_eq(),
    }
}

fn not(value: Value) -> Value {
    match value {
        Value::Boolean(value) => Value::Boolean(!value),
        other => other,
    }
}

/// A false decides; else a null leaves it open.
fn both(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Boolean(false), _) | (_, Value::Boolean(false)) => Value::Boolean(false),
        (Value::Boolean(true), Value::Boolean(true)) => Value::Boolean(true),
        _ => Value::Null,
    }
}

/// The least whole number has no positive one beside it.
fn negated(value: Value, ty: &Type) -> Evaluated {
    if let Value::Double(x) = value {
        return Ok(Value::Double(-x));
    }
    arithmetic(Operator::Subtract, &Value::Whole(0), &value, ty)
}

/// Exact, in numbers without end; then it fits or not.
fn arithmetic(operator: Operator, left: &Value, right: &Value, ty: &Type) -> Evaluated {
    if *ty == Type::Double && !left.is_null() && !right.is_null() {
        return of_doubles(operator, double(left), double(right));
    }
    let (Some((a, a_scale)), Some((b, b_scale))) = (left.exact(), right.exact()) else { return Ok(Value::Null) };
    let scale = if let Type::Decimal(scale) = ty { *scale } else { 0 };
    let common = a_scale.max(b_scale);
    let (a_wide, b_wide) = (&a * power(common - a_scale), &b * power(common - b_scale));
    let zero = BigInt::from(0);
    let digits = match operator {
        Operator::Add => a_wide + b_wide,
        Operator::Subtract => a_wide - b_wide,
        Operator::Multiply => a * b,
        Operator::Divide | Operator::Remainder if b == zero => return Err(Mistake::DivisionByZero),
        // BigInt's division and remainder go towards zero, as Postgres's do.
        Operator::Divide if matches!(ty, Type::Decimal(_)) => divided(&(a_wide * power(scale)), &b_wide),
        Operator::Divide => a_wide / b_wide,
        Operator::Remainder => a_wide % b_wide,
    };
    let whole = |least: i64, greatest: i64| match i64::try_from(&digits) {
        Ok(n) if (least..=greatest).contains(&n) => Ok(Value::Whole(n)),
        _ => Err(Mistake::OutOfRange),
    };
    match ty {
        Type::Int => whole(i32::MIN.into(), i32::MAX.into()),
        Type::Long => whole(i64::MIN, i64::MAX),
        _ if fits(&digits) => Ok(Value::Decimal(digits, scale)),
        _ => Err(Mistake::OutOfRange),
    }
}

/// Nothing goes past the limits of doubles unsaid, above or near zero.
fn of_doubles(operator: Operator, a: f64, b: f64) -> Evaluated {
    let divides = operator == Operator::Divide;
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide if b == 0.0 && !a.is_nan() => return Err(Mistake::DivisionByZero),
        Operator::Divide => a / b,
        Operator::Remainder => unreachable!("doubles have no remainder here"),
    };
    let overflows = result.is_infinite() && a.is_finite() && (b.is_finite() || divides);
    let is_zero = match operator {
        Operator::Multiply => a == 0.0 || b == 0.0,
        Operator::Divide => a == 0.0 || b.is_infinite(),
        _ => true,
    };
    if overflows || (result == 0.0 && !is_zero) { Err(Mistake::OutOfRange) } else { Ok(Value::Double(result)) }
}

fn type_name(ty: &Type) -> String {
    match ty {
        Type::Boolean => "boolean".to_owned(),
        Type::Int => "int".to_owned(),
        Type::Long => "bigint".to_owned(),
        Type::Decimal(scale) => format!("numeric(38, {scale})"),
        Type::Double => "double precision".to_owned(),
        Type::Text => "text".to_owned(),
        Type::Time => "timestamptz".to_owned(),
        Type::Date => "date".to_owned(),
        other => unreachable!("nothing is cast to {other:?}"),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Whole(n) => n.to_string(),
        Value::Decimal(digits, scale) => decimal_text(digits, *scale),
        Value::Double(x) if x.is_finite() => format!("cast({x:?} as double precision)"),
        Value::Double(x) => format!("cast('{}' as double precision)", if x.is_nan() { "NaN" } else { "Infinity" }),
        Value::Date(_) => format!("date '{}'", value.to_json().as_str().unwrap_or_default()),
        Value::Time(_) => {
            let text = value.to_json().as_str().unwrap_or_default().replace('T', " ").replace('Z', "");
            format!("timestamp '{text}'")
        }
        other => unreachable!("{other:?} is no literal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(n: i64) -> Box<Expr> {
        Box::new(Expr::Literal(Value::Whole(n)))
    }

    #[test]
    fn what_does_not_fit_is_a_mistake() {
        let of = |operator, a, b| Expr::Arithmetic(operator, whole(a), whole(b), Type::Int).evaluate(&Names::new());
        assert_eq!(of(Operator::Divide, -7, 2), Ok(Value::Whole(-3)));
        assert_eq!(of(Operator::Remainder, -7, 2), Ok(Value::Whole(-1)));
        assert_eq!(of(Operator::Divide, 7, 0), Err(Mistake::DivisionByZero));
        assert_eq!(of(Operator::Divide, i32::MIN.into(), -1), Err(Mistake::OutOfRange));
        assert_eq!(of(Operator::Remainder, i32::MIN.into(), -1), Ok(Value::Whole(0)));
        assert_eq!(of(Operator::Add, i32::MAX.into(), 1), Err(Mistake::OutOfRange));
    }

    #[test]
    fn a_null_is_not_known() {
        let (null, yes, no) = (Value::Null, Value::Boolean(true), Value::Boolean(false));
        let of = |left: &Value, right: &Value| {
            let operands = || (Box::new(Expr::Literal(left.clone())), Box::new(Expr::Literal(right.clone())));
            let ((a, b), (c, d)) = (operands(), operands());
            [Expr::And(a, b), Expr::Or(c, d)].map(|expr| expr.evaluate(&Names::new()).unwrap())
        };
        assert_eq!(of(&null, &no), [no.clone(), null.clone()]);
        assert_eq!(of(&yes, &null), [null.clone(), yes.clone()]);
        assert_eq!(of(&null, &null), [null.clone(), null]);
    }
}
