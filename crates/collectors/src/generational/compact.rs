//! Compaction: marked objects slide down, in their order, over the gaps between them.
//!
//! The table that marking filled says all: an object's new place is its line's target plus the live bytes before it in
//! the line, which is one load, one mask and one population count for each reference, and needs neither a word in the
//! object nor a table that grows with the number of objects.
//!
//! Where large objects divide the memory there are several ranges to slide in. The objects that start in one line stay
//! together, or the sum above would not hold: when they do not fit what is left of a range, all of them go to the
//! next. They always fit somewhere at or below where they are now, since there they do fit.
//!
//! The lines that references lead to are asked for while other objects are moved, so a reference is updated a little later than its object is
//! moved, at its new place.
//!
//! **Invariant.** An object's target is never above the object, range by range and then address by address. So copying
//! in ascending order overwrites only what has been copied already.

use super::geometry::{BASE, MAX_SMALL, Span};
use super::mark::{GRANULE, LINE_BYTES, LIVE, Line, STARTS, TARGET, place_of};
use super::spaces::LargeSpace;
use crate::ahead::Ahead;
use crate::shapes::Shapes;
use heapwright_gc_heap::{HeapCorrupted, Words};

/// How many lines ahead of those that are moved objects are asked for.
const LINES_AHEAD: usize = 4;

/// Memory between large objects that holds small objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    /// From the large object below to the last small object.
    sources: Span,
    /// The large object above.
    end: u32,
}

/// A compaction at work. The large objects are those that live.
pub(super) struct Compaction<'a> {
    lines: Vec<Line>,
    ranges: Vec<Range>,
    /// What is filled when all objects have moved.
    segments: Vec<Span>,
    /// No object below this moves.
    moved_from: u32,
    large: &'a LargeSpace,
}

impl<'a> Compaction<'a> {
    /// Finds every object's target. `areas` are where small objects are, ascending; the memory ends at `top`.
    pub(super) fn plan(
        lines: Vec<Line>,
        areas: &[Span],
        large: &'a LargeSpace,
        top: u32,
    ) -> Result<Compaction<'a>, HeapCorrupted> {
        let mut ranges: Vec<Range> = Vec::new();
        for area in areas {
            let gap = large.gap_around(area.start, top);
            match ranges.last_mut() {
                Some(last) if last.sources.start == gap.start => last.sources.end = area.end,
                _ => ranges.push(Range { sources: Span::new(gap.start, area.end), end: gap.end }),
            }
        }
        let mut plan = Compaction { lines, ranges, segments: Vec::new(), moved_from: u32::MAX, large };
        plan.set_targets()?;
        Ok(plan)
    }

    fn set_targets(&mut self) -> Result<(), HeapCorrupted> {
        let mut target = Target { range: 0, free: self.ranges.first().map_or(BASE, |range| range.sources.start) };
        for (i, range) in self.ranges.iter().enumerate() {
            for index in lines_of(range.sources) {
                let Some(&[live, starts, _]) = self.lines.get(index) else { break };
                if live == 0 {
                    continue;
                }
                let tail = (live & before_first(starts)).count_ones() * GRANULE;
                target.free += tail;
                if starts == 0 {
                    continue;
                }
                let own = live.count_ones() * GRANULE - tail;
                // Only near the end of a range does it matter how far the last object reaches.
                while target.range < i && self.ranges[target.range].end - target.free < own + MAX_SMALL {
                    let size = own + tail_after(&self.lines, index);
                    let Range { sources, end } = self.ranges[target.range];
                    if end - target.free >= size {
                        break;
                    }
                    self.segments.push(Span::new(sources.start, target.free));
                    target.range += 1;
                    target.free = self.ranges[target.range].sources.start;
                }
                let first = BASE + index as u32 * LINE_BYTES + starts.trailing_zeros() * GRANULE;
                if target.range == i && target.free > first {
                    return Err(HeapCorrupted { what: "generational: an object would move upwards", at: first });
                }
                // Nothing in the line moves when its first object stays and there is no gap after it.
                if target.free != first || live | before_first(starts) != u64::MAX {
                    self.moved_from = self.moved_from.min(first);
                }
                self.lines[index][TARGET] = u64::from(target.free.wrapping_sub(tail));
                target.free += own;
            }
        }
        if let Some(range) = self.ranges.get(target.range) {
            self.segments.push(Span::new(range.sources.start, target.free));
        }
        self.segments.retain(|segment| segment.len() > 0);
        Ok(())
    }

    /// Where the object at `at` goes; where it is, if it is large.
    #[inline(always)]
    pub(super) fn target_of(&self, at: u32) -> u32 {
        if at < self.moved_from {
            return at;
        }
        let (index, bit) = place_of(at);
        match self.lines.get(index) {
            Some(line) if line[STARTS] >> bit & 1 != 0 => target(line, bit),
            _ => at,
        }
    }

    /// Updates and moves all objects.
    pub(super) fn run(self, words: &mut Words<'_>, shapes: &mut Shapes<'_>) -> Result<Vec<Span>, HeapCorrupted> {
        if self.moved_from == u32::MAX {
            return Ok(self.segments);
        }
        let mut ahead = Ahead::new(words);
        for (at, max) in self.large.iter() {
            self.update(words, shapes, &mut ahead, (at, at), max)?;
        }
        for range in &self.ranges {
            for index in lines_of(range.sources) {
                let Some(line) = self.lines.get(index) else { break };
                if ahead.waits() {
                    self.prefetch_line(words, index + LINES_AHEAD);
                }
                let mut starts = line[STARTS];
                while starts != 0 {
                    let bit = starts.trailing_zeros();
                    starts &= starts - 1;
                    let at = BASE + index as u32 * LINE_BYTES + bit * GRANULE;
                    self.update(words, shapes, &mut ahead, (at, target(line, bit)), range.sources.end - at)?;
                }
            }
        }
        while let Some((slot, reference)) = ahead.pop() {
            self.settle(words, slot, reference)?;
        }
        Ok(self.segments)
    }

    /// Asks for the objects that start in a line.
    #[inline(always)]
    fn prefetch_line(&self, words: &Words<'_>, index: usize) {
        let mut starts = self.lines.get(index).map_or(0, |line| line[STARTS]);
        while starts != 0 {
            words.prefetch(BASE + index as u32 * LINE_BYTES + starts.trailing_zeros() * GRANULE);
            starts &= starts - 1;
        }
    }

    /// Moves the object at `at`, of at most `max` bytes, to `to`, and sees to it that its references are updated there: nothing is
    /// written to its new place any more.
    #[inline(always)]
    fn update(
        &self,
        words: &mut Words<'_>,
        shapes: &mut Shapes<'_>,
        ahead: &mut Ahead,
        (at, to): (u32, u32),
        max: u32,
    ) -> Result<(), HeapCorrupted> {
        let length_offset = shapes.length_offset();
        let shape = shapes.get(words.get(at)?)?;
        let extent = shape.extent(words, at, length_offset)?;
        if extent.size > max {
            return Err(HeapCorrupted { what: "object reaches beyond its place", at });
        }
        if to != at {
            words.move_down(to, at, extent.size)?;
        }
        shape.for_each_slot(to, extent, |slot| {
            let reference = words.get(slot)?;
            if reference < self.moved_from || reference & 1 != 0 {
                return Ok(());
            }
            if let Some(line) = self.lines.get(place_of(reference).0).filter(|_| ahead.waits()) {
                heapwright_gc_heap::prefetch(line);
            }
            match ahead.push((slot, reference)) {
                Some((slot, reference)) => self.settle(words, slot, reference),
                None => Ok(()),
            }
        })
    }

    /// Updates a slot.
    #[inline(always)]
    fn settle(&self, words: &mut Words<'_>, slot: u32, reference: u32) -> Result<(), HeapCorrupted> {
        let target = self.target_of(reference);
        if target == reference { Ok(()) } else { words.set(slot, target) }
    }
}

/// Where objects go.
struct Target {
    range: usize,
    free: u32,
}

#[inline(always)]
fn target(line: &Line, bit: u32) -> u32 {
    let before = (line[LIVE] & ((1 << bit) - 1)).count_ones() * GRANULE;
    (line[TARGET] as u32).wrapping_add(before)
}

/// The bits below the lowest one; all when there is none.
fn before_first(starts: u64) -> u64 {
    starts.wrapping_sub(1) & !starts
}

/// Bytes that the last object starting in line `index` has in the lines behind it.
fn tail_after(lines: &[Line], index: usize) -> u32 {
    let mut tail = 0;
    for line in lines.iter().skip(index + 1).take((MAX_SMALL / LINE_BYTES) as usize + 1) {
        let part = line[LIVE] & before_first(line[STARTS]);
        tail += part.count_ones() * GRANULE;
        if line[STARTS] != 0 || part != u64::MAX {
            break;
        }
    }
    tail
}

/// The lines of memory that starts with a page.
fn lines_of(span: Span) -> core::ops::Range<usize> {
    let first = ((span.start - BASE) / LINE_BYTES) as usize;
    first..first + span.len().div_ceil(LINE_BYTES) as usize
}

#[cfg(test)]
mod tests {
    use super::super::geometry::PAGE;
    use super::super::pages::Pages;
    use super::*;

    /// A table with these objects, and where they go.
    fn targets(objects: &[Span], areas: &[Span], large: &LargeSpace, top: u32) -> (Vec<u32>, Vec<Span>) {
        let mut lines = vec![[0; 3]; (top - BASE).div_ceil(LINE_BYTES) as usize];
        for object in objects {
            let (line, bit) = place_of(object.start);
            lines[line][STARTS] |= 1 << bit;
            for at in (object.start..object.end).step_by(GRANULE as usize) {
                let (line, bit) = place_of(at);
                lines[line][LIVE] |= 1 << bit;
            }
        }
        let plan = Compaction::plan(lines, areas, large, top).unwrap();
        (objects.iter().map(|object| plan.target_of(object.start)).collect(), plan.segments)
    }

    #[test]
    fn tails_reach_over_lines() {
        assert_eq!(before_first(0), u64::MAX);
        assert_eq!(before_first(0b1000), 0b111);
        let full = [u64::MAX, 0, 0];
        assert_eq!(tail_after(&[full, full, [0b111, 0b100, 0]], 0), LINE_BYTES + 16);
        assert_eq!(tail_after(&[full, [0b11, 0, 0], full], 0), 16);
        assert_eq!(tail_after(&[full], 0), 0);
    }

    /// Random heaps with large objects in between: objects keep their order, move down, stay clear of large objects and of
    /// each other, and fill their segments.
    #[test]
    fn targets_are_disjoint_and_in_order() {
        let mut random = 7u64;
        let mut below = move |n: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            ((random >> 32) as u32) % n
        };
        for round in 0..if cfg!(miri) { 10 } else { 500 } {
            let (mut pages, mut large) = (Pages::default(), LargeSpace::default());
            let top = BASE + 60 * PAGE;
            pages.grow_to(top);
            let (mut at, mut areas, mut objects) = (BASE, Vec::new(), Vec::new());
            while at + 8 * PAGE < top {
                let end = at + PAGE * (1 + below(6)) - 8 * below(300);
                let area = Span::new(at, end);
                while at < end {
                    let size = (8 * (1 + below(if round % 2 == 0 { 8 } else { 600 }))).min(end - at);
                    if below(3) != 0 {
                        objects.push(Span::new(at, at + size));
                    }
                    at += size;
                }
                areas.push(area);
                at = super::super::geometry::page_up(end);
                if below(3) == 0 {
                    pages.claim_large(Span::new(at, at + PAGE));
                    large.add(at, PAGE - 8);
                    at += PAGE;
                }
            }
            let (targets, segments) = targets(&objects, &areas, &large, top);
            let mut end = BASE;
            for (object, &target) in objects.iter().zip(&targets) {
                assert!(target <= object.start && target >= end, "{object:x?} to {target:#x}");
                assert_eq!(large.gap_around(target, top).start, large.gap_around(target + object.len() - 8, top).start);
                assert!(segments.iter().any(|s| s.contains(target) && target + object.len() <= s.end));
                end = target + object.len();
            }
            let filled: u32 = segments.iter().map(|segment| segment.len()).sum();
            assert_eq!(filled, objects.iter().map(|object| object.len()).sum::<u32>());
        }
    }
}
