//! Exceptions and tags as the host sees them.

use super::Store;
use crate::{Backtrace, CallError, TagId};
use heapwright_gc_heap::{
    BadReference, CompositeType, GcRef, HeapCorrupted, MemoryError, RegisteredTypes, TypeId, Value,
};
use heapwright_jit::abi::Trap;

#[allow(clippy::missing_errors_doc, reason = "each error type tells its kinds where it is declared")]
impl Store {
    /// Takes the exception that [`CallError::Exception`] speaks of; it is no longer rooted.
    pub fn take_exception(&mut self) -> Option<GcRef> {
        let exception = core::mem::take(&mut self.state.exception);
        (!exception.is_null()).then_some(exception)
    }

    /// Sets the exception that a host function is about to throw by returning [`CallError::Exception`].
    pub fn set_exception(&mut self, exception: GcRef) {
        self.state.exception = exception;
        self.state.exception_backtrace = Backtrace::default();
    }

    /// Says where the exception that was [set](Self::set_exception) came from, when it has passed frames before.
    pub fn set_exception_backtrace(&mut self, backtrace: Backtrace) {
        self.state.exception_backtrace = backtrace;
    }

    /// The frames that the last uncaught exception left without finding a handler.
    pub fn exception_backtrace(&self) -> &Backtrace {
        &self.state.exception_backtrace
    }

    /// A new exception object. References among `values` need not be rooted.
    pub fn exception_new(&mut self, tag: TagId, values: &[Value]) -> Result<GcRef, CallError> {
        let Some(&(_, ty)) = self.state.tags.get(tag.0 as usize) else {
            return Err(CallError::host("the tag is not of this store"));
        };
        let base = self.state.operands.len();
        self.state.operands.extend_from_slice(values);
        let result = self.fill_exception(ty, tag, base);
        self.state.operands.truncate(base);
        result.inspect_err(|e| self.state.note(e))
    }

    fn fill_exception(&mut self, ty: TypeId, tag: TagId, base: usize) -> Result<GcRef, CallError> {
        let (heap, state) = self.heap_for_code()?;
        let object = heap.alloc(ty, 0, state)?;
        heap.set_field(object, 0, Value::I32(tag.0), true).map_err(bad_exception)?;
        for (i, &value) in state.operands[base..].iter().enumerate() {
            heap.set_field(object, i as u32 + 1, value, true).map_err(bad_exception)?;
        }
        Ok(object)
    }

    /// The tag of an exception object. Its parameter `i` is field `i + 1` for
    /// [`Heap::get_field`](heapwright_gc_heap::Heap::get_field).
    pub fn exception_tag(&mut self, exception: GcRef) -> Result<TagId, HeapCorrupted> {
        match self.exception_tag_word(exception) {
            Ok(tag) if (tag as usize) < self.state.tags.len() => Ok(TagId(tag)),
            _ => {
                self.state.poisoned = true;
                Err(HeapCorrupted { what: "exception without a tag", at: exception.raw() })
            }
        }
    }

    /// A tag of a function type that is registered in this store's runtime.
    pub fn tag_new(&mut self, ty: RegisteredTypes) -> Result<TagId, MemoryError> {
        let not_a_func = || MemoryError("the type of a tag must be a function type".into());
        let &id = ty.ids().first().ok_or_else(not_a_func)?;
        let types = self.state.runtime.types();
        let definition = types.definition(id);
        let CompositeType::Func(func) = &definition.composite else { return Err(not_a_func()) };
        let exception = types.register_exception(&func.params)?;
        let tag = self.push_tag(id, exception.ids()[0]);
        self.state.retained.extend([ty, exception]);
        Ok(tag)
    }

    pub(crate) fn push_tag(&mut self, ty: TypeId, exception: TypeId) -> TagId {
        self.state.tags.push((ty, exception));
        TagId(self.state.tags.len() as u32 - 1)
    }

    /// The canonical function type of a tag.
    pub fn tag_type(&self, tag: TagId) -> TypeId {
        self.state.tags[tag.0 as usize].0
    }
}

fn bad_exception(e: BadReference) -> CallError {
    match e {
        BadReference::Corrupted(e) => e.into(),
        BadReference::OutOfBounds => CallError::host("more values than the tag has parameters"),
        BadReference::Null | BadReference::WrongKind => CallError::trap(Trap::HeapCorrupted),
    }
}
