//! Postgres: one upsert of arrays a batch, and the positions in its transaction.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};

use crate::Fallible;
use crate::customers::{Batch, Customer, Customers};

const TABLES: &str = "CREATE TABLE by_hand_customers (customer_id text PRIMARY KEY, orders bigint, items bigint, \
     spent numeric, first_order timestamptz, last_order timestamptz); \
     CREATE TABLE by_hand_positions (partition integer PRIMARY KEY, next bigint NOT NULL)";

const UPSERT: &str = "INSERT INTO by_hand_customers \
     SELECT id, orders, items, cents / 100.00, 'epoch'::timestamptz + first * interval '1 microsecond', \
     'epoch'::timestamptz + last * interval '1 microsecond' \
     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
     AS w(id, orders, items, cents, first, last) \
     ON CONFLICT (customer_id) DO UPDATE SET orders = excluded.orders, items = excluded.items, \
     spent = excluded.spent, first_order = excluded.first_order, last_order = excluded.last_order";

const POSITIONS: &str = "INSERT INTO by_hand_positions SELECT * FROM unnest($1::integer[], $2::bigint[]) \
     ON CONFLICT (partition) DO UPDATE SET next = excluded.next";

const READ: &str = "SELECT customer_id, orders, items, (spent * 100)::bigint AS cents, \
     (extract(epoch FROM first_order) * 1000000)::bigint AS first, \
     (extract(epoch FROM last_order) * 1000000)::bigint AS last FROM by_hand_customers";

pub(crate) struct Postgres(PgConnection);

impl Postgres {
    pub(crate) async fn open(url: &str, schema: &str) -> Fallible<Self> {
        let options: PgConnectOptions = url.parse()?;
        let mut connection = options.disable_statement_logging().connect().await?;
        connection.execute(AssertSqlSafe(format!("SET search_path = \"{schema}\""))).await?;
        connection.execute(TABLES).await?;
        Ok(Self(connection))
    }

    pub(crate) async fn write(&mut self, batch: &Batch<'_>) -> Fallible<()> {
        let column = |of: fn(&Customer) -> i64| batch.rows.iter().map(|(_, row)| of(row)).collect::<Vec<i64>>();
        let ids: Vec<&str> = batch.rows.iter().map(|(id, _)| *id).collect();
        let (partitions, next): (Vec<i32>, Vec<i64>) = batch.next.iter().unzip();
        let mut transaction = self.0.begin().await?;
        sqlx::query(UPSERT)
            .bind(ids)
            .bind(column(|row| row.orders))
            .bind(column(|row| row.items))
            .bind(column(|row| row.spent_cents))
            .bind(column(|row| row.first_order))
            .bind(column(|row| row.last_order))
            .execute(&mut *transaction)
            .await?;
        sqlx::query(POSITIONS).bind(partitions).bind(next).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn rows(&mut self) -> Fallible<Customers> {
        let mut customers = Customers::default();
        for row in self.0.fetch_all(READ).await? {
            let number = |name: &str| row.try_get::<i64, _>(name);
            let customer = Customer {
                orders: number("orders")?,
                items: number("items")?,
                spent_cents: number("cents")?,
                first_order: number("first")?,
                last_order: number("last")?,
            };
            customers.insert(row.try_get("customer_id")?, customer);
        }
        Ok(customers)
    }
}
