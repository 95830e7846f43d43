//! A module that is ready to run.

use crate::code::{CodeKind, CodeMapping, CodeObject, RegisteredCode, SourceMap};
use crate::lazy::Lazy;
use crate::pool::{MemoryImage, images_of};
use crate::{ExternType, GlobalType, LoadError, Runtime, Symbol, TableType};
use hashbrown::HashMap;
use heapwright_gc_heap::{CompositeType, FuncType, HeapType, RefType, RegisteredTypes, TypeId, TypeRef, ValType};
use heapwright_jit::abi::SignatureKinds;
use heapwright_jit::artifact::CompiledModule;
use heapwright_jit::module::{ExternKind, Import, ImportType, ModuleInfo, TableInfo};
use heapwright_jit::{Bodies, JUMP_STUB};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A module that is ready to run: its code is mapped and registered, its types are canonical. Shared by all instances.
pub struct LoadedModule {
    runtime: Arc<Runtime>,
    compiled: Arc<CompiledModule>,
    types: RegisteredTypes,
    bytes: Arc<[u8]>,
    exports_by_name: HashMap<String, usize>,
    code: RegisteredCode,
    /// The exception type of each tag.
    exceptions: Box<[RegisteredTypes]>,
    /// ABI signature id by type index; 0 unless a function type.
    signatures: Box<[u32]>,
    /// Functions that are compiled when they are called.
    lazy: Option<Lazy>,
    /// Made when somebody asks.
    source: OnceLock<SourceMap>,
    /// Initial contents of the defined memories; made for the first instance.
    images: OnceLock<Box<[Option<Arc<MemoryImage>>]>>,
    instantiated: AtomicBool,
}

/// Where a module's text is to be had.
pub(crate) enum Text<'a> {
    /// In memory, from where it is copied.
    Bytes(&'a [u8]),
    /// Mapped already.
    Mapped(CodeMapping),
    /// To be copied, with functions that are still to be compiled.
    Growing(&'a [u8], Bodies),
    /// Mapped already, with functions that are still to be compiled.
    MappedGrowing(CodeMapping, Bodies),
}

impl std::fmt::Debug for LoadedModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedModule").field("name", &self.info().name).finish_non_exhaustive()
    }
}

impl LoadedModule {
    pub(crate) fn new(
        runtime: &Arc<Runtime>,
        compiled: CompiledModule,
        text: Text<'_>,
        bytes: Arc<[u8]>,
    ) -> Result<Arc<LoadedModule>, LoadError> {
        let compiled = Arc::new(compiled);
        let info = &compiled.info;
        runtime.allocator().fits(info, &compiled.layout).map_err(LoadError::Unfit)?;
        let types = runtime.types().register(&info.rec_groups)?;
        let mut exceptions = Vec::with_capacity(info.tags.len());
        for &tag in &info.tags {
            let params: Vec<_> = info.func_type_at(tag).params.iter().map(|t| canonical(types.ids(), t)).collect();
            exceptions.push(runtime.types().register_exception(&params)?);
        }
        let signatures = info.types.iter().zip(types.ids()).map(|(ty, &id)| match ty.composite {
            CompositeType::Func(_) => runtime.types().signature_id(id),
            _ => 0,
        });
        let signatures = signatures.collect();
        let exported = info.exports.iter().filter(|e| e.kind == ExternKind::Func).map(|e| e.index).chain(info.start);
        runtime.prepare_entries(exported.map(|f| SignatureKinds::of(info.func_type(f))))?;
        let exports_by_name = info.exports.iter().enumerate().map(|(i, e)| (e.name.clone(), i)).collect();
        let (mapping, bodies) = match text {
            Text::Bytes(text) => (CodeMapping::of_bytes(runtime.target(), text)?, None),
            Text::Mapped(mapping) => (mapping, None),
            Text::Growing(text, bodies) => (CodeMapping::growing(bodies.len() as u32, text)?, Some(bodies)),
            Text::MappedGrowing(mapping, bodies) => (mapping, Some(bodies)),
        };
        let lazy = bodies.map(|bodies| {
            let lazy = Lazy::new(&compiled, bodies);
            lazy.set_slots(&compiled, &mapping);
            lazy
        });
        let code = RegisteredCode::new(CodeObject::of_mapping(mapping, CodeKind::Module(compiled.clone())));
        let module = Arc::new(LoadedModule {
            runtime: runtime.clone(),
            types,
            bytes,
            exports_by_name,
            code,
            exceptions: exceptions.into(),
            signatures,
            compiled,
            lazy,
            source: OnceLock::new(),
            images: OnceLock::new(),
            instantiated: AtomicBool::new(false),
        });
        module.code.set_owner(Arc::downgrade(&module));
        Ok(module)
    }

    /// The machine code, as it is mapped.
    pub fn text(&self) -> &[u8] {
        self.code.text()
    }

    /// Writes the module as an artifact, which [`Runtime::load_artifact`] reads: with the functions that are compiled
    /// by now.
    pub fn to_artifact(&self) -> Vec<u8> {
        let _nothing_is_added = self.lazy.as_ref().map(Lazy::pause);
        self.runtime.compiler().write_artifact(&self.compiled, self.text(), &self.bytes)
    }

    /// Says that an instance is being made; true if there was none before.
    pub(crate) fn first_instance(&self) -> bool {
        !self.instantiated.swap(true, Relaxed)
    }

    /// The image of a defined memory (counted without imports), if it has one.
    pub(crate) fn image(&self, defined: usize) -> Option<&Arc<MemoryImage>> {
        self.images.get_or_init(|| images_of(self)).get(defined)?.as_ref()
    }

    fn source(&self) -> &SourceMap {
        self.source.get_or_init(|| SourceMap::read(&self.bytes))
    }

    /// The source positions of the instruction at a byte offset of the module, innermost inlined function first; empty
    /// when the module carries no DWARF for it. The first call reads the DWARF.
    pub fn symbols(&self, offset: u32) -> Vec<Symbol> {
        self.source().symbols(offset)
    }

    /// Byte offset in the module of the body of function `func` (imports counted), where its locals are declared;
    /// `None` for imports.
    pub fn body_start(&self, func: u32) -> Option<u32> {
        self.source().body_start(func.checked_sub(self.info().imported_funcs)?)
    }

    /// The ABI signature id of type index `ty`.
    pub(crate) fn signature_id(&self, ty: u32) -> u32 {
        self.signatures[ty as usize]
    }
    /// The entry point of a defined function (counted without imports).
    pub(crate) fn code_of(&self, defined: u32) -> *const u8 {
        // What is not compiled, or was not called, has a jump stub.
        let direct = self.lazy.as_ref().is_none_or(|lazy| lazy.is_called(defined));
        let code = self.compiled.code_of(defined).filter(|_| direct);
        self.code.at(code.map_or(defined * JUMP_STUB, |code| code.start))
    }
    /// What the first call of a defined function does: the function is compiled if it was not, and what it calls is
    /// going to be. Gives the entry point.
    pub(crate) fn first_call(self: &Arc<Self>, defined: u32) -> Result<*const u8, LoadError> {
        self.compile_function(defined)?;
        if let Some(lazy) = &self.lazy {
            let next = lazy.call(&self.compiled, self.code.code(), defined);
            if let Some(next) = next {
                self.runtime.background().submit(self, next);
            }
        }
        Ok(self.code_of(defined))
    }
    /// Compiles a defined function that will probably be called, without calling it, if nobody has or does. Gives what
    /// it calls that is not compiled.
    pub(crate) fn compile_ahead(&self, defined: u32) -> Result<Vec<u32>, LoadError> {
        let Some(lazy) = &self.lazy else { return Ok(Vec::new()) };
        let compiler = self.runtime.compiler();
        let compiled = lazy.compile(compiler, &self.compiled, self.code.code(), defined, false)?;
        Ok(if compiled { lazy.callees(&self.compiled, defined) } else { Vec::new() })
    }
    /// Compiles a defined function (counted without imports), if it is not.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: it surpasses a limit, or there is no memory.
    pub fn compile_function(&self, defined: u32) -> Result<(), LoadError> {
        if let Some(lazy) = &self.lazy {
            lazy.compile(self.runtime.compiler(), &self.compiled, self.code.code(), defined, true)?;
        }
        Ok(())
    }
    /// Whether functions are compiled when they are first called.
    pub fn is_lazy(&self) -> bool {
        self.lazy.is_some()
    }
    /// Number of functions that were compiled since the module was loaded.
    pub fn functions_added(&self) -> usize {
        self.lazy.as_ref().map_or(0, |lazy| lazy.added(&self.compiled))
    }
    /// The type of the exceptions of a tag.
    pub(crate) fn exception_type(&self, tag: u32) -> TypeId {
        self.exceptions[tag as usize].ids()[0]
    }
    /// The bytes of a data segment; none when the module's bytes do not contain it.
    pub(crate) fn data_segment(&self, segment: u32) -> &[u8] {
        self.bytes.get(self.info().data[segment as usize].bytes.clone()).unwrap_or(&[])
    }
    /// The runtime that it belongs to.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
    /// The declarations.
    pub fn info(&self) -> &ModuleInfo {
        &self.compiled.info
    }
    /// What the compiler made, without the text: [`text`](Self::text) has that.
    pub fn compiled(&self) -> &Arc<CompiledModule> {
        &self.compiled
    }
    /// The module's bytes.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
    /// The canonical types, by type index.
    pub fn types(&self) -> &RegisteredTypes {
        &self.types
    }
    /// The canonical type of type index `ty`.
    pub fn type_id(&self, ty: u32) -> TypeId {
        self.types.ids()[ty as usize]
    }
    /// A value type with its module type indices made canonical.
    pub fn canonical(&self, ty: &ValType) -> ValType {
        canonical(self.types.ids(), ty)
    }
    /// A reference type with its module type index made canonical.
    pub fn canonical_ref(&self, ty: &RefType) -> RefType {
        canonical_ref(self.types.ids(), ty)
    }
    /// A function type with its module type indices made canonical.
    pub fn canonical_func(&self, ty: &FuncType) -> FuncType {
        FuncType {
            params: ty.params.iter().map(|t| self.canonical(t)).collect(),
            results: ty.results.iter().map(|t| self.canonical(t)).collect(),
        }
    }
    /// The imports: module, name, type.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = (&str, &str, ExternType)> {
        self.info().imports.iter().map(|i| (i.module.as_str(), i.name.as_str(), self.import_type(i)))
    }
    /// The exports: name, type.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = (&str, ExternType)> {
        self.info().exports.iter().map(|e| (e.name.as_str(), self.type_of(e.kind, e.index)))
    }
    /// The type of the export with this name.
    pub fn export(&self, name: &str) -> Option<ExternType> {
        let export = &self.info().exports[self.export_position(name)?];
        Some(self.type_of(export.kind, export.index))
    }
    /// The position of the export with this name.
    pub fn export_position(&self, name: &str) -> Option<usize> {
        self.exports_by_name.get(name).copied()
    }

    /// The type that an import asks for.
    pub(crate) fn import_type(&self, import: &Import) -> ExternType {
        match import.ty {
            ImportType::Func(ty) => ExternType::Func(self.type_id(ty)),
            ImportType::Tag(ty) => ExternType::Tag(self.type_id(ty)),
            ImportType::Table(i) => self.type_of(ExternKind::Table, i),
            ImportType::Memory(i) => self.type_of(ExternKind::Memory, i),
            ImportType::Global(i) => self.type_of(ExternKind::Global, i),
        }
    }

    /// The declared type of something in an index space.
    pub(crate) fn type_of(&self, kind: ExternKind, index: u32) -> ExternType {
        let info = self.info();
        let i = index as usize;
        match kind {
            ExternKind::Func => ExternType::Func(self.type_id(info.funcs[i])),
            ExternKind::Tag => ExternType::Tag(self.type_id(info.tags[i])),
            ExternKind::Memory => ExternType::Memory(info.memories[i]),
            ExternKind::Table => ExternType::Table(self.table_type(index)),
            ExternKind::Global => ExternType::Global(self.global_type(index)),
        }
    }

    /// The declared type of a table.
    pub(crate) fn table_type(&self, index: u32) -> TableType {
        let TableInfo { element, table64, minimum, maximum, .. } = &self.info().tables[index as usize];
        let element = self.canonical_ref(element);
        TableType { element, table64: *table64, minimum: *minimum, maximum: *maximum }
    }

    /// The declared type of a global.
    pub(crate) fn global_type(&self, index: u32) -> GlobalType {
        let global = &self.info().globals[index as usize];
        GlobalType { ty: self.canonical(&global.ty), mutable: global.mutable }
    }
}

fn canonical(ids: &[TypeId], ty: &ValType) -> ValType {
    match ty {
        ValType::Ref(r) => ValType::Ref(canonical_ref(ids, r)),
        other => *other,
    }
}

fn canonical_ref(ids: &[TypeId], ty: &RefType) -> RefType {
    let heap = match ty.heap {
        HeapType::Concrete(TypeRef::Module(i)) => HeapType::Concrete(TypeRef::Canonical(ids[i as usize])),
        other => other,
    };
    RefType { nullable: ty.nullable, heap }
}
