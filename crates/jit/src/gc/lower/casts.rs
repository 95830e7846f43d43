//! Type tests, casts and i31s.
//!
//! A test of a final type compares the type word. A test of an open type compares the word that the object's type
//! displays, in its entry in the type space, at the target's depth; it never calls. Where the module declares no
//! subtype, objects of others are another module's and rare: there the type words are compared first, and the display
//! is out of line. The type word read from an untrusted heap is zero-extended into the type space's reservation, so
//! that it needs no bounds check.

use super::emit::{Base, Emitter};
use crate::abi::{FUNC_ID_MASK, FuncEntry, StoreContext, Trap};
use crate::gc::CastTarget;
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use heapwright_gc_heap::{
    AbstractHeapType, DISPLAY_INLINE_DEPTH, ENTRY_DEPTH_OFFSET, ENTRY_DISPLAY_OFFSET, TypeKind, TypeRef,
};

/// Offset of the tag word in an entry of the type space.
const ENTRY_TAG_OFFSET: i32 = 0;

/// The tag word of a kind.
const fn kind_tag(kind: TypeKind) -> u32 {
    (kind as u32) << 2 | 0b11
}

/// The bit in which the tags of structs and arrays differ, so that one mask and one compare find both.
const EQ_TAG_BIT: u32 = kind_tag(TypeKind::Struct) ^ kind_tag(TypeKind::Array);
const _: () = assert!(EQ_TAG_BIT.is_power_of_two());

/// What a test or a cast asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) target: CastTarget,
    pub(super) admits_null: bool,
    pub(super) nullable: bool,
    pub(super) may_be_i31: bool,
    /// Whether the operand is a function id.
    pub(super) func: bool,
}

/// Which values other than null belong to a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Members {
    All,
    Nothing,
    I31s,
    /// I31s, structs and arrays.
    Eq,
    Kind(TypeKind),
    /// Objects of exactly this type.
    Final(u32),
    /// Objects of this type or a subtype.
    Open(u32),
}

impl Emitter<'_> {
    fn members(&self, query: &Query) -> Members {
        use AbstractHeapType::*;
        match query.target {
            CastTarget::Abstract(ty) => match ty {
                Any | Extern | Exn | Func => Members::All,
                None | NoExtern | NoExn | NoFunc => Members::Nothing,
                I31 if query.may_be_i31 => Members::I31s,
                I31 => Members::Nothing,
                Eq => Members::Eq,
                Struct => Members::Kind(TypeKind::Struct),
                Array => Members::Kind(TypeKind::Array),
            },
            CastTarget::Concrete(ty) if self.env.module.types[ty as usize].is_final => Members::Final(ty),
            CastTarget::Concrete(ty) => Members::Open(ty),
        }
    }

    /// How the test can be computed without a branch, if it can.
    pub(super) fn simple_test(&self, query: &Query) -> Option<()> {
        match self.members(query) {
            Members::All | Members::Nothing | Members::I31s => Some(()),
            Members::Open(_) => None,
            Members::Eq | Members::Kind(_) | Members::Final(_) => (!query.nullable && !query.may_be_i31).then_some(()),
        }
    }

    /// The result of the test as an `i32`.
    pub(super) fn test_value(&mut self, query: Query, value: Value) -> Value {
        if self.simple_test(&query).is_some() {
            let bit = self.simple_value(&query, value, None);
            return match self.type_of(bit) {
                types::I32 => bit,
                _ => self.ins().uextend(types::I32, bit),
            };
        }
        let (yes, no) = (self.block(), self.block());
        let (done, result) = self.block_with(types::I32);
        self.branch_on_test(query, value, yes, no);
        for (block, answer) in [(yes, 1), (no, 0)] {
            self.start(block);
            let answer = self.word(answer);
            self.jump(done, &[answer]);
        }
        self.start(done);
        result
    }

    /// Branches on the test and ends the block.
    pub(super) fn branch_on_test(&mut self, query: Query, value: Value, yes: Block, no: Block) {
        if query.nullable {
            let object = self.block();
            self.branch(value, object, if query.admits_null { yes } else { no });
            self.start(object);
        }
        self.branch_on_object(&query, value, None, yes, no);
    }

    /// Traps unless the test succeeds; the result is the operand.
    pub(super) fn type_cast(&mut self, mut query: Query, value: Value) -> Value {
        let settled = matches!(self.members(&query), Members::All | Members::Nothing | Members::I31s);
        let mut trap = None;
        if !settled && !query.func && query.nullable && !query.admits_null && self.env.settings.faults_trap() {
            // Null fails the cast, and reading the header of null faults: the fault is the failure.
            query.nullable = false;
            trap = Some(Trap::CastFailure);
        }
        if self.simple_test(&query).is_some() {
            let bit = self.simple_value(&query, value, trap);
            self.trap_unless(bit, Trap::CastFailure);
            return value;
        }
        let (yes, fail) = (self.block(), self.block());
        if query.nullable {
            let object = self.block();
            self.branch(value, object, if query.admits_null { yes } else { fail });
            self.start(object);
        }
        self.branch_on_object(&query, value, trap, yes, fail);
        self.cold(fail, |e| e.raise(Trap::CastFailure));
        self.start(yes);
        value
    }

    /// A value that is non-zero if the test succeeds. Only for queries that [`Self::simple_test`] accepts. `trap` is
    /// the trap code of the header load.
    fn simple_value(&mut self, query: &Query, value: Value, trap: Option<Trap>) -> Value {
        match self.members(query) {
            Members::All if query.nullable && !query.admits_null => self.compare(IntCC::NotEqual, value, 0),
            Members::All => self.word(1),
            Members::Nothing if query.nullable && query.admits_null => self.compare(IntCC::Equal, value, 0),
            Members::Nothing => self.word(0),
            Members::I31s => {
                let bit = self.ins().band_imm_u(value, 1);
                if !(query.nullable && query.admits_null) {
                    return bit;
                }
                let null = self.compare(IntCC::Equal, value, 0);
                let null = self.ins().uextend(types::I32, null);
                self.ins().bor(bit, null)
            }
            members => {
                let word = self.type_word_of(query, value, trap);
                self.belongs(members, word)
            }
        }
    }

    /// Branches on the test of a value that is not null, or whose header load then traps with `trap`.
    fn branch_on_object(&mut self, query: &Query, value: Value, trap: Option<Trap>, yes: Block, no: Block) {
        let members = self.members(query);
        if query.may_be_i31 {
            let object = self.block();
            let bit = self.ins().band_imm_u(value, 1);
            self.branch(bit, if members == Members::Eq { yes } else { no }, object);
            self.start(object);
        }
        let word = self.type_word_of(query, value, trap);
        let Members::Open(ty) = members else {
            let bit = self.belongs(members, word);
            self.branch(bit, yes, no);
            return;
        };
        let target = self.type_word(ty);
        if self.env.module.extended.contains(&ty) {
            self.branch_on_display(ty, IntCC::UnsignedGreaterThanOrEqual, (word, target), yes, no);
            return;
        }
        let same = self.ins().icmp(IntCC::Equal, word, target);
        let display = self.block();
        self.branch(same, yes, display);
        self.cold(display, |e| e.branch_on_display(ty, IntCC::UnsignedGreaterThan, (word, target), yes, no));
    }

    /// Branches on whether the type of type word `word` displays `ty`, of type word `target`. Types of interest are as
    /// deep, or deeper, as `depths` says.
    fn branch_on_display(&mut self, ty: u32, depths: IntCC, (word, target): (Value, Value), yes: Block, no: Block) {
        let depth = self.depth(ty);
        let entry = self.address(Base::TypeSpace, word);
        if depth >= DISPLAY_INLINE_DEPTH {
            // Only entries of deep types are long enough to be asked.
            let deep = self.block();
            let has = self.ins().load(types::I32, Self::type_space_flags(), entry, ENTRY_DEPTH_OFFSET as i32);
            let long = self.compare(depths, has, depth);
            self.branch(long, deep, no);
            self.start(deep);
        }
        let offset = (ENTRY_DISPLAY_OFFSET + 4 * depth) as i32;
        let shown = self.ins().load(types::I32, Self::type_space_flags(), entry, offset);
        let same = self.ins().icmp(IntCC::Equal, shown, target);
        self.branch(same, yes, no);
    }

    /// Whether an object with type word `word` belongs, for types that one comparison decides.
    fn belongs(&mut self, members: Members, word: Value) -> Value {
        let (mask, tag) = match members {
            Members::Final(ty) => {
                let target = self.type_word(ty);
                return self.ins().icmp(IntCC::Equal, word, target);
            }
            Members::Kind(kind) => (0, kind_tag(kind)),
            Members::Eq => (EQ_TAG_BIT, kind_tag(TypeKind::Struct) & !EQ_TAG_BIT),
            Members::All | Members::Nothing | Members::I31s | Members::Open(_) => {
                unreachable!("{members:?} is not decided by one comparison")
            }
        };
        let entry = self.address(Base::TypeSpace, word);
        let mut found = self.ins().load(types::I32, Self::type_space_flags(), entry, ENTRY_TAG_OFFSET);
        if mask != 0 {
            found = self.ins().band_imm_u(found, i64::from(!mask));
        }
        self.compare(IntCC::Equal, found, tag)
    }

    /// The type word of the object or function that `value`, which is not null, names.
    fn type_word_of(&mut self, query: &Query, value: Value, trap: Option<Trap>) -> Value {
        if !query.func {
            let object = self.address(Base::Heap, value);
            return self.ins().load(types::I32, Self::heap_flags(trap), object, 0);
        }
        // Ids come from the heap: one that names no function was forged. Where that would fault, or name a null entry,
        // it needs no check.
        let index = if self.env.settings.faults_trap() {
            self.ins().band_imm_u(value, i64::from(FUNC_ID_MASK))
        } else {
            let count = self.load_store_word(types::I32, offset_of!(StoreContext, func_table_len) as i32);
            let forged = self.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, value, count);
            self.trap_if(forged, Trap::ForgedFunctionReference);
            value
        };
        let table = self.base(Base::FuncTable);
        let id = self.ins().uextend(types::I64, index);
        let offset = self.ins().imul_imm_u(id, size_of::<FuncEntry>() as i64);
        let entry = self.ins().iadd(table, offset);
        self.ins().load(types::I32, Self::engine_flags(), entry, offset_of!(FuncEntry, type_word) as i32)
    }

    /// The length of the supertype chain above a type.
    fn depth(&self, ty: u32) -> u32 {
        let types = &self.env.module.types;
        let parent = |ty: &u32| match types[*ty as usize].supertype {
            Some(TypeRef::Module(parent)) => Some(parent),
            Some(other) => unreachable!("a module's types name each other by index, not {other:?}"),
            None => None,
        };
        core::iter::successors(parent(&ty), parent).count() as u32
    }

    /// `ref.i31`.
    pub(super) fn ref_i31(&mut self, value: Value) -> Value {
        let shifted = self.ins().ishl_imm_u(value, 1);
        self.ins().bor_imm_u(shifted, 1)
    }

    /// `i31.get_s` and `i31.get_u`.
    pub(super) fn i31_get(&mut self, signed: bool, nullable: bool, value: Value) -> Value {
        if nullable {
            self.trap_unless(value, Trap::NullI31Reference);
        }
        if signed { self.ins().sshr_imm_u(value, 1) } else { self.ins().ushr_imm_u(value, 1) }
    }
}
