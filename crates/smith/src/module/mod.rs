//! Modules from bytes.
//!
//! Every module is valid, ends by itself (loops and calls draw on a counter), seldom traps, and does to its objects
//! what programs do to theirs: it reads and writes fields and elements, copies and fills arrays, casts, keeps objects
//! in globals and tables, throws them. Since what can go wrong in a collector shows when a graph *changes*, about half
//! of all statements write something that a collector has to see.
//!
//! Floating-point results are used only where the bits of a NaN do not show.

mod code;
mod control;
mod digest;
mod objects;
mod patterns;
mod shape;
mod statements;
mod types;

use arbitrary::{Result, Unstructured};
use code::Code;
use shape::Shape;
use wasm_encoder as enc;

/// What to generate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Make the module count what it executes: one 64-bit counter an operation, in its memory from [`COUNTERS`] on, in
    /// the order of [`Generated::operations`].
    pub count: bool,
    /// Only what other engines have: no legacy exceptions, no collection on request.
    pub portable: bool,
}

/// Where the counters stand in memory.
pub const COUNTERS: u32 = 2 << 16;

/// A module.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The binary format. It exports `run0`, `run1`, … of type `[i32] -> [i64]`, globals `g0`, `g1`, …, the memory
    /// `memory`, and `digest` of type `[] -> [i64]`, a digest of the objects that the globals reach; it imports
    /// `host.extern: [i32] -> [externref]`, and unless [`Options::portable`] `host.collect: [] -> []`.
    pub bytes: Vec<u8>,
    /// Number of exported `run` functions.
    pub runs: u32,
    /// Number of exported globals.
    pub globals: u32,
    /// The operations that were counted, by name.
    pub operations: Vec<String>,
}

/// Makes a module of arbitrary bytes. Fewer bytes make a smaller module; no bytes make a small one.
///
/// # Errors
///
/// None that more bytes would not mend: the reader makes up for missing bytes.
pub fn generate(u: &mut Unstructured<'_>, options: Options) -> Result<Generated> {
    let shape = Shape::generate(u, options)?;
    let mut counted = Vec::new();
    let mut code = enc::CodeSection::new();
    for index in 0..shape.functions.len() as u32 {
        code.function(&Code::function(&shape, u, &mut counted, index)?);
    }
    code.function(&Code::deep(&shape, u, &mut counted)?);
    for index in 0..shape.runs() {
        code.function(&Code::run(&shape, u, &mut counted, index)?);
    }
    code.function(&digest::hash(&shape)).function(&digest::digest(&shape));
    let bytes = shape.encode(code);
    Ok(Generated { bytes, runs: shape.runs(), globals: shape.globals.len() as u32, operations: counted })
}
