//! The SQL over one view's table.

use std::fmt::Write;

use headwater_engine::table::Direction;

use super::layout::Layout;

/// A statement, given how many rows or keys it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Statement {
    /// Rows by key: the key's place among those asked for, then the row.
    Get,
    /// Whole rows, new or in the place of the row of the same key.
    Put,
    Delete,
    DeletePartitions,
    /// A partition's rows from its start.
    PageFirst,
    /// Those that equal the cursor in so many clustering columns and are past it in the next.
    PageAfter(usize),
    All,
    /// Deletes rows whose time is at the horizon or before it: the horizon, and how many at most.
    Sweep,
}

pub(super) fn text(layout: &Layout, statement: Statement, rows: usize) -> String {
    let table = quoted(&layout.physical);
    let keys = key_names(layout);
    match statement {
        Statement::Get => get(layout, &table, &keys, rows),
        Statement::Put => {
            let tuple = tuple(layout.width());
            let values = vec![tuple.as_str(); rows].join(", ");
            let one = if keys.is_empty() { format!("{}, ", quoted(ONE)) } else { String::new() };
            let values = if keys.is_empty() { values.replace("(?", "(0, ?") } else { values };
            format!("REPLACE INTO {table} ({one}{}) VALUES {values}", columns(layout, "").join(", "))
        }
        Statement::Delete => format!("DELETE FROM {table}{}", among(&keys, rows)),
        Statement::DeletePartitions => {
            format!("DELETE FROM {table}{}", among(&keys[..layout.table.partition], rows))
        }
        Statement::PageFirst | Statement::PageAfter(_) => page(layout, &table, &keys, statement),
        Statement::All => {
            format!("SELECT {} FROM {table}{} LIMIT ?", columns(layout, "").join(", "), order(layout, &keys, 0))
        }
        Statement::Sweep => {
            let one = [quoted(ONE)];
            let keys = if keys.is_empty() { &one[..] } else { &keys }.join(", ");
            let past = layout.table.retain.map_or("false".to_owned(), |retain| {
                format!("{} <= ?", quoted(&layout.table.columns[retain.column].name))
            });
            format!("DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {table} WHERE {past} LIMIT ?)")
        }
    }
}

/// The key of a table without key columns: one row.
const ONE: &str = "_one";

fn get(layout: &Layout, table: &str, keys: &[String], rows: usize) -> String {
    let columns = columns(layout, "t.").join(", ");
    if keys.is_empty() {
        return format!("SELECT 0, {columns} FROM {table} AS t");
    }
    if rows == 1 {
        return format!("SELECT 0, {columns} FROM {table} AS t WHERE {}", equal(keys, "t."));
    }
    let wanted: Vec<String> = (0..rows).map(|i| tuple(keys.len()).replacen('(', &format!("({i}, "), 1)).collect();
    let names: Vec<String> = (0..keys.len()).map(|i| format!("k{i}")).collect();
    let on: Vec<String> = keys.iter().zip(&names).map(|(key, name)| format!("t.{key} = w.{name}")).collect();
    // A cross join is never reordered: one lookup a wanted key.
    format!(
        "WITH w(i, {}) AS (VALUES {}) SELECT w.i, {columns} FROM w CROSS JOIN {table} AS t ON {}",
        names.join(", "),
        wanted.join(", "),
        on.join(" AND ")
    )
}

fn page(layout: &Layout, table: &str, keys: &[String], statement: Statement) -> String {
    let partition = layout.table.partition;
    let mut terms: Vec<String> = keys[..partition].iter().map(|key| format!("{key} = ?")).collect();
    if let Statement::PageAfter(same) = statement {
        terms.extend(keys[partition..partition + same].iter().map(|key| format!("{key} = ?")));
        let past = match layout.table.clustering[same] {
            Direction::Ascending => '>',
            Direction::Descending => '<',
        };
        terms.push(format!("{} {past} ?", keys[partition + same]));
    }
    let filter = if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) };
    format!("SELECT {} FROM {table}{filter}{} LIMIT ?", columns(layout, "").join(", "), order(layout, keys, partition))
}

/// The statements that make a view's table, its plain name, and the index by which what is past is found.
pub(super) fn create(layout: &Layout) -> Vec<String> {
    let table = &layout.table;
    let keys = key_names(layout);
    let mut definitions: Vec<String> = Vec::new();
    if keys.is_empty() {
        definitions.push(format!("{} INTEGER PRIMARY KEY CHECK ({} = 0)", quoted(ONE), quoted(ONE)));
    }
    let names = columns(layout, "");
    let cells = layout.cells.iter().chain(&layout.states);
    for (i, (cell, name)) in cells.zip(&names).enumerate() {
        definitions.push(format!("{name} {}", cell.definition(name, i < keys.len())));
    }
    definitions.push("\"_pos\" INTEGER NOT NULL".to_owned());
    definitions.push("\"_part\" INTEGER NOT NULL".to_owned());
    let mut options = "STRICT";
    if !keys.is_empty() {
        definitions.push(format!("PRIMARY KEY ({})", directed(layout, &keys, 0).join(", ")));
        options = "STRICT, WITHOUT ROWID";
    }
    let physical = quoted(&layout.physical);
    let view = quoted(&table.name);
    let shown: Vec<String> = table
        .columns
        .iter()
        .zip(&layout.cells)
        .map(|(column, cell)| format!("{} AS {}", cell.shown(&quoted(&column.name)), quoted(&column.name)))
        .collect();
    let only = table.shown().map(|flag| format!(" WHERE {}", names[table.columns.len() + flag]));
    let mut statements = vec![
        format!("CREATE TABLE {physical} ({}) {options}", definitions.join(", ")),
        format!("DROP VIEW IF EXISTS {view}"),
        format!("CREATE VIEW {view} AS SELECT {} FROM {physical}{}", shown.join(", "), only.unwrap_or_default()),
    ];
    if let Some(retain) = table.retain.filter(|retain| retain.pruned) {
        // No view's name starts so.
        let index = quoted(&format!("_r_{}", layout.physical));
        statements.push(format!("CREATE INDEX {index} ON {physical} ({})", names[retain.column]));
    }
    statements
}

/// A name in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `(?, ?, ?)`.
pub(super) fn tuple(len: usize) -> String {
    let mut text = String::with_capacity(len * 3 + 2);
    text.push('(');
    for i in 0..len {
        text.push_str(if i == 0 { "?" } else { ", ?" });
    }
    text.push(')');
    text
}

fn key_names(layout: &Layout) -> Vec<String> {
    layout.table.columns[..layout.table.key_len()].iter().map(|column| quoted(&column.name)).collect()
}

/// Every column of a row, in the order that rows are bound and read in.
fn columns(layout: &Layout, prefix: &str) -> Vec<String> {
    let visible = layout.table.columns.iter().map(|column| column.name.clone());
    let state = layout.table.state.iter().map(|column| format!("_s_{}", column.name));
    let own = ["_pos".to_owned(), "_part".to_owned()];
    visible.chain(state).chain(own).map(|name| format!("{prefix}{}", quoted(&name))).collect()
}

fn directed(layout: &Layout, keys: &[String], from: usize) -> Vec<String> {
    let direction = |i: usize| match i.checked_sub(layout.table.partition).map(|i| layout.table.clustering[i]) {
        Some(Direction::Descending) => " DESC",
        _ => "",
    };
    (from..keys.len()).map(|i| format!("{}{}", keys[i], direction(i))).collect()
}

fn order(layout: &Layout, keys: &[String], from: usize) -> String {
    let directed = directed(layout, keys, from);
    if directed.is_empty() { String::new() } else { format!(" ORDER BY {}", directed.join(", ")) }
}

fn equal(keys: &[String], prefix: &str) -> String {
    keys.iter().map(|key| format!("{prefix}{key} = ?")).collect::<Vec<_>>().join(" AND ")
}

/// ` WHERE (a, b) IN (VALUES (?, ?), …)`; nothing where there are no columns, which is every row.
fn among(keys: &[String], rows: usize) -> String {
    let mut text = String::new();
    if keys.is_empty() {
        return text;
    }
    // Writing to a string cannot fail.
    let _ = match (keys, rows) {
        (_, 1) => write!(text, " WHERE {}", equal(keys, "")),
        ([key], _) => write!(text, " WHERE {key} IN {}", tuple(rows)),
        _ => write!(text, " WHERE ({}) IN (VALUES {})", keys.join(", "), vec![tuple(keys.len()); rows].join(", ")),
    };
    text
}

#[cfg(test)]
mod tests {
    use headwater_engine::table::{Column, Feeding, Table};
    use headwater_schemas::{FieldType, Type};
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::*;

    fn layout(partition: usize, clustering: &[Direction]) -> Layout {
        let types = [Type::String, Type::Long, Type::Decimal { precision: 5, scale: 2 }, Type::Double];
        let column = |(i, ty)| Column { name: format!("c{i}"), ty: FieldType::required(ty), doc: None };
        let table = Table {
            name: "t".to_owned(),
            doc: None,
            columns: types.into_iter().enumerate().map(column).collect(),
            partition,
            clustering: clustering.to_vec(),
            state: vec![],
            fed: Feeding::ByOne,
            retain: None,
        };
        Layout::new(&table, 1)
    }

    /// Every statement of a query is a range of the primary key: no scan of what is not asked for, no sorting.
    #[tokio::test]
    async fn statements_follow_the_primary_key() {
        use Direction::{Ascending, Descending};
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for clustering in
            [&[Ascending, Ascending], &[Descending, Ascending], &[Ascending, Descending], &[Descending; 2]]
        {
            for partition in [0, 1, 2] {
                let layout = layout(partition, clustering);
                let table = create(&layout).remove(0);
                sqlx::raw_sql("DROP TABLE IF EXISTS t_g1").execute(&mut connection).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(table)).execute(&mut connection).await.unwrap();
                let mut statements = vec![
                    (Statement::Get, 1),
                    (Statement::Get, 64),
                    (Statement::Delete, 1),
                    (Statement::Delete, 64),
                    (Statement::PageAfter(0), 1),
                    (Statement::PageAfter(1), 1),
                ];
                if partition > 0 {
                    statements.extend([(Statement::PageFirst, 1), (Statement::DeletePartitions, 64)]);
                }
                for (statement, rows) in statements {
                    let sql = format!("EXPLAIN QUERY PLAN {}", text(&layout, statement, rows));
                    let plan = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                    let plan: Vec<String> = plan.iter().map(|row| row.get(3)).collect();
                    let plan = plan.join("\n");
                    assert!(plan.contains("USING PRIMARY KEY") || plan.contains("USING COVERING INDEX"), "{plan}");
                    assert!(!plan.contains("SCAN t"), "{statement:?}: {plan}");
                    assert!(!plan.contains("FOR ORDER BY"), "{statement:?}: {plan}");
                }
                let sql = format!("EXPLAIN QUERY PLAN {}", text(&layout, Statement::All, 1));
                let plan = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                assert_eq!(plan.len(), 1, "no sorting: the table is in this order");
            }
        }
    }

    #[test]
    fn statements_read_as_a_person_would_write_them() {
        let layout = layout(1, &[Direction::Descending]);
        let texts = [
            (
                Statement::Put,
                2,
                "REPLACE INTO \"t_g1\" (\"c0\", \"c1\", \"c2\", \"c3\", \"_pos\", \"_part\") VALUES (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?)",
            ),
            (Statement::Delete, 2, "DELETE FROM \"t_g1\" WHERE (\"c0\", \"c1\") IN (VALUES (?, ?), (?, ?))"),
            (Statement::DeletePartitions, 3, "DELETE FROM \"t_g1\" WHERE \"c0\" IN (?, ?, ?)"),
            (
                Statement::PageAfter(0),
                1,
                "SELECT \"c0\", \"c1\", \"c2\", \"c3\", \"_pos\", \"_part\" FROM \"t_g1\" WHERE \"c0\" = ? AND \"c1\" < ? ORDER BY \"c1\" DESC LIMIT ?",
            ),
        ];
        for (statement, rows, expected) in texts {
            assert_eq!(text(&layout, statement, rows), expected);
        }
    }
}
