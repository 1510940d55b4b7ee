//! Three-valued logic, comparisons, and what chooses.

use super::row::{check, check_types};

#[test]
fn three_values() {
    check(
        "b and n_b => null
         n_b and false => false
         false and n_b => false
         n_b or true => true
         n_b or false => null
         b and b and n_b and false => false
         n_b or n_b or true => true
         not n_b => null
         not b => false
         not (i > 5) => false
         b and not n_b is null => false
         true or i / (i - 7) > 1 => true
         false and i / (i - 7) > 1 => false
         i > 5 and s = 'Hello' or false => true
         n_b is null => true
         n_b is not null => false
         b is true => true
         b is not true => false
         b is false => false
         n_b is true => false
         n_b is not false => true
         n_b is unknown => true
         b is not unknown => true
         (i > 5) is true => true
         n_i > 5 is null => true",
    );
}

#[test]
fn comparisons() {
    check(
        "i = 7 => true
         i <> 7 => false
         i != 8 => true
         i < l => true
         i >= 7.0 => true
         i = 7.5 => false
         p = 12.5 => true
         p = 12.500 => true
         p > 12.4999 => true
         12.5000001 > p => true
         p = d * 5 => true
         d = 2.5 => true
         cast(0.1 as double precision) = 0.1 => true
         cast(0.1 as real) = 0.1 => false
         9007199254740993 = cast(9007199254740992 as double precision) => true
         9007199254740993 = 9007199254740992.0 => false
         99999999999999999999999999999999999999 > 0.00000000000000000000000000000000000001 => true
         cast('NaN' as double precision) = cast('NaN' as double precision) => true
         cast('NaN' as double precision) > cast('Infinity' as double precision) => true
         cast('-0' as double precision) = 0 => true
         s = 'Hello' => true
         'Hello' = s => true
         s <> 'hello' => true
         s < 'Help' => true
         'Help' > s => true
         'Z' < 'a' => true
         'é' > 'z' => true
         s = n_s => null
         n_s = 'x' => null
         n_s <> 'x' => null
         s = null => null
         null = null => null
         status = 'placed' => true
         'cancelled' <> status => true
         status = s => false
         status < 'shipped' => true
         b = true => true
         b > false => true
         id = 'abababab-abab-abab-abab-abababababab' => true
         id = '{ABABABABABABABABABABABABABABABAB}' => true
         id < 'ffffffff-ffff-ffff-ffff-ffffffffffff' => true
         raw = raw => true
         day = date '2026-03-15' => true
         day = '2026-03-15' => true
         at > '2026-03-15T13:45:30Z' => true
         at > day => true
         at = '2026-03-15 14:45:30.123456+01' => true
         ms < at => true
         i = '7' => true
         p = ' 12.5 ' => true
         interval '1 day' = interval '24 hours' => true
         interval '1 month' > interval '29 days' => true
         at - day < interval '1 day' => true",
    );
}

#[test]
fn distinct_in_between() {
    check(
        "i is distinct from 7 => false
         i is not distinct from 7 => true
         n_i is distinct from 7 => true
         n_i is not distinct from null => true
         n_i is distinct from n_d => false
         s is distinct from n_s => true
         p is not distinct from 12.5 => true
         i + 1 is distinct from i * 2 => true
         n_i + 1 is not distinct from n_i * 2 => true
         status is distinct from 'placed' => false
         i in (1, 7) => true
         i in (1, 2) => false
         i not in (1, 2) => true
         i in (1, null) => null
         i in (7, null) => true
         i not in (1, null) => null
         n_i in (1, 2) => null
         i in (1, l, 7.0) => true
         i + 1 in (8, 9) => true
         i + 1 in (l, p) => false
         s in ('a', 'Hello') => true
         lower(s) in ('a', 'hello') => true
         status in ('placed', 'shipped') => true
         status not in ('placed', 'shipped') => false
         at in ('2026-03-15 13:45:30.123456', '2020-01-01') => true
         day in (date '2026-03-15') => true
         p in (12.5, 3) => true
         id in ('abababab-abab-abab-abab-abababababab') => true
         'b' in ('a', s) => false
         i between 1 and 7 => true
         i between 8 and 10 => false
         i not between 8 and 10 => true
         i between null and 3 => false
         i between null and 10 => null
         n_i between 1 and 2 => null
         i + 1 between i and l => true
         p between 12 and 12.5 => true
         day between '2026-01-01' and '2026-12-31' => true
         length(s) between 1 and 255 => true",
    );
}

#[test]
fn choices() {
    check(
        "case when i > 5 then 'big' else 'small' end => 'big'
         case when n_b then 1 when b then 2 end => 2
         case when false then 1 end => null
         case i when 1 then 'one' when 7 then 'seven' end => 'seven'
         case i + 1 when 8 then 'eight' end => 'eight'
         case n_i when null then 1 else 2 end => 2
         case status when 'placed' then 1 else 0 end => 1
         case when b then 1 else 2.55 end => 1.00
         case when b then p else 1 end => 12.50
         case when b then '5' else i end => 5
         case when b then null else i end => null
         case when i = 7 then i / 1 else i / (i - 7) end => 7
         coalesce(n_i, i) => 7
         coalesce(n_i, null, 3) => 3
         coalesce(i, i / (i - 7)) => 7
         coalesce(n_s, 'none') => 'none'
         coalesce(n_status, 'shipped') => 'shipped'
         coalesce(n_address.city, 'nowhere') => 'nowhere'
         coalesce(n_day, at) => 2026-03-15 13:45:30.123456
         coalesce(null, null) => null
         nullif(i, 7) => null
         nullif(i, 8) => 7
         nullif(i + 1, 8) => null
         nullif(s, '') => 'Hello'
         nullif(n_i, 1) => null
         nullif(i, null) => 7
         nullif(nullif(i, 1), 7) => null",
    );
    check_types(
        "case when b then 1 else 2 end => int
         case when b then 1 end => int?
         case when b then 1 else p end => decimal(12,2)
         coalesce(n_i, 1) => int
         coalesce(n_i, n_i) => int?
         coalesce(n_status, status) => enum shop.Status
         nullif(i, 1) => int?
         nullif(i, l) => int?
         nullif(i, p) => decimal(10,0)?
         nullif(l, d) => double?
         nullif(p, f) => double?
         nullif(p, i) => decimal(10,2)?
         nullif(f, i) => float?
         nullif(f, d) => float?
         i is null => boolean
         i = n_i => boolean?
         i is distinct from n_i => boolean
         i in (1, n_i) => boolean?
         b and n_b => boolean?",
    );
}

#[test]
fn paths() {
    check(
        "address.city => 'Bern'
         address.zip => null
         n_address.city => null
         lines[1].product => 'tea'
         lines[2].quantity * 2 => 10
         lines[0].product => null
         lines[3].product => null
         lines[-1].product => null
         lines[i - 6].product => 'tea'
         lines[n_i].product => null
         attributes['colour'] => 'red'
         attributes['none'] => null
         attributes[('si' || 'ze')] => 'XL'
         attributes[s] => null
         actor() => 'Hello'
         (address).city => 'Bern'",
    );
    check_types(
        "address.city => string
         address.zip => string?
         n_address.city => string?
         lines[1].quantity => int?
         attributes['x'] => string?
         lines => array of record Line",
    );
}
