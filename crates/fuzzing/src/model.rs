//! The model: the same heap program over plain Rust values.

use crate::op::{Op, ROOTS};
use crate::world::{Kind, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{AllocError, BadReference, Cause, Elision, GcRef, HeapConfig, Value};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// A reference in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ref {
    /// Null.
    Null,
    /// An i31.
    I31(u32),
    /// Index of an object.
    Object(usize),
}

/// An object in the model.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its payload.
    pub payload: u32,
    /// Its references.
    pub references: Vec<Ref>,
    /// Arrays without references.
    pub length: u32,
}

/// A heap program at work, in the heap and in the model.
pub struct Run {
    /// The heap.
    pub world: World,
    objects: Vec<Object>,
    roots: [Ref; ROOTS],
    externs: usize,
    /// The target of the last barrier, while there was no safepoint since.
    stored_into: Option<GcRef>,
    /// The object allocated last, while there was no safepoint since.
    fresh: Option<GcRef>,
    /// Which stores go without their barrier: those that the collector declares, unless a test narrows it down.
    pub elisions: Vec<Elision>,
    /// How many did.
    pub elided: usize,
}

impl Run {
    /// Nothing has happened yet.
    pub fn new(registration: &Registration, config: HeapConfig) -> Run {
        let mut world = World::new(registration, config);
        world.roots = vec![GcRef::NULL; ROOTS];
        let elisions = registration.spec.elide.to_vec();
        Run {
            world,
            objects: Vec::new(),
            roots: [Ref::Null; ROOTS],
            externs: 0,
            stored_into: None,
            fresh: None,
            elisions,
            elided: 0,
        }
    }

    /// Runs one step.
    ///
    /// # Errors
    ///
    /// When the heap is full: then nothing has happened, neither in the heap nor in the model.
    ///
    /// # Panics
    ///
    /// When the heap does not do what the model does.
    pub fn step(&mut self, op: &Op) -> Result<(), AllocError> {
        match *op {
            Op::Alloc { kind, length, payload, from, root } => {
                let length = u32::from(length);
                self.safepoint();
                let r = self.world.alloc(kind, length, payload)?;
                let references = match kind {
                    Kind::Refs => length as usize,
                    _ => kind.fields().0.len(),
                };
                let length = if kind == Kind::Refs { 0 } else { length };
                let index = self.objects.len();
                self.objects.push(Object { kind, payload, references: vec![Ref::Null; references], length });
                self.externs += usize::from(kind == Kind::Extern);
                for slot in 0..references.min(8) {
                    let (value, reference) = self.value(from.wrapping_add(slot as u8));
                    self.objects[index].references[slot] = reference;
                    self.store_raw(r, kind, slot, value, true);
                }
                self.root(root, r, Ref::Object(index));
                self.fresh = Some(r);
            }
            Op::Store { root, slot, value } => {
                let Some((r, index, slot)) = self.slot_of(root, slot) else { return Ok(()) };
                let (value, reference) = self.value(value);
                self.store(r, index, slot, value);
                self.objects[index].references[slot] = reference;
            }
            Op::Load { root, slot, into } => {
                let Some((r, index, slot)) = self.slot_of(root, slot) else { return Ok(()) };
                let loaded = self.load(r, self.objects[index].kind, slot);
                self.root(into, loaded, self.objects[index].references[slot]);
            }
            Op::Payload { root, payload } => {
                let Some((r, index)) = self.object(root) else { return Ok(()) };
                let kind = self.objects[index].kind;
                let heap = &mut self.world.heap;
                match kind.fields().1 {
                    Some(field) => heap.set_field(r, field, kind.payload(payload), false).unwrap(),
                    None if matches!(kind, Kind::Bytes | Kind::Longs) => {
                        let length = self.objects[index].length;
                        heap.array_fill(r, 0, kind.payload(payload), length, false).unwrap();
                    }
                    None => return Ok(()),
                }
                self.objects[index].payload = payload;
            }
            Op::Fill { root, start, count, value } => {
                let Some((r, index, start)) = self.slot_of(root, start) else { return Ok(()) };
                if self.objects[index].kind != Kind::Refs {
                    return Ok(());
                }
                let (value, reference) = self.value(value);
                let count = usize::from(count).min(self.objects[index].references.len() - start);
                self.world.heap.array_fill(r, start as u32, Value::Ref(value), count as u32, false).unwrap();
                self.objects[index].references[start..start + count].fill(reference);
            }
            Op::Copy { to, to_start, from, from_start, count } => {
                let Some((to, to_index, to_start)) = self.slot_of(to, to_start) else { return Ok(()) };
                let Some((from, from_index, from_start)) = self.slot_of(from, from_start) else { return Ok(()) };
                if self.objects[to_index].kind != Kind::Refs || self.objects[from_index].kind != Kind::Refs {
                    return Ok(());
                }
                let source = self.objects[from_index].references[from_start..].to_vec();
                let target = &mut self.objects[to_index].references[to_start..];
                let count = usize::from(count).min(source.len()).min(target.len());
                target[..count].copy_from_slice(&source[..count]);
                let heap = &mut self.world.heap;
                heap.array_copy(to, to_start as u32, from, from_start as u32, count as u32).unwrap();
            }
            Op::Clear { root } => self.root(root, GcRef::NULL, Ref::Null),
            Op::Ring { count } => {
                self.safepoint();
                self.ring(count)?;
            }
            Op::Collect { cause } => {
                self.safepoint();
                self.world.collect(cause);
                if matches!(cause, Cause::Explicit | Cause::LastResort) {
                    self.check(true);
                }
            }
        }
        Ok(())
    }

    fn safepoint(&mut self) {
        (self.stored_into, self.fresh) = (None, None);
    }

    /// Compares the reachable graphs. With `settled`, nothing else may take room either.
    ///
    /// # Panics
    ///
    /// When they differ.
    pub fn check(&mut self, settled: bool) {
        let mut places: HashMap<GcRef, usize> = HashMap::new();
        let mut found: Vec<Option<GcRef>> = vec![None; self.objects.len()];
        let mut pending: Vec<(GcRef, Ref)> = self.world.roots.iter().copied().zip(self.roots).collect();
        let (mut bytes, mut externs) = (0, 0);
        while let Some((r, reference)) = pending.pop() {
            let index = match reference {
                Ref::Null => {
                    assert_eq!(r, GcRef::NULL);
                    continue;
                }
                Ref::I31(value) => {
                    assert_eq!(r, GcRef::i31(value));
                    continue;
                }
                Ref::Object(index) => index,
            };
            assert!(r.is_object(), "{r:?} instead of object {index}");
            if let Some(known) = found[index] {
                assert_eq!(known, r, "object {index} exists twice");
                continue;
            }
            assert_eq!(places.insert(r, index), None, "two objects are one");
            found[index] = Some(r);
            let object = self.objects[index].clone();
            assert_eq!(self.world.kind_of(r), object.kind);
            self.check_payload(r, &object);
            for (slot, &reference) in object.references.iter().enumerate() {
                pending.push((self.load(r, object.kind, slot), reference));
            }
            bytes += self.world.heap.object_size(r).unwrap();
            externs += usize::from(object.kind == Kind::Extern);
        }
        let census = self.world.heap.verify(&mut self.world.roots).unwrap();
        assert_eq!((census.objects, census.bytes), (places.len() as u64, bytes), "the verifier sees another graph");
        let host = self.world.heap.host().len();
        assert_eq!(host + self.world.dropped(), self.externs, "host values were lost");
        assert!(host >= externs, "a reachable host value was dropped");
        if settled && self.world.heap.spec().needs_roots {
            assert_eq!(self.world.heap.space().used, bytes, "unreachable objects take room");
            assert_eq!(host, externs, "an unreachable host value was kept");
        }
    }

    /// Checks that there was reason to refuse an object of `requested` bytes: some room is lost to fragments, to a
    /// second semi-space or to rounding, but not all of it.
    ///
    /// # Panics
    ///
    /// When the heap is nearly empty.
    pub fn check_full(&mut self, requested: u64) {
        let census = self.world.heap.verify(&mut self.world.roots).unwrap();
        let (live, max) = (census.bytes, self.world.heap.max_capacity());
        assert!(8 * (live + requested) >= max, "full with {live} bytes live of {max}, {requested} wanted");
    }

    /// Drops the heap.
    ///
    /// # Panics
    ///
    /// When a host value was not dropped with it.
    pub fn end(self) {
        let dropped = self.world.dropped.clone();
        drop(self.world);
        assert_eq!(dropped.load(Ordering::Relaxed), self.externs, "host values outlive their heap");
    }

    fn check_payload(&mut self, r: GcRef, object: &Object) {
        let heap = &mut self.world.heap;
        if object.kind.is_array() {
            let length = heap.array_length(r).unwrap();
            assert_eq!(length as usize, object.references.len() + object.length as usize);
            if object.length > 0 {
                for i in [0, length / 2, length - 1] {
                    assert_eq!(heap.get_element(r, i).unwrap(), object.kind.payload(object.payload));
                }
            }
        } else if object.kind == Kind::Extern {
            let id = heap.host_id(r).unwrap();
            assert!(heap.host().get(id).is_some());
        } else if let Some(field) = object.kind.fields().1 {
            assert_eq!(heap.get_field(r, field).unwrap(), object.kind.payload(object.payload));
        }
        if object.kind == Kind::Exception {
            assert_eq!(heap.get_field(r, 0).unwrap(), Value::I32(7));
        }
    }

    fn ring(&mut self, count: u8) -> Result<(), AllocError> {
        let first = self.world.alloc(Kind::Pair, 0, 1)?;
        self.world.roots.extend([first, first]);
        for i in 1..u32::from(count) {
            let next = self.world.alloc(Kind::Pair, 0, i);
            let next = match next {
                Ok(next) => next,
                Err(error) => {
                    self.world.roots.truncate(ROOTS);
                    return Err(error);
                }
            };
            let last = self.world.roots[ROOTS + 1];
            self.world.set(last, 1, next);
            self.world.roots[ROOTS + 1] = next;
        }
        let (first, last) = (self.world.roots[ROOTS], self.world.roots[ROOTS + 1]);
        self.world.set(last, 2, first);
        self.world.roots.truncate(ROOTS);
        Ok(())
    }

    fn root(&mut self, root: u8, r: GcRef, reference: Ref) {
        let root = usize::from(root) % ROOTS;
        self.world.roots[root] = r;
        self.roots[root] = reference;
    }

    /// A value to store: null, an i31, or what a root holds.
    fn value(&self, from: u8) -> (GcRef, Ref) {
        match usize::from(from) % (ROOTS + 3) {
            12 => (GcRef::NULL, Ref::Null),
            13 | 14 => (GcRef::i31(from.into()), Ref::I31(from.into())),
            root => (self.world.roots[root], self.roots[root]),
        }
    }

    /// The object that a root, or one after it, holds.
    fn object(&self, root: u8) -> Option<(GcRef, usize)> {
        (0..ROOTS).map(|i| (usize::from(root) + i) % ROOTS).find_map(|root| match self.roots[root] {
            Ref::Object(index) => Some((self.world.roots[root], index)),
            _ => None,
        })
    }

    /// A reference slot of such an object.
    fn slot_of(&self, root: u8, slot: u16) -> Option<(GcRef, usize, usize)> {
        (0..ROOTS).find_map(|i| {
            let (r, index) = self.object(root.wrapping_add(i as u8))?;
            let count = self.objects[index].references.len();
            (count > 0).then(|| (r, index, usize::from(slot) % count))
        })
    }

    fn load(&mut self, r: GcRef, kind: Kind, slot: usize) -> GcRef {
        match kind {
            Kind::Refs => self.world.element(r, slot as u32),
            _ => self.world.field(r, kind.fields().0[slot]),
        }
    }

    /// Stores as compiled code may: where the collector declares that a barrier can go, without it.
    fn store(&mut self, r: GcRef, index: usize, slot: usize, value: GcRef) {
        let kind = self.objects[index].kind;
        let fresh = self.fresh == Some(r) && self.elisions.contains(&Elision::FreshObject);
        let elided = self.elisions.iter().any(|elision| match elision {
            Elision::FreshObject => false,
            Elision::NullStored => value.is_null(),
            Elision::I31Stored => value.is_i31(),
            Elision::SameObject => self.stored_into == Some(r),
        });
        if elided {
            self.elided += 1;
            let at = r.raw() + self.slot_offset(kind, slot);
            self.world.heap.memory_mut().store_u32(at, value.raw()).unwrap();
        } else {
            self.elided += usize::from(fresh);
            self.store_raw(r, kind, slot, value, fresh);
            // The store program has run only if the object was not fresh.
            self.stored_into = Some(r).filter(|_| !fresh);
        }
    }

    fn slot_offset(&self, kind: Kind, slot: usize) -> u32 {
        let (types, id) = (&self.world.types, self.world.type_id(kind));
        match kind {
            Kind::Refs => types.array_layout(id).unwrap().elements_offset + 4 * slot as u32,
            _ => types.struct_layout(id).unwrap().fields[kind.fields().0[slot] as usize].offset,
        }
    }

    fn store_raw(&mut self, r: GcRef, kind: Kind, slot: usize, value: GcRef, fresh: bool) {
        let stored: Result<(), BadReference> = match kind {
            Kind::Refs => self.world.heap.set_element(r, slot as u32, Value::Ref(value), fresh),
            _ => self.world.heap.set_field(r, kind.fields().0[slot], Value::Ref(value), fresh),
        };
        stored.unwrap();
    }
}
