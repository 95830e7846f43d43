//! Where a store's references are.

use super::StoreState;
use crate::code::Snapshot;
use crate::walk::Walker;
use heapwright_gc_heap::{GcRef, HeapCorrupted, RootKind, RootSet, Value};

type Visit<'a> = &'a mut dyn FnMut(RootKind, &mut GcRef) -> Result<(), HeapCorrupted>;

impl RootSet for StoreState {
    fn for_each(&mut self, visit: Visit<'_>) -> Result<(), HeapCorrupted> {
        self.visit_frames(visit)?;
        for global in self.globals.iter().filter(|g| g.is_traced()) {
            // SAFETY: the cell is alive as long as the store and 16 bytes wide, and compiled code stands still.
            visit(RootKind::Global, unsafe { &mut *global.cell.as_ptr().cast::<GcRef>() })?;
        }
        for table in &mut self.tables {
            for slot in table.traced_slots() {
                visit(RootKind::Table, slot)?;
            }
        }
        for instance in &mut self.instances {
            for segment in instance.elements.iter_mut().filter(|s| s.traced) {
                for value in &mut segment.values {
                    let mut reference = GcRef::from_raw(*value);
                    visit(RootKind::Segment, &mut reference)?;
                    *value = reference.raw();
                }
            }
        }
        for operand in &mut self.operands {
            if let Value::Ref(reference) = operand {
                visit(RootKind::Host, reference)?;
            }
        }
        self.roots.for_each(|reference| visit(RootKind::Host, reference))?;
        visit(RootKind::Exception, &mut self.exception)
    }
}

/// Entries of the cache of stack maps: recursion returns to the same few addresses again and again.
const CACHED: usize = 64;

impl StoreState {
    fn visit_frames(&self, visit: Visit<'_>) -> Result<(), HeapCorrupted> {
        if self.activation.is_null() {
            return Ok(());
        }
        let code = Snapshot::take();
        let mut cache: [(usize, &[u32]); CACHED] = [(0, &[]); CACHED];
        // SAFETY: the store is alive, and its compiled code stands still during a collection.
        for frame in unsafe { Walker::all(self.context(), self.activation) } {
            let entry = &mut cache[frame.pc / 2 % CACHED];
            if entry.0 != frame.pc {
                *entry = (frame.pc, code.return_to(frame.pc).and_then(|at| at.stack_map()).unwrap_or(&[]));
            }
            for &slot in entry.1 {
                // SAFETY: the compiler has spilled a reference there and reloads it after the call.
                visit(RootKind::Frame, unsafe { &mut *((frame.fp - slot as usize) as *mut GcRef) })?;
            }
        }
        Ok(())
    }
}
