//! When to collect everything, how large eden should be, and which work can be left out.
//!
//! Nothing here looks at a clock: a program's collections repeat.
//!
//! **Shortcuts.** Two steps of a minor collection pay only when objects die in them. Where next to everything survives its
//! time in the survivor space, ageing is one copy too many: survivors are promoted at once. Where much survives eden, even
//! the copy and the trace are too much: a full eden becomes old space where it is, and the next one is laid out behind it, until
//! memory is full of them. Whether objects die can be seen only without the shortcut, so from time to time a collection is a
//! trial; as long as trials confirm the shortcut, they become rarer. What a wrong guess costs is memory, until the next full
//! collection.
//!
//! What is much? To take an eden of `E` bytes as it is costs nothing now, but brings the next full collection nearer, which
//! comes when the free `F` bytes are used up and has to deal with the `L` bytes that live. So its share of that one is worth
//! `E L / F` bytes dealt with. A minor collection that copies `C` bytes deals with those, and promotes them: `C + C L / F`. The eden is taken
//! when that is more: `C F >= (E - C) L`. In the beginning, and where little lives in much memory, that is soon so; then both cost
//! next to nothing, and an eden that stays in the cache is worth more, unless a good part of it survives.
//!
//! **A working set that stays young.** Promotion saves copies, and has a price: what dead old objects name lives on. Where next to
//! nothing lives, and minor collections copy far more than is known to live, a full collection is made whose survivors are young
//! again; from then on survivors stay in the survivor spaces, as in semi-spaces, until they are too many. Not under a deep
//! stack, whose frames are left out only when all that they name is old.
//!
//! **Full collections instead.** A minor collection takes for alive what dead old objects name: of a queue whose cells were promoted, every
//! later cell. When a minor collection copies far more than is known to live altogether, a full one does less work. Then some full
//! ones come in the place of minor ones, until a trial finds otherwise. When it is clear beforehand that the next collection is a full one, the barrier has nothing to do.
//!
//! **Eden's size.** An eden that fits the cache is best, unless its objects only need a little more time to die: then a
//! larger one saves work. Whether they do cannot be foreseen, so a much larger eden is tried when much survives, and is
//! kept when a smaller share survives it.

use super::geometry::{FIRST_EDEN, MAX_EDEN};

/// Minor collections that one look at eden's size takes in.
const WINDOW: u32 = 4;
/// How many times as large the next eden to try is. With twice the size, what lives just a little longer would not be seen
/// to die.
const STRIDE: u32 = 4;
/// Shares of eden, in 1024ths, that survive: below the first, eden becomes smaller; above the second, a larger one is tried. To copy a byte takes some
/// ten times as long as to allocate one, so what survives a thirtieth of eden takes a quarter of the time.
const SMALL_SHARE: u64 = 16;
const LARGE_SHARE: u64 = 40;
/// By how much less must survive a larger eden, which does not fit the cache as well.
const WORTHWHILE_SHARE: u64 = 24;
/// Longest time, in looks, after an eden that was too large until a larger one is tried again.
const LONGEST_REST: u32 = 64;
/// Most collections without ageing from one trial to the next.
const LONGEST_UNAGED: u32 = 32;
/// Part of eden that must survive for edens to be taken as they are from now on; half of it is enough to go on with that.
const TAKING_PART: u64 = 4;
/// Most edens taken as they are from one trial to the next.
const LONGEST_IN_PLACE: u32 = 16;
/// Most full collections that come in the place of minor ones from one trial to the next.
const LONGEST_FULL: u32 = 64;
/// What lives stays young only when it is no more than this part of eden,
const STAYING_PART: u64 = 8;
/// and no more roots than this name it.
const STAYING_ROOTS: u64 = 256;
/// Longest time, in minor collections, from an attempt to keep the working set young that ended to the next.
const LONGEST_STAY_REST: u32 = 1024;
/// Minor collections after a full one, or from the beginning, until what lived then tells nothing of what is new: a heap that is being filled is not
/// taken for one full of dead old objects.
pub(super) const UNKNOWN: u32 = 5;

/// What a minor collection found, in bytes unless it says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// In eden before.
    pub(super) eden: u64,
    /// Of these, copied.
    pub(super) eden_copied: u64,
    /// In the survivor space before.
    pub(super) aged: u64,
    /// Of these, copied.
    pub(super) aged_copied: u64,
    /// Roots that name objects which are young still.
    pub(super) young_roots: u64,
    /// Capacity of the heap.
    pub(super) capacity: u64,
}

/// Work that is left out for longer and longer while trials confirm that it is useless.
#[derive(Debug)]
struct Shortcut {
    /// Times that it was or is taken after the last trial.
    run: u32,
    /// Times left until the next one.
    left: u32,
    longest: u32,
}

impl Shortcut {
    const fn new(longest: u32) -> Shortcut {
        Shortcut { run: 0, left: 0, longest }
    }

    fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn tried(&mut self, useless: bool) {
        self.run = if useless { (2 * self.run).clamp(1, self.longest) } else { 0 };
        self.left = self.run;
    }
}

/// The search for eden's size.
#[derive(Debug)]
struct Climb {
    /// Minor collections seen in this look, and what they found.
    seen: u32,
    used: u64,
    copied: u64,
    /// While a larger eden is tried: the size of the one before, and the share, in 1024ths, that survived it.
    before: Option<(u32, u64)>,
    /// Looks to go until the next attempt, and how many it will be after a failure.
    rest: u32,
    next_rest: u32,
}

/// The policy's state.
#[derive(Debug)]
pub(super) struct Policy {
    /// The eden wanted, in bytes.
    pub(super) eden: u32,
    climb: Climb,
    /// Bytes that lived outside the nursery after the last full collection.
    lived: u64,
    without_age: Shortcut,
    in_place: Shortcut,
    full: Shortcut,
    /// Bytes that the last minor collection copied.
    copied: u64,
    /// Minor collections since the last full one, up to [`UNKNOWN`].
    minors: u32,
    stay: Stay,
}

/// Whether the working set stays young.
#[derive(Debug)]
struct Stay {
    /// It does.
    active: bool,
    /// It is to: the next collection is a full one.
    wanted: bool,
    /// Minor collections until the next attempt, and how many it will be after another one that ended.
    rest: u32,
    next_rest: u32,
}

impl Stay {
    fn end(&mut self) {
        *self = Stay {
            active: false,
            wanted: false,
            rest: self.next_rest,
            next_rest: (2 * self.next_rest).min(LONGEST_STAY_REST),
        };
    }
}

impl Policy {
    pub(super) fn new() -> Policy {
        Policy {
            eden: FIRST_EDEN,
            climb: Climb { seen: 0, used: 0, copied: 0, before: None, rest: 0, next_rest: 2 },
            lived: 0,
            without_age: Shortcut::new(LONGEST_UNAGED),
            in_place: Shortcut::new(LONGEST_IN_PLACE),
            full: Shortcut::new(LONGEST_FULL),
            copied: 0,
            minors: 0,
            stay: Stay { active: false, wanted: false, rest: 0, next_rest: 16 },
        }
    }

    /// What is known to live of `settled` bytes outside the nursery. Heap sizing multiplies this; what has been promoted since
    /// the last full collection is not in it, because how much of that lives only the next one will tell.
    pub(super) fn known_live(&self, settled: u64) -> u64 {
        settled.min(self.lived)
    }

    /// Whether survivors are to be promoted at once.
    pub(super) fn skips_age(&self) -> bool {
        self.without_age.left > 0 || self.in_place.run > 0
    }

    /// Whether survivors stay young.
    pub(super) fn survivors_stay(&self) -> bool {
        self.stay.active
    }

    /// What lives has become old, if it was to stay young.
    pub(super) fn end_stay(&mut self) {
        if self.stay.active {
            self.stay.end();
        }
    }

    /// How much may stay young when eden has the size wanted.
    fn most_to_stay(&self) -> u64 {
        u64::from(self.eden) / STAYING_PART
    }

    /// Whether the next eden is to become old as it is.
    pub(super) fn takes_in_place(&self) -> bool {
        self.in_place.left > 0
    }

    /// Whether edens are taken as they are, but for trials: then full collections are what there is to be.
    pub(super) fn prefers_full(&self) -> bool {
        self.in_place.run > 0
    }

    /// An eden has become old as it was.
    pub(super) fn note_taken(&mut self) {
        self.in_place.spend();
    }

    /// Whether the next collection is to be a full one because that is less work.
    pub(super) fn takes_full(&self) -> bool {
        self.full.left > 0 || self.stay.wanted
    }

    /// After a full collection that left `live` bytes, of which `roots` roots name some; `may_stay` unless there are objects that cannot
    /// be young.
    pub(super) fn note_full(&mut self, live: u64, roots: u64, may_stay: bool) {
        (self.lived, self.minors) = (live, 0);
        self.full.spend();
        if self.stay.active || self.stay.wanted {
            if may_stay && live <= self.most_to_stay() && roots <= STAYING_ROOTS {
                (self.stay.active, self.stay.wanted) = (true, false);
                self.full.left = 0;
            } else {
                self.stay.end();
            }
        }
        if !self.full_is_less() {
            self.full.left = 0;
        }
    }

    /// Whether a full collection would do far less than the last minor one did. A full one looks at what lives twice.
    fn full_is_less(&self) -> bool {
        let known = self.minors >= UNKNOWN || self.full.run > 0;
        known && telling(self.copied) && self.copied >= 3 * self.lived
    }

    /// After a minor collection.
    pub(super) fn note_minor(&mut self, found: Found) {
        let Found { eden, eden_copied, aged, aged_copied, .. } = found;
        self.copied = eden_copied + aged_copied;
        self.minors = (self.minors + 1).min(UNKNOWN);
        self.stay.rest = self.stay.rest.saturating_sub(1);
        if self.stay.active {
            if self.copied > self.most_to_stay() || found.young_roots > STAYING_ROOTS {
                self.stay.end();
            }
        } else if self.stay.rest == 0 && self.lived <= self.most_to_stay() {
            self.stay.wanted = self.full_is_less();
        }
        self.full.tried(self.full_is_less());
        if self.full.left > 0 {
            // What survived was mostly garbage.
            return;
        }
        if telling(aged) {
            self.without_age.tried(aged_copied >= aged / 4 * 3);
        } else {
            self.without_age.spend();
        }
        if telling(eden) && self.in_place.left == 0 {
            self.in_place.tried(self.in_place_is_less(found));
        }
        // A heap without room for the eden wanted says nothing about it.
        if eden >= u64::from(self.eden) / 4 * 3 {
            self.resize_eden(eden, eden_copied);
        }
    }

    /// Whether it would have been less work to take eden as it was.
    fn in_place_is_less(&self, found: Found) -> bool {
        let (copied, free) = (found.eden_copied, found.capacity.saturating_sub(self.lived));
        let died = found.eden.saturating_sub(copied);
        let part = if self.prefers_full() { 2 * TAKING_PART } else { TAKING_PART };
        copied >= found.eden / part && copied.saturating_mul(free) >= died.saturating_mul(self.lived)
    }

    fn resize_eden(&mut self, used: u64, copied: u64) {
        let climb = &mut self.climb;
        (climb.seen, climb.used, climb.copied) = (climb.seen + 1, climb.used + used, climb.copied + copied);
        if climb.seen < WINDOW {
            return;
        }
        let share = climb.copied * 1024 / climb.used.max(1);
        (climb.seen, climb.used, climb.copied) = (0, 0, 0);
        climb.rest = climb.rest.saturating_sub(1);
        match climb.before.take() {
            Some((eden, before)) if share > before / 4 * 3 || share + WORTHWHILE_SHARE > before => {
                self.eden = eden;
                climb.rest = climb.next_rest;
                climb.next_rest = (2 * climb.next_rest).min(LONGEST_REST);
            }
            Some(_) => climb.next_rest = 2,
            None if share < SMALL_SHARE && self.eden > FIRST_EDEN => self.eden /= 2,
            None if share > LARGE_SHARE && climb.rest == 0 && self.eden < MAX_EDEN => {
                climb.before = Some((self.eden, share));
                self.eden = (STRIDE * self.eden).min(MAX_EDEN);
            }
            None => {}
        }
    }
}

/// Whether that many bytes that survived say anything. Little does not, and costs nothing.
fn telling(bytes: u64) -> bool {
    bytes >= u64::from(FIRST_EDEN) / 16
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    /// A policy of a heap in which much lives.
    fn grown() -> Policy {
        let mut policy = Policy::new();
        policy.note_full(64 * MB, 0, true);
        policy
    }

    fn minor(policy: &mut Policy, eden_copied: u64, aged: u64, aged_copied: u64) {
        policy.note_minor(Found { eden: MB, eden_copied, aged, aged_copied, capacity: 128 * MB, ..Found::default() });
    }

    /// Eden after `collections` of which a share of `survival(eden)` survived.
    fn climb(policy: &mut Policy, collections: u32, survival: impl Fn(f64) -> f64) -> Vec<u32> {
        let mut edens = Vec::new();
        for _ in 0..collections {
            let eden = u64::from(policy.eden);
            let eden_copied = (eden as f64 * survival(eden as f64)) as u64;
            policy.note_minor(Found { eden, eden_copied, ..Found::default() });
            edens.push(policy.eden);
        }
        edens
    }

    #[test]
    fn eden_grows_while_that_lets_objects_die() {
        let mut policy = grown();
        // A constant amount lives, whatever eden's size.
        climb(&mut policy, 100, |eden| 0.5 * MB as f64 / eden);
        assert_eq!(policy.eden, MAX_EDEN);
        // Next to nothing survives: back into the cache.
        climb(&mut policy, 100, |_| 0.001);
        assert_eq!(policy.eden, FIRST_EDEN);
    }

    #[test]
    fn eden_stays_small_when_objects_are_just_long_lived() {
        let mut policy = grown();
        let edens = climb(&mut policy, 4000, |_| 0.3);
        let larger = edens.iter().filter(|eden| **eden > FIRST_EDEN).count();
        assert!(edens.contains(&(STRIDE * FIRST_EDEN)) && larger < 200, "{larger}");
    }

    #[test]
    fn ageing_is_left_out_while_survivors_survive() {
        let mut policy = grown();
        minor(&mut policy, MB / 4, 0, 0);
        assert!(!policy.skips_age());
        let mut skipped = Vec::new();
        for _ in 0..8 {
            // A trial takes two collections: one fills the survivor space, the next looks at it.
            minor(&mut policy, MB / 4, MB / 4, MB / 4);
            let mut times = 0;
            while policy.skips_age() {
                minor(&mut policy, MB / 4, 0, 0);
                times += 1;
            }
            skipped.push(times);
        }
        assert_eq!(skipped, [1, 2, 4, 8, 16, 32, 32, 32]);
        minor(&mut policy, MB / 4, MB / 4, MB / 8);
        assert!(!policy.skips_age());
        // A few bytes are no reason for anything.
        minor(&mut policy, MB / 4, 1000, 1000);
        assert!(!policy.skips_age());
    }

    /// After minor collections that say nothing.
    fn settled_policy() -> Policy {
        let mut policy = Policy::new();
        (0..UNKNOWN).for_each(|_| minor(&mut policy, 0, 0, 0));
        policy
    }

    #[test]
    fn a_small_working_set_stays_young_where_garbage_is_promoted() {
        let found = Found { eden: MB, eden_copied: 70_000, young_roots: 10, ..Found::default() };
        // Too little; not yet.
        for (mut policy, other) in
            [(settled_policy(), Found { eden_copied: MB / 16 - 1, ..found }), (Policy::new(), found)]
        {
            policy.note_minor(other);
            assert!(!policy.stay.wanted, "{other:?}");
        }
        let most = u64::from(FIRST_EDEN) / STAYING_PART;
        // Too much lives, too many roots, large objects: then there are no more attempts for some time.
        for (live, roots, may_stay) in [(most + 1, 10, true), (most, 257, true), (most, 10, false)] {
            let mut policy = settled_policy();
            policy.note_minor(found);
            assert!(policy.takes_full() && !policy.survivors_stay());
            policy.note_full(live, roots, may_stay);
            assert!(!policy.stay.wanted && !policy.survivors_stay());
            policy.lived = 0;
            let pause = (1..100).find(|_| {
                policy.note_minor(found);
                policy.stay.wanted
            });
            assert_eq!(pause, Some(16));
        }
        let stays = || {
            let mut policy = settled_policy();
            policy.note_minor(found);
            policy.note_full(most, 256, true);
            assert!(!policy.takes_full() && policy.survivors_stay());
            policy
        };
        let mut policy = stays();
        policy.note_minor(found);
        assert!(policy.survivors_stay());
        for other in [Found { young_roots: 257, ..found }, Found { aged: MB, aged_copied: most, ..found }] {
            let mut policy = stays();
            policy.note_minor(other);
            assert!(!policy.survivors_stay(), "{other:?}");
        }
    }

    #[test]
    fn edens_are_taken_in_place_while_all_survives() {
        let mut policy = grown();
        let mut taken = Vec::new();
        for _ in 0..7 {
            minor(&mut policy, MB / 10 * 9, 0, 0);
            assert!(policy.skips_age());
            let mut times = 0;
            while policy.takes_in_place() {
                policy.note_taken();
                times += 1;
            }
            taken.push(times);
        }
        assert_eq!(taken, [1, 2, 4, 8, 16, 16, 16]);
        minor(&mut policy, MB / 10 * 4, 0, 0);
        assert!(!policy.takes_in_place() && !policy.skips_age());
    }

    /// 64 MiB live: the more memory is free, the less must survive.
    #[test]
    fn edens_are_taken_in_place_where_that_is_less_work() {
        for (capacity, tenths, taken) in [
            (128, 6, true),
            (128, 4, false),
            (80, 9, true),
            (80, 7, false),
            (1000, 3, true),
            (1000, 2, false),
            (64, 9, false),
        ] {
            let mut policy = grown();
            let found = Found { eden: 10 * MB, eden_copied: tenths * MB, capacity: capacity * MB, ..Found::default() };
            policy.note_minor(found);
            assert_eq!(policy.takes_in_place(), taken, "{tenths} tenths of eden in {capacity} MiB");
            assert_eq!(policy.prefers_full(), taken);
        }
        // Half of what is needed to begin with it is enough to go on.
        let mut policy = grown();
        for (hundredths, taken) in [(26, true), (13, true), (12, false), (13, false)] {
            let eden_copied = hundredths * MB / 100;
            policy.note_minor(Found { eden: MB, eden_copied, capacity: 4000 * MB, ..Found::default() });
            assert_eq!(policy.takes_in_place(), taken, "{hundredths}");
            (0..2).for_each(|_| policy.note_taken());
        }
    }

    #[test]
    fn full_collections_come_where_they_are_less_work() {
        let mut policy = Policy::new();
        policy.note_full(MB / 32, 0, false);
        // A heap that is being filled.
        for _ in 1..UNKNOWN {
            minor(&mut policy, MB / 3, 0, 0);
            assert!(!policy.takes_full());
        }
        let mut taken = Vec::new();
        for _ in 0..7 {
            // Far more than is known to live.
            minor(&mut policy, MB / 3, 0, 0);
            let mut times = 0;
            while policy.takes_full() {
                policy.note_full(MB / 32, 0, false);
                times += 1;
            }
            taken.push(times);
        }
        assert_eq!(taken, [1, 2, 4, 8, 16, 32, 64]);
        minor(&mut policy, MB / 3, 0, 0);
        assert!(policy.takes_full());
        // It did live.
        policy.note_full(MB / 3, 0, false);
        assert!(!policy.takes_full());
        minor(&mut policy, MB / 3, 0, 0);
        assert!(!policy.takes_full());
        // Little that is copied is no reason.
        policy.note_full(0, 0, false);
        minor(&mut policy, MB / 64, 0, 0);
        assert!(!policy.takes_full());
    }

    #[test]
    fn what_was_promoted_is_not_known_to_live() {
        let mut policy = Policy::new();
        assert_eq!(policy.known_live(5 * MB), 0);
        policy.note_full(2 * MB, 0, true);
        assert_eq!(policy.known_live(6 * MB), 2 * MB);
        assert_eq!(policy.known_live(MB), MB);
    }
}
