//! Sequences of host API calls: roots, scopes, objects, arrays, conversions, casts, globals, tables and collections, in
//! three stores of two engines, rightly and wrongly used.
//!
//! A model of plain values says what each call must give. Where it must be refused, the error must be one that is due;
//! a call that is refused changes nothing. At the end of each scope everything that is still rooted is walked and
//! compared.

mod arrays;
mod audit;
mod model;
mod objects;
mod references;

use super::{Outcome, Target as FuzzTarget};
use crate::oracle::{Setting, is_defect};
use crate::token::Token;
use anyhow::{anyhow, bail, ensure};
use arbitrary::Unstructured;
use heapwright::{
    AnyRef, ArrayRef, AsContextMut, EqRef, Error, ExternRef, GcError, GcHeapOutOfMemory, Global, GlobalType, I31,
    Mutability, OwnedRooted, RefType, Result, RootScope, Rooted, Store, StoreContextMut, StructRef, Table, TableType,
    Val, ValType,
};
use model::{Fault, Operand, Slot, Target, Type, Value};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The target.
pub const TARGET: FuzzTarget = FuzzTarget { name: "api", run, bytes: 1500, smoke: 60 };

/// Stores: two of one engine, and one of another.
const STORES: usize = 3;
/// Calls of one sequence.
const MOST_STEPS: u32 = 600;
/// Nested scopes.
const MOST_SCOPES: usize = 8;
/// Roots that the sequence remembers; a new one takes the place of another.
const MOST_ROOTS: usize = 24;
/// Calls that an error shows.
const SHOWN: usize = 30;
/// Slots of each store's table.
const TABLE: usize = 4;

/// Runs the sequence that the bytes stand for.
///
/// # Errors
///
/// The first call that did something else than the model, with the calls before it.
pub fn run(bytes: &[u8]) -> Result<Outcome> {
    let mut u = Unstructured::new(bytes);
    let settings = [Setting::arbitrary(&mut u)?, Setting::arbitrary(&mut u)?];
    let [first, second] = [settings[0].engine()?, settings[1].engine()?];
    let mut stores = [Store::new(&first, ())?, Store::new(&first, ())?, Store::new(&second, ())?];
    let mut world = World {
        types: [model::types(&first)?, model::types(&second)?],
        stores: Default::default(),
        globals: Vec::new(),
        tables: Vec::new(),
        roots: Vec::new(),
        owned: Vec::new(),
        serial: 0,
        steps: MOST_STEPS,
        trace: Vec::new(),
        drops: Arc::default(),
        made: 0,
    };
    for (store, model) in stores.iter_mut().zip(&mut world.stores) {
        model.scopes.push(0);
        model.table = vec![None; TABLE];
        let any = GlobalType::new(ValType::ANYREF, Mutability::Var);
        let external = GlobalType::new(ValType::EXTERNREF, Mutability::Var);
        world.globals.push([
            Global::new(&mut *store, any, Val::AnyRef(None))?,
            Global::new(&mut *store, external, Val::ExternRef(None))?,
        ]);
        let ty = TableType::new(RefType::new(true, heapwright::HeapType::Any), TABLE as u32, Some(8));
        world.tables.push(Table::new(&mut *store, ty, heapwright::Ref::Any(None))?);
    }
    let [a, b, c] = &mut stores;
    let contexts = [a.as_context_mut(), b.as_context_mut(), c.as_context_mut()];
    if let Err(error) = world.level(&mut u, contexts) {
        let from = world.trace.len().saturating_sub(SHOWN);
        let trace = world.trace[from..].join("\n  ");
        return Err(error.context(format!("{} and {}; the last calls were\n  {trace}", settings[0], settings[1])));
    }
    let World { owned, drops, made, .. } = world;
    drop((owned, stores));
    let dropped = drops.load(Ordering::Relaxed);
    ensure!(made == dropped, "{dropped} of {made} host values were dropped with their stores");
    Ok(Outcome::Checked)
}

/// A root, under the type that it was got as.
#[derive(Clone, Copy, Debug)]
enum Handle {
    Any(Rooted<AnyRef>),
    Eq(Rooted<EqRef>),
    Struct(Rooted<StructRef>),
    Array(Rooted<ArrayRef>),
    Extern(Rooted<ExternRef>),
}

/// A root that the sequence remembers, alive or dead.
#[derive(Clone, Copy, Debug)]
struct Root {
    store: usize,
    /// The scope that it was made in.
    scope: u64,
    target: Target,
    handle: Handle,
}

/// A root that lives until it is dropped.
struct Owned {
    store: usize,
    target: Target,
    root: OwnedRooted<AnyRef>,
}

struct World {
    types: [Vec<Type>; 2],
    stores: [model::Store; STORES],
    globals: Vec<[Global; 2]>,
    tables: Vec<Table>,
    roots: Vec<Root>,
    owned: Vec<Owned>,
    /// Scopes opened so far.
    serial: u64,
    steps: u32,
    trace: Vec<String>,
    drops: Arc<AtomicU64>,
    /// Host values made so far.
    made: u64,
}

type Bytes<'a, 'b> = &'a mut Unstructured<'b>;
type Context<'a> = StoreContextMut<'a, ()>;

/// Which engine a store has.
fn engine_of(store: usize) -> usize {
    store / 2
}

impl World {
    /// Calls within one scope of each store, and within scopes that are opened meanwhile.
    fn level(&mut self, u: Bytes<'_, '_>, mut stores: [Context<'_>; STORES]) -> Result<()> {
        while self.steps > 0 && !u.is_empty() {
            self.steps -= 1;
            let at = u.int_in_range(0..=STORES - 1)?;
            let ctx = &mut stores[at];
            match u.int_in_range(0..=39)? {
                0..=4 => self.new_struct(u, at, ctx)?,
                5..=7 => self.get_field(u, at, ctx)?,
                8..=11 => self.set_field(u, at, ctx)?,
                12..=14 => self.new_array(u, at, ctx)?,
                15 | 16 => self.get_elements(u, at, ctx)?,
                17..=19 => self.set_elements(u, at, ctx)?,
                20 => self.fill_elements(u, at, ctx)?,
                21 | 22 => self.copy_elements(u, at, ctx)?,
                23 => self.scalars(u, at, ctx)?,
                24 => self.new_host(at, ctx)?,
                25 => self.host_data(u, at, ctx)?,
                26 => self.i31(u, at, ctx),
                27 => self.convert(u, at, ctx)?,
                28..=30 => self.cast(u, at, ctx)?,
                31 => self.equality(u, at, ctx)?,
                32 | 33 => self.owned(u, at, ctx)?,
                34 => self.global(u, at, ctx)?,
                35 => self.table(u, at, ctx)?,
                36 => {
                    self.trace.push(format!("{at}: gc"));
                    ctx.gc()?;
                }
                37 if self.stores[at].scopes.len() <= MOST_SCOPES => self.scope(u, at, &mut stores)?,
                38 if self.stores.iter().any(|store| store.scopes.len() > 1) => break,
                _ => self.get_field(u, at, ctx)?,
            }
        }
        for (at, store) in stores.iter_mut().enumerate() {
            self.audit(at, store)?;
        }
        Ok(())
    }

    fn scope(&mut self, u: Bytes<'_, '_>, at: usize, stores: &mut [Context<'_>; STORES]) -> Result<()> {
        self.serial += 1;
        self.trace.push(format!("{at}: scope {} begins", self.serial));
        self.stores[at].scopes.push(self.serial);
        stores.swap(0, at);
        let [own, b, c] = stores;
        let mut scope = RootScope::new(own);
        let mut inner = [scope.as_context_mut(), b.as_context_mut(), c.as_context_mut()];
        inner.swap(0, at);
        let result = self.level(u, inner);
        drop(scope);
        stores.swap(0, at);
        if let Some(ended) = self.stores[at].scopes.pop() {
            self.trace.push(format!("{at}: scope {ended} ends"));
        }
        result
    }

    /// Remembers a root that was just made.
    fn keep(&mut self, at: usize, target: Target, handle: Handle) {
        let scope = self.stores[at].scopes.last().copied().unwrap_or_default();
        self.remember(Root { store: at, scope, target, handle });
    }

    fn remember(&mut self, root: Root) {
        if self.roots.len() < MOST_ROOTS {
            self.roots.push(root);
        } else {
            let index = (self.trace.len() * 7) % MOST_ROOTS;
            self.roots[index] = root;
        }
    }

    /// What is wrong with a root for a store.
    fn fault(&self, root: &Root, at: usize) -> Option<Fault> {
        if root.store != at {
            Some(Fault::WrongStore)
        } else if !self.stores[at].scopes.contains(&root.scope) {
            Some(Fault::DeadRoot)
        } else {
            None
        }
    }

    /// A root for which `fits` holds: mostly one of the store that is alive, sometimes any.
    fn some_root(&self, u: Bytes<'_, '_>, at: usize, fits: impl Fn(&Handle) -> bool) -> Result<Option<Root>> {
        let misuse = u.ratio(1, 10)?;
        let right = |root: &&Root| fits(&root.handle) && (misuse || self.fault(root, at).is_none());
        let candidates: Vec<&Root> = self.roots.iter().filter(right).collect();
        Ok(if candidates.is_empty() { None } else { Some(**u.choose(&candidates)?) })
    }

    /// A value for a field: mostly one that fits.
    fn operand(&self, u: Bytes<'_, '_>, at: usize, slot: Slot) -> Result<Operand> {
        let slot = if u.ratio(1, 16)? {
            *u.choose(&[Slot::I32, Slot::I64, Slot::F32, Slot::Any, Slot::Extern, Slot::Leaf])?
        } else {
            slot
        };
        let plain = |val, model| Operand { val, model, external: false, fault: None };
        Ok(match slot {
            Slot::I8 | Slot::I16 | Slot::I32 => {
                let limit = match slot {
                    Slot::I8 => 127,
                    Slot::I16 => 0x7fff,
                    _ => i32::MAX,
                };
                let value = if u.ratio(1, 12)? { u.arbitrary()? } else { u.int_in_range(-limit - 1..=limit)? };
                plain(Val::I32(value), Value::I32(value))
            }
            Slot::I64 => {
                let value = u.arbitrary()?;
                plain(Val::I64(value), Value::I64(value))
            }
            Slot::F32 => {
                let value = u.arbitrary()?;
                plain(Val::F32(value), Value::F32(value))
            }
            Slot::F64 => {
                let value = u.arbitrary()?;
                plain(Val::F64(value), Value::F64(value))
            }
            Slot::Extern => self.reference(u, at, true)?,
            Slot::Any | Slot::Eq | Slot::Leaf | Slot::SomeLeaf => self.reference(u, at, false)?,
        })
    }

    /// A reference, or null.
    fn reference(&self, u: Bytes<'_, '_>, at: usize, external: bool) -> Result<Operand> {
        let null = if external { Val::ExternRef(None) } else { Val::AnyRef(None) };
        let null = Operand { val: null, model: Value::Null, external, fault: None };
        if u.ratio(1, 6)? {
            return Ok(null);
        }
        let Some(root) = self.some_root(u, at, |h| matches!(h, Handle::Extern(_)) == external)? else {
            return Ok(null);
        };
        let val = match root.handle {
            Handle::Any(r) => Val::AnyRef(Some(r)),
            Handle::Eq(r) => Val::AnyRef(Some(r.to_anyref())),
            Handle::Struct(r) => Val::AnyRef(Some(r.to_anyref())),
            Handle::Array(r) => Val::AnyRef(Some(r.to_anyref())),
            Handle::Extern(r) => Val::ExternRef(Some(r)),
        };
        Ok(Operand { val, model: Value::Ref(root.target), external, fault: self.fault(&root, at) })
    }

    fn i31(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) {
        let value: u32 = u.arbitrary().unwrap_or_default();
        let i31 = I31::wrapping_u32(value);
        self.trace.push(format!("{at}: i31 {value:#x}"));
        let target = Target::I31(i31.get_u32());
        let handle = match value % 2 {
            0 => Handle::Any(AnyRef::from_i31(ctx, i31)),
            _ => Handle::Eq(EqRef::from_i31(ctx, i31)),
        };
        self.keep(at, target, handle);
    }
}

/// Judges what a call gave: with faults due, it must be refused for one of them. Gives the result of a call that
/// rightly went well; that the heap is full is no mistake.
fn judged<T: Debug>(result: Result<T>, due: &[Fault], full: bool) -> Result<Option<T>> {
    let error = match result {
        Ok(value) if due.is_empty() => return Ok(Some(value)),
        Ok(value) => bail!("gave {value:?} where {due:?} was due"),
        Err(error) => error,
    };
    if full && due.is_empty() && error.downcast_ref::<GcHeapOutOfMemory>().is_some() {
        return Ok(None);
    }
    let fault = error.downcast_ref::<GcError>().and_then(Fault::of);
    if !is_defect(&error) && fault.is_some_and(|fault| due.contains(&fault)) {
        return Ok(None);
    }
    Err(unexpected(error, due))
}

fn unexpected(error: Error, due: &[Fault]) -> Error {
    anyhow!("refused by {error:?} where {due:?} was due")
}
