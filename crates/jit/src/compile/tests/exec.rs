//! Memory for code, and the parts of a store that stubs touch.

use crate::abi::{Builtin, HostFuncContext, InstanceLayout, StoreContext};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// A parameter or result slot.
pub(super) type Slot = [u8; 16];

/// An entry trampoline.
pub(super) type Entry = unsafe extern "C" fn(*const u8, *mut u8, *mut Slot, *mut StoreContext) -> u32;

/// Code that can be run.
pub(super) struct Executable {
    base: *mut u8,
    length: usize,
}

impl Executable {
    pub(super) fn new(text: &[u8]) -> Executable {
        let length = text.len().max(1).next_multiple_of(4096);
        // SAFETY: a new private mapping that nothing else knows of.
        let base = unsafe {
            mmap_anonymous(core::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }
        .expect("memory for code")
        .cast::<u8>();
        // SAFETY: the mapping is writable and at least as long as the text; afterwards it is only read and executed.
        unsafe {
            core::ptr::copy_nonoverlapping(text.as_ptr(), base, text.len());
            mprotect(base.cast(), length, MprotectFlags::READ | MprotectFlags::EXEC).expect("executable memory");
        }
        Executable { base, length }
    }

    /// The address of text offset `offset`.
    pub(super) fn at(&self, offset: u32) -> *const u8 {
        assert!((offset as usize) < self.length);
        self.base.wrapping_add(offset as usize)
    }

    /// The code at `offset` as an entry trampoline.
    pub(super) fn entry(&self, offset: u32) -> Entry {
        // SAFETY: callers name the start of an entry trampoline, whose type this is.
        unsafe { core::mem::transmute::<*const u8, Entry>(self.at(offset)) }
    }

    /// Whether `address` lies in the text.
    pub(super) fn contains(&self, address: usize) -> bool {
        (self.base as usize..self.base as usize + self.length).contains(&address)
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no code in it runs while it is dropped.
        unsafe { munmap(self.base.cast(), self.length) }.expect("unmapping");
    }
}

/// A store context with an instance context that has no fields beyond the fixed ones.
pub(super) struct Machine {
    pub(super) store: Box<StoreContext>,
    pub(super) builtins: Box<[usize]>,
    pub(super) instance: Box<[usize; 8]>,
}

impl Machine {
    pub(super) fn new() -> Machine {
        // SAFETY: every field of the store context is valid as zero.
        let store: Box<StoreContext> = Box::new(unsafe { core::mem::zeroed() });
        let builtins = vec![0usize; 2 * Builtin::ALL.len()].into_boxed_slice();
        let mut machine = Machine { store, builtins, instance: Box::new([0; 8]) };
        machine.instance[InstanceLayout::STORE as usize / 8] = &raw mut *machine.store as usize;
        machine.instance[InstanceLayout::BUILTINS as usize / 8] = machine.builtins.as_mut_ptr() as usize;
        machine
    }

    pub(super) fn context(&mut self) -> *mut u8 {
        self.instance.as_mut_ptr().cast()
    }

    pub(super) fn store(&mut self) -> *mut StoreContext {
        &raw mut *self.store
    }

    /// A host function's context.
    pub(super) fn host(&mut self, call: unsafe extern "C" fn(*mut HostFuncContext, *mut Slot)) -> Box<HostFuncContext> {
        Box::new(HostFuncContext { store: self.store(), call })
    }
}

/// A 32-bit slot.
pub(super) fn i32_slot(value: u32) -> Slot {
    i128_slot(u128::from(value))
}

/// A slot of any width.
pub(super) fn i128_slot(value: u128) -> Slot {
    value.to_le_bytes()
}

/// The value in a slot of this many bytes.
pub(super) fn read_slot(slot: &Slot, bytes: usize) -> u128 {
    let mut value = [0; 16];
    value[..bytes].copy_from_slice(&slot[..bytes]);
    u128::from_le_bytes(value)
}
