//! What several commands decide together: who takes turns, whose store holds their claims, and which would answer the
//! same request.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Command, Context, compile};
use crate::declare::CommandDecl;
use crate::plan::Topology;
use crate::route::Route;
use crate::source::{Code, Diagnostic};

/// Compiles all commands of a project, and decides what they decide together.
///
/// # Errors
/// Every mistake found, each with its place.
pub fn compile_all(decls: &[CommandDecl], cx: &Context<'_>) -> Result<Vec<Arc<Command>>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut commands: Vec<(&CommandDecl, Command)> = Vec::new();
    let compiled: Vec<_> = decls.par_iter().map(|decl| compile(decl, cx)).collect();
    for (decl, compiled) in decls.iter().zip(compiled) {
        match compiled {
            Ok(command) => commands.push((decl, command)),
            Err(found) => problems.extend(found),
        }
    }
    // A path that is none is reported where its command is compiled.
    let routes: Vec<Option<Route>> = decls.iter().map(|decl| Route::parse(&decl.path).ok()).collect();
    for (index, later) in decls.iter().enumerate() {
        for (earlier, route) in decls[..index].iter().zip(&routes) {
            clash(later, routes[index].as_ref(), earlier, route.as_ref(), &mut problems);
        }
    }
    problems.extend(take_turns(&mut commands));
    if problems.is_empty() {
        Ok(commands.into_iter().map(|(_, command)| Arc::new(command)).collect())
    } else {
        Err(problems)
    }
}

fn clash(
    later: &CommandDecl,
    later_route: Option<&Route>,
    earlier: &CommandDecl,
    earlier_route: Option<&Route>,
    problems: &mut Vec<Diagnostic>,
) {
    if later.name.value == earlier.name.value {
        let message = format!("there are two commands `{}`", later.name.value);
        problems.push(Diagnostic::error(&later.name.span, message).label("already declared").code(Code::Duplicate));
    }
    let same = later_route.zip(earlier_route).is_some_and(|(later, earlier)| later.clashes(earlier));
    if later.method == earlier.method && same {
        let message = format!("commands `{}` and `{}` take the same requests", earlier.name.value, later.name.value);
        let problem = Diagnostic::error(&later.path.span, message).label("already taken").code(Code::Duplicate);
        problems.push(problem.help("give one of them another method or path"));
    }
}

/// If any command of a topic looks at a row, all of them take the key's turn, in the one topology whose store holds it.
fn take_turns(commands: &mut [(&CommandDecl, Command)]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut homes: Vec<(String, Arc<Topology>, String)> = Vec::new();
    for (decl, command) in commands.iter() {
        let named = [
            command.on.as_ref().map(|on| (&on.topology, &on.view().table.name, decl.on.as_ref())),
            command.unique.as_ref().map(|unique| (&unique.topology, &unique.view().table.name, decl.unique.as_ref())),
        ];
        for (topology, view, text) in named.into_iter().flatten() {
            match homes.iter().find(|(topic, ..)| *topic == command.topic.name) {
                None => homes.push((command.topic.name.clone(), topology.clone(), view.clone())),
                Some((_, home, first)) if home.name != topology.name => {
                    let message = format!(
                        "commands of topic `{}` name views of two topologies: `{first}` of `{}`, and `{view}` of `{}`",
                        command.topic.name, home.name, topology.name
                    );
                    let span = text.map_or(&decl.name.span, |text| &text.span);
                    let problem = Diagnostic::error(span, message).label("of another topology");
                    problems.push(problem.help("their claims are held by one store: name views of one topology"));
                }
                Some(_) => {}
            }
        }
    }
    // An upload's sweep settles its event where that is decided: a unique value alone would leave it no place to ask.
    let guards = |c: &Command| c.reads_row() || (c.unique.is_some() && c.takes_upload());
    let guarded: Vec<String> = commands.iter().filter(|(_, c)| guards(c)).map(|(_, c)| c.topic.name.clone()).collect();
    for (_, command) in commands.iter_mut() {
        command.takes_turns = guarded.contains(&command.topic.name);
        let home = homes.iter().find(|(topic, ..)| *topic == command.topic.name);
        command.home = home.map(|(_, topology, _)| topology.clone());
    }
    problems
}
