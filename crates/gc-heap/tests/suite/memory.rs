use crate::common::memory as in_vec;
use heapwright_gc_heap::*;

fn memories() -> Vec<HeapMemory> {
    let mut all = vec![in_vec(256 << 10)];
    if !cfg!(miri) {
        all.push(HeapMemory::reserve().unwrap());
    }
    for memory in &mut all {
        assert_eq!(memory.committed_end(), u64::from(NULL_PAGE_BYTES));
        memory.commit_to(u64::from(NULL_PAGE_BYTES) + 65536).unwrap();
    }
    all
}

#[test]
fn nothing_is_readable_before_the_first_commit() {
    let memory = in_vec(4096);
    for offset in [0, 4, NULL_PAGE_BYTES - 1, NULL_PAGE_BYTES, NULL_PAGE_BYTES + 4096, u32::MAX] {
        assert!(memory.load_u8(offset).is_err());
    }
}

#[test]
fn accessors_stop_at_both_ends() {
    for mut memory in memories() {
        let end = memory.committed_end() as u32;
        macro_rules! edges {
            ($load:ident, $store:ident, $ty:ty) => {
                let size = size_of::<$ty>() as u32;
                for offset in [0, 8, NULL_PAGE_BYTES - size, NULL_PAGE_BYTES - 1, end - size + 1, end, end + 8]
                    .into_iter()
                    .chain((0..16).map(|i| u32::MAX - i))
                {
                    assert_eq!(memory.$load(offset).map_err(|e| e.at), Err(offset));
                    assert!(memory.$store(offset, 1).is_err());
                }
                for offset in [NULL_PAGE_BYTES, NULL_PAGE_BYTES + 1, end - size] {
                    let value = <$ty>::MAX / 3;
                    memory.$store(offset, value).unwrap();
                    assert_eq!(memory.$load(offset), Ok(value));
                    memory.$store(offset, 0).unwrap();
                }
            };
        }
        edges!(load_u8, store_u8, u8);
        edges!(load_u16, store_u16, u16);
        edges!(load_u32, store_u32, u32);
        edges!(load_u64, store_u64, u64);
        edges!(load_u128, store_u128, u128);
    }
}

#[test]
fn values_are_little_endian() {
    for mut memory in memories() {
        memory.store_u32(NULL_PAGE_BYTES + 3, 0x0403_0201).unwrap();
        assert_eq!(memory.slice(NULL_PAGE_BYTES + 3, 4), Ok(&[1, 2, 3, 4][..]));
        assert_eq!(memory.load_u16(NULL_PAGE_BYTES + 4), Ok(0x0302));
    }
}

#[test]
fn ranges_are_checked_in_64_bits() {
    for mut memory in memories() {
        let end = memory.committed_end() as u32;
        let size = u64::from(end - NULL_PAGE_BYTES);
        assert!(memory.slice(NULL_PAGE_BYTES, size).is_ok());
        for (offset, length) in [
            (NULL_PAGE_BYTES, size + 1),
            (NULL_PAGE_BYTES + 1, size),
            (NULL_PAGE_BYTES, 1 << 32),
            (NULL_PAGE_BYTES, (1 << 32) + 1),
            (NULL_PAGE_BYTES, u64::MAX),
            (NULL_PAGE_BYTES + 8, u64::MAX - 7),
            (0, 1),
            (u32::MAX, 1),
            (u32::MAX, u64::from(NULL_PAGE_BYTES) + 1),
        ] {
            assert!(memory.slice(offset, length).is_err(), "{offset:#x} {length:#x}");
            assert!(memory.slice_mut(offset, length).is_err());
            assert!(memory.fill(offset, length, 1).is_err());
            assert!(memory.copy(offset, NULL_PAGE_BYTES, length).is_err());
            assert!(memory.copy(NULL_PAGE_BYTES, offset, length).is_err());
        }
        assert_eq!(memory.slice(end, 0).map(<[u8]>::len), Ok(0));
    }
}

#[test]
fn copies_may_overlap() {
    for mut memory in memories() {
        let at = NULL_PAGE_BYTES;
        memory.slice_mut(at, 5).unwrap().copy_from_slice(b"abcde");
        memory.copy(at + 2, at, 5).unwrap();
        assert_eq!(memory.slice(at, 7).unwrap(), b"ababcde");
        memory.copy(at, at + 1, 6).unwrap();
        assert_eq!(memory.slice(at, 6).unwrap(), b"babcde");
        memory.fill(at + 1, 3, b'x').unwrap();
        assert_eq!(memory.slice(at, 6).unwrap(), b"bxxxde");
    }
}

#[test]
fn commits_only_grow() {
    for mut memory in memories() {
        let end = memory.committed_end();
        memory.commit_to(end + 1).unwrap();
        let grown = memory.committed_end();
        assert!(grown > end && grown.is_multiple_of(4096));
        memory.commit_to(0).unwrap();
        assert_eq!(memory.committed_end(), grown);
        assert_eq!(memory.load_u64(end as u32), Ok(0));
        for too_much in [memory.max_end() + 1, u64::MAX] {
            assert!(memory.commit_to(too_much).is_err());
            assert_eq!(memory.committed_end(), grown);
        }
    }
}

#[test]
fn decommitted_pages_read_as_zero() {
    for mut memory in memories() {
        let (start, end) = (u64::from(NULL_PAGE_BYTES), memory.committed_end());
        memory.fill(NULL_PAGE_BYTES, end - start, 7).unwrap();
        memory.decommit(start + 1, start + 3 * 4096 - 1);
        assert_eq!(memory.load_u8(NULL_PAGE_BYTES + 4095), Ok(7));
        assert_eq!(memory.load_u8(NULL_PAGE_BYTES + 4096), Ok(0));
        assert_eq!(memory.load_u8(NULL_PAGE_BYTES + 8191), Ok(0));
        assert_eq!(memory.load_u8(NULL_PAGE_BYTES + 8192), Ok(7));
        // Whatever the range, only committed pages are concerned.
        memory.decommit(0, u64::MAX);
        memory.decommit(u64::MAX - 1, u64::MAX);
        assert_eq!(memory.load_u64(end as u32 - 8), Ok(0));
        memory.store_u8(NULL_PAGE_BYTES, 1).unwrap();
    }
}

#[test]
#[cfg(not(miri))]
fn the_whole_reservation_can_be_committed() {
    let mut memory = HeapMemory::reserve().unwrap();
    memory.commit_to(RESERVATION_BYTES).unwrap();
    memory.store_u8(u32::MAX, 9).unwrap();
    assert_eq!(memory.load_u8(u32::MAX), Ok(9));
    assert!(memory.load_u16(u32::MAX).is_err());
    assert!(memory.load_u32(NULL_PAGE_BYTES - 1).is_err());
}

#[test]
fn a_reset_memory_is_as_good_as_new() {
    const TABLES: &[SideTable] = &[SideTable { name: "marks", granule: 8, bits: 1 }];
    let end = u64::from(NULL_PAGE_BYTES) + (1 << 17);
    let mut all = vec![in_vec(256 << 10).with_side_tables(TABLES).unwrap()];
    if !cfg!(miri) {
        all.push(HeapMemory::reserve().unwrap().with_side_tables(TABLES).unwrap());
    }
    for mut memory in all {
        let (base, sides) = (memory.base(), memory.side_bases());
        for keep in [0, 5000, 1 << 20] {
            memory.commit_to(end).unwrap();
            memory.fill(NULL_PAGE_BYTES, 1 << 17, 0xee).unwrap();
            memory.side_mut(0).fill(0xff);
            memory.reset(keep).unwrap();
            assert_eq!(memory.committed_end(), u64::from(NULL_PAGE_BYTES));
            assert!(memory.load_u8(NULL_PAGE_BYTES).is_err() && memory.side(0).is_empty());
            // First less than before, then more.
            memory.commit_to(end - 65536).unwrap();
            memory.close().unwrap();
            assert!(memory.load_u8((end - 65536) as u32).is_err());
            memory.commit_to(end + 65536).unwrap();
            // Compared whole, for Miri's sake.
            assert!(
                *memory.slice(NULL_PAGE_BYTES, (1 << 17) + 65536).unwrap() == [0; (1 << 17) + 65536],
                "keep {keep}"
            );
            assert!(memory.side(0).iter().all(|&b| b == 0));
            assert_eq!((memory.base(), memory.side_bases()), (base, sides));
        }
    }
}
