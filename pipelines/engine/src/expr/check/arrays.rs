//! What is asked of a whole array: `cardinality`, `array_length`, `x = any(array)`.

use std::ops::Range;

use headwater_schemas::{Type, ValueRef};

use super::{Checked, Checker};
use crate::expr::ExprError;
use crate::expr::ast::Ast;
use crate::expr::code::{Code, Ty, Typed};
use crate::expr::kind::{Any, Arg, Bool, Long};
use crate::expr::order::value_order;

impl Checker<'_> {
    /// How many elements; of none, `array_length` is null.
    pub(super) fn array_size(&mut self, name: &str, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let mut args = args.into_iter();
        let array = args.next()?;
        if let Some(dimension) = args.next() {
            let one = matches!(&dimension.code, Code::Long(arg) if arg.as_constant() == Some(&1));
            if !one {
                let message = "an array has one dimension here: array_length(array, 1)";
                return self.fail(dimension.range, message, "not 1");
            }
        }
        let null_of_none = name == "array_length";
        let nullable = array.nullable || null_of_none;
        let array = self.array(name, array)?;
        let size: Arg<Long> = Arg::computed(move |ctx| match array.get(ctx)? {
            Some(ValueRef::Array([])) if null_of_none => Ok(None),
            Some(ValueRef::Array(items)) => Ok(Some(i64::try_from(items.len()).unwrap_or(i64::MAX))),
            _ => Ok(None),
        });
        Some(Typed::new(Code::Long(size), Type::Int, nullable, range))
    }

    fn array(&mut self, name: &str, array: Typed) -> Option<Arg<Any>> {
        match &array.ty {
            Ty::Of(Type::Array(_)) => Some(array.code.into_any()),
            Ty::Null => Some(Arg::null()),
            other => {
                let message = format!("`{name}` takes an array, and this is {other}");
                self.fail(array.range, message, "not an array")
            }
        }
    }

    /// `x = any(array)`: null where no element is equal and one is null.
    pub(super) fn any(&mut self, arg: &Ast, array: &Ast, range: Range<usize>) -> Checked {
        let (arg, array) = self.check_two(arg, array)?;
        let item = match &array.ty {
            Ty::Of(Type::Array(item)) => Ty::Of(item.ty.clone()),
            _ => arg.ty.clone(),
        };
        let arg = self.adopt(arg, &item)?;
        let array = self.array("any", array)?;
        if !alike(&arg.ty, &item) {
            let message = format!("`= any` cannot find {} among elements that are {item}", arg.ty);
            return self.fail_with(ExprError::new(message, range, "these two types").help("cast what is looked for"));
        }
        let wanted = arg.code.into_value(&arg.ty);
        let found: Arg<Bool> = Arg::computed(move |ctx| {
            let (wanted, array) = (wanted.get(ctx)?, array.get(ctx)?);
            let Some(ValueRef::Array(items)) = array else { return Ok(None) };
            if items.is_empty() {
                return Ok(Some(false));
            }
            let Some(wanted) = wanted else { return Ok(None) };
            if items.iter().any(|item| !item.is_null() && value_order(item, &wanted).is_eq()) {
                return Ok(Some(true));
            }
            Ok(if items.iter().any(ValueRef::is_null) { None } else { Some(false) })
        });
        Some(Typed::new(Code::Bool(found), Type::Boolean, true, range))
    }
}

/// Whether values of two types are compared as they are.
fn alike(left: &Ty, right: &Ty) -> bool {
    let exact = |ty: &Ty| ty.is_numeric() && !ty.is_float();
    match (left.of(), right.of()) {
        (Some(Type::Array(_) | Type::Map(_) | Type::Record(_) | Type::Recursive(_) | Type::Union(_)), _) => false,
        (Some(a), Some(b)) => {
            a == b
                || (a.is_text() && b.is_text())
                || (exact(left) && exact(right))
                || (left.is_float() && right.is_float())
                || (a.is_timestamp() && b.is_timestamp())
        }
        _ => true,
    }
}
