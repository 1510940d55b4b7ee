//! The SQL over one view's table. A statement takes its rows or keys as one array a column, so its text is the same for
//! any number of them.

use headwater_engine::table::Direction;

use super::cell::Cell;
use super::layout::Layout;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Statement {
    /// Rows by key: the key's place among those asked for, from 1, then the row.
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

/// The key of a table without key columns: one row.
const ONE: &str = "\"_one\"";

pub(super) fn text(layout: &Layout, statement: Statement) -> String {
    let table = quoted(&layout.physical);
    let keys = key_names(layout);
    let partition = layout.table.partition;
    match statement {
        Statement::Get if keys.is_empty() => {
            format!("SELECT 1::bigint, {} FROM {table}", columns(layout, "").join(", "))
        }
        Statement::Get => format!(
            "SELECT w.i, {} FROM {} WITH ORDINALITY AS w({}, i) JOIN {table} AS t ON {}",
            columns(layout, "t.").join(", "),
            unnest(&layout.cells[..keys.len()]),
            wanted(keys.len()).join(", "),
            equal(&keys)
        ),
        Statement::Put => put(layout, &table, &keys),
        Statement::Delete => delete(layout, &table, &keys),
        Statement::DeletePartitions => delete(layout, &table, &keys[..partition]),
        Statement::PageFirst | Statement::PageAfter(_) => page(layout, &table, &keys, statement),
        Statement::All => {
            let columns = columns(layout, "").join(", ");
            format!("SELECT {columns} FROM {table}{} LIMIT $1::bigint", order(layout, &keys, 0))
        }
        Statement::Sweep => sweep(layout, &table, &keys),
    }
}

/// A row that a flush is writing is left to the next sweep, so that neither waits for the other in turn; it may be shown
/// again by then, and is looked at once more where it was locked meanwhile.
fn sweep(layout: &Layout, table: &str, keys: &[String]) -> String {
    let one = [ONE.to_owned()];
    let keys = if keys.is_empty() { &one[..] } else { keys }.join(", ");
    let past = layout.table.retain.map_or("$1::text IS NULL".to_owned(), |retain| {
        let name = quoted(&layout.table.columns[retain.column].name);
        format!("{name} <= $1::{}", layout.cells[retain.column].sql_type())
    });
    format!(
        "DELETE FROM {table} WHERE {past} AND ({keys}) IN \
         (SELECT {keys} FROM {table} WHERE {past} LIMIT $2::bigint FOR UPDATE SKIP LOCKED)"
    )
}

fn put(layout: &Layout, table: &str, keys: &[String]) -> String {
    let names = columns(layout, "");
    let target = if keys.is_empty() { ONE.to_owned() } else { keys.join(", ") };
    let set: Vec<String> = names[keys.len()..].iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let cells: Vec<Cell> = layout.cells.iter().chain(&layout.states).chain(&[Cell::Long, Cell::Int]).cloned().collect();
    format!(
        "INSERT INTO {table} ({}) SELECT * FROM {} ON CONFLICT ({target}) DO UPDATE SET {}",
        names.join(", "),
        unnest(&cells),
        set.join(", ")
    )
}

fn delete(layout: &Layout, table: &str, keys: &[String]) -> String {
    if keys.is_empty() {
        return format!("DELETE FROM {table}");
    }
    format!(
        "DELETE FROM {table} AS t USING {} AS w({}) WHERE {}",
        unnest(&layout.cells[..keys.len()]),
        wanted(keys.len()).join(", "),
        equal(keys)
    )
}

fn page(layout: &Layout, table: &str, keys: &[String], statement: Statement) -> String {
    let partition = layout.table.partition;
    let parameter = |i: usize| format!("${}::{}", i + 1, layout.cells[i].sql_type());
    let mut terms: Vec<String> = (0..partition).map(|i| format!("{} = {}", keys[i], parameter(i))).collect();
    if let Statement::PageAfter(same) = statement {
        let next = partition + same;
        terms.extend((partition..next).map(|i| format!("{} = {}", keys[i], parameter(i))));
        let past = match layout.table.clustering[same] {
            Direction::Ascending => '>',
            Direction::Descending => '<',
        };
        terms.push(format!("{} {past} {}", keys[next], parameter(next)));
    }
    let filter = if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) };
    format!(
        "SELECT {} FROM {table}{filter}{} LIMIT ${}::bigint",
        columns(layout, "").join(", "),
        order(layout, keys, partition),
        terms.len() + 1
    )
}

/// The statements that make a view's table, its plain name, and what they say to whoever looks.
pub(super) fn create(layout: &Layout, topology: &str) -> Vec<String> {
    let table = &layout.table;
    let keys = key_names(layout);
    let (physical, view) = (quoted(&layout.physical), quoted(&table.name));
    let mut definitions: Vec<String> = Vec::new();
    if keys.is_empty() {
        definitions.push(format!("{ONE} boolean PRIMARY KEY DEFAULT true CHECK ({ONE})"));
    }
    let cells = layout.cells.iter().chain(&layout.states);
    for (i, (cell, name)) in cells.zip(columns(layout, "")).enumerate() {
        let required = if i < keys.len() { " NOT NULL" } else { "" };
        definitions.push(format!("{name} {}{required}", cell.definition()));
    }
    definitions.push("\"_pos\" bigint NOT NULL".to_owned());
    definitions.push("\"_part\" integer NOT NULL".to_owned());
    let one_way = table.clustering.windows(2).all(|pair| pair[0] == pair[1]);
    if one_way && !keys.is_empty() {
        definitions.push(format!("PRIMARY KEY ({})", keys.join(", ")));
    }
    let mut statements = vec![format!("CREATE TABLE {physical} ({})", definitions.join(", "))];
    if !one_way {
        // A primary key has one direction only, and an index is read in its own order or wholly backwards.
        let index = quoted(&format!("{}_u", layout.physical));
        let columns = directed(layout, &keys, 0).join(", ");
        statements.push(format!("CREATE UNIQUE INDEX {index} ON {physical} ({columns})"));
        statements.push(format!("ALTER TABLE {physical} REPLICA IDENTITY USING INDEX {index}"));
    }
    if let Some(retain) = table.retain.filter(|retain| retain.pruned) {
        let index = quoted(&format!("_r_{}", layout.physical));
        statements.push(format!("CREATE INDEX {index} ON {physical} ({})", quoted(&table.columns[retain.column].name)));
    }
    let shown: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    statements.push(format!("DROP VIEW IF EXISTS {view}"));
    let all = format!("CREATE VIEW {view} AS SELECT {} FROM {physical}", shown.join(", "));
    let only = table.shown().map(|flag| format!(" WHERE {}", columns(layout, "")[table.columns.len() + flag]));
    statements.push(all + only.as_deref().unwrap_or_default());
    let made = format!("View {} of topology {topology}, generation {}.", table.name, layout.generation);
    let made = table.doc.as_ref().map_or(made.clone(), |doc| format!("{doc}\n{made}"));
    for (kind, name) in [("TABLE", &physical), ("VIEW", &view)] {
        statements.push(format!("COMMENT ON {kind} {name} IS {}", literal(&made)));
        for column in &table.columns {
            if let Some(doc) = &column.doc {
                statements.push(format!("COMMENT ON COLUMN {name}.{} IS {}", quoted(&column.name), literal(doc)));
            }
        }
    }
    statements
}

/// A name in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text in single quotes; the session has standard strings, in which a backslash is one.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

/// `unnest($1::text[], $2::bigint[])`.
fn unnest(cells: &[Cell]) -> String {
    let arrays: Vec<String> =
        cells.iter().enumerate().map(|(i, cell)| format!("${}::{}[]", i + 1, cell.sql_type())).collect();
    format!("unnest({})", arrays.join(", "))
}

fn wanted(len: usize) -> Vec<String> {
    (0..len).map(|i| format!("k{i}")).collect()
}

fn equal(keys: &[String]) -> String {
    let terms: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("t.{key} = w.k{i}")).collect();
    terms.join(" AND ")
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

#[cfg(test)]
mod tests {
    use headwater_engine::table::{Column, Feeding, StateColumn, StateType, Table};
    use headwater_schemas::{FieldType, Type};

    use super::*;

    fn layout(key: usize) -> Layout {
        let types = [Type::String, Type::Long, Type::Decimal { precision: 5, scale: 2 }];
        let column = |(i, ty)| Column { name: format!("c{i}"), ty: FieldType::required(ty), doc: None };
        let table = Table {
            name: "t".to_owned(),
            doc: None,
            columns: types.into_iter().enumerate().map(column).collect(),
            partition: key.min(1),
            clustering: [Direction::Descending, Direction::Ascending][..key.saturating_sub(1)].to_vec(),
            state: vec![StateColumn { name: "n".to_owned(), ty: StateType::Wide }],
            fed: Feeding::ByOne,
            retain: None,
        };
        Layout::new(&table, 1)
    }

    #[test]
    fn statements_read_as_a_person_would_write_them() {
        let row = r#""c0", "c1", "c2", "_s_n", "_pos", "_part""#;
        let arrays = "unnest($1::text[], $2::bigint[], $3::numeric[], $4::numeric[], $5::bigint[], $6::integer[])";
        let cases = [
            (
                2,
                Statement::Get,
                r#"SELECT w.i, t."c0", t."c1", t."c2", t."_s_n", t."_pos", t."_part" FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS w(k0, k1, i) JOIN "t_g1" AS t ON t."c0" = w.k0 AND t."c1" = w.k1"#
                    .to_owned(),
            ),
            (
                2,
                Statement::Put,
                format!(
                    r#"INSERT INTO "t_g1" ({row}) SELECT * FROM {arrays} ON CONFLICT ("c0", "c1") DO UPDATE SET "c2" = excluded."c2", "_s_n" = excluded."_s_n", "_pos" = excluded."_pos", "_part" = excluded."_part""#
                ),
            ),
            (
                2,
                Statement::DeletePartitions,
                r#"DELETE FROM "t_g1" AS t USING unnest($1::text[]) AS w(k0) WHERE t."c0" = w.k0"#.to_owned(),
            ),
            (
                3,
                Statement::PageAfter(1),
                format!(
                    r#"SELECT {row} FROM "t_g1" WHERE "c0" = $1::text AND "c1" = $2::bigint AND "c2" > $3::numeric ORDER BY "c1" DESC, "c2" LIMIT $4::bigint"#
                ),
            ),
            (0, Statement::Get, format!(r#"SELECT 1::bigint, {row} FROM "t_g1""#)),
            (0, Statement::Delete, r#"DELETE FROM "t_g1""#.to_owned()),
        ];
        for (key, statement, expected) in cases {
            assert_eq!(text(&layout(key), statement), expected);
        }
    }

    /// A primary key has one direction: where clustering has two, an index of its own takes its place.
    #[test]
    fn keys_are_indexed_in_the_order_they_are_read_in() {
        let of = |key| create(&layout(key), "shop").join("; ");
        assert!(of(2).contains(r#"PRIMARY KEY ("c0", "c1")"#), "{}", of(2));
        assert!(of(3).contains(r#"UNIQUE INDEX "t_g1_u" ON "t_g1" ("c0", "c1" DESC, "c2")"#), "{}", of(3));
        assert!(!of(3).contains("PRIMARY KEY"), "{}", of(3));
        assert!(of(0).contains(r#""_one" boolean PRIMARY KEY"#), "{}", of(0));
    }
}
