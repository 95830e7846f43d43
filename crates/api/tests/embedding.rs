//! What an embedder relies on: values in and out, roots, errors with their causes, host functions that fail, panic,
//! allocate, collect and call back.

use heapwright::{
    AnyRef, ArrayRef, ArrayType, AsContextMut, Caller, Collector, Config, Engine, ExnRef, ExternRef, FieldType, Func,
    FuncType, GcHeapOutOfMemory, Global, GlobalType, I31, Instance, LinkError, Linker, Memory, MemoryType, Module,
    Mutability, OwnedRooted, Ref, RefType, Result, RootScope, Rooted, StorageType, Store, StructRef, StructType, Table,
    TableType, Tag, TagType, ThrownException, Trap, TrapCode, Val, ValType, WasmBacktrace,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs a test under every collector, at rest and collecting at every allocation, as machine code and as bytecode.
fn everywhere(test: impl Fn(&Engine) -> Result<()>) -> Result<()> {
    for collector in Collector::all() {
        for (zeal, target) in [(0, None), (1, None), (0, Some("pulley64")), (1, Some("pulley64"))] {
            let mut config = Config::new();
            config.collector(collector).zeal(zeal);
            if let Some(target) = target {
                config.target(target)?;
            }
            let engine = Engine::new(&config)?;
            test(&engine).map_err(|e| e.context(format!("{} with zeal {zeal}, {target:?}", collector.name())))?;
        }
    }
    Ok(())
}

#[test]
fn targets_are_this_machine_and_the_interpreter() -> Result<()> {
    for wrong in ["", "pulley32", "aarch64-apple-darwin", "x86-64", "native"] {
        let error = Config::new().target(wrong).map(|_| ()).expect_err(wrong).to_string();
        assert!(error.contains(&format!("`{wrong}`")) && error.contains("`pulley64`"), "{error}");
    }
    for right in ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl", "pulley64"] {
        Engine::new(Config::new().target(right)?)?;
    }
    Engine::new(Config::new().target("pulley64")?.signals_based_traps(false))?;
    let error = Engine::new(Config::new().signals_based_traps(true).target("pulley64")?).expect_err("no signals");
    assert!(error.to_string().contains("signals"), "{error}");
    Ok(())
}

fn load<T>(store: &mut Store<T>, text: &str) -> Result<Instance> {
    let module = Module::new(store.engine(), text)?;
    Instance::new(store, &module, &[])
}

fn field(ty: ValType) -> FieldType {
    FieldType::new(Mutability::Var, StorageType::ValType(ty))
}

#[test]
fn a_trap_names_its_reason_and_its_frames() -> Result<()> {
    let mut store = Store::new(&Engine::default(), ())?;
    let instance = load(
        &mut store,
        r#"(module $m
             (func $inner (result i32) (i32.div_s (i32.const 1) (i32.const 0)))
             (func $outer (export "run") (result i32) (call $inner)))"#,
    )?;
    let error = instance.typed_func::<(), i32>(&mut store, "run")?.call(&mut store, ()).unwrap_err();
    let trap = error.downcast_ref::<Trap>().expect("a trap");
    assert_eq!(trap.code(), TrapCode::IntegerDivideByZero);
    assert_eq!(trap.to_string(), "integer divide by zero");
    let frames = trap.backtrace().frames();
    let names: Vec<_> = frames.iter().map(|f| f.func_name()).collect();
    assert_eq!(names, [Some("inner"), Some("outer")]);
    assert!(frames.iter().all(|f| f.module().name() == Some("m") && f.module_offset().is_some()));
    Ok(())
}

#[test]
fn roots_end_with_their_scope_and_know_their_store() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let mut other = Store::new(engine, ())?;
        let kept: OwnedRooted<ExternRef>;
        let dead = {
            let mut scope = RootScope::new(&mut store);
            let value = ExternRef::new(&mut scope, 7u32)?;
            kept = value.to_owned_rooted(&mut scope)?;
            value
        };
        assert!(dead.data(&store).unwrap_err().to_string().contains("scope has ended"));
        store.gc(None)?;
        let again = kept.to_rooted(&mut store)?;
        assert_eq!(again.data(&store)?.and_then(|d| d.downcast_ref::<u32>()), Some(&7));
        assert!(again.data(&other).unwrap_err().to_string().contains("wrong store"));
        assert!(kept.to_rooted(&mut other).is_err());
        Ok(())
    })
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn host_values_are_dropped_exactly_once() -> Result<()> {
    everywhere(|engine| {
        let drops = Arc::new(AtomicUsize::new(0));
        let mut store = Store::new(engine, ())?;
        let instance = load(
            &mut store,
            r#"(module (global $g (mut externref) (ref.null extern))
                 (func (export "keep") (param externref) (global.set $g (local.get 0))))"#,
        )?;
        let keep = instance.typed_func::<Option<Rooted<ExternRef>>, ()>(&mut store, "keep")?;
        for _ in 0..10 {
            let mut scope = RootScope::new(&mut store);
            let value = ExternRef::new(&mut scope, Counted(drops.clone()))?;
            keep.call(&mut scope, Some(value))?;
        }
        store.gc(None)?;
        let frees = engine.collector().spec().needs_roots;
        assert_eq!(drops.load(Ordering::Relaxed), if frees { 9 } else { 0 });
        drop(store);
        assert_eq!(drops.load(Ordering::Relaxed), 10);
        Ok(())
    })
}

#[test]
fn structs_and_arrays_from_the_host() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let node = StructType::new(engine, [field(ValType::I64), field(ValType::ANYREF)])?;
        let mut list: Option<Rooted<AnyRef>> = None;
        for i in 0..100 {
            let fields = [Val::I64(i), Val::AnyRef(list)];
            list = Some(StructRef::new(&mut store, &node, &fields)?.to_anyref());
        }
        store.gc(None)?;
        let mut seen = Vec::new();
        while let Some(at) = list {
            let at = at.as_struct(&mut store)?.expect("a node");
            assert!(at.ty(&mut store)? == node);
            seen.push(at.field(&mut store, 0)?.unwrap_i64());
            list = at.field(&mut store, 1)?.unwrap_anyref();
        }
        assert_eq!(seen, (0..100).rev().collect::<Vec<_>>());

        let bytes = ArrayType::new(engine, FieldType::new(Mutability::Var, StorageType::I8))?;
        let array = ArrayRef::new(&mut store, &bytes, &Val::I32(-1), 5)?;
        array.set(&mut store, 2, Val::I32(0x1234 & 0xff))?;
        array.fill(&mut store, 3, Val::I32(1), 2)?;
        assert_eq!(array.to_vec::<u8>(&mut store)?, [255, 255, 0x34, 1, 1]);
        assert_eq!(array.get(&mut store, 0)?.unwrap_i32(), 255);
        assert_eq!(array.len(&mut store)?, 5);
        Ok(())
    })
}

#[test]
fn mistakes_with_objects_are_errors() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ())?;
    let constant = FieldType::new(Mutability::Const, StorageType::ValType(ValType::I32));
    let ty = StructType::new(&engine, [constant, field(ValType::ANYREF)])?;
    let object = StructRef::new(&mut store, &ty, &[Val::I32(1), Val::AnyRef(None)])?;

    assert!(StructRef::new(&mut store, &ty, &[Val::I32(1)]).is_err(), "too few fields");
    assert!(StructRef::new(&mut store, &ty, &[Val::I64(1), Val::AnyRef(None)]).is_err(), "wrong type");
    assert!(object.set_field(&mut store, 0, Val::I32(2)).is_err(), "immutable");
    assert!(object.set_field(&mut store, 1, Val::I32(2)).is_err(), "wrong type");
    assert!(object.field(&mut store, 2).is_err(), "no such field");
    assert!(object.set_field(&mut store, 1, Val::ExternRef(None)).is_err(), "another hierarchy");

    let array_type = ArrayType::new(&engine, field(ValType::Ref(RefType::new(true, heapwright::HeapType::I31))))?;
    let array = ArrayRef::new(&mut store, &array_type, &Val::AnyRef(None), 3)?;
    assert!(array.get(&mut store, 3).is_err(), "out of bounds");
    assert!(array.fill(&mut store, 2, Val::AnyRef(None), 2).is_err(), "out of bounds");
    assert!(array.set(&mut store, 0, object.into()).is_err(), "no i31");
    let i31 = Val::i31(&mut store, I31::wrapping_i32(-5))?;
    array.set(&mut store, 0, i31)?;
    let read = array.get(&mut store, 0)?.unwrap_anyref().expect("an i31");
    assert_eq!(read.as_i31(&store)?.map(I31::get_i32), Some(-5));

    let other = Engine::default();
    let mut elsewhere = Store::new(&other, ())?;
    assert!(StructRef::new(&mut elsewhere, &ty, &[Val::I32(1), Val::AnyRef(None)]).is_err(), "another engine");
    Ok(())
}

#[test]
fn host_functions_allocate_collect_and_call_back() -> Result<()> {
    everywhere(|engine| {
        let module = Module::new(
            engine,
            r#"(module
                 (type $pair (struct (field anyref) (field anyref)))
                 (import "host" "make" (func $make (param i32) (result anyref)))
                 (func (export "leaf") (param i32) (result anyref) (ref.i31 (local.get 0)))
                 (func (export "tree") (param $depth i32) (result anyref)
                   (if (result anyref) (i32.eqz (local.get $depth))
                     (then (ref.i31 (i32.const 1)))
                     (else (struct.new $pair
                       (call $make (i32.sub (local.get $depth) (i32.const 1)))
                       (call $make (i32.sub (local.get $depth) (i32.const 1)))))))
                 (func $count (export "count") (param $t anyref) (result i32)
                   (local $p (ref null $pair))
                   (if (result i32) (ref.test (ref i31) (local.get $t))
                     (then (i31.get_s (ref.cast (ref i31) (local.get $t))))
                     (else
                       (local.set $p (ref.cast (ref $pair) (local.get $t)))
                       (i32.add
                         (call $count (struct.get $pair 0 (local.get $p)))
                         (call $count (struct.get $pair 1 (local.get $p))))))))"#,
        )?;
        let mut linker = Linker::<()>::new(engine);
        // Calls back into the guest from within the guest's own construction of a tree, and collects on the way.
        linker.func_wrap("host", "make", |mut caller: Caller<'_, ()>, depth: i32| {
            caller.gc()?;
            let tree =
                caller.get_export("tree").and_then(heapwright::Extern::into_func).expect("the caller exports it");
            let tree = tree.typed::<i32, Option<Rooted<AnyRef>>>(&mut caller)?;
            let made = tree.call(&mut caller, depth)?;
            caller.gc()?;
            Ok(made)
        })?;
        let mut store = Store::new(engine, ())?;
        let instance = linker.instantiate(&mut store, &module)?;
        let tree = instance.typed_func::<i32, Option<Rooted<AnyRef>>>(&mut store, "tree")?;
        let count = instance.typed_func::<Option<Rooted<AnyRef>>, i32>(&mut store, "count")?;
        let made = tree.call(&mut store, 5)?;
        assert_eq!(count.call(&mut store, made)?, 32);
        Ok(())
    })
}

#[test]
fn a_host_error_comes_out_as_it_went_in() -> Result<()> {
    #[derive(Debug, PartialEq)]
    struct Mine(u32);
    impl std::fmt::Display for Mine {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "mine {}", self.0)
        }
    }
    impl std::error::Error for Mine {}

    let engine = Engine::default();
    let module = Module::new(
        &engine,
        r#"(module (import "" "fail" (func $fail (param i32)))
             (func $named (export "run") (try_table (catch_all 0) (call $fail (i32.const 9)))))"#,
    )?;
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("", "fail", |n: u32| -> Result<()> { Err(Mine(n).into()) })?;
    let mut store = Store::new(&engine, ())?;
    let run = linker.instantiate(&mut store, &module)?.typed_func::<(), ()>(&mut store, "run")?;
    // It is no WebAssembly exception: catch_all does not see it.
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Mine>(), Some(&Mine(9)));
    let trace = error.downcast_ref::<WasmBacktrace>().expect("the frames below the host function");
    assert_eq!(trace.frames()[0].func_name(), Some("named"));
    Ok(())
}

#[test]
fn a_host_panic_passes_through_the_guest() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, r#"(module (import "" "p" (func $p)) (func (export "run") (call $p)))"#)?;
    let mut linker = Linker::<u32>::new(&engine);
    linker.func_wrap("", "p", |mut caller: Caller<'_, u32>| {
        *caller.data_mut() += 1;
        if *caller.data() == 1 {
            std::panic::panic_any("contained");
        }
    })?;
    let mut store = Store::new(&engine, 0)?;
    let run = linker.instantiate(&mut store, &module)?.typed_func::<(), ()>(&mut store, "run")?;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.call(&mut store, ())));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"contained"));
    run.call(&mut store, ())?;
    assert_eq!(*store.data(), 2);
    Ok(())
}

#[test]
fn exceptions_cross_the_host_in_both_directions() -> Result<()> {
    everywhere(|engine| {
        let module = Module::new(
            engine,
            r#"(module
                 (import "host" "tag" (tag $t (param i32 externref)))
                 (import "host" "throw" (func $throw (param i32)))
                 (func (export "catches") (param i32) (result i32 externref)
                   (block $b (result i32 externref)
                     (try_table (catch $t $b) (call $throw (local.get 0)))
                     (i32.const -1) (ref.null extern)))
                 (func (export "throws") (param i32 externref)
                   (throw $t (local.get 0) (local.get 1))))"#,
        )?;
        let mut store = Store::new(engine, ())?;
        let tag = Tag::new(&mut store, &TagType::new(FuncType::new(engine, [ValType::I32, ValType::EXTERNREF], [])))?;
        let mut linker = Linker::<()>::new(engine);
        linker.define("host", "tag", tag)?;
        linker.func_wrap("host", "throw", move |mut caller: Caller<'_, ()>, n: i32| -> Result<()> {
            let payload = ExternRef::new(&mut caller, "payload")?;
            let exception = ExnRef::new(&mut caller, &tag, &[Val::I32(n), payload.into()])?;
            Err(ThrownException::new(exception.to_owned_rooted(&mut caller)?).into())
        })?;
        let instance = linker.instantiate(&mut store, &module)?;

        let catches = instance.typed_func::<i32, (i32, Option<Rooted<ExternRef>>)>(&mut store, "catches")?;
        let (n, payload) = catches.call(&mut store, 5)?;
        let payload = payload.expect("a payload");
        assert_eq!(n, 5);
        assert_eq!(payload.data(&store)?.and_then(|d| d.downcast_ref::<&str>()), Some(&"payload"));

        let throws = instance.typed_func::<(i32, Option<Rooted<ExternRef>>), ()>(&mut store, "throws")?;
        let error = throws.call(&mut store, (6, Some(payload))).unwrap_err();
        let thrown =
            error.downcast_ref::<ThrownException>().expect("an exception").exception().to_rooted(&mut store)?;
        assert!(thrown.tag(&mut store)? == tag);
        store.gc(None)?;
        let fields = thrown.fields(&mut store)?;
        assert_eq!(fields[0].unwrap_i32(), 6);
        let carried = fields[1].unwrap_externref().expect("a payload");
        assert!(Rooted::ref_eq(&store, &carried, &payload)?);
        Ok(())
    })
}

#[test]
fn a_full_heap_is_an_error_and_the_store_goes_on() -> Result<()> {
    for collector in Collector::all() {
        let engine = Engine::new(Config::new().collector(collector).initial_heap(1 << 20).max_heap(8 << 20))?;
        let mut store = Store::new(&engine, ())?;
        let instance = load(
            &mut store,
            r#"(module (type $n (struct (field (ref null $n)) (field i64 i64 i64)))
                 (global $list (mut (ref null $n)) (ref.null $n))
                 (func (export "fill") (loop $l
                   (global.set $list (struct.new $n (global.get $list) (i64.const 1) (i64.const 2) (i64.const 3)))
                   (br $l)))
                 (func (export "clear") (global.set $list (ref.null $n)))
                 (func (export "small") (result i32) (ref.is_null (struct.new_default $n))))"#,
        )?;
        let error = instance.typed_func::<(), ()>(&mut store, "fill")?.call(&mut store, ()).unwrap_err();
        let full = error.downcast_ref::<GcHeapOutOfMemory>().unwrap_or_else(|| panic!("{error:?}"));
        assert!(full.live > 1 << 20 && full.live <= full.max && full.max <= 8 << 20, "{full}");
        assert!(!full.backtrace.frames().is_empty());
        instance.typed_func::<(), ()>(&mut store, "clear")?.call(&mut store, ())?;
        if collector.spec().needs_roots {
            let small = instance.typed_func::<(), i32>(&mut store, "small")?;
            for _ in 0..1000 {
                assert_eq!(small.call(&mut store, ())?, 0);
            }
        }
    }
    Ok(())
}

#[test]
fn linking_errors_name_the_import() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, r#"(module (import "env" "f" (func (param i32))))"#)?;
    let mut store = Store::new(&engine, ())?;
    let mut linker = Linker::<()>::new(&engine);
    let missing = linker.instantiate(&mut store, &module).unwrap_err();
    let missing = missing.downcast_ref::<LinkError>().expect("a link error");
    assert_eq!((missing.module.as_str(), missing.name.as_str(), missing.got.is_none()), ("env", "f", true));
    linker.func_wrap("env", "f", |_: i64| {})?;
    let wrong = linker.instantiate(&mut store, &module).unwrap_err();
    let wrong = wrong.downcast_ref::<LinkError>().expect("a link error");
    assert!(wrong.got.is_some(), "{wrong}");
    assert!(linker.func_wrap("env", "f", || {}).is_err(), "defined twice");
    Ok(())
}

#[test]
fn bad_modules_are_errors_with_offsets() {
    let engine = Engine::default();
    let valid = wat::parse_str("(module (func (export \"f\") (result i32) i32.const 1))").expect("valid text");
    for cut in 0..valid.len() {
        // Some prefixes end after a section and are modules of their own; none may panic.
        let _ = Module::from_binary(&engine, &valid[..cut]);
    }
    let error = Module::from_binary(&engine, &valid[..valid.len() - 1]).unwrap_err().to_string();
    assert!(error.contains("at offset 0x"), "{error}");
    let threads = Module::new(&engine, "(module (memory 1 1 shared))").unwrap_err().to_string();
    assert!(threads.contains("threads"), "{threads}");
    assert!(Module::from_binary(&engine, b"hello").is_err());
    assert!(Module::from_binary(&engine, b"\0asm\x0d\0\x01\0").unwrap_err().to_string().contains("component"));
}

#[test]
fn memories_tables_and_globals_from_the_host() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ())?;
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(2)))?;
    memory.write(&mut store, 65_530, b"abcdef")?;
    assert!(memory.write(&mut store, 65_531, b"abcdef").is_err());
    assert_eq!(memory.grow(&mut store, 1)?, 1);
    assert!(memory.grow(&mut store, 1).is_err());
    let mut read = [0; 6];
    memory.read(&store, 65_530, &mut read)?;
    assert_eq!(&read, b"abcdef");
    assert_eq!(memory.data(&store).len(), 2 << 16);

    let func = Func::wrap(&mut store, |a: i32, b: i32| a + b)?;
    let table = Table::new(
        &mut store,
        TableType::new(RefType::new(true, heapwright::HeapType::Func), 2, Some(3)),
        Ref::Func(None),
    )?;
    table.set(&mut store, 1, Ref::Func(Some(func)))?;
    assert!(matches!(table.get(&mut store, 1)?, Some(Ref::Func(Some(f))) if f == func));
    assert!(table.get(&mut store, 2)?.is_none());
    assert!(table.set(&mut store, 2, Ref::Func(None)).is_err());
    assert_eq!(table.grow(&mut store, 1, Ref::Func(Some(func)))?, 2);
    assert!(table.grow(&mut store, 1, Ref::Func(None)).is_err());
    assert!(table.set(&mut store, 0, Ref::Extern(None)).is_err());

    let global = Global::new(&mut store, GlobalType::new(ValType::I64, Mutability::Var), Val::I64(3))?;
    global.set(&mut store, Val::I64(4))?;
    assert_eq!(global.get(&mut store)?.unwrap_i64(), 4);
    assert!(global.set(&mut store, Val::I32(4)).is_err());
    let constant = Global::new(&mut store, GlobalType::new(ValType::I64, Mutability::Const), Val::I64(3))?;
    assert!(constant.set(&mut store, Val::I64(4)).is_err());

    let mut result = [Val::I32(0)];
    func.call(&mut store, &[Val::I32(2), Val::I32(3)], &mut result)?;
    assert_eq!(result[0].unwrap_i32(), 5);
    assert!(func.call(&mut store, &[Val::I32(2)], &mut result).is_err(), "too few arguments");
    assert!(func.call(&mut store, &[Val::I32(2), Val::I64(3)], &mut result).is_err(), "wrong type");
    assert!(func.typed::<i64, i64>(&mut store).is_err());
    Ok(())
}

#[test]
fn stack_overflow_is_a_trap_and_nothing_else() -> Result<()> {
    let mut store = Store::new(&Engine::default(), ())?;
    let instance = load(
        &mut store,
        r#"(module (func $f (export "run") (param i32) (result i32)
             (i32.add (i32.const 1) (call $f (i32.add (local.get 0) (i32.const 1))))))"#,
    )?;
    let run = instance.typed_func::<i32, i32>(&mut store, "run")?;
    for _ in 0..3 {
        let error = run.call(&mut store, 0).unwrap_err();
        let trap = error.downcast_ref::<Trap>().expect("a trap");
        assert_eq!(trap.code(), TrapCode::StackOverflow);
        assert!(trap.backtrace().omitted() > 0);
    }
    Ok(())
}

#[test]
fn stores_and_modules_cross_threads() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(
        &engine,
        r#"(module (type $n (struct (field (mut i32)) (field (ref null $n))))
             (func (export "run") (param $count i32) (result i32)
               (local $list (ref null $n)) (local $sum i32)
               (loop $l
                 (local.set $list (struct.new $n (local.get $count) (local.get $list)))
                 (br_if $l (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
               (loop $l
                 (local.set $sum (i32.add (local.get $sum) (struct.get $n 0 (local.get $list))))
                 (br_if $l (i32.eqz (ref.is_null (local.tee $list (struct.get $n 1 (local.get $list)))))))
               (local.get $sum)))"#,
    )?;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (engine, module) = (engine.clone(), module.clone());
            std::thread::spawn(move || -> Result<i32> {
                let mut store = Store::new(&engine, ())?;
                let instance = Instance::new(&mut store, &module, &[])?;
                let run = instance.typed_func::<i32, i32>(&mut store, "run")?;
                for _ in 0..20 {
                    run.call(&mut store, 1000)?;
                }
                store.as_context_mut().gc()?;
                run.call(&mut store, 1000)
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic")?, 500_500);
    }
    Ok(())
}
