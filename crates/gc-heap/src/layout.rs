//! Where the parts of an object stand.
//!
//! Word 0 of every object is its type word; `HeaderLayout::extra_words` further words belong to the
//! collector. A struct's fields follow, placed so that no space is lost to alignment where a smaller field
//! can fill the hole; a subtype keeps every offset of its supertype and fills the holes that it left. An
//! array has its length after the header and its elements after that.
//!
//! Layouts are pure functions of the types and the header, so that a compiler and the registry, which never
//! meet, agree.

use crate::types::StorageType;

/// Objects start at, and are padded to, multiples of this many bytes.
pub(crate) const OBJECT_ALIGN: u32 = 8;

/// The part of the layout that a collector chooses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HeaderLayout {
    /// 32-bit words between the type word and the object's own contents; at most 3.
    pub extra_words: u8,
}

impl HeaderLayout {
    /// Header size in bytes, the type word included.
    pub const fn bytes(self) -> u32 {
        4 + 4 * self.extra_words as u32
    }

    /// Offset of an array's length, in bytes from the object's start.
    pub const fn length_offset(self) -> u32 {
        self.bytes()
    }
}

/// One field's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldLayout {
    /// Bytes from the object's start.
    pub offset: u32,
    /// What is stored there.
    pub storage: StorageType,
    /// Whether the collector must visit it: a reference other than a function reference.
    pub traced: bool,
}

/// A struct's layout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StructLayout {
    /// Object size in bytes, header included, a multiple of 8.
    pub size: u32,
    /// The fields, by index.
    pub fields: Box<[FieldLayout]>,
    /// Unused byte ranges `[start, end)` below `size`, for subtypes to fill, ascending.
    holes: Box<[(u32, u32)]>,
}

/// An array's layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArrayLayout {
    /// Offset of the 32-bit length.
    pub length_offset: u32,
    /// Offset of element 0.
    pub elements_offset: u32,
    /// Binary logarithm of the element size.
    pub element_shift: u8,
    /// What is stored.
    pub storage: StorageType,
    /// Whether the collector must visit the elements.
    pub traced: bool,
}

impl ArrayLayout {
    /// The layout of an array of `storage`; `traced` says whether elements are references that the collector
    /// visits.
    pub fn new(header: HeaderLayout, storage: StorageType, traced: bool) -> ArrayLayout {
        let size = storage.byte_size();
        let length_offset = header.length_offset();
        let align = size.min(OBJECT_ALIGN);
        ArrayLayout {
            length_offset,
            elements_offset: (length_offset + 4).next_multiple_of(align),
            element_shift: size.trailing_zeros() as u8,
            storage,
            traced,
        }
    }

    /// Size in bytes of an array of `length` elements, a multiple of 8; it may exceed 4 GiB.
    pub fn size(&self, length: u32) -> u64 {
        (u64::from(self.elements_offset) + (u64::from(length) << self.element_shift))
            .next_multiple_of(u64::from(OBJECT_ALIGN))
    }
}

impl StructLayout {
    /// Lays out `fields` (with their traced flags). With `parent`, the first fields are the parent's and keep
    /// their places.
    ///
    /// # Panics
    ///
    /// When `fields` is shorter than the parent's: validation has excluded that.
    pub fn new(header: HeaderLayout, parent: Option<&StructLayout>, fields: &[(StorageType, bool)]) -> StructLayout {
        let (mut placed, mut holes, mut end) = match parent {
            Some(p) => (p.fields.to_vec(), p.holes.to_vec(), p.size),
            None => (Vec::new(), Vec::new(), header.bytes()),
        };
        assert!(fields.len() >= placed.len(), "a subtype has at least its supertype's fields");
        for (have, &(storage, traced)) in placed.iter_mut().zip(fields) {
            // A subtype may refine an immutable field's type, never its size.
            (have.storage, have.traced) = (storage, traced);
        }
        let first_new = placed.len();
        placed.extend(fields[first_new..].iter().map(|&(storage, traced)| FieldLayout { offset: 0, storage, traced }));
        // Large fields first: then only a hole made by the header or the parent is ever left over.
        let mut order: Vec<usize> = (first_new..placed.len()).collect();
        order.sort_by_key(|&i| core::cmp::Reverse(placed[i].storage.byte_size()));
        for i in order {
            let size = placed[i].storage.byte_size();
            placed[i].offset = take_hole(&mut holes, size).unwrap_or_else(|| {
                let offset = end.next_multiple_of(size.min(OBJECT_ALIGN));
                if offset > end {
                    holes.push((end, offset));
                }
                end = offset + size;
                offset
            });
        }
        let size = end.next_multiple_of(OBJECT_ALIGN);
        if size > end {
            holes.push((end, size));
        }
        holes.sort_unstable();
        StructLayout { size, fields: placed.into(), holes: holes.into() }
    }

    /// Offsets of the references that the collector visits, ascending.
    pub fn traced_offsets(&self) -> Vec<u32> {
        let mut offsets: Vec<u32> = self.fields.iter().filter(|f| f.traced).map(|f| f.offset).collect();
        offsets.sort_unstable();
        offsets
    }
}

/// Takes `size` aligned bytes from the first hole that has them.
fn take_hole(holes: &mut Vec<(u32, u32)>, size: u32) -> Option<u32> {
    let align = size.min(OBJECT_ALIGN);
    for i in 0..holes.len() {
        let (start, end) = holes[i];
        let offset = start.next_multiple_of(align);
        if offset + size > end {
            continue;
        }
        holes.remove(i);
        if offset + size < end {
            holes.insert(i, (offset + size, end));
        }
        if start < offset {
            holes.insert(i, (start, offset));
        }
        return Some(offset);
    }
    None
}

/// The layout of an exception object: a 32-bit tag id after the header, then the tag's parameters.
///
/// Field 0 is the tag id, field `i + 1` is parameter `i`.
pub fn layout_exception(header: HeaderLayout, params: &[(StorageType, bool)]) -> StructLayout {
    let tag = (StorageType::Val(crate::ValType::I32), false);
    let parent = StructLayout::new(header, None, &[tag]);
    let fields: Vec<_> = core::iter::once(tag).chain(params.iter().copied()).collect();
    StructLayout::new(header, Some(&parent), &fields)
}
