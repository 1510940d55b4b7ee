//! Servers of this run's own: another folder and other ports than everybody else's, so that they can be killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use headwater_dev_servers::Servers as Places;
use tokio::process::Command;

use crate::Fallible;

/// Below the ports that the system gives to clients, which might else take one while its server is down.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 100;
/// Runs at a time on one machine.
const SLOTS: u16 = 20;

/// A range of ports that no other run has as long as this lives.
pub(crate) struct Slot {
    pub(crate) folder: PathBuf,
    first_port: u16,
    _lock: File,
}

impl Slot {
    pub(crate) fn take(parent: &Path) -> Fallible<Self> {
        for slot in 0..SLOTS {
            let folder = parent.join(format!("slot-{slot}"));
            std::fs::create_dir_all(&folder)?;
            let lock = File::create(folder.join("lock"))?;
            if lock.try_lock().is_ok() {
                return Ok(Self { folder, first_port: FIRST_PORT + slot * PORTS, _lock: lock });
            }
        }
        Err(format!("{SLOTS} runs are under way in {}", parent.display()).into())
    }

    /// The nth port for a process of Headwater.
    pub(crate) fn port(&self, nth: u16) -> u16 {
        self.first_port + 50 + nth
    }
}

/// The servers of a slot, and the script that does things to them.
#[derive(Clone)]
pub(crate) struct Servers {
    script: PathBuf,
    variables: Vec<(String, String)>,
    names: &'static [&'static str],
}

impl Servers {
    pub(crate) fn new(root: &Path, slot: &Slot, names: &'static [&'static str]) -> Self {
        let offsets = [
            ("KAFKA_PORT", 1),
            ("KAFKA_TLS_PORT", 2),
            ("KAFKA_CONTROLLER_PORT", 3),
            ("REGISTRY_PORT", 11),
            ("REGISTRY_TLS_PORT", 12),
            ("POSTGRES_PORT", 21),
            ("CASSANDRA_PORT", 31),
            ("CASSANDRA_STORAGE_PORT", 32),
        ];
        let port = |(name, offset): (&str, u16)| (format!("HEADWATER_{name}"), (slot.first_port + offset).to_string());
        let mut variables: Vec<_> = offsets.into_iter().map(port).collect();
        variables.push(("HEADWATER_SERVERS_DIR".to_owned(), slot.folder.join("servers").display().to_string()));
        Self { script: root.join("deploy/dev/servers"), variables, names }
    }

    pub(crate) fn names(&self) -> &'static [&'static str] {
        self.names
    }

    /// Starts what does not run, wakes what is frozen, and waits until all answer.
    pub(crate) async fn up(&self) -> Fallible<Places> {
        for name in self.names {
            // It fails where the server does not run, which `up` mends.
            let _ = self.run(&["thaw", name]).await;
        }
        self.run(&[&["up"], self.names].concat()).await?;
        Ok(serde_json::from_str(&self.run(&["env", "--json"]).await?)?)
    }

    /// The script with this verb, on all of them.
    pub(crate) fn command(&self, verb: &str) -> std::process::Command {
        let mut command = std::process::Command::new(&self.script);
        command.arg(verb).args(self.names).envs(self.variables.iter().cloned());
        command
    }

    /// Runs the script; what it printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Fallible<String> {
        let mut command = Command::new(&self.script);
        command.args(arguments).envs(self.variables.iter().cloned()).kill_on_drop(true);
        let output = command.output().await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match output.status.success() {
            true => Ok(out.into_owned()),
            false => Err(format!("`servers {}` failed: {out}{err}", arguments.join(" ")).into()),
        }
    }
}
