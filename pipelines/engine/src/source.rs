//! Where a declaration came from, and what is wrong with it: files, spans, diagnostics.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::expr::ExprError;

/// A file's index in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// Bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub file: FileId,
    pub range: Range<usize>,
}

impl Span {
    /// Whether all of it is in the other.
    pub(crate) fn is_within(&self, other: &Span) -> bool {
        self.file == other.file && other.range.start <= self.range.start && self.range.end <= other.range.end
    }
}

/// A value and where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Spanned<T> {
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl Spanned<String> {
    /// The place of a part of the text, `range` being bytes of the value: exact where the file holds the value as it is
    /// (the span of a quoted scalar is what is between the quotes), else the whole scalar.
    pub fn part(&self, range: Range<usize>) -> Span {
        let whole = &self.span.range;
        let exact = whole.len() == self.value.len() && range.start <= range.end && range.end <= self.value.len();
        if !exact {
            return self.span.clone();
        }
        Span { file: self.span.file, range: whole.start + range.start..whole.start + range.end }
    }
}

/// The texts of every file read, by [`FileId`]; paths are relative to the project's folder.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub files: Vec<SourceFile>,
}

#[derive(Clone, Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: Arc<str>,
    /// The byte where each line starts, once somebody asks: of most files nobody does.
    lines: OnceLock<Arc<[usize]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// What kind of mistake it is: stable, for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Code {
    /// A file or folder cannot be read, or is too large.
    Unreadable,
    /// Not YAML, JSON or an expression.
    Syntax,
    UnknownKey,
    MissingKey,
    /// A value of another type than is expected there.
    WrongType,
    /// A name of something that is not declared.
    UnknownName,
    /// Declared, or named, twice.
    Duplicate,
    /// A form of the language that is planned and not built.
    NotSupported,
    /// Whatever else the rules forbid.
    #[default]
    Invalid,
}

impl Code {
    /// All of them, as `check --help` lists them.
    pub const ALL: [Code; 9] = [
        Code::Unreadable,
        Code::Syntax,
        Code::UnknownKey,
        Code::MissingKey,
        Code::WrongType,
        Code::UnknownName,
        Code::Duplicate,
        Code::NotSupported,
        Code::Invalid,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Code::Unreadable => "unreadable",
            Code::Syntax => "syntax",
            Code::UnknownKey => "unknown-key",
            Code::MissingKey => "missing-key",
            Code::WrongType => "wrong-type",
            Code::UnknownName => "unknown-name",
            Code::Duplicate => "duplicate",
            Code::NotSupported => "not-supported",
            Code::Invalid => "invalid",
        }
    }
}

/// A place as a person counts: both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl SourceFile {
    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let starts = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
            std::iter::once(0).chain(starts).collect()
        })
    }
}

impl Sources {
    /// Keeps a file's text; `path` is relative to the project's folder.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile { path: path.into(), text: text.into(), lines: OnceLock::new() });
        id
    }

    /// The file of this id. None only for an id of other sources.
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    pub fn path(&self, id: FileId) -> &Path {
        self.get(id).map_or(Path::new(""), |file| &file.path)
    }

    pub fn text(&self, id: FileId) -> &str {
        self.get(id).map_or("", |file| &file.text)
    }

    /// Line and column of a span's start.
    pub fn place(&self, span: &Span) -> Place {
        let Some(file) = self.get(span.file) else { return Place { line: 1, column: 1 } };
        let start = floor_char_boundary(&file.text, span.range.start);
        let lines = file.lines();
        let line = lines.partition_point(|&line| line <= start).max(1);
        let line_start = lines.get(line - 1).copied().unwrap_or(0);
        Place { line, column: file.text[line_start..start].chars().count() + 1 }
    }
}

/// The greatest character boundary of `text` that is not past `index`.
pub(crate) fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// One thing that is wrong: what, where, what was expected, and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: Code,
    /// A full sentence without a full stop: "view `documents` has no column `nmae`".
    pub message: String,
    pub span: Span,
    /// Under the caret, in a few words.
    pub label: String,
    /// What to write instead; the nearest valid name.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(span: &Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message)
    }

    pub fn warning(span: &Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message)
    }

    fn new(severity: Severity, span: &Span, message: impl Into<String>) -> Self {
        let (code, label) = (Code::Invalid, String::new());
        Self { severity, code, message: message.into(), span: span.clone(), label, help: None }
    }

    /// What stands under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// A name that is not known: "did you mean `documents`?", if a candidate is near; else the candidates, if they are few.
    #[must_use]
    pub fn nearest<'c>(mut self, name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Self {
        self.code = Code::UnknownName;
        self.help = suggestion(name, candidates).or(self.help);
        self
    }

    /// What is wrong with the expression that `text` is.
    pub fn of_expression(text: &Spanned<String>, error: ExprError) -> Self {
        let span = text.part(error.range);
        let ExprError { message, label, help, code, .. } = error;
        Self { severity: Severity::Error, code, message, span, label, help }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The candidate that `name` was probably meant to be.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| is_near(name, candidate, *distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// One slip in four letters; or one of them with letters left out; or another ending.
fn is_near(name: &str, candidate: &str, distance: usize) -> bool {
    let longest = name.len().max(candidate.len());
    let shortest = name.len().min(candidate.len());
    let same = name.bytes().zip(candidate.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let left_out = shortest >= 3 && distance + shortest == longest && distance <= shortest;
    let other_ending = same * 4 >= shortest * 3 && same >= 4 && distance <= 3;
    // Of three letters one may be wrong, but not the first; of any, two may have changed places.
    let short = longest == 3 && distance == 1 && same > 0;
    let swapped = distance == 1 && name.len() == candidate.len() && letters(name) == letters(candidate);
    distance <= longest / 4 || left_out || other_ending || short || swapped
}

/// Its bytes, small and sorted.
fn letters(name: &str) -> Vec<u8> {
    let mut letters = name.to_ascii_lowercase().into_bytes();
    letters.sort_unstable();
    letters
}

/// Help for an unknown name: the nearest candidate, or all of them where they are few.
pub fn suggestion<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    const FEW: usize = 12;
    let mut all: Vec<&str> = candidates.into_iter().collect();
    if let Some(near) = nearest(name, all.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    all.sort_unstable();
    all.dedup();
    (1..=FEW).contains(&all.len()).then(|| format!("known here: {}", all.join(", ")))
}
