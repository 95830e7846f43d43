//! Entry trampolines, host calls and builtins, executed.

use super::compiler;
use super::exec::{Executable, Machine, Slot, i32_slot, i128_slot, read_slot};
use crate::abi::{Builtin, HostFuncContext, Kind, SignatureKinds, StoreContext};
use crate::compile::function::Worker;
use crate::compile::{Compiler, StubText, Stubs};
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;

/// Compiles one function with `signature`.
fn function(
    compiler: &Compiler,
    signature: Signature,
    build: impl FnOnce(&mut FunctionBuilder<'_>, &[Value]),
) -> Vec<u8> {
    let isa = &*compiler.isa;
    let mut worker = Worker::new();
    let code = worker
        .compile_stub(isa, signature, |func, context| {
            let mut b = FunctionBuilder::new(func, context);
            let entry = b.create_block();
            b.append_block_params_for_function_params(entry);
            b.switch_to_block(entry);
            let params = b.block_params(entry).to_vec();
            build(&mut b, &params);
            b.seal_all_blocks();
            b.finalize(isa.frontend_config());
        })
        .expect("the function compiles");
    code.0.code_buffer().to_vec()
}

fn kinds(params: &[Kind], results: &[Kind]) -> SignatureKinds {
    SignatureKinds { params: params.into(), results: results.into() }
}

fn bytes(kind: Kind) -> usize {
    kind.clif().bytes() as usize
}

/// `count` kinds in a pattern that uses them all.
fn mixture(count: usize) -> Vec<Kind> {
    let all = [Kind::I32, Kind::I64, Kind::F64, Kind::V128, Kind::F32, Kind::I32, Kind::I64];
    (0..count).map(|i| all[i % all.len()]).collect()
}

fn entries(compiler: &Compiler, signatures: &[SignatureKinds]) -> StubText {
    compiler.compile_stubs(Stubs::Entries(signatures)).expect("entry trampolines compile")
}

#[test]
fn entries_pass_many_values_both_ways() {
    let compiler = compiler();
    for count in [0, 1, 2, 7, 25, 60, 1000] {
        let mixed = mixture(count);
        let signature = kinds(&mixed, &mixed);
        // Returns its parameters, those of equal kind in reverse order.
        let order: Vec<usize> = (0..count)
            .map(|i| {
                let alike: Vec<usize> = (0..count).filter(|&j| mixed[j] == mixed[i]).collect();
                let place = alike.iter().position(|&j| j == i).expect("alike to itself");
                alike[alike.len() - 1 - place]
            })
            .collect();
        let callee = function(&compiler, signature.tail(), |b, params| {
            let results: Vec<Value> = order.iter().map(|&i| params[1 + i]).collect();
            b.ins().return_(&results);
        });
        let callee = Executable::new(&callee);
        let stubs = entries(&compiler, std::slice::from_ref(&signature));
        let text = Executable::new(&stubs.text);

        let values: Vec<u128> =
            (0..count as u128).map(|i| (i + 1).wrapping_mul(0x0123_4567_89ab_cdef_1122_3344_5566_7781)).collect();
        let mut slots: Vec<Slot> = values.iter().map(|&v| i128_slot(v)).collect();
        slots.resize(count.max(1), [0; 16]);
        let mut machine = Machine::new();
        // SAFETY: the callee has the signature of the trampoline and touches only its arguments.
        let outcome = unsafe {
            text.entry(stubs.stubs[0].start)(callee.at(0), machine.context(), slots.as_mut_ptr(), machine.store())
        };
        assert_eq!(outcome, 0);
        for (i, &from) in order.iter().enumerate() {
            let n = bytes(mixed[i]);
            assert_eq!(read_slot(&slots[i], n), read_slot(&i128_slot(values[from]), n), "result {i} of {count}");
        }
        assert_ne!(machine.store.entry_fp, 0);
    }
}

#[test]
fn many_results_through_calls_and_tail_calls() {
    // A function that calls another, and one that tail-calls it, give on the same 25 results.
    let compiler = compiler();
    let mixed = mixture(25);
    let signature = kinds(&[Kind::I64], &mixed);
    let inner = function(&compiler, signature.tail(), |b, _| {
        let results: Vec<Value> = mixed
            .iter()
            .enumerate()
            .map(|(i, kind)| {
                let n = b.ins().iconst(types::I64, 1000 + i as i64);
                match kind {
                    Kind::I64 => n,
                    Kind::I32 => b.ins().ireduce(types::I32, n),
                    Kind::F64 => b.ins().fcvt_from_uint(types::F64, n),
                    Kind::F32 => b.ins().fcvt_from_uint(types::F32, n),
                    Kind::V128 => {
                        let v = b.ins().splat(types::I64X2, n);
                        let little = cranelift_codegen::ir::MemFlagsData::new()
                            .with_endianness(cranelift_codegen::ir::Endianness::Little);
                        b.ins().bitcast(types::I8X16, little, v)
                    }
                }
            })
            .collect();
        b.ins().return_(&results);
    });
    let inner = Executable::new(&inner);
    let stubs = entries(&compiler, std::slice::from_ref(&signature));
    let text = Executable::new(&stubs.text);
    for tail in [false, true] {
        let outer = function(&compiler, signature.tail(), |b, params| {
            let callee = b.import_signature(signature.tail());
            if tail {
                b.ins().return_call_indirect(callee, params[1], params);
            } else {
                let call = b.ins().call_indirect(callee, params[1], params);
                let results = b.inst_results(call).to_vec();
                b.ins().return_(&results);
            }
        });
        let outer = Executable::new(&outer);
        let mut machine = Machine::new();
        let mut slots = vec![[0; 16]; mixed.len()];
        slots[0] = i128_slot(inner.at(0) as u128);
        // SAFETY: as above; the parameter is the address of a function with the same signature.
        let outcome = unsafe {
            text.entry(stubs.stubs[0].start)(outer.at(0), machine.context(), slots.as_mut_ptr(), machine.store())
        };
        assert_eq!(outcome, 0);
        for (i, kind) in mixed.iter().enumerate() {
            let n = 1000 + i as u64;
            let expected = match kind {
                Kind::I32 | Kind::I64 => u128::from(n),
                Kind::F64 => u128::from((n as f64).to_bits()),
                Kind::F32 => u128::from((n as f32).to_bits()),
                Kind::V128 => u128::from(n) << 64 | u128::from(n),
            };
            assert_eq!(read_slot(&slots[i], bytes(*kind)), expected, "result {i}, tail call: {tail}");
        }
    }
}

/// Leaves compiled code by the entry trampoline's handler, as a trap does. `landing` is `[handler, frame size]`.
unsafe extern "C" fn unwind(store: *mut StoreContext, landing: *const u64) -> ! {
    // SAFETY: the trampoline that recorded `entry_fp` is still on the stack, and its handler expects exactly this stack pointer;
    // the frames in between hold nothing that has to be dropped.
    unsafe {
        core::arch::asm!(
            "mov rbp, {fp}",
            "mov rsp, rbp",
            "sub rsp, {size}",
            "jmp {handler}",
            fp = in(reg) (*store).entry_fp,
            size = in(reg) *landing.add(1),
            handler = in(reg) *landing,
            options(noreturn),
        )
    }
}

#[test]
fn the_handler_of_an_entry_returns_one() {
    let compiler = compiler();
    let signature = kinds(&[Kind::I64, Kind::I64, Kind::I64], &mixture(30));
    let callee = function(&compiler, signature.tail(), |b, params| {
        let mut host = Signature::new(CallConv::SystemV);
        host.params.extend([AbiParam::new(types::I64); 2]);
        let host = b.import_signature(host);
        b.ins().call_indirect(host, params[1], &params[2..]);
        b.ins().trap(cranelift_codegen::ir::TrapCode::unwrap_user(1));
    });
    let callee = Executable::new(&callee);
    let other = kinds(&[], &[]);
    let stubs = entries(&compiler, &[other, signature]);
    let text = Executable::new(&stubs.text);
    assert_eq!(stubs.handlers.len(), 2);
    let (handler, frame_size) = stubs.handlers[1];
    let stub = stubs.stubs[1];
    assert!(stub.start < handler && handler < stub.end());

    let mut machine = Machine::new();
    let landing = [text.at(handler) as u64, u64::from(frame_size)];
    let mut slots = vec![[0; 16]; 30];
    slots[0] = i128_slot(unwind as *const () as u128);
    slots[1] = i128_slot(machine.store() as u128);
    slots[2] = i128_slot(landing.as_ptr() as u128);
    let before = slots.clone();
    let entry = text.entry(stub.start);
    for _ in 0..2 {
        // SAFETY: as above; `unwind` gets the arguments that it wants.
        let outcome = unsafe { entry(callee.at(0), machine.context(), slots.as_mut_ptr(), machine.store()) };
        assert_eq!(outcome, 1);
        assert_eq!(slots, before, "no results are written");
    }
}

/// Adds one to each parameter byte by byte into the results, and checks the frame chain.
unsafe extern "C" fn host_function(context: *mut HostFuncContext, slots: *mut Slot) {
    // SAFETY: the stub passes its context and an array of as many slots as there are results, 30.
    unsafe {
        let store = &mut *(*context).store;
        let fp = store.exit_fp as *const usize;
        // The stub's caller is the entry trampoline itself.
        assert_eq!(fp.read(), store.entry_fp);
        store.fuel = fp.add(1).read() as i64;
        for i in (0..30).rev() {
            let slot = slots.add(i);
            let parameter = slots.add(i % 3).read();
            slot.write(if i < 3 { parameter } else { i128_slot(read_slot(&parameter, 4) + i as u128) });
        }
    }
}

#[test]
fn host_calls_spill_and_reload() {
    let compiler = compiler();
    let signature = kinds(&[Kind::I32; 3], &[Kind::I32; 30]);
    let host = compiler.compile_stubs(Stubs::HostCalls(std::slice::from_ref(&signature))).expect("host stubs compile");
    let host = Executable::new(&host.text);
    let stubs = entries(&compiler, std::slice::from_ref(&signature));
    let text = Executable::new(&stubs.text);
    let mut machine = Machine::new();
    let mut context = machine.host(host_function);
    let mut slots = vec![[0; 16]; 30];
    for (i, slot) in slots.iter_mut().take(3).enumerate() {
        *slot = i32_slot(100 * i as u32 + 7);
    }
    // SAFETY: the host stub has the signature of the trampoline and gets the context that it expects.
    let outcome = unsafe {
        text.entry(stubs.stubs[0].start)(host.at(0), (&raw mut *context).cast(), slots.as_mut_ptr(), machine.store())
    };
    assert_eq!(outcome, 0);
    for (i, slot) in slots.iter().enumerate() {
        let parameter = 100 * (i % 3) as u128 + 7;
        assert_eq!(read_slot(slot, 4), if i < 3 { parameter } else { parameter + i as u128 });
    }
    assert!(text.contains(machine.store.fuel as usize), "the stub returns into the trampoline");
}

unsafe extern "C" fn alloc_object(context: *mut u8, ty: u32, length: u32) {
    // SAFETY: the stub passes the instance context, whose first word is the store's address.
    unsafe {
        let store = &mut **context.cast::<*mut StoreContext>();
        store.slow_result = ty * 1000 + length;
        store.epoch_deadline = (store.exit_fp as *const usize).add(1).read() as u64;
        // Whatever a host function may clobber.
        core::arch::asm!(
            "xor eax, eax", "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
            "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
            "pxor xmm0, xmm0", "pxor xmm1, xmm1", "pxor xmm2, xmm2", "pxor xmm7, xmm7",
            "pxor xmm8, xmm8", "pxor xmm14, xmm14", "pxor xmm15, xmm15",
            out("rax") _, out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _, out("r10") _,
            out("r11") _, out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm7") _, out("xmm8") _, out("xmm14") _, out("xmm15") _,
        );
    }
}

unsafe extern "C" fn array_init_data(_: *mut u8, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32) {
    LAST.with(|last| last.set([a, b, c, d, e, f]));
}

unsafe extern "C" fn memory_grow(_: *mut u8, memory: u32, delta: u64) -> u64 {
    u64::from(memory) << 32 | delta
}

unsafe extern "C" fn raw_fill(_: *mut u8, to: *mut u8, byte: u32, length: u64) {
    // SAFETY: the test passes a buffer of this length.
    unsafe { core::ptr::write_bytes(to, byte as u8, length as usize) }
}

thread_local! {
    static LAST: std::cell::Cell<[u32; 6]> = const { std::cell::Cell::new([0; 6]) };
}

#[test]
fn builtins_keep_registers_and_pass_arguments() {
    let compiler = compiler();
    let stubs = compiler.compile_stubs(Stubs::Builtins).expect("builtin stubs compile");
    assert_eq!(stubs.stubs.len(), Builtin::ALL.len());
    let text = Executable::new(&stubs.text);
    let mut machine = Machine::new();
    for (i, stub) in stubs.stubs.iter().enumerate() {
        machine.builtins[i] = text.at(stub.start) as usize;
    }
    let implementations = [
        (Builtin::AllocObject, alloc_object as *const () as usize),
        (Builtin::ArrayInitData, array_init_data as *const () as usize),
        (Builtin::MemoryGrow, memory_grow as *const () as usize),
        (Builtin::RawFill, raw_fill as *const () as usize),
    ];
    for (builtin, address) in implementations {
        machine.builtins[Builtin::ALL.len() + builtin as usize] = address;
    }

    // Holds ten integers and ten floats over a cold call, calls three plain builtins, and returns the sum of all.
    let mut params = vec![Kind::I64; 11];
    params.extend([Kind::F64; 10]);
    let signature = kinds(&params, &[Kind::I64, Kind::F64, Kind::I64]);
    let address = |b: Builtin| machine.builtins[b as usize] as i64;
    let code = function(&compiler, signature.tail(), |b, params| {
        let context = params[0];
        let call = |b: &mut FunctionBuilder<'_>, builtin: Builtin, args: &[Value]| {
            let signature = b.import_signature(builtin.call_signature());
            let code = b.ins().iconst(types::I64, address(builtin));
            let mut all = vec![context];
            all.extend_from_slice(args);
            let call = b.ins().call_indirect(signature, code, &all);
            b.inst_results(call).first().copied()
        };
        let ty = b.ins().iconst(types::I32, 42);
        let length = b.ins().iconst(types::I32, 7);
        call(b, Builtin::AllocObject, &[ty, length]);
        let six: Vec<Value> = (1..=6).map(|i| b.ins().iconst(types::I32, i)).collect();
        call(b, Builtin::ArrayInitData, &six);
        let delta = b.ins().iconst(types::I64, 9);
        let grown = call(b, Builtin::MemoryGrow, &[length, delta]).expect("a result");
        let eight = b.ins().iconst(types::I64, 8);
        call(b, Builtin::RawFill, &[params[11], length, eight]);
        let mut ints = params[1];
        for &p in &params[2..11] {
            ints = b.ins().iadd(ints, p);
        }
        let mut floats = params[12];
        for &p in &params[13..] {
            floats = b.ins().fadd(floats, p);
        }
        b.ins().return_(&[ints, floats, grown]);
    });
    let code = Executable::new(&code);
    let entry = entries(&compiler, std::slice::from_ref(&signature));
    let entry_text = Executable::new(&entry.text);

    let mut buffer = [0u8; 16];
    let mut slots: Vec<Slot> = (1..=10).map(|i| i128_slot(i * 0x1_0000_0001)).collect();
    slots.push(i128_slot(buffer.as_mut_ptr() as u128));
    slots.extend((1..=10).map(|i| i128_slot(u128::from(f64::from(i).to_bits()))));
    // SAFETY: the function and the builtins agree on their signatures; the buffer is longer than what is filled.
    let outcome = unsafe { entry_text.entry(0)(code.at(0), machine.context(), slots.as_mut_ptr(), machine.store()) };
    assert_eq!(outcome, 0);
    assert_eq!(read_slot(&slots[0], 8), 55 * 0x1_0000_0001);
    assert_eq!(f64::from_bits(read_slot(&slots[1], 8) as u64), 55.0);
    assert_eq!(read_slot(&slots[2], 8), 7 << 32 | 9);
    assert_eq!(machine.store.slow_result, 42_007);
    assert!(code.contains(machine.store.epoch_deadline as usize), "the stub returns into its caller");
    assert_eq!(LAST.with(std::cell::Cell::get), [1, 2, 3, 4, 5, 6]);
    assert_eq!(buffer, [7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
}
