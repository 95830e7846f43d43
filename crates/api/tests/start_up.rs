//! Modules whose start-up has broken engines: thousands of globals that are initialised by GC constant expressions.

use heapwright::{
    Collector, Config, Engine, Extern, ExternRef, ExternType, Func, Global, HeapType, Instance, Memory, Module, Ref,
    Result, Store, Table, Tag, Val, ValType,
};
use std::fmt::Write as _;

fn engine(collector: Collector) -> Result<Engine> {
    Engine::new(Config::new().collector(collector))
}

/// A value of the type: zero, null, or a fresh host value where null is not allowed.
fn some_value(store: &mut Store<()>, ty: &ValType) -> Result<Val> {
    Ok(match (Val::default_for(ty), ty) {
        (Some(value), _) => value,
        (None, ValType::Ref(r)) if matches!(r.heap_type(), HeapType::Extern) => ExternRef::new(store, "stub")?.into(),
        (None, other) => panic!("no stub value of type {other}"),
    })
}

/// Something that satisfies an import. Functions trap.
fn stub(store: &mut Store<()>, name: &str, ty: ExternType) -> Result<Extern> {
    Ok(match ty {
        ExternType::Func(ty) => {
            let name = name.to_owned();
            Func::new(store, ty, move |_, _, _| Err(heapwright::Error::msg(format!("{name} was called"))))?.into()
        }
        ExternType::Global(ty) => {
            let value = some_value(store, ty.content())?;
            Global::new(store, ty, value)?.into()
        }
        ExternType::Table(ty) => Table::new(store, ty, Ref::Func(None))?.into(),
        ExternType::Memory(ty) => Memory::new(store, ty)?.into(),
        ExternType::Tag(ty) => Tag::new(store, &ty)?.into(),
    })
}

fn instantiate_with_stubs(engine: &Engine, module: &Module) -> Result<(Store<()>, Instance)> {
    let mut store = Store::new(engine, ())?;
    let imports = module
        .imports()
        .map(|i| stub(&mut store, &format!("{}::{}", i.module(), i.name()), i.ty()))
        .collect::<Result<Vec<_>>>()?;
    let instance = Instance::new(&mut store, module, &imports)?;
    Ok((store, instance))
}

/// A published dart2wasm module: 4,375 functions, 3,058 globals with constant expressions, legacy exceptions.
#[test]
fn dart_module_compiles_whole_and_instantiates() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/corpus/dart/dart_fmt.wasm");
    for collector in Collector::all() {
        let engine = engine(collector)?;
        let module = Module::from_file(&engine, path)?;
        let (mut store, instance) = instantiate_with_stubs(&engine, &module)?;
        assert!(!instance.exports(&mut store).is_empty());
        store.gc(None)?;
    }
    Ok(())
}

/// 50,000 globals, each a struct that refers to the one before.
#[test]
fn fifty_thousand_gc_globals() -> Result<()> {
    const COUNT: usize = 50_000;
    let mut text = String::from("(module (type $t (struct (field i32) (field (ref null $t)) (field (ref $a))))\n");
    text.push_str("(type $a (array i8))\n(global $g0 (ref $t) (struct.new $t (i32.const 0) (ref.null $t) (array.new_fixed $a 1 (i32.const 1))))\n");
    for i in 1..COUNT {
        writeln!(
            text,
            "(global $g{i} (ref $t) (struct.new $t (i32.const {i}) (global.get $g{}) (array.new_fixed $a 2 (i32.const 1) (i32.const 2))))",
            i - 1
        )?;
    }
    // Follows the chain from the last global and adds up the numbers.
    write!(
        text,
        r#"(func (export "sum") (result i64) (local $p (ref null $t)) (local $sum i64)
             (local.set $p (global.get $g{}))
             (loop $next
               (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (struct.get $t 0 (local.get $p)))))
               (br_if $next (i32.eqz (ref.is_null (local.tee $p (struct.get $t 1 (local.get $p)))))))
             (local.get $sum)))"#,
        COUNT - 1
    )?;
    let bytes = wat::parse_str(text.replace("(type $t (struct", "(rec (type $t (struct").replacen(
        "(type $a (array i8))",
        "(type $a (array i8)))",
        1,
    ))?;
    for collector in Collector::all() {
        let engine = engine(collector)?;
        let module = Module::from_binary(&engine, &bytes)?;
        let (mut store, instance) = instantiate_with_stubs(&engine, &module)?;
        store.gc(None)?;
        let sum = instance.typed_func::<(), i64>(&mut store, "sum")?.call(&mut store, ())?;
        assert_eq!(sum, (0..COUNT as i64).sum::<i64>(), "under {}", collector.name());
    }
    Ok(())
}
