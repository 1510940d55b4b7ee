//! sqlparser's tree to ours: the whitelist, one arm a form.

use std::ops::Range;

use sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, Interval, ObjectNamePart,
    OrderByExpr, Spanned, Subscript, TrimWhereField, TypedString, UnaryOperator, Value, ValueWithSpan,
};

use super::cast_type::{CAST_HELP, cast_type};
use super::{MAX_NESTING, Source, refuse, too_deep};
use crate::expr::ExprError;
use crate::expr::ast::{Ast, BinaryOp, Call, IsTest, Name, Node, OrderBy, Part, Step};

type Lowered<T> = Result<T, ExprError>;

/// The whole tree, or the first form in it that is not on the whitelist.
pub(super) fn lower(source: &Source<'_>, expr: &Expr) -> Lowered<Ast> {
    let ast = Lower { source, depth: 0 }.expr(expr)?;
    let mut below = vec![(&ast, 1)];
    while let Some((node, depth)) = below.pop() {
        if depth > MAX_DEPTH {
            return Err(too_deep(0..source.text.len()));
        }
        below.extend(node.children().into_iter().map(|child| (child, depth + 1)));
    }
    Ok(ast)
}

/// Of the tree: what walks it afterwards may recurse. Operators that lean left nest without parentheses.
const MAX_DEPTH: usize = MAX_NESTING * 2;

#[derive(Clone, Copy)]
struct Lower<'s, 't> {
    source: &'s Source<'t>,
    depth: usize,
}

impl Lower<'_, '_> {
    fn expr(self, expr: &Expr) -> Lowered<Ast> {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep(0..self.source.text.len()));
        }
        Lower { depth: self.depth + 1, ..self }.one(expr)
    }

    fn boxed(self, expr: &Expr) -> Lowered<Box<Ast>> {
        self.expr(expr).map(Box::new)
    }

    fn all(self, exprs: &[Expr]) -> Lowered<Vec<Ast>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn one(self, expr: &Expr) -> Lowered<Ast> {
        match expr {
            Expr::Identifier(name) => Ok(self.path(std::slice::from_ref(name))),
            Expr::CompoundIdentifier(names) => Ok(self.path(names)),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(typed) => self.typed_string(typed),
            Expr::Interval(interval) => self.interval(interval),
            Expr::Nested(inner) => {
                let mut ast = self.expr(inner)?;
                ast.range = self.source.parenthesised(&ast.range, 0);
                Ok(ast)
            }
            Expr::Function(function) => self.function(function),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(expr, operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Cast { kind: CastKind::Cast, expr: arg, data_type, format: None } => self.cast(arg, data_type),
            Expr::UnaryOp { op, expr: arg } => self.unary(expr, *op, arg),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            _ => self.predicate(expr),
        }
    }

    /// What is true or false of an argument, and the functions with a grammar of their own.
    fn predicate(self, expr: &Expr) -> Lowered<Ast> {
        match expr {
            Expr::IsNull(arg) => self.is(arg, IsTest::Null, false),
            Expr::IsNotNull(arg) => self.is(arg, IsTest::Null, true),
            Expr::IsTrue(arg) => self.is(arg, IsTest::True, false),
            Expr::IsNotTrue(arg) => self.is(arg, IsTest::True, true),
            Expr::IsFalse(arg) => self.is(arg, IsTest::False, false),
            Expr::IsNotFalse(arg) => self.is(arg, IsTest::False, true),
            Expr::IsUnknown(arg) => self.is(arg, IsTest::Unknown, false),
            Expr::IsNotUnknown(arg) => self.is(arg, IsTest::Unknown, true),
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, false),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, true),
            Expr::InList { expr: arg, list, negated } => {
                let (arg, list) = (self.boxed(arg)?, self.all(list)?);
                let end = list.last().map_or(arg.range.end, |last| self.source.parenthesised(&last.range, 0).end);
                let range = arg.range.start..end.max(arg.range.end);
                Ok(Ast { node: Node::In { arg, list, negated: *negated }, range })
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, is_some: _ } => {
                let (arg, array) = (self.boxed(left)?, self.boxed(right)?);
                let range = arg.range.start..self.source.parenthesised(&array.range, 0).end;
                Ok(Ast { node: Node::Any { arg, array }, range })
            }
            Expr::Between { expr: arg, negated, low, high } => {
                let (arg, low, high) = (self.boxed(arg)?, self.boxed(low)?, self.boxed(high)?);
                let range = arg.range.start..high.range.end;
                Ok(Ast { node: Node::Between { arg, low, high, negated: *negated }, range })
            }
            Expr::Like { negated, any: false, expr: arg, pattern, escape_char } => {
                let (arg, pattern) = (self.boxed(arg)?, self.boxed(pattern)?);
                let escape = escape_char.as_ref().map(|escape| self.boxed(escape)).transpose()?;
                let range = arg.range.start..escape.as_ref().unwrap_or(&pattern).range.end;
                Ok(Ast { node: Node::Like { arg, pattern, escape, negated: *negated }, range })
            }
            Expr::Extract { field, expr: arg, .. } => self.extract(field, arg),
            Expr::Ceil { expr: arg, field } => self.rounding("ceil", arg, field),
            Expr::Floor { expr: arg, field } => self.rounding("floor", arg, field),
            Expr::Substring { expr: arg, substring_from, substring_for, special: _, shorthand: _ } => {
                self.substring(arg, substring_from.as_deref(), substring_for.as_deref())
            }
            Expr::Trim { expr: arg, trim_where, trim_what, trim_characters } => {
                let characters = match trim_characters.as_deref() {
                    None => trim_what.as_deref(),
                    Some([characters]) => Some(characters),
                    Some(_) => {
                        return Err(self.refused(("this form of trim".into(), Some("write btrim(x, 'chars')")), arg));
                    }
                };
                self.trim(arg, trim_where.as_ref(), characters)
            }
            other => Err(self.refused(refuse::name(other), other)),
        }
    }

    fn refused(self, (name, help): (String, Option<impl Into<String>>), expr: &Expr) -> ExprError {
        let range = match self.source.bytes(expr.span()) {
            range if range.is_empty() => 0..self.source.text.len(),
            range => range,
        };
        not_here(name, range, help.map(Into::into))
    }

    fn path(self, names: &[Ident]) -> Ast {
        let names: Vec<Name> = names.iter().map(|ident| self.name(ident)).collect();
        let range = span_of(names.iter().map(|name| &name.range));
        Ast { node: Node::Path(names), range }
    }

    fn name(self, ident: &Ident) -> Name {
        Name { text: ident.value.clone(), range: self.source.bytes(ident.span) }
    }

    /// `lines[1].product`: the names before the first index are one path, then a node a step.
    fn access(self, root: &Expr, chain: &[AccessExpr]) -> Lowered<Ast> {
        let mut ast = self.expr(root)?;
        for step in chain {
            let start = ast.range.start;
            ast = match step {
                AccessExpr::Dot(Expr::Identifier(ident)) => {
                    let name = self.name(ident);
                    let range = start..name.range.end;
                    match ast.node {
                        Node::Path(mut names) => {
                            names.push(name);
                            Ast { node: Node::Path(names), range }
                        }
                        node => {
                            let root = Box::new(Ast { node, range: ast.range });
                            Ast { node: Node::Access { root, step: Step::Field(name) }, range }
                        }
                    }
                }
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    let index = self.boxed(index)?;
                    let after = self.source.token_at(index.range.end);
                    let end = self.source.tokens.get(after).map_or(index.range.end, |(_, range)| range.end);
                    Ast { node: Node::Access { root: Box::new(ast), step: Step::Index(index) }, range: start..end }
                }
                AccessExpr::Subscript(Subscript::Slice { .. }) => {
                    return Err(not_here("a slice of an array".into(), ast.range, None));
                }
                AccessExpr::Dot(other) => return Err(self.refused(("this step".into(), None::<String>), other)),
            };
        }
        Ok(ast)
    }

    fn literal(self, literal: &ValueWithSpan) -> Lowered<Ast> {
        let range = self.source.bytes(literal.span);
        let node = match &literal.value {
            Value::Null => Node::Null,
            Value::Boolean(b) => Node::Boolean(*b),
            Value::Number(text, false) => Node::Number(text.clone()),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Node::String(text.clone()),
            Value::DollarQuotedString(text) => Node::String(text.value.clone()),
            Value::UnicodeStringLiteral(text) => Node::String(text.clone()),
            Value::Placeholder(name) => {
                return Err(not_here(format!("the placeholder `{name}`"), range, None));
            }
            _ => return Err(not_here("this kind of literal".into(), range, Some("write it as 'text'".into()))),
        };
        if matches!(&node, Node::String(text) if text.contains('\0')) {
            return Err(ExprError::new("text may not hold the character NUL", range, "holds NUL"));
        }
        Ok(Ast { node, range })
    }

    fn typed_string(self, typed: &TypedString) -> Lowered<Ast> {
        let range = self.source.with_word_before(self.source.bytes(typed.value.span));
        let Value::SingleQuotedString(text) = &typed.value.value else {
            return Err(not_here("this kind of literal".into(), range, Some("write it as 'text'".into())));
        };
        let node = match &typed.data_type {
            DataType::Date => Node::Date(text.clone()),
            DataType::Timestamp(None, _) => Node::Timestamp(text.clone()),
            other => {
                let help = "date, timestamp and interval stand before a literal; for others write cast('…' as type)";
                return Err(not_here(format!("a literal of `{other}`"), range, Some(help.into())));
            }
        };
        Ok(Ast { node, range })
    }

    fn interval(self, interval: &Interval) -> Lowered<Ast> {
        let value = self.expr(&interval.value)?;
        let mut range = self.source.with_word_before(value.range.clone());
        let help = || Some("write interval '1 day', or n * interval '1 day'".to_owned());
        let Node::String(mut text) = value.node else {
            return Err(not_here("an interval of something computed".into(), range, help()));
        };
        if interval.last_field.is_some()
            || interval.leading_precision.is_some()
            || interval.fractional_seconds_precision.is_some()
        {
            return Err(not_here("an interval of several fields".into(), range, help()));
        }
        if let Some(field) = &interval.leading_field {
            text = format!("{text} {field}");
            let unit = field.to_string();
            range = self.source.and_words(range, &[&unit]);
        }
        Ok(Ast { node: Node::Interval(text), range })
    }

    fn unary(self, whole: &Expr, op: UnaryOperator, arg: &Expr) -> Lowered<Ast> {
        let arg = self.boxed(arg)?;
        let range = self.source.with_word_before(arg.range.clone());
        match op {
            UnaryOperator::Minus => Ok(Ast { node: Node::Negate(arg), range }),
            UnaryOperator::Not => Ok(Ast { node: Node::Not(arg), range }),
            UnaryOperator::Plus => Ok(Ast { range, ..*arg }),
            other => Err(self.refused(refuse::unary(other), whole)),
        }
    }

    /// A chain of operators leans left and may be long: its left side is walked, not recursed into.
    fn binary(self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Lowered<Ast> {
        let mut rights = vec![(op, right)];
        let mut first = left;
        while let Expr::BinaryOp { left, op, right } = first {
            rights.push((op, right));
            first = left;
        }
        let mut ast = self.expr(first)?;
        for (op, right) in rights.into_iter().rev() {
            let right = self.expr(right)?;
            let range = ast.range.start..right.range.end;
            let node = match (op, ast.node) {
                (BinaryOperator::And, Node::And(all)) => Node::And(with(all, right)),
                (BinaryOperator::Or, Node::Or(all)) => Node::Or(with(all, right)),
                (op, node) => {
                    let left = Ast { node, range: ast.range };
                    match op {
                        BinaryOperator::And => Node::And(vec![left, right]),
                        BinaryOperator::Or => Node::Or(vec![left, right]),
                        op => self.operator(op, left, right)?,
                    }
                }
            };
            ast = Ast { node, range };
        }
        Ok(ast)
    }

    fn operator(self, op: &BinaryOperator, left: Ast, right: Ast) -> Lowered<Node> {
        let op = match op {
            BinaryOperator::Plus => BinaryOp::Add,
            BinaryOperator::Minus => BinaryOp::Subtract,
            BinaryOperator::Multiply => BinaryOp::Multiply,
            BinaryOperator::Divide => BinaryOp::Divide,
            BinaryOperator::Modulo => BinaryOp::Modulo,
            BinaryOperator::StringConcat => BinaryOp::Concat,
            BinaryOperator::Eq => BinaryOp::Equal,
            BinaryOperator::NotEq => BinaryOp::NotEqual,
            BinaryOperator::Lt => BinaryOp::Less,
            BinaryOperator::LtEq => BinaryOp::LessOrEqual,
            BinaryOperator::Gt => BinaryOp::Greater,
            BinaryOperator::GtEq => BinaryOp::GreaterOrEqual,
            other => {
                let (name, help) = refuse::operator(other);
                return Err(not_here(name, left.range.end..right.range.start, help));
            }
        };
        Ok(Node::Binary { op, left: Box::new(left), right: Box::new(right) })
    }

    fn is(self, arg: &Expr, test: IsTest, negated: bool) -> Lowered<Ast> {
        let arg = self.boxed(arg)?;
        let words = ["is", "not", "null", "true", "false", "unknown"];
        let range = self.source.and_words(arg.range.clone(), &words);
        Ok(Ast { node: Node::Is { arg, test, negated }, range })
    }

    fn distinct(self, left: &Expr, right: &Expr, negated: bool) -> Lowered<Ast> {
        let (left, right) = (self.boxed(left)?, self.boxed(right)?);
        let range = left.range.start..right.range.end;
        Ok(Ast { node: Node::Distinct { left, right, negated }, range })
    }

    fn case(
        self,
        whole: &Expr,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Lowered<Ast> {
        let operand = operand.map(|operand| self.boxed(operand)).transpose()?;
        let branches = conditions
            .iter()
            .map(|branch| Ok((self.expr(&branch.condition)?, self.expr(&branch.result)?)))
            .collect::<Lowered<_>>()?;
        let otherwise = otherwise.map(|otherwise| self.boxed(otherwise)).transpose()?;
        let range = self.source.bytes(whole.span());
        Ok(Ast { node: Node::Case { operand, branches, otherwise }, range })
    }

    fn cast(self, arg: &Expr, to: &DataType) -> Lowered<Ast> {
        let arg = self.boxed(arg)?;
        let range = self.source.parenthesised(&arg.range, 1);
        match cast_type(to) {
            Ok(to) => Ok(Ast { node: Node::Cast { arg, to }, range }),
            Err(message) => Err(ExprError::new(message, range, "cast to this").help(CAST_HELP)),
        }
    }

    fn extract(self, field: &DateTimeField, arg: &Expr) -> Lowered<Ast> {
        let arg = self.boxed(arg)?;
        let range = self.source.parenthesised(&arg.range, 1);
        match Part::named(&field.to_string()) {
            Some(part) => Ok(Ast { node: Node::Extract { part, arg }, range }),
            None => {
                let names: Vec<_> = Part::names().collect();
                let error = ExprError::new(format!("no timestamp has a `{field}`"), range, "extracts this");
                Err(error.help(format!("extract takes {}", names.join(", "))))
            }
        }
    }

    fn rounding(self, name: &str, arg: &Expr, field: &CeilFloorKind) -> Lowered<Ast> {
        let plain = matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime));
        let arg = self.expr(arg)?;
        if !plain {
            let help = "write round(x, n) for digits after the point, date_trunc for timestamps";
            return Err(not_here(format!("`{name}` to a unit"), arg.range, Some(help.into())));
        }
        Ok(self.call(name, vec![arg]))
    }

    fn substring(self, arg: &Expr, from: Option<&Expr>, length: Option<&Expr>) -> Lowered<Ast> {
        let arg = self.expr(arg)?;
        let from = from.map(|from| self.expr(from)).transpose()?;
        let one = || Ast { node: Node::Number("1".into()), range: arg.range.clone() };
        let from = from.unwrap_or_else(one);
        let length = length.map(|length| self.expr(length)).transpose()?;
        Ok(self.call("substring", [arg, from].into_iter().chain(length).collect()))
    }

    fn trim(self, arg: &Expr, side: Option<&TrimWhereField>, what: Option<&Expr>) -> Lowered<Ast> {
        let name = match side {
            None | Some(TrimWhereField::Both) => "btrim",
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
        };
        let what = what.map(|what| self.expr(what)).transpose()?;
        let arg = self.expr(arg)?;
        Ok(self.call(name, std::iter::once(arg).chain(what).collect()))
    }

    /// A call that has a grammar of its own in SQL, as one like any other.
    fn call(self, name: &str, args: Vec<Ast>) -> Ast {
        let inner = span_of(args.iter().map(|arg| &arg.range));
        let range = self.source.parenthesised(&inner, 1);
        let name_range = self.source.tokens.get(self.source.token_at(range.start)).map(|(_, range)| range.clone());
        let call = Call {
            name: name.to_owned(),
            name_range: name_range.unwrap_or_else(|| range.clone()),
            args,
            distinct: false,
            order_by: Vec::new(),
            filter: None,
        };
        Ast { node: Node::Call(Box::new(call)), range }
    }

    fn function(self, function: &Function) -> Lowered<Ast> {
        let [ObjectNamePart::Identifier(ident)] = function.name.0.as_slice() else {
            let range = self.source.bytes(function.name.span());
            return Err(not_here(format!("the function `{}`", function.name), range, None));
        };
        let name_range = self.source.bytes(ident.span);
        let list = match &function.args {
            // `user`, `current_user` and the like: functions to SQL, plain names here.
            FunctionArguments::None => return Ok(self.path(std::slice::from_ref(ident))),
            FunctionArguments::Subquery(_) => return Err(not_here("a subquery".into(), name_range, None)),
            FunctionArguments::List(list) => list,
        };
        let open = self.source.token_at(name_range.end);
        let mut range = name_range.start..self.source.closing(open).unwrap_or(name_range.end);
        if function.over.is_some() {
            let help = "a view is a reduction already: name its key, and count, sum or last in its columns";
            return Err(not_here("a window function (`over`)".into(), range, Some(help.into())));
        }
        if function.null_treatment.is_some() || !function.within_group.is_empty() || function.uses_odbc_syntax {
            return Err(not_here("this form of call".into(), range, None));
        }
        let args = list.args.iter().map(|arg| self.argument(arg, &range)).collect::<Lowered<Vec<_>>>()?;
        let order_by = self.order_by(&list.clauses, &range)?;
        let filter = function.filter.as_ref().map(|filter| self.expr(filter)).transpose()?;
        if let Some(filter) = &filter {
            range.end = self.source.parenthesised(&filter.range, 0).end;
        }
        let call = Call {
            name: if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() },
            name_range,
            args,
            distinct: matches!(list.duplicate_treatment, Some(sqlparser::ast::DuplicateTreatment::Distinct)),
            order_by,
            filter,
        };
        Ok(Ast { node: Node::Call(Box::new(call)), range })
    }

    fn argument(self, arg: &FunctionArg, range: &Range<usize>) -> Lowered<Ast> {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr),
            FunctionArg::Unnamed(_) => Err(not_here(
                "`*`".into(),
                range.clone(),
                Some("count() counts events; name a column otherwise".into()),
            )),
            _ => Err(not_here("a named argument".into(), range.clone(), None)),
        }
    }

    fn order_by(self, clauses: &[FunctionArgumentClause], range: &Range<usize>) -> Lowered<Vec<OrderBy>> {
        let mut order = Vec::new();
        for clause in clauses {
            let FunctionArgumentClause::OrderBy(entries) = clause else {
                return Err(not_here("this form of call".into(), range.clone(), None));
            };
            for OrderByExpr { expr, options, with_fill } in entries {
                let descending = match &options.sort {
                    None | Some(sqlparser::ast::OrderBySort::Asc) => false,
                    Some(sqlparser::ast::OrderBySort::Desc) => true,
                    Some(sqlparser::ast::OrderBySort::Using(_)) => {
                        return Err(not_here("`order by … using`".into(), range.clone(), None));
                    }
                };
                if options.nulls_first.is_some() || with_fill.is_some() {
                    return Err(not_here("`nulls first` or `nulls last`".into(), range.clone(), None));
                }
                order.push(OrderBy { expr: self.expr(expr)?, descending });
            }
        }
        Ok(order)
    }
}

fn with(mut all: Vec<Ast>, one: Ast) -> Vec<Ast> {
    all.push(one);
    all
}

fn not_here(name: String, range: Range<usize>, help: Option<String>) -> ExprError {
    ExprError { help, ..ExprError::new(format!("{name} is not part of expressions here"), range, "not here") }
}

fn span_of<'r>(ranges: impl Iterator<Item = &'r Range<usize>>) -> Range<usize> {
    ranges.cloned().reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or(0..0)
}
