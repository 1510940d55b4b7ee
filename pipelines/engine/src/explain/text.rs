//! An explanation for a person: an overview of the topology, then a block for each view, each as short as it can be.

use super::{Column, Explanation, Input, KeyColumn, Made, Promise, ViewExplained};

/// Columns of a line, at most, where words allow it.
const WIDTH: usize = 116;
/// What stands before the text of a view's block.
const LABEL: usize = 15;

impl Explanation {
    /// All of it.
    pub fn text(&self) -> String {
        let mut out = self.overview();
        for view in &self.views {
            out.push('\n');
            out.push_str(&view.text());
        }
        out
    }

    /// What is read, which views are made of it, and what holds for all of them.
    pub fn overview(&self) -> String {
        let kind = match self.store_kind {
            "postgres" => "Postgres",
            "cassandra" => "Cassandra",
            _ => "SQLite",
        };
        let mut out = format!("topology {}, in store {} ({kind})\n\n", self.topology, self.store);
        let mut topics = vec![["TOPIC", "KEY", "PARTITIONS", "EVENTS READ"].map(str::to_owned).to_vec()];
        topics.extend(self.topics.iter().map(|topic| {
            let key =
                if topic.compacted { format!("{}, compacted", topic.key.join(", ")) } else { topic.key.join(", ") };
            vec![topic.name.clone(), key, topic.partitions.to_string(), topic.events.join(", ")]
        }));
        table(&mut out, &topics);
        out.push('\n');
        let mut views =
            vec![["LEVEL", "VIEW", "MADE OF", "ROWS", "READS", "WRITES", "NOTE"].map(str::to_owned).to_vec()];
        views.extend(self.views.iter().map(overview_row));
        table(&mut out, &views);
        out.push('\n');
        let legend = "A view of one level reads what changes in the levels before it, in the same batch. Reads and writes \
                      are rows for one event (n: the elements of an array); a row that a batch touches often is read and \
                      written once. Owned: one partition of the topic feeds each row, in order; shared: many do.";
        wrapped(&mut out, "", 2, legend);
        out.push('\n');
        promises(&mut out, &self.promises);
        out
    }

    /// The view of this name.
    pub fn view(&self, name: &str) -> Option<&ViewExplained> {
        self.views.iter().find(|view| view.name == name)
    }
}

fn overview_row(view: &ViewExplained) -> Vec<String> {
    let beside = view.beside.as_ref().map_or(String::new(), |beside| format!(", beside {beside}"));
    let from = listed(&view.from);
    let made = match view.made {
        Made::Events => format!("events of {from}{beside}"),
        Made::Copy => format!("a copy of {from}"),
        Made::Aggregate => format!("an aggregate of {from}"),
        Made::Memory => format!("the repeats of {from}"),
    };
    let notes = [view.hot.as_ref().map(|hot| hot.note), view.size.note.as_deref()];
    let notes: Vec<&str> = notes.into_iter().flatten().collect();
    let owned = if view.owned { "owned" } else { "shared" };
    let (reads, writes) = (view.cost.reads.to_string(), view.cost.writes.to_string());
    vec![view.level.to_string(), view.name.clone(), made, owned.to_owned(), reads, writes, notes.join(", ")]
}

impl ViewExplained {
    /// One view.
    pub fn text(&self) -> String {
        let mut out = format!("view {} (level {})\n", self.name, self.level);
        if let Some(doc) = &self.doc {
            wrapped(&mut out, "", 2, doc);
        }
        self.fed_by(&mut out);
        if self.key.is_empty() {
            field(&mut out, "key", "none: one row");
        }
        labelled(&mut out, "key", &self.key.iter().map(key_row).collect::<Vec<_>>());
        labelled(&mut out, "columns", &self.columns.iter().map(column_row).collect::<Vec<_>>());
        field(&mut out, "rows", &self.ownership);
        if let Some(retain) = &self.retain {
            let then = if retain.deleted { "then deleted" } else { "then hidden, and kept" };
            field(&mut out, "retain", &format!("shown for {} days after {}, {then}", retain.days, retain.after));
        }
        field(&mut out, "an event", &format!("reads {}", self.cost.read));
        field(&mut out, "", &format!("writes {}", self.cost.written));
        field(&mut out, "size", &self.size.says);
        if let Some(advice) = &self.size.advice {
            field(&mut out, "", &format!("note: {advice}"));
        }
        if let Some(hot) = &self.hot {
            field(&mut out, hot.note, &hot.says);
            field(&mut out, "", &format!("note: {}", hot.advice));
        }
        for promise in &self.stores {
            field(&mut out, stores(promise), &promise.says);
        }
        field(&mut out, "read by", &self.readers());
        out
    }

    fn fed_by(&self, out: &mut String) {
        let from = listed(&self.from);
        let source = match self.made {
            Made::Events => topics(&self.from),
            Made::Copy => format!("view {from}, copied under another key"),
            Made::Aggregate => format!("view {from}, aggregated"),
            Made::Memory => {
                format!("topic {from}: what is remembered of its records, by which repeats are dropped")
            }
        };
        match &self.beside {
            Some(beside) => field(out, "fed by", &format!("{source}; beside it view {beside}, as each event left it")),
            None => field(out, "fed by", &source),
        }
        labelled(out, "", &self.inputs.iter().map(input_row).collect::<Vec<_>>());
    }

    fn readers(&self) -> String {
        let kinds =
            [("view", &self.read_by.views), ("query", &self.read_by.queries), ("command", &self.read_by.commands)];
        let named = kinds.into_iter().filter(|(_, names)| !names.is_empty()).map(|(kind, names)| match kind {
            _ if names.len() == 1 => format!("{kind} {}", names[0]),
            "query" => format!("queries {}", names.join(", ")),
            kind => format!("{kind}s {}", names.join(", ")),
        });
        let named: Vec<String> = named.collect();
        match named.as_slice() {
            [] if self.made == Made::Memory => "the fold, before all views of the topic".to_owned(),
            [] => "nothing here; whoever reads the store".to_owned(),
            named => named.join("; "),
        }
    }
}

fn input_row(input: &Input) -> Vec<String> {
    let name = match &input.alias {
        Some(alias) => format!("{alias}: {}", input.source),
        None => input.source.clone(),
    };
    let mut does = input.does.clone();
    if let Some(each) = &input.each {
        does.push_str(&format!(", for each {each}"));
    }
    if let Some(filter) = &input.filter {
        does.push_str(&format!(", where {filter}"));
    }
    let renames: Vec<String> = input.renames.iter().map(|(name, field)| format!("{name} is {field}")).collect();
    if !renames.is_empty() {
        does.push_str(&format!("; {}", renames.join(", ")));
    }
    vec![name, does]
}

fn key_row(column: &KeyColumn) -> Vec<String> {
    let place = match (column.partition, column.descending) {
        (true, _) => "partition",
        (false, false) => "clustering, ascending",
        (false, true) => "clustering, descending",
    };
    let from = if column.from == column.name { String::new() } else { format!("= {}", column.from) };
    let owns = if column.owns { ", the topic's key" } else { "" };
    vec![column.name.clone(), column.ty.clone(), format!("{place}{owns}"), from]
}

fn column_row(column: &Column) -> Vec<String> {
    let ty = if column.nullable { format!("{} or null", column.ty) } else { column.ty.clone() };
    vec![
        column.name.clone(),
        ty,
        column.how.clone(),
        if column.from == column.name { String::new() } else { format!("= {}", column.from) },
    ]
}

fn stores(promise: &Promise) -> &'static str {
    if promise.stores.len() > 1 { "on SQL" } else { "on Cassandra" }
}

fn promises(out: &mut String, promises: &[Promise]) {
    for promise in promises {
        wrapped(out, &format!("  {}", promise.stores.join(", ")), 20, &promise.says);
    }
}

/// `a`, `a and b`, `a, b and c`.
/// `topic a`, or `topics a and b`.
pub(super) fn topics(names: &[String]) -> String {
    format!("{} {}", if names.len() == 1 { "topic" } else { "topics" }, listed(names))
}

pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn field(out: &mut String, label: &str, text: &str) {
    wrapped(out, &format!("  {label}"), LABEL + 2, text);
}

/// Rows under one label, whose cells line up.
fn labelled(out: &mut String, label: &str, rows: &[Vec<String>]) {
    rows_of(out, &format!("  {label:<LABEL$}"), rows);
}

/// Text in lines of at most [`WIDTH`], each after so many blanks, the first after `label`.
fn wrapped(out: &mut String, label: &str, indent: usize, text: &str) {
    let mut line = format!("{label:<indent$}");
    let mut used = line.chars().count();
    let mut empty = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !empty && used + 1 + length > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = " ".repeat(indent);
            (used, empty) = (indent, true);
        }
        if !empty {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        (used, empty) = (used + length, false);
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Rows whose cells line up, the first behind `label`, the others below. The last cell of a row is wrapped.
fn rows_of(out: &mut String, label: &str, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let indent = label.chars().count();
    for (index, row) in rows.iter().enumerate() {
        let mut line = if index == 0 { label.to_owned() } else { " ".repeat(indent) };
        let Some((last, cells)) = row.split_last() else { continue };
        for (cell, width) in cells.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        let used = line.chars().count();
        wrapped(out, &line, used, last);
    }
}

fn table(out: &mut String, rows: &[Vec<String>]) {
    rows_of(out, "  ", rows);
}
