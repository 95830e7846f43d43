//! What measurements share: worlds in which no collection happens, ratios that a noisy machine does not spoil, and a
//! host for a Dart program.

#![forbid(unsafe_code)]

use heapwright::{Collector, Config, Engine, Instance, Module, SizingPolicy, Store, TypedFunc};
use heapwright_gc_heap::BarrierCount;
use std::time::{Duration, Instant};

pub mod barriers;
pub mod dart;
pub mod textbook;

/// An instance of a module in a heap so large that it is never collected while something is measured.
pub struct World {
    /// The collector.
    pub collector: Collector,
    store: Store<()>,
    instance: Instance,
    collections: u64,
}

impl World {
    /// Instantiates a module, calls its export `old`, collects until what that made is as old as it gets, then calls
    /// `young`.
    ///
    /// # Panics
    ///
    /// When the module does not fit.
    pub fn new(collector: Collector, wat: &str) -> World {
        World::with(collector, wat, false)
    }

    /// As [`World::new`], with code that counts what its barriers do.
    ///
    /// # Panics
    ///
    /// As [`World::new`].
    pub fn counting(collector: Collector, wat: &str) -> World {
        World::with(collector, wat, true)
    }

    fn with(collector: Collector, wat: &str, count: bool) -> World {
        let mut config = Config::new();
        config.count_barriers(count);
        config.collector(collector).initial_heap(512 << 20).max_heap(1 << 30).heap_policy(SizingPolicy::Fixed);
        let engine = Engine::new(&config).expect("a supported machine");
        let module = Module::new(&engine, wat).expect("a valid module");
        let mut store = Store::new(&engine, ()).expect("address space");
        let instance = Instance::new(&mut store, &module, &[]).expect("a module without imports");
        let mut world = World { collector, store, instance, collections: 0 };
        world.export("old").call(&mut world.store, 0).expect("room for old objects");
        world.store.gc(None).expect("an intact heap");
        world.store.gc(None).expect("an intact heap");
        world.export("young").call(&mut world.store, 0).expect("room for young objects");
        world.collections = world.store.gc_stats().collections;
        world
    }

    fn export(&mut self, name: &str) -> TypedFunc<i32, ()> {
        self.instance.typed_func(&mut self.store, name).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// What the barriers did, in the order of their places.
    pub fn barrier_counts(&self) -> Vec<BarrierCount> {
        self.store.gc_stats().barriers.to_vec()
    }

    /// Calls an export with a number of rounds and gives the time that it takes.
    ///
    /// # Panics
    ///
    /// When the export traps, or something was collected: the figure would be about something else.
    pub fn time(&mut self, name: &str, rounds: u32) -> Duration {
        let func = self.export(name);
        let started = Instant::now();
        func.call(&mut self.store, rounds as i32).unwrap_or_else(|e| panic!("{name}: {e}"));
        let taken = started.elapsed();
        assert_eq!(self.store.gc_stats().collections, self.collections, "{name} collected");
        taken
    }
}

/// Medians of an export's times in several worlds, measured in turns so that whatever disturbs the machine disturbs
/// all.
pub fn medians(worlds: &mut [World], name: &str, rounds: u32, turns: usize) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(turns); worlds.len()];
    for _ in 0..turns {
        for (world, times) in worlds.iter_mut().zip(&mut times) {
            times.push(world.time(name, rounds));
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times.get(times.len() / 2).copied().unwrap_or_default()
        })
        .collect()
}
