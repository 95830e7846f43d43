//! Names out of modules in messages.

use std::fmt::{self, Write as _};

/// Most characters of a name that a message shows.
const MOST: usize = 1024;

/// A name as it can stand in one line of a message: control characters, ends of lines among them, are shown as escapes,
/// and the end of a name of more than 1024 characters is left out. A module's names are of any length and content; a
/// message with a dozen of them must neither be of any length nor look like several messages.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(MOST).map(|(at, _)| at);
        let shown = &self.0[..end.unwrap_or(self.0.len())];
        for part in shown.split_inclusive(char::is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if last.is_control() => write!(f, "{}{}", &part[..at], last.escape_debug())?,
                _ => f.write_str(part)?,
            }
        }
        if end.is_some() { f.write_char('…') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_on_their_line_and_end() {
        let shown = |name: &str| Printable(name).to_string();
        assert_eq!(shown("kotlin.Array.<get> ü"), "kotlin.Array.<get> ü");
        assert_eq!(shown("a\nerror: b\x1b[31m\r"), "a\\nerror: b\\u{1b}[31m\\r");
        assert_eq!(shown(""), "");
        assert_eq!(shown(&"ü".repeat(MOST)), "ü".repeat(MOST));
        assert_eq!(shown(&"ü".repeat(MOST + 1)), "ü".repeat(MOST) + "…");
    }
}
