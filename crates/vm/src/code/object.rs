//! A mapped text and what is known about it.

use crate::LoadedModule;
use crate::mapping::Reservation;
use heapwright_gc_heap::MemoryError;
use heapwright_jit::Target;
use heapwright_jit::artifact::CompiledModule;
use std::sync::{Arc, OnceLock, Weak};

/// What a text is.
pub(crate) enum CodeKind {
    /// A module's functions.
    Module(Arc<CompiledModule>),
    /// Trampolines and stubs.
    Stub,
}

/// A mapped text. Written before it can be run and never after.
pub(crate) struct CodeObject {
    mapping: Reservation,
    length: usize,
    pub(crate) kind: CodeKind,
    /// The module that owns the text, once it is made. Weak: the module owns its registration.
    owner: OnceLock<Weak<LoadedModule>>,
}

impl CodeObject {
    /// Maps the text of a target.
    pub(crate) fn for_target(target: Target, text: &[u8], kind: CodeKind) -> Result<CodeObject, MemoryError> {
        let mut mapping = Reservation::new(text.len() as u64)?;
        mapping.commit_to(text.len())?;
        // SAFETY: `text.len()` bytes were committed just now, and nobody else knows of them.
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), mapping.base(), text.len()) };
        match target {
            // x86-64 keeps instruction fetch coherent with stores; other targets flush here.
            Target::Native => mapping.make_executable()?,
            Target::Pulley64 => mapping.make_read_only()?,
        }
        Ok(CodeObject { mapping, length: text.len(), kind, owner: OnceLock::new() })
    }

    /// Maps the text of this machine.
    #[cfg(test)]
    pub(crate) fn new(text: &[u8], kind: CodeKind) -> Result<CodeObject, MemoryError> {
        CodeObject::for_target(Target::Native, text, kind)
    }

    /// Address of the first byte.
    pub(crate) fn start(&self) -> usize {
        self.mapping.base() as usize
    }

    /// Address after the last byte.
    pub(crate) fn end(&self) -> usize {
        self.start() + self.length
    }

    /// The address of text offset `offset`.
    pub(crate) fn at(&self, offset: u32) -> *const u8 {
        debug_assert!((offset as usize) < self.length);
        self.mapping.base().wrapping_add(offset as usize)
    }

    /// The bytes of the text.
    pub(crate) fn text(&self) -> &[u8] {
        // SAFETY: readable as long as the mapping, which is this value's; not written since it became executable.
        unsafe { core::slice::from_raw_parts(self.mapping.base(), self.length) }
    }

    /// The module, unless these are stubs.
    pub(crate) fn module(&self) -> Option<&Arc<CompiledModule>> {
        match &self.kind {
            CodeKind::Module(module) => Some(module),
            CodeKind::Stub => None,
        }
    }

    /// Says which module the text belongs to. Once.
    pub(crate) fn set_owner(&self, owner: Weak<LoadedModule>) {
        let _ = self.owner.set(owner);
    }

    /// The module that owns the text; `None` for stubs, and while the module is being made or taken apart.
    pub(crate) fn owner(&self) -> Option<Arc<LoadedModule>> {
        self.owner.get()?.upgrade()
    }
}
