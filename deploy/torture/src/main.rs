//! `headwater-torture`: see its `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use headwater_torture::Fallible;
use headwater_torture::run::{self, Options};
use headwater_torture::stack::Stack;
use rand::Rng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Faults on real servers under load, and the views compared with a separately written fold
#[derive(Debug, Parser)]
#[command(
    version,
    long_about = "Runs the project's own program as separate processes (command API, query API, three workers) on a scratch \
                  copy of the document domain, sends commands over HTTP and raw records to the topics, poison among them, \
                  and meanwhile kills, freezes and cuts off whatever there is: workers, APIs, servers, connections in the \
                  middle of a commit, the disk.\n\nThen the faults stop. Once the views have caught up with the log, the \
                  log is read back, folded by a second and naive implementation, and compared with what every query \
                  answers over HTTP, with what is parked, and with the ledger of what was acknowledged; then the views \
                  are folded anew and compared once more.\n\nServers are started for this alone, with ports and a folder \
                  of their own under data/torture. Full disks need a disk of its own: they are left out where this user \
                  may not mount one.",
    after_help = "Examples:\n  headwater-torture --minutes 10\n  headwater-torture --stack embedded --minutes 2 --seed 7\n  \
                  headwater-torture --stack kafka-postgres --faults 20 --json\n\nExit codes: 0 everything is as the log \
                  says, 1 something differs (its folder is kept, with the logs of all processes), 2 wrong usage or \
                  environment. Ctrl-C ends the faults and gives the verdict; a second one ends it at once."
)]
struct Arguments {
    /// What to run it on; may be given several times [default: each, one after the other]
    #[arg(long, value_enum)]
    stack: Vec<Stack>,

    /// How long faults come
    #[arg(long, value_name = "MINUTES", conflicts_with = "faults")]
    minutes: Option<f64>,

    /// How many faults the workers see, instead of how long; the others see fewer [default: 25]
    #[arg(long, value_name = "COUNT")]
    faults: Option<u32>,

    /// Draws the same faults and the same load again, as far as processes allow [default: any]
    #[arg(long)]
    seed: Option<u64>,

    /// The program [default: `headwater` beside this one]
    #[arg(long, value_name = "FILE")]
    headwater: Option<PathBuf>,

    /// Keep the folder whatever the verdict
    #[arg(long)]
    keep: bool,

    /// Report in JSON, a line a stack
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match tortured(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("headwater-torture: {error}");
            ExitCode::from(2)
        }
    }
}

fn tortured(arguments: &Arguments) -> Fallible<bool> {
    let program = match &arguments.headwater {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("headwater"),
    };
    let program = program.canonicalize().map_err(|error| {
        format!(
            "{}: {error}; build it (cargo build --package headwater), or name it: --headwater FILE",
            program.display()
        )
    })?;
    let stacks = match arguments.stack.as_slice() {
        [] => &[Stack::Embedded, Stack::KafkaPostgres, Stack::KafkaCassandra],
        stacks => stacks,
    };
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let faults = arguments.faults.or(if arguments.minutes.is_none() { Some(25) } else { None });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (interrupt, interrupted) = watch::channel(false);
        let mut signals = signal(SignalKind::interrupt())?;
        let all = async {
            let mut fine = true;
            for &stack in stacks {
                let (program, keep, minutes) = (program.clone(), arguments.keep, arguments.minutes);
                eprintln!("{}: seed {seed}", stack.name());
                let options = Options { stack, seed, minutes, faults, program, keep };
                let report = run::run(&options, interrupted.clone()).await?;
                match arguments.json {
                    true => println!("{}", report.json()),
                    false => println!("{}", report.text()),
                }
                fine &= report.is_fine();
            }
            Ok(fine)
        };
        let twice = async {
            signals.recv().await;
            interrupt.send_replace(true);
            signals.recv().await;
        };
        tokio::select! {
            fine = all => fine,
            () = twice => Err("interrupted".into()),
        }
    })
}
