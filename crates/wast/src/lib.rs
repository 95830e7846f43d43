//! Runs WebAssembly specification scripts (`.wast`) on Heapwright.
//!
//! ```
//! use heapwright_wast::{Options, run_script};
//!
//! # fn main() -> heapwright::Result<()> {
//! let script = r#"
//!     (module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
//!     (assert_return (invoke "add" (i32.const 2) (i32.const 2)) (i32.const 5))
//! "#;
//! let summary = run_script(&Options::default(), "add.wast", script)?;
//! assert_eq!((summary.passed, summary.failed), (1, 1));
//! assert_eq!(summary.failures[0].to_string(), "add.wast:3:6: expected i32:5, got i32:4");
//! # Ok(())
//! # }
//! ```
//!
//! # What counts
//!
//! Each directive is counted once, in one of four places of the [`Summary`]: it *passed*, it *failed*, it was *skipped*
//! (with a reason), or it was *validator only*: an `assert_invalid` or `assert_malformed` that passed. Those say much
//! of the validator and the text parser and nothing of the engine, so they do not swell the number of passes.
//!
//! A failed directive does not end a script. When a module fails, the directives that need its instance fail too. When
//! the engine panics, that directive fails, and so does every later one that would touch the store.
//!
//! # What scripts can import
//!
//! The specification's `spectest` (its functions, globals, memory and two tables) and, from module `wasmtime`, a
//! function `gc` that forces a collection.
//!
//! # Messages
//!
//! The message of `assert_trap`, `assert_exhaustion` and `assert_unlinkable` is compared: one of the expected and the
//! actual text has to begin with the other. With [`Dialect::OtherEngines`], what other engines say of the same traps is
//! accepted too. The messages of `assert_invalid` and `assert_malformed` are not: the specification leaves them open.

#![forbid(unsafe_code)]

mod bindings;
mod dialect;
mod encode;
mod options;
mod pattern;
mod runner;
mod spectest;
mod summary;
mod values;

pub use dialect::Dialect;
pub use options::Options;
pub use runner::run_script;
pub use summary::{Failure, Skip, Summary};
