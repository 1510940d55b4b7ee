//! The files of a new project: those of `template/`, with the project's own words in place of `<name>`, `<domain>`,
//! `<Domain>`, `<plural>` and `<store>`; and the JSON Schemas that they name.

use clap::ValueEnum;
use headwater_engine::declare::json_schema::{FOLDER, KINDS};

/// Where views are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Store {
    /// A file under data/, with nothing to install
    Sqlite,
    /// A table a view, and a SQL view over it
    Postgres,
    /// A table a view
    Cassandra,
}

/// What a project speaks of: a name of the language, in each of its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Domain {
    /// `order_line`
    name: String,
    /// `OrderLine`
    event: String,
    /// `order_lines`
    plural: String,
}

/// So that every name that is made of it is one that every store takes.
const MAX_DOMAIN: usize = 28;

impl Domain {
    /// Takes a word that can be the start of every name in the project.
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let fine = word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(allowed);
        if !fine || word.len() > MAX_DOMAIN {
            return Err(format!(
                "a domain is a letter, then lower-case letters, digits and underscores, at most {MAX_DOMAIN} of them: order"
            ));
        }
        if ["true", "false", "null"].contains(&word) {
            return Err("YAML reads this word as something else than a text; take another".to_owned());
        }
        let plural = plural(word);
        if headwater_engine::route::is_reserved(&plural) {
            return Err(format!("its path would be /{plural}, which Headwater serves itself; take another word"));
        }
        let event = word.split('_').flat_map(capitalized).collect();
        Ok(Self { name: word.to_owned(), event, plural })
    }
}

fn capitalized(word: &str) -> impl Iterator<Item = char> {
    word.char_indices().map(|(index, c)| if index == 0 { c.to_ascii_uppercase() } else { c })
}

fn plural(word: &str) -> String {
    let after_vowel = || word.chars().rev().nth(1).is_none_or(|c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u'));
    match word {
        _ if word.ends_with('y') && !after_vowel() => format!("{}ies", &word[..word.len() - 1]),
        _ if ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end)) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

const FILES: [(&str, &str); 10] = [
    ("README.md", include_str!("template/README.md")),
    (".gitignore", include_str!("template/gitignore")),
    ("schemas/<domain>/topic.yaml", include_str!("template/topic.yaml")),
    ("schemas/<domain>/<Domain>Added.avsc", include_str!("template/Added.avsc")),
    ("schemas/<domain>/<Domain>Renamed.avsc", include_str!("template/Renamed.avsc")),
    ("schemas/<domain>/<Domain>Removed.avsc", include_str!("template/Removed.avsc")),
    ("pipelines/<domain>/topology.yaml", include_str!("template/topology.yaml")),
    ("pipelines/<domain>/commands.yaml", include_str!("template/commands.yaml")),
    ("pipelines/<domain>/queries.yaml", include_str!("template/queries.yaml")),
    ("pipelines/<domain>/tests/life.yaml", include_str!("template/tests.yaml")),
];

impl Store {
    /// headwater.yaml, and what the README says of the store.
    fn files(self) -> (&'static str, &'static str) {
        match self {
            Store::Sqlite => (include_str!("template/headwater.sqlite.yaml"), include_str!("template/store.sqlite.md")),
            Store::Postgres => {
                (include_str!("template/headwater.postgres.yaml"), include_str!("template/store.postgres.md"))
            }
            Store::Cassandra => {
                (include_str!("template/headwater.cassandra.yaml"), include_str!("template/store.cassandra.md"))
            }
        }
    }
}

/// Every file's path and text.
pub(super) fn files(name: &str, domain: &Domain, store: Store) -> Vec<(String, String)> {
    let (config, note) = store.files();
    let fill = |text: &str| {
        let text = text.replace("<store>", note).replace("<name>", name).replace("<domain>", &domain.name);
        text.replace("<Domain>", &domain.event).replace("<plural>", &domain.plural)
    };
    let schemas = KINDS.iter().map(|kind| (format!("{FOLDER}/{}.json", kind.name), kind.text()));
    let config = [("headwater.yaml".to_owned(), config.to_owned())];
    let own = FILES.iter().map(|(path, text)| (fill(path), fill(text)));
    config.into_iter().chain(own).chain(schemas).collect()
}

#[cfg(test)]
mod tests {
    use headwater_engine::declare::json_schema::FileKind;
    use headwater_engine::harness;
    use headwater_engine::project::Project;

    use super::*;

    #[test]
    fn a_domain_has_its_words() {
        for (word, event, plural) in [
            ("order", "Order", "orders"),
            ("order_line", "OrderLine", "order_lines"),
            ("category", "Category", "categories"),
            ("day", "Day", "days"),
            ("y", "Y", "ys"),
            ("box", "Box", "boxes"),
            ("batch2", "Batch2", "batch2s"),
        ] {
            let domain = Domain::parse(word).expect("a domain");
            assert_eq!((domain.event.as_str(), domain.plural.as_str()), (event, plural), "{word}");
        }
        for word in
            ["", "Order", "7up", "_x", "order line", "a-b", "ü", "doc", "metric", "true", "null", &"n".repeat(29)]
        {
            assert!(Domain::parse(word).is_err(), "{word}");
        }
    }

    /// Whatever it is called, and wherever its views are: it is right, and its tests pass.
    #[test]
    fn every_new_project_is_right() {
        let words =
            ["order", "a", "o", "owner", "total", "title", "select", "group", "user", "owner_total", "yes", "key"];
        let longest = "n".repeat(MAX_DOMAIN - 1) + "y";
        for (word, store) in words
            .into_iter()
            .chain([longest.as_str()])
            .flat_map(|word| [Store::Sqlite, Store::Postgres, Store::Cassandra].map(|store| (word, store)))
        {
            let dir = tempfile::tempdir().expect("a folder");
            for (path, text) in files("shop", &Domain::parse(word).expect("a domain"), store) {
                for mark in ["<name>", "<domain>", "<Domain>", "<plural>", "<store>"] {
                    assert!(!path.contains(mark) && !text.contains(mark), "{mark} is left in {path}");
                }
                if let Some(kind) = FileKind::of(&path) {
                    assert_eq!(text.lines().next(), Some(kind.modeline().as_str()), "{path}");
                }
                let file = dir.path().join(path);
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                std::fs::write(file, text).expect("written");
            }
            let project = Project::load(dir.path(), None);
            let project = project.unwrap_or_else(|report| panic!("{word}: {}", report.render(false)));
            assert!(project.report().is_empty(), "{word}: {}", project.report().render(false));
            assert_eq!(project.tests.len(), 2);
            for test in project.tests.iter().filter(|_| store == Store::Sqlite) {
                let verdict = harness::run(test, &project.topologies).expect("it runs");
                assert!(verdict.failures.is_empty(), "{word}: {}: {:?}", test.name, verdict.failures);
            }
        }
    }
}
