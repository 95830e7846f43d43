//! A pool of instances: its limits, what happens at them, and its figures.
//!
//! ```text
//! cargo run -p heapwright --example pooling
//! ```

use heapwright::{Config, Engine, Instance, Module, PoolConcurrencyLimitError, PoolingAllocationConfig, Result, Store};

pub(crate) fn main() -> Result<()> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_gc_heaps(2) // stores at a time
        .total_core_instances(8)
        .max_memory_size(16 << 20)
        .gc_heap_keep_resident(256 << 10);
    let engine = Engine::new(Config::new().allocation_strategy(pool))?;

    // What does not fit is refused when it is compiled, not when it is needed.
    let unfit = Module::new(&engine, "(module (memory 1000))").unwrap_err();
    println!("{unfit}");

    let module = Module::new(&engine, r#"(module (memory 1) (func (export "answer") (result i32) i32.const 42))"#)?;
    {
        let mut stores = [Store::new(&engine, ())?, Store::new(&engine, ())?];
        for store in &mut stores {
            let instance = Instance::new(&mut *store, &module, &[])?;
            println!("{}", instance.typed_func::<(), i32>(&mut *store, "answer")?.call(&mut *store, ())?);
        }
        let full = Store::new(&engine, ()).unwrap_err();
        println!("{full} (a limit of the pool: {})", full.is::<PoolConcurrencyLimitError>());
    }
    // The stores are gone; their slots wait for the next ones.
    let mut store = Store::new(&engine, ())?;
    Instance::new(&mut store, &module, &[])?;
    if let Some(metrics) = engine.pooling_allocator_metrics() {
        println!("heaps {:?}\nmemories {:?}", metrics.gc_heaps(), metrics.memories());
    }
    Ok(())
}
