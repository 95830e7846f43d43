//! Where instances get their memory from.
//!
//! *On demand*: each thing is mapped when it is made and unmapped when its store goes. *Pooling*: things live in slots
//! of fixed size and limited number, which are cleared and kept when a store goes, so that the next instance needs few
//! system calls or none.
//!
//! A slot is a value that owns its mapping: a heap's reservation, a memory's, a table's. A store takes the value out of
//! the pool and its drop brings it back ([`Taken`]), on every path, also when an instantiation fails half-way. A free
//! slot holds no guest's data: it is cleared before it can be taken again, and dropped (unmapped) if that fails.

mod config;
mod error;
mod image;
mod resources;
mod slots;

#[cfg(test)]
mod tests;

pub use config::{AllocationStrategy, PoolConfig};
pub use error::{PoolConcurrencyLimitError, ResourceError};
pub(crate) use image::{MemoryImage, images_of};
pub(crate) use resources::{ClearedSlot, MemorySlot};
pub use slots::SlotMetrics;
pub(crate) use slots::{Claim, Taken};

use crate::mapping::Reservation;
use crate::pool::slots::Slots;
use heapwright_gc_heap::{HeapMemory, MemoryError, SideTable};
use heapwright_jit::abi::{FuncEntry, InstanceLayout};
use heapwright_jit::module::{MemoryInfo, ModuleInfo};
use std::sync::Arc;

const GIB: u64 = 1 << 30;
/// Unmapped bytes behind the last constant offset that goes unchecked: the largest access is 16 bytes.
const SLACK: u64 = 64 << 10;

/// What instances are made from.
pub(crate) struct Allocator {
    pool: Option<Pool>,
    options: MemoryOptions,
}

/// What the settings say about memories.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryOptions {
    /// Bytes behind a 32-bit memory that compiled code may run into.
    pub(crate) guard: u64,
    /// Whether compiled code relies on faults for 32-bit memories.
    pub(crate) faults: bool,
    /// Address space for a 64-bit memory, at most.
    pub(crate) reservation64: u64,
    /// Whether initial contents are mapped rather than copied.
    pub(crate) images: bool,
}

struct Pool {
    config: PoolConfig,
    heaps: Arc<Slots<HeapMemory>>,
    funcs: Arc<Slots<ClearedSlot>>,
    blocks: Arc<Slots<ClearedSlot>>,
    memories: Arc<Slots<MemorySlot>>,
    tables: Arc<Slots<ClearedSlot>>,
}

/// What a pool's slots are doing at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolMetrics {
    /// Instance contexts.
    pub core_instances: SlotMetrics,
    /// Linear memories.
    pub memories: SlotMetrics,
    /// Tables.
    pub tables: SlotMetrics,
    /// GC heaps, one a store.
    pub gc_heaps: SlotMetrics,
}

impl Allocator {
    pub(crate) fn new(strategy: &AllocationStrategy, options: MemoryOptions) -> Allocator {
        let pool = match strategy {
            AllocationStrategy::OnDemand => None,
            AllocationStrategy::Pooling(config) => Some(Pool::new(config.clone())),
        };
        Allocator { pool, options }
    }

    pub(crate) fn metrics(&self) -> Option<PoolMetrics> {
        let pool = self.pool.as_ref()?;
        Some(PoolMetrics {
            core_instances: pool.blocks.metrics(),
            memories: pool.memories.metrics(),
            tables: pool.tables.metrics(),
            gc_heaps: pool.heaps.metrics(),
        })
    }

    /// Whether slots are used again.
    pub(crate) fn is_pool(&self) -> bool {
        self.pool.is_some()
    }

    /// Largest GC heap, in bytes.
    pub(crate) fn max_heap(&self) -> u64 {
        self.pool.as_ref().map_or(u64::MAX, |pool| pool.config.max_gc_heap_size)
    }

    /// Says whether a module's instances can ever be made.
    pub(crate) fn fits(&self, info: &ModuleInfo, layout: &InstanceLayout) -> Result<(), String> {
        self.pool.as_ref().map_or(Ok(()), |pool| pool.config.fits(info, layout))
    }

    /// A heap's address space with its side tables, and what brings it back.
    pub(crate) fn heap(
        &self,
        tables: &'static [SideTable],
    ) -> Result<(HeapMemory, Option<Claim<HeapMemory>>), ResourceError> {
        faults::point()?;
        let fresh = || HeapMemory::reserve()?.with_side_tables(tables);
        let Some(pool) = &self.pool else { return Ok((fresh()?, None)) };
        let (memory, claim) = pool.heaps.take(0)?;
        Ok((memory.map_or_else(fresh, Ok)?, Some(claim)))
    }

    /// Room for a store's function table.
    pub(crate) fn funcs(&self, bytes: u64) -> Result<Taken<ClearedSlot>, ResourceError> {
        cleared(self.pool.as_ref().map(|pool| &pool.funcs), || Ok(ClearedSlot::new(Reservation::new(bytes)?)))
    }

    /// Room for an instance's context, if it comes from a pool.
    pub(crate) fn block(&self, bytes: usize) -> Result<Option<Taken<ClearedSlot>>, ResourceError> {
        let Some(pool) = &self.pool else { return Ok(None) };
        let size = pool.config.max_core_instance_size;
        if bytes > size {
            return Err(MemoryError(format!("an instance of {bytes} bytes; the pool's slots have {size}")).into());
        }
        cleared(Some(&pool.blocks), || ClearedSlot::committed(size)).map(Some)
    }

    /// Room for a table and the number of its slots, if it comes from a pool.
    pub(crate) fn table(&self) -> Result<Option<(Taken<ClearedSlot>, u64)>, ResourceError> {
        let Some(pool) = &self.pool else { return Ok(None) };
        let elements = pool.config.table_elements;
        // Enough for the larger kind of slots.
        let size = elements as usize * size_of::<FuncEntry>();
        Ok(Some((cleared(Some(&pool.tables), || ClearedSlot::committed(size))?, elements.into())))
    }

    /// Address space for a memory, its first bytes accessible and with their initial contents, and the size to which it
    /// can grow. `pooled` is false for memories that belong to no instance.
    pub(crate) fn memory(
        &self,
        ty: &MemoryInfo,
        image: Option<&Arc<MemoryImage>>,
        pooled: bool,
    ) -> Result<(Taken<MemorySlot>, u64), ResourceError> {
        let too_large = || MemoryError(format!("a memory of {} pages is too large", ty.minimum));
        let bytes = |pages: u64| pages.checked_mul(1 << ty.page_size_log2);
        let minimum = bytes(ty.minimum).ok_or_else(too_large)?;
        let declared = ty.maximum.map_or(u64::MAX, |max| bytes(max).unwrap_or(u64::MAX));
        let options = &self.options;
        let guarded = !ty.memory64 && ty.page_size_log2 == 16 && options.faults;
        let mut limit = declared.min(if ty.memory64 { options.reservation64.max(minimum) } else { 4 * GIB });
        let pool = self.pool.as_ref().filter(|_| pooled);
        let reserved = match pool {
            // Any memory may have the slot next.
            Some(pool) => {
                limit = limit.min(pool.config.max_memory_size);
                pool.config.max_memory_size.max(4 * GIB)
            }
            None if guarded => 4 * GIB,
            None => limit,
        };
        if minimum > limit {
            return Err(too_large().into());
        }
        let fresh = || {
            let mapping = Reservation::new(reserved.saturating_add(options.guard).saturating_add(SLACK))?;
            Ok::<_, MemoryError>(MemorySlot::new(mapping))
        };
        let mut slot = match pool {
            None => Taken::owned(fresh()?),
            Some(pool) => {
                let (slot, claim) = pool.memories.take(image.map_or(0, |image| image.id()))?;
                Taken::pooled(slot.map_or_else(fresh, Ok)?, claim)
            }
        };
        slot.prepare(minimum as usize, image)?;
        Ok((slot, limit))
    }

    /// Whether a memory's initial contents are better mapped than copied, given how many bytes they are.
    pub(crate) fn wants_image(&self, bytes: usize) -> bool {
        // A fresh mapping costs as much as copying some pages; a slot that has the image mapped already costs nothing.
        self.options.images && (self.pool.is_some() || bytes >= 256 << 10)
    }
}

impl Pool {
    fn new(config: PoolConfig) -> Pool {
        let PoolConfig { max_unused_warm_slots: warm, .. } = config;
        Pool {
            heaps: Slots::new("GC heap", config.total_gc_heaps, warm, config.gc_heap_keep_resident),
            // A store has both: the limit of heaps is the one that is met.
            funcs: Slots::new("function table", config.total_gc_heaps, warm, config.table_keep_resident),
            blocks: Slots::new("core instance", config.total_core_instances, warm, config.core_instance_keep_resident),
            memories: Slots::new("memory", config.total_memories, warm, config.linear_memory_keep_resident),
            tables: Slots::new("table", config.total_tables, warm, config.table_keep_resident),
            config,
        }
    }
}

/// A slot from `slots`, or one for this use only.
fn cleared(
    slots: Option<&Arc<Slots<ClearedSlot>>>,
    fresh: impl FnOnce() -> Result<ClearedSlot, MemoryError>,
) -> Result<Taken<ClearedSlot>, ResourceError> {
    let Some(slots) = slots else { return Ok(Taken::owned(fresh()?)) };
    let (slot, claim) = slots.take(0)?;
    Ok(Taken::pooled(slot.map_or_else(fresh, Ok)?, claim))
}

/// Places where tests let the system refuse.
pub(crate) mod faults {
    use heapwright_gc_heap::MemoryError;

    #[cfg(not(test))]
    #[inline(always)]
    pub(crate) fn point() -> Result<(), MemoryError> {
        Ok(())
    }

    #[cfg(test)]
    pub(crate) use under_test::*;

    #[cfg(test)]
    mod under_test {
        use super::MemoryError;
        use std::cell::Cell;

        thread_local! {
            static REMAINING: Cell<Option<usize>> = const { Cell::new(None) };
            static FAILED: Cell<bool> = const { Cell::new(false) };
        }

        /// Lets the `n`-th point from now on (counted from 0) on this thread fail, and all after it.
        pub(crate) fn fail_after(n: usize) {
            REMAINING.set(Some(n));
        }

        /// Ends that; true if a point has failed.
        pub(crate) fn stop() -> bool {
            REMAINING.take();
            FAILED.take()
        }

        pub(crate) fn point() -> Result<(), MemoryError> {
            match REMAINING.get() {
                None => Ok(()),
                Some(0) => {
                    FAILED.set(true);
                    Err(MemoryError("injected".into()))
                }
                Some(n) => {
                    REMAINING.set(Some(n - 1));
                    Ok(())
                }
            }
        }
    }
}
