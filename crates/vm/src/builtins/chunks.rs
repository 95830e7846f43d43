//! Operations on long ranges, in chunks, so that each can be interrupted.

use crate::store::{CHUNK_BYTES, CHUNK_ELEMENTS};
use crate::{CallError, Store};

/// What a range consists of.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// Bytes of a memory. Between chunks no reference is held, so that whatever the embedder's callback does is
    /// harmless.
    Byte,
    /// Elements of a table or an array, to which references are held: nothing that collects runs between chunks.
    Element,
}

/// Does something to `count` units, a chunk at a time, and looks between chunks whether to stop. `each` gets the offset
/// and the length of a chunk; the last chunk comes first unless `upwards`, for ranges that overlap.
pub(super) fn in_chunks(
    store: &mut Store,
    unit: Unit,
    count: u64,
    upwards: bool,
    mut each: impl FnMut(&mut Store, u64, u64) -> Result<(), CallError>,
) -> Result<(), CallError> {
    let (longest, callback) = match unit {
        Unit::Byte => (CHUNK_BYTES, true),
        Unit::Element => (CHUNK_ELEMENTS, false),
    };
    let mut done = 0;
    loop {
        let chunk = (count - done).min(longest);
        each(store, if upwards { done } else { count - done - chunk }, chunk)?;
        done += chunk;
        if done == count {
            return Ok(());
        }
        store.poll(callback)?;
    }
}
