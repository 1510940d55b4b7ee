//! The project's own declarations, copied into a folder of the run's, with topics and tables of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::Fallible;
use crate::stack::{Profile, STORE_ADDRESS};

#[derive(Clone)]
pub(crate) struct Project {
    pub(crate) folder: PathBuf,
    program: PathBuf,
    variables: Vec<(String, String)>,
    /// `document` and `user`, as they are called here.
    pub(crate) topics: [String; 2],
}

impl Project {
    /// `program`: the `headwater` that is run. `own` ends the names of what is made on servers.
    pub(crate) fn make(root: &Path, folder: &Path, program: &Path, profile: &Profile, own: &str) -> Fallible<Self> {
        for part in ["schemas/document", "schemas/user", "pipelines/document"] {
            copy(&root.join(part), &folder.join(part))?;
        }
        std::fs::write(folder.join("headwater.yaml"), &profile.config)?;
        let topics = ["document", "user"].map(|topic| format!("{topic}_{own}"));
        for (topic, name) in ["document", "user"].iter().zip(&topics) {
            replace(
                &folder.join(format!("schemas/{topic}/topic.yaml")),
                &format!("topic: {topic}\n"),
                &format!("topic: {name}\n"),
            )?;
            let topology = folder.join("pipelines/document/topology.yaml");
            replace(&topology, &format!("  - {topic}\n"), &format!("  - {name}\n"))?;
        }
        let mut variables = profile.variables.clone();
        // A process that is tortured is given its own proxy's instead.
        variables.extend(profile.store.iter().map(|address| (STORE_ADDRESS.to_owned(), address.clone())));
        Ok(Self { folder: folder.to_owned(), program: program.to_owned(), variables, topics })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The program, about this project.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for variable in ["HEADWATER_PROJECT", "HEADWATER_CONFIG", "HEADWATER_LOG"] {
            command.env_remove(variable);
        }
        command.args(arguments).current_dir(&self.folder).envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs it to its end; what it printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Fallible<String> {
        let output = self.command(arguments).output().await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match output.status.success() {
            true => Ok(out.into_owned()),
            false => Err(format!("`headwater {}` failed: {out}{err}", arguments.join(" ")).into()),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Fallible<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name()))?,
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name()))?),
        }
    }
    Ok(())
}

/// Replaces the one place where `from` stands in a file.
fn replace(file: &Path, from: &str, to: &str) -> Fallible<()> {
    let text = std::fs::read_to_string(file)?;
    if text.matches(from).count() != 1 {
        return Err(format!("{from:?} does not stand once in {}", file.display()).into());
    }
    Ok(std::fs::write(file, text.replace(from, to))?)
}
