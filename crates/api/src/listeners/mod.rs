//! Listeners of heap events: a log, a timeline, a recorder of figures. Give one, or several behind [`Fanout`], to
//! [`Store::set_event_sink`](crate::Store::set_event_sink). A heap without listener does not even build its events.

mod log;
mod recorder;
mod timeline;

pub use log::GcLog;
pub use recorder::{GcFigures, Recorder};
pub use timeline::Timeline;

use crate::{Cause, Event, EventSink};

/// Hands each event to several listeners, in order.
#[derive(Default)]
pub struct Fanout(Vec<Box<dyn EventSink>>);

impl Fanout {
    /// No listeners yet.
    pub fn new() -> Fanout {
        Fanout::default()
    }

    /// One more listener.
    pub fn add(&mut self, sink: impl EventSink + 'static) -> &mut Self {
        self.0.push(Box::new(sink));
        self
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl EventSink for Fanout {
    fn event(&mut self, event: &Event) {
        for sink in &mut self.0 {
            sink.event(event);
        }
    }
}

impl std::fmt::Debug for Fanout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fanout({} listeners)", self.0.len())
    }
}

/// A cause in words.
fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::AllocationFailure => "Allocation Failure",
        Cause::Explicit => "Explicit",
        Cause::Zeal => "Zeal",
        Cause::Internal => "Internal",
        Cause::LastResort => "Last Resort",
    }
}

/// Megabytes as collectors' logs print them.
fn mebibytes(bytes: u64) -> String {
    if bytes < 10 << 20 { format!("{}K", bytes >> 10) } else { format!("{}M", bytes >> 20) }
}
