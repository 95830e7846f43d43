//! What is known at a place in the function, as tables that follow the dominator tree.
//!
//! A fact that was found in a block holds in every block that it dominates, since values never change. So the tables
//! are opened and closed like scopes. What a store can invalidate carries a *stamp* in its key: a store draws a new
//! stamp for its class of places, and keys with the old one are never asked for again.

use super::effects::Class;
use crate::gc::Extend;
use cranelift_codegen::ir::{Type, Value};
use rustc_hash::FxHashMap;
use std::hash::Hash;

/// A table whose entries vanish with the scope that made them.
#[derive(Debug)]
pub(super) struct Scoped<K, V> {
    entries: FxHashMap<K, V>,
    /// What an entry was before it was overwritten, newest last.
    undo: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Scoped<K, V> {
    fn default() -> Self {
        Scoped { entries: FxHashMap::default(), undo: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Scoped<K, V> {
    pub(super) fn get(&self, key: K) -> Option<V> {
        self.entries.get(&key).copied()
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        let before = self.entries.insert(key, value);
        self.undo.push((key, before));
    }

    fn roll_back(&mut self, mark: usize) {
        for (key, before) in self.undo.drain(mark..).rev() {
            match before {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
    }
}

/// An element's index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Index {
    Constant(u32),
    Value(Value),
}

/// How a place is read. Code that a failed cast makes unreachable may read one place in two ways, and the value of one
/// of them must not stand for the other: least of all a number for a reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Access {
    /// What stands in memory.
    pub(super) stored: Type,
    pub(super) traced: bool,
    pub(super) extend: Extend,
}

/// A place in memory whose contents may be known. `stamp` is 0 for what never changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Place {
    Field {
        object: Value,
        offset: u32,
        access: Access,
        stamp: u32,
    },
    Element {
        array: Value,
        index: Index,
        access: Access,
        stamp: u32,
    },
    Length {
        array: Value,
    },
    /// What an i31 holds. It never changes.
    I31 {
        reference: Value,
        signed: bool,
    },
}

/// What a place holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Value(Value),
    /// A 32-bit constant.
    Constant(u32),
}

/// A comparison that is known to hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Less {
    pub(super) signed: bool,
    pub(super) smaller: Value,
    pub(super) larger: Value,
}

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) contents: Scoped<Place, Content>,
    pub(super) non_null: Scoped<Value, ()>,
    /// A type of the module that the reference has unless it is null.
    pub(super) types: Scoped<Value, u32>,
    /// References that are i31s, unless they are null.
    pub(super) i31s: Scoped<Value, ()>,
    /// Accesses whose index was found within the array's length.
    pub(super) in_bounds: Scoped<(Value, Index), ()>,
    /// The largest constant index found within an array's length.
    pub(super) largest: Scoped<Value, u32>,
    pub(super) less: Scoped<Less, ()>,
    stamps: Scoped<Option<Class>, u32>,
    last_stamp: u32,
}

/// Where the tables stood when a scope was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark([usize; 8]);

impl Facts {
    /// Opens a scope.
    pub(super) fn mark(&self) -> Mark {
        Mark([
            self.contents.undo.len(),
            self.non_null.undo.len(),
            self.types.undo.len(),
            self.in_bounds.undo.len(),
            self.largest.undo.len(),
            self.less.undo.len(),
            self.stamps.undo.len(),
            self.i31s.undo.len(),
        ])
    }

    /// Closes the scopes that were opened since.
    pub(super) fn roll_back(&mut self, Mark(marks): Mark) {
        self.contents.roll_back(marks[0]);
        self.non_null.roll_back(marks[1]);
        self.types.roll_back(marks[2]);
        self.in_bounds.roll_back(marks[3]);
        self.largest.roll_back(marks[4]);
        self.less.roll_back(marks[5]);
        self.stamps.roll_back(marks[6]);
        self.i31s.roll_back(marks[7]);
    }

    /// The stamp of what is known of a class of places. It is never 0.
    pub(super) fn stamp(&self, class: Class) -> u32 {
        let of = |class| self.stamps.get(class).unwrap_or(0);
        1 + of(Some(class)).max(of(None))
    }

    /// Forgets what the places of a class hold.
    pub(super) fn forget(&mut self, class: Class) {
        self.last_stamp += 1;
        self.stamps.insert(Some(class), self.last_stamp);
    }

    /// Forgets what every place holds that can change.
    pub(super) fn forget_all(&mut self) {
        self.last_stamp += 1;
        self.stamps.insert(None, self.last_stamp);
    }
}
