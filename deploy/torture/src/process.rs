//! The processes that are tortured: each with a log of its own, started again whenever it ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::Fallible;
use crate::project::Project;
use crate::proxy::Proxy;
use crate::stack::{Profile, STORE_ADDRESS};

/// A process that ends by itself, for example because a server that it needs is down, is started again after this long.
const AGAIN: Duration = Duration::from_millis(300);
/// How long one may take to drain.
const DRAIN: Duration = Duration::from_secs(45);
/// What is shown of the end of a log, in lines.
const TAIL: usize = 12;

/// Something that is done to a process; who asked is told once it is done.
enum Order {
    /// kill -9; started again after this long.
    Kill(Duration, oneshot::Sender<()>),
    /// SIGTERM; started again after this long.
    Leave(Duration, oneshot::Sender<()>),
    Freeze(oneshot::Sender<()>),
    Thaw(oneshot::Sender<()>),
    /// SIGTERM, and never again.
    End(oneshot::Sender<()>),
}

/// What processes did that nobody asked for, by process and exit code.
#[derive(Clone, Default)]
pub(crate) struct Exits(Arc<Mutex<Vec<(String, String)>>>);

impl Exits {
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, name: &str, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), what));
    }
}

pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) proxy: Option<Proxy>,
    log: PathBuf,
    exits: Exits,
    orders: mpsc::Sender<Order>,
}

struct Launch {
    name: String,
    project: Project,
    arguments: Vec<String>,
    proxy: Option<Proxy>,
    exits: Exits,
}

impl Process {
    /// Starts `headwater COMMAND` at this port, reaching the store through a proxy of its own where there is one.
    pub(crate) async fn start(
        project: &Project,
        name: &str,
        command: &[&str],
        port: u16,
        cut: Option<&Profile>,
        exits: &Exits,
    ) -> Fallible<Self> {
        let proxy = match cut.and_then(|profile| Some((profile.store.as_ref()?, &profile.commit))) {
            Some((address, commit)) => Some(Proxy::start(address.clone(), commit.clone()).await?),
            None => None,
        };
        let address = format!("127.0.0.1:{port}");
        let arguments = command.iter().copied().chain(["--listen", &address]).map(str::to_owned).collect();
        let (orders, received) = mpsc::channel(1);
        let launch = Launch {
            name: name.to_owned(),
            project: project.clone(),
            arguments,
            proxy: proxy.clone(),
            exits: exits.clone(),
        };
        tokio::spawn(launch.keep(received));
        let log = log_path(&project.logs(), name);
        Ok(Self { name: name.to_owned(), url: format!("http://{address}"), proxy, log, exits: exits.clone(), orders })
    }

    pub(crate) async fn kill(&self, away: Duration) {
        self.order(|done| Order::Kill(away, done)).await;
    }

    pub(crate) async fn leave(&self, away: Duration) {
        self.order(|done| Order::Leave(away, done)).await;
    }

    pub(crate) async fn freeze(&self) {
        self.order(Order::Freeze).await;
    }

    pub(crate) async fn thaw(&self) {
        self.order(Order::Thaw).await;
    }

    pub(crate) async fn end(&self) {
        self.order(Order::End).await;
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, heard) = oneshot::channel();
        if self.orders.send(order(done)).await.is_ok() {
            // It ends without an answer only with the process.
            let _ = heard.await;
        }
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&self, http: &reqwest::Client, within: Duration) -> Fallible<()> {
        let end = Instant::now() + within;
        let mut said = "nothing".to_owned();
        while Instant::now() < end {
            match http.get(format!("{}/ready", self.url)).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => said = answer.text().await.unwrap_or_default(),
                Err(error) => said = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("{} is not ready within {within:?}; {}; it answered last: {said}", self.name, self.lately()).into())
    }

    /// How it did: for whoever asks why it is not ready.
    fn lately(&self) -> String {
        let exits = self.exits.all();
        let ended: Vec<&str> =
            exits.iter().filter(|(name, _)| *name == self.name).map(|(_, how)| how.as_str()).collect();
        let last = ended.last().map(|how| format!(", the last with {how}")).unwrap_or_default();
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n      ");
        format!("it ended {} times by itself{last}; its log ends with\n      {tail}\n    ", ended.len())
    }
}

impl Launch {
    async fn keep(self, mut orders: mpsc::Receiver<Order>) {
        loop {
            let away = match self.spawn() {
                Ok(mut child) => self.obey(&mut child, &mut orders).await,
                Err(error) => {
                    self.exits.note(&self.name, format!("not started: {error}"));
                    Some(AGAIN)
                }
            };
            match away {
                Some(away) => tokio::time::sleep(away).await,
                None => return,
            }
        }
    }

    fn spawn(&self) -> Fallible<Child> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut command: Command = self.project.command(&arguments);
        if let Some(proxy) = &self.proxy {
            command.env(STORE_ADDRESS, proxy.address.to_string());
        }
        let log = log_file(&self.project.logs(), &self.name)?;
        command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        Ok(command.spawn()?)
    }

    /// Does as it is told until the process ends; how long it stays away then, None for ever.
    async fn obey(&self, child: &mut Child, orders: &mut mpsc::Receiver<Order>) -> Option<Duration> {
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                ended = child.wait() => {
                    self.exits.note(&self.name, ended.map_or_else(|error| error.to_string(), |status| status.to_string()));
                    return Some(AGAIN);
                }
            };
            let (done, away) = match order {
                None => return None,
                Some(Order::Kill(away, done)) => {
                    // It fails only where the process has ended meanwhile, which is as good.
                    let _ = child.kill().await;
                    (done, Some(away))
                }
                Some(Order::Leave(away, done)) => {
                    self.terminate(child).await;
                    (done, Some(away))
                }
                Some(Order::End(done)) => {
                    self.terminate(child).await;
                    let _ = done.send(());
                    return None;
                }
                Some(Order::Freeze(done)) => {
                    signal(child, "STOP").await;
                    let _ = done.send(());
                    continue;
                }
                Some(Order::Thaw(done)) => {
                    signal(child, "CONT").await;
                    let _ = done.send(());
                    continue;
                }
            };
            let _ = done.send(());
            return away;
        }
    }

    async fn terminate(&self, child: &mut Child) {
        signal(child, "TERM").await;
        if tokio::time::timeout(DRAIN, child.wait()).await.is_err() {
            self.exits.note(&self.name, format!("did not drain within {DRAIN:?}"));
            let _ = child.kill().await;
        }
    }
}

async fn signal(child: &Child, name: &str) {
    if let Some(id) = child.id() {
        // Its process may be gone: nobody is hurt.
        let _ = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).stderr(Stdio::null()).status().await;
    }
}

fn log_file(folder: &Path, name: &str) -> std::io::Result<std::fs::File> {
    std::fs::create_dir_all(folder)?;
    std::fs::OpenOptions::new().create(true).append(true).open(log_path(folder, name))
}

fn log_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}
