//! Cassandra: a prepared insert a row, so many under way at once, and the positions after the rows.

use futures::{StreamExt, TryStreamExt, stream};
use openssl::ssl::{SslConnector, SslMethod};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlDecimal;

use crate::customers::{Batch, Customer, Customers};
use crate::{Fallible, Place};

pub(crate) struct Cassandra {
    session: Session,
    customers: PreparedStatement,
    positions: PreparedStatement,
    read: String,
    concurrency: usize,
}

impl Cassandra {
    pub(crate) async fn open(place: &Place) -> Fallible<Self> {
        let Place::Cassandra { nodes, keyspace, login, ca_file, concurrency } = place else {
            return Err("not a place in Cassandra".into());
        };
        let profile = ExecutionProfile::builder().consistency(Consistency::LocalQuorum).build();
        let mut builder =
            SessionBuilder::new().known_nodes(nodes).default_execution_profile_handle(profile.into_handle());
        if let Some((user, password)) = login {
            builder = builder.user(user, password);
        }
        if let Some(file) = ca_file {
            let mut tls = SslConnector::builder(SslMethod::tls_client())?;
            tls.set_ca_file(file)?;
            builder = builder.tls_context(Some(tls));
        }
        let session = builder.build().await?;
        let table = |name: &str| format!("\"{keyspace}\".{name}");
        let (customers, positions) = (table("by_hand_customers"), table("by_hand_positions"));
        let columns = "customer_id text PRIMARY KEY, orders bigint, items bigint, spent decimal, first_order bigint, \
                       last_order bigint";
        session.query_unpaged(format!("CREATE TABLE {customers} ({columns})"), ()).await?;
        let columns = "partition int PRIMARY KEY, next bigint";
        session.query_unpaged(format!("CREATE TABLE {positions} ({columns})"), ()).await?;
        let columns = "customer_id, orders, items, spent, first_order, last_order";
        let mut insert =
            session.prepare(format!("INSERT INTO {customers} ({columns}) VALUES (?, ?, ?, ?, ?, ?)")).await?;
        insert.set_is_idempotent(true);
        let mut position = session.prepare(format!("INSERT INTO {positions} (partition, next) VALUES (?, ?)")).await?;
        position.set_is_idempotent(true);
        let read = format!("SELECT {columns} FROM {customers}");
        Ok(Self { session, customers: insert, positions: position, read, concurrency: *concurrency })
    }

    pub(crate) async fn write(&self, batch: &Batch<'_>) -> Fallible<()> {
        let rows = batch.rows.iter().map(|(id, row)| async move {
            let spent = CqlDecimal::from_signed_be_bytes_slice_and_exponent(&row.spent_cents.to_be_bytes(), 2);
            let values = (id, row.orders, row.items, spent, row.first_order, row.last_order);
            self.session.execute_unpaged(&self.customers, values).await.map(drop)
        });
        stream::iter(rows).buffer_unordered(self.concurrency).try_collect::<()>().await?;
        let positions = batch.next.iter().map(|(partition, next)| async move {
            self.session.execute_unpaged(&self.positions, (partition, next)).await.map(drop)
        });
        Ok(stream::iter(positions).buffer_unordered(self.concurrency).try_collect::<()>().await?)
    }

    pub(crate) async fn rows(&self) -> Fallible<Customers> {
        type Columns = (String, i64, i64, CqlDecimal, i64, i64);
        let mut rows = self.session.query_iter(self.read.as_str(), ()).await?.rows_stream::<Columns>()?;
        let mut customers = Customers::default();
        while let Some((id, orders, items, spent, first_order, last_order)) = rows.try_next().await? {
            let (digits, _) = spent.as_signed_be_bytes_slice_and_exponent();
            let spent_cents = digits.iter().fold(0, |sum, digit| sum << 8 | i64::from(*digit));
            customers.insert(id, Customer { orders, items, spent_cents, first_order, last_order });
        }
        Ok(customers)
    }
}
