//! Numbers: result types, exactness, and what has no result.

use super::row::{check, check_types};

#[test]
fn literals_have_the_narrowest_type() {
    check_types(
        "0 => int
         2147483647 => int
         2147483648 => long
         9223372036854775807 => long
         9223372036854775808 => decimal(19,0)
         1.50 => decimal(3,2)
         .5 => decimal(1,1)
         0.001 => decimal(3,3)
         1e3 => decimal(4,0)
         1.5e-3 => decimal(4,4)
         true => boolean
         'x' => string
         null => string?
         date '2026-01-31' => date
         timestamp '2026-01-31 12:00' => timestamp-micros",
    );
}

#[test]
fn operators_have_postgres_result_types() {
    check_types(
        "i + i => int
         i + l => long
         l * i => long
         i + n_i => int?
         i + f => double
         f + f => float
         f + d => double
         p + d => double
         i + p => decimal(13,2)
         p + p => decimal(11,2)
         p - 1.005 => decimal(12,3)
         p * p => decimal(20,4)
         i * p => decimal(20,2)
         p / 3 => decimal(38,6)
         1.00000000 / 3 => decimal(38,8)
         i / 2 => int
         l % 2 => long
         p % 5 => decimal(12,2)
         -p => decimal(10,2)
         -l => long
         i = l => boolean
         i + '5' => int
         abs(i) => int
         round(i) => double
         round(p) => decimal(9,0)
         round(p, 1) => decimal(38,1)
         round(i, 2) => decimal(38,2)
         floor(d) => double
         ceil(p) => decimal(9,0)
         power(i, 2) => double
         power(p, 2) => decimal(38,6)
         sqrt(i) => double
         sqrt(p) => decimal(38,6)
         mod(i, 2) => int
         mod(p, 2) => decimal(12,2)
         greatest(i, l) => long
         greatest(i, 1.5) => decimal(11,1)
         coalesce(n_i, f) => float
         coalesce(n_i, f, d) => double
         coalesce(n_p, 1.555) => decimal(11,3)",
    );
}

#[test]
fn values() {
    check(
        "i + 1 => 8
         i - 10 => -3
         i * 3 => 21
         7 / 2 => 3
         -7 / 2 => -3
         7 % -3 => 1
         -7 % 3 => -1
         l + 1 => 9000000001
         p + 1 => 13.50
         p - 0.005 => 12.495
         p * p => 156.2500
         p * 0.1 => 1.250
         p / 3 => 4.166667
         -p / 3 => -4.166667
         1 / 3.0 => 0.333333
         2.0 / 3 => 0.666667
         1.0 / 7 => 0.142857
         0.0000001 / 1 => 0.0000001
         p % 5 => 2.50
         -12.50 % 5 => -2.50
         -p => -12.50
         - -i => 7
         +i => 7
         2 + 3 * 4 => 14
         (2 + 3) * 4 => 20
         i + d => 9.5
         f * f => 2.25f
         f + d => 4.0
         d / 2 => 1.25
         0.1 + 0.2 => 0.3
         99999999999999999999999999999999999999 + 0 => 99999999999999999999999999999999999999
         12345678901234567890 * 1000000000000000000 => 12345678901234567890000000000000000000
         n_i + 1 => null
         n_p * 2 => null
         null + 1 => null
         i + null => null
         '5' + i => 12
         '2.5' * p => 31.250",
    );
}

#[test]
fn nothing_is_ever_a_wrong_number() {
    check(
        "2147483647 + i => ! +: the result is out of the range of int
         -2147483647 - i => ! -: the result is out of the range of int
         i * 2147483647 => ! *: the result is out of the range of int
         9223372036854775807 + i => ! +: the result is out of the range of bigint
         l * l => ! *: the result is out of the range of bigint
         i / 0 => ! /: division by zero
         i / (i - 7) => ! /: division by zero
         i % (i - 7) => ! %: division by zero
         p / (p - p) => ! /: division by zero
         d / (d - d) => ! /: division by zero
         l / 0.0 => ! /: division by zero
         99999999999999999999999999999999999999 + p => ! +: the result is out of the range of decimal(38,2)
         p * 99999999999999999999999999999999999999 => ! *: the result is out of the range of decimal(38,2)
         99999999999999999999999999999999999999 / (p / 1000) => ! /: the result is out of the range of decimal(38,6)
         d * cast('1e308' as double precision) * 10 => ! *: the result is out of the range of double precision
         cast('1e-300' as double precision) * d * cast('1e-300' as double precision) => ! *: the result is out of the range of double precision
         f * cast('3e38' as real) * f => ! *: the result is out of the range of real
         (i - 7) / cast('0' as double precision) => ! /: division by zero
         n_i / 0 => null
         abs(-2147483647 - cast(1 as int) + (i - 7)) => ! abs: the result is out of the range of int
         sqrt(-p) => ! sqrt: the square root of a negative number
         sqrt(-d) => ! sqrt: the square root of a negative number
         power(0 * d, -1) => ! power: zero to a negative power
         power(-d, 0.5) => ! power: a negative number to a power that is not whole
         power(p - p, -1) => ! power: zero to a negative power
         power(p, 1000) => ! power: the result is out of the range of decimal(38,6)
         power(d, 100000) => ! power: the result is out of the range of double precision
         1 / 0 => ! /: division by zero
         2147483647 + 1 => ! +: the result is out of the range of int",
    );
}

#[test]
fn functions() {
    check(
        "abs(-i) => 7
         abs(-p) => 12.50
         abs(-d) => 2.5
         abs(-9000000000) => 9000000000
         round(12.5) => 13
         round(-12.5) => -13
         round(12.4999) => 12
         round(d) => 2.0
         round(-d) => -2.0
         round(cast(3.5 as double precision)) => 4.0
         round(i) => 7.0
         round(p, 1) => 12.5
         round(2.345, 2) => 2.35
         round(-2.345, 2) => -2.35
         round(1.5, 3) => 1.500
         round(1234.5, -2) => 1200
         round(1250, -2) => 1300
         round(1349.9, -2) => 1300
         round(5, -1) => 10
         round(4.9, -1) => 0
         round(p, -50) => 0
         floor(p) => 12
         floor(-p) => -13
         ceil(p) => 13
         ceil(-p) => -12
         ceiling(d) => 3.0
         floor(-d) => -3.0
         floor(i) => 7.0
         power(2, 10) => 1024.0
         power(d, 2) => 6.25
         power(1.5, 2) => 2.250000
         power(2.0, -2) => 0.250000
         power(1.1, 10) => 2.593742
         power(-2.0, 3) => -8.000000
         power(p, 0) => 1.000000
         power(1.0, 1000000000) => 1.000000
         power(-1.0, 1000000001) => -1.000000
         power(0.1, 1000000) => 0.000000
         sqrt(16) => 4.0
         sqrt(2.0) => 1.414214
         sqrt(p) => 3.535534
         sqrt(0.00) => 0.000000
         sqrt(4) => 2.0
         mod(7, 3) => 1
         mod(-7, 3) => -1
         mod(p, 5) => 2.50
         mod(l, i) => 5
         greatest(1, 3, 2) => 3
         least(1, 3, 2) => 1
         greatest(1, 2.5) => 2.5
         greatest(n_i, 3, null) => 3
         least(null, n_i) => null
         greatest('a', 'b') => 'b'
         least(s, 'Zoo') => 'Hello'
         greatest(at, timestamp '2030-01-01') => 2030-01-01 00:00:00
         least(b, false) => false
         abs(n_i) => null
         round(n_p, 1) => null
         power(n_d, 2) => null",
    );
}
