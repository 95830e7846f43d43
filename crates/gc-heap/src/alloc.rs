//! Allocation out of line, and collections.
//!
//! A request goes the cheapest way that serves it: the current bump region; the collector's slow path; growth, when
//! what lived after the last collection leaves too little even in an empty heap; growth in the place of a collection of
//! the whole heap, when partial ones are possible; a collection; growth to fit; a collection of last resort; out of
//! memory.

use crate::layout::OBJECT_ALIGN;
use crate::{
    AllocError, AllocOutcome, AllocRequest, AllocSpec, Cause, CollectionReport, Event, GcRef, Heap, HeapCorrupted,
    RootSet, TypeId, TypeKind,
};
use std::time::Instant;

impl Heap {
    /// Allocates an object and writes its header (type word, declared header words) and, for an array, its length. The
    /// rest has undefined contents: the caller initialises every field before the next safepoint. `length` is ignored
    /// unless the type is an array. May collect (`roots` are visited and updated) and may grow the heap.
    ///
    /// # Errors
    ///
    /// [`AllocError`].
    pub fn alloc(&mut self, ty: TypeId, length: u32, roots: &mut dyn RootSet) -> Result<GcRef, AllocError> {
        self.usable()?;
        self.stats.requests += 1;
        let entry = match self.types.space().entry(ty.0) {
            Ok(entry) => entry,
            Err(found) => return Err(self.set_corrupted(found).into()),
        };
        let kind = entry.kind;
        let size = match kind {
            TypeKind::Struct | TypeKind::Exception | TypeKind::Extern => u64::from(entry.size),
            TypeKind::Array => {
                let end = u64::from(entry.elements_offset) + (u64::from(length) << entry.element_shift);
                end.next_multiple_of(u64::from(OBJECT_ALIGN))
            }
            TypeKind::Func => {
                let found = HeapCorrupted { what: "allocation of a function type", at: ty.0 };
                return Err(self.set_corrupted(found).into());
            }
        };
        if size > self.max_object {
            return Err(AllocError::TooLarge { requested: size });
        }
        let at = self.find_room(size as u32, roots)?;
        let written = self.write_header(at, ty, (kind == TypeKind::Array).then_some(length));
        written.map_err(|found| self.set_corrupted(found))?;
        Ok(GcRef::from_raw(at))
    }

    fn write_header(&mut self, at: u32, ty: TypeId, length: Option<u32>) -> Result<(), HeapCorrupted> {
        self.memory.store_u32(at, ty.0)?;
        let mut next = at + 4;
        for word in self.spec.header {
            self.memory.store_u32(next, word.initial)?;
            next += 4;
        }
        match length {
            Some(length) => self.memory.store_u32(next, length),
            None => Ok(()),
        }
    }

    /// Boxes a host value for `externref`.
    ///
    /// # Errors
    ///
    /// [`AllocError`]; the value is dropped.
    pub fn alloc_extern(
        &mut self,
        value: Box<dyn std::any::Any + Send + Sync>,
        roots: &mut dyn RootSet,
    ) -> Result<GcRef, AllocError> {
        let object = self.alloc(self.types.extern_type(), 0, roots)?;
        // After the allocation: a collection releases ids that no object holds.
        let id = self.host.insert(value);
        let at = object.raw() + self.spec.header_layout().bytes();
        match self.memory.store_u32(at, id.0) {
            Ok(()) => Ok(object),
            Err(found) => {
                self.host.release(id);
                self.host.drop_released();
                Err(self.set_corrupted(found).into())
            }
        }
    }

    /// A place for `size` bytes.
    fn find_room(&mut self, size: u32, roots: &mut dyn RootSet) -> Result<u32, AllocError> {
        if self.config.zeal != 0 {
            self.allocations += 1;
            if self.allocations.is_multiple_of(u64::from(self.config.zeal)) {
                self.collect(Cause::Zeal, roots)?;
            }
        }
        if let Some(at) = self.take_inline(size)? {
            return Ok(at);
        }
        self.emit(|| Event::SlowAllocation { size });
        if let Some(at) = self.try_alloc(size)? {
            return Ok(at);
        }
        if u64::from(size) > self.max_capacity() {
            return Err(self.out_of_memory(size));
        }
        let space = self.space();
        // A collection cannot help: what lived last and the request exceed all that is usable.
        let too_small = self.live + u64::from(size) > space.used + space.free;
        if too_small
            && self.grow_to_fit(size)?
            && let Some(at) = self.try_alloc(size)?
        {
            return Ok(at);
        }
        if let Some(at) = self.put_off_whole(size)? {
            return Ok(at);
        }
        self.collect(Cause::AllocationFailure, roots)?;
        loop {
            if let Some(at) = self.bump_or_slow(size)? {
                return Ok(at);
            }
            if !self.grow_to_fit(size)? {
                break;
            }
        }
        self.collect(Cause::LastResort, roots)?;
        match self.bump_or_slow(size)? {
            Some(at) => Ok(at),
            None => Err(self.out_of_memory(size)),
        }
    }

    /// Grows the heap for as long as that puts off a collection of the whole heap which sizing finds too early. Answers
    /// a place for `size` bytes if there is one then; else a partial collection comes next.
    fn put_off_whole(&mut self, size: u32) -> Result<Option<u32>, HeapCorrupted> {
        let mut grown = false;
        while let Some(bytes) = self.collector.as_ref().and_then(|collector| collector.whole_for_want_of_room(self)) {
            let space = self.space();
            match self.sizing.instead_of_whole(self.capacity, self.live, bytes, space, Instant::now()) {
                Some(to) if self.resize(to)? => grown = true,
                _ => break,
            }
        }
        if grown { self.bump_or_slow(size) } else { Ok(None) }
    }

    /// Allocates as compiled code does.
    fn take_inline(&mut self, size: u32) -> Result<Option<u32>, HeapCorrupted> {
        match self.bump(size) {
            Some(at) => Ok(Some(at)),
            None => self.take_cell(size),
        }
    }

    /// Allocates in the current region.
    fn bump(&mut self, size: u32) -> Option<u32> {
        let region = self.region?;
        if self.spec.alloc != AllocSpec::Bump || size > self.spec.inline_limit {
            return None;
        }
        let mutator = self.mutator_mut();
        let at = mutator.cursor;
        let end = at.checked_add(size).filter(|&end| end <= region.end)?;
        mutator.cursor = end;
        Some(at)
    }

    fn bump_or_slow(&mut self, size: u32) -> Result<Option<u32>, HeapCorrupted> {
        match self.take_inline(size)? {
            Some(at) => Ok(Some(at)),
            None => self.try_alloc(size),
        }
    }

    /// Asks the collector.
    fn try_alloc(&mut self, size: u32) -> Result<Option<u32>, HeapCorrupted> {
        match self.with_collector(|collector, heap| collector.alloc_slow(heap, AllocRequest { size }))? {
            AllocOutcome::Full => Ok(None),
            AllocOutcome::At(at) => {
                if !at.is_multiple_of(OBJECT_ALIGN) || self.memory.slice(at, u64::from(size)).is_err() {
                    return Err(self.set_corrupted(HeapCorrupted { what: "allocated outside the heap", at }));
                }
                // What was taken from the region is in the statistics by its cursor, a cell by its list.
                let counted = self.region().is_some_and(|(start, cursor, _)| start <= at && at < cursor)
                    || self.spec.alloc.class(size.into()).is_some();
                if !counted {
                    self.stats.bytes_allocated += u64::from(size);
                }
                Ok(Some(at))
            }
        }
    }

    fn grow_to_fit(&mut self, size: u32) -> Result<bool, HeapCorrupted> {
        match self.sizing.to_fit(self.capacity, u64::from(size)) {
            Some(to) => self.resize(to),
            None => Ok(false),
        }
    }

    fn out_of_memory(&self, size: u32) -> AllocError {
        AllocError::OutOfMemory { requested: u64::from(size), live: self.live, max: self.max_capacity() }
    }

    /// Collects now. Under zeal the heap is verified afterwards, with freshly enumerated roots.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`]; the heap is unusable from then on and every later call says so.
    pub fn collect(&mut self, cause: Cause, roots: &mut dyn RootSet) -> Result<CollectionReport, HeapCorrupted> {
        self.usable()?;
        self.account();
        let (started, capacity) = (Instant::now(), self.capacity);
        self.emit(|| Event::CollectionStart { cause, capacity, at: started });
        let report = self.with_collector(|collector, heap| collector.collect(heap, cause, roots))?;
        if self.config.zeal == 0
            && (cause == Cause::Explicit || self.sizing.gives_back(&report, self.space(), Instant::now()))
        {
            self.with_collector(|collector, heap| {
                collector.give_back(heap);
                Ok(())
            })?;
        }
        let pause = started.elapsed();
        self.live = report.bytes_after;
        self.stats.collections += 1;
        self.stats.pause_total += pause;
        self.stats.pause_max = self.stats.pause_max.max(pause);
        self.note_committed();
        self.emit(|| Event::CollectionEnd { cause, report, started, pause });
        if self.config.zeal != 0 {
            self.verify(roots)?;
        }
        let space = self.space();
        let target = self.sizing.after_collection(self.capacity, cause, &report, space, started, pause);
        if target > self.capacity {
            // Refused memory is no error here: the heap stays as it is.
            self.resize(target)?;
        }
        Ok(report)
    }
}
