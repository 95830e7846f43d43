//! What the end of a guest means for the command.

use super::host::Host;
use crate::args::RunArgs;
use crate::failure::Failure;
use heapwright::{Error, GcHeapOutOfMemory, LinkError, Store, ThrownException, Trap, Val, WasmBacktrace};
use heapwright_wasi::Exit;
use std::fmt::Display;
use std::io;

/// Instantiation failed: because the module does not fit, or because code ran and failed.
pub(crate) fn of_instantiation(args: &RunArgs, store: &mut Store<Host>, error: Error) -> Result<u8, Failure> {
    let ran = error.is::<Trap>()
        || error.is::<GcHeapOutOfMemory>()
        || error.is::<ThrownException>()
        || error.is::<Exit>()
        || error.is::<WasmBacktrace>();
    if ran {
        return of_call(args, store, error);
    }
    let file = args.file().display();
    match error.downcast_ref::<LinkError>() {
        Some(link) => Err(Failure::unusable(format_args!("cannot link {file}: {link}"))),
        None => Err(Failure::unusable(format_args!("cannot instantiate {file}: {error:#}"))),
    }
}

/// A call of the guest ended with an error, which may be that the guest asked for its end.
pub(crate) fn of_call(args: &RunArgs, store: &mut Store<Host>, error: Error) -> Result<u8, Failure> {
    if let Some(exit) = error.downcast_ref::<Exit>() {
        // More than a process can say must not look like success.
        return Ok(u8::try_from(exit.status()).unwrap_or(u8::MAX));
    }
    let file = args.file().display();
    let with = |what: &dyn Display, backtrace: Option<&WasmBacktrace>| {
        let trace = backtrace.filter(|b| !b.frames().is_empty());
        let trace = trace.map_or_else(String::new, |b| format!("\n{b}"));
        Err(Failure::guest(format_args!("{file}: {what}{trace}")))
    };
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return with(&format_args!("trap: {trap}"), Some(trap.backtrace()));
    }
    if let Some(full) = error.downcast_ref::<GcHeapOutOfMemory>() {
        return with(full, Some(&full.backtrace));
    }
    if let Some(thrown) = error.downcast_ref::<ThrownException>() {
        return with(&format_args!("uncaught exception{}", payload(store, thrown)), Some(thrown.backtrace()));
    }
    match error.downcast::<io::Error>() {
        // From `print_char`: its output has no destination any more.
        Ok(e) => Err(e.into()),
        Err(error) => with(&error.root_cause(), error.downcast_ref()),
    }
}

/// The values that an exception carries, as far as they can be shown.
fn payload(store: &mut Store<Host>, thrown: &ThrownException) -> String {
    let fields = thrown.exception().to_rooted(&mut *store).and_then(|exception| exception.fields(&mut *store));
    let shown: Vec<String> = fields.unwrap_or_default().iter().map(show).collect();
    if shown.is_empty() { String::new() } else { format!(" with {}", shown.join(", ")) }
}

/// A value for people to read; one that is a number is only that.
pub(crate) fn show(value: &Val) -> String {
    match value {
        Val::I32(v) => v.to_string(),
        Val::I64(v) => v.to_string(),
        Val::F32(v) => f32::from_bits(*v).to_string(),
        Val::F64(v) => f64::from_bits(*v).to_string(),
        Val::V128(v) => format!("{:#034x}", v.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => "null".to_owned(),
        Val::FuncRef(Some(_)) => "(function)".to_owned(),
        Val::ExternRef(Some(_)) => "(external reference)".to_owned(),
        Val::AnyRef(Some(_)) => "(reference)".to_owned(),
        Val::ExnRef(Some(_)) => "(exception)".to_owned(),
    }
}
