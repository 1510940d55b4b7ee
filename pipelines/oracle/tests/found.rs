//! What the comparison found once, as small as it was made, under many schedules: data in `found/*.txt`, each a project.

use std::path::Path;

use headwater_engine::harness::{Trial, compare};
use headwater_engine::project::Project;
use headwater_oracle::Choices;

/// Enough that each was found again before it was mended.
const SCHEDULES: u64 = 10_000;

/// Writes the files that `--- path` starts.
fn write(dir: &Path, text: &str) {
    for file in text.split("--- ").skip(1) {
        let (path, text) = file.split_once('\n').expect("a path, then its text");
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
}

fn run(found: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), found);
    let project = Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{report}"));
    let (case, topology) = (&project.tests[0], &project.topologies[0]);
    let trial = Trial::new(case, topology, None).expect("events that their schemas take");
    for seed in 0..SCHEDULES {
        let run = |telling| {
            let mut choices = Choices::drawn(seed);
            trial.run(&mut |limit| choices.below(limit), telling)
        };
        let observed = run(false);
        let differs = compare(case, topology, &observed.left);
        assert!(differs.is_empty(), "{differs:?}: {}", run(true).told);
        assert_eq!(observed.wrong, None, "{}", run(true).told);
    }
}

#[test]
fn rows_made_again_after_their_partition_was_deleted() {
    run(include_str!("found/partition.txt"));
}

#[test]
fn a_record_that_only_the_memory_of_repeats_has_passed() {
    run(include_str!("found/repeats.txt"));
}
