//! Where a store's references are.

use super::StoreState;
use crate::code::Snapshot;
use crate::walk::{FrameAt, Walker};
use crate::watermark::{Search, Watermark};
use heapwright_gc_heap::{Bug, GcRef, HeapCorrupted, RootKind, RootSet, Value, planted};

type Visit<'a> = &'a mut dyn FnMut(RootKind, &mut GcRef) -> Result<(), HeapCorrupted>;
type VisitUnsettled<'a> = &'a mut dyn FnMut(RootKind, &mut GcRef) -> Result<bool, HeapCorrupted>;

impl RootSet for StoreState {
    fn for_each(&mut self, visit: Visit<'_>) -> Result<(), HeapCorrupted> {
        self.visit_frames(visit)?;
        self.visit_others(visit)
    }

    fn for_each_unsettled(&mut self, visit: VisitUnsettled<'_>) -> Result<(), HeapCorrupted> {
        match &self.watermark {
            Some(mark) => self.visit_unsettled_frames(mark, visit)?,
            None => self.visit_frames(&mut |kind, slot| visit(kind, slot).map(drop))?,
        }
        self.visit_others(&mut |kind, slot| visit(kind, slot).map(drop))
    }
}

/// Entries of the cache of stack maps: recursion returns to the same few addresses again and again.
const CACHED: usize = 64;

impl StoreState {
    /// All roots but those in frames.
    fn visit_others(&mut self, visit: Visit<'_>) -> Result<(), HeapCorrupted> {
        for global in self.globals.iter().filter(|g| g.is_traced()) {
            // SAFETY: the cell is alive as long as the store and 16 bytes wide, and compiled code stands still.
            visit(RootKind::Global, unsafe { &mut *global.cell.as_ptr().cast::<GcRef>() })?;
        }
        for table in self.tables.iter_mut().filter(|_| !planted(Bug::DroppedRootKind)) {
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

    fn visit_frames(&self, visit: Visit<'_>) -> Result<(), HeapCorrupted> {
        // SAFETY: the store is alive, and its compiled code stands still during a collection.
        let walker = unsafe { Walker::all(self.context(), self.activation) };
        let code = Snapshot::take();
        let mut maps = StackMaps::new(&code);
        for frame in walker {
            for &slot in maps.of(frame) {
                // SAFETY: the compiler has spilled a reference there and reloads it after the call.
                visit(RootKind::Frame, unsafe { &mut *((frame.fp - slot as usize) as *mut GcRef) })?;
            }
        }
        Ok(())
    }

    /// The frames up to the marked one; then marks another, if that is worthwhile.
    fn visit_unsettled_frames(&self, mark: &Watermark, visit: VisitUnsettled<'_>) -> Result<(), HeapCorrupted> {
        // SAFETY: as in `visit_frames`.
        let mut walker = unsafe { Walker::all(self.context(), self.activation) };
        let code = Snapshot::take();
        let (mut maps, mut search, mut marked) = (StackMaps::new(&code), Search::default(), None);
        while let Some(frame) = walker.next() {
            let link = walker.link();
            if link.marked {
                marked = Some(link);
                break;
            }
            let mut settled = true;
            for &slot in maps.of(frame) {
                // SAFETY: as in `visit_frames`.
                settled &= visit(RootKind::Frame, unsafe { &mut *((frame.fp - slot as usize) as *mut GcRef) })?;
            }
            search.frame(link, settled);
        }
        // SAFETY: the walk was over this store's frames, and nothing has run since.
        unsafe { search.finish(mark, marked) };
        Ok(())
    }
}

/// Stack maps by return address, the latest at hand.
struct StackMaps<'a> {
    code: &'a Snapshot,
    latest: [(usize, &'a [u32]); CACHED],
}

impl<'a> StackMaps<'a> {
    fn new(code: &'a Snapshot) -> StackMaps<'a> {
        StackMaps { code, latest: [(0, &[]); CACHED] }
    }

    /// Where the frame has references, as distances below its frame pointer.
    #[inline]
    fn of(&mut self, frame: FrameAt) -> &'a [u32] {
        let entry = &mut self.latest[frame.pc / 2 % CACHED];
        if entry.0 != frame.pc {
            *entry = (frame.pc, self.code.return_to(frame.pc).and_then(|at| at.stack_map()).unwrap_or(&[]));
        }
        entry.1
    }
}
