//! What a collector asks of compiled code and of the heap, as constant data.

use crate::NUM_PROGRAMS;
use crate::barrier::{Input, Program, Scope, effects};
use crate::layout::HeaderLayout;
use crate::side::{NUM_SIDE_TABLES, SideTable};
use serde::Serialize;

/// A publication that a collector follows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Citation {
    /// Authors, title, venue, year.
    pub text: &'static str,
    /// Where this implementation departs from it; empty when it does not.
    pub departs: &'static str,
}

/// A header word after the type word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderWord {
    /// Name for tools.
    pub name: &'static str,
    /// The value that a fresh object from the inline path gets.
    pub initial: u32,
}

/// How compiled code allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AllocSpec {
    /// Advance [`MutatorState::cursor`](crate::MutatorState::cursor) if it stays at or below the limit, else take
    /// the slow path. Memory in `[cursor, limit)` has undefined contents.
    Bump,
    /// Take the first free cell of the smallest class that the object fits, else the slow path; so does an object whose
    /// class is not known when code is compiled. See [`crate::cells`].
    FreeList {
        /// Sizes of cells in bytes: ascending, multiples of 8, at most [`NUM_CLASSES`](crate::NUM_CLASSES).
        classes: &'static [u32],
    },
    /// Always take the slow path.
    Call,
}

impl AllocSpec {
    /// The class of cells that an object of `size` bytes is taken from.
    pub fn class(&self, size: u64) -> Option<usize> {
        match self {
            AllocSpec::FreeList { classes } => classes.iter().position(|&class| size <= u64::from(class)),
            AllocSpec::Bump | AllocSpec::Call => None,
        }
    }
}

/// What a bulk write of references into one object needs.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum BulkBarrier {
    /// Nothing: references move like any other bytes.
    None,
    /// Run this program once, before the write, with `object` the destination and `slot` the address of its
    /// first written element; then the references move like any other bytes.
    Object(&'static Program),
    /// Run the store program for each element.
    Elements,
}

/// The barrier programs. `None` means that nothing is to be done.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Barriers {
    /// Before a reference is stored into a field or an element. Inputs: object, slot, old, new.
    pub store: Option<&'static Program>,
    /// Before a reference is stored into a fresh object, one that no safepoint separates from its
    /// allocation. Inputs: object, slot, new.
    pub init: Option<&'static Program>,
    /// After a reference was loaded from a field or an element; the value loaded is `new`, and
    /// [`Stmt::Forward`](crate::barrier::Stmt::Forward) replaces it. Inputs: object, slot, new.
    pub load: Option<&'static Program>,
    /// Before references are written in bulk (`array.copy`, `array.fill`, `array.init_elem`).
    pub bulk: BulkBarrier,
    /// Before a reference is stored into a global or a table slot. Inputs: old, new.
    pub root_store: Option<&'static Program>,
}

impl Barriers {
    /// No barrier anywhere.
    pub const NONE: Barriers =
        Barriers { store: None, init: None, load: None, bulk: BulkBarrier::None, root_store: None };

    /// What the programs are for, in the order of [`programs`](Self::programs).
    pub const PLACES: [&'static str; NUM_PROGRAMS] = ["store", "init", "load", "bulk", "root store"];

    /// The programs, in a fixed order.
    pub const fn programs(&self) -> [Option<&'static Program>; NUM_PROGRAMS] {
        let bulk = match self.bulk {
            BulkBarrier::Object(program) => Some(program),
            BulkBarrier::None | BulkBarrier::Elements => None,
        };
        [self.store, self.init, self.load, bulk, self.root_store]
    }

    /// Where in that order a program stands; one that is declared for several places counts at the first.
    pub fn position(&self, program: &Program) -> Option<usize> {
        self.programs().iter().position(|declared| declared.is_some_and(|declared| core::ptr::eq(declared, program)))
    }
}

/// A store that needs less than the store program, although one is declared. Compiled code applies those that a
/// collector declares; each must lose nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Elision {
    /// The object is fresh: no safepoint separates the store from its allocation. The init program, if there is one,
    /// runs in the store program's place, also when the slot has a reference already.
    FreshObject,
    /// The value stored is known to be null.
    NullStored,
    /// The value stored is known to be an i31.
    I31Stored,
    /// The store program has run for the same object, whatever the slot, with no safepoint since.
    SameObject,
}

/// When objects may change their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Moves {
    /// Never: a reference held over a safepoint stays valid.
    Never,
    /// At safepoints: a reference held over one must be reloaded from its stack-map slot.
    AtSafepoint,
}

/// A collector's declaration. Part of the key of cached code.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spec {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for listings.
    pub summary: &'static str,
    /// What it follows.
    pub cites: &'static [Citation],
    /// Header words after the type word; at most three.
    pub header: &'static [HeaderWord],
    /// Metadata beside the heap; at most [`NUM_SIDE_TABLES`].
    pub side_tables: &'static [SideTable],
    /// How compiled code allocates.
    pub alloc: AllocSpec,
    /// Barrier programs.
    pub barriers: Barriers,
    /// Stores that compiled code may leave without their barrier.
    pub elide: &'static [Elision],
    /// Whether objects move.
    pub moves: Moves,
    /// Whether the collector looks at roots at all. Without it no stack maps are made.
    pub needs_roots: bool,
    /// Objects larger than this many bytes never come from the inline path.
    pub inline_limit: u32,
}

impl Spec {
    /// The header's layout.
    pub const fn header_layout(&self) -> HeaderLayout {
        assert!(self.header.len() <= 3);
        HeaderLayout { extra_words: self.header.len() as u8 }
    }

    /// Every declared field in one sequence of bytes, barrier programs included: two declarations have the same bytes
    /// exactly when they are equal. Compiled code belongs to the declaration with which it was compiled.
    ///
    /// New fields take part by themselves, for the encoding is derived.
    #[allow(clippy::missing_panics_doc, reason = "it never panics: see the message")]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("a declaration is plain data, and memory grows")
    }

    /// Checks what types cannot say: sizes, each barrier program with the inputs that its place has, and that no
    /// elision contradicts the store program: one that keeps the value overwritten is needed whatever is stored, and
    /// one that notes more than the object is needed at each store.
    ///
    /// # Errors
    ///
    /// What is wrong, for the collector's author.
    pub fn check(&self) -> Result<(), String> {
        if self.header.len() > 3 {
            return Err(format!("{} header words; at most three are possible", self.header.len()));
        }
        if self.inline_limit > crate::MAX_INLINE_LIMIT {
            return Err(format!(
                "an inline limit of {}; the maximum is {}",
                self.inline_limit,
                crate::MAX_INLINE_LIMIT
            ));
        }
        if let AllocSpec::FreeList { classes } = self.alloc {
            let ascending = classes.windows(2).all(|pair| pair[0] < pair[1]);
            let fit = classes.iter().all(|class| class.is_multiple_of(8) && (8..=self.inline_limit).contains(class));
            if classes.is_empty() || classes.len() > crate::NUM_CLASSES || !ascending || !fit {
                return Err(format!(
                    "classes of cells {classes:?}: they must ascend and be multiples of 8, no larger than the inline limit; at most {}",
                    crate::NUM_CLASSES
                ));
            }
        }
        if self.side_tables.len() > NUM_SIDE_TABLES {
            let count = self.side_tables.len();
            return Err(format!("{count} side tables; at most {NUM_SIDE_TABLES} are possible"));
        }
        self.side_tables.iter().try_for_each(SideTable::check)?;
        use Input::{New, Object, Old, Slot};
        let inputs: [&[Input]; NUM_PROGRAMS] =
            [&[Object, Slot, Old, New], &[Object, Slot, New], &[Object, Slot, New], &[Object, Slot], &[Old, New]];
        for (place, (program, inputs)) in self.barriers.programs().into_iter().zip(inputs).enumerate() {
            let scope = Scope {
                header_words: self.header.len() as u8,
                side_tables: self.side_tables.len() as u8,
                inputs,
                forwards: Barriers::PLACES[place] == "load",
            };
            program.map_or(Ok(()), |program| program.check(&scope))?;
        }
        match self.barriers.store {
            Some(store) => {
                self.elide.iter().try_for_each(|&elision| effects::check(store, self.barriers.init, elision))?;
            }
            None if !self.elide.is_empty() => return Err("elisions, but no store program".into()),
            None => {}
        }
        Ok(())
    }
}
