//! Rows that several topics feed: none is shown before the topic that makes it has, and the fold sees them all the same.

use headwater_engine::table::{
    Column, Direction, Feeding, Merge, Merged, Row, RowPosition, StateColumn, StateType, Table,
};
use headwater_schemas::{FieldType, Type, Value};
use headwater_views::{PageRequest, Store};

use crate::{cassandra_store, column, deployment, flush, key, puts, step, transactional_stores};

/// `people(town, n; name, visits)`: the name is what the second topic says, which makes the row.
fn people() -> Table {
    let columns = vec![Merged::Of { topic: 1 }, Merged::Count];
    let flag = |name: &str| StateColumn { name: name.to_owned(), ty: StateType::Flag };
    Table {
        name: "people".to_owned(),
        doc: None,
        columns: vec![
            column("town", Type::String),
            column("n", Type::Long),
            Column { ty: FieldType::nullable(Type::String), ..column("name", Type::String) },
            column("visits", Type::Long),
        ],
        partition: 1,
        clustering: vec![Direction::Descending],
        state: vec![flag("_made"), flag("_beside")],
        fed: Feeding::ByMany(Merge { columns, rows: None, always: false, shown: Some(0) }),
        retain: None,
    }
}

fn person(n: i64, made: bool) -> Row {
    let name = if made { Value::string(format!("p{n}")) } else { Value::Null };
    Row {
        values: vec![Value::string("bern"), Value::Long(n), name, Value::Long(n)],
        state: vec![Value::Boolean(made), Value::Boolean(true)],
        position: RowPosition { partition: 0, offset: n },
        hidden: false,
    }
}

fn numbers(rows: &[Row]) -> Vec<i64> {
    let number = |row: &Row| match &row.values[1] {
        Value::Long(n) => *n,
        other => panic!("{other:?} is no number"),
    };
    rows.iter().map(number).collect()
}

async fn pages(store: &Store, table: &Table, limit: usize) -> Vec<i64> {
    let mut found: Vec<i64> = Vec::new();
    let mut after = None;
    loop {
        let request = PageRequest { partition: vec![Value::string("bern")], after, limit };
        let page = store.page(table, 1, &request).await.unwrap();
        found.extend(numbers(&page));
        match page.last() {
            Some(last) if page.len() == limit => after = Some(vec![last.values[1].clone()]),
            _ => return found,
        }
    }
}

#[tokio::test]
async fn what_is_not_made_is_seen_by_the_fold_alone() {
    let table = people();
    let made = |n: i64| n % 5 == 2;
    let rows: Vec<Row> = (0..100).map(|n| person(n, made(n))).collect();
    let keys: Vec<_> = rows.iter().map(|row| key(row.key(&table))).collect();
    let expected: Vec<i64> = (0..100).rev().filter(|&n| made(n)).collect();
    let (stores, _kept) = transactional_stores().await;
    for store in stores {
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        flush(&store, &[step(None, 1)], &table, &puts(rows.clone())).await.unwrap();
        for limit in [1, 3, 20, 1000] {
            assert_eq!(pages(&store, &table, limit).await, expected, "{store:?}, {limit} at once");
        }
        assert_eq!(numbers(&store.table_rows(&table, 1, 7).await.unwrap()), expected[..7], "{store:?}");
        let found = store.get(&table, 1, &keys).await.unwrap();
        assert!(found.iter().zip(0..).all(|(row, n)| row.is_some() == made(n)), "{store:?}");
        let mut under_way = store.begin(&crate::target(), &[step(Some(1), 2)]).await.unwrap();
        assert!(under_way.read(&table, &keys).await.unwrap().iter().all(Option::is_some), "{store:?}");
        under_way.abandon().await;
    }
}

/// A topic's part of a person: the topic, by the view's, and the partition in one number.
fn part((topic, partition): (i64, i64), n: i64, said: (Value, i64)) -> Row {
    let source = topic * (1 << 24) + partition;
    let flags = [topic == 1, topic != 1].map(Value::Boolean);
    Row {
        values: vec![
            Value::string("bern"),
            Value::Long(n),
            Value::Long(source),
            Value::Bytes([].into()),
            said.0,
            Value::Long(said.1),
        ],
        state: flags.to_vec(),
        position: RowPosition { partition: source as i32, offset: n },
        hidden: false,
    }
}

#[tokio::test]
async fn parts_of_topics_make_a_row_where_there_are_no_transactions() {
    let table = people();
    let parts = table.in_parts().unwrap();
    let (store, _keyspace) = cassandra_store().await;
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let named = |name: &str| (Value::string(name), 0);
    let visited = |visits: i64| (Value::Null, visits);
    let rows = vec![
        // The same partition of either topic: two parts.
        part((0, 3), 1, visited(4)),
        part((1, 3), 1, named("ann")),
        part((0, 4), 1, visited(2)),
        part((0, 3), 2, visited(9)),
        part((1, 0), 3, named("bob")),
    ];
    flush(&store, &[step(None, 1)], &parts, &puts(rows)).await.unwrap();
    let shown = |rows: Vec<Row>| rows.iter().map(|row| row.values[1..].to_vec()).collect::<Vec<_>>();
    let ann = vec![Value::Long(1), Value::string("ann"), Value::Long(6)];
    let bob = vec![Value::Long(3), Value::string("bob"), Value::Long(0)];
    let all = shown(store.table_rows(&table, 1, 9).await.unwrap());
    assert_eq!(all, [bob.clone(), ann.clone()], "nobody has made the second");
    assert_eq!(pages(&store, &table, 1).await, [3, 1]);
    let keys = [1, 2].map(|n| key(&[Value::string("bern"), Value::Long(n)]));
    let found = store.get(&table, 1, &keys).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
}
