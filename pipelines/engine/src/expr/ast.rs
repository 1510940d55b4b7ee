//! What an expression says, before anything is known of its names: a small tree of our own, each node with its place in
//! the text.
//!
//! Declarations look into it too: a reducer is a [`Call`], a key column a path, a join an [`Node::Access`] with an index.

use std::ops::Range;

use headwater_schemas::Type;

/// A node of a parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Ast {
    pub node: Node,
    /// Bytes of the expression's text.
    pub range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Boolean(bool),
    /// As written: digits, perhaps a point, perhaps an exponent.
    Number(String),
    String(String),
    /// `date '2026-01-01'`.
    Date(String),
    /// `timestamp '2026-01-01 00:00:00'`.
    Timestamp(String),
    /// `interval '1 day'`; `interval '1' day` reads as the same.
    Interval(String),
    /// `address.city`: the names of a path, before it is known which of them is a column.
    Path(Vec<Name>),
    /// `lines[1]`, `attributes['x']`, and what follows: `.product`.
    Access {
        root: Box<Ast>,
        step: Step,
    },
    Call(Box<Call>),
    Negate(Box<Ast>),
    Binary {
        op: BinaryOp,
        left: Box<Ast>,
        right: Box<Ast>,
    },
    /// Two or more.
    And(Vec<Ast>),
    /// Two or more.
    Or(Vec<Ast>),
    Not(Box<Ast>),
    Is {
        arg: Box<Ast>,
        test: IsTest,
        negated: bool,
    },
    /// `is distinct from`.
    Distinct {
        left: Box<Ast>,
        right: Box<Ast>,
        negated: bool,
    },
    In {
        arg: Box<Ast>,
        list: Vec<Ast>,
        negated: bool,
    },
    /// `x = any(array)`.
    Any {
        arg: Box<Ast>,
        array: Box<Ast>,
    },
    Between {
        arg: Box<Ast>,
        low: Box<Ast>,
        high: Box<Ast>,
        negated: bool,
    },
    Like {
        arg: Box<Ast>,
        pattern: Box<Ast>,
        escape: Option<Box<Ast>>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Ast>>,
        /// When, then.
        branches: Vec<(Ast, Ast)>,
        otherwise: Option<Box<Ast>>,
    },
    Cast {
        arg: Box<Ast>,
        to: CastType,
    },
    Extract {
        part: Part,
        arg: Box<Ast>,
    },
}

/// One name of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// Without its quotes. Case is kept: `userId` and `userid` are two names.
    pub text: String,
    pub range: Range<usize>,
}

/// One step into a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Field(Name),
    Index(Box<Ast>),
}

/// A function's call, or a reducer's.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Lower case unless it was quoted.
    pub name: String,
    pub name_range: Range<usize>,
    pub args: Vec<Ast>,
    pub distinct: bool,
    /// `last(x order by at)`.
    pub order_by: Vec<OrderBy>,
    /// `sum(x) filter (where y)`.
    pub filter: Option<Ast>,
}

/// One entry of a call's `order by`.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    pub expr: Ast,
    pub descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Concat,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsTest {
    Null,
    True,
    False,
    /// Null, of a boolean.
    Unknown,
}

/// What `cast` converts to.
#[derive(Clone, Debug, PartialEq)]
pub enum CastType {
    Type(Type),
    /// `numeric` with no digits given: as many as the argument has.
    Numeric,
    /// `varchar(n)`: text, cut after this many characters.
    Varchar(u64),
}

/// A part of a date or timestamp: what `extract` and `date_trunc` take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    IsoYear,
    Decade,
    Century,
    Millennium,
    /// 0 is Sunday.
    DayOfWeek,
    /// 1 is Monday, 7 Sunday.
    IsoDayOfWeek,
    DayOfYear,
    Epoch,
    Julian,
}

impl Ast {
    /// Its place in the text, in bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The call that this is.
    pub fn as_call(&self) -> Option<&Call> {
        match &self.node {
            Node::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The names of the path that this is.
    pub fn as_path(&self) -> Option<Vec<String>> {
        match &self.node {
            Node::Path(names) => Some(names.iter().map(|name| name.text.clone()).collect()),
            _ => None,
        }
    }

    /// `customers[customer_id].tier` taken apart: the path before the index, the index, the fields after it.
    pub fn as_lookup(&self) -> Option<(Vec<String>, &Ast, Vec<String>)> {
        let mut fields = Vec::new();
        let mut at = self;
        loop {
            match &at.node {
                Node::Access { root, step: Step::Field(name) } => {
                    fields.push(name.text.clone());
                    at = root;
                }
                Node::Access { root, step: Step::Index(index) } => {
                    fields.reverse();
                    return Some((root.as_path()?, index, fields));
                }
                _ => return None,
            }
        }
    }

    /// Every path of names in this expression with its place, in the order of the text.
    pub fn paths(&self) -> Vec<(Vec<String>, Range<usize>)> {
        let mut found = Vec::new();
        self.visit(&mut |ast| {
            if let Some(path) = ast.as_path() {
                found.push((path, ast.range()));
            }
        });
        found
    }

    /// Calls `see` on this node, then on all below it, left to right.
    pub fn visit<'t>(&'t self, see: &mut dyn FnMut(&'t Ast)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    /// The nodes right below this one, left to right.
    pub fn children(&self) -> Vec<&Ast> {
        match &self.node {
            Node::Null
            | Node::Boolean(_)
            | Node::Number(_)
            | Node::String(_)
            | Node::Date(_)
            | Node::Timestamp(_)
            | Node::Interval(_)
            | Node::Path(_) => Vec::new(),
            Node::Access { root, step: Step::Field(_) } => vec![root],
            Node::Access { root, step: Step::Index(index) } => vec![root, index],
            Node::Call(call) => {
                let ordered = call.order_by.iter().map(|order| &order.expr);
                call.args.iter().chain(ordered).chain(&call.filter).collect()
            }
            Node::Negate(arg) | Node::Not(arg) => vec![arg],
            Node::Is { arg, .. } | Node::Cast { arg, .. } | Node::Extract { arg, .. } => vec![arg],
            Node::Binary { left, right, .. } | Node::Distinct { left, right, .. } => vec![left, right],
            Node::And(all) | Node::Or(all) => all.iter().collect(),
            Node::In { arg, list, .. } => std::iter::once(&**arg).chain(list).collect(),
            Node::Any { arg, array } => vec![arg, array],
            Node::Between { arg, low, high, .. } => vec![arg, low, high],
            Node::Like { arg, pattern, escape, .. } => {
                [Some(arg), Some(pattern), escape.as_ref()].into_iter().flatten().map(|child| &**child).collect()
            }
            Node::Case { operand, branches, otherwise } => {
                let branches = branches.iter().flat_map(|(when, then)| [when, then]);
                operand.iter().map(|o| &**o).chain(branches).chain(otherwise.iter().map(|o| &**o)).collect()
            }
        }
    }

    /// Whether two expressions say the same, wherever they stand.
    pub fn same(&self, other: &Ast) -> bool {
        let (mut left, mut right) = (self.clone(), other.clone());
        left.forget_places();
        right.forget_places();
        left == right
    }

    fn forget_places(&mut self) {
        self.range = 0..0;
        match &mut self.node {
            Node::Path(names) => names.iter_mut().for_each(|name| name.range = 0..0),
            Node::Access { root, step } => {
                root.forget_places();
                match step {
                    Step::Field(name) => name.range = 0..0,
                    Step::Index(index) => index.forget_places(),
                }
            }
            Node::Call(call) => {
                call.name_range = 0..0;
                call.args.iter_mut().for_each(Ast::forget_places);
                call.order_by.iter_mut().for_each(|order| order.expr.forget_places());
                call.filter.iter_mut().for_each(Ast::forget_places);
            }
            Node::Negate(arg) | Node::Not(arg) => arg.forget_places(),
            Node::Is { arg, .. } | Node::Cast { arg, .. } | Node::Extract { arg, .. } => arg.forget_places(),
            Node::Binary { left, right, .. } | Node::Distinct { left, right, .. } => {
                left.forget_places();
                right.forget_places();
            }
            Node::And(all) | Node::Or(all) => all.iter_mut().for_each(Ast::forget_places),
            Node::In { arg, list, .. } => {
                arg.forget_places();
                list.iter_mut().for_each(Ast::forget_places);
            }
            Node::Any { arg, array } => [arg, array].into_iter().for_each(|child| child.forget_places()),
            Node::Between { arg, low, high, .. } => {
                [arg, low, high].into_iter().for_each(|child| child.forget_places());
            }
            Node::Like { arg, pattern, escape, .. } => {
                [arg, pattern].into_iter().chain(escape).for_each(|child| child.forget_places());
            }
            Node::Case { operand, branches, otherwise } => {
                operand.iter_mut().chain(otherwise).for_each(|child| child.forget_places());
                branches.iter_mut().for_each(|(when, then)| {
                    when.forget_places();
                    then.forget_places();
                });
            }
            _ => {}
        }
    }
}

impl BinaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Concat => "||",
            BinaryOp::Equal => "=",
            BinaryOp::NotEqual => "<>",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
        }
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }
}

/// Postgres's names for each part, the first the one that messages use.
const PARTS: &[(Part, &[&str])] = &[
    (Part::Microseconds, &["microseconds", "microsecond"]),
    (Part::Milliseconds, &["milliseconds", "millisecond"]),
    (Part::Second, &["second", "seconds"]),
    (Part::Minute, &["minute", "minutes"]),
    (Part::Hour, &["hour", "hours"]),
    (Part::Day, &["day", "days"]),
    (Part::Week, &["week", "weeks"]),
    (Part::Month, &["month", "months"]),
    (Part::Quarter, &["quarter"]),
    (Part::Year, &["year", "years"]),
    (Part::IsoYear, &["isoyear"]),
    (Part::Decade, &["decade", "decades"]),
    (Part::Century, &["century", "centuries"]),
    (Part::Millennium, &["millennium", "millenniums"]),
    (Part::DayOfWeek, &["dow"]),
    (Part::IsoDayOfWeek, &["isodow"]),
    (Part::DayOfYear, &["doy"]),
    (Part::Epoch, &["epoch"]),
    (Part::Julian, &["julian"]),
];

impl Part {
    /// The part of this name, in any case.
    pub fn named(name: &str) -> Option<Part> {
        let lower = name.to_ascii_lowercase();
        PARTS.iter().find(|(_, names)| names.contains(&lower.as_str())).map(|(part, _)| *part)
    }

    pub fn name(self) -> &'static str {
        PARTS.iter().find(|(part, _)| *part == self).map_or("part", |(_, names)| names[0])
    }

    /// Every part's name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PARTS.iter().map(|(_, names)| names[0])
    }
}
