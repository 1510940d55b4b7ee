//! Paths and names that commands and queries share: one URL space, one name each.

use crate::declare::command::Method;
use crate::declare::{CommandDecl, QueryDecl, Text};
use crate::route::Route;
use crate::source::{Code, Diagnostic, Sources};

/// A declared path.
struct Declared<'d> {
    /// None: GET.
    method: Option<Method>,
    name: &'d Text,
    path: &'d Text,
    route: Route,
}

/// Two queries of one path or name; one path whose parameters are called differently here and there. (That commands do
/// not take each other's requests is [`crate::command::compile_all`]'s to say.)
pub(super) fn check(commands: &[CommandDecl], queries: &[QueryDecl], sources: &Sources, out: &mut Vec<Diagnostic>) {
    for (index, query) in queries.iter().enumerate() {
        if let Some(other) = queries[..index].iter().find(|other| other.name.value == query.name.value) {
            let message = format!("there are two queries `{}`", query.name.value);
            out.push(
                Diagnostic::error(&query.name.span, message)
                    .label(at(&other.name, &query.name, sources))
                    .code(Code::Duplicate),
            );
        }
    }
    let of_commands = commands.iter().map(|decl| (Some(decl.method), &decl.name, &decl.path));
    let of_queries = queries.iter().map(|decl| (None, &decl.name, &decl.path));
    // A path that is none is reported where its command or query is compiled.
    let routes: Vec<Declared<'_>> = of_queries
        .chain(of_commands)
        .filter_map(|(method, name, path)| Some(Declared { method, name, path, route: Route::parse(path).ok()? }))
        .collect();
    for (index, declared) in routes.iter().enumerate() {
        let same = routes[..index].iter().find(|other| other.route.clashes(&declared.route));
        let Some(other) = same else { continue };
        if declared.method.is_none() {
            let message =
                format!("queries `{}` and `{}` answer the same requests", other.name.value, declared.name.value);
            let error = Diagnostic::error(&declared.path.span, message);
            out.push(error.label("already taken").code(Code::Duplicate).help("give one of them another path"));
        } else if other.route != declared.route && !is_mistaken(declared.path, out) && !is_mistaken(other.path, out) {
            let message = format!(
                "`{}` and `{}` are one path with parameters of different names",
                other.path.value, declared.path.value
            );
            let error = Diagnostic::error(&declared.path.span, message).label(at(other.path, declared.path, sources));
            out.push(error.help(format!("one path has one set of names: write `{}`", other.path.value)));
        }
    }
}

/// Whether a path was found to be wrong by itself, so that it need not be compared.
fn is_mistaken(path: &Text, out: &[Diagnostic]) -> bool {
    out.iter().any(|error| error.is_error() && error.span.is_within(&path.span))
}

/// Where the first one is, seen from the second.
fn at(first: &Text, second: &Text, sources: &Sources) -> String {
    let line = sources.place(&first.span).line;
    if first.span.file == second.span.file {
        format!("first in line {line}")
    } else {
        format!("first in {}:{line}", sources.path(first.span.file).display())
    }
}
