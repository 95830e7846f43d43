//! The words that compiled code shares with the collector.

use crate::side::NUM_SIDE_TABLES;

/// Number of append buffers that a collector may declare.
pub const NUM_BUFFERS: usize = 2;

/// Number of barrier programs that a collector may declare.
pub const NUM_PROGRAMS: usize = 5;

/// Number of classes of cells that a collector may declare.
pub const NUM_CLASSES: usize = 16;

/// An append buffer of 32-bit words, filled by compiled barriers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Next free word; host pointer.
    pub next: *mut u32,
    /// One past the last word; host pointer. `next == end` means full.
    pub end: *mut u32,
}

/// What one barrier program did. Counted by the interpreter always, by compiled code when it was compiled to count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BarrierCount {
    /// Times it ran; elided barriers do not.
    pub runs: u64,
    /// Words that it appended to buffers.
    pub appends: u64,
    /// Slow paths that it called.
    pub calls: u64,
}

impl BarrierCount {
    /// Adds what another run did.
    pub fn add(&mut self, other: BarrierCount) {
        self.runs += other.runs;
        self.appends += other.appends;
        self.calls += other.calls;
    }
}

/// Allocation and barrier state, one per heap. Compiled code reads and writes it at fixed offsets; it lives
/// inside the store's context and does not move while the heap exists.
#[repr(C)]
#[derive(Debug)]
pub struct MutatorState {
    /// Heap offset of the next free byte of the current bump region; a multiple of 8.
    pub cursor: u32,
    /// Heap offset that an inline allocation's end must not exceed. At most 4 GiB less the inline limit, so
    /// that `cursor + size` cannot wrap. Equal to 0 while every allocation must take the slow path (zeal).
    ///
    /// Of a collector with free lists: the number of 8-byte granules after the null page in which a cell may start that
    /// is taken inline.
    pub limit: u32,
    /// Words that belong to the collector.
    pub collector: [u32; 4],
    /// Append buffers.
    pub buffers: [Buffer; NUM_BUFFERS],
    /// What the barrier programs did, in the order of [`Barriers::PLACES`](crate::Barriers::PLACES).
    pub barriers: [BarrierCount; NUM_PROGRAMS],
    /// Bytes after the null page that are committed. Code that must not fault compares with it before each access to
    /// the heap (and with what follows from it, to a side table).
    pub usable: u64,
    /// Host addresses of the side tables. Set before any code runs, and never changed.
    pub side: [*mut u8; NUM_SIDE_TABLES],
    /// The first free cell of each class; 0 where there is none.
    pub free: [u32; NUM_CLASSES],
}

impl Default for MutatorState {
    fn default() -> Self {
        let empty = Buffer { next: core::ptr::null_mut(), end: core::ptr::null_mut() };
        MutatorState {
            cursor: 0,
            limit: 0,
            collector: [0; 4],
            buffers: [empty; NUM_BUFFERS],
            barriers: [BarrierCount::default(); NUM_PROGRAMS],
            usable: 0,
            side: [core::ptr::null_mut(); NUM_SIDE_TABLES],
            free: [0; NUM_CLASSES],
        }
    }
}
