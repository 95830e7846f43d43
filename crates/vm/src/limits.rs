//! What an embedder allows a store to take.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A limiter's answer. `Ok(false)` makes growth fail as the language provides (`memory.grow` and `table.grow` give -1,
/// a GC heap is full); an error ends the guest's call with it.
pub type Growth = Result<bool, Box<dyn Error + Send + Sync>>;

/// Decides about growth; asked before anything is allocated. Each kind is asked about by itself: GC heaps, linear
/// memories and tables; and how many instances, memories and tables a store may hold.
pub trait ResourceLimiter: Send {
    /// May a linear memory grow (or come into being, from 0) from `current` to `desired` bytes? `maximum` is what its
    /// type allows.
    ///
    /// # Errors
    ///
    /// Whatever is to end the call.
    fn memory_growing(&mut self, current: u64, desired: u64, maximum: Option<u64>) -> Growth;

    /// May a table grow (or come into being, from 0) from `current` to `desired` slots? `maximum` is what its type
    /// allows.
    ///
    /// # Errors
    ///
    /// Whatever is to end the call.
    fn table_growing(&mut self, current: u64, desired: u64, maximum: Option<u64>) -> Growth;

    /// May the GC heap grow (or come into being, from 0) from `current` to `desired` bytes of capacity? `maximum` is
    /// what the configuration allows. Refused growth makes the heap collect, and an allocation that then finds no room
    /// fails with an error that says what was asked for and what lives; an error counts as a refusal. Default: yes.
    ///
    /// # Errors
    ///
    /// As a refusal.
    fn gc_heap_growing(&mut self, current: u64, desired: u64, maximum: u64) -> Growth {
        let _ = (current, desired, maximum);
        Ok(true)
    }

    /// Growth of a memory that this limiter allowed was refused by the system or the memory's type. Default: nothing.
    ///
    /// # Errors
    ///
    /// Whatever is to end the call.
    fn memory_grow_failed(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    /// Growth of a table that this limiter allowed was refused. Default: nothing.
    ///
    /// # Errors
    ///
    /// Whatever is to end the call.
    fn table_grow_failed(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    /// Most instances that the store may hold. Default 10,000.
    fn instances(&self) -> usize {
        10_000
    }

    /// Most memories that the store may hold. Default 10,000.
    fn memories(&self) -> usize {
        10_000
    }

    /// Most tables that the store may hold. Default 10,000.
    fn tables(&self) -> usize {
        10_000
    }
}

/// A limiter that the store and its heap share.
#[derive(Clone)]
pub(crate) struct SharedLimiter(Arc<Mutex<Box<dyn ResourceLimiter>>>);

impl SharedLimiter {
    pub(crate) fn new(limiter: Box<dyn ResourceLimiter>) -> SharedLimiter {
        SharedLimiter(Arc::new(Mutex::new(limiter)))
    }

    /// The limiter. Only the thread that has the store asks, so nobody waits.
    pub(crate) fn get(&self) -> MutexGuard<'_, Box<dyn ResourceLimiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl heapwright_gc_heap::GrowthLimiter for SharedLimiter {
    fn may_grow(&mut self, current: u64, desired: u64, maximum: u64) -> bool {
        self.get().gc_heap_growing(current, desired, maximum).unwrap_or(false)
    }
}

/// Fixed limits: the usual [`ResourceLimiter`]. What is not set is not limited, except the counts, which keep their
/// defaults.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: Option<u64>,
    table_elements: Option<u64>,
    gc_heap_size: Option<u64>,
    instances: usize,
    memories: usize,
    tables: usize,
    trap_on_grow_failure: bool,
}

/// Builds [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

/// Growth was refused and [`StoreLimitsBuilder::trap_on_grow_failure`] is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowthRefused {
    /// What was to grow.
    pub what: &'static str,
    /// The size asked for, in bytes or slots; `None` when the limits allowed it and the system did not.
    pub desired: Option<u64>,
}

impl std::fmt::Display for GrowthRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.desired {
            Some(desired) => write!(f, "growth of a {} to {desired} is not allowed", self.what),
            None => write!(f, "growth of a {} failed", self.what),
        }
    }
}

impl Error for GrowthRefused {}

impl Default for StoreLimits {
    fn default() -> Self {
        StoreLimits {
            memory_size: None,
            table_elements: None,
            gc_heap_size: None,
            instances: 10_000,
            memories: 10_000,
            tables: 10_000,
            trap_on_grow_failure: false,
        }
    }
}

impl StoreLimitsBuilder {
    /// No limits yet.
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }

    /// Largest size of each linear memory, in bytes.
    pub fn memory_size(mut self, bytes: u64) -> Self {
        self.0.memory_size = Some(bytes);
        self
    }

    /// Largest size of each table, in slots.
    pub fn table_elements(mut self, slots: u64) -> Self {
        self.0.table_elements = Some(slots);
        self
    }

    /// Largest capacity of the GC heap, in bytes. A heap of which not even the beginning is allowed cannot be made.
    pub fn gc_heap_size(mut self, bytes: u64) -> Self {
        self.0.gc_heap_size = Some(bytes);
        self
    }

    /// Most instances in a store.
    pub fn instances(mut self, count: usize) -> Self {
        self.0.instances = count;
        self
    }

    /// Most memories in a store.
    pub fn memories(mut self, count: usize) -> Self {
        self.0.memories = count;
        self
    }

    /// Most tables in a store.
    pub fn tables(mut self, count: usize) -> Self {
        self.0.tables = count;
        self
    }

    /// Whether refused growth of a memory or table ends the call with [`GrowthRefused`], instead of the -1 that
    /// programs seldom look at.
    pub fn trap_on_grow_failure(mut self, trap: bool) -> Self {
        self.0.trap_on_grow_failure = trap;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

impl StoreLimits {
    fn allow(&self, what: &'static str, desired: u64, limit: Option<u64>) -> Growth {
        let allowed = limit.is_none_or(|limit| desired <= limit);
        if allowed || !self.trap_on_grow_failure {
            return Ok(allowed);
        }
        Err(GrowthRefused { what, desired: Some(desired) }.into())
    }

    fn failed(&self, what: &'static str) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.trap_on_grow_failure { Err(GrowthRefused { what, desired: None }.into()) } else { Ok(()) }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _: u64, desired: u64, _: Option<u64>) -> Growth {
        self.allow("memory", desired, self.memory_size)
    }

    fn table_growing(&mut self, _: u64, desired: u64, _: Option<u64>) -> Growth {
        self.allow("table", desired, self.table_elements)
    }

    fn gc_heap_growing(&mut self, _: u64, desired: u64, _: u64) -> Growth {
        Ok(self.gc_heap_size.is_none_or(|limit| desired <= limit))
    }

    fn memory_grow_failed(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.failed("memory")
    }

    fn table_grow_failed(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.failed("table")
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.memories
    }

    fn tables(&self) -> usize {
        self.tables
    }
}
