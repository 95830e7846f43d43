//! Output one UTF-16 code unit at a time, as MoonBit programs give it.

use std::io::{self, IsTerminal, Write};

/// Buffered output of code units as UTF-8. A surrogate that has no partner becomes U+FFFD.
#[derive(Debug)]
pub(crate) struct CharOutput {
    buffer: Vec<u8>,
    /// A high surrogate whose partner may still come.
    high: Option<u16>,
    by_line: bool,
}

/// Bytes that are kept before they go out.
const CAPACITY: usize = 16 << 10;

impl CharOutput {
    /// For standard output: lines at once on a terminal, blocks otherwise.
    pub(crate) fn new() -> CharOutput {
        CharOutput { buffer: Vec::new(), high: None, by_line: io::stdout().is_terminal() }
    }

    /// Takes a code unit: the low 16 bits.
    pub(crate) fn put(&mut self, unit: i32) -> io::Result<()> {
        self.decode(unit as u16);
        if self.buffer.len() >= CAPACITY || self.by_line && unit as u16 == u16::from(b'\n') {
            self.send()?;
        }
        Ok(())
    }

    fn decode(&mut self, unit: u16) {
        let pair = self.high.take().map(|high| [high, unit]);
        match (pair, unit) {
            (Some(pair), 0xdc00..=0xdfff) => self.push_units(&pair),
            (Some([high, _]), _) => {
                self.push_units(&[high]);
                self.decode(unit);
            }
            (None, 0xd800..=0xdbff) => self.high = Some(unit),
            (None, _) => self.push_units(&[unit]),
        }
    }

    fn push_units(&mut self, units: &[u16]) {
        for c in char::decode_utf16(units.iter().copied()) {
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.buffer.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Sends everything, at the end.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(high) = self.high.take() {
            self.push_units(&[high]);
        }
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        // What was not sent is not tried again: the destination is gone, or full.
        let sent = out.write_all(&self.buffer).and_then(|()| out.flush());
        self.buffer.clear();
        sent
    }
}

impl Drop for CharOutput {
    fn drop(&mut self) {
        // The last chance, when the engine itself has failed. There is nobody left to tell of an error.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(units: &[u16], end: bool) -> String {
        let mut output = CharOutput { buffer: Vec::new(), high: None, by_line: false };
        for &unit in units {
            output.decode(unit);
        }
        if end && let Some(high) = output.high.take() {
            output.push_units(&[high]);
        }
        String::from_utf8(std::mem::take(&mut output.buffer)).unwrap()
    }

    #[test]
    fn units_become_characters() {
        assert_eq!(decoded(&[0x41, 0xe9, 0x20ac], true), "Aé€");
        assert_eq!(decoded(&[0xd83d, 0xde00, 0x21], true), "😀!");
        assert_eq!(decoded(&"aß語𝄞".encode_utf16().collect::<Vec<_>>(), true), "aß語𝄞");
    }

    #[test]
    fn surrogates_without_partner_are_replaced() {
        assert_eq!(decoded(&[0xd83d, 0x41], true), "\u{fffd}A");
        assert_eq!(decoded(&[0xde00], true), "\u{fffd}");
        assert_eq!(decoded(&[0xd83d, 0xd83d, 0xde00], true), "\u{fffd}😀");
        assert_eq!(decoded(&[0x41, 0xd83d], false), "A");
        assert_eq!(decoded(&[0x41, 0xd83d], true), "A\u{fffd}");
    }
}
