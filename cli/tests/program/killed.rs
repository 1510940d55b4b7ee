//! Killed with -9 a hundred times while commands arrive: every acknowledged event is in the views, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

use crate::client::Client;
use crate::project::Project;

const KILLS: usize = 100;
const WRITERS: usize = 4;

/// One client: it adds a document and versions of it, each until it is acknowledged, whoever answers.
#[derive(Default)]
struct Writer {
    document: Option<String>,
    acknowledged: usize,
    documents: Vec<(String, usize)>,
}

/// Versions of a document before the next one is begun.
const VERSIONS: usize = 7;

impl Writer {
    /// Sends until nobody answers any more. What was not acknowledged is sent again the next time, under the same key.
    async fn send(&mut self, client: &Client, name: usize, acknowledged: &AtomicUsize, notify: &Notify) {
        loop {
            let number = self.documents.len();
            let key = format!("writer-{name}-{number}-{}", self.acknowledged);
            let path = match &self.document {
                None => "/documents".to_owned(),
                Some(id) => format!("/documents/{id}/versions"),
            };
            let Some(answer) = client.insist(&path, &key, &key).await else { return };
            if self.document.is_none() {
                self.document = Some(answer["doc_id"].as_str().expect("an id").to_owned());
            }
            self.acknowledged += 1;
            if self.acknowledged == VERSIONS {
                let id = self.document.take().expect("a document");
                self.documents.push((id, std::mem::take(&mut self.acknowledged)));
            }
            acknowledged.fetch_add(1, Ordering::Relaxed);
            notify.notify_one();
        }
    }

    fn all(&self) -> impl Iterator<Item = (&String, usize)> {
        let begun = self.document.iter().map(|id| (id, self.acknowledged));
        self.documents.iter().map(|(id, versions)| (id, *versions)).chain(begun)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_nothing_and_double_nothing() {
    let project = Project::new();
    let mut random = StdRng::seed_from_u64(9);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|_| Writer::default()).collect();
    let mut client = Client::new(&project, "", "ann");
    for kill in 0..KILLS {
        let mut up = project.up(&[]);
        client = client.at(&up.url);
        let (acknowledged, notify) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let sending: Vec<_> = writers
            .into_iter()
            .enumerate()
            .map(|(name, mut writer)| {
                let (client, acknowledged, notify) = (client.clone(), acknowledged.clone(), notify.clone());
                tokio::spawn(async move {
                    writer.send(&client, name, &acknowledged, &notify).await;
                    writer
                })
            })
            .collect();
        // Any moment will do; that something was acknowledged before most kills makes them worth something.
        let wanted = random.random_range(0..12);
        let waiting = async {
            while acknowledged.load(Ordering::Relaxed) < wanted {
                notify.notified().await;
            }
        };
        tokio::time::timeout(crate::project::DEADLINE, waiting)
            .await
            .unwrap_or_else(|_| panic!("kill {kill}: nothing is acknowledged"));
        up.kill();
        writers = Vec::new();
        for sent in sending {
            writers.push(sent.await.expect("it ends"));
        }
    }
    let up = project.up(&[]);
    let client = client.at(&up.url);
    let acknowledged: usize = writers.iter().flat_map(Writer::all).map(|(_, versions)| versions).sum();
    assert!(acknowledged >= KILLS, "{acknowledged} were acknowledged");
    // What is in the log is in the views; what was in flight at the last kill may be one more a writer.
    for writer in &writers {
        for (id, versions) in writer.all() {
            let in_flight = usize::from(writer.document.as_ref() == Some(id));
            let found = client
                .until(&format!("/documents/{id}"), |row| row["versions"].as_u64() >= Some(versions as u64))
                .await;
            let found = found["versions"].as_u64().expect("a number") as usize;
            assert!(
                (versions..=versions + in_flight).contains(&found),
                "{id}: {found} versions, {versions} acknowledged"
            );
        }
    }
    let documents: usize = writers.iter().map(|writer| writer.all().count()).sum();
    let count = client.until("/documents/count", |count| count["documents"].as_u64() >= Some(documents as u64)).await;
    let found = count["documents"].as_u64().expect("a number") as usize;
    // A document whose first answer was lost at the last kill, and nothing else.
    assert!((documents..=documents + WRITERS).contains(&found), "{found} documents, {documents} acknowledged");
    let events = project.run(&["consume", "document"]).lines();
    let mut ids: Vec<&str> = events.iter().filter_map(|event| event["_headers"]["ce_id"].as_str()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((all, ids.len()), (events.len(), events.len()), "no event is in the log twice");
    assert!(project.run(&["parked", "list", "--json"]).lines().is_empty());
}
