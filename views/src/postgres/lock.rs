//! Advisory locks: who waits for whom beyond the rows that a transaction touches. They end with their transaction.
//!
//! | lock | shared | alone |
//! |---|---|---|
//! | of the schema | | whoever makes or drops tables |
//! | of a generation | a flush whose rows are its worker's alone | a flush of a topology with shared rows; a reset |
//!
//! A lock is a number: a hash of a name. Two names with one number would only wait for each other more than they need to.

/// Statements that begin a transaction which makes or drops tables.
pub(super) fn begin_tables(schema: &str) -> String {
    format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({})", number(&[schema]))
}

/// Statements that begin a flush. Rows that several partitions feed are read and written as totals: under READ COMMITTED two
/// workers would overwrite each other's, so they take turns from before the first read to after the commit.
pub(super) fn begin_flush(schema: &str, topology: &str, generation: u32, shared_rows: bool) -> String {
    let lock = if shared_rows { "pg_advisory_xact_lock" } else { "pg_advisory_xact_lock_shared" };
    format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT {lock}({})", of_generation(schema, topology, generation))
}

/// The statement by which a reset waits for the flushes under way, and keeps new ones out.
pub(super) fn keep_out_flushes(schema: &str, topology: &str, generation: u32) -> String {
    format!("SELECT pg_advisory_xact_lock({})", of_generation(schema, topology, generation))
}

fn of_generation(schema: &str, topology: &str, generation: u32) -> i64 {
    number(&[schema, topology, &generation.to_string()])
}

/// FNV-1a: the same in every process and version.
fn number(parts: &[&str]) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in ["headwater"].iter().chain(parts) {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other versions of the program, which run beside this one during an upgrade, take the same locks.
    #[test]
    fn numbers_never_change() {
        assert_eq!(number(&["s", "t", "1"]), 7_468_125_585_356_260_192);
        assert_ne!(number(&["s", "t", "1"]), number(&["s", "t1", ""]));
    }
}
