//! Host values behind boxes.
//!
//! A box that was counted gives its value back when it is freed. A young box that dies is never looked at, so its value
//! is found by elimination: it is in the host table, and no old box holds it. That takes a pass over the table, made
//! only after an epoch in which boxes were made.

use heapwright_gc_heap::{HostId, HostTable};

/// The ids of host values whose box is old.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// Bit `id`. Only ids that were in use are ever added, so this is no larger than the table.
    old: Vec<u64>,
    /// Values in the table after the last collection. More of them later means that boxes were made.
    values: usize,
}

impl Hosts {
    /// After a counting collection that made some boxes old and freed some old ones.
    pub(super) fn update(&mut self, table: &mut HostTable, found: &[u32], lost: &[u32]) {
        let boxes_were_made = table.len() > self.values;
        for &id in found {
            self.add(table, id);
        }
        for &id in lost {
            if let Some(word) = self.old.get_mut(id as usize / 64) {
                *word &= !(1 << (id % 64));
            }
            table.release(HostId(id));
        }
        if boxes_were_made {
            self.release_others(table);
        }
        self.values = table.len();
    }

    /// After a trace that found all live boxes.
    pub(super) fn replace(&mut self, table: &mut HostTable, found: &[u32]) {
        self.old.clear();
        for &id in found {
            self.add(table, id);
        }
        if !table.is_empty() {
            self.release_others(table);
        }
        self.values = table.len();
    }

    fn add(&mut self, table: &HostTable, id: u32) {
        if table.get(HostId(id)).is_some() {
            let index = id as usize / 64;
            if index >= self.old.len() {
                self.old.resize(index + 1, 0);
            }
            self.old[index] |= 1 << (id % 64);
        }
    }

    fn release_others(&self, table: &mut HostTable) {
        table.clear_marks();
        for (index, &word) in self.old.iter().enumerate() {
            let mut bits = word;
            while bits != 0 {
                table.mark(HostId(64 * index as u32 + bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
        table.release_unmarked();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_young_dead_boxes_go() {
        let mut table = HostTable::default();
        let ids: Vec<u32> = (0..200).map(|i| table.insert(Box::new(i)).0).collect();
        let mut hosts = Hosts::default();
        hosts.update(&mut table, &ids[50..150], &[]);
        assert_eq!(table.len(), 100);
        // Nothing new: the table is not looked through.
        hosts.update(&mut table, &[], &ids[50..60]);
        assert_eq!(table.len(), 90);
        assert!(table.get(HostId(ids[60])).is_some() && table.get(HostId(ids[59])).is_none());
        let more = table.insert(Box::new(0)).0;
        hosts.update(&mut table, &[], &[]);
        assert_eq!((table.len(), table.get(HostId(more)).is_none()), (90, true));
        hosts.replace(&mut table, &ids[100..101]);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn forged_ids_are_ignored() {
        let mut table = HostTable::default();
        let id = table.insert(Box::new(0)).0;
        let mut hosts = Hosts::default();
        hosts.update(&mut table, &[u32::MAX, 0, id], &[u32::MAX, 7_000_000]);
        assert_eq!((table.len(), hosts.old.len()), (1, 1));
    }
}
