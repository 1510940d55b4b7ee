//! `cast`, and assignment to a field.

use headwater_engine::expr::{assignable, cast_to_field};
use headwater_schemas::{Decimal, FieldType, Type, ValueRef};

use super::row::{check, check_types, decimal, show, status};

#[test]
fn numbers() {
    check(
        "cast(2.5 as int) => 3
         cast(-2.5 as int) => -3
         cast(2.4999 as bigint) => 2
         cast(d as int) => 2
         cast(cast(3.5 as double precision) as int) => 4
         cast(-d as bigint) => -2
         cast(l as int) => ! cast: the result is out of the range of int
         cast(cast('1e19' as double precision) as bigint) => ! cast: the result is out of the range of bigint
         cast(cast('NaN' as double precision) as int) => ! cast: the result is out of the range of int
         cast(99999999999999999999 as bigint) => ! cast: the result is out of the range of bigint
         cast(i as bigint) => 7
         cast(i as double precision) => 7.0
         cast(p as real) => 12.5f
         cast(p as double precision) => 12.5
         cast(0.1 as real) => 0.1f
         cast(9007199791611905 as real) => 9007200000000000.0f
         cast(cast('1e300' as double precision) as real) => ! cast: the result is out of the range of real
         cast(i as numeric(5, 2)) => 7.00
         cast(p as numeric(4, 1)) => 12.5
         cast(12.55 as numeric(3, 1)) => 12.6
         cast(-12.55 as numeric(3, 1)) => -12.6
         cast(p as numeric(3, 2)) => ! cast: the result is out of the range of decimal(3,2)
         cast(99.95 as numeric(3, 1)) => ! cast: the result is out of the range of decimal(3,1)
         cast(d as numeric(10, 3)) => 2.500
         cast(cast(0.1 as double precision) as numeric(38, 20)) => 0.10000000000000000000
         cast(cast(0.1 as real) as numeric(38, 10)) => 0.1000000000
         cast(cast(1 as double precision) / 3 as numeric(38, 20)) => 0.33333333333333300000
         cast(cast('Infinity' as double precision) as numeric(10, 2)) => ! cannot cast an infinity to decimal(10,2)
         cast(i as numeric) => 7
         cast(p as numeric) => 12.50
         cast(p as decimal(10)) => 13
         cast(i as boolean) => true
         cast(0 as boolean) => false
         cast(true as int) => 1
         cast(n_i as bigint) => null
         cast(null as int) => null",
    );
    check_types(
        "cast(i as int) => int
         cast(i as integer) => int
         cast(i as bigint) => long
         cast(i as real) => float
         cast(i as float) => double
         cast(i as numeric(5, 2)) => decimal(5,2)
         cast(p as numeric) => decimal(10,2)
         cast(n_i as text) => string?
         cast(s as varchar(3)) => string
         cast(at as date) => date
         cast(day as timestamptz) => timestamp-micros
         cast(s as uuid) => uuid",
    );
}

#[test]
fn text() {
    check(
        "cast(' 42 ' as int) => 42
         cast('+7' as int) => 7
         cast('-9223372036854775808' as bigint) => -9223372036854775808
         cast('2147483648' as int) => ! cannot cast '2147483648' to int: out of range
         cast('4.2' as int) => ! cannot cast '4.2' to int
         cast('' as int) => ! cannot cast '' to int
         cast(s as int) => ! cannot cast 'Hello' to int
         cast(lpad('', 50, 'x') as int) => ! cannot cast 'xxxxxxxxxxxxxxxxxxxxxxxx…' to int
         cast('1.005' as numeric(10, 2)) => 1.01
         cast('-1e3' as numeric(10, 2)) => -1000.00
         cast('1e-50' as numeric(10, 2)) => 0.00
         cast('0.004999999999999999999999999999999999999999999999' as numeric(10, 2)) => 0.00
         cast('0.005000000000000000000000000000000000000000000000' as numeric(10, 2)) => 0.01
         cast('-99999999.995' as numeric(10, 2)) => ! cast: the result is out of the range of decimal(10,2)
         cast('1e38' as numeric(38, 0)) => ! cast: the result is out of the range of decimal(38,0)
         cast('0e99' as numeric(10, 2)) => 0.00
         cast('1e' as numeric(10, 2)) => ! cannot cast '1e' to decimal(10,2)
         cast('\u{a0}7' as int) => ! cannot cast '\u{a0}7' to int
         cast('NaN' as numeric(10, 2)) => ! cannot cast 'NaN' to decimal(10,2)
         cast('12345678901' as numeric(10, 0)) => ! cast: the result is out of the range of decimal(10,0)
         cast('1.5' as double precision) => 1.5
         cast('1e400' as double precision) => ! cannot cast '1e400' to double precision: out of range
         cast('1e-400' as double precision) => ! cannot cast '1e-400' to double precision: out of range
         cast('-infinity' as double precision) => -inf
         cast('1e39' as real) => ! cannot cast '1e39' to real: out of range
         cast('yes' as boolean) => true
         cast('F' as boolean) => false
         cast('of' as boolean) => false
         cast('o' as boolean) => ! cannot cast 'o' to boolean
         cast('2026-01-31' as date) => date 2026-01-31
         cast('2026-01-31 00:00:00.0000025' as timestamptz) => 2026-01-31 00:00:00.000002
         cast('2026-01-31 00:00:00.0000035' as timestamptz) => 2026-01-31 00:00:00.000004
         cast('2026-01-31 23:00-05' as date) => date 2026-01-31
         cast('2026-01-31T25:00' as date) => ! cannot cast '2026-01-31T25:00' to date
         cast('2026-01-31 12:00+01' as timestamptz) => 2026-01-31 11:00:00
         cast('yesterday' as date) => ! cannot cast 'yesterday' to date
         cast('ABABABABABABABABABABABABABABABAB' as uuid) => abababab-abab-abab-abab-abababababab
         cast('abab' as uuid) => ! cannot cast 'abab' to uuid
         cast(i as text) => '7'
         cast(p as text) => '12.50'
         cast(-0.05 as text) => '-0.05'
         cast(b as text) => 'true'
         cast(d as text) => '2.5'
         cast(cast(1 as double precision) as text) => '1'
         cast(cast('1e15' as double precision) as text) => '1e+15'
         cast(cast('123456789012345' as double precision) as text) => '123456789012345'
         cast(cast('1234567890123456' as double precision) as text) => '1.234567890123456e+15'
         cast(cast('0.0001' as double precision) as text) => '0.0001'
         cast(cast('0.00001' as double precision) as text) => '1e-05'
         cast(cast('1e6' as real) as text) => '1e+06'
         cast(cast('-infinity' as real) as text) => '-Infinity'
         cast(day as text) => '2026-03-15'
         cast(at as text) => '2026-03-15 13:45:30.123456+00'
         cast(timestamp '2026-01-01' as text) => '2026-01-01 00:00:00+00'
         cast(timestamp '2026-01-01 00:00:00.5' as text) => '2026-01-01 00:00:00.5+00'
         cast(id as text) => 'abababab-abab-abab-abab-abababababab'
         cast(status as text) => 'placed'
         cast(s as varchar(2)) => 'He'
         cast(i as varchar) => '7'
         cast(at as date) => date 2026-03-15
         cast(timestamp '1969-12-31 23:00' as date) => date 1969-12-31
         cast(day as timestamptz) => 2026-03-15 00:00:00
         cast(at as timestamp) => 2026-03-15 13:45:30.123456
         cast(n_s as int) => null",
    );
}

#[test]
fn what_cannot_be_cast() {
    check(
        "cast(l as boolean) => ! long cannot be cast to boolean
         cast(d as date) => ! double cannot be cast to date
         cast(lines as text) => ! array of record Line cannot be cast to string
         cast(s as numeric) => ! numeric has as many digits as its argument, and string does not say
         cast(s as smallint) => ! there is no cast to `SMALLINT`
         cast(s as numeric(39, 2)) => ! a numeric has 1 to 38 digits in all
         cast(s as numeric(3, 4)) => ! the digits after the point of a numeric are part of its digits in all
         cast(s as interval) => ! there is no cast to `INTERVAL`
         cast(s as int[]) => ! there is no cast to `INT[]`",
    );
}

#[test]
fn assignment_widens_and_never_loses() {
    let required = FieldType::required;
    let of = |value: ValueRef<'_>, from: Type, to: Type| {
        let (from, to) = (FieldType::nullable(from), required(to));
        cast_to_field(&value, &from, &to).map_or_else(|error| format!("! {error}"), |value| show(&value))
    };
    let price = ValueRef::Decimal(Decimal { unscaled: 1250, scale: 2 });
    assert_eq!(of(ValueRef::Long(5), Type::Int, Type::Long), "5");
    assert_eq!(of(ValueRef::Long(5), Type::Int, decimal(10, 2)), "5.00");
    assert_eq!(of(price, decimal(10, 2), decimal(38, 4)), "12.5000");
    assert_eq!(
        of(price, decimal(10, 2), decimal(3, 2)),
        "! assignment: the result is out of the range of decimal(3,2)"
    );
    assert_eq!(
        of(ValueRef::Null, Type::Int, Type::Long),
        "! this may be null, and long may not: write coalesce(…, something)"
    );
    assert_eq!(
        of(ValueRef::Timestamp(1_234_567), Type::TimestampMicros, Type::TimestampMillis),
        "1970-01-01 00:00:01.234"
    );
    assert_eq!(of(ValueRef::Float(1.5), Type::Float, Type::Double), "1.5");
    assert_eq!(
        of(ValueRef::Long(5), Type::Long, Type::Int),
        "! a value of long cannot become int: write cast(… as int)"
    );
    for (from, to, fits) in [
        (Type::Int, Type::Double, false),
        (Type::Double, Type::Float, false),
        (decimal(10, 2), decimal(10, 1), false),
        (Type::String, Type::Uuid, false),
        (status(), Type::String, true),
        (Type::String, status(), false),
        (Type::Date, Type::TimestampMicros, false),
        (Type::Long, decimal(3, 0), true),
    ] {
        assert_eq!(assignable(&required(from.clone()), &required(to.clone())).is_ok(), fits, "{from} to {to}");
    }
    assert!(assignable(&FieldType::nullable(Type::Int), &required(Type::Int)).is_err());
}
