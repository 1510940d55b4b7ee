//! One row with a column of every type, and how values are shown.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_engine::expr::{Binding, Expr, ExprError, Scope, compile, parse};
use headwater_schemas::{Decimal, EnumType, Field, FieldType, RecordType, Type, Value, ValueRef};

/// Columns by name; a name that starts with `n_` is the same type, null.
pub(crate) struct Columns(pub(crate) Vec<(&'static str, FieldType, Value)>);

impl Scope for Columns {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        let slot = self.0.iter().position(|(name, ..)| *name == path[0])?;
        Some(Binding { slot, ty: self.0[slot].1.clone(), used: 1 })
    }

    fn call(&self, name: &str, arguments: usize) -> Option<Binding> {
        let slot = self.0.iter().position(|(column, ..)| *column == "s")?;
        (name == "actor" && arguments == 0).then(|| Binding { slot, ty: self.0[slot].1.clone(), used: 0 })
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, ..)| (*name).to_owned()).collect()
    }
}

fn field(name: &str, ty: FieldType) -> Field {
    Field { name: name.into(), aliases: Vec::new(), ty, default: None, doc: None }
}

pub(crate) fn record(name: &str, fields: Vec<(&str, FieldType)>) -> Arc<RecordType> {
    let fields = fields.into_iter().map(|(name, ty)| field(name, ty)).collect();
    Arc::new(RecordType { name: name.into(), aliases: Vec::new(), fields, doc: None })
}

pub(crate) fn status() -> Type {
    Type::Enum(Arc::new(EnumType {
        name: "shop.Status".into(),
        aliases: Vec::new(),
        symbols: ["placed", "shipped", "cancelled"].map(String::from).to_vec(),
        default: None,
    }))
}

pub(crate) fn decimal(precision: u8, scale: u8) -> Type {
    Type::Decimal { precision, scale }
}

/// Microseconds of 2026-03-15 13:45:30.123456 UTC.
pub(crate) const AT: i64 = 1_773_582_330_123_456;

pub(crate) fn row() -> Columns {
    let required = FieldType::required;
    let optional = |ty: Type| FieldType::nullable(ty);
    let price = Value::Decimal(Decimal { unscaled: 1250, scale: 2 });
    let address = record("Address", vec![("city", required(Type::String)), ("zip", optional(Type::String))]);
    let line = record("Line", vec![("product", required(Type::String)), ("quantity", required(Type::Int))]);
    let lines = [("tea", 2), ("jam", 5)]
        .map(|(product, quantity)| Value::Record([Value::string(product), Value::Long(quantity)].into()));
    let tags = Type::Array(Arc::new(optional(Type::String)));
    let attributes = [("colour", "red"), ("size", "XL")].map(|(key, value)| (Arc::from(key), Value::string(value)));
    Columns(vec![
        ("i", required(Type::Int), Value::Long(7)),
        ("n_i", optional(Type::Int), Value::Null),
        ("l", required(Type::Long), Value::Long(9_000_000_000)),
        ("f", required(Type::Float), Value::Float(1.5)),
        ("d", required(Type::Double), Value::Double(2.5)),
        ("n_d", optional(Type::Double), Value::Null),
        ("p", required(decimal(10, 2)), price),
        ("n_p", optional(decimal(10, 2)), Value::Null),
        ("s", required(Type::String), Value::string("Hello")),
        ("n_s", optional(Type::String), Value::Null),
        ("status", required(status()), Value::string("placed")),
        ("n_status", optional(status()), Value::Null),
        ("b", required(Type::Boolean), Value::Boolean(true)),
        ("n_b", optional(Type::Boolean), Value::Null),
        ("id", required(Type::Uuid), Value::Uuid([0xab; 16])),
        ("raw", required(Type::Bytes), Value::Bytes([1, 2].into())),
        ("day", required(Type::Date), Value::Date(20_527)),
        ("n_day", optional(Type::Date), Value::Null),
        ("at", required(Type::TimestampMicros), Value::Timestamp(AT)),
        ("n_at", optional(Type::TimestampMicros), Value::Null),
        ("ms", required(Type::TimestampMillis), Value::Timestamp(AT / 1000 * 1000)),
        (
            "address",
            required(Type::Record(address.clone())),
            Value::Record([Value::string("Bern"), Value::Null].into()),
        ),
        ("n_address", optional(Type::Record(address)), Value::Null),
        ("lines", required(Type::Array(Arc::new(required(Type::Record(line))))), Value::Array(lines.into())),
        ("tags", required(tags.clone()), Value::Array([Value::string("gift"), Value::Null].into())),
        ("n_tags", optional(tags.clone()), Value::Null),
        ("none", required(tags), Value::Array([].into())),
        ("attributes", required(Type::Map(Arc::new(required(Type::String)))), Value::Map(attributes.into())),
    ])
}

pub(crate) fn compiled(text: &str) -> Result<Expr, Vec<ExprError>> {
    let ast = parse(text).map_err(|error| vec![error])?;
    compile(&ast, &row())
}

/// The value over the row, or the first line of what is wrong.
pub(crate) fn evaluate(text: &str) -> String {
    let expr = match compiled(text) {
        Ok(expr) => expr,
        Err(errors) => {
            return errors.iter().map(|error| format!("! {}", error.message)).collect::<Vec<_>>().join("\n");
        }
    };
    let (row, bump) = (row(), Bump::new());
    let slots: Vec<ValueRef<'_>> = row.0.iter().map(|(_, _, value)| value.borrow(&bump)).collect();
    match expr.eval(&slots, &bump) {
        Ok(value) => {
            assert!(expr.ty.nullable || !value.is_null(), "`{text}` is null and says it cannot be");
            show(&value)
        }
        Err(error) => format!("! {error}"),
    }
}

/// The type of an expression as declarations name it, with `?` where it may be null.
pub(crate) fn type_of(text: &str) -> String {
    match compiled(text) {
        Ok(expr) => format!("{}{}", expr.ty.ty, if expr.ty.nullable { "?" } else { "" }),
        Err(errors) => format!("! {}", errors[0].message),
    }
}

pub(crate) fn show(value: &ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Boolean(b) => b.to_string(),
        ValueRef::Long(n) => n.to_string(),
        ValueRef::Float(x) => format!("{x:?}f"),
        ValueRef::Double(x) => format!("{x:?}"),
        ValueRef::Decimal(d) => {
            let digits = format!("{:0>width$}", d.unscaled.unsigned_abs(), width = usize::from(d.scale) + 1);
            let (whole, fraction) = digits.split_at(digits.len() - usize::from(d.scale));
            let point = if d.scale > 0 { "." } else { "" };
            format!("{}{whole}{point}{fraction}", if d.unscaled < 0 { "-" } else { "" })
        }
        ValueRef::String(text) => format!("'{text}'"),
        ValueRef::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).to_string(),
        ValueRef::Date(days) => {
            let day = chrono::NaiveDate::default() + chrono::TimeDelta::days(i64::from(*days));
            format!("date {day}")
        }
        ValueRef::Timestamp(micros) => {
            let at = chrono::DateTime::from_timestamp_micros(*micros)
                .map(|at| at.format("%Y-%m-%d %H:%M:%S%.f").to_string());
            at.unwrap_or_else(|| micros.to_string())
        }
        other => format!("{other:?}"),
    }
}

/// Checks every line of a table of `expression => value`.
#[track_caller]
pub(crate) fn check(table: &str) {
    check_by(table, evaluate);
}

/// Checks every line of a table of `expression => type`.
#[track_caller]
pub(crate) fn check_types(table: &str) {
    check_by(table, type_of);
}

#[track_caller]
fn check_by(table: &str, of: impl Fn(&str) -> String) {
    let mut wrong = Vec::new();
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for line in lines {
        count += 1;
        let Some((expression, expected)) = line.rsplit_once(" => ") else { panic!("no ` => ` in {line}") };
        let found = of(expression.trim());
        if found != expected.trim() {
            wrong.push(format!("{}\n    expected {}\n    found    {found}", expression.trim(), expected.trim()));
        }
    }
    assert!(count > 0, "an empty table");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
