//! Inlining shows in nothing but time: results, traps, backtraces, exceptions and fuel are those of calls.

mod guarded;

use heapwright::{
    Collector, Compilation, Config, Engine, Instance, Linker, Module, Result, Store, ThrownException, Trap, TrapCode,
    WasmBacktrace,
};
use std::ops::Range;

/// Each export takes a number, which chooses the way through it.
const PROGRAM: &str = r#"(module
  (import "" "refuse" (func $refuse (param i32)))
  (type $pair (struct (field (mut i32)) (field (mut (ref null $pair)))))
  (type $bytes (array (mut i8)))
  (type $numbers (array (mut i32)))
  (tag $t (param i32))
  (tag $u (param i32 (ref null $pair)))
  (global $count (mut i32) (i32.const 0))
  (memory 1)

  (func $quotient (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func $load (param i32) (result i32) (i32.load (local.get 0)))
  (func $first (param (ref null $pair)) (result i32) (struct.get $pair 0 (local.get 0)))
  (func $element (param (ref null $bytes) i32) (result i32) (array.get_u $bytes (local.get 0) (local.get 1)))
  (func $as_pair (param anyref) (result (ref $pair)) (ref.cast (ref $pair) (local.get 0)))
  (func $unless (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func $numbers (param i32) (result (ref $numbers)) (array.new_default $numbers (local.get 0)))
  (func $host (param i32) (call $refuse (local.get 0)))
  ;; Two bodies deep, and twice in one line.
  (func $two (param i32 i32) (result i32)
    (i32.add (call $quotient (i32.const 100) (local.get 0)) (call $quotient (i32.const 7) (local.get 1))))
  (func $trap (export "trap") (param $way i32) (result i32)
    (block $host (block $numbers (block $unless (block $as_pair (block $element (block $first (block $load (block $two2 (block $two1 (block $none
      (br_table $none $two1 $two2 $load $first $element $as_pair $unless $numbers $host (local.get $way)))
      (return (call $two (i32.const 5) (i32.const 7))))
      (return (call $two (i32.const 0) (i32.const 1))))
      (return (call $two (i32.const 1) (i32.const 0))))
      (return (call $load (i32.const 65533))))
      (return (call $first (ref.null $pair))))
      (return (call $element (array.new_default $bytes (i32.const 3)) (i32.const 3))))
      (return (call $first (call $as_pair (ref.i31 (i32.const 1))))))
      (call $unless (i32.const 1)) (call $unless (i32.const 0)) (return (i32.const 3)))
      (return (array.len (call $numbers (i32.const -1)))))
    (call $host (i32.const 6))
    (i32.const 9))

  ;; Ways out of a body: at its end, early, from a loop, by a table, with several results, not at all.
  (func $early (param i32) (result i32)
    (if (i32.gt_s (local.get 0) (i32.const 10)) (then (return (i32.const 1000))))
    (i32.mul (local.get 0) (i32.const 2)))
  (func $by_label (param i32) (result i32)
    (br_if 0 (i32.const 77) (i32.eq (local.get 0) (i32.const 3)))
    (drop)
    (return (i32.const 5)))
  (func $by_table (param i32) (result i32)
    (i32.const 40)
    (block (param i32) (result i32)
      (br_table 0 1 0 (local.get 0)))
    (i32.add (i32.const 1)))
  (func $pair (param i32) (result i32 i32)
    (if (i32.and (local.get 0) (i32.const 1)) (then (return (local.get 0) (i32.const 1))))
    (i32.const 2) (local.get 0))
  (func $sum (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (local.get 1) (local.get 0)))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func $never (param i32) (result i32)
    (if (result i32) (local.get 0) (then (throw $t (local.get 0))) (else (unreachable))))
  (func (export "ways") (param $i i32) (result i32) (local $n i32) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 3)) (call $early (local.get $n))))
      (local.set $sum (i32.add (local.get $sum) (call $by_label (local.get $n))))
      (local.set $sum (i32.add (local.get $sum) (call $by_table (local.get $n))))
      (local.set $sum (i32.add (local.get $sum) (i32.sub (call $pair (local.get $n)))))
      (local.set $sum (i32.add (local.get $sum) (call $sum (i32.add (i32.const 1) (local.get $n)))))
      (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (local.get $i))))
    (local.get $sum))

  ;; Declared locals begin at zero, also the second time.
  (func $fresh (param i32) (result i32) (local i32)
    (if (local.get 0) (then (local.set 1 (i32.const 99)) (global.set $count (i32.add (global.get $count) (local.get 1)))))
    (local.get 1))
  (func (export "locals") (param i32) (result i32) (local i32)
    (loop $again
      (drop (call $fresh (i32.const 1)))
      (local.set 1 (i32.add (local.get 1) (call $fresh (i32.const 0))))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (i32.add (i32.mul (local.get 1) (i32.const 1000000)) (global.get $count)))

  ;; Exceptions cross the border of an inlined body in both directions.
  (func $throws (param i32)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $t (i32.const 11))))
    (if (i32.eq (local.get 0) (i32.const 2))
      (then (throw $u (i32.const 22) (struct.new $pair (i32.const 23) (ref.null $pair)))))
    (global.set $count (i32.const 1)))
  (func $catches (param i32) (result i32)
    (block $t (result i32)
      (try_table (catch $t $t) (call $throws (local.get 0)))
      (i32.const 5)))
  (func (export "catch") (param i32) (result i32) (local $p (ref null $pair))
    (block $u (result i32 (ref null $pair))
      (try_table (catch $u $u)
        (return (call $catches (local.get 0))))
      (unreachable))
    (local.set $p)
    (i32.add (i32.mul (i32.const 100)) (struct.get $pair 0 (local.get $p))))
  (func (export "uncaught") (param i32) (result i32) (call $never (local.get 0)))

  ;; Recursion with a body in between: it is not inlined into itself.
  (func $even (param i32) (result i32)
    (if (result i32) (local.get 0) (then (call $odd (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 1))))
  (func $odd (param i32) (result i32)
    (if (result i32) (local.get 0) (then (call $even (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 0))))
  (func (export "even") (param i32) (result i32) (call $even (local.get 0)))

  ;; Objects live through what is inlined.
  (func $cons (param i32 (ref null $pair)) (result (ref $pair)) (struct.new $pair (local.get 0) (local.get 1)))
  (func (export "list") (param $n i32) (result i32) (local $list (ref null $pair)) (local $sum i32)
    (loop $grow
      (local.set $list (call $cons (local.get $n) (call $cons (i32.const 1) (local.get $list))))
      (br_if $grow (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (loop $walk
      (local.set $sum (i32.add (local.get $sum) (call $first (local.get $list))))
      (br_if $walk (i32.eqz (ref.is_null (local.tee $list (struct.get $pair 1 (local.get $list)))))))
    (local.get $sum)))"#;

/// What a call shows: its result or why there is none, where that was, and the fuel that is left.
#[derive(Clone, PartialEq, Debug)]
struct Seen {
    outcome: String,
    frames: Vec<(String, u32, Option<usize>)>,
    fuel: Option<u64>,
}

impl Seen {
    fn names(&self) -> Vec<&str> {
        self.frames.iter().map(|(name, ..)| name.as_str()).collect()
    }
}

fn frames(trace: &WasmBacktrace) -> Vec<(String, u32, Option<usize>)> {
    let frames = trace.frames().iter();
    frames.map(|f| (f.func_name().unwrap_or("?").to_owned(), f.func_index(), f.module_offset())).collect()
}

const FUEL: u64 = 1 << 40;

/// A program ready for calls.
struct World {
    store: Store<()>,
    instance: Instance,
    fuel: bool,
}

impl World {
    fn new(text: &str, change: impl FnOnce(&mut Config)) -> Result<World> {
        let mut config = Config::new();
        change(&mut config);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("", "refuse", |n: i32| -> Result<()> {
            Err(heapwright::Error::msg(format!("the host refuses {n}")))
        })?;
        let mut store = Store::new(&engine, ())?;
        // Without fuel in the engine this is an error, and says which of the two it is.
        let fuel = store.set_fuel(FUEL).is_ok();
        let instance = linker.instantiate(&mut store, &Module::new(&engine, text)?)?;
        Ok(World { store, instance, fuel })
    }

    fn call(&mut self, name: &str, n: i32) -> Result<Seen> {
        if self.fuel {
            self.store.set_fuel(FUEL)?;
        }
        let result = self.instance.typed_func::<i32, i32>(&mut self.store, name)?.call(&mut self.store, n);
        let (outcome, frames) = match &result {
            Ok(value) => (value.to_string(), Vec::new()),
            Err(error) => {
                if let Some(trap) = error.downcast_ref::<Trap>() {
                    (format!("{:?}", trap.code()), frames(trap.backtrace()))
                } else if let Some(thrown) = error.downcast_ref::<ThrownException>() {
                    ("exception".to_owned(), frames(thrown.backtrace()))
                } else {
                    let trace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
                    (format!("host: {}", error.root_cause()), trace)
                }
            }
        };
        let fuel = if self.fuel { Some(self.store.get_fuel()?) } else { None };
        Ok(Seen { outcome, frames, fuel })
    }
}

/// Calls through references whose function the code tells.
const KNOWN: &str = r#"(module
  (import "" "refuse" (func $refuse (param i32)))
  (rec
    (type $method (func (param (ref null $object) i32) (result i32)))
    (type $vtable (sub (struct (field (ref $method)))))
    (type $object (sub (struct (field (ref $vtable)) (field (mut i32))))))
  (type $wide (sub $vtable (struct (field (ref $method)) (field (ref $method)))))
  (type $derived (sub $object (struct (field (ref $wide)) (field (mut i32)))))
  (type $unary (func (param i32) (result i32)))
  (type $other (func (param i64) (result i64)))
  (rec
    (type $closure (struct (field (ref $code)) (field i32)))
    (type $code (func (param (ref $closure) i32) (result i32))))
  (type $cell (struct (field (mut (ref $unary)))))
  (type $pair (struct (field i32) (field i32) (field i32)))
  (type $holder (struct (field i32) (field (ref $wide))))

  (func $double (type $unary) (i32.mul (local.get 0) (i32.const 2)))
  (func $square (type $unary) (i32.mul (local.get 0) (local.get 0)))
  (func $divide (type $unary) (i32.div_s (i32.const 100) (local.get 0)))
  (func $long (type $other) (local.get 0))
  (func $get (type $method) (i32.add (struct.get $object 1 (local.get 0)) (local.get 1)))
  (func $put (type $method)
    (struct.set $object 1 (local.get 0) (local.get 1))
    (i32.const 1))
  (func $add (type $code) (i32.add (struct.get $closure 1 (local.get 0)) (local.get 1)))

  (global $f (ref $unary) (ref.func $square))
  (global $mutable (mut (ref $unary)) (ref.func $square))
  (global $table (ref $wide) (struct.new $wide (ref.func $get) (ref.func $put)))
  (global $same (ref $wide) (global.get $table))
  (global $holder (ref $holder)
    (struct.new $holder (i32.add (i32.const 1) (i32.const 2)) (struct.new $wide (ref.func $put) (ref.func $get))))
  (global $plain (ref $vtable) (struct.new $vtable (ref.func $get)))
  (elem declare func $double $divide $long $add)

  (func $apply (param (ref $closure) i32) (result i32)
    (call_ref $code (local.get 0) (local.get 1) (struct.get $closure 0 (local.get 0))))
  (func $call (param (ref $unary) i32) (result i32) (call_ref $unary (local.get 1) (local.get 0)))
  (func $new (param i32) (result (ref $derived)) (struct.new $derived (global.get $same) (local.get 0)))
  (func $virtual (param (ref $object) i32) (result i32)
    (call_ref $method (local.get 0) (local.get 1) (struct.get $vtable 0 (struct.get $object 0 (local.get 0)))))

  (func (export "direct") (param i32) (result i32) (loop (result i32) (call_ref $unary (local.get 0) (ref.func $double))))
  (func (export "passed") (param i32) (result i32) (loop (result i32) (call $call (ref.func $divide) (local.get 0))))
  (func (export "tail") (param i32) (result i32) (return_call_ref $unary (local.get 0) (ref.func $divide)))
  (func (export "closure") (param i32) (result i32)
    (loop (result i32) (call $apply (struct.new $closure (ref.func $add) (i32.const 40)) (local.get 0))))
  (func (export "global") (param i32) (result i32)
    (global.set $mutable (ref.func $double))
    (i32.add (call_ref $unary (local.get 0) (global.get $f)) (call_ref $unary (local.get 0) (global.get $mutable))))
  (func (export "method") (param i32) (result i32) (local $o (ref $derived))
    (local.set $o (call $new (i32.const 5)))
    (loop (result i32)
      (drop (call_ref $method (local.get $o) (local.get 0)
        (struct.get $wide 1 (struct.get $derived 0 (local.get $o)))))
      (call $virtual (local.get $o) (i32.const 100))))
  (func (export "cast") (param i32) (result i32)
    (loop (result i32) (call $virtual (ref.cast (ref $object) (call $new (local.get 0))) (i32.const 100))))
  (func (export "nested") (param i32) (result i32) (local $o (ref $object))
    (local.set $o (struct.new $object (global.get $plain) (i32.const 3)))
    (drop (call_ref $method (local.get $o) (local.get 0) (struct.get $wide 0 (struct.get $holder 1 (global.get $holder)))))
    (call $virtual (local.get $o) (struct.get $holder 0 (global.get $holder))))
  ;; A mutable field is what it is now.
  (func (export "cell") (param i32) (result i32) (local $c (ref $cell))
    (local.set $c (struct.new $cell (ref.func $square)))
    (struct.set $cell 0 (local.get $c) (ref.func $double))
    (call_ref $unary (local.get 0) (struct.get $cell 0 (local.get $c))))
  ;; One of two.
  (func (export "either") (param i32) (result i32)
    (call_ref $unary (local.get 0)
      (select (result (ref $unary)) (ref.func $double) (ref.func $divide) (local.get 0))))
  ;; Code behind a cast that fails is never run, whatever it would mean.
  (func (export "wrong object") (param i32) (result i32)
    (struct.get $pair 2 (ref.cast (ref $pair) (struct.new $closure (ref.func $add) (i32.const 1)))))
  (func (export "wrong constant") (param i32) (result i32)
    (call_ref $code (struct.new $closure (ref.func $add) (i32.const 1)) (i32.const 1)
      (struct.get $closure 0 (ref.cast (ref $closure) (global.get $table)))))
  (func (export "wrong function") (param i32) (result i32)
    (i32.wrap_i64 (call_ref $other (i64.const 1) (ref.cast (ref $other) (ref.func $double))))))"#;

const CALLS: [(&str, Range<i32>); 7] = [
    ("trap", 0..10),
    ("ways", 1..20),
    ("locals", 1..4),
    ("catch", 0..4),
    ("uncaught", 0..2),
    ("even", 0..9),
    ("list", 1..9),
];

fn all(text: &str, calls: &[(&str, Range<i32>)], change: impl FnOnce(&mut Config)) -> Result<Vec<(String, Seen)>> {
    let mut world = World::new(text, change)?;
    let mut seen = Vec::new();
    for (name, range) in calls {
        for n in range.clone() {
            seen.push((format!("{name} {n}"), world.call(name, n)?));
        }
    }
    Ok(seen)
}

/// Number of inlined calls in the code of a program.
fn inlined(text: &str, change: impl FnOnce(&mut Config)) -> Result<usize> {
    let mut config = Config::new();
    config.compilation(Compilation::Eager);
    change(&mut config);
    Ok(Module::new(&Engine::new(&config)?, text)?.inlined_calls())
}

#[test]
fn nothing_but_time_tells() -> Result<()> {
    assert!(inlined(PROGRAM, |_| ())? > 20, "the test is about inlined calls");
    assert_eq!(inlined(PROGRAM, |c| _ = c.inlining(false))?, 0);
    assert_eq!(inlined(PROGRAM, |c| _ = c.optimize(false))?, 0);
    for fuel in [false, true] {
        for signals in [true, false] {
            for (when, zeal) in [(Compilation::Eager, 0), (Compilation::Lazy, 0), (Compilation::Eager, 1)] {
                let run = |inlining| {
                    all(PROGRAM, &CALLS, |config| {
                        config.consume_fuel(fuel).signals_based_traps(signals).compilation(when).inlining(inlining);
                        config.zeal(zeal);
                    })
                };
                let (with, without) = (run(true)?, run(false)?);
                assert_eq!(with.len(), without.len());
                for (with, without) in with.iter().zip(&without) {
                    assert_eq!(with, without, "fuel {fuel}, signals {signals}, {when:?}, zeal {zeal}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn backtraces_have_the_frames_of_calls() -> Result<()> {
    let mut world = World::new(PROGRAM, |_| ())?;
    let mut at = |name, n| world.call(name, n);
    assert_eq!(at("trap", 0)?.outcome, "21");
    let cases: [(i32, &str, &[&str]); 9] = [
        (1, "IntegerDivideByZero", &["quotient", "two", "trap"]),
        (2, "IntegerDivideByZero", &["quotient", "two", "trap"]),
        (3, "MemoryOutOfBounds", &["load", "trap"]),
        (4, "NullStructReference", &["first", "trap"]),
        (5, "ArrayOutOfBounds", &["element", "trap"]),
        (6, "CastFailure", &["as_pair", "trap"]),
        (7, "Unreachable", &["unless", "trap"]),
        (8, "AllocationTooLarge", &["numbers", "trap"]),
        (9, "host: the host refuses 6", &["host", "trap"]),
    ];
    for (way, outcome, names) in cases {
        let seen = at("trap", way)?;
        assert_eq!((seen.outcome.as_str(), seen.names()), (outcome, names.to_vec()), "way {way}");
    }
    // The same function, inlined twice: the calls stand in different places.
    let (first, second) = (at("trap", 1)?, at("trap", 2)?);
    assert_eq!(first.frames[0], second.frames[0]);
    assert!(first.frames[1].2 < second.frames[1].2 && first.frames[2].2 < second.frames[2].2);

    assert_eq!(at("uncaught", 0)?.names(), ["never", "?"]);
    let thrown = at("uncaught", 3)?;
    assert_eq!((thrown.outcome.as_str(), thrown.names()), ("exception", vec!["never", "?"]));
    assert_eq!(["5", "11", "2223"], [0, 1, 2].map(|n| at("catch", n).expect("it returns").outcome));
    Ok(())
}

/// Each function calls the next and itself: what is inlined changes how far the stack reaches, not what happens at its
/// end.
#[test]
fn the_stack_ends_as_it_does() -> Result<()> {
    let text = r#"(module
      (func $more (param i32) (result i32) (i32.add (call $down (local.get 0)) (i32.const 1)))
      (func $down (param i32) (result i32) (i32.mul (call $more (i32.add (local.get 0) (i32.const 1))) (i32.const 3)))
      (func (export "down") (param i32) (result i32) (call $down (local.get 0))))"#;
    assert!(inlined(text, |_| ())? > 0);
    for inlining in [true, false] {
        let mut config = Config::new();
        config.max_wasm_stack(64 << 10).inlining(inlining);
        let engine = Engine::new(&config)?;
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &Module::new(&engine, text)?, &[])?;
        let error = instance.typed_func::<i32, i32>(&mut store, "down")?.call(&mut store, 0).unwrap_err();
        let trap = error.downcast_ref::<Trap>().expect("a trap");
        assert_eq!(trap.code(), TrapCode::StackOverflow);
        let names: Vec<_> = trap.backtrace().frames().iter().filter_map(|f| f.func_name()).collect();
        assert_eq!(names.len(), 64);
        assert!(names.windows(2).all(|pair| pair == ["down", "more"] || pair == ["more", "down"]), "{names:?}");
    }
    Ok(())
}

/// What is invalid is reported where it stands, also when someone wanted to inline it.
#[test]
fn invalid_functions_are_reported_in_order() {
    let text = r#"(module
      (func (export "a") (result i32) (call $c))
      (func $b (result i32) (i64.const 1))
      (func $c (result i32) (f32.const 1)))"#;
    let wasm = wat::parse_str(text).expect("it assembles");
    let mut messages = Vec::new();
    for when in [Compilation::Eager, Compilation::Lazy] {
        for inlining in [true, false] {
            let mut config = Config::new();
            config.compilation(when).inlining(inlining);
            let error = Module::new(&Engine::new(&config).expect("an engine"), &wasm).unwrap_err();
            messages.push(format!("{error:#}"));
        }
    }
    assert!(messages[0].contains("i64"), "{messages:?}");
    assert!(messages.iter().all(|m| *m == messages[0]), "{messages:#?}");
}

/// Each calls the next ten times: without bounds, a billion bodies.
#[test]
fn what_is_inlined_is_bounded() -> Result<()> {
    let mut text = String::from("(module (global $n (mut i32) (i32.const 0))");
    for i in 0..9 {
        text += &format!("(func $f{i} {})", format!("(call $f{})", i + 1).repeat(10));
    }
    text += r#"(func $f9 (global.set $n (i32.add (global.get $n) (i32.const 1))))
      (func (export "run") (param i32) (result i32) (call $f6) (global.get $n)))"#;
    let count = inlined(&text, |_| ())?;
    assert!((10..2000).contains(&count), "{count} bodies");
    let mut world = World::new(&text, |_| ())?;
    assert_eq!(world.call("run", 0)?.outcome, "1000");
    Ok(())
}

/// A function that is passed to itself, and two that pass each other on, would be inlined into each other for ever.
#[test]
fn functions_that_are_passed_to_themselves_are_inlined_once() -> Result<()> {
    let text = r#"(module
      (rec
        (type $closure (struct (field (ref $code)) (field (ref null $closure))))
        (type $code (func (param (ref $closure) i32) (result i32))))
      (elem declare func $self $ping $pong)
      (func $apply (param (ref $closure) i32) (result i32)
        (loop (result i32) (call_ref $code (local.get 0) (local.get 1) (struct.get $closure 0 (local.get 0)))))
      (func $self (type $code)
        (if (result i32) (local.get 1)
          (then (i32.add (i32.const 1) (call $apply (local.get 0) (i32.sub (local.get 1) (i32.const 1)))))
          (else (i32.const 0))))
      (func $ping (type $code)
        (if (result i32) (local.get 1)
          (then (call $apply (struct.new $closure (ref.func $pong) (local.get 0)) (i32.sub (local.get 1) (i32.const 1))))
          (else (i32.const 100))))
      (func $pong (type $code)
        (if (result i32) (local.get 1)
          (then (call $apply (struct.new $closure (ref.func $ping) (local.get 0)) (i32.sub (local.get 1) (i32.const 1))))
          (else (i32.const 200))))
      (func (export "self") (param i32) (result i32)
        (loop (result i32) (call $apply (struct.new $closure (ref.func $self) (ref.null $closure)) (local.get 0))))
      (func (export "ping") (param i32) (result i32)
        (loop (result i32) (call $apply (struct.new $closure (ref.func $ping) (ref.null $closure)) (local.get 0)))))"#;
    let count = inlined(text, |_| ())?;
    assert!((5..200).contains(&count), "{count} bodies");
    let mut world = World::new(text, |_| ())?;
    for n in [0, 1, 2, 7, 1000] {
        assert_eq!(world.call("self", n)?.outcome, n.to_string());
        assert_eq!(world.call("ping", n)?.outcome, (100 + n % 2 * 100).to_string());
    }
    Ok(())
}

/// Profiles and listeners see the same functions; a collector sees the same objects.
#[test]
fn every_collector_sees_what_is_inlined() -> Result<()> {
    let mut outcomes = Vec::new();
    for collector in Collector::all() {
        let mut world = World::new(PROGRAM, |config| {
            config.collector(collector).initial_heap(1 << 16).max_heap(32 << 20);
        })?;
        outcomes.push(world.call("list", 20_000)?.outcome);
    }
    assert!(outcomes.iter().all(|o| *o == (20_000 * 20_001 / 2 + 20_000).to_string()), "{outcomes:?}");
    Ok(())
}

#[test]
fn known_functions_are_called_as_if_they_were_not() -> Result<()> {
    let count = |known| inlined(KNOWN, |config| _ = config.guarded_calls(false).known_targets(known));
    let (with, without) = (count(true)?, count(false)?);
    assert!(with > without, "the test is about what is inlined: {with} calls, {without} without what is known");
    let expected: [(&str, [&str; 3]); 13] = [
        ("direct", ["0", "6", "14"]),
        ("passed", ["IntegerDivideByZero", "33", "14"]),
        ("tail", ["IntegerDivideByZero", "33", "14"]),
        ("closure", ["40", "43", "47"]),
        ("global", ["0", "15", "63"]),
        ("method", ["100", "103", "107"]),
        ("cast", ["100", "103", "107"]),
        ("nested", ["3", "6", "10"]),
        ("cell", ["0", "6", "14"]),
        ("either", ["IntegerDivideByZero", "6", "14"]),
        ("wrong object", ["CastFailure"; 3]),
        ("wrong constant", ["CastFailure"; 3]),
        ("wrong function", ["CastFailure"; 3]),
    ];
    let calls = expected.map(|(name, _)| (name, 0..8));
    let mut runs = Vec::new();
    for (inlining, known) in [(true, true), (true, false), (false, true), (false, false)] {
        runs.push(all(KNOWN, &calls, |config| {
            config.inlining(inlining).known_targets(known).consume_fuel(true);
        })?);
        assert_eq!(runs[0], *runs.last().expect("just pushed"), "inlining {inlining}, known targets {known}");
    }
    let outcome = |call: String| runs[0].iter().find(|(name, _)| *name == call).map(|(_, seen)| seen.outcome.as_str());
    for (name, outcomes) in expected {
        assert_eq!([0, 3, 7].map(|n| outcome(format!("{name} {n}"))), outcomes.map(Some), "{name}");
    }
    Ok(())
}

/// Globals that are what the one before is: compiling looks through few of them, on any stack and in linear time.
#[test]
fn chains_of_globals_are_not_followed_far() -> Result<()> {
    const COUNT: usize = 200_000;
    let mut text = String::from(
        "(module (type $f (func (result i32))) (func $seven (type $f) (i32.const 7)) (elem declare func $seven)
           (global $g0 (ref $f) (ref.func $seven))",
    );
    for i in 1..COUNT {
        text.push_str(&format!("(global $g{i} (ref $f) (global.get $g{}))", i - 1));
    }
    let last = format!("(i32.add (call_ref $f (global.get $g{})))", COUNT - 1);
    text.push_str(&format!(
        "(func (export \"near\") (result i32) (call_ref $f (global.get $g3)))
         (func (export \"far\") (result i32) (i32.const 0) {}))",
        last.repeat(1000)
    ));
    let wasm = wat::parse_str(text)?;
    let run = move || -> Result<(i32, i32)> {
        let mut config = Config::new();
        // Without guesses, so that a call is inlined if and only if its target was found by way of the globals.
        config.parallel_compilation(false).guarded_calls(false);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, &wasm)?;
        assert_eq!(module.inlined_calls(), 1, "the near one");
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        let mut call = |name| instance.typed_func::<(), i32>(&mut store, name)?.call(&mut store, ());
        Ok((call("near")?, call("far")?))
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run)?;
    assert_eq!(thread.join().expect("no panic")?, (7, 7000));
    Ok(())
}
