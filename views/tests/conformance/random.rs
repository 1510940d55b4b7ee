//! Random tables of all types, random flushes; every store answers as the oracle does, gets and pages included.

use std::sync::Arc;

use headwater_engine::table::{
    Column, Direction, Feeding, Row, RowPosition, StateColumn, StateType, Table, ViewWrites,
};
use headwater_schemas::{Decimal, EnumType, Field, FieldType, RecordType, Type, Value};
use headwater_views::PageRequest;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::oracle::{Oracle, compare_keys};
use crate::{cassandra_store, deployment, embedded_stores, flush, step, transactional_stores};

fn scalar() -> impl Strategy<Value = Type> {
    let symbols = EnumType {
        name: "Colour".to_owned(),
        aliases: vec![],
        symbols: vec!["RED".to_owned(), "GREEN".to_owned()],
        default: None,
    };
    let decimal =
        (1u8..=38).prop_flat_map(|precision| (0..=precision).prop_map(move |scale| Type::Decimal { precision, scale }));
    prop_oneof![
        prop::sample::select(vec![
            Type::Boolean,
            Type::Int,
            Type::Long,
            Type::Float,
            Type::Double,
            Type::String,
            Type::Uuid,
            Type::Bytes,
            Type::Fixed(3),
            Type::Date,
            Type::TimestampMillis,
            Type::TimestampMicros,
            Type::Enum(Arc::new(symbols)),
        ]),
        decimal,
    ]
}

fn any_type() -> impl Strategy<Value = Type> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        let field = (inner.clone(), any::<bool>()).prop_map(|(ty, nullable)| FieldType { ty, nullable });
        prop_oneof![
            field.clone().prop_map(|item| Type::Array(Arc::new(item))),
            field.clone().prop_map(|of| Type::Map(Arc::new(of))),
            prop::collection::vec(field, 0..4).prop_map(|types| Type::Record(Arc::new(record(types)))),
            prop::collection::vec(inner, 2..4).prop_map(|branches| Type::Union(branches.into())),
        ]
    })
}

fn record(types: Vec<FieldType>) -> RecordType {
    let field = |(i, ty)| Field { name: format!("f\"{i}"), aliases: vec![], ty, default: None, doc: None };
    RecordType {
        name: "R".to_owned(),
        aliases: vec![],
        fields: types.into_iter().enumerate().map(field).collect(),
        doc: None,
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\u{0}]{0,12}", Just("'; DROP TABLE x; --\"\\\u{1}\u{7f}é🦀".to_owned())]
}

/// A value of the type, of any kind that a fold may give: the edges of each type among them.
fn value(ty: &Type) -> BoxedStrategy<Value> {
    match ty.clone() {
        Type::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Type::Int => any::<i32>().prop_map(|n| Value::Long(n.into())).boxed(),
        Type::Long => prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()].prop_map(Value::Long).boxed(),
        Type::Float => any::<u32>().prop_map(|bits| Value::Float(f32::from_bits(bits))).boxed(),
        Type::Double => prop_oneof![Just(-0.0), Just(f64::NAN), Just(f64::NEG_INFINITY), Just(1.0), any::<f64>()]
            .prop_map(Value::Double)
            .boxed(),
        Type::Decimal { precision, scale } => {
            let most = 10i128.pow(precision.into()) - 1;
            (-most..=most).prop_map(move |unscaled| Value::Decimal(Decimal { unscaled, scale })).boxed()
        }
        Type::String => text().prop_map(Value::string).boxed(),
        Type::Enum(symbols) => prop::sample::select(symbols.symbols.clone()).prop_map(Value::string).boxed(),
        Type::Uuid => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        Type::Bytes => prop::collection::vec(any::<u8>(), 0..6).prop_map(|b| Value::Bytes(b.into())).boxed(),
        Type::Fixed(size) => prop::collection::vec(any::<u8>(), size).prop_map(|b| Value::Bytes(b.into())).boxed(),
        Type::Date => any::<i32>().prop_map(Value::Date).boxed(),
        Type::TimestampMillis => (i64::MIN / 1000..=i64::MAX / 1000).prop_map(|ms| Value::Timestamp(ms * 1000)).boxed(),
        Type::TimestampMicros => any::<i64>().prop_map(Value::Timestamp).boxed(),
        Type::Array(item) => {
            prop::collection::vec(cell(&item.ty), 0..3).prop_map(|items| Value::Array(items.into())).boxed()
        }
        Type::Map(of) => {
            let key = prop_oneof![text(), Just("$serde_json::private::Number".to_owned())];
            prop::collection::btree_map(key, cell(&of.ty), 0..3)
                .prop_map(|entries| Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
                .boxed()
        }
        Type::Record(record) => {
            let fields: Vec<_> = record.fields.iter().map(|field| cell(&field.ty.ty)).collect();
            fields.prop_map(|values| Value::Record(values.into())).boxed()
        }
        Type::Union(branches) => (0..branches.len())
            .prop_flat_map(move |i| {
                let branch = u32::try_from(i).unwrap();
                value(&branches[i]).prop_map(move |value| Value::Branch(branch, Arc::new(value)))
            })
            .boxed(),
        Type::Recursive(_) => unreachable!("not generated"),
    }
}

/// A value or null.
fn cell(ty: &Type) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 5 => value(ty)].boxed()
}

/// A key's value: never null nor NaN, and 0.0 rather than -0.0.
fn key_value(ty: &Type) -> BoxedStrategy<Value> {
    value(ty)
        .prop_map(|value| match value {
            Value::Float(x) if x.is_nan() || x == 0.0 => Value::Float(0.0),
            Value::Double(x) if x.is_nan() || x == 0.0 => Value::Double(0.0),
            other => other,
        })
        .boxed()
}

fn table() -> impl Strategy<Value = Table> {
    let state = prop::sample::select(vec![StateType::Flag, StateType::Count, StateType::Wide, StateType::Packed]);
    let direction = prop::sample::select(vec![Direction::Ascending, Direction::Descending]);
    (
        prop::collection::vec(scalar(), 0..3),
        prop::collection::vec((scalar(), direction), 0..4),
        prop::collection::vec(any_type(), 0..4),
        prop::collection::vec(state, 0..3),
    )
        .prop_filter("a table has columns", |(partition, clustering, others, _)| {
            partition.len() + clustering.len() + others.len() > 0
        })
        .prop_map(|(partition, clustering, others, state)| {
            let types = partition.iter().chain(clustering.iter().map(|(ty, _)| ty)).chain(&others);
            let column = |(i, ty): (usize, &Type)| Column {
                name: format!("c{i}"),
                ty: FieldType::nullable(ty.clone()),
                doc: None,
            };
            Table {
                // Words that SQL reserves are names like any other.
                name: "select".to_owned(),
                doc: None,
                columns: types.enumerate().map(column).collect(),
                partition: partition.len(),
                clustering: clustering.iter().map(|(_, direction)| *direction).collect(),
                state: state.into_iter().enumerate().map(|(i, ty)| StateColumn { name: format!("s{i}"), ty }).collect(),
                fed: Feeding::ByOne,
                retain: None,
            }
        })
}

/// One change: to which of the pool's values of each key column, and what.
#[derive(Clone, Debug)]
enum Change {
    Put { others: Vec<Value>, state: Vec<Value>, hidden: bool },
    Delete,
}

#[derive(Clone, Debug)]
struct Script {
    table: Table,
    /// By key column: the few values that keys are made of.
    pool: Vec<Vec<Value>>,
    flushes: Vec<Vec<(Vec<Index>, Change)>>,
    /// Partitions that go first, by flush.
    partitions: Vec<Option<Vec<Index>>>,
    /// Dates and instants are of any year, which not every store takes.
    any_instant: bool,
}

fn script() -> impl Strategy<Value = Script> {
    table().prop_flat_map(|table| {
        let keys = &table.columns[..table.key_len()];
        let pool: Vec<_> = keys.iter().map(|column| prop::collection::vec(key_value(&column.ty.ty), 1..4)).collect();
        let others: Vec<_> = table.columns[table.key_len()..].iter().map(|column| cell(&column.ty.ty)).collect();
        let state: Vec<_> = table.state.iter().map(|column| state_value(column.ty)).collect();
        let put = (others, state, prop::bool::weighted(0.1)).prop_map(|(others, state, hidden)| Change::Put {
            others,
            state,
            hidden,
        });
        let change = prop_oneof![5 => put, 1 => Just(Change::Delete)];
        let key = prop::collection::vec(any::<Index>(), table.key_len());
        let flushes = prop::collection::vec(prop::collection::vec((key, change), 0..24), 1..5);
        let partition = prop::option::weighted(0.3, prop::collection::vec(any::<Index>(), table.partition));
        (Just(table), pool, flushes, prop::collection::vec(partition, 5), prop::bool::weighted(0.3)).prop_map(
            |(table, pool, flushes, partitions, any_instant)| {
                let mut script = Script { table, pool, flushes, partitions, any_instant };
                if !any_instant {
                    script.values().for_each(bring_near);
                }
                script
            },
        )
    })
}

fn state_value(ty: StateType) -> BoxedStrategy<Value> {
    match ty {
        StateType::Flag => any::<bool>().prop_map(Value::Boolean).boxed(),
        StateType::Count => any::<i64>().prop_map(Value::Long).boxed(),
        StateType::Wide => (any::<i128>(), any::<i128>())
            .prop_map(|(high, low)| Value::Wide(Box::new(ethnum::I256::from_words(high, low))))
            .boxed(),
        StateType::Packed => {
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bytes(bytes.into())).boxed()
        }
    }
}

/// Into the years that every store has: from 4713 BC.
fn bring_near(value: &mut Value) {
    match value {
        Value::Date(days) => *days %= 2_440_588,
        Value::Timestamp(micros) => *micros %= 210_866_803_200_000_000,
        _ => {}
    }
}

impl Script {
    /// Every value of a column.
    fn values(&mut self) -> impl Iterator<Item = &mut Value> {
        let others = self.flushes.iter_mut().flatten().flat_map(|(_, change)| match change {
            Change::Put { others, .. } => others.iter_mut(),
            Change::Delete => [].iter_mut(),
        });
        self.pool.iter_mut().flatten().chain(others)
    }

    fn key(&self, indexes: &[Index]) -> Vec<Value> {
        indexes.iter().zip(&self.pool).map(|(index, values)| index.get(values).clone()).collect()
    }

    /// The writes of one flush: at most one change a row, as a fold gives them.
    fn writes(&self, flush: usize) -> ViewWrites {
        let mut writes = ViewWrites::default();
        let position =
            |offset: usize| RowPosition { partition: 3, offset: i64::try_from(flush * 100 + offset).unwrap() };
        if let Some(partition) = &self.partitions[flush] {
            writes.partition_deletes.push((self.key(partition).into(), position(0)));
        }
        let mut seen: Vec<Vec<Value>> = Vec::new();
        for (i, (indexes, change)) in self.flushes[flush].iter().enumerate() {
            let key = self.key(indexes);
            if seen.iter().any(|other| compare_keys(&self.table, other, &key).is_eq()) {
                continue;
            }
            seen.push(key.clone());
            match change.clone() {
                Change::Delete => writes.deletes.push((key.into(), position(i + 1))),
                Change::Put { others, state, hidden } => {
                    let values = [key, others].concat();
                    writes.puts.push(Row { values, state, position: position(i + 1), hidden });
                }
            }
        }
        writes
    }
}

/// NaN is not equal to itself; its text is.
fn shown<T: std::fmt::Debug>(rows: &T) -> String {
    format!("{rows:?}")
}

async fn run(script: Script) {
    let (stores, _kept) = if script.any_instant { embedded_stores().await } else { transactional_stores().await };
    hold(script, &stores).await;
}

async fn hold(script: Script, stores: &[headwater_views::Store]) {
    let table = &script.table;
    let mut oracle = Oracle::default();
    for store in stores {
        store.create(&deployment(std::slice::from_ref(table))).await.unwrap();
    }
    for i in 0..script.flushes.len() {
        let writes = script.writes(i);
        oracle.apply(table, &writes);
        let from = (i > 0).then(|| i64::try_from(i).unwrap());
        for store in stores {
            flush(store, &[step(from, i64::try_from(i).unwrap() + 1)], table, &writes).await.unwrap();
            assert_eq!(shown(&store.table_rows(table, 1, usize::MAX).await.unwrap()), shown(&oracle.rows), "{store:?}");
        }
    }
    for store in stores {
        gets(store, &script, &oracle).await;
        pages(store, &script, &oracle).await;
    }
}

async fn gets(store: &headwater_views::Store, script: &Script, oracle: &Oracle) {
    let mut keys: Vec<Vec<Value>> = script.flushes.iter().flatten().map(|(indexes, _)| script.key(indexes)).collect();
    keys.extend(keys.first().cloned());
    let expected: Vec<_> = keys.iter().map(|key| oracle.get(&script.table, key)).collect();
    let keys: Vec<_> = keys.into_iter().map(Arc::from).collect();
    assert_eq!(shown(&store.get(&script.table, 1, &keys).await.unwrap()), shown(&expected));
    let mut under_way = store.begin(&crate::target(), &[]).await.unwrap();
    let read = under_way.read(&script.table, &keys).await.unwrap();
    let shown_rows: Vec<_> = read.into_iter().map(|row| row.filter(|row| !row.hidden)).collect();
    assert_eq!(shown(&shown_rows), shown(&expected));
}

/// Every partition from its start, and from after every key that its pool can make, whether or not there is such a row.
async fn pages(store: &headwater_views::Store, script: &Script, oracle: &Oracle) {
    let table = &script.table;
    let keys: Vec<Vec<Value>> = script.flushes.iter().flatten().map(|(indexes, _)| script.key(indexes)).collect();
    for (i, key) in keys.iter().enumerate() {
        let (partition, clustering) = key.split_at(table.partition);
        let limit = 1 + i % 5;
        for after in [None, Some(clustering)] {
            let request = PageRequest { partition: partition.to_vec(), after: after.map(<[_]>::to_vec), limit };
            let found = store.page(table, 1, &request).await.unwrap();
            assert_eq!(shown(&found), shown(&oracle.page(table, partition, after, limit)), "{request:?}");
        }
    }
}

/// Cassandra takes no empty bytes as the whole of a partition key.
fn cassandra_takes(script: &Script) -> bool {
    let lone = script.table.partition == 1;
    !lone || script.pool[0].iter().all(|value| !matches!(value, Value::Bytes(bytes) if bytes.is_empty()))
}

proptest! {
    // Its tables take a while to make.
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn cassandra_holds_what_was_written(script in script().prop_filter("refused", cassandra_takes)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (store, _keyspace) = cassandra_store().await;
            hold(script, &[store]).await;
        });
    }
}

proptest! {
    // Shrinking is bounded: each step opens a store.
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn stores_hold_what_was_written(script in script()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(script));
    }
}
