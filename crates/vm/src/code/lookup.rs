//! What is known about a program counter.
//!
//! Every table is a sorted array, so each question costs a binary search over the registered texts and one over the
//! table: O(log n). [`CodeAt`] allocates nothing and takes no lock, so the signal handler can ask it; [`code_at`] is
//! its form for tools.

use super::{CodeObject, Snapshot, Symbol};
use crate::LoadedModule;
use heapwright_jit::abi::Trap;
use heapwright_jit::artifact::{CompiledModule, Handler, Handlers, InlinedCall};
use std::sync::Arc;

/// A program counter in registered code of a module.
#[derive(Clone, Copy)]
pub(crate) struct CodeAt<'a> {
    pub(crate) object: &'a CodeObject,
    pub(crate) module: &'a Arc<CompiledModule>,
    /// Text offset of the program counter.
    offset: u32,
    /// 1 for a return address: the call may be the last instruction of its function, so it is the byte before that
    /// tells where it is.
    back: u32,
}

impl Snapshot {
    /// The module code that contains the instruction at `pc`.
    pub(crate) fn instruction(&self, pc: usize) -> Option<CodeAt<'_>> {
        self.find(pc, 0)
    }

    /// The module code that contains the call that returns to `pc`.
    pub(crate) fn return_to(&self, pc: usize) -> Option<CodeAt<'_>> {
        self.find(pc, 1)
    }

    fn find(&self, pc: usize, back: u32) -> Option<CodeAt<'_>> {
        let object = self.lookup(pc.wrapping_sub(back as usize))?;
        Some(CodeAt { object, module: object.module()?, offset: (pc - object.start()) as u32, back })
    }
}

impl<'a> CodeAt<'a> {
    /// Index of the defined function (counted without imports).
    pub(crate) fn defined(&self) -> Option<u32> {
        self.module.func_at(self.offset - self.back)
    }

    /// Byte offset in the Wasm module of the instruction.
    pub(crate) fn wasm_offset(&self) -> Option<u32> {
        self.module.wasm_offset_at(self.offset - self.back)
    }

    /// The inlined calls that the instruction belongs to, innermost first.
    pub(crate) fn inlined(&self) -> impl Iterator<Item = &'a InlinedCall> {
        self.module.inlined_at(self.offset - self.back)
    }

    /// The trap that the instruction may cause.
    pub(crate) fn trap(&self) -> Option<Trap> {
        self.module.trap_at(self.offset)
    }

    /// Where the frame that returns here has references, as distances below its frame pointer.
    pub(crate) fn stack_map(&self) -> Option<&'a [u32]> {
        self.module.stack_map_at(self.offset)
    }

    /// The handlers of the call that returns here.
    pub(crate) fn handlers(&self) -> Option<Handlers<'a>> {
        self.module.handlers_at(self.offset)
    }
}

/// What the code registry knows of a program counter in compiled code.
#[derive(Clone, Debug)]
pub struct CodeLocation {
    /// The module.
    pub module: Arc<LoadedModule>,
    /// The compiled function: function index, imports counted.
    pub func: u32,
    /// The calls by way of which the instruction was inlined there, innermost first.
    pub inlined: Box<[InlinedCall]>,
    /// Offset in the module's text of the program counter, in bytes.
    pub text_offset: u32,
    /// Byte offset in the Wasm module of the instruction, when it implements one.
    pub wasm_offset: Option<u32>,
    /// The trap that a fault of the instruction means.
    pub trap: Option<Trap>,
    /// When this is the return address of a call that can collect: where the frame's references are, in bytes below its
    /// frame pointer.
    pub stack_map: Option<Box<[u32]>>,
    /// When this is the return address of a call inside a `try`: the handlers, to be tried in order.
    pub handlers: Box<[Handler]>,
}

impl CodeLocation {
    /// The compiled function's name in the name section.
    pub fn func_name(&self) -> Option<&str> {
        self.module.info().func_names.get(&self.func).map(String::as_str)
    }

    /// The source positions, innermost inlined function first; empty when the module carries no DWARF for this place.
    pub fn symbols(&self) -> Vec<Symbol> {
        self.wasm_offset.map(|offset| self.module.symbols(offset)).unwrap_or_default()
    }
}

/// Looks a program counter up in the process's code registry: `None` when it is not in a function of a loaded module.
///
/// `return_address` says that it is where a call returns to, and not an instruction about to run: then module, function
/// and Wasm offset are those of the call. The module is kept alive as long as the answer.
pub fn code_at(pc: usize, return_address: bool) -> Option<CodeLocation> {
    let code = Snapshot::take();
    let at = if return_address { code.return_to(pc) } else { code.instruction(pc) }?;
    Some(CodeLocation {
        func: at.module.info.imported_funcs + at.defined()?,
        inlined: at.inlined().copied().collect(),
        text_offset: at.offset,
        wasm_offset: at.wasm_offset(),
        trap: at.trap(),
        stack_map: at.stack_map().map(Into::into),
        handlers: at.handlers().map(|h| h.handlers.into()).unwrap_or_default(),
        module: at.object.owner()?,
    })
}
