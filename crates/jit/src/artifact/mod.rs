//! What compilation produces: code and the tables that describe it. Nothing in it depends on the process or the engine.

mod tables;

use crate::abi::InstanceLayout;
use crate::module::ModuleInfo;
use std::sync::Arc;

pub use tables::{AddressMap, Handler, HandlerTable, Handlers, StackMaps, TrapTable};

/// A compiled module.
#[derive(Debug)]
pub struct CompiledModule {
    /// Declarations.
    pub info: Arc<ModuleInfo>,
    /// Layout of its instance contexts.
    pub layout: InstanceLayout,
    /// Position-independent machine code; no relocation is left.
    pub text: Vec<u8>,
    /// Code of each defined function, ascending by start.
    pub funcs: Vec<CodeRange>,
    /// References in frames.
    pub stack_maps: StackMaps,
    /// Trapping instructions.
    pub traps: TrapTable,
    /// Exception handlers.
    pub handlers: HandlerTable,
    /// Wasm offsets.
    pub addresses: AddressMap,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRange {
    /// Offset in the text.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
}

impl CodeRange {
    /// Offset of the first byte behind it.
    pub fn end(&self) -> u32 {
        self.start + self.length
    }
}

impl CompiledModule {
    /// The defined function (counted without imports) whose code contains `offset`.
    pub fn func_at(&self, offset: u32) -> Option<u32> {
        let i = self.funcs.partition_point(|f| f.start <= offset).checked_sub(1)?;
        (offset < self.funcs[i].end()).then_some(i as u32)
    }
}
