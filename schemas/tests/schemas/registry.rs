//! One set of rules for every registry, and what the embedded one adds: processes, and time.

use std::sync::Arc;

use headwater_schemas::registry::{Login, RemoteOptions};
use headwater_schemas::wire::SchemaId;
use headwater_schemas::{Registry, RegistryError, Schema};

fn schema(fields: &str) -> Schema {
    Schema::parse(&format!(r#"{{"type": "record", "name": "shop.Sold", "fields": [{fields}]}}"#), &[]).unwrap()
}

const ID: &str = r#"{"name": "id", "type": "string"}"#;
const NOTE: &str = r#"{"name": "note", "type": ["null", "string"], "default": null}"#;

/// `prefix` keeps the subjects apart from everyone else's.
async fn conforms(registry: Registry, prefix: &str) {
    let [sales, other, another, nobody] =
        ["sales-shop.Sold", "other-shop.Sold", "another", "nobody"].map(|name| format!("{prefix}{name}"));
    let (sales, other) = (sales.as_str(), other.as_str());
    let (first, second) = (schema(ID), schema(&format!("{ID}, {NOTE}")));
    let one = registry.register(sales, &first).await.unwrap();
    assert_eq!(registry.register(sales, &first).await.unwrap(), one, "the same schema has the same id");
    let two = registry.register(sales, &second).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(registry.register(sales, &first).await.unwrap(), one, "an old version keeps its id");
    assert_eq!(registry.register(other, &second).await.unwrap(), two, "an id belongs to the text");

    assert_eq!(*registry.by_id(two).await.unwrap(), second);
    assert_eq!(registry.by_id(two).await.unwrap().record, second.record);
    for unknown in [SchemaId(0), SchemaId(u32::MAX)] {
        let error = registry.by_id(unknown).await.unwrap_err();
        assert!(matches!(error, RegistryError::UnknownId(id) if id == unknown), "{error}");
    }

    let versions = registry.versions(sales).await.unwrap();
    let listed: Vec<_> = versions.iter().map(|v| (v.version, v.id, &*v.schema)).collect();
    assert_eq!(listed, [(1, one, &first), (2, two, &second)]);
    assert_eq!(registry.versions(&nobody).await.unwrap(), []);

    // Readable against the last version, not against the first: compatibility is with all of them.
    let third = schema(&format!(r#"{ID}, {{"name": "note", "type": ["null", "string"]}}"#));
    for refused in [registry.check(sales, &third).await, registry.register(sales, &third).await.map(drop)] {
        let error = refused.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{sales} cannot take this schema: it does not read version 1 (id {one}): \
             note: shop.Sold has no such field, and the reader has no default for it"
            )
        );
        assert!(matches!(error, RegistryError::Incompatible { version: 1, id, .. } if id == one));
    }
    registry.check(&another, &third).await.unwrap();
    assert_eq!(registry.versions(&another).await.unwrap(), [], "checking registers nothing");
    assert_eq!(registry.versions(sales).await.unwrap().len(), 2);
    crate::keys::pinned(&registry, prefix).await;
}

#[tokio::test]
async fn memory_conforms() {
    conforms(Registry::memory(), "").await;
}

#[tokio::test]
async fn embedded_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(Registry::open_embedded(folder.path()).await.unwrap(), "").await;
}

/// The dev servers' registry, and how to reach it with TLS.
fn remote() -> (headwater_dev_servers::Servers, RemoteOptions) {
    let servers = headwater_dev_servers::start(&["registry"]);
    let mut options = RemoteOptions::new(&servers.registry.tls_url);
    options.ca_file = Some(servers.tls.ca_file.clone());
    (servers, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_register_the_same_schemas() {
    const PROCESSES: usize = 12;
    let (servers, _) = remote();
    let options = RemoteOptions::new(&servers.registry.url);
    let prefix = headwater_dev_servers::fresh_name("race");
    for round in 0..3 {
        let subject = format!("{prefix}-{round}");
        let together = Arc::new(tokio::sync::Barrier::new(PROCESSES));
        let register = |_| {
            let registry = Registry::remote(&options).unwrap();
            let (subject, together) = (subject.clone(), Arc::clone(&together));
            tokio::spawn(async move {
                // Connected before, so that what follows is sent at once.
                registry.versions("nobody").await.unwrap();
                together.wait().await;
                registry.register(&subject, &schema(ID)).await.unwrap()
            })
        };
        let processes: Vec<_> = (0..PROCESSES).map(register).collect();
        let mut ids = Vec::new();
        for process in processes {
            ids.push(process.await.unwrap());
        }
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}

#[tokio::test]
async fn a_remote_one_conforms() {
    let (servers, tls) = remote();
    for options in [RemoteOptions::new(&servers.registry.url), tls] {
        let registry = Registry::remote(&options).unwrap();
        conforms(registry, &format!("{}.", headwater_dev_servers::fresh_name("conforms"))).await;
    }
}

/// What one handle registered, another finds, under the same ids.
#[tokio::test]
async fn a_remote_one_is_one_for_all() {
    let (_, options) = remote();
    let subject = headwater_dev_servers::fresh_name("shared");
    let (first, second) = (schema(ID), schema(&format!("{ID}, {NOTE}")));
    let one = Registry::remote(&options).unwrap();
    let ids = [one.register(&subject, &first).await.unwrap(), one.register(&subject, &second).await.unwrap()];
    let other = Registry::remote(&options).unwrap();
    assert_eq!(*other.by_id(ids[1]).await.unwrap(), second);
    assert_eq!(other.register(&subject, &first).await.unwrap(), ids[0]);
    let versions: Vec<SchemaId> = other.versions(&subject).await.unwrap().iter().map(|v| v.id).collect();
    assert_eq!(versions, ids);
}

#[tokio::test]
async fn a_remote_one_that_cannot_be_reached_or_trusted_is_named() {
    let (servers, tls) = remote();
    let nobody = RemoteOptions::new("http://127.0.0.1:1/");
    let untrusted = RemoteOptions::new(&servers.registry.tls_url);
    let no_registry = RemoteOptions::new(servers.registry.url.replace("ccompat", "nonsense"));
    for options in [nobody, untrusted, no_registry] {
        let error = Registry::remote(&options).unwrap().by_id(SchemaId(1)).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    }
    let missing = RemoteOptions { ca_file: Some("no/such/file".into()), ..tls };
    let error = Registry::remote(&missing).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }) && error.to_string().contains("no/such/file"), "{error}");
    // Neither the login in an address nor the one beside it is ever told.
    let secret = RemoteOptions {
        login: Login::Basic { user: "u".into(), password: "hidden".into() },
        ..RemoteOptions::new("http://u:hidden@127.0.0.1:1/api")
    };
    let registry = Registry::remote(&secret).unwrap();
    let error = registry.by_id(SchemaId(1)).await.unwrap_err();
    assert!(error.to_string().contains("http://127.0.0.1:1/api"), "{error}");
    assert!(!format!("{error} {error:?} {registry:?} {secret:?}").contains("hidden"), "{error}");
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
