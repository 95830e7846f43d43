//! Programs whose heap is attacked while they run.
//!
//! A GC heap is untrusted: whatever bytes stand in it, the guest gets a value, a trap or an exception, or the store is
//! declared corrupted ([`heapwright::TrapCode::HeapCorrupted`], [`heapwright::GcError::Corrupted`]). [`run`] makes a
//! program and an attack ([`Plan`]) of arbitrary bytes and checks that nothing else comes of it: no panic, no endless
//! work, no growth beyond the limit, no change outside the heap; and that the process is as good as new afterwards.
//!
//! A fault outside the heap's reservation ends the process, because the engine's signal handler does not take it for
//! its own.

mod attack;
mod probe;
mod scene;

pub use attack::{Attack, Deeds, Plan};
pub use scene::{Backend, Room, Setting};

use crate::token::Token;
use crate::{Options, generate};
use arbitrary::Unstructured;
use heapwright::{
    AnyRef, GcError, GcHeapOutOfMemory, GrowthRefused, Instance, Module, OwnedRooted, Result, Store, ThrownException,
    Trap, TrapCode,
};
use scene::{Scene, look_around};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How something ended that touched an attacked heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Ending {
    /// With a value.
    Value,
    /// With a trap of the language.
    Trap,
    /// With an exception.
    Exception,
    /// The heap was full, or might not grow.
    OutOfMemory,
    /// The fuel was used up, or the stack.
    Exhausted,
    /// The host's access was refused, because an object is of another type or shorter than it should be.
    Refused,
    /// The heap was found corrupted.
    Corrupted,
}

/// What came of an attack.
#[derive(Clone, Debug)]
pub struct Report {
    /// The engine's settings.
    pub setting: Setting,
    /// What was attacked: the number of a program, or that it was generated.
    pub program: String,
    /// How the calls ended, and whatever the host did with the heap.
    pub endings: Vec<Ending>,
    /// What the attack did.
    pub deeds: Deeds,
}

/// Fuel for each call.
const FUEL: u64 = 200_000;
/// Programs in `programs.wat`.
const PROGRAMS: usize = 9;
/// No attack, however it ends, takes as long as this on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Host {
    attack: Option<Attack>,
    drops: Arc<AtomicU64>,
    made: u64,
    instances: Vec<Instance>,
    kept: Vec<OwnedRooted<AnyRef>>,
}

thread_local! {
    static SCENES: RefCell<HashMap<Setting, Scene>> = RefCell::default();
}

/// Makes a program and an attack of arbitrary bytes and runs them.
///
/// # Errors
///
/// What must not happen. What happened to the process itself (a panic, a fault) does not come back as an error.
pub fn run(bytes: &[u8]) -> Result<Report, String> {
    let mut u = Unstructured::new(bytes);
    let settings = Setting::all();
    let enough = |e| format!("the reader makes up for missing bytes: {e}");
    let setting = settings[u.choose_index(settings.len()).map_err(enough)?];
    run_in(setting, &mut u)
}

/// As [`run`], under this setting.
///
/// # Errors
///
/// As [`run`].
pub fn run_in(setting: Setting, u: &mut Unstructured<'_>) -> Result<Report, String> {
    SCENES.with_borrow_mut(|scenes| {
        let scene = match scenes.entry(setting) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Scene::new(setting).map_err(|e| format!("{setting}: {e:?}"))?)
            }
        };
        attack(scene, u).map_err(|e| format!("{setting}: {e}"))
    })
}

fn attack(scene: &mut Scene, u: &mut Unstructured<'_>) -> Result<Report, String> {
    let enough = |e| format!("the reader makes up for missing bytes: {e}");
    let plan = Plan::generate(u).map_err(enough)?;
    let number = u.choose_index(PROGRAMS + 2).map_err(enough)?;
    let started = Instant::now();
    let attack = Attack::new(plan);
    let unexpected = |e: anyhow::Error| format!("before the attack: {e:?}");
    let mut store = Store::new(&scene.engine, Host::default()).map_err(unexpected)?;
    let canaries = scene.canaries(&mut store).map_err(unexpected)?;

    let generated;
    let (module, names, program) = if number < PROGRAMS {
        (&scene.programs, vec![format!("run{number}")], format!("run{number}"))
    } else {
        let made = generate(u, Options::default()).map_err(enough)?;
        generated = Module::new(&scene.engine, &made.bytes).map_err(unexpected)?;
        (&generated, (0..made.runs).map(|i| format!("run{i}")).collect(), "generated".into())
    };
    store.set_fuel(FUEL).map_err(unexpected)?;
    let instance = match scene.linker.instantiate(&mut store, module) {
        Ok(instance) => instance,
        // Generated modules may fill the heap at once.
        Err(e) => {
            let endings = Vec::from_iter(ending(Err(e))?);
            return Ok(Report { setting: scene.setting, program, endings, deeds: Deeds::default() });
        }
    };
    store.data_mut().instances.push(instance);
    let types = Scene::type_words(&mut store);
    store.data_mut().attack = Some(attack.clone());
    {
        use heapwright::AsContextMut;
        let mut context = store.as_context_mut();
        attack.begin(context.heap_under_attack().ok_or("there is no heap")?);
    }

    let mut endings = Vec::new();
    for argument in [3, 6] {
        for name in &names {
            store.set_fuel(FUEL).map_err(unexpected)?;
            let run = instance.typed_func::<i32, i64>(&mut store, name).map_err(unexpected)?;
            endings.extend(ending(run.call(&mut store, argument))?);
        }
    }
    endings.extend(look_around(&mut store, &attack)?);

    let deeds = attack.deeds();
    scene.inspect(&mut store, &canaries)?;
    if Scene::type_words(&mut store) != types {
        return Err("the type space has changed".into());
    }
    let host = store.data();
    let (made, drops) = (host.made, host.drops.clone());
    drop(store);
    let dropped = drops.load(Ordering::Relaxed);
    if dropped != made {
        return Err(format!("{made} host values were made and {dropped} dropped"));
    }
    scene.fresh()?;
    if started.elapsed() > PATIENCE {
        return Err(format!("it took {:?}", started.elapsed()));
    }
    Ok(Report { setting: scene.setting, program, endings, deeds })
}

/// Says how something ended.
fn ending(result: Result<i64>) -> Result<Option<Ending>, String> {
    let error = match result {
        Ok(_) => return Ok(Some(Ending::Value)),
        Err(error) => error,
    };
    if error.is::<GcHeapOutOfMemory>() || error.is::<GrowthRefused>() {
        return Ok(Some(Ending::OutOfMemory));
    }
    if error.is::<ThrownException>() {
        return Ok(Some(Ending::Exception));
    }
    if error.is::<heapwright_gc_heap::HeapCorrupted>() {
        return Ok(Some(Ending::Corrupted));
    }
    if let Some(refused) = error.downcast_ref::<GcError>() {
        return Ok(Some(if let GcError::Corrupted(_) = refused { Ending::Corrupted } else { Ending::Refused }));
    }
    match error.downcast_ref::<Trap>().map(Trap::code) {
        Some(TrapCode::HeapCorrupted | TrapCode::ForgedFunctionReference) => Ok(Some(Ending::Corrupted)),
        Some(TrapCode::OutOfFuel | TrapCode::StackOverflow) => Ok(Some(Ending::Exhausted)),
        Some(TrapCode::Internal) | None => Err(format!("an error that no corruption explains: {error:?}")),
        Some(_) => Ok(Some(Ending::Trap)),
    }
}
