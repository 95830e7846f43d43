//! One store's heap: memory, types, host table, collector and sizing together.
//!
//! **Bump regions.** The mutator allocates in at most one region at a time. [`Heap::open_region`] and
//! [`Heap::close_region`] are the only way to set one, and the heap accounts for what was allocated in it. Under zeal
//! every allocation has to come to the heap, so while no collector is at work the *mutator's* limit is 0; the region's
//! true end stays with the heap, is restored while the collector runs, and serves the heap's own bump allocation.

use crate::canon::Layout;
use crate::inject::Point;
use crate::planted::{Bug, planted};
use crate::sizing::{GRAIN, Sizing};
use crate::{
    Collector, Event, EventSink, GcStats, HeapMemory, HostTable, MemoryError, MutatorState, NULL_PAGE_BYTES,
    RESERVATION_BYTES, Space, Spec, TypeId, TypeRegistry,
};
use hashbrown::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;

/// The heap holds something that this engine never wrote there. The store is poisoned; the process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapCorrupted {
    /// What was found wrong.
    pub what: &'static str,
    /// The heap offset or word concerned.
    pub at: u32,
}

impl core::fmt::Display for HeapCorrupted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "GC heap corrupted: {} ({:#x})", self.what, self.at)
    }
}

impl std::error::Error for HeapCorrupted {}

/// Why an object could not be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocError {
    /// No room within the maximum, even after a collection.
    OutOfMemory {
        /// Bytes asked for.
        requested: u64,
        /// Bytes live after the last collection.
        live: u64,
        /// The heap's maximum size in bytes.
        max: u64,
    },
    /// The object would be larger than any heap can hold.
    TooLarge {
        /// Bytes asked for.
        requested: u64,
    },
    /// The heap is corrupted.
    Corrupted(HeapCorrupted),
}

impl From<HeapCorrupted> for AllocError {
    fn from(e: HeapCorrupted) -> Self {
        AllocError::Corrupted(e)
    }
}

/// Why a reference could not be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadReference {
    /// It is null.
    Null,
    /// It is an i31, or an object of another kind.
    WrongKind,
    /// A field or element index is out of bounds.
    OutOfBounds,
    /// The heap is corrupted.
    Corrupted(HeapCorrupted),
}

impl From<HeapCorrupted> for BadReference {
    fn from(e: HeapCorrupted) -> Self {
        BadReference::Corrupted(e)
    }
}

/// How a heap's capacity follows its use; independent of the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizingPolicy {
    /// The initial capacity is kept unless an object does not fit.
    Fixed,
    /// After a collection the capacity becomes a multiple of what lives, and grows further while collections take a
    /// large share of the time.
    Growing,
    /// After a collection the room above what lives becomes what the square-root rule of MemBalancer says, from the
    /// rates of allocation and collection.
    Adaptive,
}

/// A heap's settings.
#[derive(Clone, Copy, Debug)]
pub struct HeapConfig {
    /// Capacity at the start, in bytes; raised to a workable minimum.
    pub initial: u64,
    /// Largest capacity, in bytes; at most 4 GiB less the null page and the inline limit.
    pub max: u64,
    /// How capacity changes.
    pub sizing: SizingPolicy,
    /// Collect at every n-th allocation (inline ones included), poison freed memory, and verify the heap after each
    /// collection with freshly enumerated roots. 0 is off.
    pub zeal: u32,
}

/// Says whether a heap may grow; asked before memory is committed.
pub trait GrowthLimiter: Send {
    /// May the capacity become `desired` bytes? It is `current` now (0 before the heap exists) and can be `maximum`.
    fn may_grow(&mut self, current: u64, desired: u64, maximum: u64) -> bool;
}

/// Largest inline limit that a [`Spec`] may declare.
pub const MAX_INLINE_LIMIT: u32 = 64 << 10;
/// Largest capacity of a heap.
pub const MAX_CAPACITY: u64 = RESERVATION_BYTES - NULL_PAGE_BYTES as u64 - MAX_INLINE_LIMIT as u64;
/// Idle memory of less than that many bytes in one piece is kept.
pub const LEAST_GIVEN_BACK: u32 = 1 << 20;
/// Smallest initial capacity, unless the maximum is lower.
const MIN_INITIAL: u64 = 256 << 10;
/// What freed memory is filled with under zeal. As a reference it is misaligned, as a type word it names no type.
const POISON: u8 = 0xDA;

// Compiled code adds the size of an inline object to a cursor at or below the limit, in 32 bits.
const _: () = assert!(NULL_PAGE_BYTES as u64 + MAX_CAPACITY + MAX_INLINE_LIMIT as u64 <= RESERVATION_BYTES);
const _: () = assert!(MAX_CAPACITY.is_multiple_of(GRAIN) && MIN_INITIAL.is_multiple_of(GRAIN));
const _: () = assert!(POISON & 1 == 0 && POISON & 7 != 0 && !(POISON as u32).is_multiple_of(64));

/// The bump region that the mutator allocates in.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    start: u32,
    pub(crate) end: u32,
    /// Bytes below this are in the statistics.
    accounted: u32,
}

/// One store's heap.
pub struct Heap {
    pub(crate) config: HeapConfig,
    pub(crate) spec: &'static Spec,
    pub(crate) memory: HeapMemory,
    pub(crate) types: Arc<TypeRegistry>,
    pub(crate) host: HostTable,
    /// Taken out while it runs; lost, and the heap unusable, when it panics.
    pub(crate) collector: Option<Box<dyn Collector>>,
    mutator: NonNull<MutatorState>,
    /// Whether `mutator` is ours to free.
    owns_mutator: bool,
    pub(crate) capacity: u64,
    pub(crate) region: Option<Region>,
    pub(crate) sizing: Sizing,
    pub(crate) stats: GcStats,
    /// Bytes live after the last collection.
    pub(crate) live: u64,
    /// Allocations so far; counted only under zeal.
    pub(crate) allocations: u64,
    sink: Option<Box<dyn EventSink>>,
    limiter: Option<Box<dyn GrowthLimiter>>,
    /// Largest object, in bytes.
    pub(crate) max_object: u64,
    corrupted: Option<HeapCorrupted>,
    /// Layouts seen of late, and the registry's release count at which they were right.
    layouts: (HashMap<TypeId, Layout>, u64),
}

// SAFETY: the mutator state is the store's (see `Heap::new`) or our own, and moves to another thread together with the
// heap; all else is `Send`.
unsafe impl Send for Heap {}
impl Drop for Heap {
    fn drop(&mut self) {
        if self.owns_mutator {
            // SAFETY: `standalone` made it from a box, and nothing else refers to it.
            drop(unsafe { Box::from_raw(self.mutator.as_ptr()) });
        }
    }
}

impl Heap {
    /// A heap in `memory` (nothing committed yet) whose compiled code shares `mutator`.
    ///
    /// # Errors
    ///
    /// When the initial capacity cannot be committed.
    ///
    /// # Panics
    ///
    /// When the collector's declaration is unusable: its inline limit is above [`MAX_INLINE_LIMIT`], or its header is
    /// not that of the registry's layouts, or the memory has other side tables.
    ///
    /// # Safety
    ///
    /// `mutator` must be valid, unaliased by Rust references during calls into the heap, and outlive it.
    pub unsafe fn new(
        config: HeapConfig,
        collector: Box<dyn Collector>,
        types: Arc<TypeRegistry>,
        mut memory: HeapMemory,
        mutator: NonNull<MutatorState>,
    ) -> Result<Heap, MemoryError> {
        let spec = collector.spec();
        assert!(spec.inline_limit <= MAX_INLINE_LIMIT, "inline limit of {}", spec.name);
        assert_eq!(spec.header_layout(), types.header(), "header of {}", spec.name);
        let null_page = u64::from(NULL_PAGE_BYTES);
        if memory.side_tables().is_empty() {
            memory = memory.with_side_tables(spec.side_tables)?;
        }
        assert_eq!(memory.side_tables(), spec.side_tables, "side tables of {}", spec.name);
        // Rounded down: a heap is never larger than asked. It may then be of size zero, and full.
        let max = config.max.min(MAX_CAPACITY).min(memory.max_end() - null_page) / 4096 * 4096;
        let capacity = Heap::first_capacity(&config).min(max);
        memory.commit_to(null_page + capacity)?;
        // Memory that another heap has used may be open far beyond.
        memory.close()?;
        let mut heap = Heap {
            config,
            spec,
            memory,
            types,
            host: HostTable::default(),
            collector: Some(collector),
            mutator,
            owns_mutator: false,
            capacity,
            region: None,
            sizing: Sizing::new(config.sizing, max),
            stats: GcStats::default(),
            live: 0,
            allocations: 0,
            sink: None,
            limiter: None,
            max_object: MAX_CAPACITY,
            corrupted: None,
            layouts: Default::default(),
        };
        heap.mutator_mut().side = heap.memory.side_bases();
        heap.publish_committed();
        let _ = heap.with_collector(|collector, heap| {
            collector.attach(heap);
            Ok(())
        });
        heap.note_committed();
        Ok(heap)
    }

    /// A heap that owns its mutator state, for the host and for tests.
    ///
    /// # Errors
    ///
    /// As [`Heap::new`].
    pub fn standalone(
        config: HeapConfig,
        collector: Box<dyn Collector>,
        types: Arc<TypeRegistry>,
        memory: HeapMemory,
    ) -> Result<Heap, MemoryError> {
        let mutator = NonNull::from(Box::leak(Box::<MutatorState>::default()));
        // SAFETY: the state is valid, known to this heap alone, and freed after it: by its `drop`, or below.
        match unsafe { Heap::new(config, collector, types, memory, mutator) } {
            Ok(mut heap) => {
                heap.owns_mutator = true;
                Ok(heap)
            }
            Err(error) => {
                // SAFETY: made from a box above, and the heap that knew it is gone.
                drop(unsafe { Box::from_raw(mutator.as_ptr()) });
                Err(error)
            }
        }
    }

    /// The capacity that a heap with these settings begins with, in bytes, if its memory has that much.
    pub fn first_capacity(config: &HeapConfig) -> u64 {
        let max = config.max.min(MAX_CAPACITY) / 4096 * 4096;
        config.initial.clamp(MIN_INITIAL, MAX_CAPACITY).next_multiple_of(GRAIN).min(max)
    }

    /// Replaces what is asked before the heap grows.
    pub fn set_limiter(&mut self, limiter: Option<Box<dyn GrowthLimiter>>) {
        self.limiter = limiter;
    }

    /// Refuses objects of more than `bytes` from now on, even if there is room. Compiled code allocates small objects
    /// by itself, so a limit below [`MAX_INLINE_LIMIT`] counts as that.
    pub fn set_max_object(&mut self, bytes: u64) {
        self.max_object = bytes.clamp(u64::from(MAX_INLINE_LIMIT), MAX_CAPACITY);
    }

    /// Ends the heap and gives its memory back, as it is: [`HeapMemory::reset`] makes it fit for another heap.
    pub fn into_memory(mut self) -> HeapMemory {
        self.memory.take()
    }

    /// The collector's declaration.
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }
    /// The memory.
    #[inline]
    pub fn memory(&self) -> &HeapMemory {
        &self.memory
    }
    /// The memory, writable.
    #[inline]
    pub fn memory_mut(&mut self) -> &mut HeapMemory {
        &mut self.memory
    }
    /// The types.
    #[inline]
    pub fn types(&self) -> &Arc<TypeRegistry> {
        &self.types
    }
    /// The host values.
    #[inline]
    pub fn host(&self) -> &HostTable {
        &self.host
    }
    /// The host values, writable.
    #[inline]
    pub fn host_mut(&mut self) -> &mut HostTable {
        &mut self.host
    }
    /// The words shared with compiled code.
    #[inline]
    pub fn mutator(&self) -> &MutatorState {
        // SAFETY: valid, and not written while this borrow lasts (promised to `new`).
        unsafe { self.mutator.as_ref() }
    }
    /// The words shared with compiled code, writable. Cursor and limit are changed by
    /// [`open_region`](Self::open_region); a collector may advance the cursor within the region.
    #[inline]
    pub fn mutator_mut(&mut self) -> &mut MutatorState {
        // SAFETY: valid, and unaliased while this borrow lasts (promised to `new`).
        unsafe { self.mutator.as_mut() }
    }
    /// The settings.
    pub fn config(&self) -> &HeapConfig {
        &self.config
    }
    /// Bytes that the collector may use: offsets `[NULL_PAGE_BYTES, NULL_PAGE_BYTES + capacity)` are committed.
    #[inline]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }
    /// The largest capacity that this heap can have.
    pub fn max_capacity(&self) -> u64 {
        self.sizing.max()
    }
    /// Space figures; zero while the collector is at work.
    pub fn space(&self) -> Space {
        self.collector.as_ref().map(|collector| collector.space(self)).unwrap_or_default()
    }
    /// Totals so far.
    pub fn stats(&self) -> GcStats {
        let mut stats = self.stats;
        stats.barriers = self.mutator().barriers;
        if let Some(region) = self.region {
            stats.bytes_allocated += u64::from(self.mutator().cursor.saturating_sub(region.accounted));
        }
        stats
    }
    /// Replaces the event listener.
    pub fn set_event_sink(&mut self, sink: Option<Box<dyn EventSink>>) {
        self.sink = sink;
    }

    /// Whether somebody listens.
    #[inline]
    pub fn has_event_sink(&self) -> bool {
        self.sink.is_some()
    }

    /// Tells the listener, if there is one; `event` is not called otherwise. Collectors may add events of their own.
    #[inline]
    pub fn emit(&mut self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &mut self.sink {
            sink.event(&event());
        }
    }

    /// The corruption that was found, if any: every later call answers with it.
    pub fn corruption(&self) -> Option<HeapCorrupted> {
        self.corrupted
    }

    /// Declares the heap corrupted, for whoever found it so (a fault in compiled code). The first finding stays, and is
    /// returned.
    #[cold]
    pub fn set_corrupted(&mut self, found: HeapCorrupted) -> HeapCorrupted {
        *self.corrupted.get_or_insert(found)
    }

    /// Refuses to go on with a corrupted heap.
    #[inline]
    pub(crate) fn usable(&self) -> Result<(), HeapCorrupted> {
        match self.corrupted {
            None => Ok(()),
            Some(found) => Err(found),
        }
    }

    /// Runs the collector with the region's true limit in force; an error poisons the heap.
    pub(crate) fn with_collector<R>(
        &mut self,
        run: impl FnOnce(&mut dyn Collector, &mut Heap) -> Result<R, HeapCorrupted>,
    ) -> Result<R, HeapCorrupted> {
        self.usable()?;
        let Some(mut collector) = self.collector.take() else {
            return Err(
                self.set_corrupted(HeapCorrupted { what: "the collector panicked or was entered twice", at: 0 })
            );
        };
        self.mutator_mut().limit = self.inline_limit();
        self.memory.strike(Point::Enter);
        let result = run(&mut *collector, self);
        self.memory.strike(Point::Leave);
        self.collector = Some(collector);
        self.mutator_mut().limit = if self.config.zeal == 0 { self.inline_limit() } else { 0 };
        // Destructors are the host's code: the heap is whole again when they run.
        self.host.drop_released();
        result.map_err(|found| self.set_corrupted(found))
    }

    /// Takes a slow path of a barrier program on behalf of compiled code.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`].
    pub fn barrier_slow(&mut self, call: crate::barrier::SlowCall, args: [u32; 4]) -> Result<(), HeapCorrupted> {
        self.with_collector(|collector, heap| collector.barrier_slow(heap, call, args))
    }

    /// Makes room in a mutator buffer on behalf of compiled code.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`].
    pub fn buffer_full(&mut self, index: usize) -> Result<(), HeapCorrupted> {
        self.with_collector(|collector, heap| collector.buffer_full(heap, index))
    }

    /// Hands `[start, end)` to the mutator as the current bump region: the only way for a collector to set the cursor
    /// and the limit, so that statistics, zeal and young-object tracking have one source. A region still open is
    /// closed.
    ///
    /// # Panics
    ///
    /// When the region is not 8-aligned or not within the capacity: compiled code trusts it.
    pub fn open_region(&mut self, start: u32, end: u32) {
        assert!(
            start.is_multiple_of(8)
                && end.is_multiple_of(8)
                && NULL_PAGE_BYTES <= start
                && start <= end
                && u64::from(end) <= u64::from(NULL_PAGE_BYTES) + self.capacity,
            "bump region {start:#x}..{end:#x}"
        );
        self.close_region();
        self.region = Some(Region { start, end, accounted: start });
        let collector_at_work = self.collector.is_none();
        let limit = if self.config.zeal == 0 || collector_at_work { end } else { 0 };
        let mutator = self.mutator_mut();
        (mutator.cursor, mutator.limit) = (start, limit);
    }

    /// Takes the current bump region back and returns its start, its cursor (everything in `[start, cursor)` is
    /// allocated) and its end. Afterwards every allocation takes the slow path until a region is opened.
    pub fn close_region(&mut self) -> Option<(u32, u32, u32)> {
        self.account();
        let region = self.region.take()?;
        let cursor = self.mutator().cursor.clamp(region.start, region.end);
        let mutator = self.mutator_mut();
        (mutator.cursor, mutator.limit) = (0, 0);
        Some((region.start, cursor, region.end))
    }

    /// The current bump region as [`close_region`](Self::close_region) would return it.
    pub fn region(&self) -> Option<(u32, u32, u32)> {
        let region = self.region?;
        Some((region.start, self.mutator().cursor.clamp(region.start, region.end), region.end))
    }

    /// Brings the statistics up to the cursor.
    pub(crate) fn account(&mut self) {
        let cursor = self.mutator().cursor;
        if let Some(region) = &mut self.region {
            self.stats.bytes_allocated += u64::from(cursor.saturating_sub(region.accounted));
            region.accounted = region.accounted.max(cursor);
        }
    }

    /// Overwrites freed memory so that a stale reference into it is noticed; does nothing unless zeal is on.
    pub fn poison(&mut self, start: u32, end: u32) {
        if self.config.zeal != 0 && start < end {
            let end = u64::from(end).min(self.memory.committed_end());
            // Outside the committed part there is nothing to poison.
            let _ = self.memory.fill(start, end.saturating_sub(u64::from(start)), POISON);
        }
    }

    /// Gives the idle memory in `[start, end)`, which holds no object, back to the system, if it is worth the call. It
    /// stays committed.
    pub fn give_back(&mut self, start: u32, end: u32) {
        if end.saturating_sub(start) >= LEAST_GIVEN_BACK {
            self.stats.bytes_given_back += self.memory.decommit(start.into(), end.into());
        }
    }

    /// Changes the capacity, if the limiter allows it and the system gives the memory.
    pub(crate) fn resize(&mut self, to: u64) -> Result<bool, HeapCorrupted> {
        let from = self.capacity;
        let max = self.max_capacity();
        if to > from && self.limiter.as_mut().is_some_and(|limiter| !limiter.may_grow(from, to, max)) {
            return Ok(false);
        }
        if self.memory.commit_to(u64::from(NULL_PAGE_BYTES) + to).is_err() {
            return Ok(false);
        }
        if !planted(Bug::GrowthWithoutReload) {
            self.publish_committed();
        }
        self.capacity = to;
        self.with_collector(|collector, heap| {
            collector.resized(heap);
            Ok(())
        })?;
        self.note_committed();
        self.emit(|| Event::Resize { from, to });
        Ok(true)
    }

    /// Tells compiled code how far the committed memory reaches.
    fn publish_committed(&mut self) {
        let usable = self.memory.usable();
        self.mutator_mut().usable = usable;
    }

    pub(crate) fn note_committed(&mut self) {
        self.stats.peak_committed = self.stats.peak_committed.max(self.space().committed);
    }

    /// The layout of a type that an object names.
    pub(crate) fn layout(&mut self, id: TypeId) -> Result<Layout, HeapCorrupted> {
        let (layouts, right_at) = &mut self.layouts;
        let releases = self.types.releases();
        if releases != *right_at {
            layouts.clear();
            *right_at = releases;
        }
        if let Some(layout) = layouts.get(&id) {
            return Ok(layout.clone());
        }
        let found = HeapCorrupted { what: "an object of a type without layout", at: id.0 };
        let layout = self.types.layout(id).ok_or(found)?;
        layouts.insert(id, layout.clone());
        Ok(layout)
    }
}
