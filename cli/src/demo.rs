//! `headwater demo`: a folder of real files as documents, added through the command API like any client would.
//!
//! Every request carries an `Idempotency-Key` made of the file and its revision, so a demo that was interrupted is simply
//! run again: what is there already answers as it did before.

mod client;
mod files;
mod people;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::stream;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::{Output, counted, note, watched};
use crate::token;
use client::Client;
pub(crate) use files::Bounds;
use files::File;
use people::PEOPLE;

/// Files that are added at a time.
const AT_ONCE: usize = 4;

/// How long the demo's own tokens hold.
const TOKEN_TTL: Duration = Duration::from_secs(3600);

/// Add a folder of real files as documents, and show the list
#[derive(Debug, Args)]
#[command(
    long_about = "Registers some users, then adds the files of a folder (by default the project's own) through the command \
                  API of a running Headwater: one document a file, and where git knows a history one version a revision. \
                  Then it shows the list as the portal does: the latest change first, with the e-mail address of who made \
                  it. Run twice, it changes nothing the second time.",
    after_help = "Examples:\n  headwater demo\n  headwater demo ~/Documents --files 20\n  headwater demo --url http://127.0.0.1:9000"
)]
pub(crate) struct Demo {
    /// The folder whose files to add
    folder: Option<PathBuf>,

    /// Where Headwater listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,

    /// At most this many files
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    files: usize,

    /// At most this many revisions of each
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    revisions: usize,
}

/// What was added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) documents: usize,
    pub(crate) versions: usize,
    /// False where it was interrupted.
    pub(crate) finished: bool,
}

impl Demo {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let environment = Environment::open(project).await?;
        let stop = interrupt::token()?;
        let folder = self.folder.as_deref().unwrap_or(&context.dir);
        let bounds = Bounds { files: self.files, revisions: self.revisions };
        let mut out = context.output();
        let loaded = load(&environment, &self.url, folder, bounds, &stop).await;
        let answer = match loaded {
            Ok((loaded, client)) => report(loaded, &client, &mut out).await,
            Err(failure) => Err(failure),
        };
        environment.close().await;
        answer
    }
}

async fn report(loaded: Loaded, client: &Client, out: &mut Output) -> Result<Answer, Failure> {
    if !loaded.finished {
        note("Interrupted. Run it again to go on: what is there stays as it is.");
        return Ok(Answer::Interrupted);
    }
    show(client, loaded, out).await?;
    Ok(Answer::Yes)
}

/// Loads the demo into a running Headwater, with progress on stderr.
pub(crate) async fn load(
    environment: &Environment,
    url: &str,
    folder: &Path,
    bounds: Bounds,
    stop: &CancellationToken,
) -> Result<(Loaded, Client), Failure> {
    let files = files::collect(folder, bounds)?;
    if files.is_empty() {
        return Err(Failure::new(format!("{} holds no files to add", folder.display())).mend("Name another folder."));
    }
    let client = client(environment, url)?;
    client.reachable().await?;
    people::register(environment).await?;
    let bar = bar(files.iter().map(|file| file.revisions.len()).sum());
    let mut loaded = Loaded::default();
    let mut adding = stream::iter(files.iter().enumerate())
        .map(|(index, file)| add(&client, folder, file, index, &bar, stop))
        .buffer_unordered(AT_ONCE);
    while let Some(added) = adding.next().await {
        let versions = match added {
            Ok(versions) => versions,
            Err(failure) => {
                bar.finish_and_clear();
                return Err(failure);
            }
        };
        loaded.documents += usize::from(versions > 0);
        loaded.versions += versions;
    }
    drop(adding);
    bar.finish_and_clear();
    loaded.finished = !stop.is_cancelled();
    Ok((loaded, client))
}

fn client(environment: &Environment, url: &str) -> Result<Client, Failure> {
    let keys = environment.keys()?;
    let tokens = PEOPLE.iter().map(|person| token::sign(&keys, person.id, &[], TOKEN_TTL));
    Client::new(url, tokens.collect::<Result<_, _>>()?)
}

/// Adds a file and its revisions, the oldest first; how many versions it has then.
async fn add(
    client: &Client,
    folder: &Path,
    file: &File,
    index: usize,
    bar: &ProgressBar,
    stop: &CancellationToken,
) -> Result<usize, Failure> {
    let mut document = None;
    let mut versions = 0;
    for (number, revision) in file.revisions.iter().enumerate() {
        if stop.is_cancelled() {
            break;
        }
        bar.set_message(crate::output::printable(&file.name));
        let content = files::content(folder, file, revision).await?;
        let person = (index + number) % PEOPLE.len();
        let sent =
            client::Upload { name: &file.name, mime_type: &file.mime_type, content, key: file.key(revision), person };
        match &document {
            None => document = Some(client.add(sent).await?),
            Some(id) => client.add_version(id, sent).await?,
        }
        versions += 1;
        bar.inc(1);
    }
    Ok(versions)
}

/// The list as the portal shows it.
pub(crate) async fn show(client: &Client, loaded: Loaded, out: &mut Output) -> Result<(), Failure> {
    let rows = client.list(10).await?;
    let total = client.count().await?;
    if out.json {
        out.value(&serde_json::json!({
            "documents": loaded.documents, "versions": loaded.versions, "total": total, "latest": rows,
        }))?;
        return out.flush();
    }
    let text = |row: &serde_json::Value, column: &str| match &row[column] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| ["name", "updated_by_email", "updated", "versions"].map(|column| text(row, column)).to_vec())
        .collect();
    out.table(&["NAME", "LAST UPDATED BY", "LAST UPDATED", "VERSIONS"], &cells)?;
    out.line(format!("{}, of {} in all.", counted(cells.len(), "latest document"), total["documents"]))?;
    out.flush()
}

fn bar(versions: usize) -> ProgressBar {
    if !watched() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} versions  {wide_msg}");
    ProgressBar::new(versions as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
