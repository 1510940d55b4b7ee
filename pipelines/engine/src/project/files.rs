//! A project's folders on disk: which files are its declarations, and their texts, within bounds.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use rayon::prelude::*;

use crate::source::{Code, Diagnostic, FileId, Sources, Span, nearest};
use crate::yaml::{self, Node};

/// Files of one project.
const MAX_FILES: usize = 20_000;
/// Bytes of all of a project's files together.
const MAX_TOTAL_BYTES: usize = 256 * 1024 * 1024;
/// Files that are read side by side.
const READ_AT_ONCE: usize = 256;

pub(super) const CONFIG: &str = "headwater.yaml";
const TOPIC: &str = "topic.yaml";
const PIPELINE_FILES: [(&str, Kind); 3] =
    [("topology.yaml", Kind::Topology), ("commands.yaml", Kind::Commands), ("queries.yaml", Kind::Queries)];

/// What a file declares, by its name and folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Config,
    Topic,
    Schema,
    Topology,
    Commands,
    Queries,
    Tests,
}

/// A declaration file that is yet to be read.
struct Found {
    path: PathBuf,
    /// Relative to the project's folder.
    shown: PathBuf,
    kind: Kind,
    domain: String,
}

/// A declaration file that was read.
pub(super) struct Declared {
    pub(super) kind: Kind,
    /// The folder under `schemas/` or `pipelines/`; empty for the configuration.
    pub(super) domain: String,
    pub(super) id: FileId,
    /// None of its text could be read, which was reported.
    pub(super) unreadable: bool,
}

/// The files of a project, in a fixed order: by kind of folder, domain, name.
pub(super) struct Files {
    pub(super) sources: Sources,
    pub(super) declared: Vec<Declared>,
    pub(super) problems: Vec<Diagnostic>,
    /// A folder could not be read: whatever is not found may be in there.
    pub(super) unreadable_folder: bool,
    found: Vec<Found>,
    total_bytes: usize,
}

impl Files {
    /// Reads the project in `dir`; `config` stands in for its `headwater.yaml`.
    pub(super) fn read(dir: &Path, config: Option<&Path>) -> Self {
        let mut files = Self {
            sources: Sources::default(),
            declared: Vec::new(),
            problems: Vec::new(),
            unreadable_folder: false,
            found: Vec::new(),
            total_bytes: 0,
        };
        match config {
            Some(path) => files.find(path.to_owned(), path.to_owned(), Kind::Config, ""),
            None => files.find(dir.join(CONFIG), CONFIG.into(), Kind::Config, ""),
        }
        for domain in files.domains(dir, "schemas") {
            files.schemas(dir, &domain);
        }
        for domain in files.domains(dir, "pipelines") {
            files.pipelines(dir, &domain);
        }
        let mut found = std::mem::take(&mut files.found).into_iter().peekable();
        while found.peek().is_some() {
            let some: Vec<Found> = found.by_ref().take(READ_AT_ONCE).collect();
            let read: Vec<io::Result<Vec<u8>>> = some.par_iter().map(|file| read_bounded(&file.path)).collect();
            some.into_iter().zip(read).for_each(|(file, bytes)| files.take(file, bytes));
        }
        files
    }

    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Declared> {
        self.declared.iter().filter(move |file| file.kind == kind)
    }

    /// The folders of `room` that can be domains: not hidden, and no crate of the program itself.
    fn domains(&mut self, dir: &Path, room: &str) -> Vec<String> {
        let names = self.names(&dir.join(room), room);
        names
            .into_iter()
            .filter(|name| {
                let folder = dir.join(room).join(name);
                folder.is_dir() && !name.starts_with('.') && !folder.join("Cargo.toml").exists()
            })
            .collect()
    }

    fn schemas(&mut self, dir: &Path, domain: &str) {
        let folder = PathBuf::from("schemas").join(domain);
        for name in self.names(&dir.join(&folder), &folder.to_string_lossy()) {
            let path = folder.join(&name);
            if name == TOPIC {
                self.find(dir.join(&path), path, Kind::Topic, domain);
            } else if name.ends_with(".avsc") {
                self.find(dir.join(&path), path, Kind::Schema, domain);
            } else if is_yaml(&name) {
                self.unexpected(path, &name, &[TOPIC]);
            }
        }
    }

    fn pipelines(&mut self, dir: &Path, domain: &str) {
        let folder = PathBuf::from("pipelines").join(domain);
        for name in self.names(&dir.join(&folder), &folder.to_string_lossy()) {
            let path = folder.join(&name);
            if let Some((_, kind)) = PIPELINE_FILES.iter().find(|(file, _)| *file == name) {
                self.find(dir.join(&path), path, *kind, domain);
            } else if is_yaml(&name) {
                self.unexpected(path, &name, &PIPELINE_FILES.map(|(file, _)| file));
            } else if name == "tests" && dir.join(&path).is_dir() {
                self.tests(dir, &path, domain);
            } else if name == "tests" {
                self.problem(path, "this is not a folder that can be read, and tests are looked for in it".into());
            }
        }
    }

    fn tests(&mut self, dir: &Path, folder: &Path, domain: &str) {
        for name in self.names(&dir.join(folder), &folder.to_string_lossy()) {
            let path = folder.join(&name);
            if name.ends_with(".yaml") {
                self.find(dir.join(&path), path, Kind::Tests, domain);
            } else if name.ends_with(".yml") {
                let better = format!("{}.yaml", name.trim_end_matches(".yml"));
                self.unexpected(path, &name, &[better.as_str()]);
            }
        }
    }

    /// The names in a folder, sorted. A folder that is not there has none.
    fn names(&mut self, folder: &Path, shown: &str) -> Vec<String> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.unreadable_folder = true;
                self.problem(shown.into(), format!("the folder cannot be read: {error}"));
                return Vec::new();
            }
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .take(MAX_FILES)
            .collect();
        names.sort_unstable();
        names
    }

    /// A YAML file that nothing reads: a mistake where its name is nearly right, else only worth a word.
    fn unexpected(&mut self, path: PathBuf, name: &str, expected: &[&str]) {
        let stem = |name: &str| name.trim_end_matches(".yaml").trim_end_matches(".yml").to_owned();
        let near = nearest(&stem(name), expected.iter().map(|file| file.trim_end_matches(".yaml")));
        let span = self.empty(path);
        self.problems.push(match near {
            Some(near) => Diagnostic::error(&span, "no file of this name is read here")
                .help(format!("did you mean `{near}.yaml`?")),
            None => Diagnostic::warning(&span, "no file of this name is read here")
                .help(format!("read here: {}", expected.join(", "))),
        });
    }

    fn empty(&mut self, path: PathBuf) -> Span {
        Span { file: self.sources.add(path, ""), range: 0..0 }
    }

    fn problem(&mut self, path: PathBuf, message: String) -> FileId {
        let span = self.empty(path);
        self.problems.push(Diagnostic::error(&span, message).code(Code::Unreadable));
        span.file
    }

    /// The tree of a YAML file, or what keeps it from being one.
    pub(super) fn tree(&self, file: &Declared, out: &mut Vec<Diagnostic>) -> Option<Node> {
        if file.unreadable { None } else { yaml::parse_into(file.id, self.sources.text(file.id), out) }
    }

    fn find(&mut self, path: PathBuf, shown: PathBuf, kind: Kind, domain: &str) {
        // One more than there may be is looked at, to say so.
        if self.found.len() <= MAX_FILES {
            self.found.push(Found { path, shown, kind, domain: domain.to_owned() });
        }
    }

    /// Keeps a file that was read, or says why it was not and keeps its name.
    fn take(&mut self, file: Found, bytes: io::Result<Vec<u8>>) {
        let Found { shown, kind, domain, .. } = file;
        if self.declared.len() >= MAX_FILES {
            self.problem(shown, format!("a project has at most {MAX_FILES} files"));
            return;
        }
        let (id, unreadable) = match self.text(bytes, shown.clone()) {
            Ok(text) => (self.sources.add(shown, text), false),
            Err(Unread::Missing) if kind == Kind::Config => {
                let span = self.empty(shown);
                let error = Diagnostic::error(&span, "there is no such file").code(Code::Unreadable);
                self.problems.push(error.help("an empty one will do: everything is embedded then, under data/"));
                return;
            }
            Err(Unread::Missing) => (self.problem(shown, "the file is a link to nothing".into()), true),
            Err(Unread::Because(message)) => (self.problem(shown, message), true),
            Err(Unread::Reported(id)) => (id, true),
        };
        self.declared.push(Declared { kind, domain, id, unreadable });
    }

    fn text(&mut self, bytes: io::Result<Vec<u8>>, shown: PathBuf) -> Result<String, Unread> {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
            Err(error) => return Err(Unread::Because(format!("the file cannot be read: {error}"))),
        };
        if bytes.len() > yaml::MAX_BYTES {
            let message = format!("the file has more than the {} bytes allowed", yaml::MAX_BYTES);
            return Err(Unread::Because(message));
        }
        self.total_bytes += bytes.len();
        if self.total_bytes > MAX_TOTAL_BYTES {
            let message = format!("the project's files have more than {MAX_TOTAL_BYTES} bytes together");
            return Err(Unread::Because(message));
        }
        String::from_utf8(bytes).map_err(|error| Unread::Reported(self.not_utf8(shown, &error)))
    }

    fn not_utf8(&mut self, shown: PathBuf, error: &FromUtf8Error) -> FileId {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        let id = self.sources.add(shown, String::from_utf8_lossy(error.as_bytes()));
        let span = Span { file: id, range: at..at + char::REPLACEMENT_CHARACTER.len_utf8() };
        self.problems.push(
            Diagnostic::error(&span, format!("the file is not UTF-8: byte 0x{byte:02x} at offset {at}"))
                .label("no character of UTF-8")
                .help("save the file as UTF-8")
                .code(Code::Unreadable),
        );
        id
    }
}

/// Why a file has no text.
enum Unread {
    Missing,
    Because(String),
    Reported(FileId),
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// A regular file's bytes, at most one more than a file may have. Anything that is not a file (a pipe would wait for
/// ever) is refused.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let limit = u64::try_from(yaml::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    // Room for all of it and a byte: one call reads it, and the next one its end.
    let room = usize::try_from(metadata.len().saturating_add(1).min(limit)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(room);
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
