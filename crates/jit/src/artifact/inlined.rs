//! Which code comes from inlined bodies, and by way of which calls.

use serde::{Deserialize, Serialize};

/// None, in tables.
const NONE: u32 = u32::MAX;

/// A call that was replaced by the body of its callee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlinedCall {
    /// The callee: function index, imports counted.
    pub func: u32,
    /// Byte offset in the module of the call.
    pub call: u32,
    /// The inlined call that this one is in, as an index of [`InlineTable::calls`]; `u32::MAX` when it is in the
    /// compiled function itself.
    outer: u32,
}

impl InlinedCall {
    pub(crate) fn new(func: u32, call: u32, outer: Option<u32>) -> InlinedCall {
        InlinedCall { func, call, outer: outer.unwrap_or(NONE) }
    }

    /// The inlined call that this one is in.
    pub fn outer(&self) -> Option<u32> {
        (self.outer != NONE).then_some(self.outer)
    }
}

/// From text offsets to the inlined calls that code belongs to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InlineTable {
    /// Starts of code ranges, ascending.
    pub code: Vec<u32>,
    /// For each range, the innermost inlined call as an index of `calls`; `u32::MAX` for a function's own code.
    pub innermost: Vec<u32>,
    /// The calls, each behind the one that it is in.
    pub calls: Vec<InlinedCall>,
}

impl InlineTable {
    /// Adds a call.
    pub(crate) fn push_call(&mut self, call: InlinedCall) {
        self.calls.push(call);
    }

    /// Says that from `code` on, up to the next entry, text belongs to an inlined call.
    pub(crate) fn push(&mut self, code: u32, innermost: Option<u32>) {
        let innermost = innermost.unwrap_or(NONE);
        match (self.code.last(), self.innermost.last_mut()) {
            (None, _) if innermost == NONE => {}
            (Some(_), Some(last)) if *last == innermost => {}
            (Some(&start), Some(last)) if start == code => *last = innermost,
            _ => {
                debug_assert!(self.code.last().is_none_or(|&last| last < code));
                self.code.push(code);
                self.innermost.push(innermost);
            }
        }
    }

    /// Adds another text's table; that text starts at `base`.
    pub(super) fn append(&mut self, other: &InlineTable, base: u32) {
        let calls = self.calls.len() as u32;
        let moved = |call: u32| if call == NONE { NONE } else { call + calls };
        self.calls.extend(other.calls.iter().map(|call| InlinedCall { outer: moved(call.outer), ..*call }));
        for (&code, &innermost) in other.code.iter().zip(&other.innermost) {
            let innermost = moved(innermost);
            self.push(code + base, (innermost != NONE).then_some(innermost));
        }
    }

    /// The inlined calls that the instruction at `offset` belongs to, innermost first.
    pub fn lookup(&self, offset: u32) -> impl Iterator<Item = &InlinedCall> {
        let range = self.code.partition_point(|&code| code <= offset).checked_sub(1);
        let innermost = range.and_then(|range| self.calls.get(self.innermost[range] as usize));
        std::iter::successors(innermost, |call| self.calls.get(call.outer as usize))
    }

    /// Checks a table that was read from a file, for a text of `length` bytes: every chain of calls ends.
    pub(super) fn check(&self, length: u32) -> Result<(), &'static str> {
        let InlineTable { code, innermost, calls } = self;
        let ascending = code.is_sorted_by(|a, b| a < b) && code.last().is_none_or(|&last| last <= length);
        let known = innermost.iter().all(|&call| call == NONE || (call as usize) < calls.len());
        let inwards = calls.iter().enumerate().all(|(i, call)| call.outer == NONE || (call.outer as usize) < i);
        let sound = ascending && known && inwards && code.len() == innermost.len();
        sound.then_some(()).ok_or("inconsistent table of inlined calls")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Function 7 has inlined 3, called at 70, and in it 4, called at 30.
    fn table() -> InlineTable {
        let mut table = InlineTable::default();
        table.push_call(InlinedCall::new(3, 70, None));
        table.push_call(InlinedCall::new(4, 30, Some(0)));
        for (code, call) in [(0, None), (8, Some(0)), (12, Some(1)), (12, Some(1)), (20, Some(0)), (24, None)] {
            table.push(code, call);
        }
        table
    }

    fn chain(table: &InlineTable, offset: u32) -> Vec<(u32, u32)> {
        table.lookup(offset).map(|call| (call.func, call.call)).collect()
    }

    #[test]
    fn chains_go_outwards() {
        let mut all = InlineTable::default();
        all.append(&table(), 0);
        // A function without inlined calls has no entries, and belongs to none.
        all.append(&InlineTable::default(), 32);
        all.append(&table(), 64);
        for base in [0u32, 64] {
            let at = |offset: u32| chain(&all, base + offset);
            assert_eq!([at(0), at(7), at(24), at(40)], [const { Vec::new() }; 4]);
            assert_eq!([at(8), at(11), at(20), at(23)], [const { [(3, 70)] }; 4]);
            assert_eq!([at(12), at(19)], [[(4, 30), (3, 70)], [(4, 30), (3, 70)]]);
        }
        assert_eq!(all.check(100), Ok(()));
    }

    #[test]
    fn chains_of_a_file_end() {
        let damaged = |damage: fn(&mut InlineTable)| {
            let mut table = table();
            damage(&mut table);
            table.check(100)
        };
        assert_eq!(damaged(|_| ()), Ok(()));
        assert!(damaged(|t| t.calls[0].outer = 1).is_err(), "a cycle");
        assert!(damaged(|t| t.calls[0].outer = 0).is_err(), "a cycle of one");
        assert!(damaged(|t| t.innermost[0] = 2).is_err(), "beyond the calls");
        assert!(damaged(|t| t.code.swap(0, 1)).is_err(), "not ascending");
        assert!(damaged(|t| t.code.truncate(1)).is_err(), "of different lengths");
        assert!(table().check(23).is_err(), "beyond the text");
    }
}
