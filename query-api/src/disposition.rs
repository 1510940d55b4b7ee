//! `Content-Disposition` of a download (RFC 6266): the file's name, whatever is in it, and nothing else.

/// `attachment` with a plain `filename` for old clients and the name itself in `filename*`. Separators and control
/// characters, which no file name should bring along, become `_`.
pub(crate) fn attachment(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    let name = match name.trim() {
        "" | "." | ".." => "download",
        name => name,
    };
    let plain: String = name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '%') { c } else { '_' }).collect();
    let mut header = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            match byte {
                // RFC 8187's attr-char.
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => header.push(char::from(byte)),
                b'!' | b'#' | b'$' | b'&' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => {
                    header.push(char::from(byte));
                }
                _ => header.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_given_whole_and_harmless() {
        let cases = [
            ("a.txt", "attachment; filename=\"a.txt\""),
            ("two words.txt", "attachment; filename=\"two words.txt\""),
            ("", "attachment; filename=\"download\""),
            ("..", "attachment; filename=\"download\""),
            ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\""),
            ("a\"b.txt", "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
            ("naïve €.txt", "attachment; filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt"),
            ("x\r\nSet-Cookie: a=b", "attachment; filename=\"x__Set-Cookie: a=b\""),
            ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ];
        for (name, expected) in cases {
            assert_eq!(attachment(name), expected, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_makes_a_header(name: String) {
            let header = attachment(&name);
            prop_assert!(axum::http::HeaderValue::from_str(&header).is_ok(), "{header}");
            let quotes = header.matches('"').count();
            prop_assert_eq!(quotes, 2);
        }
    }
}
