//! Events and their listeners, checked against arithmetic: what the stream says agrees with itself, with the heap's own
//! totals, and with what the program is known to allocate.

use heapwright::listeners::{Fanout, Recorder, Timeline};
use heapwright::{Collector, Config, Engine, Event, EventSink, Instance, Module, Result, SizingPolicy, Store};
use serde_json::Value;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Allocates `n` objects of two fields; every 64th goes to the front of a list of objects that live.
const PROGRAM: &str = r#"(module $churn
  (type $node (struct (field $next (mut (ref null $node))) (field i32)))
  (global $list (mut (ref null $node)) (ref.null $node))
  (func (export "run") (param $n i32)
    (local $new (ref null $node))
    (loop $more
      (local.set $new (struct.new $node (ref.null $node) (local.get $n)))
      (if (i32.eqz (i32.and (local.get $n) (i32.const 63)))
        (then
          (struct.set $node $next (local.get $new) (global.get $list))
          (global.set $list (local.get $new))))
      (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "forget") (global.set $list (ref.null $node))))"#;

const OBJECTS: i32 = 300_000;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Event>>>);

impl EventSink for Log {
    fn event(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// Runs the program with listeners.
fn run(collector: Collector, listeners: Fanout) -> Result<Store<()>> {
    let mut config = Config::new();
    config.collector(collector).initial_heap(1 << 20).max_heap(32 << 20).heap_policy(SizingPolicy::Growing);
    let engine = Engine::new(config.event_sink(listeners))?;
    let module = Module::new(&engine, PROGRAM)?;
    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;
    instance.typed_func::<i32, ()>(&mut store, "run")?.call(&mut store, OBJECTS)?;
    store.gc(None)?;
    instance.typed_func::<(), ()>(&mut store, "forget")?.call(&mut store, ())?;
    store.gc(None)?;
    Ok(store)
}

/// A collection as the stream tells it.
struct Collection {
    capacity: u64,
    at: (Instant, Duration),
    report: heapwright::CollectionReport,
    phases: Vec<(Instant, Duration)>,
}

/// Pairs starts and ends up; nothing else but phases stands between them.
fn collections(events: &[Event]) -> Vec<Collection> {
    let mut found = Vec::new();
    let mut events = events.iter();
    while let Some(event) = events.next() {
        let &Event::CollectionStart { cause, capacity, at } = event else {
            assert!(!matches!(event, Event::Phase { .. } | Event::CollectionEnd { .. }), "{event:?} outside");
            continue;
        };
        let mut phases = Vec::new();
        found.push(loop {
            match events.next().expect("an end") {
                Event::Phase { started, time, .. } => phases.push((*started, *time)),
                Event::CollectionEnd { cause: why, report, started, pause } => {
                    assert_eq!((*why, *started), (cause, at));
                    break Collection { capacity, at: (at, *pause), report: *report, phases };
                }
                other => panic!("{other:?} inside a collection"),
            }
        });
    }
    found
}

#[test]
fn the_stream_agrees_with_itself_and_with_the_totals() -> Result<()> {
    for collector in Collector::all() {
        let (log, recorder, mut listeners) = (Log::default(), Recorder::new(), Fanout::new());
        listeners.add(log.clone()).add(recorder.clone());
        let store = run(collector, listeners)?;
        let (stats, name) = (store.gc_stats(), collector.name());
        let events = log.0.lock().unwrap().clone();
        let collections = collections(&events);

        assert_eq!(collections.len() as u64, stats.collections, "{name}");
        assert_eq!(collections.iter().map(|c| c.at.1).sum::<Duration>(), stats.pause_total, "{name}");
        let reclaims = collector.spec().needs_roots;
        assert!(!reclaims || collections.len() > 3, "{name}: {} collections", collections.len());
        let mut reclaimed = 0;
        for Collection { capacity, at: (start, pause), report, phases } in &collections {
            assert_eq!(phases.is_empty(), !reclaims, "{name} reports no phases");
            assert!(phases.iter().map(|phase| phase.1).sum::<Duration>() <= *pause, "{name}");
            let mut free_from = *start;
            for (begun, time) in phases {
                assert!(*begun >= free_from, "{name}: phases overlap");
                free_from = *begun + *time;
            }
            assert!(free_from <= *start + *pause, "{name}: a phase ends after its collection");
            assert!(report.bytes_before <= *capacity, "{name}");
            assert!(report.bytes_promoted <= report.bytes_copied, "{name}");
            reclaimed += report.bytes_before.saturating_sub(report.bytes_after);
        }
        let size = u64::from(collector.spec().header_layout().bytes() + 8).next_multiple_of(8);
        assert_eq!(stats.bytes_allocated, size * OBJECTS as u64, "{name}");
        if reclaims {
            // Of the last two, one leaves the list, and the other nothing.
            let [.., list, nothing] = &collections[..] else { unreachable!() };
            let live = size * (OBJECTS as u64 / 64);
            assert_eq!((list.report.bytes_after, list.report.full), (live, true), "{name}");
            assert_eq!((nothing.report.bytes_before, nothing.report.bytes_after), (live, 0), "{name}");
            assert!(reclaimed >= stats.bytes_allocated / 2, "{name} reclaimed {reclaimed} bytes");
        }

        let figures = recorder.figures(&stats);
        assert_eq!(figures.bytes_reclaimed, reclaimed, "{name}");
        assert_eq!(figures.pause_histogram.iter().map(|class| class.1).sum::<u64>(), stats.collections, "{name}");
        let phases: Duration = figures.phases().map(|(_, phase)| phase.total).sum();
        assert!(phases <= figures.pause_total && figures.pause_total <= figures.elapsed, "{name}");
        assert!(figures.pause_p50 <= figures.pause_p95 && figures.pause_p95 <= figures.pause_p99, "{name}");
        let count = |test: fn(&Event) -> bool| events.iter().filter(|event| test(event)).count() as u64;
        assert_eq!(figures.slow_allocations, count(|e| matches!(e, Event::SlowAllocation { .. })), "{name}");
        assert_eq!(figures.growths, count(|e| matches!(e, Event::Resize { .. })), "{name}");
        assert_eq!((figures.modules_compiled, figures.functions_compiled, figures.instances), (1, 2, 1), "{name}");
        assert!(figures.code_bytes > 0, "{name}");
    }
    Ok(())
}

/// A file in memory.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn slices_of_a_timeline_nest() -> Result<()> {
    for collector in Collector::all() {
        let (file, mut listeners) = (File::default(), Fanout::new());
        listeners.add(Timeline::new(file.clone()));
        let store = run(collector, listeners)?;
        let collections = store.gc_stats().collections;
        drop(store);
        let events: Vec<Value> = serde_json::from_slice(&file.0.lock().unwrap())?;
        let slices = |category: &str| -> Vec<(f64, f64)> {
            let found = events.iter().filter(|e| e["ph"] == "X" && e["cat"] == category);
            found.map(|e| (e["ts"].as_f64().unwrap(), e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap())).collect()
        };
        let (gc, phases) = (slices("gc"), slices("phase"));
        assert_eq!(gc.len() as u64, collections);
        // A nanosecond of rounding.
        let holds = |outer: &(f64, f64), inner: &(f64, f64)| outer.0 <= inner.0 + 1e-3 && inner.1 <= outer.1 + 1e-3;
        for phase in &phases {
            assert_eq!(gc.iter().filter(|collection| holds(collection, phase)).count(), 1, "{}", collector.name());
        }
        let (compile, instantiate) = (slices("compile"), slices("instantiate"));
        assert_eq!((compile.len(), instantiate.len()), (1, 1));
        assert!(compile[0].1 <= instantiate[0].0 + 1e-3);
        let counters: Vec<_> = events.iter().filter(|e| e["ph"] == "C" && e["name"] == "bytes in use").collect();
        assert_eq!(counters.len(), 2 * gc.len());
        if collector.spec().needs_roots {
            assert_eq!(counters.last().unwrap()["args"]["bytes"], 0);
        }
        assert!(events.iter().any(|e| e["ph"] == "M" && e["name"] == "thread_name"));
    }
    Ok(())
}

#[test]
fn a_failed_instantiation_is_told_of() -> Result<()> {
    let log = Log::default();
    let engine = Engine::new(Config::new().event_sink(log.clone()))?;
    let module = Module::new(&engine, "(module $bad (func $f unreachable) (start $f))")?;
    assert!(Instance::new(Store::new(&engine, ())?, &module, &[]).is_err());
    let events = log.0.lock().unwrap();
    let [Event::Compile { .. }, Event::Instantiate { module, succeeded, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((module.as_deref(), *succeeded), (Some("bad"), false));
    Ok(())
}

/// A store's own listener takes the place of the engine's.
#[test]
fn a_store_may_have_a_listener_of_its_own() -> Result<()> {
    let (of_engine, of_store) = (Log::default(), Log::default());
    let engine = Engine::new(Config::new().event_sink(of_engine.clone()))?;
    let module = Module::new(&engine, "(module (type $t (struct)) (func $f (drop (struct.new $t))) (start $f))")?;
    let mut store = Store::new(&engine, ())?;
    store.set_event_sink(Some(Box::new(of_store.clone())));
    Instance::new(&mut store, &module, &[])?;
    store.gc(None)?;
    assert_eq!(of_engine.0.lock().unwrap().len(), 1);
    assert_eq!(collections(&of_store.0.lock().unwrap()).len(), 1);
    Ok(())
}
