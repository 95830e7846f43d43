//! A collector with a fault, or with a declaration that is not its own.

use heapwright_gc_heap::barrier::SlowCall;
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, Cause, CollectionReport, Collector, GcRef, Heap, HeapCorrupted, RootKind, RootSet,
    Space, Spec,
};

/// What a faulty collector does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// What is wrong is its declaration.
    Declaration,
    /// It does not see the last root.
    ForgetsARoot,
    /// It does not collect when it is asked to.
    IgnoresRequests,
    /// It releases no host value.
    KeepsHosts,
}

/// A collector that is otherwise sound.
pub struct Faulty {
    /// What it declares.
    pub spec: &'static Spec,
    /// The sound one.
    pub inner: Box<dyn Collector>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// All roots but the last.
struct AllButOne<'a>(&'a mut dyn RootSet);

impl RootSet for AllButOne<'_> {
    fn for_each(
        &mut self,
        visit: &mut dyn FnMut(RootKind, &mut GcRef) -> Result<(), HeapCorrupted>,
    ) -> Result<(), HeapCorrupted> {
        let mut count = 0usize;
        self.0.for_each(&mut |_, _| {
            count += 1;
            Ok(())
        })?;
        self.0.for_each(&mut |kind, root| {
            count -= 1;
            if count == 0 { Ok(()) } else { visit(kind, root) }
        })
    }
}

impl Collector for Faulty {
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
        match self.fault {
            Fault::Declaration => self.inner.collect(heap, cause, roots),
            Fault::ForgetsARoot => self.inner.collect(heap, cause, &mut AllButOne(roots)),
            Fault::IgnoresRequests => match cause {
                Cause::Explicit => Ok(CollectionReport { full: true, ..CollectionReport::default() }),
                _ => self.inner.collect(heap, cause, roots),
            },
            Fault::KeepsHosts => {
                let hosts = std::mem::take(heap.host_mut());
                let report = self.inner.collect(heap, cause, roots);
                *heap.host_mut() = hosts;
                report
            }
        }
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
}
