//! How the command ends when something went wrong.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// The guest ended abnormally: what a shell shows for a process that aborted.
pub(crate) const GUEST_FAILED: u8 = 134;
/// What a shell shows for a process that wrote to a pipe without reader.
const BROKEN_PIPE: u8 = 141;

/// Why the command ends early: a message for standard error and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: Option<String>,
}

impl Failure {
    /// Something could not be loaded, linked or read.
    pub(crate) fn unusable(message: impl Display) -> Failure {
        Failure { code: 1, message: Some(message.to_string()) }
    }

    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Display) -> Failure {
        Failure { code: 2, message: Some(message.to_string()) }
    }

    /// The guest ended abnormally.
    pub(crate) fn guest(message: impl Display) -> Failure {
        Failure { code: GUEST_FAILED, message: Some(message.to_string()) }
    }

    /// Writes the message, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            // Without a place to complain, there is still the code.
            let _ = writeln!(io::stderr(), "error: {}", printable(message.trim_end()));
        }
        ExitCode::from(self.code)
    }
}

/// Writes a message to standard error that is no failure.
pub(crate) fn warn(message: impl Display) {
    // Nobody can be told that nobody can be told.
    let _ = writeln!(io::stderr(), "{}", printable(&message.to_string()));
}

/// A text as it can be written to a terminal: names in a module must be able neither to send it commands nor to turn
/// the order of what is shown around.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' || reorders(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if harmful(c) { c.escape_debug().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// The characters of Unicode that direct how text is laid out (UAX #9, section 2), and its separators of lines.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl From<io::Error> for Failure {
    /// Standard output cannot be written. When its reader has gone, nobody wants to be told.
    fn from(e: io::Error) -> Failure {
        match e.kind() {
            io::ErrorKind::BrokenPipe => Failure { code: BROKEN_PIPE, message: None },
            _ => Failure::unusable(format_args!("cannot write to standard output: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable("plain\nü"), "plain\nü");
        assert_eq!(printable("a\x1b[31mb\rc\nd\u{9b}"), "a\\u{1b}[31mb\\rc\nd\\u{9b}");
        assert_eq!(printable("gpj\u{202e}.exe \u{2066}ü\u{2069}"), "gpj\\u{202e}.exe \\u{2066}ü\\u{2069}");
    }
}
