//! V8, in Node.

use super::Contender;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that knows the final GC instructions.
const OLDEST: u32 = 22;
/// The first version that has exception references without a flag.
const WITH_EXCEPTION_REFERENCES: u32 = 24;

/// The program that measures, in the language of the engine. It travels in the command so that nothing has to be found.
const CHILD: &str = include_str!("node.mjs");

/// V8 as it comes; where only compilation is measured, also with all functions optimised at once.
pub(super) fn contenders(compile: bool) -> Result<Vec<Contender>, String> {
    let program = match std::env::var_os("HEAPWRIGHT_NODE") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from("node"),
    };
    let version = version(&program)?;
    if version < OLDEST {
        return Err(format!(
            "`{}` is version {version}, and at least {OLDEST} is needed; HEAPWRIGHT_NODE can name another",
            program.display()
        ));
    }
    let mut flags = Vec::new();
    if version < WITH_EXCEPTION_REFERENCES {
        flags.push("--experimental-wasm-exnref");
    }
    let contender = |engine: &str, more: &[&str]| Contender {
        engine: engine.to_owned(),
        collector: "v8".to_owned(),
        ours: false,
        program: program.clone(),
        args: flags
            .iter()
            .chain(more)
            .chain(&["--input-type=module", "--eval", CHILD, "--"])
            .map(OsString::from)
            .collect(),
    };
    let name = format!("node {version}");
    let mut contenders = vec![contender(&name, &[])];
    if compile {
        let eager = ["--no-wasm-lazy-compilation", "--no-wasm-tier-up", "--no-liftoff"];
        contenders.push(contender(&format!("{name} optimising"), &eager));
    }
    Ok(contenders)
}

/// Its major version.
fn version(program: &Path) -> Result<u32, String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|e| format!("`{}` cannot be run: {e}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    major(&text).ok_or_else(|| format!("`{} --version` says {:?}", program.display(), text.trim()))
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions() {
        assert_eq!(major("v24.21.0\n"), Some(24));
        assert_eq!(major("v22.0.0-nightly"), Some(22));
        assert_eq!(major("24.1"), None);
        assert_eq!(major(""), None);
    }
}
