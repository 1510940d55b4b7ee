//! From a declaration to a [`Command`]: names are resolved, every field of the event is given by one thing, expressions
//! are typed.

use std::sync::Arc;

use headwater_schemas::topic::Topic;
use headwater_schemas::{Field, FieldType, RecordType, Type, Value};

use super::scope::CommandScope;
use super::{Command, Given, On, Param, Require, UploadShape, assign, body_type, unique};
use crate::allow::{Allow, AnyRow, Columns, NoRow, Verdict};
use crate::declare::command::RequireDecl;
use crate::declare::{CommandDecl, TOMBSTONE, Text};
use crate::expr::{self, Ast, Expr, ExprError};
use crate::plan::Topology;
use crate::route::Route;
use crate::source::{Diagnostic, Span};
use crate::table::Table;
use crate::unknown::{self, Missing, is_unknown};

/// What commands are compiled against.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub topics: &'a [Arc<Topic>],
    pub topologies: &'a [Arc<Topology>],
    /// The paths of queries for one row: where what a command makes can be read.
    pub rows: &'a [Route],
    /// What is not found may be among these.
    pub missing: Missing,
}

/// Compiles one command by itself; [`super::compile_all`] also decides what commands decide together.
///
/// # Errors
/// Every mistake found, each with its place.
pub fn compile(decl: &CommandDecl, cx: &Context<'_>) -> Result<Command, Vec<Diagnostic>> {
    let mut compiler = Compiler { decl, cx, problems: Vec::new() };
    match compiler.command() {
        Some(command) if compiler.problems.is_empty() => Ok(command),
        _ => Err(compiler.problems),
    }
}

struct Compiler<'a> {
    decl: &'a CommandDecl,
    cx: &'a Context<'a>,
    problems: Vec<Diagnostic>,
}

/// What `set:` says of a field, parsed.
struct Setting<'a> {
    field: usize,
    /// Whether the event is known to have the field.
    known: bool,
    text: &'a Text,
    ast: Ast,
}

/// What is known of the row that `on:` names.
struct RowShape {
    table: Table,
    /// Its key and its owner are not to be relied on.
    doubtful: bool,
}

/// Where the event's fields come from.
struct Sources<'s> {
    fields: &'s [Given],
    settings: &'s [Setting<'s>],
    scope: &'s CommandScope<'s>,
}

impl<'a> Compiler<'a> {
    fn command(&mut self) -> Option<Command> {
        let path = self.path();
        let emitted = self.emitted();
        let record = match &emitted {
            Some((topic, event)) => topic.events[*event].schema.record.clone(),
            None => unknown::schema("event", vec![unknown::any_field()])?.record,
        };
        let (on, row) = self.on(emitted.as_ref().map(|(topic, _)| &**topic), path.as_ref());
        let table = row.as_ref().map(|row| row.table.clone());
        let params = path.as_ref().map(|path| self.params(path, &record, row.as_ref())).unwrap_or_default();
        let settings = self.settings(&record);
        let requires = self.requires();
        let body = self.body(&record, &params, &settings, &requires);
        let allow = self.allow(table.as_ref());
        // What is wrong with `allow` says nothing of who is signed in.
        let signed_in = allow.as_ref().is_none_or(|allow| allow.before_row(None) == Verdict::No);
        let scope = CommandScope { params: &params, body: &body, row: table.as_ref(), signed_in, makes_ids: true };
        let fields = self.fields(&record, &scope, &settings);
        let scope = CommandScope { makes_ids: false, ..scope };
        let require = requires.iter().filter_map(|(decl, ast)| self.require(decl, ast, &scope)).collect();
        let ((topic, event), fields) = (emitted?, fields?);
        self.check_key(&topic, event, &Sources { fields: &fields, settings: &settings, scope: &scope }, on.as_ref());
        let unique = self.unique(&topic, event);
        let ids: Vec<usize> = settings.iter().filter(|s| is_call(&s.ast, "new_id")).map(|s| s.field).collect();
        Some(Command {
            name: self.decl.name.value.clone(),
            doc: self.decl.doc.clone(),
            method: self.decl.method,
            location: self.location(&record, &ids),
            path: path?,
            allow: allow?,
            upload: fields.iter().position(|given| matches!(given, Given::Upload(_))),
            takes_turns: on.is_some(),
            home: on.as_ref().map(|on| on.topology.clone()),
            topic,
            event,
            params,
            body: Arc::new(body),
            on,
            require,
            unique,
            fields,
            ids,
        })
    }

    fn path(&mut self) -> Option<Route> {
        // An empty path was reported.
        let path = Some(&self.decl.path).filter(|path| !path.is_empty())?;
        Route::parse(path).map_err(|found| self.problems.extend(found)).ok()
    }

    fn emitted(&mut self) -> Option<(Arc<Topic>, usize)> {
        let name = &self.decl.emits;
        let found = self.cx.topics.iter().find_map(|topic| {
            topic.events.iter().position(|event| event.name == name.value).map(|event| (topic.clone(), event))
        });
        // `Tombstone` was refused where it was read.
        if found.is_none() && !self.cx.missing.events && !name.is_empty() && name.value != TOMBSTONE {
            let events = self.cx.topics.iter().flat_map(|topic| &topic.events).map(|event| event.name.as_str());
            let problem = Diagnostic::error(&name.span, format!("there is no event `{}`", name.value));
            self.problems.push(problem.label("no topic has it").nearest(&name.value, events));
        }
        found
    }

    /// The row that the path names: its view is owned by the topic's key, and each column of its key is a parameter. Also
    /// what is known of the row where something is mistaken.
    fn on(&mut self, topic: Option<&Topic>, path: Option<&Route>) -> (Option<On>, Option<RowShape>) {
        let Some(name) = &self.decl.on else { return (None, None) };
        let found =
            self.cx.topologies.iter().find_map(|topology| topology.view(&name.value).map(|(view, _)| (topology, view)));
        let Some((topology, index)) = found else {
            let views = self.cx.topologies.iter().flat_map(|topology| &topology.views);
            let problem = Diagnostic::error(&name.span, format!("there is no view `{}`", name.value));
            let problem = problem.label("not a view").nearest(name, views.map(|view| view.table.name.as_str()));
            self.problems.extend((!self.cx.missing.views && !name.is_empty()).then_some(problem));
            let table = unknown::table(&name.value);
            return (None, Some(RowShape { table, doubtful: true }));
        };
        let view = &topology.views[index];
        let row = Some(RowShape { table: view.table.clone(), doubtful: view.doubtful });
        let (Some(topic), Some(path), false) = (topic, path, view.doubtful) else { return (None, row) };
        if view.owned_by(topology) != Some(&topic.name) {
            let message = format!("view `{}` is not owned by the key of topic `{}`", name.value, topic.name);
            let help = "a command can look only at rows that the events of its own key make: one partition feeds them";
            self.problems.push(Diagnostic::error(&name.span, message).label("not this topic's own").help(help));
            return (None, row);
        }
        let mut key = Vec::new();
        for column in &view.table.columns[..view.table.key_len()] {
            match path.parameters().position(|param| param == column.name) {
                Some(param) => key.push(param),
                // A parameter that is nothing was probably meant to be this, and is reported.
                None if path.parameters().any(|param| is_nothing(param, topic, &self.decl.emits, &view.table)) => {}
                None => {
                    let message = format!("the path does not name the key of view `{}`", name.value);
                    let help = format!("put `{{{}}}` into the path", column.name);
                    self.problems.push(Diagnostic::error(&self.decl.path.span, message).label("which row?").help(help));
                }
            }
        }
        let whole = key.len() == view.table.key_len();
        (whole.then(|| On { topology: topology.clone(), view: index, key }), row)
    }

    /// What each parameter is; of unknown type where that is mistaken.
    fn params(&mut self, path: &Route, record: &RecordType, row: Option<&RowShape>) -> Vec<Param> {
        let mut params = Vec::new();
        for name in path.parameters() {
            let field = unknown::field_of(record, name).map(|(_, field)| field.ty.ty.clone());
            let column = row.and_then(|row| {
                let (index, column) = unknown::column(&row.table, name)?;
                (row.doubtful || index < row.table.key_len()).then(|| column.ty.ty.clone())
            });
            let problem = match (&field, &column) {
                (None, None) => {
                    Some(format!("`{{{name}}}` is neither a field of `{}` nor a key of `on:`", record.name))
                }
                (Some(field), Some(column)) if field != column && !is_unknown(field) && !is_unknown(column) => {
                    Some(format!("`{name}` is {field} in `{}` and {column} in the view", record.name))
                }
                (Some(ty), _) | (None, Some(ty)) if !crate::plan::may_be_key(ty) => {
                    Some(format!("`{name}` is {ty}, which cannot stand in a path"))
                }
                _ => None,
            };
            if let Some(message) = problem {
                let names = record.fields.iter().map(|field| field.name.as_str());
                let problem = Diagnostic::error(&self.decl.path.span, message).label("of no type");
                self.problems.push(problem.nearest(name, names));
            }
            let ty = field.or(column).map_or_else(unknown::ty, FieldType::required);
            params.push(Param { name: name.to_owned(), ty });
        }
        params
    }

    fn settings(&mut self, record: &RecordType) -> Vec<Setting<'a>> {
        let mut settings: Vec<Setting<'a>> = Vec::new();
        for (name, text) in &self.decl.set {
            let Some((field, _)) = unknown::field_of(record, &name.value) else {
                let names = record.fields.iter().map(|field| field.name.as_str());
                let message = format!("event `{}` has no field `{}`", record.short_name(), name.value);
                self.problems.push(Diagnostic::error(&name.span, message).label("not a field").nearest(name, names));
                continue;
            };
            let known = record.fields[field].name == name.value;
            if known && settings.iter().any(|setting| setting.field == field) {
                let message = format!("`{}` is set twice", name.value);
                self.problems.push(Diagnostic::error(&name.span, message).label("already set"));
            } else if let Some(ast) = self.parse(text) {
                settings.push(Setting { field, known, text, ast });
            }
        }
        settings
    }

    fn requires(&mut self) -> Vec<(&'a RequireDecl, Ast)> {
        self.decl.require.iter().filter_map(|require| Some((require, self.parse(&require.that)?))).collect()
    }

    /// What the body may hold: the event's fields that neither the path nor `set:` gives, then what `body:` adds. A field
    /// that `set:` gives and an expression reads as `body.x` may be left out of the body.
    fn body(
        &mut self,
        record: &RecordType,
        params: &[Param],
        settings: &[Setting<'_>],
        requires: &[(&RequireDecl, Ast)],
    ) -> RecordType {
        let is_param = |name: &str| params.iter().any(|param| param.name == name);
        let declared_set = |name: &str| self.decl.set.iter().any(|(set, _)| set.value == name);
        let mut fields: Vec<Field> = record
            .fields
            .iter()
            .filter(|field| !is_param(&field.name) && !declared_set(&field.name))
            .cloned()
            .collect();
        for (name, text) in &self.decl.body {
            if is_param(&name.value) || fields.iter().any(|field| field.name == name.value) {
                let message = format!("`{}` is given already", name.value);
                let problem = Diagnostic::error(&name.span, message).label("a field of the event, or a parameter");
                self.problems.push(problem.help("`body:` adds fields that the event has not"));
                continue;
            }
            match body_type::field(name, text) {
                Ok(field) => fields.push(field),
                Err(problem) => self.problems.push(problem),
            }
        }
        let asts = settings.iter().map(|setting| &setting.ast).chain(requires.iter().map(|(_, ast)| ast));
        for (path, _) in asts.flat_map(|ast| ast.paths()) {
            let [word, name, ..] = path.as_slice() else { continue };
            let known = fields.iter().any(|field| field.name == *name);
            if word != "body" || known || !declared_set(name) {
                continue;
            }
            if let Some((_, field)) = record.field(name) {
                let ty = FieldType::nullable(field.ty.ty.clone());
                fields.push(Field { ty, default: Some(Value::Null), ..field.clone() });
            }
        }
        RecordType { name: format!("{}.body", self.decl.name.value), aliases: Vec::new(), fields, doc: None }
    }

    fn allow(&mut self, row: Option<&Table>) -> Option<Allow> {
        let columns: &dyn Columns = match row {
            Some(table) if table.columns.iter().all(|column| unknown::is_any(&column.name)) => &AnyRow,
            Some(table) => table,
            None => &NoRow,
        };
        Allow::compile(&self.decl.allow, columns).map_err(|problem| self.problems.push(problem)).ok()
    }

    /// Where each field of the event comes from.
    fn fields(
        &mut self,
        record: &RecordType,
        scope: &CommandScope<'_>,
        settings: &[Setting<'_>],
    ) -> Option<Vec<Given>> {
        let mut fields = Vec::new();
        for (index, field) in record.fields.iter().enumerate() {
            let param = scope.params.iter().position(|param| param.name == field.name);
            let setting = settings.iter().find(|setting| setting.known && setting.field == index);
            let given = match (param, setting) {
                (Some(_), Some(setting)) => {
                    let message = format!("`{}` is given by the path and by `set:`", field.name);
                    let problem = Diagnostic::error(&setting.text.span, message).label("given twice");
                    self.problems.push(problem.help("give it by one of them"));
                    None
                }
                (Some(param), None) => Some(Given::Param(param)),
                (None, Some(setting)) if is_call(&setting.ast, "upload") => self.upload(field, setting),
                (None, Some(setting)) => self.set(field, setting, scope),
                (None, None) => scope.body.field(&field.name).map(|(body, _)| Given::Body(body)),
            };
            fields.extend(given);
        }
        for setting in settings.iter().filter(|setting| !setting.known && !is_call(&setting.ast, "upload")) {
            self.compiled(setting.text, &setting.ast, scope);
        }
        let uploads: Vec<&Setting<'_>> = settings.iter().filter(|s| is_call(&s.ast, "upload")).collect();
        if let [_, second, ..] = uploads.as_slice() {
            let problem = Diagnostic::error(&second.text.span, "a command takes one upload");
            self.problems.push(problem.label("a second one"));
        }
        (fields.len() == record.fields.len()).then_some(fields)
    }

    fn set(&mut self, field: &Field, setting: &Setting<'_>, scope: &CommandScope<'_>) -> Option<Given> {
        let value = self.compiled(setting.text, &setting.ast, scope)?;
        if value.is_unknown() || is_unknown(&field.ty.ty) {
            return None;
        }
        let Some(to) = assign::between(&value.ty.ty, &field.ty.ty) else {
            let message = format!("`{}` is {}, and this gives {}", field.name, field.ty.ty, value.ty.ty);
            let problem = Diagnostic::error(&setting.text.span, message).label("of another type");
            self.problems.push(problem.help(format!("cast it to {}", field.ty.ty)));
            return None;
        };
        let actor = expr::Scope::call(scope, "actor", 0).map(|binding| binding.slot);
        if value.ty.nullable
            && !field.ty.nullable
            && !scope.signed_in
            && actor.is_some_and(|s| value.slots().contains(&s))
        {
            let message = format!("`{}` may not be null, and `actor()` is where nobody is signed in", field.name);
            let problem = Diagnostic::error(&setting.text.span, message).label("may be nobody");
            self.problems.push(problem.help("write `allow: signed_in`, or `coalesce(actor(), 'nobody')`"));
            return None;
        }
        if value.slots().is_empty() {
            // A constant: what is wrong with it is wrong every time.
            let bump = bumpalo::Bump::new();
            let found = match value.eval(&[], &bump) {
                Ok(constant) => to.convert(&constant, &field.ty).err(),
                Err(error) => Some(format!("cannot be computed: {error}")),
            };
            if let Some(found) = found {
                let message = format!("`{}` {found}", field.name);
                self.problems.push(Diagnostic::error(&setting.text.span, message).label("never fits"));
                return None;
            }
        }
        Some(Given::Set { value, to })
    }

    /// An upload is noted as a record with `blob`, `sha256` and `size`.
    fn upload(&mut self, field: &Field, setting: &Setting<'_>) -> Option<Given> {
        if is_unknown(&field.ty.ty) {
            return None;
        }
        let shape = match &field.ty.ty {
            Type::Record(record) => {
                let at = |name: &str, wanted: &Type| {
                    record.field(name).filter(|(_, field)| field.ty.ty == *wanted).map(|(index, _)| index)
                };
                match (at("blob", &Type::String), at("sha256", &Type::String), at("size", &Type::Long)) {
                    (Some(blob), Some(sha256), Some(size)) => {
                        let others = record.fields.iter().enumerate().map(|(index, field)| {
                            let given = [blob, sha256, size].contains(&index);
                            if given { Some(Value::Null) } else { field.default.clone() }
                        });
                        others.collect::<Option<_>>().map(|others| UploadShape { blob, sha256, size, others })
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        if shape.is_none() {
            let message = format!("`{}` cannot note an upload", field.name);
            let problem = Diagnostic::error(&setting.text.span, message).label("gives { blob, sha256, size }");
            let help = "its type must be a record with `blob: string`, `sha256: string` and `size: long`";
            self.problems.push(problem.help(help));
        }
        shape.map(Given::Upload)
    }

    fn require(&mut self, decl: &RequireDecl, ast: &Ast, scope: &CommandScope<'_>) -> Option<Require> {
        let that = self.compiled(&decl.that, ast, scope)?;
        if that.ty.ty != Type::Boolean && !that.is_unknown() {
            let message = format!("a requirement is true or false, and this is {}", that.ty.ty);
            self.problems.push(Diagnostic::error(&decl.that.span, message).label("not a boolean"));
            return None;
        }
        let status = decl.status.as_ref().map_or(422, |status| status.value);
        let fields = that.slots().iter().filter_map(|&slot| scope.given(slot)).map(str::to_owned).collect();
        let reads_row = that.slots().iter().any(|&slot| scope.is_row(slot));
        Some(Require { that, say: decl.say.value.clone(), status, fields, reads_row })
    }

    /// The message key must be known before the row is read: whose turn it is depends on it.
    fn check_key(&mut self, topic: &Topic, event: usize, from: &Sources<'_>, on: Option<&On>) {
        let record = &topic.events[event].schema.record;
        for (part, &index) in topic.events[event].key.iter().enumerate() {
            let name = &record.fields[index].name;
            let late = match &from.fields[index] {
                Given::Param(_) | Given::Body(_) => false,
                Given::Upload(_) => true,
                Given::Set { value, .. } => value.slots().iter().any(|&slot| from.scope.is_row(slot)),
            };
            if late {
                let message = format!("`{name}` is the topic's key, and cannot depend on the row or the upload");
                self.problems.push(Diagnostic::error(&self.setting_span(name), message).label("known too late"));
            }
            let Some(on) = on else { continue };
            let column = on.view().owner.as_ref().and_then(|owner| owner.columns.get(part).copied());
            let param = column.and_then(|column| on.key.get(column).copied());
            let setting = from.settings.iter().find(|setting| setting.field == index);
            let same = match (&from.fields[index], param, setting) {
                (Given::Param(given), Some(param), _) => *given == param,
                (Given::Set { .. }, Some(param), Some(setting)) => {
                    setting.ast.as_path().is_some_and(|path| path == [from.scope.params[param].name.clone()])
                }
                _ => false,
            };
            if !same {
                let message = format!("the row that the path names may be of another `{name}` than the event's");
                let problem = Diagnostic::error(&self.setting_span(name), message).label("not the path's");
                self.problems.push(problem.help(format!("put `{{{name}}}` into the path, or set it to the parameter")));
            }
        }
    }

    /// Where a field is set, or where the event is named.
    fn setting_span(&self, name: &str) -> Span {
        let set = self.decl.set.iter().find(|(set, _)| set.value == name);
        set.map_or(&self.decl.emits.span, |(_, text)| &text.span).clone()
    }

    fn unique(&mut self, topic: &Topic, event: usize) -> Option<super::Unique> {
        let name = self.decl.unique.as_ref()?;
        if self.cx.missing.views || unique::is_doubtful(name, self.cx.topologies) {
            return None;
        }
        let found = unique::compile(name, topic, event, self.cx.topologies);
        found.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// The shortest path of a query for one row, all of whose parameters are the event's fields, one of them a new id.
    fn location(&self, record: &RecordType, ids: &[usize]) -> Option<Route> {
        let routes = self.cx.rows.iter().filter(|route| {
            let fields: Option<Vec<usize>> =
                route.parameters().map(|name| record.field(name).map(|(index, _)| index)).collect();
            fields.is_some_and(|fields| fields.iter().any(|field| ids.contains(field)))
        });
        routes.min_by_key(|route| route.segments().len()).cloned()
    }

    fn parse(&mut self, text: &Text) -> Option<Ast> {
        expr::parse(&text.value).map_err(|problem| self.expr_problem(text, problem)).ok()
    }

    fn compiled(&mut self, text: &Text, ast: &Ast, scope: &CommandScope<'_>) -> Option<Expr> {
        if let Some(view) = self.other_view(ast, scope) {
            let message = format!("`{view}` is not the view that `on:` names");
            let problem = Diagnostic::error(&text.span, message).label("another view's row");
            self.problems.push(problem.help("reading the rows of other views in a command is not supported yet"));
            return None;
        }
        match expr::compile(ast, scope) {
            Ok(expr) => Some(expr),
            Err(problems) => {
                problems.into_iter().for_each(|problem| self.expr_problem(text, problem));
                None
            }
        }
    }

    /// The first name that is a view's and nothing else.
    fn other_view(&self, ast: &Ast, scope: &CommandScope<'_>) -> Option<String> {
        let is_view = |name: &str| self.cx.topologies.iter().any(|topology| topology.view(name).is_some());
        ast.paths().into_iter().find_map(|(path, _)| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let own = scope.row.is_some_and(|table| path.first() == Some(&table.name.as_str()));
            let unknown = !own && expr::Scope::name(scope, &path).is_none();
            path.first().filter(|first| unknown && is_view(first)).map(|first| (*first).to_owned())
        })
    }

    fn expr_problem(&mut self, text: &Text, problem: ExprError) {
        let found = Diagnostic::error(&text.part(problem.range), problem.message).label(problem.label);
        self.problems.push(match problem.help {
            Some(help) => found.help(help),
            None => found,
        });
    }
}

/// Whether a parameter is neither a field of the event nor a column of the row's key.
fn is_nothing(param: &str, topic: &Topic, event: &str, table: &Table) -> bool {
    let field = topic.event(event).is_some_and(|event| event.schema.record.field(param).is_some());
    !field && table.columns[..table.key_len()].iter().all(|column| column.name != param)
}

/// Whether this is a call of that name, without arguments and on its own.
fn is_call(ast: &Ast, name: &str) -> bool {
    ast.as_call().is_some_and(|call| call.name == name && call.args.is_empty())
}
