//! The simulated machine's objects and its collector.

use super::machine::{Bits, Collect, HEAP, Machine, RUBBISH, SPACE, SPACES, Shape, TYPE_STRIDE};
use heapwright_gc_heap::NULL_PAGE_BYTES;
use rustc_hash::FxHashMap;

impl Machine {
    /// Allocates without a collection.
    pub(super) fn allocate(&mut self, type_word: u32, length: u32) -> u32 {
        let object = self.cursor();
        let size = match &self.shapes[(type_word / TYPE_STRIDE) as usize - 1] {
            Shape::Struct { size, .. } => *size,
            Shape::Array(layout) => layout.size(length) as u32,
        };
        assert!(object + size <= NULL_PAGE_BYTES + SPACE * SPACES, "the test's heap is full");
        // Fresh memory is rubbish until the program writes it.
        self.slice(HEAP + u64::from(object), size).expect("mapped").fill(RUBBISH);
        self.set_cursor(object + size);
        self.set_word(object, type_word);
        for (i, word) in self.header.iter().enumerate() {
            self.set_word(object + 4 + 4 * i as u32, word.initial);
        }
        if let Shape::Array(layout) = &self.shapes[(type_word / TYPE_STRIDE) as usize - 1] {
            let at = object + layout.length_offset;
            self.set_word(at, length);
        }
        object
    }

    /// Size of the object, and offsets of its references.
    fn trace(&mut self, object: u32) -> (u32, Vec<u32>) {
        let word = self.word(object);
        let index = (word / TYPE_STRIDE).checked_sub(1).filter(|_| word.is_multiple_of(TYPE_STRIDE));
        let shape = index.and_then(|i| self.shapes.get(i as usize)).cloned();
        match shape.unwrap_or_else(|| panic!("a root or field names {object:#x}, which has type word {word:#x}")) {
            Shape::Struct { size, traced } => (size, traced),
            Shape::Array(layout) => {
                let length = self.word(object + layout.length_offset);
                let count = if layout.traced { length } else { 0 };
                (layout.size(length) as u32, (0..count).map(|i| layout.elements_offset + 4 * i).collect())
            }
        }
    }

    /// A safepoint: `roots` are addresses of words.
    pub(super) fn safepoint(&mut self, roots: &[u64]) {
        self.roots += roots.len();
        if self.collect == Collect::Nothing {
            return;
        }
        self.collections += 1;
        let is_object = |r: u32| r != 0 && r & 1 == 0;
        let mut places: FxHashMap<u32, u32> = FxHashMap::default();
        let (start, cursor) = (NULL_PAGE_BYTES + self.space * SPACE, self.cursor());
        let mut to = start;
        if self.collect == Collect::Move {
            self.space = (self.space + 1) % SPACES;
            to = NULL_PAGE_BYTES + self.space * SPACE;
        }
        let mut grey: Vec<u32> = Vec::new();
        let old: Vec<u32> = roots.iter().map(|&root| self.get(root, 4) as u32).collect();
        grey.extend(old.iter().filter(|&&r| is_object(r)));
        let mut image: Vec<(u32, Vec<u8>, Vec<u32>)> = Vec::new();
        while let Some(object) = grey.pop() {
            if places.contains_key(&object) {
                continue;
            }
            let (size, traced) = self.trace(object);
            let bytes = self.slice(HEAP + u64::from(object), size).expect("mapped").to_vec();
            let place = if self.collect == Collect::Move { to } else { object };
            to += size;
            places.insert(object, place);
            for &at in &traced {
                let field = self.word(object + at);
                grey.extend(is_object(field).then_some(field));
            }
            image.push((place, bytes, traced));
        }
        self.slice(HEAP + u64::from(start), cursor.max(start) - start).expect("mapped").fill(RUBBISH);
        for (place, bytes, traced) in image {
            let size = bytes.len() as u32;
            self.slice(HEAP + u64::from(place), size).expect("mapped").copy_from_slice(&bytes);
            for at in traced {
                let field = self.word(place + at);
                let moved = places.get(&field).copied().unwrap_or(field);
                self.set_word(place + at, moved);
            }
        }
        for (&root, old) in roots.iter().zip(old) {
            let moved = places.get(&old).copied().unwrap_or(old);
            self.set(root, 4, moved.into());
        }
        self.set_cursor(if self.collect == Collect::Move { to } else { cursor });
    }

    /// What a call of the module's function number `index` does: it collects, and gives its operand's first field, a
    /// new reference, or an exception.
    pub(super) fn function(&mut self, index: u32, args: &[Bits], roots: &[u64]) -> Result<Bits, Bits> {
        self.safepoint(roots);
        let object = self.allocate(TYPE_STRIDE, 0);
        for at in (4..16).step_by(4) {
            let value = if at == 4 { (args[1] as u32).wrapping_mul(7) ^ index } else { 0 };
            self.set_word(object + 4 * self.header.len() as u32 + at, value);
        }
        if (args[1] as u32).wrapping_mul(0x9e37_79b9) >> 31 == 1 { Err(object.into()) } else { Ok(object.into()) }
    }
}
