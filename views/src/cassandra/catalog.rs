//! The catalog: the store's own tables, and which generations of which topologies are here.
//!
//! Making a generation is not one step in Cassandra: the catalog first says that it is being made, then the tables are,
//! then it says that it is active. Who finds one that is being made waits for it a while and then finishes it.

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::fault::setup;
use super::layout::Layout;
use super::parked;
use crate::deployment::physical;
use crate::{Active, Deployment, StoreError, shape};

/// The format of the store's tables.
const KNOWN: i32 = 1;
/// How long another process may take to make a generation's tables.
const PATIENCE: Duration = Duration::from_secs(10);
const READING: &str = "reading the catalog";
const MAKING: &str = "making";
const ACTIVE: &str = "active";
const GONE: &str = "gone";

/// The table that says the store's format.
pub(super) const FORMAT: &str = "_format";

/// The store's own tables, the one that says the format last.
const TABLES: [(&str, &str); 7] = [
    ("_catalog", "topology text PRIMARY KEY, generation bigint, declaration text, fingerprint text, state text"),
    ("_views", "name text PRIMARY KEY, topology text"),
    (
        "_positions",
        "topology text, generation bigint, topic text, partition int, topic_id uuid, next bigint, \
         PRIMARY KEY ((topology, generation), topic, partition)",
    ),
    (
        "_parked_keys",
        "topology text, generation bigint, topic text, partition int, kind tinyint, key blob, epoch bigint, \
         first_offset bigint, last_offset bigint, count bigint, \
         PRIMARY KEY ((topology, generation), topic, partition, kind, key)",
    ),
    (
        "_parked",
        "topology text, generation bigint, topic text, partition int, offset bigint, timestamp_ms bigint, key blob, \
         payload blob, headers blob, reason text, is_head boolean, \
         PRIMARY KEY ((topology, generation, topic, partition), offset)",
    ),
    ("_claims", "kind text, key blob, version bigint, body blob, expires_at_ms bigint, PRIMARY KEY ((kind, key))"),
    (FORMAT, "one tinyint PRIMARY KEY, version int"),
];

/// Makes the store's own tables where they are missing.
pub(super) async fn migrate(connection: &Connection) -> Result<(), StoreError> {
    const DOING: &str = "opening the store";
    let present = tables(connection).await?;
    if present.iter().any(|name| name == FORMAT) {
        let cql = format!("SELECT version FROM {} WHERE one = 0", connection.name(FORMAT));
        let found: Option<(i32,)> = connection.first(&cql, (), DOING).await?;
        match found {
            Some((version,)) if version > KNOWN => {
                return Err(StoreError::Newer { found: version.into(), known: KNOWN.into() });
            }
            Some(_) => return Ok(()),
            None => {}
        }
    } else if present.iter().any(|name| !is_own(name)) {
        return Err(StoreError::NotAStore { path: format!("keyspace {}", connection.keyspace()) });
    }
    for (name, columns) in TABLES {
        let name = connection.name(name);
        connection.define(&format!("CREATE TABLE IF NOT EXISTS {name} ({columns})"), DOING).await?;
    }
    let cql = format!("INSERT INTO {} (one, version) VALUES (0, ?)", connection.name(FORMAT));
    connection.run(&cql, (KNOWN,), DOING).await.map(drop)
}

/// Whether a table is one of the store's own, and no view's.
pub(super) fn is_own(table: &str) -> bool {
    TABLES.iter().any(|(own, _)| *own == table)
}

async fn tables(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let cql = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let found: Vec<(String,)> = connection.all(cql, (connection.keyspace(),), "reading the schema").await?;
    Ok(found.into_iter().map(|(name,)| name).collect())
}

/// What the catalog says of a topology.
struct Entry {
    /// The highest number ever used.
    generation: u32,
    declaration: String,
    fingerprint: String,
    state: String,
}

/// Generation, declaration, fingerprint, state.
type EntryColumns = (i64, String, String, String);

impl Entry {
    fn of((generation, declaration, fingerprint, state): EntryColumns) -> Result<Self, StoreError> {
        let number = u32::try_from(generation);
        let generation = number.map_err(|_| StoreError::corrupt("_catalog.generation", "it is out of range"))?;
        Ok(Self { generation, declaration, fingerprint, state })
    }

    fn active(self) -> Option<Active> {
        let Entry { generation, declaration, fingerprint, state } = self;
        (state == ACTIVE).then_some(Active { generation, declaration, fingerprint })
    }
}

/// As the last conditional statement left it: for who is going to change it.
async fn settled(connection: &Connection, topology: &str) -> Result<Option<Entry>, StoreError> {
    let found = connection.first_settled(&select(connection), (topology,), READING).await?;
    found.map(Entry::of).transpose()
}

fn select(connection: &Connection) -> String {
    format!(
        "SELECT generation, declaration, fingerprint, state FROM {} WHERE topology = ?",
        connection.name("_catalog")
    )
}

/// What runs. A quorum has what a conditional statement has committed, and this is read with every query and flush: it is
/// not settled first.
pub(super) async fn active(connection: &Connection, topology: &str) -> Result<Option<Active>, StoreError> {
    let found = connection.first(&select(connection), (topology,), READING).await?;
    Ok(found.map(Entry::of).transpose()?.and_then(Entry::active))
}

pub(super) async fn last_generation(connection: &Connection, topology: &str) -> Result<u32, StoreError> {
    Ok(settled(connection, topology).await?.map_or(0, |entry| entry.generation))
}

pub(super) async fn create(connection: &Connection, deployment: &Deployment) -> Result<u32, StoreError> {
    for table in &deployment.tables {
        shape::check_table(table)?;
        Layout::check(table)?;
    }
    let started = Instant::now();
    let generation = loop {
        let known = settled(connection, &deployment.topology).await?;
        match known {
            Some(known) if known.state == MAKING && started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Some(known) if known.state == MAKING && known.fingerprint == deployment.fingerprint => {
                break known.generation;
            }
            known => {
                let last = known.as_ref().map_or(0, |known| known.generation);
                // One that was never finished gives way to another declaration.
                let abandoned = known.as_ref().is_some_and(|known| known.state == MAKING);
                let mut wanted = deployment.clone();
                if abandoned {
                    wanted.generation = last + 1;
                }
                let active = known.and_then(Entry::active);
                if let Some(generation) = wanted.found(active.as_ref(), last)? {
                    return Ok(generation);
                }
                own_names(connection, &wanted).await?;
                if reserve(connection, &wanted, last).await? {
                    break wanted.generation;
                }
            }
        }
    };
    for table in &deployment.tables {
        let layout = Layout::new(table, generation);
        connection.define(&layout.create(connection.keyspace()), "creating views").await?;
    }
    let cql = format!(
        "UPDATE {} SET state = ? WHERE topology = ? IF generation = ? AND state = ?",
        connection.name("_catalog")
    );
    let values = (ACTIVE, &deployment.topology, i64::from(generation), MAKING);
    if !connection.swap(&cql, values, "creating views").await? {
        // Another process has finished it, or has put something else in its place.
        let active = settled(connection, &deployment.topology).await?.and_then(Entry::active);
        let found = active.filter(|active| active.fingerprint == deployment.fingerprint);
        let gone = || StoreError::NoGeneration { topology: deployment.topology.clone(), generation };
        return found.map(|active| active.generation).ok_or_else(gone);
    }
    Ok(generation)
}

/// Takes the names of the views, or says who has one.
async fn own_names(connection: &Connection, deployment: &Deployment) -> Result<(), StoreError> {
    const DOING: &str = "creating views";
    let name = connection.name("_views");
    let read = format!("SELECT topology FROM {name} WHERE name = ?");
    let take = format!("INSERT INTO {name} (name, topology) VALUES (?, ?) IF NOT EXISTS");
    let drop_it = format!("DELETE FROM {name} WHERE name = ? IF topology = ?");
    let mut taken = Vec::new();
    for table in &deployment.tables {
        let owner: Option<(String,)> = connection.first_settled(&read, (&table.name,), DOING).await?;
        let owner = owner.map(|(owner,)| owner);
        let refused = deployment.owns(&table.name, owner.as_deref());
        let is_new = owner.is_none();
        if refused.is_ok() && is_new && connection.swap(&take, (&table.name, &deployment.topology), DOING).await? {
            taken.push(&table.name);
            continue;
        }
        if let Err(refused) = refused {
            for view in taken {
                connection.swap(&drop_it, (view, &deployment.topology), DOING).await?;
            }
            return Err(refused);
        }
    }
    Ok(())
}

/// Says that a generation is being made; false where another process was first.
async fn reserve(connection: &Connection, deployment: &Deployment, last: u32) -> Result<bool, StoreError> {
    const DOING: &str = "creating views";
    let name = connection.name("_catalog");
    let (topology, generation) = (&deployment.topology, i64::from(deployment.generation));
    let (declaration, fingerprint) = (&deployment.declaration, &deployment.fingerprint);
    if last == 0 {
        let cql = format!(
            "INSERT INTO {name} (topology, generation, declaration, fingerprint, state) VALUES (?, ?, ?, ?, ?) \
             IF NOT EXISTS"
        );
        return connection.swap(&cql, (topology, generation, declaration, fingerprint, MAKING), DOING).await;
    }
    let cql = format!(
        "UPDATE {name} SET generation = ?, declaration = ?, fingerprint = ?, state = ? WHERE topology = ? \
         IF generation = ? AND state IN (?, ?)"
    );
    let values = (generation, declaration, fingerprint, MAKING, topology, i64::from(last), GONE, MAKING);
    connection.swap(&cql, values, DOING).await
}

pub(super) async fn reset(connection: &Connection, topology: &str) -> Result<u32, StoreError> {
    const DOING: &str = "dropping views";
    let Some(known) = settled(connection, topology).await? else { return Ok(1) };
    let last = i64::from(known.generation);
    let cql = format!("UPDATE {} SET state = ? WHERE topology = ? IF generation = ?", connection.name("_catalog"));
    if !connection.swap(&cql, (GONE, topology, last), DOING).await? {
        return Err(StoreError::unavailable(DOING, "another process is deploying the topology; try again"));
    }
    let views = views_of(connection, topology).await?;
    let present = tables(connection).await?;
    for generation in 1..=known.generation {
        for view in &views {
            let name = physical(view, generation);
            if present.contains(&name) {
                connection.define(&format!("DROP TABLE IF EXISTS {}", connection.name(&name)), DOING).await?;
            }
        }
        forget(connection, topology, generation).await?;
    }
    let drop_it = format!("DELETE FROM {} WHERE name = ? IF topology = ?", connection.name("_views"));
    for view in &views {
        connection.swap(&drop_it, (view, topology), DOING).await?;
    }
    Ok(known.generation + 1)
}

async fn views_of(connection: &Connection, topology: &str) -> Result<Vec<String>, StoreError> {
    let cql = format!("SELECT name, topology FROM {}", connection.name("_views"));
    let found: Vec<(String, Option<String>)> = connection.all(&cql, (), "reading the catalog").await?;
    let own = found.into_iter().filter(|(_, owner)| owner.as_deref() == Some(topology));
    Ok(own.map(|(view, _)| view).collect())
}

/// Drops what a generation's bookkeeping holds. Its number is not used again, so nothing is ever written there anew.
async fn forget(connection: &Connection, topology: &str, generation: u32) -> Result<(), StoreError> {
    const DOING: &str = "dropping views";
    let number = i64::from(generation);
    let cql = format!(
        "DELETE FROM {} WHERE topology = ? AND generation = ? AND topic = ? AND partition = ?",
        connection.name("_parked")
    );
    for (topic, partition) in parked::places(connection, topology, generation).await? {
        connection.run(&cql, (topology, number, topic, partition), DOING).await?;
    }
    for name in ["_parked_keys", "_positions"] {
        let cql = format!("DELETE FROM {} WHERE topology = ? AND generation = ?", connection.name(name));
        connection.run(&cql, (topology, number), DOING).await?;
    }
    Ok(())
}

/// A keyspace's name, as Cassandra takes it without quotes.
pub(super) fn check_keyspace(keyspace: &str) -> Result<(), StoreError> {
    let starts = keyspace.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let plain = keyspace.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if starts && plain && keyspace.len() <= 48 && !keyspace.starts_with("system") {
        return Ok(());
    }
    let reason = format!(
        "{keyspace:?} is no keyspace for a store: a lower-case letter, then those, digits and underscores, at most 48 in \
         all, and not one of Cassandra's own"
    );
    Err(setup("opening the store", reason))
}
