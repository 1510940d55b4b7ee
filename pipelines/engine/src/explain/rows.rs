//! How many rows one event touches.

use std::fmt;

use serde::Serialize;

/// So many rows, for one event or one change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Where no array is unfolded.
    pub least: u32,
    pub most: u32,
    /// One more for each element of these arrays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arrays: Vec<String>,
}

impl Rows {
    pub(super) fn exactly(rows: u32) -> Self {
        Self { least: rows, most: rows, arrays: Vec::new() }
    }

    pub(super) fn up_to(rows: u32) -> Self {
        Self { least: 0, most: rows, arrays: Vec::new() }
    }

    pub(super) fn each(array: &str) -> Self {
        Self { arrays: vec![array.to_owned()], ..Self::default() }
    }

    /// Those of one, and those of the other.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.add_arrays(other.arrays);
        Self { least: self.least + other.least, most: self.most + other.most, ..self }
    }

    /// Those of the one, or those of the other.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.add_arrays(other.arrays);
        Self { least: self.least.min(other.least), most: self.most.max(other.most), ..self }
    }

    /// So many for each of those.
    pub(super) fn times(mut self, other: Self) -> Self {
        self.add_arrays(other.arrays);
        Self { least: self.least * other.least, most: self.most.saturating_mul(other.most), ..self }
    }

    fn add_arrays(&mut self, arrays: Vec<String>) {
        for array in arrays {
            if !self.arrays.contains(&array) {
                self.arrays.push(array);
            }
        }
    }
}

/// `0`, `1`, `0-2`, `n`, `1+n`: n for the elements of an array.
impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most, self.arrays.is_empty()) {
            (_, 0, false) => f.write_str("n"),
            (_, most, false) => write!(f, "{most}+n"),
            (least, most, true) if least == most => write!(f, "{most}"),
            (least, most, true) => write!(f, "{least}-{most}"),
        }
    }
}
