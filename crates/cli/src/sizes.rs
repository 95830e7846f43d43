//! Sizes on the command line.

/// Bytes: a number, with `k`, `m` or `g` for 1024, 1024² or 1024³ of them.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("a size is a number of bytes, or of KiB, MiB or GiB with `k`, `m` or `g` behind it".into()),
    };
    let number: u64 = match digits.parse() {
        Ok(number) if !digits.starts_with('+') => number,
        _ => return Err("a size is a whole number, such as `64k`, `32m`, `1g` or `65536`".into()),
    };
    number.checked_mul(factor).ok_or_else(|| "this is more than 64 bits can count".into())
}

/// A size that is not nothing.
pub(crate) fn parse_nonzero(text: &str) -> Result<u64, String> {
    match parse(text)? {
        0 => Err("it must be more than 0 bytes".into()),
        bytes => Ok(bytes),
    }
}

/// A size of a stack.
pub(crate) fn parse_stack(text: &str) -> Result<u64, String> {
    /// Enough for any prologue and a few frames.
    const LEAST: u64 = 64 << 10;
    match parse(text)? {
        bytes if bytes < LEAST => Err("a stack needs at least 64k".into()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_nonzero, parse_stack};

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65536),
            ("64k", 65536),
            ("64K", 65536),
            ("64KiB", 65536),
            ("32m", 32 << 20),
            ("1g", 1 << 30),
            ("7b", 7),
            ("18446744073709551615", u64::MAX),
            ("17179869183g", 17179869183 << 30),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "k", "1t", "1.5m", "-1", "+1", "1 k", "k1", "1kk", "0x10", "18446744073709551616", "17179869184g"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_nonzero("0k").is_err());
        assert!(parse_stack("63k").is_err());
        assert_eq!(parse_stack("64k"), Ok(65536));
    }
}
