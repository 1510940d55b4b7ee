//! What feeds a view, one entry an alias: which event, in which role, under which names, one element at a time or whole.

use headwater_schemas::{FieldType, RecordType, Type};

use super::compile::{Context, EventId};
use super::scope::{Element, EventScope, Renames};
use super::{Each, Role};
use crate::declare::{InputDecl, Text, ViewDecl};
use crate::expr::{self, Ast, Expr, ExprError, Scope};
use crate::source::{Span, suggestion};
use crate::unknown::{self, is_unknown};

/// An event in `from`, as one alias has it.
pub(super) struct Fed {
    pub(super) id: EventId,
    /// The event's name.
    pub(super) name: String,
    pub(super) alias: Option<String>,
    pub(super) role: Role,
    pub(super) names: Names,
    pub(super) filter: Option<Expr>,
    /// The slot of the array among the event's fields.
    pub(super) array: Option<usize>,
}

/// The names that an alias gives.
#[derive(Default)]
pub(super) struct Names {
    pub(super) renames: Vec<(String, Vec<String>)>,
    pub(super) element: Option<Element>,
    /// Some of them are mistaken.
    pub(super) doubtful: bool,
}

impl Fed {
    /// The names that an argument may call it by.
    pub(super) fn called(&self) -> Vec<String> {
        self.alias.iter().chain([&self.name]).cloned().collect()
    }

    pub(super) fn changes(&self) -> bool {
        matches!(self.role, Role::Create | Role::Change)
    }

    /// What it unfolds, with the element's slots from `base`.
    pub(super) fn each(&self, base: usize) -> Option<Each> {
        let element = self.names.element.as_ref()?;
        Some(Each { array: self.array?, base, width: element.slots() })
    }
}

/// What feeds the view, in the order of its aliases. Deletions are `DeleteRow` until the key tells whether it names a row or
/// a partition; filters are for [`filters`](super::events), once it is known what they may read.
///
/// Also gives whether they are right; `doubtful` where not all events are known.
pub(super) fn read(
    cx: &mut Context,
    decl: &ViewDecl,
    refs: &[(EventId, &InputDecl)],
    doubtful: bool,
) -> (Vec<Fed>, bool) {
    let mut sound = roles_are_known(cx, decl, doubtful);
    let mut inputs: Vec<Fed> = Vec::new();
    for (id, input) in refs {
        let name = cx.event_name(*id).to_owned();
        let named = |names: &[Text]| names.iter().any(|name| input.is_named(name));
        let role = if named(&decl.delete_when) {
            Role::DeleteRow
        } else if decl.create_when.is_empty() || named(&decl.create_when) {
            Role::Create
        } else {
            Role::Change
        };
        let place = input.alias.as_ref().unwrap_or(&input.source);
        if named(&decl.delete_when) && named(&decl.create_when) {
            sound = false;
            let both = format!("`{}` both makes and deletes a row", place.value);
            cx.error(&place.span, both, "in both lists", None);
        }
        if input.alias.is_none() && inputs.iter().any(|fed| fed.id == *id) {
            sound = false;
            cx.error(&place.span, format!("event `{name}` is named twice"), "already read", None);
        }
        sound &= alias_is_free(cx, input);
        let names = names(cx, *id, &name, input);
        let array = names.element.as_ref().and(input.each.as_ref()).and_then(|(_, array)| cx.slot(*id, array));
        let alias = input.alias.as_ref().map(|alias| alias.value.clone());
        inputs.push(Fed { id: *id, name, alias, role, names, filter: None, array });
    }
    if sound && !doubtful && !inputs.iter().any(|fed| fed.role == Role::Create) {
        sound = false;
        cx.error(&decl.name.span, format!("no event makes a row of view `{}`", decl.name.value), "always empty", None);
    }
    (inputs, sound)
}

/// Whether `create_when` and `delete_when` name what is in `from`, and the one is there where the other is.
fn roles_are_known(cx: &mut Context, decl: &ViewDecl, doubtful: bool) -> bool {
    let mut sound = true;
    for name in decl.create_when.iter().chain(&decl.delete_when) {
        if decl.from.iter().any(|from| from.is_named(name)) {
            continue;
        }
        sound = false;
        // An event of its own right may be the one that is mistaken in `from`.
        if doubtful {
            continue;
        }
        let known = decl.from.iter().flat_map(|from| from.alias.iter().chain([&from.source]));
        let help = suggestion(&name.value, known.map(|name| name.value.as_str()));
        let message = format!("event `{}` is not in `from:` of view `{}`", name.value, decl.name.value);
        cx.unknown(&name.span, message, "not one of the events read", help);
    }
    if doubtful {
        // What is missing may be what is mistaken.
    } else if let ([first, ..], [], None) = (decl.delete_when.as_slice(), decl.create_when.as_slice(), &decl.with) {
        sound = false;
        cx.error(
            &first.span,
            format!("view `{}` deletes rows but does not say which event makes one", decl.name.value),
            "a late event after this one would raise a phantom row",
            Some("add `create_when:` with the event that makes a row".into()),
        );
    }
    sound
}

/// An alias is called like no event and no view: their names say whose field something is.
pub(super) fn alias_is_free(cx: &mut Context, input: &InputDecl) -> bool {
    let Some(alias) = &input.alias else { return true };
    let what = if cx.is_event(alias) {
        "an event"
    } else if cx.declared(alias) {
        "a view"
    } else {
        return true;
    };
    let message = format!("alias `{}` is the name of {what}", alias.value);
    cx.error(&alias.span, message, "taken", Some("call it by what it is here: `credit`, `sold`".into()));
    false
}

/// What the names under an alias of an event stand for.
fn names(cx: &mut Context, id: EventId, name: &str, input: &InputDecl) -> Names {
    let element = input.each.as_ref().map(|(element, array)| {
        let record = cx.record(id);
        let found = unknown::field_of(record, &array.value).map(|(_, field)| field.ty.clone());
        let known: Vec<String> = record.fields.iter().map(|field| field.name.clone()).collect();
        self::element(cx, element, array, found, &known, &format!("event `{name}`"))
    });
    let (element, sound) = element.unwrap_or((None, true));
    let asts = parsed(cx, input);
    let record = cx.record(id);
    let needed = cx.needed(id);
    let scope = plain_scope(name, record, needed, element.as_ref());
    let (renames, problems) = resolved(&asts, &scope);
    let doubtful = !sound || report(cx, problems) || asts.iter().any(|(.., ast)| ast.is_none());
    Names { renames, element, doubtful }
}

/// The scope of what an alias is made of: no names but the event's own.
fn plain_scope<'a>(
    event: &'a str,
    record: &'a RecordType,
    needed: &'a std::cell::RefCell<Vec<usize>>,
    element: Option<&'a Element>,
) -> EventScope<'a> {
    EventScope {
        event,
        alias: None,
        record,
        needed,
        renames: &[],
        element,
        with: None,
        with_readable: false,
        with_unknown: false,
    }
}

/// The elements that `each` unfolds, `found` being the type of what it names, and whether they are right. Of what is
/// mistaken nothing is known.
pub(super) fn element(
    cx: &mut Context,
    name: &Text,
    array: &Text,
    found: Option<FieldType>,
    known: &[String],
    owner: &str,
) -> (Option<Element>, bool) {
    let before = cx.reported();
    if known.contains(&name.value) {
        let message = format!("{owner} has a field `{}` already", name.value);
        cx.error(&name.span, message, "means two things", Some("give the elements another name".into()));
    }
    let item = match found.map(|found| found.ty) {
        Some(Type::Array(item)) => Some((*item).clone()),
        Some(ty) if is_unknown(&ty) => None,
        Some(ty) => {
            let message = format!("`each` unfolds an array, and `{}` is {ty}", array.value);
            cx.error(&array.span, message, "not an array", None);
            None
        }
        None => {
            let help = suggestion(&array.value, known.iter().map(String::as_str));
            cx.unknown(&array.span, format!("{owner} has no field `{}`", array.value), "not an array of it", help);
            None
        }
    };
    let sound = item.is_some() && cx.reported() == before;
    (Some(Element::new(&name.value, item.unwrap_or_else(unknown::ty))), sound)
}

/// A new name, what is written for it, and that as a path; None where it makes no sense, which was reported.
pub(super) type Renamed = (Text, Text, Option<Ast>);

pub(super) fn parsed(cx: &mut Context, input: &InputDecl) -> Vec<Renamed> {
    input.renames.iter().map(|(name, text)| (name.clone(), text.clone(), cx.parse(text))).collect()
}

/// What is wrong with a new name.
pub(super) enum Problem {
    Expression(Text, Vec<ExprError>),
    /// Not a field, but something made of one.
    NoField(Span, String),
}

/// The paths that new names stand for: none where that is mistaken.
pub(super) fn resolved(asts: &[Renamed], scope: &dyn Scope) -> (Vec<(String, Vec<String>)>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut renames = Vec::new();
    for (name, text, ast) in asts {
        let path = ast.as_ref().and_then(Ast::as_path).unwrap_or_default();
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        let whole = scope.name(&segments).is_some_and(|binding| binding.used == segments.len());
        if let Some(ast) = ast.as_ref().filter(|_| !whole) {
            problems.push(match expr::compile(ast, scope) {
                Err(errors) => Problem::Expression(text.clone(), errors),
                Ok(_) => Problem::NoField(text.span.clone(), name.value.clone()),
            });
        }
        renames.push((name.value.clone(), if whole { path } else { Vec::new() }));
    }
    (renames, problems)
}

/// Reports what is wrong with new names; whether there was any.
pub(super) fn report(cx: &mut Context, problems: Vec<Problem>) -> bool {
    let any = !problems.is_empty();
    for problem in problems {
        match problem {
            Problem::Expression(text, errors) => drop(cx.taken(&text, Err(errors))),
            Problem::NoField(span, name) => {
                let help = format!("write the expression where `{name}` is used");
                cx.error(&span, "`as` gives a field another name".into(), "not a field", Some(help));
            }
        }
    }
    any
}

/// Takes a compiled condition, or reports why it is none.
pub(super) fn condition(cx: &mut Context, text: &Text, compiled: Result<Expr, Vec<ExprError>>) -> Option<Expr> {
    let filter = cx.taken(text, compiled)?;
    if filter.ty.ty == Type::Boolean || filter.is_unknown() {
        return Some(filter);
    }
    let message = format!("a condition is true or false, and this is {}", filter.ty.ty);
    cx.error(&text.span, message, "not a condition", None);
    None
}

/// The empty list of new names.
pub(super) const NO_RENAMES: &Renames = &[];
