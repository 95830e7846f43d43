//! GC values from the host: every operation, and every error that it documents, under every collector, at rest and
//! collecting at every allocation.

use heapwright::{
    AnyRef, ArrayRef, ArrayRefPre, ArrayType, AsContextMut, Caller, Collector, Config, Engine, EqRef, ExnRef,
    ExternRef, FieldType, Func, FuncType, GcError, GcHeapOutOfMemory, GcRefKind, Global, GlobalType, HeapType, I31,
    Identity, Instance, Linker, Module, Mutability, OwnedRooted, Ref, RefType, Result, RootScope, Rooted, Scalar,
    StorageType, Store, StringEncoding, StructRef, StructRefPre, StructType, Table, TableType, Tag, TagType, V128, Val,
    ValType,
};
use std::collections::HashMap;
use std::fmt::Debug;

/// Runs a test under every collector, at rest and collecting at every allocation.
fn everywhere(test: impl Fn(&Engine) -> Result<()>) -> Result<()> {
    for collector in Collector::all() {
        for zeal in [0, 1] {
            let engine = Engine::new(Config::new().collector(collector).zeal(zeal))?;
            test(&engine).map_err(|e| e.context(format!("under {} with zeal {zeal}", collector.name())))?;
        }
    }
    Ok(())
}

/// The typed error in a result that must be one.
#[track_caller]
fn refused<T>(result: Result<T>) -> GcError {
    let Err(error) = result else { panic!("not refused") };
    error.downcast_ref::<GcError>().unwrap_or_else(|| panic!("no GcError: {error:?}")).clone()
}

#[track_caller]
fn mismatch<T>(result: Result<T>) {
    let error = refused(result);
    assert!(matches!(error, GcError::TypeMismatch { .. }), "{error:?}");
}

fn var(ty: ValType) -> FieldType {
    FieldType::new(Mutability::Var, StorageType::ValType(ty))
}

fn constant(ty: ValType) -> FieldType {
    FieldType::new(Mutability::Const, StorageType::ValType(ty))
}

fn packed(storage: StorageType) -> FieldType {
    FieldType::new(Mutability::Var, storage)
}

fn nullable(heap: HeapType) -> ValType {
    RefType::new(true, heap).into()
}

/// Garbage and a collection: whatever can move does.
fn churn(mut store: impl AsContextMut) -> Result<()> {
    let mut store = store.as_context_mut();
    let engine = store.engine().clone();
    let ty = StructType::new(&engine, [var(ValType::I64)])?;
    for i in 0..50 {
        let mut scope = RootScope::new(&mut store);
        StructRef::new(&mut scope, &ty, &[Val::I64(i)])?;
    }
    store.gc()
}

#[test]
fn struct_fields_of_every_type() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let leaf = StructType::new(engine, [var(ValType::I32)])?;
        let types = [
            packed(StorageType::I8),
            packed(StorageType::I16),
            var(ValType::I32),
            var(ValType::I64),
            var(ValType::F32),
            var(ValType::F64),
            var(ValType::V128),
            var(ValType::FUNCREF),
            var(ValType::EXTERNREF),
            var(ValType::ANYREF),
            var(nullable(leaf.clone().into())),
            var(ValType::EXNREF),
        ];
        let ty = StructType::new(engine, types)?;
        let func = Func::wrap(&mut store, |x: i32| x + 1)?;
        let text = ExternRef::new(&mut store, "text")?;
        let inner = StructRef::new(&mut store, &leaf, &[Val::I32(77)])?;
        let any = AnyRef::from_i31(&mut store, I31::wrapping_i32(-3));
        let tag = Tag::new(&mut store, &TagType::new(FuncType::new(engine, [ValType::I32], [])))?;
        let exn = ExnRef::new(&mut store, &tag, &[Val::I32(5)])?;
        let values = [
            Val::I32(-1),
            Val::I32(0xffff),
            Val::I32(i32::MIN),
            Val::I64(i64::MIN),
            Val::from(1.5f32),
            Val::from(-0.0f64),
            V128::from(u128::MAX - 5).into(),
            func.into(),
            text.into(),
            any.into(),
            inner.into(),
            exn.into(),
        ];
        let made = StructRef::new(&mut store, &ty, &values)?;
        let defaults = StructRef::new_default(&mut store, &ty)?;
        for (i, value) in values.iter().enumerate() {
            defaults.set_field(&mut store, i, *value)?;
        }
        churn(&mut store)?;
        for object in [made, defaults] {
            let fields = object.fields(&mut store)?;
            assert_eq!(fields.len(), values.len());
            assert_eq!((fields[0].unwrap_i32(), fields[1].unwrap_i32()), (255, 0xffff));
            assert_eq!((fields[2].unwrap_i32(), fields[3].unwrap_i64()), (i32::MIN, i64::MIN));
            assert_eq!(fields[4].unwrap_f32(), 1.5);
            assert_eq!(fields[5].unwrap_f64().to_bits(), (-0.0f64).to_bits());
            assert_eq!(fields[6].unwrap_v128().as_u128(), u128::MAX - 5);
            let mut results = [Val::I32(0)];
            fields[7].unwrap_funcref().expect("a function").call(&mut store, &[Val::I32(1)], &mut results)?;
            assert_eq!(results[0].unwrap_i32(), 2);
            let data = fields[8].unwrap_externref().expect("a host value");
            assert_eq!(data.data(&store)?.and_then(|d| d.downcast_ref()), Some(&"text"));
            let any = fields[9].unwrap_anyref().expect("an i31");
            assert_eq!(any.as_i31(&store)?.map(I31::get_i32), Some(-3));
            let leaf = fields[10].unwrap_anyref().expect("a struct").as_struct(&mut store)?.expect("a struct");
            assert_eq!(leaf.field(&mut store, 0)?.unwrap_i32(), 77);
            let exn = fields[11].unwrap_exnref().expect("an exception");
            assert_eq!(exn.field(&mut store, 0)?.unwrap_i32(), 5);
        }
        Ok(())
    })
}

#[test]
fn struct_mistakes() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let point = StructType::new(engine, [constant(ValType::I32), var(ValType::ANYREF), packed(StorageType::I8)])?;
        let null = Val::AnyRef(None);
        let object = StructRef::new(&mut store, &point, &[Val::I32(1), null, Val::I32(2)])?;

        let count = refused(StructRef::new(&mut store, &point, &[Val::I32(1)]));
        assert_eq!(count, GcError::ValueCount { expected: 3, found: 1 });
        mismatch(StructRef::new(&mut store, &point, &[Val::I64(1), null, Val::I32(2)]));
        mismatch(object.set_field(&mut store, 1, Val::ExternRef(None)));
        assert_eq!(refused(object.set_field(&mut store, 0, Val::I32(2))), GcError::ImmutableField { index: 0 });
        assert_eq!(refused(object.field(&mut store, 3)), GcError::NoSuchField { index: 3, fields: 3 });
        assert_eq!(refused(object.set_field(&mut store, 9, null)), GcError::NoSuchField { index: 9, fields: 3 });
        for (value, fits) in [(-129, false), (-128, true), (255, true), (256, false)] {
            let result = object.set_field(&mut store, 2, Val::I32(value));
            match fits {
                true => result?,
                false => assert_eq!(refused(result), GcError::PackedRange { value, bits: 8 }),
            }
        }
        // Nothing of all that changed anything but the last value that fitted.
        let fields = object.fields(&mut store)?;
        assert_eq!((fields[0].unwrap_i32(), fields[2].unwrap_i32()), (1, 255));

        let strict = StructType::new(engine, [var(RefType::new(false, HeapType::Any).into())])?;
        mismatch(StructRef::new_default(&mut store, &strict));
        mismatch(StructRef::new(&mut store, &strict, &[null]));

        let elsewhere = Engine::default();
        let foreign = StructType::new(&elsewhere, [])?;
        assert_eq!(refused(StructRef::new(&mut store, &foreign, &[])), GcError::WrongEngine);
        let mut other = Store::new(engine, ())?;
        assert_eq!(refused(object.field(&mut other, 0)), GcError::WrongStore);
        let values = [Val::I32(1), object.into(), Val::I32(2)];
        assert_eq!(refused(StructRef::new(&mut other, &point, &values)), GcError::WrongStore);
        Ok(())
    })
}

#[test]
fn dead_roots_are_errors_everywhere() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let ty = StructType::new(engine, [var(ValType::ANYREF)])?;
        let bytes = ArrayType::new(engine, packed(StorageType::I8))?;
        let live = StructRef::new_default(&mut store, &ty)?;
        let (object, array, value, i31, exn);
        {
            let mut scope = RootScope::new(&mut store);
            let mut inner = RootScope::new(&mut scope);
            object = StructRef::new_default(&mut inner, &ty)?;
            array = ArrayRef::new_default(&mut inner, &bytes, 4)?;
            value = ExternRef::new(&mut inner, 1u8)?;
            i31 = AnyRef::from_i31(&mut inner, I31::wrapping_u32(9));
            let tag = Tag::new(&mut inner, &TagType::new(FuncType::new(engine, [], [])))?;
            exn = ExnRef::new(&mut inner, &tag, &[])?;
        }
        // New roots in the same places must not pass for the old ones.
        for _ in 0..8 {
            StructRef::new_default(&mut store, &ty)?;
        }
        let dead = |error: GcError| assert_eq!(error, GcError::DeadRoot);
        dead(refused(object.ty(&mut store)));
        dead(refused(object.field(&mut store, 0)));
        dead(refused(object.set_field(&mut store, 0, Val::AnyRef(None))));
        dead(refused(object.to_owned_rooted(&mut store)));
        dead(refused(object.identity(&mut store)));
        dead(refused(Rooted::ref_eq(&store, &object, &live)));
        dead(refused(live.set_field(&mut store, 0, object.into())));
        dead(refused(array.len(&mut store)));
        dead(refused(array.to_vec::<u8>(&mut store)));
        dead(refused(array.fill(&mut store, 0, Val::I32(0), 1)));
        dead(refused(value.data(&store).map(|_| ())));
        dead(refused(AnyRef::convert_extern(&mut store, value)));
        dead(refused(i31.kind(&mut store)));
        dead(refused(i31.as_i31(&store)));
        dead(refused(ExternRef::convert_any(&mut store, i31)));
        dead(refused(exn.tag(&mut store)));
        dead(refused(StructRef::new(&mut store, &ty, &[object.into()])));
        dead(refused(Val::from(object).matches_ty(&mut store, &ValType::ANYREF)));
        Ok(())
    })
}

#[test]
fn owned_roots_keep_what_they_hold() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let mut other = Store::new(engine, ())?;
        let ty = StructType::new(engine, [var(ValType::I64)])?;
        let mut kept: Vec<OwnedRooted<StructRef>> = Vec::new();
        for i in 0..40 {
            let mut scope = RootScope::new(&mut store);
            let object = StructRef::new(&mut scope, &ty, &[Val::I64(i)])?;
            kept.push(object.to_owned_rooted(&mut scope)?);
        }
        kept.retain(|_| true);
        // Every other goes; its place may be taken by a new one.
        let mut index = 0;
        kept.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        churn(&mut store)?;
        for (i, owned) in kept.iter().enumerate() {
            let object = owned.to_rooted(&mut store)?;
            assert_eq!(object.field(&mut store, 0)?.unwrap_i64(), 2 * i as i64);
            assert_eq!(refused(owned.to_rooted(&mut other)), GcError::WrongStore);
        }
        // Dropping what belongs to a store that is gone is harmless.
        drop(store);
        drop(kept);
        Ok(())
    })
}

#[test]
fn roots_of_a_host_function_end_with_it() -> Result<()> {
    everywhere(|engine| {
        let module =
            Module::new(engine, r#"(module (import "" "f" (func $f)) (func (export "run") (call $f) (call $f)))"#)?;
        let mut linker = Linker::<Vec<Rooted<ExternRef>>>::new(engine);
        linker.func_wrap("", "f", |mut caller: Caller<'_, Vec<Rooted<ExternRef>>>| -> Result<()> {
            if let Some(&before) = caller.data().last() {
                assert_eq!(refused(before.identity(&mut caller)), GcError::DeadRoot);
            }
            let made = ExternRef::new(&mut caller, 1u32)?;
            caller.data_mut().push(made);
            Ok(())
        })?;
        let mut store = Store::new(engine, Vec::new())?;
        let run = linker.instantiate(&mut store, &module)?.typed_func::<(), ()>(&mut store, "run")?;
        run.call(&mut store, ())?;
        let leaked = store.data()[1];
        assert_eq!(refused(leaked.identity(&mut store)), GcError::DeadRoot);
        Ok(())
    })
}

#[test]
fn prepared_allocators_and_accessors() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let mut other = Store::new(engine, ())?;
        let node = StructType::new(
            engine,
            [var(ValType::I64), var(ValType::ANYREF), constant(ValType::F32), packed(StorageType::I16)],
        )?;
        let pre = StructRefPre::new(&mut store, &node)?;
        assert!(pre.ty() == &node);
        let (id, next) = (node.accessor(0)?, node.accessor(1)?);
        let (fixed, small) = (node.accessor(2)?, node.accessor(3)?);
        assert_eq!((next.index(), next.ty() == &node), (1, true));
        let mut list: Option<Rooted<StructRef>> = None;
        for i in 0..60i64 {
            let fields = [Val::I64(0), Val::AnyRef(None), Val::from(0.5f32), Val::I32(-2)];
            let head = StructRef::new(&mut store, &pre, &fields)?;
            id.write(&mut store, &head, i)?;
            next.set(&mut store, &head, Val::AnyRef(list.map(Rooted::<StructRef>::to_anyref)))?;
            list = Some(head);
        }
        churn(&mut store)?;
        let mut expected = 59i64;
        while let Some(at) = list {
            assert_eq!(id.read::<i64>(&mut store, &at)?, expected);
            assert_eq!(id.read::<u64>(&mut store, &at)?, expected as u64);
            assert_eq!(id.get(&mut store, &at)?.unwrap_i64(), expected);
            assert_eq!((small.read::<i16>(&mut store, &at)?, small.read::<u16>(&mut store, &at)?), (-2, 0xfffe));
            assert_eq!(fixed.read::<f32>(&mut store, &at)?, 0.5);
            list = match next.get(&mut store, &at)?.unwrap_anyref() {
                Some(next) => next.as_struct(&mut store)?,
                None => None,
            };
            expected -= 1;
        }
        assert_eq!(expected, -1);

        let head = StructRef::new_default(&mut store, &pre)?;
        assert_eq!(refused(node.accessor(4)), GcError::NoSuchField { index: 4, fields: 4 });
        assert_eq!(refused(fixed.write(&mut store, &head, 1f32)), GcError::ImmutableField { index: 2 });
        assert_eq!(refused(fixed.set(&mut store, &head, Val::from(1f32))), GcError::ImmutableField { index: 2 });
        mismatch(id.read::<i32>(&mut store, &head));
        mismatch(id.write(&mut store, &head, 1i32));
        mismatch(next.read::<u32>(&mut store, &head));
        mismatch(id.set(&mut store, &head, Val::I32(1)));
        let too_big = refused(small.set(&mut store, &head, Val::I32(1 << 16)));
        assert_eq!(too_big, GcError::PackedRange { value: 1 << 16, bits: 16 });
        // A struct of another type has its fields in other places.
        let pair = StructType::new(engine, [var(ValType::F64), var(ValType::F64)])?;
        let stranger = StructRef::new_default(&mut store, &pair)?;
        mismatch(id.get(&mut store, &stranger));
        mismatch(id.write(&mut store, &stranger, 1i64));
        assert_eq!(refused(StructRef::new_default(&mut other, &pre)), GcError::WrongStore);
        assert_eq!(refused(id.get(&mut other, &head)), GcError::WrongStore);
        let mut foreign = Store::new(&Engine::default(), ())?;
        assert_eq!(refused(id.get(&mut foreign, &head)), GcError::WrongEngine);
        assert_eq!(refused(StructRefPre::new(&mut foreign, &node)), GcError::WrongEngine);

        let bytes = ArrayType::new(engine, packed(StorageType::I8))?;
        let pre = ArrayRefPre::new(&mut store, &bytes)?;
        let array = ArrayRef::new(&mut store, &pre, &Val::I32(-1), 3)?;
        let elements = bytes.accessor();
        elements.write(&mut store, &array, 1, 7u8)?;
        elements.set(&mut store, &array, 2, Val::I32(8))?;
        assert_eq!(elements.read::<i8>(&mut store, &array, 0)?, -1);
        assert_eq!(elements.get(&mut store, &array, 1)?.unwrap_i32(), 7);
        let beyond = GcError::OutOfBounds { start: 3, count: 1, length: 3 };
        assert_eq!(refused(elements.get(&mut store, &array, 3)), beyond);
        assert_eq!(refused(elements.write(&mut store, &array, 3, 0u8)), beyond);
        mismatch(elements.read::<u16>(&mut store, &array, 0));
        let words = ArrayType::new(engine, var(ValType::I32))?;
        mismatch(words.accessor().read::<u32>(&mut store, &array, 0));
        let frozen = ArrayType::new(engine, constant(ValType::I32))?;
        let ice = ArrayRef::from_slice(&mut store, &frozen, &[1i32])?;
        assert_eq!(refused(frozen.accessor().write(&mut store, &ice, 0, 2i32)), GcError::ImmutableElements);
        assert_eq!(refused(ArrayRefPre::new(&mut foreign, &bytes)), GcError::WrongEngine);
        assert_eq!(refused(ArrayRef::new_default(&mut other, &pre, 1)), GcError::WrongStore);
        Ok(())
    })
}

#[test]
fn accessors_serve_subtypes() -> Result<()> {
    everywhere(|engine| {
        let module = Module::new(
            engine,
            r#"(module
                 (type $base (sub (struct (field (mut i8)) (field (mut i64)))))
                 (type $more (sub $base (struct (field (mut i8)) (field (mut i64)) (field (mut i16)))))
                 (func (export "base") (result (ref $base)) (struct.new $base (i32.const 1) (i64.const 2)))
                 (func (export "more") (result (ref $base))
                   (struct.new $more (i32.const 3) (i64.const 4) (i32.const 5))))"#,
        )?;
        let mut store = Store::new(engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        let [base, more] = ["base", "more"].map(|name| {
            let make = instance.typed_func::<(), Rooted<StructRef>>(&mut store, name).expect("it exists");
            make.call(&mut store, ()).expect("it is made")
        });
        let accessor = base.ty(&mut store)?.accessor(1)?;
        assert_eq!((accessor.read::<i64>(&mut store, &base)?, accessor.read::<i64>(&mut store, &more)?), (2, 4));
        let third = more.ty(&mut store)?.accessor(2)?;
        third.write(&mut store, &more, -6i16)?;
        assert_eq!(more.field(&mut store, 2)?.unwrap_i32(), 0xfffa);
        mismatch(third.read::<i16>(&mut store, &base));
        let [base_ty, more_ty] = [base.ty(&mut store)?, more.ty(&mut store)?];
        assert!(more_ty.matches(&base_ty) && !base_ty.matches(&more_ty));
        assert!(more.matches_ty(&mut store, &base_ty.clone().into())?);
        assert!(!base.matches_ty(&mut store, &more_ty.into())?);
        assert!(base.heap_type(&mut store)? == HeapType::ConcreteStruct(base_ty));
        Ok(())
    })
}

/// Writes, reads back, and tries every edge of ranges of one element type.
fn round_trip<T: Scalar + PartialEq + Debug>(engine: &Engine, storage: StorageType, values: &[T]) -> Result<()> {
    let mut store = Store::new(engine, ())?;
    let ty = ArrayType::new(engine, packed(storage))?;
    let array = ArrayRef::from_slice(&mut store, &ty, values)?;
    churn(&mut store)?;
    assert_eq!(array.to_vec::<T>(&mut store)?, values);
    let length = values.len() as u32;
    let mut part = vec![T::default(); 2];
    array.copy_to_slice(&mut store, length - 2, &mut part)?;
    assert_eq!(part, values[values.len() - 2..]);
    array.copy_from_slice(&mut store, 0, &part)?;
    array.copy_to_slice(&mut store, 0, &mut part)?;
    assert_eq!(part, values[values.len() - 2..]);
    array.copy_to_slice::<T>(&mut store, length, &mut [])?;
    let beyond = refused(array.copy_to_slice(&mut store, length - 1, &mut part));
    assert_eq!(beyond, GcError::OutOfBounds { start: length - 1, count: 2, length });
    let beyond = refused(array.copy_from_slice(&mut store, u32::MAX, &part));
    assert_eq!(beyond, GcError::OutOfBounds { start: u32::MAX, count: 2, length });
    assert_eq!(ArrayRef::from_slice::<T>(&mut store, &ty, &[])?.to_vec::<T>(&mut store)?, []);
    Ok(())
}

#[test]
fn numeric_ranges_of_every_type() -> Result<()> {
    everywhere(|engine| {
        round_trip(engine, StorageType::I8, &[i8::MIN, -1, 0, i8::MAX])?;
        round_trip(engine, StorageType::I8, &[0u8, 1, 127, 128, 255])?;
        round_trip(engine, StorageType::I16, &[i16::MIN, -1, i16::MAX])?;
        round_trip(engine, StorageType::I16, &[0u16, 0x8000, 0xffff])?;
        round_trip(engine, StorageType::ValType(ValType::I32), &[i32::MIN, -1, i32::MAX])?;
        round_trip(engine, StorageType::ValType(ValType::I32), &[0u32, 1 << 31, u32::MAX])?;
        round_trip(engine, StorageType::ValType(ValType::I64), &[i64::MIN, -1, i64::MAX])?;
        round_trip(engine, StorageType::ValType(ValType::I64), &[0u64, 1 << 63, u64::MAX])?;
        round_trip(engine, StorageType::ValType(ValType::F32), &[0f32, -1.5, f32::INFINITY])?;
        round_trip(engine, StorageType::ValType(ValType::F64), &[0f64, -1.5, f64::MIN_POSITIVE])?;
        round_trip(engine, StorageType::ValType(ValType::V128), &[V128::from(1), V128::from(u128::MAX)])?;

        let mut store = Store::new(engine, ())?;
        let frozen = ArrayType::new(engine, constant(ValType::I32))?;
        let ice = ArrayRef::from_slice(&mut store, &frozen, &[1i32, 2])?;
        assert_eq!(refused(ice.copy_from_slice(&mut store, 0, &[3i32])), GcError::ImmutableElements);
        mismatch(ice.to_vec::<f32>(&mut store));
        mismatch(ice.to_vec::<i64>(&mut store));
        mismatch(ArrayRef::from_slice(&mut store, &frozen, &[1u8]));
        let references = ArrayType::new(engine, var(ValType::ANYREF))?;
        let references = ArrayRef::new_default(&mut store, &references, 2)?;
        mismatch(references.to_vec::<u32>(&mut store));
        mismatch(references.copy_from_slice(&mut store, 0, &[1u32]));
        let functions = ArrayType::new(engine, var(ValType::FUNCREF))?;
        let functions = ArrayRef::new_default(&mut store, &functions, 2)?;
        mismatch(functions.copy_from_slice(&mut store, 0, &[1u32]));
        Ok(())
    })
}

#[test]
fn array_elements() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let leaf = StructType::new(engine, [var(ValType::I32)])?;
        let of_leaves = ArrayType::new(engine, var(nullable(leaf.clone().into())))?;
        let of_any = ArrayType::new(engine, var(ValType::ANYREF))?;
        let mut leaves = Vec::new();
        for i in 0..6 {
            leaves.push(Val::from(StructRef::new(&mut store, &leaf, &[Val::I32(i)])?));
        }
        let array = ArrayRef::new_fixed(&mut store, &of_leaves, &leaves)?;
        let all = ArrayRef::new_default(&mut store, &of_any, 10)?;
        ArrayRef::copy(&mut store, &all, 2, &array, 0, 6)?;
        // Overlapping, both ways.
        ArrayRef::copy(&mut store, &all, 3, &all, 2, 6)?;
        ArrayRef::copy(&mut store, &all, 0, &all, 3, 6)?;
        churn(&mut store)?;
        let mut numbers = |array: &Rooted<ArrayRef>| -> Result<Vec<Option<i32>>> {
            let elems = array.elems(&mut store)?;
            elems
                .iter()
                .map(|v| match v.unwrap_anyref() {
                    Some(r) => {
                        let leaf = r.as_struct(&mut store)?.expect("a leaf");
                        Ok(Some(leaf.field(&mut store, 0)?.unwrap_i32()))
                    }
                    None => Ok(None),
                })
                .collect()
        };
        let expected = [0, 1, 2, 3, 4, 5, 3, 4, 5].map(Some).into_iter().chain([None]).collect::<Vec<_>>();
        assert_eq!(numbers(&all)?, expected);
        all.set_elems(&mut store, 8, &[Val::AnyRef(None), leaves[0]])?;
        all.fill(&mut store, 0, leaves[5], 3)?;
        let mut numbers = Vec::new();
        for value in all.elems_in(&mut store, 1, 9)? {
            numbers.push(match value.unwrap_anyref() {
                Some(r) => r.as_struct(&mut store)?.expect("a leaf").field(&mut store, 0)?.unwrap_i32(),
                None => -1,
            });
        }
        assert_eq!(numbers, [5, 5, 3, 4, 5, 3, 4, -1, 0]);
        assert_eq!((all.len(&mut store)?, all.is_empty(&mut store)?), (10, false));

        let beyond = |start, count, length| GcError::OutOfBounds { start, count, length };
        assert_eq!(refused(all.get(&mut store, 10)), beyond(10, 1, 10));
        assert_eq!(refused(all.set(&mut store, u32::MAX, Val::AnyRef(None))), beyond(u32::MAX, 1, 10));
        assert_eq!(refused(all.fill(&mut store, 8, Val::AnyRef(None), 3)), beyond(8, 3, 10));
        assert_eq!(refused(all.elems_in(&mut store, 8, 3)), beyond(8, 3, 10));
        assert_eq!(refused(all.set_elems(&mut store, 9, &leaves)), beyond(9, 6, 10));
        assert_eq!(refused(ArrayRef::copy(&mut store, &all, 5, &array, 0, 6)), beyond(5, 6, 10));
        assert_eq!(refused(ArrayRef::copy(&mut store, &all, 0, &array, 1, 6)), beyond(1, 6, 6));
        assert_eq!(refused(ArrayRef::copy(&mut store, &all, 0, &array, 0, u32::MAX)), beyond(0, u32::MAX.into(), 10));
        // Not every anyref is a leaf.
        mismatch(ArrayRef::copy(&mut store, &array, 0, &all, 0, 1));
        let i31 = Val::i31(&mut store, I31::wrapping_u32(1))?;
        mismatch(array.set(&mut store, 0, i31));
        mismatch(array.set_elems(&mut store, 0, &[leaves[0], i31]));
        mismatch(array.fill(&mut store, 0, Val::I32(0), 0));
        mismatch(ArrayRef::new_fixed(&mut store, &of_leaves, &[leaves[0], i31]));
        let bytes = ArrayType::new(engine, packed(StorageType::I8))?;
        let number = ArrayRef::new_default(&mut store, &bytes, 3)?;
        mismatch(ArrayRef::copy(&mut store, &number, 0, &all, 0, 1));
        assert_eq!(refused(number.set(&mut store, 0, Val::I32(300))), GcError::PackedRange { value: 300, bits: 8 });
        let frozen = ArrayType::new(engine, constant(ValType::I32))?;
        let ice = ArrayRef::new(&mut store, &frozen, &Val::I32(4), 2)?;
        assert_eq!(refused(ice.set(&mut store, 0, Val::I32(1))), GcError::ImmutableElements);
        assert_eq!(refused(ice.fill(&mut store, 0, Val::I32(1), 1)), GcError::ImmutableElements);
        assert_eq!(refused(ArrayRef::copy(&mut store, &ice, 0, &ice, 1, 1)), GcError::ImmutableElements);
        assert_eq!(ice.elems(&mut store)?.iter().map(Val::unwrap_i32).collect::<Vec<_>>(), [4, 4]);
        Ok(())
    })
}

#[test]
fn strings() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let bytes = ArrayType::new(engine, packed(StorageType::I8))?;
        let units = ArrayType::new(engine, packed(StorageType::I16))?;
        let text = "Grüße, 世界 🦀";
        let utf8 = ArrayRef::new_string(&mut store, &bytes, text, StringEncoding::Utf8)?;
        let utf16 = ArrayRef::new_string(&mut store, &units, text, StringEncoding::Utf16)?;
        let latin1 = ArrayRef::new_string(&mut store, &bytes, "Grüße", StringEncoding::Latin1)?;
        churn(&mut store)?;
        assert_eq!(utf8.len(&mut store)? as usize, text.len());
        assert_eq!(utf16.len(&mut store)? as usize, text.encode_utf16().count());
        assert_eq!(latin1.len(&mut store)?, 5);
        assert_eq!(utf8.read_string(&mut store, StringEncoding::Utf8)?, text);
        assert_eq!(utf16.read_string(&mut store, StringEncoding::Utf16)?, text);
        assert_eq!(latin1.read_string(&mut store, StringEncoding::Latin1)?, "Grüße");
        assert_eq!(utf16.read_string_in(&mut store, 7, 2, StringEncoding::Utf16)?, "世界");
        assert_eq!(utf16.write_string(&mut store, 7, "ab", StringEncoding::Utf16)?, 2);
        assert_eq!(utf16.read_string(&mut store, StringEncoding::Utf16)?, "Grüße, ab 🦀");

        let no_text = |encoding, at| GcError::Encoding { encoding, at };
        // The crab takes two units: half of it is no text.
        let half = refused(utf16.read_string_in(&mut store, 9, 2, StringEncoding::Utf16));
        assert_eq!(half, no_text(StringEncoding::Utf16, 1));
        let cut = refused(utf8.read_string_in(&mut store, 0, 3, StringEncoding::Utf8));
        assert_eq!(cut, no_text(StringEncoding::Utf8, 2));
        let foreign = refused(ArrayRef::new_string(&mut store, &bytes, "aü世", StringEncoding::Latin1));
        assert_eq!(foreign, no_text(StringEncoding::Latin1, 3));
        mismatch(ArrayRef::new_string(&mut store, &units, "x", StringEncoding::Utf8));
        mismatch(ArrayRef::new_string(&mut store, &bytes, "x", StringEncoding::Utf16));
        mismatch(utf8.read_string(&mut store, StringEncoding::Utf16));
        let beyond = refused(latin1.read_string_in(&mut store, 4, 2, StringEncoding::Latin1));
        assert_eq!(beyond, GcError::OutOfBounds { start: 4, count: 2, length: 5 });
        let beyond = refused(latin1.write_string(&mut store, 4, "xy", StringEncoding::Latin1));
        assert_eq!(beyond, GcError::OutOfBounds { start: 4, count: 2, length: 5 });
        Ok(())
    })
}

#[test]
fn casts_and_queries() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let ty = StructType::new(engine, [var(ValType::I32)])?;
        let bytes = ArrayType::new(engine, packed(StorageType::I8))?;
        let object = StructRef::new_default(&mut store, &ty)?;
        let array = ArrayRef::new_default(&mut store, &bytes, 1)?;
        let number = EqRef::from_i31(&mut store, I31::wrapping_i32(-1));
        let host = ExternRef::new(&mut store, 5u64)?;
        let host_any = AnyRef::convert_extern(&mut store, host)?;
        churn(&mut store)?;

        let all = [object.to_anyref(), array.to_anyref(), number.to_anyref(), host_any];
        let kinds = [GcRefKind::Struct, GcRefKind::Array, GcRefKind::I31, GcRefKind::Extern];
        for (any, kind) in all.into_iter().zip(kinds) {
            assert_eq!(any.kind(&mut store)?, kind);
            assert_eq!(any.as_struct(&mut store)?.is_some(), kind == GcRefKind::Struct);
            assert_eq!(any.as_array(&mut store)?.is_some(), kind == GcRefKind::Array);
            assert_eq!(any.as_i31(&store)?.is_some(), kind == GcRefKind::I31);
            let eq = any.as_eqref(&mut store)?;
            assert_eq!(eq.is_some(), kind != GcRefKind::Extern);
            if let Some(eq) = eq {
                assert_eq!(eq.kind(&mut store)?, kind);
                assert_eq!(eq.as_struct(&mut store)?.is_some(), kind == GcRefKind::Struct);
                assert_eq!(eq.as_array(&mut store)?.is_some(), kind == GcRefKind::Array);
                assert_eq!(eq.as_i31(&store)?.map(I31::get_i32), (kind == GcRefKind::I31).then_some(-1));
                assert!(Rooted::ref_eq(&store, &eq, &any)?);
            }
            // What belongs to each type of the hierarchy, by the subtyping rules.
            let belongs = [
                (HeapType::Any, true),
                (HeapType::Eq, kind != GcRefKind::Extern),
                (HeapType::I31, kind == GcRefKind::I31),
                (HeapType::Struct, kind == GcRefKind::Struct),
                (HeapType::Array, kind == GcRefKind::Array),
                (ty.clone().into(), kind == GcRefKind::Struct),
                (bytes.clone().into(), kind == GcRefKind::Array),
                (HeapType::None, false),
                (HeapType::Extern, false),
                (HeapType::Func, false),
                (HeapType::Exn, false),
            ];
            for (heap, expected) in belongs {
                assert_eq!(any.matches_ty(&mut store, &heap)?, expected, "{kind:?} in {heap}");
                let fits = Val::from(any).matches_ty(&mut store, &RefType::new(false, heap.clone()).into())?;
                assert_eq!(fits, expected, "{kind:?} in {heap}");
            }
            let own = any.heap_type(&mut store)?;
            assert!(any.matches_ty(&mut store, &own)?);
        }
        assert!(array.heap_type(&mut store)? == bytes.clone().into());
        assert!(RefType::new(true, HeapType::I31).contains(&mut store, &Val::AnyRef(None))?);
        assert!(!RefType::new(false, HeapType::I31).contains(&mut store, &Val::AnyRef(None))?);

        // There and back: the same object.
        let out = ExternRef::convert_any(&mut store, object.to_anyref())?;
        assert!(out.data(&store)?.is_none(), "no host value");
        assert!(out.matches_ty(&mut store, &HeapType::Extern)? && !out.matches_ty(&mut store, &HeapType::Any)?);
        let back = AnyRef::convert_extern(&mut store, out)?;
        assert!(Rooted::ref_eq(&store, &back, &object)?);
        let host_again = ExternRef::convert_any(&mut store, host_any)?;
        if let Some(data) = host_again.data_mut(&mut store)?.and_then(|d| d.downcast_mut::<u64>()) {
            *data += 1;
        }
        assert_eq!(host.data(&store)?.and_then(|d| d.downcast_ref::<u64>()), Some(&6));

        let func = Func::wrap(&mut store, |x: i32| x)?;
        let own = func.ty(&store);
        assert!(func.matches_ty(&store, &own)?);
        assert!(!func.matches_ty(&store, &FuncType::new(engine, [], []))?);
        assert!(Val::from(func).matches_ty(&mut store, &ValType::FUNCREF)?);
        assert!(!Val::from(func).matches_ty(&mut store, &ValType::ANYREF)?);

        let tag = Tag::new(&mut store, &TagType::new(FuncType::new(engine, [ValType::I64], [])))?;
        let exn = ExnRef::new(&mut store, &tag, &[Val::I64(1)])?;
        assert!(exn.tag(&mut store)? == tag && exn.matches_ty(&mut store, &HeapType::Exn)?);
        assert!(!exn.matches_ty(&mut store, &HeapType::NoExn)?);
        assert_eq!(refused(exn.field(&mut store, 1)), GcError::NoSuchField { index: 1, fields: 1 });
        let count = refused(ExnRef::new(&mut store, &tag, &[]));
        assert_eq!(count, GcError::ValueCount { expected: 1, found: 0 });
        mismatch(ExnRef::new(&mut store, &tag, &[Val::I32(1)]));
        let mut other = Store::new(engine, ())?;
        assert_eq!(refused(ExnRef::new(&mut other, &tag, &[Val::I64(1)])), GcError::WrongStore);
        assert_eq!(refused(Val::from(func).matches_ty(&mut other, &ValType::FUNCREF)), GcError::WrongStore);
        let foreign = FuncType::new(&Engine::default(), [], []);
        assert_eq!(refused(func.matches_ty(&store, &foreign)), GcError::WrongEngine);
        let foreign = HeapType::ConcreteFunc(foreign);
        assert_eq!(refused(object.matches_ty(&mut store, &foreign)), GcError::WrongEngine);
        let foreign = ValType::Ref(RefType::new(true, foreign));
        assert_eq!(refused(Val::FuncRef(None).matches_ty(&mut store, &foreign)), GcError::WrongEngine);
        Ok(())
    })
}

#[test]
fn identities_survive_moves_and_end_with_their_holders() -> Result<()> {
    everywhere(|engine| {
        let mut store = Store::new(engine, ())?;
        let ty = StructType::new(engine, [var(ValType::I64)])?;
        let mut names: HashMap<Identity, i64> = HashMap::new();
        let mut roots = Vec::new();
        for i in 0..100 {
            let object = StructRef::new(&mut store, &ty, &[Val::I64(i)])?;
            assert_eq!(names.insert(object.identity(&mut store)?, i), None, "each object is its own");
            roots.push(object);
        }
        for round in 0..3 {
            churn(&mut store)?;
            for (i, object) in roots.iter().enumerate() {
                assert_eq!(names.get(&object.identity(&mut store)?), Some(&(i as i64)), "round {round}");
                let out = ExternRef::convert_any(&mut store, object.to_anyref())?;
                assert_eq!(out.identity(&mut store)?, object.to_owned_rooted(&mut store)?.identity(&mut store)?);
            }
        }
        // A key alone keeps its object: the same one is found again through the guest's references only, here another
        // root.
        let key;
        let holder = StructType::new(engine, [var(ValType::ANYREF)])?;
        let holder = StructRef::new_default(&mut store, &holder)?;
        {
            let mut scope = RootScope::new(&mut store);
            let object = StructRef::new(&mut scope, &ty, &[Val::I64(1)])?;
            holder.set_field(&mut scope, 0, object.into())?;
            key = object.identity(&mut scope)?;
        }
        churn(&mut store)?;
        let found = holder.field(&mut store, 0)?.unwrap_anyref().expect("the object");
        assert_eq!(found.identity(&mut store)?, key);

        let one = AnyRef::from_i31(&mut store, I31::wrapping_u32(1));
        let same = EqRef::from_i31(&mut store, I31::wrapping_u32(1));
        let two = AnyRef::from_i31(&mut store, I31::wrapping_u32(2));
        assert_eq!(one.identity(&mut store)?, same.identity(&mut store)?);
        assert_ne!(one.identity(&mut store)?, two.identity(&mut store)?);
        let mut other = Store::new(engine, ())?;
        let elsewhere = AnyRef::from_i31(&mut other, I31::wrapping_u32(1));
        assert_ne!(one.identity(&mut store)?, elsewhere.identity(&mut other)?);
        assert_eq!(refused(one.identity(&mut other)), GcError::WrongStore);
        Ok(())
    })
}

/// Identities that were dropped keep nothing alive: as many objects as fit the heap many times over are named one after
/// the other.
#[test]
fn dropped_identities_release_their_objects() -> Result<()> {
    for collector in Collector::all().filter(|c| c.spec().needs_roots) {
        let engine = Engine::new(Config::new().collector(collector).initial_heap(1 << 20).max_heap(4 << 20))?;
        let mut store = Store::new(&engine, ())?;
        let bytes = ArrayType::new(&engine, packed(StorageType::I8))?;
        for _ in 0..200 {
            let mut scope = RootScope::new(&mut store);
            let array = ArrayRef::new_default(&mut scope, &bytes, 100_000)?;
            array.identity(&mut scope)?;
        }
    }
    Ok(())
}

#[test]
fn a_full_heap_leaves_the_store_usable() -> Result<()> {
    for collector in Collector::all() {
        let engine = Engine::new(Config::new().collector(collector).initial_heap(1 << 20).max_heap(4 << 20))?;
        let mut store = Store::new(&engine, ())?;
        let bytes = ArrayType::new(&engine, packed(StorageType::I8))?;
        let error = ArrayRef::new_default(&mut store, &bytes, 8 << 20).unwrap_err();
        let full = error.downcast_ref::<GcHeapOutOfMemory>().expect("out of memory");
        assert!(full.requested >= 8 << 20 && full.max <= 4 << 20 && full.live <= full.max, "{full:?}");
        let small = ArrayRef::from_slice(&mut store, &bytes, b"still here")?;
        store.gc(Some(full))?;
        assert_eq!(small.to_vec::<u8>(&mut store)?, b"still here");
    }
    Ok(())
}

/// What is made in a store takes types of its own engine only; a type of another engine has an index that means
/// something else here.
#[test]
fn types_of_another_engine_make_nothing() -> Result<()> {
    let (engine, other) = (Engine::default(), Engine::default());
    let mut store = Store::new(&engine, ())?;
    let ty = StructType::new(&other, [var(ValType::I32)])?;
    let foreign = nullable(ty.clone().into());
    let null = Val::AnyRef(None);
    let global = GlobalType::new(foreign.clone(), Mutability::Var);
    assert_eq!(refused(Global::new(&mut store, global, null)), GcError::WrongEngine);
    let table = TableType::new(RefType::new(true, ty.into()), 1, None);
    assert_eq!(refused(Table::new(&mut store, table, Ref::Any(None))), GcError::WrongEngine);
    let func = FuncType::new(&other, [foreign], []);
    assert_eq!(refused(Tag::new(&mut store, &TagType::new(func.clone()))), GcError::WrongEngine);
    assert_eq!(refused(Func::new(&mut store, func, |_, _, _| Ok(()))), GcError::WrongEngine);

    let mut linker: Linker<()> = Linker::new(&other);
    linker.func_wrap("host", "f", |x: i32| x)?;
    let import = r#"(module (import "host" "f" (func (param i32) (result i32))))"#;
    for engine in [&engine, &other] {
        let module = Module::new(engine, import)?;
        assert_eq!(refused(linker.instantiate(&mut store, &module)), GcError::WrongEngine);
    }
    assert_eq!(refused(linker.get(&mut store, "host", "f")), GcError::WrongEngine);
    Ok(())
}

/// A type may be made of the last handle of another: what it names stays registered.
#[test]
fn types_hold_the_types_they_are_made_of() -> Result<()> {
    let engine = Engine::default();
    let inner = |number| -> Result<ValType> {
        let fields = (0..number).map(|_| var(ValType::I64));
        Ok(nullable(StructType::new(&engine, fields)?.into()))
    };
    let object = StructType::new(&engine, [var(inner(11)?)])?;
    let array = ArrayType::new(&engine, var(inner(12)?))?;
    let func = FuncType::new(&engine, [inner(13)?], [inner(14)?]);
    let fields = |ty: ValType| match ty {
        ValType::Ref(r) => match r.heap_type() {
            HeapType::ConcreteStruct(ty) => ty.fields().len(),
            _ => 0,
        },
        _ => 0,
    };
    assert_eq!(object.field(0).map(|field| fields(field.element_type().unpack())), Some(11));
    assert_eq!(fields(array.element_type().unpack()), 12);
    assert_eq!(func.params().chain(func.results()).map(fields).collect::<Vec<_>>(), [13, 14]);
    Ok(())
}
