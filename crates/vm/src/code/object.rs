//! A mapped text and what is known about it.

use crate::LoadedModule;
use crate::mapping::{Reservation, page_size};
use heapwright_gc_heap::MemoryError;
use heapwright_jit::artifact::CompiledModule;
use heapwright_jit::{SLOT, Target, slots_size};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, OnceLock, Weak};

/// What a text is.
pub(crate) enum CodeKind {
    /// A module's functions.
    Module(Arc<CompiledModule>),
    /// Trampolines and stubs.
    Stub,
}

/// A mapped text of which nothing is known yet.
///
/// Code is written before anything leads to it, and never changed after. No page is ever writable and executable: a
/// text that is complete is written first and made executable then, or mapped from an artifact; one that grows is
/// mapped from an unnamed file, executable and not writable, and grows by writing to the file. Its beginning may be an
/// artifact's.
///
/// ```text
///   base        base + before                 base + before + fixed
///    | slots     | text: an artifact's pages   | text: the unnamed file's pages … room |
/// ```
///
/// Invariant (kept by this module): `[before, before + length)` of the mapping is readable, and nobody writes there any
/// more.
pub(crate) struct CodeMapping {
    mapping: Reservation,
    /// Bytes of data in front of the text: the slots of jump stubs.
    before: usize,
    /// Bytes of text that are no part of the file that grows: whole pages.
    fixed: usize,
    /// Bytes of text so far.
    length: AtomicUsize,
    /// Bytes of text that there is room for.
    room: usize,
    /// What a text that grows is mapped from.
    file: Option<File>,
}

/// A mapped text with what is known about it.
pub(crate) struct CodeObject {
    code: CodeMapping,
    pub(crate) kind: CodeKind,
    /// The module that owns the text, once it is made. Weak: the module owns its registration.
    owner: OnceLock<Weak<LoadedModule>>,
}

/// Address space for a text that grows. All of it can be reached by direct calls; what is not used costs nothing.
const ROOM: usize = 1 << 30;

impl CodeMapping {
    /// Maps a text of a target by copying it.
    pub(crate) fn of_bytes(target: Target, text: &[u8]) -> Result<CodeMapping, MemoryError> {
        let mut mapping = Reservation::new(text.len() as u64)?;
        mapping.commit_to(text.len())?;
        // SAFETY: `text.len()` bytes were committed just now, in a mapping that nobody else knows of, so they overlap
        // nothing.
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), mapping.base(), text.len()) };
        match target {
            // x86-64 keeps instruction fetch coherent with stores; other targets flush here.
            Target::Native => mapping.make_executable()?,
            Target::Pulley64 => mapping.make_read_only()?,
        }
        Ok(CodeMapping::complete(mapping, text.len()))
    }

    /// Maps a text of a target from a file, where it starts at a multiple of the page size. Nothing is copied, and no
    /// page is ever writable.
    ///
    /// # Safety
    ///
    /// The text must be one that this engine's compiler made, and the file's bytes must stay what they are.
    pub(crate) unsafe fn of_file(target: Target, file: &File, text: &Range<usize>) -> Result<CodeMapping, MemoryError> {
        // SAFETY: what is executed, and that the file stays as it is, is the caller's promise.
        let mapping = unsafe { Reservation::of_file(file, text, target == Target::Native)? };
        Ok(CodeMapping::complete(mapping, text.len()))
    }

    fn complete(mapping: Reservation, length: usize) -> CodeMapping {
        CodeMapping { mapping, before: 0, fixed: length, length: AtomicUsize::new(length), room: length, file: None }
    }

    /// Maps a text for this machine that can grow, behind the slots of `count` jump stubs, by copying what there is of
    /// it.
    pub(crate) fn growing(count: u32, text: &[u8]) -> Result<CodeMapping, MemoryError> {
        let code = CodeMapping::with_room(count, 0, |_| Ok(()))?;
        code.append(0, text)?;
        Ok(code)
    }

    /// As [`growing`](Self::growing), but what there is of the text is mapped from a file, where it starts at a
    /// multiple of the page size and zeros fill its last page. What is added begins on the page behind.
    ///
    /// # Safety
    ///
    /// As for [`of_file`](Self::of_file).
    pub(crate) unsafe fn growing_from(
        count: u32,
        file: &File,
        text: &Range<usize>,
    ) -> Result<CodeMapping, MemoryError> {
        let whole = text.start..text.start + text.len().next_multiple_of(page_size());
        CodeMapping::with_room(count, whole.len(), |mapping| {
            // SAFETY: what is executed, and that the file stays as it is, is the caller's promise.
            unsafe { mapping.map_code(slots_size(count), file, &whole) }
        })
    }

    /// A text that can grow, of which `fixed` bytes (whole pages) are mapped by `map`.
    fn with_room(
        count: u32,
        fixed: usize,
        map: impl FnOnce(&mut Reservation) -> Result<(), MemoryError>,
    ) -> Result<CodeMapping, MemoryError> {
        let no_memory = |e| MemoryError(format!("no memory for code: {e}"));
        let file = File::from(unnamed_file().map_err(no_memory)?);
        let before = slots_size(count);
        let room = ROOM.max(fixed + page_size());
        let mut mapping = Reservation::new((before + room) as u64)?;
        mapping.commit_to(before)?;
        map(&mut mapping)?;
        // SAFETY: the file has no name and no other handle, so only `append` writes to it, and that only behind what it
        // has written before; nothing jumps to code before it is written (`Lazy` sets slots afterwards).
        unsafe { mapping.map_growing_file(before + fixed, &file)? };
        Ok(CodeMapping { mapping, before, fixed, length: AtomicUsize::new(fixed), room, file: Some(file) })
    }

    /// Writes code at text offset `at`, at or behind the end of the text, which thereby grows. One caller at a time.
    pub(crate) fn append(&self, at: usize, code: &[u8]) -> Result<(), MemoryError> {
        let full = || MemoryError(format!("the module's machine code exceeds {} bytes", self.room));
        let file = self.file.as_ref().ok_or_else(full)?;
        let end = at.checked_add(code.len()).filter(|&end| end <= self.room).ok_or_else(full)?;
        assert!(at >= self.length.load(Acquire), "code is never written over");
        let place = (at - self.fixed) as u64;
        file.write_all_at(code, place).map_err(|e| MemoryError(format!("no memory for code: {e}")))?;
        self.length.store(end, Release);
        Ok(())
    }

    /// Bytes of text so far.
    pub(crate) fn length(&self) -> usize {
        self.length.load(Acquire)
    }

    /// The address of text offset `offset`.
    pub(crate) fn address(&self, offset: u32) -> usize {
        self.start() as usize + offset as usize
    }

    /// The slot of a jump stub.
    pub(crate) fn slot(&self, stub: u32) -> &AtomicUsize {
        let offset = stub as usize * SLOT as usize;
        assert!(offset + SLOT as usize <= self.before);
        // SAFETY: in bounds, as just checked; aligned, since the mapping begins a page; committed and zero from the
        // start (`with_room`). It is accessed atomically here, and by jump stubs, which read a whole aligned word.
        unsafe { &*self.mapping.base().add(offset).cast::<AtomicUsize>() }
    }

    /// The bytes of the text.
    fn text(&self) -> &[u8] {
        // SAFETY: this type's invariant: the bytes are readable as long as the mapping, which is this value's, and
        // constant.
        unsafe { core::slice::from_raw_parts(self.start(), self.length()) }
    }

    fn start(&self) -> *const u8 {
        self.mapping.base().wrapping_add(self.before)
    }
}

/// An unnamed file in memory whose contents may be executed.
fn unnamed_file() -> rustix::io::Result<OwnedFd> {
    let create = |flags| memfd_create("heapwright-code", MemfdFlags::CLOEXEC | flags);
    // Older systems do not know the flag, and need none.
    create(MemfdFlags::EXEC).or_else(|_| create(MemfdFlags::empty()))
}

impl CodeObject {
    /// Maps the text of a target.
    pub(crate) fn for_target(target: Target, text: &[u8], kind: CodeKind) -> Result<CodeObject, MemoryError> {
        Ok(CodeObject::of_mapping(CodeMapping::of_bytes(target, text)?, kind))
    }

    /// Says what a mapped text is.
    pub(crate) fn of_mapping(code: CodeMapping, kind: CodeKind) -> CodeObject {
        CodeObject { code, kind, owner: OnceLock::new() }
    }

    /// Maps the text of this machine.
    #[cfg(test)]
    pub(crate) fn new(text: &[u8], kind: CodeKind) -> Result<CodeObject, MemoryError> {
        CodeObject::for_target(Target::Native, text, kind)
    }

    /// The mapping.
    pub(crate) fn code(&self) -> &CodeMapping {
        &self.code
    }

    /// Address of the first byte.
    pub(crate) fn start(&self) -> usize {
        self.code.start() as usize
    }

    /// Address after the last byte that the text can ever have.
    pub(crate) fn end(&self) -> usize {
        self.start() + self.code.room
    }

    /// The address of text offset `offset`.
    pub(crate) fn at(&self, offset: u32) -> *const u8 {
        debug_assert!((offset as usize) < self.code.length());
        self.code.start().wrapping_add(offset as usize)
    }

    /// The bytes of the text.
    pub(crate) fn text(&self) -> &[u8] {
        self.code.text()
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
