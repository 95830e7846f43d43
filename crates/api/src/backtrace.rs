//! Backtraces of compiled frames.
//!
//! Capturing one notes modules, functions and offsets. Source positions are looked up when they are asked for or
//! printed: the first time that reads the module's DWARF sections, which may take a while.

use crate::store::StoreOpaque;
use crate::{AsContext, Engine, Module};
use heapwright_vm as vm;
use std::fmt::{self, Write as _};
use std::sync::{Arc, OnceLock};

/// The compiled frames at a trap, at an uncaught exception or below a failed host function, innermost first. Traps and
/// exceptions have it as a part; a host function's error carries it as context:
/// `error.downcast_ref::<WasmBacktrace>()`.
///
/// It keeps the modules of its frames alive. Empty when capturing is switched off by
/// [`Config::wasm_backtrace`](crate::Config::wasm_backtrace).
#[derive(Clone, Debug, Default)]
pub struct WasmBacktrace {
    frames: Arc<[FrameInfo]>,
    omitted: usize,
}

/// One compiled frame.
#[derive(Clone, Debug)]
pub struct FrameInfo {
    module: Module,
    frame: vm::Frame,
    symbols: OnceLock<Vec<FrameSymbol>>,
}

/// A place in the source, from the module's DWARF. A frame whose code was inlined from several functions has one for
/// each, innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSymbol(vm::Symbol);

impl WasmBacktrace {
    /// The frames of the calls in progress in a store, for host functions. Empty when capturing is switched off.
    pub fn capture(store: impl AsContext) -> WasmBacktrace {
        let store = store.as_context();
        if store.engine().config().backtraces { WasmBacktrace::force_capture(store) } else { WasmBacktrace::default() }
    }

    /// As [`capture`](Self::capture), whatever the configuration says.
    pub fn force_capture(store: impl AsContext) -> WasmBacktrace {
        let opaque = &store.as_context().0.opaque;
        WasmBacktrace::from_vm(&opaque.engine, &opaque.vm.backtrace())
    }

    /// The frames, innermost first; of a deep stack the innermost 64.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    /// How many outer frames were left out.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    pub(crate) fn from_vm(engine: &Engine, trace: &vm::Backtrace) -> WasmBacktrace {
        let frames = trace.frames.iter().map(|frame| FrameInfo {
            module: Module::from_loaded(engine, frame.module.clone()),
            frame: frame.clone(),
            symbols: OnceLock::new(),
        });
        WasmBacktrace { frames: frames.collect(), omitted: trace.omitted }
    }

    pub(crate) fn of_exception(store: &StoreOpaque) -> WasmBacktrace {
        WasmBacktrace::from_vm(&store.engine, store.vm.exception_backtrace())
    }

    pub(crate) fn to_vm(&self) -> vm::Backtrace {
        vm::Backtrace { frames: self.frames.iter().map(|f| f.frame.clone()).collect(), omitted: self.omitted }
    }
}

impl FrameInfo {
    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Index of the function, imports counted.
    pub fn func_index(&self) -> u32 {
        self.frame.func
    }

    /// Name of the function in the name section, as it stands there.
    pub fn func_name(&self) -> Option<&str> {
        self.frame.func_name()
    }

    /// Byte offset of the instruction in the module; `None` when the code belongs to no single instruction.
    pub fn module_offset(&self) -> Option<usize> {
        Some(self.frame.offset? as usize)
    }

    /// Byte offset of the instruction in the function's body, counted from where the body declares its locals.
    pub fn func_offset(&self) -> Option<usize> {
        Some(self.frame.func_offset()? as usize)
    }

    /// Where in the source the instruction comes from, innermost inlined function first. Empty when the module carries
    /// no DWARF for it, or when [`Config::wasm_backtrace_details`](crate::Config::wasm_backtrace_details) says not to
    /// look.
    pub fn symbols(&self) -> &[FrameSymbol] {
        self.symbols.get_or_init(|| match self.module.engine().backtrace_details() {
            true => self.frame.symbols().into_iter().map(FrameSymbol).collect(),
            false => Vec::new(),
        })
    }
}

impl FrameSymbol {
    /// Name of the function, as the compiler mangled it.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The source file, as the compiler named it.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// The line, counted from 1.
    pub fn line(&self) -> Option<u32> {
        self.0.line
    }

    /// The column, counted from 1.
    pub fn column(&self) -> Option<u32> {
        self.0.column
    }
}

impl fmt::Display for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error while executing at wasm backtrace:")?;
        for (i, frame) in self.frames.iter().enumerate() {
            write!(f, "{i:5}: ")?;
            match frame.frame.offset {
                Some(offset) => write!(f, "{offset:#8x} - ")?,
                None => write!(f, "{:>8} - ", "?")?,
            }
            let module = vm::Printable(frame.module.name().unwrap_or("<unnamed>"));
            let symbols = frame.symbols();
            let in_dwarf = symbols.first().and_then(FrameSymbol::name);
            match in_dwarf.or(frame.func_name()) {
                Some(name) => writeln!(f, "{module}!{}", Demangled(name))?,
                None => writeln!(f, "{module}!<wasm function {}>", frame.func_index())?,
            }
            for (i, symbol) in symbols.iter().enumerate() {
                if i > 0 {
                    writeln!(f, "{:19}inlined into {}", "", Demangled(symbol.name().unwrap_or("<unknown>")))?;
                }
                let Some(file) = symbol.file() else { continue };
                write!(f, "{:23}at {}", "", vm::Printable(file))?;
                for number in [symbol.line(), symbol.column()].into_iter().map_while(|n| n) {
                    write!(f, ":{number}")?;
                }
                writeln!(f)?;
            }
        }
        if self.omitted > 0 {
            writeln!(f, "       … {} more", self.omitted)?;
        }
        Ok(())
    }
}

/// A mangled name of Rust or C++ for people to read, any other as it is; both as [`vm::Printable`].
struct Demangled<'a>(&'a str);

/// Longest readable name: mangled names can refer back to parts of themselves and so stand for far more text than they
/// are.
const LONGEST: usize = 4 << 10;

impl fmt::Display for Demangled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let mut readable = Bounded(String::new());
        let done = if let Ok(rust) = rustc_demangle::try_demangle(name) {
            // Without the hash.
            write!(readable, "{rust:#}").is_ok()
        } else if name.starts_with("_Z") && name.len() <= LONGEST {
            cpp_demangle::Symbol::new(name)
                .is_ok_and(|cpp| cpp.structured_demangle(&mut readable, &Default::default()).is_ok())
        } else {
            false
        };
        vm::Printable(if done { &readable.0 } else { name }).fmt(f)
    }
}

/// Refuses what is too long.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_readable_or_stay() {
        let shown = |name| Demangled(name).to_string();
        assert_eq!(shown("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(shown("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(shown("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
        assert_eq!(shown("kotlin.Array.<get>"), "kotlin.Array.<get>");
        assert_eq!(shown("_Zgarbage"), "_Zgarbage");
    }

    #[test]
    fn a_name_that_explodes_is_left_alone() {
        // Each argument is a pair of the one before, twice over.
        let mut name = "_Z1fSt4pairIiiE".to_owned();
        for i in 0..30 {
            let back = match i {
                0 => "S0_".to_owned(),
                i => format!("S{}_", char::from(if i < 10 { b'0' + i } else { b'A' + i - 10 })),
            };
            name += &format!("St4pairI{back}{back}E");
        }
        assert!(Demangled(&name).to_string().len() <= LONGEST);
    }
}
