//! Which files the demo adds: what git tracks, a version a revision, where there is a git; else what the folder holds.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// A file larger than this is not a demo.
const FILE_BYTES: u64 = 16 << 20;
/// Folders that hold what was made, not what was written.
const MADE: [&str; 6] = ["target", "node_modules", "data", "build", "dist", "__pycache__"];
/// A folder is not searched beyond this many files.
const SEARCHED: usize = 20_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) files: usize,
    pub(crate) revisions: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { files: 60, revisions: 5 }
    }
}

/// A file to add.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct File {
    /// Relative to the folder.
    path: PathBuf,
    /// What the document is called: the path, as text.
    pub(crate) name: String,
    pub(crate) mime_type: String,
    /// The oldest first; at least one.
    pub(crate) revisions: Vec<Revision>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Revision {
    /// As it lies in the folder.
    Now,
    /// A blob of git's.
    Git(String),
}

impl File {
    fn new(path: PathBuf, revisions: Vec<Revision>) -> Self {
        let name = path.to_string_lossy().into_owned();
        let mime_type = mime_guess::from_path(&path).first_raw().unwrap_or(match path.extension() {
            None => "text/plain",
            Some(_) => "application/octet-stream",
        });
        Self { path, name, mime_type: mime_type.to_owned(), revisions }
    }

    /// The same for the same revision of the same file, whenever it is added.
    pub(crate) fn key(&self, revision: &Revision) -> String {
        let number = self.revisions.iter().position(|other| other == revision).unwrap_or_default();
        let of = match revision {
            Revision::Now => "now",
            Revision::Git(blob) => blob,
        };
        let digest = Sha256::digest(format!("{}\0{number}\0{of}", self.name));
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("demo-{hex}")
    }
}

/// The files to add, by path. Where there are more than asked for, a spread of them.
pub(crate) fn collect(folder: &Path, bounds: Bounds) -> Result<Vec<File>, Failure> {
    if !folder.is_dir() {
        return Err(Failure::new(format!("{} is not a folder", folder.display())).mend("Name a folder of files."));
    }
    let files = match tracked(folder) {
        Some(paths) if !paths.is_empty() => {
            let paths = spread(paths, bounds.files);
            paths.into_iter().map(|path| with_history(folder, path, bounds.revisions)).collect()
        }
        _ => spread(held(folder), bounds.files).into_iter().map(|path| File::new(path, vec![Revision::Now])).collect(),
    };
    Ok(files)
}

/// What a revision holds.
pub(crate) async fn content(folder: &Path, file: &File, revision: &Revision) -> Result<Vec<u8>, Failure> {
    let cannot = |error: &std::io::Error| Failure::because(format!("{} cannot be read", file.path.display()), error);
    match revision {
        Revision::Now => tokio::fs::read(folder.join(&file.path)).await.map_err(|error| cannot(&error)),
        Revision::Git(blob) => {
            let mut command = tokio::process::Command::new("git");
            command.arg("-C").arg(folder).args(["cat-file", "blob", blob]).kill_on_drop(true);
            let output = command.output().await.map_err(|error| cannot(&error))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(Failure::new(format!("git has no {blob} of {}: {}", file.path.display(), said.trim())));
            }
            Ok(output.stdout)
        }
    }
}

/// `want` of the paths, evenly spread, so that a part of a large project still shows all of its rooms.
fn spread(mut paths: Vec<PathBuf>, want: usize) -> Vec<PathBuf> {
    paths.sort();
    let have = paths.len();
    if have <= want {
        return paths;
    }
    (0..want).map(|index| paths[index * have / want].clone()).collect()
}

/// The regular files that git tracks here; none where there is no git, no repository, or an unreadable one.
fn tracked(folder: &Path) -> Option<Vec<PathBuf>> {
    let listed = git(folder, &["ls-files", "-z"])?;
    let paths = listed.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    let paths = paths.filter_map(|path| Some(PathBuf::from(std::str::from_utf8(path).ok()?)));
    Some(paths.filter(|path| addable(&folder.join(path))).collect())
}

/// The file's last revisions, by the blobs they hold. What lies in the folder and is not committed is the last of them.
fn with_history(folder: &Path, path: PathBuf, revisions: usize) -> File {
    let text = path.to_string_lossy().into_owned();
    let limit = format!("-n{revisions}");
    let log =
        git(folder, &["log", &limit, "--no-renames", "--format=", "--raw", "--no-abbrev", "--relative", "--", &text]);
    let log = log.unwrap_or_default();
    // `:100644 100644 <old blob> <new blob> M\tpath`
    let blobs = String::from_utf8_lossy(&log);
    let blobs = blobs.lines().filter_map(|line| line.strip_prefix(':')?.split_whitespace().nth(3));
    let mut found: Vec<Revision> = blobs
        .filter(|blob| !blob.bytes().all(|byte| byte == b'0'))
        .map(|blob| Revision::Git(blob.to_owned()))
        .collect();
    found.reverse();
    let now = git(folder, &["hash-object", "--", &text]);
    let now = now.map(|hash| String::from_utf8_lossy(&hash).trim().to_owned());
    if found.is_empty() || now.is_some_and(|now| found.last() != Some(&Revision::Git(now))) {
        found.push(Revision::Now);
    }
    let surplus = found.len().saturating_sub(revisions.max(1));
    found.drain(..surplus);
    File::new(path, found)
}

fn git(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).stderr(std::process::Stdio::null()).output();
    output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
}

/// The files of a folder that somebody wrote.
fn held(folder: &Path) -> Vec<PathBuf> {
    let written = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || entry.file_type().is_dir() && MADE.contains(&&*name))
    };
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(written);
    let files = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_file()).take(SEARCHED);
    let files = files.filter(|entry| addable(entry.path()));
    files.filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_owned())).collect()
}

fn addable(path: &Path) -> bool {
    // A link may lead anywhere: only what is here is added.
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= FILE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, files: &[&str]) {
        for file in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, file).expect("a file");
        }
    }

    #[test]
    fn a_folder_without_git_gives_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path(), &["b.txt", "a/ü.md", "target/made", ".hidden/x", "noextension"]);
        let files = collect(folder.path(), Bounds { files: 10, revisions: 5 }).expect("files");
        let found: Vec<(&str, &str)> = files.iter().map(|file| (file.name.as_str(), file.mime_type.as_str())).collect();
        assert_eq!(found, [("a/ü.md", "text/markdown"), ("b.txt", "text/plain"), ("noextension", "text/plain")]);
        assert!(files.iter().all(|file| file.revisions == [Revision::Now]));
    }

    #[test]
    fn a_spread_is_of_the_whole() {
        let paths: Vec<PathBuf> = (0..100).map(|n| format!("{n:03}").into()).collect();
        let few = spread(paths.clone(), 4);
        assert_eq!(few, ["000", "025", "050", "075"].map(PathBuf::from));
        assert_eq!(spread(paths.clone(), 100), paths);
        assert_eq!(spread(paths, 0), Vec::<PathBuf>::new());
    }

    #[tokio::test]
    async fn a_history_is_a_version_a_revision_and_keys_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = |arguments: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
            let ran = Command::new("git").arg("-C").arg(folder.path()).args(identity).args(arguments).output();
            ran.is_ok_and(|output| output.status.success())
        };
        if !run(&["init", "-q"]) {
            // Without a git there is no history to read: the case above covers that.
            return;
        }
        for content in ["one", "two", "three"] {
            std::fs::write(folder.path().join("a.txt"), content).expect("a file");
            assert!(run(&["add", "."]) && run(&["commit", "-q", "-m", content]));
        }
        std::fs::write(folder.path().join("a.txt"), "four").expect("a file");
        let files = collect(folder.path(), Bounds { files: 9, revisions: 3 }).expect("files");
        let [file] = files.as_slice() else { panic!("{files:?}") };
        let mut contents = Vec::new();
        for revision in &file.revisions {
            contents
                .push(String::from_utf8(content(folder.path(), file, revision).await.expect("content")).expect("text"));
        }
        assert_eq!(contents, ["two", "three", "four"]);
        let keys: std::collections::BTreeSet<String> =
            file.revisions.iter().map(|revision| file.key(revision)).collect();
        assert_eq!(keys.len(), 3);
    }
}
