//! Host values behind `externref`.
//!
//! A heap object of the extern type holds a [`HostId`]; the value itself stays here, so nothing native lives in the
//! heap. The collector releases an id when the object that holds it dies. A forged id names a wrong host value or
//! none; it never reaches freed memory.
//!
//! A released value is not dropped on the spot: its destructor is the host's code and may panic, which must not
//! happen in the middle of a collection. The heap drops released values when the collector has returned.

use crate::planted::{Bug, planted};
use std::any::Any;

type HostValue = Box<dyn Any + Send + Sync>;

/// Index of a host value. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HostId(pub u32);

/// The host values of one heap.
#[derive(Default)]
pub struct HostTable {
    /// Id `i + 1` is at `i`.
    slots: Vec<Slot>,
    /// Vacant slots; the last released is the first reused.
    vacant: Vec<u32>,
    released: Vec<HostValue>,
    /// Slots that may hold young values, each once; unused unless a collector asks for it.
    young: Vec<u32>,
    tracks_young: bool,
}

#[derive(Default)]
struct Slot {
    value: Option<HostValue>,
    marked: bool,
    /// Whether the slot is in the list of young ones.
    young: bool,
}

impl HostTable {
    /// Stores a value.
    ///
    /// # Panics
    ///
    /// With more than 2^32 - 2 values, which no heap can name.
    pub fn insert(&mut self, value: Box<dyn Any + Send + Sync>) -> HostId {
        // A value stored while a trace runs counts as reached.
        let slot = Slot { value: Some(value), marked: true, young: self.tracks_young };
        let index = match self.vacant.pop() {
            Some(index) => {
                let before = core::mem::replace(&mut self.slots[index as usize], slot);
                if self.tracks_young && !before.young {
                    self.young.push(index);
                }
                index
            }
            None => {
                self.slots.push(slot);
                let index = u32::try_from(self.slots.len() - 1).ok().filter(|&i| i < u32::MAX);
                let index = index.expect("fewer values than offsets");
                if self.tracks_young {
                    self.young.push(index);
                }
                index
            }
        };
        HostId(index + 1)
    }

    fn slot(&self, id: HostId) -> Option<&Slot> {
        self.slots.get(id.0.checked_sub(1)? as usize)
    }

    fn slot_mut(&mut self, id: HostId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0.checked_sub(1)? as usize)
    }

    /// The value, if the id is in use.
    pub fn get(&self, id: HostId) -> Option<&(dyn Any + Send + Sync)> {
        self.slot(id)?.value.as_deref()
    }

    /// The value, writable.
    pub fn get_mut(&mut self, id: HostId) -> Option<&mut (dyn Any + Send + Sync)> {
        self.slot_mut(id)?.value.as_deref_mut()
    }

    /// Frees the id; its value is dropped once the collector has returned. An id that is not in use is ignored (the
    /// heap may be corrupted).
    pub fn release(&mut self, id: HostId) {
        if let Some(value) = self.slot_mut(id).and_then(|slot| slot.value.take()) {
            self.released.push(value);
            self.vacant.push(id.0 - 1);
        }
    }

    /// Clears all marks; collectors that trace call it at the start of a full trace.
    pub fn clear_marks(&mut self) {
        for slot in &mut self.slots {
            slot.marked = false;
        }
    }

    /// Marks an id as reached by the trace.
    pub fn mark(&mut self, id: HostId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.marked = !(planted(Bug::FreedHostId) && id.0.is_multiple_of(3));
        }
    }

    /// Releases every value that was not marked since `clear_marks`.
    pub fn release_unmarked(&mut self) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if !slot.marked
                && let Some(value) = slot.value.take()
            {
                self.released.push(value);
                self.vacant.push(index as u32);
            }
        }
    }

    /// From now on, a value is young from when it is stored until it is promoted. For collectors that collect young
    /// objects alone: the boxes of young values are those objects.
    pub fn track_young(&mut self) {
        self.tracks_young = true;
    }

    /// Clears the marks of young values, at the start of a young collection.
    pub fn clear_young_marks(&mut self) {
        for &index in &self.young {
            self.slots[index as usize].marked = false;
        }
    }

    /// Marks an id whose box is not young any more.
    pub fn promote(&mut self, id: HostId) {
        if let Some(slot) = self.slot_mut(id) {
            (slot.marked, slot.young) = (true, false);
        }
    }

    /// Releases every young value that was not marked since `clear_young_marks`. At the end of a young collection.
    pub fn release_unmarked_young(&mut self) {
        let (slots, vacant, released) = (&mut self.slots, &mut self.vacant, &mut self.released);
        self.young.retain(|&index| {
            let slot = &mut slots[index as usize];
            if slot.young && !slot.marked {
                if let Some(value) = slot.value.take() {
                    released.push(value);
                    vacant.push(index);
                }
                slot.young = false;
            }
            slot.young
        });
    }

    /// No value is young any more.
    pub fn promote_all(&mut self) {
        for index in self.young.drain(..) {
            self.slots[index as usize].young = false;
        }
    }

    /// Drops the released values. The heap calls it when no collector is at work.
    pub fn drop_released(&mut self) {
        if !self.released.is_empty() {
            drop(core::mem::take(&mut self.released));
        }
    }

    /// Values stored now.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// Whether no value is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_values_die_young_or_are_promoted() {
        let mut table = HostTable::default();
        let old = table.insert(Box::new(0));
        table.track_young();
        let [dead, kept, promoted] = [1, 2, 3].map(|i| table.insert(Box::new(i)));
        table.clear_young_marks();
        table.mark(kept);
        table.promote(promoted);
        table.release_unmarked_young();
        assert!(table.get(dead).is_none());
        assert_eq!([old, kept, promoted].map(|id| table.get(id).is_some()), [true; 3]);
        // A young id that is released and used again is in the list once.
        table.release(kept);
        assert_eq!(table.insert(Box::new(4)), kept);
        assert_eq!(table.insert(Box::new(5)), dead);
        assert_eq!(table.young.len(), 2);
        table.clear_young_marks();
        table.release_unmarked_young();
        assert_eq!((table.len(), table.young.len()), (2, 0));
        assert!(table.get(promoted).is_some());
        let young = table.insert(Box::new(6));
        table.promote_all();
        table.clear_young_marks();
        table.release_unmarked_young();
        assert!(table.get(young).is_some());
    }
}
