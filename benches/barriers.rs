//! The cost of each collector's barriers, on a heap that is never collected, beside the same loops under the reference
//! collector, which has none. Criterion's figures come first; then a table of nanoseconds and ratios, measured in turns.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput};
use heapwright::Collector;
use heapwright_benches::barriers::{CASES, module};
use heapwright_benches::{World, medians};

/// Rounds of a loop in one call: enough that the call is no part of the figure.
const ROUNDS: u32 = 20_000;
/// Turns of the table.
const TURNS: usize = 41;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let wat = module();
    let mut worlds: Vec<World> = Collector::all().map(|collector| World::new(collector, &wat)).collect();
    for case in CASES {
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Elements(u64::from(ROUNDS * case.accesses)));
        for world in &mut worlds {
            group.bench_function(world.collector.name(), |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).map(|_| world.time(case.name, ROUNDS)).sum());
            });
        }
        group.finish();
    }
    criterion.final_summary();
    // A table costs time that somebody who tests or lists does not want to spend.
    if std::env::args().any(|arg| arg == "--bench") {
        table(&mut worlds);
    }
}

fn table(worlds: &mut [World]) {
    println!("\nnanoseconds an access, and the ratio to {}", worlds[0].collector.name());
    print!("{:16}", "");
    worlds.iter().for_each(|world| print!("{:>20}", world.collector.name()));
    println!();
    for case in CASES {
        let times = medians(worlds, case.name, ROUNDS, TURNS);
        print!("{:16}", case.name);
        for time in &times {
            let each = time.as_secs_f64() * 1e9 / f64::from(ROUNDS * case.accesses);
            print!("{each:13.2} {:5.2}x", time.as_secs_f64() / times[0].as_secs_f64());
        }
        println!("   {}", case.what);
    }
}
