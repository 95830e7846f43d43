//! Collectors that are registered nowhere: what tests bring along to see that no other part knows collectors by name,
//! that free lists work, and that faults are found.

pub mod cell_sweep;
pub mod faulty;
pub mod mark_sweep;
