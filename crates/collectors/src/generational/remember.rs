//! The barrier and the remembered set.
//!
//! **Invariant.** A slot outside the nursery that holds a reference into it is marked, or its object is in the set. Kept by:
//!
//! - the store barrier, which marks the slot when the object may be old and the new value may be young;
//! - the bulk barrier, which appends the object when it may be old;
//! - minor collections, which mark every slot outside the nursery whose referent stays young;
//! - fresh large objects, which belong to the set until the next collection;
//! - collections that leave no young object, which empty the set.
//!
//! **A bit for each slot.** The marks are a side table, a thirty-second of the heap in size. A mark is a load, an `or` and a store, and
//! whether there is one is computed, not branched upon: when a program rewrites old objects, whether the new value is young
//! often follows no pattern, and a branch guessed wrongly takes longer than all the rest. A slot is marked once, however often it is
//! written. A second table says which pages have been written to, a byte each, so that a minor collection in a large heap
//! reads the marks of those alone. Cards would be one table instead of two, but would need a map of where objects begin, and a look
//! at every object on a card.
//!
//! **One branch.** The nursery lies above all other objects whenever that can be had ([`super::room`]), and then one bound tells
//! old from young: an object is old below it, a value is young from it on, and each test is one compare with memory. When
//! objects do lie above the nursery, every object counts as one that may be old ([`OLD_BOUND`]): then slots of young objects
//! are marked, too, and the next collection wipes these marks off.
//!
//! An i31 may look like a nursery address: a useless mark.

use super::geometry::{PAGE, Span};
use super::pages::{Pages, Use};
use heapwright_gc_heap::barrier::{Expr, Input, Likely, MutatorWord, Program, Stmt, Var};
use heapwright_gc_heap::{Heap, HeapCorrupted, SideTable};

/// Mutator word: the offset below the nursery; a value above it may be young.
pub(super) const BELOW_NURSERY: usize = 0;
/// Mutator word: objects from here on need no mark. The nursery's start when nothing lies above the nursery, else the largest number;
/// 0 when a full collection comes next.
pub(super) const OLD_BOUND: usize = 1;
/// The marks: a bit for each word of the heap.
const MARKS: SideTable = SideTable { name: "remembered slots", granule: 4, bits: 1 };
/// A byte for each page: not zero if the page has marks. It may have none.
const WRITTEN: SideTable = SideTable { name: "written pages", granule: PAGE, bits: 8 };
/// The declaration.
pub(super) static TABLES: [SideTable; 2] = [MARKS, WRITTEN];
/// Their numbers.
const MARKS_TABLE: usize = 0;
const WRITTEN_TABLE: usize = 1;
/// Bytes of heap whose marks are one word of the table.
const WORD_SPAN: u32 = u64::BITS * MARKS.granule;
/// Pages that are looked at together.
const AT_ONCE: usize = 64;
/// The append buffer, for objects.
const BUFFER: usize = 0;
/// Words in it. Emptying it is a call; at this size that is no measurable part of filling it.
const BUFFER_WORDS: usize = 1024;
/// Objects above which the set is first searched for duplicates. Sorting costs more than to look at an object twice: it is there
/// to bound the set.
const TIDY_OBJECTS: usize = 64 << 10;

const _: () = assert!(TIDY_OBJECTS > BUFFER_WORDS && PAGE.is_multiple_of(WORD_SPAN));

const OBJECT: Var = Var(0);
const BOUND: Var = Var(1);
const NEW: Var = Var(2);
const SLOT: Var = Var(3);
const TEST: Var = Var(4);

/// Before a store.
pub(super) static STORE: Program = Program {
    name: "generational-store",
    body: &[
        Stmt::Let(OBJECT, Expr::Input(Input::Object)),
        Stmt::Let(BOUND, Expr::Mutator(MutatorWord::Collector(OLD_BOUND as u8))),
        Stmt::Let(TEST, Expr::Ult(OBJECT, BOUND)),
        Stmt::If(
            TEST,
            Likely::No,
            &[
                Stmt::Let(NEW, Expr::Input(Input::New)),
                Stmt::Let(BOUND, Expr::Mutator(MutatorWord::Collector(BELOW_NURSERY as u8))),
                Stmt::Let(TEST, Expr::Ult(BOUND, NEW)),
                Stmt::Let(SLOT, Expr::Input(Input::Slot)),
                Stmt::OrSide(MARKS_TABLE as u8, SLOT, TEST),
                // Whether marked or not: a constant is written sooner.
                Stmt::Let(TEST, Expr::Const(1)),
                Stmt::SetSide(WRITTEN_TABLE as u8, SLOT, TEST),
            ],
            &[],
        ),
    ],
};

/// Before a bulk write.
pub(super) static BULK: Program = Program {
    name: "generational-bulk",
    body: &[
        Stmt::Let(OBJECT, Expr::Input(Input::Object)),
        Stmt::Let(BOUND, Expr::Mutator(MutatorWord::Collector(OLD_BOUND as u8))),
        Stmt::Let(TEST, Expr::Ult(OBJECT, BOUND)),
        Stmt::If(TEST, Likely::Unknown, &[Stmt::Append(BUFFER as u8, OBJECT)], &[]),
    ],
};

/// The set, but for the marks. What the mutator has appended reaches `objects` when the buffer is emptied.
#[derive(Debug)]
pub(super) struct Remembered {
    buffer: Vec<u32>,
    pub(super) objects: Vec<u32>,
    /// Number of objects at which duplicates are looked for.
    tidy_at: usize,
}

/// What a minor collection starts from.
#[derive(Debug)]
pub(super) struct Taken {
    /// Each once, in the order of the areas.
    pub(super) slots: Vec<u32>,
    /// Each once, for it is scanned whole.
    pub(super) objects: Vec<u32>,
}

impl Remembered {
    pub(super) fn new() -> Remembered {
        Remembered { buffer: vec![0; BUFFER_WORDS], objects: Vec::new(), tidy_at: TIDY_OBJECTS }
    }

    /// Gives the mutator an empty buffer.
    pub(super) fn install(&mut self, heap: &mut Heap) {
        let words = self.buffer.as_mut_ptr_range();
        let buffer = &mut heap.mutator_mut().buffers[BUFFER];
        (buffer.next, buffer.end) = (words.start, words.end);
    }

    /// What the mutator has appended.
    pub(super) fn pending(&self, heap: &Heap) -> &[u32] {
        let bytes = (heap.mutator().buffers[BUFFER].next as usize).wrapping_sub(self.buffer.as_ptr() as usize);
        &self.buffer[..(bytes / 4).min(self.buffer.len())]
    }

    /// Empties the buffer into the set.
    pub(super) fn drain(&mut self, heap: &mut Heap, pages: &Pages) -> Result<(), HeapCorrupted> {
        let count = self.pending(heap).len();
        for &object in &self.buffer[..count] {
            match pages.at(object) {
                Use::Old | Use::Large if object.is_multiple_of(8) => {}
                Use::Young => continue,
                _ => {
                    return Err(HeapCorrupted { what: "store into memory that no old object occupies", at: object });
                }
            }
            if self.objects.last() != Some(&object) {
                self.objects.push(object);
            }
        }
        self.install(heap);
        if self.objects.len() >= self.tidy_at {
            self.tidy();
            self.tidy_at = (2 * self.objects.len()).max(TIDY_OBJECTS);
        }
        Ok(())
    }

    /// Removes duplicates.
    fn tidy(&mut self) {
        self.objects.sort_unstable();
        self.objects.dedup();
    }

    /// Takes the set for a minor collection; `areas` are those of objects with references outside the nursery.
    pub(super) fn take(&mut self, heap: &mut Heap, areas: &[Span]) -> Taken {
        self.tidy();
        self.tidy_at = TIDY_OBJECTS;
        let (mut slots, mut marks) = (Vec::new(), Marks::of(heap));
        areas.iter().for_each(|&area| marks.take(area, &mut slots));
        Taken { slots, objects: core::mem::take(&mut self.objects) }
    }

    /// Marks slots whose referents stay young.
    pub(super) fn put_back(heap: &mut Heap, slots: &[u32]) {
        let mut marks = Marks::of(heap);
        slots.iter().for_each(|&slot| marks.add(slot));
    }

    /// Forgets everything: there is no young object. Marks may stay where objects do: the next collection finds them useless.
    pub(super) fn clear(&mut self, heap: &mut Heap) {
        self.objects.clear();
        self.tidy_at = TIDY_OBJECTS;
        self.install(heap);
    }
}

/// Whether a slot is marked, and its page is known to have marks.
pub(super) fn is_marked(heap: &Heap, slot: u32) -> bool {
    let memory = heap.memory();
    memory.load_side(MARKS_TABLE, slot) == Ok(1) && memory.load_side(WRITTEN_TABLE, slot).is_ok_and(|page| page != 0)
}

/// Removes the marks of all slots in `area`, which begins and ends at multiples of 8.
pub(super) fn wipe(heap: &mut Heap, area: Span) {
    Marks::of(heap).for_each_word(area, |_, word, mask| *word &= !mask);
}

/// Both tables.
struct Marks<'a> {
    bits: &'a mut [u8],
    written: &'a mut [u8],
}

impl<'a> Marks<'a> {
    fn of(heap: &'a mut Heap) -> Marks<'a> {
        let [bits, written, ..] = heap.memory_mut().sides_mut();
        Marks { bits, written }
    }

    fn add(&mut self, slot: u32) {
        let ((byte, bit), (page, _)) = (MARKS.entry(slot), WRITTEN.entry(slot));
        if let (Some(byte), Some(page)) = (self.bits.get_mut(byte as usize), self.written.get_mut(page as usize)) {
            *byte |= 1 << bit;
            *page = 1;
        }
    }

    /// Moves the marks in `area` to the end of `slots`.
    fn take(&mut self, area: Span, slots: &mut Vec<u32>) {
        self.for_each_word(area, |at, word, mask| {
            let mut found = *word & mask;
            *word &= !mask;
            while found != 0 {
                slots.push(at + MARKS.granule * found.trailing_zeros());
                found &= found - 1;
            }
        });
    }

    /// Calls `f`, which removes marks, with the words of marks that concern `area` and are not zero, the heap offset of each one's
    /// first mark, and a mask of the marks that do concern it.
    fn for_each_word(&mut self, area: Span, mut f: impl FnMut(u32, &mut u64, u64)) {
        if area.len() == 0 {
            return;
        }
        let (first, last) = (area.start / PAGE, (area.end - 1) / PAGE);
        let Some(written) = self.written.get_mut(first as usize..) else { return };
        let count = written.len().min((last - first + 1) as usize);
        let mut page = first;
        for some in written[..count].chunks_mut(AT_ONCE) {
            // Most of what is read is zero.
            if some.iter().fold(0, |all, page| all | page) == 0 {
                page += some.len() as u32;
                continue;
            }
            for written in some {
                let start = page * PAGE;
                page += 1;
                if *written == 0 {
                    continue;
                }
                let part = Span::new(start.max(area.start), area.end.min(start.saturating_add(PAGE)));
                for_each_word_in(self.bits, part, &mut f);
                // A page that belongs to other areas, too, may have marks for them.
                if part.len() == PAGE {
                    *written = 0;
                }
            }
        }
    }
}

/// The same for a part of a page.
fn for_each_word_in(bits: &mut [u8], part: Span, f: &mut impl FnMut(u32, &mut u64, u64)) {
    let (first, last) = (part.start / WORD_SPAN, (part.end - 1) / WORD_SPAN);
    let Some(bits) = bits.get_mut(8 * first as usize..) else { return };
    let (words, _) = bits.as_chunks_mut::<8>();
    for (number, bytes) in (first..=last).zip(words) {
        let (at, mut word) = (number * WORD_SPAN, u64::from_le_bytes(*bytes));
        if word == 0 {
            continue;
        }
        let mut mask = u64::MAX;
        if at < part.start {
            mask <<= (part.start - at) / MARKS.granule;
        }
        if part.end - at < WORD_SPAN {
            mask &= u64::MAX >> ((WORD_SPAN - (part.end - at)) / MARKS.granule);
        }
        f(at, &mut word, mask);
        *bytes = word.to_le_bytes();
    }
}
