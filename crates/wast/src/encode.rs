//! From a script's text to directives, and from its modules to bytes.

use std::borrow::Cow;
use wast::lexer::{Lexer, TokenKind};
use wast::parser::{self, ParseBuffer};
use wast::{Error, QuoteWat, QuoteWatTest, Wat};

/// The text as the parser takes it, and whether it had a `(ref.exn)` among its results.
///
/// The parser does not know that pattern. It is replaced by one of the same length, so that positions stay.
pub(crate) fn without_exn_patterns(text: &str) -> (Cow<'_, str>, bool) {
    if !text.contains("ref.exn") {
        return (Cow::Borrowed(text), false);
    }
    let mut replaced = text.to_owned();
    let mut found = false;
    // What cannot be lexed is left to the parser to report.
    for token in lexer(text).iter(0).map_while(Result::ok) {
        if token.kind == TokenKind::Keyword && token.keyword(text) == "ref.exn" {
            replaced.replace_range(token.offset..token.offset + "ref.exn".len(), "ref.any");
            found = true;
        }
    }
    (Cow::Owned(replaced), found)
}

fn lexer(text: &str) -> Lexer<'_> {
    let mut lexer = Lexer::new(text);
    // Scripts about names are full of it.
    lexer.allow_confusing_unicode(true);
    lexer
}

/// A buffer to parse a script from.
pub(crate) fn buffer(text: &str) -> Result<ParseBuffer<'_>, Error> {
    ParseBuffer::new_with_lexer(lexer(text))
}

/// A module in the binary format.
pub(crate) fn module(source: &mut QuoteWat<'_>) -> Result<Vec<u8>, String> {
    let text = match source.to_test().map_err(|e| e.message())? {
        QuoteWatTest::Binary(bytes) => return Ok(bytes),
        QuoteWatTest::Text(text) => text,
    };
    let text = String::from_utf8(text).map_err(|_| "malformed UTF-8 encoding".to_owned())?;
    let parse = || parser::parse::<Wat<'_>>(&buffer(&text)?)?.encode();
    parse().map_err(|e: Error| e.message())
}

/// Whether a module is in fact a component.
pub(crate) fn is_component(source: &QuoteWat<'_>) -> bool {
    matches!(source, QuoteWat::Wat(Wat::Component(_)) | QuoteWat::QuoteComponent(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exception_patterns_are_replaced_in_place() {
        let text = r#"(assert_return (invoke "ref.exn") (ref.exn)) ;; ref.exn"#;
        let expected = r#"(assert_return (invoke "ref.exn") (ref.any)) ;; ref.exn"#;
        assert_eq!(without_exn_patterns(text), (Cow::Borrowed(expected), true));
        let text = r#"(invoke "ref.exn")"#;
        assert_eq!(without_exn_patterns(text), (Cow::Borrowed(text), false));
        assert!(!without_exn_patterns("(ref.any)").1);
    }
}
