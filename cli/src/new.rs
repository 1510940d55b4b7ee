//! `headwater new`: a project to start from, which passes `check` and `test` as it is, and which `up` serves.

mod template;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::{Answer, Failure};
use crate::output::Output;
use template::{Domain, Store};

/// Make a project to start from
#[derive(Debug, Args)]
#[command(
    long_about = "Makes a folder with one domain: a topic with its Avro schemas, views, commands, queries and tests, with \
                  comments that say what each is for; and with the JSON Schemas by which an editor completes and checks the \
                  files as they are written. It passes `headwater check` and `headwater test` as it is, and its README has \
                  the lines to try it by.",
    after_help = "Examples:\n  headwater new shop\n  headwater new shop --domain order_line --store postgres\n\n\
                  Exit codes: 0 made, 2 wrong usage, or the folder holds something already."
)]
pub(crate) struct New {
    /// The folder to make, whose name is the project's
    #[arg(value_name = "NAME")]
    folder: PathBuf,

    /// What the project is about, in the singular: the first domain
    #[arg(long, value_name = "NAME", default_value = "order", value_parser = Domain::parse)]
    domain: Domain,

    /// Where its views are kept
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
}

impl New {
    pub(crate) fn run(&self, json: bool) -> Result<Answer, Failure> {
        let name = name(&self.folder)?;
        empty(&self.folder)?;
        let files = template::files(&name, &self.domain, self.store);
        for (path, text) in &files {
            let path = self.folder.join(path);
            write(&path, text)
                .map_err(|error| Failure::because(format!("{} cannot be made", path.display()), &error))?;
        }
        let mut out = Output::new(json);
        if json {
            let files: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
            out.value(&serde_json::json!({ "project": name, "folder": self.folder, "files": files }))?;
        } else {
            out.line(format!("Made {name}: {} files. Next:\n", files.len()))?;
            out.line(format!("  cd {}\n  headwater check\n  headwater test\n  headwater up\n", shell(&self.folder)))?;
            out.line("README.md there has the lines to try it by.")?;
        }
        out.flush()?;
        Ok(Answer::Yes)
    }
}

/// The last part of the path. `.` is the folder that this is run in.
fn name(folder: &Path) -> Result<String, Failure> {
    let whole = fs::canonicalize(folder).or_else(|_| std::path::absolute(folder));
    let whole = whole.map_err(|error| Failure::because(format!("{} is no folder", folder.display()), &error))?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fine = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed) && name.len() <= 64;
    if fine {
        return Ok(name);
    }
    Err(Failure::new(format!("{name:?} cannot be the name of a project"))
        .mend("A name is a letter or digit, then letters, digits, points, dashes and underscores, at most 64: my-shop"))
}

/// Refuses a folder that holds anything.
fn empty(folder: &Path) -> Result<(), Failure> {
    let failure = |what: &str| Failure::new(format!("{} {what}", folder.display()));
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(failure("is not empty").mend("Name a folder that is not there yet, or an empty one.")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(failure("is not a folder")),
        Err(error) => Err(Failure::because(format!("{} cannot be read", folder.display()), &error)),
    }
}

/// A file that is not there yet, and the folders above it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

/// The path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.chars().all(plain) && !text.starts_with('-') {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
