//! Expressions as data: each line an expression over one row, and the value that Postgres gives, or what is said of it.
//!
//! Add a case by adding a line.

mod expr {
    pub(crate) mod arithmetic;
    pub(crate) mod arrays;
    pub(crate) mod casts;
    pub(crate) mod errors;
    pub(crate) mod fuzz;
    pub(crate) mod logic;
    pub(crate) mod oracle;
    pub(crate) mod order;
    pub(crate) mod parsing;
    pub(crate) mod row;
    pub(crate) mod texts;
    pub(crate) mod times;
}
