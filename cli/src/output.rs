//! What a command prints: text for a person, or JSON for a program, to stdout; notes to stderr.
//!
//! A reader that closes the pipe ends the command quietly: every write gives [`Failure::Closed`] then.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Stdout, buffered, and flushed when dropped.
pub(crate) struct Output {
    out: BufWriter<io::Stdout>,
    pub(crate) json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { out: BufWriter::new(io::stdout()), json }
    }

    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.out.write_all(text.as_ref().as_bytes())?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// One JSON document on one line.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Columns that line up, with a head. Control characters in a cell are shown, not obeyed.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| console::measure_text_width(cell));
            cells.chain([head[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
        let titles = laid_out(&head, &widths);
        self.line(console::style(titles).dim().to_string())?;
        for row in &rows {
            self.line(laid_out(row, &widths))?;
        }
        Ok(())
    }

    /// Hands everything over now.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

fn laid_out(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, &width) in cells.iter().zip(widths) {
        line.push_str(cell);
        let gap = width.saturating_sub(console::measure_text_width(cell)) + 2;
        line.extend(std::iter::repeat_n(' ', gap));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Text that was written by someone else, safe for a terminal: control characters and those that turn the direction of
/// writing are shown as escapes.
pub(crate) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A note to the person at the terminal, beside the answer.
pub(crate) fn note(text: impl AsRef<str>) {
    // Where stderr is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Whether a person is watching stderr, where progress is shown.
pub(crate) fn watched() -> bool {
    io::stderr().is_terminal()
}

/// `1 topic`, `2 topics`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let stem = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match (count, stem) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_drive_the_terminal() {
        for (text, shown) in [
            ("plan.txt", "plan.txt"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("two\nlines", "two\\nlines"),
            ("Übersicht 概要 👩‍👩‍👧", "Übersicht 概要 👩‍👩‍👧"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn nouns_are_counted() {
        for (count, noun, text) in [
            (1, "topic", "1 topic"),
            (0, "topic", "0 topics"),
            (2, "query", "2 queries"),
            (1, "query", "1 query"),
            (2, "day", "2 days"),
        ] {
            assert_eq!(counted(count, noun), text);
        }
    }

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let cells = ["概要".to_owned(), "x".to_owned()];
        assert_eq!(laid_out(&cells, &[6, 3]), "概要    x");
    }
}
