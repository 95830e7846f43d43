//! Sizes and places, as pure functions.
//!
//! The memory is counted in pages. The young generation takes the top of the largest free run, and leaves below it
//! more than what a minor collection may have to promote:
//!
//! ```text
//!  free run | room for promotion … | survivors 0 | eden                | survivors 1 |
//!           ^                      ^----- the nursery: one range for the barrier ----^
//! ```
//!
//! In a run too small for that, eden is the whole run and there are no survivor spaces: the heap is *tight*, and each
//! collection is a full one, which needs no room to copy to.

use crate::INLINE_LIMIT;
use heapwright_gc_heap::NULL_PAGE_BYTES;

/// Start of the memory.
pub(super) const BASE: u32 = NULL_PAGE_BYTES;
/// The unit in which memory changes its use.
pub(super) const PAGE: u32 = 4096;
/// Objects above this size are never copied.
pub(super) const MAX_SMALL: u32 = 64 << 10;
/// Smallest eden worth two survivor spaces and room for promotion.
const MIN_EDEN: u32 = 16 << 10;
/// Size of eden when nothing is known of the program: about what a present-day core has as second-level cache.
pub(super) const FIRST_EDEN: u32 = 1 << 20;
/// Largest eden: with survivor spaces and room for promotion it takes almost three times as much.
pub(super) const MAX_EDEN: u32 = 16 << 20;
/// Eden is this many times as large as a survivor space. What does not fit is promoted early.
const EDEN_PER_SURVIVORS: u32 = 4;

const _: () = assert!(PAGE.is_power_of_two() && BASE.is_multiple_of(PAGE));
const _: () = assert!(INLINE_LIMIT <= MIN_EDEN && INLINE_LIMIT <= MAX_SMALL && MAX_SMALL <= FIRST_EDEN / 8);
const _: () = assert!(MIN_EDEN.is_multiple_of(EDEN_PER_SURVIVORS * PAGE) && FIRST_EDEN <= MAX_EDEN);
// `eden_for` counts quarters.
const _: () = assert!(EDEN_PER_SURVIVORS == 4);
// Sums of a few edens stay far from wrapping.
const _: () = assert!(MAX_EDEN < u32::MAX / 64);

/// A range of heap offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn new(start: u32, end: u32) -> Span {
        Span { start, end: end.max(start) }
    }

    pub(super) fn len(self) -> u32 {
        self.end - self.start
    }

    #[inline(always)]
    pub(super) fn contains(self, at: u32) -> bool {
        at.wrapping_sub(self.start) < self.end - self.start
    }
}

/// The end of the page before `at`; `at` itself when it is a page's start. No offset in use is above the last page.
pub(super) fn page_up(at: u32) -> u32 {
    at.checked_next_multiple_of(PAGE).unwrap_or(u32::MAX / PAGE * PAGE)
}

/// Where the parts of the young generation lie; it is never moved while it holds objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct YoungLayout {
    pub(super) eden: Span,
    /// Below and above eden; both empty where no object is to age.
    pub(super) survivors: [Span; 2],
}

impl YoungLayout {
    /// All of it.
    pub(super) fn whole(&self) -> Span {
        Span::new(self.survivors[0].start, self.survivors[1].end)
    }

    /// Nothing but an eden.
    pub(super) fn only_eden(eden: Span) -> YoungLayout {
        YoungLayout { eden, survivors: [Span::new(eden.start, eden.start), Span::new(eden.end, eden.end)] }
    }

    /// The layout at the top of `run` with an eden of up to `target` bytes, if the run is large enough for any.
    pub(super) fn in_run(run: Span, target: u32) -> Option<YoungLayout> {
        let eden = eden_for(run, target);
        if eden < MIN_EDEN {
            return None;
        }
        let survivors = page_up(eden / EDEN_PER_SURVIVORS);
        let top = run.end;
        let eden = Span::new(top - survivors - eden, top - survivors);
        Some(YoungLayout { eden, survivors: [Span::new(eden.start - survivors, eden.start), Span::new(eden.end, top)] })
    }

    /// The layout at the bottom of `run` whose lower survivor space holds the first `live` bytes, if there is one.
    pub(super) fn around(run: Span, live: u32, target: u32) -> Option<YoungLayout> {
        let eden = eden_for(run, target);
        let survivors = page_up(eden / EDEN_PER_SURVIVORS);
        if eden < MIN_EDEN || live > survivors {
            return None;
        }
        let eden = Span::new(run.start + survivors, run.start + survivors + eden);
        Some(YoungLayout {
            eden,
            survivors: [Span::new(run.start, eden.start), Span::new(eden.end, eden.end + survivors)],
        })
    }

    /// Bytes that a minor collection must be able to promote when eden and one survivor space are full.
    pub(super) fn reserve(&self) -> u32 {
        self.eden.len() + self.survivors[0].len()
    }

    /// Objects above this size go to the large-object space.
    pub(super) fn small_limit(&self) -> u32 {
        (self.eden.len() / 8).clamp(INLINE_LIMIT, MAX_SMALL)
    }
}

/// The size that an eden in `run` would have; possibly too small to be used. The run takes eden, two survivor spaces, and room to
/// promote a full eden and a full survivor space: eleven quarters of an eden, and a page for each survivor space that is rounded up.
pub(super) fn eden_for(run: Span, target: u32) -> u32 {
    target.min(run.len().saturating_sub(3 * PAGE) / 11 * 4) / PAGE * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_leaves_room_to_promote_everything() {
        for pages in 1..5000 {
            for target in [FIRST_EDEN, 2 * FIRST_EDEN, MAX_EDEN] {
                let run = Span::new(BASE, BASE + pages * PAGE);
                let Some(layout) = YoungLayout::in_run(run, target) else {
                    assert!(run.len() < 4 * MIN_EDEN);
                    continue;
                };
                let whole = layout.whole();
                assert!(whole.start - run.start >= layout.reserve(), "{pages} pages");
                assert_eq!(whole.end, run.end);
                assert_eq!(whole.len(), layout.eden.len() + 2 * layout.survivors[0].len());
                assert!(layout.eden.len() <= target && layout.small_limit() <= layout.eden.len() / 2);
                for part in [layout.eden, layout.survivors[0], layout.survivors[1]] {
                    assert!(part.start % PAGE == 0 && part.end % PAGE == 0 && part.len() > 0);
                }
            }
        }
    }

    #[test]
    fn spans_contain_their_bytes() {
        let span = Span::new(64, 128);
        assert!(span.contains(64) && span.contains(127) && !span.contains(128) && !span.contains(63));
        assert!(!Span::new(64, 64).contains(64) && !span.contains(0));
        assert_eq!([page_up(0), page_up(1), page_up(PAGE), page_up(u32::MAX)], [0, PAGE, PAGE, u32::MAX / PAGE * PAGE]);
    }
}
