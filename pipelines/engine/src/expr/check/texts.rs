//! `||`, `concat`, `like`, the text functions and the regular expressions.

use std::ops::Range;

use headwater_schemas::Type;

use super::{Checked, Checker};
use crate::expr::ast::Ast;
use crate::expr::code::{Code, Ty, Typed};
use crate::expr::kind::{Arg, Bool, Long, Text, map, map2};
use crate::expr::pattern::{self, Like};
use crate::expr::text::{self, Ends};
use crate::expr::{ExprError, cast};

const STRING: Ty = Ty::Of(Type::String);
const INT: Ty = Ty::Of(Type::Int);

impl Checker<'_> {
    /// `a || b`: one of them is text, the other is written as text.
    pub(super) fn concat_operator(&mut self, left: Typed, right: Typed, range: Range<usize>) -> Checked {
        let nullable = left.nullable || right.nullable;
        if !(left.ty.is_text() || right.ty.is_text() || (left.ty == Ty::Null && right.ty == Ty::Null)) {
            let message = format!("`||` puts text together, and these are {} and {}", left.ty, right.ty);
            return self.fail_with(ExprError::new(message, range, "no text").help("write cast(… as text) || …"));
        }
        let (left, right) = (self.written("||", left), self.written("||", right));
        let (left, right) = left.zip(right)?;
        let code = join(vec![left, right]);
        Some(Typed::new(Code::Text(code), Type::String, nullable, range))
    }

    /// A value as text: what `cast(… as text)` gives.
    fn written(&mut self, name: &str, typed: Typed) -> Option<Arg<Text>> {
        let shown = match &typed.ty {
            Ty::Null => Some(Arg::null()),
            Ty::Of(ty) => cast::to_text(typed.code, ty),
            Ty::Interval => None,
        };
        if shown.is_none() {
            let message = format!("`{name}` cannot write {} as text", typed.ty);
            self.fail::<()>(typed.range, message, "not text");
        }
        shown
    }

    /// `concat(…)`: nulls are passed over, and a boolean is `t` or `f`.
    pub(super) fn concat(&mut self, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let mut parts = Vec::with_capacity(args.len());
        for arg in args {
            parts.push(match (&arg.ty, &arg.code) {
                (Ty::Of(Type::Boolean), Code::Bool(b)) => Some(map(b.clone(), |b, _| Ok(if b { "t" } else { "f" }))),
                _ => self.written("concat", arg),
            });
        }
        let parts: Vec<Arg<Text>> = parts.into_iter().collect::<Option<_>>()?;
        let code = Arg::computed(move |ctx| {
            let mut texts = bumpalo::collections::Vec::with_capacity_in(parts.len(), ctx.bump);
            for part in &parts {
                texts.extend(part.get(ctx)?);
            }
            text::concat(&texts, "concat", ctx.bump).map(Some)
        });
        Some(Typed::new(Code::Text(code), Type::String, false, range))
    }

    pub(super) fn like(
        &mut self,
        arg: &Ast,
        pattern: &Ast,
        escape: Option<&Ast>,
        negated: bool,
        range: Range<usize>,
    ) -> Checked {
        let (arg, pattern) = self.check_two(arg, pattern)?;
        let (arg, pattern) = (self.expect("like", arg, &STRING)?, self.expect("like", pattern, &STRING)?);
        let nullable = arg.nullable || pattern.nullable;
        let escape = match escape {
            None => Some('\\'),
            Some(escape) => {
                let at = escape.range();
                let escape = self.check(escape)?;
                let Some(text) = constant(&escape) else {
                    return self.fail(at, "the escape of `like` is a constant", "not constant");
                };
                match pattern::escape_character(&text) {
                    Ok(escape) => escape,
                    Err(fault) => return self.fail(at, fault.to_string(), "not an escape"),
                }
            }
        };
        let code: Arg<Bool> = match constant(&pattern) {
            Some(text) => match Like::read(&text, escape) {
                Ok(like) => map(arg.code.into_text(), move |text, _| Ok(like.matches(text) != negated)),
                Err(fault) => return self.fail(pattern.range, fault.to_string(), "not a pattern"),
            },
            None => map2(arg.code.into_text(), pattern.code.into_text(), move |text, pattern, _| {
                Ok(Like::read(pattern, escape)?.matches(text) != negated)
            }),
        };
        Some(Typed::new(Code::Bool(code), Type::Boolean, nullable, range))
    }

    /// The pattern is a constant and compiled once.
    pub(super) fn regexp(&mut self, name: &str, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let args: Vec<Checked> = args.into_iter().map(|arg| self.expect(name, arg, &STRING)).collect();
        let mut args = args.into_iter().collect::<Option<Vec<Typed>>>()?.into_iter();
        let (text, pattern) = args.next().zip(args.next())?;
        let replaces = name == "regexp_replace";
        let replacement = if replaces { Some(args.next()?) } else { None };
        let flags = args.next();
        let nullable = text.nullable || replacement.as_ref().is_some_and(|replacement| replacement.nullable);
        let (Some(source), Some(flags)) = (constant(&pattern), flags.as_ref().map_or(Some(String::new()), constant))
        else {
            let message = format!("the pattern and flags of `{name}` are constants: they are compiled once");
            return self.fail(pattern.range, message, "not constant");
        };
        let (regex, global) = match pattern::regex(&source, &flags, replaces) {
            Ok(compiled) => compiled,
            Err(message) => {
                let help = "regular expressions are those of Rust's regex crate: no back-references, no look-around";
                return self.fail_with(ExprError::new(message, pattern.range, "not understood").help(help));
            }
        };
        match replacement {
            None => {
                let code = map(text.code.into_text(), move |text, _| Ok(regex.is_match(text)));
                Some(Typed::new(Code::Bool(code), Type::Boolean, nullable, range))
            }
            Some(replacement) => {
                let code = map2(text.code.into_text(), replacement.code.into_text(), move |text, replacement, bump| {
                    pattern::regex_replace((&regex, global), text, replacement, bump)
                });
                Some(Typed::new(Code::Text(code), Type::String, nullable, range))
            }
        }
    }

    pub(super) fn text_function(&mut self, name: &str, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let nullable = args.iter().any(|arg| arg.nullable);
        // Positions and lengths are ints, all else is text.
        let numbers: &[usize] = match name {
            "substring" => &[1, 2],
            "lpad" | "rpad" => &[1],
            "split_part" => &[2],
            _ => &[],
        };
        if name == "substring" && args.get(1).is_some_and(|from| from.ty.is_text() && from.literal.is_none()) {
            let error = ExprError::new("`substring` takes positions here, not patterns", range, "a pattern");
            return self.fail_with(error.help("write regexp_replace(text, 'pattern', '\\1')"));
        }
        let expected = args
            .into_iter()
            .enumerate()
            .map(|(i, arg)| self.expect(name, arg, if numbers.contains(&i) { &INT } else { &STRING }));
        let expected: Vec<Checked> = expected.collect();
        let mut args = expected.into_iter().collect::<Option<Vec<Typed>>>()?.into_iter().map(|arg| arg.code);
        let first = args.next()?.into_text();
        if name == "length" {
            let code = map(first, |text, _| Ok(text::length(text)));
            return Some(Typed::new(Code::Long(code), Type::Int, nullable, range));
        }
        let code = text_code(name, first, args.next(), args.next())?;
        Some(Typed::new(Code::Text(code), Type::String, nullable, range))
    }
}

fn text_code(name: &str, first: Arg<Text>, second: Option<Code>, third: Option<Code>) -> Option<Arg<Text>> {
    let ends = |left, right| Ends { left, right };
    Some(match name {
        "lower" => map(first, |text, bump| Ok(text::lower(text, bump))),
        "upper" => map(first, |text, bump| Ok(text::upper(text, bump))),
        "btrim" => trimmed(first, second, ends(true, true)),
        "ltrim" => trimmed(first, second, ends(true, false)),
        "rtrim" => trimmed(first, second, ends(false, true)),
        "substring" => match third {
            None => map2(first, second?.into_long(), |text, from, _| text::substring(text, from, None)),
            Some(length) => map3(first, second?.into_long(), length.into_long(), |text, from, length, _| {
                text::substring(text, from, Some(length))
            }),
        },
        "lpad" => padded(first, second?.into_long(), third, true),
        "rpad" => padded(first, second?.into_long(), third, false),
        "replace" => map3(first, second?.into_text(), third?.into_text(), text::replace),
        "split_part" => match constant_of(second.clone()?) {
            Some(delimiter) => map2(first, third?.into_long(), move |text, n, _| text::split_part(text, &delimiter, n)),
            None => map3(first, second?.into_text(), third?.into_long(), |text, delimiter, n, _| {
                text::split_part(text, delimiter, n)
            }),
        },
        _ => return None,
    })
}

fn constant_of(code: Code) -> Option<Box<str>> {
    match code {
        Code::Text(arg) => arg.as_constant().cloned(),
        _ => None,
    }
}

fn trimmed(text: Arg<Text>, characters: Option<Code>, ends: Ends) -> Arg<Text> {
    let constant = match &characters {
        None => Some(" ".into()),
        Some(code) => constant_of(code.clone()),
    };
    match (constant, characters) {
        (Some(characters), _) => map(text, move |text, _| Ok(text::trim(text, &characters, ends))),
        (None, Some(characters)) => {
            map2(text, characters.into_text(), move |text, characters, _| Ok(text::trim(text, characters, ends)))
        }
        (None, None) => text,
    }
}

fn padded(text: Arg<Text>, to: Arg<Long>, fill: Option<Code>, left: bool) -> Arg<Text> {
    match fill {
        None => map2(text, to, move |text, to, bump| text::pad(text, to, " ", left, bump)),
        Some(fill) => {
            map3(text, to, fill.into_text(), move |text, to, fill, bump| text::pad(text, to, fill, left, bump))
        }
    }
}

/// A node that is null where one of its three arguments is.
fn map3<B: crate::expr::kind::Kind, C: crate::expr::kind::Kind>(
    first: Arg<Text>,
    second: Arg<B>,
    third: Arg<C>,
    f: impl for<'a> Fn(&'a str, B::Of<'a>, C::Of<'a>, &'a bumpalo::Bump) -> Result<&'a str, crate::expr::error::Fault>
    + Send
    + Sync
    + 'static,
) -> Arg<Text> {
    Arg::computed(move |ctx| match (first.get(ctx)?, second.get(ctx)?, third.get(ctx)?) {
        (Some(a), Some(b), Some(c)) => f(a, b, c, ctx.bump).map(Some),
        _ => Ok(None),
    })
}

/// `||` of several; null where one is.
fn join(parts: Vec<Arg<Text>>) -> Arg<Text> {
    Arg::computed(move |ctx| {
        let mut texts = bumpalo::collections::Vec::with_capacity_in(parts.len(), ctx.bump);
        let mut null = false;
        for part in &parts {
            match part.get(ctx)? {
                Some(text) => texts.push(text),
                None => null = true,
            }
        }
        if null { Ok(None) } else { text::concat(&texts, "||", ctx.bump).map(Some) }
    })
}

/// The text of a constant.
pub(super) fn constant(typed: &Typed) -> Option<String> {
    match &typed.code {
        Code::Text(arg) => arg.as_constant().map(|text| text.to_string()),
        _ => None,
    }
}
