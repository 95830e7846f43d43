//! What a collection needs to know of a type, looked up once and kept close.
//!
//! [`TypeSpace::entry`] decodes and validates an entry; a collection asks for a handful of types millions of times.
//! A [`Shapes`] is a small direct-mapped cache of decoded entries that lives for one collection: while the mutator
//! stands still no type that an object of this heap legitimately has can be released. A forged type word may name
//! an entry that is just being written; a decoded [`Shape`] is therefore checked for consistency, once, and used
//! from then on.

use heapwright_gc_heap::{HeapCorrupted, TypeKind, TypeSpace, Words};
use std::rc::Rc;

/// Which words of an object are traced references.
#[derive(Clone, Debug)]
pub(crate) enum Trace {
    /// None.
    Nothing,
    /// Word `i` for each bit `i`.
    Bits(u64),
    /// Those at these byte offsets.
    List(Rc<[u32]>),
    /// All elements of the array.
    Elements,
    /// None, but the first word after the header is the id of a host value.
    Host,
}

/// The size and the references of a type's objects. Sizes are multiples of 8 and larger than the header; traced words
/// lie inside the size.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The type word; in an unused place of the cache one that is looked for in another place.
    word: u32,
    /// Object size in bytes; 0 for arrays.
    size: u32,
    /// Arrays: offset of element 0.
    elements: u32,
    /// Arrays: log2 of the element size.
    shift: u8,
    /// The references.
    pub(crate) trace: Trace,
}

/// Places in the cache.
const PLACES: usize = 256;

const _: () = assert!(PLACES.is_power_of_two());

/// One object's measures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Size in bytes, padding included.
    pub(crate) size: u32,
    /// Arrays: offset from the object's start of the end of the last element.
    pub(crate) elements_end: u32,
}

impl Shape {
    /// Measures the object at `at`. Whether it lies in allocated space is for the caller to check.
    #[inline(always)]
    pub(crate) fn extent(&self, words: &Words<'_>, at: u32, length_offset: u32) -> Result<Extent, HeapCorrupted> {
        if let Some(extent) = self.struct_extent() {
            return Ok(extent);
        }
        let length = words.get(at.wrapping_add(length_offset))?;
        self.array_extent(at, length)
    }

    /// The measures of every object of this type; `None` for arrays.
    #[inline(always)]
    pub(crate) fn struct_extent(&self) -> Option<Extent> {
        (self.size != 0).then_some(Extent { size: self.size, elements_end: 0 })
    }

    /// Measures an array of `length` elements at `at`.
    #[inline]
    pub(crate) fn array_extent(&self, at: u32, length: u32) -> Result<Extent, HeapCorrupted> {
        let end = u64::from(self.elements) + (u64::from(length) << self.shift);
        match u32::try_from(end.next_multiple_of(8)) {
            Ok(size) => Ok(Extent { size, elements_end: end as u32 }),
            Err(_) => Err(HeapCorrupted { what: "array length exceeds the heap", at }),
        }
    }

    /// Arrays: offset of element 0.
    pub(crate) fn elements(&self) -> u32 {
        self.elements
    }

    /// Calls `visit` with the heap offset of each traced slot of the object at `at`.
    #[inline(always)]
    pub(crate) fn for_each_slot(
        &self,
        at: u32,
        extent: Extent,
        mut visit: impl FnMut(u32) -> Result<(), HeapCorrupted>,
    ) -> Result<(), HeapCorrupted> {
        match &self.trace {
            Trace::Nothing | Trace::Host => {}
            Trace::Bits(bits) => {
                let mut bits = *bits;
                while bits != 0 {
                    visit(at.wrapping_add(4 * bits.trailing_zeros()))?;
                    bits &= bits - 1;
                }
            }
            Trace::List(list) => {
                for offset in list.iter() {
                    visit(at.wrapping_add(*offset))?;
                }
            }
            Trace::Elements => {
                for offset in (self.elements..extent.elements_end).step_by(4) {
                    visit(at.wrapping_add(offset))?;
                }
            }
        }
        Ok(())
    }

    /// Decodes and checks the entry that a type word names.
    pub(crate) fn decode(space: &TypeSpace, word: u32, header_bytes: u32) -> Result<Shape, HeapCorrupted> {
        let entry = space.entry(word)?;
        let bad = || HeapCorrupted { what: "type entry is no object type", at: word };
        let mut shape = Shape { word, size: entry.size, elements: 0, shift: 0, trace: Trace::Nothing };
        if entry.kind == TypeKind::Array {
            let (elements, shift) = (entry.elements_offset, entry.element_shift);
            let bad_elements = elements < header_bytes + 4 || elements % 4 != 0 || elements > 64 || shift > 4;
            if bad_elements || (entry.elements_traced && shift != 2) {
                return Err(bad());
            }
            (shape.size, shape.elements, shape.shift) = (0, elements, shift);
            if entry.elements_traced {
                shape.trace = Trace::Elements;
            }
            return Ok(shape);
        }
        let size = entry.size;
        if entry.kind == TypeKind::Func || size % 8 != 0 || size < header_bytes || size == 0 {
            return Err(bad());
        }
        if entry.kind == TypeKind::Extern {
            if size < header_bytes + 4 {
                return Err(bad());
            }
            shape.trace = Trace::Host;
        } else if !entry.list.is_empty() {
            let list: Rc<[u32]> = entry.list.iter().collect();
            if list.len() > size as usize / 4 || list.iter().any(|&at| at % 4 != 0 || at < header_bytes || at >= size) {
                return Err(bad());
            }
            shape.trace = Trace::List(list);
        } else if entry.bitmap != 0 {
            if 4 * (u64::BITS - entry.bitmap.leading_zeros()) > size || 4 * entry.bitmap.trailing_zeros() < header_bytes
            {
                return Err(bad());
            }
            shape.trace = Trace::Bits(entry.bitmap);
        }
        Ok(shape)
    }
}

/// The cache.
pub(crate) struct Shapes<'a> {
    space: &'a TypeSpace,
    header_bytes: u32,
    places: Box<[Shape; PLACES]>,
}

impl<'a> Shapes<'a> {
    /// An empty cache over `space` for objects with headers of `header_bytes`.
    pub(crate) fn new(space: &'a TypeSpace, header_bytes: u32) -> Shapes<'a> {
        // Whatever word a corrupted heap holds, it never finds a place that is not in use.
        let vacant = |place: usize| {
            let word = ((place + 1) % PLACES) as u32 * 64;
            Shape { word, size: 0, elements: 0, shift: 0, trace: Trace::Nothing }
        };
        Shapes { space, header_bytes, places: Box::new(core::array::from_fn(vacant)) }
    }

    /// Offset of an array's length.
    #[inline(always)]
    pub(crate) fn length_offset(&self) -> u32 {
        self.header_bytes
    }

    /// The shape that a type word names.
    #[inline(always)]
    pub(crate) fn get(&mut self, word: u32) -> Result<&Shape, HeapCorrupted> {
        let place = (word / 64) as usize % PLACES;
        if self.places[place].word != word {
            self.places[place] = Shape::decode(self.space, word, self.header_bytes)?;
        }
        Ok(&self.places[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapwright_gc_heap::{HeaderLayout, TypeRegistry};

    #[test]
    fn no_forged_word_finds_an_unused_place() {
        let header = HeaderLayout { extra_words: 0 };
        let types = TypeRegistry::new(header).expect("a type space");
        let mut shapes = Shapes::new(types.space(), header.bytes());
        for word in (0..64 * 2 * PLACES as u32).filter(|&word| word != types.extern_type().0) {
            assert!(shapes.get(word).is_err(), "{word:#x}");
        }
        assert!(shapes.get(types.extern_type().0).is_ok());
    }
}
