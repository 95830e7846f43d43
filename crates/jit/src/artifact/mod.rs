//! What compilation produces: code and the tables that describe it. Nothing in it depends on the process or the engine.

mod added;
mod error;
mod file;
mod identity;
mod inlined;
mod tables;

use crate::abi::{InstanceLayout, Trap};
use crate::module::ModuleInfo;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use added::Added;

pub use added::Piece;
pub use error::ArtifactError;
pub use file::{ArtifactFile, PAGE};
pub use identity::Identity;
pub use inlined::{InlineTable, InlinedCall};
pub use tables::{AddressMap, Handler, HandlerTable, Handlers, StackMaps, Tables, TrapTable};

/// A compiled module, or one of which functions are compiled as they are called.
#[derive(Debug)]
pub struct CompiledModule {
    /// Declarations.
    pub info: Arc<ModuleInfo>,
    /// Layout of its instance contexts.
    pub layout: InstanceLayout,
    /// Position-independent machine code; no relocation is left. Empty once it is mapped elsewhere.
    pub text: Vec<u8>,
    /// Code of each defined function; [`CodeRange::NONE`] for those that the text does not have.
    pub funcs: Vec<CodeRange>,
    /// What is known about the text.
    pub tables: Tables,
    /// Whether the text begins with jump stubs, so that functions can be added.
    pub jumps: bool,
    /// Functions that the text has, ascending by start.
    by_start: Vec<u32>,
    added: Added,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRange {
    /// Offset in the text.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
}

impl CodeRange {
    /// No code.
    pub const NONE: CodeRange = CodeRange { start: 0, length: 0 };

    /// Offset of the first byte behind it.
    pub fn end(&self) -> u32 {
        self.start + self.length
    }
}

impl CompiledModule {
    /// A module with this text.
    pub(crate) fn new(
        info: ModuleInfo,
        text: Vec<u8>,
        funcs: Vec<CodeRange>,
        tables: Tables,
        jumps: bool,
    ) -> CompiledModule {
        let mut by_start: Vec<u32> = (0..funcs.len() as u32).filter(|&f| funcs[f as usize].length > 0).collect();
        by_start.sort_by_key(|&f| funcs[f as usize].start);
        let added = if jumps { Added::new(funcs.len()) } else { Added::default() };
        let layout = info.instance_layout();
        CompiledModule { info: Arc::new(info), layout, text, funcs, tables, jumps, by_start, added }
    }

    /// Adds a function, whose code is in its place by now. One caller at a time; whoever looks meanwhile sees it or
    /// not.
    ///
    /// # Panics
    ///
    /// When the module has the function, or code behind its place.
    pub fn add(&self, piece: Piece) {
        self.added.push(piece);
    }

    /// Number of functions that are compiled.
    pub fn compiled_functions(&self) -> usize {
        self.by_start.len() + self.added.iter().count()
    }

    /// Number of calls that were replaced by bodies.
    pub fn inlined_calls(&self) -> usize {
        let added: usize = self.added.iter().map(|piece| piece.tables.inlined.calls.len()).sum();
        self.tables.inlined.calls.len() + added
    }

    /// Code and tables of all functions that are compiled.
    pub(crate) fn whole(&self) -> (Vec<CodeRange>, Tables) {
        let (mut funcs, mut tables) = (self.funcs.clone(), self.tables.clone());
        for piece in self.added.iter() {
            funcs[piece.defined as usize] = piece.range;
            tables.append(&piece.tables, 0);
        }
        (funcs, tables)
    }

    /// The code of a defined function (counted without imports); `None` while it is not compiled.
    pub fn code_of(&self, defined: u32) -> Option<CodeRange> {
        let own = self.funcs.get(defined as usize).filter(|code| code.length > 0);
        own.copied().or_else(|| Some(self.added.of(defined)?.range))
    }

    /// From text offsets, ascending, to byte offsets in the module of the instructions whose code begins there; `None`
    /// where code begins that implements no instruction.
    pub fn addresses(&self) -> impl Iterator<Item = (usize, Option<u32>)> {
        let maps = std::iter::once(&self.tables).chain(self.added.iter().map(|piece| &piece.tables));
        maps.flat_map(|Tables { addresses: AddressMap { code, wasm }, .. }| {
            code.iter().zip(wasm).map(|(&code, &wasm)| (code as usize, (wasm != u32::MAX).then_some(wasm)))
        })
    }

    /// The defined function (counted without imports) whose code contains `offset`.
    pub fn func_at(&self, offset: u32) -> Option<u32> {
        let own = self.by_start.partition_point(|&f| self.funcs[f as usize].start <= offset).checked_sub(1);
        let own = own.map(|i| self.by_start[i]).filter(|&f| offset < self.funcs[f as usize].end());
        own.or_else(|| Some(self.added.containing(offset)?.defined))
    }

    /// The slots of references in the frame that returns to `offset`, as distances below the frame pointer.
    pub fn stack_map_at(&self, offset: u32) -> Option<&[u32]> {
        let own = self.tables.stack_maps.lookup(offset);
        own.or_else(|| self.added.before(offset)?.tables.stack_maps.lookup(offset))
    }

    /// The trap of the instruction at `offset`. Takes no lock and allocates nothing: signal handlers ask.
    pub fn trap_at(&self, offset: u32) -> Option<Trap> {
        let own = self.tables.traps.lookup(offset);
        own.or_else(|| self.added.containing(offset)?.tables.traps.lookup(offset))
    }

    /// The handlers of the call that returns to `offset`.
    pub fn handlers_at(&self, offset: u32) -> Option<Handlers<'_>> {
        let own = self.tables.handlers.lookup(offset);
        own.or_else(|| self.added.before(offset)?.tables.handlers.lookup(offset))
    }

    /// The inlined calls that the instruction at `offset` belongs to, innermost first; none in a function's own code.
    pub fn inlined_at(&self, offset: u32) -> impl Iterator<Item = &InlinedCall> {
        let own = self.tables.inlined.lookup(offset);
        let added = self.added.containing(offset).into_iter();
        own.chain(added.flat_map(move |piece| piece.tables.inlined.lookup(offset)))
    }

    /// Byte offset in the module of the instruction whose code contains `offset`.
    pub fn wasm_offset_at(&self, offset: u32) -> Option<u32> {
        let own = self.tables.addresses.lookup(offset);
        own.or_else(|| self.added.containing(offset)?.tables.addresses.lookup(offset))
    }
}
