//! Strings in arrays: UTF-8 and Latin-1 in `i8` elements, UTF-16 in `i16` elements.

use crate::gc_error::GcError;
use crate::{ArrayAllocator, ArrayRef, AsContextMut, Result, Rooted};
use std::fmt;

/// How an array holds text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StringEncoding {
    /// UTF-8 in `i8` elements.
    Utf8,
    /// One character up to U+00FF each in `i8` elements.
    Latin1,
    /// UTF-16 in `i16` elements.
    Utf16,
}

impl fmt::Display for StringEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StringEncoding::Utf8 => "UTF-8",
            StringEncoding::Latin1 => "Latin-1",
            StringEncoding::Utf16 => "UTF-16",
        })
    }
}

/// The elements of a string in Latin-1.
fn latin1(text: &str) -> Result<Vec<u8>, GcError> {
    let encode = |(at, c): (usize, char)| {
        u8::try_from(c).map_err(|_| GcError::Encoding { encoding: StringEncoding::Latin1, at })
    };
    text.char_indices().map(encode).collect()
}

/// The text of UTF-16 elements.
fn utf16(units: &[u16]) -> Result<String, GcError> {
    let mut text = String::with_capacity(units.len());
    let mut at = 0;
    for c in char::decode_utf16(units.iter().copied()) {
        let c = c.map_err(|_| GcError::Encoding { encoding: StringEncoding::Utf16, at })?;
        text.push(c);
        at += c.len_utf16();
    }
    Ok(text)
}

impl ArrayRef {
    /// Allocates an array that holds `text`. May collect.
    ///
    /// # Errors
    ///
    /// [`GcError::Encoding`] when a character does not exist in Latin-1, with its offset in bytes;
    /// [`GcError::TypeMismatch`] when the array type's elements are not those of the encoding; as
    /// [`from_slice`](Self::from_slice).
    pub fn new_string(
        store: impl AsContextMut,
        allocator: &impl ArrayAllocator,
        text: &str,
        encoding: StringEncoding,
    ) -> Result<Rooted<ArrayRef>> {
        match encoding {
            StringEncoding::Utf8 => ArrayRef::from_slice(store, allocator, text.as_bytes()),
            StringEncoding::Latin1 => ArrayRef::from_slice(store, allocator, &latin1(text)?),
            StringEncoding::Utf16 => ArrayRef::from_slice(store, allocator, &text.encode_utf16().collect::<Vec<u16>>()),
        }
    }
}

impl Rooted<ArrayRef> {
    /// The text that the array holds.
    ///
    /// # Errors
    ///
    /// As [`read_string_in`](Self::read_string_in).
    pub fn read_string(&self, mut store: impl AsContextMut, encoding: StringEncoding) -> Result<String> {
        let length = self.len(&mut store)?;
        self.read_string_in(store, 0, length, encoding)
    }

    /// The text in `count` elements from `start`.
    ///
    /// # Errors
    ///
    /// [`GcError::Encoding`] when the elements are no text in this encoding (bytes that are not UTF-8, half a surrogate
    /// pair), with the index within the range of the first that is not; as [`copy_to_slice`](Self::copy_to_slice).
    pub fn read_string_in(
        &self,
        mut store: impl AsContextMut,
        start: u32,
        count: u32,
        encoding: StringEncoding,
    ) -> Result<String> {
        // Before room is made for as many elements as were asked for.
        let length = self.len(&mut store)?;
        if u64::from(start) + u64::from(count) > u64::from(length) {
            return Err(GcError::OutOfBounds { start, count: count.into(), length }.into());
        }
        if encoding == StringEncoding::Utf16 {
            let mut units = vec![0u16; count as usize];
            self.copy_to_slice(store, start, &mut units)?;
            return Ok(utf16(&units)?);
        }
        let mut bytes = vec![0u8; count as usize];
        self.copy_to_slice(store, start, &mut bytes)?;
        if encoding == StringEncoding::Latin1 {
            return Ok(bytes.into_iter().map(char::from).collect());
        }
        String::from_utf8(bytes).map_err(|e| GcError::Encoding { encoding, at: e.utf8_error().valid_up_to() }.into())
    }

    /// Writes `text` to the elements from `start`, and returns how many were written.
    ///
    /// # Errors
    ///
    /// [`GcError::OutOfBounds`] when there is not room enough; as [`ArrayRef::new_string`] and
    /// [`copy_from_slice`](Self::copy_from_slice).
    pub fn write_string(
        &self,
        store: impl AsContextMut,
        start: u32,
        text: &str,
        encoding: StringEncoding,
    ) -> Result<u32> {
        // What was written was within an array, so its length fits 32 bits.
        match encoding {
            StringEncoding::Utf8 => self.copy_from_slice(store, start, text.as_bytes()).map(|()| text.len() as u32),
            StringEncoding::Latin1 => {
                let bytes = latin1(text)?;
                self.copy_from_slice(store, start, &bytes).map(|()| bytes.len() as u32)
            }
            StringEncoding::Utf16 => {
                let units: Vec<u16> = text.encode_utf16().collect();
                self.copy_from_slice(store, start, &units).map(|()| units.len() as u32)
            }
        }
    }
}
