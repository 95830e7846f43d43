//! The barrier and the remembered set.
//!
//! **Invariant.** A slot outside the nursery that holds a reference into it is in the set, or its object is. Kept by:
//!
//! - the store barrier, which appends the slot when the object may be old, the new value may be young, and the old value was
//!   not (then the slot is there already);
//! - the bulk barrier, which appends the object when it may be old;
//! - minor collections, which put back every slot outside the nursery whose referent stays young;
//! - fresh large objects, which belong to the set until the next collection;
//! - collections that leave no young object, which empty the set.
//!
//! **Two compares.** The nursery lies above all other objects whenever that can be had ([`super::room`]), and then one bound tells
//! old from young: an object is old below it, a value is young from it on, and each test is one compare with memory. When
//! objects do lie above the nursery, every object counts as one that may be old ([`OLD_BOUND`]); entries for young objects are dropped
//! when the buffer is emptied.
//!
//! An i31 may look like a nursery address. As a new value it costs a useless entry; as an old value it must not count as
//! a sign that the slot is there, so the program asks.

use super::pages::{Pages, Use};
use heapwright_gc_heap::barrier::{Expr, Input, Likely, MutatorWord, Program, Stmt, Var};
use heapwright_gc_heap::{Heap, HeapCorrupted};

/// Mutator word: start of the nursery.
pub(super) const NURSERY_START: usize = 0;
/// Mutator word: size of the nursery.
pub(super) const NURSERY_SIZE: usize = 1;
/// Mutator word: objects from here on need no entry. The nursery's start when nothing lies above the nursery, else the largest number;
/// 0 when a full collection comes next.
pub(super) const OLD_BOUND: usize = 2;
/// The append buffer.
const BUFFER: usize = 0;
/// Words in it. Emptying it is a call; at this size that is no measurable part of filling it.
const BUFFER_WORDS: usize = 1024;
/// What tells an object from a slot in the buffer; slots are multiples of 4.
const WHOLE_OBJECT: u32 = 1;
/// Entries above which the set is first searched for duplicates. Sorting costs more than to visit a slot twice: it is there
/// to bound the set.
const TIDY_ENTRIES: usize = 256 << 10;

const _: () = assert!(TIDY_ENTRIES > BUFFER_WORDS && WHOLE_OBJECT < 4);

const START: Var = Var(0);
const SIZE: Var = Var(1);
const OBJECT: Var = Var(2);
const NEW: Var = Var(3);
const OLD: Var = Var(4);
const PLACE: Var = Var(5);
const TEST: Var = Var(6);
const BOUND: Var = Var(7);

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
                Stmt::Let(START, Expr::Mutator(MutatorWord::Collector(NURSERY_START as u8))),
                Stmt::Let(TEST, Expr::Ult(NEW, START)),
                Stmt::If(
                    TEST,
                    Likely::Yes,
                    &[],
                    &[
                        // Is the old value a young object, and so the slot in the set?
                        Stmt::Let(OLD, Expr::Input(Input::Old)),
                        Stmt::Let(PLACE, Expr::IsI31(OLD)),
                        Stmt::Let(PLACE, Expr::EqConst(PLACE, 0)),
                        Stmt::Let(START, Expr::Mutator(MutatorWord::Collector(NURSERY_START as u8))),
                        Stmt::Let(SIZE, Expr::Mutator(MutatorWord::Collector(NURSERY_SIZE as u8))),
                        Stmt::Let(OLD, Expr::Sub(OLD, START)),
                        Stmt::Let(TEST, Expr::Ult(OLD, SIZE)),
                        Stmt::Let(TEST, Expr::And(TEST, PLACE)),
                        Stmt::If(
                            TEST,
                            Likely::Unknown,
                            &[],
                            &[Stmt::Let(PLACE, Expr::Input(Input::Slot)), Stmt::Append(BUFFER as u8, PLACE)],
                        ),
                    ],
                ),
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
        Stmt::If(
            TEST,
            Likely::Unknown,
            &[Stmt::Let(PLACE, Expr::OrConst(OBJECT, WHOLE_OBJECT)), Stmt::Append(BUFFER as u8, PLACE)],
            &[],
        ),
    ],
};

/// The set. What the mutator has appended reaches `slots` and `objects` when the buffer is emptied.
#[derive(Debug)]
pub(super) struct Remembered {
    buffer: Vec<u32>,
    pub(super) slots: Vec<u32>,
    pub(super) objects: Vec<u32>,
    /// How many of the slots the last minor collection put back; the mutator has stored into the others since.
    kept: usize,
    /// Number of entries at which duplicates are looked for.
    tidy_at: usize,
}

impl Remembered {
    pub(super) fn new() -> Remembered {
        Remembered {
            buffer: vec![0; BUFFER_WORDS],
            slots: Vec::new(),
            objects: Vec::new(),
            kept: 0,
            tidy_at: TIDY_ENTRIES,
        }
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
        for &entry in &self.buffer[..count] {
            let place = entry & !WHOLE_OBJECT;
            let known = match pages.at(place) {
                Use::Old | Use::Large => true,
                Use::LargeRest => entry == place,
                Use::Young => continue,
                Use::Free => false,
            };
            if !known || place & 3 != 0 {
                return Err(HeapCorrupted { what: "store into memory that no old object occupies", at: place });
            }
            let list = if entry == place { &mut self.slots } else { &mut self.objects };
            if list.last() != Some(&place) {
                list.push(place);
            }
        }
        self.install(heap);
        if self.slots.len() + self.objects.len() >= self.tidy_at {
            self.tidy();
            self.tidy_at = (2 * (self.slots.len() + self.objects.len())).max(TIDY_ENTRIES);
        }
        Ok(())
    }

    /// Removes duplicates: the set is then no larger than the number of words outside the nursery.
    fn tidy(&mut self) {
        for list in [&mut self.slots, &mut self.objects] {
            list.sort_unstable();
            list.dedup();
        }
    }

    /// Takes the set for a minor collection; each object once, for it is scanned whole.
    pub(super) fn take(&mut self) -> (Vec<u32>, Vec<u32>) {
        self.objects.sort_unstable();
        self.objects.dedup();
        self.tidy_at = TIDY_ENTRIES;
        (core::mem::take(&mut self.slots), core::mem::take(&mut self.objects))
    }

    /// Puts slots back whose referents stay young.
    pub(super) fn put_back(&mut self, slots: Vec<u32>) {
        self.kept = slots.len();
        self.slots = slots;
    }

    /// Entries that the mutator has made since the last collection.
    pub(super) fn stores(&self) -> u64 {
        (self.slots.len() + self.objects.len()).saturating_sub(self.kept) as u64
    }

    /// Forgets everything: there is no young object.
    pub(super) fn clear(&mut self, heap: &mut Heap) {
        self.kept = 0;
        self.slots.clear();
        self.objects.clear();
        self.tidy_at = TIDY_ENTRIES;
        self.install(heap);
    }
}
