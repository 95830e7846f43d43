//! What each page of the memory is used for.
//!
//! One byte a page says what the page holds, which is how a reference out of the nursery is checked; an ordered map of the free
//! runs finds room. Both change together, and only here.

use super::geometry::{BASE, PAGE, Span, page_up};
use heapwright_gc_heap::HeapCorrupted;
use std::collections::BTreeMap;

/// The use of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Use {
    Free,
    Young,
    /// Old objects, not necessarily to the page's end. In a tight heap the rest of the last one belongs to eden.
    Old,
    /// A large object starts here.
    Large,
    /// A large object goes on here.
    LargeRest,
}

/// The page table.
#[derive(Debug, Default)]
pub(super) struct Pages {
    uses: Vec<Use>,
    /// Free runs: start -> end, never adjacent.
    free: BTreeMap<u32, u32>,
}

impl Pages {
    /// End of the memory.
    pub(super) fn top(&self) -> u32 {
        BASE + self.uses.len() as u32 * PAGE
    }

    /// Adds free pages up to `top`. Memory never goes away.
    pub(super) fn grow_to(&mut self, top: u32) {
        let (from, to) = (self.top(), top / PAGE * PAGE);
        if to > from {
            self.uses.resize(((to - BASE) / PAGE) as usize, Use::Free);
            self.release(Span::new(from, to));
        }
    }

    /// The use of the page that `offset` lies in; `Free` outside the memory.
    #[inline(always)]
    pub(super) fn at(&self, offset: u32) -> Use {
        let index = (offset.wrapping_sub(BASE) / PAGE) as usize;
        self.uses.get(index).copied().unwrap_or(Use::Free)
    }

    fn fill(&mut self, pages: Span, to: Use) {
        let index = |at: u32| (at.saturating_sub(BASE) / PAGE) as usize;
        if let Some(uses) = self.uses.get_mut(index(pages.start)..index(pages.end)) {
            uses.fill(to);
        }
    }

    /// Takes free pages into use.
    pub(super) fn claim(&mut self, pages: Span, to: Use) {
        if pages.len() == 0 {
            return;
        }
        let run = self.free.range(..=pages.start).next_back().map(|(&start, &end)| Span::new(start, end));
        let Some(run) = run.filter(|run| pages.end <= run.end) else {
            debug_assert!(false, "{pages:x?} is not free");
            return;
        };
        self.free.remove(&run.start);
        if run.start < pages.start {
            self.free.insert(run.start, pages.start);
        }
        if pages.end < run.end {
            self.free.insert(pages.end, run.end);
        }
        self.fill(pages, to);
    }

    /// Takes the pages of a large object.
    pub(super) fn claim_large(&mut self, pages: Span) {
        self.claim(pages, Use::LargeRest);
        self.fill(Span::new(pages.start, pages.start + PAGE), Use::Large);
    }

    /// Young pages become old ones.
    pub(super) fn promote(&mut self, pages: Span) {
        self.fill(pages, Use::Old);
    }

    /// Gives pages back.
    pub(super) fn release(&mut self, mut pages: Span) {
        if pages.len() == 0 {
            return;
        }
        self.fill(pages, Use::Free);
        if let Some((&start, &end)) = self.free.range(..pages.start).next_back()
            && end == pages.start
        {
            self.free.remove(&start);
            pages.start = start;
        }
        if let Some(end) = self.free.remove(&pages.end) {
            pages.end = end;
        }
        self.free.insert(pages.start, pages.end);
    }

    /// After a compaction: old are the pages of `segments`, large objects stay, all else is free.
    pub(super) fn rebuild(&mut self, segments: &[Span]) {
        self.free.clear();
        let mut run = BASE;
        for (i, page) in self.uses.iter_mut().enumerate() {
            let at = BASE + i as u32 * PAGE;
            if matches!(page, Use::Large | Use::LargeRest) {
                if run < at {
                    self.free.insert(run, at);
                }
                run = at + PAGE;
            } else {
                *page = Use::Free;
            }
        }
        if run < self.top() {
            self.free.insert(run, self.top());
        }
        for segment in segments {
            self.claim(Span::new(segment.start, page_up(segment.end)), Use::Old);
        }
    }

    /// The free runs, ascending.
    pub(super) fn runs(&self) -> impl DoubleEndedIterator<Item = Span> {
        self.free.iter().map(|(&start, &end)| Span::new(start, end))
    }

    /// The largest free run, the lowest of them; empty when no page is free.
    pub(super) fn largest(&self) -> Span {
        self.runs().rev().max_by_key(|run| run.len()).unwrap_or_default()
    }

    /// The free run that ends where the memory ends; empty when its last page is in use.
    pub(super) fn last(&self) -> Span {
        self.runs().next_back().filter(|run| run.end == self.top()).unwrap_or_default()
    }

    /// Whether all pages from `at`, a page's start behind a used page, are free.
    pub(super) fn free_from(&self, at: u32) -> bool {
        at >= self.top() || self.free.get(&at) == Some(&self.top())
    }

    /// The free memory from `at`, which lies in a used page or at a page's start, up to the next used page.
    pub(super) fn free_after(&self, at: u32) -> Span {
        let next = page_up(at);
        Span::new(at, self.free.get(&next).copied().unwrap_or(next))
    }

    /// Checks that the two representations agree.
    pub(super) fn verify(&self) -> Result<(), HeapCorrupted> {
        let mut previous = None;
        let mut free = 0;
        for run in self.runs() {
            let used = (run.start..run.end).step_by(PAGE as usize).any(|at| self.at(at) != Use::Free);
            if used || run.len() == 0 || previous.is_some_and(|end| end >= run.start) || run.end > self.top() {
                return Err(HeapCorrupted { what: "generational: a free run is not free", at: run.start });
            }
            previous = Some(run.end);
            free += run.len() / PAGE;
        }
        if self.uses.iter().filter(|page| **page == Use::Free).count() != free as usize {
            return Err(HeapCorrupted { what: "generational: a free page is in no run", at: self.top() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(from: u32, to: u32) -> Span {
        Span::new(BASE + from * PAGE, BASE + to * PAGE)
    }

    #[test]
    fn runs_split_and_merge() {
        let mut map = Pages::default();
        assert_eq!(map.largest().len(), 0);
        map.grow_to(BASE + 10 * PAGE + 5);
        assert_eq!(map.runs().collect::<Vec<_>>(), [pages(0, 10)]);
        map.claim(pages(3, 5), Use::Young);
        map.claim_large(pages(8, 10));
        assert_eq!(map.runs().collect::<Vec<_>>(), [pages(0, 3), pages(5, 8)]);
        assert_eq!(map.largest(), pages(0, 3));
        assert_eq!((map.at(BASE + 8 * PAGE + 7), map.at(BASE + 9 * PAGE)), (Use::Large, Use::LargeRest));
        assert_eq!((map.at(0), map.at(u32::MAX), map.at(BASE + 10 * PAGE)), (Use::Free, Use::Free, Use::Free));
        assert_eq!(map.free_after(BASE + 5 * PAGE - 8), Span::new(BASE + 5 * PAGE - 8, BASE + 8 * PAGE));
        map.verify().unwrap();
        map.release(pages(3, 5));
        map.grow_to(BASE + 12 * PAGE);
        assert_eq!(map.runs().collect::<Vec<_>>(), [pages(0, 8), pages(10, 12)]);
        map.rebuild(&[Span::new(BASE, BASE + PAGE + 8), pages(10, 11)]);
        assert_eq!(map.runs().collect::<Vec<_>>(), [pages(2, 8), pages(11, 12)]);
        assert_eq!(map.at(BASE + PAGE), Use::Old);
        assert_eq!(map.last(), pages(11, 12));
        assert_eq!([9, 11, 12].map(|page| map.free_from(BASE + page * PAGE)), [false, true, true]);
        map.verify().unwrap();
    }
}
