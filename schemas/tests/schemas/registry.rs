//! One set of rules for every registry, and what the embedded one adds: processes, and time.

use std::sync::Arc;

use headwater_schemas::wire::SchemaId;
use headwater_schemas::{Registry, RegistryError, Schema};

fn schema(fields: &str) -> Schema {
    Schema::parse(&format!(r#"{{"type": "record", "name": "shop.Sold", "fields": [{fields}]}}"#), &[]).unwrap()
}

const ID: &str = r#"{"name": "id", "type": "string"}"#;
const NOTE: &str = r#"{"name": "note", "type": ["null", "string"], "default": null}"#;

async fn conforms(registry: Registry) {
    let (first, second) = (schema(ID), schema(&format!("{ID}, {NOTE}")));
    let one = registry.register("sales-shop.Sold", &first).await.unwrap();
    assert_eq!(registry.register("sales-shop.Sold", &first).await.unwrap(), one, "the same schema has the same id");
    let two = registry.register("sales-shop.Sold", &second).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(registry.register("sales-shop.Sold", &first).await.unwrap(), one, "an old version keeps its id");
    assert_eq!(registry.register("other-shop.Sold", &second).await.unwrap(), two, "an id belongs to the text");

    assert_eq!(*registry.by_id(two).await.unwrap(), second);
    assert_eq!(registry.by_id(two).await.unwrap().record, second.record);
    for unknown in [SchemaId(0), SchemaId(two.0 + 1), SchemaId(u32::MAX)] {
        let error = registry.by_id(unknown).await.unwrap_err();
        assert!(matches!(error, RegistryError::UnknownId(id) if id == unknown), "{error}");
    }

    let versions = registry.versions("sales-shop.Sold").await.unwrap();
    let listed: Vec<_> = versions.iter().map(|v| (v.version, v.id, &*v.schema)).collect();
    assert_eq!(listed, [(1, one, &first), (2, two, &second)]);
    assert_eq!(registry.versions("nobody").await.unwrap(), []);

    // Readable against the last version, not against the first: compatibility is with all of them.
    let third = schema(&format!(r#"{ID}, {{"name": "note", "type": ["null", "string"]}}"#));
    for refused in
        [registry.check("sales-shop.Sold", &third).await, registry.register("sales-shop.Sold", &third).await.map(drop)]
    {
        let error = refused.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "sales-shop.Sold cannot take this schema: it does not read version 1 (id {one}): \
             note: shop.Sold has no such field, and the reader has no default for it"
            )
        );
        assert!(matches!(error, RegistryError::Incompatible { version: 1, id, .. } if id == one));
    }
    registry.check("another", &third).await.unwrap();
    assert_eq!(registry.versions("another").await.unwrap(), [], "checking registers nothing");
    assert_eq!(registry.versions("sales-shop.Sold").await.unwrap().len(), 2);
}

#[tokio::test]
async fn memory_conforms() {
    conforms(Registry::memory()).await;
}

#[tokio::test]
async fn embedded_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(Registry::open_embedded(folder.path()).await.unwrap()).await;
}

#[tokio::test]
async fn ids_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (schema(ID), schema(&format!("{ID}, {NOTE}")));
    let registry = Registry::open_embedded(folder.path()).await.unwrap();
    let id = registry.register("s", &first).await.unwrap();
    drop(registry);
    let registry = Registry::open_embedded(folder.path()).await.unwrap();
    assert_eq!(*registry.by_id(id).await.unwrap(), first);
    assert_eq!(registry.register("s", &first).await.unwrap(), id);
    assert!(registry.register("s", &second).await.unwrap() > id);
}

/// Many handles, as of as many processes, on a folder that does not exist yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handles_that_register_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = Arc::new(folder.path().join("data"));
    let register = |n: usize| {
        let path = path.clone();
        tokio::spawn(async move {
            let registry = Registry::open_embedded(&path).await.unwrap();
            let own = schema(&format!(r#"{ID}, {{"name": "own{n}", "type": "int", "default": 0}}"#));
            let shared = registry.register("s", &schema(ID)).await.unwrap();
            (shared, registry.register("s", &own).await.unwrap())
        })
    };
    let tasks: Vec<_> = (0..6).map(register).collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap());
    }
    assert!(ids.iter().all(|(shared, _)| *shared == ids[0].0), "{ids:?}");
    let mut own: Vec<_> = ids.iter().map(|(_, own)| *own).collect();
    own.sort();
    own.dedup();
    assert_eq!(own.len(), 6);
    let registry = Registry::open_embedded(&path).await.unwrap();
    let versions: Vec<u32> = registry.versions("s").await.unwrap().iter().map(|v| v.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn what_is_no_registry_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("registry.db"), vec![b'x'; 5000]).unwrap();
    let error = Registry::open_embedded(folder.path()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Corrupt { .. }), "{error}");
    let file = folder.path().join("registry.db").join("under-a-file");
    let error = Registry::open_embedded(&file).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
}
