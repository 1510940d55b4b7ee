//! Message keys in Avro: their bytes are those that apache-avro writes and reads by the key's schema, and the id in front of
//! them is pinned by the registry.

use std::sync::Arc;

use headwater_schemas::key::KeySchema;
use headwater_schemas::{
    Event, KeyCodec, KeyFormat, KeyProblem, Registry, RegistryError, Schema, SchemaId, Topic, Value, ValueRef, wire,
};
use proptest::prelude::*;

use crate::apache::{from_apache, parse, read, write};
use crate::generate::schema_and_value;

fn topic(name: &str, schema: Arc<Schema>, key: &[String]) -> Topic {
    let events = vec![Event::new(schema, vec![], key).unwrap()];
    Topic {
        name: name.to_owned(),
        domain: "shop".into(),
        key: key.to_vec(),
        key_format: KeyFormat::Avro(Arc::new(KeySchema::of_events(name, key, &events).unwrap())),
        partitions: 1,
        retention_days: None,
        compact: false,
        deduplicate: None,
        events,
        ignore: vec![],
    }
}

/// Fields of a random record that may be in a key, the last first.
fn key_of(schema: &Arc<Schema>) -> Vec<String> {
    let names = schema.record.fields.iter().rev().map(|field| field.name.clone());
    names.filter(|name| Event::new(schema.clone(), vec![], std::slice::from_ref(name)).is_ok()).collect()
}

/// The topic, the text of its key's schema, and the key's fields as a value of that.
fn keyed(schema: &Arc<Schema>, value: &Value) -> Option<(Topic, Arc<str>, Value)> {
    let key = key_of(schema);
    if key.is_empty() {
        return None;
    }
    let topic = topic("shop-sales", schema.clone(), &key);
    let (KeyFormat::Avro(of_key), Value::Record(values)) = (&topic.key_format, value) else { panic!("a record") };
    let text = of_key.text.clone();
    let mut fields: Vec<Value> = topic.events[0].key.iter().map(|&index| values[index].clone()).collect();
    let fields = if fields.len() == 1 { fields.remove(0) } else { Value::Record(fields.into()) };
    Some((topic, text, fields))
}

fn borrowed<'v>(values: &'v [Value], bump: &'v bumpalo::Bump) -> Vec<ValueRef<'v>> {
    values.iter().map(|value| value.borrow(bump)).collect()
}

proptest! {
    #[test]
    fn apache_avro_reads_the_keys_that_are_written((schema, value) in schema_and_value(), id in any::<u32>()) {
        let Some((topic, text, fields)) = keyed(&schema, &value) else { return Ok(()) };
        let keys = KeyCodec::new(&topic, SchemaId(id));
        let key = keys.of_record(&topic.events[0], &value);
        let (found, mut body) = wire::split(&key).unwrap();
        prop_assert_eq!(found, SchemaId(id));
        let avro = parse(&text);
        let theirs = read(&avro, None, &mut body).unwrap();
        prop_assert!(body.is_empty());
        prop_assert_eq!(&from_apache(&avro, &theirs), &fields);

        // What it writes is the same; a decimal it pads.
        let mut framed = Vec::new();
        wire::frame(found, &write(&avro, &fields), &mut framed);
        if !text.contains("decimal") {
            prop_assert_eq!(&framed, &key);
        } else if framed != key {
            prop_assert_eq!(keys.read(&framed), Err(KeyProblem::OtherForm));
        }
    }

    #[test]
    fn a_key_is_read_compared_and_shown_as_it_was_written((schema, value) in schema_and_value()) {
        let Some((topic, _, _)) = keyed(&schema, &value) else { return Ok(()) };
        let keys = KeyCodec::new(&topic, SchemaId(7));
        let key = keys.of_record(&topic.events[0], &value);
        let values = keys.read(&key).unwrap();
        let bump = bumpalo::Bump::new();
        let fields = borrowed(&values, &bump);
        prop_assert_eq!(keys.check(&key, fields.iter().copied()), Ok(()));
        let shown = keys.text(&key).expect("text").into_owned();
        prop_assert_eq!(keys.of_text(&shown), Ok(key.clone()));
        for cut in 0..key.len() {
            prop_assert!(keys.check(&key[..cut], fields.iter().copied()).is_err());
            prop_assert!(keys.read(&key[..cut]).is_err());
        }
        let longer = [key.as_slice(), b"\0"].concat();
        prop_assert!(keys.check(&longer, fields.iter().copied()).is_err() && keys.read(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_a_key_in_its_one_form_or_none((schema, value) in schema_and_value(), body in any::<Vec<u8>>()) {
        let Some((topic, _, _)) = keyed(&schema, &value) else { return Ok(()) };
        let keys = KeyCodec::new(&topic, SchemaId(7));
        let mut key = Vec::new();
        wire::frame(SchemaId(7), &body, &mut key);
        for key in [key, body] {
            if let Ok(values) = keys.read(&key) {
                let (mut again, bump) = (Vec::new(), bumpalo::Bump::new());
                prop_assert!(keys.write(borrowed(&values, &bump), &mut again));
                prop_assert_eq!(again, key);
            }
        }
    }
}

fn sales(name: &str, fields: &str, key: &[&str]) -> Topic {
    let text = format!(r#"{{"type": "record", "name": "shop.Sold", "fields": [{fields}]}}"#);
    let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
    topic(name, Arc::new(Schema::parse(&text, &[]).unwrap()), &key)
}

const ID: &str = r#"{"name": "id", "type": "string"}"#;
const N: &str = r#"{"name": "n", "type": "long"}"#;

/// What every registry does with keys.
pub(crate) async fn pinned(registry: &Registry, prefix: &str) {
    let (one, several) = (format!("{prefix}one"), format!("{prefix}several"));
    let of_id = sales(&one, ID, &["id"]);
    assert!(registry.known_key_codec(&of_id).await.unwrap().is_none(), "looking registers nothing");
    let keys = registry.key_codec(&of_id).await.unwrap();
    let key = keys.of_text("me").unwrap();
    let (id, body) = wire::split(&key).unwrap();
    assert_eq!((body, keys.id()), (&b"\x04me"[..], Some(id)));
    for again in [registry.key_codec(&of_id).await.unwrap(), registry.known_key_codec(&of_id).await.unwrap().unwrap()] {
        assert_eq!(again.of_text("me").unwrap(), key, "the id is that of the first version, for ever");
    }
    let error = registry.by_id(id).await.unwrap_err();
    assert_eq!(error.to_string(), format!("schema {id} is no record: it is string"));

    // Under another name of the record, the same shape; of another type or order, none.
    let both = registry.key_codec(&sales(&several, &format!("{ID}, {N}"), &["n", "id"])).await.unwrap();
    let key = both.of_text(r#"{"n":1,"id":"me"}"#).unwrap();
    let text = format!(r#"{{"type": "record", "name": "other.Sold", "fields": [{N}, {ID}]}}"#);
    let renamed = topic(&several, Arc::new(Schema::parse(&text, &[]).unwrap()), &["n".into(), "id".into()]);
    assert_eq!(registry.key_codec(&renamed).await.unwrap().of_text(r#"{"n":1,"id":"me"}"#).unwrap(), key);
    let (id, _) = wire::split(&key).unwrap();
    for (other, shape) in [
        (sales(&several, &format!("{ID}, {N}"), &["id", "n"]), "record {id: string, n: long}"),
        (sales(&several, &format!("{ID}, {}", N.replace("long", "int")), &["n", "id"]), "record {n: int, id: string}"),
        (sales(&several, ID, &["id"]), "string"),
    ] {
        let expected = format!(
            "{several}-key: version 1 (id {id}), which all keys of the topic have, is record {{n: long, id: string}}; \
             the declared key is {shape}"
        );
        for found in [registry.key_codec(&other).await.map(drop), registry.known_key_codec(&other).await.map(drop)] {
            assert_eq!(found.unwrap_err().to_string(), expected);
        }
    }
    registry.delete_subject(&format!("{several}-key")).await.unwrap();
    assert!(registry.known_key_codec(&renamed).await.unwrap().is_none());
}

#[tokio::test]
async fn a_registry_that_cannot_be_asked_pins_nothing() {
    let options = headwater_schemas::registry::RemoteOptions::new("http://127.0.0.1:1/");
    let registry = Registry::remote(&options).unwrap();
    let error = registry.key_codec(&sales("one", ID, &["id"])).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_that_pin_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let pin = |n: usize| {
        let path = folder.path().to_owned();
        tokio::spawn(async move {
            let registry = Registry::open_embedded(&path).await.unwrap();
            // Half of them know the key by another name of its record.
            let of = sales("several", &format!("{ID}, {N}"), &["n", "id"]);
            let other = format!(r#"{{"type": "record", "name": "s{n}.Sold", "fields": [{N}, {ID}]}}"#);
            let other = topic("several", Arc::new(Schema::parse(&other, &[]).unwrap()), &["n".into(), "id".into()]);
            let keys = registry.key_codec(if n.is_multiple_of(2) { &of } else { &other }).await.unwrap();
            keys.of_text(r#"{"n":1,"id":"me"}"#).unwrap()
        })
    };
    let tasks: Vec<_> = (0..6).map(pin).collect();
    let mut keys = Vec::new();
    for task in tasks {
        keys.push(task.await.unwrap());
    }
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}
