//! Random programs: with collections and without they compute the same.

use super::machine::{Bits, Collect, Stop};
use super::*;
use crate::gc::Extend;
use crate::gc::safepoints::{self, Budget};
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, ExceptionTableData, ExceptionTableItem, ExceptionTag, ExtFuncData, ExternalName,
    FuncRef, InstBuilder, JumpTableData, UserExternalName,
};
use cranelift_frontend::Variable;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// A program of random blocks over a few variables. Control goes from any block to any other, so that loops are mostly
/// not reducible, until the fuel is used up.
struct Program<'a, 'b, 'f> {
    random: Random,
    build: &'a mut Build<'b, 'f>,
    refs: Vec<Variable>,
    /// References from the entry block. They are not variables, for which the builder would make parameters at every
    /// loop header: they are live around loops under their own names.
    fixed: [Value; 2],
    hash: Variable,
    fuel: Variable,
    blocks: Vec<Block>,
    exit: Block,
    helpers: Vec<FuncRef>,
}

impl Program<'_, '_, '_> {
    fn any_ref(&mut self) -> Value {
        let i = self.random.below(self.refs.len() + self.fixed.len());
        self.fixed.get(i).copied().unwrap_or_else(|| self.build.b.use_var(self.refs[i - 2]))
    }

    fn set_any_ref(&mut self, value: Value) {
        let i = self.random.below(self.refs.len());
        self.build.b.def_var(self.refs[i], value);
    }

    fn mix(&mut self, value: Value) {
        let hash = self.build.b.use_var(self.hash);
        let hash = self.build.b.ins().imul_imm_u(hash, 31);
        let hash = self.build.b.ins().iadd(hash, value);
        self.build.b.def_var(self.hash, hash);
    }

    fn statement(&mut self) {
        let node_get = |field| GcOp::StructGet { ty: NODE, field, extend: Extend::None, nullable: false };
        match self.random.below(10) {
            0..=2 => {
                let hash = self.build.b.use_var(self.hash);
                let fields = [hash, self.any_ref(), self.any_ref()];
                let node = self.build.op(GcOp::StructNew { ty: NODE }, &fields);
                self.set_any_ref(node);
            }
            3 | 4 => {
                let node = self.any_ref();
                let value = self.build.op(node_get(0), &[node]);
                self.mix(value);
            }
            5 => {
                // A null keeps the variable as it was.
                let node = self.any_ref();
                let child = self.build.op(node_get(1 + self.random.below(2) as u32), &[node]);
                let old = self.any_ref();
                let child = self.build.b.ins().select(child, child, old);
                self.set_any_ref(child);
            }
            6 => {
                let (node, value) = (self.any_ref(), self.any_ref());
                let field = 1 + self.random.below(2) as u32;
                self.build.emit(GcOp::StructSet { ty: NODE, field, nullable: false }, &[node, value]);
            }
            7 => {
                let value = self.any_ref();
                self.set_any_ref(value);
            }
            8 => {
                let hash = self.build.b.use_var(self.hash);
                let callee = self.helpers[self.random.below(self.helpers.len())];
                let call = self.build.b.ins().call(callee, &[self.build.context, hash]);
                let result = self.build.b.inst_results(call)[0];
                self.build.gc.refs.insert(result);
                self.set_any_ref(result);
            }
            _ => self.diamond(),
        }
    }

    /// A branch of which one side may collect.
    fn diamond(&mut self) {
        let (yes, no, done) = (self.build.b.create_block(), self.build.b.create_block(), self.build.b.create_block());
        let hash = self.build.b.use_var(self.hash);
        let bit = self.build.b.ins().band_imm_u(hash, 1 << self.random.below(6));
        self.build.b.ins().brif(bit, yes, &[], no, &[]);
        self.build.b.switch_to_block(yes);
        if self.random.below(2) == 0 {
            let fields = [hash, self.any_ref(), self.any_ref()];
            let node = self.build.op(GcOp::StructNew { ty: NODE }, &fields);
            self.set_any_ref(node);
        }
        self.build.b.ins().jump(done, &[]);
        self.build.b.switch_to_block(no);
        if self.random.below(2) == 0 {
            self.build.b.set_cold_block(no);
            let array = self.build.op(GcOp::ArrayNewDefault { ty: BYTES }, &[bit]);
            let length = self.build.op(GcOp::ArrayLen { nullable: false }, &[array]);
            self.mix(length);
        }
        self.build.b.ins().jump(done, &[]);
        self.build.b.switch_to_block(done);
    }

    fn target(&mut self) -> Block {
        self.blocks[self.random.below(self.blocks.len())]
    }

    fn terminator(&mut self) {
        let fuel = self.build.b.use_var(self.fuel);
        let less = self.build.b.ins().isub_imm(fuel);
        self.build.b.def_var(self.fuel, less);
        let go_on = self.build.b.create_block();
        self.build.b.ins().brif(fuel, go_on, &[], self.exit, &[]);
        self.build.b.switch_to_block(go_on);
        let hash = self.build.b.use_var(self.hash);
        match self.random.below(4) {
            0 => {
                let to = self.target();
                self.build.b.ins().jump(to, &[]);
            }
            1 => {
                let bit = self.build.b.ins().band_imm_u(hash, 4);
                let (yes, no) = (self.target(), self.target());
                self.build.b.ins().brif(bit, yes, &[], no, &[]);
            }
            2 => {
                let index = self.build.b.ins().band_imm_u(hash, 7);
                let targets: Vec<Block> = (0..7).map(|_| self.target()).collect();
                let pool = &mut self.build.b.func.dfg.value_lists;
                let mut calls = targets.iter().map(|&to| BlockCall::new(to, [], pool));
                let default = calls.next().expect("seven targets");
                let calls: Vec<BlockCall> = calls.collect();
                let table = self.build.b.create_jump_table(JumpTableData::new(default, &calls));
                self.build.b.ins().br_table(index, table);
            }
            _ => self.try_call(hash),
        }
    }

    /// A call with a handler. Whatever comes out becomes a variable's value.
    fn try_call(&mut self, hash: Value) {
        let (normal, landing) = (self.build.b.create_block(), self.build.b.create_block());
        let result = self.build.b.append_block_param(normal, types::I32);
        let payload = self.build.b.append_block_param(landing, types::I64);
        let callee = self.helpers[0];
        let signature = self.build.b.func.dfg.ext_funcs[callee].signature;
        let pool = &mut self.build.b.func.dfg.value_lists;
        let normal_call = BlockCall::new(normal, [BlockArg::TryCallRet(0)], pool);
        let handler = BlockCall::new(landing, [BlockArg::TryCallExn(0)], pool);
        let items = [
            ExceptionTableItem::Context(self.build.context),
            ExceptionTableItem::Tag(ExceptionTag::from_u32(0), handler),
        ];
        let table = ExceptionTableData::new(signature, normal_call, items);
        let table = self.build.b.func.dfg.exception_tables.push(table);
        self.build.b.ins().try_call(callee, &[self.build.context, hash], table);
        self.build.b.switch_to_block(landing);
        let exception = self.build.b.ins().ireduce(types::I32, payload);
        self.build.gc.refs.insert(exception);
        self.set_any_ref(exception);
        let to = self.target();
        self.build.b.ins().jump(to, &[]);
        self.build.b.switch_to_block(normal);
        self.build.gc.refs.insert(result);
        self.set_any_ref(result);
        let to = self.target();
        self.build.b.ins().jump(to, &[]);
    }
}

trait Decrement {
    fn isub_imm(self, value: Value) -> Value;
}

impl<'f, T: InstBuilder<'f>> Decrement for T {
    fn isub_imm(self, value: Value) -> Value {
        self.iadd_imm_s(value, -1)
    }
}

/// The program of a seed. Two references and a number are its parameters, a hash of all numbers that it met its result.
fn program(fixture: &Fixture, seed: u64) -> (Function, FuncGc) {
    fixture.build(&[types::I32, types::I32], &[types::I32], |build, params| {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let count = 1 + random.below(7);
        let mut signature = Signature::new(CallConv::Tail);
        signature.params.extend([types::I64, types::I32].map(AbiParam::new));
        signature.returns.push(AbiParam::new(types::I32));
        let signature = build.b.import_signature(signature);
        let helpers = (0..2).map(|i| {
            let name = build.b.func.declare_imported_user_function(UserExternalName::new(0, i));
            let name = ExternalName::user(name);
            build.b.import_function(ExtFuncData { name, signature, colocated: true, patchable: false })
        });
        let helpers = helpers.collect();
        let refs: Vec<Variable> = (0..1 + random.below(5)).map(|_| build.b.declare_var(types::I32)).collect();
        let [hash, fuel] = [types::I32, types::I32].map(|ty| build.b.declare_var(ty));
        build.b.def_var(hash, params[0]);
        build.b.def_var(fuel, params[1]);
        let null = build.b.ins().iconst(types::I32, 0);
        let mut node = || build.op(GcOp::StructNew { ty: NODE }, &[params[0], null, null]);
        let fixed = [node(), node()];
        for &variable in &refs {
            let node = build.op(GcOp::StructNew { ty: NODE }, &[params[0], null, null]);
            build.b.def_var(variable, node);
        }
        let blocks: Vec<Block> = (0..count).map(|_| build.b.create_block()).collect();
        let exit = build.b.create_block();
        build.b.ins().jump(blocks[0], &[]);
        let mut program = Program { random, build, refs, fixed, hash, fuel, blocks, exit, helpers };
        for i in 0..count {
            program.build.b.switch_to_block(program.blocks[i]);
            for _ in 0..program.random.below(6) {
                program.statement();
            }
            program.terminator();
        }
        program.build.b.switch_to_block(exit);
        for i in 0..program.refs.len() {
            let node = program.build.b.use_var(program.refs[i]);
            let get = GcOp::StructGet { ty: NODE, field: 0, extend: Extend::None, nullable: false };
            let value = program.build.op(get, &[node]);
            program.mix(value);
        }
        let hash = program.build.b.use_var(hash);
        program.build.b.ins().return_(&[hash]);
    })
}

fn run(fixture: &Fixture, func: &Function, collect: Collect, args: [Bits; 2]) -> (Result<Vec<Bits>, Stop>, u32) {
    let mut machine = fixture.machine();
    machine.collect = collect;
    // Without collections there is room for everything only if little is wasted.
    machine.region = 64;
    let result = machine.run(func, &args);
    (result, machine.collections)
}

/// Budgets that force each of the plans.
const BUDGETS: [Budget; 3] = [
    Budget::DEFAULT,
    Budget { placed: (0, 0), ..Budget::DEFAULT },
    Budget { placed: (0, 0), homes: (0, 0), steps: (0, 0) },
];

fn check(seeds: core::ops::Range<u64>) {
    let args = [5, 40];
    let mut collections = 0;
    for seed in seeds {
        for (spec, collect) in [
            (&COPYING, Collect::Move),
            (&SWEEPING, Collect::Sweep),
            (&COUNTING, Collect::Sweep),
            (&REMEMBERING, Collect::Move),
        ] {
            let fixture = Fixture::new(spec);
            let (mut func, mut gc) = program(&fixture, seed);
            fixture.lower(&mut func, &mut gc);
            let (expected, _) = run(&fixture, &func, Collect::Nothing, args);
            for (i, budget) in BUDGETS.into_iter().enumerate() {
                let mut func = func.clone();
                safepoints::insert_within(&mut func, &gc, spec.moves == Moves::AtSafepoint, budget);
                verify(&func);
                let (found, count) = run(&fixture, &func, collect, args);
                assert_eq!(found, expected, "seed {seed}, {}, plan {i}\n{func}", spec.name);
                collections += count;
                let func = optimized(&func);
                let (found, _) = run(&fixture, &func, collect, args);
                assert_eq!(found, expected, "seed {seed}, {}, plan {i}, optimised\n{func}", spec.name);
                if seed % 16 == 0 {
                    machine_code(&func);
                }
            }
        }
    }
    assert!(collections > 1000, "only {collections} collections");
}

#[test]
fn random_programs_survive_collections() {
    check(0..150);
}

/// For a longer search.
#[test]
#[ignore = "takes minutes"]
fn many_random_programs_survive_collections() {
    check(1000..20_000);
}
