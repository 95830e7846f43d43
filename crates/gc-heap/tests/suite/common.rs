//! A bump collector that never frees, type builders, and a reproducible random source.

use heapwright_gc_heap::barrier::SlowCall;
use heapwright_gc_heap::*;
use std::sync::{Arc, Mutex};

/// What a test collector saw.
#[derive(Default)]
pub struct Log {
    pub slow_calls: Vec<(u8, [u32; 4])>,
    pub buffers: Vec<usize>,
    pub collections: Vec<Cause>,
    pub roots_seen: usize,
    pub resized: usize,
}

/// What the collector does beyond allocating.
type OnCollect = Box<dyn FnMut(&mut Heap) -> Result<(), HeapCorrupted> + Send>;

pub struct BumpCollector {
    pub spec: &'static Spec,
    pub log: Arc<Mutex<Log>>,
    /// Regions are at most this long, so that tests see several.
    pub chunk: u32,
    pub top: u32,
    pub on_collect: Option<OnCollect>,
    pub buffer: Option<Box<[u32; 4]>>,
}

pub const SPEC: Spec = Spec {
    name: "test",
    summary: "never frees",
    cites: &[],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::Never,
    needs_roots: true,
    inline_limit: 1024,
};

pub static PLAIN: Spec = SPEC;

pub fn bump(spec: &'static Spec) -> BumpCollector {
    BumpCollector { spec, log: Arc::default(), chunk: 4096, top: NULL_PAGE_BYTES, on_collect: None, buffer: None }
}

impl BumpCollector {
    fn end(&self, heap: &Heap) -> u64 {
        u64::from(NULL_PAGE_BYTES) + heap.capacity()
    }

    fn top(&self, heap: &Heap) -> u32 {
        heap.region().map_or(self.top, |(_, cursor, _)| cursor)
    }

    fn retire(&mut self, heap: &mut Heap) {
        if let Some((_, cursor, _)) = heap.close_region() {
            self.top = cursor;
        }
    }

    fn open(&mut self, heap: &mut Heap) {
        let end = (u64::from(self.top) + u64::from(self.chunk)).min(self.end(heap));
        heap.open_region(self.top, end as u32);
    }
}

impl Collector for BumpCollector {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.open(heap);
        if let Some(buffer) = &mut self.buffer {
            let range = buffer.as_mut_ptr_range();
            heap.mutator_mut().buffers[0].next = range.start;
            heap.mutator_mut().buffers[0].end = range.end;
        }
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        self.retire(heap);
        let at = self.top;
        let outcome = if u64::from(at) + u64::from(request.size) <= self.end(heap) {
            self.top += request.size;
            AllocOutcome::At(at)
        } else {
            AllocOutcome::Full
        };
        self.open(heap);
        Ok(outcome)
    }

    fn barrier_slow(&mut self, _: &mut Heap, call: SlowCall, args: [u32; 4]) -> Result<(), HeapCorrupted> {
        self.log.lock().unwrap().slow_calls.push((call.0, args));
        Ok(())
    }

    fn buffer_full(&mut self, heap: &mut Heap, index: usize) -> Result<(), HeapCorrupted> {
        self.log.lock().unwrap().buffers.push(index);
        if let Some(buffer) = &mut self.buffer {
            heap.mutator_mut().buffers[0].next = buffer.as_mut_ptr_range().start;
        }
        Ok(())
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let mut seen = 0;
        roots.for_each(&mut |_, _| {
            seen += 1;
            Ok(())
        })?;
        let mut log = self.log.lock().unwrap();
        log.collections.push(cause);
        log.roots_seen += seen;
        drop(log);
        if let Some(hook) = &mut self.on_collect {
            hook(heap)?;
        }
        let used = u64::from(self.top(heap) - NULL_PAGE_BYTES);
        Ok(CollectionReport { bytes_before: used, bytes_after: used, full: true, ..Default::default() })
    }

    fn resized(&mut self, _: &mut Heap) {
        self.log.lock().unwrap().resized += 1;
    }

    fn space(&self, heap: &Heap) -> Space {
        let used = u64::from(self.top(heap) - NULL_PAGE_BYTES);
        Space { used, free: heap.capacity() - used, committed: heap.capacity() }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        offset >= NULL_PAGE_BYTES && offset < self.top(heap)
    }
}

pub fn memory(max: u32) -> HeapMemory {
    HeapMemory::in_vec(max)
}

pub const CONFIG: HeapConfig = HeapConfig { initial: 256 << 10, max: 1 << 20, sizing: SizingPolicy::Growing, zeal: 0 };

pub fn registry(spec: &Spec) -> Arc<TypeRegistry> {
    Arc::new(TypeRegistry::new(spec.header_layout()).unwrap())
}

/// A heap, its types and its collector's log.
pub fn heap_with(config: HeapConfig, collector: BumpCollector) -> (Heap, Arc<TypeRegistry>, Arc<Mutex<Log>>) {
    let types = registry(collector.spec);
    let log = collector.log.clone();
    let max = config.max.min(1 << 20) as u32;
    let heap = Heap::standalone(config, Box::new(collector), types.clone(), memory(max)).unwrap();
    (heap, types, log)
}

pub fn heap() -> (Heap, Arc<TypeRegistry>) {
    let (heap, types, _) = heap_with(CONFIG, bump(&PLAIN));
    (heap, types)
}

// Types.

pub const ANY: HeapType = HeapType::Abstract(AbstractHeapType::Any);
pub const FUNC: HeapType = HeapType::Abstract(AbstractHeapType::Func);
pub const I8: StorageType = StorageType::I8;
pub const I16: StorageType = StorageType::I16;
pub const I32: StorageType = StorageType::Val(ValType::I32);
pub const I64: StorageType = StorageType::Val(ValType::I64);
pub const F32: StorageType = StorageType::Val(ValType::F32);
pub const F64: StorageType = StorageType::Val(ValType::F64);
pub const V128: StorageType = StorageType::Val(ValType::V128);
pub const ANYREF: StorageType = StorageType::Val(nullable(ANY));
pub const FUNCREF: StorageType = StorageType::Val(nullable(FUNC));

pub const fn nullable(heap: HeapType) -> ValType {
    ValType::Ref(RefType { nullable: true, heap })
}

pub const fn non_null(heap: HeapType) -> ValType {
    ValType::Ref(RefType { nullable: false, heap })
}

pub const fn module(i: u32) -> HeapType {
    HeapType::Concrete(TypeRef::Module(i))
}

pub const fn group_use(i: u32) -> HeapType {
    HeapType::Concrete(TypeRef::Group(i))
}

pub const fn canonical(id: TypeId) -> HeapType {
    HeapType::Concrete(TypeRef::Canonical(id))
}

pub fn field(storage: StorageType) -> FieldType {
    FieldType { storage, mutable: true }
}

pub fn structure(fields: &[StorageType]) -> SubType {
    let fields = fields.iter().map(|&storage| field(storage)).collect();
    SubType { is_final: true, supertype: None, composite: CompositeType::Struct(StructType { fields }) }
}

pub fn array(element: StorageType) -> SubType {
    SubType { is_final: true, supertype: None, composite: CompositeType::Array(ArrayType(field(element))) }
}

pub fn function(params: &[ValType], results: &[ValType]) -> SubType {
    let ty = FuncType { params: params.into(), results: results.into() };
    SubType { is_final: true, supertype: None, composite: CompositeType::Func(ty) }
}

pub fn open(ty: SubType) -> SubType {
    SubType { is_final: false, ..ty }
}

pub fn below(ty: SubType, supertype: TypeRef) -> SubType {
    SubType { supertype: Some(supertype), ..ty }
}

pub fn rec(types: impl IntoIterator<Item = SubType>) -> RecGroup {
    RecGroup { types: types.into_iter().collect() }
}

/// Each type alone in its group.
pub fn alone(types: impl IntoIterator<Item = SubType>) -> Vec<RecGroup> {
    types.into_iter().map(|ty| rec([ty])).collect()
}

/// Registers one type; it stays registered until the test's thread ends.
pub fn define(types: &Arc<TypeRegistry>, ty: SubType) -> TypeId {
    let held = types.register(&[rec([ty])]).unwrap();
    let id = held.ids()[0];
    KEPT.with_borrow_mut(|kept| kept.push(held));
    id
}

thread_local! {
    static KEPT: std::cell::RefCell<Vec<RegisteredTypes>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A small reproducible random source (a linear congruential generator's high bits).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32
    }

    pub fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }
}
