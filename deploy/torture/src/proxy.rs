//! A proxy between one process and the store, which cuts connections: now, or where a transaction commits.
//!
//! Cut after a commit was passed on, it is done and the client does not hear of it; cut before, it is not, and
//! the client cannot tell the two apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::Fallible;

/// After a connection that could not be accepted.
const NOT_ACCEPTED: Duration = Duration::from_millis(50);

/// What becomes of the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtCommit {
    Pass = 0,
    /// The connection is cut before it is passed on.
    Lose = 1,
    /// The connection is cut once the store has answered it.
    Hide = 2,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: String,
    /// What a client sends where it commits.
    commit: Vec<u8>,
    cuts: watch::Sender<u64>,
    commits: watch::Sender<u64>,
    at_commit: AtomicU8,
    /// Each chunk is held back for so long.
    slow_ms: AtomicU64,
    refuse: AtomicBool,
    /// Connections cut at a commit.
    cut_at_commit: AtomicU64,
}

impl Proxy {
    pub(crate) async fn start(target: String, commit: Vec<u8>) -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            target,
            commit,
            cuts: watch::Sender::new(0),
            commits: watch::Sender::new(0),
            at_commit: AtomicU8::new(AtCommit::Pass as u8),
            slow_ms: AtomicU64::new(0),
            refuse: AtomicBool::new(false),
            cut_at_commit: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                // For example, a client that is gone before it was let in: there are others.
                let Ok((client, _)) = listener.accept().await else {
                    tokio::time::sleep(NOT_ACCEPTED).await;
                    continue;
                };
                if accepting.refuse.load(Ordering::Relaxed) {
                    continue;
                }
                let state = Arc::clone(&accepting);
                // A connection that fails is a connection that is closed, on both sides.
                tokio::spawn(async move { drop(state.carry(client).await) });
            }
        });
        Ok(Self { address, state })
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts one connection at its next commit.
    pub(crate) fn cut_at_commit(&self, how: AtCommit) {
        self.state.at_commit.store(how as u8, Ordering::Relaxed);
    }

    pub(crate) fn slow(&self, by: Duration) {
        self.state.slow_ms.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// New connections are closed at once while this is set.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.state.refuse.store(refuse, Ordering::Relaxed);
    }

    /// Changes at each commit that a client sends.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.state.commits.subscribe()
    }

    pub(crate) fn cuts_at_commits(&self) -> u64 {
        self.state.cut_at_commit.load(Ordering::Relaxed)
    }
}

impl State {
    async fn carry(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut cuts = self.cuts.subscribe();
        let mut server = TcpStream::connect(&self.target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut hide = false;
        loop {
            tokio::select! {
                read = from_client.read(&mut up) => {
                    let sent = &up[..read?];
                    match self.at_commit_of(sent) {
                        _ if sent.is_empty() => return Ok(()),
                        AtCommit::Pass => {}
                        AtCommit::Lose => return Ok(()),
                        AtCommit::Hide => hide = true,
                    }
                    self.pace().await;
                    to_server.write_all(sent).await?;
                }
                read = from_server.read(&mut down) => {
                    let answered = &down[..read?];
                    if answered.is_empty() || hide {
                        return Ok(());
                    }
                    self.pace().await;
                    to_client.write_all(answered).await?;
                }
                _ = cuts.changed() => return Ok(()),
            }
        }
    }

    /// What is to become of what a client sent.
    fn at_commit_of(&self, sent: &[u8]) -> AtCommit {
        if !sent.windows(self.commit.len()).any(|window| window == self.commit) {
            return AtCommit::Pass;
        }
        self.commits.send_modify(|commits| *commits += 1);
        let how = match self.at_commit.swap(AtCommit::Pass as u8, Ordering::Relaxed) {
            1 => AtCommit::Lose,
            2 => AtCommit::Hide,
            _ => return AtCommit::Pass,
        };
        self.cut_at_commit.fetch_add(1, Ordering::Relaxed);
        how
    }

    async fn pace(&self) {
        let ms = self.slow_ms.load(Ordering::Relaxed);
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}
