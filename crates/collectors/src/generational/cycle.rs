//! The two kinds of collection, step by step.

use super::compact::Compaction;
use super::geometry::{BASE, Span, eden_for, page_up};
use super::mark::Marker;
use super::pages::Use;
use super::policy::Found;
use super::remember::{OLD_BOUND, Remembered, Taken, wipe};
use super::room::is_larger;
use super::scavenge::{AHEAD, Places, Scavenge};
use super::{Generational, SPEC};
use crate::shapes::{Shapes, Trace};
use heapwright_gc_heap::{CollectionReport, GcRef, Heap, HeapCorrupted, HostId, Phase, RootSet};
use std::sync::Arc;

impl Generational {
    /// Whether another eden is worth promoting everything for.
    fn wants_other_eden(&self) -> bool {
        let (eden, wanted) = (self.young.layout.eden.len(), self.policy.eden);
        let possible = eden_for(self.pages.largest(), wanted);
        let larger = is_larger(possible, eden, wanted);
        let above = self.has_objects_above() && eden_for(self.pages.last(), wanted) >= eden / 2;
        larger || above || wanted <= eden / 2 || self.policy.takes_in_place()
    }

    /// A minor collection; answers whether there was room for one. What eden holds is `eden`.
    pub(super) fn minor(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        eden: Span,
        report: &mut CollectionReport,
    ) -> Result<bool, HeapCorrupted> {
        let survivors = self.young.survivors;
        let used = eden.len() + survivors.len();
        let Some(room) = self.room_to_promote(used).filter(|_| !self.young.tight) else { return Ok(false) };
        let other_eden = !self.policy.survivors_stay() && self.wants_other_eden();
        let stay = self.policy.survivors_stay();
        let promote_all = other_eden || self.young.in_place || (!stay && self.policy.skips_age());
        let mut to = self.young.to_space();
        if promote_all {
            to.end = to.start;
        }
        let old = Span::new(room.start, room.start + used);
        let places = Places { nursery: self.young.layout.whole(), eden, survivors, to, old, stay };

        let mut phases = heap.phases();
        phases.enter(Phase::Remembered);
        let types = Arc::clone(heap.types());
        let mut shapes = Shapes::new(types.space(), SPEC.header_layout().bytes());
        let areas = self.settled_areas(heap, &mut shapes)?;
        let Taken { slots, objects } = self.remembered.take(heap, &areas);
        if self.marks_young(heap) {
            [eden, survivors].iter().for_each(|&area| wipe(heap, area));
        }
        let fresh = core::mem::take(&mut self.large.fresh);
        let words = heap.memory_mut().words(BASE, self.pages.top())?;
        // A fresh large object may have been recorded as well.
        let scannable = self.old.used() + 2 * self.large.used();
        let mut scavenge = Scavenge::new(words, shapes, &self.pages, places, scannable);
        phases.enter(Phase::Roots);
        let mut young_roots = 0;
        // Frames that name old objects only may be left out: what is old stays old.
        roots.for_each_unsettled(&mut |_, root| {
            let Some(at) = root.offset() else { return Ok(true) };
            let (place, settled) = scavenge.root(at)?;
            *root = GcRef::from_raw(place);
            young_roots += u64::from(!settled);
            Ok(settled)
        })?;
        phases.enter(Phase::Remembered);
        report.remembered += (slots.len() + objects.len() + fresh.len()) as u64;
        for (i, &slot) in slots.iter().enumerate() {
            if let Some(&soon) = slots.get(i + AHEAD) {
                scavenge.prefetch(soon);
            }
            scavenge.remembered_slot(slot)?;
        }
        for &at in objects.iter().chain(&fresh) {
            let segment = self.old.segment_of(at).map(|segment| segment.end - at);
            let Some(max) = segment.or_else(|| self.large.get(at).map(|object| object.size)) else {
                return Err(HeapCorrupted { what: "store into memory that no old object occupies", at });
            };
            scavenge.remembered_object(at, max)?;
        }
        phases.enter(Phase::Trace);
        let outcome = scavenge.finish()?;

        phases.enter(Phase::HostTable);
        let host = heap.host_mut();
        host.clear_young_marks();
        outcome.young_hosts.iter().for_each(|&id| host.mark(HostId(id)));
        outcome.old_hosts.iter().for_each(|&id| host.promote(HostId(id)));
        host.release_unmarked_young();
        phases.enter(Phase::Layout);
        heap.poison(eden.start, eden.end);
        heap.poison(survivors.start, survivors.end);

        let promoted = Span::new(old.start, outcome.old_end);
        self.pages.claim(Span::new(page_up(promoted.start), page_up(promoted.end)), Use::Old);
        self.old.add(promoted);
        let copied = u64::from(promoted.len()) + u64::from(outcome.survivors_end - to.start);
        let (aged, aged_copied) = (survivors.len().into(), outcome.aged_bytes);
        let eden_copied = copied - aged_copied;
        let capacity = heap.capacity();
        let found = Found { eden: eden.len().into(), eden_copied, aged, aged_copied, young_roots, capacity };
        report.bytes_copied += copied;
        report.bytes_promoted += u64::from(promoted.len());
        report.objects_visited += outcome.objects;
        Remembered::put_back(heap, &outcome.slots);
        self.policy.note_minor(found);
        if other_eden || self.young.in_place || self.policy.takes_in_place() && promote_all {
            self.lay_out(heap, None);
        } else {
            self.young.current = 1 - self.young.current;
            self.young.survivors = Span::new(to.start, outcome.survivors_end);
            self.open_eden(heap);
        }
        heap.phases_end(phases);
        Ok(true)
    }

    /// Where marked slots may be, beside the nursery.
    fn settled_areas(&self, heap: &Heap, shapes: &mut Shapes<'_>) -> Result<Vec<Span>, HeapCorrupted> {
        let mut areas = self.old.segments().to_vec();
        for (at, size) in self.large.iter() {
            if matches!(
                shapes.get(heap.memory().load_u32(at)?)?.trace,
                Trace::Elements | Trace::Bits(_) | Trace::List(_)
            ) {
                areas.push(Span::new(at, at + size));
            }
        }
        Ok(areas)
    }

    /// Whether the barrier takes young objects for old ones.
    pub(super) fn marks_young(&self, heap: &Heap) -> bool {
        heap.mutator().collector[OLD_BOUND] == u32::MAX
    }

    /// A full collection: everything reachable is old afterwards, and old space has no gaps.
    pub(super) fn full(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        eden: Span,
        report: &mut CollectionReport,
    ) -> Result<(), HeapCorrupted> {
        let mut areas: Vec<Span> = self.old.segments().to_vec();
        areas.extend([self.young.survivors, eden]);
        areas.retain(|area| area.len() > 0);
        areas.sort_unstable_by_key(|area| area.start);
        let top = self.pages.top();
        let types = Arc::clone(heap.types());
        let header = SPEC.header_layout().bytes();
        let mut phases = heap.phases();
        let large = self.large.iter().map(|(at, size)| Span::new(at, at + size));
        // Wherever objects are: after this collection other things will lie there.
        areas.iter().copied().chain(large).for_each(|area| wipe(heap, area));

        phases.enter(Phase::Roots);
        let words = heap.memory_mut().words(BASE, top)?;
        let mut marker = Marker::new(words, Shapes::new(types.space(), header), &areas, &mut self.large);
        let mut seen: Vec<u32> = Vec::new();
        roots.for_each(&mut |_, root| {
            if let Some(at) = root.offset() {
                marker.reach(at);
                seen.push(at);
            }
            Ok(())
        })?;
        phases.enter(Phase::Trace);
        let marked = marker.finish()?;
        report.objects_visited += marked.objects;
        phases.enter(Phase::HostTable);
        if !heap.host().is_empty() {
            heap.host_mut().clear_marks();
            marked.hosts.iter().for_each(|&id| heap.host_mut().mark(HostId(id)));
            heap.host_mut().release_unmarked();
        }
        heap.host_mut().promote_all();
        phases.enter(Phase::Sweep);
        let freed = self.large.sweep(&mut self.pages);

        phases.enter(Phase::Compact);
        let (named, hosts) = (seen.len() as u64, marked.hosts.len());
        let compaction = Compaction::plan(marked.lines, &areas, &self.large, top)?;
        // The roots must be what they were: one that is visited twice would be moved twice.
        let mut seen = seen.into_iter();
        roots.for_each(&mut |_, root| {
            if let Some(at) = root.offset() {
                if seen.next() != Some(at) {
                    return Err(HeapCorrupted { what: "roots changed during a collection", at });
                }
                *root = GcRef::from_raw(compaction.target_of(at));
            }
            Ok(())
        })?;
        let mut words = heap.memory_mut().words(BASE, top)?;
        let segments = compaction.run(&mut words, &mut Shapes::new(types.space(), header))?;

        phases.enter(Phase::Layout);
        self.pages.rebuild(&segments);
        self.old.replace(segments);
        self.remembered.clear(heap);
        self.young = Default::default();
        self.clean(heap, &freed);
        report.bytes_copied += self.old.used();
        report.full = true;
        // Host values of boxes that are old are not looked for by minor collections.
        let may_stay = self.large.used() == 0 && hosts == 0;
        self.policy.note_full(self.settled(), named, may_stay);
        self.ample_eden = 0;
        if !self.policy.survivors_stay() || !self.lay_out_around(heap) {
            self.policy.end_stay();
            self.lay_out(heap, self.retried);
        }
        heap.phases_end(phases);
        Ok(())
    }

    /// Poisons what is free, or gives what large objects left back to the system.
    fn clean(&mut self, heap: &mut Heap, freed: &[Span]) {
        if heap.config().zeal != 0 {
            for segment in self.old.segments() {
                heap.poison(segment.end, page_up(segment.end));
            }
            self.pages.runs().for_each(|run| heap.poison(run.start, run.end));
            return;
        }
        for span in freed {
            // Compaction may have slid objects there.
            if self.pages.at(span.start) == Use::Free {
                heap.give_back(span.start, span.end);
            }
        }
    }
}
