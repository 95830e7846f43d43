//! A heap with types and roots to test in.

use heapwright_collectors::Registration;
use heapwright_gc_heap::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the objects of the tests look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An `i32`, no reference.
    Leaf,
    /// An `i32` and two references.
    Pair,
    /// References on both sides of an `i64` and a packed field.
    Mixed,
    /// More references than a bitmap of words covers.
    Wide,
    /// An array of references.
    Refs,
    /// An array of bytes.
    Bytes,
    /// An array of 64-bit integers.
    Longs,
    /// An exception with an `i32` and a reference.
    Exception,
    /// A host value.
    Extern,
}

/// Every kind.
pub const KINDS: [Kind; 9] = [
    Kind::Leaf,
    Kind::Pair,
    Kind::Mixed,
    Kind::Wide,
    Kind::Refs,
    Kind::Bytes,
    Kind::Longs,
    Kind::Exception,
    Kind::Extern,
];

const WIDE_FIELDS: u32 = 90;

impl Kind {
    /// Indices of the reference fields, and of the payload field, of a struct or exception.
    pub fn fields(self) -> (Vec<u32>, Option<u32>) {
        match self {
            Kind::Leaf => (vec![], Some(0)),
            Kind::Pair => (vec![1, 2], Some(0)),
            Kind::Mixed => (vec![0, 3], Some(1)),
            Kind::Wide => ((1..WIDE_FIELDS).collect(), Some(0)),
            Kind::Exception => (vec![2], Some(1)),
            Kind::Refs | Kind::Bytes | Kind::Longs | Kind::Extern => (vec![], None),
        }
    }

    /// Whether objects have a length.
    pub fn is_array(self) -> bool {
        matches!(self, Kind::Refs | Kind::Bytes | Kind::Longs)
    }

    /// A payload as the kind's field or element stores it.
    pub fn payload(self, bits: u32) -> Value {
        match self {
            Kind::Mixed | Kind::Longs => Value::I64(u64::from(bits) << 16),
            Kind::Bytes => Value::I32(bits & 0xff),
            _ => Value::I32(bits),
        }
    }
}

/// A heap, its types and its roots.
pub struct World {
    /// The heap.
    pub heap: Heap,
    /// Its roots.
    pub roots: Vec<GcRef>,
    /// Its types.
    pub types: Arc<TypeRegistry>,
    ids: [TypeId; KINDS.len()],
    /// Host values dropped.
    pub dropped: Arc<AtomicUsize>,
    _held: Vec<RegisteredTypes>,
}

/// A host value that counts its end.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A small heap that can grow.
pub const SMALL: HeapConfig = HeapConfig { initial: 256 << 10, max: 64 << 20, sizing: SizingPolicy::Growing, zeal: 0 };

const ANYREF: ValType = ValType::Ref(RefType { nullable: true, heap: HeapType::Abstract(AbstractHeapType::Any) });

fn structure(fields: &[StorageType]) -> CompositeType {
    let fields = fields.iter().map(|&storage| FieldType { storage, mutable: true }).collect();
    CompositeType::Struct(StructType { fields })
}

fn array(storage: StorageType) -> CompositeType {
    CompositeType::Array(ArrayType(FieldType { storage, mutable: true }))
}

impl World {
    /// An empty heap.
    pub fn new(registration: &Registration, config: HeapConfig) -> World {
        let types = Arc::new(TypeRegistry::new(registration.spec.header_layout()).unwrap());
        let memory = if cfg!(miri) { HeapMemory::in_vec(config.max as u32) } else { HeapMemory::reserve().unwrap() };
        let heap = Heap::standalone(config, (registration.create)(), types.clone(), memory).unwrap();
        let (i32, i64) = (StorageType::Val(ValType::I32), StorageType::Val(ValType::I64));
        let any = StorageType::Val(ANYREF);
        let mut wide = vec![any; WIDE_FIELDS as usize];
        wide[0] = i32;
        let composites = [
            structure(&[i32]),
            structure(&[i32, any, any]),
            structure(&[any, i64, StorageType::I8, any]),
            structure(&wide),
            array(any),
            array(StorageType::I8),
            array(i64),
        ];
        let mut held: Vec<RegisteredTypes> = composites
            .map(|composite| {
                let ty = SubType { is_final: true, supertype: None, composite };
                types.register(&[RecGroup { types: [ty].into() }]).unwrap()
            })
            .into();
        held.push(types.register_exception(&[ValType::I32, ANYREF]).unwrap());
        let mut ids = [types.extern_type(); KINDS.len()];
        held.iter().zip(&mut ids).for_each(|(held, id)| *id = held.ids()[0]);
        World { heap, roots: Vec::new(), types, ids, dropped: Arc::default(), _held: held }
    }

    /// The type of a kind's objects.
    pub fn type_id(&self, kind: Kind) -> TypeId {
        self.ids[kind as usize]
    }

    /// The kind of an object.
    pub fn kind_of(&self, r: GcRef) -> Kind {
        let id = self.heap.type_of(r).unwrap().id;
        KINDS[self.ids.iter().position(|known| *known == id).unwrap()]
    }

    /// A new object whose references are null and whose payload is `payload`.
    pub fn alloc(&mut self, kind: Kind, length: u32, payload: u32) -> Result<GcRef, AllocError> {
        if kind == Kind::Extern {
            return self.heap.alloc_extern(Box::new(Counted(self.dropped.clone())), &mut self.roots);
        }
        let r = self.heap.alloc(self.type_id(kind), length, &mut self.roots)?;
        let null = Value::Ref(GcRef::NULL);
        if kind.is_array() {
            let value = if kind == Kind::Refs { null } else { kind.payload(payload) };
            self.heap.array_fill(r, 0, value, length, true).unwrap();
            return Ok(r);
        }
        let (references, payload_field) = kind.fields();
        for field in references {
            self.heap.set_field(r, field, null, true).unwrap();
        }
        if let Some(field) = payload_field {
            self.heap.set_field(r, field, kind.payload(payload), true).unwrap();
        }
        if kind == Kind::Exception {
            self.heap.set_field(r, 0, Value::I32(7), true).unwrap();
        }
        Ok(r)
    }

    /// A new pair with these references.
    pub fn pair(&mut self, payload: u32, first: GcRef, second: GcRef) -> GcRef {
        let kept = self.roots.len();
        self.roots.extend([first, second]);
        let r = self.heap.alloc(self.type_id(Kind::Pair), 0, &mut self.roots).unwrap();
        let (first, second) = (self.roots[kept], self.roots[kept + 1]);
        self.roots.truncate(kept);
        let fields = [Value::I32(payload), Value::Ref(first), Value::Ref(second)];
        for (i, value) in fields.into_iter().enumerate() {
            self.heap.set_field(r, i as u32, value, true).unwrap();
        }
        r
    }

    /// The reference in a field.
    pub fn field(&mut self, r: GcRef, field: u32) -> GcRef {
        match self.heap.get_field(r, field).unwrap() {
            Value::Ref(r) => r,
            other => panic!("{other:?} is no reference"),
        }
    }

    /// The reference in an element.
    pub fn element(&mut self, r: GcRef, index: u32) -> GcRef {
        match self.heap.get_element(r, index).unwrap() {
            Value::Ref(r) => r,
            other => panic!("{other:?} is no reference"),
        }
    }

    /// Stores a reference into a field.
    pub fn set(&mut self, r: GcRef, field: u32, value: GcRef) {
        self.heap.set_field(r, field, Value::Ref(value), false).unwrap();
    }

    /// Stores a reference into an element.
    pub fn set_at(&mut self, r: GcRef, index: u32, value: GcRef) {
        self.heap.set_element(r, index, Value::Ref(value), false).unwrap();
    }

    /// Collects and verifies.
    pub fn collect(&mut self, cause: Cause) -> CollectionReport {
        let report = self.heap.collect(cause, &mut self.roots).unwrap();
        self.heap.verify(&mut self.roots).unwrap();
        report
    }

    /// Collects everything unreachable and checks that exactly the reachable objects take room.
    pub fn settle(&mut self) -> Census {
        let report = self.collect(Cause::Explicit);
        let census = self.heap.verify(&mut self.roots).unwrap();
        if self.heap.spec().needs_roots {
            assert_eq!(self.heap.space().used, census.bytes, "unreachable objects were kept");
            assert_eq!(report.bytes_after, census.bytes);
        }
        census
    }

    /// Number of host values dropped so far.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A small reproducible random source.
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "it never ends, so `Option` would be in the way")]
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// A number below `n`; 0 for 0.
    pub fn below(&mut self, n: u32) -> u32 {
        self.next() % n.max(1)
    }
}
