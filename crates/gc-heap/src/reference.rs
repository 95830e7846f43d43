//! References: null, i31 or object offset, in 32 bits.

/// A reference as it stands in the heap, in a global, in a table or in a stack slot.
///
/// | bits | meaning |
/// |---|---|
/// | `0` | null |
/// | `…1` | an i31: the value is in the upper 31 bits |
/// | otherwise | byte offset of an object in the heap, a multiple of 8 |
///
/// Any 32-bit pattern is a valid `GcRef` value: what an offset points at is checked by whoever follows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct GcRef(u32);

impl GcRef {
    /// The null reference.
    pub const NULL: GcRef = GcRef(0);

    /// A reference with exactly these bits.
    #[inline]
    pub const fn from_raw(bits: u32) -> GcRef {
        GcRef(bits)
    }

    /// The bits, as they stand in the heap.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// An i31 from the low 31 bits of `value` (`ref.i31`).
    #[inline]
    pub const fn i31(value: u32) -> GcRef {
        GcRef(value << 1 | 1)
    }

    /// Whether this is null.
    #[inline]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Whether this is an i31.
    #[inline]
    pub const fn is_i31(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether this points at an object (neither null nor an i31).
    #[inline]
    pub const fn is_object(self) -> bool {
        self.0 != 0 && self.0 & 1 == 0
    }

    /// The object's offset in the heap, unless this is null or an i31. It may be misaligned or out of
    /// bounds when the heap is corrupted.
    #[inline]
    pub const fn offset(self) -> Option<u32> {
        if self.is_object() { Some(self.0) } else { None }
    }

    /// The zero-extended i31 value (`i31.get_u`), when this is an i31.
    #[inline]
    pub const fn i31_u(self) -> Option<u32> {
        if self.is_i31() { Some(self.0 >> 1) } else { None }
    }

    /// The sign-extended i31 value (`i31.get_s`), when this is an i31.
    #[inline]
    pub const fn i31_s(self) -> Option<i32> {
        if self.is_i31() { Some(self.0 as i32 >> 1) } else { None }
    }
}

impl core::fmt::Debug for GcRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self.is_null(), self.i31_s()) {
            (true, _) => f.write_str("null"),
            (_, Some(value)) => write!(f, "i31({value})"),
            _ => write!(f, "@{:#x}", self.0),
        }
    }
}
