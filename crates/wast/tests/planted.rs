//! A bug planted in a collector's declaration is found by the script that is there to find it.

use heapwright::{Collector, Registration};
use heapwright_collectors::generational;
use heapwright_gc_heap::barrier::SlowCall;
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, Barriers, BulkBarrier, Cause, CollectionReport, Heap, HeapCorrupted, RootSet, Space,
    Spec,
};
use heapwright_wast::{Options, Summary, run_script};

/// The generational collector as it would be if its author had forgotten bulk stores.
static WITHOUT_BULK_BARRIER: Spec = Spec {
    name: "without-bulk-barrier",
    barriers: Barriers { bulk: BulkBarrier::None, ..generational::SPEC.barriers },
    ..generational::SPEC
};

static PLANTED: Registration = Registration {
    spec: &WITHOUT_BULK_BARRIER,
    create: || Box::new(Forgetful { spec: &WITHOUT_BULK_BARRIER, inner: Box::<generational::Generational>::default() }),
};

static SOUND: Registration = Registration {
    spec: &generational::SPEC,
    create: || Box::new(Forgetful { spec: &generational::SPEC, inner: Box::<generational::Generational>::default() }),
};

/// A collector that declares something of its own.
struct Forgetful {
    spec: &'static Spec,
    inner: Box<dyn heapwright_gc_heap::Collector>,
}

impl heapwright_gc_heap::Collector for Forgetful {
    fn spec(&self) -> &'static Spec {
        self.spec
    }
    fn attach(&mut self, heap: &mut Heap) {
        self.inner.attach(heap);
    }
    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        self.inner.alloc_slow(heap, request)
    }
    fn barrier_slow(&mut self, heap: &mut Heap, call: SlowCall, args: [u32; 4]) -> Result<(), HeapCorrupted> {
        self.inner.barrier_slow(heap, call, args)
    }
    fn buffer_full(&mut self, heap: &mut Heap, index: usize) -> Result<(), HeapCorrupted> {
        self.inner.buffer_full(heap, index)
    }
    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        self.inner.collect(heap, cause, roots)
    }
    fn resized(&mut self, heap: &mut Heap) {
        self.inner.resized(heap);
    }
    fn space(&self, heap: &Heap) -> Space {
        self.inner.space(heap)
    }
    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        self.inner.may_be_object(heap, offset)
    }
    fn verify(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        self.inner.verify(heap)
    }
}

fn run(registration: &'static Registration) -> Summary {
    let script = include_str!("../../../tests/scripts/gc/bulk-stores-into-old.wast");
    let options = Options { collector: Collector::from_registration(registration), ..Options::default() };
    run_script(&options, "gc/bulk-stores-into-old.wast", script).unwrap()
}

#[test]
fn a_missing_bulk_barrier_is_found() {
    let sound = run(&SOUND);
    assert!(sound.failed == 0 && sound.skipped == 0 && sound.passed > 10, "{sound:?}");
    let planted = run(&PLANTED);
    println!("{} of {} directives fail", planted.failed, planted.failed + planted.passed);
    assert!(planted.failed > 0);
}
