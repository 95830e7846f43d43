//! Heaps under attack: nothing but values, traps, exceptions and declared corruption comes of it.
//!
//! `HEAPWRIGHT_SEEDS=FROM..TO` runs other seeds than the few of an ordinary run, and says which is running.

use arbitrary::Unstructured;
use heapwright_smith::bytes_of;
use heapwright_smith::corruption::{Deeds, Ending, Setting, run_in};
use std::collections::BTreeMap;

mod seeds;

/// What the process has in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system says what a process needs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("there is a peak");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kibibytes");
    kibibytes << 10
}

#[test]
fn attacks_are_survived() {
    let settings = Setting::all();
    let chatty = std::env::var_os("HEAPWRIGHT_SEEDS").is_some();
    let range = seeds::range(0..400);
    let mut endings: BTreeMap<(&str, Ending), u64> = BTreeMap::new();
    let mut total = Deeds::default();
    let mut attacked = 0;
    let at_first = resident();
    for seed in range.clone() {
        // Half of the settings in an ordinary run, because each compiles its own modules: of every row of collectors
        // every second.
        let half = seed as usize * 7 % (settings.len() / 2);
        let setting = settings[if chatty { seed as usize % settings.len() } else { 2 * half + half / 3 % 2 }];
        if chatty {
            eprintln!("seed {seed}: {setting}");
        }
        let bytes = bytes_of(seed, 4000);
        let report = run_in(setting, &mut Unstructured::new(&bytes)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for ending in report.endings {
            *endings.entry((setting.collector_name(), ending)).or_default() += 1;
        }
        attacked += u64::from(report.deeds.strikes + report.deeds.lies > 0);
        total.strikes += report.deeds.strikes;
        total.lies += report.deeds.lies;
        total.reads += report.deeds.reads;
        total.longest = total.longest.max(report.deeds.longest);
    }
    for ((collector, ending), count) in &endings {
        println!("{collector:>14} {ending:?} {count}");
    }
    println!("{attacked} of {} runs attacked: {total:?}", range.end - range.start);
    assert!(attacked * 2 > range.end - range.start, "the attacks did nothing");
    for wanted in [Ending::Value, Ending::Trap, Ending::Corrupted] {
        assert!(endings.keys().any(|(_, ending)| *ending == wanted), "nothing ended with {wanted:?}");
    }
    let grown = resident() - at_first;
    assert!(grown < 1 << 30, "attacks on heaps of two mebibytes took {grown} bytes of memory");
}
