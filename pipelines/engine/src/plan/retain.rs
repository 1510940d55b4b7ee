//! `retain: { days: 365, after: updated }`: how long rows are shown, and whether a store may delete them after that.
//!
//! A row past its horizon is hidden from every read; the fold still sees it. Where nothing is ever made of it again the
//! store may delete it at any time, and no reader can tell: a row that comes back is made whole by one event. Such views
//! are *pruned*:
//!
//! - a re-keyed copy, whose rows are mapped from the source's, which are there;
//! - a view of events in which every event that touches a row makes it, and sets every column by `last`. An event that
//!   leaves a column as it was, or only changes a row that exists, would find out;
//!
//! and no view reads them, since it would miss what is deleted. All other rows stay until the views are folded anew.

use headwater_schemas::Type;

use super::compile::Context;
use super::{EventSource, Reducer, Role, Source, View};
use crate::declare::ViewDecl;
use crate::source::suggestion;
use crate::table::Retain;
use crate::unknown::{is_any, is_unknown};

/// Settles the column; whether rows are pruned is known when all views are.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, view: &mut View) {
    let Some(declared) = &decl.retain else { return };
    let after = &declared.after;
    let columns = &view.table.columns;
    let Some((column, found)) = view.table.column(&after.value) else {
        if !columns.iter().any(|column| is_any(&column.name)) {
            let help = suggestion(&after.value, columns.iter().map(|column| column.name.as_str()));
            let message = format!("view `{}` has no column `{}`", decl.name.value, after.value);
            cx.unknown(&after.span, message, "not a column of this view", help);
        }
        return;
    };
    let ty = &found.ty.ty;
    if !is_unknown(ty) && !is_time(ty) {
        let times: Vec<String> =
            columns.iter().filter(|column| is_time(&column.ty.ty)).map(|column| format!("`{}`", column.name)).collect();
        let help = match times.as_slice() {
            [] => "this view has no column with a date or a timestamp".to_owned(),
            times => format!("a column with a time: {}", times.join(", ")),
        };
        let message = format!("`retain` counts from a date or a timestamp, and `{}` is {ty}", after.value);
        cx.error(&after.span, message, "not a time", Some(help));
        return;
    }
    view.table.retain = Some(Retain { days: declared.days, column, pruned: false });
}

/// Settles whether rows are pruned, once it is known which views are read by others.
pub(super) fn settle(view: &mut View) {
    let forgets = !view.has_dependents
        && match &view.source {
            Source::Copy(_) => true,
            Source::Events(source) => view.owner.is_some() && forgets(source),
            Source::Aggregate(_) | Source::Seen(_) => false,
        };
    if let Some(retain) = &mut view.table.retain {
        retain.pruned = forgets;
    }
}

fn is_time(ty: &Type) -> bool {
    *ty == Type::Date || ty.is_timestamp()
}

/// Whether no row depends on what it was before.
fn forgets(source: &EventSource) -> bool {
    let inputs = || source.inputs();
    let sets = |arguments: &[Option<super::Argument>]| {
        arguments.iter().all(|argument| argument.as_ref().is_some_and(|argument| argument.filter.is_none()))
    };
    source.reducers.iter().all(|reducer| matches!(reducer, Reducer::Last))
        && inputs().all(|input| input.role != Role::Change)
        && inputs().filter(|input| input.role == Role::Create).all(|input| sets(&input.arguments))
}
