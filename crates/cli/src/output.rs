//! Standard output of the commands that list things.

use crate::failure::{Failure, printable};
use std::io::{self, Write};

/// Writes a finished text to standard output. Control characters in it, which can only come from a file, are shown as
/// escapes.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(printable(text).as_bytes())?;
    Ok(out.flush()?)
}

/// Lines of columns, padded to equal widths; the last column is not. Columns named in `right` are aligned to the right.
pub(crate) fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - cell.chars().count());
            line.push(' ');
            if right.contains(&column) {
                line.push_str(&padding);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&padding);
            }
            line.push(' ');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A name on one line, cut when it is very long: some modules have whole texts for names.
pub(crate) fn one_line(name: &str) -> String {
    const SHOWN: usize = 100;
    let rest = if name.chars().nth(SHOWN).is_some() { "…" } else { "" };
    let shown: String = name.chars().take(SHOWN).collect();
    format!("{}{rest}", shown.replace('\n', "\\n"))
}

/// The same, between quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", one_line(name))
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "1".into(), "x".into()], vec!["bcd".into(), "234".into()]];
        assert_eq!(columns(&rows, &[1]), "  a      1  x\n  bcd  234\n");
        assert_eq!(columns(&[], &[]), "");
    }
}
