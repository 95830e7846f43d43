//! How many instances of a small GC module can be made, called once and dropped in a second: on demand and from a pool,
//! taken alternately.
//!
//! ```text
//! cargo run --release -p heapwright --example instantiations [-- ROUNDS [COUNT]]
//! ```
//!
//! Each of ROUNDS rounds makes COUNT stores with one instance each, under every allocator in turn. The medians of the
//! rounds are printed, and the ratios to the first line.

use heapwright::{
    Config, Engine, Instance, InstanceAllocationStrategy, Module, PoolingAllocationConfig, Result, Store,
};
use std::time::Instant;

const MODULE: &str = r#"(module
    (type $box (struct (field (mut i32))))
    (memory 1) (data (i32.const 0) "data")
    (table 10 funcref) (elem (i32.const 0) func $f)
    (func $f (export "f") (param i32) (result i32)
      (i32.add (struct.get $box 0 (struct.new $box (local.get 0))) (i32.load8_u (i32.const 0)))))"#;

struct Contender {
    name: &'static str,
    engine: Engine,
    module: Module,
    seconds: Vec<f64>,
}

impl Contender {
    fn new(name: &'static str, change: impl FnOnce(&mut Config)) -> Result<Contender> {
        let mut config = Config::new();
        change(&mut config);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, MODULE)?;
        Ok(Contender { name, engine, module, seconds: Vec::new() })
    }

    fn round(&mut self, count: u32) -> Result<()> {
        let start = Instant::now();
        for i in 0..count as i32 {
            let mut store = Store::new(&self.engine, ())?;
            let instance = Instance::new(&mut store, &self.module, &[])?;
            let result = instance.typed_func::<i32, i32>(&mut store, "f")?.call(&mut store, i)?;
            assert_eq!(result, i + i32::from(b'd'));
        }
        self.seconds.push(start.elapsed().as_secs_f64());
        Ok(())
    }

    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

fn pool(keep: usize) -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(keep).table_keep_resident(keep).gc_heap_keep_resident(keep);
    pool.into()
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let rounds: u32 = args.next().map_or(Ok(7), |a| a.parse())?;
    let count: u32 = args.next().map_or(Ok(2000), |a| a.parse())?;
    let mut contenders = [
        Contender::new("on demand", |_| {})?,
        Contender::new("on demand, contents copied", |c| _ = c.memory_init_cow(false))?,
        Contender::new("pool", |c| _ = c.allocation_strategy(pool(0)))?,
        Contender::new("pool, 64 KiB resident", |c| _ = c.allocation_strategy(pool(64 << 10)))?,
    ];
    for contender in &mut contenders {
        contender.round(100)?;
        contender.seconds.clear();
    }
    for _ in 0..rounds.max(1) {
        for contender in &mut contenders {
            contender.round(count)?;
        }
    }
    let base = contenders[0].median();
    for contender in &contenders {
        let median = contender.median();
        println!("{:28} {:>9.0} instantiations/s  {:5.2}x", contender.name, f64::from(count) / median, base / median);
        if let Some(metrics) = contender.engine.pooling_allocator_metrics() {
            let heaps = metrics.gc_heaps();
            println!("{:28} {} of {} heaps taken were warm", "", heaps.reused, heaps.taken);
        }
    }
    Ok(())
}
