//! [`Ast`] to [`Typed`]: names are looked up, types settled, constants folded, and every mistake of the expression gathered.

mod arithmetic;
mod arrays;
mod cast;
mod choose;
mod compare;
mod functions;
mod numeric;
mod texts;
mod times;

use std::ops::Range;

use bumpalo::Bump;
use headwater_schemas::{FieldType, RecordType, Type, ValueRef};

pub(crate) use functions::{functions, is_function};

use super::ast::{Name, Step};
use super::code::{Code, Ty, Typed};
use super::kind::{Any, Arg};
use super::{Ast, Call, ExprError, Node, Scope, decimal, time};
use crate::source::{self, nearest, suggestion};
use crate::unknown::{field_of, is_unknown};

/// What a part of the compilation gives; `None` where an error was reported.
type Checked = Option<Typed>;

/// Types one expression.
pub(crate) struct Checker<'s> {
    scope: &'s dyn Scope,
    /// How often a slot is read so far: what reads none is constant.
    reads: usize,
    slots: Vec<usize>,
    /// Where something of no known type was read: an error around it may be that mistake's doing.
    unknown: Vec<Range<usize>>,
    errors: Vec<ExprError>,
}

/// The typed expression and the slots that it reads, in ascending order. Where it depends on something mistaken its type
/// may be unknown.
pub(crate) fn check(ast: &Ast, scope: &dyn Scope) -> Result<(Typed, Vec<usize>), Vec<ExprError>> {
    let mut checker = Checker { scope, reads: 0, slots: Vec::new(), unknown: Vec::new(), errors: Vec::new() };
    let typed = checker.check(ast);
    if !checker.errors.is_empty() {
        return Err(checker.errors);
    }
    checker.slots.sort_unstable();
    checker.slots.dedup();
    match typed {
        Some(typed) if checker.unknown.is_empty() || (says_its_type(ast) && typed.ty != Ty::Null) => {
            Ok((typed, checker.slots))
        }
        _ => {
            let code = Code::Any(Arg::null());
            Ok((Typed::new(code, crate::unknown::ty().ty, true, ast.range()), checker.slots))
        }
    }
}

/// Whether the type of an expression is the same whatever it is made of.
fn says_its_type(ast: &Ast) -> bool {
    match &ast.node {
        Node::Cast { .. } | Node::And(_) | Node::Or(_) | Node::Not(_) | Node::Is { .. } | Node::Distinct { .. } => true,
        Node::In { .. } | Node::Any { .. } | Node::Between { .. } | Node::Like { .. } => true,
        Node::Binary { op, .. } => op.is_comparison(),
        _ => false,
    }
}

impl Checker<'_> {
    fn check(&mut self, ast: &Ast) -> Checked {
        let reads = self.reads;
        let typed = self.node(ast)?;
        if self.reads != reads || typed.code.is_constant() {
            return Some(typed);
        }
        match typed.code.clone().folded() {
            Ok(code) => Some(Typed { code, ..typed }),
            Err(fault) => self.fail(ast.range(), fault.to_string(), "this has no value"),
        }
    }

    /// All of them, or `None` once all have been looked at.
    fn check_all<'t>(&mut self, asts: impl IntoIterator<Item = &'t Ast>) -> Option<Vec<Typed>> {
        let all: Vec<Checked> = asts.into_iter().map(|ast| self.check(ast)).collect();
        all.into_iter().collect()
    }

    fn check_two(&mut self, left: &Ast, right: &Ast) -> Option<(Typed, Typed)> {
        let (left, right) = (self.check(left), self.check(right));
        left.zip(right)
    }

    fn node(&mut self, ast: &Ast) -> Checked {
        if let Some(binding) = self.scope.node(ast) {
            return Some(self.slot(binding.slot, &binding.ty, ast.range()));
        }
        let range = ast.range();
        match &ast.node {
            Node::Null => Some(Typed::null(range)),
            Node::Boolean(b) => Some(Typed::new(Code::Bool(Arg::Constant(Some(*b))), Type::Boolean, false, range)),
            Node::Number(text) => self.number(text, range),
            Node::String(text) => {
                let code = Code::Text(Arg::Constant(Some(text.as_str().into())));
                Some(Typed { literal: Some(text.clone()), ..Typed::new(code, Type::String, false, range) })
            }
            Node::Date(text) => self.temporal(time::parse_date(text).map(i64::from), text, Type::Date, range),
            Node::Timestamp(text) => self.temporal(time::parse_timestamp(text), text, Type::TimestampMicros, range),
            Node::Interval(text) => self.interval(text, range),
            Node::Path(names) => self.path(names, range),
            Node::Access { root, step } => self.access(root, step, range),
            Node::Call(call) => self.call(call, range),
            Node::Negate(arg) => self.negate(arg, range),
            Node::Binary { op, left, right } if op.is_comparison() => self.comparison(*op, left, right, range),
            Node::Binary { op, left, right } => self.arithmetic(*op, left, right, range),
            Node::And(all) => self.logic(all, true, range),
            Node::Or(all) => self.logic(all, false, range),
            Node::Not(arg) => self.not(arg, range),
            Node::Is { arg, test, negated } => self.is(arg, *test, *negated, range),
            Node::Distinct { left, right, negated } => self.distinct(left, right, *negated, range),
            Node::In { arg, list, negated } => self.is_in(arg, list, *negated, range),
            Node::Any { arg, array } => self.any(arg, array, range),
            Node::Between { arg, low, high, negated } => self.between(arg, [low, high], *negated, range),
            Node::Like { arg, pattern, escape, negated } => self.like(arg, pattern, escape.as_deref(), *negated, range),
            Node::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), range)
            }
            Node::Cast { arg, to } => self.cast(arg, to, range),
            Node::Extract { part, arg } => self.extract(*part, arg, range),
        }
    }

    /// Reports a mistake.
    fn fail<T>(&mut self, range: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Option<T> {
        self.fail_with(ExprError::new(message, range, label))
    }

    fn fail_with<T>(&mut self, error: ExprError) -> Option<T> {
        let around = |unknown: &Range<usize>| error.range.start <= unknown.start && unknown.end <= error.range.end;
        if !self.unknown.iter().any(around) {
            self.errors.push(error);
        }
        None
    }

    /// What is made of something of which nothing is known.
    fn unknown(&mut self, range: Range<usize>) -> Typed {
        self.unknown.push(range.clone());
        Typed::null(range)
    }

    fn slot(&mut self, index: usize, ty: &FieldType, range: Range<usize>) -> Typed {
        self.reads += 1;
        self.slots.push(index);
        if is_unknown(&ty.ty) {
            return self.unknown(range);
        }
        Typed::new(Code::slot(index, &ty.ty), ty.ty.clone(), ty.nullable, range)
    }

    fn number(&mut self, text: &str, range: Range<usize>) -> Checked {
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(n) = text.parse::<i64>()
        {
            let ty = if i32::try_from(n).is_ok() { Type::Int } else { Type::Long };
            return Some(Typed::new(Code::Long(Arg::Constant(Some(n))), ty, false, range));
        }
        match decimal::parse(text) {
            Some(decimal) => {
                let digits = decimal.unscaled.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
                let precision = u8::try_from(digits).unwrap_or(decimal::MAX_DIGITS).max(decimal.scale).max(1);
                let ty = Type::Decimal { precision, scale: decimal.scale };
                Some(Typed::new(Code::Dec(Arg::Constant(Some(decimal.unscaled))), ty, false, range))
            }
            None => self.fail(range, "a number has at most 38 digits, as many of them after the point", "not a number"),
        }
    }

    fn temporal(&mut self, value: Option<i64>, text: &str, ty: Type, range: Range<usize>) -> Checked {
        match value {
            Some(value) => Some(Typed::new(Code::Long(Arg::Constant(Some(value))), ty, false, range)),
            None => {
                let (name, example) = match ty {
                    Type::Date => ("date", "date '2026-01-31'"),
                    _ => ("timestamp", "timestamp '2026-01-31 18:30:00'"),
                };
                let message = format!("'{}' is no {name}", super::error::shortened(text));
                self.fail_with(ExprError::new(message, range, format!("not a {name}")).help(format!("as in {example}")))
            }
        }
    }

    fn interval(&mut self, text: &str, range: Range<usize>) -> Checked {
        match time::parse_interval(text) {
            Some(span) => {
                let code = Code::Interval(Arg::Constant(Some(span)));
                Some(Typed { ty: Ty::Interval, ..Typed::new(code, Type::Long, false, range) })
            }
            None => {
                let message = format!("'{}' is no interval", super::error::shortened(text));
                let help = "as in interval '1 day' or interval '2 months 3 days 04:05:06'";
                self.fail_with(ExprError::new(message, range, "not an interval").help(help))
            }
        }
    }

    fn path(&mut self, names: &[Name], range: Range<usize>) -> Checked {
        let path: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
        if let Some(text) = self.scope.text(&path) {
            let code = Code::Text(Arg::Constant(Some(text.into())));
            return Some(Typed::new(code, Type::String, false, range));
        }
        let Some(binding) = self.scope.name(&path) else {
            return self.unknown_name(&path, range);
        };
        let used = binding.used.clamp(1, names.len());
        let mut typed = self.slot(binding.slot, &binding.ty, names[0].range.start..names[used - 1].range.end);
        for name in &names[used..] {
            typed = self.field(typed, name)?;
        }
        Some(typed)
    }

    fn unknown_name(&mut self, path: &[&str], range: Range<usize>) -> Checked {
        let name = path.join(".");
        let names = self.scope.names();
        // What stands beside an event is offered to who meant it.
        let listed =
            || names.iter().map(String::as_str).filter(|known| !known.starts_with('_') || name.starts_with('_'));
        let error = ExprError::new(format!("there is no `{name}` here"), range, "unknown");
        let help = match name.to_ascii_lowercase().as_str() {
            "current_timestamp" | "current_date" | "current_time" | "localtime" | "localtimestamp" => {
                Some("an expression knows no clock: use a time that the event carries".to_owned())
            }
            // The whole path may be a name, or its first word one that the rest looks into.
            _ => nearest(&name, names.iter().map(String::as_str))
                .or_else(|| nearest(path[0], names.iter().map(String::as_str)))
                .map(|near| format!("did you mean `{near}`?"))
                .or_else(|| suggestion(&name, listed())),
        };
        self.fail_with(ExprError { help, code: source::Code::UnknownName, ..error })
    }

    fn access(&mut self, root: &Ast, step: &Step, range: Range<usize>) -> Checked {
        match step {
            Step::Field(name) => {
                let root = self.check(root)?;
                let typed = self.field(root, name)?;
                Some(Typed { range, ..typed })
            }
            Step::Index(index) => {
                let (root, index) = self.check_two(root, index)?;
                self.element(root, index, range)
            }
        }
    }

    /// A record's field.
    fn field(&mut self, root: Typed, name: &Name) -> Checked {
        let range = root.range.start..name.range.end;
        if self.unknown.contains(&root.range) {
            return Some(self.unknown(range));
        }
        let record = match &root.ty {
            Ty::Of(Type::Record(record)) => Some(record.clone()),
            Ty::Of(Type::Recursive(link)) => link.record(),
            _ => None,
        };
        let Some(record) = record else {
            let message = format!("`{}` is looked for in {}, which has no fields", name.text, root.ty);
            let error = ExprError::new(message, name.range.clone(), "not a field");
            let help = match &root.ty {
                Ty::Of(Type::Map(_)) => Some(format!("a map's value: [{}]", quoted(&name.text))),
                Ty::Of(Type::Array(_)) => Some("an element comes first, counted from 1: [1]".to_owned()),
                _ => None,
            };
            return self.fail_with(ExprError { help, ..error });
        };
        let Some((index, field)) = field_of(&record, &name.text) else { return self.unknown_field(&record, name) };
        let ty = field.ty.clone();
        if is_unknown(&ty.ty) {
            return Some(self.unknown(range));
        }
        let from = root.code.into_any();
        let value: Arg<Any> = Arg::computed(move |ctx| match from.get(ctx)? {
            Some(ValueRef::Record(fields)) => Ok(fields.get(index).copied().filter(|value| !value.is_null())),
            _ => Ok(None),
        });
        Some(Typed::new(Code::read(value, &ty.ty), ty.ty.clone(), root.nullable || ty.nullable, range))
    }

    fn unknown_field(&mut self, record: &RecordType, name: &Name) -> Checked {
        let message = format!("record {} has no field `{}`", record.short_name(), name.text);
        let help = suggestion(&name.text, record.fields.iter().map(|field| field.name.as_str()));
        let error = ExprError::new(message, name.range.clone(), "no such field");
        self.fail_with(ExprError { help, code: source::Code::UnknownName, ..error })
    }

    /// An array's element, counted from 1, or a map's value. What is not there is null.
    fn element(&mut self, root: Typed, index: Typed, range: Range<usize>) -> Checked {
        if self.unknown.contains(&root.range) {
            return Some(self.unknown(range));
        }
        let (value, ty): (Arg<Any>, FieldType) = match &root.ty {
            Ty::Of(Type::Array(item)) => {
                if !index.ty.is_integer() {
                    let message = format!("an array's element is named by an int, not by {}", index.ty);
                    return self.fail(index.range, message, "not an int");
                }
                let (from, at, ty) = (root.code.into_any(), index.code.into_long(), (**item).clone());
                let value = super::kind::map2(from, at, |array, at, _| match (array, usize::try_from(at)) {
                    (ValueRef::Array(items), Ok(at)) if at > 0 => {
                        Ok(items.get(at - 1).copied().unwrap_or(ValueRef::Null))
                    }
                    _ => Ok(ValueRef::Null),
                });
                (value, ty)
            }
            Ty::Of(Type::Map(value)) => {
                if !index.ty.is_text() {
                    let message = format!("a map's value is named by a string, not by {}", index.ty);
                    return self.fail(index.range, message, "not a string");
                }
                (map_value(root.code.into_any(), index.code.into_text()), (**value).clone())
            }
            other => {
                let message = format!("{other} has no elements");
                return self.fail(range, message, "arrays and maps have");
            }
        };
        let value = Arg::computed(move |ctx| Ok(value.get(ctx)?.filter(|value| !value.is_null())));
        Some(Typed::new(Code::read(value, &ty.ty), ty.ty.clone(), true, range))
    }

    fn call(&mut self, call: &Call, range: Range<usize>) -> Checked {
        if let Some(binding) = self.scope.call(&call.name, call.args.len()) {
            return Some(self.slot(binding.slot, &binding.ty, range));
        }
        self.function(call, range)
    }
}

fn map_value(from: Arg<Any>, key: Arg<super::kind::Text>) -> Arg<Any> {
    fn find<'a>(map: ValueRef<'a>, key: &str) -> ValueRef<'a> {
        match map {
            ValueRef::Map(entries) => match entries.binary_search_by(|(name, _)| (*name).cmp(key)) {
                Ok(at) => entries[at].1,
                Err(_) => ValueRef::Null,
            },
            _ => ValueRef::Null,
        }
    }
    match key.as_constant().cloned() {
        Some(key) => super::kind::map(from, move |map, _: &Bump| Ok(find(map, &key))),
        None => super::kind::map2(from, key, |map, key, _| Ok(find(map, key))),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
