//! The built-in functions: their names, how many arguments they take, and where each is compiled.

use std::ops::Range;

use super::{Checked, Checker};
use crate::expr::code::{Ty, Typed};
use crate::expr::{Call, ExprError};
use crate::source::{Code, suggestion};

/// Name, fewest and most arguments, and how it is written.
const FUNCTIONS: &[(&str, usize, usize, &str)] = &[
    ("abs", 1, 1, "abs(x)"),
    ("array_length", 2, 2, "array_length(array, 1)"),
    ("btrim", 1, 2, "btrim(text [, characters])"),
    ("cardinality", 1, 1, "cardinality(array)"),
    ("ceil", 1, 1, "ceil(x)"),
    ("ceiling", 1, 1, "ceiling(x)"),
    ("coalesce", 1, MANY, "coalesce(a, b, …)"),
    ("concat", 1, MANY, "concat(a, b, …)"),
    ("date_trunc", 2, 3, "date_trunc('unit', timestamp [, 'zone'])"),
    ("floor", 1, 1, "floor(x)"),
    ("greatest", 1, MANY, "greatest(a, b, …)"),
    ("least", 1, MANY, "least(a, b, …)"),
    ("length", 1, 1, "length(text)"),
    ("lower", 1, 1, "lower(text)"),
    ("lpad", 2, 3, "lpad(text, length [, fill])"),
    ("ltrim", 1, 2, "ltrim(text [, characters])"),
    ("mod", 2, 2, "mod(a, b)"),
    ("nullif", 2, 2, "nullif(a, b)"),
    ("power", 2, 2, "power(a, b)"),
    ("regexp_like", 2, 3, "regexp_like(text, 'pattern' [, 'flags'])"),
    ("regexp_replace", 3, 4, "regexp_replace(text, 'pattern', replacement [, 'flags'])"),
    ("replace", 3, 3, "replace(text, from, to)"),
    ("round", 1, 2, "round(x [, digits])"),
    ("rpad", 2, 3, "rpad(text, length [, fill])"),
    ("rtrim", 1, 2, "rtrim(text [, characters])"),
    ("split_part", 3, 3, "split_part(text, delimiter, n)"),
    ("sqrt", 1, 1, "sqrt(x)"),
    ("substring", 2, 3, "substring(text from n [for length])"),
    ("upper", 1, 1, "upper(text)"),
];

const MANY: usize = 1_000;

const REDUCERS: &[&str] =
    &["last", "first", "sum", "count", "min", "max", "avg", "collect_list", "collect_set", "top", "stddev", "variance"];

/// The names of all functions.
pub(crate) fn functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, ..)| *name)
}

pub(crate) fn is_function(name: &str) -> bool {
    functions().any(|known| known == name)
}

impl Checker<'_> {
    pub(super) fn function(&mut self, call: &Call, range: Range<usize>) -> Checked {
        let name = call.name.as_str();
        let Some((_, least, most, usage)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            // What is wrong in the arguments is said as well.
            self.check_all(&call.args);
            return self.unknown_function(call);
        };
        if call.distinct || call.filter.is_some() || !call.order_by.is_empty() {
            let message = format!("distinct, order by and filter are for reducers, and `{name}` is none");
            return self.fail(range, message, "not for a function");
        }
        let args = self.check_all(&call.args);
        if !(*least..=*most).contains(&call.args.len()) {
            let message = format!("`{name}` does not take {} arguments", call.args.len());
            return self.fail_with(ExprError::new(message, range, "arguments").help(format!("write {usage}")));
        }
        self.built_in(name, args?, range)
    }

    fn built_in(&mut self, name: &str, args: Vec<Typed>, range: Range<usize>) -> Checked {
        match name {
            "coalesce" => self.coalesce(args, range),
            "greatest" | "least" => self.extreme(name, args, range),
            "nullif" => {
                let [left, right] = self.exactly(args)?;
                self.nullif(left, right, range)
            }
            "abs" | "ceil" | "ceiling" | "floor" | "mod" | "power" | "round" | "sqrt" => {
                self.numeric_function(name, args, range)
            }
            "array_length" | "cardinality" => self.array_size(name, args, range),
            "date_trunc" => self.date_trunc(args, range),
            "concat" => self.concat(args, range),
            "regexp_like" | "regexp_replace" => self.regexp(name, args, range),
            _ => self.text_function(name, args, range),
        }
    }

    /// As many arguments as were counted before.
    pub(super) fn exactly<const N: usize>(&mut self, args: Vec<Typed>) -> Option<[Typed; N]> {
        <[Typed; N]>::try_from(args).ok()
    }

    fn unknown_function(&mut self, call: &Call) -> Checked {
        let name = call.name.as_str();
        let at = call.name_range.clone();
        if REDUCERS.contains(&name) {
            let error = ExprError::new(format!("`{name}` is a reducer, and none belongs here"), at, "a reducer");
            return self.fail_with(error.help("reducers stand in a view's columns"));
        }
        let help = match name {
            "now" | "current_date" | "clock_timestamp" | "random" | "gen_random_uuid" => {
                Some("an expression knows no clock and no chance: the same events give the same rows".to_owned())
            }
            "char_length" | "character_length" => Some("write length(text)".to_owned()),
            "pow" => Some("write power(a, b)".to_owned()),
            "substr" => Some("write substring(text from n for length)".to_owned()),
            "if" | "iif" => Some("write case when … then … else … end".to_owned()),
            "ifnull" | "nvl" => Some("write coalesce(a, b)".to_owned()),
            "date_part" => Some("write extract(part from timestamp)".to_owned()),
            _ => suggestion(name, functions().chain(self.scope.calls().iter().copied())),
        };
        let error = ExprError::new(format!("there is no function `{name}` here"), at, "unknown");
        self.fail_with(ExprError { help, code: Code::UnknownName, ..error })
    }

    /// Every argument as text, as an int, …: what `wanted` says; nulls are of whatever type is asked for.
    pub(super) fn expect(&mut self, name: &str, typed: Typed, wanted: &Ty) -> Checked {
        let typed = self.adopt(typed, wanted)?;
        let fits = match wanted {
            Ty::Of(ty) if ty.is_text() => typed.ty.is_text(),
            // An int is asked for; a long that is no int is out of the range of whatever it counts.
            wanted if wanted.is_integer() => typed.ty.is_integer(),
            wanted => typed.ty == *wanted,
        };
        if fits {
            return Some(typed);
        }
        let message = format!("`{name}` takes {wanted} here, and this is {}", typed.ty);
        let cast = if wanted.is_text() { "cast(… as text)" } else { "cast(… as int)" };
        self.fail_with(
            ExprError::new(message, typed.range, format!("this is {}", typed.ty)).help(format!("write {cast}")),
        )
    }
}
