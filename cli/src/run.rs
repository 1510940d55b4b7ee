//! `headwater run`, `command-api` and `query-api`: the parts of `up`, each a process of its own, so that each scales alone.

use std::net::SocketAddr;

use clap::Args;

use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::note;
use crate::serving::{Roles, Serving};

/// Run the topologies' workers alone: events in, views out
#[derive(Debug, Args)]
#[command(
    long_about = "Folds the events of the log into the views, from the positions that the stores hold. It listens for /live, \
                  /ready and /metrics only. Several may run at once: the stores' positions decide whose work counts.",
    after_help = "Example:\n  headwater run --listen 127.0.0.1:8083"
)]
pub(crate) struct Run {
    /// Where to answer /live, /ready and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8083")]
    listen: SocketAddr,
}

/// Serve the commands alone
#[derive(Debug, Args)]
#[command(
    long_about = "Serves what pipelines/*/commands.yaml declares: each command writes one event to the log and is answered \
                  once that is durable. Commands that look at a row wait for its view, so `headwater run` must run.",
    after_help = "Example:\n  headwater command-api --listen 127.0.0.1:8081"
)]
pub(crate) struct CommandApi {
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
}

/// Serve the queries alone
#[derive(Debug, Args)]
#[command(
    long_about = "Serves what pipelines/*/queries.yaml declares, from the views. It writes nothing.",
    after_help = "Example:\n  headwater query-api --listen 127.0.0.1:8082"
)]
pub(crate) struct QueryApi {
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
}

impl Run {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let roles = Roles { workers: true, commands: false, queries: false };
        until_stopped(context, roles, self.listen, "The topologies run").await
    }
}

impl CommandApi {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let roles = Roles { workers: false, commands: true, queries: false };
        until_stopped(context, roles, self.listen, "Commands are served").await
    }
}

impl QueryApi {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let roles = Roles { workers: false, commands: false, queries: true };
        until_stopped(context, roles, self.listen, "Queries are served").await
    }
}

async fn until_stopped(context: &Context, roles: Roles, listen: SocketAddr, says: &str) -> Result<Answer, Failure> {
    let project = match context.project()? {
        Ok(project) => project,
        Err(answer) => return Ok(answer),
    };
    let stop = interrupt::token()?;
    let serving = Serving::start(Environment::open(project).await?, roles, listen).await?;
    note(format!("{says}; http://{}/ready says how it is. Ctrl-C ends it.", serving.address));
    stop.cancelled().await;
    serving.finish().await?;
    Ok(Answer::Yes)
}
