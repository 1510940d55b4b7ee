//! What is asked of a text, or done with it.

use crate::expr::Mistake;
use crate::value::Value;

/// A function of one text; its other arguments are given.
#[derive(Clone, Debug, PartialEq)]
pub enum TextFunction {
    Upper,
    Lower,
    Trim,
    Length,
    /// From this character, counted from 1, so many.
    Substring(i64, i64),
    /// The part between `a`s, from 1; from the end from -1.
    SplitPart(i64),
    /// `a` by `bb`.
    Replace,
    /// To so many characters, by `xy` before them.
    Pad(i64),
}

impl TextFunction {
    pub fn of(&self, text: &str) -> Result<Value, Mistake> {
        let chars: Vec<char> = text.chars().collect();
        Ok(Value::Text(match self {
            TextFunction::Upper => text.to_uppercase(),
            TextFunction::Lower => text.to_lowercase(),
            TextFunction::Trim => text.trim_matches(' ').to_owned(),
            TextFunction::Length => return Ok(Value::Whole(chars.len() as i64)),
            TextFunction::Substring(_, length) if *length < 0 => return Err(Mistake::OutOfRange),
            TextFunction::Substring(from, length) => {
                let places = (1..).zip(chars).filter(|(place, _)| (*from..from + length).contains(place));
                places.map(|(_, c)| c).collect()
            }
            TextFunction::SplitPart(0) => return Err(Mistake::OutOfRange),
            TextFunction::SplitPart(n) => {
                let mut parts: Vec<&str> = text.split('a').collect();
                if *n < 0 {
                    parts.reverse();
                }
                parts.get(n.unsigned_abs() as usize - 1).map(|part| (*part).to_owned()).unwrap_or_default()
            }
            TextFunction::Replace => text.replace('a', "bb"),
            TextFunction::Pad(length) => {
                let missing = (*length as usize).saturating_sub(chars.len());
                let fill = "xy".chars().cycle().take(missing);
                fill.chain(chars).take(*length as usize).collect()
            }
        }))
    }

    pub fn written(&self, text: &str) -> String {
        match self {
            TextFunction::Upper => format!("upper({text})"),
            TextFunction::Lower => format!("lower({text})"),
            TextFunction::Trim => format!("trim({text})"),
            TextFunction::Length => format!("length({text})"),
            TextFunction::Substring(from, length) => format!("substring({text} from {from} for {length})"),
            TextFunction::SplitPart(n) => format!("split_part({text}, 'a', {n})"),
            TextFunction::Replace => format!("replace({text}, 'a', 'bb')"),
            TextFunction::Pad(length) => format!("lpad({text}, {length}, 'xy')"),
        }
    }
}

/// Whether a text is as a pattern says, in which `%` stands for any characters and `_` for one.
pub(super) fn is_like(text: &[char], pattern: &[char]) -> bool {
    match (text, pattern) {
        (_, ['%', rest @ ..]) => (0..=text.len()).any(|from| is_like(&text[from..], rest)),
        ([_, text @ ..], ['_', rest @ ..]) => is_like(text, rest),
        ([a, text @ ..], [b, rest @ ..]) => a == b && is_like(text, rest),
        (text, pattern) => text.is_empty() && pattern.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_counted_from_one() {
        let of = |function: TextFunction, text: &str| function.of(text).map(|value| value.to_json());
        assert_eq!(of(TextFunction::Substring(0, 3), "abc"), Ok("ab".into()));
        assert_eq!(of(TextFunction::Substring(2, 9), "abc"), Ok("bc".into()));
        assert_eq!(of(TextFunction::Substring(2, -1), "abc"), Err(Mistake::OutOfRange));
        assert_eq!(of(TextFunction::SplitPart(-1), "bac"), Ok("c".into()));
        assert_eq!(of(TextFunction::SplitPart(3), "bac"), Ok("".into()));
        assert_eq!(of(TextFunction::Pad(4), "é"), Ok("xyxé".into()));
        assert_eq!(of(TextFunction::Pad(1), "abc"), Ok("a".into()));
    }

    #[test]
    fn a_pattern_is_of_any_and_one() {
        let matches = |text: &str, pattern: &str| {
            is_like(&text.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>())
        };
        assert!(matches("ab", "a%") && matches("a", "a%") && matches("ab", "%b%") && matches("é", "_"));
        assert!(!matches("ba", "a%") && !matches("ab", "_") && !matches("a", "_a"));
    }
}
