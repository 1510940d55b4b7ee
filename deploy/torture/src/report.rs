//! What a run did and found, for people and for programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::audit::Findings;
use crate::faults::Counts;
use crate::ledger::{Fate, Ledger};
use crate::run::Options;

/// Differences that are shown; all of them are counted.
const SHOWN: usize = 30;

#[derive(Debug)]
pub struct Report {
    stack: &'static str,
    seed: u64,
    folder: PathBuf,
    pub(crate) kept: bool,
    took: Duration,
    faults: BTreeMap<String, u64>,
    pub(crate) cuts_at_commits: u64,
    /// By kind and fate.
    commands: BTreeMap<String, u64>,
    answers: BTreeMap<String, u64>,
    /// Commands that were repeated at the end to learn their fate.
    pub(crate) settled: usize,
    read_back: u64,
    /// By what they are: how many were sent, and how many acknowledged.
    raws: BTreeMap<&'static str, (u64, u64)>,
    pub(crate) exits: Vec<(String, String)>,
    pub(crate) found: Findings,
    /// The same with views folded anew.
    pub(crate) found_anew: Findings,
    wrongs: Vec<String>,
    pub(crate) panics: Vec<String>,
    /// Why there is no verdict.
    pub(crate) failure: Option<String>,
}

impl Report {
    pub(crate) fn new(options: &Options, folder: &Path) -> Self {
        Self {
            stack: options.stack.name(),
            seed: options.seed,
            folder: folder.to_owned(),
            kept: true,
            took: Duration::ZERO,
            faults: BTreeMap::new(),
            cuts_at_commits: 0,
            commands: BTreeMap::new(),
            answers: BTreeMap::new(),
            settled: 0,
            read_back: 0,
            raws: BTreeMap::new(),
            exits: Vec::new(),
            found: Findings::default(),
            found_anew: Findings::default(),
            wrongs: Vec::new(),
            panics: Vec::new(),
            failure: None,
        }
    }

    pub(crate) fn take(&mut self, ledger: &Ledger, counts: &Counts, took: Duration) {
        let ledger = ledger.open();
        self.took = took;
        self.faults = counts.all();
        self.answers = ledger.answers.clone();
        self.wrongs = ledger.wrongs.clone();
        self.read_back = ledger.read_back;
        for command in &ledger.commands {
            let fate = match &command.fate {
                Fate::Unknown => "unknown".to_owned(),
                Fate::Accepted { .. } => "accepted".to_owned(),
                Fate::Refused(code) => format!("refused, {code}"),
            };
            *self.commands.entry(format!("{:?}, {fate}", command.kind)).or_default() += 1;
        }
        for raw in ledger.raws.values() {
            let (sent, acknowledged) = self.raws.entry(raw.what).or_default();
            *sent += 1;
            *acknowledged += u64::from(raw.place.is_some());
        }
    }

    pub fn is_fine(&self) -> bool {
        self.failure.is_none() && self.differences().next().is_none() && self.found_anew.records > 0
    }

    /// Kills of workers, each with -9.
    pub fn kills(&self) -> u64 {
        self.faults.iter().filter(|(what, _)| what.starts_with("kill -9 of a worker")).map(|(_, count)| count).sum()
    }

    fn differences(&self) -> impl Iterator<Item = String> {
        let anew = self.found_anew.differences.iter().map(|difference| format!("folded anew: {difference}"));
        let wrongs = self.wrongs.iter().map(|wrong| format!("read back: {wrong}"));
        let panics = self.panics.iter().map(|panic| format!("panic: {panic}"));
        self.found.differences.iter().cloned().chain(anew).chain(wrongs).chain(panics)
    }

    /// Ends of processes that nobody asked for, by process and exit code.
    fn exits(&self) -> BTreeMap<String, u64> {
        let mut exits = BTreeMap::new();
        for (name, how) in &self.exits {
            *exits.entry(format!("{name}: {how}")).or_default() += 1;
        }
        exits
    }

    pub fn json(&self) -> Json {
        let found = |found: &Findings| {
            json!({
                "records": found.records, "documents": found.documents, "versions": found.versions,
                "parked": found.parked, "parked_keys": found.parked_keys,
            })
        };
        let raws = self.raws.iter().map(|(what, (sent, acknowledged))| {
            ((*what).to_owned(), json!({ "sent": sent, "acknowledged": acknowledged }))
        });
        json!({
            "stack": self.stack, "seed": self.seed, "fine": self.is_fine(), "seconds": self.took.as_secs(),
            "worker_kills": self.kills(), "faults": self.faults, "cuts_at_commits": self.cuts_at_commits,
            "commands": self.commands, "answers": self.answers, "settled_at_the_end": self.settled,
            "read_back": self.read_back, "raw_records": raws.collect::<serde_json::Map<_, _>>(),
            "exits": self.exits(), "found": found(&self.found), "found_anew": found(&self.found_anew),
            "differences": self.differences().collect::<Vec<_>>(), "failure": self.failure,
            "folder": self.kept.then(|| self.folder.display().to_string()),
        })
    }

    pub fn text(&self) -> String {
        let mut lines = vec![format!("{}, seed {}, {} s", self.stack, self.seed, self.took.as_secs())];
        let mut section = |title: &str, counts: Vec<(String, String)>| {
            lines.push(format!("  {title}:"));
            lines.extend(counts.into_iter().map(|(what, count)| format!("    {count:>7}  {what}")));
        };
        let counted = |counts: &BTreeMap<String, u64>| {
            counts.iter().map(|(what, count)| (what.clone(), count.to_string())).collect::<Vec<_>>()
        };
        section(
            &format!("faults ({} workers killed, {} commits cut)", self.kills(), self.cuts_at_commits),
            counted(&self.faults),
        );
        section(
            &format!("commands ({} settled at the end, {} read back)", self.settled, self.read_back),
            counted(&self.commands),
        );
        section("answers", counted(&self.answers));
        let raws = self.raws.iter();
        let raws = raws.map(|(what, (sent, acknowledged))| ((*what).to_owned(), format!("{acknowledged}/{sent}")));
        section("raw records, acknowledged of sent", raws.collect());
        section("ends that nobody asked for", counted(&self.exits()));
        for (when, found) in [("compared", &self.found), ("folded anew and compared", &self.found_anew)] {
            lines.push(format!(
                "  {when}: {} records in the log; {} documents, {} versions, {} records of {} keys parked",
                found.records, found.documents, found.versions, found.parked, found.parked_keys
            ));
        }
        let differences: Vec<String> = self.differences().collect();
        lines.extend(differences.iter().take(SHOWN).map(|difference| format!("  DIFFERENCE {difference}")));
        lines.extend(self.failure.iter().map(|failure| format!("  NO VERDICT: {failure}")));
        lines.push(match self.is_fine() {
            true => "  everything is as the log says".to_owned(),
            false => format!("  {} differences; everything is kept in {}", differences.len(), self.folder.display()),
        });
        lines.join("\n")
    }
}
