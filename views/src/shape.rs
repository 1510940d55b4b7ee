//! What fits a table: checked once here for every backend, so that each holds the same rows and refuses the same ones.
//!
//! A value is stored in one canonical form: a decimal has its column's scale, and a key's float is never -0.0 (which
//! equals 0.0, so the two would be one row). Refused: text with a NUL, a number wider than its type, an instant finer
//! than its unit, and in keys null and NaN (the fold parks those before they get here). Whether a column that is no key
//! may be null is the fold's affair, not the store's.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use headwater_engine::table::{Key, Row, RowPosition, StateType, Table};
use headwater_schemas::{Decimal, FieldType, RecordType, Type, Value};

use crate::StoreError;

const NAME_BYTES: usize = 48;
/// With the prefix `_s_` it is within the 63 bytes that Postgres takes, and a column's name has room for a suffix.
const STATE_NAME_BYTES: usize = 60;
/// A row must fit the parameters of one statement, on every SQL store.
const COLUMNS: usize = 1000;
/// How deep arrays, maps, records and unions may nest: well within what JSON readers take.
const DEPTH: usize = 60;

/// Why a value does not fit.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// Of the right type, but no row can hold it.
    Never(String),
    /// Not of the type: a defect of the caller.
    Mismatch(String),
}

impl Unfit {
    pub(crate) fn reason(self) -> String {
        match self {
            Unfit::Never(reason) | Unfit::Mismatch(reason) => reason,
        }
    }
}

/// Whether a store can hold this table at all.
pub(crate) fn check_table(table: &Table) -> Result<(), StoreError> {
    let refuse = |reason: String| Err(StoreError::Declaration { view: table.name.clone(), reason });
    check_name(&table.name).or_else(refuse)?;
    if table.name.starts_with("sqlite_") {
        return refuse("names that start with sqlite_ belong to SQLite; name it otherwise".to_owned());
    }
    let numbered = table
        .name
        .rsplit_once("_g")
        .is_some_and(|(_, tail)| !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit()));
    if numbered {
        return refuse("names that end in _g and a number are those of generations; name it otherwise".to_owned());
    }
    if table.columns.is_empty() {
        return refuse("it has no columns".to_owned());
    }
    if table.key_len() > table.columns.len() {
        return refuse(format!("its key has {} columns, the table {}", table.key_len(), table.columns.len()));
    }
    if table.columns.len() + table.state.len() > COLUMNS {
        return refuse(format!("it has more than {COLUMNS} columns, hidden ones included"));
    }
    let mut names = HashSet::new();
    for name in table.columns.iter().map(|column| &column.name) {
        check_name(name).or_else(refuse)?;
        if !names.insert(name) {
            return refuse(format!("two columns are called {name}"));
        }
    }
    let mut names = HashSet::new();
    for name in table.state.iter().map(|column| &column.name) {
        if name.is_empty() || name.len() > STATE_NAME_BYTES || !name.bytes().all(is_name_byte) || !names.insert(name) {
            return refuse(format!("{name:?} is no name for a hidden column"));
        }
    }
    for column in &table.columns[..table.key_len()] {
        if is_nested(&column.ty.ty) {
            return refuse(format!("column {} is of type {} and cannot be a key", column.name, column.ty.ty));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if starts && name.len() <= NAME_BYTES && name.bytes().all(is_name_byte) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is no name: a lower-case letter, then lower-case letters, digits and underscores, at most {NAME_BYTES} in all"
    ))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// Types that a store keeps as JSON.
pub(crate) fn is_nested(ty: &Type) -> bool {
    matches!(ty, Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_))
}

/// The canonical values of a whole key.
pub(crate) fn key_values<'v>(table: &Table, values: &'v [Value]) -> Result<Cow<'v, [Value]>, Unfit> {
    leading_values(table, 0..table.key_len(), values)
}

/// The canonical values of the partition key.
pub(crate) fn partition_values<'v>(table: &Table, values: &'v [Value]) -> Result<Cow<'v, [Value]>, Unfit> {
    leading_values(table, 0..table.partition, values)
}

/// The canonical values of the clustering columns.
pub(crate) fn clustering_values<'v>(table: &Table, values: &'v [Value]) -> Result<Cow<'v, [Value]>, Unfit> {
    leading_values(table, table.partition..table.key_len(), values)
}

fn leading_values<'v>(
    table: &Table,
    columns: std::ops::Range<usize>,
    values: &'v [Value],
) -> Result<Cow<'v, [Value]>, Unfit> {
    let columns = &table.columns[columns];
    if columns.len() != values.len() {
        return Err(Unfit::Mismatch(format!("it takes {} values, {} were given", columns.len(), values.len())));
    }
    each(values, |i, value| {
        let column = &columns[i];
        key_value(&column.ty.ty, value).map_err(|unfit| named(&column.name, unfit))
    })
}

/// A cell of a key: never null nor NaN, and 0.0 rather than -0.0.
fn key_value<'v>(ty: &Type, value: &'v Value) -> Result<Cow<'v, Value>, Unfit> {
    match value {
        Value::Null => Err(Unfit::Never("a key is never null".to_owned())),
        Value::Float(x) if x.is_nan() => Err(Unfit::Never("a key is never NaN".to_owned())),
        Value::Double(x) if x.is_nan() => Err(Unfit::Never("a key is never NaN".to_owned())),
        Value::Float(x) if *x == 0.0 && *ty == Type::Float => Ok(Cow::Owned(Value::Float(0.0))),
        Value::Double(x) if *x == 0.0 && *ty == Type::Double => Ok(Cow::Owned(Value::Double(0.0))),
        _ => column_value(ty, value, 0),
    }
}

/// A row in canonical form.
pub(crate) fn row<'r>(table: &Table, row: &'r Row) -> Result<Cow<'r, Row>, Unfit> {
    if row.values.len() != table.columns.len() || row.state.len() != table.state.len() {
        return Err(Unfit::Mismatch(format!(
            "the row has {} columns and {} hidden ones, the table {} and {}",
            row.values.len(),
            row.state.len(),
            table.columns.len(),
            table.state.len()
        )));
    }
    for (column, value) in table.state.iter().zip(&row.state) {
        let fits = match column.ty {
            StateType::Flag => matches!(value, Value::Boolean(_) | Value::Null),
            StateType::Count => matches!(value, Value::Long(_) | Value::Null),
            StateType::Wide => matches!(value, Value::Wide(_) | Value::Null),
            StateType::Packed => matches!(value, Value::Bytes(_) | Value::Null),
        };
        if !fits {
            return Err(named(&column.name, mismatch(&format!("{:?}", column.ty), value)));
        }
    }
    let values = each(&row.values, |i, value| {
        let column = &table.columns[i];
        let fitted =
            if i < table.key_len() { key_value(&column.ty.ty, value) } else { column_value(&column.ty.ty, value, 0) };
        fitted.map_err(|unfit| named(&column.name, unfit))
    })?;
    match values {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(row)),
        Cow::Owned(values) => Ok(Cow::Owned(Row { values, ..row.clone() })),
    }
}

/// A cell of any column, or what is nested in one at this depth.
fn column_value<'v>(ty: &Type, value: &'v Value, depth: usize) -> Result<Cow<'v, Value>, Unfit> {
    let never = |reason: &str| Err(Unfit::Never(reason.to_owned()));
    match (ty, value) {
        (_, Value::Null)
        | (Type::Boolean, Value::Boolean(_))
        | (Type::Long, Value::Long(_))
        | (Type::Float, Value::Float(_))
        | (Type::Double, Value::Double(_))
        | (Type::Uuid, Value::Uuid(_))
        | (Type::Bytes, Value::Bytes(_))
        | (Type::Date, Value::Date(_))
        | (Type::TimestampMicros, Value::Timestamp(_)) => Ok(Cow::Borrowed(value)),
        (Type::Int, Value::Long(n)) => match i32::try_from(*n) {
            Ok(_) => Ok(Cow::Borrowed(value)),
            Err(_) => never("the number does not fit 32 bits"),
        },
        (Type::Decimal { precision, scale }, Value::Decimal(decimal)) => {
            fit_decimal(*precision, *scale, decimal, value)
        }
        (Type::String | Type::Enum(_), Value::String(text)) => {
            if text.as_bytes().contains(&0) {
                return never("text with a NUL character in it is not stored");
            }
            Ok(Cow::Borrowed(value))
        }
        (Type::Fixed(size), Value::Bytes(bytes)) if bytes.len() == *size => Ok(Cow::Borrowed(value)),
        (Type::TimestampMillis, Value::Timestamp(micros)) => {
            if micros % 1000 != 0 {
                return never("the instant is finer than a millisecond");
            }
            Ok(Cow::Borrowed(value))
        }
        _ if depth >= DEPTH => never(&format!("it nests deeper than {DEPTH} levels")),
        _ => nested_value(ty, value, depth + 1),
    }
}

fn nested_value<'v>(ty: &Type, value: &'v Value, depth: usize) -> Result<Cow<'v, Value>, Unfit> {
    let inner = |ty: &FieldType, value: &'v Value| column_value(&ty.ty, value, depth);
    let rebuilt = match (ty, value) {
        (Type::Array(item), Value::Array(items)) => match each(items, |_, value| inner(item, value))? {
            Cow::Owned(items) => Value::Array(items.into()),
            Cow::Borrowed(_) => return Ok(Cow::Borrowed(value)),
        },
        (Type::Record(record), Value::Record(values)) => return record_value(record, values, value, depth),
        (Type::Recursive(link), Value::Record(values)) => match link.record() {
            Some(record) => return record_value(&record, values, value, depth),
            None => return Err(mismatch(&ty.to_string(), value)),
        },
        (Type::Map(of), Value::Map(entries)) => {
            if entries.iter().any(|(key, _)| key.as_bytes().contains(&0)) {
                return Err(Unfit::Never("text with a NUL character in it is not stored".to_owned()));
            }
            let fitted: Result<Vec<_>, _> = entries.iter().map(|(_, value)| inner(of, value)).collect();
            let fitted = fitted?;
            if fitted.iter().all(|value| matches!(value, Cow::Borrowed(_))) {
                return Ok(Cow::Borrowed(value));
            }
            let values = fitted.into_iter().map(Cow::into_owned);
            Value::Map(entries.iter().map(|(key, _)| key.clone()).zip(values).collect())
        }
        (Type::Union(branches), Value::Branch(branch, chosen)) => {
            let found = usize::try_from(*branch).ok().and_then(|i| branches.get(i));
            match found.filter(|_| !chosen.is_null()) {
                None => return Err(mismatch(&ty.to_string(), value)),
                Some(ty) => match column_value(ty, chosen, depth)? {
                    Cow::Owned(chosen) => Value::Branch(*branch, Arc::new(chosen)),
                    Cow::Borrowed(_) => return Ok(Cow::Borrowed(value)),
                },
            }
        }
        _ => return Err(mismatch(&ty.to_string(), value)),
    };
    Ok(Cow::Owned(rebuilt))
}

fn record_value<'v>(
    record: &RecordType,
    values: &'v [Value],
    whole: &'v Value,
    depth: usize,
) -> Result<Cow<'v, Value>, Unfit> {
    if record.fields.len() != values.len() {
        return Err(mismatch(&format!("record {} of {} fields", record.name, record.fields.len()), whole));
    }
    let fitted = each(values, |i, value| {
        let field = &record.fields[i];
        column_value(&field.ty.ty, value, depth).map_err(|unfit| named(&field.name, unfit))
    })?;
    Ok(match fitted {
        Cow::Owned(values) => Cow::Owned(Value::Record(values.into())),
        Cow::Borrowed(_) => Cow::Borrowed(whole),
    })
}

fn fit_decimal<'v>(precision: u8, scale: u8, decimal: &Decimal, value: &'v Value) -> Result<Cow<'v, Value>, Unfit> {
    let limit = 10u128.checked_pow(u32::from(precision)).unwrap_or(u128::MAX);
    let rescaled = if decimal.scale <= scale {
        10i128.checked_pow(u32::from(scale - decimal.scale)).and_then(|by| decimal.unscaled.checked_mul(by))
    } else {
        let by = 10i128.checked_pow(u32::from(decimal.scale - scale));
        by.filter(|by| decimal.unscaled % by == 0).map(|by| decimal.unscaled / by)
    };
    match rescaled.filter(|unscaled| unscaled.unsigned_abs() < limit) {
        Some(_) if decimal.scale == scale => Ok(Cow::Borrowed(value)),
        Some(unscaled) => Ok(Cow::Owned(Value::Decimal(Decimal { unscaled, scale }))),
        None => Err(Unfit::Never(format!("the number does not fit decimal({precision},{scale})"))),
    }
}

/// The values as given where each is as it should be, else rebuilt.
fn each<'v>(
    values: &'v [Value],
    mut fit: impl FnMut(usize, &'v Value) -> Result<Cow<'v, Value>, Unfit>,
) -> Result<Cow<'v, [Value]>, Unfit> {
    let mut rebuilt: Option<Vec<Value>> = None;
    for (i, value) in values.iter().enumerate() {
        match (fit(i, value)?, &mut rebuilt) {
            (Cow::Borrowed(_), None) => {}
            (fitted, Some(rebuilt)) => rebuilt.push(fitted.into_owned()),
            (Cow::Owned(fitted), None) => {
                let mut values = values[..i].to_vec();
                values.push(fitted);
                rebuilt = Some(values);
            }
        }
    }
    Ok(rebuilt.map_or(Cow::Borrowed(values), Cow::Owned))
}

fn named(name: &str, unfit: Unfit) -> Unfit {
    match unfit {
        Unfit::Never(reason) => Unfit::Never(format!("{name}: {reason}")),
        Unfit::Mismatch(reason) => Unfit::Mismatch(format!("{name}: {reason}")),
    }
}

fn mismatch(expected: &str, found: &Value) -> Unfit {
    let found = match found {
        Value::Null => "null",
        Value::Boolean(_) => "a boolean",
        Value::Long(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Double(_) => "a double",
        Value::Decimal(_) => "a decimal",
        Value::String(_) => "text",
        Value::Uuid(_) => "a UUID",
        Value::Bytes(_) => "bytes",
        Value::Date(_) => "a date",
        Value::Timestamp(_) => "an instant",
        Value::Array(_) => "an array",
        Value::Map(_) => "a map",
        Value::Record(_) => "a record",
        Value::Branch(..) => "a union's value",
        Value::Wide(_) => "an accumulator",
    };
    Unfit::Mismatch(format!("expected {expected}, found {found}"))
}

/// The refusal of a row for its shape, with its key as a person reads it.
pub(crate) fn refused(table: &Table, key: &[Value], position: Option<RowPosition>, reason: String) -> StoreError {
    StoreError::Refused { view: table.name.clone(), key: describe_key(table, key), position, by_shape: true, reason }
}

/// The refusal of a row by the server, which may take it another time.
pub(crate) fn refused_by_server(table: &Table, key: &[Value], position: RowPosition, reason: String) -> StoreError {
    let (view, key) = (table.name.clone(), describe_key(table, key));
    StoreError::Refused { view, key, position: Some(position), by_shape: false, reason }
}

/// Keys to look up, canonical; None where no row can have the key.
pub(crate) fn lookup_keys<'k>(table: &Table, keys: &'k [Key]) -> Result<Vec<Option<Cow<'k, [Value]>>>, StoreError> {
    keys.iter().map(|key| lookup(table, key_values(table, key))).collect()
}

/// What was asked for; None where no row can have it.
pub(crate) fn lookup<T>(table: &Table, found: Result<T, Unfit>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Unfit::Never(_)) => Ok(None),
        Err(Unfit::Mismatch(reason)) => Err(StoreError::KeyMismatch { view: table.name.clone(), reason }),
    }
}

/// `doc_id=d1, number=3`, cut where it grows long.
pub(crate) fn describe_key(table: &Table, key: &[Value]) -> String {
    const LONGEST: usize = 60;
    let mut text = String::new();
    for (i, value) in key.iter().enumerate() {
        let name = table.columns.get(i).map_or("?", |column| &column.name);
        let shown = match value {
            Value::Long(n) => n.to_string(),
            Value::String(text) => format!("{text:?}"),
            Value::Uuid(bytes) => crate::text::uuid_text(bytes),
            Value::Date(days) => crate::text::date_text(*days),
            Value::Decimal(d) => d.to_string(),
            other => format!("{other:?}"),
        };
        let cut: String = shown.chars().take(LONGEST).collect();
        let more = if cut.len() < shown.len() { "…" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{name}={cut}{more}", if i == 0 { "" } else { ", " });
    }
    if text.is_empty() { "(the one row)".to_owned() } else { text }
}
