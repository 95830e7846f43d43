//! Bugs on purpose, to see whether the tests find them.
//!
//! With the feature `planted-bugs`, [`plant`] switches one of them on for the whole process. Without it there are none:
//! [`planted`] is a constant, and what depends on it is not compiled.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// A bug, and where it is planted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Bug { $($(#[doc = $doc])* $name,)* }

        impl Bug {
            /// Every bug.
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)*];

            /// What it is, in a few words.
            pub fn text(self) -> &'static str {
                match self { $(Bug::$name => $text,)* }
            }
        }
    };
}

bugs! {
    /// An object's extent, and a range of bytes, are not compared with the heap's end.
    UncheckedLength = "unchecked length",
    /// A type's trace mask lacks the last reference.
    WrongTraceMask = "wrong trace mask",
    /// A stack map lacks the last of several references.
    MissingStackMapEntry = "missing stack-map entry",
    /// Compiled stores of references run no store program.
    MissingBarrier = "missing barrier",
    /// An object counts as fresh, or as stored into, beyond a safepoint.
    SkippedElisionCheck = "skipped elision check",
    /// The copying collector takes the low four bits of a forwarding word for flags.
    WrongForwardingMask = "wrong forwarding mask",
    /// The end of an allocation region that was not used up counts as free from eight bytes too early.
    OffByOneFree = "off-by-one free space",
    /// A type word is not compared with the type space's end, nor the entry's tag with those that there are.
    UnvalidatedTypeWord = "unvalidated type word",
    /// `call_ref` does not compare the id with the function table's length.
    UnvalidatedFunctionId = "unvalidated function id",
    /// Tables are no roots.
    DroppedRootKind = "dropped root kind",
    /// Some host values are released though their boxes live.
    FreedHostId = "freed host id",
    /// Compiled code that checks bounds is not told that the heap has grown.
    GrowthWithoutReload = "growth without base reload",
    /// A field's value is taken for what it was before a store.
    StaleLoad = "load kept over a store",
    /// `array.copy` of references runs no barrier.
    MissingBulkBarrier = "missing barrier of array.copy",
}

#[cfg(not(feature = "planted-bugs"))]
mod gate {
    /// Whether a bug is planted: never.
    #[inline(always)]
    pub const fn planted(_bug: super::Bug) -> bool {
        false
    }

    const _: () = assert!(!planted(super::Bug::UncheckedLength));
}

#[cfg(feature = "planted-bugs")]
mod gate {
    use super::Bug;
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    const NONE: u8 = u8::MAX;

    static PLANTED: AtomicU8 = AtomicU8::new(NONE);

    /// Whether a bug is planted.
    #[inline]
    pub fn planted(bug: Bug) -> bool {
        PLANTED.load(Relaxed) == bug as u8
    }

    /// Plants a bug in place of the one there was.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(NONE, |bug| bug as u8), Relaxed);
    }
}

#[cfg(feature = "planted-bugs")]
pub use gate::plant;
pub use gate::planted;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_planted_unless_asked_for() {
        assert!(Bug::ALL.iter().all(|&bug| !planted(bug)));
        for (i, bug) in Bug::ALL.iter().enumerate() {
            assert!(Bug::ALL[..i].iter().all(|other| other.text() != bug.text()));
        }
    }
}
