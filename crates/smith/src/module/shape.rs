//! Everything of a module but its code.

use super::Options;
use super::types::{Heap, Ref, Ty, Types};
use arbitrary::{Result, Unstructured};
use wasm_encoder as enc;

/// Index of the imported function that makes a host reference.
pub(super) const HOST_EXTERN: u32 = 0;
/// Index of the imported function that collects, unless the module is portable.
pub(super) const HOST_COLLECT: u32 = 1;
/// Index of the global that counts rounds and calls down.
pub(super) const FUEL: u32 = 0;
/// Index of the global that counts nested calls.
pub(super) const DEPTH: u32 = 1;
/// Index of the first global that programs use.
pub(super) const FIRST_GLOBAL: u32 = 2;
/// Index of the table of functions.
pub(super) const FUNCTIONS: u32 = 0;
/// Index of the table of references.
pub(super) const REFERENCES: u32 = 1;
/// Slots of each table.
pub(super) const TABLE_SIZE: u32 = 8;
/// Bytes of the data segment.
pub(super) const DATA_BYTES: u32 = 64;
/// Elements of each element segment.
pub(super) const ELEMENTS: u32 = 8;
/// Index of the passive segment of i31 references.
pub(super) const I31_SEGMENT: u32 = 0;
/// Index of the passive segment of functions of the first signature.
pub(super) const FUNC_SEGMENT: u32 = 1;

/// The declarations.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) options: Options,
    pub(super) types: Types,
    /// The signature of each generated function, as a type index.
    pub(super) functions: Vec<u32>,
    /// The types of the program's globals.
    pub(super) globals: Vec<Ty>,
    /// The parameters of each tag.
    pub(super) tags: Vec<Vec<Ty>>,
    /// What the second table holds.
    pub(super) references: Heap,
    /// Whether exceptions are the legacy ones: one module has only one kind.
    pub(super) legacy: bool,
}

impl Shape {
    pub(super) fn generate(u: &mut Unstructured<'_>, options: Options) -> Result<Shape> {
        let types = Types::generate(u)?;
        let first = types.objects.len() as u32;
        let count = types.signatures.len() as u32;
        // At least one function of each signature, so that every function type has a value.
        let mut functions: Vec<u32> = (first..first + count).collect();
        for _ in 0..u.int_in_range(0..=4)? {
            functions.push(u.int_in_range(first..=first + count - 1)?);
        }
        let mut globals = vec![Heap::Object(0).nullable(), Heap::Any.nullable(), Heap::Object(3).nullable()];
        for _ in 0..u.int_in_range(0..=5)? {
            let ty = types.any_type(u, first + count)?;
            globals.push(match ty {
                Ty::Ref(Ref { heap, .. }) => heap.nullable(),
                number => number,
            });
        }
        let mut tags = vec![vec![Ty::I32], vec![Heap::Object(0).nullable(), Ty::I64]];
        for _ in 0..u.int_in_range(0..=2)? {
            tags.push((0..u.int_in_range(0..=3)?).map(|_| types.any_type(u, first + count)).collect::<Result<_>>()?);
        }
        let references = *u.choose(&[Heap::Any, Heap::Object(0), Heap::Eq])?;
        let legacy = !options.portable && u.ratio(1, 3)?;
        Ok(Shape { options, types, functions, globals, tags, references, legacy })
    }

    pub(super) fn imports(&self) -> u32 {
        if self.options.portable { 1 } else { 2 }
    }

    /// The index of a generated function in the module.
    pub(super) fn function(&self, index: u32) -> u32 {
        self.imports() + index
    }

    /// The index of the function that recurs deeply.
    pub(super) fn deep(&self) -> u32 {
        self.imports() + self.functions.len() as u32
    }

    /// The index of the function that hashes objects; the one that hashes all globals follows.
    pub(super) fn hash(&self) -> u32 {
        self.deep() + 1 + self.runs()
    }

    pub(super) fn runs(&self) -> u32 {
        self.functions.len() as u32
    }

    /// The generated functions of a signature.
    pub(super) fn functions_of(&self, signature: u32) -> Vec<u32> {
        (0..self.functions.len() as u32).filter(|&f| self.functions[f as usize] == signature).collect()
    }

    // Type indices of the fixed signatures, which follow the generated types.

    fn fixed(&self, number: u32) -> u32 {
        (self.types.objects.len() + self.types.signatures.len()) as u32 + number
    }

    pub(super) fn tag_type(&self, tag: u32) -> u32 {
        self.fixed(6 + tag)
    }

    pub(super) fn encode(&self, code: enc::CodeSection) -> Vec<u8> {
        let mut types = enc::TypeSection::new();
        self.types.encode(&mut types);
        let externref = Heap::Extern.nullable().encode();
        types.ty().function([enc::ValType::I32], [externref]);
        types.ty().function([], []);
        types.ty().function([enc::ValType::I32, Heap::Object(0).nullable().encode()], [enc::ValType::I32]);
        types.ty().function([enc::ValType::I32], [enc::ValType::I64]);
        types.ty().function([Heap::Any.nullable().encode(), enc::ValType::I32], [enc::ValType::I64]);
        types.ty().function([], [enc::ValType::I64]);
        for tag in &self.tags {
            types.ty().function(tag.iter().map(|t| t.encode()), []);
        }

        let mut imports = enc::ImportSection::new();
        imports.import("host", "extern", enc::EntityType::Function(self.fixed(0)));
        if !self.options.portable {
            imports.import("host", "collect", enc::EntityType::Function(self.fixed(1)));
        }

        let mut functions = enc::FunctionSection::new();
        for &signature in &self.functions {
            functions.function(signature);
        }
        functions.function(self.fixed(2));
        let mut exports = enc::ExportSection::new();
        for run in 0..self.runs() {
            functions.function(self.fixed(3));
            exports.export(&format!("run{run}"), enc::ExportKind::Func, self.deep() + 1 + run);
        }
        functions.function(self.fixed(4)).function(self.fixed(5));
        exports.export("digest", enc::ExportKind::Func, self.hash() + 1);
        for global in 0..self.globals.len() as u32 {
            exports.export(&format!("g{global}"), enc::ExportKind::Global, FIRST_GLOBAL + global);
        }
        exports.export("memory", enc::ExportKind::Memory, 0);

        let size = u64::from(TABLE_SIZE);
        let table = |heap: enc::RefType| enc::TableType {
            element_type: heap,
            table64: false,
            minimum: size,
            maximum: Some(2 * size),
            shared: false,
        };
        let mut tables = enc::TableSection::new();
        tables.table(table(enc::RefType::FUNCREF));
        tables.table(table(Ref { nullable: true, heap: self.references }.encode()));

        let mut memories = enc::MemorySection::new();
        memories.memory(enc::MemoryType {
            minimum: 3,
            maximum: Some(4),
            memory64: false,
            shared: false,
            page_size_log2: None,
        });

        let mut tags = enc::TagSection::new();
        for tag in 0..self.tags.len() as u32 {
            tags.tag(enc::TagType { kind: enc::TagKind::Exception, func_type_idx: self.tag_type(tag) });
        }

        let mut globals = enc::GlobalSection::new();
        let all = [Ty::I32, Ty::I32];
        for &ty in all.iter().chain(&self.globals) {
            let initial = match ty {
                Ty::I32 => enc::ConstExpr::i32_const(0),
                Ty::I64 => enc::ConstExpr::i64_const(0),
                Ty::F32 => enc::ConstExpr::f32_const(0.0.into()),
                Ty::F64 => enc::ConstExpr::f64_const(0.0.into()),
                Ty::V128 => enc::ConstExpr::v128_const(0),
                Ty::Ref(r) => enc::ConstExpr::ref_null(r.heap.encode()),
            };
            globals.global(enc::GlobalType { val_type: ty.encode(), mutable: true, shared: false }, &initial);
        }

        let mut elements = enc::ElementSection::new();
        let i31s: Vec<_> = (0..ELEMENTS)
            .map(|i| enc::ConstExpr::extended([enc::Instruction::I32Const(i as i32 * 7 - 9), enc::Instruction::RefI31]))
            .collect();
        let i31 = Ref { nullable: false, heap: Heap::I31 }.encode();
        elements.passive(enc::Elements::Expressions(i31, i31s.into()));
        let first = self.types.objects.len() as u32;
        let of_first = self.functions_of(first);
        let funcs: Vec<_> = (0..ELEMENTS as usize)
            .map(|i| enc::ConstExpr::ref_func(self.function(of_first[i % of_first.len()])))
            .collect();
        let func = Ref { nullable: false, heap: Heap::Func(first) }.encode();
        elements.passive(enc::Elements::Expressions(func, funcs.into()));
        // The table of functions starts full; this also declares every function as referable.
        let all: Vec<u32> = (0..self.functions.len() as u32).map(|f| self.function(f)).collect();
        let table: Vec<u32> = all.iter().copied().cycle().take(TABLE_SIZE as usize).collect();
        elements.active(Some(FUNCTIONS), &enc::ConstExpr::i32_const(0), enc::Elements::Functions(table.into()));
        elements.declared(enc::Elements::Functions(all.into()));

        let mut data = enc::DataSection::new();
        data.passive((0..DATA_BYTES).map(|i| (i * 37 + 11) as u8));

        let mut module = enc::Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&memories).section(&tags);
        module.section(&globals).section(&exports).section(&elements).section(&enc::DataCountSection { count: 1 });
        module.section(&code).section(&data);
        module.finish()
    }
}
