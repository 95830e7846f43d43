//! `heapwright compile`.

use crate::args::CompileArgs;
use crate::failure::Failure;
use crate::load;
use heapwright::{Engine, replace_file};

/// Compiles every function of a module and writes the file.
pub(crate) fn run(args: &CompileArgs) -> Result<u8, Failure> {
    let config = args.engine.config().map_err(Failure::usage)?;
    let output = match &args.output {
        Some(output) => output.clone(),
        None if load::is_stdin(&args.file) => {
            return Err(Failure::usage("--output is needed for a module from standard input"));
        }
        None => args.file.with_extension("hwm"),
    };
    let bytes = load::module(&args.file)?.binary;
    let engine = Engine::new(&config).map_err(|e| Failure::unusable(format_args!("{e:#}")))?;
    let compiled = engine
        .precompile_module(&bytes)
        .map_err(|e| Failure::unusable(format_args!("cannot compile {}: {e:#}", args.file.display())))?;
    replace_file(&output, &compiled)
        .map_err(|e| Failure::unusable(format_args!("cannot write {}: {e}", output.display())))?;
    Ok(0)
}
