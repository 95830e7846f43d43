//! Functions compiled one at a time, when they are first called.
//!
//! The text of a lazily compiled module begins with a *jump stub* for each function. A stub loads its function's number into a register and
//! jumps through the function's *slot*, a word of data in front of the text: at first the slot leads to the vm, which has the function
//! compiled and then sets the slot; from then on the stub is one jump. Functions stand behind the stubs in the order in which they were
//! compiled. A call of a function that is there already is direct; any other goes through the stub. So text, once written, never changes,
//! and it depends on nothing but the distance of the slots: it can be kept in a file.
//!
//! ```text
//!   slots (data)        | text: jump stubs | functions … | room for more
//!   8 bytes a function  |       16 bytes a function
//! ```

use super::function::{FunctionCode, ModuleEnv, Worker};
use super::pipeline::validate_bodies;
use super::{CompileError, Compiler};
use crate::artifact::{CodeRange, CompiledModule, PAGE, Piece, Tables};
use crate::inline::{BodyTable, Candidates, Inliner, Plan};
use crate::module::{FunctionBody, ParsedModule, parse};
use cranelift_codegen::binemit::Reloc;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Bytes of a jump stub.
pub const JUMP_STUB: u32 = 16;
/// Bytes of a slot.
pub const SLOT: u32 = 8;

/// Functions start here: see `link`.
const ALIGNMENT: u32 = 32;

/// Bytes between the first slot and the text, for `count` functions.
pub fn slots_size(count: u32) -> usize {
    (count as usize * SLOT as usize).next_multiple_of(PAGE)
}

/// The bodies of a module's functions, from which any can be compiled at any time by any thread.
pub struct Bodies {
    wasm: Arc<[u8]>,
    table: BodyTable,
    /// What is inlined: decided when the first function is compiled.
    plan: OnceLock<Plan>,
    /// Whom calls through references probably call: found when the first function is compiled.
    candidates: OnceLock<Option<Candidates>>,
    /// Workers at rest.
    workers: Mutex<Vec<Worker>>,
}

/// A compiled function that has no place yet.
pub struct UnplacedFunction {
    defined: u32,
    code: FunctionCode,
}

impl Bodies {
    /// Keeps the bodies of a module that was parsed from `wasm`.
    pub(crate) fn new(wasm: Arc<[u8]>, bodies: &[FunctionBody<'_>]) -> Bodies {
        let table = BodyTable::new(bodies);
        Bodies { wasm, table, plan: OnceLock::new(), candidates: OnceLock::new(), workers: Mutex::default() }
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is inlined, unless nothing is.
    fn inliner(&self, compiler: &Compiler, imported: u32) -> Option<Inliner<'_>> {
        // All bodies were validated when the module was loaded. On this thread alone: one that waits for others may be given work that
        // calls the guest, and would come here again.
        let features = compiler.features;
        let plan = || Plan::new(&self.wasm, &self.table, features, imported, true, false);
        compiler.settings.inlines().then(|| {
            let plan = self.plan.get_or_init(plan);
            Inliner { wasm: &self.wasm, bodies: &self.table, plan, features }
        })
    }

    fn worker(&self) -> Worker {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(Worker::new)
    }
}

impl Compiler {
    /// Validates a module and prepares it for compilation function by function: its text has jump stubs only.
    ///
    /// # Errors
    ///
    /// [`CompileError`], as [`compile_module`](Self::compile_module).
    pub fn prepare_module(&self, wasm: &Arc<[u8]>) -> Result<(CompiledModule, Bodies), CompileError> {
        let ParsedModule { info, bodies } = parse(wasm, self.features, self.spec.header_layout())?;
        let kept = Bodies::new(wasm.clone(), &bodies);
        validate_bodies(self, bodies)?;
        let funcs = vec![CodeRange::NONE; kept.len()];
        let module = CompiledModule::new(info, jump_stubs(kept.len() as u32)?, funcs, Tables::default(), true);
        Ok((module, kept))
    }

    /// Compiles a function (counted without imports).
    ///
    /// # Errors
    ///
    /// [`CompileError`]: when it surpasses a limit of this implementation.
    pub fn compile_function(
        &self,
        module: &CompiledModule,
        bodies: &Bodies,
        defined: u32,
    ) -> Result<UnplacedFunction, CompileError> {
        let index = module.info.imported_funcs + defined;
        let body = bodies.table.get(&bodies.wasm, self.features, index, defined);
        let body = body.ok_or_else(|| CompileError::internal(index, "the function has no body".to_owned()))?;
        let inliner = bodies.inliner(self, module.info.imported_funcs);
        let candidates = bodies.candidates.get_or_init(|| self.candidates(&bodies.wasm, &module.info)).as_ref();
        let env = ModuleEnv { compiler: self, info: &module.info, layout: &module.layout, inliner, candidates };
        let mut worker = bodies.worker();
        let code = worker.compile(env, body);
        bodies.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        Ok(UnplacedFunction { defined, code: code? })
    }
}

impl UnplacedFunction {
    /// The first offset at or behind `end` where the function may start.
    pub fn start(&self, end: usize) -> usize {
        end.next_multiple_of(self.code.alignment.max(ALIGNMENT) as usize)
    }

    /// The functions (counted without imports) that it calls directly, in the order of its code. Each once, and not itself.
    pub fn callees(&self, module: &CompiledModule) -> Vec<u32> {
        let imported = module.info.imported_funcs;
        let mut relocs: Vec<_> = self.code.relocs.iter().map(|reloc| (reloc.offset, reloc.callee)).collect();
        relocs.sort_unstable();
        let mut seen = HashSet::new();
        let callees = relocs.into_iter().filter_map(|(_, callee)| callee.checked_sub(imported));
        callees.filter(|&callee| callee != self.defined && seen.insert(callee)).collect()
    }

    /// Gives the function its place, and its calls their targets: functions that are compiled and that `direct` says may be called
    /// directly, or else their jump stubs. Gives the code to be written there, and what is to be [added](CompiledModule::add) to the
    /// module afterwards.
    ///
    /// # Errors
    ///
    /// [`CompileError`]: when a call cannot reach.
    pub fn place(
        self,
        module: &CompiledModule,
        start: usize,
        direct: impl Fn(u32) -> bool,
    ) -> Result<(Vec<u8>, Piece), CompileError> {
        let UnplacedFunction { defined, code: FunctionCode { mut code, relocs, tables: own, .. } } = self;
        let imported = module.info.imported_funcs;
        let refuse = |what: String| CompileError::internal(imported + defined, what);
        let length = code.len() as u32;
        let start = u32::try_from(start).ok().filter(|s| s.checked_add(length).is_some_and(|end| end < 1 << 31));
        let start = start.ok_or_else(|| CompileError::Limit("the module's machine code exceeds 2 GiB".to_owned()))?;
        let range = CodeRange { start, length };
        for reloc in relocs {
            let callee = reloc.callee.checked_sub(imported).filter(|&callee| callee < module.funcs.len() as u32);
            let callee = callee.ok_or_else(|| refuse(format!("cannot link {reloc:?}")))?;
            let target = match module.code_of(callee) {
                _ if callee == defined => range.start,
                Some(code) if direct(callee) => code.start,
                _ => callee * JUMP_STUB,
            };
            // All of it is below 2 GiB, and so is the distance.
            let distance = i64::from(target) - i64::from(start + reloc.offset) + reloc.addend;
            let field = code.get_mut(reloc.offset as usize..).and_then(|rest| rest.first_chunk_mut::<4>());
            match (reloc.kind, field, i32::try_from(distance)) {
                (Reloc::X86CallPCRel4 | Reloc::X86PCRel4, Some(field), Ok(distance)) => *field = distance.to_le_bytes(),
                _ => return Err(refuse(format!("cannot link {reloc:?}"))),
            }
        }
        let mut tables = Tables::default();
        tables.append(&own, start);
        tables.index();
        Ok((code, Piece { defined, range, tables }))
    }
}

/// The jump stubs of `count` functions.
fn jump_stubs(count: u32) -> Result<Vec<u8>, CompileError> {
    let slots = slots_size(count) as u64;
    if u64::from(count) * u64::from(JUMP_STUB) + slots >= 1 << 31 {
        return Err(CompileError::Limit(format!("{count} functions; too many for lazy compilation")));
    }
    let mut text = Vec::with_capacity(count as usize * JUMP_STUB as usize);
    for i in 0..count {
        // mov eax, i: no parameter is passed there.
        text.push(0xb8);
        text.extend_from_slice(&i.to_le_bytes());
        // jmp [rip + distance], counted from the end of the instruction.
        text.extend_from_slice(&[0xff, 0x25]);
        let end = i64::from(i * JUMP_STUB + 11);
        let slot = i64::from(i * SLOT) - slots as i64;
        text.extend_from_slice(&((slot - end) as i32).to_le_bytes());
        // Never reached.
        text.resize(text.len().next_multiple_of(JUMP_STUB as usize), 0xcc);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stub_jumps_through_its_slot() {
        for count in [1, 511, 512, 513, 5000] {
            let text = jump_stubs(count).expect("few");
            assert_eq!(text.len(), (count * JUMP_STUB) as usize);
            let slots = slots_size(count) as i64;
            assert!(slots >= i64::from(count * SLOT) && slots % PAGE as i64 == 0);
            for (i, stub) in text.chunks(JUMP_STUB as usize).enumerate() {
                assert_eq!((stub[0], &stub[5..7]), (0xb8, &[0xff, 0x25][..]));
                assert_eq!(u32::from_le_bytes(stub[1..5].try_into().expect("four")), i as u32);
                let distance = i32::from_le_bytes(stub[7..11].try_into().expect("four"));
                // Where the processor looks, counted from the first slot.
                let address = slots + 16 * i as i64 + 11 + i64::from(distance);
                assert_eq!(address, 8 * i as i64);
            }
        }
    }
}
