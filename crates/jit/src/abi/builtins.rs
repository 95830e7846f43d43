//! Builtins: what compiled code asks of the vm.
//!
//! Compiled code calls a *stub* through the builtin table of its context. The stub records the frame for the stack walk
//! and calls the vm's `extern "C"` function with the same arguments. A builtin that fails never returns: it unwinds to
//! the handler of the trap or exception. Cold builtins are called under `PreserveAll`, so that their call sites cost
//! the hot path no register; they return nothing, and leave a result in
//! [`StoreContext::slow_result`](super::StoreContext::slow_result).

use cranelift_codegen::ir::{AbiParam, Signature, Type, types};
use cranelift_codegen::isa::CallConv;

/// A builtin's machine types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltinType {
    /// 32-bit integer or reference.
    I32,
    /// 64-bit integer.
    I64,
    /// Host address.
    Ptr,
}

impl BuiltinType {
    fn clif(self) -> Type {
        match self {
            BuiltinType::I32 => types::I32,
            BuiltinType::I64 | BuiltinType::Ptr => types::I64,
        }
    }
}

macro_rules! builtins {
    ($($(#[doc = $doc:literal])* $name:ident ($($param:ident),*) $(-> $result:ident)?, $cold:ident, $safepoint:ident;)*) => {
        /// A builtin. Every one takes the instance context as its first argument, before those listed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Builtin { $($(#[doc = $doc])* $name,)* }

        impl Builtin {
            /// Every builtin, in table order.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$name,)*];

            /// Parameters after the context.
            pub fn params(self) -> &'static [BuiltinType] {
                match self { $(Builtin::$name => &[$(BuiltinType::$param,)*],)* }
            }

            /// The result, if any.
            pub fn result(self) -> Option<BuiltinType> {
                match self { $(Builtin::$name => builtins!(@result $($result)?),)* }
            }

            /// Whether call sites use the `PreserveAll` convention.
            pub fn is_cold(self) -> bool {
                match self { $(Builtin::$name => builtins!(@cold $cold),)* }
            }

            /// Whether a collection may happen during the call.
            pub fn is_safepoint(self) -> bool {
                match self { $(Builtin::$name => builtins!(@safepoint $safepoint),)* }
            }

            /// Name for tools.
            pub fn name(self) -> &'static str {
                match self { $(Builtin::$name => stringify!($name),)* }
            }
        }
    };
    (@result) => { None };
    (@result $r:ident) => { Some(BuiltinType::$r) };
    (@cold cold) => { true };
    (@cold plain) => { false };
    (@safepoint collects) => { true };
    (@safepoint quiet) => { false };
}

builtins! {
    /// Allocation slow path: `(type word, array length)`. The new object has its header (and length) written; the
    /// reference is left in `slow_result`.
    AllocObject(I32, I32), cold, collects;
    /// A barrier program's slow call: `(call number, a0, a1, a2, a3)`.
    BarrierSlow(I32, I32, I32, I32, I32), cold, quiet;
    /// A mutator buffer is full: `(buffer index)`.
    BufferFull(I32), cold, quiet;
    /// Raises a trap by number; never returns. Used where traps are not raised by signals.
    RaiseTrap(I32), cold, quiet;
    /// Throws an exception object; never returns. A null reference traps.
    Throw(I32), plain, collects;
    /// `memory.grow`: `(memory index, delta pages) -> old pages or -1`.
    MemoryGrow(I32, I64) -> I64, plain, quiet;
    /// `memory.copy`: `(destination memory, source memory, destination, source, length)`.
    MemoryCopy(I32, I32, I64, I64, I64), plain, quiet;
    /// `memory.fill`: `(memory, destination, byte, length)`.
    MemoryFill(I32, I64, I32, I64), plain, quiet;
    /// `memory.init`: `(memory, data segment, destination, source, length)`.
    MemoryInit(I32, I32, I64, I32, I32), plain, quiet;
    /// `data.drop`: `(data segment)`.
    DataDrop(I32), plain, quiet;
    /// `table.grow`: `(table, delta, reference or function id) -> old length or -1`.
    TableGrow(I32, I64, I32) -> I64, plain, quiet;
    /// `table.set` of a function table: `(table, index, function id)`.
    TableSetFunc(I32, I64, I32), plain, quiet;
    /// `table.fill`: `(table, start, reference or function id, count)`.
    TableFill(I32, I64, I32, I64), plain, quiet;
    /// `table.copy`: `(destination table, source table, destination, source, count)`.
    TableCopy(I32, I32, I64, I64, I64), plain, quiet;
    /// `table.init`: `(table, element segment, destination, source, count)`.
    TableInit(I32, I32, I64, I32, I32), plain, collects;
    /// `elem.drop`: `(element segment)`.
    ElemDrop(I32), plain, quiet;
    /// `array.new_data`: `(type index, data segment, offset, length) -> reference`.
    ArrayNewData(I32, I32, I32, I32) -> I32, plain, collects;
    /// `array.new_elem`: `(type index, element segment, offset, length) -> reference`.
    ArrayNewElem(I32, I32, I32, I32) -> I32, plain, collects;
    /// `array.init_data`: `(type index, data segment, array, offset, source offset, length)`.
    ArrayInitData(I32, I32, I32, I32, I32, I32), plain, quiet;
    /// `array.init_elem`: `(type index, element segment, array, offset, source offset, length)`.
    ArrayInitElem(I32, I32, I32, I32, I32, I32), plain, collects;
    /// `array.copy` with the collector's barriers: `(destination, offset, source, offset, length)`; bounds and nulls
    /// are checked inside.
    ArrayCopy(I32, I32, I32, I32, I32), plain, quiet;
    /// `array.fill` of references with the collector's barriers: `(array, offset, value, length)`; checked inside.
    ArrayFillRef(I32, I32, I32, I32), plain, quiet;
    /// Moves bytes, overlap allowed: `(to, from, length)` as host addresses; no checks. Only for ranges so long that
    /// saving all registers is little beside them.
    RawCopy(Ptr, Ptr, I64), cold, quiet;
    /// Fills bytes: `(to, byte, length)`; no checks.
    RawFill(Ptr, I32, I64), cold, quiet;
    /// Raises a Wasm float rounding operation where the CPU lacks one: `(operation, bits) -> bits`.
    /// Operations: 0 ceil32, 1 floor32, 2 trunc32, 3 nearest32, 4 ceil64, 5 floor64, 6 trunc64, 7 nearest64.
    RoundFloat(I32, I64) -> I64, plain, quiet;
    /// A fuel or epoch check found its limit passed: traps, or refills and returns.
    Interrupted(), cold, collects;
    /// Notes whom a call through a reference or a table calls: `(offset of the call in the module, function id)`.
    RecordCall(I32, I32), cold, quiet;
    /// As `Interrupted` in the middle of an operation on an array: traps or returns, and runs nothing that collects.
    RangeInterrupted(), cold, quiet;
}

impl Builtin {
    /// Whether the builtin, when epochs are on, may run a callback of the host before it goes on: then a collection may
    /// happen during the call even if [`is_safepoint`](Self::is_safepoint) denies it. Those that take references never
    /// do.
    pub fn is_interruptible(self) -> bool {
        matches!(self, Builtin::MemoryCopy | Builtin::MemoryFill | Builtin::MemoryInit)
    }

    /// The signature at a call site: context first.
    pub fn call_signature(self) -> Signature {
        self.signature(if self.is_cold() { CallConv::PreserveAll } else { CallConv::Tail })
    }

    /// The signature of the vm's implementation.
    pub fn host_signature(self, host: CallConv) -> Signature {
        self.signature(host)
    }

    fn signature(self, convention: CallConv) -> Signature {
        let mut sig = Signature::new(convention);
        sig.params.push(AbiParam::new(types::I64));
        sig.params.extend(self.params().iter().map(|p| AbiParam::new(p.clif())));
        sig.returns.extend(self.result().map(|r| AbiParam::new(r.clif())));
        sig
    }
}

/// How code of an interpreter leaves it: the operand of its host-call instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCall {
    /// A builtin, with the arguments and the result of [`Builtin::host_signature`] in the integer registers.
    Builtin(Builtin),
    /// A host function: [`HostFuncContext::call`](super::HostFuncContext::call), with its two arguments.
    Function,
}

impl HostCall {
    /// The operand.
    pub fn id(self) -> u8 {
        match self {
            HostCall::Builtin(builtin) => builtin as u8,
            HostCall::Function => u8::MAX,
        }
    }

    /// What an operand means.
    pub fn from_id(id: u8) -> Option<HostCall> {
        match id {
            u8::MAX => Some(HostCall::Function),
            id => Builtin::ALL.get(usize::from(id)).copied().map(HostCall::Builtin),
        }
    }

    /// The signature of the call in the stub that makes it. The interpreter keeps its registers during a host call, but
    /// for the result.
    pub fn signature(self, host: CallConv) -> Signature {
        match self {
            // A stub under `PreserveAll` would save whatever a call under another convention may change.
            HostCall::Builtin(builtin) if builtin.is_cold() => builtin.signature(CallConv::PreserveAll),
            HostCall::Builtin(builtin) => builtin.host_signature(host),
            HostCall::Function => {
                let mut signature = Signature::new(host);
                signature.params.extend([AbiParam::new(types::I64); 2]);
                signature
            }
        }
    }
}

const _: () = assert!(Builtin::ALL.len() < u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_calls_and_operands_correspond() {
        let calls = Builtin::ALL.iter().map(|&b| HostCall::Builtin(b)).chain([HostCall::Function]);
        for call in calls {
            assert_eq!(HostCall::from_id(call.id()), Some(call));
        }
        assert_eq!(HostCall::from_id(Builtin::ALL.len() as u8), None);
    }
}
