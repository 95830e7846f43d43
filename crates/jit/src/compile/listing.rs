//! A function side by side with what it comes from: for tools that show code.
//!
//! Each line of CLIF and each piece of code knows the Wasm instruction that it implements and whether it belongs to an allocation or to a
//! barrier. Both travel through Cranelift as the *source location* of instructions: its low bits are the module offset, its two
//! highest bits the [`Mark`]. What belongs to an inlined body is listed as the function's own call.

use super::function::{FunctionCode, ModuleEnv, Worker, collect};
use super::{CompileError, Compiler};
use crate::abi::Trap;
use crate::artifact::Tables;
use crate::gc::FuncGc;
pub use crate::gc::Mark;
use crate::module::{FunctionBody, ParsedModule, parse};
use crate::translate::InlinedCode;
use cranelift_codegen::ir::{Function, Inst, SourceLoc};
use std::ops::Range;

/// A line of CLIF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClifLine {
    /// The line, without its location.
    pub text: String,
    /// Byte offset in the module of the instruction that it implements.
    pub wasm: Option<u32>,
    /// What it is part of.
    pub mark: Option<Mark>,
}

/// From an offset in a function's code on, up to the next place, code implements one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePlace {
    /// Offset in the function's code.
    pub code: u32,
    /// Byte offset in the module of the instruction.
    pub wasm: Option<u32>,
    /// What it is part of.
    pub mark: Option<Mark>,
}

/// A function in all its forms. Offsets of code count from the function's start.
#[derive(Clone, Debug)]
pub struct FunctionListing {
    /// Function index, imports counted.
    pub index: u32,
    /// Its name in the name section.
    pub name: Option<String>,
    /// Byte range of its body in the module.
    pub body: Range<usize>,
    /// CLIF after GC operations are lowered and safepoints are in place, before Cranelift's optimiser.
    pub clif: Vec<ClifLine>,
    /// The machine code; calls of other functions are not resolved yet.
    pub code: Vec<u8>,
    /// The machine code as Cranelift writes it, with labels but without offsets.
    pub asm: String,
    /// What the code implements, ascending.
    pub places: Vec<CodePlace>,
    /// For each return address, ascending, the distances below the frame pointer of the references in the frame.
    pub stack_maps: Vec<(u32, Vec<u32>)>,
    /// Trapping instructions, ascending.
    pub traps: Vec<(u32, Trap)>,
    /// Direct calls of functions of the module, ascending: where the address is to stand, and the callee's index.
    pub calls: Vec<(u32, u32)>,
}

/// Bits of a location that are a module offset; one of all ones means none.
const OFFSET: u32 = (1 << 30) - 1;
const ALLOCATION: u32 = 1 << 30;
const BARRIER: u32 = 2 << 30;

/// A location's module offset and mark.
pub(super) fn split(location: u32) -> (Option<u32>, Option<Mark>) {
    let mark = match location & !OFFSET {
        ALLOCATION => Some(Mark::Allocation),
        BARRIER => Some(Mark::Barrier),
        _ => None,
    };
    let offset = location & OFFSET;
    ((location != u32::MAX && offset != OFFSET).then_some(offset), mark)
}

/// Makes each location an offset in the function's own body.
fn flatten(func: &mut Function, inlined: &InlinedCode) {
    for inst in (0..func.dfg.num_insts() as u32).map(Inst::from_u32) {
        if let Some(offset) = inlined.own_offset(func.srcloc(inst)) {
            func.set_srcloc(inst, SourceLoc::new(offset));
        }
    }
}

/// Writes the marks that lowering left into the locations of instructions.
fn mark(func: &mut Function, gc: &FuncGc) {
    let mut set = |range: &Range<u32>, bits: u32| {
        for inst in range.clone().map(Inst::from_u32) {
            let location = func.srcloc(inst);
            if !location.is_default() && location.bits() & !OFFSET == 0 {
                func.set_srcloc(inst, SourceLoc::new(location.bits() | bits));
            }
        }
    };
    // Barriers first: one may stand inside an allocation.
    for (kind, bits) in [(Mark::Barrier, BARRIER), (Mark::Allocation, ALLOCATION)] {
        gc.marks.iter().filter(|(marked, _)| *marked == kind).for_each(|(_, range)| set(range, bits));
    }
}

/// CLIF as lines; `display` puts a location, if there is one, before an instruction.
fn clif_lines(text: &str) -> Vec<ClifLine> {
    /// Width of that column.
    const MARGIN: usize = 36;
    let line = |line: &str| {
        let found = line.strip_prefix('@').and_then(|rest| rest.split_once(' '));
        let location = found.and_then(|(digits, _)| u32::from_str_radix(digits, 16).ok());
        let (wasm, mark) = location.map_or((None, None), split);
        let blank = |text: &str| text.len() - text.trim_start().len();
        let text = match (location, found) {
            (Some(_), Some((_, rest))) => format!("    {}", rest.trim_start()),
            // Blocks are indented by the width of the column.
            _ if blank(line) + 4 > MARGIN => format!("    {}", line.trim_start()),
            _ if blank(line) + 8 > MARGIN => line.trim_start().to_owned(),
            _ => line.to_owned(),
        };
        ClifLine { text, wasm, mark }
    };
    text.lines().map(line).collect()
}

impl Compiler {
    /// Compiles the functions of a module that `wanted` (given index, name, and bytes of the body) picks and gives all forms of each. The code
    /// is what [`compile_module`](Self::compile_module) makes, before calls are linked.
    ///
    /// # Errors
    ///
    /// [`CompileError`]; a module of a gibibyte or more is beyond a limit.
    pub fn list(
        &self,
        bytes: &[u8],
        mut wanted: impl FnMut(u32, Option<&str>, usize) -> bool,
    ) -> Result<Vec<FunctionListing>, CompileError> {
        if bytes.len() >= OFFSET as usize {
            return Err(CompileError::Limit("a module of a gibibyte cannot be listed".into()));
        }
        let ParsedModule { info, bodies } = parse(bytes, self.features, self.spec.header_layout())?;
        let layout = info.instance_layout();
        let planned = self.planned(bytes, &info, &bodies);
        let env = self.module_env(bytes, &info, &layout, &planned);
        let mut worker = Worker::new();
        let name = |index: u32| info.func_names.get(&index).map(String::as_str);
        let wanted = bodies.into_iter().filter(|body| wanted(body.index, name(body.index), body.body.as_bytes().len()));
        let listings = wanted.map(|body| {
            let (index, range) = (body.index, body.body.range());
            let listing = worker.guarded(index, |worker| worker.list(env, body))?;
            let body = range.start as usize..range.end as usize;
            Ok(FunctionListing { name: name(index).map(str::to_owned), body, ..listing })
        });
        listings.collect()
    }
}

impl Worker {
    /// All forms of a function, but for its name and place.
    fn list(&mut self, env: ModuleEnv<'_>, body: FunctionBody<'_>) -> Result<FunctionListing, CompileError> {
        let index = body.index;
        let gc = self.prepare(env, body)?;
        flatten(&mut self.context.func, &self.inlined);
        mark(&mut self.context.func, &gc);
        let clif = clif_lines(&self.context.func.display().to_string());
        self.context.set_disasm(true);
        self.generate(env.compiler, index)?;
        let asm = self.context.compiled_code().and_then(|code| code.vcode.clone()).unwrap_or_default();
        let FunctionCode { code, relocs, tables, .. } = collect(&self.context, &InlinedCode::default(), index)?;
        let Tables { stack_maps, traps, addresses, .. } = tables;
        let maps = stack_maps.returns.iter().map(|&at| (at, stack_maps.lookup(at).unwrap_or_default().to_vec()));
        let places = addresses.code.iter().zip(&addresses.wasm).map(|(&code, &location)| {
            let (wasm, mark) = split(location);
            CodePlace { code, wasm, mark }
        });
        let mut calls: Vec<(u32, u32)> = relocs.iter().map(|reloc| (reloc.offset, reloc.callee)).collect();
        calls.sort_unstable();
        Ok(FunctionListing {
            index,
            name: None,
            body: 0..0,
            clif,
            code,
            asm,
            places: places.collect(),
            stack_maps: maps.collect(),
            traps: traps.offsets.iter().copied().zip(traps.traps.iter().copied()).collect(),
            calls,
        })
    }
}
