//! Expressions beside a real Postgres: thousands of them, generated, over generated rows, evaluated by the engine and by the
//! server, and compared: type, value, scale, null, error.
//!
//! It is here because the views' crate is the lightest that may name a database driver and sees the engine.

#![allow(clippy::unwrap_used)]

#[path = "expressions/differences.rs"]
mod differences;
#[path = "expressions/forms.rs"]
mod forms;
#[path = "expressions/judge.rs"]
mod judge;
#[path = "expressions/row.rs"]
mod row;
#[path = "postgres/server.rs"]
mod server;
#[path = "expressions/words.rs"]
mod words;

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};

use differences::{Difference, Told};
use forms::Expression;
use judge::Outcome;
use row::Row;

/// Each batch is one round trip.
const BATCHES: usize = 16;
const BATCH: usize = 500;

/// How many of what fails is shrunk and shown.
const SHOWN: usize = 12;

type Case = (Expression, Row);

struct Verdict {
    engine: Outcome,
    postgres: Outcome,
    slots: Vec<usize>,
    difference: Option<&'static str>,
}

impl Verdict {
    fn fails(&self, operations: usize) -> bool {
        self.difference.is_none() && !judge::agree(&self.engine, &self.postgres, operations)
    }
}

async fn connect() -> PgConnection {
    let mut connection = PgConnection::connect(&server::Schema::fresh().url).await.unwrap();
    let evaluate = "create function pg_temp.evaluate(queries text[])
        returns table (n integer, ty text, value text, state text, message text) language plpgsql as $$
        declare query text;
        begin
            n := 0;
            foreach query in array queries loop
                n := n + 1; ty := null; value := null; state := null; message := null;
                begin
                    execute query into ty, value;
                exception when others then
                    get stacked diagnostics state = returned_sqlstate, message = message_text;
                end;
                return next;
            end loop;
        end $$";
    for sql in ["set timezone = 'UTC'; set datestyle = 'ISO'", &row::create_table(), evaluate] {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }
    connection
}

/// Both sides' outcomes of each case.
async fn judge(connection: &mut PgConnection, cases: &[Case]) -> Vec<Verdict> {
    let rows: Vec<Row> = cases.iter().map(|(_, row)| row.clone()).collect();
    let fill = format!("truncate sample; {}", row::insert(&rows));
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut *connection).await.unwrap();
    let evaluated: Vec<judge::Evaluated> =
        cases.iter().map(|(expression, row)| judge::engine(expression, row)).collect();
    let queries: Vec<String> = cases
        .iter()
        .zip(&evaluated)
        .enumerate()
        .map(|(row, ((expression, _), evaluated))| judge::query(expression, evaluated.ty.as_ref(), row))
        .collect();
    let answers = sqlx::query("select ty, value, state, message from pg_temp.evaluate($1) order by n")
        .bind(&queries)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let judged = cases.iter().zip(evaluated).zip(&answers).map(|(((expression, _), evaluated), answer)| {
        let failure = answer.get::<Option<String>, _>(2).map(|state| (state, answer.get::<String, _>(3)));
        let postgres = judge::postgres(answer.get(0), answer.get(1), failure);
        let judge::Evaluated { outcome: engine, slots, .. } = evaluated;
        let same = judge::agree(&engine, &postgres, expression.operations);
        let difference = if same { None } else { differences::named(expression, &engine, &postgres) };
        Verdict { engine, postgres, slots, difference }
    });
    judged.collect()
}

/// The smallest case that still fails, and what is said of it.
async fn shrunk(connection: &mut PgConnection, tree: &mut impl ValueTree<Value = Case>) -> String {
    let mut smallest = String::new();
    let mut fails = true;
    for step in 0..200 {
        let goes_on = step == 0 || if fails { tree.simplify() } else { tree.complicate() };
        if !goes_on {
            break;
        }
        let (expression, row) = tree.current();
        let verdict = judge(connection, &[(expression.clone(), row.clone())]).await.remove(0);
        fails = verdict.fails(expression.operations);
        if fails {
            smallest = described(&expression, &row, &verdict);
        }
    }
    smallest
}

fn described(Expression { text, sql, .. }: &Expression, row: &Row, verdict: &Verdict) -> String {
    let sql = if sql == text { String::new() } else { format!("\n    sql       {sql}") };
    let slots = row::shown(row, &verdict.slots);
    let Verdict { engine, postgres, .. } = verdict;
    format!("{text}{sql}\n    where     {slots}\n    engine    {engine:?}\n    postgres  {postgres:?}")
}

#[tokio::test]
async fn expressions_are_as_postgres_has_them() {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand_seed);
    let mut runner =
        TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() });
    let strategy = (forms::expression(), row::row());
    let mut connection = connect().await;
    let (mut failed, mut failures) = (0, Vec::new());
    let (mut values, mut named) = (0, BTreeMap::<&str, usize>::new());
    for _ in 0..BATCHES {
        let mut trees: Vec<_> = (0..BATCH).map(|_| strategy.new_tree(&mut runner).unwrap()).collect();
        let cases: Vec<Case> = trees.iter().map(ValueTree::current).collect();
        let verdicts = judge(&mut connection, &cases).await;
        for ((tree, (expression, _)), verdict) in trees.iter_mut().zip(&cases).zip(&verdicts) {
            values += usize::from(matches!(verdict.engine, Outcome::Value { text: Some(_), .. }));
            if let Some(name) = verdict.difference {
                *named.entry(name).or_default() += 1;
            }
            if verdict.fails(expression.operations) {
                failed += 1;
                if failures.len() < SHOWN {
                    failures.push(shrunk(&mut connection, tree).await);
                }
            }
        }
    }
    let cases = BATCHES * BATCH;
    println!("PROPTEST_RNG_SEED={seed}: {cases} expressions, {values} values; differences that are meant: {named:?}");
    assert!(
        failed == 0,
        "PROPTEST_RNG_SEED={seed}: {failed} of {cases} differ, among them\n\n{}",
        failures.join("\n\n")
    );
    // Most come to a value, or little was compared.
    assert!(values * 3 > cases, "{values} of {cases} came to a value");
}

/// Each difference that is meant is one still, and is told from others.
#[tokio::test]
async fn what_differs_is_named() {
    let plain = row::plain();
    let cases: Vec<Case> = differences::DIFFERENCES
        .iter()
        .map(|difference| (Expression::same(difference.witness), plain.clone()))
        .collect();
    let verdicts = judge(&mut connect().await, &cases).await;
    let mut wrong = Vec::new();
    for ((difference, (expression, row)), verdict) in differences::DIFFERENCES.iter().zip(&cases).zip(&verdicts) {
        let told = match difference.told {
            Told::By(_) => verdict.difference == Some(difference.name),
            Told::InSql | Told::NotGenerated => verdict.fails(expression.operations) || verdict.difference.is_some(),
        };
        if !told {
            let Difference { name, reason, .. } = difference;
            wrong.push(format!("{name} ({reason}): {}", described(expression, row, verdict)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos() % u128::from(u64::MAX)).unwrap()
}
