//! Text functions, `like` and regular expressions.

use super::row::{check, check_types};

#[test]
fn functions() {
    check(
        "lower(s) => 'hello'
         upper(s) => 'HELLO'
         upper('straße') => 'STRAßE'
         lower('ÄÖ') => 'äö'
         length(s) => 5
         length('äöü') => 3
         length('') => 0
         trim('  a b  ') => 'a b'
         trim(both 'x' from 'xxaxx') => 'a'
         trim(leading 'x' from 'xxaxx') => 'axx'
         trim(trailing 'xy' from 'xxayx') => 'xxa'
         trim('xxax', 'x') => 'a'
         btrim('xyaxy', 'xy') => 'a'
         ltrim('  a ') => 'a '
         rtrim('aab', 'b') => 'aa'
         rtrim('aab', s) => 'aab'
         substring('Thomas' from 2 for 3) => 'hom'
         substring('Thomas' from 3) => 'omas'
         substring('Thomas' for 2) => 'Th'
         substring('Thomas', 2, 3) => 'hom'
         substring('Thomas', 0, 3) => 'Th'
         substring('Thomas', -1, 3) => 'T'
         substring('Thomas', -5, 3) => ''
         substring('Thomas', 10) => ''
         substring('Thomas', 2, 2147483647) => 'homas'
         substring('äöü', 2, 1) => 'ö'
         substring(s, i - 6, 2) => 'He'
         s || ' world' => 'Hello world'
         s || i => 'Hello7'
         i || s => '7Hello'
         'a' || true => 'atrue'
         s || null => null
         s || n_s => null
         'p: ' || p => 'p: 12.50'
         s || '-' || address.city || '-' || i => 'Hello-Bern-7'
         length(null) => null",
    );
    check_types(
        "concat(n_s, 'x') => string
         n_s || 'x' => string?
         length(n_s) => int?
         lower(status) => string",
    );
}

#[test]
fn putting_together_and_taking_apart() {
    check(
        "concat(s, null, i, n_s, true) => 'Hello7t'
         concat(null) => ''
         concat(d, day) => '2.52026-03-15'
         split_part('a,b,c', ',', 2) => 'b'
         split_part('a,b,c', ',', 4) => ''
         split_part('a,b,c', ',', -1) => 'c'
         split_part('a,b,c', ',', -4) => ''
         split_part('abc', '', 1) => 'abc'
         split_part('abc', '', 2) => ''
         split_part(s, 'l', 1) => 'He'
         split_part(s, 'l', 2) => ''
         split_part('ab', 'ab', 1) => ''
         lpad('hi', 5, 'xy') => 'xyxhi'
         lpad('hi', 5) => '   hi'
         lpad('hello', 2) => 'he'
         lpad('hi', -1) => ''
         lpad('hi', 5, '') => 'hi'
         rpad('hi', 5, 'xy') => 'hixyx'
         rpad('hello', 2, 'x') => 'he'
         lpad(cast(i as text), 3, '0') => '007'
         replace('banana', 'an', 'x') => 'bxxa'
         replace('banana', '', 'x') => 'banana'
         replace('banana', 'q', 'x') => 'banana'
         lower(n_s) => null
         lpad(s, n_i) => null
         upper(status) => 'PLACED'",
    );
}

#[test]
fn like() {
    check(
        "s like 'H%' => true
         s like '%o' => true
         s like '%ell%' => true
         s like 'Hello' => true
         s like 'hello' => false
         s like 'H_llo' => true
         s like '_' => false
         s like '%' => true
         '' like '%' => true
         '' like '_' => false
         s not like 'H%' => false
         n_s like 'x' => null
         s like null => null
         'a%b' like 'a\\%b' => true
         'axb' like 'a\\%b' => false
         'a%b' like 'a!%b' escape '!' => true
         'a\\b' like 'a\\b' escape '' => true
         'a_b' like 'a#_b' escape '#' => true
         'abcabd' like '%ab_' => true
         'abxabyabz' like '%ab%abz' => true
         'aXbXc' like 'a%b%c' => true
         'mississippi' like 'm%iss%ip%i' => true
         'mississippi' like 'm%issi%x%' => false
         'äöü' like '_ö_' => true
         s like s => true
         s like substring(s, 1, 2) || '%' => true
         status like 'pl%' => true
         s like 'Hell\\' => ! like: the pattern ends with its escape character
         s like s || '\\' => ! like: the pattern ends with its escape character
         s like 'x' escape 'ab' => ! like: the escape is one character or none",
    );
}

#[test]
fn regular_expressions() {
    check(
        "regexp_like(s, '^H.*o$') => true
         regexp_like(s, 'hello') => false
         regexp_like(s, 'hello', 'i') => true
         regexp_like(E'a\\nb', '^b') => false
         regexp_like(E'a\\nb', '^b', 'n') => true
         regexp_like(E'a\\nb', 'a.b') => true
         regexp_like(E'a\\nb', 'a.b', 'n') => false
         regexp_like('x', 'y|x') => true
         regexp_like(n_s, 'x') => null
         regexp_replace('foobarbaz', 'b..', 'X') => 'fooXbaz'
         regexp_replace('foobarbaz', 'b..', 'X', 'g') => 'fooXX'
         regexp_replace('foobarbaz', 'b(..)', 'X\\1Y', 'g') => 'fooXarYXazY'
         regexp_replace('abc', 'b', '[\\&]') => 'a[b]c'
         regexp_replace('abc', 'b', '\\\\') => 'a\\c'
         regexp_replace('abc', 'x', 'y') => 'abc'
         regexp_replace('abc', '', 'x') => 'xabc'
         regexp_replace('aaa', 'a*', '') => ''
         regexp_replace('baaac', 'a*', '-', 'g') => '-b--c-'
         regexp_replace('äb', 'x*', '-', 'g') => '-ä-b-'
         regexp_replace(s, '[^a-z]', '', 'g') => 'ello'
         regexp_replace(s, 'L', '*', 'gi') => 'He**o'
         regexp_like(s, '(') => ! not a regular expression: unclosed group
         regexp_like(s, '(?=x)') => ! not a regular expression: look-around, including look-ahead and look-behind, is not supported
         regexp_like(s, 'x', 'q') => ! there is no flag `q` here: i, c, n, s, x
         regexp_like(s, s) => ! the pattern and flags of `regexp_like` are constants: they are compiled once
         regexp_like(s, '\\w{500}{500}') => ! this regular expression is too large",
    );
}

#[test]
fn bounds_and_faults() {
    check(
        "substring(s, 1, -1) => ! substring: a length of -1 characters
         split_part(s, ',', 0) => ! split_part: parts are counted from 1, from the end from -1
         lpad(s, 2147483647) => ! lpad: the text would be longer than 16777216 bytes
         length(lpad('', 16000000, 'ä')) => ! lpad: the text would be longer than 16777216 bytes
         replace(lpad('', 16000000, 'x'), 'x', 'yy') => ! replace: the text would be longer than 16777216 bytes
         length(lpad('', 9000000) || lpad('', 9000000)) => ! ||: the text would be longer than 16777216 bytes",
    );
}
