//! Initial contents of memories as files in memory, which every instance maps copy-on-write.
//!
//! A memory gets an image only where that cannot be told from copying the segments one by one: all its active segments
//! have constant offsets within the initial size, and nothing that comes before them in the order of instantiation and
//! may trap has effects outside the instance.

use crate::LoadedModule;
use crate::mapping::page_size;
use heapwright_gc_heap::MemoryError;
use heapwright_jit::module::{ConstOp, ElementMode, ModuleInfo};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::{pread, pwrite};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// An image may be this much larger than the segments in it, because of the gaps between them.
const SPARSE: usize = 4;
/// Unless it is no larger than this.
const SMALL: usize = 1 << 20;

/// Initial contents of a memory.
pub(crate) struct MemoryImage {
    id: u64,
    file: OwnedFd,
    /// Whole pages of the memory.
    range: Range<usize>,
}

/// The images of the memories that a module defines.
pub(crate) fn images_of(module: &LoadedModule) -> Box<[Option<Arc<MemoryImage>>]> {
    let info = module.info();
    let visible_before = info.elements.iter().any(|segment| match segment.mode {
        ElementMode::Active { table, .. } => table < info.imported_tables,
        ElementMode::Passive | ElementMode::Declared => false,
    });
    let images = (info.imported_memories..info.memories.len() as u32).map(|memory| {
        let segments = if visible_before { None } else { static_segments(info, memory) }?;
        let bytes = segments.iter().map(|&(_, i)| info.data[i].bytes.len()).sum();
        if bytes == 0 || !module.runtime().allocator().wants_image(bytes) {
            return None;
        }
        let image = MemoryImage::new(module, &segments, bytes);
        image.inspect_err(|e| log::debug!("memory {memory} is initialised by copying: {e}")).ok()?.map(Arc::new)
    });
    images.collect()
}

/// Offset and index of each active segment of a memory, if all are known to fit.
fn static_segments(info: &ModuleInfo, memory: u32) -> Option<Vec<(usize, usize)>> {
    let ty = info.memories[memory as usize];
    if ty.page_size_log2 != 16 {
        return None;
    }
    let size = ty.minimum.checked_mul(1 << 16)?;
    let mut segments = Vec::new();
    for (i, segment) in info.data.iter().enumerate() {
        let Some((target, offset)) = &segment.active else { continue };
        if *target != memory {
            continue;
        }
        let at = match **offset {
            [ConstOp::I32(at)] => u64::from(at as u32),
            [ConstOp::I64(at)] => at as u64,
            _ => return None,
        };
        let end = at.checked_add(segment.bytes.len() as u64)?;
        if end > size {
            return None;
        }
        segments.push((at as usize, i));
    }
    Some(segments)
}

impl MemoryImage {
    /// Writes segments (in this order) into an image; `None` when there is too little in too much space.
    fn new(
        module: &LoadedModule,
        segments: &[(usize, usize)],
        bytes: usize,
    ) -> Result<Option<MemoryImage>, MemoryError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let length = |i: usize| module.info().data[i].bytes.len();
        let filled = || segments.iter().filter(|&&(_, i)| length(i) > 0);
        let start = filled().map(|&(at, _)| at).min().unwrap_or(0) / page_size() * page_size();
        let end = filled().map(|&(at, i)| at + length(i)).max().unwrap_or(0).next_multiple_of(page_size());
        if end - start > SMALL && end - start > SPARSE * bytes {
            return Ok(None);
        }
        let file = memfd_create("heapwright-image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(|e| refused("made", e))?;
        ftruncate(&file, (end - start) as u64).map_err(|e| refused("sized", e))?;
        for &(at, i) in filled() {
            let (mut rest, mut to) = (module.data_segment(i as u32), (at - start) as u64);
            if rest.len() != length(i) {
                return Err(MemoryError("the module's bytes do not contain its segments".into()));
            }
            while !rest.is_empty() {
                let written = pwrite(&file, rest, to).map_err(|e| refused("written", e))?;
                (rest, to) = (&rest[written..], to + written as u64);
            }
        }
        // Slots rely on it: what a page holds after it was given back is what was written here.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).map_err(|e| refused("sealed", e))?;
        Ok(Some(MemoryImage { id: NEXT.fetch_add(1, Relaxed), file, range: start..end }))
    }

    /// Identity; never 0.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Bytes of the memory that it covers: whole pages.
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Reads the image's first bytes.
    pub(crate) fn read(&self, mut into: &mut [u8]) -> Result<(), MemoryError> {
        let mut at = 0;
        while !into.is_empty() {
            let count = pread(&self.file, &mut *into, at).map_err(|e| refused("read", e))?;
            if count == 0 {
                return Err(MemoryError("a memory image is too short".into()));
            }
            (into, at) = (&mut into[count..], at + count as u64);
        }
        Ok(())
    }
}

fn refused(what: &str, e: rustix::io::Errno) -> MemoryError {
    MemoryError(format!("a memory image cannot be {what}: {e}"))
}
