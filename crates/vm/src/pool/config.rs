//! How instances are allocated.

use heapwright_jit::abi::InstanceLayout;
use heapwright_jit::module::ModuleInfo;

/// How instances are allocated.
#[derive(Clone, Debug, Default)]
pub enum AllocationStrategy {
    /// Everything is mapped when it is made.
    #[default]
    OnDemand,
    /// Everything comes from slots that are used again.
    Pooling(PoolConfig),
}

/// A pool's limits. Each kind of slot has its own number; the sizes are those of every slot of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Instances at a time.
    pub total_core_instances: u32,
    /// Linear memories of instances at a time.
    pub total_memories: u32,
    /// Tables of instances at a time.
    pub total_tables: u32,
    /// GC heaps at a time: each store has one.
    pub total_gc_heaps: u32,
    /// Bytes of an instance's context.
    pub max_core_instance_size: usize,
    /// Memories that a module may define.
    pub max_memories_per_module: u32,
    /// Tables that a module may define.
    pub max_tables_per_module: u32,
    /// Bytes that a memory may have.
    pub max_memory_size: u64,
    /// Slots that a table may have.
    pub table_elements: u32,
    /// Bytes that a GC heap may have.
    pub max_gc_heap_size: u64,
    /// Free slots of each kind that are kept mapped; more are unmapped.
    pub max_unused_warm_slots: u32,
    /// Bytes of a memory that are overwritten when it is freed, rather than given back to the system.
    pub linear_memory_keep_resident: usize,
    /// Bytes of a table, as above.
    pub table_keep_resident: usize,
    /// Bytes of a GC heap, as above.
    pub gc_heap_keep_resident: usize,
    /// Bytes of an instance's context, as above.
    pub core_instance_keep_resident: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            total_core_instances: 1000,
            total_memories: 1000,
            total_tables: 1000,
            total_gc_heaps: 1000,
            max_core_instance_size: 1 << 20,
            max_memories_per_module: 1,
            max_tables_per_module: 1,
            max_memory_size: 4 << 30,
            table_elements: 20_000,
            max_gc_heap_size: 4 << 30,
            max_unused_warm_slots: 100,
            linear_memory_keep_resident: 0,
            table_keep_resident: 0,
            gc_heap_keep_resident: 0,
            core_instance_keep_resident: 16 << 10,
        }
    }
}

impl PoolConfig {
    /// Whether instances of a module fit the slots: everything about it that exceeds a limit, in words.
    pub(super) fn fits(&self, info: &ModuleInfo, layout: &InstanceLayout) -> Result<(), String> {
        let mut problems = Vec::new();
        let mut limit = |what: &str, has: u64, limit: u64| {
            if has > limit {
                problems.push(format!("{what} {has}, of {limit} that are allowed"));
            }
        };
        let defined_memories = &info.memories[info.imported_memories as usize..];
        let defined_tables = &info.tables[info.imported_tables as usize..];
        limit("bytes of instance state:", layout.size().into(), self.max_core_instance_size as u64);
        limit(
            "defined memories:",
            defined_memories.len() as u64,
            self.max_memories_per_module.min(self.total_memories).into(),
        );
        limit("defined tables:", defined_tables.len() as u64, self.max_tables_per_module.min(self.total_tables).into());
        for (i, memory) in (info.imported_memories..).zip(defined_memories) {
            let bytes = memory.minimum.saturating_mul(1 << memory.page_size_log2);
            limit(&format!("initial bytes of memory {i}:"), bytes, self.max_memory_size);
        }
        for (i, table) in (info.imported_tables..).zip(defined_tables) {
            limit(&format!("initial slots of table {i}:"), table.minimum, self.table_elements.into());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }
}
