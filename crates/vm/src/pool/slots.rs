//! A limited number of values that are used again and again.

use super::{PoolConcurrencyLimitError, faults};
use heapwright_gc_heap::{HeapMemory, MemoryError};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A value that can be made as good as new.
pub(crate) trait Recycle: Send {
    /// Removes all traces of its use. The first `keep` bytes may stay resident; the rest of its memory goes back to the
    /// system.
    fn recycle(&mut self, keep: usize) -> Result<(), MemoryError>;
}

impl Recycle for HeapMemory {
    fn recycle(&mut self, keep: usize) -> Result<(), MemoryError> {
        self.reset(keep as u64)
    }
}

/// Slots of one kind.
pub(crate) struct Slots<T> {
    kind: &'static str,
    limit: u32,
    warm: usize,
    keep: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    metrics: SlotMetrics,
    /// Free slots with what they were used for, the longest unused first.
    idle: VecDeque<(u64, T)>,
}

/// What slots of one kind are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotMetrics {
    /// How many may be in use.
    pub limit: u32,
    /// How many are in use.
    pub live: u32,
    /// The most that were in use at a time.
    pub peak: u32,
    /// How many are free, cleared and mapped.
    pub unused_warm: u32,
    /// How often one was taken.
    pub taken: u64,
    /// How often one was taken that had served the same purpose before: the same memory image, for memories.
    pub reused: u64,
}

impl<T: Recycle> Slots<T> {
    pub(crate) fn new(kind: &'static str, limit: u32, warm: u32, keep: usize) -> Arc<Slots<T>> {
        let state = State { metrics: SlotMetrics { limit, ..SlotMetrics::default() }, idle: VecDeque::new() };
        Arc::new(Slots { kind, limit, warm: warm as usize, keep, state: Mutex::new(state) })
    }

    /// Claims a slot, preferably one that was used for `key` before. Without a value the caller makes one.
    pub(crate) fn take(self: &Arc<Self>, key: u64) -> Result<(Option<T>, Claim<T>), super::ResourceError> {
        faults::point()?;
        let mut state = self.state();
        if state.metrics.live == self.limit {
            return Err(PoolConcurrencyLimitError { kind: self.kind, limit: self.limit }.into());
        }
        let same = state.idle.iter().rposition(|(used_for, _)| *used_for == key);
        // Of others only as many are left alone as may stay anyway.
        let exist = state.metrics.live as usize + state.idle.len();
        let any = same.or((state.idle.len() >= self.warm.max(1) || exist >= self.limit as usize).then_some(0));
        let value = any.and_then(|i| state.idle.remove(i)).map(|(_, value)| value);
        let metrics = &mut state.metrics;
        metrics.live += 1;
        metrics.peak = metrics.peak.max(metrics.live);
        metrics.taken += 1;
        metrics.reused += u64::from(same.is_some());
        drop(state);
        Ok((value, Claim { slots: self.clone(), key }))
    }

    pub(crate) fn metrics(&self) -> SlotMetrics {
        let state = self.state();
        SlotMetrics { unused_warm: state.idle.len() as u32, ..state.metrics }
    }
}

impl<T> Slots<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one slot; dropping it gives that back, without the value.
pub(crate) struct Claim<T> {
    slots: Arc<Slots<T>>,
    key: u64,
}

impl<T: Recycle> Claim<T> {
    /// Brings the value back, cleared. One that cannot be cleared is dropped.
    pub(crate) fn give_back(self, mut value: T) {
        let recycled = value.recycle(self.slots.keep);
        if let Err(e) = recycled {
            log::warn!("a {} slot is given up: {e}", self.slots.kind);
            return;
        }
        let mut state = self.slots.state();
        state.idle.push_back((self.key, value));
        // Unmapping takes long: not under the lock.
        let surplus = if state.idle.len() > self.slots.warm { state.idle.pop_front() } else { None };
        drop(state);
        drop(surplus);
    }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        self.slots.state().metrics.live -= 1;
    }
}

/// A value for one use: from a pool, to which dropping it brings it back, or of its own.
pub(crate) struct Taken<T: Recycle> {
    /// `None` only while it is dropped.
    value: Option<T>,
    claim: Option<Claim<T>>,
}

impl<T: Recycle> Taken<T> {
    pub(crate) fn owned(value: T) -> Taken<T> {
        Taken { value: Some(value), claim: None }
    }

    pub(crate) fn pooled(value: T, claim: Claim<T>) -> Taken<T> {
        Taken { value: Some(value), claim: Some(claim) }
    }
}

impl<T: Recycle> Deref for Taken<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is dropped")
    }
}

impl<T: Recycle> DerefMut for Taken<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until it is dropped")
    }
}

impl<T: Recycle> Drop for Taken<T> {
    fn drop(&mut self) {
        if let (Some(value), Some(claim)) = (self.value.take(), self.claim.take()) {
            claim.give_back(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Recycle for Vec<u8> {
        fn recycle(&mut self, keep: usize) -> Result<(), MemoryError> {
            if self.first() == Some(&0xff) {
                return Err(MemoryError("broken".into()));
            }
            self.truncate(keep);
            Ok(())
        }
    }

    fn take(slots: &Arc<Slots<Vec<u8>>>, key: u64) -> (Vec<u8>, Claim<Vec<u8>>) {
        let (value, claim) = slots.take(key).unwrap();
        (value.unwrap_or_default(), claim)
    }

    #[test]
    fn the_limit_holds_and_the_purpose_decides() {
        let slots = Slots::<Vec<u8>>::new("test", 3, 2, 1);
        let (_, a) = take(&slots, 1);
        let (_, b) = take(&slots, 2);
        let (_, c) = take(&slots, 3);
        let full = slots.take(1).err().unwrap();
        assert_eq!(full.to_string(), "maximum concurrent test limit of 3 reached");
        a.give_back(vec![1, 1]);
        b.give_back(vec![2, 2]);
        // Two stay warm: the third pushes the oldest out.
        c.give_back(vec![3, 3]);
        let metrics = slots.metrics();
        assert_eq!((metrics.live, metrics.peak, metrics.unused_warm, metrics.taken, metrics.reused), (0, 3, 2, 3, 0));
        let (two, claim) = take(&slots, 2);
        assert_eq!(two, [2], "cleared but for one byte");
        claim.give_back(two);
        // As many are free as may stay: a new purpose gets the one that waited longest.
        let (three, claim) = take(&slots, 9);
        assert_eq!(three, [3]);
        drop(claim);
        assert_eq!((slots.metrics().live, slots.metrics().unused_warm, slots.metrics().reused), (0, 1, 1));
        // One is free, two could be: a new purpose gets a new slot.
        assert_eq!(slots.take(9).unwrap().0, None);
    }

    #[test]
    fn what_cannot_be_cleared_is_not_kept() {
        let slots = Slots::<Vec<u8>>::new("test", 1, 1, 0);
        let (_, claim) = take(&slots, 0);
        claim.give_back(vec![0xff]);
        assert_eq!((slots.metrics().live, slots.metrics().unused_warm), (0, 0));
        drop(Taken::pooled(vec![1], slots.take(0).unwrap().1));
        assert_eq!((slots.metrics().live, slots.metrics().unused_warm), (0, 1));
    }
}
