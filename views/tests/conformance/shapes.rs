//! What no store takes: names, tables, rows and keys; and what they make of values that are not canonical.

use std::sync::Arc;

use headwater_engine::table::{Direction, Feeding, Row, RowPosition, StateColumn, StateType, Table, ViewWrites};
use headwater_schemas::{Decimal, FieldType, Type, Value};
use headwater_views::{PageRequest, StoreError};

use crate::{column, deployment, flush, key, puts, step, stores, version, version_key, versions};

#[tokio::test]
async fn tables_that_cannot_be_stored_are_refused() {
    let long = "a".repeat(49);
    let mut cases: Vec<Table> = [
        "",
        "Documents",
        "_own",
        "1st",
        "a b",
        "a\"b",
        "a;b",
        "é",
        "a\0",
        "sqlite_master",
        "documents_g12",
        &long,
        "a-b",
    ]
    .iter()
    .map(|name| Table { name: (*name).to_owned(), ..versions() })
    .collect();
    for name in ["", "_pos", "_s_n", "Name", "a\"); DROP TABLE _claims; --", &long, "doc_id"] {
        let mut table = versions();
        table.columns[2].name = name.to_owned();
        cases.push(table);
    }
    let mut nested = versions();
    nested.columns[0].ty = FieldType::required(Type::Array(Arc::new(FieldType::required(Type::Long))));
    let mut wide = versions();
    wide.columns.extend((0..1000).map(|i| column(&format!("c{i}"), Type::Long)));
    let mut short = versions();
    short.clustering = vec![Direction::Ascending; 4];
    let mut state = versions();
    state.state.push(StateColumn { name: "n".to_owned(), ty: StateType::Flag });
    let none = Table { columns: vec![], partition: 0, clustering: vec![], ..versions() };
    cases.extend([nested, wide, short, state, none]);
    let (stores, _kept) = stores().await;
    for store in stores {
        for table in &cases {
            let refused = store.create(&deployment(&[versions(), table.clone()])).await;
            assert!(matches!(&refused, Err(StoreError::Declaration { .. })), "{:?}: {refused:?}", table.name);
            assert_eq!(store.active("documents").await.unwrap(), None, "nothing is left of it");
        }
        // Cassandra's names are shorter.
        let longest = Table { name: "a".repeat(if store.keeps_parts() { 40 } else { 48 }), ..versions() };
        let almost = Table { name: "documents_gx1".to_owned(), ..versions() };
        store.create(&deployment(&[longest, almost, versions()])).await.unwrap();
    }
}

fn all_types() -> Table {
    let item = |ty| Arc::new(FieldType::required(ty));
    Table {
        name: "all_types".to_owned(),
        doc: None,
        columns: vec![
            column("k", Type::Double),
            column("i", Type::Int),
            column("d", Type::Decimal { precision: 5, scale: 2 }),
            column("ms", Type::TimestampMillis),
            column("fx", Type::Fixed(2)),
            column("ds", Type::Array(item(Type::Decimal { precision: 3, scale: 1 }))),
            column("m", Type::Map(item(Type::String))),
            column("u", Type::Union(vec![Type::Long, Type::String].into())),
        ],
        partition: 1,
        clustering: vec![],
        state: vec![StateColumn { name: "w".to_owned(), ty: StateType::Wide }],
        fed: Feeding::ByOne,
        retain: None,
    }
}

fn decimal(unscaled: i128, scale: u8) -> Value {
    Value::Decimal(Decimal { unscaled, scale })
}

fn row() -> Row {
    Row {
        values: vec![
            Value::Double(1.0),
            Value::Long(1),
            decimal(100, 2),
            Value::Timestamp(1_000),
            Value::Bytes([0, 1].as_slice().into()),
            Value::Array([].as_slice().into()),
            Value::Map([].as_slice().into()),
            Value::Branch(0, Arc::new(Value::Long(1))),
        ],
        state: vec![Value::Null],
        position: RowPosition { partition: 1, offset: 5 },
        hidden: false,
    }
}

#[tokio::test]
async fn rows_that_do_not_fit_are_refused_alike() {
    let map = |key: &str, value: &str| Value::Map([(Arc::from(key), Value::string(value))].as_slice().into());
    let cases = [
        (0, Value::Null),
        (0, Value::Double(f64::NAN)),
        (0, Value::Float(1.0)),
        (1, Value::Long(i64::from(i32::MAX) + 1)),
        (1, Value::Boolean(true)),
        (2, decimal(100_000, 2)),
        (2, decimal(1_001, 3)),
        (2, decimal(i128::MAX, 0)),
        (3, Value::Timestamp(1_001)),
        (3, Value::Date(1)),
        (4, Value::Bytes([0].as_slice().into())),
        (5, Value::Array([decimal(1_000, 1)].as_slice().into())),
        (5, Value::Array([Value::Long(1)].as_slice().into())),
        (6, map("a\0", "b")),
        (6, map("a", "\0")),
        (7, Value::Branch(2, Arc::new(Value::Long(1)))),
        (7, Value::Branch(0, Arc::new(Value::string("a")))),
        (7, Value::Branch(0, Arc::new(Value::Null))),
        (7, Value::Long(1)),
    ];
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = all_types();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        flush(&store, &[step(None, 1)], &table, &puts(vec![row()])).await.unwrap();
        for (i, value) in &cases {
            let mut bad = row();
            bad.values[*i] = value.clone();
            let refused = flush(&store, &[step(Some(1), 2)], &table, &puts(vec![bad])).await;
            let Err(StoreError::Refused { position, reason, .. }) = refused else { panic!("{value:?}: {refused:?}") };
            assert_eq!(position, Some(row().position));
            assert!(reason.contains(&table.columns[*i].name), "{reason} names the column");
        }
        let mut short = row();
        short.values.pop();
        let mut state = row();
        state.state = vec![Value::Long(1)];
        for bad in [short, state] {
            let refused = flush(&store, &[step(Some(1), 2)], &table, &puts(vec![bad])).await;
            assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
        }
        let deletes = ViewWrites { deletes: vec![(key(&[Value::Null]), row().position)], ..ViewWrites::default() };
        let refused = flush(&store, &[step(Some(1), 2)], &table, &deletes).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
        assert_eq!(store.table_rows(&table, 1, 9).await.unwrap(), vec![row()]);
    }
}

#[tokio::test]
async fn values_are_stored_in_one_form() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = all_types();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let mut given = row();
        given.values[0] = Value::Double(-0.0);
        given.values[2] = decimal(5, 0);
        given.values[5] = Value::Array([decimal(7, 1), decimal(700, 2)].as_slice().into());
        flush(&store, &[step(None, 1)], &table, &puts(vec![given])).await.unwrap();
        let found = store.get(&table, 1, &[key(&[Value::Double(-0.0)]), key(&[Value::Double(0.0)])]).await.unwrap();
        let row = found[0].clone().unwrap();
        assert_eq!(format!("{:?}", row.values[0]), "Double(0.0)");
        assert_eq!(row.values[2], decimal(500, 2));
        assert_eq!(row.values[5], Value::Array([decimal(7, 1), decimal(70, 1)].as_slice().into()));
        assert_eq!(found[0], found[1]);
    }
}

#[tokio::test]
async fn packed_state_comes_back_byte_for_byte() {
    let states: [Vec<u8>; 4] = [vec![], vec![0], (0..=255).collect(), vec![0xff; 1 << 20]];
    let (stores, _kept) = stores().await;
    for store in stores {
        let packed = StateColumn { name: "p".repeat(60), ty: StateType::Packed };
        let table = Table { state: vec![packed], ..versions() };
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let row = |(n, state): (i64, &Vec<u8>)| Row {
            state: vec![Value::Bytes(state.as_slice().into())],
            ..version("d", n, "a")
        };
        let mut rows: Vec<Row> = (1..).zip(&states).map(row).collect();
        flush(&store, &[step(None, 1)], &table, &puts(rows.clone())).await.unwrap();
        let mut found = store.table_rows(&table, 1, 9).await.unwrap();
        // Which way round the table keeps them is another test's.
        found.sort_by(|a, b| format!("{:?}", a.values).cmp(&format!("{:?}", b.values)));
        rows.sort_by(|a, b| format!("{:?}", a.values).cmp(&format!("{:?}", b.values)));
        assert!(found == rows, "{:?}", found.iter().map(|row| &row.values).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_nests_too_deep_is_refused_and_what_does_not_comes_back() {
    let nest = |levels: usize| {
        (0..levels).fold((Type::Long, Value::Long(7)), |(ty, value), _| {
            (Type::Array(Arc::new(FieldType::required(ty))), Value::Array([value].as_slice().into()))
        })
    };
    let (stores, _kept) = stores().await;
    for store in stores {
        let tables: Vec<Table> = [60, 61]
            .iter()
            .map(|levels| Table {
                name: format!("deep{levels}"),
                columns: vec![column("k", Type::Long), column("v", nest(*levels).0)],
                clustering: vec![],
                state: vec![],
                ..versions()
            })
            .collect();
        store.create(&deployment(&tables)).await.unwrap();
        let row = |levels| Row { values: vec![Value::Long(1), nest(levels).1], state: vec![], ..version("d", 1, "") };
        flush(&store, &[step(None, 1)], &tables[0], &puts(vec![row(60)])).await.unwrap();
        assert_eq!(store.table_rows(&tables[0], 1, 1).await.unwrap(), vec![row(60)]);
        let refused = flush(&store, &[step(Some(1), 2)], &tables[1], &puts(vec![row(61)])).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn keys_that_no_row_can_have_find_nothing() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        flush(&store, &[step(None, 1)], &table, &puts(vec![version("d", 1, "a")])).await.unwrap();
        let null = key(&[Value::Null, Value::Long(1)]);
        let keys = [version_key("d\0", 1), version_key("d", 1), null, version_key("' OR '1'='1", 1)];
        assert_eq!(store.get(&table, 1, &keys).await.unwrap(), vec![None, Some(version("d", 1, "a")), None, None]);
        let page = |partition: Vec<Value>, after: Option<Vec<Value>>| PageRequest { partition, after, limit: 9 };
        let none = [page(vec![Value::string("\0")], None), page(vec![Value::string("d")], Some(vec![Value::Null]))];
        for request in none {
            assert_eq!(store.page(&table, 1, &request).await.unwrap(), vec![]);
        }
        let mismatched = [
            page(vec![], None),
            page(vec![Value::Long(1)], None),
            page(vec![Value::string("d")], Some(vec![])),
            page(vec![Value::string("d")], Some(vec![Value::string("1")])),
        ];
        for request in mismatched {
            let refused = store.page(&table, 1, &request).await;
            assert!(matches!(refused, Err(StoreError::KeyMismatch { .. })), "{request:?}: {refused:?}");
        }
        let refused = store.get(&table, 1, &[key(&[Value::string("d")])]).await;
        assert!(matches!(refused, Err(StoreError::KeyMismatch { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn hostile_text_comes_back_byte_for_byte() {
    let texts = [
        "",
        " ",
        "'",
        "\"",
        "`; DROP TABLE versions_g1; --",
        "\\",
        "%_?",
        "\u{1}\u{7f}\u{85}",
        "é\u{301}",
        "\u{feff}🦀\u{202e}",
        "NaN",
        "null",
        "0123",
        "1e5",
        "x'00'",
        "$1",
        ":name",
        "@p",
    ];
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = versions();
        let mut hostile = deployment(std::slice::from_ref(&table));
        hostile.declaration = texts.join("\n");
        store.create(&hostile).await.unwrap();
        assert_eq!(store.active("documents").await.unwrap().unwrap().declaration, hostile.declaration);
        let rows: Vec<Row> = texts.iter().map(|text| version(text, 1, text)).collect();
        flush(&store, &[step(None, 1)], &table, &puts(rows.clone())).await.unwrap();
        let keys: Vec<_> = texts.iter().map(|text| version_key(text, 1)).collect();
        let found: Vec<Row> = store.get(&table, 1, &keys).await.unwrap().into_iter().flatten().collect();
        assert_eq!(found, rows);
        let big = "🦀".repeat(2_000_000);
        let rows = vec![version("big", 1, &big), version("big", 2, &big)];
        flush(&store, &[step(Some(1), 2)], &table, &puts(rows.clone())).await.unwrap();
        let keys = [version_key("big", 1), version_key("big", 2)];
        let found: Vec<Row> = store.get(&table, 1, &keys).await.unwrap().into_iter().flatten().collect();
        assert!(found == rows);
    }
}

/// A record that holds records of its own kind, as far down as data goes.
#[tokio::test]
async fn trees_come_back_as_they_were() {
    let schema = headwater_schemas::Schema::parse(
        r#"{"type": "record", "name": "Tree", "fields": [
            {"name": "name", "type": "string"},
            {"name": "children", "type": {"type": "array", "items": "Tree"}},
            {"name": "twin", "type": ["null", "Tree"]}
        ]}"#,
        &[],
    );
    let tree = |name: &str, children: Vec<Value>, twin: Value| {
        Value::Record([Value::string(name), Value::Array(children.into()), twin].as_slice().into())
    };
    let leaf = || tree("leaf", vec![], Value::Null);
    let root = tree("root", vec![leaf(), tree("branch", vec![leaf()], leaf())], leaf());
    let deep = (0..40).fold(leaf(), |below, _| tree("deep", vec![below], Value::Null));
    let (stores, _kept) = stores().await;
    let ty = Type::Record(schema.unwrap().record);
    for store in stores {
        let table = Table {
            name: "trees".to_owned(),
            columns: vec![column("k", Type::Long), column("v", ty.clone())],
            clustering: vec![],
            state: vec![],
            ..versions()
        };
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let row = Row { values: vec![Value::Long(1), root.clone()], state: vec![], ..version("d", 1, "") };
        flush(&store, &[step(None, 1)], &table, &puts(vec![row.clone()])).await.unwrap();
        assert_eq!(store.table_rows(&table, 1, 1).await.unwrap(), vec![row.clone()]);
        let bottomless = Row { values: vec![Value::Long(2), deep.clone()], ..row };
        let refused = flush(&store, &[step(Some(1), 2)], &table, &puts(vec![bottomless])).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }
}
