//! Compiled code as bytecode, run by the Pulley interpreter.
//!
//! Bytecode comes from the same CLIF as machine code and keeps the same frames: `[fp]` is the caller's frame pointer
//! and `[fp + 8]` the return address. So walking, stack maps, handlers and unwinding are those of machine code, and
//! only the two crossings of the border are here:
//!
//! - *In*: the entry trampoline of a signature is bytecode too; its four arguments go into registers.
//! - *Out*: a stub leaves by a host-call instruction, whose operand is a [`HostCall`]; the interpreter stops, the call
//!   is made, and the interpreter goes on behind the instruction, or at the handler of what was raised.
//!
//! A trap stops the interpreter too. It is recorded as the signal handler records a fault of machine code.
//!
//! A store has one interpreter. A call of compiled code by a host function runs on the same stack, below the frames in
//! progress, in a loop of its own; all registers are put back when it ends.

use crate::activation::{Activation, Fault};
use crate::builtins::{self, MAX_ARGS};
use crate::code::Snapshot;
use crate::store::interpret_host_call;
use crate::unwind::Target;
use crate::walk::{FrameAt, Walker};
use core::ptr::NonNull;
use heapwright_gc_heap::MemoryError;
use heapwright_jit::abi::{HostCall, HostFuncContext, Trap};
use pulley_interpreter::interp::{DoneReason, FRegVal, TrapKind, VRegVal, Vm, XRegVal};
use pulley_interpreter::{FReg, Opcode, Reg, VReg, XReg};

/// The interpreter of a store.
pub(crate) struct Interpreter {
    vm: Vm,
}

/// Why bytecode did not return.
enum Left {
    /// To go on elsewhere.
    For(Target),
    /// The entry trampoline itself had no room on the stack.
    AtOnce,
}

impl Interpreter {
    /// An interpreter whose bytecode may use `stack` bytes.
    pub(crate) fn new(stack: usize) -> Result<Interpreter, MemoryError> {
        let vm = Vm::with_stack(stack).map_err(|_| MemoryError(format!("no memory for a stack of {stack} bytes")))?;
        Ok(Interpreter { vm })
    }

    /// Calls an entry trampoline with its arguments and gives its result.
    ///
    /// # Safety
    ///
    /// `this` must be the interpreter of the activation's store, and valid; `code` an entry trampoline of that store's
    /// runtime, whose arguments are `args`; the activation the innermost one, begun.
    pub(crate) unsafe fn enter(
        this: *mut Interpreter,
        code: usize,
        args: [u64; 4],
        activation: *const Activation,
    ) -> u32 {
        // The interpreter is borrowed for moments only: host calls may come back to this function.
        //
        // SAFETY: the caller's promise.
        let saved = Registers::of(unsafe { &(*this).vm });
        // SAFETY: as above; the arguments are the trampoline's.
        unsafe { (*this).vm.call_start(&args.map(|word| XRegVal::new_u64(word).into())) };
        let mut pc = at(code);
        let status = loop {
            // SAFETY: the bytecode is the compiler's (its promise), and the code registry keeps it mapped. While it
            // runs, nothing else looks at the interpreter.
            let done = unsafe { (*this).vm.call_run(pc) };
            // SAFETY: as above; the interpreter stands still.
            let vm = unsafe { &mut (*this).vm };
            let left = match done {
                DoneReason::ReturnToHost(()) => break vm[XReg::x0].get_u32(),
                DoneReason::CallIndirectHost { id, resume } => {
                    let args = ARGS.map(|register| vm[register].get_u64());
                    // SAFETY: the stub of this host call passes these arguments.
                    match unsafe { call_host(id, args) } {
                        Ok(None) => {
                            pc = resume;
                            continue;
                        }
                        Ok(Some(result)) => {
                            // SAFETY: as above.
                            unsafe { (&mut (*this).vm)[XReg::x0].set_u64(result) };
                            pc = resume;
                            continue;
                        }
                        Err(target) => Left::For(target),
                    }
                }
                // SAFETY: the activation is innermost and its bytecode has stopped.
                DoneReason::Trap { pc, kind } => unsafe { trapped(vm, pc.as_ptr() as usize, kind, &*activation) },
            };
            match left {
                // SAFETY: the target is a handler of a frame of this activation, which is on the interpreter's stack.
                Left::For(target) => pc = unsafe { go_to(&mut (*this).vm, target) },
                Left::AtOnce => break 1,
            }
        };
        // SAFETY: as above.
        saved.restore(unsafe { &mut (*this).vm });
        status
    }
}

/// The registers of a host call's arguments.
const ARGS: [XReg; MAX_ARGS] = [XReg::x0, XReg::x1, XReg::x2, XReg::x3, XReg::x4, XReg::x5, XReg::x6, XReg::x7];

/// Makes a host call; the result, if it has one.
///
/// # Safety
///
/// Called when a stub makes this host call, with its arguments.
unsafe fn call_host(id: u8, args: [u64; MAX_ARGS]) -> Result<Option<u64>, Target> {
    match HostCall::from_id(id) {
        Some(HostCall::Builtin(builtin)) => {
            // SAFETY: the caller's promise.
            let result = unsafe { builtins::interpret(builtin, args) }?;
            // A call without result leaves every register alone: code under `PreserveAll` relies on it.
            Ok(builtin.result().map(|_| result))
        }
        Some(HostCall::Function) => {
            let (context, slots) = (args[0] as *mut HostFuncContext, args[1] as *mut [u8; 16]);
            // SAFETY: the caller's promise.
            unsafe { interpret_host_call(context, slots) }.map(|()| None)
        }
        None => unreachable!("only stubs make host calls, and they make these"),
    }
}

/// Records a trap; what comes next is the entry trampoline's handler.
///
/// # Safety
///
/// The activation must be the innermost one of the interpreter's store, and its bytecode have stopped at `pc`.
#[cold]
unsafe fn trapped(vm: &Vm, pc: usize, kind: Option<TrapKind>, activation: &Activation) -> Left {
    let code = Snapshot::take();
    let listed = code.instruction(pc).and_then(|at| at.trap());
    let trap = match kind {
        Some(TrapKind::StackOverflow) => Trap::StackOverflow,
        Some(TrapKind::DivideByZero) => Trap::IntegerDivideByZero,
        Some(TrapKind::IntegerOverflow) => Trap::IntegerOverflow,
        Some(TrapKind::BadConversionToInteger) => Trap::InvalidConversionToInteger,
        // Only accesses to the heap and its tables are checked by the instruction that makes them; it is not listed.
        Some(TrapKind::MemoryOutOfBounds) => Trap::HeapCorrupted,
        Some(TrapKind::DisabledOpcode) | None => listed.unwrap_or(Trap::Internal),
    };
    activation.fault.set(Some(Fault { trap, address: None }));
    let fp = vm.fp() as usize;
    // SAFETY: the activation's store and its trace are alive; the links of the frames from `fp` on are in place, for a
    // frame that is not set up yet is left out.
    unsafe {
        let trace = &*activation.trace;
        trace.count.set(0);
        let entered = (*activation.context).entry_fp != 0;
        if trace.wanted {
            let mut push = |frame: FrameAt| trace.push(frame.pc);
            if entered {
                let mut innermost = FrameAt { pc, fp };
                if matches!(kind, Some(TrapKind::StackOverflow)) && !frame_is_set_up(pc) {
                    trace.push(pc);
                    innermost.pc = vm.lr() as usize;
                }
                Walker::from_fault(innermost, activation).for_each(&mut push);
            } else {
                Walker::all(activation.context, activation).for_each(&mut push);
            }
        }
        if entered { Left::For(Target::entry(activation)) } else { Left::AtOnce }
    }
}

/// Whether the frame of a function whose prologue found no room is linked to its caller's.
///
/// # Safety
///
/// There must be an instruction at `pc`.
unsafe fn frame_is_set_up(pc: usize) -> bool {
    // SAFETY: the caller's promise.
    let opcode = unsafe { (pc as *const u8).read() };
    opcode != Opcode::PushFrame as u8 && opcode != Opcode::PushFrameSave as u8
}

/// Sets the registers that a handler expects; the program counter is the result.
///
/// # Safety
///
/// The target must be a handler of a frame on the interpreter's stack.
unsafe fn go_to(vm: &mut Vm, target: Target) -> NonNull<u8> {
    // SAFETY: the frame pointer is the handler's.
    unsafe { vm.set_fp(target.fp() as *mut u8) };
    vm[XReg::sp].set_ptr(target.sp() as *mut u8);
    vm[XReg::x0].set_u64(target.payload() as u64);
    vm[XReg::x1].set_u64(0);
    at(target.pc())
}

fn at(code: usize) -> NonNull<u8> {
    NonNull::new(code as *mut u8).expect("code is mapped somewhere")
}

/// All registers. Those that a call may change are among them: code under `PreserveAll` relies on every one.
struct Registers {
    x: [XRegVal; 32],
    f: [FRegVal; 32],
    v: [VRegVal; 32],
    fp: *mut u8,
    lr: *mut u8,
}

impl Registers {
    fn of(vm: &Vm) -> Registers {
        Registers {
            x: core::array::from_fn(|i| vm[x(i)]),
            f: core::array::from_fn(|i| vm[f(i)]),
            v: core::array::from_fn(|i| vm[v(i)]),
            fp: vm.fp(),
            lr: vm.lr(),
        }
    }

    fn restore(&self, vm: &mut Vm) {
        for i in 0..32 {
            vm[x(i)] = self.x[i];
            vm[f(i)] = self.f[i];
            vm[v(i)] = self.v[i];
        }
        // SAFETY: these are the values from before the call.
        unsafe {
            vm.set_fp(self.fp);
            vm.set_lr(self.lr);
        }
    }
}

fn x(i: usize) -> XReg {
    XReg::new(i as u8).expect("there are 32")
}
fn f(i: usize) -> FReg {
    FReg::new(i as u8).expect("there are 32")
}
fn v(i: usize) -> VReg {
    VReg::new(i as u8).expect("there are 32")
}
