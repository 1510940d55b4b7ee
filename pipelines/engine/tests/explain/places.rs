//! The projects of this repository.

use std::path::PathBuf;

use headwater_engine::project::Project;

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn repository() -> Project {
    load(root())
}

/// Every recipe of the documentation, by its folder's name.
pub(crate) fn recipes() -> Vec<(String, Project)> {
    let folders = std::fs::read_dir(root().join("docs/recipes")).expect("recipes");
    let folders = folders.map(|folder| folder.expect("a recipe").path()).filter(|folder| folder.is_dir());
    let name = |folder: &PathBuf| folder.file_name().expect("a name").to_string_lossy().into_owned();
    let mut recipes: Vec<(String, Project)> = folders.map(|folder| (name(&folder), load(folder))).collect();
    recipes.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(!recipes.is_empty(), "there are recipes");
    recipes
}

pub(crate) fn load(folder: PathBuf) -> Project {
    Project::load_with(&folder, None, &|_| None).unwrap_or_else(|report| panic!("{}", report.render(false)))
}
