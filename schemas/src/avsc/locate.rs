//! Where a JSON path stands in its text: the line and column that an error points at.
//!
//! The text has been read by serde_json already, so the scan need not check it.

/// One step down a JSON tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// `$.fields[2].type`
pub(super) fn show(path: &[Step]) -> String {
    path.iter().fold("$".to_owned(), |shown, step| match step {
        Step::Key(key) => format!("{shown}.{key}"),
        Step::Index(i) => format!("{shown}[{i}]"),
    })
}

/// Line and column, from 1, of the value at `path`, or of the nearest value around it that exists.
pub(super) fn locate(text: &str, path: &[Step]) -> (u32, u32) {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.blanks();
    for step in path {
        let before = scan.at;
        let found = match step {
            Step::Key(key) => scan.enter_key(key),
            Step::Index(i) => scan.enter_index(*i),
        };
        if !found {
            scan.at = before;
            break;
        }
    }
    let before = &text.as_bytes()[..scan.at.min(text.len())];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Past `byte` and the blanks after it, where it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
            self.blanks();
        }
        found
    }

    fn enter_key(&mut self, key: &str) -> bool {
        if !self.take(b'{') {
            return false;
        }
        while self.peek() == Some(b'"') {
            let start = self.at;
            self.string();
            let name = serde_json::from_slice::<String>(&self.bytes[start..self.at]);
            self.blanks();
            self.take(b':');
            if name.is_ok_and(|name| name == key) {
                return true;
            }
            self.value();
            self.take(b',');
        }
        false
    }

    fn enter_index(&mut self, index: usize) -> bool {
        if !self.take(b'[') {
            return false;
        }
        for _ in 0..index {
            self.value();
            if !self.take(b',') {
                return false;
            }
        }
        true
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(b) = self.peek() {
            self.at += 1;
            match b {
                b'\\' => self.at += 1,
                b'"' => return,
                _ => {}
            }
        }
    }

    /// Past a value and the blanks after it.
    fn value(&mut self) {
        let mut depth = 0usize;
        while let Some(b) = self.peek() {
            match b {
                b'"' => self.string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place() {
        let text = "{\n  \"na\\u006de\": \"é\", \"b\": [ {\"x\": 1},\n    [2, \"]\\\"\", 3] ]\n}";
        let key = |k: &str| Step::Key(k.into());
        for (path, place) in [
            (vec![], (1, 1)),
            (vec![key("name")], (2, 16)),
            (vec![key("b")], (2, 26)),
            (vec![key("b"), Step::Index(0), key("x")], (2, 34)),
            (vec![key("b"), Step::Index(1), Step::Index(2)], (3, 16)),
            (vec![key("b"), Step::Index(7)], (2, 26)),
        ] {
            assert_eq!(locate(text, &path), place, "{}", show(&path));
        }
    }
}
