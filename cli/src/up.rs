//! `headwater up`: everything in one process on the embedded default.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use headwater_engine::project::Project;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::demo;
use crate::demo::Bounds;
use crate::environment::{self, Environment};
use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::{Output, note};
use crate::serving::{Roles, Serving};
use crate::token;

/// How long the start may take before somebody is told what it waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the token holds that the start prints.
const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

/// Start everything in one process: log, topologies, commands and queries
#[derive(Debug, Args)]
#[command(
    long_about = "Runs the topologies and serves the commands and the queries on one address, on files under data/ with no \
                  server to install. Ctrl-C drains and ends it; kill -9 loses nothing either.\n\nWhere a declaration differs \
                  from what its views were made by, it names the difference and starts nothing: undo the change, or fold the \
                  views anew from the log with --reset.",
    after_help = "Examples:\n  headwater up\n  headwater up --demo\n  headwater up --listen 127.0.0.1:9000\n  headwater up --reset document"
)]
pub(crate) struct Up {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Drop this topology's views and fold them anew from the log; may be given several times
    #[arg(long, value_name = "TOPOLOGY")]
    reset: Vec<String>,

    /// Load the demo, once: the project's own files as documents
    #[arg(long)]
    demo: bool,
}

impl Up {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let stop = interrupt::token()?;
        let environment = Environment::open(project).await?;
        self.reset(&environment).await?;
        let roles = Roles { workers: true, commands: true, queries: true };
        let serving = Serving::start(environment, roles, self.listen).await?;
        let mut out = context.output();
        let told = self.tell(context, &serving, &mut out, &stop).await;
        if told.is_ok() {
            stop.cancelled().await;
            note("Draining…");
        }
        let finished = serving.finish().await;
        match told {
            // Nobody reads what it says: it has said all that it had to.
            Ok(()) | Err(Failure::Closed) => finished.map(|()| Answer::Yes),
            Err(failure) => Err(failure),
        }
    }

    async fn reset(&self, environment: &Environment) -> Result<(), Failure> {
        for name in &self.reset {
            let topology = environment.project.topologies.iter().find(|topology| topology.name == *name);
            let topology = topology.ok_or_else(|| {
                let names: Vec<&str> =
                    environment.project.topologies.iter().map(|topology| topology.name.as_str()).collect();
                Failure::new(format!("no topology is called {name}")).mend(format!("Topologies: {}.", names.join(", ")))
            })?;
            headwater_runner::reset(environment.store(topology)?, name)
                .await
                .map_err(|error| Failure::because(format!("the topology {name} cannot be reset"), &error))?;
            note(format!("{name}: its views are folded anew from the log."));
        }
        Ok(())
    }

    /// Waits until everything is ready, loads the demo, and says what to try next.
    async fn tell(
        &self,
        context: &Context,
        serving: &Serving,
        out: &mut Output,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let url = format!("http://{}", serving.address);
        ready(serving, stop).await;
        let marker = environment::data_folder(&serving.environment.project).join("demo.loaded");
        if self.demo && !marker.exists() && !stop.is_cancelled() {
            self.load(context, serving, &url, &marker, out, stop).await?;
        }
        if context.json {
            out.value(&serde_json::json!({ "ready": serving.health.is_ready(), "url": url }))?;
        } else if !stop.is_cancelled() {
            let keys = serving.environment.keys()?;
            let token = token::sign(&keys, "alice", &["administrator".to_owned()], TOKEN_TTL)?;
            out.line(next(&serving.environment.project, &url, &token))?;
        }
        out.flush()
    }

    async fn load(
        &self,
        context: &Context,
        serving: &Serving,
        url: &str,
        marker: &PathBuf,
        out: &mut Output,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        note("Loading the demo: this project's own files, a version a revision.");
        let bounds = Bounds::default();
        let loaded = demo::load(&serving.environment, url, &context.dir, bounds, stop).await;
        let (loaded, client) = match loaded {
            Ok(loaded) => loaded,
            Err(Failure::Environment { what, .. }) => {
                note(format!("The demo could not be loaded: {what}. Everything else runs."));
                return Ok(());
            }
            Err(closed) => return Err(closed),
        };
        if !loaded.finished {
            note("The demo was interrupted; the next start goes on with it.");
            return Ok(());
        }
        let written = std::fs::File::create(marker).and_then(|mut file| writeln!(file, "{}", loaded.documents));
        written.map_err(|error| Failure::because(format!("{} cannot be written", marker.display()), &error))?;
        demo::show(&client, loaded, out).await?;
        out.line("")
    }
}

async fn ready(serving: &Serving, stop: &CancellationToken) {
    let waiting = async {
        while !serving.health.is_ready() && !stop.is_cancelled() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        let reasons = serving.health.reasons();
        let reasons: Vec<String> = reasons.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        note(format!("Not ready yet: {}", reasons.join("; ")));
    }
}

/// What to try next. Every line works when pasted.
fn next(project: &Project, url: &str, token: &str) -> String {
    let tries = match project.queries.iter().any(|query| query.name == "download_version") {
        true => documents(url),
        false => paths(project),
    };
    format!(
        r#"Headwater is at {url}, described at {url}/docs. Ctrl-C ends it.
Paste this in another terminal, in this folder:

  TOKEN={token}
  hw() {{ curl -s -w '\n' -H "Authorization: Bearer $TOKEN" "$@"; }}

{tries}"#
    )
}

/// The commands and queries of any project, as comments.
fn paths(project: &Project) -> String {
    let commands = project.commands.iter().map(|command| {
        let method = format!("{:?}", command.method).to_uppercase();
        (method, command.path.to_string(), &command.name)
    });
    let queries = project.queries.iter().map(|query| ("GET".to_owned(), query.route.to_string(), &query.name));
    let line = |(method, path, name): (String, String, &String)| format!("  # {name}: {method} {path}\n");
    commands.chain(queries).map(line).collect()
}

/// The documents of this repository's own project.
fn documents(url: &str) -> String {
    format!(
        r#"  # the documents, the latest change first
  hw '{url}/documents?size=5'

  # add one; a new version of it; the position of that, so that what follows reflects it
  DOC=$(hw --data-binary @README.md '{url}/documents?name=README.md&mime_type=text/markdown' | sed 's/.*"doc_id":"\([^"]*\)".*/\1/')
  AFTER=$(hw --data-binary @LICENSE "{url}/documents/$DOC/versions?name=LICENSE&mime_type=text/plain" | sed 's/.*"position":"\([^"]*\)".*/\1/')

  # its versions, the newest first; the bytes of both, compared with what was sent
  hw -H "Headwater-After: $AFTER" -H 'Prefer: wait=5' "{url}/documents/$DOC/versions"
  hw -w '' "{url}/documents/$DOC/versions/1/content" | cmp - README.md && echo 'version 1 is README.md, byte for byte'
  hw -w '' "{url}/documents/$DOC/versions/2/content" | cmp - LICENSE && echo 'version 2 is LICENSE, byte for byte'
"#
    )
}
