//! Tests of lowering and of the safepoint policy.
//!
//! Functions are built by hand, passed through both passes, checked by Cranelift's verifier, and then run by a
//! simulated [`machine`] whose collector sees stack maps and nothing else.

mod barriers;
mod casts;
mod elisions;
mod machine;
mod objects;
mod operations;
mod policy;
mod random;
mod ranges;
mod sandbox;

use super::lower::LowerEnv;
use super::{FuncGc, GcOp};
use crate::abi::InstanceLayout;
use crate::compile::Settings;
use crate::module::{ModuleInfo, TypeLayout};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Function, Signature, Type, UserFuncName, Value, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use heapwright_gc_heap::barrier::{Expr, Input, Likely, Program, SlowCall, Stmt, Var};
use heapwright_gc_heap::{
    AllocSpec, ArrayLayout, ArrayType, Barriers, BulkBarrier, CompositeType, Elision, FieldType, FuncType, HeaderWord,
    HeapType, Moves, RefType, Spec, StorageType, StructLayout, StructType, SubType, TypeRef, ValType, layout_exception,
};
use machine::{Machine, Shape, TYPE_STRIDE};

/// A collector that never collects.
static NULL: Spec = Spec {
    name: "test-null",
    summary: "",
    cites: &[],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::Never,
    needs_roots: false,
    inline_limit: 4096,
};

/// One that moves.
static COPYING: Spec = Spec { name: "test-copying", moves: Moves::AtSafepoint, needs_roots: true, ..NULL };

/// One that does not move.
static SWEEPING: Spec = Spec { name: "test-sweeping", needs_roots: true, ..NULL };

/// One with a count in the header that all barriers touch: stores count the new value up and the old one down, and
/// report a count that becomes zero.
static COUNTING: Spec = Spec {
    name: "test-counting",
    header: &[HeaderWord { name: "count", initial: 1 }],
    needs_roots: true,
    barriers: Barriers {
        store: Some(&COUNT_STORE),
        init: Some(&COUNT_NEW),
        load: None,
        bulk: BulkBarrier::Elements,
        root_store: Some(&COUNT_STORE),
    },
    ..NULL
};

/// One that remembers objects, by a buffer, and allocates out of line.
static REMEMBERING: Spec = Spec {
    name: "test-remembering",
    header: &[HeaderWord { name: "flags", initial: 0 }],
    alloc: AllocSpec::Call,
    barriers: Barriers { store: Some(&REMEMBER), bulk: BulkBarrier::Object(&REMEMBER), ..Barriers::NONE },
    elide: &[Elision::NullStored, Elision::I31Stored],
    needs_roots: true,
    moves: Moves::AtSafepoint,
    ..NULL
};

const NEW: Var = Var(0);
const OLD: Var = Var(1);
const COUNT: Var = Var(2);
const SKIP: Var = Var(3);

/// If `var` is an object, adds `.1` to its count; a count of zero is reported to slow call 1.
macro_rules! count {
    ($var:expr, $add:expr) => {
        [
            Stmt::Let(SKIP, Expr::IsNull($var)),
            Stmt::If(
                SKIP,
                Likely::Unknown,
                &[],
                &[
                    Stmt::Let(SKIP, Expr::IsI31($var)),
                    Stmt::If(
                        SKIP,
                        Likely::Unknown,
                        &[],
                        &[
                            Stmt::Let(COUNT, Expr::Header($var, 1)),
                            Stmt::Let(COUNT, Expr::AddConst(COUNT, $add)),
                            Stmt::SetHeader($var, 1, COUNT),
                            Stmt::Let(SKIP, Expr::EqConst(COUNT, 0)),
                            Stmt::If(SKIP, Likely::No, &[Stmt::Call(SlowCall(1), &[$var])], &[]),
                        ],
                    ),
                ],
            ),
        ]
    };
}

const UP: [Stmt; 2] = count!(NEW, 1);
const DOWN: [Stmt; 2] = count!(OLD, u32::MAX);

static COUNT_STORE: Program = Program {
    name: "count-store",
    body: &[
        Stmt::Let(NEW, Expr::Input(Input::New)),
        UP[0],
        UP[1],
        Stmt::Let(OLD, Expr::Input(Input::Old)),
        DOWN[0],
        DOWN[1],
    ],
};
static COUNT_NEW: Program =
    Program { name: "count-new", body: &[Stmt::Let(NEW, Expr::Input(Input::New)), UP[0], UP[1]] };

/// Remembers the object once, in buffer 1, with its slot in buffer 0.
static REMEMBER: Program = Program {
    name: "remember",
    body: &[
        Stmt::Let(Var(4), Expr::Input(Input::Object)),
        Stmt::Let(Var(5), Expr::Header(Var(4), 1)),
        Stmt::Let(Var(6), Expr::AndConst(Var(5), 1)),
        Stmt::If(Var(6), Likely::Yes, &[Stmt::Return], &[]),
        Stmt::Let(Var(5), Expr::OrConst(Var(5), 1)),
        Stmt::SetHeader(Var(4), 1, Var(5)),
        Stmt::Append(1, Var(4)),
        Stmt::Let(Var(7), Expr::Input(Input::Slot)),
        Stmt::Append(0, Var(7)),
    ],
};

// The module's types.

/// `{ mut i32, mut anyref, mut anyref }`, open.
const NODE: u32 = 0;
/// A subtype of `NODE` with an `i64` more.
const SUB_NODE: u32 = 1;
/// `{ i8, i16, i64, f64, f32, i32, v128 }`
const MIXED: u32 = 2;
/// Arrays of `i32`, references, `i8` and `i64`.
const WORDS: u32 = 3;
const REFS: u32 = 4;
const BYTES: u32 = 5;
const LONGS: u32 = 6;
/// `{ anyref }`, final.
const FINAL: u32 = 7;
/// Two unrelated function types, the second a subtype of the first.
const FUNC: u32 = 8;
const SUB_FUNC: u32 = 9;
/// A chain of subtypes: `CHAIN + i` has depth `i`.
const CHAIN: u32 = 10;
const CHAIN_LENGTH: u32 = 12;
/// A struct that is too large for the inline path, and for the null page.
const HUGE: u32 = CHAIN + CHAIN_LENGTH;
const HUGE_FIELDS: u32 = 9000;
/// An array of vectors.
const VECTORS: u32 = HUGE + 1;
/// An array of `i16`.
const SHORTS: u32 = VECTORS + 1;

/// The type word that the machine gives a type; those of the tags' exceptions follow.
fn type_word(ty: u32) -> u32 {
    TYPE_STRIDE * (ty + 1)
}

fn any(nullable: bool) -> ValType {
    ValType::Ref(RefType { nullable, heap: HeapType::Abstract(heapwright_gc_heap::AbstractHeapType::Any) })
}

fn field(storage: StorageType) -> FieldType {
    FieldType { storage, mutable: true }
}

/// A module with the types above, laid out for `spec`, and one tag with parameters `(i64, anyref)`.
struct Fixture {
    module: ModuleInfo,
    layout: InstanceLayout,
    spec: &'static Spec,
    settings: Settings,
}

impl Fixture {
    fn new(spec: &'static Spec) -> Fixture {
        let header = spec.header_layout();
        let mut module = ModuleInfo::default();
        let word = StorageType::Val(ValType::I32);
        let reference = StorageType::Val(any(true));
        let mut add = |supertype: Option<u32>, is_final: bool, composite: CompositeType| {
            let traced = |s: StorageType| (s, matches!(s, StorageType::Val(ValType::Ref(_))));
            let layout = match &composite {
                CompositeType::Struct(s) => {
                    let fields: Vec<_> = s.fields.iter().map(|f| traced(f.storage)).collect();
                    let parent = supertype.map(|p| module.struct_layout(p).clone());
                    TypeLayout::Struct(StructLayout::new(header, parent.as_ref(), &fields))
                }
                CompositeType::Array(ArrayType(f)) => {
                    let (storage, traced) = traced(f.storage);
                    TypeLayout::Array(ArrayLayout::new(header, storage, traced))
                }
                _ => TypeLayout::Func,
            };
            module.layouts.push(layout);
            module.extended.extend(supertype);
            module.types.push(SubType { is_final, supertype: supertype.map(TypeRef::Module), composite });
        };
        let structure = |fields: &[StorageType]| {
            CompositeType::Struct(StructType { fields: fields.iter().copied().map(field).collect() })
        };
        let array = |storage| CompositeType::Array(ArrayType(field(storage)));
        let [i64s, f64s, f32s, v128s] = [ValType::I64, ValType::F64, ValType::F32, ValType::V128].map(StorageType::Val);
        add(None, false, structure(&[word, reference, reference]));
        add(Some(NODE), true, structure(&[word, reference, reference, i64s]));
        add(None, true, structure(&[StorageType::I8, StorageType::I16, i64s, f64s, f32s, word, v128s]));
        add(None, true, array(word));
        add(None, true, array(reference));
        add(None, true, array(StorageType::I8));
        add(None, true, array(i64s));
        add(None, true, structure(&[reference]));
        let params = vec![ValType::I64, any(true)].into();
        add(None, false, CompositeType::Func(FuncType { params, results: Box::default() }));
        add(Some(FUNC), true, CompositeType::Func(FuncType::default()));
        for i in 0..CHAIN_LENGTH {
            add(i.checked_sub(1).map(|i| CHAIN + i), i + 1 == CHAIN_LENGTH, structure(&[word]));
        }
        add(None, true, structure(&vec![i64s; HUGE_FIELDS as usize]));
        add(None, true, array(v128s));
        add(None, true, array(StorageType::I16));
        module.tags = vec![FUNC];
        let layout = module.instance_layout();
        Fixture { module, layout, spec, settings: Settings::default() }
    }

    /// A machine with this module's types.
    fn machine(&self) -> Machine {
        let header = self.spec.header_layout();
        let structure = |s: &StructLayout| Shape::Struct { size: s.size, traced: s.traced_offsets() };
        let mut shapes: Vec<Shape> = Vec::new();
        for layout in &self.module.layouts {
            shapes.push(match layout {
                TypeLayout::Struct(s) => structure(s),
                TypeLayout::Array(a) => Shape::Array(*a),
                TypeLayout::Func => Shape::Struct { size: 8, traced: Vec::new() },
            });
        }
        let params = [(StorageType::Val(ValType::I64), false), (StorageType::Val(any(true)), true)];
        shapes.push(structure(&layout_exception(header, &params)));
        let mut machine = Machine::new(&self.layout, self.spec.header, shapes);
        for (i, ty) in self.module.types.iter().enumerate() {
            self.enter_type(&mut machine, i as u32, ty);
        }
        machine
    }

    fn enter_type(&self, machine: &mut Machine, index: u32, ty: &SubType) {
        use heapwright_gc_heap::{ENTRY_DEPTH_OFFSET, ENTRY_DISPLAY_OFFSET};
        let word = type_word;
        let kind = match ty.composite {
            CompositeType::Func(_) => 1,
            CompositeType::Struct(_) => 2,
            CompositeType::Array(_) => 3,
            CompositeType::Exception(_) => 4,
        };
        let mut chain = vec![index];
        let mut at = ty;
        while let Some(TypeRef::Module(parent)) = at.supertype {
            chain.push(parent);
            at = &self.module.types[parent as usize];
        }
        machine.set_type_space_word(word(index), kind << 2 | 0b11);
        machine.set_type_space_word(word(index) + ENTRY_DEPTH_OFFSET, chain.len() as u32 - 1);
        for (depth, &member) in chain.iter().rev().enumerate() {
            machine.set_type_space_word(word(index) + ENTRY_DISPLAY_OFFSET + 4 * depth as u32, word(member));
        }
    }

    fn env(&self) -> LowerEnv<'_> {
        LowerEnv { module: &self.module, layout: &self.layout, spec: self.spec, settings: &self.settings }
    }

    /// Builds a function of the context and `params`, giving `body` the context and the parameters after it. Parameters
    /// that `body` names in its result are references.
    fn build(
        &self,
        params: &[Type],
        returns: &[Type],
        body: impl FnOnce(&mut Build<'_, '_>, &[Value]),
    ) -> (Function, FuncGc) {
        let mut signature = Signature::new(CallConv::Tail);
        signature.params.push(AbiParam::new(types::I64));
        signature.params.extend(params.iter().map(|&ty| AbiParam::new(ty)));
        signature.returns.extend(returns.iter().map(|&ty| AbiParam::new(ty)));
        let mut func = Function::with_name_signature(UserFuncName::user(0, 0), signature);
        let mut context = FunctionBuilderContext::new();
        let mut gc = FuncGc::default();
        let mut builder = FunctionBuilder::new(&mut func, &mut context);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let args = builder.block_params(entry).to_vec();
        let mut build = Build { b: builder, gc: &mut gc, module: &self.module, context: args[0] };
        body(&mut build, &args[1..]);
        build.b.seal_all_blocks();
        build.b.finalize(isa().frontend_config());
        (func, gc)
    }

    /// Lowers a function and verifies it.
    fn lower(&self, func: &mut Function, gc: &mut FuncGc) {
        super::expand(func, gc, &self.env());
        verify(func);
    }

    /// Lowers a function, makes its safepoints and verifies it.
    fn compile(&self, func: &mut Function, gc: &mut FuncGc) {
        self.lower(func, gc);
        super::safepoints::insert(func, gc, self.spec);
        verify(func);
    }
}

/// A function under construction.
struct Build<'a, 'f> {
    b: FunctionBuilder<'f>,
    gc: &'a mut FuncGc,
    module: &'a ModuleInfo,
    context: Value,
}

impl Build<'_, '_> {
    /// Emits an operation with a result.
    fn op(&mut self, op: GcOp, args: &[Value]) -> Value {
        self.emit(op, args).expect("an operation with a result")
    }

    /// Emits an operation.
    fn emit(&mut self, op: GcOp, args: &[Value]) -> Option<Value> {
        let all: Vec<Value> = [self.context].iter().chain(args).copied().collect();
        self.gc.emit(&mut self.b, self.module, op, &all)
    }
}

fn isa() -> OwnedTargetIsa {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").expect("a known setting");
    flags.set("preserve_frame_pointers", "true").expect("a known setting");
    flags.set("unwind_info", "false").expect("a known setting");
    cranelift_native::builder()
        .expect("a known machine")
        .finish(settings::Flags::new(flags))
        .expect("a supported machine")
}

fn verify(func: &Function) {
    if let Err(errors) = cranelift_codegen::verify_function(func, &*isa()) {
        panic!("{errors}\n{func}");
    }
}

/// The function as Cranelift's optimiser leaves it.
fn optimized(func: &Function) -> Function {
    let mut context = Context::for_function(func.clone());
    context.optimize(&*isa(), &mut ControlPlane::default()).expect("it optimises");
    context.func
}

/// Compiles for the interpreter.
fn portable_code(func: &Function) {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").expect("a known setting");
    flags.set("unwind_info", "false").expect("a known setting");
    let isa = cranelift_codegen::isa::lookup_by_name("pulley64").expect("a known target");
    let isa = isa.finish(settings::Flags::new(flags)).expect("a supported target");
    let mut context = Context::for_function(func.clone());
    context.compile(&*isa, &mut ControlPlane::default()).unwrap_or_else(|e| panic!("{e:?}\n{func}"));
}

/// The function's code, and the number of stack maps and of their entries.
fn machine_code(func: &Function) -> (String, usize, usize) {
    let mut context = Context::for_function(func.clone());
    context.set_disasm(true);
    let code = context.compile(&*isa(), &mut ControlPlane::default()).unwrap_or_else(|e| panic!("{e:?}\n{func}"));
    let maps = code.buffer.user_stack_maps();
    let entries = maps.iter().map(|(_, _, map)| map.entries().count()).sum();
    (code.vcode.clone().expect("disassembly was asked for"), maps.len(), entries)
}
