//! Compiled modules from the cache, and into it.

use crate::Engine;
use heapwright_cache::{Cache, Key};
use heapwright_vm::{LoadError, LoadedModule};
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

    /// The module compiled from these bytes, if it is there: one that is complete, or else, for an engine that compiles lazily, one with
    /// the functions that earlier runs have called.
    pub(crate) fn load(&self, bytes: &[u8]) -> Option<Arc<LoadedModule>> {
        let complete = self.load_entry(bytes, Extent::Complete);
        let lazy = self.engine.is_lazy();
        complete.or_else(|| if lazy { self.load_entry(bytes, Extent::Called) } else { None })
    }

    /// An entry that is damaged, or not what its name says, is removed.
    fn load_entry(&self, bytes: &[u8], extent: Extent) -> Option<Arc<LoadedModule>> {
        let key = self.key(bytes, extent);
        let file = self.cache.get(&key)?;
        // SAFETY: only the user of this process can write to the directory, and whoever is this user can do anything that the code
        // could; the cache never changes a file in place. (Promises of `Cache::open` and `Cache::get`.)
        match unsafe { self.engine.runtime().load_artifact_file(&file) } {
            Ok(loaded) if **loaded.bytes() == *bytes => {
                log::info!("taken from the compile cache: {}", key_name(&key));
                return Some(loaded);
            }
            Ok(_) => log::warn!("the compile cache's entry {} is of another module: compiled again", key_name(&key)),
            Err(LoadError::Artifact(e)) => {
                log::warn!("the compile cache's entry {} cannot be used ({e}): compiled again", key_name(&key));
            }
            Err(e) => {
                // Not the entry's fault.
                log::warn!("the compile cache's entry {} cannot be loaded: {e}", key_name(&key));
                return None;
            }
        }
        self.cache.remove(&key);
        None
    }

    /// Keeps a module for the next time. Failure costs only that time.
    pub(crate) fn store(&self, loaded: &LoadedModule) {
        let extent = if loaded.is_lazy() { Extent::Called } else { Extent::Complete };
        let key = self.key(loaded.bytes(), extent);
        match self.cache.put(&key, &loaded.to_artifact()) {
            Ok(true) => log::info!("added to the compile cache: {}", key_name(&key)),
            Ok(false) => log::info!("not added to the compile cache, whose limit is {} bytes", self.cache.limit()),
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
