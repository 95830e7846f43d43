//! Modules.

use crate::cached::ModuleCache;
use crate::{Engine, Error, Event, ExternType, Result};
use anyhow::Context as _;
use heapwright_vm::{LoadError, LoadedModule};
use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A compiled module. Cloning is cheap; it can be instantiated in any store of its engine, from any thread.
#[derive(Clone)]
pub struct Module {
    engine: Engine,
    loaded: Arc<LoadedModule>,
}

impl Module {
    /// Compiles a module in the binary format or (with the `wat` feature) the text format.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the offset.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        let bytes = binary(bytes.as_ref())?;
        Module::compile(engine, &bytes)
    }

    /// Compiles a module in the binary format.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the offset.
    pub fn from_binary(engine: &Engine, bytes: &[u8]) -> Result<Module> {
        Module::compile(engine, bytes)
    }

    pub(crate) fn from_loaded(engine: &Engine, loaded: Arc<LoadedModule>) -> Module {
        Module { engine: engine.clone(), loaded }
    }

    /// A module that was just loaded.
    fn ready(engine: &Engine, loaded: Arc<LoadedModule>) -> Result<Module> {
        engine.config().profiler.module(&loaded).context("cannot tell profilers of a module's code")?;
        Ok(Module { engine: engine.clone(), loaded })
    }

    fn compile(engine: &Engine, bytes: &[u8]) -> Result<Module> {
        let cache = ModuleCache::of(engine);
        if let Some(loaded) = cache.as_ref().and_then(|cache| cache.load(bytes)) {
            return Module::ready(engine, loaded);
        }
        let started = engine.events().map(|_| Instant::now());
        let runtime = engine.runtime();
        let loaded = if engine.is_lazy() { runtime.compile_lazily(bytes)? } else { runtime.compile(bytes)? };
        let module = Module::ready(engine, loaded)?;
        if let (Some(events), Some(started)) = (engine.events(), started) {
            let compiled = module.loaded.compiled();
            events.tell(&Event::Compile {
                module: module.name().map(Arc::from),
                functions: compiled.compiled_functions(),
                wasm_bytes: bytes.len(),
                code_bytes: module.text().len(),
                started,
                time: started.elapsed(),
            });
        }
        if let Some(cache) = cache.filter(|_| !module.loaded.is_lazy()) {
            cache.store(&module.loaded);
        }
        Ok(module)
    }

    /// Reads and compiles a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or as [`Module::new`].
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Module::new(engine, &bytes).with_context(|| format!("cannot load {}", path.display()))
    }

    /// Validates a module in the binary format without compiling it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the offset.
    pub fn validate(engine: &Engine, bytes: &[u8]) -> Result<()> {
        engine.validate(bytes)
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The name in the name section.
    pub fn name(&self) -> Option<&str> {
        self.loaded.info().name.as_deref()
    }

    /// The imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        self.loaded.imports().map(|(module, name, ty)| ImportType {
            module,
            name,
            ty: ExternType::from_vm(&self.engine, &ty),
        })
    }

    /// The exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        self.loaded.exports().map(|(name, ty)| ExportType { name, ty: ExternType::from_vm(&self.engine, &ty) })
    }

    /// The type of the export of this name.
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        self.loaded.export(name).map(|ty| ExternType::from_vm(&self.engine, &ty))
    }

    /// Writes the compiled module: a file for [`Module::deserialize_file`], which an engine with the same version,
    /// processor, collector and settings accepts. It contains the module's bytes.
    ///
    /// ```no_run
    /// # use heapwright::{Engine, Module};
    /// # fn main() -> heapwright::Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::from_file(&engine, "program.wasm")?;
    /// std::fs::write("program.hwm", module.serialize()?)?;
    /// // SAFETY: the file was written by this program, and nobody else can write to it.
    /// let again = unsafe { Module::deserialize_file(&engine, "program.hwm")? };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When a function that was to be compiled lazily cannot be compiled.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        if self.loaded.is_lazy() {
            // All of it, and with direct calls.
            return self.engine.precompile_module(self.loaded.bytes());
        }
        Ok(self.loaded.to_artifact())
    }

    /// Adds the functions that were compiled lazily since the module was loaded to the cache, if the engine has one. To
    /// be called when a program ends; what others have added meanwhile stays. Eagerly compiled modules are in the cache
    /// already.
    ///
    /// Gives the number of functions; 0 means that nothing had to be done.
    pub fn update_cache(&self) -> usize {
        let added = self.loaded.functions_added();
        if let Some(cache) = ModuleCache::of(&self.engine).filter(|_| added > 0) {
            cache.add(&self.loaded);
            return added;
        }
        0
    }

    /// Loads what [`Module::serialize`] gave, from memory.
    ///
    /// What happens by accident is found out and is an error of type [`ArtifactError`](crate::ArtifactError): bytes
    /// that are no artifact, that are cut off or have flipped bits, that were made by another version, for another
    /// processor, collector or declaration of one, or under other settings.
    ///
    /// # Errors
    ///
    /// As described; otherwise, when memory cannot be had.
    ///
    /// # Safety
    ///
    /// Malice is *not* found out. The bytes hold machine code that will be executed with the rights of this process,
    /// outside of any sandbox, and their checksum is no signature: whoever can choose the bytes can do what this
    /// process can. They must have been made by [`Module::serialize`] or [`Engine::precompile_module`], and come by a
    /// way on which nobody could exchange them.
    pub unsafe fn deserialize(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        // SAFETY: the caller's promise.
        let loaded = unsafe { engine.runtime().load_artifact(bytes.as_ref()) }.map_err(unwrapped)?;
        Module::ready(engine, loaded)
    }

    /// As [`Module::deserialize`], from a file. Its code is mapped and not copied, so that processes share it and only
    /// what runs is read.
    ///
    /// # Errors
    ///
    /// As there, and when the file cannot be read.
    ///
    /// # Safety
    ///
    /// As there; and nobody may change the file's contents while the module lives. Writing a new file and renaming it
    /// to this name is no change.
    pub unsafe fn deserialize_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        // SAFETY: the caller's promise.
        let loaded = unsafe { engine.runtime().load_artifact_file(&file) };
        let loaded = loaded.map_err(unwrapped).with_context(|| format!("cannot load {}", path.display()))?;
        Module::ready(engine, loaded)
    }

    /// The machine code, as far as it is compiled.
    pub fn text(&self) -> &[u8] {
        self.loaded.text()
    }

    /// From places in [`Module::text`] to places in the module: pairs of an offset in the text, ascending, and the byte
    /// offset in the module of the instruction that the code from there to the next pair implements; `None` where it
    /// implements no instruction.
    pub fn address_map(&self) -> impl Iterator<Item = (usize, Option<u32>)> {
        self.loaded.compiled().addresses()
    }

    /// How many calls were replaced by the body of what they call, in the machine code so far.
    pub fn inlined_calls(&self) -> usize {
        self.loaded.compiled().inlined_calls()
    }

    /// The functions that the module defines, in order.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = ModuleFunction<'_>> {
        let compiled = self.loaded.compiled();
        let imported = compiled.info.imported_funcs;
        (imported..compiled.info.funcs.len() as u32).map(move |index| ModuleFunction {
            index,
            name: compiled.info.func_names.get(&index).map(String::as_str),
            code: compiled.code_of(index - imported).map(|code| code.start as usize..code.end() as usize),
        })
    }

    /// Whether the module has a start function, which runs when it is instantiated.
    pub fn has_start(&self) -> bool {
        self.loaded.info().start.is_some()
    }

    /// What an instance needs at the beginning.
    pub fn resources_required(&self) -> ResourcesRequired {
        let compiled = self.loaded.compiled();
        let info = &compiled.info;
        let memories = &info.memories[info.imported_memories as usize..];
        let tables = &info.tables[info.imported_tables as usize..];
        ResourcesRequired {
            memories: memories.len() as u32,
            max_initial_memory: memories.iter().map(|m| m.minimum.saturating_mul(1 << m.page_size_log2)).max(),
            tables: tables.len() as u32,
            max_initial_table: tables.iter().map(|t| t.minimum).max(),
            gc_heap: info.needs_heap,
            instance: u64::from(compiled.layout.size()),
        }
    }

    pub(crate) fn loaded(&self) -> &Arc<LoadedModule> {
        &self.loaded
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The error behind a failure to load, for `downcast_ref`.
fn unwrapped(error: LoadError) -> Error {
    match error {
        LoadError::Artifact(e) => e.into(),
        other => other.into(),
    }
}

/// The binary format of a module that may be in the text format.
pub(crate) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    #[cfg(feature = "wat")]
    let bytes = wat::parse_bytes(bytes)?;
    #[cfg(not(feature = "wat"))]
    let bytes = Cow::Borrowed(bytes);
    Ok(bytes)
}

/// A function that a module defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFunction<'a> {
    /// Index of the function, imports counted.
    pub index: u32,
    /// Its name, if the module says.
    pub name: Option<&'a str>,
    /// Its code's place in [`Module::text`]; `None` while it is not compiled.
    pub code: Option<Range<usize>>,
}

/// What an instance of a module needs at the beginning; what it imports is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourcesRequired {
    /// Linear memories.
    pub memories: u32,
    /// Bytes that the largest memory has at first; `None` without memories.
    pub max_initial_memory: Option<u64>,
    /// Tables.
    pub tables: u32,
    /// Slots that the largest table has at first; `None` without tables.
    pub max_initial_table: Option<u64>,
    /// Whether the store must have a GC heap.
    pub gc_heap: bool,
    /// Bytes of the instance itself.
    pub instance: u64,
}

/// An import of a module.
#[derive(Clone, Debug)]
pub struct ImportType<'a> {
    module: &'a str,
    name: &'a str,
    ty: ExternType,
}

impl<'a> ImportType<'a> {
    /// First name.
    pub fn module(&self) -> &'a str {
        self.module
    }
    /// Second name.
    pub fn name(&self) -> &'a str {
        self.name
    }
    /// What is asked for.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

/// An export of a module.
#[derive(Clone, Debug)]
pub struct ExportType<'a> {
    name: &'a str,
    ty: ExternType,
}

impl<'a> ExportType<'a> {
    /// Name.
    pub fn name(&self) -> &'a str {
        self.name
    }
    /// What is exported.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}
