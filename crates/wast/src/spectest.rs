//! What scripts can import: the module `spectest` of the specification's interpreter, and `wasmtime.gc`.

use crate::Options;
use heapwright::{
    Caller, Engine, Extern, Global, GlobalType, HeapType, Linker, Memory, MemoryType, Mutability, Ref, RefType, Result,
    Store, Table, TableType, Val, ValType,
};
use std::io::Write;

/// The host's modules, made for one store.
pub(crate) fn hosts(engine: &Engine, store: &mut Store<()>, options: &Options) -> Result<Linker<()>> {
    let mut linker = Linker::new(engine);
    functions(&mut linker, options.print)?;

    let globals = [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", 666.6f32.into()),
        ("global_f64", 666.6f64.into()),
    ];
    for (name, value) in globals {
        let ty = match value {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            _ => ValType::F64,
        };
        linker.define("spectest", name, Global::new(&mut *store, GlobalType::new(ty, Mutability::Const), value)?)?;
    }

    let funcref = RefType::new(true, HeapType::Func);
    let table = Table::new(&mut *store, TableType::new(funcref.clone(), 10, Some(20)), Ref::Func(None))?;
    linker.define("spectest", "table", table)?;
    let table = Table::new(&mut *store, TableType::new64(funcref, 10, Some(20)), Ref::Func(None))?;
    linker.define("spectest", "table64", table)?;
    let memory: Extern = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?.into();
    linker.define("spectest", "memory", memory)?;

    linker.func_wrap("wasmtime", "gc", |mut caller: Caller<'_, ()>| caller.gc())?;
    Ok(linker)
}

fn functions(linker: &mut Linker<()>, print: bool) -> Result<()> {
    // Output that nobody takes is no reason for a script to fail.
    let line = move |values: std::fmt::Arguments<'_>| {
        if print {
            let _ = writeln!(std::io::stdout(), "{values}");
        }
    };
    linker.func_wrap("spectest", "print", move || line(format_args!("")))?;
    linker.func_wrap("spectest", "print_i32", move |a: i32| line(format_args!("{a} : i32")))?;
    linker.func_wrap("spectest", "print_i64", move |a: i64| line(format_args!("{a} : i64")))?;
    linker.func_wrap("spectest", "print_f32", move |a: f32| line(format_args!("{a} : f32")))?;
    linker.func_wrap("spectest", "print_f64", move |a: f64| line(format_args!("{a} : f64")))?;
    linker.func_wrap("spectest", "print_i32_f32", move |a: i32, b: f32| line(format_args!("{a} : i32\n{b} : f32")))?;
    linker.func_wrap("spectest", "print_f64_f64", move |a: f64, b: f64| line(format_args!("{a} : f64\n{b} : f64")))?;
    Ok(())
}
