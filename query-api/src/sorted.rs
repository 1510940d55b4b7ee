//! `sort:` a partition's rows in another order than that of their clustering: read whole, sorted, a page of them given.
//!
//! Each page is of the order as it is by then, so a row that moves between two requests may be given twice, or not at all.

use headwater_engine::query::{MOST_SORTED, Query, Sort};
use headwater_engine::table::Row;
use headwater_http::Problem;
use headwater_schemas::Value;
use headwater_views::PageRequest;

use crate::cursor::Cursor;
use crate::reading::Reading;

/// The rows from `at` on, at most `size`, and where the next page starts. A cursor holds how many rows were given.
pub(crate) async fn gather(
    query: &Query,
    sort: &Sort,
    key: &[Value],
    at: Cursor,
    size: usize,
    reading: &mut Reading,
) -> Result<(Vec<Row>, Option<Cursor>), Problem> {
    // One more than is sorted tells that there are too many.
    let page = PageRequest { partition: key.to_vec(), after: None, limit: MOST_SORTED + 1 };
    let mut rows = reading.page(&query.topology, query.table(), &page).await?;
    if rows.len() > MOST_SORTED {
        let detail = format!(
            "there are more than {MOST_SORTED} rows here, too many to sort; a view whose clustering is in this order has no \
             such bound"
        );
        return Err(Problem::unprocessable(detail).code("too-many-to-sort"));
    }
    rows.retain(|row| !row.hidden);
    rows.sort_by(|a, b| sort.order(&a.values, &b.values));
    let from = rows.len().min(at.left as usize);
    let to = rows.len().min(from + size);
    let next = (to < rows.len()).then(|| Cursor { left: u32::try_from(to).unwrap_or(u32::MAX), ..at });
    Ok((rows.drain(from..to).collect(), next))
}
