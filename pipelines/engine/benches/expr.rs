//! What one evaluation costs. The plan's bound is 15 ns for `a = 'X' and q * p > 100`: see `fused`.
//!
//!     cargo bench -p headwater-engine --bench expr

use std::hint::black_box;
use std::sync::Arc;

use bumpalo::Bump;
use criterion::{Criterion, criterion_group, criterion_main};
use headwater_engine::expr::{Binding, EvalError, Expr, Scope, compile, parse};
use headwater_schemas::{Decimal, Field, FieldType, RecordType, Type, ValueRef};

struct Columns;

const NAMES: [&str; 10] = ["a", "q", "p", "d", "at", "name", "n", "address", "tags", "attributes"];

fn text() -> FieldType {
    FieldType::required(Type::String)
}

fn address() -> Type {
    let field = |name: &str| Field { name: name.into(), aliases: Vec::new(), ty: text(), default: None, doc: None };
    let fields = ["street", "city"].map(field).into();
    Type::Record(Arc::new(RecordType { name: "Address".into(), aliases: Vec::new(), fields, doc: None }))
}

impl Scope for Columns {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        let slot = NAMES.iter().position(|name| *name == path[0])?;
        let ty = match slot {
            0 | 5 => Type::String,
            1 => Type::Int,
            2 => Type::Decimal { precision: 10, scale: 2 },
            3 => Type::Double,
            4 => Type::TimestampMicros,
            7 => address(),
            8 => Type::Array(Arc::new(text())),
            9 => Type::Map(Arc::new(text())),
            _ => Type::Long,
        };
        Some(Binding { slot, ty: FieldType { ty, nullable: slot == 6 }, used: 1 })
    }

    fn names(&self) -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }
}

fn expression(text: &str) -> Expr {
    let ast = parse(text).unwrap_or_else(|error| panic!("{text}: {}", error.message));
    compile(&ast, &Columns).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

/// Two rows, so that no branch is always the same.
fn rows() -> [[ValueRef<'static>; 10]; 2] {
    let row = |a, q, cents, at| {
        [
            ValueRef::String(a),
            ValueRef::Long(q),
            ValueRef::Decimal(Decimal { unscaled: cents, scale: 2 }),
            ValueRef::Double(cents as f64 / 100.0),
            ValueRef::Timestamp(at),
            ValueRef::String("Ada Lovelace"),
            ValueRef::Null,
            ValueRef::Record(&[ValueRef::String("St James's Square"), ValueRef::String("London")]),
            ValueRef::Array(&[ValueRef::String("new"), ValueRef::String("gift")]),
            ValueRef::Map(&[("colour", ValueRef::String("red")), ("size", ValueRef::String("XL"))]),
        ]
    };
    [row("X", 12, 1_999, 1_773_582_330_123_456), row("X", 3, 250, 1_673_582_330_123_456)]
}

/// One of each form.
const FORMS: [&str; 45] = [
    "q + 1",
    "q * p",
    "p / q",
    "d * d",
    "q % 7",
    "- p",
    "n is not distinct from q",
    "q between 1 and 10",
    "coalesce(n, q)",
    "nullif(q, 3)",
    "greatest(q, n, 5)",
    "case when q > 10 then 'many' else 'few' end",
    "case a when 'W' then 1 when 'X' then 2 else 3 end",
    "cast(q as text)",
    "cast(p as int)",
    "cast(d as numeric(20, 4))",
    "cast(a as varchar(3))",
    "lower(name)",
    "upper(name)",
    "trim(name)",
    "length(name)",
    "substring(name from 5 for 4)",
    "a || '-' || name",
    "concat(a, q, name)",
    "split_part(name, ' ', 2)",
    "lpad(a, 8, '0')",
    "replace(name, 'a', 'o')",
    "regexp_like(name, '^A.*e$')",
    "regexp_replace(name, '[aeiou]', '', 'g')",
    "abs(q)",
    "round(p, 1)",
    "floor(d)",
    "power(d, 2)",
    "sqrt(p)",
    "date_trunc('month', at)",
    "date_trunc('day', at, 'Europe/Berlin')",
    "extract(year from at)",
    "extract(epoch from at)",
    "at + interval '1 month'",
    "at - timestamp '2026-01-01' > interval '1 day'",
    "cast(at as date)",
    "address.city",
    "tags[1]",
    "attributes['colour']",
    "'gift' = any(tags)",
];

fn evaluate(c: &mut Criterion) {
    let (two, mut i) = (rows(), 0usize);
    // What of the figures is not the expression's.
    c.bench_function("the loop alone", |b| {
        b.iter(|| {
            i = i.wrapping_add(1);
            Ok::<_, EvalError>(Some(matches!(black_box(&two[i & 1])[0], ValueRef::Null)))
        });
    });
    for (name, text) in [
        ("fused: a = 'X' and q * p > 100, decimal", "a = 'X' and q * p > 100"),
        ("fused: a = 'X' and q * d > 100, double", "a = 'X' and q * d > 100"),
        ("q > 10", "q > 10"),
        ("a in ('W', 'X', 'Y', 'Z')", "a in ('W', 'X', 'Y', 'Z')"),
        ("n is null or n > 5", "n is null or n > 5"),
        ("name like 'Ada%'", "name like 'Ada%'"),
    ] {
        let (expr, rows, bump) = (expression(text), rows(), Bump::new());
        let mut i = 0usize;
        c.bench_function(name, |b| {
            b.iter(|| {
                i = i.wrapping_add(1);
                expr.eval_bool(black_box(&rows[i & 1]), &bump)
            });
        });
    }
    for text in FORMS {
        let (expr, rows, mut bump) = (expression(text), rows(), Bump::new());
        let mut i = 0usize;
        c.bench_function(text, |b| {
            b.iter(|| {
                i = i.wrapping_add(1);
                if i.is_multiple_of(1024) {
                    bump.reset();
                }
                black_box(expr.eval(black_box(&rows[i & 1]), &bump).is_ok())
            });
        });
    }
}

fn reading(c: &mut Criterion) {
    let text = "a = 'X' and q * p > 100";
    c.bench_function("parse and compile", |b| b.iter(|| expression(black_box(text))));
}

criterion_group!(benches, evaluate, reading);
criterion_main!(benches);
