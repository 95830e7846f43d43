//! Tests that run what was compiled, with just enough of a machine around it.

mod exec;
mod listing;
mod modules;
mod stubs;

use super::{Compiler, Settings};
use heapwright_gc_heap::{AllocSpec, Barriers, Moves, Spec};

/// A declaration without barriers, whose objects stay where they are.
pub(super) static SPEC: Spec = Spec {
    name: "test",
    summary: "for the compiler's own tests",
    cites: &[],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::Never,
    needs_roots: true,
    inline_limit: 4096,
};

/// A compiler with the verifier on.
pub(super) fn compiler() -> Compiler {
    Compiler::new(Settings { verify: true, ..Settings::default() }, &SPEC).expect("this machine is supported")
}
