//! The cost of barriers, on a heap that is never collected: of every collector, and of the barriers of the literature,
//! declared without a collector behind them. Criterion's figures come first; then two tables of nanoseconds and ratios,
//! measured in turns. All of it takes about a minute.
#![allow(missing_docs, reason = "criterion's macro makes a function without")]

use criterion::{Criterion, Throughput};
use heapwright::Collector;
use heapwright_benches::barriers::{CASES, module};
use heapwright_benches::{World, medians, textbook};
use std::time::Duration;

/// Rounds of a loop in one call: enough that the call is no part of the figure.
const ROUNDS: u32 = 20_000;
/// Turns of the tables.
const TURNS: usize = 41;

fn main() {
    // Two hundred figures: a quarter of a second each.
    let short = Criterion::default()
        .warm_up_time(Duration::from_millis(40))
        .measurement_time(Duration::from_millis(120))
        .sample_size(20)
        .without_plots();
    let mut criterion = short.configure_from_args();
    let wat = module();
    let mut registered: Vec<(String, World)> =
        Collector::all().map(|c| (c.name().to_owned(), World::new(c, &wat))).collect();
    let mut declared: Vec<(String, World)> =
        textbook::all().into_iter().map(|(name, c)| (name, World::new(c, &wat))).collect();
    for (group, worlds) in [("collectors", &mut registered), ("textbook", &mut declared)] {
        for case in CASES {
            let mut group = criterion.benchmark_group(format!("{group}/{}", case.name));
            group.throughput(Throughput::Elements(u64::from(ROUNDS * case.accesses)));
            for (name, world) in worlds.iter_mut() {
                group.bench_function(name.as_str(), |bencher| {
                    bencher.iter_custom(|iterations| (0..iterations).map(|_| world.time(case.name, ROUNDS)).sum());
                });
            }
            group.finish();
        }
    }
    criterion.final_summary();
    // Tables cost time that somebody who tests or lists does not want to spend.
    if std::env::args().any(|arg| arg == "--bench") {
        for worlds in [registered, declared] {
            table(worlds);
        }
    }
}

/// Prints a table: a row a barrier, a column a loop; the first row is what the others are compared with.
fn table(worlds: Vec<(String, World)>) {
    let (names, mut worlds): (Vec<String>, Vec<World>) = worlds.into_iter().unzip();
    let mut cells = vec![String::new(); names.len()];
    for case in CASES {
        let times = medians(&mut worlds, case.name, ROUNDS, TURNS);
        for (cell, time) in cells.iter_mut().zip(&times) {
            let each = time.as_secs_f64() * 1e9 / f64::from(ROUNDS * case.accesses);
            *cell += &format!(" {each:.2} ({:.2}x) |", time.as_secs_f64() / times[0].as_secs_f64());
        }
    }
    println!("\nNanoseconds an access, and the ratio to the first row:\n");
    println!("| | {} |", CASES.map(|case| case.name.replace('_', " ")).join(" | "));
    println!("|---|{}", "---|".repeat(CASES.len()));
    names.iter().zip(cells).for_each(|(name, cells)| println!("| {name} |{cells}"));
}
