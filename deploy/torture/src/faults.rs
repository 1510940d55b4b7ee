//! What goes wrong: each kind of fault on a lane of its own, at moments that the seed decides.
//!
//! A lane draws its faults from random numbers of its own, so that the same seed gives the same faults whatever the other
//! lanes do. Each fault is mended by whoever made it before the lane goes on or ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::process::Process;
use crate::proxy::{AtCommit, Proxy};
use crate::servers::Servers;

/// How often what was done.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counts {
    pub(crate) fn add(&self, what: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// When a lane ends: at a time, or after so many faults; and whenever the run is interrupted.
#[derive(Clone)]
pub(crate) struct Until {
    pub(crate) end: Option<Instant>,
    pub(crate) faults: Option<u32>,
    pub(crate) interrupted: watch::Receiver<bool>,
}

/// A lane's random numbers and what is left of it.
struct Lane {
    random: StdRng,
    until: Until,
    counts: Counts,
}

impl Lane {
    fn new(seed: u64, number: u64, until: Until, counts: &Counts) -> Self {
        Self { random: StdRng::seed_from_u64(seed ^ (number << 32)), until, counts: counts.clone() }
    }

    /// Waits for the next fault's moment, `at least .. at most` milliseconds; false where there is none any more.
    async fn next(&mut self, wait_ms: std::ops::Range<u64>) -> bool {
        let wait = self.ms(wait_ms);
        match &mut self.until.faults {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        let left = self.until.end.map_or(wait, |end| end.saturating_duration_since(Instant::now()).min(wait));
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            _ = self.until.interrupted.wait_for(|interrupted| *interrupted) => return false,
        }
        self.until.end.is_none_or(|end| Instant::now() < end)
    }

    fn ms(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }

    async fn sleep(&mut self, range: std::ops::Range<u64>) {
        let wait = self.ms(range);
        tokio::time::sleep(wait).await;
    }

    fn one<'p>(&mut self, processes: &'p [Process]) -> &'p Process {
        &processes[self.random.random_range(0..processes.len())]
    }
}

/// Everything that faults are done to.
pub(crate) struct Victims {
    pub(crate) workers: Vec<Process>,
    /// The command API and the query API.
    pub(crate) apis: Vec<Process>,
    pub(crate) servers: Option<Servers>,
    /// A file on the small disk that the embedded files lie on.
    pub(crate) filler: Option<PathBuf>,
    /// How long a worker must be silent until others take over.
    pub(crate) session_ms: u64,
}

/// Runs every lane to its end. `faults`, where given, is how many the lane of workers has; the others have less.
pub(crate) async fn run(victims: &Victims, seed: u64, until: &Until, counts: &Counts) {
    let lane = |number: u64, share: u32| {
        let faults = until.faults.map(|faults| faults.div_ceil(share));
        Lane::new(seed, number, Until { faults, ..until.clone() }, counts)
    };
    tokio::join!(
        workers(victims, lane(1, 1)),
        apis(victims, lane(2, 4)),
        servers(victims, lane(3, 4)),
        connections(victims, lane(4, 1)),
        disk(victims, lane(5, 4)),
    );
}

/// Rounds of kill -9, and between them time to get on: a member of a group that was killed is missed only after its session.
async fn workers(victims: &Victims, mut lane: Lane) {
    let calm = victims.session_ms * 6 / 5..victims.session_ms * 2;
    // A short form has no time for that.
    let calm = if lane.until.faults.is_some() { 100..800 } else { calm };
    let mut left_in_round = 0;
    while lane.next(if left_in_round == 0 { calm.clone() } else { 50..700 }).await {
        if left_in_round == 0 {
            left_in_round = lane.random.random_range(10..20);
            match lane.random.random_range(0..10) {
                0..6 => frozen(victims, &mut lane).await,
                6..8 => gone(victims, &mut lane).await,
                _ => {}
            }
        }
        left_in_round -= 1;
        let away = lane.ms(0..400);
        let at_commit = lane.random.random_bool(0.5);
        let worker = lane.one(&victims.workers);
        match worker.proxy.as_ref().filter(|_| at_commit) {
            Some(proxy) if committing(proxy).await => lane.counts.add("kill -9 of a worker, at its commit"),
            _ => lane.counts.add("kill -9 of a worker"),
        }
        worker.kill(away).await;
    }
}

/// Waits for the process's next commit, not long.
async fn committing(proxy: &Proxy) -> bool {
    let mut commits = proxy.commits();
    tokio::time::timeout(Duration::from_millis(600), commits.changed()).await.is_ok()
}

/// A worker hangs for longer than its session, and wakes when others have its partitions.
async fn frozen(victims: &Victims, lane: &mut Lane) {
    let worker = lane.one(&victims.workers);
    worker.freeze().await;
    lane.sleep(victims.session_ms * 11 / 10..victims.session_ms * 14 / 10).await;
    worker.thaw().await;
    lane.counts.add("a worker frozen past its session");
}

/// Workers leave and join, so that partitions move every few seconds.
async fn gone(victims: &Victims, lane: &mut Lane) {
    for _ in 0..3 {
        let away = lane.ms(500..2_500);
        lane.one(&victims.workers).leave(away).await;
        lane.counts.add("a worker left and joined again");
        lane.sleep(300..2_000).await;
    }
}

async fn apis(victims: &Victims, mut lane: Lane) {
    let wait = if lane.until.faults.is_some() { 500..2_500 } else { 4_000..14_000 };
    while lane.next(wait.clone()).await {
        let away = lane.ms(0..600);
        let api = lane.one(&victims.apis);
        api.kill(away).await;
        lane.counts.add(&format!("kill -9 of the {}", api.name));
    }
}

async fn servers(victims: &Victims, mut lane: Lane) {
    let Some(servers) = &victims.servers else { return };
    let wait = if lane.until.faults.is_some() { 500..1_500 } else { 4_000..16_000 };
    let mut index = lane.random.random_range(0..servers.names().len());
    while lane.next(wait.clone()).await {
        // In turn, so that a short form meets each.
        index = (index + 1) % servers.names().len();
        let name = servers.names()[index];
        let down = lane.ms(0..2_500);
        let (hurt, mend, what) = match lane.random.random_range(0..3) {
            0 => ("kill", "start", "killed"),
            1 => ("stop", "start", "stopped and started"),
            _ => ("freeze", "thaw", "frozen and thawed"),
        };
        let done = servers.run(&[hurt, name]).await;
        tokio::time::sleep(down).await;
        let mended = servers.run(&[mend, name]).await;
        lane.counts.add(&format!("{name} {what}"));
        if let Err(error) = done.and(mended) {
            lane.counts.add(&format!("a server's fault that failed: {error}"));
        }
    }
}

/// Connections between one process and its store.
async fn connections(victims: &Victims, mut lane: Lane) {
    let proxies: Vec<&Proxy> =
        victims.workers.iter().chain(&victims.apis).filter_map(|process| process.proxy.as_ref()).collect();
    if proxies.is_empty() {
        return;
    }
    let wait = if lane.until.faults.is_some() { 100..700 } else { 300..2_000 };
    while lane.next(wait.clone()).await {
        let proxy = proxies[lane.random.random_range(0..proxies.len())];
        match lane.random.random_range(0..10) {
            0..2 => {
                proxy.cut();
                lane.counts.add("connections cut");
            }
            2..5 => {
                proxy.cut_at_commit(AtCommit::Lose);
                lane.counts.add("a connection to be cut before its next commit");
            }
            5..8 => {
                proxy.cut_at_commit(AtCommit::Hide);
                lane.counts.add("a connection to be cut after its next commit, unanswered");
            }
            8 => {
                let by = lane.ms(5..80);
                proxy.slow(by);
                lane.sleep(300..2_500).await;
                proxy.slow(Duration::ZERO);
                lane.counts.add("connections slow");
            }
            _ => {
                proxy.refuse(true);
                proxy.cut();
                lane.sleep(100..1_500).await;
                proxy.refuse(false);
                lane.counts.add("a store out of reach");
            }
        }
    }
}

async fn disk(victims: &Victims, mut lane: Lane) {
    let Some(filler) = &victims.filler else { return };
    let wait = if lane.until.faults.is_some() { 500..1_500 } else { 4_000..14_000 };
    while lane.next(wait.clone()).await {
        let full = {
            let filler = filler.clone();
            tokio::task::spawn_blocking(move || fill(&filler)).await
        };
        lane.sleep(300..2_500).await;
        let emptied = std::fs::remove_file(filler);
        match (full, emptied) {
            (Ok(Ok(())), Ok(())) => lane.counts.add("the disk full"),
            other => lane.counts.add(&format!("a full disk that failed: {other:?}")),
        }
    }
}

/// Writes until there is no room for one more byte.
fn fill(filler: &PathBuf) -> std::io::Result<()> {
    let mut file = File::create(filler)?;
    for size in [1 << 20, 4_096, 1] {
        let zeros = vec![0; size];
        loop {
            match file.write(&zeros) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
