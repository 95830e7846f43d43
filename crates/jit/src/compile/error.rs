//! Why a module was not compiled.

use cranelift_codegen::CodegenError;
use cranelift_codegen::ir::Function;

/// Why a module was not compiled.
#[derive(Clone, Debug)]
pub enum CompileError {
    /// The bytes are not a valid module of the supported language.
    Invalid {
        /// What is wrong.
        message: String,
        /// Where, as a byte offset in the module.
        offset: usize,
    },
    /// The module is valid but exceeds a limit of this implementation.
    Limit(String),
    /// The target cannot be compiled for.
    Target(String),
    /// A defect of the compiler.
    Internal {
        /// The function, when one is concerned.
        function: Option<u32>,
        /// What Cranelift or the linker said.
        message: String,
    },
}

impl CompileError {
    /// A defect found while compiling function `index`.
    pub(crate) fn internal(index: u32, message: impl Into<String>) -> CompileError {
        CompileError::Internal { function: Some(index), message: message.into() }
    }

    /// What Cranelift said about `func`, which is function `index`, or a stub.
    pub(crate) fn codegen(index: Option<u32>, func: &Function, error: CodegenError) -> CompileError {
        let subject = || index.map_or_else(|| "a stub".to_string(), |i| format!("function {i}"));
        match error {
            CodegenError::ImplLimitExceeded => {
                CompileError::Limit(format!("{} is too large or too complicated for the code generator", subject()))
            }
            CodegenError::CodeTooLarge => {
                CompileError::Limit(format!("the machine code of {} is too large", subject()))
            }
            error => CompileError::Internal {
                function: index,
                message: cranelift_codegen::print_errors::pretty_error(func, error),
            },
        }
    }
}

impl core::fmt::Display for CompileError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            CompileError::Invalid { message, offset } => write!(f, "{message} (at offset {offset:#x})"),
            CompileError::Limit(what) => write!(f, "implementation limit: {what}"),
            CompileError::Target(what) => write!(f, "unsupported target: {what}"),
            CompileError::Internal { function: Some(i), message } => {
                write!(f, "internal compiler error in function {i}: {message}")
            }
            CompileError::Internal { function: None, message } => write!(f, "internal compiler error: {message}"),
        }
    }
}

impl std::error::Error for CompileError {}

impl From<wasmparser::Error> for CompileError {
    fn from(e: wasmparser::Error) -> Self {
        let mut message = e.message().to_string();
        if let Some(missing) = e.missing_wasm_feature() {
            let names: Vec<_> =
                missing.iter_names().map(|(name, _)| name.to_ascii_lowercase().replace('_', "-")).collect();
            message = format!("{message} (it belongs to {}, which is not supported)", names.join(" and "));
        }
        CompileError::Invalid { message, offset: e.offset() as usize }
    }
}
