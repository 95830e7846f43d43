//! Why something could not be had.

use heapwright_gc_heap::MemoryError;
use std::error::Error;
use std::fmt;

/// All of a pool's slots of one kind are in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConcurrencyLimitError {
    /// What the slots are for.
    pub kind: &'static str,
    /// How many there are.
    pub limit: u32,
}

impl fmt::Display for PoolConcurrencyLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maximum concurrent {} limit of {} reached", self.kind, self.limit)
    }
}

impl Error for PoolConcurrencyLimitError {}

/// Why something could not be had.
#[derive(Debug)]
pub enum ResourceError {
    /// The system refused, or a limit of this implementation was reached.
    Memory(MemoryError),
    /// The pool is used up for now.
    Exhausted(PoolConcurrencyLimitError),
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceError::Memory(e) => e.fmt(f),
            ResourceError::Exhausted(e) => e.fmt(f),
        }
    }
}

impl Error for ResourceError {}

impl From<MemoryError> for ResourceError {
    fn from(e: MemoryError) -> Self {
        ResourceError::Memory(e)
    }
}

impl From<PoolConcurrencyLimitError> for ResourceError {
    fn from(e: PoolConcurrencyLimitError) -> Self {
        ResourceError::Exhausted(e)
    }
}
