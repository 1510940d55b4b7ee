//! The tables that people look into, what they refuse, and how they are read.

use std::sync::Arc;

use headwater_engine::table::{Direction, Feeding, Merge, Merged, Row, RowPosition, StateColumn, StateType, Table};
use headwater_schemas::{Decimal, FieldType, Type, Value};
use headwater_views::StoreError;
use sqlx::Row as _;

use crate::server::Schema;
use crate::{by_hand, column, deployment, execute, flush, next, open, total, totals};

fn typed() -> Table {
    let item = Arc::new(FieldType::required(Type::Long));
    let mut columns = vec![
        column("select", Type::String),
        column("price", Type::Decimal { precision: 5, scale: 2 }),
        column("day", Type::Date),
        column("at", Type::TimestampMillis),
        column("weight", Type::Double),
        column("sizes", Type::Array(item)),
        column("id", Type::Uuid),
    ];
    columns[1].doc = Some("it's \"net\" \\ $$; DROP SCHEMA x; --\0".to_owned());
    Table {
        name: "order".to_owned(),
        doc: Some("What's sold.".to_owned()),
        columns,
        partition: 1,
        clustering: vec![Direction::Descending],
        state: vec![],
        fed: Feeding::ByOne,
        retain: None,
    }
}

fn sold(cents: i128) -> Row {
    Row {
        values: vec![
            Value::string("it's"),
            Value::Decimal(Decimal { unscaled: cents, scale: 2 }),
            Value::Date(0),
            Value::Timestamp(1_000),
            Value::Double(f64::NAN),
            Value::Array([Value::Long(7)].as_slice().into()),
            Value::Uuid([1; 16]),
        ],
        state: vec![],
        position: RowPosition { partition: 4, offset: 9 },
        hidden: false,
    }
}

#[tokio::test]
async fn the_plain_name_shows_what_people_read() {
    let schema = Schema::fresh();
    let store = open(&schema).await;
    let table = typed();
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let cents = [-99_999, -1_234, -5, 0, 7, 1_234, 99_999];
    let mut rows: Vec<Row> = cents.iter().map(|cents| sold(*cents)).collect();
    rows.push(Row { hidden: true, ..sold(55) });
    flush(&store, &table, None, rows).await.unwrap();

    let mut connection = by_hand(&schema).await;
    let sql = "SELECT \"select\", price::text, day::text, at AT TIME ZONE 'UTC' = '1970-01-01 00:00:00.001', \
               weight::text, sizes->>0, id::text FROM \"order\" ORDER BY \"order\".price";
    let found = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    let prices: Vec<String> = found.iter().map(|row| row.get(1)).collect();
    assert_eq!(prices, ["-999.99", "-12.34", "-0.05", "0.00", "0.07", "12.34", "999.99"]);
    let row = &found[0];
    assert_eq!((row.get(0), row.get(2), row.get(3)), ("it's", "1970-01-01", true));
    assert_eq!((row.get(4), row.get(5), row.get(6)), ("NaN", "7", "01010101-0101-0101-0101-010101010101"));

    let named = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) \
                 FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0";
    let columns = |name| sqlx::query_scalar::<_, String>(named).bind(name);
    let shown = "select text, price numeric(5,2), day date, at timestamp with time zone, weight double precision, \
                 sizes jsonb, id uuid";
    assert_eq!(columns("\"order\"").fetch_one(&mut connection).await.unwrap(), shown);
    let kept = columns("order_g1").fetch_one(&mut connection).await.unwrap();
    assert_eq!(kept, format!("{shown}, _pos bigint, _part integer"));
    for name in ["\"order\"", "order_g1"] {
        let said: (String, String) =
            sqlx::query_as("SELECT obj_description($1::regclass), col_description($1::regclass, 2)")
                .bind(name)
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(said.0, "What's sold.\nView order of topology shop, generation 1.");
        assert_eq!(said.1, "it's \"net\" \\ $$; DROP SCHEMA x; --");
    }
}

#[tokio::test]
async fn the_plain_name_leaves_out_what_no_topic_has_made() {
    let schema = Schema::fresh();
    let store = open(&schema).await;
    let merge = Merge { columns: vec![Merged::Count], rows: None, always: false, shown: Some(0) };
    let state = vec![StateColumn { name: "_made".to_owned(), ty: StateType::Flag }];
    let table = Table { state, fed: Feeding::ByMany(merge), ..totals(false) };
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let row = |name: &str, made| Row { state: vec![Value::Boolean(made)], ..total(name, 1) };
    flush(&store, &table, None, vec![row("a", false), row("b", true)]).await.unwrap();
    let mut connection = by_hand(&schema).await;
    let shown: Vec<String> = sqlx::query_scalar("SELECT name FROM totals").fetch_all(&mut connection).await.unwrap();
    assert_eq!(shown, ["b"]);
}

#[tokio::test]
async fn a_refusal_of_the_server_names_the_row() {
    let schema = Schema::fresh();
    let store = open(&schema).await;
    let table = totals(false);
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let mut connection = by_hand(&schema).await;
    execute(&mut connection, "ALTER TABLE totals_g1 ADD CONSTRAINT small CHECK (n < 1000)").await;
    // Hardly compressible, and longer than an index takes.
    let mut state = 7u32;
    let long = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((state >> 24) % 26).unwrap())
    });
    let long: String = long.take(20_000).collect();
    let rows = |bad: Option<Row>| {
        let mut rows: Vec<Row> = (0..99).map(|n| total(&format!("{n}"), n)).collect();
        rows.splice(77..77, bad);
        rows
    };
    let shown = format!("shop=\"s\", name=\"{}…", &long[..59]);
    let cases = [(total("bad", 1234), "shop=\"s\", name=\"bad\"", "small"), (total(&long, 5), &shown, "index")];
    for (bad, expected, because) in cases {
        let refused = flush(&store, &table, None, rows(Some(bad.clone()))).await;
        let Err(StoreError::Refused { view, key, position, by_shape, reason }) = refused else { panic!("{refused:?}") };
        assert!(!by_shape, "{reason}");
        assert_eq!((view.as_str(), key.as_str(), position), ("totals", expected, Some(bad.position)));
        assert!(reason.contains(because), "{reason}");
        assert_eq!(next(&store, 0).await, None);
    }
    flush(&store, &table, None, rows(None)).await.unwrap();
    assert_eq!(store.table_rows(&table, 1, 999).await.unwrap().len(), 99);
}

#[tokio::test]
async fn what_people_made_is_in_the_way_and_says_so() {
    let schema = Schema::fresh();
    let store = open(&schema).await;
    let table = totals(false);
    let mut connection = by_hand(&schema).await;
    execute(&mut connection, "CREATE TABLE totals ()").await;
    let taken = store.create(&deployment(std::slice::from_ref(&table))).await.unwrap_err();
    let StoreError::Declaration { view, reason } = &taken else { panic!("{taken:?}") };
    assert!(view == "totals" && reason.contains("not a view"), "{reason}");
    assert_eq!(store.active("shop").await.unwrap(), None);
    execute(&mut connection, "DROP TABLE totals").await;
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    execute(&mut connection, "CREATE VIEW mine AS SELECT * FROM totals").await;
    let used = store.reset("shop").await.unwrap_err();
    let StoreError::Declaration { reason, .. } = &used else { panic!("{used:?}") };
    assert!(reason.contains("drop what was made on top"), "{reason}");
    flush(&store, &table, None, vec![total("a", 1)]).await.unwrap();
    execute(&mut connection, "DROP VIEW mine").await;
    assert_eq!(store.reset("shop").await.unwrap(), 2);

    let keys = (0..33).map(|i| column(&format!("k{i}"), Type::Long)).collect();
    let wide = Table { name: "wide".to_owned(), columns: keys, partition: 33, clustering: vec![], ..totals(false) };
    let refused = store.create(&crate::Deployment { generation: 2, ..deployment(&[wide]) }).await;
    assert!(matches!(refused, Err(StoreError::Declaration { .. })), "{refused:?}");
}

#[tokio::test]
async fn as_many_columns_as_a_table_may_have_are_written_at_once() {
    let schema = Schema::fresh();
    let store = open(&schema).await;
    let columns: Vec<_> = (0..1000).map(|i| column(&format!("c{i}"), Type::Boolean)).collect();
    let table = Table { name: "wide".to_owned(), columns, partition: 5, clustering: vec![], ..totals(false) };
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let rows: Vec<Row> = (0..20u32)
        .map(|n| Row { values: (0..1000).map(|i| Value::Boolean(n >> i.min(4) & 1 == 1)).collect(), ..total("", 0) })
        .collect();
    flush(&store, &table, None, rows).await.unwrap();
    assert_eq!(store.table_rows(&table, 1, 999).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_damaged_row_says_where() {
    let schema = Schema::fresh();
    let store = open(&schema).await;
    let table = typed();
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let mut connection = by_hand(&schema).await;
    for (from, damage, place) in [
        (None, "ALTER TABLE order_g1 ALTER price TYPE numeric; UPDATE order_g1 SET price = 1.234", "price"),
        (Some(1), "UPDATE order_g1 SET day = 'infinity'", "day"),
        (Some(2), "UPDATE order_g1 SET at = '2000-01-01 00:00:00.000001Z'", "at"),
        (Some(3), "UPDATE order_g1 SET sizes = '[\"x\"]'", "sizes"),
    ] {
        execute(&mut connection, "DROP VIEW IF EXISTS \"order\"; DELETE FROM order_g1").await;
        flush(&store, &table, from, vec![sold(1)]).await.unwrap();
        execute(&mut connection, damage).await;
        let found = store.table_rows(&table, 1, 9).await;
        let Err(StoreError::Corrupt { place: found, .. }) = found else { panic!("{found:?}") };
        assert_eq!(found, format!("order_g1.{place}"));
    }
}
