//! The one view, as a map: what its five columns count.

use headwater_schemas::{Decimal, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};

use crate::reader::Placed;

#[derive(Clone, Copy, Default)]
pub(crate) struct Customer {
    pub(crate) orders: i64,
    pub(crate) items: i64,
    pub(crate) spent_cents: i64,
    pub(crate) first_order: i64,
    pub(crate) last_order: i64,
}

/// Every customer there is.
#[derive(Default)]
pub(crate) struct Customers(FxHashMap<String, Customer>);

/// What one batch changes.
pub(crate) struct Batch<'c> {
    pub(crate) rows: Vec<(&'c str, Customer)>,
    /// The next offset of each partition that the batch moves.
    pub(crate) next: FxHashMap<i32, i64>,
}

impl Customers {
    pub(crate) fn apply(&mut self, orders: Vec<Placed>) -> Batch<'_> {
        let mut next = FxHashMap::default();
        let mut changed = FxHashSet::default();
        for order in orders {
            next.insert(order.partition, order.offset + 1);
            let row = match self.0.get_mut(&order.customer) {
                Some(row) => row,
                None => self.0.entry(order.customer.clone()).or_default(),
            };
            if row.orders == 0 {
                row.first_order = order.at;
            }
            row.orders += 1;
            row.items += order.quantity;
            row.spent_cents += order.quantity * order.price_cents;
            row.last_order = order.at;
            changed.insert(order.customer);
        }
        let row = |customer: &String| self.0.get_key_value(customer).map(|(id, row)| (id.as_str(), *row));
        Batch { rows: changed.iter().filter_map(row).collect(), next }
    }

    pub(crate) fn insert(&mut self, id: String, row: Customer) {
        self.0.insert(id, row);
    }

    /// As `headwater bench` digests the rows of a view.
    pub(crate) fn digest(&self) -> String {
        let mut sum = 0u128;
        for (id, row) in &self.0 {
            let values = [
                Value::string(id.as_str()),
                Value::Long(row.orders),
                Value::Long(row.items),
                Value::Decimal(Decimal { unscaled: i128::from(row.spent_cents), scale: 2 }),
                Value::Timestamp(row.first_order),
                Value::Timestamp(row.last_order),
            ];
            let hash = Sha256::digest(format!("customers\0{values:?}"));
            let mut half = [0; 16];
            half.copy_from_slice(&hash[..16]);
            sum = sum.wrapping_add(u128::from_be_bytes(half));
        }
        format!("{sum:032x}")
    }
}
