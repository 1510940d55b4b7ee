//! Diagnostics for people and for programs: every mistake with its file, line, a caret under the token, and what to do.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};
use serde_json::{Value as Json, json};

use crate::source::{Diagnostic, Severity, Sources, Span, floor_char_boundary};

/// Columns of a rendered report.
const WIDTH: usize = 110;
/// The most diagnostics that are drawn; JSON has all of them.
const DRAWN: usize = 200;
/// Bytes of a line that are drawn before and after its mistake.
const AROUND: usize = 160;

/// What is wrong with a project's files: sorted by file and place, nothing twice.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub fn new(sources: Sources, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| order(&sources, a).cmp(&order(&sources, b)));
        diagnostics.dedup_by(|a, b| a.span == b.span && a.message == b.message);
        Self { sources, diagnostics }
    }

    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count()
    }

    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }

    /// For a person: each mistake with its line and a caret, then a count. `colour` where a terminal reads it and
    /// `NO_COLOR` is not set; that is the caller's to know.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false).with_break_words(false);
        let mut text = String::new();
        for diagnostic in self.diagnostics.iter().take(DRAWN) {
            let drawn = Drawn::new(&self.sources, diagnostic);
            // Writing to a string does not fail; a span that miette cannot draw still has its message.
            if handler.render_report(&mut text, &drawn).is_err() {
                text.push_str(&format!("  × {drawn}\n"));
            }
            text.push('\n');
        }
        if self.diagnostics.len() > DRAWN {
            text.push_str(&format!("  … and {} more\n\n", self.diagnostics.len() - DRAWN));
        }
        // Rendering pads lines; a report that is copied or compared should not.
        let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let summary = self.summary();
        lines.push(&summary);
        lines.join("\n")
    }

    /// "5 errors in 3 files".
    pub fn summary(&self) -> String {
        let mut files: Vec<_> = self.diagnostics.iter().map(|diagnostic| diagnostic.span.file).collect();
        files.sort_unstable();
        files.dedup();
        let counts = [(self.errors(), "error"), (self.warnings(), "warning")];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(*count, noun)).collect();
        if counts.is_empty() {
            return "nothing is wrong".into();
        }
        format!("{} in {}", counts.join(" and "), counted(files.len(), "file"))
    }

    /// For a program: `{errors, warnings, diagnostics: [{severity, code, file, line, column, message, label, help}]}`, line and
    /// column from 1, the column in characters.
    pub fn json(&self) -> Json {
        let diagnostics: Vec<Json> = self.diagnostics.iter().map(|diagnostic| self.one_json(diagnostic)).collect();
        json!({ "errors": self.errors(), "warnings": self.warnings(), "diagnostics": diagnostics })
    }

    fn one_json(&self, diagnostic: &Diagnostic) -> Json {
        let place = self.sources.place(&diagnostic.span);
        json!({
            "severity": match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "code": diagnostic.code.as_str(),
            "file": shown_path(&self.sources, diagnostic),
            "line": place.line,
            "column": place.column,
            "message": diagnostic.message,
            "label": diagnostic.label,
            "help": diagnostic.help,
        })
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn order<'s>(sources: &'s Sources, d: &'s Diagnostic) -> (&'s std::path::Path, usize, usize, Severity, &'s str) {
    (sources.path(d.span.file), d.span.range.start, d.span.range.end, d.severity, &d.message)
}

/// With `/` between folders, on every system.
fn shown_path(sources: &Sources, diagnostic: &Diagnostic) -> String {
    sources.path(diagnostic.span.file).to_string_lossy().replace('\\', "/")
}

/// Every message in a few words each, without colour.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// A diagnostic as miette draws it.
#[derive(Debug)]
struct Drawn {
    message: String,
    severity: Severity,
    help: Option<String>,
    /// None where there is no line to show: an empty file, or one that is not there.
    snippet: Option<(Snippet, LabeledSpan)>,
}

/// The line that a mistake is in; of a very long one, what is around it.
#[derive(Debug)]
struct Snippet {
    path: String,
    /// As long as what it stands for, byte by byte.
    text: String,
    /// Where it starts in the file.
    offset: usize,
    /// From 0.
    line: usize,
    /// Of the mistake, in characters from 0.
    column: usize,
}

impl SourceCode for Snippet {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let span = (self.offset, self.text.len()).into();
        let data = self.text.as_bytes();
        let contents = MietteSpanContents::new_named(self.path.clone(), data, span, self.line, self.column, 1);
        Ok(Box::new(contents))
    }
}

impl Drawn {
    fn new(sources: &Sources, diagnostic: &Diagnostic) -> Self {
        let path = shown_path(sources, diagnostic);
        let text = sources.text(diagnostic.span.file);
        let severity = diagnostic.severity;
        let help = diagnostic.help.as_deref().map(printable);
        let message = printable(&diagnostic.message);
        if text.trim().is_empty() {
            return Self { message: format!("{path}: {message}"), severity, help, snippet: None };
        }
        // At the very end there is nothing to point at: the last line is shown.
        let start = floor_char_boundary(text, diagnostic.span.range.start).min(text.trim_end().len());
        let end = floor_char_boundary(text, diagnostic.span.range.end).max(start);
        // A mapping or a folded text may be many lines; its first says where it is.
        let marked = text[start..end].split(['\n', '\r']).next().unwrap_or("").trim_end();
        let place = sources.place(&Span { file: diagnostic.span.file, range: start..end });
        let line_start = text[..start].rfind('\n').map_or(0, |index| index + 1);
        let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |index| start + index);
        let from = floor_char_boundary(text, line_start.max(start.saturating_sub(AROUND)));
        let to = floor_char_boundary(text, line_end.min(start + AROUND));
        let label = (!diagnostic.label.is_empty()).then(|| printable(&diagnostic.label));
        // At the end of a line there is nothing to draw under but its last character.
        let last = text[line_start..start].chars().next_back().filter(|_| marked.is_empty() && start == line_end);
        let drawn = match last {
            Some(last) => (start - last.len_utf8(), last.len_utf8()),
            None => (start, marked.len().min(to - start)),
        };
        let label = LabeledSpan::new_primary_with_span(label, drawn);
        let snippet = Snippet {
            path,
            text: printable(&text[from..to]),
            offset: from,
            line: place.line - 1,
            column: place.column - 1,
        };
        Self { message, severity, help, snippet: Some((snippet, label)) }
    }
}

/// Text that someone else wrote, safe for a terminal and of the same length: control characters, and those that turn the
/// direction of writing, are replaced.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(c),
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' => {
                shown.push(char::REPLACEMENT_CHARACTER);
            }
            c if c.is_control() => shown.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => shown.push(c),
        }
    }
    shown
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn {}

impl miette::Diagnostic for Drawn {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet.as_ref().map(|(source, _)| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, label) = self.snippet.as_ref()?;
        Some(Box::new(std::iter::once(label.clone())))
    }
}
