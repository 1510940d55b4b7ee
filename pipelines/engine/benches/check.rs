//! What `headwater check` costs: this project's one topology, and a project of a hundred like it.
//!
//! `cargo bench -p headwater-engine --bench check`

use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use headwater_engine::project::Project;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOPOLOGIES: usize = 100;

/// Names that are one a project, and do not say what they are about.
const NAMES: [&str; 6] = ["add_version", "list_versions", "download_version", "authors", "totals", "VersionAdded"];

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

/// Writes the folder's files to where `rename` says, their text renamed alike.
fn copy(root: &Path, folder: &str, to: &Path, rename: &dyn Fn(&str) -> String) {
    let mut found = Vec::new();
    files(&root.join(folder), &mut found);
    for path in found {
        let name = path.strip_prefix(root).expect("a path under it").to_str().expect("a plain name");
        let target = to.join(rename(name));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        let text = std::fs::read_to_string(&path).expect("a text");
        std::fs::write(target, rename(&text)).expect("written");
    }
}

/// A project of the document domain, many times, each under a name of its own.
fn project(root: &Path, to: &Path) {
    std::fs::copy(root.join("headwater.yaml"), to.join("headwater.yaml")).expect("the configuration");
    copy(root, "schemas/user", to, &str::to_owned);
    for number in 0..TOPOLOGIES {
        let rename = |text: &str| {
            let renamed = text.replace("ocument", &format!("ocument{number:03}"));
            NAMES.iter().fold(renamed, |text, name| text.replace(name, &format!("{name}_{number:03}")))
        };
        copy(root, "schemas/document", to, &rename);
        copy(root, "pipelines/document", to, &rename);
    }
}

fn check(c: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let load = |dir: &Path| Project::load(dir, None).unwrap_or_else(|report| panic!("{report}"));
    c.bench_function("check: 1 topology", |b| b.iter(|| load(&root)));
    let folder = tempfile::tempdir().expect("a folder");
    project(&root, folder.path());
    assert_eq!(load(folder.path()).topologies.len(), TOPOLOGIES);
    let mut group = c.benchmark_group("check: 100 topologies");
    group.sample_size(10).bench_function("files read, checked and compiled", |b| b.iter(|| load(folder.path())));
    group.finish();
}

criterion_group!(benches, check);
criterion_main!(benches);
