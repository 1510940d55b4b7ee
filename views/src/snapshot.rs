//! Reading: one moment of a store, and of the clock where rows are shown for so long only (`retain`).
//!
//! What is hidden is judged here, for every backend alike: a reader that says what time it is sees the rows of
//! [`Table::is_past`] no more, whether or not the store still has them, and nobody those that wait for the topic that makes
//! them ([`Table::is_shown`]). Pages are filled all the same.

use headwater_engine::table::{Direction, Key, Row, Table};

use crate::cassandra::CassandraSnapshot;
use crate::memory::MemorySnapshot;
use crate::postgres::PostgresSnapshot;
use crate::sqlite::SqliteSnapshot;
use crate::{Active, PageRequest, StoreError, StoredPosition};

/// Rows read at once, at most, where those before them were past.
const STEP_ROWS: usize = 5000;

/// One moment of the store, to read from. On a store without snapshots, ask for the positions before the rows: what the
/// rows reflect is then never less than what the positions say.
#[derive(Debug)]
pub struct Snapshot {
    moment: Moment,
    now_ms: Option<i64>,
}

#[derive(Debug)]
pub(crate) enum Moment {
    Cassandra(CassandraSnapshot),
    Postgres(PostgresSnapshot),
    Sqlite(SqliteSnapshot),
    Memory(MemorySnapshot),
}

macro_rules! each {
    ($on:expr, $snapshot:ident => $call:expr) => {
        match $on {
            Moment::Cassandra($snapshot) => $call,
            Moment::Postgres($snapshot) => $call,
            Moment::Sqlite($snapshot) => $call,
            Moment::Memory($snapshot) => $call,
        }
    };
}

impl Snapshot {
    pub(crate) fn of(moment: Moment) -> Self {
        Self { moment, now_ms: None }
    }

    /// As a reader sees it at this time, in milliseconds since 1970: without the rows that are past their `retain`.
    #[must_use]
    pub fn at(self, now_ms: i64) -> Self {
        Self { now_ms: Some(now_ms), ..self }
    }

    /// The positions as of this snapshot; ask before the rows.
    pub async fn positions(&mut self, topology: &str, generation: u32) -> Result<Vec<StoredPosition>, StoreError> {
        each!(&mut self.moment, snapshot => snapshot.positions(topology, generation).await)
    }

    /// What runs, as of this snapshot.
    pub async fn active(&mut self, topology: &str) -> Result<Option<Active>, StoreError> {
        each!(&mut self.moment, snapshot => snapshot.active(topology).await)
    }

    /// The rows of these keys, in their order. A key that no row can have (text with a NUL in it, say) has none.
    ///
    /// # Errors
    /// [`StoreError::KeyMismatch`] where a key has other types than the table's.
    pub async fn get(&mut self, table: &Table, generation: u32, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let mut rows = each!(&mut self.moment, snapshot => snapshot.get(table, generation, keys).await)?;
        if self.hides(table) {
            rows.iter_mut().for_each(|row| drop(row.take_if(|row| self.is_hidden(table, row))));
        }
        Ok(rows)
    }

    /// A page of one partition, in clustering order: as many rows as asked for, as long as there are any.
    ///
    /// What is past is read over. Where rows are in the order of the time they are kept after, latest first, the first
    /// that is past is the end; in another order a reader pays for those that are still there.
    pub async fn page(&mut self, table: &Table, generation: u32, page: &PageRequest) -> Result<Vec<Row>, StoreError> {
        if !self.hides(table) || page.limit == 0 {
            return each!(&mut self.moment, snapshot => snapshot.page(table, generation, page).await);
        }
        let mut shown = Vec::new();
        let mut asked = page.clone();
        loop {
            let found = each!(&mut self.moment, snapshot => snapshot.page(table, generation, &asked).await)?;
            let more = found.len() >= asked.limit;
            asked.after = found.last().map(|row| row.values[table.partition..table.key_len()].to_vec());
            for row in found {
                if !self.is_hidden(table, &row) {
                    shown.push(row);
                } else if table.is_shown(&row) && ends_with_past(table) {
                    return Ok(shown);
                }
                if shown.len() == page.limit {
                    return Ok(shown);
                }
            }
            if !more {
                return Ok(shown);
            }
            asked.limit = asked.limit.saturating_mul(2).min(STEP_ROWS.max(page.limit));
        }
    }

    /// The first `limit` rows of a whole view, by partition key (ascending), then in clustering order. For tests and
    /// comparisons: a query never scans.
    pub async fn table_rows(&mut self, table: &Table, generation: u32, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut asked = limit;
        loop {
            let mut rows = each!(&mut self.moment, snapshot => snapshot.table_rows(table, generation, asked).await)?;
            if !self.hides(table) {
                return Ok(rows);
            }
            let all = rows.len() < asked;
            rows.retain(|row| !self.is_hidden(table, row));
            if all || rows.len() >= limit {
                rows.truncate(limit);
                return Ok(rows);
            }
            // A scan is read again rather than gone on with: there is no cursor over partitions.
            asked = asked.saturating_mul(2);
        }
    }

    /// Whether there may be rows of this table that are not shown.
    fn hides(&self, table: &Table) -> bool {
        table.shown().is_some() || (self.now_ms.is_some() && table.retain.is_some())
    }

    fn is_hidden(&self, table: &Table, row: &Row) -> bool {
        !table.is_shown(row) || self.now_ms.is_some_and(|now_ms| table.is_past(row, now_ms))
    }
}

/// Whether nothing is shown after the first row of a partition that is past. The column is not null, being in the key.
fn ends_with_past(table: &Table) -> bool {
    let first = table.retain.is_some_and(|retain| retain.column == table.partition);
    first && table.clustering.first() == Some(&Direction::Descending)
}
