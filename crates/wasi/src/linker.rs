//! The way into the engine's linker.

use crate::{IMPORTS, Import, MODULE, Ty, WasiCtx};
use heapwright::{Caller, Extern, FuncType, Linker, Result, Val, ValType};

/// Defines every function of preview 1 under `wasi_snapshot_preview1`. `context` finds the context in the store's data.
/// The guest's memory is its export `memory`; without one, every pointer that it passes is out of bounds.
///
/// A guest that ends itself makes the call that runs it fail with an [`Exit`](crate::Exit) (also with code 0): look for
/// it with `error.downcast_ref::<Exit>()`. Buffered output should be sent by [`WasiCtx::flush`] when the call has
/// ended, whatever way it did; dropping the context sends it too.
///
/// # Errors
///
/// When one of the names is defined already.
///
/// ```
/// use heapwright::{Engine, Linker, Module, Store};
/// use heapwright_wasi::{Exit, WasiCtx, add_to_linker};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
///     (memory (export "memory") 1)
///     (func (export "_start") (call $exit (i32.const 3))))"#)?;
/// let mut linker = Linker::new(&engine);
/// add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
/// let mut store = Store::new(&engine, WasiCtx::builder().build()?)?;
/// let start = linker.instantiate(&mut store, &module)?.typed_func::<(), ()>(&mut store, "_start")?;
/// let error = start.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref::<Exit>(), Some(&Exit::Code(3)));
/// # Ok::<(), heapwright::Error>(())
/// ```
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    context: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    for import in IMPORTS {
        let types = |types: &[Ty]| types.iter().map(val_type).collect::<Vec<_>>();
        let ty = FuncType::new(linker.engine(), types(import.params), types(import.results));
        linker.func_new(MODULE, import.name, ty, move |caller, params, results| {
            call(import, caller, context, params, results)
        })?;
    }
    Ok(())
}

fn val_type(ty: &Ty) -> ValType {
    match ty {
        Ty::I32 => ValType::I32,
        Ty::I64 => ValType::I64,
    }
}

fn call<T: 'static>(
    import: &Import,
    mut caller: Caller<'_, T>,
    context: impl Fn(&mut T) -> &mut WasiCtx,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let mut args = [0; 16];
    for (arg, value) in args.iter_mut().zip(params) {
        *arg = match *value {
            Val::I32(v) => u64::from(v as u32),
            Val::I64(v) => v as u64,
            _ => unreachable!("the function's type has integers only"),
        };
    }
    let args = &args[..params.len()];
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let outcome = match memory {
        Some(memory) => {
            let (bytes, data) = memory.data_and_store_mut(&mut caller);
            import.invoke(context(data), bytes, args)
        }
        None => import.invoke(context(caller.data_mut()), &mut [], args),
    };
    if let (Some(errno), Some(result)) = (outcome?, results.first_mut()) {
        *result = Val::I32(errno as i32);
    }
    Ok(())
}
