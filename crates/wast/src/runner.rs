//! Running the directives of a script.

use crate::bindings::Bindings;
use crate::dialect::{Dialect, says};
use crate::{Failure, Options, Skip, Summary, encode, pattern, spectest, values};
use heapwright::{
    AsContextMut, Engine, Error, GcHeapOutOfMemory, Instance, LinkError, Module, Result, RootScope, Store,
    ThrownException, Trap, Val,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wast::parser;
use wast::token::{Id, Span};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, Wat};

/// Runs a script in an engine and a store of its own.
///
/// A script that cannot be parsed is one failure.
///
/// # Errors
///
/// When the options make no sense as a configuration, or no engine or store can be made.
pub fn run_script(options: &Options, name: &str, contents: &str) -> Result<Summary> {
    let engine = Engine::new(&options.config()?)?;
    let mut store = Store::new(&engine, ())?;
    let hosts = spectest::hosts(&engine, &mut store, options)?;

    let (text, any_is_exn) = encode::without_exn_patterns(contents);
    let mut summary = Summary::default();
    let position = |span: Span| {
        let (line, col) = span.linecol_in(contents);
        (line + 1, col + 1)
    };
    let unparsed = |e: wast::Error| {
        let (line, col) = position(e.span());
        Failure { file: name.to_owned(), line, col, expected: "a script".to_owned(), got: e.message() }
    };
    let directives = encode::buffer(&text).and_then(|buffer| {
        let directives = parser::parse::<Wast<'_>>(&buffer)?.directives;
        let mut runner = Runner {
            engine: &engine,
            store,
            bindings: Bindings::new(hosts, options.dialect),
            any_is_exn,
            dialect: options.dialect,
            abandoned: None,
        };
        for directive in directives {
            let (line, col) = position(directive.span());
            let file = name.to_owned();
            match runner.guarded(directive, line) {
                Ok(Done::Ran) => summary.passed += 1,
                Ok(Done::Validated) => summary.validator_only += 1,
                Ok(Done::Skipped(reason)) => {
                    summary.skipped += 1;
                    summary.skips.push(Skip { file, line, reason: reason.to_owned() });
                }
                Err(Mismatch { expected, got }) => {
                    summary.failed += 1;
                    summary.failures.push(Failure { file, line, col, expected, got });
                }
            }
        }
        Ok(())
    });
    if let Err(e) = directives {
        summary.failed += 1;
        summary.failures.push(unparsed(e));
    }
    Ok(summary)
}

/// What became of a directive that did not fail.
enum Done {
    /// It did what it says.
    Ran,
    /// So it did, and nothing ran.
    Validated,
    /// It was not run, for this reason.
    Skipped(&'static str),
}

/// Why a directive failed.
struct Mismatch {
    expected: String,
    got: String,
}

impl Mismatch {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Mismatch {
        Mismatch { expected: expected.into(), got: got.into() }
    }
}

/// What execution ended with: values, or the engine's error.
type Ended = Result<Vec<Val>>;

const COMPONENT: &str = "the component model is not supported";
const THREADS: &str = "threads are not supported";

struct Runner<'e> {
    engine: &'e Engine,
    store: Store<()>,
    bindings: Bindings,
    any_is_exn: bool,
    dialect: Dialect,
    /// The line on which the engine panicked: what it left behind is not to be used.
    abandoned: Option<usize>,
}

impl Runner<'_> {
    /// Runs a directive. A panic is a failure.
    fn guarded(&mut self, directive: WastDirective<'_>, line: usize) -> Result<Done, Mismatch> {
        let uses_store = !matches!(
            directive,
            WastDirective::AssertMalformed { .. }
                | WastDirective::AssertInvalid { .. }
                | WastDirective::AssertMalformedCustom { .. }
                | WastDirective::AssertInvalidCustom { .. }
        );
        if let Some(line) = self.abandoned.filter(|_| uses_store) {
            return Err(Mismatch::new("a usable store", format!("one abandoned after the panic on line {line}")));
        }
        catch_unwind(AssertUnwindSafe(|| self.directive(directive, line))).unwrap_or_else(|payload| {
            if uses_store {
                self.abandoned = Some(line);
            }
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
            Err(Mismatch::new("no panic", format!("a panic: {text}")))
        })
    }

    fn directive(&mut self, directive: WastDirective<'_>, line: usize) -> Result<Done, Mismatch> {
        match directive {
            WastDirective::Module(mut source) => {
                if encode::is_component(&source) {
                    return Ok(Done::Skipped(COMPONENT));
                }
                let name = source.name();
                let instance = self.compile(&mut source).and_then(|module| self.instantiate(&module));
                self.bind(name, instance, line)
            }
            WastDirective::ModuleDefinition(mut source) => {
                if encode::is_component(&source) {
                    return Ok(Done::Skipped(COMPONENT));
                }
                let module = self.compile(&mut source)?;
                self.bindings.define(source.name(), module);
                Ok(Done::Ran)
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let module = self.bindings.definition(module).map_err(|e| Mismatch::new("a module", e));
                let made = module.and_then(|module| self.instantiate(&module));
                self.bind(instance, made, line)
            }
            WastDirective::Register { name, module, .. } => {
                let instance = self.bindings.instance(module).map_err(|e| Mismatch::new("an instance", e))?;
                self.bindings.register(name, instance);
                Ok(Done::Ran)
            }
            WastDirective::Invoke(invoke) => self.run(WastExecute::Invoke(invoke), |_, _, ended| match ended {
                Ok(_) => Ok(Done::Ran),
                Err(e) => Err(Mismatch::new("a return", describe(e))),
            }),
            WastDirective::AssertReturn { exec, results, .. } => self.run(exec, |store, any_is_exn, ended| {
                let values = match ended {
                    Ok(values) => values,
                    Err(e) => return Err(Mismatch::new(pattern::show_all(&results), describe(e))),
                };
                let matched = pattern::matches(store, values, &results, any_is_exn)
                    .map_err(|e| Mismatch::new("a pattern that can be tested", e))?;
                if matched {
                    return Ok(Done::Ran);
                }
                Err(Mismatch::new(pattern::show_all(&results), values::show_all(store, values)))
            }),
            WastDirective::AssertTrap { exec, message, .. } => self.expect_trap(exec, message),
            WastDirective::AssertExhaustion { call, message, .. } => {
                self.expect_trap(WastExecute::Invoke(call), message)
            }
            WastDirective::AssertException { exec, .. } => self.run(exec, |store, _, ended| match ended {
                Err(e) if e.is::<ThrownException>() => Ok(Done::Ran),
                other => Err(Mismatch::new("an exception", describe_end(store, other))),
            }),
            WastDirective::AssertUnlinkable { module, message, .. } => self.expect_unlinkable(module, message),
            WastDirective::AssertMalformed { module, message, .. }
            | WastDirective::AssertInvalid { module, message, .. } => self.expect_rejected(module, message),
            WastDirective::AssertMalformedCustom { module, message, .. }
            | WastDirective::AssertInvalidCustom { module, message, .. } => {
                // The specification lets an engine ignore custom sections, and this one does.
                self.expect_rejected(module, message).or(Ok(Done::Skipped("custom sections are not validated")))
            }
            WastDirective::AssertSuspension { .. } => Ok(Done::Skipped("stack switching is not supported")),
            WastDirective::Thread(_) | WastDirective::Wait { .. } => Ok(Done::Skipped(THREADS)),
        }
    }

    /// Compiles a module of the script.
    fn compile(&self, source: &mut QuoteWat<'_>) -> Result<Module, Mismatch> {
        let bytes = encode::module(source).map_err(|e| Mismatch::new("a module", e))?;
        Module::from_binary(self.engine, &bytes).map_err(|e| Mismatch::new("a module", format!("{e:#}")))
    }

    fn instantiate(&mut self, module: &Module) -> Result<Instance, Mismatch> {
        let mut store = RootScope::new(&mut self.store);
        self.bindings.instantiate(&mut store, module).map_err(|e| Mismatch::new("an instance", describe(&e)))
    }

    /// Makes an instance, or the lack of one, current.
    fn bind(
        &mut self,
        name: Option<Id<'_>>,
        instance: Result<Instance, Mismatch>,
        line: usize,
    ) -> Result<Done, Mismatch> {
        match instance {
            Ok(instance) => {
                self.bindings.bind(name, instance);
                Ok(Done::Ran)
            }
            Err(mismatch) => {
                self.bindings.bind_failed(name, line);
                Err(mismatch)
            }
        }
    }

    /// Executes, and lets `judge` say whether that was right. References live until it has.
    fn run(
        &mut self,
        exec: WastExecute<'_>,
        judge: impl FnOnce(&mut RootScope<&mut Store<()>>, bool, &Result<Vec<Val>>) -> Result<Done, Mismatch>,
    ) -> Result<Done, Mismatch> {
        if matches!(exec, WastExecute::Wat(Wat::Component(_))) {
            return Ok(Done::Skipped(COMPONENT));
        }
        let mut store = RootScope::new(&mut self.store);
        let ended = execute(self.engine, &self.bindings, &mut store, exec)?;
        judge(&mut store, self.any_is_exn, &ended)
    }

    fn expect_trap(&mut self, exec: WastExecute<'_>, message: &str) -> Result<Done, Mismatch> {
        let dialect = self.dialect;
        self.run(exec, |store, _, ended| match ended {
            Err(e) if e.downcast_ref::<Trap>().is_some_and(|t| dialect.is_trap(t, message)) => Ok(Done::Ran),
            // To a script, that memory is exhausted is one more trap.
            Err(e) if e.downcast_ref::<GcHeapOutOfMemory>().is_some_and(|t| says(&t.to_string(), message)) => {
                Ok(Done::Ran)
            }
            other => Err(Mismatch::new(format!("trap: {message}"), describe_end(store, other))),
        })
    }

    fn expect_unlinkable(&mut self, module: Wat<'_>, message: &str) -> Result<Done, Mismatch> {
        if matches!(module, Wat::Component(_)) {
            return Ok(Done::Skipped(COMPONENT));
        }
        let dialect = self.dialect;
        let module = self.compile(&mut QuoteWat::Wat(module))?;
        let mut store = RootScope::new(&mut self.store);
        match self.bindings.instantiate(&mut store, &module) {
            Err(e) if e.downcast_ref::<LinkError>().is_some_and(|l| dialect.is_link_error(l, message)) => Ok(Done::Ran),
            // Other engines call a segment that does not fit a link error.
            Err(e) if dialect.is_foreign() && e.downcast_ref::<Trap>().is_some_and(|t| dialect.is_trap(t, message)) => {
                Ok(Done::Ran)
            }
            Err(e) => Err(Mismatch::new(format!("link error: {message}"), describe(&e))),
            Ok(_) => Err(Mismatch::new(format!("link error: {message}"), "an instance")),
        }
    }

    /// The text parser, or else the engine, must refuse the module; both of the engine's ways in.
    fn expect_rejected(&self, mut source: QuoteWat<'_>, message: &str) -> Result<Done, Mismatch> {
        if encode::is_component(&source) {
            return Ok(Done::Skipped(COMPONENT));
        }
        let Ok(bytes) = encode::module(&mut source) else { return Ok(Done::Validated) };
        let accepted = |by: &str| Mismatch::new(format!("a module rejected: {message}"), format!("{by} accepts it"));
        if Module::validate(self.engine, &bytes).is_ok() {
            return Err(accepted("the validator"));
        }
        if Module::from_binary(self.engine, &bytes).is_ok() {
            return Err(accepted("the compiler"));
        }
        Ok(Done::Validated)
    }
}

/// Executes: the inner result is how it ended. The outer error is a script's: there is nothing to execute.
fn execute(
    engine: &Engine,
    bindings: &Bindings,
    store: &mut RootScope<&mut Store<()>>,
    exec: WastExecute<'_>,
) -> Result<Ended, Mismatch> {
    match exec {
        WastExecute::Invoke(call) => invoke(bindings, store, &call),
        WastExecute::Get { module, global, .. } => {
            let instance = bindings.instance(module).map_err(|e| Mismatch::new("an instance", e))?;
            let found = instance.get_global(&mut *store, global);
            let found = found.ok_or_else(|| Mismatch::new(format!("a global {global:?}"), "no such export"))?;
            Ok(found.get(store).map(|value| vec![value]))
        }
        WastExecute::Wat(mut module) => {
            let bytes = module.encode().map_err(|e| Mismatch::new("a module", e.message()))?;
            let module = Module::from_binary(engine, &bytes);
            let module = module.map_err(|e| Mismatch::new("a module", format!("{e:#}")))?;
            Ok(bindings.instantiate(store, &module).map(|_| Vec::new()))
        }
    }
}

fn invoke(
    bindings: &Bindings,
    store: &mut RootScope<&mut Store<()>>,
    call: &WastInvoke<'_>,
) -> Result<Ended, Mismatch> {
    let instance = bindings.instance(call.module).map_err(|e| Mismatch::new("an instance", e))?;
    let func = instance.get_func(&mut *store, call.name);
    let func = func.ok_or_else(|| Mismatch::new(format!("a function {:?}", call.name), "no such export"))?;
    let ty = func.ty(&*store);
    let params: Vec<_> = ty.params().collect();
    if params.len() != call.args.len() {
        return Err(Mismatch::new(format!("{} arguments", params.len()), format!("{}", call.args.len())));
    }
    let mut args = Vec::with_capacity(params.len());
    for (arg, param) in call.args.iter().zip(&params) {
        args.push(values::argument(store, arg, param).map_err(|e| Mismatch::new(format!("an {param}"), e))?);
    }
    let mut results = vec![Val::I32(0); ty.results().len()];
    Ok(func.call(store, &args, &mut results).map(|()| results))
}

/// An error of the engine for people to read.
fn describe(error: &Error) -> String {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return format!("trap: {trap}");
    }
    if error.is::<ThrownException>() {
        return "an exception".to_owned();
    }
    if let Some(e) = error.downcast_ref::<LinkError>() {
        return format!("link error: {e}");
    }
    if let Some(e) = error.downcast_ref::<GcHeapOutOfMemory>() {
        return e.to_string();
    }
    format!("error: {error:#}")
}

fn describe_end(store: &mut impl AsContextMut, ended: &Ended) -> String {
    match ended {
        Ok(results) => values::show_all(store, results),
        Err(e) => describe(e),
    }
}
