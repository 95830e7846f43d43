//! Many functions into one text section.

use super::function::FunctionCode;
use super::{CompileError, Compiler};
use crate::artifact::{CodeRange, CompiledModule, Tables};
use crate::module::ModuleInfo;
use cranelift_control::ControlPlane;

/// Text that a direct call can span on every target, with room for alignment.
const MAX_TEXT: u64 = 1 << 31;

/// Functions of optimised code start here: half a cache line, which keeps short loops in one fetch window.
const ALIGNMENT: u32 = 32;

/// Lays out `funcs` one behind the other, resolves the calls between them and merges their tables.
pub(super) fn link(
    compiler: &Compiler,
    info: ModuleInfo,
    funcs: Vec<FunctionCode>,
) -> Result<CompiledModule, CompileError> {
    let alignment = |f: &FunctionCode| f.alignment.max(ALIGNMENT);
    let size: u64 = funcs.iter().map(|f| f.code.len() as u64 + u64::from(alignment(f))).sum();
    if size >= MAX_TEXT {
        return Err(CompileError::Limit(format!("{size} bytes of machine code; at most {MAX_TEXT} can be linked")));
    }

    let mut text = compiler.isa.text_section_builder(funcs.len());
    let mut control = ControlPlane::default();
    let (mut ranges, mut tables) = (Vec::with_capacity(funcs.len()), Tables::default());
    let imported = info.imported_funcs;
    for (i, func) in funcs.iter().enumerate() {
        let start = text.append(true, &func.code, alignment(func), &mut control) as u32;
        ranges.push(CodeRange { start, length: func.code.len() as u32 });
        tables.append(&func.tables, start);
        for reloc in &func.relocs {
            let callee = reloc.callee.checked_sub(imported).filter(|&c| (c as usize) < funcs.len());
            let at = u64::from(start + reloc.offset);
            let resolved = callee.is_some_and(|c| text.resolve_reloc(at, reloc.kind, reloc.addend, c as usize));
            if !resolved {
                return Err(CompileError::internal(imported + i as u32, format!("cannot link {reloc:?}")));
            }
        }
    }
    tables.index();
    Ok(CompiledModule::new(info, text.finish(&mut control), ranges, tables, false))
}
