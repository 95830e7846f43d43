//! Host values that are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A host value that counts its end.
pub(crate) struct Token {
    /// Which one it is.
    pub(crate) number: u64,
    /// How many have ended.
    pub(crate) drops: Arc<AtomicU64>,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}
