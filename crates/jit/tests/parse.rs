//! What parsing gives for modules in the text format.

use heapwright_gc_heap::{AbstractHeapType, HeaderLayout, HeapType, StorageType, TypeRef, ValType};
use heapwright_jit::module::{
    ConstOp, ElementItems, ElementMode, ExternKind, ImportType, ModuleInfo, TypeLayout, parse,
};
use heapwright_jit::{CompileError, features};

const HEADER: HeaderLayout = HeaderLayout { extra_words: 0 };

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's text assembles")
}

fn info(text: &str) -> ModuleInfo {
    parse(&assemble(text), features(), HEADER).map(|m| m.info).expect("the module is valid")
}

/// The message and offset with which `bytes` are refused.
fn refusal(bytes: &[u8]) -> (String, usize) {
    match parse(bytes, features(), HEADER).map(|m| m.info) {
        Err(CompileError::Invalid { message, offset }) => (message, offset),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn declarations_of_every_kind() {
    let module = info(
        r#"(module $whole
            (type $f (func (param i32) (result i64)))
            (import "a" "f" (func $imported (type $f)))
            (import "a" "t" (table 1 2 externref))
            (import "a" "m" (memory i64 1))
            (import "b" "g" (global $ig (mut f32)))
            (import "b" "e" (tag $it (param i32)))
            (table $funcs 3 funcref)
            (table $anys i64 4 8 (ref null any) (ref.i31 (i32.const 5)))
            (memory $bytes 7 9 (pagesize 1))
            (global $g i32 (i32.add (i32.const 1) (i32.const 2)))
            (tag $t (param i64))
            (func $one (type $f) (i64.const 1))
            (func $start)
            (start $start)
            (export "one" (func $one))
            (export "t" (table $anys))
            (export "m" (memory $bytes))
            (export "g" (global $ig))
            (export "e" (tag $t))
            (data (memory $bytes) (i32.const 3) "abc")
            (data $passive "xyz")
        )"#,
    );
    assert_eq!(module.name.as_deref(), Some("whole"));
    assert_eq!(
        (module.imported_funcs, module.imported_tables, module.imported_memories, module.imported_globals),
        (1, 1, 1, 1)
    );
    assert_eq!((module.imported_tags, module.tags.len()), (1, 2));
    assert_eq!(module.funcs.len(), 3);
    let imports: Vec<_> = module.imports.iter().map(|i| (i.module.as_str(), i.name.as_str())).collect();
    assert_eq!(imports, [("a", "f"), ("a", "t"), ("a", "m"), ("b", "g"), ("b", "e")]);
    assert!(matches!(module.imports[0].ty, ImportType::Func(0)));
    assert!(matches!(module.imports[1].ty, ImportType::Table(0)));
    assert!(matches!(module.imports[4].ty, ImportType::Tag(_)));

    assert!(!module.tables[0].is_func && module.tables[1].is_func && !module.tables[2].is_func);
    let anys = &module.tables[2];
    assert_eq!((anys.table64, anys.minimum, anys.maximum), (true, 4, Some(8)));
    assert_eq!(anys.init.as_deref(), Some(&[ConstOp::I32(5), ConstOp::RefI31][..]));
    assert!(module.memories[0].memory64);
    let bytes = module.memories[1];
    assert_eq!((bytes.minimum, bytes.maximum, bytes.page_size_log2), (7, Some(9), 0));
    assert!(module.globals[0].mutable && module.globals[0].init.is_none());
    assert_eq!(module.globals[1].init.as_deref(), Some(&[ConstOp::I32(1), ConstOp::I32(2), ConstOp::I32Add][..]));
    assert_eq!(module.start, Some(2));
    let exports: Vec<_> = module.exports.iter().map(|e| (e.name.as_str(), e.kind, e.index)).collect();
    assert_eq!(
        exports,
        [
            ("one", ExternKind::Func, 1),
            ("t", ExternKind::Table, 2),
            ("m", ExternKind::Memory, 1),
            ("g", ExternKind::Global, 0),
            ("e", ExternKind::Tag, 1)
        ]
    );
    assert_eq!(module.func_names[&2], "start");
    assert_eq!(module.type_names[&0], "f");
    assert_eq!(module.instance_layout().counts.escaping_funcs, 1);
}

#[test]
fn data_segments_are_ranges_of_the_module() {
    let bytes = assemble(r#"(module (memory 1) (data (i32.const 8) "first") (data "second"))"#);
    let module = parse(&bytes, features(), HEADER).expect("valid").info;
    let texts: Vec<_> = module.data.iter().map(|d| &bytes[d.bytes.clone()]).collect();
    assert_eq!(texts, [&b"first"[..], &b"second"[..]]);
    let (memory, offset) = module.data[0].active.as_ref().expect("active");
    assert_eq!((*memory, &**offset), (0, &[ConstOp::I32(8)][..]));
    assert!(module.data[1].active.is_none());
}

#[test]
fn recursive_types_and_layouts() {
    let module = info(
        r#"(module
            (rec
              (type $node (sub (struct (field (mut (ref null $node))) (field (ref null $code)))))
              (type $code (func (param (ref $node)))))
            (type $leaf (sub $node (struct
              (field (mut (ref null $node))) (field (ref null $code)) (field i64) (field (mut i8)) (field externref))))
            (type $bytes (array (mut i8)))
            (type $refs (array (ref null $leaf)))
            (type $funcs (array (mut funcref)))
        )"#,
    );
    assert_eq!(module.types[2].supertype, Some(TypeRef::Module(0)));
    let groups: Vec<_> = module.rec_groups.iter().map(|g| g.types.len()).collect();
    assert_eq!(groups, [2, 1, 1, 1, 1]);
    assert!(!module.types[2].is_final && module.types[3].is_final);
    let ValType::Ref(param) = module.func_type_at(1).params[0] else { panic!("a reference") };
    assert_eq!((param.nullable, param.heap), (false, HeapType::Concrete(TypeRef::Module(0))));

    let node = module.struct_layout(0);
    let traced: Vec<_> = node.fields.iter().map(|f| f.traced).collect();
    assert_eq!(traced, [true, false], "a function reference is not traced, although its type is declared later");
    let leaf = module.struct_layout(2);
    let traced: Vec<_> = leaf.fields.iter().map(|f| f.traced).collect();
    assert_eq!(traced, [true, false, false, false, true]);
    for (mine, parents) in leaf.fields.iter().zip(&node.fields) {
        assert_eq!(mine.offset, parents.offset);
    }
    assert!(matches!(module.layouts[1], TypeLayout::Func));
    assert_eq!((module.array_layout(3).storage, module.array_layout(3).traced), (StorageType::I8, false));
    assert!(module.array_layout(4).traced);
    assert!(!module.array_layout(5).traced);
}

#[test]
fn the_header_moves_fields() {
    let bytes = assemble("(module (type (struct (field i32))) (type (array i32)))");
    for words in 0..=3 {
        let header = HeaderLayout { extra_words: words };
        let module = parse(&bytes, features(), header).expect("valid").info;
        assert_eq!(module.struct_layout(0).fields[0].offset, header.bytes());
        assert_eq!(module.array_layout(1).length_offset, header.bytes());
    }
}

#[test]
fn element_segments() {
    let module = info(
        r#"(module
            (table $t 10 funcref)
            (table $e 10 (ref null eq))
            (func $a) (func $b) (func $c)
            (elem (table $t) (i32.const 1) func $a $b)
            (elem (table $t) (i32.const 3) funcref (ref.func $c) (ref.func $a))
            (elem funcref (ref.null func) (ref.func $b))
            (elem declare func $c)
            (elem (table $e) (i32.const 0) (ref eq) (ref.i31 (i32.const 7)))
        )"#,
    );
    let [first, second, third, declared, eqs] = module.elements.as_slice() else { panic!("five segments") };
    assert!(matches!(&first.mode, ElementMode::Active { table: 0, offset } if **offset == [ConstOp::I32(1)]));
    assert!(matches!(&first.items, ElementItems::Funcs(f) if *f == [0, 1]));
    assert!(matches!(&second.items, ElementItems::Funcs(f) if *f == [2, 0]), "plain function references are a list");
    assert!(matches!(third.mode, ElementMode::Passive));
    let ElementItems::Exprs(exprs) = &third.items else { panic!("a null among them") };
    let null = ConstOp::RefNull(HeapType::Abstract(AbstractHeapType::Func));
    assert_eq!((&*exprs[0], &*exprs[1]), (&[null][..], &[ConstOp::RefFunc(1)][..]));
    assert!(matches!(declared.mode, ElementMode::Declared) && declared.is_func);
    assert!(!eqs.is_func && !eqs.ty.nullable);
    assert_eq!(eqs.items.len(), 1);
}

#[test]
fn functions_escape_once_and_in_order() {
    let module = info(
        r#"(module
            (import "" "" (func $imported))
            (table $t 1 1 funcref (ref.func $by_table))
            (func $hidden) (func $by_export) (func $by_table) (func $by_global) (func $by_element)
            (global funcref (ref.func $by_global))
            (export "x" (func $by_export))
            (export "y" (func $by_export))
            (export "z" (func $imported))
            (elem declare func $by_element $by_global)
            (func $user (drop (ref.func $by_element)))
        )"#,
    );
    assert_eq!(module.escaping, [3, 4, 2, 0, 5]);
    for (position, func) in module.escaping.iter().enumerate() {
        assert_eq!(module.escape_index[func] as usize, position);
    }
    assert!(!module.escape_index.contains_key(&1));
}

#[test]
fn constants_with_objects() {
    let module = info(
        r#"(module
            (type $s (struct (field i32) (field anyref)))
            (type $a (array i8))
            (import "" "" (global $k i32))
            (global (ref $s) (struct.new $s (global.get $k) (array.new_fixed $a 2 (i32.const 1) (i32.const 2))))
            (global (ref $s) (struct.new_default $s))
            (global (ref $a) (array.new $a (i32.const 1) (i32.const 9)))
            (global (ref $a) (array.new_default $a (i32.const 9)))
            (global externref (extern.convert_any (ref.i31 (i32.const 1))))
            (global anyref (any.convert_extern (ref.null noextern)))
            (global v128 (v128.const i64x2 1 2))
            (global f32 (f32.const nan:0x200000))
            (global f64 (f64.const -0))
        )"#,
    );
    let init = |i: usize| module.globals[i].init.clone().expect("defined").into_vec();
    use ConstOp::*;
    assert_eq!(init(1), [GlobalGet(0), I32(1), I32(2), ArrayNewFixed(1, 2), StructNew(0)]);
    assert_eq!(init(2), [StructNewDefault(0)]);
    assert_eq!(init(3), [I32(1), I32(9), ArrayNew(1)]);
    assert_eq!(init(4), [I32(9), ArrayNewDefault(1)]);
    assert_eq!(init(5), [I32(1), RefI31, ExternConvertAny]);
    assert_eq!(init(6), [RefNull(HeapType::Abstract(AbstractHeapType::NoExtern)), AnyConvertExtern]);
    assert_eq!(init(7), [V128(2 << 64 | 1)]);
    assert_eq!(init(8), [F32(0x7fa0_0000)]);
    assert_eq!(init(9), [F64(1 << 63)]);
}

#[test]
fn only_modules_with_objects_need_a_heap() {
    for without in [
        "(module (func (param i32 funcref)) (table 1 funcref) (memory 1))",
        "(module (type $f (func)) (global (mut (ref null $f)) (ref.null $f)))",
        "(module (func (drop (i31.get_s (ref.i31 (i32.const 1))))))",
    ] {
        assert!(!info(without).needs_heap, "{without}");
    }
    for with in [
        "(module (type (struct)))",
        "(module (type (array i8)))",
        "(module (tag))",
        "(module (func (result externref) (ref.null extern)))",
        "(module (table 1 anyref))",
        "(module (global (mut eqref) (ref.null eq)))",
        "(module (import \"\" \"\" (global exnref)))",
        "(module (elem i31ref (ref.i31 (i32.const 1))))",
    ] {
        assert!(info(with).needs_heap, "{with}");
    }
}

#[test]
fn malformed_name_sections_are_ignored() {
    let mut bytes = assemble("(module $name (func $f))");
    assert_eq!(parse(&bytes, features(), HEADER).expect("valid").info.func_names[&0], "f");
    // The last byte belongs to the last name.
    *bytes.last_mut().expect("not empty") = 0xff;
    let module = parse(&bytes, features(), HEADER).expect("still valid").info;
    assert!(module.name.is_none() && module.func_names.is_empty());
}

#[test]
fn bytes_that_are_no_module() {
    assert!(refusal(b"").0.contains("unexpected end"));
    assert!(refusal(b"\0as").0.contains("unexpected end"));
    let (message, offset) = refusal(b"\x7fELF\x02\x01\x01\0");
    assert!(message.starts_with("not a WebAssembly module: bad magic") && offset == 0, "{message}");
    assert!(refusal(b"\n (module)").0.contains("text format"));
    assert!(refusal(b"\0asm\x0d\0\x01\0").0.contains("component, not a core module"));
    assert!(refusal(b"\0asm\x02\0\0\0").0.contains("unknown binary version"));
    assert!(refusal(b"\0asm\x01\0").0.contains("unexpected end"));
    // A section that promises more than there is.
    assert!(refusal(b"\0asm\x01\0\0\0\x01\x7f\x01").1 >= 8);
}

/// A module with a section of every kind.
fn one_of_each() -> Vec<u8> {
    assemble(
        r#"(module (type $s (struct (field i32))) (table 1 funcref) (memory 1) (tag) (global (ref $s) (struct.new $s (i32.const 1)))
            (func $f (export "f")) (elem (i32.const 0) $f) (data (i32.const 0) "abc"))"#,
    )
}

#[test]
fn every_prefix_of_a_module_is_refused_or_valid() {
    let bytes = one_of_each();
    for end in 0..bytes.len() {
        match parse(&bytes[..end], features(), HEADER).map(|m| m.info) {
            Ok(_) => {}
            Err(CompileError::Invalid { offset, .. }) => assert!(offset <= end, "{offset} in {end} bytes"),
            Err(other) => panic!("{end}: {other}"),
        }
    }
}

#[test]
fn changed_bytes_are_refused_or_valid() {
    let bytes = one_of_each();
    for position in 0..bytes.len() {
        for change in [0x01, 0x40, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[position] ^= change;
            match parse(&changed, features(), HEADER).map(|m| m.info) {
                Ok(_) | Err(CompileError::Invalid { .. }) => {}
                Err(other) => panic!("byte {position} changed by {change:#x}: {other}"),
            }
        }
    }
}

#[test]
fn unsupported_proposals_are_named() {
    let (message, offset) = refusal(&assemble("(module (memory 1 1 shared))"));
    assert!(message.contains("threads") && offset > 8, "{message} at {offset}");
    let (message, _) = refusal(&assemble("(module (type $f (func)) (type (cont $f)))"));
    assert!(message.contains("stack-switching") || message.contains("stack switching"), "{message}");
}

#[test]
fn invalid_modules_say_where() {
    let bytes = assemble("(module (type (func)) (func (type 0)) (export \"a\" (func 0)) (export \"a\" (func 0)))");
    let (message, offset) = refusal(&bytes);
    assert!(message.contains("duplicate export"), "{message}");
    assert_eq!(bytes[offset], 1, "the offset is that of the second export's name");
}
