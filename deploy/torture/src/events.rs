//! Events as a foreign program would write them: the project's own schemas, encoded by apache-avro.

use std::collections::HashMap;
use std::path::Path;

use apache_avro::Schema as Avro;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use headwater_schemas::avsc::{Schema, parse_all};
use headwater_schemas::registry::Registry;

use crate::Fallible;

/// An event that no topology knows.
const STRANGER: &str = r#"{"type": "record", "name": "Stranger", "namespace": "torture", "fields": [{"name": "doc_id", "type": "string"}]}"#;

/// A version whose key and content another program's schema lets be null.
const NULLABLE: &str = "NullableVersion";

/// What an event of the document topic says.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) doc_id: Option<String>,
    pub(crate) name: String,
    pub(crate) user_id: String,
    /// Microseconds since 1970.
    pub(crate) at: i64,
}

pub(crate) struct Events {
    /// By the event's name.
    schemas: HashMap<String, (u32, Avro)>,
}

impl Events {
    /// Registers the events of both topics, and two of its own.
    pub(crate) async fn register(project: &Path, topics: &[String; 2], registry: &Registry) -> Fallible<Self> {
        let mut schemas = HashMap::new();
        for (domain, topic) in ["document", "user"].iter().zip(topics) {
            for schema in read_schemas(&project.join("schemas").join(domain))? {
                let subject = format!("{topic}-{}", schema.record.name);
                let name = schema.short_name().to_owned();
                if name == "VersionAdded" {
                    let nullable = nullable(&schema)?;
                    let id = registry.register(&format!("nullable-{topic}"), &nullable).await?;
                    schemas.insert(NULLABLE.to_owned(), (id.0, Avro::parse_str(&nullable.text)?));
                }
                let id = registry.register(&subject, &schema).await?;
                schemas.insert(name, (id.0, Avro::parse_str(&schema.text)?));
            }
        }
        let stranger = Schema::parse(STRANGER, &[])?;
        let id = registry.register(&format!("stranger-{}", topics[0]), &stranger).await?;
        schemas.insert("Stranger".to_owned(), (id.0, Avro::parse_str(&stranger.text)?));
        Ok(Self { schemas })
    }

    pub(crate) fn added(&self, said: &Said) -> Fallible<Vec<u8>> {
        self.encode("DocumentAdded", with_content(said))
    }

    pub(crate) fn version(&self, said: &Said) -> Fallible<Vec<u8>> {
        self.encode("VersionAdded", with_content(said))
    }

    /// The same event, by a schema in which its key may be null.
    pub(crate) fn nullable_version(&self, said: &Said) -> Fallible<Vec<u8>> {
        let mut fields = with_content(said);
        fields[0].1 = match &said.doc_id {
            None => Value::Union(0, Box::new(Value::Null)),
            Some(id) => Value::Union(1, Box::new(Value::String(id.clone()))),
        };
        self.encode(NULLABLE, fields)
    }

    pub(crate) fn removed(&self, said: &Said) -> Fallible<Vec<u8>> {
        let fields = vec![text("doc_id", said.doc_id.as_deref()), text("user_id", Some(&said.user_id)), at(said.at)];
        self.encode("DocumentRemoved", fields)
    }

    pub(crate) fn stranger(&self, doc_id: &str) -> Fallible<Vec<u8>> {
        self.encode("Stranger", vec![text("doc_id", Some(doc_id))])
    }

    /// `event`: UserRegistered or UserRenamed.
    pub(crate) fn user(&self, event: &str, user_id: &str, email: &str, micros: i64) -> Fallible<Vec<u8>> {
        let names = [("user_id", user_id), ("email", email), ("first_name", "Ann"), ("last_name", "")];
        let mut fields: Vec<_> = names.into_iter().map(|(name, value)| text(name, Some(value))).collect();
        fields.push(at(micros));
        self.encode(event, fields)
    }

    fn encode(&self, event: &str, fields: Vec<(String, Value)>) -> Fallible<Vec<u8>> {
        let (id, schema) = self.schemas.get(event).ok_or_else(|| format!("there is no event {event}"))?;
        let mut message = vec![0];
        message.extend(id.to_be_bytes());
        let writer = GenericDatumWriter::builder(schema).build()?;
        message.extend(writer.write_value_to_vec(Value::Record(fields))?);
        Ok(message)
    }
}

fn read_schemas(folder: &Path) -> Fallible<Vec<Schema>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    files.sort();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let events = parse_all(&files).map_err(|errors| format!("{errors:?}"))?;
    Ok(events.into_iter().filter(|schema| schema.short_name() != "Content").collect())
}

fn nullable(schema: &Schema) -> Fallible<Schema> {
    let mut json: serde_json::Value = serde_json::from_str(&schema.text)?;
    json["fields"][0]["type"] = serde_json::json!(["null", "string"]);
    Ok(Schema::parse_registered(&json.to_string())?)
}

fn text(name: &str, value: Option<&str>) -> (String, Value) {
    (name.to_owned(), Value::String(value.unwrap_or_default().to_owned()))
}

fn at(micros: i64) -> (String, Value) {
    ("at".to_owned(), Value::TimestampMicros(micros))
}

fn with_content(said: &Said) -> Vec<(String, Value)> {
    let content = vec![
        text("blob", Some("none")),
        text("sha256", Some(&format!("{:064x}", said.at))),
        ("size".to_owned(), Value::Long(said.at.rem_euclid(4_096))),
    ];
    vec![
        text("doc_id", said.doc_id.as_deref()),
        text("name", Some(&said.name)),
        text("mime_type", Some("text/plain")),
        ("content".to_owned(), Value::Record(content)),
        text("user_id", Some(&said.user_id)),
        at(said.at),
    ]
}
