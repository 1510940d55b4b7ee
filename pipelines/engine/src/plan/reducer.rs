//! What a column is reduced by, and where its hidden state is.

use std::sync::Arc;

use headwater_schemas::Value;

use crate::expr::Expr;
use crate::fold::reduce::{computed::kept, deviation};
use crate::table::{Deviation, Extreme, Merged, SumResult};

/// A reducer over events or contributions, and where its hidden state is.
#[derive(Debug)]
pub(crate) enum Reducer {
    Last,
    /// `set`: the flag that says a value was taken, where not every event gives one.
    First {
        set: Option<usize>,
    },
    Count,
    /// Exact: a wide sum, and how many values are in it.
    Sum {
        sum: usize,
        count: usize,
        result: SumResult,
    },
    /// Over floating point: on owned rows only, in the order of the partition.
    FloatSum,
    /// Of floating point, with its sum and count packed: on owned rows only.
    FloatAverage {
        state: usize,
    },
    /// `min` and `max`.
    Extreme(Extreme),
    /// `first` and `last` with an `order by`.
    Ordered {
        of: Extreme,
        state: usize,
    },
    /// `count(distinct x)`.
    Distinct {
        state: usize,
    },
    /// `collect_list`: on owned rows only.
    List,
    Set {
        /// The state column that tells whether there are more values than are kept.
        full: usize,
    },
    Top(usize),
    /// `stddev` and the like, exact.
    Deviation {
        of: Deviation,
        state: usize,
    },
    /// An expression over reducers: on owned rows only.
    Computed(Arc<Computed>),
}

/// An expression over reducers; its slots are the parts' values.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) parts: Vec<Part>,
    pub(crate) expr: Expr,
}

/// One reducer of an expression, and where its value is in the state.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) reducer: Reducer,
    pub(crate) value: usize,
}

impl Reducer {
    /// How the parts of a row that many partitions feed make its column. None: it is refused on such rows.
    pub(super) fn merged(&self) -> Option<Merged> {
        Some(match *self {
            Reducer::Count => Merged::Count,
            Reducer::Sum { sum, count, result } => Merged::Sum { sum, count, result },
            Reducer::Extreme(extreme) => Merged::Extreme(extreme),
            Reducer::Ordered { of, state } => Merged::Ordered { of, state },
            Reducer::Distinct { state } => Merged::Distinct { state },
            Reducer::Set { full } => Merged::Set { full },
            Reducer::Top(n) => Merged::Top(n),
            Reducer::Deviation { of, state } => Merged::Deviation { of, state },
            // They are refused on such rows, but where one partition feeds the part that they are of.
            Reducer::Last | Reducer::First { .. } | Reducer::List => return None,
            Reducer::FloatSum | Reducer::FloatAverage { .. } | Reducer::Computed(_) => return None,
        })
    }

    /// Its state columns.
    pub(super) fn state(&self) -> Vec<usize> {
        match self {
            Reducer::Last | Reducer::Count | Reducer::FloatSum => vec![],
            Reducer::Extreme(_) | Reducer::List | Reducer::Top(_) => vec![],
            Reducer::First { set } => set.iter().copied().collect(),
            Reducer::Sum { sum, count, .. } => vec![*sum, *count],
            Reducer::FloatAverage { state } | Reducer::Ordered { state, .. } => vec![*state],
            Reducer::Distinct { state } | Reducer::Deviation { state, .. } => vec![*state],
            Reducer::Set { full } => vec![*full],
            Reducer::Computed(computed) => {
                computed.parts.iter().flat_map(|part| part.reducer.state().into_iter().chain([part.value])).collect()
            }
        }
    }

    /// What its column holds before anything contributed.
    pub(crate) fn blank(&self) -> Value {
        match self {
            Reducer::Count | Reducer::Distinct { .. } => Value::Long(0),
            _ => Value::Null,
        }
    }

    /// Whether its result no longer fits the column's type: it is null though there is something to show.
    pub(super) fn overflowed(&self, value: &Value, state: &[Value]) -> bool {
        match self {
            Reducer::Sum { count, .. } => value.is_null() && !matches!(state[*count], Value::Long(0)),
            Reducer::Deviation { of, state: packed } => value.is_null() && deviation::has_result(*of, &state[*packed]),
            Reducer::Computed(computed) => {
                computed.parts.iter().any(|part| part.reducer.overflowed(&kept(part, state), state))
            }
            _ => false,
        }
    }
}
