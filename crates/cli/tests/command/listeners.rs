//! What the command says of collections: `--gc-log`, `--stats`, `--trace`.

use crate::support::Here;
use serde_json::Value;

/// Allocates 200,000 objects, none of which lives, and has a start function.
const GARBAGE: &str = r#"(module
  (type $node (struct (field i32) (field i32)))
  (func $run (local $n i32)
    (local.set $n (i32.const 200000))
    (loop $more
      (drop (struct.new $node (local.get $n) (local.get $n)))
      (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (start $run))"#;

const SMALL: [&str; 6] = ["--collector", "copying", "--max-heap", "256k", "--heap-policy", "fixed"];
/// All code is made anew and at once, and objects that nobody looks at are made nevertheless.
const PLAIN: [&str; 5] = ["--no-cache", "--compile", "eager", "--without", "scalar-replacement"];

fn run(here: &Here, flags: &[&str]) -> String {
    let ended = here.heapwright(["run"].iter().chain(&SMALL).chain(&PLAIN).chain(flags).chain(&["g.wat"]));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    ended.err
}

#[test]
fn statistics_add_up() {
    let here = Here::with("g.wat", GARBAGE);
    let json: Value = serde_json::from_str(&run(&here, &["--stats=json"])).unwrap();
    let number = |name: &str| json[name].as_f64().unwrap_or_else(|| panic!("{name} in {json}"));
    // 16 bytes each, in a semi-space of 128 KiB.
    assert_eq!(number("bytes_allocated"), 16.0 * 200_000.0);
    assert_eq!(number("collections"), (16.0 * 200_000.0f64 / 131_072.0).floor());
    assert_eq!(number("bytes_copied"), 0.0);
    assert_eq!(number("heap_growths"), 0.0);
    let split = number("mutator_ms") + number("collector_ms") + number("compiler_ms");
    assert!((split / number("elapsed_ms") - 1.0).abs() < 1e-6, "{json}");
    let phases = json["phases_ms"].as_object().unwrap();
    let total: f64 = phases.values().map(|phase| phase["total"].as_f64().unwrap()).sum();
    assert!(total > 0.0 && total <= number("collector_ms"), "{json}");
    let pauses: f64 = json["pause_ms"]["histogram"].as_array().unwrap().iter().map(|c| c[1].as_f64().unwrap()).sum();
    assert_eq!(pauses, number("collections"));
    assert_eq!((number("instances"), number("functions_compiled")), (1.0, 1.0));

    let text = run(&here, &["--stats"]);
    for line in ["collections:  24", "  roots:", "  trace:", "remembered:   0 entries", "compiled:     1 functions"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn the_log_has_a_line_a_collection() {
    let here = Here::with("g.wat", GARBAGE);
    let log = run(&here, &["--gc-log"]);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 24, "{log}");
    for (number, line) in lines.iter().enumerate() {
        let pause = format!("[info][gc] GC({number}) Pause Full (Allocation Failure) 128K->0K(256K) ");
        assert!(line.contains(&pause) && line.ends_with("ms"), "{line}");
    }
    let log = run(&here, &["--gc-log=debug"]);
    assert_eq!(log.lines().filter(|line| line.contains("[debug][gc,phases]")).count(), 24);
    assert!(log.contains("[debug][compile] a module: 1 functions"), "{log}");
    assert!(log.contains("[debug][instantiate]"), "{log}");
}

#[test]
fn a_trace_is_a_file_of_events() {
    let here = Here::with("g.wat", GARBAGE);
    assert_eq!(run(&here, &["--trace", "t.json"]), "");
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(here.path("t.json")).unwrap()).unwrap();
    let named = |name: &str| events.iter().filter(|event| event["name"] == name).collect::<Vec<_>>();
    assert_eq!((named("full collection").len(), named("trace").len()), (24, 24));
    let ([compile], [instantiate]) = (&named("compile")[..], &named("instantiate")[..]) else { panic!("{events:?}") };
    // The start function's collections are on the same thread, inside the instantiation.
    let span = |event: &Value| (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
    let (start, time) = span(instantiate);
    for collection in named("full collection") {
        let (at, pause) = span(collection);
        assert!(start <= at && at + pause <= start + time + 1e-3);
        assert_eq!(collection["tid"], compile["tid"]);
    }
    let ended = here.heapwright(["run", "--trace", "no/such/folder/t.json", "g.wat"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("cannot write no/such/folder/t.json"), "{}", ended.err);
}

/// The program is not to blame: what it computed, the other reports and its exit code are there.
#[test]
fn reports_that_cannot_be_written() {
    let here = Here::with("g.wat", GARBAGE);
    here.file("trap.wat", "(module (func $f unreachable) (start $f))");
    for flag in ["--trace", "--record-calls"] {
        let ended = here.heapwright(["run", "--stats=json", flag, "/dev/full", "g.wat"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let (json, message) = ended.err.split_once('\n').unwrap();
        assert!(serde_json::from_str::<Value>(json).unwrap()["instances"] == 1, "{json}");
        assert!(message.contains("cannot write /dev/full"), "{message}");
        here.heapwright(["run", flag, "/dev/full", "trap.wat"]).fails(134, &["cannot write /dev/full", "unreachable"]);
        // What can be known before is said before.
        here.heapwright(["run", flag, "no/such/folder/x", "trap.wat"]).fails(1, &["cannot write no/such/folder/x"]);
        let before = here.heapwright(["run", flag, "no/such/folder/x", "trap.wat"]);
        assert!(!before.err.contains("unreachable"), "{before:?}");
    }
}

#[test]
fn a_trace_is_whole_after_an_interrupt() {
    let forever = r#"(module (type $node (struct (field i64)))
        (func (export "_start") (loop (drop (struct.new $node (i64.const 1))) (br 0))))"#;
    let here = Here::with("forever.wat", forever);
    let flags = ["run", "--without", "scalar-replacement", "--trace", "t.json", "--gc-log", "forever.wat"];
    let mut child = here.command(flags).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Once a collection is logged, the program is at work.
    std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut [0; 20]).unwrap();
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    // The log must not fill the pipe.
    let ended = child.wait_with_output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(2));
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(here.path("t.json")).unwrap()).unwrap();
    assert!(events.iter().any(|event| event["name"] == "instantiate"), "{events:?}");
}

#[test]
fn profilers_are_told_of_functions() {
    let here = Here::with("g.wat", GARBAGE);
    let child = here.command(["run", "--profile", "perfmap", "g.wat"]).spawn().unwrap();
    let map = std::path::PathBuf::from(format!("/tmp/perf-{}.map", child.id()));
    assert!(child.wait_with_output().unwrap().status.success());
    let lines = std::fs::read_to_string(&map).unwrap();
    std::fs::remove_file(map).unwrap();
    let [line] = &lines.lines().map(|line| line.split(' ').collect::<Vec<_>>()).collect::<Vec<_>>()[..] else {
        panic!("{lines}")
    };
    assert!(u64::from_str_radix(line[0], 16).unwrap() > 0 && u64::from_str_radix(line[1], 16).unwrap() > 0);
    assert_eq!(line[2..], ["run"]);

    let child = here.command(["run", "--profile", "jitdump", "g.wat"]).spawn().unwrap();
    let dump = here.path(&format!("jit-{}.dump", child.id()));
    assert!(child.wait_with_output().unwrap().status.success());
    let dump = std::fs::read(dump).unwrap();
    assert!(dump.starts_with(&0x4a69_5444u32.to_ne_bytes()));
    let holds = |text: &[u8]| dump.windows(text.len()).any(|bytes| bytes == text);
    assert!(holds(b"run\0") && holds(b"module.wasm\0"));
}
