//! What one evaluation costs. The plan's bound is 15 ns for `a = 'X' and q * p > 100`: see `fused`.
//!
//!     cargo bench -p headwater-engine --bench expr

use std::hint::black_box;

use bumpalo::Bump;
use criterion::{Criterion, criterion_group, criterion_main};
use headwater_engine::expr::{Binding, Expr, Scope, compile, parse};
use headwater_schemas::{Decimal, FieldType, Type, ValueRef};

struct Columns;

const NAMES: [&str; 7] = ["a", "q", "p", "d", "at", "name", "n"];

impl Scope for Columns {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        let slot = NAMES.iter().position(|name| *name == path[0])?;
        let ty = match slot {
            0 | 5 => Type::String,
            1 => Type::Int,
            2 => Type::Decimal { precision: 10, scale: 2 },
            3 => Type::Double,
            4 => Type::TimestampMicros,
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
fn rows() -> [[ValueRef<'static>; 7]; 2] {
    let row = |a, q, cents, at| {
        [
            ValueRef::String(a),
            ValueRef::Long(q),
            ValueRef::Decimal(Decimal { unscaled: cents, scale: 2 }),
            ValueRef::Double(cents as f64 / 100.0),
            ValueRef::Timestamp(at),
            ValueRef::String("Ada Lovelace"),
            ValueRef::Null,
        ]
    };
    [row("X", 12, 1_999, 1_773_582_330_123_456), row("X", 3, 250, 1_673_582_330_123_456)]
}

fn evaluate(c: &mut Criterion) {
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
    for text in [
        "q * p",
        "p / q",
        "coalesce(n, q)",
        "case when q > 10 then 'many' else 'few' end",
        "lower(name)",
        "a || '-' || name",
        "date_trunc('month', at)",
        "date_trunc('day', at, 'Europe/Berlin')",
        "extract(year from at)",
    ] {
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
