//! A set of heap ranges: one bit for each 8 bytes.
//!
//! Two such sets say what the heap is used for, outside the heap, where nobody can forge it. Taking a range checks
//! that it was there in full, and adding one that it was absent in full, so overlapping objects and double frees show
//! themselves at once. One word covers 512 bytes, so the walks over the whole heap (search for free space, clearing)
//! touch 1/64 of it.

/// Bytes that a bit stands for.
const GRANULE: u32 = 8;

/// A set of multiples of 8 in `[base, base + 512 * words)`.
#[derive(Debug, Default)]
pub(super) struct Extents {
    words: Vec<u64>,
    base: u32,
}

impl Extents {
    /// An empty set over nothing; [`resize`](Self::resize) gives it room.
    pub(super) fn new(base: u32) -> Extents {
        Extents { words: Vec::new(), base }
    }

    /// Covers at least `[base, top)`. What is in the set stays.
    pub(super) fn resize(&mut self, top: u32) {
        let granules = (top.saturating_sub(self.base) / GRANULE) as usize;
        self.words.resize(granules.div_ceil(64), 0);
    }

    /// Empties the set.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Whether the granule at `at` is in the set.
    #[inline(always)]
    pub(super) fn contains(&self, at: u32) -> bool {
        let granule = at.wrapping_sub(self.base) / GRANULE;
        self.words.get(granule as usize / 64).is_some_and(|word| word >> (granule % 64) & 1 != 0)
    }

    /// Adds `[start, end)`; false when part of it was in the set or lies outside the covered range.
    #[inline]
    pub(super) fn insert(&mut self, start: u32, end: u32) -> bool {
        self.for_range(start, end, |word, mask| {
            let absent = *word & mask == 0;
            *word |= mask;
            absent
        })
    }

    /// Takes `[start, end)` out; false when part of it was not in the set.
    #[inline]
    pub(super) fn remove(&mut self, start: u32, end: u32) -> bool {
        self.for_range(start, end, |word, mask| {
            let present = *word & mask == mask;
            *word &= !mask;
            present
        })
    }

    #[inline(always)]
    fn for_range(&mut self, start: u32, end: u32, mut change: impl FnMut(&mut u64, u64) -> bool) -> bool {
        if start >= end {
            return start == end;
        }
        let first = start.wrapping_sub(self.base) / GRANULE;
        let last = (end - 1).wrapping_sub(self.base) / GRANULE;
        let (low, high) = (first as usize / 64, last as usize / 64);
        let (low_mask, high_mask) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
        if low == high {
            return self.words.get_mut(low).is_some_and(|word| change(word, low_mask & high_mask));
        }
        let Some(words) = self.words.get_mut(low..=high) else { return false };
        let inner = words.len() - 1;
        let mut ok = change(&mut words[0], low_mask);
        for word in &mut words[1..inner] {
            ok &= change(word, u64::MAX);
        }
        change(&mut words[inner], high_mask) && ok
    }

    /// Bytes in the set.
    pub(super) fn bytes(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones()) * u64::from(GRANULE)).sum()
    }

    /// Whether a granule is in both sets.
    pub(super) fn meets(&self, other: &Extents) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// Moves everything from `other` here.
    pub(super) fn absorb(&mut self, other: &mut Extents) {
        for (to, from) in self.words.iter_mut().zip(&mut other.words) {
            *to |= core::mem::take(from);
        }
    }

    /// The ranges of the set, ascending.
    pub(super) fn ranges(&self) -> Vec<(u32, u32)> {
        let mut ranges = Vec::new();
        let mut at = 0;
        while let Some(start) = self.find(at, |word| *word) {
            let end = self.find(start, |word| !word).unwrap_or(64 * self.words.len());
            ranges.push((self.offset(start), self.offset(end)));
            at = end;
        }
        ranges
    }

    /// The first range at or above `from` and below `top` that is in neither set and has at least `bytes` bytes.
    pub(super) fn gap(&self, other: &Extents, from: u32, top: u32, bytes: u32) -> Option<(u32, u32)> {
        let limit = (top.saturating_sub(self.base) / GRANULE) as usize;
        let need = bytes.div_ceil(GRANULE) as usize;
        let mut at = (from.saturating_sub(self.base) / GRANULE) as usize;
        loop {
            let start = find(&self.words, &other.words, at, |a, b| !(a | b))?;
            let end = find(&self.words, &other.words, start, |a, b| a | b).unwrap_or(limit).min(limit);
            if end.checked_sub(start)? >= need {
                return Some((self.offset(start), self.offset(end)));
            }
            at = end;
            if at >= limit {
                return None;
            }
        }
    }

    fn offset(&self, granule: usize) -> u32 {
        self.base + granule as u32 * GRANULE
    }

    fn find(&self, from: usize, select: impl Fn(&u64) -> u64) -> Option<usize> {
        find(&self.words, &self.words, from, |a, _| select(&a))
    }
}

/// The first granule at or above `from` whose bit is set in what `select` makes of the two words.
#[inline(always)]
fn find(a: &[u64], b: &[u64], from: usize, select: impl Fn(u64, u64) -> u64) -> Option<usize> {
    let first = from / 64;
    let mut mask = u64::MAX << (from % 64);
    for (i, (a, b)) in a.iter().zip(b).enumerate().skip(first) {
        let bits = select(*a, *b) & mask;
        if bits != 0 {
            return Some(64 * i + bits.trailing_zeros() as usize);
        }
        mask = u64::MAX;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u32 = 64 << 10;

    fn set(bytes: u32) -> Extents {
        let mut set = Extents::new(BASE);
        set.resize(BASE + bytes);
        set
    }

    #[test]
    fn ranges_are_checked_in_full() {
        let mut s = set(8192);
        for (start, end) in [(0, 8), (8, 504), (512, 1024), (1032, 4000), (8184, 8192)] {
            assert!(s.insert(BASE + start, BASE + end), "{start}..{end}");
            assert!(s.contains(BASE + start) && s.contains(BASE + end - 8));
            assert!(!s.insert(BASE + end - 8, BASE + end));
        }
        assert!(!s.contains(BASE + 504) && !s.contains(BASE + 1024) && !s.contains(BASE - 8) && !s.contains(0));
        assert_eq!(s.ranges(), [(0, 504), (512, 1024), (1032, 4000), (8184, 8192)].map(|(a, b)| (BASE + a, BASE + b)));
        assert_eq!(s.bytes(), 504 + 512 + 2968 + 8);
        assert!(!s.remove(BASE + 500 / 8 * 8, BASE + 520), "a hole in between");
        assert!(s.remove(BASE + 1032, BASE + 4000));
        assert!(!s.remove(BASE + 1032, BASE + 1040), "removed twice");
    }

    #[test]
    fn ranges_outside_are_refused() {
        let mut s = set(1024);
        assert!(!s.insert(BASE + 1024, BASE + 1032));
        assert!(!s.insert(BASE + 512, BASE + 4096));
        assert!(!s.insert(BASE - 8, BASE + 8));
        assert!(!s.remove(u32::MAX - 7, u32::MAX));
        assert!(!s.contains(u32::MAX));
    }

    #[test]
    fn gaps_are_those_of_the_union() {
        let (mut a, mut b) = (set(2048), set(2048));
        assert_eq!(a.gap(&b, BASE, BASE + 2048, 2048), Some((BASE, BASE + 2048)));
        assert!(a.insert(BASE + 64, BASE + 128) && b.insert(BASE + 256, BASE + 1024));
        assert_eq!(a.gap(&b, BASE, BASE + 2048, 16), Some((BASE, BASE + 64)));
        assert_eq!(a.gap(&b, BASE, BASE + 2048, 72), Some((BASE + 128, BASE + 256)));
        assert_eq!(a.gap(&b, BASE, BASE + 2048, 136), Some((BASE + 1024, BASE + 2048)));
        assert_eq!(a.gap(&b, BASE + 1200, BASE + 1600, 8), Some((BASE + 1200, BASE + 1600)));
        assert_eq!(a.gap(&b, BASE, BASE + 1600, 1024), None);
        assert_eq!(a.gap(&b, BASE + 2048, BASE + 2048, 8), None);
    }

    #[test]
    fn the_set_grows_and_merges() {
        let (mut a, mut b) = (set(512), set(512));
        assert!(a.insert(BASE, BASE + 512) && b.insert(BASE, BASE + 8));
        assert!(a.meets(&b));
        a.resize(BASE + 4096);
        b.resize(BASE + 4096);
        assert!(b.insert(BASE + 4088, BASE + 4096));
        assert_eq!(a.gap(&Extents::default(), BASE, BASE + 4096, 8), None, "both sets must cover the range");
        a.absorb(&mut b);
        assert_eq!(a.ranges(), [(BASE, BASE + 512), (BASE + 4088, BASE + 4096)]);
        assert_eq!(b.bytes(), 0);
    }
}
