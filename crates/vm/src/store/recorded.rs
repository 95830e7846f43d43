//! Whom calls called, as code that was compiled to note it has noted.

use super::Store;
use crate::InstanceId;
use hashbrown::HashMap;
use heapwright_jit::CallProfile;

/// Callees of one call beyond this are not told apart: the guest must not make the notes long, and nobody wants to know
/// them.
const MOST_CALLEES: usize = 64;

/// Notes of a store.
#[derive(Default)]
pub(crate) struct RecordedCalls {
    /// By instance, and by the call's offset in its module: function ids with counts.
    calls: HashMap<u32, HashMap<u32, Vec<(u32, u64)>>>,
}

impl RecordedCalls {
    /// A call at this offset calls this function.
    pub(crate) fn note(&mut self, instance: InstanceId, call: u32, func: u32) {
        let callees = self.calls.entry(instance.0).or_default().entry(call).or_default();
        match callees.iter().position(|(known, _)| *known == func) {
            Some(known) => callees[known].1 = callees[known].1.saturating_add(1),
            None if callees.len() < MOST_CALLEES => callees.push((func, 1)),
            None => {}
        }
    }
}

impl Store {
    /// Whom the calls through references and tables of this store's instances have called so far: functions of the same
    /// instance. Empty unless code was compiled with
    /// [`Settings::record_calls`](heapwright_jit::Settings::record_calls).
    pub fn call_profile(&self) -> CallProfile {
        let mut profile = CallProfile::new();
        for (&number, calls) in &self.state.recorded.calls {
            let instance = &self.state.instances[number as usize];
            let escaping = &instance.module.info().escaping;
            let by_id: HashMap<u32, u32> = escaping.iter().map(|&func| (instance.func_ref(func), func)).collect();
            let by_id = &by_id;
            let known = calls.iter().flat_map(|(&call, callees)| {
                callees.iter().filter_map(move |(id, count)| Some((call, *by_id.get(id)?, *count)))
            });
            profile.add(instance.module.bytes(), known);
        }
        profile
    }
}
