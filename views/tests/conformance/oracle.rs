//! What a store should hold: a list of rows, searched and sorted by comparing values.

use std::cmp::Ordering;

use headwater_engine::table::{Direction, Row, Table, ViewWrites};
use headwater_schemas::Value;

#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) rows: Vec<Row>,
}

impl Oracle {
    pub(crate) fn apply(&mut self, table: &Table, writes: &ViewWrites) {
        for (partition, _) in &writes.partition_deletes {
            self.rows.retain(|row| !same(&row.values[..table.partition], partition));
        }
        for (key, _) in &writes.deletes {
            self.rows.retain(|row| !same(row.key(table), key));
        }
        for put in &writes.puts {
            self.rows.retain(|row| !same(row.key(table), put.key(table)));
            if !put.hidden {
                self.rows.push(put.clone());
            }
        }
        self.rows.sort_by(|a, b| compare_keys(table, a.key(table), b.key(table)));
    }

    pub(crate) fn get(&self, table: &Table, key: &[Value]) -> Option<Row> {
        self.rows.iter().find(|row| same(row.key(table), key)).cloned()
    }

    pub(crate) fn page(&self, table: &Table, partition: &[Value], after: Option<&[Value]>, limit: usize) -> Vec<Row> {
        let in_partition = self.rows.iter().filter(|row| same(&row.values[..table.partition], partition));
        let past = |row: &&Row| match after {
            None => true,
            Some(after) => {
                let cursor = [partition, after].concat();
                compare_keys(table, row.key(table), &cursor) == Ordering::Greater
            }
        };
        in_partition.filter(past).take(limit).cloned().collect()
    }
}

fn same(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| compare(a, b) == Ordering::Equal)
}

pub(crate) fn compare_keys(table: &Table, a: &[Value], b: &[Value]) -> Ordering {
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let descends = i >= table.partition && table.clustering[i - table.partition] == Direction::Descending;
        let order = if descends { compare(b, a) } else { compare(a, b) };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Long(a), Value::Long(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap(),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b).unwrap(),
        (Value::Decimal(a), Value::Decimal(b)) => {
            assert_eq!(a.scale, b.scale);
            { a.unscaled }.cmp(&{ b.unscaled })
        }
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        _ => panic!("{a:?} and {b:?} are not keys of one column"),
    }
}
