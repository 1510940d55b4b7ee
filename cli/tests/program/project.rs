//! A project in a temporary folder, and the program run in it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use headwater_dev_servers::Keyspace;

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A copy of this repository's own declarations, with data of its own.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    /// The environment that it is run with.
    variables: Vec<(String, String)>,
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for part in ["headwater.yaml", "schemas/document", "schemas/user", "pipelines/document"] {
            copy(&root.join(part), &folder.path().join(part));
        }
        Self { folder, variables: Vec::new() }
    }

    /// A folder without anything in it.
    pub(crate) fn empty() -> Self {
        // A folder's name is a project's where one is made in it.
        let folder = tempfile::Builder::new().prefix("new-").tempdir().expect("a folder");
        Self { folder, variables: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the one place where `from` stands in a file.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).expect("the file");
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in {name}");
        std::fs::write(self.path(name), text.replace(from, to)).expect("written");
    }

    /// The same declarations on real Kafka, a real registry and real Postgres, with topics and tables of its own.
    pub(crate) fn on_servers() -> Self {
        let (project, own) = Self::on_kafka();
        project.without_store("operational");
        project.edit("headwater.yaml", "  reporting:\n", "  operational:\n");
        let password = "      password_file: \"${HEADWATER_POSTGRES_PASSWORD_FILE}\"\n";
        project.edit("headwater.yaml", password, &format!("{password}      schema: {own}\n"));
        project
    }

    /// The same on Kafka, a registry and Cassandra.
    pub(crate) async fn on_cassandra() -> (Self, Keyspace) {
        let (project, _) = Self::on_kafka();
        project.without_store("reporting");
        let servers = headwater_dev_servers::start(&["cassandra"]);
        let keyspace = Keyspace::fresh(&servers.cassandra).await;
        project.edit("headwater.yaml", "keyspace: headwater\n", &format!("keyspace: {}\n", keyspace.name));
        (project, keyspace)
    }

    /// Takes a store out of headwater.yaml.
    fn without_store(&self, name: &str) {
        let text = std::fs::read_to_string(self.path("headwater.yaml")).expect("the file");
        let start = text.find(&format!("  {name}:\n")).expect("the store");
        let next = |line: &str| !line.starts_with("    ");
        let rest: usize =
            text[start..].split_inclusive('\n').skip(1).take_while(|line| !next(line)).map(str::len).sum();
        let head = text[start..].find('\n').expect("a line") + 1;
        let text = format!("{}{}", &text[..start], &text[start + head + rest..]);
        std::fs::write(self.path("headwater.yaml"), text).expect("written");
    }

    fn on_kafka() -> (Self, String) {
        let mut project = Self::new();
        headwater_dev_servers::start(&["kafka", "registry", "postgres"]);
        let own = headwater_dev_servers::fresh_name("t");
        for topic in ["document", "user"] {
            let name = format!("{topic}_{own}");
            project.edit(
                &format!("schemas/{topic}/topic.yaml"),
                &format!("topic: {topic}\n"),
                &format!("topic: {name}\n"),
            );
            project.edit("pipelines/document/topology.yaml", &format!("  - {topic}\n"), &format!("  - {name}\n"));
        }
        let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/dev/headwater.yaml");
        std::fs::copy(profile, project.path("headwater.yaml")).expect("copied");
        project.variables = headwater_dev_servers::variables();
        (project, own)
    }

    /// Sets a variable of the environment that it is run with.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value));
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(arguments).current_dir(self.folder.path()).envs(self.variables.iter().cloned());
        for variable in ["HEADWATER_PROJECT", "HEADWATER_CONFIG", "HEADWATER_LOG"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("it runs"))
    }

    /// Runs to the end, with this on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("stdin");
        let input = input.to_owned();
        // It may end before it has read all: that is not this side's failure.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let ran = Ran::from(child.wait_with_output().expect("it ends"));
        writer.join().expect("written");
        ran
    }

    /// Starts `up` on a port of its own choice and waits until it is ready.
    pub(crate) fn up(&self, more: &[&str]) -> Up {
        self.up_with(more, |_| ())
    }

    /// The same, with changes to how it is run.
    pub(crate) fn up_with(&self, more: &[&str], change: impl FnOnce(&mut Command)) -> Up {
        let arguments: Vec<&str> = ["up", "--json", "--listen", "127.0.0.1:0"].iter().chain(more).copied().collect();
        let mut command = self.command(&arguments);
        command.stderr(Stdio::inherit());
        change(&mut command);
        let mut child = command.spawn().expect("it runs");
        let mut out = BufReader::new(child.stdout.take().expect("stdout"));
        let mut line = String::new();
        while !line.contains("\"ready\"") {
            line.clear();
            let read = out.read_line(&mut line).expect("it says where it listens");
            assert!(read > 0, "it ended before it was ready: {:?}", child.wait());
        }
        let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(said["ready"], true, "{said}");
        let url = said["url"].as_str().expect("a url").to_owned();
        Up { child, url, _out: out }
    }
}

/// A running `headwater up`, killed when dropped.
pub(crate) struct Up {
    pub(crate) child: Child,
    pub(crate) url: String,
    /// Kept open: a process whose stdout is gone would be another test.
    _out: BufReader<ChildStdout>,
}

impl Up {
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
    }

    /// Sends a signal by its name, and waits for the end; the exit code.
    pub(crate) fn signal(&mut self, name: &str) -> Option<i32> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status.code();
            }
            assert!(started.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its answer, where it was 0.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// The JSON lines of its answer, where it was 0.
    #[track_caller]
    pub(crate) fn lines(self) -> Vec<serde_json::Value> {
        self.fine().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        return;
    }
    std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
    std::fs::copy(from, to).expect("copied");
}
