//! Functions compiled at their first call: whoever calls, however, and with whatever arguments; by several threads;
//! kept in the cache.

use heapwright::{
    Cache, Collector, Compilation, Config, DEFAULT_CACHE_LIMIT, Engine, Instance, Module, Result, Store,
    ThrownException, Trap,
};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn engine(change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config::new();
    // The functions here are small, and are to be called; what is compiled is to be what was called.
    config.compilation(Compilation::Lazy).inlining(false).compile_ahead(false);
    change(&mut config);
    Engine::new(&config).unwrap()
}

/// The names of the functions that are compiled.
fn compiled(module: &Module) -> Vec<String> {
    let compiled = module.functions().filter(|f| f.code.is_some());
    compiled.map(|f| f.name.unwrap_or("?").to_owned()).collect()
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, n: i32) -> Result<i32> {
    instance.typed_func::<i32, i32>(&mut *store, name)?.call(store, n)
}

#[test]
fn only_what_is_called_is_compiled() -> Result<()> {
    let text = r#"(module
      (func $even (export "even") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
          (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
      (func $odd (export "odd") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
          (else (return_call $even (i32.sub (local.get 0) (i32.const 1))))))
      (func $unused (export "unused") (param i32) (result i32) (call $even (local.get 0))))"#;
    let engine = engine(|_| ());
    let module = Module::new(&engine, text)?;
    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;
    assert!(compiled(&module).is_empty());
    assert_eq!(call(&mut store, instance, "even", 0)?, 1);
    assert_eq!(compiled(&module), ["even"]);
    assert_eq!(call(&mut store, instance, "even", 10)?, 1);
    assert_eq!(compiled(&module), ["even", "odd"]);
    let text = module.text().to_vec();
    // Nothing that is there changes when more is added.
    assert_eq!(call(&mut store, instance, "unused", 7)?, 0);
    assert_eq!(compiled(&module), ["even", "odd", "unused"]);
    assert_eq!(&module.text()[..text.len()], text);
    assert_eq!(call(&mut store, instance, "odd", 10_001)?, 1);
    Ok(())
}

#[test]
fn invalid_functions_are_refused_when_the_module_is_loaded() {
    let error = Module::new(&engine(|_| ()), "(module (func) (func (result i32) i64.const 1))").unwrap_err();
    assert!(format!("{error:#}").contains("type mismatch"), "{error:#}");
}

/// All registers of arguments and many words on the stack, of all kinds, references among them. Each function is
/// reached for the first time in its own way. The references are compared with what a global has kept.
const ARGUMENTS: &str = r#"(module
  (type $box (struct (field (mut i32))))
  (type $f (func (param i32 i64 f32 f64 v128 (ref $box) f64 f64 f64 f64 f64 f32 i64 i64 i32 v128 (ref $box) f64 i32 i64)
                 (result i32 f64 (ref $box) i64 v128)))
  (global $kept (mut (ref null $box)) (ref.null $box))
  (table 2 funcref)
  (elem (i32.const 0) $indirect $indirect_tail)
  (elem declare func $by_ref $by_ref_tail)
  BODIES
  (func $arguments (result i32 i64 f32 f64 v128 (ref $box) f64 f64 f64 f64 f64 f32 i64 i64 i32 v128 (ref $box) f64 i32 i64)
    (global.set $kept (struct.new $box (i32.const 77)))
    (i32.const -1) (i64.const 2) (f32.const 3) (f64.const 4) (v128.const i64x2 5 6) (ref.as_non_null (global.get $kept))
    (f64.const 7) (f64.const 8) (f64.const 9) (f64.const 10) (f64.const 11) (f32.const 12) (i64.const 13) (i64.const 14)
    (i32.const 15) (v128.const i64x2 16 17) (struct.new $box (i32.const 18)) (f64.const 19) (i32.const 20) (i64.const 21))
  (func $tail (type $f) ARGS (return_call $direct_tail))
  (func $tail_indirect (type $f) ARGS (return_call_indirect (type $f) (i32.const 1)))
  (func $tail_ref (type $f) ARGS (return_call_ref $f (ref.func $by_ref_tail)))
  (func $check (param i32 f64 (ref $box) i64 v128) (result i32)
    ;; i32: -1 + 15 + 20; f64: 3+4+7+8+9+10+11+12+19; the first box, changed; i64: 2+13+14+21; v128: 5+16, 6+17.
    (i32.and
      (i32.and (i32.eq (local.get 0) (i32.const 34)) (f64.eq (local.get 1) (f64.const 83)))
      (i32.and
        (i32.and (ref.eq (local.get 2) (global.get $kept)) (i32.eq (struct.get $box 0 (local.get 2)) (i32.const 95)))
        (i32.and (i64.eq (local.get 3) (i64.const 50))
          (i32.and (i64.eq (i64x2.extract_lane 0 (local.get 4)) (i64.const 21))
                   (i64.eq (i64x2.extract_lane 1 (local.get 4)) (i64.const 23)))))))
  (func (export "direct") (result i32) (call $arguments) (call $direct) (call $check))
  (func (export "indirect") (result i32) (call $arguments) (call_indirect (type $f) (i32.const 0)) (call $check))
  (func (export "ref") (result i32) (call $arguments) (call_ref $f (ref.func $by_ref)) (call $check))
  (func (export "tail") (result i32) (call $arguments) (call $tail) (call $check))
  (func (export "tail_indirect") (result i32) (call $arguments) (call $tail_indirect) (call $check))
  (func (export "tail_ref") (result i32) (call $arguments) (call $tail_ref) (call $check)))"#;

#[test]
fn arguments_of_every_kind_reach_a_function_that_is_being_compiled() -> Result<()> {
    let names = ["direct", "direct_tail", "indirect", "indirect_tail", "by_ref", "by_ref_tail"];
    let body = |name: &&str| {
        format!(
            "(func ${name} (type $f)
               (struct.set $box 0 (local.get 5) (i32.add (struct.get $box 0 (local.get 5)) (struct.get $box 0 (local.get 16))))
               (i32.add (local.get 0) (i32.add (local.get 14) (local.get 18)))
               (f64.add (f64.promote_f32 (local.get 2)) (f64.add (local.get 3) (f64.add (local.get 6) (f64.add (local.get 7)
                 (f64.add (local.get 8) (f64.add (local.get 9) (f64.add (local.get 10)
                 (f64.add (f64.promote_f32 (local.get 11)) (local.get 17)))))))))
               (local.get 5)
               (i64.add (local.get 1) (i64.add (local.get 12) (i64.add (local.get 13) (local.get 19))))
               (i64x2.add (local.get 4) (local.get 15)))"
        )
    };
    let args: String = (0..20).map(|i| format!("(local.get {i})")).collect();
    let bodies: String = names.iter().map(body).collect();
    let text = ARGUMENTS.replace("BODIES", &bodies).replace("ARGS", &args);
    for collector in Collector::all() {
        for zeal in [0, 1] {
            let engine = engine(|c| _ = c.collector(collector).zeal(zeal));
            let module = Module::new(&engine, &text)?;
            let mut store = Store::new(&engine, ())?;
            let instance = Instance::new(&mut store, &module, &[])?;
            for export in ["direct", "indirect", "ref", "tail", "tail_indirect", "tail_ref"] {
                let check = instance.typed_func::<(), i32>(&mut store, export)?;
                // The first call compiles; the second finds all that there is.
                for _ in 0..2 {
                    assert_eq!(check.call(&mut store, ())?, 1, "{export} under {} with zeal {zeal}", collector.name());
                }
            }
        }
    }
    Ok(())
}

/// With many results, a function's context is not its first argument.
#[test]
fn any_number_of_results() -> Result<()> {
    let engine = engine(|_| ());
    for n in 0..20 {
        for (kinds, add) in [
            (&["i32"][..], "(i32.add)"),
            (&["f64"][..], "(f64.add)"),
            (&["v128"][..], "(i32x4.add)"),
            (&["i64", "f32"][..], ""),
        ] {
            let results: String = (0..n).map(|i| format!(" {}", kinds[i % kinds.len()])).collect();
            let constant = |i: usize| match kinds[i % kinds.len()] {
                "v128" => format!("(v128.const i32x4 {i} {i} {i} {i})"),
                kind => format!("({kind}.const {i})"),
            };
            let constants: String = (0..n).map(constant).collect();
            // The sum of what comes, with the value's own addition; alternating kinds are added up in a global.
            let (sums, code) = match kinds {
                [kind] => {
                    let adds = add.repeat(n);
                    let zero = if *kind == "v128" { constant(0) } else { format!("({kind}.const 0)") };
                    let narrow = match *kind {
                        "i32" => "",
                        "f64" => "(i32.trunc_f64_s)",
                        _ => "(i32x4.extract_lane 3)",
                    };
                    (String::new(), format!("{zero} (call $many) {adds} {narrow}"))
                }
                _ => {
                    let takes: String = (0..n)
                        .rev()
                        .map(|i| match kinds[i % 2] {
                            "f32" => "(i32.trunc_f32_s) (global.set $x) (global.set $sum (i32.add (global.get $sum) (global.get $x)))",
                            _ => "(i32.wrap_i64) (global.set $x) (global.set $sum (i32.add (global.get $sum) (global.get $x)))",
                        })
                        .collect();
                    let globals = "(global $x (mut i32) (i32.const 0)) (global $sum (mut i32) (i32.const 0))";
                    (globals.to_owned(), format!("(call $many) {takes} (global.get $sum)"))
                }
            };
            let text = format!(
                r#"(module {sums} (func $many (result{results}) {constants}) (func (export "sum") (result i32) {code}))"#
            );
            let module = Module::new(&engine, &text)?;
            let mut store = Store::new(&engine, ())?;
            let instance = Instance::new(&mut store, &module, &[])?;
            let sum = instance.typed_func::<(), i32>(&mut store, "sum")?.call(&mut store, ())?;
            assert_eq!(sum, (0..n as i32).sum::<i32>(), "{n} results of {kinds:?}");
        }
    }
    Ok(())
}

/// Traps, exceptions and collections in code that was added.
const TABLES: &str = r#"(module $added
  (type $list (struct (field i32) (field (ref null $list))))
  (tag $t (param i32))
  (func $divide (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "trap") (param i32) (result i32) (call $divide (i32.const 1) (local.get 0)))
  (func $throw (param i32) (throw $t (local.get 0)))
  (func $through (param i32) (call $throw (local.get 0)))
  (func (export "catch") (param i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $t $caught) (call $through (local.get 0)))
      (i32.const -1)))
  (func (export "uncaught") (param i32) (result i32) (call $through (local.get 0)) (i32.const 0))
  (func $make (param $n i32) (result (ref null $list))
    (if (result (ref null $list)) (local.get $n)
      (then (struct.new $list (local.get $n) (call $make (i32.sub (local.get $n) (i32.const 1)))))
      (else (ref.null $list))))
  (func $sum (param $l (ref null $list)) (result i32)
    (if (result i32) (ref.is_null (local.get $l)) (then (i32.const 0))
      (else (i32.add (struct.get $list 0 (local.get $l)) (call $sum (struct.get $list 1 (local.get $l)))))))
  (func (export "list") (param $n i32) (result i32)
    (local $l (ref null $list))
    (local.set $l (call $make (local.get $n)))
    (drop (call $make (local.get $n)))
    (call $sum (local.get $l)))
  (func $deep (export "deep") (param $n i32) (result i32)
    (if (result i32) (local.get $n)
      (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)))))
      (else (call $divide (i32.const 7) (i32.const 7))))))"#;

fn check_tables(engine: &Engine, module: &Module) -> Result<()> {
    let mut store = Store::new(engine, ())?;
    let instance = Instance::new(&mut store, module, &[])?;
    assert_eq!(call(&mut store, instance, "catch", 5)?, 5);
    assert_eq!(call(&mut store, instance, "list", 100)?, 5050);
    let error = call(&mut store, instance, "trap", 0).unwrap_err();
    let trap = error.downcast_ref::<Trap>().expect("a trap");
    assert_eq!(trap.to_string(), "integer divide by zero");
    let frames: Vec<_> =
        trap.backtrace().frames().iter().map(|f| (f.func_index(), f.module_offset().is_some())).collect();
    assert_eq!(frames, [(0, true), (1, true)]);
    assert!(call(&mut store, instance, "uncaught", 3).unwrap_err().is::<ThrownException>());
    assert_eq!(call(&mut store, instance, "trap", 1)?, 1);
    Ok(())
}

#[test]
fn tables_of_added_functions_are_found() -> Result<()> {
    for collector in Collector::all() {
        for (zeal, signals) in [(0, true), (1, true), (1, false)] {
            let engine = engine(|c| _ = c.collector(collector).zeal(zeal).signals_based_traps(signals));
            check_tables(&engine, &Module::new(&engine, TABLES)?)?;
        }
    }
    Ok(())
}

#[test]
fn compilation_does_not_need_the_programs_stack() -> Result<()> {
    // So little that another thread compiles, and a call in the depth of a recursion.
    let run = || -> Result<()> {
        let engine = engine(|_| ());
        let module = Module::new(&engine, TABLES)?;
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        assert_eq!(call(&mut store, instance, "deep", 2000)?, 2001);
        check_tables(&engine, &module)
    };
    thread::Builder::new().stack_size(1 << 20).spawn(run)?.join().expect("no panic")
}

#[test]
fn threads_compile_and_call_the_same_functions() -> Result<()> {
    const FUNCTIONS: usize = 40;
    const THREADS: usize = 4;
    // f_i(x) = f_(i+1)(x) + i, in the order of the index or against it.
    let body = |i: usize| {
        let next =
            if i + 1 == FUNCTIONS { "(local.get 0)".to_owned() } else { format!("(call {} (local.get 0))", i + 1) };
        format!(r#"(func (export "f{i}") (param i32) (result i32) (i32.add (i32.const {i}) {next}))"#)
    };
    let text = format!("(module {})", (0..FUNCTIONS).map(body).collect::<String>());
    for ahead in [false, true, false, true, true] {
        let engine = engine(|c| _ = c.compile_ahead(ahead));
        let module = Module::new(&engine, &text)?;
        let together = Barrier::new(THREADS);
        let run = |thread: usize| -> Result<()> {
            let mut store = Store::new(&engine, ())?;
            let instance = Instance::new(&mut store, &module, &[])?;
            together.wait();
            for step in 0..FUNCTIONS {
                let i = if thread.is_multiple_of(2) { step } else { FUNCTIONS - 1 - step };
                let expected = (i..FUNCTIONS).sum::<usize>() as i32 + 1000;
                assert_eq!(call(&mut store, instance, &format!("f{i}"), 1000)?, expected);
            }
            Ok(())
        };
        let run = &run;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })?;
        let mut places: Vec<_> = module.functions().map(|f| f.code.expect("compiled")).collect();
        places.sort_by_key(|place| place.start);
        assert!(places.windows(2).all(|w| w[0].end <= w[1].start), "each function has one place");
    }
    Ok(())
}

/// A chain of functions, each of which calls the next if it is told to.
fn chain(length: usize) -> String {
    let body = |i: usize| {
        let next = if i + 1 < length {
            format!("(call $f{} (i32.sub (local.get 0) (i32.const 1)))", i + 1)
        } else {
            String::new()
        };
        let next = if next.is_empty() { "(i32.const 0)" } else { &next };
        format!(
            r#"(func $f{i} (export "f{i}") (param i32) (result i32)
                 (i32.add (i32.const 1) (if (result i32) (local.get 0) (then {next}) (else (i32.const 0)))))"#
        )
    };
    format!("(module {})", (0..length).map(body).collect::<String>())
}

/// Waits until a function is compiled that nobody calls.
fn await_compiled(module: &Module, name: &str) {
    let start = Instant::now();
    while !compiled(module).iter().any(|compiled| compiled == name) {
        assert!(start.elapsed() < Duration::from_secs(60), "{name} is not compiled ahead");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_a_called_function_calls_is_compiled_ahead() -> Result<()> {
    let engine = engine(|c| _ = c.compile_ahead(true));
    let module = Module::new(&engine, chain(20))?;
    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;
    assert!(compiled(&module).is_empty());
    // It calls no other: what it would call is compiled, what that would call, and so on, but not all.
    assert_eq!(call(&mut store, instance, "f0", 0)?, 1);
    await_compiled(&module, "f5");
    thread::sleep(Duration::from_millis(20));
    assert_eq!(compiled(&module), ["f0", "f1", "f2", "f3", "f4", "f5"]);
    assert_eq!(call(&mut store, instance, "f5", 0)?, 1);
    await_compiled(&module, "f6");
    assert_eq!(call(&mut store, instance, "f0", 1)?, 2);
    assert_eq!(call(&mut store, instance, "f0", 50)?, 20);
    // Another instance calls what is there.
    let instance = Instance::new(&mut store, &module, &[])?;
    assert_eq!(call(&mut store, instance, "f1", 50)?, 19);
    Ok(())
}

#[test]
fn not_much_is_compiled_for_each_call() -> Result<()> {
    // A tree: each function calls ten others. What is one call away is compiled for the first call, and of what is
    // farther a few.
    let body = |i: usize| {
        let calls: String = (10 * i + 1..=10 * i + 10).filter(|&j| j < 1111).map(|j| format!("(call $f{j})")).collect();
        format!(r#"(func $f{i} (param i32) (if (local.get 0) (then (BODY))))"#)
            .replace("(BODY)", &calls.replace(")", " (i32.const 0))"))
    };
    let bodies: String = (0..1111).map(body).collect();
    let text = format!(
        r#"(module {bodies} (func (export "f") (param i32) (result i32) (call $f0 (i32.const 0)) (local.get 0)))"#
    );
    let engine = engine(|c| _ = c.compile_ahead(true));
    let module = Module::new(&engine, &text)?;
    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;
    assert_eq!(call(&mut store, instance, "f", 3)?, 3);
    // The two that were called, the ten that the second calls, and at most four for each of the first calls.
    await_compiled(&module, "f10");
    thread::sleep(Duration::from_millis(200));
    let count = compiled(&module).len();
    assert!((12..=20).contains(&count), "{count}");
    Ok(())
}

#[test]
fn functions_called_by_tables_and_references_have_theirs_compiled_ahead() -> Result<()> {
    let text = r#"(module
      (type $f (func (param i32) (result i32)))
      (table funcref (elem $in_table))
      (elem declare func $referred)
      (func $of_table (type $f) (i32.add (local.get 0) (i32.const 1)))
      (func $of_reference (type $f) (i32.add (local.get 0) (i32.const 2)))
      (func $in_table (type $f) (if (local.get 0) (then (return (call $of_table (local.get 0))))) (i32.const 5))
      (func $referred (type $f) (if (local.get 0) (then (return (call $of_reference (local.get 0))))) (i32.const 6))
      (func (export "table") (type $f) (call_indirect (type $f) (local.get 0) (i32.const 0)))
      (func (export "reference") (type $f) (call_ref $f (local.get 0) (ref.func $referred))))"#;
    let engine = engine(|c| _ = c.compile_ahead(true).known_targets(false).guarded_calls(false));
    let module = Module::new(&engine, text)?;
    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;
    for (export, callee, without, with) in [("table", "of_table", 5, 11), ("reference", "of_reference", 6, 12)] {
        assert_eq!(call(&mut store, instance, export, 0)?, without);
        await_compiled(&module, callee);
        assert_eq!(call(&mut store, instance, export, 10)?, with);
    }
    Ok(())
}

#[test]
fn nothing_is_compiled_ahead_where_that_is_off() -> Result<()> {
    for (ahead, parallel) in [(false, true), (true, false)] {
        let engine = engine(|c| _ = c.compile_ahead(ahead).parallel_compilation(parallel));
        let module = Module::new(&engine, chain(2))?;
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        assert_eq!(call(&mut store, instance, "f0", 0)?, 1);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(compiled(&module), ["f0"]);
    }
    Ok(())
}

#[test]
fn what_was_compiled_ahead_is_kept() -> Result<()> {
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path(), DEFAULT_CACHE_LIMIT)?;
    let run = |n: i32| -> Result<(Vec<String>, Module)> {
        let engine = engine(|c| _ = c.cache(Some(cache.clone())).compile_ahead(true));
        let module = Module::new(&engine, chain(7))?;
        let before = compiled(&module);
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        assert_eq!(call(&mut store, instance, "f0", n)?, n + 1);
        Ok((before, module))
    };
    let (before, module) = run(0)?;
    assert!(before.is_empty());
    await_compiled(&module, "f5");
    assert_eq!(module.update_cache(), 6);
    let all = ["f0", "f1", "f2", "f3", "f4", "f5"];
    let (before, module) = run(5)?;
    assert_eq!(before, all);
    assert_eq!(module.update_cache(), 0);
    // What nobody has seen called is compiled when it is.
    let (before, module) = run(6)?;
    assert_eq!(before, all);
    assert_eq!(module.update_cache(), 1);
    Ok(())
}

#[test]
fn modules_and_engines_are_dropped_while_their_functions_are_compiled() -> Result<()> {
    // Much more than is compiled in the time that this takes.
    let many: String = (0..500).map(|i| format!("(func $g{i} (param i32) (result i32) (i32.const {i}))")).collect();
    let calls: String = (0..500).map(|i| format!("(drop (call $g{i} (i32.const 0)))")).collect();
    let text = format!(
        r#"(module {many} (func (export "f") (param i32) (result i32)
             (if (local.get 0) (then {calls})) (i32.const 7)))"#
    );
    for drops_engine in [false, true, false, true, false] {
        let engine = engine(|c| _ = c.compile_ahead(true));
        let module = Module::new(&engine, &text)?;
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        assert_eq!(call(&mut store, instance, "f", 0)?, 7);
        drop((store, module));
        if drops_engine {
            drop(engine);
        } else {
            // The engine, and its thread, go on.
            let module = Module::new(&engine, chain(2))?;
            let mut store = Store::new(&engine, ())?;
            let instance = Instance::new(&mut store, &module, &[])?;
            assert_eq!(call(&mut store, instance, "f0", 0)?, 1);
            await_compiled(&module, "f1");
        }
    }
    Ok(())
}

#[test]
fn what_a_run_compiled_the_next_one_finds() -> Result<()> {
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path(), DEFAULT_CACHE_LIMIT)?;
    let engine = || engine(|c| _ = c.cache(Some(cache.clone())));
    let run = |n: i32| -> Result<(Vec<String>, usize)> {
        let engine = engine();
        let module = Module::new(&engine, TABLES)?;
        let before = compiled(&module);
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        match n {
            0 => assert_eq!(call(&mut store, instance, "catch", 5)?, 5),
            1 => assert_eq!(call(&mut store, instance, "list", 100)?, 5050),
            _ => check_tables(&engine, &module)?,
        }
        Ok((before, module.update_cache()))
    };
    assert_eq!(run(0)?, (vec![], 3));
    let catch = ["throw", "through", "?"].map(str::to_owned).to_vec();
    assert_eq!(run(0)?, (catch.clone(), 0));
    assert_eq!(run(1)?.1, 3);
    let (before, added) = run(2)?;
    assert_eq!((before.len(), added), (6, 3));
    assert_eq!((run(2)?.0.len(), cache.contents()?.entries), (9, 1));

    // A damaged entry is as good as none.
    let path = std::fs::read_dir(cache.dir())?.next().expect("an entry")?.path();
    let mut bytes = std::fs::read(&path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes)?;
    assert_eq!(run(0)?, (vec![], 3));
    assert_eq!(run(0)?.0, catch);

    // A complete entry is better, and needs no addition.
    let mut eager = Config::new();
    Module::new(&Engine::new(eager.inlining(false).cache(Some(cache.clone())))?, TABLES)?;
    assert_eq!(cache.contents()?.entries, 2);
    let (before, added) = run(2)?;
    assert_eq!((before.len(), added), (10, 0));
    Ok(())
}

/// Loads the module of a text with the cache, as a run of its own.
fn run(cache: &Cache, text: &str) -> Result<(Module, Store<()>, Instance)> {
    let engine = engine(|c| _ = c.cache(Some(cache.clone())));
    let module = Module::new(&engine, text)?;
    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;
    Ok((module, store, instance))
}

#[test]
fn what_runs_at_the_same_time_compiled_adds_up() -> Result<()> {
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path(), DEFAULT_CACHE_LIMIT)?;
    let known = || -> Result<Vec<String>> { Ok(compiled(&run(&cache, TABLES)?.0)) };
    // Both begin with nothing.
    let (mut a, mut b) = (run(&cache, TABLES)?, run(&cache, TABLES)?);
    assert_eq!(call(&mut a.1, a.2, "catch", 5)?, 5);
    assert_eq!(call(&mut b.1, b.2, "list", 100)?, 5050);
    assert_eq!((a.0.update_cache(), b.0.update_cache()), (3, 3));
    assert_eq!(known()?, ["throw", "through", "?", "make", "sum", "?"]);
    // Both begin with that, and compile one function that is the same.
    let (mut a, mut b) = (run(&cache, TABLES)?, run(&cache, TABLES)?);
    assert_eq!(call(&mut a.1, a.2, "trap", 1)?, 1);
    assert_eq!(call(&mut b.1, b.2, "deep", 10)?, 11);
    assert_eq!((a.0.update_cache(), b.0.update_cache()), (2, 2));
    assert_eq!(known()?.len(), 9);
    let (module, ..) = run(&cache, TABLES)?;
    check_tables(module.engine(), &module)?;
    // One that knows less than the cache, and nothing that is new, changes nothing.
    let entry = std::fs::read_dir(cache.dir())?.next().expect("an entry")?.path();
    let before = std::fs::read(&entry)?;
    a.0.update_cache();
    assert!(std::fs::read(&entry)? == before);
    Ok(())
}

#[test]
fn many_threads_add_to_the_cache() -> Result<()> {
    const THREADS: usize = 8;
    let function = |i: usize| {
        format!(
            r#"(func $own{i} (param i32) (result i32) (i32.mul (local.get 0) (i32.const {i})))
               (func (export "f{i}") (param i32) (result i32) (call $common (call $own{i} (local.get 0))))"#
        )
    };
    let text = format!(
        "(module (func $common (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))) {})",
        (0..THREADS).map(function).collect::<String>()
    );
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path(), DEFAULT_CACHE_LIMIT)?;
    let together = Barrier::new(THREADS);
    let work = |i: usize| -> Result<usize> {
        let (module, mut store, instance) = run(&cache, &text)?;
        together.wait();
        assert_eq!(call(&mut store, instance, &format!("f{i}"), 10)?, 10 * i as i32 + 1);
        Ok(module.update_cache())
    };
    let (work, text) = (&work, &text);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic").map(|added| assert_eq!(added, 3)))
    })?;
    let (module, mut store, instance) = run(&cache, text)?;
    assert_eq!(compiled(&module).len(), 2 * THREADS + 1, "nothing is lost");
    for i in 0..THREADS {
        assert_eq!(call(&mut store, instance, &format!("f{i}"), 10)?, 10 * i as i32 + 1);
    }
    assert_eq!((module.update_cache(), cache.contents()?.entries), (0, 1));
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn what_the_cache_has_is_mapped() -> Result<()> {
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path(), DEFAULT_CACHE_LIMIT)?;
    let (module, mut store, instance) = run(&cache, TABLES)?;
    assert_eq!(call(&mut store, instance, "catch", 5)?, 5);
    assert_eq!(module.update_cache(), 3);
    let (module, mut store, instance) = run(&cache, TABLES)?;
    let entry = std::fs::read_dir(cache.dir())?.next().expect("an entry")?.path();
    let start = module.text().as_ptr() as usize;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let map = maps.lines().find(|map| map.starts_with(&format!("{start:x}-"))).expect("the text is mapped");
    assert!(map.contains(" r-xp ") && map.ends_with(entry.to_str().expect("a plain name")), "{map}");
    // What is added stands behind it, and both are kept.
    let before = module.text().to_vec();
    assert_eq!(call(&mut store, instance, "list", 100)?, 5050);
    assert_eq!(call(&mut store, instance, "catch", 6)?, 6);
    assert_eq!(module.text()[..before.len()], before);
    assert_eq!(module.update_cache(), 3);
    let (module, ..) = run(&cache, TABLES)?;
    assert_eq!(compiled(&module).len(), 6);
    check_tables(module.engine(), &module)
}

#[test]
fn a_lazy_module_is_serialized_whole() -> Result<()> {
    let lazy = engine(|_| ());
    let eager = Engine::new(Config::new().compilation(Compilation::Eager).inlining(false))?;
    let module = Module::new(&lazy, TABLES)?;
    let bytes = module.serialize()?;
    assert_eq!(bytes, Module::new(&eager, TABLES)?.serialize()?);
    // SAFETY: just made.
    let again = unsafe { Module::deserialize(&lazy, &bytes)? };
    assert_eq!(compiled(&again).len(), 10);
    check_tables(&lazy, &again)
}

#[test]
fn the_interpreter_compiles_everything_at_once() -> Result<()> {
    let mut config = Config::new();
    let engine = Engine::new(config.compilation(Compilation::Lazy).target("pulley64")?)?;
    let module = Module::new(&engine, TABLES)?;
    assert_eq!(compiled(&module).len(), 10);
    check_tables(&engine, &module)
}
