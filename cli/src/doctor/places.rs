//! Folders, rights, space and the clock.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use headwater_engine::project::Project;

use super::Finding;
use crate::environment;

/// Below this much space somebody should know; below the second nothing can be relied on.
const LOW_BYTES: u64 = 2 << 30;
const NONE_BYTES: u64 = 64 << 20;

/// Any time before this is a clock that was never set: 2026-01-01T00:00:00Z.
const CLOCK_FLOOR_S: i64 = 1_767_225_600;

pub(super) fn look(project: &Project) -> Vec<Finding> {
    let mut folders = vec![("blobs".to_owned(), environment::blob_folder(project))];
    let embedded = [("log", environment::log_folder(project)), ("registry", environment::registry_folder(project))];
    folders.extend(embedded.into_iter().filter_map(|(name, folder)| Some((name.to_owned(), folder?))));
    for (name, file) in environment::store_files(project) {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        folders.push((format!("store {name}"), folder));
    }
    let mut findings: Vec<Finding> = folders.iter().filter_map(|(name, folder)| writable(name, folder)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("folders", "all can be written to"));
    }
    findings.extend(space(&folders));
    findings.extend(key_rights(project));
    findings.push(clock());
    findings
}

/// What is wrong with a folder, if anything is.
fn writable(name: &str, folder: &Path) -> Option<Finding> {
    let existing = environment::nearest_existing(folder)?;
    if !existing.is_dir() {
        return Some(Finding::wrong(
            "folders",
            format!("{name}: {} is a file", existing.display()),
            "Name another folder in headwater.yaml, or move the file away.",
        ));
    }
    let probe = existing.join(format!(".headwater-doctor-{}", std::process::id()));
    match std::fs::write(&probe, b"") {
        Ok(()) => {
            // It is empty and named after this process: left behind it would harm nobody.
            let _ = std::fs::remove_file(&probe);
            None
        }
        Err(error) => Some(Finding::wrong(
            "folders",
            format!("{name}: {} cannot be written to: {error}", existing.display()),
            format!("Give this user the right to write there, for example: chown -R $(id -u) {}", existing.display()),
        )),
    }
}

fn space(folders: &[(String, PathBuf)]) -> Vec<Finding> {
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for (_, folder) in folders {
        let Some(existing) = environment::nearest_existing(folder) else { continue };
        let Some((mount, free)) = free_bytes(existing) else { continue };
        if seen.contains(&mount) {
            continue;
        }
        let found = format!("{:.1} GiB are free on {mount}", free as f64 / f64::from(1 << 30));
        findings.push(match free {
            ..NONE_BYTES => Finding::wrong("space", found, "Make room: writes are about to fail."),
            NONE_BYTES..LOW_BYTES => Finding::note("space", found, "Make room soon, or shorten a topic's retention."),
            _ => Finding::ok("space", found),
        });
        seen.push(mount);
    }
    findings
}

/// The mount and the free bytes of a folder, by `df`; none where there is no `df`.
fn free_bytes(folder: &Path) -> Option<(String, u64)> {
    let output = Command::new("df").arg("-Pk").arg(folder).env("LC_ALL", "C").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut fields = text.lines().nth(1)?.split_whitespace();
    let kibibytes: u64 = fields.nth(3)?.parse().ok()?;
    Some((fields.nth(1)?.to_owned(), kibibytes.saturating_mul(1024)))
}

fn key_rights(project: &Project) -> Option<Finding> {
    let folder = environment::key_folder(project);
    let signing = folder.join("signing.pem");
    let mode = std::fs::metadata(&signing).ok()?.permissions().mode();
    Some(if mode & 0o077 == 0 {
        Finding::ok("keys", "the signing key is readable by its owner only")
    } else {
        Finding::wrong(
            "keys",
            format!("others may read {}", signing.display()),
            format!(
                "chmod 600 {} — and remove it if others may have read it: a new one is made at the next start",
                signing.display()
            ),
        )
    })
}

fn clock() -> Finding {
    let now = chrono::Utc::now();
    if now.timestamp() < CLOCK_FLOOR_S {
        return Finding::wrong(
            "clock",
            format!("it says {}", now.to_rfc3339()),
            "Set the clock; tokens and events are dated by it.",
        );
    }
    Finding::ok("clock", format!("it says {}", now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)))
}
