//! Readable forms of what the compiler makes: for golden files and for tools that show code.

use super::function::Worker;
use super::{CompileError, Compiler};
use crate::module::{ParsedModule, parse};

/// A function as the compiler sees it and as it leaves it.
#[derive(Clone, Debug)]
pub struct FunctionText {
    /// Function index, imports counted.
    pub index: u32,
    /// Its name in the name section.
    pub name: Option<String>,
    /// CLIF after GC operations are lowered and safepoints are in place, before Cranelift's optimiser.
    pub clif: String,
    /// The machine code, as Cranelift writes it.
    pub asm: String,
}

impl Compiler {
    /// The GC operations that are left in each defined function when they are lowered, and its CLIF at that point.
    #[cfg(test)]
    pub(crate) fn operations(&self, bytes: &[u8]) -> Result<Vec<(Vec<crate::gc::GcOp>, String)>, CompileError> {
        let ParsedModule { info, bodies } = parse(bytes, self.features, self.spec.header_layout())?;
        let layout = info.instance_layout();
        let planned = self.planned(bytes, &info, &bodies);
        let env = self.module_env(bytes, &info, &layout, &planned);
        let mut worker = Worker::new();
        let operations = bodies.into_iter().map(|body| {
            let gc = worker.translate(env, body)?;
            let func = &worker.context.func;
            let insts = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
            Ok((insts.filter_map(|inst| gc.op_of(func, inst)).collect(), func.display().to_string()))
        });
        operations.collect()
    }

    /// Compiles a module and gives the text of each defined function, in order. The code is what
    /// [`compile_module`](Self::compile_module) makes, before calls are linked.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub fn explain(&self, bytes: &[u8]) -> Result<Vec<FunctionText>, CompileError> {
        let ParsedModule { info, bodies } = parse(bytes, self.features, self.spec.header_layout())?;
        let layout = info.instance_layout();
        let planned = self.planned(bytes, &info, &bodies);
        let env = self.module_env(bytes, &info, &layout, &planned);
        let mut worker = Worker::new();
        let texts = bodies.into_iter().map(|body| {
            let index = body.index;
            worker.prepare(env, body)?;
            let clif = worker.context.func.display().to_string();
            worker.context.set_disasm(true);
            worker.generate(self, index)?;
            let code = worker.context.compiled_code().and_then(|code| code.vcode.clone());
            Ok(FunctionText { index, name: info.func_names.get(&index).cloned(), clif, asm: code.unwrap_or_default() })
        });
        texts.collect()
    }
}
