//! `array.copy` and `array.fill`, element by element in Rust beside compiled code.

use super::machine::{Bits, HEAP, Stop, mutator};
use super::operations::Compiled;
use super::*;
use crate::abi::{Builtin, Trap};
use cranelift_codegen::ir::InstBuilder;
use std::ops::Range;

const SPECS: [&Spec; 4] = [&NULL, &COPYING, &COUNTING, &REMEMBERING];

/// Where two arrays are put by hand, in this order.
const FIRST: u32 = 0x1_0000;

/// Element types: the array's, the element's machine type, its size.
const ELEMENTS: [(u32, Type, u32); 5] = [
    (BYTES, types::I32, 1),
    (SHORTS, types::I32, 2),
    (WORDS, types::I32, 4),
    (LONGS, types::I64, 8),
    (VECTORS, types::I8X16, 16),
];

/// Two arrays of a type in the machine's heap.
#[derive(Clone, Copy)]
struct Arrays {
    layout: ArrayLayout,
    ty: u32,
    length: u32,
}

impl Arrays {
    fn new(fixture: &Fixture, ty: u32, length: u32) -> Arrays {
        Arrays { layout: fixture.module.array_layout(ty), ty, length }
    }

    fn second(&self) -> u32 {
        FIRST + self.layout.size(self.length) as u32 + 64
    }

    /// Where an array's elements are.
    fn elements(&self, array: u32) -> Range<usize> {
        let start = (array - FIRST + self.layout.elements_offset) as usize;
        start..start + ((self.length as usize) << self.layout.element_shift)
    }

    /// All that may be written, and something around it.
    fn memory<'m>(&self, machine: &'m mut Machine) -> &'m mut [u8] {
        let size = self.second() - FIRST + self.layout.size(self.length) as u32 + 64;
        machine.slice(HEAP + u64::from(FIRST), size).expect("mapped")
    }

    fn prepare(&self, machine: &mut Machine) {
        for (i, byte) in self.memory(machine).iter_mut().enumerate() {
            // Nothing repeats within what one test moves.
            *byte = (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        }
        for array in [FIRST, self.second()] {
            machine.set_word(array, type_word(self.ty));
            for i in 1..=machine.header.len() as u32 {
                machine.set_word(array + 4 * i, 0);
            }
            machine.set_word(array + self.layout.length_offset, self.length);
        }
        if self.layout.traced {
            // What barriers may look at: i31s.
            let memory = self.memory(machine);
            for array in [FIRST, self.second()] {
                let range = self.elements(array);
                memory[range].chunks_exact_mut(4).for_each(|word| word[0] |= 1);
            }
        }
    }

    /// What the memory was before.
    fn before(&self, fixture: &Fixture) -> Vec<u8> {
        let mut machine = fixture.machine();
        self.prepare(&mut machine);
        self.memory(&mut machine).to_vec()
    }

    /// Compares but for header words, which are the barriers'.
    fn assert_same(&self, machine: &mut Machine, mut expected: Vec<u8>, what: &str) {
        let memory = self.memory(machine).to_vec();
        for array in [FIRST, self.second()] {
            let header = (array - FIRST) as usize..(array - FIRST + self.layout.length_offset) as usize;
            expected[header.clone()].copy_from_slice(&memory[header]);
        }
        assert_eq!(memory, expected, "{what}");
    }
}

/// Compiles an `array.copy`, of a constant number of elements if there is one.
fn copy(spec: &'static Spec, settings: Settings, ty: u32, constant: Option<u32>) -> Compiled {
    Compiled::with_settings(spec, settings, &[types::I32; 5], &[], |build, p| {
        let mut args = [p[0], p[1], p[2], p[3], p[4]];
        if let Some(count) = constant {
            args[4] = build.b.ins().iconst(types::I32, i64::from(count));
        }
        build.emit(GcOp::ArrayCopy { to: ty, from: ty, to_nullable: true, from_nullable: true }, &args);
        build.b.ins().return_(&[]);
    })
}

#[test]
fn copies_of_all_lengths_and_overlaps() {
    const LENGTH: u32 = 150;
    for (ty, _, size) in ELEMENTS.into_iter().chain([(REFS, types::I32, 4)]) {
        for spec in SPECS {
            let plain = !matches!(ty, REFS) || !matches!(spec.barriers.bulk, BulkBarrier::Elements);
            if !plain || (ty != REFS && !core::ptr::eq(spec, &COPYING)) {
                // The vm's business, or the same code.
                continue;
            }
            let dynamic = copy(spec, Settings::default(), ty, None);
            let arrays = Arrays::new(&dynamic.fixture, ty, LENGTH);
            let before = arrays.before(&dynamic.fixture);
            let counts = (0..=5).chain([7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129]);
            for (n, count) in counts.enumerate() {
                let constant = (n % 3 == 0).then(|| copy(spec, Settings::default(), ty, Some(count)));
                // Between two arrays, and within one: the same place, and overlapping both ways.
                let second = arrays.second();
                let cases = [(second, 9, FIRST, 3), (FIRST, 5, FIRST, 5), (FIRST, 6, FIRST, 2), (FIRST, 1, FIRST, 4)];
                for (to, at, from, start) in cases {
                    let mut expected = before.clone();
                    let offset = |array, index: u32| arrays.elements(array).start + (index * size) as usize;
                    let (source, bytes) = (offset(from, start), (count * size) as usize);
                    expected.copy_within(source..source + bytes, offset(to, at));
                    for compiled in [Some(&dynamic), constant.as_ref()].into_iter().flatten() {
                        let args = [to, at, from, start, count].map(Bits::from);
                        let (result, machines) = compiled.run_both(&args, |machine| arrays.prepare(machine));
                        assert_eq!(result, Ok(vec![]));
                        for mut machine in machines {
                            let what = format!("{count} of {size} bytes, {at} from {start}, {}", spec.name);
                            arrays.assert_same(&mut machine, expected.clone(), &what);
                            let called: Vec<_> = machine.calls.iter().map(|(b, _)| *b).collect();
                            let long = if bytes > 128 { vec![Builtin::RawCopy] } else { vec![] };
                            assert_eq!(called, long, "{what}");
                            let remembered = usize::from(count > 0 && ty == REFS && spec.barriers.store.is_some());
                            assert_eq!(machine.buffer(1).len(), remembered, "{what}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn copies_and_fills_stay_in_bounds() {
    const LENGTH: u32 = 40;
    let cases: [(u32, u32, u32, bool); 10] = [
        (0, 0, 40, true),
        (40, 0, 0, true),
        (0, 40, 0, true),
        (41, 0, 0, false),
        (0, 41, 0, false),
        (1, 0, 40, false),
        (0, 1, 40, false),
        (u32::MAX, 0, 1, false),
        (0, u32::MAX, 2, false),
        (2, 3, u32::MAX, false),
    ];
    for signal_traps in [true, false] {
        for (ty, element, size) in ELEMENTS {
            let settings = Settings { signal_traps, ..Settings::default() };
            let copy = copy(&NULL, settings.clone(), ty, None);
            let fill = Compiled::with_settings(&NULL, settings, &[types::I32, types::I32, element, types::I32], &[], {
                |build, p| {
                    build.emit(GcOp::ArrayFill { ty, nullable: true }, p);
                    build.b.ins().return_(&[]);
                }
            });
            let arrays = Arrays::new(&copy.fixture, ty, LENGTH);
            let before = arrays.before(&copy.fixture);
            for (at, start, count, fits) in cases {
                let expected = if fits { Ok(vec![]) } else { Err(Stop::Trap(Trap::ArrayOutOfBounds)) };
                let args = [FIRST, at, arrays.second(), start, count].map(Bits::from);
                let (result, machines) = copy.run_both(&args, |machine| arrays.prepare(machine));
                assert_eq!(result, expected, "copy of {count} of {size} bytes to {at} from {start}");
                if !fits {
                    machines
                        .into_iter()
                        .for_each(|mut m| arrays.assert_same(&mut m, before.clone(), "nothing is moved"));
                }
                let inside = u64::from(at) + u64::from(count) <= u64::from(LENGTH);
                let expected = if inside { Ok(vec![]) } else { Err(Stop::Trap(Trap::ArrayOutOfBounds)) };
                let args = [FIRST.into(), at.into(), 1, count.into()];
                let (result, _) = fill.run_both(&args, |machine| arrays.prepare(machine));
                assert_eq!(result, expected, "fill of {count} of {size} bytes at {at}");
            }
            for (to, from) in [(0, FIRST), (FIRST, 0)] {
                let args = [to, 0, from, 0, 0].map(Bits::from);
                let (result, _) = copy.run(&args, |machine| arrays.prepare(machine));
                assert_eq!(result, Err(Stop::Trap(Trap::NullArrayReference)), "{to:#x} from {from:#x}");
            }
        }
    }
}

#[test]
fn fills_of_all_lengths() {
    const LENGTH: u32 = 150;
    let value: Bits = 0x9182_7364_5546_3728_191a_2b3c_4d5e_6f71;
    for epochs in [false, true] {
        for (ty, element, size) in ELEMENTS.into_iter().chain([(REFS, types::I32, 4)]) {
            for spec in SPECS {
                if ty != REFS && !core::ptr::eq(spec, &COPYING) || core::ptr::eq(spec, &COUNTING) {
                    continue;
                }
                let fill = |constant: Option<u32>| {
                    let settings = Settings { epochs, ..Settings::default() };
                    let params = [types::I32, types::I32, element, types::I32];
                    Compiled::with_settings(spec, settings, &params, &[], |build, p| {
                        let count = constant.map(|count| build.b.ins().iconst(types::I32, i64::from(count)));
                        build.emit(GcOp::ArrayFill { ty, nullable: true }, &[p[0], p[1], p[2], count.unwrap_or(p[3])]);
                        build.b.ins().return_(&[]);
                    })
                };
                let dynamic = fill(None);
                let arrays = Arrays::new(&dynamic.fixture, ty, LENGTH);
                let before = arrays.before(&dynamic.fixture);
                let counts = (0..=9).chain([15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 140]);
                for (n, count) in counts.enumerate() {
                    let constant = (n % 2 == 0).then(|| fill(Some(count)));
                    let mut expected = before.clone();
                    let start = arrays.elements(FIRST).start + 3 * size as usize;
                    for element in expected[start..start + (count * size) as usize].chunks_exact_mut(size as usize) {
                        element.copy_from_slice(&value.to_le_bytes()[..size as usize]);
                    }
                    for compiled in [Some(&dynamic), constant.as_ref()].into_iter().flatten() {
                        let word = value & (u128::MAX >> (128 - element.bits()));
                        let args = [FIRST.into(), 3, word, count.into()];
                        let (result, machines) = compiled.run_both(&args, |machine| {
                            arrays.prepare(machine);
                            let deadline = core::mem::offset_of!(crate::abi::StoreContext, epoch_deadline);
                            machine.set_store_word(deadline as u64, 1);
                        });
                        assert_eq!(result, Ok(vec![]));
                        for mut machine in machines {
                            let what = format!("{count} of {size} bytes under {}", spec.name);
                            arrays.assert_same(&mut machine, expected.clone(), &what);
                            let remembered = usize::from(count > 0 && ty == REFS && spec.barriers.store.is_some());
                            assert_eq!(machine.buffer(1).len(), remembered, "{what}");
                        }
                    }
                }
            }
        }
    }
}

/// A fill looks for an interruption after each vector at the latest, and a long copy is left to the vm, which does.
#[test]
fn long_operations_can_be_interrupted() {
    let settings = Settings { epochs: true, ..Settings::default() };
    let fill = Compiled::with_settings(&NULL, settings.clone(), &[types::I32; 4], &[], |build, p| {
        build.emit(GcOp::ArrayFill { ty: BYTES, nullable: false }, p);
        build.b.ins().return_(&[]);
    });
    let arrays = Arrays::new(&fill.fixture, BYTES, 0x2_0000);
    let args = [FIRST.into(), 0, 1, 160];
    let (_, machine) = fill.run(&args, |machine| arrays.prepare(machine));
    assert_eq!(machine.calls.len(), 9, "{:?}", machine.calls);
    assert!(machine.calls.iter().all(|(builtin, _)| *builtin == Builtin::RangeInterrupted));

    let copy = copy(&NULL, settings, BYTES, None);
    for (count, builtin) in [(0x1_0000, Builtin::RawCopy), (0x1_0001, Builtin::ArrayCopy)] {
        let args = [FIRST, 0, arrays.second(), 0, count].map(Bits::from);
        let (_, machine) = copy.run(&args, |machine| arrays.prepare(machine));
        let called: Vec<_> = machine.calls.iter().map(|(b, _)| *b).collect();
        assert_eq!(called, [builtin], "{count}");
    }
}

/// An array whose length was forged does not make the leaf touch what is not committed.
#[test]
fn what_is_not_committed_is_not_moved() {
    let usable = mutator(core::mem::offset_of!(heapwright_gc_heap::MutatorState, usable));
    let copy = copy(&NULL, Settings::default(), BYTES, None);
    let arrays = Arrays::new(&copy.fixture, BYTES, 4096);
    let end = arrays.second() - FIRST + arrays.elements(FIRST).start as u32 + 1000;
    for (count, builtin) in [(1000, Builtin::RawCopy), (1001, Builtin::ArrayCopy)] {
        for (to, from) in [(FIRST, arrays.second()), (arrays.second(), FIRST)] {
            let args = [to, 0, from, 0, count].map(Bits::from);
            let (_, machine) = copy.run(&args, |machine| {
                arrays.prepare(machine);
                machine.set_store_word(usable, end);
            });
            let called: Vec<_> = machine.calls.iter().map(|(b, _)| *b).collect();
            assert_eq!(called, [builtin], "{count} from {from:#x}");
        }
    }
    let fill = Compiled::new(&NULL, true, &[types::I32; 4], &[], |build, p| {
        build.emit(GcOp::ArrayFill { ty: BYTES, nullable: false }, p);
        build.b.ins().return_(&[]);
    });
    for (count, expected) in [(1000, Ok(vec![])), (1001, Err(Stop::Trap(Trap::HeapCorrupted)))] {
        let args = [arrays.second(), 0, 7, count].map(Bits::from);
        let (result, _) = fill.run(&args, |machine| {
            arrays.prepare(machine);
            machine.set_store_word(usable, end);
        });
        assert_eq!(result, expected);
    }
}
