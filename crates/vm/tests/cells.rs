//! Free lists in compiled code: cells are taken in order, and a list whose links were overwritten yields a trap, under
//! the processor and under the interpreter.

use heapwright_fuzzing::samples::cell_sweep;
use heapwright_gc_heap::cells::LINK_OFFSET;
use heapwright_gc_heap::{HeapConfig, NULL_PAGE_BYTES, SizingPolicy};
use heapwright_jit::abi::Trap;
use heapwright_jit::{Settings, Target};
use heapwright_vm::{CallError, Extern, InstanceId, Runtime, Store, StoreConfig, ValRaw};

const CAPACITY: u64 = 256 << 10;

const MODULE: &str = r#"(module
    (type $box (struct (field (mut i32)) (field (mut i64))))
    (type $bytes (array (mut i8)))
    (global $box (mut (ref null $box)) (ref.null $box))
    (global $bytes (mut (ref null $bytes)) (ref.null $bytes))
    (func (export "new") (result i32)
        (global.set $box (struct.new $box (i32.const 41) (i64.const 1)))
        (i32.add (struct.get $box 0 (global.get $box)) (i32.wrap_i64 (struct.get $box 1 (global.get $box)))))
    (func (export "bytes") (result i32)
        (global.set $bytes (array.new $bytes (i32.const 7) (i32.const 6)))
        (i32.mul (array.get_u $bytes (global.get $bytes) (i32.const 5)) (array.len (global.get $bytes)))))"#;

/// The class of a box, and of six bytes behind a header and a length.
const CLASS: usize = 1;

fn store(target: Target) -> (Store, InstanceId) {
    let settings = Settings { target, ..Settings::default() };
    let runtime = Runtime::new(settings, || Box::<cell_sweep::CellSweep>::default()).unwrap();
    let heap = HeapConfig { initial: CAPACITY, max: CAPACITY, sizing: SizingPolicy::Fixed, zeal: 0 };
    let config = StoreConfig {
        heap,
        max_wasm_stack: 512 << 10,
        backtraces: true,
        stack_watermark: true,
        huge_pages: true,
        gc_prefetch: true,
    };
    let mut store = Store::new(&runtime, config).unwrap();
    let module = runtime.compile(&wat::parse_str(MODULE).unwrap()).unwrap();
    let instance = store.instantiate(&module, &[]).unwrap();
    (store, instance)
}

fn call(store: &mut Store, instance: InstanceId, name: &str) -> Result<i32, CallError> {
    let Some(Extern::Func(f)) = store.instance_export(instance, name) else { panic!("no function {name}") };
    let mut slots = vec![ValRaw::default(); 8];
    store.call(f, &mut slots)?;
    Ok(slots[0].i32())
}

#[test]
fn cells_are_taken_in_order() {
    assert_eq!(cell_sweep::SPEC.alloc.class(16), Some(CLASS));
    for target in [Target::Native, Target::Pulley64] {
        let (mut store, instance) = store(target);
        assert_eq!(call(&mut store, instance, "new").unwrap(), 42);
        for i in 0..50 {
            let head = store.heap().unwrap().mutator().free[CLASS];
            let (name, result) = [("new", 42), ("bytes", 42)][i % 2];
            assert_eq!(call(&mut store, instance, name).unwrap(), result);
            assert_eq!(store.heap().unwrap().mutator().free[CLASS], head + 16);
        }
        // Through several collections.
        for _ in 0..4 * CAPACITY / 16 {
            assert_eq!(call(&mut store, instance, "new").unwrap(), 42);
        }
        assert!(store.heap().unwrap().stats().collections >= 3);
    }
}

/// Compiled code takes cells itself: it comes to the heap when a list is empty, for a piece of memory that is cut into
/// up to 256 cells, and for the last cells of the heap.
#[test]
fn cells_are_taken_inline() {
    const ROUNDS: u64 = 10_000;
    for target in [Target::Native, Target::Pulley64] {
        let (mut store, instance) = store(target);
        let requests = |store: &mut Store| store.heap().unwrap().stats().requests;
        let before = requests(&mut store);
        for _ in 0..ROUNDS {
            assert_eq!(call(&mut store, instance, "new").unwrap(), 42);
        }
        let inline = requests(&mut store) - before;
        assert!((ROUNDS / 256..=ROUNDS / 100).contains(&inline), "{inline} of {ROUNDS} came to the heap");
        // Each does when nothing may be taken inline.
        store.heap().unwrap().mutator_mut().limit = 0;
        let before = requests(&mut store);
        assert_eq!(call(&mut store, instance, "new").unwrap(), 42);
        assert_eq!(requests(&mut store) - before, 1);
    }
}

#[test]
fn a_forged_link_is_a_trap() {
    let end = NULL_PAGE_BYTES + CAPACITY as u32;
    for target in [Target::Native, Target::Pulley64] {
        for forged in [4, 8, NULL_PAGE_BYTES - 8, NULL_PAGE_BYTES + 4, end - 8, end, 1 << 31, !7, !0] {
            let (mut store, instance) = store(target);
            call(&mut store, instance, "new").unwrap();
            let heap = store.heap().unwrap();
            let head = heap.mutator().free[CLASS];
            heap.memory_mut().store_u32(head + LINK_OFFSET, forged).unwrap();
            assert_eq!(call(&mut store, instance, "new").unwrap(), 42);
            let result = call(&mut store, instance, "new");
            assert!(
                matches!(&result, Err(CallError::Trap(info)) if info.trap == Trap::HeapCorrupted),
                "{forged:#x}: {result:?}"
            );
        }
    }
}
