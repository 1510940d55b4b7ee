//! `headwater`: declares, checks, tests and runs read models that stay true to their log.
//!
//! Each command is a file of its own with its arguments, its help and its `run`. What they share is the [`context`] (which
//! project, how to answer), the [`environment`] (log, registry and stores, opened), the [`output`] (text for people, JSON
//! for programs) and the exit codes of [`failure`].

mod context;
mod environment;
mod failure;
mod interrupt;
mod output;
mod records;
mod serving;

mod against;
mod bench;
mod check;
mod consume;
mod demo;
mod doctor;
mod explain;
mod graph;
mod json_schema;
mod new;
mod parked;
mod produce;
mod run;
mod schema;
mod status;
mod test;
mod token;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::{Context, Global};
use failure::{Answer, Failure};

/// Rows are made of many small texts: what the system's allocator takes for them was a third of the fold.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps read models true: YAML and Avro in; commands, a durable log, materialized views and queries out.
#[derive(Debug, Parser)]
#[command(
    name = "headwater",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Start with `headwater new`, or in a project with `headwater check`, then `headwater test`, then `headwater up`.\n\
                  Exit codes: 0 fine, 1 the answer is no (a check or a test failed), 2 wrong usage or environment, \
                  130 interrupted before it was done."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Check(check::Check),
    Test(test::Test),
    Explain(explain::Explain),
    Graph(graph::Graph),
    Up(up::Up),
    Run(run::Run),
    CommandApi(run::CommandApi),
    QueryApi(run::QueryApi),
    Status(status::Status),
    Parked(parked::Parked),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Token(token::Token),
    Schema(schema::Schema),
    JsonSchema(json_schema::JsonSchema),
    Doctor(doctor::Doctor),
    Demo(demo::Demo),
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    let answer = run(cli.command, cli.global);
    match answer {
        Ok(answer) => answer.into(),
        Err(failure) => failure.report(json),
    }
}

fn run(command: Command, global: Global) -> Result<Answer, Failure> {
    let json = global.json;
    let context = || Context::new(global);
    match command {
        // These need no project.
        Command::New(new) => new.run(json),
        Command::JsonSchema(schema) => schema.run(json),
        Command::Check(check) => check.run(&context()?),
        Command::Test(test) if test.is_against() => block_on(test.run_against(&context()?)),
        Command::Test(test) => test.run(&context()?),
        Command::Explain(explain) => explain.run(&context()?),
        Command::Graph(graph) => graph.run(&context()?),
        Command::Token(token) => token.run(&context()?),
        Command::Up(up) => block_on(up.run(&context()?)),
        Command::Run(run) => block_on(run.run(&context()?)),
        Command::CommandApi(api) => block_on(api.run(&context()?)),
        Command::QueryApi(api) => block_on(api.run(&context()?)),
        Command::Status(status) => block_on(status.run(&context()?)),
        Command::Parked(parked) => block_on(parked.run(&context()?)),
        Command::Produce(produce) => block_on(produce.run(&context()?)),
        Command::Consume(consume) => block_on(consume.run(&context()?)),
        Command::Schema(schema) => block_on(schema.run(&context()?)),
        Command::Doctor(doctor) => block_on(doctor.run(&context()?)),
        Command::Demo(demo) => block_on(demo.run(&context()?)),
        Command::Bench(bench) => block_on(bench.run(&context()?)),
    }
}

fn block_on(work: impl Future<Output = Result<Answer, Failure>>) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::because("no runtime can be started", &error))?;
    let answer = runtime.block_on(work);
    // Not waited for: a read of stdin that nobody will answer any more.
    runtime.shutdown_background();
    answer
}
