//! What compiled code asks of the vm.
//!
//! Each builtin is a Rust function. For machine code it has an `extern "C"` shell, which owns nothing when it leaves
//! for a handler: that is what makes the jump sound. An interpreter calls [`interpret`].

#![allow(clippy::too_many_arguments, reason = "the arguments are those of the builtins")]

mod arrays;
mod chunks;
mod first_call;
mod gc;
mod memory;
mod tables;

pub(crate) use first_call::first_call_address;

use crate::store::{Store, settle};
use crate::unwind::{self, Target};
use crate::{CallError, InstanceId};
use heapwright_jit::abi::{Builtin, InstanceLayout, StoreContext, Trap};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a builtin on behalf of the instance whose context machine code passed.
///
/// # Safety
///
/// As [`attempt`]; the frames between own nothing.
unsafe fn run<R>(context: *mut u8, body: impl FnOnce(&mut Store, InstanceId) -> Result<R, CallError>) -> R {
    // SAFETY: the caller's promise; nothing is owned here.
    unsafe { attempt(context, body).unwrap_or_else(|target| unwind::jump(target)) }
}

/// Runs a builtin on behalf of the instance whose context compiled code passed. An error is where compiled code is to
/// go on.
///
/// # Safety
///
/// Called by a builtin stub with the context of an instance of a store that compiled code runs in.
unsafe fn attempt<R>(
    context: *mut u8,
    body: impl FnOnce(&mut Store, InstanceId) -> Result<R, CallError>,
) -> Result<R, Target> {
    // SAFETY: the context is an instance's block; the store's pointer is set during calls (kept by `Store::enter`), and
    // compiled code stands still, so the store may be borrowed.
    let (store, instance) = unsafe {
        let shared = context.offset(InstanceLayout::STORE as isize).cast::<*mut StoreContext>().read();
        let store: *mut Store = (*shared).store.cast();
        crate::store::check_identity(store, shared);
        let instance = context.offset(InstanceLayout::INSTANCE as isize).cast::<usize>().read();
        (store, InstanceId(instance as u32))
    };
    // SAFETY: as above.
    let result = catch_unwind(AssertUnwindSafe(|| body(unsafe { &mut *store }, instance)));
    // SAFETY: as above; the result is moved, and nothing else is owned here.
    unsafe {
        if result.is_err() {
            // A panic in the middle of a collection, say, leaves nothing to rely on.
            (*store).poison();
        }
        settle(store, result)
    }
}

/// An argument or a result of a builtin in an interpreter's register, whose upper half is undefined where a value has
/// 32 bits.
trait Word {
    fn from_word(word: u64) -> Self;
    fn into_word(self) -> u64;
}

macro_rules! words {
    ($($ty:ty),*) => {$(
        impl Word for $ty {
            fn from_word(word: u64) -> $ty {
                word as $ty
            }
            fn into_word(self) -> u64 {
                self as u64
            }
        }
    )*};
}
words!(u32, u64, i64);

impl Word for () {
    fn from_word(_: u64) {}
    fn into_word(self) -> u64 {
        0
    }
}

/// Words of arguments of any builtin, the context among them.
pub(crate) const MAX_ARGS: usize = 8;

macro_rules! implementations {
    ($($builtin:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)? = $body:expr;)*) => {
        mod shells {
            #[allow(clippy::wildcard_imports, reason = "the shells call what stands around them")]
            use super::*;

            $(#[allow(non_snake_case, reason = "named as the variant of `Builtin`")]
            pub(super) unsafe extern "C" fn $builtin(context: *mut u8, $($arg: $ty),*) $(-> $result)? {
                // SAFETY: only the stub of this builtin calls this.
                unsafe { run(context, |store, instance| $body(store, instance, $($arg),*)) }
            })*
        }

        /// The addresses of the implementations, in `Builtin::ALL` order.
        pub(crate) fn implementations() -> impl Iterator<Item = usize> {
            Builtin::ALL.iter().map(|builtin| match builtin {
                $(Builtin::$builtin => shells::$builtin as *const () as usize,)*
                Builtin::RawCopy => raw_copy as *const () as usize,
                Builtin::RawFill => raw_fill as *const () as usize,
            })
        }

        /// Runs a builtin for an interpreter. The result is undefined where the builtin has none.
        ///
        /// # Safety
        ///
        /// Called when the stub of this builtin calls the host, with its arguments.
        pub(crate) unsafe fn interpret(builtin: Builtin, args: [u64; MAX_ARGS]) -> Result<u64, Target> {
            let context = args[0] as *mut u8;
            match builtin {
                $(Builtin::$builtin => {
                    #[allow(unused_mut, unused_variables, reason = "unused by a builtin without arguments")]
                    let mut words = args[1..].iter().copied();
                    $(let $arg: $ty = Word::from_word(words.next().unwrap_or(0));)*
                    // SAFETY: the caller's promise.
                    unsafe { attempt(context, |store, instance| $body(store, instance, $($arg),*)).map(Word::into_word) }
                })*
                // SAFETY: the caller's promise: these are what compiled code passes.
                Builtin::RawCopy => unsafe {
                    raw_copy(context, args[1] as *mut u8, args[2] as *const u8, args[3]);
                    Ok(0)
                },
                // SAFETY: as above.
                Builtin::RawFill => unsafe {
                    raw_fill(context, args[1] as *mut u8, args[2] as u32, args[3]);
                    Ok(0)
                },
            }
        }
    };
}

implementations! {
    AllocObject(ty: u32, length: u32) = gc::alloc_object;
    BarrierSlow(call: u32, a0: u32, a1: u32, a2: u32, a3: u32) = gc::barrier_slow;
    BufferFull(index: u32) = gc::buffer_full;
    RaiseTrap(number: u32) = raise_trap;
    Throw(exception: u32) = gc::throw;
    MemoryGrow(memory: u32, delta: u64) -> i64 = memory::grow;
    MemoryCopy(to: u32, from: u32, at: u64, start: u64, count: u64) = memory::copy;
    MemoryFill(memory: u32, at: u64, byte: u32, count: u64) = memory::fill;
    MemoryInit(memory: u32, segment: u32, at: u64, start: u32, count: u32) = memory::init;
    DataDrop(segment: u32) = memory::data_drop;
    TableGrow(table: u32, delta: u64, value: u32) -> i64 = tables::grow;
    TableSetFunc(table: u32, index: u64, func: u32) = tables::set_func;
    TableFill(table: u32, start: u64, value: u32, count: u64) = tables::fill;
    TableCopy(to: u32, from: u32, at: u64, start: u64, count: u64) = tables::copy;
    TableInit(table: u32, segment: u32, at: u64, start: u32, count: u32) = tables::init;
    ElemDrop(segment: u32) = tables::elem_drop;
    ArrayNewData(ty: u32, segment: u32, start: u32, length: u32) -> u32 = arrays::new_data;
    ArrayNewElem(ty: u32, segment: u32, start: u32, length: u32) -> u32 = arrays::new_elem;
    ArrayInitData(ty: u32, segment: u32, array: u32, at: u32, start: u32, length: u32) = arrays::init_data;
    ArrayInitElem(ty: u32, segment: u32, array: u32, at: u32, start: u32, length: u32) = arrays::init_elem;
    ArrayCopy(to: u32, at: u32, from: u32, start: u32, length: u32) = arrays::copy;
    ArrayFillRef(array: u32, at: u32, value: u32, length: u32) = arrays::fill_ref;
    RoundFloat(operation: u32, bits: u64) -> u64 = round_float;
    Interrupted() = interrupted;
    RecordCall(call: u32, func: u32) = record_call;
    RangeInterrupted() = range_interrupted;
}

/// Moves bytes.
unsafe extern "C" fn raw_copy(_context: *mut u8, to: *mut u8, from: *const u8, length: u64) {
    // SAFETY: both ranges are mapped: the lowering of `array.copy` compares their extents with the heap's end before it
    // calls this (`move_long` in the jit). They may overlap.
    unsafe { core::ptr::copy(from, to, length as usize) };
}

/// Fills bytes.
unsafe extern "C" fn raw_fill(_context: *mut u8, to: *mut u8, byte: u32, length: u64) {
    // SAFETY: the range is that of an object just allocated, which the heap has checked (`zero_elements` in the jit
    // calls this).
    unsafe { core::ptr::write_bytes(to, byte as u8, length as usize) };
}

fn raise_trap(_: &mut Store, _: InstanceId, number: u32) -> Result<(), CallError> {
    Err(u8::try_from(number).ok().and_then(Trap::from_number).unwrap_or(Trap::Internal).into())
}

fn round_float(_: &mut Store, _: InstanceId, operation: u32, bits: u64) -> Result<u64, CallError> {
    let single = |f: fn(f32) -> f32| u64::from(f(f32::from_bits(bits as u32)).to_bits());
    let double = |f: fn(f64) -> f64| f(f64::from_bits(bits)).to_bits();
    Ok(match operation {
        0 => single(f32::ceil),
        1 => single(f32::floor),
        2 => single(f32::trunc),
        3 => single(f32::round_ties_even),
        4 => double(f64::ceil),
        5 => double(f64::floor),
        6 => double(f64::trunc),
        7 => double(f64::round_ties_even),
        _ => return Err(CallError::trap(Trap::Internal)),
    })
}

fn interrupted(store: &mut Store, _: InstanceId) -> Result<(), CallError> {
    store.interrupted()
}

fn range_interrupted(store: &mut Store, _: InstanceId) -> Result<(), CallError> {
    store.poll(false)
}

fn record_call(store: &mut Store, instance: InstanceId, call: u32, func: u32) -> Result<(), CallError> {
    store.state.recorded.note(instance, call, func);
    Ok(())
}
