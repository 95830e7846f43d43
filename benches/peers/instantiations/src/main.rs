//! Instances of a small GC module made, called once and dropped, per second: Heapwright and Wasmtime, on demand and
//! pooled, taken alternately in one process.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -p heapwright-peer-instantiations [-- ROUNDS [COUNT]]
//! ```
//!
//! Each of ROUNDS rounds makes COUNT stores with one instance each under every contender in turn; medians are printed,
//! and ratios to the first line. All use their copying collector. Keep-resident sizes are the same on both sides.

use anyhow::{Result, anyhow};
use std::time::Instant;

const MODULE: &str = r#"(module
    (type $box (struct (field (mut i32))))
    (memory 1) (data (i32.const 0) "data")
    (table 10 funcref) (elem (i32.const 0) func $f)
    (func $f (export "f") (param i32) (result i32)
      (i32.add (struct.get $box 0 (struct.new $box (local.get 0))) (i32.load8_u (i32.const 0)))))"#;

/// Makes one instance, calls it, and drops it.
type Once = Box<dyn Fn(i32) -> Result<i32>>;

struct Contender {
    name: String,
    once: Once,
    seconds: Vec<f64>,
}

fn heapwright(pool: Option<usize>) -> Result<Once> {
    use heapwright::{Collector, Config, Engine, Instance, Module, PoolingAllocationConfig, Store};
    let mut config = Config::new();
    config.collector(Collector::by_name("copying").ok_or_else(|| anyhow!("no copying collector"))?);
    if let Some(keep) = pool {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(keep).table_keep_resident(keep).gc_heap_keep_resident(keep);
        config.allocation_strategy(pool);
    }
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, MODULE)?;
    Ok(Box::new(move |i| {
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        instance.typed_func::<i32, i32>(&mut store, "f")?.call(&mut store, i)
    }))
}

fn wasmtime(pool: Option<usize>) -> Result<Once> {
    use wasmtime::{Collector, Config, Engine, Instance, Module, PoolingAllocationConfig, Store};
    fn ours<T>(result: wasmtime::Result<T>) -> Result<T> {
        result.map_err(|e| anyhow!("{e:#}"))
    }
    let mut config = Config::new();
    config.wasm_function_references(true).wasm_gc(true).collector(Collector::Copying);
    if let Some(keep) = pool {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(keep).table_keep_resident(keep);
        config.allocation_strategy(pool);
    }
    let engine = ours(Engine::new(&config))?;
    let module = ours(Module::new(&engine, wat::parse_str(MODULE)?))?;
    Ok(Box::new(move |i| {
        let mut store = Store::new(&engine, ());
        let instance = ours(Instance::new(&mut store, &module, &[]))?;
        let f = ours(instance.get_typed_func::<i32, i32>(&mut store, "f"))?;
        ours(f.call(&mut store, i))
    }))
}

impl Contender {
    fn round(&mut self, count: u32) -> Result<f64> {
        let start = Instant::now();
        for i in 0..count as i32 {
            let result = (self.once)(i)?;
            anyhow::ensure!(result == i + i32::from(b'd'), "{} computes {result} from {i}", self.name);
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let rounds: u32 = args.next().map_or(Ok(7), |a| a.parse())?;
    let count: u32 = args.next().map_or(Ok(2000), |a| a.parse())?;
    let mut contenders = Vec::new();
    for (how, pool) in [("on demand", None), ("pool", Some(0)), ("pool, 64 KiB resident", Some(64 << 10))] {
        for (engine, once) in [("heapwright", heapwright(pool)?), ("wasmtime", wasmtime(pool)?)] {
            contenders.push(Contender { name: format!("{engine}, {how}"), once, seconds: Vec::new() });
        }
    }
    for contender in &mut contenders {
        contender.round(100)?;
    }
    for _ in 0..rounds.max(1) {
        for contender in &mut contenders {
            let seconds = contender.round(count)?;
            contender.seconds.push(seconds);
        }
    }
    let base = contenders[0].median();
    for contender in &contenders {
        let median = contender.median();
        println!("{:34} {:>9.0} instantiations/s  {:5.2}x", contender.name, f64::from(count) / median, base / median);
    }
    Ok(())
}
