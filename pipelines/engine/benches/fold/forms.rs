//! The forms of the language, one a line: what is declared, which events meet it, and which form it is to be compared with.

use super::load::Load;

/// A form: views of topic `order`, the last of which it is about.
#[derive(Clone, Copy)]
pub(crate) struct Form<'f> {
    pub(crate) name: &'static str,
    /// The form that this one has something more than.
    pub(crate) beside: &'static str,
    pub(crate) views: &'f [&'f str],
    pub(crate) load: Load,
    pub(crate) topic: &'static str,
    /// As a store without transactions keeps shared rows.
    pub(crate) in_parts: bool,
}

impl Form<'_> {
    const fn load(self, load: Load) -> Self {
        Self { load, ..self }
    }

    const fn topic(self, topic: &'static str) -> Self {
        Self { topic, ..self }
    }

    const fn in_parts(self) -> Self {
        Self { in_parts: true, ..self }
    }
}

const fn form(name: &'static str, beside: &'static str, views: &'static [&'static str]) -> Form<'static> {
    Form { name, beside, views, load: Load::Placed, topic: "", in_parts: false }
}

/// The row that views over views read.
const ORDERS: &str = "orders: { key: [order_id], from: [OrderPlaced, OrderChanged], create_when: OrderPlaced, \
                      columns: { customer: last(OrderPlaced.customer), price: last(price), at: last(at), events: count() } }";
/// The same with its lines.
const WITH_LINES: &str = "orders: { key: [order_id], from: [OrderPlaced, OrderChanged], create_when: OrderPlaced, \
                          columns: { lines: last(OrderPlaced.lines), price: last(price) } }";
/// The same, and it goes.
const COMING: &str = "orders: { key: [order_id], from: [OrderPlaced, OrderChanged, OrderCancelled], \
                      create_when: OrderPlaced, delete_when: OrderCancelled, columns: { events: count() } }";

const ONE: &str = "one event";
const ROWS: &str = "a row of two events, four columns";
const SHARED: &str = "a shared row";

pub(crate) const FORMS: [Form<'static>; 33] = [
    form(ONE, "", &["v: { key: [order_id], from: OrderPlaced, columns: { c: last(n) } }"]),
    form("a list of events", ONE, &["v: { key: [order_id], from: [OrderPlaced, OrderChanged], columns: { c: last(n) } }"])
        .load(Load::Changed),
    form("a list, an argument for each", ONE, &["v: { key: [order_id], from: [OrderPlaced, OrderChanged], \
          columns: { c: \"last(OrderPlaced.n, OrderChanged.n + 1)\" } }"])
        .load(Load::Changed),
    form("an alias, a field by another name", ONE, &["v: { key: [order_id], from: { placed: { event: OrderPlaced, \
          as: { number: n } } }, columns: { c: last(number) } }"]),
    form("`where`, half of them", ONE, &["v: { key: [order_id], from: { placed: { event: OrderPlaced, \
          where: \"n >= 500\" } }, columns: { c: last(n) } }"]),
    form("a reducer with a filter, half of them", ONE, &["v: { key: [order_id], from: OrderPlaced, \
          columns: { c: \"last(n) filter (where n >= 500)\" } }"]),
    form("`each`, two elements an event", ONE, &["v: { key: { partition: [order_id], clustering: [product] }, \
          from: { sold: { event: OrderPlaced, each: { line: lines }, as: { product: line.product } } }, \
          columns: { c: last(line.quantity) } }"]),
    form("two aliases of one event", ONE, &["v: { key: [account], from: { \
          debit: { event: OrderPlaced, as: { account: customer } }, credit: { event: OrderPlaced, as: { account: seller } } }, \
          columns: { c: \"sum(credit.n, -debit.n)\" } }"]),
    form("a key of two", ONE, &["v: { key: { partition: [order_id], clustering: [seller] }, from: OrderPlaced, \
          columns: { c: last(n) } }"]),
    form("a key that is an expression", ONE, &["v: { key: { partition: [order_id], clustering: [who: lower(seller)] }, \
          from: OrderPlaced, columns: { c: last(n) } }"]),
    form("a bucket: days of UTC", ONE, &["v: { key: { partition: [order_id], clustering: [day: \"date_trunc('day', at)\"] }, \
          from: OrderPlaced, columns: { c: last(n) } }"]),
    form("a bucket: days of a zone", ONE, &["v: { key: { partition: [order_id], \
          clustering: [day: \"date_trunc('day', at, 'Europe/Zurich')\"] }, from: OrderPlaced, columns: { c: last(n) } }"]),
    form("the event's name", ONE, &["v: { key: [order_id], from: OrderPlaced, columns: { c: last(_event) } }"]),
    form("the record's time", ONE, &["v: { key: [order_id], from: OrderPlaced, columns: { c: last(_time) } }"]),
    form("the record's key", ONE, &["v: { key: [order_id], from: OrderPlaced, columns: { c: last(_key) } }"]),
    form("a header", ONE, &["v: { key: [order_id], from: OrderPlaced, columns: { c: \"last(_header['ce_id'])\" } }"]),
    form("a computed column", ONE, &["v: { key: [order_id], from: OrderPlaced, columns: { c: sum(price) / count() } }"]),
    form("`create_when`", ONE, &["v: { key: [order_id], from: [OrderPlaced, OrderChanged], create_when: OrderPlaced, \
          columns: { c: last(n) } }"])
        .load(Load::Changed),
    form("`delete_when`: rows come and go", ONE, &[COMING]).load(Load::Fleeting),
    form("`retain`", ONE, &["v: { key: [order_id], from: OrderPlaced, retain: { days: 30, after: at }, \
          columns: { at: last(at) } }"]),
    form("`deduplicate`, nothing repeated", ONE, &["v: { key: [order_id], from: OrderPlaced, columns: { c: last(n) } }"])
        .topic("deduplicate: { by: event_id, last: 64 }"),
    form(SHARED, ONE, &["v: { key: [customer], from: OrderPlaced, columns: { c: sum(n) } }"]),
    form("a shared row, in parts", SHARED, &["v: { key: [customer], from: OrderPlaced, columns: { c: sum(n) } }"]).in_parts(),
    form(ROWS, ONE, &[ORDERS]).load(Load::Changed),
    form("`with`: a numbered history", ROWS, &[ORDERS, "v: { with: orders, \
          key: { partition: [order_id], clustering: [number desc] }, from: [OrderPlaced, OrderChanged], \
          columns: { number: orders.events, price: last(price) } }"])
        .load(Load::Changed),
    form("`with`, and whole partitions go", "`delete_when`: rows come and go", &[COMING, "v: { with: orders, \
          key: { partition: [order_id], clustering: [number desc] }, from: [OrderPlaced, OrderChanged, OrderCancelled], \
          delete_when: OrderCancelled, columns: { number: orders.events, at: last(at) } }"])
        .load(Load::Fleeting),
    form("a copy by another key", ROWS, &[ORDERS, "v: { from: orders, \
          key: { partition: [customer], clustering: [order_id] }, columns: [price] }"])
        .load(Load::Changed),
    form("a copy whose rows move", ROWS, &[ORDERS, "v: { from: orders, \
          key: { partition: [customer], clustering: [at desc, order_id] }, columns: [price] }"])
        .load(Load::Changed),
    form("a copy of expressions, where", ROWS, &[ORDERS, "v: { from: { some: { view: orders, where: \"price > 10\" } }, \
          key: { partition: [customer], clustering: [order_id] }, columns: { twice: price * 2 } }"])
        .load(Load::Changed),
    form("an aggregate over a view", ROWS, &[ORDERS, "v: { from: orders, key: [customer], \
          columns: { orders: count(), price: sum(price) } }"])
        .load(Load::Changed),
    form("a grand total", ROWS, &[ORDERS, "v: { from: orders, key: [], columns: { orders: count(), price: sum(price) } }"])
        .load(Load::Changed),
    form("a row with an array of two", ONE, &[WITH_LINES]).load(Load::Changed),
    form("an aggregate with `each` over it", "a row with an array of two", &[WITH_LINES, "v: { \
          from: { sold: { view: orders, each: { line: lines }, as: { product: line.product } } }, key: [product], \
          columns: { sold: sum(line.quantity) } }"])
        .load(Load::Changed),
];

/// Each reducer alone.
pub(crate) const REDUCERS: [&str; 26] = [
    "count()",
    "count(n)",
    "count() filter (where n > 500)",
    "count(distinct n)",
    "last(n)",
    "last(customer)",
    "last(n order by at)",
    "first(n)",
    "first(n order by at)",
    "sum(n)",
    "sum(price)",
    "sum(x)",
    "avg(n)",
    "avg(price)",
    "avg(x)",
    "min(price)",
    "max(n)",
    "max(customer)",
    "collect_list(n)",
    "collect_set(n)",
    "top(10, n)",
    "stddev(price)",
    "stddev_pop(n)",
    "variance(n)",
    "var_pop(n)",
    "sum(price) / count()",
];
