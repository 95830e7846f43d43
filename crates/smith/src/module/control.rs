//! Control: conditions, loops, calls, exceptions.

use super::code::Code;
use super::shape::{FUEL, FUNCTIONS};
use super::types::{Heap, Ref, Ty};
use arbitrary::Result;
use std::borrow::Cow;
use wasm_encoder::{BlockType, Catch, Instruction as I};

impl Code<'_, '_, '_> {
    /// One of two values.
    pub(super) fn conditional(&mut self, ty: Ty, depth: u32) -> Result<()> {
        if self.u.ratio(1, 3)? {
            self.value(ty, depth)?;
            self.value(ty, depth)?;
            self.value(Ty::I32, depth)?;
            self.count(I::TypedSelect(ty.encode()));
            return Ok(());
        }
        self.value(Ty::I32, depth)?;
        self.push(I::If(BlockType::Result(ty.encode())));
        self.labels += 1;
        self.value(ty, depth)?;
        self.push(I::Else);
        self.value(ty, depth)?;
        self.labels -= 1;
        self.push(I::End);
        Ok(())
    }

    /// The result of a call, if a function gives this type first and nothing else.
    pub(super) fn call_for(&mut self, ty: Ty, depth: u32) -> Result<()> {
        let types = &self.shape.types;
        let fits = |f: &u32| {
            let results = &types.signature_at(self.shape.functions[*f as usize]).results;
            results.len() == 1 && types.fits(results[0], ty)
        };
        let functions: Vec<u32> = (0..self.shape.functions.len() as u32).filter(fits).collect();
        if functions.is_empty() {
            return self.read(ty, depth);
        }
        let function = *self.u.choose(&functions)?;
        self.call(function)
    }

    /// Calls a function in one of the ways that there are.
    fn call(&mut self, function: u32) -> Result<()> {
        let signature = self.shape.functions[function as usize];
        self.arguments(signature)?;
        match self.u.int_in_range(0..=4)? {
            0 | 1 => self.count(I::Call(self.shape.function(function))),
            2 => {
                self.push(I::RefFunc(self.shape.function(function)));
                self.count(I::CallRef(signature));
            }
            3 => {
                self.value(Heap::Func(signature).non_null(), 1)?;
                self.count(I::CallRef(signature));
            }
            _ => {
                // Slots were filled with the functions in order; one that was overwritten makes this trap.
                let slot = function % super::shape::TABLE_SIZE;
                if self.shape.functions[slot as usize % self.shape.functions.len()] == signature {
                    self.push(I::I32Const(slot as i32));
                    self.count(I::CallIndirect { type_index: signature, table_index: FUNCTIONS });
                } else {
                    self.count(I::Call(self.shape.function(function)));
                }
            }
        }
        Ok(())
    }

    /// Calls a function and keeps its results in locals.
    pub(super) fn call_statement(&mut self) -> Result<()> {
        let last = self.shape.functions.len() as u32 - 1;
        let function = self.u.int_in_range(0..=last)?;
        self.call(function)?;
        let results = self.shape.types.signature_at(self.shape.functions[function as usize]).results.clone();
        for ty in results.into_iter().rev() {
            let local = self.scratch_for(ty);
            self.push(I::LocalSet(local));
        }
        Ok(())
    }

    pub(super) fn deep_call(&mut self) -> Result<()> {
        let rounds = *self.u.choose(&[3, 20, 100, 300])?;
        self.push(I::I32Const(rounds));
        self.value(Heap::Object(0).nullable(), 1)?;
        self.count(I::Call(self.shape.deep()));
        let local = self.scratch_for(Ty::I32);
        self.push(I::LocalSet(local));
        Ok(())
    }

    fn block(&mut self, depth: u32) -> Result<()> {
        for _ in 0..self.u.int_in_range(1..=3)? {
            self.statement(depth)?;
        }
        Ok(())
    }

    pub(super) fn if_statement(&mut self, depth: u32) -> Result<()> {
        self.value(Ty::I32, 2)?;
        self.push(I::If(BlockType::Empty));
        self.labels += 1;
        self.block(depth)?;
        if self.u.arbitrary()? {
            self.push(I::Else);
            self.block(depth)?;
        }
        self.labels -= 1;
        self.push(I::End);
        Ok(())
    }

    /// A loop that goes on while there is fuel and a condition holds.
    pub(super) fn loop_statement(&mut self, depth: u32) -> Result<()> {
        let rounds = self.scratch_for(Ty::I32);
        let most = self.u.int_in_range(2..=12)?;
        self.extend([I::I32Const(most), I::LocalSet(rounds), I::Loop(BlockType::Empty)]);
        self.labels += 1;
        self.burn(1);
        self.block(depth)?;
        // The body may have written the counter, so fuel decides in the end.
        self.extend([I::LocalGet(rounds), I::I32Const(1), I::I32Sub, I::LocalTee(rounds)]);
        self.extend([I::I32Const(0), I::I32GtS, I::GlobalGet(FUEL), I::I32Const(0), I::I32GtS, I::I32And]);
        self.count(I::BrIf(0));
        self.labels -= 1;
        self.push(I::End);
        Ok(())
    }

    /// A switch over nested blocks.
    pub(super) fn switch_statement(&mut self, depth: u32) -> Result<()> {
        let arms = self.u.int_in_range(2..=4)?;
        for _ in 0..=arms {
            self.push(I::Block(BlockType::Empty));
        }
        self.labels += arms + 1;
        self.value(Ty::I32, 2)?;
        self.extend([I::I32Const(7), I::I32And]);
        self.count(I::BrTable(Cow::Owned((0..arms).collect()), arms));
        self.push(I::End);
        self.labels -= 1;
        for arm in 0..arms {
            self.block(depth)?;
            if self.u.arbitrary()? {
                self.push(I::Br(arms - arm - 1));
            }
            self.push(I::End);
            self.labels -= 1;
        }
        Ok(())
    }

    /// Throws, sometimes only if a condition holds.
    pub(super) fn throw_statement(&mut self) -> Result<()> {
        let tag = self.u.int_in_range(0..=self.shape.tags.len() as u32 - 1)?;
        self.throw(tag)
    }

    /// Throws an exception of a tag if a condition holds.
    fn throw(&mut self, tag: u32) -> Result<()> {
        self.value(Ty::I32, 1)?;
        self.extend([I::I32Const(3), I::I32And, I::I32Eqz, I::If(BlockType::Empty)]);
        self.labels += 1;
        for ty in self.shape.tags[tag as usize].clone() {
            self.value(ty, 1)?;
        }
        self.count(I::Throw(tag));
        self.labels -= 1;
        self.push(I::End);
        Ok(())
    }

    pub(super) fn try_statement(&mut self, depth: u32) -> Result<()> {
        if self.shape.legacy { self.legacy_try(depth) } else { self.try_table(depth) }
    }

    /// Keeps an exception's parameters, which are on the stack.
    fn keep(&mut self, tag: u32) {
        for ty in self.shape.tags[tag as usize].clone().into_iter().rev() {
            let local = self.scratch_for(ty);
            self.push(I::LocalSet(local));
        }
        self.restore(1);
    }

    fn try_table(&mut self, depth: u32) -> Result<()> {
        let tag = self.u.int_in_range(0..=self.shape.tags.len() as u32 - 1)?;
        let with_reference: bool = self.u.arbitrary()?;
        let exn = Ref { nullable: false, heap: Heap::Exn };
        let kept = with_reference.then(|| self.scratch_for(Ty::Ref(exn)));
        let rethrow = self.u.ratio(1, 4)?;
        // done { all: exnref { try } br done } drop ...
        self.push(I::Block(BlockType::Empty));
        self.push(I::Block(BlockType::Result(Ty::Ref(exn).encode())));
        // The parameters of the tag come by a block whose results are those parameters: a function type has them as
        // parameters, so only tags with at most one parameter are caught by name.
        let params = self.shape.tags[tag as usize].clone();
        let by_name = params.len() <= 1 && !with_reference;
        if by_name {
            let ty = params.first().map_or(BlockType::Empty, |ty| BlockType::Result(ty.encode()));
            self.push(I::Block(ty));
        }
        let mut catches = Vec::new();
        if by_name {
            catches.push(Catch::One { tag, label: 0 });
        }
        catches.push(Catch::AllRef { label: u32::from(by_name) });
        self.count(I::TryTable(BlockType::Empty, Cow::Owned(catches)));
        self.labels += 3 + u32::from(by_name);
        self.block(depth)?;
        if self.u.arbitrary()? {
            self.throw(tag)?;
        }
        self.push(I::End);
        self.labels -= 1;
        // Nothing was thrown.
        self.push(I::Br(1 + u32::from(by_name)));
        self.push(I::End);
        self.labels -= 1;
        if by_name {
            self.keep(tag);
            self.push(I::Br(1));
            self.push(I::End);
            self.labels -= 1;
        }
        self.restore(1);
        if let Some(local) = kept {
            self.push(I::LocalSet(local));
            self.block(depth)?;
            self.extend([I::LocalGet(local), I::RefAsNonNull]);
        }
        if rethrow {
            self.count(I::ThrowRef);
        } else {
            self.push(I::Drop);
        }
        self.labels -= 1;
        self.push(I::End);
        Ok(())
    }

    fn legacy_try(&mut self, depth: u32) -> Result<()> {
        let tag = self.u.int_in_range(0..=self.shape.tags.len() as u32 - 1)?;
        self.count(I::Try(BlockType::Empty));
        self.labels += 1;
        self.block(depth)?;
        if self.u.arbitrary()? {
            self.throw(tag)?;
        }
        if self.labels > 1 && self.u.ratio(1, 6)? {
            let outer = self.u.int_in_range(0..=self.labels - 2)?;
            self.labels -= 1;
            self.push(I::Delegate(outer));
            return Ok(());
        }
        self.push(I::Catch(tag));
        self.keep(tag);
        self.block(depth)?;
        if self.u.ratio(1, 3)? {
            self.count(I::Rethrow(0));
        }
        if self.u.arbitrary()? {
            self.push(I::CatchAll);
            self.restore(1);
            self.block(depth)?;
        }
        self.labels -= 1;
        self.push(I::End);
        Ok(())
    }
}
