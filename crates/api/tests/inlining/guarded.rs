//! References that are compared with what they probably refer to: guesses that are right and guesses that are wrong.

use super::{World, all, inlined};
use heapwright::{CallProfile, Compilation, Config, Engine, Instance, Module, Result, Store, Val};
use std::ops::Range;

/// Shapes with virtual tables: constants name the methods, but one table is made while the program runs.
const SHAPES: &str = r#"(module
  (rec
    (type $shape (sub (struct (field (ref null $vtable)))))
    (type $area (func (param (ref $shape) i32) (result i32)))
    (type $both (func (param (ref $shape) i32) (result i32 i64)))
    (type $vtable (sub (struct (field (ref null $area)) (field (ref $both)))))
    (type $square (sub $shape (struct (field (ref null $vtable)) (field (mut i32)))))
    (type $cell (sub final $shape (struct (field (ref null $vtable)) (field (mut (ref null $cell))) (field i32)))))
  (rec
    (type $only (func (param i32) (result i32)))
    (type $box (struct (field (ref null $only)))))
  (rec
    (type $step (func (param i32) (result i32)))
    (type $steps (struct (field (ref $step)))))
  (rec (type $apart (func (param i32) (result i32))) (type (struct)))
  (tag $t (param i32))

  (func $square_area (type $area)
    (i32.div_s (i32.const 1000) (i32.add (local.get 1)
      (struct.get $square 1 (ref.cast (ref $square) (local.get 0))))))
  (func $square_both (type $both)
    (if (i32.eq (local.get 1) (i32.const 3)) (then (throw $t (i32.const 33))))
    (struct.set $square 1 (ref.cast (ref $square) (local.get 0)) (local.get 1))
    (local.get 1) (i64.const -1))
  (func $cell_area (type $area) (local $n i32) (local $c (ref null $cell))
    (local.set $c (ref.cast (ref $cell) (local.get 0)))
    (loop $walk
      (local.set $n (i32.add (local.get $n) (struct.get $cell 2 (local.get $c))))
      (br_if $walk (i32.eqz (ref.is_null (local.tee $c (struct.get $cell 1 (local.get $c)))))))
    (local.get $n))
  (func $cell_both (type $both)
    (struct.set $cell 1 (ref.cast (ref $cell) (local.get 0))
      (struct.new $cell (struct.get $shape 0 (local.get 0)) (ref.null $cell) (local.get 1)))
    (i32.const 1) (i64.const 2))
  ;; In no constant.
  (func $secret_area (type $area) (i32.add (local.get 1) (i32.const 7000)))
  (global $square_table (ref $vtable) (struct.new $vtable (ref.func $square_area) (ref.func $square_both)))
  (global $cell_table (ref $vtable) (struct.new $vtable (ref.func $cell_area) (ref.func $cell_both)))
  (global $null_table (ref $vtable) (struct.new $vtable (ref.null $area) (ref.func $cell_both)))
  (elem declare func $secret_area)

  (func $make (param $way i32) (result (ref $shape))
    (block $none (block $null (block $secret (block $cell (block $square
      (br_table $square $cell $secret $null $none (i32.and (local.get 0) (i32.const 7))))
      (return (struct.new $square (global.get $square_table) (i32.const -5))))
      (return (struct.new $cell (global.get $cell_table)
        (struct.new $cell (global.get $cell_table) (ref.null $cell) (i32.const 30)) (i32.const 4))))
      (return (struct.new $square (struct.new $vtable (ref.func $secret_area) (ref.func $square_both)) (i32.const 1))))
      (return (struct.new $square (global.get $null_table) (i32.const 1))))
    (struct.new $shape (ref.null $vtable)))
  (func $call_area (param (ref $shape) i32) (result i32)
    (loop (result i32)
      (call_ref $area (local.get 0) (local.get 1) (struct.get $vtable 0 (struct.get $shape 0 (local.get 0))))))
  (func (export "area") (param i32) (result i32)
    (call $call_area (call $make (local.get 0)) (i32.shr_u (local.get 0) (i32.const 3))))
  ;; All of them in turn, with objects that live on meanwhile.
  (func (export "turns") (param $n i32) (result i32) (local $sum i32) (local $o (ref $shape)) (local $held (ref $shape))
    (local.set $held (call $make (i32.const 1)))
    (loop $next
      (local.set $o (call $make (i32.rem_u (local.get $n) (i32.const 3))))
      (call_ref $both (local.get $o) (i32.const 20) (struct.get $vtable 1 (struct.get $shape 0 (local.get $o))))
      (local.set $sum (i32.add (i32.wrap_i64) (i32.mul (local.get $sum) (i32.const 3))))
      (local.set $sum (i32.add (local.get $sum)))
      (local.set $sum (i32.add (local.get $sum) (call $call_area (local.get $o) (i32.const 2))))
      (local.set $sum (i32.add (local.get $sum) (call $call_area (local.get $held) (i32.const 2))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  (func (export "caught") (param i32) (result i32) (local $o (ref $shape))
    (local.set $o (call $make (i32.const 0)))
    (block $t (result i32)
      (try_table (catch $t $t)
        (loop
          (call_ref $both (local.get $o) (local.get 0) (struct.get $vtable 1 (struct.get $shape 0 (local.get $o))))
          (drop) (return)))
      (unreachable))
    (i32.const 1000) (i32.add))

  ;; The only function of its type that is ever a reference.
  (func $only (type $only) (i32.div_u (i32.const 60) (local.get 0)))
  (elem declare func $only)
  (func (export "only") (param i32) (result i32) (loop (result i32)
    (call_ref $only (local.get 0) (struct.get $box 0 (struct.new $box (ref.func $only))))))

  ;; It calls itself through its own table.
  (func $down (type $step)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 2) (loop (result i32)
        (call_ref $step (i32.sub (local.get 0) (i32.const 1)) (struct.get $steps 0 (global.get $steps_now))))))
      (else (i32.const 0))))
  (global $steps (ref $steps) (struct.new $steps (ref.func $down)))
  (global $steps_now (mut (ref $steps)) (struct.new $steps (ref.func $down)))
  (func (export "down") (param i32) (result i32)
    (call_ref $step (local.get 0) (struct.get $steps 0 (global.get $steps_now))))
  (func (export "never") (param i32) (result i32)
    (loop (result i32)
      (call_ref $apart (local.get 0) (select (result (ref null $apart)) (ref.func $ends) (ref.null $apart) (local.get 0)))))
  ;; No way through it returns.
  (func $ends (type $apart) (if (result i32) (local.get 0) (then (unreachable)) (else (throw $t (i32.const 1)))))
  (elem declare func $ends))"#;

const CALLS: [(&str, Range<i32>); 6] =
    [("area", 0..45), ("turns", 1..12), ("caught", 0..6), ("only", 0..4), ("down", 0..30), ("never", 0..2)];

#[test]
fn right_and_wrong_guesses_are_calls() -> Result<()> {
    let unguarded = inlined(SHAPES, |c| _ = c.guarded_calls(false).known_targets(false))?;
    let guarded = inlined(SHAPES, |c| _ = c.known_targets(false))?;
    assert!(guarded > unguarded + 5, "the test is about guesses: {guarded} bodies, {unguarded} without them");
    for fuel in [false, true] {
        for (when, zeal) in [(Compilation::Eager, 0), (Compilation::Lazy, 0), (Compilation::Eager, 1)] {
            let run = |signals, guarded, inlining| {
                all(SHAPES, &CALLS, |config| {
                    config.consume_fuel(fuel).compilation(when).zeal(zeal).signals_based_traps(signals);
                    config.guarded_calls(guarded).inlining(inlining);
                })
            };
            for (signals, guarded, inlining) in
                [(true, true, true), (true, true, false), (true, false, true), (false, true, true)]
            {
                let plain = run(signals, false, false)?;
                let other = run(signals, guarded, inlining)?;
                assert_eq!(plain.len(), other.len());
                for (plain, other) in plain.iter().zip(&other) {
                    assert_eq!(plain, other, "fuel {fuel}, {when:?}, zeal {zeal}, {signals} {guarded} {inlining}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn each_guess_has_the_result_of_what_is_called() -> Result<()> {
    let mut world = World::new(SHAPES, |_| ())?;
    let mut outcome = |name: &str, n: i32| world.call(name, n).expect("an export").outcome;
    // A square of -5, a cell of 4 and 30, the table made at run time, a null method, a null table.
    let area = |object: i32, argument: i32| object + 8 * argument;
    assert_eq!(outcome("area", area(0, 7)), "500");
    assert_eq!(outcome("area", area(0, 5)), "IntegerDivideByZero");
    assert_eq!(outcome("area", area(1, 7)), "34");
    assert_eq!(outcome("area", area(2, 7)), "7007");
    assert_eq!(outcome("area", area(3, 7)), "NullFunctionReference");
    assert_eq!(outcome("area", area(4, 7)), "NullStructReference");
    assert_eq!([2, 3].map(|n| outcome("caught", n)), ["2", "1033"]);
    assert_eq!([0, 7].map(|n| outcome("only", n)), ["IntegerDivideByZero", "8"]);
    assert_eq!(outcome("down", 29), "58");
    assert_eq!([0, 1].map(|n| outcome("never", n)), ["NullFunctionReference", "Unreachable"]);
    Ok(())
}

/// The same function of another instance is another function: it is met by no guess, and has its own instance's state.
#[test]
fn functions_of_other_instances_are_no_candidates() -> Result<()> {
    let text = r#"(module
      (type $next (func (result i32)))
      (global $n (mut i32) (i32.const 0))
      (func $next (type $next)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))
      (elem declare func $next)
      (func (export "reference") (result funcref) (ref.func $next))
      (func (export "call") (param funcref) (result i32)
        (loop (result i32) (call_ref $next (ref.cast (ref $next) (local.get 0))))))"#;
    assert_eq!(inlined(text, |_| ())?, 1, "the guess");
    let engine = Engine::new(&Config::new())?;
    let module = Module::new(&engine, text)?;
    let mut store = Store::new(&engine, ())?;
    let instances = [Instance::new(&mut store, &module, &[])?, Instance::new(&mut store, &module, &[])?];
    let mut references = Vec::new();
    for instance in &instances {
        let mut reference = [Val::I32(0)];
        let get = instance.get_func(&mut store, "reference").expect("an export");
        get.call(&mut store, &[], &mut reference)?;
        references.push(reference[0]);
    }
    let mut counts = Vec::new();
    for (caller, callee) in [(0, 0), (0, 1), (1, 1), (1, 0), (0, 1), (0, 0)] {
        let call = instances[caller].get_func(&mut store, "call").expect("an export");
        let mut count = [Val::I32(0)];
        call.call(&mut store, &[references[callee]], &mut count)?;
        let [Val::I32(count)] = count else { panic!("a number") };
        counts.push((callee, count));
    }
    assert_eq!(counts, [(0, 1), (1, 1), (1, 2), (0, 2), (1, 3), (0, 3)]);
    Ok(())
}

/// Many functions of one type, so that nothing can be guessed. One call is through a table, one through a field that
/// changes.
const CALLBACKS: &str = r#"(module
  (rec (type $f (func (param i32) (result i32))) (type $box (struct (field (mut (ref null $f))))))
  (table $t 8 (ref null $f))
  (elem (table $t) (i32.const 0) (ref null $f)
    (ref.func $0) (ref.func $1) (ref.func $2) (ref.func $3) (ref.func $4) (ref.func $5))
  (func $0 (type $f) (i32.add (local.get 0) (i32.const 1)))
  (func $1 (type $f) (i32.mul (local.get 0) (i32.const 3)))
  (func $2 (type $f) (i32.div_u (i32.const 1000) (local.get 0)))
  (func $3 (type $f) (i32.xor (local.get 0) (i32.const 85)))
  (func $4 (type $f) (i32.shl (local.get 0) (i32.const 1)))
  (func $5 (type $f) (i32.sub (i32.const 0) (local.get 0)))
  (func (export "table") (param i32) (result i32) (call_indirect $t (type $f) (i32.const 7) (local.get 0)))
  (func (export "field") (param i32) (result i32) (local $b (ref $box))
    (local.set $b (struct.new $box (ref.func $5)))
    (struct.set $box 0 (local.get $b) (table.get $t (local.get 0)))
    (call_ref $f (i32.const 0) (struct.get $box 0 (local.get $b)))))"#;

#[test]
fn calls_are_as_they_were_in_the_profile() -> Result<()> {
    assert_eq!(inlined(CALLBACKS, |_| ())?, 0);
    let calls = [("table", 0..9), ("field", 0..9)];
    let fuel = |config: &mut Config| _ = config.consume_fuel(true);
    let plain = all(CALLBACKS, &calls, fuel)?;
    let outcome = |n: usize| plain[n].1.outcome.as_str();
    assert_eq!([0, 1, 2, 5, 6].map(outcome), ["8", "21", "142", "-7", "UninitializedElement"]);
    assert_eq!([9, 10, 11, 14, 15].map(outcome), ["1", "0", "IntegerDivideByZero", "0", "NullFunctionReference"]);

    let record = |calls: &[(&str, i32, usize)]| -> Result<CallProfile> {
        let mut world = World::new(CALLBACKS, |config| _ = config.record_calls(true))?;
        for &(name, n, times) in calls {
            for _ in 0..times {
                world.call(name, n)?;
            }
        }
        Ok(world.store.call_profile())
    };
    assert!(record(&[])?.is_empty());
    let table = record(&[("table", 2, 50), ("table", 1, 60), ("table", 3, 3)])?;
    let text = table.to_string();
    let noted: Vec<&str> = text.lines().filter(|line| line.starts_with("call ")).collect();
    assert!(noted.len() == 3 && noted[0].ends_with(" 1 60") && noted[1].ends_with(" 2 50"), "{text}");
    let mut both = record(&[("field", 0, 1), ("field", 6, 1)])?;
    assert_eq!(both.to_string().lines().filter(|line| line.starts_with("call ")).count(), 1, "a null is no function");
    both.merge(&table);

    for (profile, bodies) in [(&table, 2), (&both, 3)] {
        let with = |config: &mut Config| _ = config.call_profile(profile.clone());
        assert_eq!(inlined(CALLBACKS, with)?, bodies);
        assert_eq!(inlined(CALLBACKS, |c| _ = c.call_profile(profile.clone()).guarded_calls(false))?, 0);
        for (signals, zeal) in [(true, 0), (false, 0), (true, 1)] {
            let seen = all(CALLBACKS, &calls, |config| {
                config.call_profile(profile.clone()).consume_fuel(true).signals_based_traps(signals).zeal(zeal);
            })?;
            assert_eq!(seen, plain, "{bodies} bodies, signals {signals}, zeal {zeal}");
        }
    }
    // Recorded runs are as others.
    assert_eq!(all(CALLBACKS, &calls, |config| _ = config.record_calls(true).consume_fuel(true))?, plain);
    Ok(())
}

/// A profile of another module, or one with nonsense in it, does no harm.
#[test]
fn profiles_are_not_believed() -> Result<()> {
    let calls = [("table", 0..9), ("field", 0..9)];
    let plain = all(CALLBACKS, &calls, |_| ())?;
    let wasm = wat::parse_str(CALLBACKS)?;
    let mut every = CallProfile::new();
    // Each place is said to call each function, existing or not.
    every.add(&wasm, (0..wasm.len() as u32).flat_map(|at| [0, 7, 8, u32::MAX].map(|function| (at, function, 9))));
    let mut other = CallProfile::new();
    other.add(b"another module", [(100, 0, 5)]);
    for profile in [every, other] {
        let with = |config: &mut Config| _ = config.call_profile(profile.clone());
        assert_eq!(all(CALLBACKS, &calls, with)?, plain);
    }
    Ok(())
}
