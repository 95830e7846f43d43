//! The program corpus under every collector: output and exit code.
//!
//! `benches/corpus` has modules `NAME.wasm` with their standard output in `NAME.expected`; a module without one of its
//! own, `NAME_VARIANT.wasm`, prints what `NAME.expected` says. Each runs as it is; with a collection now and then at a
//! moment that no collector would choose, and the heap verified after it; and once without the optimiser and with
//! explicit checks. Modules without expected output need a host that we are not: they are compiled, and fail to link.

use heapwright::Collector;
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/corpus");
const HEAPWRIGHT: &str = env!("CARGO_BIN_EXE_heapwright");

fn main() {
    // The compile cache of all runs together: what differs only in zeal shares its code.
    let cache = tempfile::TempDir::new().expect("a temporary directory");
    let cache_dir: &Path = cache.path();
    let mut modules = Vec::new();
    find(Path::new(CORPUS), &mut modules);
    modules.sort();
    assert!(!modules.is_empty(), "no modules in {CORPUS}");
    let mut trials = Vec::new();
    for module in modules {
        let name = module.strip_prefix(CORPUS).expect("it was found there").display().to_string();
        let Some(expected) = expected(&module) else {
            trials.extend(Collector::all().map(|collector| {
                let (module, cache, collector) = (module.clone(), cache_dir.to_owned(), collector.name());
                Trial::test(format!("{name} [compile, {collector}]"), move || compile(&module, &cache, collector))
            }));
            continue;
        };
        let mut add = |label: String, flags: &[&str]| {
            let (module, cache, expected) = (module.clone(), cache_dir.to_owned(), expected.clone());
            let flags: Vec<String> = flags.iter().map(|&f| f.to_owned()).collect();
            trials.push(Trial::test(format!("{name} [{label}]"), move || run(&module, &cache, &expected, &flags)));
        };
        for collector in Collector::all() {
            let named = ["--collector", collector.name()];
            add(collector.name().to_owned(), &named);
            if collector.spec().needs_roots {
                add(format!("{}, zeal", collector.name()), &[&named[..], &["--zeal", zeal(&name)]].concat());
            }
            if interpreted(&name, collector) {
                add(format!("{}, pulley64", collector.name()), &[&named[..], &["--target", "pulley64"]].concat());
            }
        }
        add("no optimiser, explicit checks".to_owned(), &["--no-optimize", "--no-signals"]);
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    drop(cache);
    conclusion.exit();
}

fn find(dir: &Path, modules: &mut Vec<PathBuf>) {
    for entry in dir.read_dir().expect("the corpus is there") {
        let path = entry.expect("the corpus can be read").path();
        if path.is_dir() {
            find(&path, modules);
        } else if path.extension().is_some_and(|e| e == "wasm") {
            modules.push(path);
        }
    }
}

/// The file with the module's output.
fn expected(module: &Path) -> Option<PathBuf> {
    let own = module.with_extension("expected");
    if own.is_file() {
        return Some(own);
    }
    let stem = module.file_stem()?.to_str()?;
    let (name, _variant) = stem.rsplit_once('_')?;
    Some(module.with_file_name(format!("{name}.expected"))).filter(|path| path.is_file())
}

/// Collect at every so many allocations: so that there are dozens of collections, and not thousands.
fn zeal(name: &str) -> &'static str {
    match name.rsplit('/').next() {
        Some(name) if name.starts_with("hello") => "53",
        Some(name) if name.starts_with("alloc") => "500009",
        _ => "50021",
    }
}

/// Whether the interpreter runs the module under this collector. Without optimisation of our own code it takes its
/// time, so the long ones are left to release builds.
fn interpreted(name: &str, collector: Collector) -> bool {
    let short = name.rsplit('/').next().is_some_and(|name| name.starts_with("hello"));
    short || !cfg!(debug_assertions) || collector == Collector::default() && !name.contains("alloc")
}

fn heapwright(cache: &Path) -> Command {
    let mut command = Command::new(HEAPWRIGHT);
    command.args(["run", "--cache-dir"]).arg(cache).stdin(Stdio::null());
    command
}

fn run(module: &Path, cache: &Path, expected: &Path, flags: &[String]) -> Result<(), Failed> {
    let output = heapwright(cache).args(flags).arg(module).output()?;
    let expected = std::fs::read(expected)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}\n{errors}", output.status).into());
    }
    if output.stdout != expected {
        let got = String::from_utf8_lossy(&output.stdout);
        let expected = String::from_utf8_lossy(&expected);
        let line = got.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
        let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
        return Err(format!("line {}: expected {:?}, got {:?}\n{errors}", line + 1, at(&expected), at(&got)).into());
    }
    Ok(())
}

fn compile(module: &Path, cache: &Path, collector: &str) -> Result<(), Failed> {
    let output = heapwright(cache).args(["--collector", collector]).arg(module).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(1) && errors.contains("cannot link") && errors.contains("unknown import") {
        return Ok(());
    }
    Err(format!("{}\n{errors}", output.status).into())
}
