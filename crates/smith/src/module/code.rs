//! Code of one function: its frame, values of any type, and what all rooms beside this one use.

use super::COUNTERS;
use super::shape::{DEPTH, FIRST_GLOBAL, FUEL, HOST_EXTERN, Shape};
use super::types::{Heap, Ref, Ty};
use arbitrary::{Result, Unstructured};
use wasm_encoder::{self as enc, BlockType, Instruction as I};

/// Rounds and calls of one run.
const RUN_FUEL: i32 = 1000;
/// Nested calls.
const MOST_CALLS: i32 = 40;
/// Instructions of one function.
const MOST_CODE: usize = 2500;
/// Locals made on the way; behind them, they are used again.
const MOST_SCRATCH: usize = 48;

/// The function being made.
pub(super) struct Code<'a, 'u, 'b> {
    pub(super) shape: &'a Shape,
    pub(super) u: &'u mut Unstructured<'b>,
    counted: &'u mut Vec<String>,
    pub(super) out: Vec<I<'static>>,
    /// Types of the locals, parameters first.
    pub(super) locals: Vec<Ty>,
    params: usize,
    scratch: Vec<u32>,
    /// Locals that belong to one piece of code: nothing else writes them.
    own: Vec<u32>,
    /// Results of the function.
    pub(super) results: Vec<Ty>,
    /// The local that keeps the number of nested calls at entry.
    pub(super) calls: Option<u32>,
    /// Frames of the control stack, the function's own not counted.
    pub(super) labels: u32,
}

/// An aligned access to memory.
fn at(offset: u32) -> enc::MemArg {
    enc::MemArg { offset: offset.into(), align: 0, target: enc::MemArgTarget::Memory(0), ordering: None }
}

impl<'a, 'u, 'b> Code<'a, 'u, 'b> {
    fn new(
        shape: &'a Shape,
        u: &'u mut Unstructured<'b>,
        counted: &'u mut Vec<String>,
        params: &[Ty],
        results: &[Ty],
    ) -> Code<'a, 'u, 'b> {
        let (locals, results) = (params.to_vec(), results.to_vec());
        let params = locals.len();
        let (out, scratch, own) = (Vec::new(), Vec::new(), Vec::new());
        Code { shape, u, counted, out, locals, params, scratch, own, results, calls: None, labels: 0 }
    }

    fn finish(mut self) -> enc::Function {
        self.out.push(I::End);
        let mut function = enc::Function::new(self.locals[self.params..].iter().map(|t| (1, t.encode())));
        for instruction in &self.out {
            function.instruction(instruction);
        }
        function
    }

    /// A generated function.
    pub(super) fn function(
        shape: &'a Shape,
        u: &'u mut Unstructured<'b>,
        counted: &'u mut Vec<String>,
        index: u32,
    ) -> Result<enc::Function> {
        let signature = shape.types.signature_at(shape.functions[index as usize]);
        let mut code = Code::new(shape, u, counted, &signature.params, &signature.results);
        for ty in [Heap::Object(0).nullable(), Heap::Any.nullable(), Heap::Object(3).nullable(), Ty::I32, Ty::I64] {
            code.local(ty);
        }
        for _ in 0..code.u.int_in_range(0..=4)? {
            let ty = shape.types.any_type(code.u, (shape.types.objects.len() + shape.types.signatures.len()) as u32)?;
            if ty.has_default() {
                code.local(ty);
            }
        }
        code.enter()?;
        for _ in 0..code.u.int_in_range(2..=9)? {
            code.statement(3)?;
        }
        code.leave()?;
        Ok(code.finish())
    }

    /// A function `[i32, (ref null 0)] -> [i32]` that calls itself as often as its argument says, with an object of its
    /// own in each frame, and adds up what stands in them on the way back.
    pub(super) fn deep(
        shape: &'a Shape,
        u: &'u mut Unstructured<'b>,
        counted: &'u mut Vec<String>,
    ) -> Result<enc::Function> {
        let mut code = Code::new(shape, u, counted, &[Ty::I32, Heap::Object(0).nullable()], &[Ty::I32]);
        let own: Vec<u32> = (0..code.u.int_in_range(1..=4)?).map(|_| code.local(Heap::Object(0).nullable())).collect();
        code.burn(1);
        code.extend([I::LocalGet(0), I::I32Const(0), I::GlobalGet(FUEL), I::I32Const(0), I::I32GtS, I::Select]);
        code.push(I::If(BlockType::Result(enc::ValType::I32)));
        for &local in &own {
            code.new_object(0, 1)?;
            code.push(I::LocalTee(local));
            code.extend([I::LocalGet(0)]);
            code.count(I::StructSet { struct_type_index: 0, field_index: 0 });
            code.extend([I::LocalGet(local), I::LocalGet(1)]);
            code.count(I::StructSet { struct_type_index: 0, field_index: 1 });
        }
        code.extend([I::LocalGet(0), I::I32Const(1), I::I32Sub, I::LocalGet(own[0]), I::Call(shape.deep())]);
        for &local in &own {
            code.push(I::LocalGet(local));
            code.count(I::StructGet { struct_type_index: 0, field_index: 0 });
            code.extend([I::I32Add]);
        }
        code.extend([I::Else, I::I32Const(0), I::End]);
        Ok(code.finish())
    }

    /// What the host calls: fills the counters, calls a function, and makes a number of its results.
    pub(super) fn run(
        shape: &'a Shape,
        u: &'u mut Unstructured<'b>,
        counted: &'u mut Vec<String>,
        index: u32,
    ) -> Result<enc::Function> {
        let signature = shape.types.signature_at(shape.functions[index as usize]).clone();
        let mut code = Code::new(shape, u, counted, &[Ty::I32], &[Ty::I64]);
        let sum = code.local(Ty::I64);
        let results: Vec<u32> = signature.results.iter().map(|&ty| code.scratch_for(ty)).collect();
        code.extend([I::I32Const(RUN_FUEL), I::GlobalSet(FUEL), I::I32Const(0), I::GlobalSet(DEPTH)]);
        for &ty in &signature.params {
            code.value(ty, 2)?;
        }
        code.push(I::Call(shape.function(index)));
        for &local in results.iter().rev() {
            code.push(I::LocalSet(local));
        }
        for (&local, &ty) in results.iter().zip(&signature.results) {
            code.extend([I::LocalGet(sum), I::I64Const(31), I::I64Mul, I::LocalGet(local)]);
            code.number_of(ty);
            code.extend([I::I64Add, I::LocalSet(sum)]);
        }
        code.push(I::LocalGet(sum));
        Ok(code.finish())
    }

    /// Turns the value on the stack into an `i64` that does not depend on the bits of a NaN.
    pub(super) fn number_of(&mut self, ty: Ty) {
        self.extend(match ty {
            Ty::I32 => vec![I::I64ExtendI32S],
            Ty::I64 => vec![],
            Ty::F32 => vec![I::I64TruncSatF32S],
            Ty::F64 => vec![I::I64TruncSatF64S],
            Ty::V128 => vec![I::I64x2ExtractLane(0)],
            Ty::Ref(_) => vec![I::RefIsNull, I::I64ExtendI32U],
        });
    }

    // Emission.

    pub(super) fn push(&mut self, instruction: I<'static>) {
        self.out.push(instruction);
    }

    pub(super) fn extend(&mut self, instructions: impl IntoIterator<Item = I<'static>>) {
        self.out.extend(instructions);
    }

    /// Emits an operation that the statistics are about.
    pub(super) fn count(&mut self, instruction: I<'static>) {
        if self.shape.options.count {
            let text = format!("{instruction:?}");
            let name: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
            let position = self.counted.iter().position(|n| *n == name).unwrap_or_else(|| {
                self.counted.push(name);
                self.counted.len() - 1
            });
            let counter = I::I32Const((COUNTERS + 8 * position as u32) as i32);
            self.extend([counter.clone(), counter, I::I64Load(at(0)), I::I64Const(1), I::I64Add, I::I64Store(at(0))]);
        }
        self.out.push(instruction);
    }

    pub(super) fn full(&self) -> bool {
        self.out.len() > MOST_CODE || self.u.is_empty()
    }

    fn local(&mut self, ty: Ty) -> u32 {
        self.locals.push(ty);
        self.locals.len() as u32 - 1
    }

    /// A local that only the code asking for it writes; any may read it, wherever, so a reference in it may be null.
    pub(super) fn own_local(&mut self, ty: Ty) -> u32 {
        let local = self.local(match ty {
            Ty::Ref(Ref { heap, .. }) => heap.nullable(),
            number => number,
        });
        self.own.push(local);
        local
    }

    /// Whether chance may write a local.
    pub(super) fn is_free(&self, local: u32) -> bool {
        self.calls != Some(local) && !self.own.contains(&local)
    }

    /// A local for passing use. A reference in it may be null.
    pub(super) fn scratch_for(&mut self, ty: Ty) -> u32 {
        let ty = match ty {
            Ty::Ref(Ref { heap, .. }) => heap.nullable(),
            number => number,
        };
        if self.scratch.len() >= MOST_SCRATCH
            && let Some(&local) = self.scratch.iter().find(|&&local| self.locals[local as usize] == ty)
        {
            return local;
        }
        let local = self.local(ty);
        self.scratch.push(local);
        local
    }

    // The frame.

    /// Returns at once when fuel or stack run out.
    fn enter(&mut self) -> Result<()> {
        let calls = self.local(Ty::I32);
        self.extend([I::GlobalGet(DEPTH), I::LocalTee(calls), I::I32Const(MOST_CALLS), I::I32GtU]);
        self.extend([I::GlobalGet(FUEL), I::I32Const(1), I::I32LtS, I::I32Or, I::If(BlockType::Empty)]);
        for ty in self.results.clone() {
            self.leaf(ty)?;
        }
        self.extend([I::Return, I::End]);
        self.calls = Some(calls);
        self.burn(1);
        self.restore(1);
        Ok(())
    }

    /// Takes something from the fuel.
    pub(super) fn burn(&mut self, much: i32) {
        self.extend([I::GlobalGet(FUEL), I::I32Const(much), I::I32Sub, I::GlobalSet(FUEL)]);
    }

    /// Sets the number of nested calls: to what it was at entry and `more`.
    pub(super) fn restore(&mut self, more: i32) {
        if let Some(calls) = self.calls {
            self.extend([I::LocalGet(calls), I::I32Const(more), I::I32Add, I::GlobalSet(DEPTH)]);
        }
    }

    /// The results, or a tail call that gives them.
    fn leave(&mut self) -> Result<()> {
        let same: Vec<u32> = (0..self.shape.functions.len() as u32)
            .filter(|&f| self.shape.types.signature_at(self.shape.functions[f as usize]).results == self.results)
            .collect();
        if !same.is_empty() && self.u.ratio(1, 4)? {
            let callee = *self.u.choose(&same)?;
            let signature = self.shape.functions[callee as usize];
            self.arguments(signature)?;
            self.restore(0);
            if self.u.arbitrary()? {
                self.count(I::ReturnCall(self.shape.function(callee)));
            } else {
                self.push(I::RefFunc(self.shape.function(callee)));
                self.count(I::ReturnCallRef(signature));
            }
            return Ok(());
        }
        for ty in self.results.clone() {
            self.value(ty, 2)?;
        }
        self.restore(0);
        Ok(())
    }

    /// The arguments of a call.
    pub(super) fn arguments(&mut self, signature: u32) -> Result<()> {
        for ty in self.shape.types.signature_at(signature).params.clone() {
            self.value(ty, 1)?;
        }
        Ok(())
    }

    // Values.

    /// A value that is there or costs little.
    pub(super) fn leaf(&mut self, ty: Ty) -> Result<()> {
        if let Some(local) = self.some_local(ty)? {
            self.push(I::LocalGet(local));
            return Ok(());
        }
        match ty {
            Ty::I32 => {
                let value = *self.u.choose(&[0, 1, 2, 3, 7, -1, 255, 0x7fff, i32::MIN, i32::MAX])?;
                self.push(I::I32Const(value));
            }
            Ty::I64 => {
                let value = *self.u.choose(&[0, 1, -1, 1 << 40, i64::MAX])?;
                self.push(I::I64Const(value));
            }
            Ty::F32 => {
                let value = *self.u.choose(&[0.0f32, 1.5, -2.25, 1e9, f32::INFINITY])?;
                self.push(I::F32Const(value.into()));
            }
            Ty::F64 => {
                let value = *self.u.choose(&[0.0f64, 1.5, -2.25, 1e18, f64::INFINITY])?;
                self.push(I::F64Const(value.into()));
            }
            Ty::V128 => {
                let value = *self.u.choose(&[0, 1, -1, 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10])?;
                self.push(I::V128Const(value));
            }
            Ty::Ref(Ref { nullable: true, heap }) => self.push(I::RefNull(heap.encode())),
            Ty::Ref(Ref { heap, .. }) => self.least(heap)?,
        }
        Ok(())
    }

    /// A local that fits, if there is one and chance has it.
    fn some_local(&mut self, ty: Ty) -> Result<Option<u32>> {
        let fits: Vec<u32> =
            (0..self.locals.len() as u32).filter(|&l| self.shape.types.fits(self.locals[l as usize], ty)).collect();
        if fits.is_empty() || self.u.ratio(1, 8)? { Ok(None) } else { Ok(Some(*self.u.choose(&fits)?)) }
    }

    /// A value of a type.
    pub(super) fn value(&mut self, ty: Ty, depth: u32) -> Result<()> {
        if depth == 0 || self.full() {
            return self.leaf(ty);
        }
        match self.u.int_in_range(0..=13)? {
            0 => self.leaf(ty),
            1 => match (FIRST_GLOBAL..).zip(&self.shape.globals).find(|&(_, &g)| self.shape.types.fits(g, ty)) {
                Some((global, _)) => {
                    self.count(I::GlobalGet(global));
                    Ok(())
                }
                None => self.leaf(ty),
            },
            2 => self.conditional(ty, depth - 1),
            3 => self.call_for(ty, depth - 1),
            4..=7 => self.read(ty, depth - 1),
            _ => match ty {
                Ty::I32 => self.i32(depth - 1),
                Ty::I64 => self.i64(depth - 1),
                Ty::F32 | Ty::F64 => self.float(ty, depth - 1),
                Ty::V128 => {
                    self.value(Ty::I32, depth - 1)?;
                    self.push(I::I32x4Splat);
                    Ok(())
                }
                Ty::Ref(r) => self.reference(r, depth - 1),
            },
        }
    }

    fn i32(&mut self, depth: u32) -> Result<()> {
        match self.u.int_in_range(0..=9)? {
            0..=3 => {
                self.value(Ty::I32, depth)?;
                self.value(Ty::I32, depth)?;
                let op =
                    self.u.choose(&[I::I32Add, I::I32Sub, I::I32Mul, I::I32Xor, I::I32LtS, I::I32Eq, I::I32ShrU])?;
                self.push(op.clone());
            }
            4 => {
                self.value(Ty::I64, depth)?;
                self.push(I::I32WrapI64);
            }
            5 => {
                let heap = *self.u.choose(&[Heap::Any, Heap::Eq, Heap::Object(0), Heap::Extern])?;
                self.value(heap.nullable(), depth)?;
                self.count(I::RefIsNull);
            }
            6 => {
                self.value(Heap::Eq.nullable(), depth)?;
                self.value(Heap::Eq.nullable(), depth)?;
                self.count(I::RefEq);
            }
            7 => self.test(depth)?,
            8 => {
                self.value(Heap::I31.non_null(), depth)?;
                let op = if self.u.arbitrary()? { I::I31GetS } else { I::I31GetU };
                self.count(op);
            }
            _ => self.length(depth)?,
        }
        Ok(())
    }

    fn i64(&mut self, depth: u32) -> Result<()> {
        if self.u.ratio(1, 3)? {
            self.value(Ty::F64, depth)?;
            self.push(I::I64TruncSatF64S);
            return Ok(());
        }
        if self.u.ratio(1, 3)? {
            self.value(Ty::I32, depth)?;
            self.push(I::I64ExtendI32S);
            return Ok(());
        }
        self.value(Ty::I64, depth)?;
        self.value(Ty::I64, depth)?;
        let op = self.u.choose(&[I::I64Add, I::I64Sub, I::I64Mul, I::I64Xor])?;
        self.push(op.clone());
        Ok(())
    }

    fn float(&mut self, ty: Ty, depth: u32) -> Result<()> {
        let (convert, ops) = match ty {
            Ty::F32 => (I::F32ConvertI32S, [I::F32Add, I::F32Mul, I::F32Sub, I::F32Min]),
            _ => (I::F64ConvertI32S, [I::F64Add, I::F64Mul, I::F64Sub, I::F64Min]),
        };
        if self.u.arbitrary()? {
            self.value(Ty::I32, depth)?;
            self.push(convert);
            return Ok(());
        }
        self.value(ty, depth)?;
        self.value(ty, depth)?;
        let op = self.u.choose(&ops)?;
        self.push(op.clone());
        Ok(())
    }

    /// A host reference.
    pub(super) fn host_reference(&mut self, depth: u32) -> Result<()> {
        self.value(Ty::I32, depth)?;
        self.count(I::Call(HOST_EXTERN));
        Ok(())
    }
}
