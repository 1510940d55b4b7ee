//! `doctor` on a real Cassandra: each thing that is wrong with a keyspace, a role or a table is one finding.

use headwater_dev_servers::fresh_name;

use super::{one, wrong};
use crate::project::Project;

const STORE: &str = "stores.operational";

/// What it says of the store, with each finding's state.
fn said(project: &Project) -> String {
    let text = project.run(&["doctor"]).out;
    text.lines().filter(|line| line.contains(STORE) || line.contains('→')).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_is_said_to_and_nothing_is_made() {
    let (project, keyspace) = Project::on_cassandra().await;
    assert_eq!(wrong(&project), [serde_json::Value::Null; 0]);
    let text = said(&project);
    for part in [
        "Cassandra 5.0",
        "with TLS, as headwater, with 1 node in datacenter1",
        "has one copy: for development only",
        "'NetworkTopologyStrategy', 'datacenter1': 3",
        "holds no store yet",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    let tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let tables = keyspace.session().await.query_unpaged(tables, (&keyspace.name,)).await.expect("an answer");
    assert_eq!(tables.into_rows_result().expect("rows").rows_num(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_connection_to_cassandra_is_one_finding_that_names_its_setting() {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("${HEADWATER_CASSANDRA_ADDRESS}", "127.0.0.1:9", &["stores.operational.cassandra", "nodes"]),
        ("${HEADWATER_CASSANDRA_DATACENTER}", "elsewhere", &["no datacenter elsewhere", "datacenter1"]),
        ("${HEADWATER_CASSANDRA_PASSWORD_FILE}", "wrong.password", &["mend `user` or `password`"]),
        ("keyspace: t_", "keyspace: none_t_", &["there is no keyspace none_t_", "CREATE KEYSPACE none_t_"]),
        (
            "ca_file: \"${HEADWATER_TLS_CA_FILE}\"\nblobs",
            "ca_file: \"${HEADWATER_OTHER_CA_FILE}\"\nblobs",
            &["certificate", "mend `ca_file`"],
        ),
    ];
    let (mut project, _keyspace) = Project::on_cassandra().await;
    std::fs::write(project.path("wrong.password"), "wrong\n").expect("written");
    let other = super::other_authority(&project);
    project.set("HEADWATER_OTHER_CA_FILE", other);
    for (from, to, parts) in cases {
        project.edit("headwater.yaml", from, to);
        one(&project, STORE, parts);
        project.edit("headwater.yaml", to, from);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyspace_whose_copies_do_not_do_is_told_how_to_mend_it() {
    let (project, keyspace) = Project::on_cassandra().await;
    let alter = |with: &str| format!("ALTER KEYSPACE {} WITH {with}", keyspace.name);
    let replication = |options: &str| alter(&format!("replication = {{{options}}}"));
    keyspace.as_admin(&[replication("'class': 'NetworkTopologyStrategy', 'datacenter1': 3")]).await;
    one(&project, STORE, &["has 3 copies in datacenter1, which has 1 node: there is no quorum", "Add nodes"]);
    keyspace
        .as_admin(&[replication("'class': 'SimpleStrategy', 'replication_factor': 1"), alter("durable_writes = false")])
        .await;
    one(&project, STORE, &["no durable writes", "durable_writes = true"]);
    let text = said(&project);
    assert!(text.contains("is replicated by SimpleStrategy, which knows no datacenters"), "{text}");
    keyspace.as_admin(&[format!("CREATE TABLE {}.theirs (a int PRIMARY KEY)", keyspace.name)]).await;
    let text = said(&project);
    assert!(text.contains("holds tables of something else"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_forget_too_soon_or_do_not_repair_reads_are_named() {
    let (project, keyspace) = Project::on_cassandra().await;
    let mut up = project.up(&[]);
    assert_eq!(up.signal("TERM"), Some(0));
    assert_eq!(wrong(&project), [serde_json::Value::Null; 0]);
    let text = said(&project);
    assert!(text.contains("guards are kept for 7 days, deletions for 10 days"), "{text}");
    let alter = |table: &str, with: &str| format!("ALTER TABLE {}.{table} WITH {with}", keyspace.name);
    // Bookkeeping has no guards.
    keyspace
        .as_admin(&[
            alter("documents_g1", "gc_grace_seconds = 86400"),
            alter("\"_parked\"", "gc_grace_seconds = 86400"),
        ])
        .await;
    let parts =
        ["forgotten after 1 day", "in documents_g1, and", "for 7 days (guard_days)", "gc_grace_seconds = 604800"];
    one(&project, STORE, &parts);
    project.edit("headwater.yaml", "keyspace: t_", "guard_days: 1\n      keyspace: t_");
    assert_eq!(wrong(&project), [serde_json::Value::Null; 0]);
    keyspace.as_admin(&[alter("totals_g1", "read_repair = 'NONE'")]).await;
    one(&project, STORE, &["do not mend", "totals_g1", "read_repair = 'BLOCKING'"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_in_a_keyspace_is_told_which_it_lacks() {
    let (mut project, keyspace) = Project::on_cassandra().await;
    let (role, name) = (fresh_name("r"), keyspace.name.clone());
    std::fs::write(project.path("role.password"), "only-here\n").expect("written");
    project.set("HEADWATER_CASSANDRA_USER", role.clone());
    project.set("HEADWATER_CASSANDRA_PASSWORD_FILE", project.path("role.password").display().to_string());
    let grant = |right: &str| format!("GRANT {right} ON KEYSPACE {name} TO {role}");

    keyspace.as_admin(&[format!("CREATE ROLE {role} WITH PASSWORD = 'only-here' AND LOGIN = true")]).await;
    one(&project, STORE, &[&format!("the role {role} may not make tables"), &grant("CREATE")]);
    // Whoever makes a table may do everything with it: this is enough for a start.
    keyspace.as_admin(&[grant("CREATE")]).await;
    assert_eq!(wrong(&project), [serde_json::Value::Null; 0]);
    keyspace
        .as_admin(&[
            format!("CREATE TABLE {name}.\"_format\" (one tinyint PRIMARY KEY, version int)"),
            format!("CREATE TABLE {name}.documents_g1 (a int PRIMARY KEY)"),
            grant("SELECT"),
            format!("GRANT MODIFY ON TABLE {name}.\"_format\" TO {role}"),
        ])
        .await;
    one(&project, STORE, &["may not read and write documents_g1 in", &grant("MODIFY")]);
    let text = said(&project);
    assert!(text.contains("may not drop _format, documents_g1"), "{text}");
    keyspace.as_admin(&[format!("DROP ROLE {role}")]).await;
}
