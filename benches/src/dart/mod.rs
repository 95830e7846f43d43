//! A host for a program that dart2wasm has compiled: the Dart formatter of npm's `@wasm-fmt/dart_fmt` 0.4.0, in
//! `corpus/dart`.
//!
//! dart2wasm leaves to JavaScript what the browser has already: strings, regular expressions, numbers as text. A module
//! imports the standard string builtins (`wasm:js-string`), one string constant a global (module `S`), and short
//! JavaScript functions (module `dart2wasm`), numbered anew for each program. Here they are Rust: `value` has the
//! JavaScript values, which the guest holds as `externref`s, `strings` the builtins, and `lambdas` those of the
//! numbered functions that the formatter calls. The others (typed arrays, promises, dates) end the run with an error
//! that names them.
//!
//! What the program asks for is bounded in size (`MOST_UNITS`, `MOST_ITEMS`), not in time: its regular expressions may
//! be slow ones.

mod lambdas;
mod regexp;
mod strings;
mod value;

use anyhow::bail;
use heapwright::{
    AnyRef, Engine, ExternRef, ExternType, Global, Instance, Linker, Module, OwnedRooted, Result, RootScope, Rooted,
    Store,
};
use std::sync::Arc;
use value::{Js, from_wasm, to_wasm};

/// Where the module is.
pub const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/dart/dart_fmt.wasm");

/// The longest string, in units of 16 bits; JavaScript engines have a bound of this order.
const MOST_UNITS: usize = 1 << 28;
/// The longest array.
const MOST_ITEMS: usize = 1 << 24;

/// What the imported functions remember.
#[derive(Default)]
struct Host {
    /// The Dart closures behind [`Js::Function`], by its number.
    closures: Vec<Arc<OwnedRooted<ExternRef>>>,
    /// The function that the program has exported by assigning it to a property: the number of its closure.
    format: Option<usize>,
    /// State of `Math.random`.
    random: u64,
}

/// An instance of the formatter.
pub struct Formatter {
    store: Store<Host>,
    instance: Instance,
}

type External = Option<Rooted<ExternRef>>;

impl Formatter {
    /// Instantiates the formatter and runs its `main`, which publishes the function that formats.
    ///
    /// # Errors
    ///
    /// When the module asks for what is not here, or traps.
    pub fn new(engine: &Engine, module: &Module) -> Result<Formatter> {
        let mut store = Store::new(engine, Host::default())?;
        let mut linker = Linker::new(engine);
        strings::define(&mut linker, module)?;
        lambdas::define(&mut linker)?;
        for import in module.imports().filter(|import| import.module() == "S") {
            let ExternType::Global(ty) = import.ty() else { bail!("S holds strings") };
            let text = to_wasm(&mut store, Js::string(import.name()))?;
            let constant = Global::new(&mut store, ty, text.into())?;
            linker.define("S", import.name(), constant)?;
        }
        linker.define_unknown_imports_as_traps(module)?;
        let instance = linker.instantiate(&mut store, module)?;

        let main = instance.typed_func::<Rooted<ExternRef>, ()>(&mut store, "$invokeMain")?;
        let mut scope = RootScope::new(&mut store);
        let Some(arguments) = to_wasm(&mut scope, Js::array(Vec::new()))? else { bail!("an array is no null") };
        main.call(&mut scope, arguments)?;
        drop(scope);
        Ok(Formatter { store, instance })
    }

    /// Formats a source text; what is wrong with the text comes back as the inner error.
    ///
    /// # Errors
    ///
    /// When the guest traps.
    pub fn format(&mut self, source: &str) -> Result<core::result::Result<String, String>> {
        let Some(closure) = self.store.data().format else { bail!("main has not published `format`") };
        let format =
            self.instance.typed_func::<(Option<Rooted<AnyRef>>, i32, External, External, External), External>(
                &mut self.store,
                "_186",
            )?;
        let mut scope = RootScope::new(&mut self.store);
        let closure = lambdas::closure(&mut scope, closure)?;
        let closure = AnyRef::convert_extern(&mut scope, closure)?;
        let text = to_wasm(&mut scope, Js::string(source))?;
        let name = to_wasm(&mut scope, Js::string("stdin.dart"))?;
        let options = to_wasm(&mut scope, Js::string(r#"{"lineEnding":"\n"}"#))?;
        let result = format.call(&mut scope, (Some(closure), 3, text, name, options))?;
        let result = from_wasm(&mut scope, result)?;
        let text = |property| result.get(property).and_then(|value| value.to_text());
        match result.get("success")? {
            Js::Bool(true) => Ok(Ok(text("code")?)),
            _ => Ok(Err(text("error")?)),
        }
    }

    /// Figures of its heap.
    pub fn gc_stats(&self) -> heapwright::GcStats {
        self.store.gc_stats()
    }
}
