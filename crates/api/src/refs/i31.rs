//! 31-bit integers.

/// A 31-bit integer. As a reference it needs no room in the heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct I31(pub(super) u32);

impl I31 {
    /// From an unsigned value below 2³¹.
    pub fn new_u32(value: u32) -> Option<I31> {
        (value < 1 << 31).then_some(I31(value))
    }
    /// From a signed value in [-2³⁰, 2³⁰).
    pub fn new_i32(value: i32) -> Option<I31> {
        (-(1 << 30)..1 << 30).contains(&value).then_some(I31::wrapping_i32(value))
    }
    /// From the low 31 bits of a value.
    pub fn wrapping_u32(value: u32) -> I31 {
        I31(value & 0x7fff_ffff)
    }
    /// From the low 31 bits of a value.
    pub fn wrapping_i32(value: i32) -> I31 {
        I31::wrapping_u32(value as u32)
    }
    /// Zero-extended.
    pub fn get_u32(self) -> u32 {
        self.0
    }
    /// Sign-extended.
    pub fn get_i32(self) -> i32 {
        ((self.0 << 1) as i32) >> 1
    }
}
