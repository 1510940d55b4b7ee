//! Random logs through the forms of `from:`, against a fold in plain Rust: batches are cut anywhere, records come again,
//! and workers die between two writes of a store that has no transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::cache::Cache;
use headwater_engine::fold::{Aside, Fold, Outcome, Step};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_engine::table::{Feeding, Key, Row, RowPosition};
use headwater_schemas::encode::encode;
use headwater_schemas::wire::{self, SchemaId};
use headwater_schemas::{Decimal, Value, json};
use proptest::prelude::*;

const PARTITIONS: i32 = 3;

fn topology() -> Arc<Topology> {
    static TOPOLOGY: OnceLock<Arc<Topology>> = OnceLock::new();
    let compiled = || {
        let dir = tempfile::tempdir().expect("a folder");
        super::write(dir.path(), include_str!("base.txt"));
        super::write(dir.path(), include_str!("random.txt"));
        let project = Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{report}"));
        project.topologies[0].clone()
    };
    TOPOLOGY.get_or_init(compiled).clone()
}

type Lines = Vec<(u8, u8)>;

#[derive(Clone, Debug)]
enum Event {
    /// Of nothing: parks.
    Moved {
        id: u8,
        from: u8,
        to: u8,
        amount: u8,
        /// What tells it from others, if anything does.
        said: u8,
    },
    Reversed {
        id: u8,
        from: u8,
        said: u8,
    },
    Placed {
        order: u8,
        customer: u8,
        lines: Lines,
    },
    Changed {
        order: u8,
        lines: Lines,
    },
    Cancelled {
        order: u8,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let lines = || prop::collection::vec((0u8..3, 0u8..3), 0..4);
    let event = prop_oneof![
        8 => (0u8..4, 0u8..3, 0u8..3, 0u8..12, 0u8..8)
            .prop_map(|(id, from, to, amount, said)| Event::Moved { id, from, to, amount, said }),
        3 => (0u8..4, 0u8..3, 0u8..8).prop_map(|(id, from, said)| Event::Reversed { id, from, said }),
        5 => (0u8..4, 0u8..3, lines()).prop_map(|(order, customer, lines)| Event::Placed { order, customer, lines }),
        4 => (0u8..4, lines()).prop_map(|(order, lines)| Event::Changed { order, lines }),
        2 => (0u8..4).prop_map(|order| Event::Cancelled { order }),
    ];
    prop::collection::vec(event, 0..40)
}

fn lines_json(lines: &Lines) -> serde_json::Value {
    let line = |(product, quantity): &(u8, u8)| serde_json::json!({ "product": format!("p{product}"), "quantity": quantity, "unit_price": "1.00" });
    lines.iter().map(line).collect()
}

impl Event {
    /// Topic, event, number of its key, fields.
    fn parts(&self) -> (&'static str, &'static str, u8, serde_json::Value) {
        match self {
            Event::Moved { id, from, to, amount, .. } => {
                let (from, to) = (format!("a{from}"), format!("a{to}"));
                let fields = serde_json::json!({ "from_account": from, "to_account": to, "amount": amount });
                ("transfer", "Transferred", *id, fields)
            }
            Event::Reversed { id, from, .. } => {
                let fields = serde_json::json!({ "from_account": format!("a{from}"), "to_account": "", "amount": 0 });
                ("transfer", "Reversed", *id, fields)
            }
            Event::Placed { order, customer, lines } => {
                let fields = serde_json::json!({ "customer": format!("c{customer}"), "lines": lines_json(lines) });
                ("order", "OrderPlaced", *order, fields)
            }
            Event::Changed { order, lines } => {
                ("order", "OrderChanged", *order, serde_json::json!({ "lines": lines_json(lines) }))
            }
            Event::Cancelled { order } => ("order", "OrderCancelled", *order, serde_json::json!({})),
        }
    }

    fn said(&self) -> Option<u8> {
        match self {
            Event::Moved { said, .. } | Event::Reversed { said, .. } => Some(*said).filter(|said| *said > 0),
            _ => None,
        }
    }

    fn record(&self, topology: &Topology, index: usize) -> Record {
        let (topic, event, number, mut fields) = self.parts();
        let (topic, plan) = topology.topic(topic).expect("the topic");
        let key = format!("k{number}");
        fields[&plan.topic.key[0]] = key.clone().into();
        let position = plan.topic.events.iter().position(|e| e.name == event).expect("the event");
        let schema = &plan.topic.events[position].schema;
        let value = json::from_json(&schema.record, &fields).expect("a sound event");
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        encode(schema, &value, &mut body).expect("an event that its schema takes");
        wire::frame(SchemaId(position as u32 + 1), &body, &mut payload);
        Record {
            topic,
            partition: i32::from(number) % PARTITIONS,
            offset: index as i64 * 2,
            timestamp_ms: 0,
            key: Some(Bytes::from(key)),
            payload: Some(payload.into()),
            headers: self.said().map(|said| ("ce_id".to_owned(), Bytes::from(vec![said]))).into_iter().collect(),
        }
    }
}

/// What a store holds: rows with their guards by view and key, positions, parked keys.
#[derive(Clone, Default)]
struct Store {
    rows: BTreeMap<(usize, String), Row>,
    next: Positions,
    parked: BTreeSet<(usize, Bytes)>,
    /// Without transactions: in parts, leaves first, and a worker may die between two writes.
    in_parts: bool,
}

enum Write {
    Put(usize, Row),
    Delete(usize, Key, RowPosition),
}

impl Store {
    fn put(&mut self, topology: &Topology, write: &Write) {
        match write {
            Write::Put(view, row) => {
                let key = format!("{:?}", row.key(topology.views[*view].stored(self.in_parts)));
                self.rows.insert((*view, key), row.clone());
            }
            Write::Delete(view, key, position) => {
                let at = (*view, format!("{key:?}"));
                let table = topology.views[*view].stored(self.in_parts);
                if self.in_parts && table.fed != Feeding::Mapped {
                    let (values, position) = (vec![Value::Null; table.columns.len()], *position);
                    self.rows.insert(at, Row { values, state: Vec::new(), position, hidden: true });
                } else {
                    self.rows.remove(&at);
                }
            }
        }
    }

    /// Writes an outcome; false where the worker dies before this many of its writes.
    fn commit(&mut self, topology: &Topology, outcome: &Outcome, next: Positions, dies: Option<usize>) -> bool {
        let mut writes = Vec::new();
        for of_view in outcome.writes.iter().rev() {
            assert!(of_view.partition_deletes.is_empty(), "none here");
            writes.extend(of_view.deletes.iter().map(|(key, at)| Write::Delete(of_view.view, key.clone(), *at)));
            writes.extend(of_view.puts.iter().map(|row| Write::Put(of_view.view, row.clone())));
        }
        let dies = dies.filter(|dies| *dies <= writes.len());
        let kept = if self.in_parts { dies.unwrap_or(writes.len()) } else { writes.len() };
        if dies.is_some() && !self.in_parts {
            return false;
        }
        for write in &writes[..kept] {
            self.put(topology, write);
        }
        if dies.is_some() {
            return false;
        }
        for parked in &outcome.parked {
            let record = &outcome.records[parked.record];
            self.parked.extend(record.key.clone().map(|key| (record.topic, key)));
        }
        self.next = next;
        true
    }

    /// What a query would see.
    fn view(&self, topology: &Topology, name: &str) -> Vec<Vec<Value>> {
        let (index, view) = topology.view(name).expect("the view");
        let rows = self.rows.iter().filter(|((view, _), row)| *view == index && !row.hidden).map(|(_, row)| row);
        let mut seen: Vec<Vec<Value>> = if self.in_parts && view.in_parts.is_some() {
            let mut parts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
            for row in rows {
                parts.entry(format!("{:?}", &row.values[..view.table.key_len()])).or_default().push(row.clone());
            }
            parts.values().filter_map(|parts| view.table.merged(parts)).map(|row| row.values).collect()
        } else {
            rows.map(|row| row.values.clone()).collect()
        };
        seen.sort_by_key(|row| format!("{row:?}"));
        seen
    }
}

/// Delivers a log in batches; `cuts` says where they end, what comes again, and where a worker dies.
fn deliver(topology: &Arc<Topology>, records: &[Record], cuts: &[u8], in_parts: bool) -> Store {
    let mut decoder = Decoder::new(topology.clone());
    for (topic, plan) in topology.topics.iter().enumerate() {
        for (event, e) in plan.topic.events.iter().enumerate() {
            decoder.learn(topic, SchemaId(event as u32 + 1), &e.schema);
        }
    }
    let mut store = Store { in_parts, ..Store::default() };
    let mut cache = Cache::new(topology.clone(), 6).in_parts(in_parts);
    let mut at = 0;
    let mut cuts = cuts.iter().cycle();
    let mut deaths = 0;
    while at < records.len() {
        let cut = *cuts.next().expect("cycles");
        let end = (at + 1 + usize::from(cut % 6)).min(records.len());
        let from = at.saturating_sub(usize::from(cut / 6 % 4));
        let mut next = store.next.clone();
        let batch = Batch::decode(&decoder, records[from..end].to_vec(), &mut next);
        let aside = |record: &Record| {
            let key = record.key.clone().map(|key| (record.topic, key));
            key.is_some_and(|key| store.parked.contains(&key)).then_some(Aside::Behind)
        };
        let mut fold = Fold::new(topology.clone(), batch, &aside).in_parts(in_parts);
        let outcome = loop {
            match fold.step() {
                Step::Done(outcome) => break outcome,
                Step::Read(needs) => {
                    let read = |view: usize, key: &Key| store.rows.get(&(view, format!("{key:?}"))).cloned();
                    let answers = needs.iter().map(|(view, keys)| {
                        let answer = |key| cache.get(*view, key).unwrap_or_else(|| read(*view, key));
                        keys.iter().map(answer).collect()
                    });
                    let answers = answers.collect();
                    fold.supply(answers);
                }
            }
        };
        let dies = (cut.is_multiple_of(3) && deaths < 40).then_some(usize::from(cut / 3 % 11));
        if store.commit(topology, &outcome, next, dies) {
            cache.wrote(&outcome);
            at = end;
        } else {
            deaths += 1;
            cache.clear();
        }
    }
    store
}

#[derive(Default)]
struct Expected {
    balances: BTreeMap<u8, (i64, i128)>,
    entries: BTreeMap<(u8, u8), i128>,
    orders: BTreeMap<u8, (u8, Lines)>,
    placed: BTreeMap<u8, (i64, i64)>,
}

impl Expected {
    fn new(events: &[Event]) -> Self {
        let mut expected = Self::default();
        let mut parked = BTreeSet::new();
        let mut remembered: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for event in events {
            if let (Some(said), Event::Moved { id, .. } | Event::Reversed { id, .. }) = (event.said(), event)
                && !parked.contains(id)
            {
                let last = remembered.entry(*id).or_default();
                if last.contains(&said) {
                    continue;
                }
                if !matches!(event, Event::Moved { amount: 0, .. }) {
                    last.push(said);
                    let old = last.len().saturating_sub(3);
                    last.drain(..old);
                }
            }
            match event {
                Event::Moved { id, .. } | Event::Reversed { id, .. } if parked.contains(id) => {}
                Event::Moved { id, amount: 0, .. } => drop(parked.insert(*id)),
                Event::Moved { id, from, to, amount, .. } => {
                    let amount = i128::from(*amount);
                    for (account, amount) in [(from, -amount), (to, amount)] {
                        let (moves, balance) = expected.balances.entry(*account).or_default();
                        (*moves, *balance) = (*moves + 1, *balance + amount);
                    }
                    *expected.entries.entry((*id, *from)).or_default() -= amount;
                    if 60 / amount >= 20 {
                        *expected.entries.entry((*id, *to)).or_default() += amount;
                    }
                }
                Event::Reversed { id, from, .. } => drop(expected.entries.remove(&(*id, *from))),
                Event::Placed { order, customer, lines } => {
                    expected.orders.insert(*order, (*customer, lines.clone()));
                    for (product, quantity) in lines {
                        let (lines, sum) = expected.placed.entry(*product).or_default();
                        (*lines, *sum) = (*lines + 1, *sum + i64::from(*quantity));
                    }
                }
                Event::Changed { order, lines } => {
                    if let Some(order) = expected.orders.get_mut(order) {
                        order.1.clone_from(lines);
                    }
                }
                Event::Cancelled { order } => drop(expected.orders.remove(order)),
            }
        }
        expected
    }

    fn view(&self, name: &str) -> Vec<Vec<Value>> {
        let text = |prefix: &str, n: &u8| Value::string(format!("{prefix}{n}"));
        let decimal = |unscaled: i128| Value::Decimal(Decimal { unscaled, scale: 0 });
        let products = |kept: &dyn Fn(&u8, &u8) -> bool| {
            let mut by_product: BTreeMap<(u8, u8), (i64, i64)> = BTreeMap::new();
            for (customer, lines) in self.orders.values() {
                for (product, quantity) in lines.iter().filter(|(_, quantity)| kept(customer, quantity)) {
                    let (lines, sum) = by_product.entry((*product, *customer)).or_default();
                    (*lines, *sum) = (*lines + 1, *sum + i64::from(*quantity));
                }
            }
            by_product
        };
        let mut rows: Vec<Vec<Value>> = match name {
            "balances" => {
                let row = |(a, (n, sum)): (&u8, &(i64, i128))| vec![text("a", a), Value::Long(*n), decimal(*sum)];
                self.balances.iter().map(row).collect()
            }
            "entries" => {
                let row = |((id, a), sum): (&(u8, u8), &i128)| vec![text("k", id), text("a", a), decimal(*sum)];
                self.entries.iter().map(row).collect()
            }
            "by_account" => {
                let mut sums: BTreeMap<u8, (i64, i128)> = BTreeMap::new();
                for ((_, account), amount) in self.entries.iter().filter(|(_, amount)| **amount < 4) {
                    let (n, sum) = sums.entry(*account).or_default();
                    (*n, *sum) = (*n + 1, *sum + amount);
                }
                sums.iter().map(|(a, (n, sum))| vec![text("a", a), Value::Long(*n), decimal(*sum)]).collect()
            }
            "product_totals" => {
                let mut sums: BTreeMap<u8, (i64, i64)> = BTreeMap::new();
                for ((product, _), (n, sum)) in products(&|_, quantity| *quantity > 0) {
                    let (lines, total) = sums.entry(product).or_default();
                    (*lines, *total) = (*lines + n, *total + sum);
                }
                sums.iter().map(|(p, (n, sum))| vec![text("p", p), Value::Long(*n), Value::Long(*sum)]).collect()
            }
            "products_of_live" => {
                let live = products(&|customer, _| *customer != 0);
                live.iter().map(|((p, c), (n, _))| vec![text("p", p), text("c", c), Value::Long(*n)]).collect()
            }
            "placed" => {
                let row = |(p, (n, sum)): (&u8, &(i64, i64))| vec![text("p", p), Value::Long(*n), Value::Long(*sum)];
                self.placed.iter().map(row).collect()
            }
            other => panic!("no oracle for {other}"),
        };
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }
}

/// One event touches so many rows and no more.
#[test]
fn an_array_that_is_too_long_parks_its_event() {
    use headwater_engine::plan::MAX_ELEMENTS;
    let topology = topology();
    let lines: Lines = vec![(1, 1); MAX_ELEMENTS];
    let fits = Event::Placed { order: 1, customer: 1, lines: lines.clone() };
    let exceeds = Event::Placed { order: 1, customer: 1, lines: [lines, vec![(1, 1)]].concat() };
    for (event, reason) in
        [(fits, None), (exceeds, Some("10001 elements, of which one event may unfold at most 10000"))]
    {
        let mut decoder = Decoder::new(topology.clone());
        let record = event.record(&topology, 0);
        let schema = topology.topics[record.topic].topic.events[0].schema.clone();
        decoder.learn(record.topic, SchemaId(1), &schema);
        let batch = Batch::decode(&decoder, vec![record], &mut Positions::new());
        let mut fold = Fold::new(topology.clone(), batch, &|_| None);
        let outcome = loop {
            match fold.step() {
                Step::Done(outcome) => break outcome,
                Step::Read(needs) => fold.supply(needs.iter().map(|(_, keys)| vec![None; keys.len()]).collect()),
            }
        };
        let parked: Vec<_> = outcome.parked.iter().filter_map(|parked| parked.reason.as_deref()).collect();
        match reason {
            None => assert!(parked.is_empty() && !outcome.writes.is_empty(), "{parked:?}"),
            Some(reason) => {
                assert!(parked[0].contains(reason), "{parked:?}");
                assert!(outcome.writes.is_empty(), "it parks at every view");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn folds_as_a_naive_fold_does(
        events in events(),
        cuts in prop::collection::vec(any::<u8>(), 1..20),
        in_parts in any::<bool>(),
    ) {
        let topology = topology();
        let records: Vec<Record> = events.iter().enumerate().map(|(i, event)| event.record(&topology, i)).collect();
        let store = deliver(&topology, &records, &cuts, in_parts);
        let expected = Expected::new(&events);
        for view in ["balances", "entries", "by_account", "product_totals", "products_of_live", "placed"] {
            prop_assert_eq!(store.view(&topology, view), expected.view(view), "{}", view);
        }
        let live: Vec<_> = expected.orders.iter().filter(|(_, (customer, _))| *customer != 0).map(|(order, _)| order).collect();
        prop_assert_eq!(store.view(&topology, "live").len(), live.len());
    }
}
