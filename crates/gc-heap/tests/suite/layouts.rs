use crate::common::*;
use heapwright_gc_heap::*;

const NO_WORDS: HeaderLayout = HeaderLayout { extra_words: 0 };
const ONE_WORD: HeaderLayout = HeaderLayout { extra_words: 1 };

fn lay_out(header: HeaderLayout, parent: Option<&StructLayout>, fields: &[StorageType]) -> StructLayout {
    let fields: Vec<_> = fields.iter().map(|&f| (f, f.as_ref().is_some())).collect();
    StructLayout::new(header, parent, &fields)
}

fn offsets(layout: &StructLayout) -> Vec<u32> {
    layout.fields.iter().map(|f| f.offset).collect()
}

#[test]
fn an_empty_struct_is_its_header() {
    for words in 0..=3 {
        let header = HeaderLayout { extra_words: words };
        assert_eq!(header.bytes(), 4 + 4 * u32::from(words));
        assert_eq!(lay_out(header, None, &[]).size, header.bytes().next_multiple_of(8));
    }
}

#[test]
fn small_fields_fill_the_hole_after_the_header() {
    let layout = lay_out(NO_WORDS, None, &[I8, I64, I32]);
    // The i64 needs 8-alignment and leaves 4..8, which the i32 takes; the byte comes last.
    assert_eq!(offsets(&layout), [16, 8, 4]);
    assert_eq!(layout.size, 24);
    // With a second header word nothing is lost before the i64.
    let layout = lay_out(ONE_WORD, None, &[I8, I64, I32]);
    assert_eq!(offsets(&layout), [20, 8, 16]);
    assert_eq!(layout.size, 24);
}

#[test]
fn a_subtype_fills_its_parents_holes() {
    let parent = lay_out(NO_WORDS, None, &[I64]);
    assert_eq!((offsets(&parent), parent.size), (vec![8], 16));
    let child = lay_out(NO_WORDS, Some(&parent), &[I64, I32]);
    assert_eq!((offsets(&child), child.size), (vec![8, 4], 16));

    let parent = lay_out(NO_WORDS, None, &[I8]);
    assert_eq!((offsets(&parent), parent.size), (vec![4], 8));
    let child = lay_out(NO_WORDS, Some(&parent), &[I8, I16]);
    assert_eq!((offsets(&child), child.size), (vec![4, 6], 8));
    let grandchild = lay_out(NO_WORDS, Some(&child), &[I8, I16, I8, V128]);
    assert_eq!((offsets(&grandchild), grandchild.size), (vec![4, 6, 5, 8], 24));
}

#[test]
fn a_refined_field_keeps_its_place_but_not_its_tracing() {
    let parent = StructLayout::new(NO_WORDS, None, &[(ANYREF, true), (I64, false)]);
    let none = StorageType::Val(non_null(HeapType::Abstract(AbstractHeapType::None)));
    let child = StructLayout::new(NO_WORDS, Some(&parent), &[(none, true), (I64, false), (FUNCREF, false)]);
    assert_eq!(child.fields[0], FieldLayout { offset: 4, storage: none, traced: true });
    assert_eq!(child.traced_offsets(), [4]);
}

#[test]
fn arrays_keep_elements_aligned() {
    for (element, size) in [(I8, 1), (I16, 2), (I32, 4), (F32, 4), (ANYREF, 4), (I64, 8), (F64, 8), (V128, 16)] {
        for words in 0..=3 {
            let header = HeaderLayout { extra_words: words };
            let layout = ArrayLayout::new(header, element, false);
            assert_eq!(layout.length_offset, 4 + 4 * u32::from(words));
            assert_eq!(1 << layout.element_shift, size);
            assert_eq!(layout.elements_offset, (layout.length_offset + 4).next_multiple_of(size.min(8)));
            let expected = u64::from(layout.elements_offset) + 3 * u64::from(size);
            assert_eq!(layout.size(3), expected.next_multiple_of(8));
        }
    }
    // The largest length does not overflow.
    let layout = ArrayLayout::new(NO_WORDS, V128, false);
    assert_eq!(layout.size(u32::MAX), 8 + 16 * u64::from(u32::MAX));
}

#[test]
fn every_exception_has_its_tag_at_the_same_place() {
    for params in [&[][..], &[(I64, false)], &[(V128, false), (I8, false)], &[(ANYREF, true)]] {
        for header in [NO_WORDS, ONE_WORD] {
            let layout = layout_exception(header, params);
            assert_eq!(layout.fields[0].offset, header.bytes());
            assert_eq!(layout.fields.len(), params.len() + 1);
            for (field, param) in layout.fields[1..].iter().zip(params) {
                assert_eq!((field.storage, field.traced), *param);
            }
        }
    }
}

#[test]
fn random_chains_are_sound_and_tight() {
    let all = [I8, I16, I32, F32, ANYREF, I64, F64, V128];
    let mut random = Random(7);
    for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
        let header = HeaderLayout { extra_words: random.below(4) as u8 };
        let mut fields: Vec<StorageType> = Vec::new();
        let mut parent: Option<StructLayout> = None;
        for _ in 0..random.below(6) + 1 {
            fields.extend((0..random.below(8)).map(|_| all[random.below(8) as usize]));
            let layout = lay_out(header, parent.as_ref(), &fields);
            let mut used: Vec<(u32, u32)> = vec![(0, header.bytes())];
            for (field, storage) in layout.fields.iter().zip(&fields) {
                let size = storage.byte_size();
                assert_eq!(field.storage, *storage);
                assert!(field.offset.is_multiple_of(size.min(8)), "{layout:?}");
                used.push((field.offset, field.offset + size));
            }
            used.sort_unstable();
            assert!(used.windows(2).all(|pair| pair[0].1 <= pair[1].0), "overlap in {layout:?}");
            assert!(used.last().unwrap().1 <= layout.size && layout.size.is_multiple_of(8));
            if let Some(parent) = &parent {
                assert!(parent.fields.iter().zip(&layout.fields).all(|(a, b)| a.offset == b.offset));
                assert!(parent.size <= layout.size);
            } else {
                // Without inherited holes less than one granule is lost at the header and one at the end.
                let bytes: u32 = used.iter().map(|(start, end)| end - start).sum();
                assert!(layout.size < bytes + 16, "{layout:?}");
            }
            parent = Some(layout);
        }
    }
}
