//! Where attacks take place: an engine, the programs, and witnesses of what must not change.

use super::attack::Attack;
use super::probe::{look, probe};
use super::{Ending, Host, Token, ending};
use heapwright::{
    AnyRef, ArrayRef, ArrayRefPre, AsContextMut, Caller, Collector, Config, Engine, Extern, ExternRef, HeapType, I31,
    InstanceAllocationStrategy, Linker, Memory, MemoryType, Module, PoolingAllocationConfig, Ref, RefType, Result,
    RootScope, Rooted, SizingPolicy, Store, StringEncoding, Table, TableType, Val,
};
use heapwright_fuzzing::samples::cell_sweep;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How code is made and run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Backend {
    /// Machine code whose null accesses fault.
    Signals,
    /// Machine code with explicit checks.
    Checks,
    /// Bytecode.
    Pulley,
}

/// The heap of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Room {
    /// Half a mebibyte.
    Fixed,
    /// It grows to two mebibytes, and its memory comes from a pool.
    Growing,
    /// The same without a pool, and collected and verified at every fifth allocation.
    Zeal,
}

/// An engine's settings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Setting {
    /// The collector's place among those that are attacked.
    pub collector: usize,
    /// How code is made.
    pub backend: Backend,
    /// Whether the optimiser runs.
    pub optimize: bool,
    /// The heap.
    pub room: Room,
}

/// Whose heaps are attacked: every collector that there is, and one with free lists.
fn collectors() -> Vec<Collector> {
    Collector::all().chain([Collector::from_registration(&cell_sweep::REGISTRATION)]).collect()
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.collector_name();
        write!(f, "{name} {:?} {:?} {}", self.backend, self.room, if self.optimize { "opt" } else { "no-opt" })
    }
}

impl Setting {
    /// Every setting.
    pub fn all() -> Vec<Setting> {
        let mut all = Vec::new();
        for room in [Room::Fixed, Room::Growing, Room::Zeal] {
            for backend in [Backend::Signals, Backend::Checks, Backend::Pulley] {
                for optimize in [true, false] {
                    for collector in 0..collectors().len() {
                        all.push(Setting { collector, backend, optimize, room });
                    }
                }
            }
        }
        all
    }

    /// The collector's name.
    pub fn collector_name(&self) -> &'static str {
        self.collector().name()
    }

    fn collector(&self) -> Collector {
        collectors().get(self.collector).copied().unwrap_or_default()
    }

    fn max_heap(&self) -> u64 {
        if self.room == Room::Fixed { 512 << 10 } else { 2 << 20 }
    }

    fn engine(&self) -> Result<Engine> {
        let mut config = Config::new();
        if self.backend == Backend::Pulley {
            config.target("pulley64")?;
        } else {
            config.signals_based_traps(self.backend == Backend::Signals);
        }
        config.collector(self.collector());
        config.optimize(self.optimize).parallel_compilation(false).consume_fuel(true);
        config.max_wasm_stack(256 << 10).max_heap(self.max_heap());
        config.initial_heap(if self.room == Room::Fixed { self.max_heap() } else { 0 });
        config.heap_policy(if self.room == Room::Fixed { SizingPolicy::Fixed } else { SizingPolicy::Growing });
        config.zeal(if self.room == Room::Zeal { 5 } else { 0 });
        if self.room == Room::Growing {
            let mut pool = PoolingAllocationConfig::new();
            pool.total_gc_heaps(3).total_core_instances(8).total_memories(8).total_tables(32);
            pool.max_memory_size(4 << 20).max_tables_per_module(8);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        Engine::new(&config)
    }
}

/// An engine with its modules, and a store that nobody attacks.
pub(super) struct Scene {
    pub(super) setting: Setting,
    pub(super) engine: Engine,
    pub(super) programs: Module,
    pub(super) linker: Linker<Host>,
    clean: Module,
    bystander: Store<Host>,
    /// What the bystander looked like at first.
    before: u64,
}

/// What must not change in the attacked store itself: a memory and a table that the guest knows nothing of.
pub(super) struct Canaries {
    memory: Memory,
    table: Table,
}

const CANARY_BYTE: u8 = 0x5A;
/// Objects that the host keeps.
const MOST_KEPT: usize = 8;
const CANARY_SLOTS: u64 = 100;

impl Scene {
    pub(super) fn new(setting: Setting) -> Result<Scene> {
        let engine = setting.engine()?;
        let programs = Module::new(&engine, include_str!("programs.wat"))?;
        let clean = Module::new(&engine, include_str!("clean.wat"))?;
        let linker = linker(&engine)?;
        let mut bystander = Store::new(&engine, Host::default())?;
        run_clean(&mut bystander, &linker, &clean, 60)?;
        let mut scene = Scene { setting, engine, programs, linker, clean, bystander, before: 0 };
        scene.before = scene.bystander_hash()?;
        Ok(scene)
    }

    /// Lays canaries into a store.
    pub(super) fn canaries(&self, store: &mut Store<Host>) -> Result<Canaries> {
        let memory = Memory::new(&mut *store, MemoryType::new(1, Some(1)))?;
        memory.data_mut(store).fill(CANARY_BYTE);
        let any = RefType::new(true, HeapType::Any);
        let table = Table::new(&mut *store, TableType::new(any, CANARY_SLOTS as u32, None), Ref::Any(None))?;
        for slot in 0..CANARY_SLOTS {
            let i31 = AnyRef::from_i31(&mut *store, I31::wrapping_u32(slot as u32));
            table.set(&mut *store, slot, Ref::Any(Some(i31)))?;
        }
        Ok(Canaries { memory, table })
    }

    /// Looks after everything that an attack on `store` must have left alone.
    ///
    /// # Errors
    ///
    /// What has changed.
    pub(super) fn inspect(&mut self, store: &mut Store<Host>, canaries: &Canaries) -> Result<(), String> {
        let max = self.setting.max_heap();
        if let Some(heap) = store.as_context_mut().heap_under_attack() {
            let memory = heap.memory();
            if heap.capacity() > max || memory.usable() > max {
                return Err(format!("the heap has {} bytes committed: its limit is {max}", memory.usable()));
            }
            if !memory.canaries_intact() {
                return Err("memory beside the heap's reservation was written".into());
            }
        }
        if canaries.memory.data(&*store).iter().any(|byte| *byte != CANARY_BYTE) {
            return Err("a linear memory that the guest does not know was written".into());
        }
        let mut scope = RootScope::new(&mut *store);
        for slot in 0..CANARY_SLOTS {
            let value = canaries.table.get(&mut scope, slot).map_err(|e| format!("the canary's table: {e:?}"))?;
            let Some(Ref::Any(Some(value))) = value else { return Err("a table lost an element".into()) };
            let number = value.as_i31(&mut scope).map_err(|e| format!("the canary's table: {e:?}"))?;
            if number.map(I31::get_u32) != Some(slot as u32) {
                return Err("a table that the guest does not know was written".into());
            }
        }
        drop(scope);
        match self.bystander_hash() {
            Ok(hash) if hash == self.before => Ok(()),
            Ok(_) => Err("another store's heap, memory or table has changed".into()),
            Err(e) => Err(format!("another store: {e:?}")),
        }
    }

    /// Runs a clean program in a fresh store.
    pub(super) fn fresh(&self) -> Result<(), String> {
        let mut store = Store::new(&self.engine, Host::default()).map_err(|e| format!("a fresh store: {e:?}"))?;
        run_clean(&mut store, &self.linker, &self.clean, 100).map_err(|e| format!("in a fresh store: {e:?}"))
    }

    /// The words of the type space.
    pub(super) fn type_words(store: &mut Store<Host>) -> Vec<u32> {
        store.as_context_mut().heap_under_attack().map_or(Vec::new(), |heap| heap.types().space().words())
    }

    fn bystander_hash(&mut self) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        let store = &mut self.bystander;
        if let Some(heap) = store.as_context_mut().heap_under_attack() {
            let memory = heap.memory();
            memory.canaries_intact().hash(&mut hasher);
            memory.slice(heapwright_gc_heap::NULL_PAGE_BYTES, memory.usable())?.hash(&mut hasher);
            (0..heapwright_gc_heap::NUM_SIDE_TABLES).for_each(|i| memory.side(i).hash(&mut hasher));
        }
        for instance in store.data().instances.clone() {
            if let Some(memory) = instance.get_memory(&mut *store, "memory") {
                memory.data(&*store).hash(&mut hasher);
            }
            let Some(table) = instance.get_export(&mut *store, "t").and_then(Extern::into_table) else { continue };
            let mut scope = RootScope::new(&mut *store);
            for slot in 0..table.size(&scope) {
                if let Some(Ref::Any(Some(r))) = table.get(&mut scope, slot)?
                    && let Some(object) = r.as_struct(&mut scope)?
                {
                    object.field(&mut scope, 0)?.i32().hash(&mut hasher);
                }
            }
        }
        Ok(hasher.finish())
    }
}

/// Runs the clean program and checks its result.
fn run_clean(store: &mut Store<Host>, linker: &Linker<Host>, clean: &Module, n: i32) -> Result<()> {
    store.set_fuel(1 << 30)?;
    let instance = linker.instantiate(&mut *store, clean)?;
    let sum = instance.typed_func::<i32, i64>(&mut *store, "sum")?.call(&mut *store, n)?;
    let n = i64::from(n);
    let expected = n * (n + 1) / 2 + n * (n + 1) * (2 * n + 1) / 6;
    anyhow::ensure!(sum == expected, "the clean program gave {sum} instead of {expected}");
    store.data_mut().instances.push(instance);
    Ok(())
}

/// Attacks the heap of the store that calls.
fn strike(caller: &mut Caller<'_, Host>) {
    if let Some(attack) = caller.data().attack.clone() {
        strike_store(caller, &attack);
    }
}

/// Attacks a store's heap now, if it is time.
pub(super) fn strike_store(store: &mut impl AsContextMut<Data = Host>, attack: &Attack) {
    if let Some(heap) = store.as_context_mut().heap_under_attack() {
        attack.strike(heap);
    }
}

fn linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker: Linker<Host> = Linker::new(engine);
    linker.func_wrap("host", "strike", |mut caller: Caller<'_, Host>| {
        strike(&mut caller);
        Ok(())
    })?;
    linker.func_wrap("host", "collect", |mut caller: Caller<'_, Host>| {
        strike(&mut caller);
        caller.gc()
    })?;
    linker.func_wrap("host", "extern", |mut caller: Caller<'_, Host>, number: i32| {
        strike(&mut caller);
        let host = caller.data_mut();
        host.made += 1;
        let token = Token { number: u64::from(number as u32), drops: host.drops.clone() };
        ExternRef::new(caller, token).map(Some)
    })?;
    linker.func_wrap("host", "look", |mut caller: Caller<'_, Host>, value: Option<Rooted<ExternRef>>| {
        strike(&mut caller);
        Ok::<_, anyhow::Error>(match value {
            Some(value) => look(&mut caller, value)? as i32,
            None => -1,
        })
    })?;
    linker.func_wrap("host", "show", |mut caller: Caller<'_, Host>, value: Option<Rooted<AnyRef>>| {
        strike(&mut caller);
        if let Some(value) = value
            && caller.data().kept.len() < MOST_KEPT
        {
            let kept = value.to_owned_rooted(&mut caller)?;
            caller.data_mut().kept.push(kept);
        }
        probe(&mut caller, Val::AnyRef(value)).map(|sum| sum as i32)
    })?;
    linker.func_wrap("host", "text", |mut caller: Caller<'_, Host>, array: Option<Rooted<ArrayRef>>| {
        strike(&mut caller);
        let Some(array) = array else { return Ok(None) };
        let bytes = array.to_vec::<u8>(&mut caller)?;
        let text = array.read_string(&mut caller, StringEncoding::Latin1)?;
        anyhow::ensure!(caller.data().attack.is_some() || text.len() >= bytes.len(), "a string lost characters");
        let ty = array.ty(&mut caller)?;
        let allocator = ArrayRefPre::new(&mut caller, &ty)?;
        let copy = ArrayRef::from_slice(&mut caller, &allocator, &bytes)?;
        copy.copy_from_slice(&mut caller, 0, b"abc")?;
        Ok::<_, anyhow::Error>(Some(copy))
    })?;
    Ok(linker)
}

/// Collects and looks at everything that an instance exports; answers how it went.
pub(super) fn look_around(store: &mut Store<Host>, attack: &Attack) -> Result<Vec<Ending>, String> {
    let mut endings = Vec::new();
    for round in 0..2 {
        strike_store(store, attack);
        endings.extend(ending(store.gc(None).map(|()| 0))?);
        for instance in store.data().instances.clone() {
            for global in ["g0", "g1", "g2", "g3"] {
                let Some(global) = instance.get_global(&mut *store, global) else { continue };
                let seen = global.get(&mut *store).and_then(|value| probe(&mut *store, value));
                endings.extend(ending(seen.map(i64::from))?);
            }
            let Some(table) = instance.get_export(&mut *store, "t").and_then(Extern::into_table) else { continue };
            let slots = table.size(&*store);
            for slot in 0..slots.min(20) {
                let seen = table.get(&mut *store, slot).and_then(|value| match value {
                    Some(Ref::Any(r)) => probe(&mut *store, Val::AnyRef(r)),
                    _ => Ok(0),
                });
                endings.extend(ending(seen.map(i64::from))?);
            }
        }
        let kept = core::mem::take(&mut store.data_mut().kept);
        for object in &kept {
            let seen = object.to_rooted(&mut *store).and_then(|object| probe(&mut *store, Val::AnyRef(Some(object))));
            endings.extend(ending(seen.map(i64::from))?);
        }
        if round == 0 {
            store.data_mut().kept = kept;
            strike_store(store, attack);
        }
    }
    Ok(endings)
}
