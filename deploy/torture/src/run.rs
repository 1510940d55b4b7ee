//! One run: servers, processes, load, faults; then calm, and the verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_dev_servers::Keyspace;
use headwater_log::Log;
use headwater_schemas::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Fallible;
use crate::audit::{Auditor, Findings};
use crate::clients::{self, CLIENTS, Client, Doors};
use crate::events::Events;
use crate::faults::{self, Counts, Until, Victims};
use crate::ground::Ground;
use crate::ledger::Ledger;
use crate::process::{Exits, Process};
use crate::project::Project;
use crate::report::Report;
use crate::stack::{Profile, Stack};
use crate::writer::Writer;

const WORKERS: u16 = 3;
/// Until everything runs at first, and again once the faults have stopped.
const READY: Duration = Duration::from_secs(180);
/// Until an answer tells what became of the last commands.
const SETTLE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Options {
    pub stack: Stack,
    pub seed: u64,
    /// How long faults come.
    pub minutes: Option<f64>,
    /// Or how many: kills of workers, and of the others a share.
    pub faults: Option<u32>,
    /// The `headwater` that is run.
    pub program: PathBuf,
    /// Keeps the folder whatever the verdict.
    pub keep: bool,
}

/// What a run has set up.
struct Stage {
    project: Project,
    profile: Profile,
    log: Log,
    registry: Registry,
    exits: Exits,
    victims: Victims,
    doors: Arc<Doors>,
}

/// Runs it. `interrupted`: no more faults; the verdict comes all the same.
pub async fn run(options: &Options, interrupted: watch::Receiver<bool>) -> Fallible<Report> {
    let began = Instant::now();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let mut ground = Ground::prepare(&root, options.stack, options.seed)?;
    let (counts, ledger) = (Counts::default(), Ledger::default());
    let mut report = Report::new(options, &ground.folder);
    let done = attempt(options, &root, &ground, &counts, &ledger, &mut report, interrupted).await;
    if let Err(error) = done {
        report.failure = Some(error.to_string());
    }
    report.panics = panics(&ground.folder.join("logs"));
    report.take(&ledger, &counts, began.elapsed());
    ground.keep = options.keep || !report.is_fine();
    report.kept = ground.keep;
    Ok(report)
}

async fn attempt(
    options: &Options,
    root: &Path,
    ground: &Ground,
    counts: &Counts,
    ledger: &Ledger,
    report: &mut Report,
    interrupted: watch::Receiver<bool>,
) -> Fallible<()> {
    let stage = prepare(options, root, ground).await?;
    let events = Events::register(&stage.project.folder, &stage.project.topics, &stage.registry).await?;
    let hot = Client::new(0, options.seed, &stage.doors, ledger, &[]).make_hot().await?;
    let writer_log = stage.profile.open_log(&stage.project.data()).await?;
    let longest = stage.profile.longest_key;
    let writer = Writer::new(writer_log, &stage.project.topics, events, ledger, options.seed, longest);
    let (stop, stopped) = watch::channel(false);
    let mut load = JoinSet::new();
    load.spawn(writer.run(stopped.clone()));
    for number in 0..CLIENTS {
        // Number 0 made the hot documents.
        let client = Client::new(number + 1, options.seed, &stage.doors, ledger, &hot);
        let stopped = stopped.clone();
        load.spawn(async move {
            client.run(stopped).await;
            Ok(())
        });
    }
    let end = options.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let until = Until { end, faults: options.faults, interrupted };
    faults::run(&stage.victims, options.seed, &until, counts).await;
    stop.send_replace(true);
    calm(&stage, ledger, load, report).await?;
    verdict(&stage, ground, ledger, report).await
}

async fn prepare(options: &Options, root: &Path, ground: &Ground) -> Fallible<Stage> {
    let servers = match &ground.servers {
        None => None,
        Some(servers) => Some(servers.up().await?),
    };
    let mut own = format!("t{}_{}", options.seed, std::process::id());
    if let (Stack::KafkaCassandra, Some(servers)) = (options.stack, &servers) {
        let keyspace = Keyspace::fresh(&servers.cassandra).await;
        own.clone_from(&keyspace.name);
        // It goes with the servers' data, or is kept with it.
        std::mem::forget(keyspace);
    }
    let profile = options.stack.profile(servers.as_ref(), &own)?;
    let project = Project::make(root, &ground.folder, &options.program, &profile, &own)?;
    let exits = Exits::default();
    let start = async |name: &str, command: &str, port: u16| {
        Process::start(&project, name, &[command], ground.slot.port(port), Some(&profile), &exits).await
    };
    let apis = vec![start("command-api", "command-api", 0).await?, start("query-api", "query-api", 1).await?];
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        workers.push(start(&format!("worker-{number}"), "run", 2 + number).await?);
    }
    let doors = Arc::new(Doors::open(&project, &apis[0].url, &apis[1].url).await?);
    for process in apis.iter().chain(&workers) {
        process.ready(&doors.http, READY).await?;
    }
    let (log, registry) = (profile.open_log(&project.data()).await?, profile.open_registry(&project.data()).await?);
    let victims = Victims {
        workers,
        apis,
        servers: ground.servers.clone(),
        filler: ground.filler(),
        session_ms: profile.session_ms,
    };
    Ok(Stage { project, profile, log, registry, exits, victims, doors })
}

/// No more faults: everything runs again, and the last commands get their answers.
async fn calm(stage: &Stage, ledger: &Ledger, mut load: JoinSet<Fallible<()>>, report: &mut Report) -> Fallible<()> {
    if let Some(servers) = &stage.victims.servers {
        servers.up().await?;
    }
    while let Some(ended) = load.join_next().await {
        ended??;
    }
    for process in stage.victims.apis.iter().chain(&stage.victims.workers) {
        process.ready(&stage.doors.http, READY).await?;
    }
    report.settled = clients::settle(&stage.doors, ledger, SETTLE).await?;
    let processes = stage.victims.apis.iter().chain(&stage.victims.workers);
    report.cuts_at_commits =
        processes.filter_map(|process| process.proxy.as_ref()).map(|proxy| proxy.cuts_at_commits()).sum();
    Ok(())
}

/// Compares what is there with what must be; then once more with views that are folded anew.
async fn verdict(stage: &Stage, ground: &Ground, ledger: &Ledger, report: &mut Report) -> Fallible<()> {
    report.found = look(stage, &stage.doors, ledger).await?;
    for process in stage.victims.workers.iter().chain(&stage.victims.apis) {
        process.end().await;
    }
    report.exits = stage.exits.all();
    let exits = Exits::default();
    let command = ["up", "--reset", "document"];
    let up = Process::start(&stage.project, "up", &command, ground.slot.port(0), None, &exits).await?;
    let doors = Arc::new(Doors::open(&stage.project, &up.url, &up.url).await?);
    up.ready(&doors.http, READY).await?;
    report.found_anew = look(stage, &doors, ledger).await?;
    up.end().await;
    report.exits.extend(exits.all());
    stage.log.close().await;
    Ok(())
}

async fn look(stage: &Stage, doors: &Arc<Doors>, ledger: &Ledger) -> Fallible<Findings> {
    let Stage { project, profile, log, registry, .. } = stage;
    let auditor = Auditor { project, log, registry, doors, ledger, longest_key: profile.longest_key };
    auditor.caught_up().await?;
    auditor.compare().await
}

/// What the processes' logs say of panics.
fn panics(logs: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.contains("panicked at"));
        found.extend(lines.map(|line| format!("{}: {line}", entry.path().display())));
    }
    found
}
