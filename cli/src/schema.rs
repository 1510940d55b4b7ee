//! `headwater schema`: the declared schemas against the registry's.

use clap::{Args, Subcommand};
use headwater_engine::project::Project;
use headwater_schemas::registry::{Registry, RegistryError, Version};
use headwater_schemas::topic::{Event, Topic};
use headwater_schemas::{KeyFormat, SchemaId};
use serde_json::json;

use crate::context::Context;
use crate::environment;
use crate::failure::{Answer, Failure};
use crate::output::{Output, counted};

/// Compare the declared schemas with the registry's, and register them
#[derive(Debug, Args)]
#[command(
    long_about = "The registry holds every version of every event's schema, under the subject TOPIC-NAMESPACE.EVENT. A new \
                  version must be able to read every older one (BACKWARD_TRANSITIVE), judged by the same plan that decodes \
                  messages. `up` and `run` register what is declared; these commands do so ahead of it, from a pipeline of \
                  releases for example.",
    after_help = "Examples:\n  headwater schema check          # exit code 1 if a schema cannot be registered\n  \
                  headwater schema diff\n  headwater schema publish --topic document"
)]
pub(crate) struct Schema {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Whether each declared schema could be registered; registers nothing
    Check(Which),
    /// What each declared schema changes against the newest registered version
    Diff(Which),
    /// Register what is declared and not registered yet: all of it, or nothing if any is refused
    Publish(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// Only this topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
}

/// What is declared under a subject.
#[derive(Clone, Copy)]
enum Declared<'p> {
    Event(&'p Event),
    /// Of a topic whose keys are in Avro: its key, and the id that is pinned.
    Key(&'p Topic, Option<SchemaId>),
}

/// What the registry says of one declared schema.
struct Compared<'p> {
    declared: Declared<'p>,
    subject: String,
    /// Of an event.
    versions: Vec<Version>,
    verdict: Result<(), RegistryError>,
}

impl Schema {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let (Action::Check(which) | Action::Diff(which) | Action::Publish(which)) = &self.action;
        let registry = environment::registry(&project, &project.config.registry).await?;
        let compared = compare(&registry, which.topics(&project)?).await?;
        let refused = compared.iter().any(|compared| compared.verdict.is_err());
        let mut out = context.output();
        for compared in &compared {
            match &self.action {
                Action::Check(_) => compared.tell(context, &mut out, false)?,
                Action::Diff(_) => compared.tell(context, &mut out, true)?,
                Action::Publish(_) if refused => {
                    if compared.verdict.is_err() {
                        compared.tell(context, &mut out, false)?;
                    }
                }
                Action::Publish(_) => compared.publish(&registry, context, &mut out).await?,
            }
        }
        out.flush()?;
        Ok(if refused { Answer::No } else { Answer::Yes })
    }
}

impl Which {
    fn topics<'p>(&self, project: &'p Project) -> Result<Vec<&'p Topic>, Failure> {
        let all = || project.topics.iter().map(|topic| &**topic);
        let Some(name) = &self.topic else { return Ok(all().collect()) };
        let chosen: Vec<&Topic> = all().filter(|topic| topic.name == *name).collect();
        if chosen.is_empty() {
            let names: Vec<&str> = all().map(|topic| topic.name.as_str()).collect();
            return Err(
                Failure::new(format!("no topic is called {name}")).mend(format!("Topics: {}.", names.join(", ")))
            );
        }
        Ok(chosen)
    }
}

async fn compare<'p>(registry: &Registry, topics: Vec<&'p Topic>) -> Result<Vec<Compared<'p>>, Failure> {
    let mut all = Vec::new();
    for topic in topics {
        for event in &topic.events {
            let subject = topic.subject(event);
            let versions = registry.versions(&subject).await.map_err(|error| cannot_ask(&error))?;
            let verdict = match registry.check(&subject, &event.schema).await {
                Err(error @ (RegistryError::Incompatible { .. } | RegistryError::Refused { .. })) => Err(error),
                Err(error) => return Err(cannot_ask(&error)),
                Ok(()) => Ok(()),
            };
            all.push(Compared { declared: Declared::Event(event), subject, versions, verdict });
        }
        if let KeyFormat::Avro(_) = topic.key_format {
            let (id, verdict) = match registry.known_key_codec(topic).await {
                Ok(keys) => (keys.and_then(|keys| keys.id()), Ok(())),
                Err(error @ (RegistryError::OtherKey { .. } | RegistryError::NoFirstKey { .. })) => (None, Err(error)),
                Err(error) => return Err(cannot_ask(&error)),
            };
            let declared = Declared::Key(topic, id);
            all.push(Compared { declared, subject: topic.key_subject(), versions: Vec::new(), verdict });
        }
    }
    Ok(all)
}

fn cannot_ask(error: &RegistryError) -> Failure {
    Failure::because("the registry cannot be asked", error).mend("Run `headwater doctor` to see what it needs.")
}

impl Compared<'_> {
    /// Its version and id.
    fn registered(&self) -> Option<(u32, SchemaId)> {
        match self.declared {
            Declared::Event(event) => {
                let mut versions = self.versions.iter();
                let same = versions.find(|version| version.schema.fingerprint == event.schema.fingerprint);
                same.map(|version| (version.version, version.id))
            }
            Declared::Key(_, id) => id.map(|id| (1, id)),
        }
    }

    fn state(&self) -> &'static str {
        match (&self.verdict, self.registered(), self.versions.is_empty()) {
            (Err(_), ..) => "refused",
            (Ok(()), Some(_), _) => "registered",
            (Ok(()), None, true) => "new",
            (Ok(()), None, false) => "new version",
        }
    }

    /// The lines that the declared schema has more or less than the newest registered one.
    fn changes(&self) -> Vec<String> {
        let fields = |schema: &headwater_schemas::Schema| -> Vec<String> {
            let line = |field: &headwater_schemas::Field| match &field.default {
                Some(_) => format!("{}: {} (has a default)", field.name, field.ty.ty),
                None => format!("{}: {}", field.name, field.ty.ty),
            };
            schema.record.fields.iter().map(line).collect()
        };
        let Declared::Event(event) = self.declared else { return Vec::new() };
        let declared = fields(&event.schema);
        let newest = self.versions.last().map(|version| fields(&version.schema)).unwrap_or_default();
        let gone = newest.iter().filter(|line| !declared.contains(line)).map(|line| format!("- {line}"));
        let added = declared.iter().filter(|line| !newest.contains(line)).map(|line| format!("+ {line}"));
        gone.chain(added).collect()
    }

    fn tell(&self, context: &Context, out: &mut Output, diff: bool) -> Result<(), Failure> {
        let reason = self.verdict.as_ref().err().map(ToString::to_string);
        let changes = if diff { self.changes() } else { Vec::new() };
        if context.json {
            let registered = self.registered();
            return out.value(&json!({
                "subject": self.subject, "state": self.state(), "versions": self.versions.len(),
                "id": registered.map(|(_, id)| id.0), "version": registered.map(|(version, _)| version),
                "reason": reason, "changes": changes,
            }));
        }
        let known = match self.registered() {
            Some((version, id)) => format!(" as version {version} (id {id})"),
            None if self.versions.is_empty() => String::new(),
            None => format!(", after {}", counted(self.versions.len(), "version")),
        };
        out.line(format!("{}: {}{known}", self.subject, self.state()))?;
        for line in changes {
            out.line(format!("    {line}"))?;
        }
        reason.map_or(Ok(()), |reason| out.line(format!("    {reason}")))
    }

    async fn publish(&self, registry: &Registry, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let was = self.registered().is_some();
        let (name, id) = match self.declared {
            Declared::Event(event) => {
                (event.name.as_str(), registry.register(&self.subject, &event.schema).await.map(Some))
            }
            Declared::Key(topic, _) => (self.subject.as_str(), registry.key_codec(topic).await.map(|keys| keys.id())),
        };
        let id = id.map_err(|error| Failure::because(format!("the schema of {name} cannot be registered"), &error))?;
        let id = id.unwrap_or(SchemaId(0));
        let state = if was { "was registered" } else { "registered" };
        if context.json {
            return out.value(&json!({ "subject": self.subject, "id": id.0, "state": state }));
        }
        out.line(format!("{}: {state} (id {id})", self.subject))
    }
}
