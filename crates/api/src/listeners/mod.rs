//! Listeners of events: a log, a timeline, a recorder of figures. Give one, or several behind [`Fanout`], to
//! [`Config::event_sink`](crate::Config::event_sink) or [`Store::set_event_sink`](crate::Store::set_event_sink).
//! Without a listener events are not even built.
//!
//! ```
//! use heapwright::listeners::{Fanout, GcLog, Recorder};
//! use heapwright::{Config, Engine, Instance, Module, Store};
//!
//! # fn main() -> heapwright::Result<()> {
//! let recorder = Recorder::new();
//! let mut listeners = Fanout::new();
//! listeners.add(GcLog::new(std::io::stderr())).add(recorder.clone());
//! let engine = Engine::new(Config::new().event_sink(listeners))?;
//! let module = Module::new(&engine, "(module (type $t (struct)) (func $f (drop (struct.new $t))) (start $f))")?;
//! let mut store = Store::new(&engine, ())?;
//! Instance::new(&mut store, &module, &[])?;
//! store.gc(None)?;
//! let figures = recorder.figures(&store.gc_stats());
//! assert_eq!((figures.collections, figures.modules_compiled, figures.instances), (1, 1, 1));
//! # Ok(())
//! # }
//! ```

mod log;
mod recorder;
mod shared;
mod timeline;

pub use log::GcLog;
pub use recorder::{GcFigures, PhaseFigures, Recorder};
pub use shared::Shared;
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
