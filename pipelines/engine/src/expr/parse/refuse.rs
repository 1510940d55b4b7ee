//! What SQL has and an expression here has not: each by its name, with what to write instead.

use std::ops::Range;

use sqlparser::ast::{BinaryOperator, CastKind, Expr, UnaryOperator};
use sqlparser::tokenizer::Token;

use super::Source;

/// What a node of sqlparser's that is not on the whitelist is called, and what to write instead.
pub(super) fn name(expr: &Expr) -> (String, Option<&'static str>) {
    let (name, help) = match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            ("a subquery", Some("an expression sees one row; a view or a join brings in another's columns"))
        }
        Expr::Cast { kind: CastKind::DoubleColon, .. } => ("`::`", Some("write cast(x as type)")),
        Expr::Cast { .. } => ("this form of cast", Some("write cast(x as type)")),
        Expr::JsonAccess { .. } => ("JSON access", Some("write address.city or attributes['x']")),
        Expr::ILike { .. } => ("`ilike`", Some("write lower(x) like 'pattern'")),
        Expr::SimilarTo { .. } | Expr::RLike { .. } => ("`similar to`", Some("write regexp_like(x, 'pattern')")),
        Expr::AnyOp { .. } | Expr::AllOp { .. } => {
            ("this `any` or `all`", Some("write x = any(array), or x in (a, b, c)"))
        }
        Expr::InUnnest { .. } | Expr::MemberOf(_) => ("membership of an array", None),
        Expr::Convert { .. } => ("`convert`", Some("write cast(x as type)")),
        Expr::AtTimeZone { .. } => {
            ("`at time zone`", Some("timestamps are instants; date_trunc(unit, at, zone) takes a zone"))
        }
        Expr::Position { .. } => ("`position`", Some("split_part and regexp_like look into text")),
        Expr::Overlay { .. } => ("`overlay`", Some("put it together of substring(…) and ||")),
        Expr::Collate { .. } => ("`collate`", Some("text is ordered by its bytes, on every store")),
        Expr::Tuple(_) => ("a row of several values", Some("compare the values one by one, with and")),
        Expr::Array(_) => ("an array", None),
        Expr::Map(_) | Expr::Dictionary(_) => ("a map", None),
        Expr::Struct { .. } | Expr::Named { .. } => ("a struct", None),
        Expr::Lambda(_) => ("a lambda", None),
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => ("`*`", Some("name the columns; count() counts events")),
        Expr::OuterJoin(_) => ("`(+)`", None),
        Expr::IsJson { .. } => ("`is json`", None),
        Expr::IsNormalized { .. } => ("`is normalized`", None),
        Expr::Prefixed { .. } => ("a prefixed string", Some("write it as 'text'")),
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => ("grouping", None),
        _ => ("this", None),
    };
    (name.to_owned(), help)
}

/// An operator that is not on the whitelist.
pub(super) fn operator(op: &BinaryOperator) -> (String, Option<String>) {
    let help = match op {
        BinaryOperator::PGExp => Some("write power(a, b)"),
        BinaryOperator::Arrow | BinaryOperator::LongArrow => Some("write address.city or attributes['x']"),
        BinaryOperator::HashArrow | BinaryOperator::HashLongArrow => Some("write address.city or attributes['x']"),
        BinaryOperator::PGRegexMatch | BinaryOperator::PGRegexIMatch => Some("write regexp_like(x, 'pattern')"),
        BinaryOperator::PGRegexNotMatch | BinaryOperator::PGRegexNotIMatch => {
            Some("write not regexp_like(x, 'pattern')")
        }
        BinaryOperator::PGLikeMatch => Some("write x like 'pattern'"),
        BinaryOperator::PGNotLikeMatch => Some("write x not like 'pattern'"),
        BinaryOperator::PGStartsWith => Some("write x like 'start%'"),
        BinaryOperator::Spaceship => Some("write a is not distinct from b"),
        BinaryOperator::Xor => Some("write (a and not b) or (b and not a)"),
        BinaryOperator::Custom(text) if text.len() > 1 && text.ends_with(['-', '+']) => {
            Some("put a space before the sign")
        }
        _ => None,
    };
    (format!("the operator `{op}`"), help.map(str::to_owned))
}

pub(super) fn unary(op: UnaryOperator) -> (String, Option<&'static str>) {
    let help = match op {
        UnaryOperator::PGSquareRoot => Some("write sqrt(x)"),
        UnaryOperator::PGAbs => Some("write abs(x)"),
        UnaryOperator::BangNot => Some("write not x"),
        _ => None,
    };
    (format!("the operator `{op}`"), help)
}

/// For a syntax error at a word of SQL's own: such a name is quoted.
pub(super) fn keyword_help(source: &Source<'_>, range: &Range<usize>) -> Option<String> {
    let at = source.token_at(range.start);
    // A keyword that is read as the start of something fails at the token after it.
    let count = |word: &str| source.words().filter(|w| w.eq_ignore_ascii_case(word)).count();
    if count("case") != count("end") {
        return Some("a case reads: case when … then … else … end".to_owned());
    }
    for index in [Some(at), at.checked_sub(1)].into_iter().flatten() {
        let Some((Token::Word(word), _)) = source.tokens.get(index) else { continue };
        if word.quote_style.is_none() && word.keyword != sqlparser::keywords::Keyword::NoKeyword {
            return Some(match word.value.to_ascii_lowercase().as_str() {
                "and" | "or" | "not" | "is" | "in" | "between" | "like" | "case" | "when" | "then" | "else" | "end" => {
                    return None;
                }
                "trim" => "trim(x) takes off spaces; for others write btrim(x, 'chars')".to_owned(),
                word => format!("where `{word}` is a column's name, quote it: \"{word}\""),
            });
        }
    }
    None
}
