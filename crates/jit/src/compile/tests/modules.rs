//! Whole modules: what the pipeline makes of them, and a little execution.

use super::exec::{Executable, Machine, Slot, i32_slot, i128_slot, read_slot};
use super::{SPEC, compiler};
use crate::abi::{InstanceLayout, SignatureKinds, Trap};
use crate::artifact::CompiledModule;
use crate::compile::function::{ModuleEnv, Worker};
use crate::compile::{CompileError, Compiler, Settings, Stubs, size};
use crate::module::{ParsedModule, parse};
use cranelift_codegen::settings::RegallocAlgorithm;
use std::fmt::Write;

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's text assembles")
}

fn compile(text: &str) -> CompiledModule {
    compiler().compile_module(&assemble(text)).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs the exported function `name` of a module that needs nothing but its stack.
fn run(module: &CompiledModule, name: &str, params: &[Slot]) -> Vec<Slot> {
    let export = module.info.exports.iter().find(|e| e.name == name).expect("the export exists");
    let kinds = SignatureKinds::of(module.info.func_type(export.index));
    let stubs =
        compiler().compile_stubs(Stubs::Entries(std::slice::from_ref(&kinds))).expect("the trampoline compiles");
    let (entry, text) = (Executable::new(&stubs.text), Executable::new(&module.text));
    let mut machine = Machine::new();
    let mut instance = vec![0u128; module.layout.size() as usize / 16];
    let context: *mut u8 = instance.as_mut_ptr().cast();
    // SAFETY: the fixed part of an instance context begins with the store's address.
    unsafe { context.add(InstanceLayout::STORE as usize).cast::<usize>().write(machine.store() as usize) };
    let mut slots = params.to_vec();
    slots.resize(params.len().max(kinds.results.len()).max(1), [0; 16]);
    let func = module.funcs[(export.index - module.info.imported_funcs) as usize];
    // SAFETY: the trampoline was made for this function's signature, and the function uses its parameters only.
    let outcome = unsafe { entry.entry(0)(text.at(func.start), context, slots.as_mut_ptr(), machine.store()) };
    assert_eq!(outcome, 0, "no trap");
    slots.truncate(kinds.results.len());
    slots
}

#[test]
fn functions_call_each_other_in_both_directions() {
    let module = compile(
        r#"(module
            (func $even (export "even") (param i32) (result i32)
                (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
                    (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
            (func $odd (param i32) (result i32)
                (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
                    (else (call $even (i32.sub (local.get 0) (i32.const 1))))))
        )"#,
    );
    for (n, expected) in [(0, 1), (1, 0), (7, 0), (1000, 1)] {
        assert_eq!(read_slot(&run(&module, "even", &[i32_slot(n)])[0], 4), expected);
    }
    assert_eq!(module.funcs.len(), 2);
    assert!(module.funcs.iter().all(|f| f.start % 32 == 0 && f.length > 0));
    assert_eq!(module.func_at(module.funcs[1].start), Some(1));
    assert_eq!(module.func_at(module.funcs[0].end() - 1), Some(0));
    assert_eq!(module.func_at(module.text.len() as u32), None);
}

#[test]
fn many_results() {
    let count = 30;
    let types = ["i32", "f64", "i64", "v128", "f32"];
    let results: Vec<_> = (0..count).map(|i| types[i % 5]).collect();
    let mut body = String::new();
    for (i, ty) in results.iter().enumerate() {
        match *ty {
            "v128" => write!(body, "(v128.const i64x2 {i} {i})").expect("infallible"),
            ty => write!(body, "({ty}.const {i})").expect("infallible"),
        }
    }
    let results_text = results.join(" ");
    let module = compile(&format!(
        r#"(module
            (type $t (func (result {results_text})))
            (func $make (type $t) {body})
            (func $pass (export "pass") (type $t) (call $make))
            (func (export "tail") (type $t) (return_call $pass))
        )"#
    ));
    for export in ["pass", "tail"] {
        let values = run(&module, export, &[]);
        for (i, (ty, value)) in results.iter().zip(&values).enumerate() {
            let n = i as u128;
            let (bytes, expected) = match *ty {
                "i32" => (4, n),
                "i64" => (8, n),
                "f32" => (4, u128::from((i as f32).to_bits())),
                "f64" => (8, u128::from((i as f64).to_bits())),
                _ => (16, n << 64 | n),
            };
            assert_eq!(read_slot(value, bytes), expected, "result {i} of {export}");
        }
    }
}

#[test]
fn deep_tail_calls_use_no_stack() {
    let module = compile(
        r#"(module (func $loop (export "loop") (param i64 i64) (result i64)
            (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
            (return_call $loop (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (local.get 0)))))"#,
    );
    let n = 1_000_000;
    assert_eq!(read_slot(&run(&module, "loop", &[i128_slot(n), i128_slot(0)])[0], 8), n * (n + 1) / 2);
}

#[test]
fn traps_and_addresses_lead_back_to_instructions() {
    let bytes = assemble(
        r#"(module
            (func (param i32) (result i32) (i32.div_u (i32.const 9) (local.get 0)))
            (func (unreachable)))"#,
    );
    let module = compiler().compile_module(&bytes).expect("valid");
    let traps: Vec<(u32, Trap)> =
        module.tables.traps.offsets.iter().copied().zip(module.tables.traps.traps.iter().copied()).collect();
    for (trap, func, opcode) in [(Trap::IntegerDivideByZero, 0, 0x6e), (Trap::Unreachable, 1, 0x00)] {
        let found: Vec<_> = traps.iter().filter(|(_, t)| *t == trap).collect();
        assert!(!found.is_empty(), "{trap:?}");
        for &&(offset, _) in &found {
            assert_eq!(module.func_at(offset), Some(func));
            assert_eq!(module.tables.traps.lookup(offset), Some(trap));
            let wasm = module.tables.addresses.lookup(offset).expect("the instruction has an address");
            assert_eq!(bytes[wasm as usize], opcode, "{trap:?}");
        }
    }
}

#[test]
fn handlers_are_found_by_return_address() {
    let module = compile(
        r#"(module
            (import "" "f" (func $f))
            (tag $a (param i32)) (tag $b)
            (func (result i32)
                (block $other
                    (block $caught (result i32)
                        (try_table (catch $a $caught) (catch_all $other) (call $f))
                        (return (i32.const 1)))
                    (return))
                (i32.const 2)))"#,
    );
    let table = &module.tables.handlers;
    assert_eq!(table.returns.len(), 1);
    let found = table.lookup(table.returns[0]).expect("handlers of the only call");
    let tags: Vec<_> = found.handlers.iter().map(|h| h.tag).collect();
    assert_eq!(tags, [Some(0), None]);
    assert!(found.context > 0 && found.context <= found.frame_size, "the context lies in the frame");
    for handler in found.handlers {
        assert_eq!(module.func_at(handler.code), Some(0));
    }
    assert!(table.lookup(table.returns[0] + 1).is_none());
}

/// A module of `count` functions; those in `invalid` do not validate.
fn many_functions(count: usize, invalid: &[usize]) -> String {
    let mut text = String::from("(module (memory 1)");
    for i in 0..count {
        let callee = (i * 7 + 1) % count;
        let wrong = if invalid.contains(&i) { "(i32.add (i64.const 1) (i32.const 1))" } else { "" };
        let padding = "(i32.store (i32.const 0) (i32.const 1))".repeat(i % 13);
        write!(
            text,
            "(func (param i32) (result i32) {padding} (if (i32.eqz (local.get 0)) (then (return (i32.const {i}))))
                (call {callee} (i32.sub (local.get 0) (i32.const 1))) {wrong})"
        )
        .expect("infallible");
    }
    text + ")"
}

#[test]
fn parallel_and_serial_compilation_give_the_same() {
    let bytes = assemble(&many_functions(200, &[]));
    let [a, b] = [false, true].map(|parallel| {
        let settings = Settings { parallel, ..Settings::default() };
        Compiler::new(settings, &SPEC).expect("supported").compile_module(&bytes).expect("valid")
    });
    assert_eq!(a.text, b.text);
    assert_eq!(a.funcs, b.funcs);
    assert_eq!((a.tables.traps.offsets, a.tables.addresses.wasm), (b.tables.traps.offsets, b.tables.addresses.wasm));
}

#[test]
fn the_first_invalid_function_is_reported() {
    let bytes = assemble(&many_functions(100, &[93, 41, 60]));
    let mut offsets = Vec::new();
    for parallel in [false, true] {
        let compiler = Compiler::new(Settings { parallel, ..Settings::default() }, &SPEC).expect("supported");
        for _ in 0..5 {
            for result in [compiler.compile_module(&bytes).map(|_| ()), compiler.validate(&bytes).map(|_| ())] {
                let Err(CompileError::Invalid { message, offset }) = result else { panic!("{result:?}") };
                assert!(message.contains("type mismatch"), "{message}");
                offsets.push(offset);
            }
        }
    }
    assert!(offsets.iter().all(|&o| o == offsets[0]), "{offsets:?}");
    // The same functions without the first invalid one: the error moves on.
    let later = compiler().validate(&assemble(&many_functions(100, &[93, 60])));
    assert!(matches!(later, Err(CompileError::Invalid { offset, .. }) if offset > offsets[0]));
}

#[test]
fn unsupported_instructions_are_named_with_their_offset() {
    let error =
        compiler().compile_module(&assemble("(module (memory 1) (func (result i32) (i32.atomic.load (i32.const 0))))"));
    let Err(CompileError::Invalid { message, offset }) = error else { panic!("{error:?}") };
    assert!(message.contains("threads") && offset > 8, "{message}");
}

/// A function of so many merges that it gets the linear code generator.
fn huge_function(steps: usize, prologue: &str) -> String {
    let mut text = format!("(func $huge (export \"f\") (param i32 i32) (result i32) {prologue}");
    for i in 0..steps {
        let (to, bit) = (i % 2, i % 31);
        write!(
            text,
            "(if (i32.shr_u (local.get {to}) (i32.const {bit}))
                (then (local.set {to} (i32.add (i32.mul (local.get 0) (i32.const 3)) (local.get 1)))))"
        )
        .expect("infallible");
    }
    text + "(i32.xor (local.get 0) (local.get 1)))"
}

/// The register allocator that the first function of a module gets.
fn registers_for(text: &str) -> RegallocAlgorithm {
    let compiler = compiler();
    let bytes = assemble(text);
    let ParsedModule { info, mut bodies } = parse(&bytes, compiler.features, SPEC.header_layout()).expect("valid");
    let layout = info.instance_layout();
    let mut worker = Worker::new();
    let env = ModuleEnv { compiler: &compiler, info: &info, layout: &layout, inliner: None, candidates: None };
    worker.prepare(env, bodies.remove(0)).expect("valid");
    size::generator(&compiler, &worker.context.func).flags().regalloc_algorithm()
}

#[test]
fn a_huge_function_compiles_and_runs() {
    let steps = 8000;
    let text = format!("(module {})", huge_function(steps, ""));
    assert_eq!(registers_for(&text), RegallocAlgorithm::SinglePass);
    let module = compile(&text);
    let (mut a, mut b) = (5u32, 9u32);
    for i in 0..steps {
        let value = a.wrapping_mul(3).wrapping_add(b);
        let to = if i % 2 == 0 { &mut a } else { &mut b };
        if *to >> (i % 31) != 0 {
            *to = value;
        }
    }
    assert_eq!(read_slot(&run(&module, "f", &[i32_slot(5), i32_slot(9)])[0], 4), u128::from(a ^ b));
    assert_eq!(registers_for(&format!("(module {})", huge_function(100, ""))), RegallocAlgorithm::Backtracking);
}

#[test]
fn a_huge_function_may_catch() {
    // One result may come from a protected call in a function of this size; with several the allocator of one pass cannot be had.
    for (results, registers) in [("i32", RegallocAlgorithm::SinglePass), ("i32 i64", RegallocAlgorithm::Backtracking)] {
        let drops = "(drop)".repeat(results.split(' ').count());
        let prologue = format!("(block $none (try_table (catch_all $none) (call $other) {drops}))");
        let text =
            format!("(module {} (func $other (result {results}) (unreachable)))", huge_function(8000, &prologue));
        assert_eq!(registers_for(&text), registers);
        let module = compile(&text);
        assert_eq!(module.tables.handlers.returns.len(), 1);
    }
}

#[test]
fn thousands_of_live_references_make_a_small_table() {
    // Each is live from its creation to the end, across all later allocations.
    let count = 6000;
    let mut text = format!(
        "(module (type $s (struct (field i32) (field (mut (ref null $s)))))
            (func (result (ref null $s)) (local {})",
        "(ref null $s) ".repeat(count)
    );
    for i in 0..count {
        write!(text, "(local.set {i} (struct.new $s (i32.const {i}) (ref.null $s)))").expect("infallible");
    }
    for i in 0..count {
        write!(text, "(struct.set $s 1 (local.get {i}) (local.get {}))", (i * 7 + 1) % count).expect("infallible");
    }
    let module = compile(&(text + "(local.get 0)))"));
    let maps = &module.tables.stack_maps;
    // Nothing is live across the first allocation, so it needs no entry.
    assert!(maps.returns.len() + 1 >= count, "{}", maps.returns.len());
    assert!(maps.slots.len() < 4 * count, "{} slots", maps.slots.len());
    let last = maps.lookup(*maps.returns.last().expect("not empty")).expect("listed");
    assert!(last.len() + 1 >= count, "{} references at the last allocation", last.len());
    assert!(last.iter().all(|slot| slot % 4 == 0 && *slot > 0));
}

#[test]
fn the_oldest_processor_needs_no_library() {
    // Where an instruction is missing, Cranelift may fall back to a library call, which nothing would link.
    let mut text = String::from("(module ");
    for ty in ["f32", "f64"] {
        for op in ["ceil", "floor", "trunc", "nearest", "sqrt"] {
            write!(text, "(func (param {ty}) (result {ty}) ({ty}.{op} (local.get 0)))").expect("infallible");
        }
    }
    for shape in ["f32x4", "f64x2"] {
        for op in ["ceil", "floor", "trunc", "nearest"] {
            write!(text, "(func (param v128) (result v128) ({shape}.{op} (local.get 0)))").expect("infallible");
        }
        for op in ["relaxed_madd", "relaxed_nmadd"] {
            write!(
                text,
                "(func (param v128 v128 v128) (result v128) ({shape}.{op} (local.get 0) (local.get 1) (local.get 2)))"
            )
            .expect("infallible");
        }
    }
    for op in ["i8x16.popcnt", "i64x2.abs", "i32x4.trunc_sat_f32x4_u", "i32x4.trunc_sat_f64x2_u_zero"] {
        write!(text, "(func (param v128) (result v128) ({op} (local.get 0)))").expect("infallible");
    }
    for op in ["i64x2.mul", "i8x16.swizzle", "i16x8.relaxed_dot_i8x16_i7x16_s", "i8x16.relaxed_swizzle"] {
        write!(text, "(func (param v128 v128) (result v128) ({op} (local.get 0) (local.get 1)))").expect("infallible");
    }
    text += "(func (param i64 i64 i64 i64) (result i64 i64)
                (i64.sub128 (local.get 0) (local.get 1) (i64.mul_wide_u (local.get 2) (local.get 3))))
             (func (param i64 f64) (result i64 i64 i64)
                (i64.popcnt (local.get 0)) (i64.ctz (local.get 0)) (i64.trunc_sat_f64_u (local.get 1))))";
    let compiler = Compiler::baseline(Settings::default(), &SPEC).expect("supported");
    compiler.compile_module(&assemble(&text)).unwrap_or_else(|e| panic!("{e}"));
}
