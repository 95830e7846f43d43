//! Compiled modules outside the process: a file that is loaded without compiling, what is refused, and the compile
//! cache.
//!
//! ```text
//! cargo run -p heapwright --example artifacts
//! ```

use heapwright::{
    ArtifactError, Cache, Collector, Compilation, Config, DEFAULT_CACHE_LIMIT, Engine, Instance, Module, Result, Store,
};
use std::time::Instant;

const PROGRAM: &str = r#"(module
    (type $box (struct (field i32)))
    (func (export "answer") (result i32) (struct.get $box 0 (struct.new $box (i32.const 42))))
    (func (export "other") (result i32) (i32.const 7)))"#;

fn call(module: &Module, name: &str) -> Result<i32> {
    let mut store = Store::new(module.engine(), ())?;
    let instance = Instance::new(&mut store, module, &[])?;
    instance.typed_func::<(), i32>(&mut store, name)?.call(&mut store, ())
}

pub(crate) fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("heapwright-artifacts-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = in_directory(&dir);
    std::fs::remove_dir_all(&dir)?;
    result
}

fn in_directory(dir: &std::path::Path) -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, PROGRAM)?;
    println!("it needs {:?}", module.resources_required());
    for function in module.functions() {
        println!("function {} has its code at {:?} of {} bytes", function.index, function.code, module.text().len());
    }

    // The file holds the machine code, which is mapped from it.
    let path = dir.join("program.hwm");
    std::fs::write(&path, module.serialize()?)?;
    let started = Instant::now();
    // SAFETY: written just now by this program, into a directory of its own.
    let again = unsafe { Module::deserialize_file(&engine, &path)? };
    println!("loaded in {:?}", started.elapsed());
    assert_eq!((call(&again, "answer")?, again.text() == module.text()), (42, true));

    // What fits neither collector nor settings is refused, and so is what is damaged.
    let drc = Collector::by_name("drc").expect("it is one of ours");
    let other = Engine::new(Config::new().collector(drc))?;
    // SAFETY: as above.
    let error = unsafe { Module::deserialize_file(&other, &path) }.expect_err("another collector");
    println!("refused: {}", error.root_cause());
    let mut damaged = module.serialize()?;
    damaged[5000] ^= 1;
    // SAFETY: made by this program, but for one bit, which is what the checksum finds.
    let error = unsafe { Module::deserialize(&engine, &damaged) }.expect_err("a flipped bit");
    assert!(matches!(error.downcast_ref(), Some(ArtifactError::Corrupted)));

    // The cache keeps what was compiled; here it grows with what was called.
    let cache = Cache::open(dir.join("cache"), DEFAULT_CACHE_LIMIT)?;
    let mut config = Config::new();
    config.cache(Some(cache.clone())).compilation(Compilation::Lazy);
    for (name, compiled) in [("answer", 1), ("answer", 0), ("other", 1)] {
        let module = Module::new(&Engine::new(&config)?, PROGRAM)?;
        call(&module, name)?;
        assert_eq!(module.update_cache(), compiled);
    }
    println!("the cache holds {:?}", cache.contents()?);
    Ok(())
}
