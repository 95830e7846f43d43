//! Random barrier programs, compiled and interpreted, on two heaps that start alike: after each operation every byte of
//! the heaps, every word of the mutators' state, the buffers and the slow paths' logs must be the same.
//!
//! One store runs an operation as compiled code; the other does it through the heap's own interface, which interprets.
//! A case prints its seed; `HEAPWRIGHT_BARRIER_SEED` runs that one alone, `HEAPWRIGHT_BARRIER_CASES` sets how many
//! there are.

mod collector;
mod generate;

use collector::{Log, create, declare, last_log, pending};
use generate::{Random, program};
use heapwright_gc_heap::barrier::{Input, Scope, Stmt, textbook};
use heapwright_gc_heap::{
    AllocSpec, Barriers, BulkBarrier, Elision, GcRef, HeaderWord, Heap, HeapConfig, Moves, NUM_BUFFERS, SideTable,
    SizingPolicy, Spec, Value,
};
use heapwright_jit::Settings;
use heapwright_vm::{Extern, InstanceId, LoadedModule, Runtime, Store, StoreConfig, ValRaw};
use std::sync::{Arc, Mutex};

const MODULE: &str = r#"(module
    (type $node (sub final (struct (field (mut i32)) (field (mut anyref)) (field (mut anyref)))))
    (type $list (sub final (array (mut anyref))))
    (global (export "global") (mut anyref) (ref.null any))
    (table (export "table") 4 anyref)
    (func (export "new") (param anyref anyref) (result anyref)
        (struct.new $node (i32.const 7) (local.get 0) (local.get 1)))
    (func (export "new_known") (param i32) (result anyref)
        (struct.new $node (i32.const 8) (ref.null any) (ref.i31 (local.get 0))))
    (func (export "new_fixed") (param anyref) (result anyref)
        (array.new_fixed $list 4 (local.get 0) (ref.null any) (local.get 0) (ref.i31 (i32.const 9))))
    (func (export "new_array") (param anyref i32) (result anyref) (array.new $list (local.get 0) (local.get 1)))
    (func (export "set") (param (ref $node) anyref) (struct.set $node 1 (local.get 0) (local.get 1)))
    (func (export "set_nullable") (param (ref null $node) anyref) (struct.set $node 2 (local.get 0) (local.get 1)))
    (func (export "set_null") (param (ref $node)) (struct.set $node 1 (local.get 0) (ref.null any)))
    (func (export "set_i31") (param (ref $node) i32) (struct.set $node 2 (local.get 0) (ref.i31 (local.get 1))))
    (func (export "set_both") (param (ref $node) anyref anyref)
        (struct.set $node 1 (local.get 0) (local.get 1))
        (struct.set $node 1 (local.get 0) (local.get 2)))
    (func (export "new_set") (param anyref anyref) (result anyref) (local $new (ref $node))
        (local.set $new (struct.new $node (i32.const 9) (local.get 0) (local.get 1)))
        (struct.set $node 1 (local.get $new) (local.get 1))
        (struct.set $node 2 (local.get $new) (ref.null any))
        (struct.set $node 2 (local.get $new) (local.get 0))
        (local.get $new))
    (func (export "new_fill") (param anyref anyref) (result anyref) (local $new (ref $list))
        (local.set $new (array.new $list (local.get 0) (i32.const 4)))
        (array.set $list (local.get $new) (i32.const 2) (local.get 1))
        (array.fill $list (local.get $new) (i32.const 1) (local.get 1) (i32.const 2))
        (local.get $new))
    (func (export "set_at") (param (ref $list) i32 anyref) (array.set $list (local.get 0) (local.get 1) (local.get 2)))
    (func (export "fill") (param (ref $list) i32 anyref i32)
        (array.fill $list (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "get") (param (ref $node)) (result anyref) (struct.get $node 1 (local.get 0)))
    (func (export "get_at") (param (ref null $list) i32) (result anyref) (array.get $list (local.get 0) (local.get 1)))
    (func (export "set_global") (param anyref) (global.set 0 (local.get 0)))
    (func (export "set_slot") (param i32 anyref) (table.set 0 (local.get 0) (local.get 1))))"#;

/// Elements of every array.
const LENGTH: u32 = 4;

/// One of the two stores.
struct Side {
    store: Store,
    instance: InstanceId,
    log: Arc<Mutex<Log>>,
}

impl Side {
    fn new(runtime: &Arc<Runtime>, module: &Arc<LoadedModule>) -> Side {
        let heap = HeapConfig { initial: 256 << 10, max: 256 << 10, sizing: SizingPolicy::Fixed, zeal: 0 };
        let mut store = Store::new(
            runtime,
            StoreConfig {
                heap,
                max_wasm_stack: 256 << 10,
                backtraces: true,
                stack_watermark: true,
                huge_pages: true,
                gc_prefetch: true,
            },
        )
        .unwrap();
        store.heap().unwrap();
        let log = last_log();
        let instance = store.instantiate(module, &[]).unwrap();
        Side { store, instance, log }
    }

    fn export(&self, name: &str) -> Extern {
        self.store.instance_export(self.instance, name).unwrap()
    }

    /// Runs compiled code.
    fn call(&mut self, name: &str, args: &[u32]) -> u32 {
        let Extern::Func(func) = self.export(name) else { panic!("{name} is no function") };
        let mut slots = [ValRaw::default(); 8];
        for (slot, &arg) in slots.iter_mut().zip(args) {
            *slot = ValRaw::from_i32(arg as i32);
        }
        self.store.call(func, &mut slots).unwrap_or_else(|e| panic!("{name}{args:x?}: {e:?}"));
        if name.starts_with("set") || name == "fill" { 0 } else { slots[0].i32() as u32 }
    }

    /// Number of slow calls and full buffers so far.
    fn events(&self) -> usize {
        self.log.lock().unwrap().events.len()
    }

    /// Does what an export does, without compiled code.
    fn interpret(&mut self, module: &LoadedModule, name: &str, args: &[u32]) -> u32 {
        let reference = |i: usize| GcRef::from_raw(args[i]);
        let value = |i: usize| Value::Ref(reference(i));
        let (null, i31) = (Value::Ref(GcRef::NULL), |n: u32| Value::Ref(GcRef::i31(n)));
        let as_ref = |value: Value| match value {
            Value::Ref(r) => r.raw(),
            other => panic!("{other:?} is no reference"),
        };
        match name {
            "set_global" => {
                let Extern::Global(global) = self.export("global") else { panic!("no global") };
                self.store.global_set(global, value(0)).unwrap();
                return 0;
            }
            "set_slot" => {
                let Extern::Table(table) = self.export("table") else { panic!("no table") };
                self.store.table_set(table, args[0].into(), value(1)).unwrap();
                return 0;
            }
            _ => {}
        }
        let (heap, roots) = self.store.heap_and_roots().unwrap();
        let declared = |elision| heap.spec().elide.contains(&elision);
        let [fresh, same] = [Elision::FreshObject, Elision::SameObject].map(declared);
        let none = |value: &Value| match *value {
            Value::Ref(r) => r.is_null() && declared(Elision::NullStored),
            _ => false,
        };
        let known_null_is_elided = none(&null);
        let known_i31_is_elided = declared(Elision::I31Stored);
        // A store without any program.
        let bare = |heap: &mut Heap, field: u32, value: Value| {
            let at = args[0] + module.info().struct_layout(0).fields[field as usize].offset;
            heap.memory_mut().store_u32(at, as_ref(value)).unwrap();
        };
        let mut set = |field: u32, value: Value, elided: bool| match elided {
            true => bare(heap, field, value),
            false => heap.set_field(reference(0), field, value, false).unwrap(),
        };
        match name {
            "set" => set(1, value(1), false),
            "set_nullable" => set(2, value(1), false),
            "set_null" => set(1, null, known_null_is_elided),
            "set_i31" => set(2, i31(args[1]), known_i31_is_elided),
            "set_both" => {
                set(1, value(1), false);
                set(1, value(2), same);
            }
            "set_at" => heap.set_element(reference(0), args[1], value(2), false).unwrap(),
            "fill" => heap.array_fill(reference(0), args[1], value(2), args[3], false).unwrap(),
            "get" => return as_ref(heap.get_field(reference(0), 1).unwrap()),
            "get_at" => return as_ref(heap.get_element(reference(0), args[1]).unwrap()),
            "new" | "new_known" => {
                let object = heap.alloc(module.type_id(0), 0, roots).unwrap();
                let fields = if name == "new" { [value(0), value(1)] } else { [null, i31(args[0])] };
                heap.set_field(object, 0, Value::I32(if name == "new" { 7 } else { 8 }), true).unwrap();
                heap.set_field(object, 1, fields[0], true).unwrap();
                heap.set_field(object, 2, fields[1], true).unwrap();
                return object.raw();
            }
            "new_set" => {
                let object = heap.alloc(module.type_id(0), 0, roots).unwrap();
                heap.set_field(object, 0, Value::I32(9), true).unwrap();
                heap.set_field(object, 1, value(0), true).unwrap();
                heap.set_field(object, 2, value(1), true).unwrap();
                let mut ran = false;
                for (field, value, null) in
                    [(1, value(1), false), (2, null, known_null_is_elided), (2, value(0), false)]
                {
                    if null || (ran && same && !fresh) {
                        let at = object.raw() + module.info().struct_layout(0).fields[field as usize].offset;
                        heap.memory_mut().store_u32(at, as_ref(value)).unwrap();
                    } else {
                        heap.set_field(object, field, value, fresh).unwrap();
                        ran = true;
                    }
                }
                return object.raw();
            }
            "new_fill" => {
                let array = heap.alloc(module.type_id(1), 4, roots).unwrap();
                heap.array_fill(array, 0, value(0), 4, true).unwrap();
                heap.set_element(array, 2, value(1), fresh).unwrap();
                heap.array_fill(array, 1, value(1), 2, fresh).unwrap();
                return array.raw();
            }
            "new_fixed" => {
                let array = heap.alloc(module.type_id(1), 4, roots).unwrap();
                for (i, value) in [value(0), null, value(0), i31(9)].into_iter().enumerate() {
                    heap.set_element(array, i as u32, value, true).unwrap();
                }
                return array.raw();
            }
            "new_array" => {
                let array = heap.alloc(module.type_id(1), args[1], roots).unwrap();
                heap.array_fill(array, 0, value(0), args[1], true).unwrap();
                return array.raw();
            }
            other => panic!("{other}"),
        }
        0
    }
}

/// Panics unless the two sides are the same, bit by bit.
fn compare(compiled: &mut Side, interpreted: &mut Side, counted: bool, what: &str) {
    assert_eq!(*compiled.log.lock().unwrap(), *interpreted.log.lock().unwrap(), "slow paths differ after {what}");
    let [a, b] = [compiled, interpreted].map(|side| side.store.existing_heap().unwrap());
    let words = |m: &heapwright_gc_heap::MutatorState| (m.cursor, m.limit, m.collector);
    assert_eq!(words(a.mutator()), words(b.mutator()), "mutator state differs after {what}");
    if counted {
        assert_eq!(a.stats().barriers, b.stats().barriers, "counts differ after {what}");
    }
    for index in 0..NUM_BUFFERS {
        assert_eq!(pending(a, index), pending(b, index), "buffer {index} differs after {what}");
    }
    let start = heapwright_gc_heap::NULL_PAGE_BYTES;
    for table in 0..a.spec().side_tables.len() {
        assert!(a.memory().side(table) == b.memory().side(table), "side table {table} differs after {what}");
    }
    let [x, y] = [a, b].map(|heap| heap.memory().slice(start, heap.capacity()).unwrap());
    if let Some(at) = x.iter().zip(y).position(|(x, y)| x != y).filter(|_| x != y) {
        panic!(
            "the heaps differ at {:#x} after {what}: compiled {:#x}, interpreted {:#x}",
            start as usize + at,
            x[at],
            y[at]
        );
    }
}

fn random_spec(random: &mut Random) -> &'static Spec {
    let words = random.below(4) as u8;
    let header: Vec<_> = (0..words).map(|_| HeaderWord { name: "word", initial: random.next() }).collect();
    use Input::{New, Object, Old, Slot};
    let side_tables: Vec<_> = (0..random.below(5)).map(|_| side_table(random)).collect();
    let mut some = |inputs: &[Input], forwards: bool| {
        let scope = Scope { header_words: words, side_tables: side_tables.len() as u8, inputs, forwards };
        (!random.one_in(6)).then(|| program(random, &scope))
    };
    let barriers = Barriers {
        store: some(&[Object, Slot, Old, New], false),
        init: some(&[Object, Slot, New], false),
        load: some(&[Object, Slot, New], true),
        bulk: some(&[Object, Slot], false).map_or(BulkBarrier::Elements, BulkBarrier::Object),
        root_store: some(&[Old, New], false),
    };
    let mut spec = Spec {
        name: "recorder",
        summary: "never frees, records barriers",
        cites: &[],
        header: header.leak(),
        side_tables: side_tables.leak(),
        alloc: AllocSpec::Bump,
        barriers,
        elide: &[],
        moves: Moves::Never,
        needs_roots: false,
        inline_limit: 1024,
    };
    // Of the elisions that the store program admits, some.
    let all = [Elision::FreshObject, Elision::NullStored, Elision::I31Stored, Elision::SameObject];
    let admitted = |&e: &Elision| Spec { elide: vec![e].leak(), ..spec }.check().is_ok();
    let elide: Vec<_> = all.into_iter().filter(admitted).filter(|_| random.one_in(2)).collect();
    spec.elide = elide.leak();
    spec.check().unwrap();
    Box::leak(Box::new(spec))
}

fn side_table(random: &mut Random) -> SideTable {
    SideTable { name: "table", granule: 4 << random.below(9), bits: 1 << random.below(6) }
}

/// References that a case can use.
struct Pool {
    nodes: Vec<u32>,
    lists: Vec<u32>,
}

impl Pool {
    fn value(&self, random: &mut Random) -> u32 {
        match random.below(5) {
            0 => 0,
            1 => random.next() | 1,
            2 if !self.lists.is_empty() => random.pick(&self.lists),
            _ if !self.nodes.is_empty() => random.pick(&self.nodes),
            _ => 0,
        }
    }
}

/// Runs a case; gives the number of slow calls and full buffers.
fn case(seed: u64) -> usize {
    let random = &mut Random::new(seed);
    let spec = random_spec(random);
    run(spec, random, &format!("seed {seed}"))
}

/// Fills the side tables alike, so that what programs find there is not all zero.
fn fill_tables(sides: [&mut Side; 2], random: &mut Random) {
    let seed = random.next().into();
    for side in sides {
        let mut random = Random::new(seed);
        let heap = side.store.heap().unwrap();
        for table in 0..heap.spec().side_tables.len() {
            heap.memory_mut().side_mut(table).fill_with(|| random.next() as u8);
        }
    }
}

fn run(spec: &'static Spec, random: &mut Random, origin: &str) -> usize {
    declare(spec);
    let settings = Settings {
        verify: true,
        parallel: false,
        optimize: !random.one_in(4),
        signal_traps: !random.one_in(4),
        count_barriers: random.one_in(2),
        ..Settings::default()
    };
    let runtime = Runtime::new(settings, create).unwrap();
    let module = runtime.compile(&wat::parse_str(MODULE).unwrap()).unwrap();
    let (mut compiled, mut interpreted) = (Side::new(&runtime, &module), Side::new(&runtime, &module));
    fill_tables([&mut compiled, &mut interpreted], random);
    let mut pool = Pool { nodes: Vec::new(), lists: Vec::new() };
    let creators = ["new", "new_known", "new_fixed", "new_array", "new_set", "new_fill"];
    let others = [
        "set",
        "set_nullable",
        "set_null",
        "set_i31",
        "set_both",
        "set_at",
        "fill",
        "get",
        "get_at",
        "set_global",
        "set_slot",
    ];
    for step in 0..80 {
        let name = if step < 8 {
            creators[step % creators.len()]
        } else if random.one_in(8) {
            random.pick(&creators)
        } else {
            random.pick(&others)
        };
        let (index, i31) = (random.next() % LENGTH, random.next());
        let (a, b) = (pool.value(random), pool.value(random));
        let count = random.next() % (LENGTH - index + 1);
        let [node, list] = [&pool.nodes, &pool.lists].map(|from| from.get(random.below(from.len().max(1))).copied());
        let (node, list) = (node.unwrap_or(0), list.unwrap_or(0));
        let args: &[u32] = match name {
            "new" | "new_set" | "new_fill" => &[a, b],
            "new_known" => &[i31],
            "new_fixed" | "set_global" => &[a],
            "new_array" => &[a, LENGTH],
            "set" | "set_nullable" => &[node, a],
            "set_null" | "get" => &[node],
            "set_i31" => &[node, i31],
            "set_both" => &[node, a, b],
            "set_at" => &[list, index, a],
            "fill" => &[list, index, a, count],
            "get_at" => &[list, index],
            "set_slot" => &[index, a],
            other => unreachable!("{other}"),
        };
        if random.one_in(3) {
            // Words that decide: near addresses, small, or anything.
            let any = random.next();
            let words: [u32; 4] =
                std::array::from_fn(|_| random.pick(&[0, 1, a, node, list & 0xffff, any, 0x10000, 64 << 10]));
            for side in [&mut compiled, &mut interpreted] {
                side.store.heap().unwrap().mutator_mut().collector = words;
            }
        }
        if !spec.header.is_empty() && node != 0 {
            // What a collector does to header words between two stores: clears a bit, lowers a count, names a copy.
            let (word, value) = (4 * (1 + random.below(spec.header.len()) as u32), random.pick(&[0, 1, 2, node]));
            for side in [&mut compiled, &mut interpreted] {
                side.store.heap().unwrap().memory_mut().store_u32(node + word, value).unwrap();
            }
        }
        let what = format!(
            "step {step}, {name}{args:x?} of {origin} under {settings:?}\n{spec:?}",
            settings = runtime.compiler().settings()
        );
        let results = [compiled.call(name, args), interpreted.interpret(&module, name, args)];
        assert_eq!(results[0], results[1], "results differ after {what}");
        compare(&mut compiled, &mut interpreted, runtime.compiler().settings().count_barriers, &what);
        match name {
            "new" | "new_known" | "new_set" => pool.nodes.push(results[0]),
            "new_fixed" | "new_array" | "new_fill" => pool.lists.push(results[0]),
            _ => {}
        }
    }
    compiled.events()
}

#[test]
fn compiled_and_interpreted_barriers_do_the_same() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    match number("HEAPWRIGHT_BARRIER_SEED") {
        Some(seed) => drop(case(seed)),
        None => {
            let cases = number("HEAPWRIGHT_BARRIER_CASES").unwrap_or(150);
            let events: usize = (0..cases).map(case).sum();
            assert!(
                events as u64 > 20 * cases,
                "the programs do next to nothing: {events} slow paths in {cases} cases"
            );
        }
    }
}

/// Every barrier of the literature does the same in both.
#[test]
fn textbook_barriers_do_the_same() {
    for spec in textbook::ALL {
        spec.check().unwrap();
        let events: usize = (0..6).map(|seed| run(spec, &mut Random::new(seed), spec.name)).sum();
        let slow = spec.barriers.programs().iter().flatten().any(|program| has_slow_path(program.body));
        assert_eq!(events > 0, slow, "{}: {events} slow paths", spec.name);
    }
}

fn has_slow_path(body: &[Stmt]) -> bool {
    body.iter().any(|step| match step {
        Stmt::If(_, _, then, other) => has_slow_path(then) || has_slow_path(other),
        step => matches!(step, Stmt::Append(..) | Stmt::Call(..)),
    })
}
