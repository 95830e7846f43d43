//! The first call of a function that is compiled lazily. One piece of assembly serves all signatures, but for where the
//! context is.

use super::run;
use crate::CallError;
use core::arch::naked_asm;
use core::mem::offset_of;
use heapwright_jit::abi::{InstanceLayout, StoreContext};

/// The address that a jump stub's slot holds until its function is compiled. It depends on whether the function's
/// results are [in memory](heapwright_jit::abi::SignatureKinds::results_in_memory).
pub(crate) fn first_call_address(results_in_memory: bool) -> usize {
    (if results_in_memory { first_call_behind_results } else { first_call }) as *const () as usize
}

macro_rules! first_call {
    ($(#[doc = $doc:literal])* $name:ident, $context:literal) => {
        $(#[doc = $doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                // Six words, eight vectors: keeps the stack aligned to 16 bytes, as it is behind the return address and
                // `rbp`.
                "sub rsp, 176",
                "mov [rsp], rdi",
                "mov [rsp + 8], rsi",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], rcx",
                "mov [rsp + 32], r8",
                "mov [rsp + 40], r9",
                "movups [rsp + 48], xmm0",
                "movups [rsp + 64], xmm1",
                "movups [rsp + 80], xmm2",
                "movups [rsp + 96], xmm3",
                "movups [rsp + 112], xmm4",
                "movups [rsp + 128], xmm5",
                "movups [rsp + 144], xmm6",
                "movups [rsp + 160], xmm7",
                concat!("mov rdi, ", $context),
                "mov rcx, [rdi + {store}]",
                "mov [rcx + {exit_fp}], rbp",
                "mov esi, eax",
                "call {resolve}",
                "mov rdi, [rsp]",
                "mov rsi, [rsp + 8]",
                "mov rdx, [rsp + 16]",
                "mov rcx, [rsp + 24]",
                "mov r8, [rsp + 32]",
                "mov r9, [rsp + 40]",
                "movups xmm0, [rsp + 48]",
                "movups xmm1, [rsp + 64]",
                "movups xmm2, [rsp + 80]",
                "movups xmm3, [rsp + 96]",
                "movups xmm4, [rsp + 112]",
                "movups xmm5, [rsp + 128]",
                "movups xmm6, [rsp + 144]",
                "movups xmm7, [rsp + 160]",
                "mov rsp, rbp",
                "pop rbp",
                "jmp rax",
                store = const InstanceLayout::STORE,
                exit_fp = const offset_of!(StoreContext, exit_fp),
                resolve = sym resolve,
            )
        }
    };
}

first_call! {
    /// Comes from a jump stub, with the number of the function in `eax` and everything else as the function expects it;
    /// has the function compiled, and jumps to it with everything as it was. The function's own frame takes the place
    /// of this one's, so a walk of the stack never meets this code, except while the function is being compiled: then
    /// `exit_fp` says, as for any builtin, where compiled code was left. Nothing is allocated in the GC heap meanwhile,
    /// so this is no safepoint: references may be in registers.
    ///
    /// The parameters of the `Tail` convention are in the registers of the System V convention (`rdi`, `rsi`, `rdx`,
    /// `rcx`, `r8`, `r9`, `xmm0` to `xmm7`) and on the stack. The first is the instance context. What the convention
    /// lets a function change needs no preservation; what it does not, `resolve` keeps.
    first_call, "rdi"
}

first_call! {
    /// As `first_call`, for functions whose first parameter is the place of their results and whose second is the
    /// context.
    first_call_behind_results, "rsi"
}

/// Has a function of the instance's module compiled and gives its address. Failure is an error of the call, like that
/// of a host function.
unsafe extern "C" fn resolve(context: *mut u8, defined: u32) -> usize {
    // SAFETY: called by the code above, which has recorded its frame as a builtin's stub does, with the context that a
    // function of the instance gets.
    unsafe {
        run(context, |store, instance| {
            let module = store.instance_module(instance).clone();
            let code = module.first_call(defined).map_err(|e| {
                let func = module.info().imported_funcs + defined;
                CallError::host(format!("function {func} cannot be compiled: {e}"))
            })?;
            Ok(code as usize)
        })
    }
}
