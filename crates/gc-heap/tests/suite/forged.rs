//! Whatever bytes a heap holds, every operation answers: with a value, or that the heap is corrupted.

use crate::common::*;
use heapwright_gc_heap::*;

#[test]
fn random_heaps_are_survived() {
    static SPEC_1: Spec = Spec { header: &[HeaderWord { name: "word", initial: 0 }], ..SPEC };
    let rounds = if cfg!(miri) { 8 } else { 3000 };
    let mut corrupted = 0;
    for seed in 0..rounds {
        let mut random = Random(seed);
        let spec = if seed % 2 == 0 { &PLAIN } else { &SPEC_1 };
        let config = HeapConfig { max: 64 << 10, initial: 0, ..CONFIG };
        let (mut heap, types, _) = heap_with(config, bump(spec));
        let words: Vec<u32> = [
            structure(&[I32, ANYREF, I64]),
            structure(&[ANYREF; 70]),
            array(ANYREF),
            array(I8),
            array(V128),
            function(&[], &[]),
        ]
        .map(|ty| define(&types, ty).0)
        .into_iter()
        .chain([types.extern_type().0])
        .collect();
        let start = NULL_PAGE_BYTES;
        let end = heap.memory().committed_end() as u32;
        // Type words and small lengths among noise, at the start and at the very end.
        for at in (start..start + 2048).chain(end - 2048..end).step_by(4) {
            let word = match random.below(8) {
                0..3 => words[random.below(words.len() as u32) as usize],
                3 => random.below(64),
                4 => start + random.below(256) * 8,
                5 => end - 8 - random.below(256) * 8,
                6 => GcRef::i31(random.next()).raw(),
                _ => random.next() << 1,
            };
            heap.memory_mut().store_u32(at, word).unwrap();
        }
        let reference = |random: &mut Random| {
            GcRef::from_raw(match random.below(8) {
                0..4 => start + random.below(256) * 8,
                4..6 => end - 8 - random.below(256) * 8,
                6 => random.next() << 1,
                _ => random.below(NULL_PAGE_BYTES),
            })
        };
        for _ in 0..40 {
            let (a, b) = (reference(&mut random), reference(&mut random));
            let (i, j, n) = (random.below(90), random.next(), random.below(40));
            let i = if random.below(8) == 0 { j } else { i };
            let value = match random.below(3) {
                0 => Value::I32(j),
                1 => Value::Ref(b),
                _ => Value::V128(j.into()),
            };
            let _ = heap.type_of(a);
            let _ = heap.object_size(a);
            let _ = heap.array_length(a);
            let _ = heap.host_id(a);
            let _ = heap.is_instance(a, TypeId(words[0]));
            let _ = heap.array_bytes(a, i, n).map(|bytes| bytes.iter().fold(0u8, |sum, b| sum ^ b));
            let result = match random.below(9) {
                0 => heap.get_field(a, i).map(drop),
                1 => heap.set_field(a, i, value, random.below(2) == 0),
                2 => heap.get_element(a, i).map(drop),
                3 => heap.set_element(a, i, value, false),
                4 => heap.array_fill(a, i, value, n, true),
                5 => heap.array_copy(a, i, b, n, n),
                6 => heap.array_bytes_mut(a, i, n).map(|bytes| bytes.fill(1)),
                7 => {
                    let walk = heap
                        .for_each_slot::<HeapCorrupted>(a.raw(), |heap, slot| heap.memory().load_u32(slot).map(drop));
                    walk.map(drop).map_err(BadReference::from)
                }
                _ => heap.verify(&mut vec![a, b]).map(drop).map_err(BadReference::from),
            };
            if matches!(result, Err(BadReference::Corrupted(_))) || heap.corruption().is_some() {
                corrupted += 1;
                break;
            }
        }
    }
    // The noise is not so wild that nothing else is ever reached.
    assert!(corrupted > rounds / 4, "{corrupted}");
}
