//! Compiled modules from the cache, and into it.

use crate::Engine;
use heapwright_cache::{Cache, Key, Put};
use heapwright_vm::{LoadError, LoadedModule};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// The compile cache of an engine.
pub(crate) struct ModuleCache<'a> {
    engine: &'a Engine,
    cache: &'a Cache,
}

impl<'a> ModuleCache<'a> {
    /// `None` for an engine without one.
    pub(crate) fn of(engine: &'a Engine) -> Option<ModuleCache<'a>> {
        Some(ModuleCache { engine, cache: engine.config().cache.as_ref()? })
    }

    /// The module compiled from these bytes, if it is there: one that is complete, or else, for an engine that compiles
    /// lazily, one with the functions that earlier runs have called.
    pub(crate) fn load(&self, bytes: &[u8]) -> Option<Arc<LoadedModule>> {
        let complete = self.load_entry(bytes, Extent::Complete);
        let lazy = self.engine.is_lazy();
        complete.or_else(|| if lazy { self.load_entry(bytes, Extent::Called) } else { None })
    }

    fn load_entry(&self, bytes: &[u8], extent: Extent) -> Option<Arc<LoadedModule>> {
        let key = self.key(bytes, extent);
        let loaded = self.read_entry(bytes, &key, &self.cache.get(&key)?)?;
        log::info!("taken from the compile cache: {}", key_name(&key));
        Some(loaded)
    }

    /// An entry that is damaged, or not what its name says, is removed.
    fn read_entry(&self, bytes: &[u8], key: &Key, file: &File) -> Option<Arc<LoadedModule>> {
        // SAFETY: only the user of this process can write to the directory, and whoever is this user can do anything
        // that the code could; the cache never changes a file in place. (Promises of `Cache::open` and `Cache::get`.)
        match unsafe { self.engine.runtime().load_artifact_file(file) } {
            Ok(loaded) if **loaded.bytes() == *bytes => return Some(loaded),
            Ok(_) => log::warn!("the compile cache's entry {} is of another module: compiled again", key_name(key)),
            Err(LoadError::Artifact(e)) => {
                log::warn!("the compile cache's entry {} cannot be used ({e}): compiled again", key_name(key));
            }
            Err(e) => {
                // Not the entry's fault.
                log::warn!("the compile cache's entry {} cannot be loaded: {e}", key_name(key));
                return None;
            }
        }
        self.cache.remove(key);
        None
    }

    /// Keeps a complete module for the next time. Failure costs only that time.
    pub(crate) fn store(&self, loaded: &LoadedModule) {
        let key = self.key(loaded.bytes(), Extent::Complete);
        let put = self.cache.put(&key, &loaded.to_artifact());
        self.report(&key, put.map(|kept| if kept { Put::Kept } else { Put::TooLarge }));
    }

    /// Adds the functions of a lazily compiled module to its entry. What others have added stays: code cannot be moved
    /// from one text to another, so the text that lacks fewer functions has those compiled.
    pub(crate) fn add(&self, loaded: &Arc<LoadedModule>) {
        let key = self.key(loaded.bytes(), Extent::Called);
        let mut whole = loaded.clone();
        for _ in 0..ATTEMPTS {
            let mut seen = self.cache.get(&key);
            if let Some(file) = &seen {
                match self.read_entry(loaded.bytes(), &key, file) {
                    Some(entry) if lacking(&entry, &whole).is_empty() => return,
                    Some(entry) => whole = united(whole, entry),
                    // It was removed.
                    None => seen = None,
                }
            }
            match self.cache.put_if(&key, seen.as_ref(), &whole.to_artifact()) {
                Ok(Put::Changed) => {}
                put => return self.report(&key, put),
            }
        }
        log::info!("not added to the compile cache: others add to {} all the time", key_name(&key));
    }

    fn report(&self, key: &Key, put: io::Result<Put>) {
        match put {
            Ok(Put::Kept) => log::info!("added to the compile cache: {}", key_name(key)),
            Ok(Put::TooLarge) => {
                log::info!("not added to the compile cache, whose limit is {} bytes", self.cache.limit())
            }
            Ok(Put::Changed) => {}
            Err(e) => log::warn!("the compile cache cannot be written: {e}"),
        }
    }

    /// Everything that the code depends on: the module, and what an artifact's identity consists of.
    fn key(&self, bytes: &[u8], extent: Extent) -> Key {
        let identity = self.engine.runtime().compiler().identity().canonical_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[extent as u8]);
        hasher.update(&(identity.len() as u64).to_le_bytes());
        hasher.update(&identity);
        hasher.update(bytes);
        Key(*hasher.finalize().as_bytes())
    }
}

/// How often an addition is tried when others add at the same time. Each time one of them has come through.
const ATTEMPTS: u32 = 16;

/// The functions (counted without imports) that `other` has compiled and `module` has not.
fn lacking(module: &LoadedModule, other: &LoadedModule) -> Vec<u32> {
    let (module, other) = (module.compiled(), other.compiled());
    let all = 0..other.funcs.len() as u32;
    all.filter(|&f| other.code_of(f).is_some() && module.code_of(f).is_none()).collect()
}

/// One of two texts of a module, with the functions of both.
fn united(a: Arc<LoadedModule>, b: Arc<LoadedModule>) -> Arc<LoadedModule> {
    let (to_a, to_b) = (lacking(&a, &b), lacking(&b, &a));
    let (whole, missing) = if to_a.len() <= to_b.len() { (a, to_a) } else { (b, to_b) };
    for function in missing {
        if let Err(e) = whole.compile_function(function) {
            // The next run will compile it, or say what is wrong.
            log::debug!("function {function} is missing in the compile cache: {e}");
        }
    }
    whole
}

/// Which functions an entry has.
#[derive(Clone, Copy)]
enum Extent {
    /// All.
    Complete = 0,
    /// Those that runs until now have called.
    Called = 1,
}

/// Enough of a key to find its file.
fn key_name(key: &Key) -> String {
    key.0[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}
