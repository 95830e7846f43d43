//! The conformance kit: heap programs run against every registered collector.
//!
//! A new collector needs no test of its own to be tested here: each scenario goes through the registry. What a scenario
//! may demand of a collector follows from its declaration only: one that declares `needs_roots: false` never frees,
//! and is excused from reclaiming.
//!
//! - [`random`]: random programs against a model in plain Rust; the reachable graphs must be isomorphic.
//! - [`shapes`]: what collectors get wrong: deep lists, cycles, wide objects, large arrays.
//! - [`churn`]: much garbage in a small heap.
//! - [`growth`]: tiny heaps, objects that do not fit, recovery from out-of-memory.
//! - [`hosts`]: host values are dropped when their box dies, and not before.
//! - [`forged`]: corrupted heaps give an error, never a panic or an endless loop.
//! - [`declared`]: the declarations are well-formed and mean what they say.
//! - [`elisions`]: a store that may go without its barrier loses nothing; [`snapshot`] is a collector where it would.

mod churn;
mod declared;
mod elisions;
mod forged;
mod growth;
mod hosts;
mod model;
mod random;
mod shapes;
mod snapshot;
mod world;
