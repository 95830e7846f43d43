//! Where the two spaces lie.
//!
//! The usable memory is `[base, top)`, and `top` rises when the heap's capacity grows. The rule that makes a collection
//! always possible: beside the current space `[start, end)` there is a gap, below or above it, that is at least as
//! large. [`space_end`] is the largest end that keeps the rule, [`to_space`] picks the gap.
//!
//! While the capacity stays the same the spaces are the lower and the upper half in turn:
//!
//! ```text
//! base               middle              top
//!  | current          | gap               |      start = base: the gap above must be as large
//!  | gap              | current           |      start = middle: the gap below is
//! ```
//!
//! All bounds are multiples of 8.

/// The end of the space that starts at `start`: as far up as a gap of the same size allows.
pub(super) fn space_end(base: u32, top: u32, start: u32) -> u32 {
    let gap_below = start.saturating_sub(base);
    let above = top.saturating_sub(start);
    let by_gap_below = start + gap_below.min(above);
    let by_gap_above = start + above / 2;
    by_gap_below.max(by_gap_above) & !7
}

/// The gap to copy into when `[start, cursor)` is in use: room for all of it. `None` cannot happen for a cursor inside
/// a space that [`space_end`] has bounded.
pub(super) fn to_space(base: u32, top: u32, start: u32, cursor: u32) -> Option<(u32, u32)> {
    let used = cursor.checked_sub(start)?;
    if start.checked_sub(base)? >= used && start > base {
        return Some((base, start));
    }
    // From the middle upward if possible, so that the spaces become halves.
    let middle = (base + top.checked_sub(base)? / 2).next_multiple_of(8);
    let above = middle.max(cursor);
    (top.checked_sub(above)? >= used).then_some((above, top))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u32 = 64 << 10;

    #[test]
    fn a_fixed_capacity_is_halved() {
        let top = BASE + 4096;
        assert_eq!(space_end(BASE, top, BASE), BASE + 2048);
        assert_eq!(to_space(BASE, top, BASE, BASE + 2048), Some((BASE + 2048, top)));
        assert_eq!(space_end(BASE, top, BASE + 2048), top);
        assert_eq!(to_space(BASE, top, BASE + 2048, top), Some((BASE, BASE + 2048)));
    }

    #[test]
    fn growth_extends_either_half() {
        let (old, new) = (BASE + 4096, BASE + 8192);
        assert_eq!(space_end(BASE, old, BASE), BASE + 2048);
        assert_eq!(space_end(BASE, new, BASE), BASE + 4096);
        // The upper half grows as well, and becomes larger than the gap below it.
        let upper = BASE + 2048;
        assert!(space_end(BASE, new, upper) - upper > 2048);
    }

    /// Whatever the order of fillings, survivals and growth: there is room, and two collections after the last growth
    /// the spaces are halves again.
    #[test]
    fn there_is_always_room() {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move |below: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % u64::from(below.max(1))) as u32
        };
        for _ in 0..2000 {
            let mut top = BASE + 8 * (2 + next(1000));
            let (mut start, mut quiet) = (BASE, 0);
            for _ in 0..40 {
                let end = space_end(BASE, top, start);
                let cursor = (start + next(end - start + 1)) & !7;
                if next(3) == 0 {
                    top += 8 * next(1000);
                    assert!(space_end(BASE, top, start) >= end, "growth never takes room away");
                    quiet = 0;
                }
                let (to, to_end) = to_space(BASE, top, start, cursor).expect("room");
                assert!(to >= BASE && to_end <= top && to % 8 == 0);
                assert!(to_end <= start || to >= cursor, "to-space overlaps the used part of from-space");
                assert!(to_end - to >= cursor - start);
                let live = next(cursor - start + 1) & !7;
                (start, quiet) = (to, quiet + 1);
                let end = space_end(BASE, top, start);
                assert!(start + live <= end, "survivors fit the new space");
                assert!(to_space(BASE, top, start, end).is_some(), "a full space can be collected");
                if quiet >= 2 {
                    assert!(end - start + 16 >= (top - BASE) / 2, "uneven after two collections");
                }
            }
        }
    }
}
