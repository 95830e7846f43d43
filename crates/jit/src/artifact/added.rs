//! Functions that are added to a module while its code runs.

use super::{CodeRange, Tables};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Acquire, Ordering::Release};

/// A function that was compiled on its own. Offsets in its tables are those of the module's text.
#[derive(Debug)]
pub struct Piece {
    /// Which function, counted without imports.
    pub defined: u32,
    /// Its code.
    pub range: CodeRange,
    /// What is known about it.
    pub tables: Tables,
}

/// Pieces in the order of their places. Readers take no lock, and see a piece as soon as it was added: whoever can have
/// its code's address can look it up. There is room for each function once.
#[derive(Debug, Default)]
pub(super) struct Added {
    pieces: Box<[OnceLock<Piece>]>,
    count: AtomicUsize,
    /// By function: one more than the position of its piece, 0 without one.
    positions: Box<[AtomicU32]>,
}

impl Added {
    /// Room for `count` functions.
    pub(super) fn new(count: usize) -> Added {
        Added {
            pieces: (0..count).map(|_| OnceLock::new()).collect(),
            count: AtomicUsize::new(0),
            positions: (0..count).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Adds a piece that lies behind all others. One caller at a time.
    ///
    /// # Panics
    ///
    /// When the function is there already, or lies before another: its tables could not be found.
    pub(super) fn push(&self, piece: Piece) {
        let (count, defined) = (self.count.load(Acquire), piece.defined as usize);
        let last = count.checked_sub(1).and_then(|last| self.pieces[last].get());
        assert!(last.is_none_or(|last| last.range.end() <= piece.range.start), "functions are added in order");
        assert_eq!(self.positions[defined].load(Acquire), 0, "a function is added once");
        assert!(self.pieces[count].set(piece).is_ok(), "functions are added by one thread at a time");
        self.count.store(count + 1, Release);
        self.positions[defined].store(count as u32 + 1, Release);
    }

    /// The pieces so far.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces[..self.count.load(Acquire)].iter().filter_map(OnceLock::get)
    }

    /// The piece of a function.
    pub(super) fn of(&self, defined: u32) -> Option<&Piece> {
        let position = self.positions.get(defined as usize)?.load(Acquire).checked_sub(1)?;
        self.pieces[position as usize].get()
    }

    /// The last piece that starts before `offset`: the one with a call that returns there, if any has.
    pub(super) fn before(&self, offset: u32) -> Option<&Piece> {
        let pieces = &self.pieces[..self.count.load(Acquire)];
        let starts_before = |piece: &OnceLock<Piece>| piece.get().is_some_and(|piece| piece.range.start < offset);
        let at = pieces.partition_point(starts_before).checked_sub(1)?;
        pieces[at].get()
    }

    /// The piece whose code contains `offset`.
    pub(super) fn containing(&self, offset: u32) -> Option<&Piece> {
        self.before(offset.checked_add(1)?).filter(|piece| offset < piece.range.end())
    }
}
