//! What lowered operations do, run on the simulated machine, before and after Cranelift's optimiser.

use super::machine::{Bits, Collect, Stop, mutator};
use super::*;
use crate::abi::{Builtin, Trap};
use crate::gc::{CastTarget, Extend};
use core::mem::offset_of;
use cranelift_codegen::ir::InstBuilder;
use heapwright_gc_heap::MutatorState;

const ALL: [&Spec; 5] = [&NULL, &COPYING, &SWEEPING, &COUNTING, &REMEMBERING];

/// A function that was compiled for one collector.
pub(super) struct Compiled {
    pub(super) fixture: Fixture,
    pub(super) plain: Function,
    optimized: Function,
}

impl Compiled {
    pub(super) fn new(
        spec: &'static Spec,
        signal_traps: bool,
        params: &[Type],
        returns: &[Type],
        body: impl FnOnce(&mut Build<'_, '_>, &[Value]),
    ) -> Compiled {
        Compiled::with_settings(spec, Settings { signal_traps, ..Settings::default() }, params, returns, body)
    }

    pub(super) fn with_settings(
        spec: &'static Spec,
        settings: Settings,
        params: &[Type],
        returns: &[Type],
        body: impl FnOnce(&mut Build<'_, '_>, &[Value]),
    ) -> Compiled {
        let signal_traps = settings.signal_traps;
        let mut fixture = Fixture::new(spec);
        fixture.settings = settings;
        let (mut plain, mut gc) = fixture.build(params, returns, body);
        fixture.compile(&mut plain, &mut gc);
        let optimized = optimized(&plain);
        match signal_traps {
            true => drop(machine_code(&plain)),
            false => portable_code(&plain),
        }
        Compiled { fixture, plain, optimized }
    }

    /// Runs both versions on machines that `prepare` set up, and gives the first's machine.
    pub(super) fn run(&self, args: &[Bits], prepare: impl Fn(&mut Machine)) -> (Result<Vec<Bits>, Stop>, Machine) {
        let (result, [machine, _]) = self.run_both(args, prepare);
        (result, machine)
    }

    /// The same, giving both machines.
    pub(super) fn run_both(
        &self,
        args: &[Bits],
        prepare: impl Fn(&mut Machine),
    ) -> (Result<Vec<Bits>, Stop>, [Machine; 2]) {
        let run = |func: &Function| {
            let mut machine = self.fixture.machine();
            machine.collect = match (self.fixture.spec.needs_roots, self.fixture.spec.moves) {
                (false, _) => Collect::Nothing,
                (true, Moves::AtSafepoint) => Collect::Move,
                (true, Moves::Never) => Collect::Sweep,
            };
            prepare(&mut machine);
            (machine.run(func, args), machine)
        };
        let (plain, machine) = run(&self.plain);
        let (optimized, other) = run(&self.optimized);
        assert_eq!(plain, optimized, "{args:?}\n{}\n{}", self.plain, self.optimized);
        assert_eq!(machine.calls, other.calls);
        (plain, [machine, other])
    }
}

/// Compiles and runs with all combinations of collectors and kinds of traps; all give `expected`.
fn expect(
    params: &[Type],
    returns: &[Type],
    args: &[Bits],
    expected: Result<&[Bits], Trap>,
    body: impl Fn(&mut Build<'_, '_>, &[Value]),
) {
    for spec in ALL {
        for signal_traps in [true, false] {
            let compiled = Compiled::new(spec, signal_traps, params, returns, &body);
            for region in [0, 200] {
                let (result, _) = compiled.run(args, |machine| machine.region = region);
                let expected = expected.map(<[Bits]>::to_vec).map_err(Stop::Trap);
                assert_eq!(result, expected, "{} signals {signal_traps}\n{}", spec.name, compiled.plain);
            }
        }
    }
}

fn get(ty: u32, field: u32, extend: Extend) -> GcOp {
    GcOp::StructGet { ty, field, extend, nullable: true }
}

#[test]
fn fields_of_all_kinds_keep_their_values() {
    let results = [types::I32, types::I32, types::I32, types::I64, types::F64, types::F32, types::I32, types::I8X16];
    let (f64s, f32s) = (1.5f64.to_bits().into(), 2.5f32.to_bits().into());
    let vector = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;
    let expected = [0xffff_ff80, 0x80, 0x8001, 77, f64s, f32s, 9, vector];
    expect(&[types::I32, types::I8X16], &results, &[0x80, vector], Ok(&expected), |build, params| {
        let short = build.b.ins().iconst(types::I32, 0x0001_8001);
        let long = build.b.ins().iconst(types::I64, 77);
        let double = build.b.ins().f64const(1.5);
        let float = build.b.ins().f32const(2.5);
        let word = build.b.ins().iconst(types::I32, 9);
        let fields = [params[0], short, long, double, float, word, params[1]];
        let object = build.op(GcOp::StructNew { ty: MIXED }, &fields);
        let fields = [(0, Extend::Signed), (0, Extend::Unsigned), (1, Extend::Unsigned)];
        let plain = (2..7).map(|i| (i, Extend::None));
        let values: Vec<Value> =
            fields.into_iter().chain(plain).map(|(i, extend)| build.op(get(MIXED, i, extend), &[object])).collect();
        build.b.ins().return_(&values);
    });
}

#[test]
fn vectors_in_arrays() {
    let vector = 0xf102_0304_0506_0708_090a_0b0c_0d0e_0f10;
    for (index, expected) in [(0, Ok(vector)), (11, Ok(vector)), (12, Err(Trap::ArrayOutOfBounds))] {
        let expected = expected.map(|v| [v]);
        let expected = expected.as_ref().map(|v| &v[..]).map_err(|&trap| trap);
        let params = [types::I8X16, types::I32, types::I32];
        expect(&params, &[types::I8X16], &[vector, 12, index], expected, |build, params| {
            let array = build.op(GcOp::ArrayNew { ty: VECTORS }, &[params[0], params[1]]);
            let get = GcOp::ArrayGet { ty: VECTORS, extend: Extend::None, nullable: false, in_bounds: false };
            let value = build.op(get, &[array, params[2]]);
            build.b.ins().return_(&[value]);
        });
    }
}

#[test]
fn constant_indices_are_checked_like_others() {
    for (index, expected) in [(2, Ok([5])), (3, Err(Trap::ArrayOutOfBounds)), (1 << 20, Err(Trap::ArrayOutOfBounds))] {
        let expected = expected.as_ref().map(|v| &v[..]).map_err(|&trap| trap);
        expect(&[], &[types::I64], &[], expected, |build, _| {
            let value = build.b.ins().iconst(types::I64, 5);
            let array = build.op(GcOp::ArrayNewFixed { ty: LONGS, count: 3 }, &[value; 3]);
            let index = build.b.ins().iconst(types::I32, index);
            let get = GcOp::ArrayGet { ty: LONGS, extend: Extend::None, nullable: true, in_bounds: false };
            let value = build.op(get, &[array, index]);
            build.b.ins().return_(&[value]);
        });
    }
}

#[test]
fn default_structs_are_zero() {
    // Fresh memory is not.
    for ty in [MIXED, SUB_NODE, HUGE] {
        expect(&[], &[types::I64], &[], Ok(&[0]), |build, _| {
            let object = build.op(GcOp::StructNewDefault { ty }, &[]);
            let count = build.module.struct_layout(ty).fields.len() as u32;
            let mut sum = build.b.ins().iconst(types::I64, 0);
            for i in (0..count).rev().take(20).chain([0]) {
                let extend = if ty == MIXED && i < 2 { Extend::Unsigned } else { Extend::None };
                let value = build.op(get(ty, i, extend), &[object]);
                let bits = match build.b.func.dfg.value_type(value) {
                    types::I32 => build.b.ins().uextend(types::I64, value),
                    types::I64 => value,
                    // Floats need an integer of their size; the fixture has these two only, and their neighbours tell.
                    _ => continue,
                };
                sum = build.b.ins().bor(sum, bits);
            }
            build.b.ins().return_(&[sum]);
        });
    }
}

#[test]
fn stores_are_seen_by_loads() {
    expect(&[types::I32], &[types::I32, types::I32], &[41], Ok(&[41, 1]), |build, params| {
        let null = build.b.ins().iconst(types::I32, 0);
        let one = build.b.ins().iconst(types::I32, 1);
        let a = build.op(GcOp::StructNew { ty: NODE }, &[one, null, null]);
        let b = build.op(GcOp::StructNew { ty: NODE }, &[null, a, null]);
        build.emit(GcOp::StructSet { ty: NODE, field: 2, nullable: true }, &[a, b]);
        build.emit(GcOp::StructSet { ty: NODE, field: 0, nullable: true }, &[b, params[0]]);
        let b = build.op(get(NODE, 2, Extend::None), &[a]);
        let value = build.op(get(NODE, 0, Extend::None), &[b]);
        let a = build.op(get(NODE, 1, Extend::None), &[b]);
        let other = build.op(get(NODE, 0, Extend::None), &[a]);
        build.b.ins().return_(&[value, other]);
    });
}

/// A list and an array built in one expression: the objects refer to those before them, and what stands between them is
/// moved.
#[test]
fn objects_that_are_allocated_together() {
    for (length, expected) in
        [(0, Err(Trap::ArrayOutOfBounds)), (2, Ok([5 + 9 + 5 + 2 + 7])), (600, Ok([5 + 9 + 5 + 600 + 7]))]
    {
        let expected = expected.as_ref().map(|v| &v[..]).map_err(|&trap| trap);
        expect(&[types::I32], &[types::I32], &[5], expected, |build, params| {
            let null = build.b.ins().iconst(types::I32, 0);
            let old = build.op(GcOp::StructNew { ty: NODE }, &[params[0], null, null]);
            // This one stays apart.
            build.emit(GcOp::StructSet { ty: NODE, field: 0, nullable: false }, &[old, params[0]]);
            let first = build.op(GcOp::StructNew { ty: NODE }, &[params[0], null, old]);
            // Moved in front of the allocations.
            let value = build.op(GcOp::StructGet { ty: NODE, field: 0, extend: Extend::None, nullable: false }, &[old]);
            let four = build.b.ins().iconst(types::I32, 4);
            let nine = build.b.ins().iadd(value, four);
            let long = build.b.ins().uextend(types::I64, nine);
            let second = build.op(GcOp::StructNew { ty: SUB_NODE }, &[nine, first, old, long]);
            let length = build.b.ins().iconst(types::I32, length);
            let array = build.op(GcOp::ArrayNewDefault { ty: WORDS }, &[length]);
            let refs = build.op(GcOp::ArrayNewFixed { ty: REFS, count: 3 }, &[second, array, first]);
            let empty = build.op(GcOp::StructNewDefault { ty: NODE }, &[]);
            let field = |build: &mut Build<'_, '_>, object, field| {
                build.op(GcOp::StructGet { ty: NODE, field, extend: Extend::None, nullable: true }, &[object])
            };
            let element = |build: &mut Build<'_, '_>, ty, array, index: i64| {
                let index = build.b.ins().iconst(types::I32, index);
                build.op(GcOp::ArrayGet { ty, extend: Extend::None, nullable: true, in_bounds: false }, &[array, index])
            };
            let second = element(build, REFS, refs, 0);
            let array = element(build, REFS, refs, 1);
            let first = field(build, second, 1);
            let old = field(build, first, 2);
            let one = build.b.ins().iconst(types::I32, 1);
            let seven = build.b.ins().iconst(types::I32, 7);
            build.emit(GcOp::ArraySet { ty: WORDS, nullable: false, in_bounds: false }, &[array, one, seven]);
            let count = build.op(GcOp::ArrayLen { nullable: false }, &[array]);
            let mut sum = element(build, WORDS, array, 1);
            let zero = element(build, WORDS, array, 0);
            let nothing = field(build, empty, 0);
            let values = [field(build, old, 0), field(build, second, 0), field(build, first, 0), count, zero, nothing];
            for value in values {
                sum = build.b.ins().iadd(sum, value);
            }
            build.b.ins().return_(&[sum]);
        });
    }
}

#[test]
fn null_receivers_trap() {
    type Access = fn(&mut Build<'_, '_>, Value);
    let cases: [(Trap, Access); 11] = [
        // Too far from the null page for a fault.
        (Trap::NullStructReference, |b, null| {
            b.op(get(HUGE, HUGE_FIELDS - 1, Extend::None), &[null]);
        }),
        (Trap::NullStructReference, |b, null| {
            b.op(get(NODE, 0, Extend::None), &[null]);
        }),
        (Trap::NullStructReference, |b, null| {
            b.emit(GcOp::StructSet { ty: NODE, field: 0, nullable: true }, &[null, null]);
        }),
        (Trap::NullStructReference, |b, null| {
            b.emit(GcOp::StructSet { ty: NODE, field: 1, nullable: true }, &[null, null]);
        }),
        (Trap::NullArrayReference, |b, null| {
            b.op(GcOp::ArrayLen { nullable: true }, &[null]);
        }),
        (Trap::NullArrayReference, |b, null| {
            b.op(GcOp::ArrayGet { ty: REFS, extend: Extend::None, nullable: true, in_bounds: false }, &[null, null]);
        }),
        (Trap::NullArrayReference, |b, null| {
            b.emit(GcOp::ArraySet { ty: REFS, nullable: true, in_bounds: false }, &[null, null, null]);
        }),
        (Trap::NullArrayReference, |b, null| {
            b.emit(GcOp::ArrayFill { ty: WORDS, nullable: true }, &[null, null, null, null]);
        }),
        (Trap::NullArrayReference, |b, null| {
            let copy = GcOp::ArrayCopy { to: WORDS, from: WORDS, to_nullable: true, from_nullable: true };
            b.emit(copy, &[null; 5]);
        }),
        (Trap::NullI31Reference, |b, null| {
            b.op(GcOp::I31Get { signed: true, nullable: true }, &[null]);
        }),
        (Trap::CastFailure, |b, null| {
            let target = CastTarget::Concrete(FINAL);
            b.op(GcOp::RefCast { target, admits_null: false, nullable: true, may_be_i31: false }, &[null]);
        }),
    ];
    for (trap, body) in cases {
        // The null is a parameter: no one knows that it is null.
        expect(&[types::I32], &[], &[0], Err(trap), |build, params| {
            body(build, params[0]);
            build.b.ins().return_(&[]);
        });
    }
}

#[test]
fn arrays_of_all_lengths() {
    for (ty, element, size) in [(WORDS, types::I32, 4u64), (BYTES, types::I32, 1), (LONGS, types::I64, 8)] {
        for default in [true, false] {
            for constant in [true, false] {
                for length in [0u64, 1, 2, 3, 5, 7, 8, 9, 63, 64, 65, 300, 5000] {
                    let spec = ALL[length as usize % ALL.len()];
                    let extend = if ty == BYTES { Extend::Unsigned } else { Extend::None };
                    let compiled =
                        Compiled::new(spec, true, &[types::I32, types::I32], &[element, types::I32], |build, p| {
                            let length = if constant { build.b.ins().iconst(types::I32, length as i64) } else { p[0] };
                            let value = build.b.ins().iconst(element, 77);
                            let array = match default {
                                true => build.op(GcOp::ArrayNewDefault { ty }, &[length]),
                                false => build.op(GcOp::ArrayNew { ty }, &[value, length]),
                            };
                            let value = build
                                .op(GcOp::ArrayGet { ty, extend, nullable: false, in_bounds: false }, &[array, p[1]]);
                            let length = build.op(GcOp::ArrayLen { nullable: true }, &[array]);
                            build.b.ins().return_(&[value, length]);
                        });
                    let value = if default { 0 } else { 77 };
                    for index in [0, length / 2, length.saturating_sub(1), length, length + 1, 0xffff_ffff] {
                        let args = [length.into(), index.into()];
                        let (result, _) = compiled.run(&args, |machine| machine.region = 16 << 10);
                        let expected = match index < length {
                            true => Ok(vec![value, length.into()]),
                            false => Err(Stop::Trap(Trap::ArrayOutOfBounds)),
                        };
                        assert_eq!(result, expected, "{length} elements of {size} bytes, {index}\n{}", compiled.plain);
                    }
                }
            }
        }
    }
}

#[test]
fn large_arrays_are_not_allocated_inline() {
    let compiled = Compiled::new(&NULL, true, &[types::I32], &[types::I32], |build, params| {
        let array = build.op(GcOp::ArrayNewDefault { ty: WORDS }, params);
        let length = build.op(GcOp::ArrayLen { nullable: false }, &[array]);
        build.b.ins().return_(&[length]);
    });
    let inline_limit = u64::from(NULL.inline_limit);
    let most = (inline_limit - 8) / 4;
    for (length, slow) in [(most, false), (most + 1, true), (1 << 15, true)] {
        // The region is large enough for all.
        let limit = mutator(offset_of!(MutatorState, limit));
        let (result, machine) = compiled.run(&[length.into()], |machine| machine.set_store_word(limit, 1 << 20));
        assert_eq!(result, Ok(vec![length.into()]));
        let calls: Vec<_> = machine.calls.iter().map(|(b, _)| *b).filter(|b| *b != Builtin::RawFill).collect();
        assert_eq!(!calls.is_empty(), slow, "{length}");
    }
}

#[test]
fn fixed_arrays_and_elements() {
    expect(&[types::I32], &[types::I32], &[7], Ok(&[5 + 8 + 12]), |build, params| {
        let five = build.b.ins().iconst(types::I32, 5);
        let array = build.op(GcOp::ArrayNewFixed { ty: WORDS, count: 3 }, &[five, params[0], five]);
        let refs = build.op(GcOp::ArrayNewFixed { ty: REFS, count: 2 }, &[array, array]);
        let one = build.b.ins().iconst(types::I32, 1);
        let array =
            build.op(GcOp::ArrayGet { ty: REFS, extend: Extend::None, nullable: true, in_bounds: false }, &[refs, one]);
        let value = build
            .op(GcOp::ArrayGet { ty: WORDS, extend: Extend::None, nullable: true, in_bounds: false }, &[array, one]);
        let value = build.b.ins().iadd(value, one);
        build.emit(GcOp::ArraySet { ty: WORDS, nullable: true, in_bounds: false }, &[array, one, value]);
        let mut sum = build.b.ins().iconst(types::I32, 0);
        for i in 0..3 {
            let index = build.b.ins().iconst(types::I32, i);
            let value = build.op(
                GcOp::ArrayGet { ty: WORDS, extend: Extend::None, nullable: true, in_bounds: false },
                &[array, index],
            );
            sum = build.b.ins().iadd(sum, value);
        }
        // 5 + 8 + 5, and 7 for the constant array's last element when it is set.
        let two = build.b.ins().iconst(types::I32, 2);
        build.emit(GcOp::ArraySet { ty: WORDS, nullable: true, in_bounds: false }, &[array, two, value]);
        let last = build
            .op(GcOp::ArrayGet { ty: WORDS, extend: Extend::None, nullable: true, in_bounds: false }, &[array, two]);
        let difference = build.b.ins().isub(last, one);
        let sum = build.b.ins().iadd(sum, difference);
        build.b.ins().return_(&[sum]);
    });
}

#[test]
fn fills_stay_in_bounds() {
    // (length, offset, count) of an array of ones; the sum after filling with 100.
    let cases: [(u64, u64, u64, Option<u64>); 8] = [
        (10, 0, 10, Some(1000)),
        (10, 3, 4, Some(406)),
        (10, 10, 0, Some(10)),
        (10, 11, 0, None),
        (10, 7, 4, None),
        (10, 0xffff_ffff, 2, None),
        (10, 2, 0xffff_ffff, None),
        (0, 0, 0, Some(0)),
    ];
    for (length, offset, count, sum) in cases {
        let expected = sum.map(Bits::from).map(|s| [s]);
        let expected = expected.as_ref().map(|s| &s[..]).ok_or(Trap::ArrayOutOfBounds);
        for ty in [WORDS, BYTES] {
            let args = [length.into(), offset.into(), count.into()];
            expect(&[types::I32; 3], &[types::I32], &args, expected, |build, params| {
                let one = build.b.ins().iconst(types::I32, 1);
                let hundred = build.b.ins().iconst(types::I32, 100);
                let array = build.op(GcOp::ArrayNew { ty }, &[one, params[0]]);
                build.emit(GcOp::ArrayFill { ty, nullable: false }, &[array, params[1], hundred, params[2]]);
                let zero = build.b.ins().iconst(types::I32, 0);
                let (head, body, done) = (build.b.create_block(), build.b.create_block(), build.b.create_block());
                let [i, sum] = [(); 2].map(|()| build.b.append_block_param(head, types::I32));
                build.b.ins().jump(head, &[zero.into(), zero.into()]);
                build.b.switch_to_block(head);
                let left = build.b.ins().isub(params[0], i);
                build.b.ins().brif(left, body, &[], done, &[]);
                build.b.switch_to_block(body);
                let extend = if ty == BYTES { Extend::Unsigned } else { Extend::None };
                let value = build.op(GcOp::ArrayGet { ty, extend, nullable: false, in_bounds: false }, &[array, i]);
                let next = build.b.ins().iadd(i, one);
                let more = build.b.ins().iadd(sum, value);
                build.b.ins().jump(head, &[next.into(), more.into()]);
                build.b.switch_to_block(done);
                build.b.ins().return_(&[sum]);
            });
        }
    }
}

#[test]
fn i31s() {
    let args = [0x6000_0001];
    expect(&[types::I32], &[types::I32; 3], &args, Ok(&[0xe000_0001, 0x6000_0001, 0xc000_0003]), |build, params| {
        let i31 = build.op(GcOp::RefI31, params);
        let signed = build.op(GcOp::I31Get { signed: true, nullable: true }, &[i31]);
        let unsigned = build.op(GcOp::I31Get { signed: false, nullable: false }, &[i31]);
        build.b.ins().return_(&[signed, unsigned, i31]);
    });
}

#[test]
fn exceptions_carry_their_parameters() {
    for spec in ALL {
        let body = |build: &mut Build<'_, '_>, params: &[Value]| {
            let exception = build.op(GcOp::ExnNew { tag: 0 }, &[params[0], params[1]]);
            let number = build.op(GcOp::ExnGet { tag: 0, index: 0 }, &[exception]);
            let reference = build.op(GcOp::ExnGet { tag: 0, index: 1 }, &[exception]);
            build.b.ins().return_(&[number, reference, exception]);
        };
        let compiled =
            Compiled::new(spec, true, &[types::I64, types::I32], &[types::I64, types::I32, types::I32], body);
        let (result, mut machine) = compiled.run(&[99, 3], |_| {});
        let result = result.expect("no trap");
        assert_eq!(result[..2], [99, 3]);
        let exception = result[2] as u32;
        assert_eq!(machine.word(exception), type_word(compiled.fixture.layout.counts.types));
        assert_eq!(machine.word(exception + spec.header_layout().bytes()), 700, "the tag's id comes first");
    }
}

#[test]
fn segments_are_the_vms_business() {
    let body = |build: &mut Build<'_, '_>, p: &[Value]| {
        let array = build.op(GcOp::ArrayNewData { ty: BYTES, segment: 3 }, &[p[0], p[1]]);
        build.emit(GcOp::ArrayInitData { ty: BYTES, segment: 4 }, &[array, p[0], p[1], p[0]]);
        build.emit(GcOp::ArrayInitElem { ty: REFS, segment: 5 }, &[array, p[1], p[0], p[1]]);
        build.b.ins().return_(&[]);
    };
    let compiled = Compiled::new(&COPYING, true, &[types::I32, types::I32], &[], body);
    let (_, machine) = compiled.run(&[8, 9], |_| {});
    let (bytes, refs) = (Bits::from(BYTES), Bits::from(REFS));
    let expected = [
        (Builtin::ArrayNewData, vec![bytes, 3, 8, 9]),
        (Builtin::ArrayInitData, vec![bytes, 4, 0, 8, 9, 8]),
        (Builtin::ArrayInitElem, vec![refs, 5, 0, 9, 8, 9]),
    ];
    assert_eq!(machine.calls, expected);
}
