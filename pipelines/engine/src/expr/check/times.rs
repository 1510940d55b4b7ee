//! `extract` and `date_trunc`.

use std::ops::Range;
use std::str::FromStr;

use chrono_tz::Tz;
use headwater_schemas::Type;

use super::texts::constant;
use super::{Checked, Checker};
use crate::expr::ast::{Ast, Part};
use crate::expr::code::{Code, Ty, Typed};
use crate::expr::error::EvalError;
use crate::expr::kind::{map, map2};
use crate::expr::{ExprError, decimal, time};
use crate::source::suggestion;

impl Checker<'_> {
    pub(super) fn extract(&mut self, part: Part, arg: &Ast, range: Range<usize>) -> Checked {
        let arg = self.check(arg)?;
        let of_day = matches!(part, Part::Microseconds | Part::Milliseconds | Part::Second | Part::Minute | Part::Hour);
        let of_interval = of_day || matches!(part, Part::Day | Part::Month | Part::Year | Part::Epoch);
        let nullable = arg.nullable;
        // A date has no fractions of a second.
        let scale = if arg.ty.is_date() { 0 } else { time::part_scale(part) };
        let ty = Type::Decimal { precision: decimal::MAX_DIGITS, scale };
        let code = match (&arg.ty, arg.code) {
            (Ty::Of(Type::TimestampMicros | Type::TimestampMillis), Code::Long(at)) if part != Part::Julian => {
                map(at, move |at, _| time::extract(part, at))
            }
            (Ty::Of(Type::Date), Code::Long(day)) if !of_day => map(day, move |day, _| time::extract_date(part, day)),
            (Ty::Interval, Code::Interval(span)) if of_interval => {
                map(span, move |span, _| Ok(time::extract_interval(part, span)))
            }
            (Ty::Null, _) => crate::expr::kind::Arg::null(),
            (ty, _) => {
                let message = format!("{ty} has no `{}` to extract", part.name());
                let error = ExprError::new(message, arg.range, format!("this is {ty}"));
                return self.fail_with(error.help("extract takes a timestamp, a date or an interval"));
            }
        };
        Some(Typed::new(Code::Dec(code), ty, nullable, range))
    }

    /// `date_trunc('unit', at [, 'zone'])`: the instant at which the unit began.
    pub(super) fn date_trunc(&mut self, args: Vec<Typed>, range: Range<usize>) -> Checked {
        let mut args = args.into_iter();
        let (unit, at) = args.next().zip(args.next())?;
        let zone = args.next();
        let nullable = at.nullable || zone.as_ref().is_some_and(|zone| zone.nullable);
        let part = self.unit(&unit);
        let at = self.instant(at);
        let (part, at) = part.zip(at)?;
        let at = at.code.into_instant(&at.ty);
        let code = match zone {
            None => map(at, move |at, _| time::truncate(part, at)),
            Some(zone) => match constant(&zone) {
                Some(name) => {
                    let zone = self.zone(&name, zone.range)?;
                    map(at, move |at, _| time::truncate_in(part, at, zone))
                }
                None => {
                    let zone = self.expect("date_trunc", zone, &Ty::Of(Type::String))?;
                    map2(at, zone.code.into_text(), move |at, zone, _| match Tz::from_str(zone) {
                        Ok(zone) => time::truncate_in(part, at, zone),
                        Err(_) => Err(EvalError::range("date_trunc", "the time zone is not known")),
                    })
                }
            },
        };
        Some(Typed::new(Code::Long(code), Type::TimestampMicros, nullable, range))
    }

    fn unit(&mut self, unit: &Typed) -> Option<Part> {
        let Some(name) = constant(unit) else {
            let error = ExprError::new("the unit of `date_trunc` is a constant", unit.range.clone(), "not constant");
            return self.fail_with(error.help("as in date_trunc('month', at)"));
        };
        if let Some(part) = Part::named(&name).filter(|part| time::truncates(*part)) {
            return Some(part);
        }
        let units = || Part::names().filter(|name| Part::named(name).is_some_and(time::truncates));
        let message = format!("`date_trunc` knows no unit '{}'", crate::expr::error::shortened(&name));
        let help = suggestion(&name, units()).unwrap_or_else(|| units().collect::<Vec<_>>().join(", "));
        self.fail_with(ExprError::new(message, unit.range.clone(), "not a unit").help(help))
    }

    fn instant(&mut self, at: Typed) -> Checked {
        let wanted = Ty::Of(Type::TimestampMicros);
        let at = if at.literal.is_some() || at.ty == Ty::Null { self.adopt(at, &wanted)? } else { at };
        if at.ty.is_instant() || at.ty.is_date() {
            return Some(at);
        }
        let message = format!("`date_trunc` takes a timestamp or a date, and this is {}", at.ty);
        self.fail(at.range, message, "not a timestamp")
    }

    fn zone(&mut self, name: &str, range: Range<usize>) -> Option<Tz> {
        let found = chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(name));
        if found.is_some() {
            return found;
        }
        let message = format!("there is no time zone '{}'", crate::expr::error::shortened(name));
        let help = suggestion(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let help = help.unwrap_or_else(|| "as in 'Europe/Berlin'".to_owned());
        self.fail_with(ExprError::new(message, range, "unknown").help(help))
    }
}
