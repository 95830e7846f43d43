//! The trait that a collector implements.

use crate::barrier::SlowCall;
use crate::roots::RootSet;
use crate::{Heap, HeapCorrupted, Spec};

/// A request that the inline path could not serve.
#[derive(Clone, Copy, Debug)]
pub struct AllocRequest {
    /// Size in bytes, header included, a multiple of 8.
    pub size: u32,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocOutcome {
    /// The object's place. The heap writes the header. Storing references into the object needs no more than
    /// the declared `init` barrier until the next safepoint.
    At(u32),
    /// No room without a collection or growth.
    Full,
}

/// Why a collection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// An allocation found no room.
    AllocationFailure,
    /// The host or the guest asked for it; everything unreachable is to be reclaimed.
    Explicit,
    /// Zeal: collect at every n-th allocation.
    Zeal,
    /// A mutator buffer or another limit of the collector was reached.
    Internal,
    /// The last attempt before an out-of-memory error; everything unreachable is to be reclaimed.
    LastResort,
}

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionReport {
    /// Bytes in use before.
    pub bytes_before: u64,
    /// Bytes in use after: reachable bytes, or an upper bound for them. After a partial collection, what is known to
    /// live: garbage that a full collection will find should not be in it.
    pub bytes_after: u64,
    /// Bytes copied.
    pub bytes_copied: u64,
    /// Of the bytes copied, those that went to a space that is collected less often.
    pub bytes_promoted: u64,
    /// Objects visited.
    pub objects_visited: u64,
    /// Entries of the remembered set, or of the log of stores, that the collection went through.
    pub remembered: u64,
    /// Whether the whole heap was traced.
    pub full: bool,
    /// Whether only a part of the heap was collected, so that what lives in the rest is not known.
    pub partial: bool,
    /// Whether the collection would have come at this time in a larger heap too (a nursery of fixed size was full, or a
    /// share of what lived was promoted): then its pause is no reason for growth.
    pub would_recur: bool,
    /// The capacity in which the collector could work as it is meant to, with a nursery of the size that it found
    /// right, say; 0 when it does already. A heap that may grow does so at once.
    pub wanted: u64,
}

/// Space figures for sizing, statistics and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that objects occupy or may have occupied since the last collection.
    pub used: u64,
    /// Bytes that can be allocated before a collection is needed, at least.
    pub free: u64,
    /// Bytes of committed heap memory.
    pub committed: u64,
}

/// A collector: everything that its [`Spec`] does not say.
///
/// A collector keeps its own bookkeeping outside the heap. Whatever it reads from the heap it validates; every
/// loop over heap contents is bounded by the heap's size. It answers [`HeapCorrupted`] and never panics on heap
/// contents.
///
/// The [`Heap`] is passed to each call with its collector taken out, so a collector reaches memory, types, host
/// table and mutator state through it. The mutator's limit is then the current region's true end; between calls it may
/// be 0 (zeal). A call that panics leaves the heap unusable.
pub trait Collector: Send {
    /// The constant declaration.
    fn spec(&self) -> &'static Spec;

    /// Takes the heap over: `heap.memory()` has [`Heap::capacity`] bytes to use, possibly none. Opens the first bump
    /// region with [`Heap::open_region`], if the collector has one.
    fn attach(&mut self, heap: &mut Heap);

    /// Serves an allocation that the inline path refused, without collecting: from the current region, from a
    /// new region ([`Heap::open_region`]), or from a large-object space.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] when collector state in the heap is inconsistent.
    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted>;

    /// A slow path that a barrier program calls. Not a safepoint.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] when an argument that must be an object is not.
    fn barrier_slow(&mut self, heap: &mut Heap, call: SlowCall, args: [u32; 4]) -> Result<(), HeapCorrupted> {
        let _ = (heap, call, args);
        Ok(())
    }

    /// Makes room in append buffer `index`. Not a safepoint.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] when the buffer's contents are not what the collector's barrier wrote.
    fn buffer_full(&mut self, heap: &mut Heap, index: usize) -> Result<(), HeapCorrupted> {
        let _ = (heap, index);
        Ok(())
    }

    /// Reclaims unreachable objects and resets the bump region. With [`Cause::Explicit`] and
    /// [`Cause::LastResort`] everything unreachable is reclaimed, cycles included.
    /// Each root slot is visited and, when its object moved, updated. Host-table entries whose box died are
    /// released through [`Heap::host_mut`]. How the time divides is told through [`Heap::phases`].
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`]: the heap is then poisoned by the caller and never used again.
    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted>;

    /// Bytes that the next collection for want of room would look at, when it is of the whole heap only because memory
    /// is short: a larger heap would have a partial one in its place, or none. Sizing decides whether to grow instead.
    fn whole_for_want_of_room(&self, heap: &Heap) -> Option<u64> {
        let _ = heap;
        None
    }

    /// Tells the collector that [`Heap::capacity`] changed; it may use the room at once.
    fn resized(&mut self, heap: &mut Heap);

    /// Gives memory that holds no object back to the system ([`Heap::give_back`]), in large pieces; called right after
    /// a collection of the whole heap, when sizing finds that much is idle or the host has asked for the collection.
    fn give_back(&mut self, heap: &mut Heap) {
        let _ = heap;
    }

    /// Space figures.
    fn space(&self, heap: &Heap) -> Space;

    /// Whether `offset` can be the start of a live object, as far as the collector knows cheaply (inside an
    /// allocated part of the heap). The verifier asks it of every reference that it finds.
    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool;

    /// Checks the collector's own invariants; called by the verifier after a collection.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] with a message that names the broken invariant.
    fn verify(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        let _ = heap;
        Ok(())
    }
}
