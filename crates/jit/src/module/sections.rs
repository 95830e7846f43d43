//! Section by section into a `ModuleInfo`.

use super::{
    ConstExpr, ConstOp, DataSegment, ElementItems, ElementMode, ElementSegment, Export, ExternKind, GlobalInfo, Import,
    ImportType, MemoryInfo, ModuleInfo, TableInfo, constants, convert, names,
};
use crate::CompileError;
use heapwright_gc_heap::{AbstractHeapType, HeapType, RecGroup, RefType};
use wasmparser::{ExternalKind, KnownCustom, Payload, TableInit, TypeRef};

/// Collects declarations from payloads that passed validation.
#[derive(Default)]
pub(super) struct SectionReader {
    info: ModuleInfo,
}

impl SectionReader {
    /// Takes in one payload.
    pub(super) fn read(&mut self, payload: Payload<'_>) -> Result<(), CompileError> {
        match payload {
            Payload::TypeSection(s) => self.types(s),
            Payload::ImportSection(s) => self.imports(s),
            Payload::FunctionSection(s) => {
                for ty in s {
                    self.info.funcs.push(ty?);
                }
                Ok(())
            }
            Payload::TableSection(s) => self.tables(s),
            Payload::MemorySection(s) => {
                for ty in s {
                    self.info.memories.push(memory(ty?));
                }
                Ok(())
            }
            Payload::TagSection(s) => {
                for ty in s {
                    self.info.tags.push(ty?.func_type_idx);
                }
                Ok(())
            }
            Payload::GlobalSection(s) => self.globals(s),
            Payload::ExportSection(s) => self.exports(s),
            Payload::StartSection { func, .. } => {
                self.info.start = Some(func);
                Ok(())
            }
            Payload::ElementSection(s) => self.elements(s),
            Payload::DataSection(s) => self.data(s),
            Payload::CustomSection(s) => {
                if let KnownCustom::Name(_) = s.as_known() {
                    let names = names::read(s.data_reader());
                    self.info.name = names.module;
                    self.info.func_names = names.funcs;
                    self.info.type_names = names.types;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The declarations.
    pub(super) fn finish(mut self) -> ModuleInfo {
        let ModuleInfo { func_names, type_names, funcs, types, .. } = &mut self.info;
        func_names.retain(|&i, _| (i as usize) < funcs.len());
        type_names.retain(|&i, _| (i as usize) < types.len());
        self.info
    }

    fn types(&mut self, section: wasmparser::TypeSectionReader<'_>) -> Result<(), CompileError> {
        for group in section {
            let types = group?.types().map(convert::sub_type).collect::<Result<Box<[_]>, _>>()?;
            self.info.types.extend_from_slice(&types);
            self.info.extended.extend(types.iter().filter_map(|ty| match ty.supertype {
                Some(heapwright_gc_heap::TypeRef::Module(parent)) => Some(parent),
                _ => None,
            }));
            self.info.rec_groups.push(RecGroup { types });
        }
        Ok(())
    }

    fn imports(&mut self, section: wasmparser::ImportSectionReader<'_>) -> Result<(), CompileError> {
        let info = &mut self.info;
        for import in section.into_imports() {
            let import = import?;
            let ty = match import.ty {
                TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                    info.funcs.push(ty);
                    info.imported_funcs += 1;
                    ImportType::Func(ty)
                }
                TypeRef::Table(ty) => {
                    let table = table(info, &ty, None)?;
                    info.tables.push(table);
                    info.imported_tables += 1;
                    ImportType::Table(info.imported_tables - 1)
                }
                TypeRef::Memory(ty) => {
                    info.memories.push(memory(ty));
                    info.imported_memories += 1;
                    ImportType::Memory(info.imported_memories - 1)
                }
                TypeRef::Global(ty) => {
                    info.globals.push(GlobalInfo {
                        ty: convert::val_type(ty.content_type)?,
                        mutable: ty.mutable,
                        init: None,
                    });
                    info.imported_globals += 1;
                    ImportType::Global(info.imported_globals - 1)
                }
                TypeRef::Tag(ty) => {
                    info.tags.push(ty.func_type_idx);
                    info.imported_tags += 1;
                    ImportType::Tag(ty.func_type_idx)
                }
            };
            info.imports.push(Import { module: import.module.to_string(), name: import.name.to_string(), ty });
        }
        Ok(())
    }

    fn tables(&mut self, section: wasmparser::TableSectionReader<'_>) -> Result<(), CompileError> {
        for table in section {
            let wasmparser::Table { ty, init } = table?;
            let init = match init {
                TableInit::RefNull => None,
                TableInit::Expr(expr) => Some(self.constant(&expr)?),
            };
            let table = self::table(&self.info, &ty, init)?;
            self.info.tables.push(table);
        }
        Ok(())
    }

    fn globals(&mut self, section: wasmparser::GlobalSectionReader<'_>) -> Result<(), CompileError> {
        for global in section {
            let wasmparser::Global { ty, init_expr } = global?;
            let init = Some(self.constant(&init_expr)?);
            self.info.globals.push(GlobalInfo { ty: convert::val_type(ty.content_type)?, mutable: ty.mutable, init });
        }
        Ok(())
    }

    fn exports(&mut self, section: wasmparser::ExportSectionReader<'_>) -> Result<(), CompileError> {
        for export in section {
            let wasmparser::Export { name, kind, index } = export?;
            let kind = match kind {
                ExternalKind::Func | ExternalKind::FuncExact => {
                    self.escape(index);
                    ExternKind::Func
                }
                ExternalKind::Table => ExternKind::Table,
                ExternalKind::Memory => ExternKind::Memory,
                ExternalKind::Global => ExternKind::Global,
                ExternalKind::Tag => ExternKind::Tag,
            };
            self.info.exports.push(Export { name: name.to_string(), kind, index });
        }
        Ok(())
    }

    fn elements(&mut self, section: wasmparser::ElementSectionReader<'_>) -> Result<(), CompileError> {
        for element in section {
            let wasmparser::Element { kind, items, .. } = element?;
            let mode = match kind {
                wasmparser::ElementKind::Passive => ElementMode::Passive,
                wasmparser::ElementKind::Declared => ElementMode::Declared,
                wasmparser::ElementKind::Active { table_index, offset_expr } => {
                    ElementMode::Active { table: table_index.unwrap_or(0), offset: self.constant(&offset_expr)? }
                }
            };
            let (ty, items) = match items {
                wasmparser::ElementItems::Functions(funcs) => {
                    let funcs = funcs.into_iter().collect::<wasmparser::Result<Vec<u32>>>()?;
                    funcs.iter().for_each(|&f| self.escape(f));
                    let ty = RefType { nullable: false, heap: HeapType::Abstract(AbstractHeapType::Func) };
                    (ty, ElementItems::Funcs(funcs))
                }
                wasmparser::ElementItems::Expressions(ty, exprs) => {
                    let exprs = exprs.into_iter().map(|e| self.constant(&e?)).collect::<Result<Vec<ConstExpr>, _>>()?;
                    (convert::ref_type(ty)?, element_items(exprs))
                }
            };
            let is_func = self.info.is_func_ref(&ty);
            self.info.elements.push(ElementSegment { mode, ty, is_func, items });
        }
        Ok(())
    }

    fn data(&mut self, section: wasmparser::DataSectionReader<'_>) -> Result<(), CompileError> {
        for segment in section {
            let wasmparser::Data { kind, data, range } = segment?;
            let active = match kind {
                wasmparser::DataKind::Passive => None,
                wasmparser::DataKind::Active { memory_index, offset_expr } => {
                    Some((memory_index, self.constant(&offset_expr)?))
                }
            };
            let end = range.end as usize;
            self.info.data.push(DataSegment { active, bytes: end - data.len()..end });
        }
        Ok(())
    }

    /// Reads a constant expression; the functions that it mentions escape.
    fn constant(&mut self, expr: &wasmparser::ConstExpr<'_>) -> Result<ConstExpr, CompileError> {
        let ops = constants::read(expr)?;
        for op in &ops {
            if let ConstOp::RefFunc(func) = *op {
                self.escape(func);
            }
        }
        Ok(ops)
    }

    /// `ref.func` in a body needs a function that is declared outside of bodies: exports, segments and constants are
    /// all there is.
    fn escape(&mut self, func: u32) {
        let next = self.info.escaping.len() as u32;
        if *self.info.escape_index.entry(func).or_insert(next) == next {
            self.info.escaping.push(func);
        }
    }
}

/// A segment that only names functions is kept as a list of them.
fn element_items(exprs: Vec<ConstExpr>) -> ElementItems {
    let funcs: Option<Vec<u32>> =
        exprs.iter().map(|e| if let [ConstOp::RefFunc(f)] = **e { Some(f) } else { None }).collect();
    match funcs {
        Some(funcs) => ElementItems::Funcs(funcs),
        None => ElementItems::Exprs(exprs),
    }
}

fn table(info: &ModuleInfo, ty: &wasmparser::TableType, init: Option<ConstExpr>) -> Result<TableInfo, CompileError> {
    let element = convert::ref_type(ty.element_type)?;
    Ok(TableInfo {
        element,
        is_func: info.is_func_ref(&element),
        table64: ty.table64,
        minimum: ty.initial,
        maximum: ty.maximum,
        init,
    })
}

fn memory(ty: wasmparser::MemoryType) -> MemoryInfo {
    MemoryInfo {
        memory64: ty.memory64,
        minimum: ty.initial,
        maximum: ty.maximum,
        page_size_log2: ty.page_size_log2() as u8,
    }
}
