//! One listener for an engine and all its stores.

use crate::{Event, EventSink};
use std::sync::{Arc, Mutex, PoisonError};

/// A listener that several can tell of events, from any thread. Clones are handles of the same listener.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<dyn EventSink>>);

impl Shared {
    /// A handle of `sink`.
    pub fn new(sink: impl EventSink + 'static) -> Shared {
        Shared(Arc::new(Mutex::new(sink)))
    }

    /// Tells the listener; waits while another thread does.
    pub fn tell(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).event(event);
    }
}

impl EventSink for Shared {
    fn event(&mut self, event: &Event) {
        self.tell(event);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared(..)")
    }
}
