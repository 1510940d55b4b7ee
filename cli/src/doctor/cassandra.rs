//! Stores in Cassandra: whether each can be reached and used by its role, and whether what is written there stays and is
//! seen: copies, durable writes, blocking read repair, and deletions that are remembered for long enough.

use std::time::Duration;

use headwater_engine::declare::config::{CassandraConfig, StoreConfig};
use headwater_engine::project::Project;
use headwater_views::{CassandraFacts, CassandraOptions, KeyspaceHolds, StoreError, TableFacts};

use super::{Finding, Looked, addresses_are_loopback, clock, failed};
use crate::environment;
use crate::output::counted;

/// The oldest that will do (its conditional statements can be relied on, and it says how each table repairs reads), and the
/// newest that is known here.
const OLDEST: (u32, u32) = (4, 0);
const NEWEST: (u32, u32) = (5, 0);
/// Tables that one finding names.
const NAMED: usize = 5;

pub(super) async fn look(project: &Project) -> Looked {
    let mut looked = Looked::default();
    for (name, config) in &project.config.stores {
        match config {
            StoreConfig::Sqlite(_) | StoreConfig::Postgres(_) => {}
            StoreConfig::Cassandra(cassandra) => looked.extend(store(project, name, cassandra).await),
        }
    }
    looked
}

async fn store(project: &Project, name: &str, config: &CassandraConfig) -> Looked {
    let about = format!("stores.{name}");
    let options = match environment::cassandra_options(project, name, config) {
        Ok(options) => options,
        Err(failure) => {
            return Looked::unusable(vec![failed(&about, failure, &format!("See `{about}` in headwater.yaml."))]);
        }
    };
    let facts = match options.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            let mend = match &error {
                StoreError::Setup { .. } => "see its keyspace, datacenter, user, password and certificates",
                _ => "see its nodes and their ports, and whether the servers run",
            };
            let mend = format!("In `{about}.cassandra` of headwater.yaml {mend}.");
            return Looked::unusable(vec![Finding::wrong(about, error.to_string(), mend)]);
        }
    };
    let seen = Seen { about: &about, keyspace: &config.keyspace, options: &options, facts: &facts };
    let mut findings = vec![seen.version()];
    findings.extend(seen.nodes());
    findings.extend(seen.replication());
    findings.extend(seen.tables());
    findings.extend(seen.connection());
    findings.extend(seen.clocks());
    let unusable = seen.rights();
    let is_usable = unusable.is_empty() && facts.holds == KeyspaceHolds::Store;
    if unusable.is_empty() && facts.holds == KeyspaceHolds::Nothing {
        let found = format!("the keyspace {} holds no store yet", config.keyspace);
        findings.push(Finding::note(&about, found, "The next start makes its tables: headwater up"));
    }
    findings.extend(unusable);
    findings.extend(seen.notes_on_rights());
    Looked { findings, is_usable }
}

/// A store's settings, and what was found.
struct Seen<'s> {
    about: &'s str,
    keyspace: &'s str,
    options: &'s CassandraOptions,
    facts: &'s CassandraFacts,
}

impl Seen<'_> {
    fn wrong(&self, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding::wrong(self.about, found, mend)
    }

    fn note(&self, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding::note(self.about, found, mend)
    }

    fn role(&self) -> &str {
        self.options.login.as_ref().map_or("anyone", |(user, _)| user)
    }

    fn has_tls(&self) -> bool {
        self.options.tls || self.options.ca_file.is_some()
    }

    fn version(&self) -> Finding {
        let versions = self.facts.versions();
        let how = if self.has_tls() { "with TLS" } else { "without TLS" };
        let named = versions.iter().copied().collect::<Vec<_>>().join(", ");
        let answering = self.facts.nodes.iter().filter(|node| node.answer.is_some()).count();
        let found = format!(
            "Cassandra {named} answers {how}, as {}, with {} in {}",
            self.role(),
            counted(answering, "node"),
            self.facts.datacenter
        );
        let of = |version: &&str| release(version);
        match (versions.iter().map(of).min().flatten(), versions.iter().map(of).max().flatten()) {
            (Some(oldest), _) if oldest < OLDEST => {
                self.wrong(found, format!("It is too old: {}.{} is the oldest that will do.", OLDEST.0, OLDEST.1))
            }
            (Some(_), Some(newest)) if newest > NEWEST => {
                let end = format!("It is newer than what is known here, which ends at {}.{}.", NEWEST.0, NEWEST.1);
                self.note(found, end)
            }
            (Some(_), Some(_)) => Finding::ok(self.about, found),
            _ => self.note(found, "Its version is not told as usual: see `nodetool version`."),
        }
    }

    /// Whether enough nodes answer for a quorum of each row's copies.
    fn nodes(&self) -> Option<Finding> {
        let silent: Vec<&str> =
            self.facts.nodes.iter().filter(|node| node.answer.is_none()).map(|node| node.address.as_str()).collect();
        let copies = self.facts.copies.unwrap_or(1);
        let found = format!(
            "{} of {} in {} do not answer: {}",
            silent.len(),
            counted(self.facts.nodes.len(), "node"),
            self.facts.datacenter,
            first(&silent)
        );
        match silent.len() {
            0 => None,
            gone if gone > copies.saturating_sub(quorum(copies)) => {
                Some(self.wrong(found, "Start them: there are rows of which no quorum is left."))
            }
            _ => Some(self.note(found, "Start them, or remove them with `nodetool removenode`.")),
        }
    }

    fn replication(&self) -> Vec<Finding> {
        let CassandraFacts { datacenter, nodes, strategy, copies, durable_writes, .. } = self.facts;
        let mut findings = Vec::new();
        let alter = format!(
            "ALTER KEYSPACE {} WITH replication = {{'class': 'NetworkTopologyStrategy', '{datacenter}': 3}} — then, on \
             each node: nodetool repair --full {}",
            self.keyspace, self.keyspace
        );
        let keyspace = format!("the keyspace {}", self.keyspace);
        if strategy != "NetworkTopologyStrategy" {
            let found = format!("{keyspace} is replicated by {strategy}, which knows no datacenters");
            findings.push(self.note(found, &alter));
        }
        match copies {
            None => {}
            Some(0) => {
                findings.push(self.wrong(format!("{keyspace} has no copy in {datacenter}, which is asked"), &alter))
            }
            Some(copies) if quorum(*copies) > nodes.len() => {
                let found = format!(
                    "{keyspace} has {copies} copies in {datacenter}, which has {}: there is no quorum",
                    counted(nodes.len(), "node")
                );
                findings.push(self.wrong(found, format!("Add nodes, or name fewer copies: {alter}")));
            }
            Some(1) => findings.push(self.note(format!("{keyspace} has one copy: for development only"), &alter)),
            Some(2) => findings.push(
                self.note(format!("{keyspace} has two copies, of which a quorum is both: none may fail"), &alter),
            ),
            Some(copies) => {
                let found = format!(
                    "{keyspace} has {copies} copies in {datacenter}, of which {} may fail",
                    copies - quorum(*copies)
                );
                findings.push(Finding::ok(self.about, found));
            }
        }
        if !durable_writes {
            let found = format!("{keyspace} has no durable writes: a crash loses what was acknowledged");
            findings.push(self.wrong(found, format!("ALTER KEYSPACE {} WITH durable_writes = true", self.keyspace)));
        }
        findings
    }

    /// Whether what is deleted is remembered for as long as guards are, and reads mend what they find.
    fn tables(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (tables, guards) = (&self.facts.tables, self.options.guards);
        let each =
            |table: &str, with: String| format!("For each: ALTER TABLE {}.\"{table}\" WITH {with}", self.keyspace);
        let named = |found: &[&TableFacts]| first(&found.iter().map(|t| t.name.as_str()).collect::<Vec<_>>());
        let short: Vec<&TableFacts> = tables.iter().filter(|t| t.is_view && t.gc_grace < guards).collect();
        if let [table, ..] = short[..] {
            let found = format!(
                "deletions are forgotten after {} (gc_grace_seconds) in {}, and guards are kept for {} (guard_days): a \
                 worker that was frozen in between brings back what is gone",
                lasting(table.gc_grace),
                named(&short),
                lasting(guards)
            );
            let mend = each(&table.name, format!("gc_grace_seconds = {}", guards.as_secs()));
            findings.push(self.wrong(found, mend));
        }
        let unrepaired: Vec<&TableFacts> = tables.iter().filter(|table| !table.repairs_reads).collect();
        if let [table, ..] = unrepaired[..] {
            let found =
                format!("reads do not mend what they find behind in {}: what was seen may vanish", named(&unrepaired));
            findings.push(self.wrong(found, each(&table.name, "read_repair = 'BLOCKING'".to_owned())));
        }
        if findings.is_empty() && tables.iter().any(|table| table.is_view) {
            let least = tables.iter().filter(|table| table.is_view).map(|table| table.gc_grace).min();
            let found = format!(
                "guards are kept for {}, deletions for {}: no worker that was frozen for longer may wake up",
                lasting(guards),
                lasting(least.unwrap_or_default())
            );
            findings.push(Finding::ok(self.about, found));
        }
        findings
    }

    fn connection(&self) -> Option<Finding> {
        let is_loopback = addresses_are_loopback(&self.options.nodes.join(","));
        let found = match (self.has_tls(), self.options.login.is_some()) {
            (true, true) => return None,
            (false, false) => "the connection is neither encrypted nor authenticated",
            (false, true) => "the connection is not encrypted",
            (true, false) => "the connection is not authenticated",
        };
        let mend =
            format!("Set `tls: true` or `ca_file:`, and `user:` with a password, in `{}.cassandra`.", self.about);
        (!is_loopback).then(|| self.note(found, mend))
    }

    /// The clock that is furthest from this machine's.
    fn clocks(&self) -> Option<Finding> {
        let answers = self.facts.nodes.iter().filter_map(|node| node.answer.as_ref());
        let furthest = answers.max_by_key(|answer| answer.clock_ahead_ms.abs())?;
        let uncertain = i64::try_from(furthest.round_trip.as_millis()).unwrap_or(i64::MAX);
        clock(self.about, furthest.clock_ahead_ms, uncertain)
    }

    /// What keeps the store from being used.
    fn rights(&self) -> Vec<Finding> {
        let (keyspace, role) = (self.keyspace, self.role());
        let mut findings = Vec::new();
        if self.facts.holds == KeyspaceHolds::Other {
            let found = format!("the keyspace {keyspace} holds tables of something else");
            findings.push(self.wrong(found, format!("Name a keyspace of its own in `{}.cassandra`.", self.about)));
        }
        let Some(rights) = &self.facts.rights else { return findings };
        if !rights.create_tables {
            findings.push(self.wrong(
                format!("the role {role} may not make tables in the keyspace {keyspace}"),
                format!("GRANT CREATE ON KEYSPACE {keyspace} TO {role}"),
            ));
        }
        if !rights.denied_tables.is_empty() && self.facts.holds == KeyspaceHolds::Store {
            let denied: Vec<&str> = rights.denied_tables.iter().map(String::as_str).collect();
            findings.push(self.wrong(
                format!("the role {role} may not read and write {} in the keyspace {keyspace}", first(&denied)),
                format!(
                    "GRANT SELECT ON KEYSPACE {keyspace} TO {role} — and GRANT MODIFY ON KEYSPACE {keyspace} TO {role}"
                ),
            ));
        }
        findings
    }

    fn notes_on_rights(&self) -> Option<Finding> {
        let (keyspace, role) = (self.keyspace, self.role());
        let Some(rights) = &self.facts.rights else {
            let mend = format!("It needs CREATE, SELECT, MODIFY and DROP on the keyspace {keyspace}.");
            return Some(self.note(format!("the rights of the role {role} cannot be seen"), mend));
        };
        let undroppable: Vec<&str> = rights.undroppable_tables.iter().map(String::as_str).collect();
        (!undroppable.is_empty() && self.facts.holds == KeyspaceHolds::Store).then(|| {
            let found = format!("the role {role} may not drop {}, as a reset does", first(&undroppable));
            self.note(found, format!("GRANT DROP ON KEYSPACE {keyspace} TO {role}"))
        })
    }
}

fn quorum(copies: usize) -> usize {
    copies / 2 + 1
}

/// `5.0.4` and `4.1-beta1` as two numbers.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The first few of many.
fn first(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names[..names.len() - more].join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn lasting(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 86_400 == 0 => counted((seconds / 86_400) as usize, "day"),
        seconds => counted(seconds as usize, "second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_far_as_they_matter() {
        for (text, expected) in
            [("5.0.4", Some((5, 0))), ("4.1-beta1", Some((4, 1))), ("4.0.11-SNAPSHOT", Some((4, 0))), ("main", None)]
        {
            assert_eq!(release(text), expected, "{text}");
        }
        assert!(release("3.11.17") < Some(OLDEST));
    }

    #[test]
    fn times_and_names_are_said_shortly() {
        assert_eq!(lasting(Duration::from_secs(7 * 86_400)), "7 days");
        assert_eq!(lasting(Duration::from_secs(3_600)), "3600 seconds");
        assert_eq!(first(&["a", "b"]), "a, b");
        assert_eq!(first(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
