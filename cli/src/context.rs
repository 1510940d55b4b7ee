//! Which project a command is about, and how it answers.

use std::path::PathBuf;

use clap::Args;
use headwater_engine::project::{Project, Report};

use crate::failure::{Answer, Failure};
use crate::output::{self, Output};

/// The file that makes a folder a project.
pub(crate) const PROJECT_FILE: &str = "headwater.yaml";

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Every command")]
pub(crate) struct Global {
    /// The project's folder [default: the nearest folder upward that holds headwater.yaml]
    #[arg(long, global = true, value_name = "DIR", env = "HEADWATER_PROJECT")]
    pub(crate) project: Option<PathBuf>,

    /// Another headwater.yaml than the project's own: a profile, for example of real servers
    #[arg(long, global = true, value_name = "FILE", env = "HEADWATER_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

pub(crate) struct Context {
    pub(crate) dir: PathBuf,
    pub(crate) config: Option<PathBuf>,
    pub(crate) json: bool,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self, Failure> {
        let dir = match global.project {
            Some(dir) => named(dir, global.config.is_some())?,
            None => Project::find(&current_dir()?).ok_or_else(no_project)?,
        };
        Ok(Self { dir, config: global.config, json: global.json })
    }

    pub(crate) fn output(&self) -> Output {
        Output::new(self.json)
    }

    /// The project, checked; or every mistake in it.
    pub(crate) fn load(&self) -> Result<Project, Report> {
        Project::load(&self.dir, self.config.as_deref())
    }

    /// The project for a command that needs a right one: its mistakes are shown and the answer is no.
    pub(crate) fn project(&self) -> Result<Result<Project, Answer>, Failure> {
        match self.load() {
            Ok(project) => Ok(Ok(project)),
            Err(report) => {
                self.show(&report)?;
                Ok(Err(Answer::No))
            }
        }
    }

    /// Every mistake, each with its place: on stderr for people, as one document on stdout for programs.
    pub(crate) fn show(&self, report: &Report) -> Result<(), Failure> {
        if self.json {
            let mut out = self.output();
            out.value(&report.json())?;
            return out.flush();
        }
        output::note(report.render(console::colors_enabled_stderr()));
        Ok(())
    }
}

fn named(dir: PathBuf, has_config: bool) -> Result<PathBuf, Failure> {
    if !dir.is_dir() {
        return Err(Failure::new(format!("{} is not a folder", dir.display())).mend("Name a project's folder."));
    }
    if !has_config && !dir.join(PROJECT_FILE).is_file() {
        let what = format!("{} has no {PROJECT_FILE}", dir.display());
        return Err(Failure::new(what).mend("Name a folder that holds one, or give --config FILE."));
    }
    Ok(dir)
}

fn current_dir() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| Failure::because("the current folder cannot be read", &error))
}

fn no_project() -> Failure {
    Failure::new(format!("no {PROJECT_FILE} here or in any folder above"))
        .mend("Go to a project's folder, or name it: headwater --project DIR …")
}
