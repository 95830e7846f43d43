//! The cost of reaching into objects from the host: a field whose place was looked up beforehand, beside one that is
//! named at each access, and ranges of arrays copied at once beside their elements one by one. Criterion prints
//! nanoseconds an access.
#![allow(missing_docs, reason = "criterion's macro makes a function without")]

use criterion::{Criterion, Throughput};
use heapwright::{
    ArrayRef, ArrayRefPre, ArrayType, Engine, FieldType, Mutability, Result, Rooted, StorageType, Store, StructRef,
    StructRefPre, StructType, Val, ValType,
};
use std::hint::black_box;
use std::time::Duration;

/// Elements of an array.
const LENGTH: u32 = 1000;

/// A store with a struct of eight fields and an array.
struct World {
    store: Store<()>,
    shape: StructRefPre,
    object: Rooted<StructRef>,
    elements: ArrayRefPre,
    array: Rooted<ArrayRef>,
}

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .sample_size(30)
        .without_plots()
        .configure_from_args();
    let mut world = World::new()?;
    fields(&mut criterion, &mut world)?;
    elements(&mut criterion, &mut world);
    criterion.final_summary();
    Ok(())
}

impl World {
    fn new() -> Result<World> {
        let engine = Engine::default();
        let field = |ty: ValType| FieldType::new(Mutability::Var, StorageType::ValType(ty));
        let ty = StructType::new(&engine, (0..8).map(|i| field(if i % 2 == 0 { ValType::I32 } else { ValType::F64 })))?;
        let mut store = Store::new(&engine, ())?;
        let shape = StructRefPre::new(&mut store, &ty)?;
        let values: Vec<Val> = (0..8).map(|i| if i % 2 == 0 { Val::I32(i) } else { Val::F64(0) }).collect();
        let object = StructRef::new(&mut store, &shape, &values)?;
        let elements = ArrayRefPre::new(&mut store, &ArrayType::new(&engine, field(ValType::I32))?)?;
        let array = ArrayRef::new(&mut store, &elements, &Val::I32(7), LENGTH)?;
        Ok(World { store, shape, object, elements, array })
    }
}

fn fields(criterion: &mut Criterion, world: &mut World) -> Result<()> {
    let World { store, shape, object, .. } = world;
    let accessor = shape.ty().accessor(6)?;
    let mut group = criterion.benchmark_group("field");
    group.bench_function("get, named", |b| b.iter(|| object.field(&mut *store, black_box(6)).unwrap()));
    group.bench_function("get, prepared", |b| b.iter(|| accessor.get(&mut *store, object).unwrap()));
    group.bench_function("read, prepared", |b| b.iter(|| accessor.read::<i32>(&mut *store, object).unwrap()));
    group
        .bench_function("set, named", |b| b.iter(|| object.set_field(&mut *store, black_box(6), Val::I32(1)).unwrap()));
    group.bench_function("set, prepared", |b| b.iter(|| accessor.set(&mut *store, object, Val::I32(1)).unwrap()));
    group.bench_function("write, prepared", |b| b.iter(|| accessor.write::<i32>(&mut *store, object, 1).unwrap()));
    group.finish();
    Ok(())
}

fn elements(criterion: &mut Criterion, world: &mut World) {
    let World { store, elements, array, .. } = world;
    let accessor = elements.ty().accessor();
    let mut target = vec![0i32; LENGTH as usize];
    let mut group = criterion.benchmark_group("1000 elements");
    group.throughput(Throughput::Elements(LENGTH.into()));
    group.bench_function("get, one by one", |b| {
        b.iter(|| (0..LENGTH).for_each(|i| _ = black_box(array.get(&mut *store, i).unwrap())));
    });
    group.bench_function("read, prepared, one by one", |b| {
        b.iter(|| (0..LENGTH).for_each(|i| _ = black_box(accessor.read::<i32>(&mut *store, array, i).unwrap())));
    });
    group.bench_function("copied at once", |b| {
        b.iter(|| array.copy_to_slice(&mut *store, 0, black_box(&mut target)).unwrap())
    });
    group.finish();
}
