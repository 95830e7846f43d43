//! How long a module takes until it can be instantiated, in each way of loading it: compiled, prepared for lazy
//! compilation, from the cache, from a compiled file; and in Node. All take turns; medians.
//!
//! ```text
//! cargo run --release -p heapwright-benches --example load -- [--runs N] [--node NODE] FILE…
//! ```
//!
//! What a module does is not measured here (`first_output` does that), so any module will do, whatever it imports. Each
//! way has an engine of its own, which is made beforehand. Node compiles in a new process each time, and says itself
//! how long its `WebAssembly.Module` took.

use heapwright::{Cache, Compilation, Config, DEFAULT_CACHE_LIMIT, Engine, Module, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Loads a module once, and says how many milliseconds it took.
type Once = Box<dyn Fn() -> Result<f64>>;

struct Args {
    runs: usize,
    node: Option<PathBuf>,
    files: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let args = args()?;
    for file in &args.files {
        let bytes = std::fs::read(file)?;
        println!("{} ({} KB), milliseconds: median, fastest", file.display(), bytes.len() / 1000);
        let dir = std::env::temp_dir().join(format!("heapwright-load-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let measured = ways(&args, file, &bytes, &dir).and_then(|ways| measure(args.runs, &ways));
        std::fs::remove_dir_all(&dir)?;
        measured?;
    }
    Ok(())
}

fn args() -> Result<Args> {
    let mut found = Args { runs: 11, node: None, files: Vec::new() };
    let mut args = std::env::args_os().skip(1);
    let missing = || heapwright::Error::msg("usage: load [--runs N] [--node NODE] FILE…");
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--runs") => found.runs = args.next().and_then(|n| n.to_str()?.parse().ok()).ok_or_else(missing)?,
            Some("--node") => found.node = Some(args.next().ok_or_else(missing)?.into()),
            _ => found.files.push(arg.into()),
        }
    }
    if found.files.is_empty() || found.runs == 0 { Err(missing()) } else { Ok(found) }
}

fn ways(args: &Args, file: &Path, bytes: &[u8], dir: &Path) -> Result<Vec<(&'static str, Once)>> {
    let engine = |compilation: Compilation, cache: Option<&str>| {
        let mut config = Config::new();
        config.compilation(compilation);
        if let Some(name) = cache {
            config.cache(Some(Cache::open(dir.join(name), DEFAULT_CACHE_LIMIT)?));
        }
        Engine::new(&config)
    };
    let (eager, lazy) = (engine(Compilation::Eager, None)?, engine(Compilation::Lazy, None)?);
    let cached = engine(Compilation::Eager, Some("eager"))?;
    let artifact = dir.join("module.hwm");
    std::fs::write(&artifact, eager.precompile_module(bytes)?)?;
    // Fills the cache.
    Module::new(&cached, bytes)?;

    let load = |engine: Engine| -> Once {
        let bytes = bytes.to_vec();
        Box::new(move || timed(|| Module::new(&engine, &bytes)))
    };
    let mut ways: Vec<(&str, Once)> = vec![
        ("everything compiled", load(eager.clone())),
        ("lazily: validated", load(lazy)),
        ("everything, from the cache", load(cached)),
    ];
    ways.push((
        "from a compiled file",
        // SAFETY: this program has just written the file, into a directory of its own.
        Box::new(move || timed(|| unsafe { Module::deserialize_file(&eager, &artifact) })),
    ));
    if let Some(node) = args.node.clone() {
        let file = file.to_owned();
        ways.push(("Node: WebAssembly.Module", Box::new(move || in_node(&node, &file))));
    }
    Ok(ways)
}

/// The module is dropped outside of the time.
fn timed(load: impl FnOnce() -> Result<Module>) -> Result<f64> {
    let started = Instant::now();
    let module = load()?;
    let time = started.elapsed().as_secs_f64() * 1e3;
    drop(module);
    Ok(time)
}

fn in_node(node: &Path, file: &Path) -> Result<f64> {
    const SCRIPT: &str = "const bytes = require('fs').readFileSync(process.argv[1]); const started = performance.now();
        new WebAssembly.Module(bytes);
        console.log(performance.now() - started);";
    let output = Command::new(node).args(["-e", SCRIPT]).arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = || heapwright::Error::msg(format!("node failed: {}", String::from_utf8_lossy(&output.stderr)));
    text.trim().parse().map_err(|_| failed())
}

fn measure(runs: usize, ways: &[(&str, Once)]) -> Result<()> {
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..runs {
        for ((_, once), times) in ways.iter().zip(&mut times) {
            times.push(once()?);
        }
    }
    for ((name, _), times) in ways.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("  {name:28} {:9.1} {:9.1}", times[times.len() / 2], times[0]);
    }
    Ok(())
}
