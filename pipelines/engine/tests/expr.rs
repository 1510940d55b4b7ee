//! Expressions as data: each line an expression over one row, and the value that Postgres gives, or what is said of it.
//!
//! Add a case by adding a line.

mod expr {
    pub mod arithmetic;
    pub mod casts;
    pub mod errors;
    pub mod fuzz;
    pub mod logic;
    pub mod oracle;
    pub mod order;
    pub mod parsing;
    pub mod row;
    pub mod texts;
    pub mod times;
}
