//! The tables that describe a text, and how they are built.
//!
//! A function's tables are made with offsets from its own start and are then appended, shifted, to the module's. All
//! are plain vectors of numbers, sorted by text offset.

use super::InlineTable;
use crate::abi::Trap;
use serde::{Deserialize, Serialize};

/// Everything that is known about a text, by offset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tables {
    /// References in frames.
    pub stack_maps: StackMaps,
    /// Trapping instructions.
    pub traps: TrapTable,
    /// Exception handlers.
    pub handlers: HandlerTable,
    /// Wasm offsets.
    pub addresses: AddressMap,
    /// Code of inlined bodies.
    pub inlined: InlineTable,
}

/// Stack maps by return address.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StackMaps {
    /// Return addresses as text offsets, ascending.
    pub returns: Vec<u32>,
    /// For return `i`, the slots are `slots[starts[i]..ends[i]]`. Returns may share them.
    pub starts: Vec<u32>,
    /// See `starts`.
    pub ends: Vec<u32>,
    /// A slot's distance below the frame pointer: the 32-bit reference is at `fp - slot`.
    pub slots: Vec<u32>,
    /// For each bucket of text, the number of returns before it; empty until [`StackMaps::index`] is called.
    #[serde(skip)]
    buckets: Vec<u32>,
}

/// Trapping instructions by address.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TrapTable {
    /// Text offsets of trapping instructions, ascending.
    pub offsets: Vec<u32>,
    /// The trap of each.
    pub traps: Vec<Trap>,
}

/// Handlers by return address of the call that they protect.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HandlerTable {
    /// Return addresses as text offsets, ascending.
    pub returns: Vec<u32>,
    /// For return `i`, the handlers are `handlers[ends[i - 1]..ends[i]]`, to be tried in order.
    pub ends: Vec<u32>,
    /// Stack pointer on entry to any handler of return `i` is `fp - frame_sizes[i]`.
    pub frame_sizes: Vec<u32>,
    /// For return `i`, the frame's instance context is at `fp - contexts[i]`.
    pub contexts: Vec<u32>,
    /// The handlers.
    pub handlers: Vec<Handler>,
}

/// One exception handler. It is entered with the exception reference in the first payload register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handler {
    /// Tag index in the module of the frame; `None` catches every exception.
    pub tag: Option<u32>,
    /// Text offset of the handler.
    pub code: u32,
}

/// The handlers of a call.
#[derive(Clone, Copy, Debug)]
pub struct Handlers<'a> {
    /// Handlers to be tried in order.
    pub handlers: &'a [Handler],
    /// The stack pointer on entry is the frame pointer less this.
    pub frame_size: u32,
    /// The frame's instance context is at the frame pointer less this.
    pub context: u32,
}

/// From text offsets to module offsets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AddressMap {
    /// Starts of code ranges, ascending.
    pub code: Vec<u32>,
    /// Byte offset in the module of the instruction that each range implements; `u32::MAX` when none.
    pub wasm: Vec<u32>,
}

/// A bucket of the stack-map index covers `1 << BUCKET_SHIFT` bytes of text: a handful of calls.
const BUCKET_SHIFT: u32 = 8;

impl Tables {
    /// Adds another text's tables; that text starts at `base`, behind all texts added so far.
    pub fn append(&mut self, other: &Tables, base: u32) {
        self.stack_maps.append(&other.stack_maps, base);
        self.traps.append(&other.traps, base);
        self.handlers.append(&other.handlers, base);
        self.addresses.append(&other.addresses, base);
        self.inlined.append(&other.inlined, base);
    }

    /// Prepares fast lookups. To be called once everything is added.
    pub fn index(&mut self) {
        self.stack_maps.index();
    }

    /// Checks tables that were read from a file against a text of `length` bytes: after it no lookup, at whatever
    /// offset, reaches beyond a table, and no handler lies outside the text.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn check(&self, length: u32) -> Result<(), &'static str> {
        let Tables { stack_maps, traps, handlers, addresses, inlined } = self;
        stack_maps.check(length)?;
        traps.check(length)?;
        handlers.check(length)?;
        addresses.check(length)?;
        inlined.check(length)
    }
}

/// Whether offsets ascend, each above the one before it, up to `length`.
fn ascending(offsets: &[u32], length: u32) -> bool {
    offsets.is_sorted_by(|a, b| a < b) && offsets.last().is_none_or(|&last| last <= length)
}

impl StackMaps {
    /// Adds the map of the call that returns to `offset`, which lies above all offsets added so far. Equal neighbours
    /// share their slots: a function with thousands of calls and as many references would need a table of quadratic
    /// size.
    pub fn push(&mut self, offset: u32, slots: &[u32]) {
        debug_assert!(self.returns.last().is_none_or(|&last| last < offset));
        let shared = match (self.starts.last(), self.ends.last()) {
            (Some(&start), Some(&end)) if self.slots[start as usize..end as usize] == *slots => Some(start),
            _ => None,
        };
        let start = shared.unwrap_or_else(|| {
            self.slots.extend_from_slice(slots);
            (self.slots.len() - slots.len()) as u32
        });
        self.returns.push(offset);
        self.starts.push(start);
        self.ends.push(start + slots.len() as u32);
    }

    /// Adds another text's maps; that text starts at `base`.
    pub fn append(&mut self, other: &StackMaps, base: u32) {
        let slots = self.slots.len() as u32;
        self.returns.extend(other.returns.iter().map(|r| r + base));
        self.starts.extend(other.starts.iter().map(|s| s + slots));
        self.ends.extend(other.ends.iter().map(|e| e + slots));
        self.slots.extend_from_slice(&other.slots);
    }

    /// Prepares fast lookups. To be called once everything is added.
    pub fn index(&mut self) {
        let Some(&last) = self.returns.last() else { return };
        let mut next = 0;
        self.buckets = (0..=(last >> BUCKET_SHIFT) + 1)
            .map(|bucket| {
                let start = u64::from(bucket) << BUCKET_SHIFT;
                while self.returns.get(next).is_some_and(|&r| u64::from(r) < start) {
                    next += 1;
                }
                next as u32
            })
            .collect();
    }

    /// The slots of the frame that returns to `offset`.
    pub fn lookup(&self, offset: u32) -> Option<&[u32]> {
        let bucket = (offset >> BUCKET_SHIFT) as usize;
        let range = if self.buckets.is_empty() {
            0..self.returns.len()
        } else {
            *self.buckets.get(bucket)? as usize..*self.buckets.get(bucket + 1)? as usize
        };
        let start = range.start;
        let i = start + self.returns[range].binary_search(&offset).ok()?;
        Some(&self.slots[self.starts[i] as usize..self.ends[i] as usize])
    }

    fn check(&self, length: u32) -> Result<(), &'static str> {
        let StackMaps { returns, starts, ends, slots, buckets: _ } = self;
        let spans = starts.iter().zip(ends).all(|(start, end)| start <= end && *end as usize <= slots.len());
        let whole = starts.len() == returns.len() && ends.len() == returns.len();
        (whole && spans && ascending(returns, length)).then_some(()).ok_or("inconsistent stack maps")
    }
}

impl TrapTable {
    /// Adds a trapping instruction; offsets ascend.
    pub fn push(&mut self, offset: u32, trap: Trap) {
        debug_assert!(self.offsets.last().is_none_or(|&last| last <= offset));
        self.offsets.push(offset);
        self.traps.push(trap);
    }

    /// Adds another text's traps; that text starts at `base`.
    pub fn append(&mut self, other: &TrapTable, base: u32) {
        self.offsets.extend(other.offsets.iter().map(|o| o + base));
        self.traps.extend_from_slice(&other.traps);
    }

    /// The trap of the instruction at `offset`.
    pub fn lookup(&self, offset: u32) -> Option<Trap> {
        Some(self.traps[self.offsets.binary_search(&offset).ok()?])
    }

    fn check(&self, length: u32) -> Result<(), &'static str> {
        let TrapTable { offsets, traps } = self;
        let placed = offsets.is_sorted() && offsets.last().is_none_or(|&last| last < length);
        (placed && offsets.len() == traps.len()).then_some(()).ok_or("inconsistent trap table")
    }
}

impl HandlerTable {
    /// Adds the handlers of the call that returns to `offset`; offsets ascend.
    pub fn push(&mut self, offset: u32, handlers: Handlers<'_>) {
        debug_assert!(self.returns.last().is_none_or(|&last| last < offset));
        self.returns.push(offset);
        self.frame_sizes.push(handlers.frame_size);
        self.contexts.push(handlers.context);
        self.handlers.extend_from_slice(handlers.handlers);
        self.ends.push(self.handlers.len() as u32);
    }

    /// Adds another text's handlers; that text starts at `base`.
    pub fn append(&mut self, other: &HandlerTable, base: u32) {
        let handlers = self.handlers.len() as u32;
        self.returns.extend(other.returns.iter().map(|r| r + base));
        self.ends.extend(other.ends.iter().map(|e| e + handlers));
        self.frame_sizes.extend_from_slice(&other.frame_sizes);
        self.contexts.extend_from_slice(&other.contexts);
        self.handlers.extend(other.handlers.iter().map(|h| Handler { code: h.code + base, ..*h }));
    }

    /// The handlers of the call that returns to `offset`.
    pub fn lookup(&self, offset: u32) -> Option<Handlers<'_>> {
        let i = self.returns.binary_search(&offset).ok()?;
        Some(Handlers {
            handlers: &self.handlers[span(&self.ends, i)],
            frame_size: self.frame_sizes[i],
            context: self.contexts[i],
        })
    }

    fn check(&self, length: u32) -> Result<(), &'static str> {
        let HandlerTable { returns, ends, frame_sizes, contexts, handlers } = self;
        let whole = [ends.len(), frame_sizes.len(), contexts.len()] == [returns.len(); 3];
        let spans = ends.is_sorted() && ends.last().map_or(0, |&end| end as usize) == handlers.len();
        let placed = handlers.iter().all(|h| h.code < length);
        (whole && spans && placed && ascending(returns, length)).then_some(()).ok_or("inconsistent exception table")
    }
}

impl AddressMap {
    /// Says that from `code` on, up to the next entry, text implements the instruction at `wasm`.
    pub fn push(&mut self, code: u32, wasm: Option<u32>) {
        let wasm = wasm.unwrap_or(u32::MAX);
        match (self.code.last(), self.wasm.last_mut()) {
            (Some(_), Some(last)) if *last == wasm => {}
            // An empty range is replaced; if that leaves two equal neighbours, no harm is done.
            (Some(&start), Some(last)) if start == code => *last = wasm,
            _ => {
                debug_assert!(self.code.last().is_none_or(|&last| last < code));
                self.code.push(code);
                self.wasm.push(wasm);
            }
        }
    }

    /// Adds another text's map; that text starts at `base`.
    pub fn append(&mut self, other: &AddressMap, base: u32) {
        self.code.reserve(other.code.len());
        self.wasm.reserve(other.wasm.len());
        for (&code, &wasm) in other.code.iter().zip(&other.wasm) {
            self.push(code + base, (wasm != u32::MAX).then_some(wasm));
        }
    }

    /// The module offset of the instruction that contains `offset`.
    pub fn lookup(&self, offset: u32) -> Option<u32> {
        let i = self.code.partition_point(|&c| c <= offset).checked_sub(1)?;
        Some(self.wasm[i]).filter(|&w| w != u32::MAX)
    }

    fn check(&self, length: u32) -> Result<(), &'static str> {
        let AddressMap { code, wasm } = self;
        (code.len() == wasm.len() && ascending(code, length)).then_some(()).ok_or("inconsistent address map")
    }
}

fn span(ends: &[u32], i: usize) -> core::ops::Range<usize> {
    let start = if i == 0 { 0 } else { ends[i - 1] };
    start as usize..ends[i] as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_maps_are_found_with_and_without_index() {
        let mut one = StackMaps::default();
        one.push(5, &[8, 16]);
        one.push(7, &[8, 16]);
        one.push(9, &[]);
        assert_eq!(one.slots.len(), 2);
        let mut all = StackMaps::default();
        all.push(3, &[4]);
        for base in [0x100, 0x1000, 0x1100] {
            all.append(&one, base);
        }
        let check = |maps: &StackMaps| {
            assert_eq!(maps.lookup(3), Some(&[4][..]));
            for base in [0x100, 0x1000, 0x1100] {
                assert_eq!(maps.lookup(base + 5), Some(&[8, 16][..]));
                assert_eq!(maps.lookup(base + 7), Some(&[8, 16][..]));
                assert_eq!(maps.lookup(base + 9), Some(&[][..]));
                assert_eq!(maps.lookup(base + 6), None);
            }
            for missing in [0, 4, 0xfff, 0x1200, 0x8000_0000, u32::MAX] {
                assert_eq!(maps.lookup(missing), None);
            }
        };
        check(&all);
        all.index();
        check(&all);
        let mut empty = StackMaps::default();
        empty.index();
        assert_eq!(empty.lookup(0), None);
    }

    #[test]
    fn stack_map_at_the_end_of_the_address_range() {
        let mut maps = StackMaps::default();
        maps.push(i32::MAX as u32, &[8]);
        maps.index();
        assert_eq!(maps.lookup(i32::MAX as u32), Some(&[8][..]));
    }

    #[test]
    fn handlers_move_with_their_text() {
        let mut one = HandlerTable::default();
        let handlers = [Handler { tag: Some(3), code: 40 }, Handler { tag: None, code: 50 }];
        one.push(20, Handlers { handlers: &handlers, frame_size: 64, context: 24 });
        let mut all = HandlerTable::default();
        all.append(&one, 0);
        all.append(&one, 1000);
        let found = all.lookup(1020).expect("the second copy");
        assert_eq!((found.frame_size, found.context), (64, 24));
        assert_eq!(found.handlers, [Handler { tag: Some(3), code: 1040 }, Handler { tag: None, code: 1050 }]);
        assert_eq!(all.lookup(20).expect("the first copy").handlers, handlers);
        assert!(all.lookup(1040).is_none());
    }

    #[test]
    fn addresses_merge_and_end() {
        let mut one = AddressMap::default();
        one.push(0, None);
        one.push(4, Some(100));
        one.push(6, Some(100));
        one.push(8, Some(101));
        one.push(8, Some(102));
        one.push(12, None);
        assert_eq!(one.code, [0, 4, 8, 12]);
        let mut all = AddressMap::default();
        all.append(&one, 0);
        all.append(&one, 32);
        let offsets: Vec<_> = [0, 3, 4, 7, 8, 11, 12, 31, 33, 36, 44, 100].map(|o| all.lookup(o)).into();
        let n = None;
        let expected = [n, n, Some(100), Some(100), Some(102), Some(102), n, n, n, Some(100), n, n];
        assert_eq!(offsets, expected);
    }

    #[test]
    fn traps_are_exact() {
        let mut traps = TrapTable::default();
        traps.push(7, Trap::Unreachable);
        let mut all = TrapTable::default();
        all.append(&traps, 16);
        assert_eq!(all.lookup(23), Some(Trap::Unreachable));
        assert_eq!(all.lookup(22), None);
    }
}
