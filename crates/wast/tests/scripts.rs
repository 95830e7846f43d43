//! Our own scripts, `tests/scripts/**/*.wast`, and a few that are too long to be written down: one test for each
//! script, collector, zeal and way of trapping.
//!
//! Tests are named like `scripts/gc/array-copy-overlap.wast [drc zeal1]`, so `cargo test --test scripts gc/array`
//! selects. What the scripts expect follows from the specification alone.

use heapwright::{Collector, SizingPolicy};
use heapwright_wast::{Options, run_script};
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The heap may grow to this size. Scripts that exhaust it expect it to be no larger than that; all others need less,
/// even when nothing is freed.
const MAX_HEAP: u64 = 64 << 20;

/// How many failures of a script are shown.
const SHOWN: usize = 20;

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let mut files = Vec::new();
    find(&root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no scripts in {}", root.display());

    let mut scripts: Vec<(String, Arc<str>)> = Vec::new();
    for path in files {
        let name = path.strip_prefix(&root).expect("it was found there").display();
        let contents = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        scripts.push((format!("scripts/{name}"), contents.into()));
    }
    for count in [300, 2500] {
        scripts.push((format!("scripts/generated/{count}-live-references.wast"), many_live_references(count).into()));
    }
    let modes = modes();
    let mut trials = Vec::new();
    for (name, contents) in scripts {
        for (label, options) in &modes {
            let (name, contents, options) = (name.clone(), contents.clone(), options.clone());
            trials.push(Trial::test(format!("{name} [{label}]"), move || run(&name, &contents, &options)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// All scripts below a folder.
fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|e| e == "wast") {
            files.push(path);
        }
    }
}

/// A function in which `count` references are live at once, over as many allocations, in straight code and over a loop:
/// more than a compiler may treat each for itself at each allocation.
fn many_live_references(count: u32) -> String {
    let mut text = String::from(
        "(module (import \"wasmtime\" \"gc\" (func $gc)) (type $box (struct (field i32))) (type $refs (array (ref $box)))\n\
         (func (export \"sum\") (param $n i32) (result i32) (local $a (ref $refs)) (local $i i32) (local $sum i32)\n",
    );
    for i in 0..count {
        text.push_str(&format!("(struct.new $box (i32.add (i32.const {i}) (local.get $n)))\n"));
    }
    text.push_str(&format!(
        "(block (br_if 0 (i32.eqz (local.get $n))) (loop $l (drop (struct.new $box (i32.const -1)))\n\
         (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))\n\
         (call $gc) (local.set $a (array.new_fixed $refs {count}))\n\
         (loop $l (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 3)) (struct.get $box 0 (array.get $refs \
         (local.get $a) (local.get $i)))))\n\
         (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {count}))))\n\
         (local.get $sum)))\n"
    ));
    for n in [0, 3] {
        let sum = (0..count).fold(0u32, |sum, i| sum.wrapping_mul(3).wrapping_add(i + n));
        text.push_str(&format!("(assert_return (invoke \"sum\" (i32.const {n})) (i32.const {sum}))\n"));
    }
    text
}

fn modes() -> Vec<(String, Options)> {
    let mut modes = Vec::new();
    for collector in Collector::all() {
        for zeal in [0, 1] {
            for signals in [true, false] {
                let mut label = collector.name().to_owned();
                if zeal > 0 {
                    label.push_str(&format!(" zeal{zeal}"));
                }
                if !signals {
                    label.push_str(" explicit");
                }
                // Less than any collector needs: it gets that, and grows from there.
                let initial_heap = Some(1);
                let heap_policy = Some(SizingPolicy::Growing);
                let max_heap = Some(MAX_HEAP);
                let base = Options::default();
                let options = Options { collector, zeal, signals, initial_heap, max_heap, heap_policy, ..base };
                modes.push((label, options));
            }
        }
    }
    modes
}

fn run(name: &str, contents: &str, options: &Options) -> Result<(), Failed> {
    let summary = run_script(options, name, contents).map_err(|e| format!("{e:#}"))?;
    let mut report = String::new();
    for failure in summary.failures.iter().take(SHOWN) {
        report.push_str(&format!("{failure}\n"));
    }
    if summary.failures.len() > SHOWN {
        report.push_str(&format!("… and {} more\n", summary.failures.len() - SHOWN));
    }
    for skip in &summary.skips {
        report.push_str(&format!("{skip}: none of these scripts may be skipped\n"));
    }
    if report.is_empty() && summary.passed + summary.validator_only == 0 {
        report.push_str("the script has no directives\n");
    }
    if report.is_empty() { Ok(()) } else { Err(report.into()) }
}
