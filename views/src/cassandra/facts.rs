//! What a cluster says of itself, its keyspace and this role's rights, for whoever looks whether everything is as it
//! should be.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::{StreamExt, stream};
use scylla::cluster::Node;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::response::query_result::QueryResult;
use scylla::statement::unprepared::Statement;

use super::connection::{Connection, quoted, unreadable};
use super::fault::{failed, setup};
use super::{CassandraOptions, catalog};
use crate::StoreError;

const DOING: &str = "looking at the cluster";
/// Nodes that are asked at once.
const AT_ONCE: usize = 8;

/// A cluster, as the datacenter that is asked shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CassandraFacts {
    pub datacenter: String,
    /// The nodes of that datacenter.
    pub nodes: Vec<NodeFacts>,
    /// `NetworkTopologyStrategy`, `SimpleStrategy`, …
    pub strategy: String,
    /// Copies of each row in that datacenter; None where the strategy does not say.
    pub copies: Option<usize>,
    /// A write is in the commit log before it is acknowledged.
    pub durable_writes: bool,
    pub holds: KeyspaceHolds,
    pub tables: Vec<TableFacts>,
    /// None: this role may not see its own rights, or the server keeps none.
    pub rights: Option<KeyspaceRights>,
}

/// A node, and what it answers, if it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    pub address: String,
    pub answer: Option<NodeAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAnswer {
    /// `5.0.4`
    pub version: String,
    /// How far its clock is ahead of this machine's.
    pub clock_ahead_ms: i64,
    /// How long the answer took: the clock is as uncertain as that.
    pub round_trip: Duration,
}

/// What is in a keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyspaceHolds {
    Nothing,
    /// A store, made whole or in part.
    Store,
    /// Tables of something else.
    Other,
}

/// A table of the keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    pub name: String,
    /// It holds the rows of a view, not the store's own bookkeeping.
    pub is_view: bool,
    /// `gc_grace_seconds`: how long a deletion is remembered.
    pub gc_grace: Duration,
    /// `read_repair`: a read mends the copies that it finds behind, before it answers.
    pub repairs_reads: bool,
}

/// What this role may do in the keyspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceRights {
    pub create_tables: bool,
    /// Tables that it may not read and write.
    pub denied_tables: Vec<String>,
    /// Tables that it may not drop.
    pub undroppable_tables: Vec<String>,
}

impl CassandraOptions {
    /// Connects and asks the cluster about itself. Nothing is made or changed.
    ///
    /// # Errors
    /// [`StoreError::Setup`] where the keyspace, the datacenter, TLS or the role do not do; [`StoreError::Unavailable`] where
    /// nobody answers.
    pub async fn facts(&self) -> Result<CassandraFacts, StoreError> {
        catalog::check_keyspace(&self.keyspace)?;
        // What is missing is not made by who looks.
        let options = Self { like: None, ..self.clone() };
        let connection = Connection::open(&options).await?;
        let cluster = connection.session().get_cluster_state();
        let nodes = cluster.get_nodes_info();
        let datacenter = match &self.datacenter {
            Some(datacenter) => datacenter.clone(),
            None => nodes.iter().find_map(|node| node.datacenter.clone()).unwrap_or_default(),
        };
        let own = nodes.iter().filter(|node| node.datacenter.as_deref() == Some(&datacenter));
        let asked = stream::iter(own.cloned().map(|node| ask(&connection, node)));
        let mut nodes: Vec<NodeFacts> = asked.buffer_unordered(AT_ONCE).collect().await;
        nodes.sort_by(|a, b| a.address.cmp(&b.address));
        let (replication, durable_writes) = keyspace(&connection).await?;
        let (strategy, copies) = copies(&replication, &datacenter);
        let tables = tables(&connection).await?;
        let rights = match &self.login {
            Some((role, _)) => rights(&connection, role, &tables).await?,
            // Without a login nobody is told apart from anyone else.
            None => Some(KeyspaceRights { create_tables: true, ..KeyspaceRights::default() }),
        };
        let holds = holds(&tables);
        Ok(CassandraFacts { datacenter, nodes, strategy, copies, durable_writes, holds, tables, rights })
    }
}

/// What a node says of itself. One that does not answer is told by that.
async fn ask(connection: &Connection, node: Arc<Node>) -> NodeFacts {
    let address = node.address.to_string();
    let mut statement = Statement::new("SELECT release_version, toUnixTimestamp(now()) FROM system.local");
    let only = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node), None);
    statement.set_load_balancing_policy(Some(only));
    let mut answer = None;
    // The first answer takes longer, for a connection is made: the clock is told by the second.
    for _ in 0..2 {
        let (before, began) = (SystemTime::now(), Instant::now());
        let found = connection.session().query_unpaged(statement.clone(), ()).await;
        let round_trip = began.elapsed();
        let row = found.ok().and_then(|found| found.into_rows_result().ok()?.single_row::<(String, i64)>().ok());
        answer = row.map(|(version, clock_ms)| {
            let now = before.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + round_trip / 2;
            let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
            NodeAnswer { version, clock_ahead_ms: clock_ms - now_ms, round_trip }
        });
        if answer.is_none() {
            break;
        }
    }
    NodeFacts { address, answer }
}

async fn keyspace(connection: &Connection) -> Result<(BTreeMap<String, String>, bool), StoreError> {
    let cql = "SELECT replication, durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let found = connection.first(cql, (connection.keyspace(),), DOING).await?;
    found.ok_or_else(|| setup(DOING, format!("there is no keyspace {} any more", connection.keyspace())))
}

/// The strategy's name, and the copies that it keeps in a datacenter.
fn copies(replication: &BTreeMap<String, String>, datacenter: &str) -> (String, Option<usize>) {
    let class = replication.get("class").map_or("", String::as_str);
    let strategy = class.rsplit('.').next().unwrap_or_default().to_owned();
    let count =
        |name: &str| replication.get(name).map(|count| count.split('/').next().unwrap_or_default().parse().ok());
    let copies = match strategy.as_str() {
        "SimpleStrategy" => count("replication_factor").flatten(),
        // A datacenter that is not named gets none.
        "NetworkTopologyStrategy" => count(datacenter).unwrap_or(Some(0)),
        _ => None,
    };
    (strategy, copies)
}

async fn tables(connection: &Connection) -> Result<Vec<TableFacts>, StoreError> {
    // The column `read_repair` came with 4.0: by name, it would be an error before.
    let cql = "SELECT * FROM system_schema.tables WHERE keyspace_name = ?";
    let prepared = connection.prepare(cql).await.map_err(|error| failed(DOING, error))?;
    let found = connection.session().execute_unpaged(&prepared, (connection.keyspace(),)).await;
    let found =
        records(found.map_err(|error| failed(DOING, error))?, &["table_name", "gc_grace_seconds", "read_repair"])?;
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let table = |[name, grace, repair]: &[Option<Vec<u8>>; 3]| {
        let name = text(name)?;
        let grace = grace.as_deref().and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
        Some(TableFacts {
            is_view: !catalog::is_own(&name),
            name,
            gc_grace: Duration::from_secs(u64::try_from(grace).unwrap_or(0)),
            repairs_reads: text(repair).is_none_or(|repair| repair.eq_ignore_ascii_case("BLOCKING")),
        })
    };
    let mut tables: Vec<TableFacts> = found.iter().filter_map(table).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

fn holds(tables: &[TableFacts]) -> KeyspaceHolds {
    if tables.is_empty() {
        KeyspaceHolds::Nothing
    } else if tables.iter().any(|table| table.name == catalog::FORMAT) || tables.iter().all(|table| !table.is_view) {
        KeyspaceHolds::Store
    } else {
        KeyspaceHolds::Other
    }
}

async fn rights(
    connection: &Connection,
    role: &str,
    tables: &[TableFacts],
) -> Result<Option<KeyspaceRights>, StoreError> {
    let role = quoted(role);
    let Some(roles) = told(connection, &format!("LIST ROLES OF {role}"), &["super"]).await? else { return Ok(None) };
    if roles.iter().any(|[is_super]| is_super.as_deref() == Some(&[1])) {
        return Ok(Some(KeyspaceRights { create_tables: true, ..KeyspaceRights::default() }));
    }
    let cql = format!("LIST ALL PERMISSIONS OF {role}");
    let Some(granted) = told(connection, &cql, &["resource", "permission"]).await? else { return Ok(None) };
    let granted: HashSet<(String, String)> = granted
        .into_iter()
        .map(|[resource, permission]| {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
            (text(resource), text(permission))
        })
        .collect();
    Ok(Some(granted_in(connection.keyspace(), tables, &granted)))
}

/// What permissions on resources, as Cassandra names them, come to.
fn granted_in(keyspace: &str, tables: &[TableFacts], granted: &HashSet<(String, String)>) -> KeyspaceRights {
    let on_all =
        ["<all keyspaces>".to_owned(), format!("<keyspace {keyspace}>"), format!("<all tables in {keyspace}>")];
    let has = |resource: &String, permission: &str| granted.contains(&(resource.clone(), permission.to_owned()));
    let everywhere = |permission: &str| on_all.iter().any(|resource| has(resource, permission));
    let lacking = |permissions: &[&str]| {
        let may = |table: &TableFacts, permission: &str| {
            everywhere(permission) || has(&format!("<table {keyspace}.{}>", table.name), permission)
        };
        let denied = tables.iter().filter(|table| !permissions.iter().all(|permission| may(table, permission)));
        denied.map(|table| table.name.clone()).collect()
    };
    KeyspaceRights {
        create_tables: everywhere("CREATE"),
        denied_tables: lacking(&["SELECT", "MODIFY"]),
        undroppable_tables: lacking(&["DROP"]),
    }
}

/// The answer to a question about roles; None where the server does not answer such questions to this one.
async fn told<const N: usize>(
    connection: &Connection,
    cql: &str,
    columns: &[&str; N],
) -> Result<Option<Vec<[Option<Vec<u8>>; N]>>, StoreError> {
    match connection.session().query_unpaged(cql, ()).await {
        Ok(found) => records(found, columns).map(Some),
        Err(error) => match failed(DOING, error) {
            StoreError::Setup { .. } => Ok(None),
            problem => Err(problem),
        },
    }
}

/// Some columns of an answer whose others differ between versions of Cassandra.
fn records<const N: usize>(found: QueryResult, columns: &[&str; N]) -> Result<Vec<[Option<Vec<u8>>; N]>, StoreError> {
    use scylla::deserialize::row::ColumnIterator;
    // Of a role without any permission Cassandra lists nothing at all, not even no rows.
    if !found.is_rows() {
        return Ok(Vec::new());
    }
    let rows = found.into_rows_result().map_err(|error| unreadable(DOING, error))?;
    let rows = rows.rows::<ColumnIterator>().map_err(|error| unreadable(DOING, error))?;
    let mut all = Vec::new();
    for row in rows {
        let mut record = [const { None }; N];
        for column in row.map_err(|error| unreadable(DOING, error))? {
            let column = column.map_err(|error| unreadable(DOING, error))?;
            if let Some(index) = columns.iter().position(|wanted| *wanted == column.spec.name()) {
                record[index] = column.slice.map(|slice| slice.as_slice().to_vec());
            }
        }
        all.push(record);
    }
    Ok(all)
}

impl CassandraFacts {
    /// The versions of the nodes that answer, each once.
    pub fn versions(&self) -> BTreeSet<&str> {
        self.nodes.iter().filter_map(|node| Some(node.answer.as_ref()?.version.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_those_of_the_datacenter_that_is_asked() {
        type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], (&'c str, Option<usize>));
        let cases: [Case; 5] = [
            (
                "org.apache.cassandra.locator.NetworkTopologyStrategy",
                &[("dc1", "3"), ("dc2", "1")],
                ("NetworkTopologyStrategy", Some(3)),
            ),
            ("NetworkTopologyStrategy", &[("dc2", "3")], ("NetworkTopologyStrategy", Some(0))),
            ("NetworkTopologyStrategy", &[("dc1", "3/1")], ("NetworkTopologyStrategy", Some(3))),
            ("SimpleStrategy", &[("replication_factor", "2")], ("SimpleStrategy", Some(2))),
            ("org.apache.cassandra.locator.EverywhereStrategy", &[], ("EverywhereStrategy", None)),
        ];
        for (class, options, (strategy, expected)) in cases {
            let named = [("class", class)].into_iter().chain(options.iter().copied());
            let replication = named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(copies(&replication, "dc1"), (strategy.to_owned(), expected), "{class} {options:?}");
        }
    }

    #[test]
    fn rights_are_those_of_the_table_and_of_all_that_it_is_in() {
        let table = |name: &str| TableFacts {
            name: name.to_owned(),
            is_view: true,
            gc_grace: Duration::ZERO,
            repairs_reads: true,
        };
        let tables = [table("a_g1"), table("b_g1")];
        let both = vec!["a_g1".to_owned(), "b_g1".to_owned()];
        let of = |create: bool, denied: &[String], undroppable: &[String]| KeyspaceRights {
            create_tables: create,
            denied_tables: denied.to_vec(),
            undroppable_tables: undroppable.to_vec(),
        };
        let cases: [(&[(&str, &str)], KeyspaceRights); 5] = [
            (&[], of(false, &both, &both)),
            (&[("<keyspace k>", "CREATE"), ("<all keyspaces>", "SELECT")], of(true, &both, &both)),
            (
                &[("<all tables in k>", "CREATE"), ("<keyspace k>", "SELECT"), ("<all keyspaces>", "MODIFY")],
                of(true, &[], &both),
            ),
            (
                &[("<table k.a_g1>", "SELECT"), ("<table k.a_g1>", "MODIFY"), ("<keyspace k>", "DROP")],
                of(false, &both[1..], &[]),
            ),
            (&[("<keyspace other>", "CREATE"), ("<table other.a_g1>", "DROP")], of(false, &both, &both)),
        ];
        for (granted, expected) in cases {
            let set = granted.iter().map(|(resource, name)| ((*resource).to_owned(), (*name).to_owned())).collect();
            assert_eq!(granted_in("k", &tables, &set), expected, "{granted:?}");
        }
    }
}
