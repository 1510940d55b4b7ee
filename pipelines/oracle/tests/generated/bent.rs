//! Second folds that are wrong, each in one thing: they are given another topology or another log than the engine.

use headwater_oracle::expr::{Comparison, Expr};
use headwater_oracle::topology::{Argument, Column, Kind, Reducer, View};
use headwater_oracle::{Log, Topology, Value};

pub(crate) type Bent = fn(&mut Topology, &mut Log);

pub(crate) const WRONG: [(&str, Bent); 31] = [
    ("min as max", |topology, _| swap(topology, Kind::Least, Kind::Greatest)),
    ("first as last", |topology, _| swap(topology, Kind::First, Kind::Last)),
    ("count of distinct as count", |topology, _| swap(topology, Kind::Distinct, Kind::Count)),
    ("a set as a list", |topology, _| swap(topology, Kind::Set, Kind::List)),
    ("no filter", |topology, _| reducers(topology, |reducer| reducer.filter = None)),
    ("no order by", |topology, _| reducers(topology, |reducer| reducer.order.clear())),
    ("order by the first alone", |topology, _| reducers(topology, |reducer| reducer.order.truncate(1))),
    ("no desc", |topology, _| {
        reducers(topology, |reducer| reducer.order.iter_mut().for_each(|order| order.desc = false));
    }),
    ("a population for a sample", |topology, _| {
        reducers(topology, |reducer| {
            if let Kind::Deviation { sample, .. } = &mut reducer.kind {
                *sample = false;
            }
        });
    }),
    ("no where", |topology, _| views(topology, |view| view.aliases.iter_mut().for_each(|alias| alias.filter = None))),
    ("nothing deleted", |topology, _| {
        views(topology, |view| {
            // What deletes comes last.
            view.aliases.truncate(view.aliases.len() - view.delete_when.len());
            view.delete_when.clear();
        });
    }),
    ("made by anything", |topology, _| views(topology, |view| view.create_when.clear())),
    ("repeats counted", |topology, _| topology.topics.iter_mut().for_each(|topic| topic.deduplicate = None)),
    ("a row shown by any topic's part", |topology, _| of_several(topology, |view| view.create_when.clear())),
    ("a topic left out of a view of several", |topology, _| {
        of_several(topology, |view| {
            let first = view.topics()[0];
            let others = view.aliases.iter_mut().filter(|alias| alias.event.topic != first);
            others.for_each(|alias| alias.filter = Some(Expr::Literal(Value::Boolean(false))));
        });
    }),
    ("shown for a day more", |topology, _| {
        views(topology, |view| view.retain.iter_mut().for_each(|retain| retain.days += 1));
    }),
    ("no headers", |_, log| log.iter_mut().for_each(|record| record.headers.clear())),
    ("written at once", |_, log| log.iter_mut().for_each(|record| record.time = Value::Time(0))),
    ("older names unknown", |topology, log| log.retain(|record| topology.written_as(record).is_none())),
    ("a record's key not known", |topology, _| {
        exprs(topology, |expr| {
            if *expr == Expr::name("_key") {
                *expr = Expr::Literal(Value::Null);
            }
        });
    }),
    ("zones not told apart", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Truncate(_, zone, _) = expr {
                *zone = "UTC";
            }
        });
    }),
    ("a day as a month", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Extract(part @ "day", ..) = expr {
                *part = "month";
            }
        });
    }),
    ("between without an end", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Between(subject, least, _) = expr {
                *expr = Expr::Compare(Comparison::AtLeast, subject.clone(), least.clone());
            }
        });
    }),
    ("in without its nulls", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::In(_, list) = expr {
                list.retain(|item| *item != Expr::Literal(Value::Null));
            }
        });
    }),
    ("a pattern as a text", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Like(text, pattern) = expr {
                let pattern = Expr::Literal(Value::text(pattern));
                *expr = Expr::Compare(Comparison::Equal, text.clone(), pattern.into());
            }
        });
    }),
    ("the first of what is chosen from", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Switch(_, _, then, _) = expr {
                *expr = (**then).clone();
            }
        });
    }),
    ("what is cast as null", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Cast(..) = expr {
                *expr = Expr::Literal(Value::Null);
            }
        });
    }),
    ("concat as ||", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Joined(left, right) = expr {
                *expr = Expr::Concat(left.clone(), right.clone());
            }
        });
    }),
    ("no number as the greatest", |topology, _| {
        exprs(topology, |expr| {
            if matches!(expr, Expr::Literal(Value::Double(x)) if x.is_nan()) {
                *expr = Expr::Literal(Value::Double(f64::INFINITY));
            }
        });
    }),
    ("elements from the second", |topology, _| {
        exprs(topology, |expr| {
            if let Expr::Item(_, place) = expr {
                *place += 1;
            }
        });
    }),
    ("another entry of a map, another field of a record", |topology, _| {
        exprs(topology, |expr| match expr {
            Expr::Entry(_, key) => *key = "y",
            Expr::Field(_, field @ "city") => *field = "none",
            _ => {}
        });
    }),
];

fn views(topology: &mut Topology, change: impl Fn(&mut View)) {
    topology.views.iter_mut().for_each(change);
}

fn of_several(topology: &mut Topology, change: impl Fn(&mut View)) {
    topology.views.iter_mut().filter(|view| view.topics().len() > 1).for_each(change);
}

fn reducers(topology: &mut Topology, change: impl Fn(&mut Reducer)) {
    views(topology, |view| {
        for (_, column) in &mut view.columns {
            match column {
                Column::Reducer(reducer) => change(reducer),
                Column::Computed(reducers, _) => reducers.iter_mut().for_each(&change),
                Column::Plain(_) => {}
            }
        }
    });
}

fn swap(topology: &mut Topology, from: Kind, to: Kind) {
    reducers(topology, |reducer| {
        if reducer.kind == from {
            reducer.kind = to;
        }
    });
}

/// Every expression, and all that it is made of.
fn exprs(topology: &mut Topology, change: impl Fn(&mut Expr)) {
    let change = |expr: &mut Expr| within(expr, &change);
    reducers(topology, |reducer| {
        reducer.filter.iter_mut().chain(reducer.order.iter_mut().map(|order| &mut order.by)).for_each(change);
        match &mut reducer.argument {
            Argument::None => {}
            Argument::Same(expr) => change(expr),
            Argument::Each(by_alias) => by_alias.iter_mut().for_each(|(_, expr)| change(expr)),
        }
    });
    views(topology, |view| {
        view.key.iter_mut().for_each(|(_, expr)| change(expr));
        view.aliases.iter_mut().filter_map(|alias| alias.filter.as_mut()).for_each(change);
        for (_, column) in &mut view.columns {
            if let Column::Plain(expr) | Column::Computed(_, expr) = column {
                change(expr);
            }
        }
    });
}

fn within(expr: &mut Expr, change: &dyn Fn(&mut Expr)) {
    match expr {
        Expr::Name(_) | Expr::Literal(_) => {}
        Expr::Field(of, _) | Expr::Item(of, _) | Expr::Entry(of, _) | Expr::Cardinality(of) => within(of, change),
        Expr::Negate(of, _) | Expr::Not(of) | Expr::IsNull(of) | Expr::Like(of, _) | Expr::Text(_, of) => {
            within(of, change);
        }
        Expr::Cast(of, _) | Expr::Truncate(_, _, of) | Expr::Extract(_, _, of) => within(of, change),
        Expr::Arithmetic(_, a, b, _) | Expr::Compare(_, a, b) => [a, b].into_iter().for_each(|one| within(one, change)),
        Expr::And(a, b) | Expr::Or(a, b) | Expr::IsDistinct(a, b) | Expr::Coalesce(a, b) => {
            [a, b].into_iter().for_each(|one| within(one, change));
        }
        Expr::NullIf(a, b) | Expr::Concat(a, b) | Expr::Joined(a, b) => {
            [a, b].into_iter().for_each(|one| within(one, change));
        }
        Expr::Case(a, b, c) | Expr::Between(a, b, c) => [a, b, c].into_iter().for_each(|one| within(one, change)),
        Expr::Switch(a, b, c, d) => [a, b, c, d].into_iter().for_each(|one| within(one, change)),
        Expr::In(of, list) => {
            within(of, change);
            list.iter_mut().for_each(|item| within(item, change));
        }
    }
    change(expr);
}
