//! stopgap until the real one lands
#![allow(missing_docs, clippy::all)]
use super::ast::{Ast, BinaryOp, Call, IsTest, Name, Node};
use super::{Binding, ExprError, Scope};
use bumpalo::Bump;
use headwater_schemas::{FieldType, Type, ValueRef};
use sqlparser::ast as sql;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use std::cmp::Ordering;

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(pub String);

fn err(message: impl Into<String>, n: usize) -> ExprError {
    ExprError { message: message.into(), range: 0..n, label: "here".into(), help: None }
}

pub fn parse(text: &str) -> Result<Ast, ExprError> {
    let n = text.len();
    let e = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(text)
        .and_then(|mut p| p.parse_expr())
        .map_err(|e| err(e.to_string(), n))?;
    conv(&e, n)
}

fn conv(e: &sql::Expr, n: usize) -> Result<Ast, ExprError> {
    let b = |e: &sql::Expr| conv(e, n).map(Box::new);
    let name = |i: &sql::Ident| Name { text: i.value.clone(), range: 0..n };
    let node = match e {
        sql::Expr::Identifier(i) => Node::Path(vec![name(i)]),
        sql::Expr::CompoundIdentifier(is) => Node::Path(is.iter().map(name).collect()),
        sql::Expr::Nested(e) => return conv(e, n),
        sql::Expr::Value(v) => match &v.value {
            sql::Value::Number(s, _) => Node::Number(s.to_string()),
            sql::Value::SingleQuotedString(s) => Node::String(s.clone()),
            sql::Value::Boolean(x) => Node::Boolean(*x),
            sql::Value::Null => Node::Null,
            _ => return Err(err("unsupported literal", n)),
        },
        sql::Expr::BinaryOp { left, op, right } => {
            use sql::BinaryOperator as O;
            let op = match op {
                O::And => return Ok(Ast { node: Node::And(vec![conv(left, n)?, conv(right, n)?]), range: 0..n }),
                O::Or => return Ok(Ast { node: Node::Or(vec![conv(left, n)?, conv(right, n)?]), range: 0..n }),
                O::Plus => BinaryOp::Add,
                O::Minus => BinaryOp::Subtract,
                O::Multiply => BinaryOp::Multiply,
                O::Eq => BinaryOp::Equal,
                O::NotEq => BinaryOp::NotEqual,
                O::Lt => BinaryOp::Less,
                O::LtEq => BinaryOp::LessOrEqual,
                O::Gt => BinaryOp::Greater,
                O::GtEq => BinaryOp::GreaterOrEqual,
                _ => return Err(err("unsupported operator", n)),
            };
            Node::Binary { op, left: b(left)?, right: b(right)? }
        }
        sql::Expr::Between { expr, negated, low, high } => {
            Node::Between { arg: b(expr)?, low: b(low)?, high: b(high)?, negated: *negated }
        }
        sql::Expr::IsNull(e) => Node::Is { arg: b(e)?, test: IsTest::Null, negated: false },
        sql::Expr::IsNotNull(e) => Node::Is { arg: b(e)?, test: IsTest::Null, negated: true },
        sql::Expr::UnaryOp { op: sql::UnaryOperator::Not, expr } => Node::Not(b(expr)?),
        sql::Expr::Function(f) => {
            let mut args = vec![];
            if let sql::FunctionArguments::List(l) = &f.args {
                for a in &l.args {
                    match a {
                        sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(e)) => args.push(conv(e, n)?),
                        _ => return Err(err("unsupported argument", n)),
                    }
                }
            }
            let filter = f.filter.as_ref().map(|f| conv(f, n)).transpose()?;
            Node::Call(Box::new(Call {
                name: f.name.to_string().to_lowercase(),
                name_range: 0..n,
                args,
                distinct: false,
                order_by: vec![],
                filter,
            }))
        }
        _ => return Err(err("unsupported expression", n)),
    };
    Ok(Ast { node, range: 0..n })
}

#[derive(Debug, Clone)]
enum Op {
    Slot(usize),
    Null,
    Bool(bool),
    Long(i64),
    Str(String),
    Field(Box<Op>, usize),
    And(Vec<Op>),
    Or(Vec<Op>),
    Not(Box<Op>),
    IsNull(Box<Op>, bool),
    Cmp(BinaryOp, Box<Op>, Box<Op>),
    Arith(BinaryOp, Box<Op>, Box<Op>),
    Between(Box<Op>, Box<Op>, Box<Op>, bool),
    Trunc(String, Box<Op>),
    Lower(Box<Op>),
    Length(Box<Op>),
    Coalesce(Vec<Op>),
}

#[derive(Debug)]
pub struct Expr {
    pub ty: FieldType,
    op: Op,
    slots: Vec<usize>,
}

pub fn compile(ast: &Ast, scope: &dyn Scope) -> Result<Expr, Vec<ExprError>> {
    let mut slots = vec![];
    let (op, ty) = comp(ast, scope, &mut slots).map_err(|e| vec![e])?;
    Ok(Expr { ty, op, slots })
}

fn comp(ast: &Ast, s: &dyn Scope, slots: &mut Vec<usize>) -> Result<(Op, FieldType), ExprError> {
    let n = ast.range.end;
    let req = FieldType::required;
    Ok(match &ast.node {
        Node::Null => (Op::Null, FieldType::nullable(Type::String)),
        Node::Boolean(b) => (Op::Bool(*b), req(Type::Boolean)),
        Node::Number(x) => {
            let v = x.parse().map_err(|_| err("number", n))?;
            (Op::Long(v), req(if i32::try_from(v).is_ok() { Type::Int } else { Type::Long }))
        }
        Node::String(x) => (Op::Str(x.clone()), req(Type::String)),
        Node::Path(names) => {
            let path: Vec<&str> = names.iter().map(|n| n.text.as_str()).collect();
            let Some(Binding { slot, ty, used }) = s.name(&path) else {
                let best = s.names().into_iter().max_by(|a, b| {
                    strsim::jaro_winkler(a, &path.join(".")).total_cmp(&strsim::jaro_winkler(b, &path.join(".")))
                });
                let mut e = err(format!("there is no `{}` here", path.join(".")), n);
                e.help = best.map(|b| format!("did you mean `{b}`?"));
                return Err(e);
            };
            slots.push(slot);
            let (mut op, mut ty) = (Op::Slot(slot), ty);
            for p in &path[used..] {
                let Type::Record(r) = &ty.ty else { return Err(err("not a record", n)) };
                let (i, f) = r.field(p).ok_or_else(|| err("no such field", n))?;
                op = Op::Field(Box::new(op), i);
                ty = FieldType { ty: f.ty.ty.clone(), nullable: ty.nullable || f.ty.nullable };
            }
            (op, ty)
        }
        Node::And(xs) | Node::Or(xs) => {
            let mut ops = vec![];
            for x in xs {
                ops.push(comp(x, s, slots)?.0);
            }
            let ty = FieldType::nullable(Type::Boolean);
            if matches!(ast.node, Node::And(_)) { (Op::And(ops), ty) } else { (Op::Or(ops), ty) }
        }
        Node::Not(x) => (Op::Not(Box::new(comp(x, s, slots)?.0)), FieldType::nullable(Type::Boolean)),
        Node::Is { arg, negated, .. } => (Op::IsNull(Box::new(comp(arg, s, slots)?.0), *negated), req(Type::Boolean)),
        Node::Between { arg, low, high, negated } => (
            Op::Between(
                Box::new(comp(arg, s, slots)?.0),
                Box::new(comp(low, s, slots)?.0),
                Box::new(comp(high, s, slots)?.0),
                *negated,
            ),
            FieldType::nullable(Type::Boolean),
        ),
        Node::Binary { op, left, right } => {
            let (l, lt) = comp(left, s, slots)?;
            let (r, rt) = comp(right, s, slots)?;
            if op.is_comparison() {
                let same = lt.ty == rt.ty
                    || lt.ty.is_numeric() && rt.ty.is_numeric()
                    || lt.ty.is_text() && rt.ty.is_text()
                    || lt.ty.is_timestamp() && rt.ty.is_timestamp();
                if !same {
                    return Err(err(format!("`{}` cannot compare {} with {}", op.symbol(), lt.ty, rt.ty), n));
                }
                (Op::Cmp(*op, Box::new(l), Box::new(r)), FieldType { ty: Type::Boolean, nullable: lt.nullable || rt.nullable })
            } else {
                (Op::Arith(*op, Box::new(l), Box::new(r)), FieldType { ty: Type::Long, nullable: lt.nullable || rt.nullable })
            }
        }
        Node::Call(c) => {
            if let Some(Binding { slot, ty, .. }) = s.call(&c.name, c.args.len()) {
                slots.push(slot);
                return Ok((Op::Slot(slot), ty));
            }
            let mut a = vec![];
            for x in &c.args {
                a.push(comp(x, s, slots)?);
            }
            match (c.name.as_str(), a.as_slice()) {
                ("date_trunc", [(Op::Str(u), _), (o, t)]) => (Op::Trunc(u.clone(), Box::new(o.clone())), t.clone()),
                ("lower", [(o, t)]) => (Op::Lower(Box::new(o.clone())), FieldType { ty: Type::String, nullable: t.nullable }),
                ("length", [(o, t)]) => (Op::Length(Box::new(o.clone())), FieldType { ty: Type::Int, nullable: t.nullable }),
                ("coalesce", [first, ..]) => (Op::Coalesce(a.iter().map(|x| x.0.clone()).collect()), FieldType { ty: first.1.ty.clone(), nullable: a.iter().all(|x| x.1.nullable) }),
                _ => return Err(err(format!("there is no function `{}`", c.name), n)),
            }
        }
        _ => return Err(err("not supported yet", n)),
    })
}

impl Expr {
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }
    pub fn eval<'a>(&self, slots: &[ValueRef<'a>], bump: &'a Bump) -> Result<ValueRef<'a>, EvalError> {
        ev(&self.op, slots, bump)
    }
    pub fn eval_bool<'a>(&self, slots: &[ValueRef<'a>], bump: &'a Bump) -> Result<Option<bool>, EvalError> {
        Ok(match self.eval(slots, bump)? {
            ValueRef::Boolean(b) => Some(b),
            _ => None,
        })
    }
}

pub fn value_order(a: &ValueRef, b: &ValueRef) -> Ordering {
    match (a, b) {
        (ValueRef::Null, ValueRef::Null) => Ordering::Equal,
        (ValueRef::Null, _) => Ordering::Less,
        (_, ValueRef::Null) => Ordering::Greater,
        (ValueRef::Long(a), ValueRef::Long(b)) | (ValueRef::Timestamp(a), ValueRef::Timestamp(b)) => a.cmp(b),
        (ValueRef::String(a), ValueRef::String(b)) => a.cmp(b),
        (ValueRef::Boolean(a), ValueRef::Boolean(b)) => a.cmp(b),
        (ValueRef::Double(a), ValueRef::Double(b)) => a.total_cmp(b),
        (ValueRef::Uuid(a), ValueRef::Uuid(b)) => a.cmp(b),
        (ValueRef::Date(a), ValueRef::Date(b)) => a.cmp(b),
        (ValueRef::Bytes(a), ValueRef::Bytes(b)) => a.cmp(b),
        (ValueRef::Decimal(a), ValueRef::Decimal(b)) => a.unscaled.cmp(&b.unscaled),
        _ => Ordering::Equal,
    }
}

fn ev<'a>(op: &Op, s: &[ValueRef<'a>], b: &'a Bump) -> Result<ValueRef<'a>, EvalError> {
    Ok(match op {
        Op::Slot(i) => s[*i],
        Op::Null => ValueRef::Null,
        Op::Bool(x) => ValueRef::Boolean(*x),
        Op::Long(x) => ValueRef::Long(*x),
        Op::Str(x) => ValueRef::String(b.alloc_str(x)),
        Op::Field(o, i) => match ev(o, s, b)? {
            ValueRef::Record(f) => f[*i],
            _ => ValueRef::Null,
        },
        Op::And(xs) => {
            let mut r = Some(true);
            for x in xs {
                match ev(x, s, b)? {
                    ValueRef::Boolean(false) => return Ok(ValueRef::Boolean(false)),
                    ValueRef::Boolean(true) => {}
                    _ => r = None,
                }
            }
            r.map_or(ValueRef::Null, ValueRef::Boolean)
        }
        Op::Or(xs) => {
            let mut r = Some(false);
            for x in xs {
                match ev(x, s, b)? {
                    ValueRef::Boolean(true) => return Ok(ValueRef::Boolean(true)),
                    ValueRef::Boolean(false) => {}
                    _ => r = None,
                }
            }
            r.map_or(ValueRef::Null, ValueRef::Boolean)
        }
        Op::Not(x) => match ev(x, s, b)? {
            ValueRef::Boolean(x) => ValueRef::Boolean(!x),
            _ => ValueRef::Null,
        },
        Op::IsNull(x, neg) => ValueRef::Boolean(ev(x, s, b)?.is_null() != *neg),
        Op::Cmp(o, l, r) => {
            let (l, r) = (ev(l, s, b)?, ev(r, s, b)?);
            if l.is_null() || r.is_null() {
                return Ok(ValueRef::Null);
            }
            let c = value_order(&l, &r);
            ValueRef::Boolean(match o {
                BinaryOp::Equal => c.is_eq(),
                BinaryOp::NotEqual => c.is_ne(),
                BinaryOp::Less => c.is_lt(),
                BinaryOp::LessOrEqual => c.is_le(),
                BinaryOp::Greater => c.is_gt(),
                _ => c.is_ge(),
            })
        }
        Op::Arith(o, l, r) => match (ev(l, s, b)?, ev(r, s, b)?) {
            (ValueRef::Long(l), ValueRef::Long(r)) => ValueRef::Long(
                match o {
                    BinaryOp::Add => l.checked_add(r),
                    BinaryOp::Subtract => l.checked_sub(r),
                    _ => l.checked_mul(r),
                }
                .ok_or_else(|| EvalError("overflow".into()))?,
            ),
            _ => ValueRef::Null,
        },
        Op::Between(x, l, h, neg) => {
            let (x, l, h) = (ev(x, s, b)?, ev(l, s, b)?, ev(h, s, b)?);
            if x.is_null() || l.is_null() || h.is_null() {
                return Ok(ValueRef::Null);
            }
            ValueRef::Boolean((value_order(&x, &l).is_ge() && value_order(&x, &h).is_le()) != *neg)
        }
        Op::Trunc(u, x) => match ev(x, s, b)? {
            ValueRef::Timestamp(t) => {
                use chrono::{Datelike, TimeZone};
                let d = chrono::DateTime::from_timestamp_micros(t).ok_or_else(|| EvalError("range".into()))?;
                let (m, day) = match u.as_str() {
                    "year" => (1, 1),
                    "month" => (d.month(), 1),
                    _ => (d.month(), d.day()),
                };
                ValueRef::Timestamp(chrono::Utc.with_ymd_and_hms(d.year(), m, day, 0, 0, 0).unwrap().timestamp_micros())
            }
            _ => ValueRef::Null,
        },
        Op::Lower(x) => match ev(x, s, b)? {
            ValueRef::String(x) => ValueRef::String(b.alloc_str(&x.to_lowercase())),
            _ => ValueRef::Null,
        },
        Op::Length(x) => match ev(x, s, b)? {
            ValueRef::String(x) => ValueRef::Long(x.chars().count() as i64),
            _ => ValueRef::Null,
        },
        Op::Coalesce(xs) => {
            for x in xs {
                let v = ev(x, s, b)?;
                if !v.is_null() {
                    return Ok(v);
                }
            }
            ValueRef::Null
        }
    })
}
