//! What a test found: rows that differ, column by column, and the schedule under which they did.

use std::fmt;

use headwater_schemas::{Value, json};

use crate::plan::{Reducer, Source, Topology, View};
use crate::source::Span;
use crate::table::{Feeding, Row, Table};
use crate::test::{ExpectedParked, ExpectedRow, TestCase};

/// A test's result: passed where there is no failure.
#[derive(Debug)]
pub struct Verdict {
    pub name: String,
    /// How often the test's events were folded.
    pub runs: usize,
    /// The same by the rules of stores, where there is more than one: what they are called, and how often.
    pub by_rules: Vec<(&'static str, usize)>,
    pub failures: Vec<Failure>,
}

/// One way in which a test failed.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    /// A line each, marked `-` expected, `+` found.
    pub lines: Vec<String>,
    pub span: Option<Span>,
}

impl Verdict {
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// What a run has left in its store, whatever store that is.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// By the topology's views: every row that a query would see.
    pub rows: Vec<Vec<Row>>,
    /// Each parked record's topic (of the topology), partition and offset, and whether it failed itself; in their order.
    pub parked: Vec<(usize, i32, i64, bool)>,
}

/// A NaN is itself.
impl PartialEq for Left {
    fn eq(&self, other: &Self) -> bool {
        self.parked == other.parked && same(&self.rows, &other.rows)
    }
}

/// Whether two things hold the same values. Floats are compared as numbers, by which a NaN is not equal to itself: what is
/// unequal so is compared as it is shown, too.
pub(super) fn same<T: PartialEq + fmt::Debug>(this: &T, other: &T) -> bool {
    this == other || format!("{this:?}") == format!("{other:?}")
}

/// Compares the views that a test names with what a run has left.
pub fn compare(case: &TestCase, topology: &Topology, left: &Left) -> Vec<Failure> {
    let mut failures = Vec::new();
    for expected in &case.expect {
        let Some((view, compiled)) = topology.view(&expected.view) else { continue };
        let table = &compiled.table;
        let mut found: Vec<&Row> = left.rows[view].iter().collect();
        let mut missing = Vec::new();
        for row in &expected.rows {
            match found.iter().position(|candidate| matches(row, candidate)) {
                Some(index) => drop(found.remove(index)),
                None => missing.push(row),
            }
        }
        if missing.is_empty() && found.is_empty() {
            continue;
        }
        let minus = missing.iter().map(|row| format!("- {}", written(row, table)));
        let plus = found.iter().map(|row| format!("+ {}", shown(row, table)));
        failures.push(Failure {
            message: format!("view `{}` differs", expected.view),
            lines: minus.chain(plus).collect(),
            span: missing.first().map(|row| row.span.clone()),
        });
    }
    failures
}

/// Compares every view of two runs of the same records.
pub fn differs(topology: &Topology, first: &Left, again: &Left, schedule: &dyn fmt::Display) -> Option<Failure> {
    for (view, (expected, found)) in topology.views.iter().zip(first.rows.iter().zip(&again.rows)) {
        if same(expected, found) {
            continue;
        }
        let table = &view.table;
        let unlike = |row: &&Row, others: &[Row]| !others.iter().any(|other| same(*row, other));
        let minus = expected.iter().filter(|row| unlike(row, found)).map(|row| format!("- {}", shown(row, table)));
        let plus = found.iter().filter(|row| unlike(row, expected)).map(|row| format!("+ {}", shown(row, table)));
        return Some(Failure {
            message: format!("view `{}` differs under a fault: {schedule}", table.name),
            lines: minus.chain(plus).chain(ties(view).map(str::to_owned)).collect(),
            span: None,
        });
    }
    (first.parked != again.parked).then(|| Failure {
        message: format!("other events are parked under a fault: {schedule}"),
        lines: Vec::new(),
        span: None,
    })
}

/// What may be meant where rows differ that many partitions feed and an `order by` orders.
fn ties(view: &View) -> Option<&'static str> {
    let Source::Events(source) = &view.source else { return None };
    let ordered = source.reducers.iter().any(|reducer| matches!(reducer, Reducer::Ordered { .. }));
    (ordered && view.table.fed != Feeding::ByOne).then_some(
        "  At equal values of its `order by` events go by partition and offset, and a test varies the partitions: give \
         them different values.",
    )
}

/// Parked events that the test does not expect, and expected ones that were not parked. An event is its number in the test,
/// from 1, and the reason that `<topology>: ` begins.
pub fn parked(case: &TestCase, parked: &[(usize, String)]) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (event, reason) in parked {
        let message = match case.parked.iter().find(|expected| expected.event == *event) {
            None => format!("event {event} was parked: {reason}"),
            Some(ExpectedParked { reason: Some(part), .. }) if !reason.contains(part.as_str()) => {
                format!("event {event} was parked for another reason than `{part}`: {reason}")
            }
            Some(_) => continue,
        };
        failures.push(Failure { message, lines: Vec::new(), span: Some(case.span.clone()) });
    }
    for expected in &case.parked {
        if !parked.iter().any(|(event, _)| *event == expected.event) {
            let message = format!("event {} was expected to be parked, and was applied", expected.event);
            failures.push(Failure { message, lines: Vec::new(), span: Some(case.span.clone()) });
        }
    }
    failures
}

fn matches(expected: &ExpectedRow, found: &Row) -> bool {
    expected.columns.iter().all(|(column, value)| equal(value, &found.values[*column]))
}

/// Decimals are equal across scales.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Decimal(x), Value::Decimal(y)) => {
            let (low, high) = if x.scale <= y.scale { (x, y) } else { (y, x) };
            let factor = 10i128.checked_pow(u32::from(high.scale - low.scale));
            factor.and_then(|factor| low.unscaled.checked_mul(factor)) == Some(high.unscaled)
        }
        _ => a == b,
    }
}

fn written(row: &ExpectedRow, table: &Table) -> String {
    line(row.columns.iter().map(|(column, value)| (*column, value)), table)
}

fn shown(row: &Row, table: &Table) -> String {
    line(row.values.iter().enumerate(), table)
}

fn line<'v>(values: impl Iterator<Item = (usize, &'v Value)>, table: &Table) -> String {
    let parts: Vec<String> = values
        .map(|(index, value)| {
            let column = &table.columns[index];
            format!("{}: {}", column.name, json::to_json(&column.ty, value))
        })
        .collect();
    format!("{{ {} }}", parts.join(", "))
}
