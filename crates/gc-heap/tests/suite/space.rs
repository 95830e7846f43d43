//! The entries as compiled code reads them.

use crate::common::*;
use heapwright_gc_heap::*;
use std::sync::Arc;

/// Reads a word as compiled code does.
fn word(types: &TypeRegistry, id: TypeId, offset: u32) -> u32 {
    // SAFETY: the tests read only inside live entries.
    unsafe { types.space().base().add((id.0 + offset) as usize).cast::<u32>().read() }
}

/// A chain of open structs, from the root down.
fn chain(types: &Arc<TypeRegistry>, length: u32) -> RegisteredTypes {
    let groups: Vec<_> = (0..length)
        .map(|i| {
            let ty = open(structure(&vec![I32; i as usize]));
            rec([if i == 0 { ty } else { below(ty, TypeRef::Module(i - 1)) }])
        })
        .collect();
    types.register(&groups).unwrap()
}

#[test]
fn displays_hold_the_whole_chain() {
    let types = registry(&PLAIN);
    let length = if cfg!(miri) { 12 } else { 70 };
    let held = chain(&types, length);
    for (depth, &id) in held.ids().iter().enumerate() {
        assert_eq!(word(&types, id, ENTRY_DEPTH_OFFSET), depth as u32);
        assert_eq!(types.space().entry(id.0).unwrap().depth, depth as u32);
        for (at, ancestor) in held.ids()[..=depth].iter().enumerate() {
            assert_eq!(word(&types, id, ENTRY_DISPLAY_OFFSET + 4 * at as u32), ancestor.0);
        }
        for at in depth as u32 + 1..DISPLAY_INLINE_DEPTH {
            assert_eq!(word(&types, id, ENTRY_DISPLAY_OFFSET + 4 * at), 0);
        }
    }
    for (i, &a) in held.ids().iter().enumerate() {
        for (j, &b) in held.ids().iter().enumerate() {
            assert_eq!(types.is_subtype(a, b), j <= i, "{i} {j}");
        }
    }
}

#[test]
fn siblings_are_no_subtypes() {
    let types = registry(&PLAIN);
    let held = chain(&types, 10);
    for depth in [0, 3, 9] {
        let parent = TypeRef::Canonical(held.ids()[depth]);
        let fields = |more: StorageType| [vec![I32; depth], vec![more]].concat();
        let a = define(&types, below(open(structure(&fields(I8))), parent));
        let b = define(&types, below(open(structure(&fields(I16))), parent));
        assert!(types.is_subtype(a, held.ids()[depth]) && types.is_subtype(b, held.ids()[0]));
        assert!(!types.is_subtype(a, b) && !types.is_subtype(b, a));
    }
    // Ids of nothing.
    let id = held.ids()[9];
    for forged in [0, 1, 64, id.0 + 64, u32::MAX].map(TypeId) {
        let itself = forged == types.extern_type();
        assert!(itself || !types.is_subtype(forged, id) && !types.is_subtype(id, forged));
    }
}

#[test]
fn bitmaps_mark_traced_words() {
    let types = registry(&PLAIN);
    let id = define(&types, structure(&[I64, ANYREF, I8, FUNCREF, ANYREF]));
    let entry = types.space().entry(id.0).unwrap();
    let layout = types.struct_layout(id).unwrap();
    assert_eq!((entry.kind, entry.size), (TypeKind::Struct, layout.size));
    let expected = layout.traced_offsets().iter().fold(0, |map, offset| map | 1u64 << (offset / 4));
    assert_eq!((entry.bitmap, entry.list.len()), (expected, 0));
    assert_eq!(expected.count_ones(), 2);
    assert_eq!(u64::from(word(&types, id, 20)) | u64::from(word(&types, id, 24)) << 32, expected);
    assert_eq!(word(&types, id, 16), 2);

    // The last word that a bitmap can hold, and the first that it cannot: word 0 is the header.
    let id = define(&types, structure(&[ANYREF; 63]));
    let entry = types.space().entry(id.0).unwrap();
    assert_eq!((entry.bitmap, entry.list.len()), (!1, 0));
    let id = define(&types, structure(&[ANYREF; 64]));
    let entry = types.space().entry(id.0).unwrap();
    assert_eq!(entry.bitmap, 0);
    assert_eq!(entry.list.iter().collect::<Vec<_>>(), (1..=64).map(|i| 4 * i).collect::<Vec<_>>());
    assert!(!entry.list.is_empty());
    // A large struct without traced fields needs no list.
    let id = define(&types, structure(&[I32; 200]));
    let entry = types.space().entry(id.0).unwrap();
    assert_eq!((entry.bitmap, entry.list.len(), entry.size), (0, 0, 808));
    // One far field.
    let id = define(&types, structure(&[&[I64; 40][..], &[ANYREF, ANYREF]].concat()));
    let entry = types.space().entry(id.0).unwrap();
    assert_eq!(entry.list.iter().collect::<Vec<_>>(), [4, 8 + 320]);
}

#[test]
fn arrays_say_where_their_elements_are() {
    let types = registry(&PLAIN);
    for (element, offset, shift, traced) in
        [(I8, 8, 0, false), (ANYREF, 8, 2, true), (FUNCREF, 8, 2, false), (F64, 8, 3, false), (V128, 8, 4, false)]
    {
        let id = define(&types, array(element));
        let entry = types.space().entry(id.0).unwrap();
        let seen = (entry.elements_offset, entry.element_shift, entry.elements_traced);
        assert_eq!((entry.kind, entry.size, seen), (TypeKind::Array, 0, (offset, shift, traced)));
        assert_eq!(word(&types, id, 12), offset << 8 | u32::from(traced) << 4 | u32::from(shift));
    }
}

#[test]
fn only_the_start_of_a_live_entry_is_an_entry() {
    let types = registry(&PLAIN);
    // Long entries, with a display and a list that cross lines.
    let held = chain(&types, 30);
    let long = define(&types, structure(&[ANYREF; 100]));
    let live: Vec<u32> = held.ids().iter().chain([&long, &types.extern_type()]).map(|id| id.0).collect();
    let end = types.space().used_bytes();
    for word in 0..end + 1024 {
        assert_eq!(types.space().entry(word).is_ok(), live.contains(&word), "{word:#x}");
    }
    for word in [1 << 30, 1 << 31, u32::MAX - 63, u32::MAX] {
        assert!(types.space().entry(word).is_err());
    }
}

#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn the_guests_mapping_cannot_be_written() {
    let types = registry(&PLAIN);
    let base = types.space().base() as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let (mut covered, end_of_all) = (base, base + types.space().reservation_bytes() as usize);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        if covered < end_of_all && start <= covered && covered < end {
            // The used part is readable, the rest of the reservation is not mapped, nothing is writable.
            let expected = if covered == base { "r--" } else { "---" };
            assert_eq!(&rest[..3], expected, "{line}");
            covered = end;
        }
    }
    assert!(covered >= end_of_all);
    assert!(types.space().reservation_bytes() > RESERVATION_BYTES);
}
