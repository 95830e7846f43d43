//! A collector for tests: incremental marking with a snapshot at the beginning.
//!
//! One collection takes the roots down and returns; the mutator goes on; the next one traces from what was taken down
//! and frees what it does not find. What was reachable at the beginning must be found, so each reference that a store
//! overwrites meanwhile is logged, whatever is stored instead: it may be the last way to it.

use heapwright_collectors::Registration;
use heapwright_gc_heap::barrier::{Expr, Input, Likely, MutatorWord, Program, Stmt, Var};
use heapwright_gc_heap::*;
use std::collections::{BTreeMap, HashSet};

const MARKING: Var = Var(0);
const OLD: Var = Var(1);
const TEST: Var = Var(2);

/// Logs the old value while marking is under way.
static STORE: Program = Program {
    name: "snapshot-store",
    body: &[
        Stmt::Let(MARKING, Expr::Mutator(MutatorWord::Collector(0))),
        Stmt::If(
            MARKING,
            Likely::No,
            &[
                Stmt::Let(OLD, Expr::Input(Input::Old)),
                Stmt::Let(TEST, Expr::IsNull(OLD)),
                Stmt::If(
                    TEST,
                    Likely::Unknown,
                    &[],
                    &[Stmt::Let(TEST, Expr::IsI31(OLD)), Stmt::If(TEST, Likely::Unknown, &[], &[Stmt::Append(0, OLD)])],
                ),
            ],
            &[],
        ),
    ],
};

static SPEC: Spec = Spec {
    name: "snapshot",
    summary: "incremental marking from a snapshot; for tests",
    cites: &[Citation {
        text: "T. Yuasa, Real-Time Garbage Collection on General-Purpose Machines, Journal of Systems and Software 11(3), 1990",
        departs: "marking is one step; memory is never used again",
    }],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Call,
    barriers: Barriers { store: Some(&STORE), init: None, load: None, bulk: BulkBarrier::Elements, root_store: None },
    elide: &[],
    moves: Moves::Never,
    needs_roots: true,
    inline_limit: 0,
};

/// As the registry would name it.
pub(crate) static REGISTRATION: Registration = Registration { spec: &SPEC, create: || Box::<Snapshot>::default() };

#[derive(Default)]
struct Snapshot {
    /// Place and size of each object.
    objects: BTreeMap<u32, u32>,
    /// Where the next one goes.
    top: u32,
    /// What the snapshot and the log name, while marking is under way.
    grey: Option<Vec<u32>>,
    /// Objects made since then.
    fresh: HashSet<u32>,
    log: Box<[u32; 16]>,
}

impl Snapshot {
    fn used(&self) -> u64 {
        self.objects.values().map(|&size| u64::from(size)).sum()
    }

    fn install(&mut self, heap: &mut Heap) {
        let range = self.log.as_mut_ptr_range();
        (heap.mutator_mut().buffers[0].next, heap.mutator_mut().buffers[0].end) = (range.start, range.end);
    }

    /// Takes what the mutator has logged.
    fn drain(&mut self, heap: &mut Heap) {
        let bytes = heap.mutator().buffers[0].next as usize - self.log.as_ptr() as usize;
        if let Some(grey) = &mut self.grey {
            grey.extend_from_slice(&self.log[..bytes / 4]);
        }
        self.install(heap);
    }

    /// Frees what cannot be reached from `grey` and is not fresh.
    fn finish(&mut self, heap: &mut Heap, mut grey: Vec<u32>) -> Result<(), HeapCorrupted> {
        let mut marked = HashSet::new();
        while let Some(at) = grey.pop() {
            if !self.objects.contains_key(&at) {
                return Err(HeapCorrupted { what: "snapshot: a reference to no object", at });
            }
            if marked.insert(at) {
                heap.for_each_slot(at, |heap, slot| {
                    grey.extend(GcRef::from_raw(heap.memory().load_u32(slot)?).offset());
                    Ok::<_, HeapCorrupted>(())
                })?;
            }
        }
        let fresh = std::mem::take(&mut self.fresh);
        let dead = |at: &u32| !marked.contains(at) && !fresh.contains(at);
        let freed: Vec<_> = self.objects.iter().filter(|(at, _)| dead(at)).map(|(&at, &size)| (at, size)).collect();
        for (at, size) in freed {
            self.objects.remove(&at);
            heap.memory_mut().fill(at, size.into(), 0xDA)?;
        }
        Ok(())
    }
}

impl Collector for Snapshot {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.top = NULL_PAGE_BYTES;
        self.install(heap);
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        let at = self.top;
        if u64::from(at) + u64::from(request.size) > u64::from(NULL_PAGE_BYTES) + heap.capacity() {
            return Ok(AllocOutcome::Full);
        }
        self.top += request.size;
        self.objects.insert(at, request.size);
        if self.grey.is_some() {
            self.fresh.insert(at);
        }
        Ok(AllocOutcome::At(at))
    }

    fn buffer_full(&mut self, heap: &mut Heap, _: usize) -> Result<(), HeapCorrupted> {
        self.drain(heap);
        Ok(())
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let bytes_before = self.used();
        self.drain(heap);
        let mut found = Vec::new();
        roots.for_each(&mut |_, root| {
            found.extend(root.offset());
            Ok(())
        })?;
        let all_at_once = matches!(cause, Cause::Explicit | Cause::LastResort);
        match self.grey.take() {
            // Everything unreachable is to go now: a snapshot of this moment.
            _ if all_at_once => {
                self.fresh.clear();
                self.finish(heap, found)?;
            }
            Some(grey) => self.finish(heap, grey)?,
            None => self.grey = Some(found),
        }
        heap.mutator_mut().collector[0] = u32::from(self.grey.is_some());
        Ok(CollectionReport { bytes_before, bytes_after: self.used(), full: true, ..CollectionReport::default() })
    }

    fn resized(&mut self, _: &mut Heap) {}

    fn space(&self, heap: &Heap) -> Space {
        let end = u64::from(NULL_PAGE_BYTES) + heap.capacity();
        Space { used: self.used(), free: end - u64::from(self.top), committed: heap.capacity() }
    }

    fn may_be_object(&self, _: &Heap, offset: u32) -> bool {
        self.objects.contains_key(&offset)
    }
}
