//! The row that every expression is over: two columns a type, the second of which may be null. Values are drawn from the
//! edges of their types as often as from within.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_engine::expr::{Binding, Scope};
use headwater_schemas::{Decimal, EnumType, FieldType, Type, Value, ValueRef};
use proptest::prelude::*;

/// Name, Postgres's type, and whether it may be null.
const COLUMNS: [(&str, &str, bool); 28] = [
    ("i", "integer", false),
    ("ni", "integer", true),
    ("l", "bigint", false),
    ("nl", "bigint", true),
    ("f", "real", false),
    ("nf", "real", true),
    ("d", "double precision", false),
    ("nd", "double precision", true),
    ("p", "numeric(10,2)", false),
    ("np", "numeric(10,2)", true),
    ("q", "numeric(24,6)", false),
    ("nq", "numeric(24,6)", true),
    ("s", "text", false),
    ("ns", "text", true),
    ("t", "text", false),
    ("status", "text", false),
    ("b", "boolean", false),
    ("nb", "boolean", true),
    ("u", "uuid", false),
    ("nu", "uuid", true),
    ("raw", "bytea", false),
    ("day", "date", false),
    ("nday", "date", true),
    ("at", "timestamptz", false),
    ("nat", "timestamptz", true),
    ("ms", "timestamptz", false),
    ("tags", "text[]", false),
    ("sizes", "integer[]", true),
];

pub(crate) type Row = Vec<Value>;

/// The columns, to the engine.
pub(crate) struct Columns;

fn column_type(name: &str) -> Type {
    match name.strip_prefix('n').unwrap_or(name) {
        "i" => Type::Int,
        "l" => Type::Long,
        "f" => Type::Float,
        "d" => Type::Double,
        "p" => Type::Decimal { precision: 10, scale: 2 },
        "q" => Type::Decimal { precision: 24, scale: 6 },
        "b" => Type::Boolean,
        "u" => Type::Uuid,
        "raw" => Type::Bytes,
        "day" => Type::Date,
        "at" => Type::TimestampMicros,
        "ms" => Type::TimestampMillis,
        "tags" => Type::Array(Arc::new(FieldType::nullable(Type::String))),
        "sizes" => Type::Array(Arc::new(FieldType::nullable(Type::Int))),
        "status" => Type::Enum(Arc::new(EnumType {
            name: "Status".to_owned(),
            aliases: vec![],
            symbols: ["placed", "shipped", "cancelled"].map(str::to_owned).to_vec(),
            default: None,
        })),
        _ => Type::String,
    }
}

impl Scope for Columns {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        let slot = COLUMNS.iter().position(|(name, ..)| *name == path[0])?;
        let (name, _, nullable) = COLUMNS[slot];
        Some(Binding { slot, ty: FieldType { ty: column_type(name), nullable }, used: 1 })
    }

    fn names(&self) -> Vec<String> {
        COLUMNS.map(|(name, ..)| name.to_owned()).to_vec()
    }
}

/// The columns, to Postgres: of a table `sample` with a number for each row.
pub(crate) fn create_table() -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, ty, _)| format!("{name} {ty}")).collect();
    format!("create temp table sample (row_number integer primary key, {})", columns.join(", "))
}

pub(crate) fn insert(rows: &[Row]) -> String {
    let row = |(number, row): (usize, &Row)| {
        let typed = |(value, (_, ty, _)): (&Value, &(&str, &str, bool))| match value {
            // An empty one does not say.
            Value::Array(_) => format!("{}::{ty}", literal(value)),
            value => literal(value),
        };
        let values: Vec<String> = row.iter().zip(&COLUMNS).map(typed).collect();
        format!("({number}, {})", values.join(", "))
    };
    let rows: Vec<String> = rows.iter().enumerate().map(row).collect();
    format!("insert into sample values {}", rows.join(", "))
}

fn literal(value: &Value) -> String {
    let text = match value {
        Value::Null => return "null".to_owned(),
        Value::Boolean(b) => b.to_string(),
        Value::Long(n) => n.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Double(x) => x.to_string(),
        Value::Decimal(d) => {
            let unscaled = d.unscaled;
            format!("{unscaled}e-{}", d.scale)
        }
        Value::String(text) => text.replace('\'', "''"),
        Value::Uuid(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::Bytes(bytes) => {
            format!("\\x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Value::Array(items) => return format!("array[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        // Postgres adds both up itself: neither side's reading of dates is under test here.
        Value::Date(days) => return format!("date '1970-01-01' + {days}"),
        Value::Timestamp(micros) => {
            let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
            return format!(
                "timestamptz '1970-01-01 00:00:00Z' + interval '{} hours {} seconds {rest} microseconds'",
                seconds / 3600,
                seconds % 3600,
            );
        }
        other => panic!("no column holds {other:?}"),
    };
    format!("'{text}'")
}

/// The row's values that an expression reads, for whoever looks at a failure.
pub(crate) fn shown(row: &Row, slots: &[usize]) -> String {
    let one = |slot: &usize| format!("{} = {}", COLUMNS[*slot].0, literal(&row[*slot]));
    slots.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(crate) fn slots<'a>(row: &'a Row, bump: &'a Bump) -> Vec<ValueRef<'a>> {
    row.iter().map(|value| value.borrow(bump)).collect()
}

/// Days from 0001-01-01 to 9999-12-31.
const DAYS: std::ops::Range<i32> = -719_162..2_932_896;

pub(crate) fn row() -> impl Strategy<Value = Row> {
    COLUMNS
        .map(|(name, _, nullable)| {
            let value = value(name);
            if nullable { prop_oneof![3 => value, 1 => Just(Value::Null)].boxed() } else { value }
        })
        .to_vec()
}

/// A row without surprises; what may be null is.
pub(crate) fn plain() -> Row {
    COLUMNS
        .map(|(name, _, nullable)| match name {
            _ if nullable => Value::Null,
            "i" | "l" => Value::Long(7),
            "f" => Value::Float(1.5),
            "d" => Value::Double(2.5),
            "p" => Value::Decimal(Decimal { unscaled: 1_250, scale: 2 }),
            "q" => Value::Decimal(Decimal { unscaled: 1_250_000, scale: 6 }),
            "s" => Value::string("Hello"),
            "t" => Value::string("\\"),
            "status" => Value::string("placed"),
            "b" => Value::Boolean(true),
            "u" => Value::Uuid([0xab; 16]),
            "raw" => Value::Bytes([1, 2].into()),
            "tags" => Value::Array([Value::string("a")].into()),
            "day" => Value::Date(20_527),
            _ => Value::Timestamp(1_773_582_330_123_000),
        })
        .to_vec()
}

fn value(name: &str) -> BoxedStrategy<Value> {
    match name.strip_prefix('n').unwrap_or(name) {
        "i" => int().prop_map(|n| Value::Long(n.into())).boxed(),
        "l" => long().prop_map(Value::Long).boxed(),
        "f" => float().prop_map(Value::Float).boxed(),
        "d" => double().prop_map(Value::Double).boxed(),
        "p" => decimal(10, 2),
        "q" => decimal(24, 6),
        "b" => any::<bool>().prop_map(Value::Boolean).boxed(),
        "u" => prop_oneof![any::<[u8; 16]>(), Just([0; 16])].prop_map(Value::Uuid).boxed(),
        "raw" => prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..3)
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
        "day" => prop_oneof![DAYS, 0..30_000, Just(0)].prop_map(Value::Date).boxed(),
        "at" => instant(1),
        "ms" => instant(1_000),
        "tags" => array(text().prop_map(Value::string)),
        "sizes" => array(int().prop_map(|n| Value::Long(n.into()))),
        "status" => prop::sample::select(&["placed", "shipped", "cancelled"][..]).prop_map(Value::string).boxed(),
        _ => text().prop_map(Value::string).boxed(),
    }
}

fn array(item: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    let item = prop_oneof![3 => item, 1 => Just(Value::Null)];
    prop::collection::vec(item, 0..4).prop_map(|items| Value::Array(items.into())).boxed()
}

fn int() -> impl Strategy<Value = i32> {
    prop_oneof![3 => -9..10, 1 => any::<i32>(), 1 => prop::sample::select(&[i32::MIN, i32::MAX, 0][..])]
}

fn long() -> impl Strategy<Value = i64> {
    let edges = [i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1, (1 << 24) + 1, 2_147_483_648];
    prop_oneof![3 => -9..10i64, 1 => any::<i64>(), 1 => prop::sample::select(edges.to_vec())]
}

fn double() -> impl Strategy<Value = f64> {
    let edges = [
        0.0,
        -0.0,
        0.5,
        -0.5,
        1.5,
        2.5,
        0.1,
        1e15,
        1e14,
        123_456.7,
        1e22,
        1e-5,
        9_007_199_254_740_993.0,
        4_503_599_627_370_497.5,
        1e300,
        -1e300,
        1e-300,
        5e-324,
        f64::MAX,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    prop_oneof![
        2 => (-1_000..1_000i32).prop_map(|n| f64::from(n) / 8.0),
        1 => any::<f64>(),
        1 => prop::sample::select(edges.to_vec()),
    ]
}

fn float() -> impl Strategy<Value = f32> {
    let edges = [0.0, -0.0, 0.1, 2.5, 1e6, 123_456.0, 1e38, -1e38, 1e-38, 1e-45, f32::NAN, f32::INFINITY];
    prop_oneof![
        2 => (-1_000..1_000i16).prop_map(|n| f32::from(n) / 8.0),
        1 => any::<f32>(),
        1 => prop::sample::select(edges.to_vec()),
    ]
}

fn decimal(precision: u32, scale: u8) -> BoxedStrategy<Value> {
    let limit = 10i128.pow(precision) - 1;
    let unscaled = prop_oneof![
        3 => -1_000..1_000i128,
        1 => -limit..=limit,
        1 => (-9..=9i128, 0..precision).prop_map(|(digit, zeros)| digit * 10i128.pow(zeros) / 2),
    ];
    unscaled.prop_map(move |unscaled| Value::Decimal(Decimal { unscaled, scale })).boxed()
}

fn instant(step: i64) -> BoxedStrategy<Value> {
    const DAY: i64 = 86_400_000_000;
    let micros = prop_oneof![
        // 1970 to 2037: where the rules of time zones are written out.
        3 => 0..24_800 * DAY,
        1 => i64::from(DAYS.start) * DAY..i64::from(DAYS.end) * DAY,
        1 => (0..24_800i64).prop_map(|day| day * DAY),
        1 => Just(-1i64),
    ];
    micros.prop_map(move |micros| Value::Timestamp(micros.div_euclid(step) * step)).boxed()
}

/// Words, numbers, dates and the like as text, blanks, and letters of many scripts.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abAB ,%_\\\\é]{0,6}",
        2 => "[ -~]{0,8}",
        // Letters whose cases are settled: those of newer ones are as the C library of a server is.
        2 => "[\\u{20}-\\u{7e}\\u{a0}-\\u{52f}\\u{5d0}-\\u{5ea}\\u{e01}-\\u{e3a}一-龥가-힣🎉]{0,4}",
        1 => "[äÖßéİıſΣςǅﬁΩЖա漢🎉aZ ]{0,4}",
        1 => "\\s{0,2}[a1]?\\s{0,2}",
    ]
    .prop_map(|text| text.replace('\0', ""))
}
