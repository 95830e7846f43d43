//! `cargo run --release --example node -- [FROM..TO]`: the modules of these seeds (default 0..500) in ours and in Node,
//! which `HEAPWRIGHT_NODE` names (default `node`). Exits with 1 when anything differs.

use anyhow::{Context, Result};
use heapwright_fuzz::node::{Batch, batch};
use std::path::PathBuf;
use std::process::ExitCode;

/// Modules of one process of Node.
const BATCH: u64 = 100;

fn main() -> Result<ExitCode> {
    let seeds = std::env::args().nth(1).unwrap_or_else(|| "0..500".into());
    let (from, to) = seeds.split_once("..").context("seeds are FROM..TO")?;
    let (mut from, to): (u64, u64) = (from.parse()?, to.parse()?);
    let node = std::env::var_os("HEAPWRIGHT_NODE").map_or_else(|| PathBuf::from("node"), PathBuf::from);
    let mut all = Batch::default();
    while from < to {
        let end = (from + BATCH).min(to);
        let Batch { compared, discarded, findings } = batch(&node, from..end)?;
        all.compared += compared;
        all.discarded += discarded;
        for (seed, what) in &findings {
            println!("seed {seed}: {what}");
        }
        all.findings.extend(findings);
        from = end;
    }
    println!("{} modules compared, {} discarded, {} findings", all.compared, all.discarded, all.findings.len());
    Ok(if all.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
