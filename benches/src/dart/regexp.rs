//! JavaScript's regular expressions, by the crate `regress`.

use super::value::{Js, lock};
use heapwright::Result;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;

/// A regular expression and where the next search of a global one begins.
pub(super) struct RegExp {
    regex: regress::Regex,
    pub(super) flags: String,
    last_index: Mutex<usize>,
}

impl fmt::Debug for RegExp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegExp with flags `{}`", self.flags)
    }
}

impl RegExp {
    /// `new RegExp(pattern, flags)`, or the text of the error.
    pub(super) fn new(pattern: &[u16], flags: &str) -> core::result::Result<RegExp, String> {
        let units = char::decode_utf16(pattern.iter().copied()).map(|c| match c {
            Ok(c) => u32::from(c),
            Err(alone) => u32::from(alone.unpaired_surrogate()),
        });
        let regex = regress::Regex::from_unicode(units, flags).map_err(|e| format!("SyntaxError: {e}"))?;
        Ok(RegExp { regex, flags: flags.to_owned(), last_index: Mutex::new(0) })
    }

    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    pub(super) fn set_last_index(&self, index: usize) {
        *lock(&self.last_index) = index;
    }

    /// The first match from `start` on.
    fn find(&self, text: &[u16], start: usize) -> Option<regress::Match> {
        if start > text.len() {
            None
        } else if self.has('u') {
            self.regex.find_from_utf16(text, start).next()
        } else {
            self.regex.find_from_ucs2(text, start).next()
        }
    }

    /// `RegExp.prototype.exec`: the match and its groups, or `null`.
    pub(super) fn exec(&self, text: &[u16]) -> Js {
        let (global, sticky) = (self.has('g'), self.has('y'));
        let start = if global || sticky { *lock(&self.last_index) } else { 0 };
        let found = self.find(text, start).filter(|found| !sticky || found.start() == start);
        if global || sticky {
            self.set_last_index(found.as_ref().map_or(0, regress::Match::end));
        }
        // Group 0 is the whole match.
        found.map_or(Js::Null, |found| {
            Js::matched(found.start(), found.groups().map(|group| part(text, group)).collect())
        })
    }

    /// `RegExp.prototype.test`.
    pub(super) fn test(&self, text: &[u16]) -> bool {
        !matches!(self.exec(text), Js::Null)
    }

    /// `String.prototype.split` at what it matches; groups become elements, too.
    pub(super) fn split(&self, text: &[u16]) -> Vec<Js> {
        if text.is_empty() {
            return if self.find(text, 0).is_some() { Vec::new() } else { vec![part(text, Some(0..0))] };
        }
        let (mut pieces, mut piece, mut from) = (Vec::new(), 0, 0);
        while let Some(found) = self.find(text, from).filter(|found| found.start() < text.len()) {
            let all = found.range();
            // An empty match where the piece begins, or one at the end, separates nothing.
            if all.end == piece {
                from = all.start + 1;
                continue;
            }
            pieces.push(part(text, Some(piece..all.start)));
            pieces.extend(found.groups().skip(1).map(|group| part(text, group)));
            piece = all.end;
            from = all.end.max(all.start + 1);
        }
        pieces.push(part(text, Some(piece..text.len())));
        pieces
    }
}

fn part(text: &[u16], range: Option<Range<usize>>) -> Js {
    range.and_then(|range| text.get(range)).map_or(Js::Undefined, |units| Js::String(units.into()))
}

/// `String.prototype.split` at a string.
pub(super) fn split_at(text: &[u16], separator: &[u16]) -> Vec<Js> {
    if separator.is_empty() {
        return text.iter().map(|&unit| Js::String([unit].into())).collect();
    }
    let (mut pieces, mut piece) = (Vec::new(), 0);
    while let Some(at) = index_of(text, separator, piece) {
        pieces.push(part(text, Some(piece..at)));
        piece = at + separator.len();
    }
    pieces.push(part(text, Some(piece..text.len())));
    pieces
}

/// `String.prototype.indexOf`.
pub(super) fn index_of(text: &[u16], part: &[u16], from: usize) -> Option<usize> {
    let from = from.min(text.len());
    if part.is_empty() {
        return Some(from);
    }
    text[from..].windows(part.len()).position(|window| window == part).map(|at| from + at)
}

/// `new RegExp` as the program asks for it: the text of the error is its result then.
pub(super) fn construct(pattern: &Js, flags: &Js) -> Result<Js> {
    Ok(match RegExp::new(pattern.as_string()?, &flags.to_text()?) {
        Ok(regexp) => Js::RegExp(regexp.into()),
        Err(error) => Js::string(&error),
    })
}
