//! Finding room: for the nursery, for large objects, and in a tight heap.

use super::geometry::{Span, YoungLayout, eden_for, page_up};
use super::pages::Use;
use super::remember::{BELOW_NURSERY, OLD_BOUND, wipe};
use super::{Generational, geometry};
use heapwright_gc_heap::{AllocOutcome, Heap};

/// The young generation.
#[derive(Debug, Default)]
pub(super) struct Young {
    pub(super) layout: YoungLayout,
    /// Which survivor space is in use.
    pub(super) current: usize,
    /// Its used part.
    pub(super) survivors: Span,
    /// Whether there is no room for minor collections.
    pub(super) tight: bool,
    /// Whether eden is to become old as it is when it is full.
    pub(super) in_place: bool,
    /// Whether the next collection is a full one, so that nothing need be remembered.
    pub(super) unlogged: bool,
    /// Whether free memory has become so short that eden is a mere remnant of what it was: then only a full collection helps.
    pub(super) short: bool,
}

impl Young {
    /// Its pages. An eden without survivor spaces may begin in the last page of old space, which stays an old page.
    fn pages(&self) -> Span {
        let whole = self.layout.whole();
        Span::new(page_up(whole.start), whole.end)
    }

    /// The survivor space that is not in use.
    pub(super) fn to_space(&self) -> Span {
        self.layout.survivors[1 - self.current]
    }

    /// Bytes that a minor collection must be able to promote.
    pub(super) fn reserve(&self) -> u32 {
        if self.tight { 0 } else { self.layout.eden.len() + self.survivors.len() }
    }

    /// Bytes that no object can have, so that minor collections stay possible.
    pub(super) fn overhead(&self) -> u32 {
        if self.tight { 0 } else { self.layout.reserve() + self.to_space().len() }
    }
}

impl Generational {
    /// Lays the young generation out, which holds no object, and opens eden. Room for a large object of
    /// `wanted` bytes is left free if there is any.
    pub(super) fn lay_out(&mut self, heap: &mut Heap, wanted: Option<u32>) {
        heap.close_region();
        self.pages.release(self.young.pages());
        self.young = Young::default();
        let kept = wanted.and_then(|size| {
            let bytes = large_pages(size)?;
            let run = self.pages.runs().find(|run| run.len() >= bytes)?;
            Some(Span::new(run.start, run.start + bytes))
        });
        if let Some(kept) = kept {
            self.pages.claim(kept, Use::LargeRest);
        }
        let (layout, tight, in_place) = match self.eden_behind_old() {
            Some(eden) => (YoungLayout::only_eden(eden), false, true),
            None => self.usual_layout(),
        };
        let short = self.is_short(layout.eden.len());
        self.ample_eden = self.ample_eden.max(layout.eden.len());
        self.young =
            Young { layout, tight, in_place, unlogged: false, short, current: 0, survivors: layout.survivors[0] };
        self.young.survivors.end = self.young.survivors.start;
        self.pages.claim(self.young.pages(), Use::Young);
        if let Some(kept) = kept {
            self.pages.release(kept);
        }
        self.open_eden(heap);
    }

    /// After a full collection: lays the young generation out around what lives, which is young then; answers whether that was possible.
    pub(super) fn lay_out_around(&mut self, heap: &mut Heap) -> bool {
        let live = match *self.old.segments() {
            [] => Span::new(geometry::BASE, geometry::BASE),
            [one] => one,
            _ => return false,
        };
        let run = Span::new(live.start, self.pages.free_after(live.end).end);
        let Some(layout) = YoungLayout::around(run, live.len(), self.policy.eden) else { return false };
        heap.close_region();
        self.pages.release(Span::new(live.start, page_up(live.end)));
        self.old.replace(Vec::new());
        self.ample_eden = layout.eden.len();
        self.young = Young { layout, survivors: live, ..Young::default() };
        self.pages.claim(self.young.pages(), Use::Young);
        self.open_eden(heap);
        true
    }

    /// Whether another eden than the one that [`lay_out_around`](Self::lay_out_around) has made is worth a full collection.
    pub(super) fn wants_other_around(&self) -> bool {
        let (whole, eden, wanted) = (self.young.layout.whole(), self.young.layout.eden.len(), self.policy.eden);
        let possible = eden_for(Span::new(whole.start, self.pages.free_after(whole.end).end), wanted);
        is_larger(possible, eden, wanted) || wanted <= eden / 2
    }

    /// Whether an eden of that size is a mere remnant of what it was.
    pub(super) fn is_short(&self, eden: u32) -> bool {
        eden < self.ample_eden.min(self.policy.eden) / 4
    }

    /// An eden that can become old as it is, right behind the last old object, so that old space stays in one piece. There
    /// is as much room behind it once more: a minor collection can be asked for.
    fn eden_behind_old(&self) -> Option<Span> {
        if !self.policy.takes_in_place() {
            return None;
        }
        let room = self.old.window(&self.pages)?;
        let end = page_up(room.start.checked_add(self.policy.eden)?);
        (end <= room.end && room.end - end >= end - room.start).then_some(Span::new(room.start, end))
    }

    /// The usual layout: in the free run at the top, for the barrier's sake, unless a far larger one is elsewhere. With it, whether the
    /// heap is tight, and that eden is not to be taken in place.
    fn usual_layout(&self) -> (YoungLayout, bool, bool) {
        let (run, top) = (self.pages.largest(), self.pages.last());
        let eden = |run| geometry::eden_for(run, self.policy.eden);
        let run = if eden(top) >= eden(run) / 2 { top } else { run };
        // A last few small edens would each be collected before the full collection that is due.
        let last = self.policy.prefers_full() && eden(run) < self.ample_eden.min(self.policy.eden) / 2;
        if let Some(layout) = YoungLayout::in_run(run, self.policy.eden).filter(|_| !last) {
            return (layout, false, false);
        }
        // The rest of old space's last page counts: it may be all there is.
        let run = self.pages.largest();
        let behind = self.old.window(&self.pages).filter(|window| window.len() >= run.len());
        (YoungLayout::only_eden(behind.unwrap_or(run)), true, false)
    }

    /// Opens the whole eden to the mutator, and tells the barrier what is young.
    pub(super) fn open_eden(&mut self, heap: &mut Heap) {
        let eden = self.young.layout.eden;
        self.young.unlogged = self.policy.takes_full();
        self.tell_barrier(heap);
        if eden.start >= geometry::BASE {
            heap.open_region(eden.start, eden.end);
        }
    }

    /// Tells the barrier where the nursery is, and whether objects lie above it.
    fn tell_barrier(&self, heap: &mut Heap) {
        let words = self.barrier_words();
        heap.mutator_mut().collector[..words.len()].copy_from_slice(&words);
    }

    /// The words that the barrier reads.
    pub(super) fn barrier_words(&self) -> [u32; 2] {
        let whole = self.young.layout.whole();
        let mut words = [0; 2];
        // Without a nursery nothing is above the largest number.
        words[BELOW_NURSERY] = whole.start.wrapping_sub(1);
        words[OLD_BOUND] = match self.young.unlogged {
            true => 0,
            false if self.has_objects_above() => u32::MAX,
            false => whole.start,
        };
        words
    }

    /// Whether old objects may lie above the nursery.
    pub(super) fn has_objects_above(&self) -> bool {
        !self.pages.free_from(self.young.layout.whole().end)
    }

    /// Contiguous free memory for `bytes` of promoted objects.
    pub(super) fn room_to_promote(&self, bytes: u32) -> Option<Span> {
        self.old.room(&self.pages, self.young.layout.whole(), bytes)
    }

    /// The used part of eden.
    pub(super) fn eden_used(&self, heap: &Heap) -> Span {
        let eden = self.young.layout.eden;
        Span::new(eden.start, heap.mutator().cursor.clamp(eden.start, eden.end))
    }

    /// Makes the objects in eden old where they are, and lays out a new eden with room for `size`: in a tight heap, where a
    /// minor collection is impossible, and where the policy finds it useless. There is no young object then, so nothing
    /// is to be remembered.
    pub(super) fn move_on(&mut self, heap: &mut Heap, size: u32) -> bool {
        let possible = self.young.in_place || (self.young.tight && self.pages.largest().len() >= size.max(1));
        if !possible {
            return false;
        }
        if self.young.in_place {
            self.policy.note_taken();
        }
        let (pages, used) = (self.young.pages(), self.eden_used(heap));
        heap.close_region();
        if self.marks_young(heap) {
            wipe(heap, used);
        }
        // Marks of slots that name what is old now are useless, and to look at each slot takes longer than to remove all.
        let large = self.large.iter().map(|(at, size)| Span::new(at, at + size));
        self.old.segments().iter().copied().chain(large).for_each(|area| wipe(heap, area));
        self.old.add(used);
        let old = Span::new(pages.start, page_up(used.end).clamp(pages.start, pages.end));
        self.pages.promote(old);
        self.pages.release(Span::new(old.end, pages.end));
        self.young = Young::default();
        self.remembered.clear(heap);
        self.large.fresh.clear();
        heap.host_mut().promote_all();
        self.lay_out(heap, None);
        true
    }

    /// A place for a large object. A minor collection must stay possible, so the first answer may be no; when a
    /// collection has not helped, the next one will be a full one instead.
    pub(super) fn alloc_large(&mut self, heap: &mut Heap, size: u32) -> AllocOutcome {
        let may_crowd = self.retried == Some(size);
        if let Some(bytes) = large_pages(size) {
            // Below the nursery if possible: objects above it cost the barrier time. There, the top is left free.
            let nursery = self.young.layout.whole();
            let (below, above): (Vec<Span>, Vec<Span>) =
                self.pages.runs().filter(|run| run.len() >= bytes).partition(|run| run.start < nursery.start);
            let below = below.into_iter().rev().map(|run| run.end - bytes);
            for start in below.chain(above.into_iter().map(|run| run.start)) {
                let place = Span::new(start, start + bytes);
                self.pages.claim_large(place);
                if may_crowd || self.room_to_promote(self.young.reserve()).is_some() {
                    self.large.add(place.start, size);
                    self.refused = self.refused.filter(|&refused| refused != size);
                    self.tell_barrier(heap);
                    return AllocOutcome::At(place.start);
                }
                self.pages.release(place);
            }
        }
        self.refused = Some(size);
        AllocOutcome::Full
    }
}

/// Whether an eden of `possible` bytes is enough of a gain over one of `eden`, where `wanted` would be best.
pub(super) fn is_larger(possible: u32, eden: u32, wanted: u32) -> bool {
    possible / 2 >= eden || (possible > eden && possible == wanted)
}

/// The size of a large object in whole pages.
fn large_pages(size: u32) -> Option<u32> {
    size.checked_next_multiple_of(geometry::PAGE)
}
