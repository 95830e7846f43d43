//! The DRC collector: deferred, coalescing reference counting with implicitly dead young objects.
//!
//! **Idea.** Plain reference counting pays for every store and every local variable. Three observations remove nearly
//! all of that:
//!
//! - *Deferral* (Deutsch and Bobrow). References from stacks, globals and tables are not counted as they change. At a
//!   collection each root counts once, and that count is taken back at the next one.
//! - *Coalescing* (Levanoni and Petrank). Of all the values that a slot holds between two collections only the first
//!   and the last matter. The barrier logs an object's old references before its first change and then lets stores
//!   pass: a header bit, LOGGED, says which it is.
//! - *Young objects are implicitly dead* (Shahriyar, Blackburn and Frampton). Most objects die before the first
//!   collection, so an object is born with count 0 and with LOGGED set: initialising it and storing into it cost the
//!   test of a bit, and if no root and no older object refers to it at the collection, its memory is free without
//!   having been touched.
//!
//! So a collection does: (1) count every root; (2) count what the logged slots hold now; (3) a young object that got
//! its first count survives, and what it refers to is counted in turn; (4) take away the counts of the logged old
//! values and of the previous roots; an object without counts is freed, and its references lose theirs. All memory that
//! no surviving object occupies is free.
//!
//! Counting never frees a cycle. A *backup trace* from the roots recomputes all counts and forgets the logs. It runs
//! when everything unreachable is to go ([`Cause::Explicit`], [`Cause::LastResort`]), and after a counting collection
//! when what survived since the last trace is large enough to be worth it (`Drc::trace_is_due`).
//!
//! **Invariants between collections.**
//!
//! - Two sets outside the heap say where old and where young objects are (`space.rs`); the rest is free.
//! - The count of an old object is at least 1, and equals the references to it from old objects as the last
//!   collection left them, plus the roots of that collection (in `Drc::held`). A stuck count stands for any
//!   number. The count of a young object is 0.
//! - An old object with LOGGED clear has its references as they were counted, except for the slots of a large array
//!   that are in the log.
//!
//! **Which stores can go without the barrier?** Those into a fresh object: it is born with LOGGED set, and no
//! collection comes in between. A stored null or i31 still overwrites a reference whose count must fall. A second store
//! into the same object would be safe if the first always set LOGGED; for a large array it logs one chunk only.
//!
//! **Citations.** See [`SPEC`] for the publications. The departures that matter most: everything stops the world;
//! counts have full width and stick only at their maximum; no zero count table; large arrays are logged in chunks;
//! cycles are found by a whole trace, not by trial deletion; and nothing is copied, so free memory is known object by
//! object, not line by line.
//!
//! **Trade-offs.** Objects never move, so nothing fights fragmentation except the order of allocation: a large array
//! may find no gap although enough memory is free. A bulk write logs a large array whole, once per epoch, because the
//! barrier program does not see how much will be written.

mod audit;
mod count;
mod cycle;
mod extents;
mod hosts;
mod log;
mod space;

use crate::INLINE_LIMIT;
use crate::shapes::Shapes;
use cycle::Cycle;
use extents::Extents;
use heapwright_gc_heap::barrier::{Expr, Input, Likely, Program, SlowCall, Stmt, Var};
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, AllocSpec, Barriers, BulkBarrier, Cause, Citation, CollectionReport, Collector,
    Elision, HeaderWord, Heap, HeapCorrupted, Moves, NULL_PAGE_BYTES, Phase, RootSet, SizingPolicy, Spec,
};
use hosts::Hosts;
use log::{Log, Place};
use space::Space;
use std::sync::Arc;

/// The slow call that logs one slot's surroundings: object, slot.
const LOG: SlowCall = SlowCall(0);
/// The slow call that logs a whole object: object.
const LOG_ALL: SlowCall = SlowCall(1);

const OBJECT: Var = Var(0);
const COUNT: Var = Var(1);
const LOGGED: Var = Var(2);
const TO_LOG: Var = Var(3);
const SLOT: Var = Var(4);

/// Before a store: log the object unless that is done.
static STORE: Program = Program {
    name: "drc-store",
    body: &[
        Stmt::Let(OBJECT, Expr::Input(Input::Object)),
        Stmt::Let(COUNT, Expr::Header(OBJECT, count::COUNT_WORD)),
        Stmt::Let(LOGGED, Expr::AndConst(COUNT, count::LOGGED)),
        Stmt::Let(TO_LOG, Expr::EqConst(LOGGED, 0)),
        Stmt::If(
            TO_LOG,
            Likely::No,
            &[Stmt::Let(SLOT, Expr::Input(Input::Slot)), Stmt::Call(LOG, &[OBJECT, SLOT])],
            &[],
        ),
    ],
};

/// Before a bulk write: log all of the object unless that is done.
static BULK: Program = Program {
    name: "drc-bulk",
    body: &[
        Stmt::Let(OBJECT, Expr::Input(Input::Object)),
        Stmt::Let(COUNT, Expr::Header(OBJECT, count::COUNT_WORD)),
        Stmt::Let(LOGGED, Expr::AndConst(COUNT, count::LOGGED)),
        Stmt::Let(TO_LOG, Expr::EqConst(LOGGED, 0)),
        Stmt::If(TO_LOG, Likely::No, &[Stmt::Call(LOG_ALL, &[OBJECT])], &[]),
    ],
};

/// What the DRC collector asks of compiled code: a count word, bump allocation, and a test of one bit before stores.
pub static SPEC: Spec = Spec {
    name: "drc",
    summary: "deferred coalescing reference counting with backup tracing; non-moving, short pauses",
    cites: &[
        Citation {
            text: "L. P. Deutsch and D. G. Bobrow, An Efficient, Incremental, Automatic Garbage Collector, \
                   Communications of the ACM 19(9), 1976",
            departs: "no zero count table: roots are counted temporarily, so a count of 0 always means dead",
        },
        Citation {
            text: "Y. Levanoni and E. Petrank, An On-the-Fly Reference-Counting Garbage Collector for Java, \
                   ACM Transactions on Programming Languages and Systems 28(1), 2006",
            departs: "stop-the-world and single-threaded; large arrays are logged in chunks, not whole",
        },
        Citation {
            text: "R. Shahriyar, S. M. Blackburn and D. Frampton, Down for the Count? Getting Reference Counting Back in \
                   the Ring, ISMM 2012",
            departs: "full-width counts instead of a few bits",
        },
        Citation {
            text: "R. Shahriyar, S. M. Blackburn, X. Yang and K. S. McKinley, Taking Off the Gloves with Reference Counting \
                   Immix, OOPSLA 2013",
            departs: "free space at the granularity of objects rather than lines, from a bitmap; nothing is copied",
        },
        Citation {
            text: "W. Zhao, S. M. Blackburn and K. S. McKinley, Low-Latency, High-Throughput Garbage Collection, PLDI 2022",
            departs: "the backup trace stops the world, and no object moves",
        },
    ],
    header: &[HeaderWord { name: "count", initial: count::YOUNG }],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers {
        store: Some(&STORE),
        init: None,
        load: None,
        bulk: BulkBarrier::Object(&BULK),
        root_store: None,
    },
    elide: &[Elision::FreshObject],
    moves: Moves::Never,
    needs_roots: true,
    inline_limit: INLINE_LIMIT,
};

/// The DRC collector's state.
#[derive(Debug)]
pub struct Drc {
    space: Space,
    log: Log,
    /// Root targets that the last collection counted, once for each root.
    held: Vec<u32>,
    /// Live bytes after the last backup trace: all that is known not to be cyclic garbage.
    traced_bytes: u64,
    /// Whether the last backup trace found a fair part of what was suspected to be garbage.
    fruitful: bool,
    /// Host values whose box is old.
    hosts: Hosts,
    /// The pending list's memory, kept for the next collection.
    pending: Vec<u32>,
}

impl Default for Drc {
    fn default() -> Drc {
        Drc::new()
    }
}

impl Drc {
    /// A collector for one heap.
    pub fn new() -> Drc {
        Drc {
            space: Space::new(),
            log: Log::new(),
            held: Vec::new(),
            traced_bytes: 0,
            fruitful: true,
            hosts: Hosts::default(),
            pending: Vec::new(),
        }
    }

    /// The counting collection.
    fn count(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        report: &mut CollectionReport,
    ) -> Result<(), HeapCorrupted> {
        let released = core::mem::take(&mut self.held);
        let mut held = Vec::with_capacity(released.len());
        let mut phases = heap.phases();
        let types = Arc::clone(heap.types());
        let zeal = heap.config().zeal != 0;
        let Space { live, young, live_bytes, top, .. } = &mut self.space;
        let mut cycle = Cycle {
            words: heap.memory_mut().words(NULL_PAGE_BYTES, *top)?,
            shapes: Shapes::new(types.space(), SPEC.header_layout().bytes()),
            live,
            candidates: young,
            pending: core::mem::take(&mut self.pending),
            live_bytes: *live_bytes,
            hosts_found: Vec::new(),
            hosts_lost: Vec::new(),
            visited: 0,
            freed: zeal.then(Vec::new),
        };
        phases.enter(Phase::Roots);
        roots.for_each(&mut |_, root| {
            if let Some(at) = root.offset() {
                cycle.increment(at)?;
                held.push(at);
            }
            Ok(())
        })?;
        phases.enter(Phase::Remembered);
        cycle.count_logged(&self.log)?;
        phases.enter(Phase::Trace);
        cycle.promote_pending()?;
        phases.enter(Phase::Release);
        for &at in released.iter().chain(&self.log.old) {
            cycle.decrement(at)?;
        }
        cycle.free_pending()?;

        let Cycle { pending, hosts_found, hosts_lost, freed, visited, live_bytes, .. } = cycle;
        report.objects_visited += visited;
        report.remembered += self.log.entries();
        self.space.live_bytes = live_bytes;
        (self.held, self.pending) = (held, pending);
        self.log.clear();
        phases.enter(Phase::HostTable);
        self.hosts.update(heap.host_mut(), &hosts_found, &hosts_lost);
        phases.enter(Phase::Sweep);
        for (start, end) in freed.into_iter().flatten() {
            heap.poison(start, end);
        }
        self.finish(heap);
        heap.phases_end(phases);
        Ok(())
    }

    /// The backup trace: everything that the roots reach is live and counted anew, all else is free.
    fn trace(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        report: &mut CollectionReport,
    ) -> Result<(), HeapCorrupted> {
        let mut phases = heap.phases();
        phases.enter(Phase::Cycles);
        self.log.clear();
        self.held.clear();
        let types = Arc::clone(heap.types());
        let Space { live, young, top, .. } = &mut self.space;
        // Whatever is allocated may turn out live, and nothing is live yet.
        young.absorb(live);
        let mut seen = Extents::new(NULL_PAGE_BYTES);
        seen.resize(*top);
        let mut cycle = Cycle {
            words: heap.memory_mut().words(NULL_PAGE_BYTES, *top)?,
            shapes: Shapes::new(types.space(), SPEC.header_layout().bytes()),
            live,
            candidates: young,
            pending: core::mem::take(&mut self.pending),
            live_bytes: 0,
            hosts_found: Vec::new(),
            hosts_lost: Vec::new(),
            visited: 0,
            freed: None,
        };
        let held = &mut self.held;
        roots.for_each(&mut |_, root| {
            if let Some(at) = root.offset() {
                cycle.trace(&mut seen, at)?;
                held.push(at);
            }
            Ok(())
        })?;
        cycle.trace_pending(&mut seen)?;

        let Cycle { pending, hosts_found, visited, live_bytes, .. } = cycle;
        report.objects_visited += visited;
        report.full = true;
        self.pending = pending;
        self.note_trace(live_bytes);
        (self.space.live_bytes, self.traced_bytes) = (live_bytes, live_bytes);
        phases.enter(Phase::HostTable);
        self.hosts.replace(heap.host_mut(), &hosts_found);
        phases.enter(Phase::Sweep);
        self.finish(heap);
        heap.phases_end(phases);
        Ok(())
    }

    /// What is still a candidate when a collection ends is garbage.
    fn finish(&mut self, heap: &mut Heap) {
        if heap.config().zeal != 0 {
            for (start, end) in self.space.young.ranges() {
                heap.poison(start, end);
            }
        }
        self.space.young.clear();
    }

    /// Whether cycles are worth looking for. What survived counting since the last trace is suspected; whether that is
    /// garbage or the program just grows, only a trace can tell, so the last one's result is the guide.
    ///
    /// - A trace costs time in proportion to what lives, so it is due when the suspected bytes are a fixed share of
    ///   that: half after a fruitful trace, three times as much after a fruitless one.
    /// - After a fruitful trace it is also due when less is free than suspected: better than to grow the heap.
    /// - A heap that cannot grow is traced before it fills up with cycles in ever shorter epochs.
    ///
    /// Amounts too small to matter never make it due.
    fn trace_is_due(&self, heap: &Heap) -> bool {
        let (capacity, live) = (heap.capacity(), self.space.live_bytes);
        let suspected = live.saturating_sub(self.traced_bytes);
        let free = capacity.saturating_sub(live);
        let share = if self.fruitful { self.traced_bytes / 2 } else { self.traced_bytes * 3 };
        let cannot_grow = heap.config().sizing == SizingPolicy::Fixed || capacity >= heap.max_capacity();
        suspected >= capacity / 32
            && (suspected >= share || (self.fruitful && suspected >= free) || (cannot_grow && free < capacity / 16))
    }

    /// Remembers whether a trace that left `live` bytes was worth it.
    fn note_trace(&mut self, live: u64) {
        let counted = self.space.live_bytes;
        let suspected = counted.saturating_sub(self.traced_bytes);
        if suspected > 0 {
            self.fruitful = counted.saturating_sub(live) >= suspected / 4;
        }
    }
}

impl Collector for Drc {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.space.resize(crate::top(heap));
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        Ok(self.space.allocate(heap, request.size).map_or(AllocOutcome::Full, AllocOutcome::At))
    }

    fn barrier_slow(&mut self, heap: &mut Heap, call: SlowCall, args: [u32; 4]) -> Result<(), HeapCorrupted> {
        let [object, slot, ..] = args;
        let slot = match call {
            LOG => Some(slot),
            LOG_ALL => None,
            SlowCall(other) => return Err(HeapCorrupted { what: "drc: no such slow path", at: other.into() }),
        };
        if object % 8 != 0 || !self.space.live.contains(object) {
            return Err(HeapCorrupted { what: "store into memory that no old object occupies", at: object });
        }
        let types = Arc::clone(heap.types());
        let (header, top) = (SPEC.header_layout(), self.space.top);
        let mut place = Place { memory: heap.memory_mut(), types: types.space(), header, top };
        self.log.log(&mut place, object, slot)
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let mut report = CollectionReport { bytes_before: self.space.used(heap), ..CollectionReport::default() };
        self.space.close(heap);
        let everything = matches!(cause, Cause::Explicit | Cause::LastResort);
        if !everything {
            self.count(heap, roots, &mut report)?;
        }
        if everything || self.trace_is_due(heap) {
            self.trace(heap, roots, &mut report)?;
        }
        self.space.begin_epoch(cause == Cause::LastResort);
        report.bytes_after = self.space.live_bytes;
        Ok(report)
    }

    fn give_back(&mut self, heap: &mut Heap) {
        self.space.give_back(heap);
    }

    fn resized(&mut self, heap: &mut Heap) {
        self.space.resize(crate::top(heap));
    }

    fn space(&self, heap: &Heap) -> heapwright_gc_heap::Space {
        let (used, committed) = (self.space.used(heap), heap.capacity());
        heapwright_gc_heap::Space { used, free: committed.saturating_sub(used), committed }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        self.space.may_be_object(heap, offset)
    }

    fn verify(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        audit::audit(heap, SPEC.header_layout(), &self.space, &self.log, &self.held)
    }
}

#[cfg(test)]
mod tests;
