//! The heap, exercised through its public interface with a collector that never frees.
#![allow(missing_docs, unreachable_pub, reason = "tests, which nobody imports")]

mod barriers;
mod common;
mod declared;
mod forged;
mod heap;
mod host;
mod layouts;
mod memory;
mod objects;
mod space;
mod types;
mod verify;
