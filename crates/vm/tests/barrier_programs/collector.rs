//! A collector that never frees and remembers what barriers ask of it.

use heapwright_gc_heap::barrier::SlowCall;
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, Cause, CollectionReport, Collector, GcRef, Heap, HeapCorrupted, NULL_PAGE_BYTES,
    NUM_BUFFERS, RootSet, Space, Spec,
};
use std::cell::RefCell;
use std::sync::{Arc, Mutex};

/// Words in each buffer: few, so that they are full often.
const BUFFER_WORDS: usize = 5;

/// What barriers did that the heap does not show.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// Slow calls and what buffers held when they were full, in order.
    pub(crate) events: Vec<Event>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Called(u8, [u32; 4]),
    Full(usize, Vec<u32>),
}

/// The collector.
pub(crate) struct Recorder {
    spec: &'static Spec,
    log: Arc<Mutex<Log>>,
    buffers: [Box<[u32; BUFFER_WORDS]>; NUM_BUFFERS],
}

/// A declaration, and the log of the collector that followed it last.
struct Next {
    spec: Option<&'static Spec>,
    log: Option<Arc<Mutex<Log>>>,
}

thread_local! {
    /// What the next collectors of this thread declare: a factory has no parameters.
    static NEXT: RefCell<Next> = const { RefCell::new(Next { spec: None, log: None }) };
}

/// Makes this thread's collectors follow a declaration.
pub(crate) fn declare(spec: &'static Spec) {
    NEXT.with_borrow_mut(|next| *next = Next { spec: Some(spec), log: None });
}

/// The log of the collector that this thread made last.
pub(crate) fn last_log() -> Arc<Mutex<Log>> {
    NEXT.with_borrow(|next| next.log.clone().expect("a collector was made"))
}

/// Makes a collector.
pub(crate) fn create() -> Box<dyn Collector> {
    NEXT.with_borrow_mut(|next| {
        let log = next.log.insert(Arc::default()).clone();
        let buffers = std::array::from_fn(|_| Box::new([0; BUFFER_WORDS]));
        Box::new(Recorder { spec: next.spec.expect("a declaration"), log, buffers })
    })
}

/// The words that wait in a buffer. Each has `BUFFER_WORDS` of them, so the next free word and the end say where it
/// starts.
pub(crate) fn pending(heap: &Heap, index: usize) -> Vec<u32> {
    let buffer = heap.mutator().buffers[index];
    let free = (buffer.end as usize - buffer.next as usize) / 4;
    // SAFETY: the collector gave the whole buffer, and barriers only advance `next`.
    let words = unsafe { core::slice::from_raw_parts(buffer.end.sub(BUFFER_WORDS), BUFFER_WORDS) };
    words[..BUFFER_WORDS - free].to_vec()
}

impl Recorder {
    fn install(&mut self, heap: &mut Heap, index: usize) {
        let range = self.buffers[index].as_mut_ptr_range();
        let buffer = &mut heap.mutator_mut().buffers[index];
        (buffer.next, buffer.end) = (range.start, range.end);
    }
}

impl Collector for Recorder {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn attach(&mut self, heap: &mut Heap) {
        heap.open_region(NULL_PAGE_BYTES, NULL_PAGE_BYTES + heap.capacity() as u32);
        (0..NUM_BUFFERS).for_each(|index| self.install(heap, index));
    }

    fn alloc_slow(&mut self, _: &mut Heap, _: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        Ok(AllocOutcome::Full)
    }

    /// Changes what programs read, so that code which keeps a word over the call is found.
    fn barrier_slow(&mut self, heap: &mut Heap, call: SlowCall, args: [u32; 4]) -> Result<(), HeapCorrupted> {
        self.log.lock().unwrap().events.push(Event::Called(call.0, args));
        let sum = args.iter().fold(u32::from(call.0), |sum, arg| sum.rotate_left(5).wrapping_add(*arg));
        heap.mutator_mut().collector[usize::from(call.0 % 4)] ^= sum;
        for arg in args {
            let header = self.spec.header.len() as u32;
            let object = GcRef::from_raw(arg);
            if header > 0 && object.is_object() && heap.type_of(object).is_ok() && arg < heap.mutator().cursor {
                let word = arg + 4 * (1 + sum % header);
                let value = heap.memory().load_u32(word)?;
                heap.memory_mut().store_u32(word, value.wrapping_add(sum))?;
            }
        }
        Ok(())
    }

    fn buffer_full(&mut self, heap: &mut Heap, index: usize) -> Result<(), HeapCorrupted> {
        self.log.lock().unwrap().events.push(Event::Full(index, self.buffers[index].to_vec()));
        heap.mutator_mut().collector[index] ^= 0x55;
        self.install(heap, index);
        Ok(())
    }

    fn collect(&mut self, _: &mut Heap, _: Cause, _: &mut dyn RootSet) -> Result<CollectionReport, HeapCorrupted> {
        panic!("the heap is large enough")
    }

    fn resized(&mut self, _: &mut Heap) {}

    fn space(&self, heap: &Heap) -> Space {
        Space { used: 0, free: heap.capacity(), committed: heap.capacity() }
    }

    fn may_be_object(&self, _: &Heap, offset: u32) -> bool {
        offset.is_multiple_of(8)
    }
}
