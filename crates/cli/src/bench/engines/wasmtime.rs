//! Wasmtime: a program of its own around its crate, built in `benches/peers`.

use super::Contender;
use crate::bench::args::BenchArgs;
use std::path::{Path, PathBuf};

/// The variable that says where the program is.
const VARIABLE: &str = "HEAPWRIGHT_WASMTIME_PEER";
/// Where it is otherwise, in the repository.
const BUILT: &str = "benches/peers/target/release/heapwright-peer-wasmtime";
/// The version that it is built from.
const NAME: &str = "wasmtime 48";

/// One for each collector.
pub(super) fn contenders(args: &BenchArgs) -> Result<Vec<Contender>, String> {
    let program = program()?;
    let all: &[&str] = if args.compile { &["copying"] } else { &["null", "drc", "copying"] };
    let chosen = &args.wasmtime_collectors;
    let names = all.iter().copied().filter(|name| chosen.is_empty() || chosen.iter().any(|c| c == name));
    let contender = |collector: &str| Contender {
        engine: NAME.to_owned(),
        collector: collector.to_owned(),
        ours: false,
        program: program.clone(),
        args: vec!["--collector".into(), collector.into()],
    };
    Ok(names.map(contender).collect())
}

fn program() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err(format!("{VARIABLE}: no file {}", path.display())) };
    }
    // The folder that one works in, or the repository that this program was built from.
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let found = [Path::new("."), sources].into_iter().map(|root| root.join(BUILT)).find(|path| path.is_file());
    found.ok_or_else(|| {
        format!("it is not built (cargo build --release --manifest-path benches/peers/Cargo.toml), and {VARIABLE} does not name it")
    })
}
