//! A page of one partition's rows, in clustering order.

use headwater_schemas::Value;

#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest {
    /// The values of the whole partition key; empty where the table has none.
    pub partition: Vec<Value>,
    /// The clustering values of the last row of the page before, all of them; the page starts right after it, whether or
    /// not that row still exists.
    pub after: Option<Vec<Value>>,
    /// At most this many rows.
    pub limit: usize,
}
