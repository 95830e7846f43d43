//! Faults on purpose, for tests that attack a heap: what the runtime reads may lie, and words change behind its back.
//!
//! Everything that the runtime reads from the heap to act on it passes [`HeapMemory`](crate::HeapMemory)'s loads or
//! [`Words`](crate::Words), and both show each value to a [`Tap`] first. With the feature `inject` an [`Attacker`] sits
//! there. Without it a tap is of size zero and answers what it was told, so that nothing is left of it in compiled
//! code.

/// Where the runtime is when words can be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The collector is about to run: an allocation's slow path, a barrier's, or a collection.
    Enter,
    /// It has run.
    Leave,
    /// The runtime has just written to the heap, perhaps in the middle of a collection.
    Step,
    /// The guest has called the host.
    Host,
}

#[cfg(feature = "inject")]
pub use gate::Attacker;
pub(crate) use gate::{Injector, Tap};

/// A value of at most 128 bits that the runtime reads.
pub(crate) trait Bits: Copy {
    #[cfg(feature = "inject")]
    fn map(self, f: impl FnOnce(u64) -> u64) -> Self;
}

macro_rules! bits {
    ($($ty:ty)*) => {
        $(impl Bits for $ty {
            #[cfg(feature = "inject")]
            fn map(self, f: impl FnOnce(u64) -> u64) -> Self {
                // What is above 64 bits stays: nothing acts on it.
                (self & !(u64::MAX as $ty)) | (f(self as u64) as $ty)
            }
        })*
    };
}

bits!(u8 u16 u32 u64 u128);

#[cfg(not(feature = "inject"))]
mod gate {
    use core::marker::PhantomData;

    /// Nobody.
    #[derive(Default)]
    pub(crate) struct Injector(());

    /// The way to nobody.
    #[derive(Clone, Copy)]
    pub(crate) struct Tap<'a>(PhantomData<&'a ()>);

    const _: () = assert!(size_of::<Injector>() == 0 && size_of::<Tap<'_>>() == 0);

    impl Injector {
        #[inline(always)]
        pub(crate) fn tap(&self) -> Tap<'_> {
            Tap(PhantomData)
        }

        #[inline(always)]
        pub(crate) fn is_armed(&self) -> bool {
            false
        }
    }

    impl Tap<'_> {
        #[inline(always)]
        pub(crate) fn seen<T: super::Bits>(self, _offset: u32, value: T) -> T {
            value
        }

        #[inline(always)]
        pub(crate) fn is_armed(self) -> bool {
            false
        }

        #[inline(always)]
        pub(crate) fn overwrite(self, _point: super::Point) -> Option<(u32, u32)> {
            None
        }
    }
}

#[cfg(feature = "inject")]
mod gate {
    use super::{Bits, Point};
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::{Mutex, PoisonError};

    /// Who attacks a heap.
    pub trait Attacker: Send {
        /// The runtime reads `value` at a heap offset. The answer is what it gets to see, cut to the width that it
        /// asked for.
        fn read(&mut self, offset: u32, value: u64) -> u64;

        /// A word to overwrite now: heap offset, new value. Asked until there is none; what is outside the committed
        /// heap is left alone.
        fn overwrite(&mut self, point: Point) -> Option<(u32, u32)>;
    }

    /// Holds the attacker.
    #[derive(Default)]
    pub(crate) struct Injector {
        armed: AtomicBool,
        attacker: Mutex<Option<Box<dyn Attacker>>>,
    }

    /// The way to the attacker.
    #[derive(Clone, Copy)]
    pub(crate) struct Tap<'a>(&'a Injector);

    impl Injector {
        pub(crate) fn set(&mut self, attacker: Option<Box<dyn Attacker>>) {
            *self.armed.get_mut() = attacker.is_some();
            *self.attacker.get_mut().unwrap_or_else(PoisonError::into_inner) = attacker;
        }

        #[inline(always)]
        pub(crate) fn tap(&self) -> Tap<'_> {
            Tap(self)
        }

        #[inline(always)]
        pub(crate) fn is_armed(&self) -> bool {
            self.armed.load(Relaxed)
        }
    }

    impl Tap<'_> {
        fn with<R>(self, f: impl FnOnce(&mut dyn Attacker) -> R) -> Option<R> {
            let mut attacker = self.0.attacker.lock().unwrap_or_else(PoisonError::into_inner);
            attacker.as_mut().map(|attacker| f(&mut **attacker))
        }

        #[inline(always)]
        pub(crate) fn seen<T: Bits>(self, offset: u32, value: T) -> T {
            if !self.0.is_armed() {
                return value;
            }
            value.map(|value| self.with(|attacker| attacker.read(offset, value)).unwrap_or(value))
        }

        #[inline(always)]
        pub(crate) fn is_armed(self) -> bool {
            self.0.is_armed()
        }

        #[inline(always)]
        pub(crate) fn overwrite(self, point: Point) -> Option<(u32, u32)> {
            if !self.0.is_armed() {
                return None;
            }
            self.with(|attacker| attacker.overwrite(point)).flatten()
        }
    }
}
