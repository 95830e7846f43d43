//! How instances are allocated.

use heapwright_vm as vm;

/// How instances are allocated; see [`Config::allocation_strategy`](crate::Config::allocation_strategy).
#[derive(Clone, Debug, Default)]
pub enum InstanceAllocationStrategy {
    /// Memory is reserved and mapped when something is made, and unmapped when its store is dropped. No limits but the
    /// system's.
    #[default]
    OnDemand,
    /// Memory comes from a fixed number of slots that are cleared and used again.
    Pooling(PoolingAllocationConfig),
}

impl InstanceAllocationStrategy {
    /// A pool with default limits.
    pub fn pooling() -> InstanceAllocationStrategy {
        InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::default())
    }

    pub(crate) fn to_vm(&self) -> vm::AllocationStrategy {
        match self {
            InstanceAllocationStrategy::OnDemand => vm::AllocationStrategy::OnDemand,
            InstanceAllocationStrategy::Pooling(config) => vm::AllocationStrategy::Pooling(config.0.clone()),
        }
    }
}

impl From<PoolingAllocationConfig> for InstanceAllocationStrategy {
    fn from(config: PoolingAllocationConfig) -> Self {
        InstanceAllocationStrategy::Pooling(config)
    }
}

/// The limits of a pool. Methods return `&mut Self`, so that they can be chained.
///
/// A slot's address space is reserved when the slot is first used: some 4 GiB for a GC heap or a memory. When a store
/// is dropped its slots are cleared: the first *keep-resident* bytes by overwriting them, the rest by giving the pages
/// back to the system. The first is quicker for small things that are used often, and costs that much memory for each
/// free slot.
///
/// An instance takes its slots when it is made and keeps them until its store is dropped. What the host itself makes
/// ([`Memory::new`](crate::Memory::new), [`Table::new`](crate::Table::new)) does not come from the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolingAllocationConfig(vm::PoolConfig);

macro_rules! knobs {
    ($($(#[doc = $doc:literal])* $name:ident: $ty:ty;)*) => {$(
        $(#[doc = $doc])*
        pub fn $name(&mut self, value: $ty) -> &mut Self {
            self.0.$name = value;
            self
        }
    )*};
}

impl PoolingAllocationConfig {
    /// The default limits.
    pub fn new() -> PoolingAllocationConfig {
        PoolingAllocationConfig::default()
    }

    knobs! {
        /// Instances that can exist at a time. Default 1000.
        total_core_instances: u32;
        /// Memories of instances that can exist at a time. Default 1000.
        total_memories: u32;
        /// Tables of instances that can exist at a time. Default 1000.
        total_tables: u32;
        /// GC heaps that can exist at a time, and so stores: each has one, with its function table. Default 1000.
        total_gc_heaps: u32;
        /// Bytes of an instance's own state: globals, type and function identities, and so on. Default 1 MiB.
        max_core_instance_size: usize;
        /// Memories that a module may define. Default 1.
        max_memories_per_module: u32;
        /// Tables that a module may define. Default 1.
        max_tables_per_module: u32;
        /// Bytes to which a memory can grow. Default 4 GiB.
        max_memory_size: u64;
        /// Slots to which a table can grow; each takes 32 bytes. Default 20,000.
        table_elements: u32;
        /// Bytes to which a GC heap can grow, if [`Config::max_heap`](crate::Config::max_heap) is not less. Default 4
        /// GiB.
        max_gc_heap_size: u64;
        /// Free slots of each kind that stay mapped; the longest unused beyond this are unmapped. Default 100.
        max_unused_warm_slots: u32;
        /// Bytes of a memory that are overwritten when it is freed rather than given back. Default 0.
        linear_memory_keep_resident: usize;
        /// Bytes of a table (and of a store's function table) that are overwritten when it is freed rather than given
        /// back. Default 0.
        table_keep_resident: usize;
        /// Bytes of a GC heap that are overwritten when it is freed rather than given back. Default 0.
        gc_heap_keep_resident: usize;
        /// Bytes of an instance's own state that are overwritten when it is freed rather than given back. Default 16
        /// KiB.
        core_instance_keep_resident: usize;
    }
}

/// What a pool is doing at one moment; see
/// [`Engine::pooling_allocator_metrics`](crate::Engine::pooling_allocator_metrics).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolingAllocatorMetrics(pub(crate) vm::PoolMetrics);

/// What the slots of one kind are doing.
pub use heapwright_vm::SlotMetrics;

impl PoolingAllocatorMetrics {
    /// Slots for instances' own state.
    pub fn core_instances(&self) -> SlotMetrics {
        self.0.core_instances
    }
    /// Slots for memories.
    pub fn memories(&self) -> SlotMetrics {
        self.0.memories
    }
    /// Slots for tables.
    pub fn tables(&self) -> SlotMetrics {
        self.0.tables
    }
    /// Slots for GC heaps.
    pub fn gc_heaps(&self) -> SlotMetrics {
        self.0.gc_heaps
    }
}
