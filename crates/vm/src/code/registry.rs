//! From a program counter to the code that it is in.
//!
//! One process-wide sorted list, replaced as a whole at each change. Readers take no lock and allocate nothing, because
//! one of them is the signal handler: a reader counts itself in, reads the current list, and counts itself out. A
//! writer publishes a new list and frees old ones only after it has seen the count at zero: whoever counts himself in
//! later sees the new list.
//!
//! A list that could not be freed because somebody was reading keeps code alive that is no longer registered. So the
//! last reader to leave frees it, unless it is the signal handler, which must not: the next ordinary reader or writer
//! does.

use super::CodeObject;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

type List = Vec<Arc<CodeObject>>;

static CURRENT: AtomicPtr<List> = AtomicPtr::new(null_mut());
static READERS: AtomicUsize = AtomicUsize::new(0);
static WRITER: Mutex<Retired> = Mutex::new(Retired(Vec::new()));
/// Whether there are retired lists.
static LEFTOVERS: AtomicBool = AtomicBool::new(false);

/// Lists that a reader may still look at.
struct Retired(Vec<*mut List>);

// SAFETY: the lists are owned by whoever holds the lock; the pointers are only freed through it.
unsafe impl Send for Retired {}

/// Code in the registry; dropping it takes it out.
pub(crate) struct RegisteredCode(Arc<CodeObject>);

impl RegisteredCode {
    pub(crate) fn new(code: CodeObject) -> RegisteredCode {
        let code = Arc::new(code);
        replace(|list| {
            let at = list.partition_point(|c| c.start() < code.start());
            list.insert(at, code.clone());
        });
        RegisteredCode(code)
    }
}

impl core::ops::Deref for RegisteredCode {
    type Target = CodeObject;

    fn deref(&self) -> &CodeObject {
        &self.0
    }
}

impl Drop for RegisteredCode {
    fn drop(&mut self) {
        replace(|list| list.retain(|c| !Arc::ptr_eq(c, &self.0)));
    }
}

fn replace(change: impl FnOnce(&mut List)) {
    let mut retired = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let old = CURRENT.load(SeqCst);
    // SAFETY: the current list is freed only by a writer after another took its place, and writers hold the lock.
    let mut list = unsafe { old.as_ref() }.cloned().unwrap_or_default();
    change(&mut list);
    CURRENT.store(Box::into_raw(Box::new(list)), SeqCst);
    if !old.is_null() {
        retired.0.push(old);
    }
    free(&mut retired);
}

/// Frees what nobody can be reading.
fn free(retired: &mut Retired) {
    if READERS.load(SeqCst) == 0 {
        for list in retired.0.drain(..) {
            // SAFETY: made by `Box::into_raw` in `replace` and no longer current. All readers that could have seen it
            // are gone: the count was zero after it was replaced.
            drop(unsafe { Box::from_raw(list) });
        }
    }
    LEFTOVERS.store(!retired.0.is_empty(), SeqCst);
}

/// The registry at one moment. Cheap; held for a walk or a lookup.
pub(crate) struct Snapshot {
    list: &'static [Arc<CodeObject>],
    in_handler: bool,
}

impl Snapshot {
    /// For everybody but the signal handler.
    pub(crate) fn take() -> Snapshot {
        Snapshot::enter(false)
    }

    /// For the signal handler: takes no lock and frees nothing, now or when it is dropped.
    pub(crate) fn take_in_handler() -> Snapshot {
        Snapshot::enter(true)
    }

    fn enter(in_handler: bool) -> Snapshot {
        READERS.fetch_add(1, SeqCst);
        // SAFETY: counted in, this reader keeps every list alive that was current since (see `replace`); the list is
        // not handed out beyond the snapshot's life.
        let list = unsafe { CURRENT.load(SeqCst).as_ref() }.map_or(&[][..], |list| list.as_slice());
        Snapshot { list, in_handler }
    }

    /// The code that contains `pc`.
    pub(crate) fn lookup(&self, pc: usize) -> Option<&Arc<CodeObject>> {
        let i = self.list.partition_point(|c| c.start() <= pc).checked_sub(1)?;
        Some(&self.list[i]).filter(|c| pc < c.end())
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let last = READERS.fetch_sub(1, SeqCst) == 1;
        if last && !self.in_handler && LEFTOVERS.load(SeqCst) {
            // A writer at work will see to it itself; and a thread that is writing can be here, when what it drops
            // looks something up, so waiting is out of the question.
            if let Ok(mut retired) = WRITER.try_lock() {
                free(&mut retired);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CodeKind;
    use super::*;

    fn stub(size: usize) -> RegisteredCode {
        RegisteredCode::new(CodeObject::new(&vec![0xc3; size], CodeKind::Stub).unwrap())
    }

    #[test]
    fn finds_code_by_any_of_its_addresses() {
        let codes: Vec<_> = (1..10).map(|i| stub(i * 1000)).collect();
        for code in &codes {
            let snapshot = Snapshot::take();
            for pc in [code.start(), code.start() + 500, code.end() - 1] {
                assert!(Arc::ptr_eq(snapshot.lookup(pc).unwrap(), &code.0));
            }
        }
        let gone = codes[3].start();
        drop(codes);
        assert!(Snapshot::take().lookup(gone).is_none_or(|c| c.start() != gone || c.end() != gone + 4000));
        assert!(Snapshot::take().lookup(0).is_none());
    }

    #[test]
    fn code_runs() {
        // mov eax, edi; add eax, 1; ret
        let code = RegisteredCode::new(CodeObject::new(&[0x89, 0xf8, 0x83, 0xc0, 0x01, 0xc3], CodeKind::Stub).unwrap());
        // SAFETY: the bytes are a function of this type.
        let f = unsafe { core::mem::transmute::<usize, extern "C" fn(u32) -> u32>(code.start()) };
        assert_eq!(f(41), 42);
    }

    #[test]
    fn readers_and_writers_do_not_disturb_each_other() {
        let fixed = stub(64);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for i in 0..300 {
                        drop(stub(100 + i));
                    }
                });
                scope.spawn(|| {
                    for _ in 0..3000 {
                        assert!(Snapshot::take().lookup(fixed.start() + 10).is_some());
                    }
                });
            }
        });
    }
}
