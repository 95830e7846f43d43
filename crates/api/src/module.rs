//! Modules.

use crate::{Engine, Event, ExternType, Result};
use anyhow::Context as _;
use heapwright_vm::LoadedModule;
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
        let bytes = bytes.as_ref();
        #[cfg(feature = "wat")]
        let bytes = wat::parse_bytes(bytes)?;
        #[cfg(not(feature = "wat"))]
        let bytes = std::borrow::Cow::Borrowed(bytes);
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

    fn compile(engine: &Engine, bytes: &[u8]) -> Result<Module> {
        let started = engine.events().map(|_| Instant::now());
        let loaded = engine.runtime().compile(bytes)?;
        let module = Module { engine: engine.clone(), loaded };
        engine.config().profiler.module(&module.loaded).context("cannot tell profilers of a module's code")?;
        if let (Some(events), Some(started)) = (engine.events(), started) {
            let compiled = module.loaded.compiled();
            events.tell(&Event::Compile {
                module: module.name().map(Arc::from),
                functions: compiled.funcs.len(),
                wasm_bytes: bytes.len(),
                code_bytes: module.loaded.text().len(),
                started,
                time: started.elapsed(),
            });
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

    /// The machine code.
    pub fn text(&self) -> &[u8] {
        self.loaded.text()
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
