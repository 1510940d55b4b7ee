//! Values at the edges of every type: Postgres holds just what the store in memory holds, or refuses it by name.

use headwater_engine::table::{Direction, Feeding, Row, RowPosition, StateColumn, StateType, Table};
use headwater_schemas::{Decimal, Type, Value};
use headwater_views::{PageRequest, Store, StoreError};
use proptest::prelude::*;

use crate::server::Schema;
use crate::{column, deployment, flush, open};

/// The first day and instant of Postgres, as days and microseconds since 1970.
const FIRST_DAY: i32 = -2_440_588;
const LAST_DAY: i32 = 2_145_042_905;
const FIRST_MICROS: i64 = -210_866_803_200_000_000;

fn table() -> Table {
    Table {
        name: "extremes".to_owned(),
        doc: None,
        columns: vec![
            column("k", Type::Int),
            column("day", Type::Date),
            column("at", Type::TimestampMicros),
            column("ms", Type::TimestampMillis),
            column("most", Type::Decimal { precision: 38, scale: 38 }),
            column("whole", Type::Decimal { precision: 38, scale: 0 }),
            column("x", Type::Double),
            column("y", Type::Float),
            column("n", Type::Long),
        ],
        partition: 1,
        clustering: vec![Direction::Descending, Direction::Ascending],
        state: vec![StateColumn { name: "w".to_owned(), ty: StateType::Wide }],
        fed: Feeding::ByOne,
        retain: None,
    }
}

fn days() -> impl Strategy<Value = i32> {
    let edges = [i32::MIN, FIRST_DAY - 1, FIRST_DAY, -1, 0, LAST_DAY, LAST_DAY + 1, i32::MAX];
    prop_oneof![prop::sample::select(edges.to_vec()), any::<i32>(), FIRST_DAY..=3_000_000]
}

fn micros() -> impl Strategy<Value = i64> {
    let edges = [i64::MIN, FIRST_MICROS - 1, FIRST_MICROS, -1, 0, i64::MAX];
    prop_oneof![prop::sample::select(edges.to_vec()), any::<i64>()]
}

fn decimal(scale: u8) -> impl Strategy<Value = Value> {
    let most = 10i128.pow(38) - 1;
    let edges = [-most, -1, 0, 1, most, 10_000, 9_999, 10i128.pow(37)];
    prop_oneof![prop::sample::select(edges.to_vec()), -most..=most]
        .prop_map(move |unscaled| Value::Decimal(Decimal { unscaled, scale }))
}

fn row() -> impl Strategy<Value = Row> {
    let wide = prop_oneof![
        Just(ethnum::I256::MIN),
        Just(ethnum::I256::MAX),
        any::<(i128, i128)>().prop_map(|(high, low)| ethnum::I256::from_words(high, low))
    ];
    let x = prop_oneof![Just(f64::NAN), Just(-0.0), Just(f64::MIN_POSITIVE / 8.0), Just(f64::INFINITY), any::<f64>()];
    let y = any::<u32>().prop_map(f32::from_bits);
    let instants = (days(), micros(), micros().prop_map(|micros| micros / 1000 * 1000));
    (0..3i64, instants, decimal(38), decimal(0), x, y, any::<i64>(), wide).prop_map(
        |(k, (day, at, ms), most, whole, x, y, n, wide)| Row {
            values: vec![
                Value::Long(k),
                Value::Date(day),
                Value::Timestamp(at),
                Value::Timestamp(ms),
                most,
                whole,
                Value::Double(x),
                Value::Float(y),
                Value::Long(n),
            ],
            state: vec![Value::Wide(Box::new(wide))],
            position: RowPosition { partition: i32::MAX, offset: i64::MAX },
            hidden: false,
        },
    )
}

fn fits(row: &Row) -> bool {
    row.values.iter().all(|value| match value {
        Value::Date(days) => (FIRST_DAY..=LAST_DAY).contains(days),
        Value::Timestamp(micros) => *micros >= FIRST_MICROS,
        _ => true,
    })
}

/// Pages from before, after and between the rows, also from where no row can be.
async fn pages(store: &Store, cursors: &[Row]) -> String {
    let mut shown = String::new();
    for cursor in cursors {
        let after = Some(cursor.values[1..3].to_vec());
        let request = PageRequest { partition: vec![cursor.values[0].clone()], after, limit: 1000 };
        shown += &format!("{:?}\n", store.page(&table(), 1, &request).await.unwrap());
    }
    shown
}

async fn run(rows: Vec<Row>, cursors: Vec<Row>) {
    let schema = Schema::fresh();
    let (postgres, memory) = (open(&schema).await, Store::memory());
    let table = table();
    let mut from = None;
    for store in [&postgres, &memory] {
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    }
    for row in rows {
        let written = flush(&postgres, &table, from, vec![row.clone()]).await;
        if !fits(&row) {
            let Err(StoreError::Refused { position, reason, .. }) = written else { panic!("{row:?}: {written:?}") };
            assert!(position == Some(row.position) && reason.contains("4713 BC"), "{reason}");
            continue;
        }
        written.unwrap();
        flush(&memory, &table, from, vec![row]).await.unwrap();
        from = Some(from.unwrap_or(0) + 1);
    }
    let shown = |rows: Vec<Row>| format!("{rows:?}");
    let (found, expected) = (postgres.table_rows(&table, 1, 999).await, memory.table_rows(&table, 1, 999).await);
    assert_eq!(shown(found.unwrap()), shown(expected.unwrap()));
    assert_eq!(pages(&postgres, &cursors).await, pages(&memory, &cursors).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn extremes_are_held_or_refused_by_name(
        rows in prop::collection::vec(row(), 20..40),
        cursors in prop::collection::vec(row(), 10),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(rows, cursors));
    }
}
