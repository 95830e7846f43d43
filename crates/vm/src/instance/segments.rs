//! Data and element segments at run time.

use super::Instance;
use crate::{CallError, InstanceId, Store, StoreState};
use heapwright_jit::abi::Trap;

impl Instance {
    /// The bytes of a data segment; none once it is dropped.
    fn data_bytes(&self, segment: u32) -> &[u8] {
        match self.dropped_data[segment as usize] {
            true => &[],
            false => self.module.data_segment(segment),
        }
    }
}

impl StoreState {
    /// The bytes of an instance's data segment; none once it is dropped.
    pub(crate) fn data_bytes(&self, id: InstanceId, segment: u32) -> &[u8] {
        self.instances[id.0 as usize].data_bytes(segment)
    }
}

impl Store {
    /// `memory.init`.
    pub(crate) fn memory_init(
        &mut self,
        id: InstanceId,
        memory: u32,
        segment: u32,
        at: u64,
        start: u64,
        count: u64,
    ) -> Result<(), CallError> {
        let out_of_bounds = || CallError::trap(Trap::MemoryOutOfBounds);
        let instance = &self.state.instances[id.0 as usize];
        let memory = instance.memory(memory);
        let source = part(instance.data_bytes(segment), start, count).ok_or_else(out_of_bounds)?;
        let memory = &mut self.state.memories[memory.0 as usize];
        let range = memory.range(at, count).ok_or_else(out_of_bounds)?;
        memory.data_mut()[range].copy_from_slice(source);
        Ok(())
    }

    /// `data.drop`.
    pub(crate) fn data_drop(&mut self, id: InstanceId, segment: u32) {
        self.state.instances[id.0 as usize].dropped_data[segment as usize] = true;
    }

    /// `table.init`.
    pub(crate) fn table_init(
        &mut self,
        id: InstanceId,
        table: u32,
        segment: u32,
        at: u64,
        start: u64,
        count: u64,
    ) -> Result<(), CallError> {
        let instance = &mut self.state.instances[id.0 as usize];
        let table = instance.table(table);
        // Taken out for the time of the writes, none of which collects.
        let segment = segment as usize;
        let values = core::mem::take(&mut instance.elements[segment].values);
        let result = match part(&values, start, count) {
            Some(values) => self.table_write(table, at, values),
            None => Err(Trap::TableOutOfBounds),
        };
        self.state.instances[id.0 as usize].elements[segment].values = values;
        Ok(result?)
    }

    /// `elem.drop`.
    pub(crate) fn elem_drop(&mut self, id: InstanceId, segment: u32) {
        self.state.instances[id.0 as usize].elements[segment as usize].values = Vec::new();
    }
}

/// `[start, start + count)` of a segment.
pub(crate) fn part<T>(segment: &[T], start: u64, count: u64) -> Option<&[T]> {
    let end = start.checked_add(count).filter(|&end| end <= segment.len() as u64)?;
    Some(&segment[start as usize..end as usize])
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_are_checked_without_overflow() {
        let bytes = [1, 2, 3];
        assert_eq!(part(&bytes, 1, 2), Some(&[2, 3][..]));
        assert_eq!(part(&bytes, 3, 0), Some(&[][..]));
        assert_eq!(part(&bytes, 4, 0), None);
        assert_eq!(part(&bytes, 2, u64::MAX), None);
    }
}
