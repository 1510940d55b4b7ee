//! `headwater json-schema`: JSON Schemas of a project's files, for editors.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use headwater_engine::declare::json_schema::{FileKind, KINDS};

use crate::failure::{Answer, Failure};
use crate::output::Output;

/// Print or write the JSON Schemas of a project's files, for editors
#[derive(Debug, Args)]
#[command(
    long_about = "A JSON Schema for each kind of file: headwater, topic, topology, commands, queries and tests. They are made \
                  of what `check` reads the files by, so an editor with a YAML language server completes and describes \
                  every key, and marks what is unknown, missing or of another kind. What needs more than one file, or an \
                  expression to be read, is left to `check`.\n\nA file names its schema in its first line, from where it is:\n  \
                  # yaml-language-server: $schema=../../.headwater/schemas/topology.json\n\n`headwater new` writes schemas and \
                  first lines; write the schemas anew after an update of headwater. They are of draft 07.",
    after_help = "Examples:\n  headwater json-schema topology\n  headwater json-schema --output .headwater/schemas"
)]
pub(crate) struct JsonSchema {
    /// Only this kind of file
    #[arg(value_name = "KIND", required_unless_present = "output")]
    #[arg(value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)))]
    kind: Option<String>,

    /// Write KIND.json files into this folder; prints to stdout unless given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl JsonSchema {
    pub(crate) fn run(&self, json: bool) -> Result<Answer, Failure> {
        let chosen = KINDS.iter().filter(|kind| self.kind.as_ref().is_none_or(|name| name == kind.name));
        let mut out = Output::new(json);
        let Some(folder) = &self.output else {
            for kind in chosen {
                out.line(kind.text().trim_end())?;
            }
            out.flush()?;
            return Ok(Answer::Yes);
        };
        let mut written = Vec::new();
        for kind in chosen {
            written.push(write(folder, kind)?);
        }
        if json {
            out.value(&serde_json::json!({ "files": written }))?;
        } else {
            for path in &written {
                out.line(path.display().to_string())?;
            }
        }
        out.flush()?;
        Ok(Answer::Yes)
    }
}

fn write(folder: &Path, kind: &FileKind) -> Result<PathBuf, Failure> {
    let path = folder.join(format!("{}.json", kind.name));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, kind.text()))
        .map_err(|error| Failure::because(format!("{} cannot be written", path.display()), &error))?;
    Ok(path)
}
