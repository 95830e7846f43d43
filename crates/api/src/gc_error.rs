//! What can be wrong with the host's use of a GC value.

use crate::StringEncoding;
use crate::store::StoreOpaque;
use heapwright_gc_heap::{BadReference, HeapCorrupted};
use std::fmt;

/// Why an operation on a GC value was refused. Nothing has been changed then.
///
/// Operations of this crate return [`Error`](crate::Error), which carries it: `error.downcast_ref::<GcError>()`. That
/// the heap is full is [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory) instead.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GcError {
    /// The root's scope has ended, or its owner was dropped.
    DeadRoot,
    /// The root, function, tag or prepared allocator belongs to another store.
    WrongStore,
    /// The type or accessor belongs to another engine than the store.
    WrongEngine,
    /// A value, an element type or an object has another type than is needed.
    TypeMismatch {
        /// What is needed.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A struct or an exception was given too few or too many values.
    ValueCount {
        /// How many it has.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// There is no such field.
    NoSuchField {
        /// The index asked for.
        index: usize,
        /// How many fields there are.
        fields: usize,
    },
    /// A range of elements is not within the array.
    OutOfBounds {
        /// Index of the first element asked for.
        start: u32,
        /// How many elements were asked for.
        count: u64,
        /// The array's length, in elements.
        length: u32,
    },
    /// The field can be written only when its struct is made.
    ImmutableField {
        /// Its index.
        index: usize,
    },
    /// The elements can be written only when their array is made.
    ImmutableElements,
    /// The value fits a packed field neither as a signed nor as an unsigned number. Mask it to keep its low bits.
    PackedRange {
        /// The value.
        value: i32,
        /// Bits of the field: 8 or 16.
        bits: u32,
    },
    /// Elements, or a string, are no text in this encoding.
    Encoding {
        /// The encoding.
        encoding: StringEncoding,
        /// Index of the element, or offset in bytes of the character, that has no counterpart.
        at: usize,
    },
    /// More elements than an array can have.
    TooLong {
        /// How many.
        elements: usize,
    },
    /// The GC heap holds something that the engine never wrote. The store cannot be used any more.
    Corrupted(HeapCorrupted),
    /// The GC heap could not be made: the system or the limiter refused.
    NoHeap(String),
}

impl fmt::Display for GcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GcError::DeadRoot => f.write_str("the root's scope has ended: it can no longer be used"),
            GcError::WrongStore => f.write_str("object used with the wrong store"),
            GcError::WrongEngine => f.write_str("the type belongs to another engine"),
            GcError::TypeMismatch { expected, found } => write!(f, "type mismatch: expected {expected}, found {found}"),
            GcError::ValueCount { expected, found } => write!(f, "expected {expected} values, found {found}"),
            GcError::NoSuchField { index, fields } => write!(f, "the struct has {fields} fields, no field {index}"),
            GcError::OutOfBounds { start, count: 1, length } => {
                write!(f, "index out of bounds: element {start} of an array of {length}")
            }
            GcError::OutOfBounds { start, count, length } => {
                write!(f, "index out of bounds: {count} elements from {start} of an array of {length}")
            }
            GcError::ImmutableField { index } => write!(f, "field {index} is immutable"),
            GcError::ImmutableElements => f.write_str("the array's elements are immutable"),
            GcError::PackedRange { value, bits } => write!(f, "{value} does not fit a packed field of {bits} bits"),
            GcError::Encoding { encoding, at } => write!(f, "no {encoding} text: position {at}"),
            GcError::TooLong { elements } => write!(f, "{elements} elements are more than an array can have"),
            GcError::Corrupted(e) => e.fmt(f),
            GcError::NoHeap(why) => write!(f, "the GC heap could not be made: {why}"),
        }
    }
}

impl std::error::Error for GcError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            GcError::Corrupted(e) => Some(e),
            _ => None,
        }
    }
}

impl GcError {
    pub(crate) fn mismatch(expected: impl fmt::Display, found: impl fmt::Display) -> GcError {
        GcError::TypeMismatch { expected: expected.to_string(), found: found.to_string() }
    }
}

impl StoreOpaque {
    /// What a reference that could not be followed means. A typed root names an object of its kind, unless the heap is
    /// corrupted: then the store is poisoned.
    #[cold]
    pub(crate) fn bad_reference(&mut self, error: BadReference) -> GcError {
        match error {
            BadReference::Null => GcError::mismatch("an object", "null"),
            BadReference::WrongKind => GcError::mismatch("an object of the type", "an object of another type"),
            BadReference::OutOfBounds => GcError::OutOfBounds { start: 0, count: 0, length: 0 },
            BadReference::Corrupted(e) => self.corrupted(e),
        }
    }

    /// Poisons the store.
    #[cold]
    pub(crate) fn corrupted(&mut self, found: HeapCorrupted) -> GcError {
        self.vm.poison();
        GcError::Corrupted(found)
    }
}
