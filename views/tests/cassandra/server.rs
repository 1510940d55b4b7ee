//! A keyspace that a test has to itself, and how to open it.

use std::sync::OnceLock;
use std::time::Duration;

use headwater_dev_servers::{Keyspace, Servers, password, start};
use headwater_views::CassandraOptions;

pub(crate) fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| start(&["cassandra"]))
}

pub(crate) async fn keyspace() -> Keyspace {
    Keyspace::fresh(&servers().cassandra).await
}

pub(crate) fn options(keyspace: &Keyspace) -> CassandraOptions {
    let cassandra = &servers().cassandra;
    let mut options = CassandraOptions::new(vec![cassandra.address.clone()], &keyspace.name);
    options.datacenter = Some(cassandra.datacenter.clone());
    options.login = Some((cassandra.user.clone(), password(&cassandra.password_file).into()));
    // The machine may be busy with everything else that is tested.
    options.request_timeout = Duration::from_secs(60);
    options
}
