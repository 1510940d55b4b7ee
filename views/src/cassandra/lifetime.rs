//! How long a row lives: the time that is left of its `retain` when it is written.

use std::time::{SystemTime, UNIX_EPOCH};

use headwater_engine::table::{Row, Table};

/// Cassandra takes 20 years.
const MOST_SECONDS: i64 = 20 * 365 * 86_400;
/// Up to version 4, and in later ones until they are told otherwise, it takes no row that goes after 19 January 2038; two
/// days before, for its clock may be another.
const LATEST_SECOND: i64 = i32::MAX as i64 - 2 * 86_400;
const SECOND: i64 = 1_000_000;

/// What becomes of a row that is written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// It is past already.
    Over,
    /// Seconds, never less than what is left; 0: until it is written again.
    Seconds(i32),
}

/// One moment, for all rows of a batch.
pub(super) fn now_micros(clock: fn() -> SystemTime) -> i64 {
    clock().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_micros()).ok()).unwrap_or(0)
}

pub(super) fn of(table: &Table, row: &Row, now_micros: i64) -> Lifetime {
    let retain = table.retain.filter(|retain| retain.pruned);
    let Some(until) = retain.and_then(|retain| retain.until(&row.values[retain.column])) else {
        return Lifetime::Seconds(0);
    };
    if until <= now_micros {
        return Lifetime::Over;
    }
    // Both ends as seconds first: the difference may not fit. Rounded so that it is not gone before it is hidden.
    let seconds = until.div_euclid(SECOND) + i64::from(until.rem_euclid(SECOND) > 0) - now_micros.div_euclid(SECOND);
    if seconds > MOST_SECONDS || until.div_euclid(SECOND) >= LATEST_SECOND {
        // Hidden in its time, and kept.
        return Lifetime::Seconds(0);
    }
    i32::try_from(seconds).map_or(Lifetime::Seconds(0), Lifetime::Seconds)
}

#[cfg(test)]
mod tests {
    use headwater_engine::table::{Column, Feeding, Retain, RowPosition};
    use headwater_schemas::{FieldType, Type, Value};

    use super::*;

    const DAY: i64 = 86_400 * SECOND;

    fn table(ty: Type, pruned: bool) -> Table {
        Table {
            name: "t".to_owned(),
            doc: None,
            columns: vec![Column { name: "at".to_owned(), ty: FieldType::nullable(ty), doc: None }],
            partition: 0,
            clustering: vec![],
            state: vec![],
            fed: Feeding::Mapped,
            retain: Some(Retain { days: 2, column: 0, pruned }),
        }
    }

    #[test]
    fn what_is_left_is_counted_from_the_rows_own_time() {
        let row = |value| {
            let position = RowPosition { partition: 0, offset: 0 };
            Row { values: vec![value], state: vec![], position, hidden: false }
        };
        let now = 20_000 * DAY + 5;
        let cases = [
            (Value::Timestamp(now - 2 * DAY), Lifetime::Over),
            (Value::Timestamp(now - 2 * DAY + 1), Lifetime::Seconds(1)),
            (Value::Timestamp(now), Lifetime::Seconds(2 * 86_400 + 1)),
            (Value::Timestamp(now + DAY), Lifetime::Seconds(3 * 86_400 + 1)),
            (Value::Timestamp(i64::MIN), Lifetime::Over),
            (Value::Timestamp(i64::MAX), Lifetime::Seconds(0)),
            (Value::Timestamp(now + 12 * 365 * DAY), Lifetime::Seconds((12 * 365 + 2) * 86_400 + 1)),
            // Past what Cassandra takes.
            (Value::Timestamp(now + 14 * 365 * DAY), Lifetime::Seconds(0)),
            (Value::Null, Lifetime::Seconds(0)),
            (Value::Date(19_998), Lifetime::Over),
            (Value::Date(19_999), Lifetime::Seconds(86_400)),
            (Value::Date(i32::MAX), Lifetime::Seconds(0)),
        ];
        for (value, expected) in cases {
            let ty = if matches!(value, Value::Date(_)) { Type::Date } else { Type::TimestampMicros };
            assert_eq!(of(&table(ty.clone(), true), &row(value.clone()), now), expected, "{value:?}");
            assert_eq!(of(&table(ty, false), &row(value), now), Lifetime::Seconds(0), "only hidden");
        }
    }
}
