//! Who attacks a heap, and with what.
//!
//! An attack knows what an attacker of a real engine would know: how objects are laid out, which type words exist,
//! where objects have been seen. It overwrites words when the guest calls the host, before and after slow paths, and in
//! the middle of collections; and it lies about what the runtime reads, so that a word read twice has two values.

use arbitrary::{Result, Unstructured};
use heapwright_gc_heap::cells::LINK_OFFSET;
use heapwright_gc_heap::{Attacker, Heap, NULL_PAGE_BYTES, Point};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When to attack. 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Overwrite words at every so many calls of the host.
    pub host: u32,
    /// Before every so many slow paths and collections.
    pub enter: u32,
    /// After them.
    pub leave: u32,
    /// At every so many writes by the runtime, most of which a collection makes.
    pub step: u32,
    /// Lie at every so many reads by the runtime.
    pub lie: u32,
    /// Words that are overwritten at a time.
    pub words: u32,
    /// Attacks before the first of which all goes as it should.
    pub patience: u32,
    /// Seed of the choices.
    pub seed: u64,
}

impl Plan {
    /// A plan from arbitrary bytes.
    ///
    /// # Errors
    ///
    /// None that more bytes would not mend.
    pub fn generate(u: &mut Unstructured<'_>) -> Result<Plan> {
        let mut plan = Plan { words: u.int_in_range(1..=4)?, seed: u.arbitrary()?, ..Plan::default() };
        plan.patience = u.int_in_range(0..=6)?;
        match u.int_in_range(0..=7)? {
            0 | 1 => plan.host = u.int_in_range(1..=4)?,
            2 => plan.enter = u.int_in_range(1..=5)?,
            3 => plan.leave = u.int_in_range(1..=5)?,
            4 => plan.step = 1 << u.int_in_range(0..=9)?,
            5 => plan.lie = 1 << u.int_in_range(0..=11)?,
            6 => (plan.lie, plan.step) = (1 << u.int_in_range(4..=14)?, 1 << u.int_in_range(4..=12)?),
            _ => {
                (plan.host, plan.enter) = (u.int_in_range(1..=8)?, u.int_in_range(0..=8)?);
                (plan.step, plan.lie) = (u.int_in_range(0..=5000)?, u.int_in_range(0..=20_000)?);
            }
        }
        Ok(plan)
    }
}

/// What an attack did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Words overwritten.
    pub strikes: u64,
    /// Reads answered with something else.
    pub lies: u64,
    /// Reads that the runtime made.
    pub reads: u64,
    /// The most reads that one call of the collector made.
    pub longest: u64,
}

/// Objects that the attack remembers.
const REMEMBERED: usize = 64;
/// Free cells of each list whose links it remembers.
const LINKS: usize = 32;
/// Reads for each word of the heap that a call of the collector may make.
const READS_A_WORD: u64 = 64;

struct State {
    plan: Plan,
    random: u64,
    deeds: Deeds,
    /// Counts down to the next attack of each kind: host, enter, leave, step, lie.
    next: [u32; 5],
    patience: u32,
    /// Words still to be overwritten at this point.
    pending: u32,
    /// Where objects have been seen.
    objects: Vec<u32>,
    /// Where links of free cells stand.
    links: Vec<u32>,
    types: HashSet<u32>,
    type_list: Vec<u32>,
    /// One past the heap's last byte.
    end: u32,
    /// One past the last byte where objects have been.
    used: u32,
    /// Reads since the collector was entered.
    since: u64,
    inside: bool,
}

/// An attack, shared by the heap and whoever started it.
#[derive(Clone)]
pub struct Attack(Arc<Mutex<State>>);

impl Attack {
    /// An attack by this plan.
    pub fn new(plan: Plan) -> Attack {
        let next = [plan.host, plan.enter, plan.leave, plan.step, plan.lie];
        Attack(Arc::new(Mutex::new(State {
            plan,
            random: plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            deeds: Deeds::default(),
            next,
            patience: plan.patience,
            pending: 0,
            objects: Vec::new(),
            links: Vec::new(),
            types: HashSet::new(),
            type_list: Vec::new(),
            end: NULL_PAGE_BYTES,
            used: NULL_PAGE_BYTES,
            since: 0,
            inside: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it did so far.
    pub fn deeds(&self) -> Deeds {
        self.state().deeds
    }

    /// Begins: from now on the heap's memory asks this attack.
    pub fn begin(&self, heap: &mut Heap) {
        self.survey(heap);
        heap.memory_mut().set_attacker(Some(Box::new(self.clone())));
    }

    /// Looks at the heap, then overwrites words of it if it is time.
    pub fn strike(&self, heap: &mut Heap) {
        self.survey(heap);
        heap.memory_mut().strike(Point::Host);
    }

    /// Learns which types exist, how large the heap is, and where some objects are.
    fn survey(&self, heap: &Heap) {
        let mut state = self.state();
        let space = heap.types().space();
        if state.types.is_empty() {
            let words = (64..space.used_bytes()).step_by(64).filter(|&word| space.entry(word).is_ok());
            state.type_list = words.collect();
            state.types = state.type_list.iter().copied().collect();
        }
        let memory = heap.memory();
        state.end = u32::try_from(memory.committed_end()).unwrap_or(u32::MAX);
        state.used = match heap.region() {
            Some((_, cursor, _)) => cursor.max(NULL_PAGE_BYTES + 64),
            None => state.end,
        };
        let Ok(bytes) = memory.slice(NULL_PAGE_BYTES, memory.usable()) else { return };
        for _ in 0..64 {
            let at = state.anywhere() & !7;
            let word = bytes.get((at - NULL_PAGE_BYTES) as usize..).and_then(<[u8]>::first_chunk);
            if word.is_some_and(|word| state.types.contains(&u32::from_le_bytes(*word))) {
                state.remember(at);
            }
        }
        state.links.clear();
        for first in heap.mutator().free {
            let mut cell = first;
            for _ in 0..LINKS {
                let link = cell.wrapping_add(LINK_OFFSET);
                let next = link.checked_sub(NULL_PAGE_BYTES).and_then(|at| bytes.get(at as usize..)?.first_chunk());
                let Some(next) = next else { break };
                state.links.push(link);
                cell = u32::from_le_bytes(*next);
            }
        }
    }
}

impl Attacker for Attack {
    fn read(&mut self, offset: u32, value: u64) -> u64 {
        self.state().read(offset, value)
    }

    fn overwrite(&mut self, point: Point) -> Option<(u32, u32)> {
        self.state().overwrite(point)
    }
}

impl State {
    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u32
    }

    fn below(&mut self, n: u32) -> u32 {
        self.random() % n.max(1)
    }

    fn pick(&mut self, list: fn(&State) -> &Vec<u32>) -> Option<u32> {
        let at = self.below(list(self).len() as u32) as usize;
        list(self).get(at).copied()
    }

    /// An offset in the heap, more often than not among objects.
    fn anywhere(&mut self) -> u32 {
        let end = if self.below(4) == 0 { self.end } else { self.used };
        NULL_PAGE_BYTES + self.below(end.saturating_sub(NULL_PAGE_BYTES))
    }

    fn object(&mut self) -> u32 {
        self.pick(|state| &state.objects).unwrap_or_else(|| self.anywhere() & !7)
    }

    fn remember(&mut self, at: u32) {
        if self.objects.len() < REMEMBERED {
            self.objects.push(at);
        } else {
            let place = self.below(REMEMBERED as u32) as usize;
            self.objects[place] = at;
        }
    }

    /// Whether an attack of a kind is due.
    fn due(&mut self, kind: usize, every: u32) -> bool {
        if every == 0 {
            return false;
        }
        self.next[kind] = self.next[kind].saturating_sub(1);
        if self.next[kind] != 0 {
            return false;
        }
        self.next[kind] = every;
        let waits = self.patience > 0;
        self.patience = self.patience.saturating_sub(1);
        !waits
    }

    fn read(&mut self, offset: u32, value: u64) -> u64 {
        self.deeds.reads += 1;
        self.since += 1;
        if self.inside {
            self.deeds.longest = self.deeds.longest.max(self.since);
            let words = u64::from(self.end) / 4;
            assert!(self.since <= READS_A_WORD * words, "a collection read each word of its heap {READS_A_WORD} times");
        }
        if offset.is_multiple_of(8) && value as u32 as u64 == value && self.types.contains(&(value as u32)) {
            self.remember(offset);
        }
        if !self.due(4, self.plan.lie) {
            return value;
        }
        self.deeds.lies += 1;
        (value & !u64::from(u32::MAX)) | u64::from(self.forge(offset, value as u32))
    }

    fn overwrite(&mut self, point: Point) -> Option<(u32, u32)> {
        if self.pending > 0 {
            self.pending -= 1;
            if self.pending == 0 {
                return None;
            }
        } else {
            (self.inside, self.since) = match point {
                Point::Enter => (true, 0),
                Point::Leave => (false, 0),
                Point::Step | Point::Host => (self.inside, self.since),
            };
            let (kind, every) = match point {
                Point::Host => (0, self.plan.host),
                Point::Enter => (1, self.plan.enter),
                Point::Leave => (2, self.plan.leave),
                Point::Step => (3, self.plan.step),
            };
            if !self.due(kind, every) {
                return None;
            }
            // One more for the end.
            self.pending = self.plan.words;
        }
        self.deeds.strikes += 1;
        let at = self.target();
        Some((at, self.forge(at, 0)))
    }

    /// A word worth overwriting: a type word, a further header word, a length, a field, a free cell's link; or any.
    fn target(&mut self) -> u32 {
        if !self.links.is_empty() && self.below(4) == 0 {
            return self.pick(|state| &state.links).unwrap_or(0);
        }
        match self.below(8) {
            0 => self.anywhere(),
            1 | 2 => self.object(),
            3 | 4 => self.object().wrapping_add(4),
            5 => self.object().wrapping_add(8),
            _ => {
                let field = self.below(12);
                self.object().wrapping_add(4 * field)
            }
        }
    }

    /// A word to find at heap offset `at` in place of `old`.
    fn forge(&mut self, at: u32, old: u32) -> u32 {
        let object = self.object();
        match self.below(26) {
            // References, or links of free cells: to another object, into one, unaligned, to nowhere, to itself, into
            // the null page, around the heap's end.
            0 | 1 => object,
            2 => object.wrapping_add(4 + 4 * self.below(8)),
            3 => object.wrapping_add(8 + 8 * self.below(8)),
            4 => object.wrapping_add(2 * (1 + self.below(3))),
            5 => self.random(),
            6 => self.random() & !7,
            7 => at & !7,
            8 => self.below(NULL_PAGE_BYTES),
            9 => self.end.wrapping_add(8 * self.below(5)).wrapping_sub(16),
            10 => self.anywhere() & !7,
            // Type words: another type's, near one, none, of an address beyond the space.
            11 | 12 => self.pick(|state| &state.type_list).unwrap_or(64),
            13 => self.pick(|state| &state.type_list).unwrap_or(64).wrapping_add(self.below(64)),
            14 => self.random() & !63,
            15 => 64 * self.below(4096),
            // Lengths.
            16 => u32::MAX - self.below(16),
            17 => 0x7fff_fff0 + self.below(32),
            18 => 1 << self.below(32),
            19 => (self.end.wrapping_sub(at) >> self.below(4)).wrapping_add(self.below(5)).wrapping_sub(2),
            // Counts, marks, forwarding words.
            20 => old.wrapping_add(self.below(5)).wrapping_sub(2),
            21 => object | 1,
            22 => old ^ (1 << self.below(32)),
            // Ids of functions, host values and tags.
            23 => self.below(64),
            24 => self.below(4),
            _ => 0xdada_dada,
        }
    }
}
