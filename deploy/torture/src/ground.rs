//! The folder, the small disk, the ports and the servers of a run; put in order again however the run ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;
use crate::servers::{Servers, Slot};
use crate::stack::Stack;

/// Of the disk that the embedded files lie on: more than a long run writes.
const DISK_MIB: u32 = 384;

pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
    pub(crate) slot: Slot,
    pub(crate) servers: Option<Servers>,
    /// Where a disk of its own is mounted.
    disk: Option<PathBuf>,
    /// Whether the folder is left for whoever looks for what went wrong.
    pub(crate) keep: bool,
}

impl Ground {
    pub(crate) fn prepare(root: &Path, stack: Stack, seed: u64) -> Fallible<Self> {
        let parent = root.join("data/torture");
        let slot = Slot::take(&parent)?;
        let folder = parent.join(format!("{}-{seed}-{}", stack.name(), std::process::id()));
        std::fs::create_dir_all(folder.join("data"))?;
        let servers = (!stack.servers().is_empty()).then(|| Servers::new(root, &slot, stack.servers()));
        let disk = match stack {
            Stack::Embedded => mount(&folder.join("data")),
            Stack::KafkaPostgres | Stack::KafkaCassandra => None,
        };
        Ok(Self { folder, slot, servers, disk, keep: true })
    }

    /// A file that fills the disk, where there is one that may be filled.
    pub(crate) fn filler(&self) -> Option<PathBuf> {
        self.disk.as_ref().map(|disk| disk.join("filler"))
    }
}

/// A small disk in memory, where this user may mount one.
fn mount(at: &Path) -> Option<PathBuf> {
    let size = format!("size={DISK_MIB}m");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
    mounted.is_ok_and(|output| output.status.success()).then(|| at.to_owned())
}

impl Drop for Ground {
    /// What cannot be put in order is told and left: the verdict does not depend on it.
    fn drop(&mut self) {
        if let Some(disk) = &self.disk {
            if self.keep {
                run(Command::new("cp").arg("-r").arg(disk).arg(self.folder.join("data-kept")));
            }
            // Lazily: a process that was just killed may still hold a file.
            run(Command::new("umount").arg("-l").arg(disk));
        }
        if let Some(servers) = &self.servers {
            run(&mut servers.command(if self.keep { "down" } else { "clean" }));
        }
        if !self.keep
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            eprintln!("{} could not be removed: {error}", self.folder.display());
        }
    }
}

fn run(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("{command:?}: {error}"),
    }
}
