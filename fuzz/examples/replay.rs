//! `cargo run --example replay -- TARGET FILE`: runs an input that fuzzing found, without libFuzzer, and if it fails
//! looks for a shorter one that fails too, which it writes to `FILE.short`. Exits with 1 when the input fails.

use anyhow::{Context, Result, bail};
use heapwright_smith::shrink::shortest;
use heapwright_smith::targets::{Target, by_name};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

/// Runs that shrinking may take.
const RUNS: usize = 1000;

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, file] = &args[..] else { bail!("usage: replay TARGET FILE") };
    let target = match name.as_str() {
        #[cfg(feature = "peers")]
        "differential" => &heapwright_fuzz::differential::TARGET,
        name => by_name(name).with_context(|| format!("there is no target {name:?}"))?,
    };
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
    let Some(failure) = failure(target, &bytes) else {
        println!("{name} finds nothing in {file}");
        return Ok(ExitCode::SUCCESS);
    };
    println!("{failure}");
    panic::set_hook(Box::new(|_| {}));
    let short = shortest(&bytes, RUNS, |bytes| self::failure(target, bytes).is_some());
    std::fs::write(format!("{file}.short"), &short)?;
    println!("\n{} of {} bytes fail too: {file}.short", short.len(), bytes.len());
    if let Some(failure) = self::failure(target, &short) {
        println!("{failure}");
    }
    Ok(ExitCode::FAILURE)
}

/// What is wrong, if anything.
fn failure(target: &Target, bytes: &[u8]) -> Option<String> {
    match panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))) {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(format!("{error:?}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Some(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
        }
    }
}
