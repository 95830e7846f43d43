//! Sections, counts, imports and exports of a valid module.

use crate::output::quoted;
use wasmparser::{CompositeInnerType, Error, ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};

/// What a module consists of.
#[derive(Default)]
pub(super) struct Contents {
    /// From the name section.
    pub(super) name: Option<String>,
    pub(super) sections: Vec<Section>,
    pub(super) counts: Counts,
    /// Type, module and name of each import.
    pub(super) imports: Vec<Vec<String>>,
    /// Kind and name of each export.
    pub(super) exports: Vec<Vec<String>>,
}

/// A section.
pub(super) struct Section {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) items: Option<u32>,
}

/// How many of each kind.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) func_types: u64,
    pub(super) struct_types: u64,
    pub(super) array_types: u64,
    pub(super) other_types: u64,
    pub(super) rec_groups: u64,
    pub(super) imported_functions: u64,
    pub(super) functions: u64,
    pub(super) largest_function: u64,
    pub(super) globals: u64,
    pub(super) tables: u64,
    pub(super) memories: u64,
    pub(super) tags: u64,
    pub(super) elements: u64,
    pub(super) data: u64,
}

/// Reads a module.
///
/// # Errors
///
/// When it is malformed.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, Error> {
    let mut contents = Contents::default();
    for payload in Parser::new(0).parse_all(bytes) {
        contents.add(payload?)?;
    }
    Ok(contents)
}

impl Contents {
    fn section(&mut self, name: impl Into<String>, range: std::ops::Range<u64>, items: Option<u32>) {
        let (offset, bytes) = (range.start, range.end - range.start);
        self.sections.push(Section { name: name.into(), offset, bytes, items });
    }

    fn add(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        match payload {
            Payload::TypeSection(reader) => {
                self.section("type", reader.range(), Some(reader.count()));
                for group in reader {
                    let group = group?;
                    self.counts.rec_groups += u64::from(group.types().len() > 1);
                    for ty in group.types() {
                        *match ty.composite_type.inner {
                            CompositeInnerType::Func(_) => &mut self.counts.func_types,
                            CompositeInnerType::Struct(_) => &mut self.counts.struct_types,
                            CompositeInnerType::Array(_) => &mut self.counts.array_types,
                            _ => &mut self.counts.other_types,
                        } += 1;
                    }
                }
            }
            Payload::ImportSection(reader) => {
                self.section("import", reader.range(), Some(reader.count()));
                for import in reader.into_imports() {
                    let import = import?;
                    self.count_import(&import.ty);
                    self.imports.push(vec![describe(&import.ty), quoted(import.module), quoted(import.name)]);
                }
            }
            Payload::FunctionSection(reader) => {
                self.section("function", reader.range(), Some(reader.count()));
                self.counts.functions += u64::from(reader.count());
            }
            Payload::TableSection(reader) => {
                self.section("table", reader.range(), Some(reader.count()));
                self.counts.tables += u64::from(reader.count());
            }
            Payload::MemorySection(reader) => {
                self.section("memory", reader.range(), Some(reader.count()));
                self.counts.memories += u64::from(reader.count());
            }
            Payload::TagSection(reader) => {
                self.section("tag", reader.range(), Some(reader.count()));
                self.counts.tags += u64::from(reader.count());
            }
            Payload::GlobalSection(reader) => {
                self.section("global", reader.range(), Some(reader.count()));
                self.counts.globals += u64::from(reader.count());
            }
            Payload::ExportSection(reader) => {
                self.section("export", reader.range(), Some(reader.count()));
                for export in reader {
                    let export = export?;
                    self.exports.push(vec![kind(export.kind).to_owned(), quoted(export.name)]);
                }
            }
            Payload::StartSection { range, .. } => self.section("start", range, None),
            Payload::ElementSection(reader) => {
                self.section("element", reader.range(), Some(reader.count()));
                self.counts.elements += u64::from(reader.count());
            }
            Payload::DataCountSection { range, .. } => self.section("data count", range, None),
            Payload::DataSection(reader) => {
                self.section("data", reader.range(), Some(reader.count()));
                self.counts.data += u64::from(reader.count());
            }
            Payload::CodeSectionStart { count, unchecked_range, .. } => {
                self.section("code", unchecked_range, Some(count))
            }
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                self.counts.largest_function = self.counts.largest_function.max(range.end - range.start);
            }
            Payload::CustomSection(reader) => {
                self.section(format!("custom {}", quoted(reader.name())), reader.range(), None);
                if let KnownCustom::Name(names) = reader.as_known() {
                    // A malformed name section is none.
                    for name in names.into_iter().map_while(Result::ok) {
                        if let Name::Module { name, .. } = name {
                            self.name = Some(name.to_owned());
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn count_import(&mut self, ty: &TypeRef) {
        match ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => self.counts.imported_functions += 1,
            TypeRef::Table(_) => self.counts.tables += 1,
            TypeRef::Memory(_) => self.counts.memories += 1,
            TypeRef::Global(_) => self.counts.globals += 1,
            TypeRef::Tag(_) => self.counts.tags += 1,
        }
    }
}

fn describe(ty: &TypeRef) -> String {
    match ty {
        TypeRef::Func(index) | TypeRef::FuncExact(index) => format!("function of type {index}"),
        TypeRef::Table(t) => format!("table of {}", t.element_type),
        TypeRef::Memory(_) => "memory".to_owned(),
        TypeRef::Global(g) if g.mutable => format!("mutable global {}", g.content_type),
        TypeRef::Global(g) => format!("global {}", g.content_type),
        TypeRef::Tag(t) => format!("tag of type {}", t.func_type_idx),
    }
}

fn kind(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "function",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}
