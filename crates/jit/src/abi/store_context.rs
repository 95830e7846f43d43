//! Structures that compiled code reads and writes at fixed offsets.

use core::ffi::c_void;
use heapwright_gc_heap::MutatorState;

/// Bytes after the null page that the vm commits before an interpreter runs code: what is checked without regard to how
/// much is committed lies below.
pub const LEAST_COMMITTED: u32 = 64 << 10;

/// Per-store state. Allocated once, never moved while the store lives.
#[repr(C)]
#[derive(Debug)]
pub struct StoreContext {
    /// Lowest stack address that compiled code may use; prologues compare with it.
    pub stack_limit: usize,
    /// Frame pointer of the stub that last left compiled code.
    pub exit_fp: usize,
    /// Frame pointer of the innermost entry trampoline.
    pub entry_fp: usize,
    /// What a slow path returns when its convention allows no result: the new reference.
    pub slow_result: u32,
    /// Number of valid entries in the function table.
    pub func_table_len: u32,
    /// Remaining fuel, counting down, when fuel is enabled. Below zero by what a straight line of code used too much.
    pub fuel: i64,
    /// 0 when the epoch deadline is reached or someone asks for an interruption: all that compiled code looks at.
    pub epoch_deadline: u64,
    /// The vm's store; opaque to compiled code.
    pub store: *mut c_void,
    /// The allocator's and collector's words. They come last: what is hot in them and all before has an offset of one
    /// byte.
    pub mutator: MutatorState,
}

/// A function as a funcref id or a funcref table slot names it. All zero is the null entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncEntry {
    /// Entry point under the `Tail` convention.
    pub code: *const u8,
    /// The context that the function expects.
    pub context: *mut u8,
    /// Canonical type (type word); 0 in a null entry.
    pub type_word: u32,
    /// ABI signature id; 0 in a null entry.
    pub signature: u32,
    /// The function's id in the store's function table; 0 in a null entry.
    pub id: u32,
    /// Unused.
    pub reserved: u32,
}

const _: () = assert!(core::mem::size_of::<FuncEntry>() == 32);

/// Functions that a store can have. Address space for as many entries is reserved, of which those in use are committed
/// and the committed others are null entries; so an id of which only the low bits are used, [`FUNC_ID_MASK`], stays
/// inside, whatever it was.
pub const MAX_FUNCS: u32 = 1 << 24;

/// The bits that a function's id can have.
pub const FUNC_ID_MASK: u32 = MAX_FUNCS - 1;

impl FuncEntry {
    /// The null entry.
    pub const NULL: FuncEntry = FuncEntry {
        code: core::ptr::null(),
        context: core::ptr::null_mut(),
        type_word: 0,
        signature: 0,
        id: 0,
        reserved: 0,
    };
}

/// An imported function in an instance's block.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FuncImport {
    /// Entry point.
    pub code: *const u8,
    /// The context to pass.
    pub context: *mut u8,
}

/// A linear memory as compiled code sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryCell {
    /// Host address of byte 0. Constant over the memory's life.
    pub base: *mut u8,
    /// Current length in bytes.
    pub length: u64,
}

/// A table as compiled code sees it. Slots are 4 bytes (references) or [`FuncEntry`]s (function tables).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TableCell {
    /// Host address of slot 0; may change when the table grows.
    pub base: *mut u8,
    /// Current number of slots.
    pub length: u64,
}

/// A global's storage: 16 bytes, 16-aligned. References and function ids use the low 4 bytes.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct GlobalCell(
    /// The value's bytes, little-endian.
    pub [u8; 16],
);

/// The context of a host function. The vm may append fields of its own.
#[repr(C)]
#[derive(Debug)]
pub struct HostFuncContext {
    /// The store.
    pub store: *mut StoreContext,
    /// Receives the context and an array of 16-byte slots: parameters in, results out. It returns only when results are
    /// in place; traps and exceptions leave by unwinding to their handler.
    pub call: unsafe extern "C" fn(context: *mut HostFuncContext, slots: *mut [u8; 16]),
}
