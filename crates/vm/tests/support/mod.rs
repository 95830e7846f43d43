//! A small harness: wat in, calls out, under any collector.

#![allow(dead_code, reason = "each test that has it uses a part")]

use heapwright_gc_heap::{FuncType, HeapConfig, SizingPolicy, ValType};
use heapwright_jit::abi::Trap;
use heapwright_jit::{Settings, Target};
use heapwright_vm::{
    CallError, Extern, FuncId, HostCall, InstanceId, InstantiateError, LoadedModule, Runtime, Store, StoreConfig,
    ValRaw,
};
use std::sync::Arc;

/// The settings of a test: those of `interpreted.rs`, which includes the others, are the interpreter's.
pub(crate) fn settings() -> Settings {
    let target = match env!("CARGO_CRATE_NAME") {
        "interpreted" => Target::Pulley64,
        _ => Target::Native,
    };
    Settings { target, ..Settings::default() }
}

/// A runtime and a store with one collector.
pub(crate) struct World {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) store: Store,
}

impl World {
    pub(crate) fn new(collector: &str, zeal: u32) -> World {
        World::with(collector, zeal, settings())
    }

    pub(crate) fn with(collector: &str, zeal: u32, settings: Settings) -> World {
        let collector = heapwright_collectors::by_name(collector).unwrap();
        let runtime = Runtime::new(settings, collector.create).unwrap();
        let heap = HeapConfig { initial: 1 << 20, max: 256 << 20, sizing: SizingPolicy::Growing, zeal };
        let store = Store::new(
            &runtime,
            StoreConfig {
                heap,
                max_wasm_stack: 512 << 10,
                backtraces: true,
                stack_watermark: true,
                huge_pages: true,
                gc_prefetch: true,
            },
        )
        .unwrap();
        World { runtime, store }
    }

    /// Runs a test under every collector, with and without zeal.
    pub(crate) fn each(test: impl Fn(&mut World)) {
        for collector in heapwright_collectors::all() {
            for zeal in [0, 1] {
                test(&mut World::new(collector.spec.name, zeal));
            }
        }
    }

    pub(crate) fn module(&self, wat: &str) -> Arc<LoadedModule> {
        self.runtime.compile(&wat::parse_str(wat).unwrap()).unwrap()
    }

    pub(crate) fn try_instance(&mut self, wat: &str, imports: &[Extern]) -> Result<InstanceId, InstantiateError> {
        let module = self.module(wat);
        self.store.instantiate(&module, imports)
    }

    pub(crate) fn instance(&mut self, wat: &str, imports: &[Extern]) -> InstanceId {
        self.try_instance(wat, imports).unwrap()
    }

    /// A host function.
    pub(crate) fn host(
        &mut self,
        params: &[ValType],
        results: &[ValType],
        f: impl Fn(&mut HostCall<'_>, &mut [ValRaw]) -> Result<(), CallError> + Send + Sync + 'static,
    ) -> Extern {
        let ty = FuncType { params: params.into(), results: results.into() };
        let ty = self.runtime.types().register_func(&ty).unwrap();
        Extern::Func(self.store.func_new(ty, Box::new(f)).unwrap())
    }

    pub(crate) fn func(&self, instance: InstanceId, name: &str) -> FuncId {
        match self.store.instance_export(instance, name) {
            Some(Extern::Func(f)) => f,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(crate) fn call(&mut self, instance: InstanceId, name: &str, args: &[i32]) -> Result<i32, CallError> {
        call(&mut self.store, instance, name, args)
    }

    pub(crate) fn trap(&mut self, instance: InstanceId, name: &str, args: &[i32]) -> Trap {
        match self.call(instance, name, args) {
            Err(CallError::Trap(info)) => info.trap,
            other => panic!("no trap but {other:?}"),
        }
    }
}

/// Calls an export with 32-bit integers.
pub(crate) fn call(store: &mut Store, instance: InstanceId, name: &str, args: &[i32]) -> Result<i32, CallError> {
    let Some(Extern::Func(f)) = store.instance_export(instance, name) else { panic!("no function {name}") };
    let mut slots = vec![ValRaw::default(); args.len().max(8)];
    for (slot, &arg) in slots.iter_mut().zip(args) {
        *slot = ValRaw::from_i32(arg);
    }
    store.call(f, &mut slots)?;
    Ok(slots[0].i32())
}
