//! Arrays, maps and records: a step into them, and what is asked of a whole array.

use super::row::{check, check_types};

#[test]
fn paths() {
    check(
        "address.city => 'Bern'
         address.zip => null
         n_address.city => null
         lines[1].product => 'tea'
         lines[2].quantity * 2 => 10
         lines[3].product => null
         lines[0].product => null
         lines[-1].product => null
         lines[n_i].product => null
         lines[(i - 6)].product => 'tea'
         attributes['colour'] => 'red'
         attributes['none'] => null
         attributes[n_s] => null
         attributes[('si' || 'ze')] => 'XL'
         lines[1].price => ! record Line has no field `price`
         address.city.name => ! `name` is looked for in string, which has no fields
         attributes.colour => ! `colour` is looked for in map of string, which has no fields
         lines['1'].product => ! an array's element is named by an int, not by string
         lines = lines => ! `=` cannot compare array of record Line with array of record Line
         address = address => ! `=` cannot compare record Address with record Address",
    );
    check_types(
        "address.city => string
         n_address.city => string?
         lines[1].product => string?
         attributes['colour'] => string?",
    );
}

#[test]
fn whole_arrays() {
    check(
        "cardinality(lines) => 2
         cardinality(tags) => 2
         cardinality(n_tags) => null
         cardinality(null) => null
         array_length(tags, 1) => 2
         array_length(n_tags, 1) => null
         array_length(none, 1) => null
         cardinality(none) => 0
         'gift' = any(tags) => true
         'new' = any(tags) => null
         'gift' = any(n_tags) => null
         n_s = any(tags) => null
         n_s = any(none) => false
         s = any(none) => false
         not 'gift' = any(tags) => false
         cardinality(s) => ! `cardinality` takes an array, and this is string
         array_length(tags, 2) => ! an array has one dimension here: array_length(array, 1)
         i = any(tags) => ! `= any` cannot find int among elements that are string
         'x' = any(s) => ! `any` takes an array, and this is string
         'x' <> any(tags) => ! this `any` or `all` is not part of expressions here",
    );
    check_types(
        "cardinality(tags) => int
         array_length(tags, 1) => int?
         'gift' = any(tags) => boolean?",
    );
}
