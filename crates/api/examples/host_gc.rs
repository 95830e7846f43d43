//! The GC heap from Rust: strings and numbers in and out of arrays in one copy, fields through prepared accessors,
//! roots that end with a scope or with their owner, objects as keys of a hash map, and what mistakes look like.
//!
//! `cargo run --example host_gc`

use heapwright::{
    ArrayRef, ArrayType, Engine, FieldType, GcError, HeapType, Identity, Mutability, OwnedRooted, RefType, Result,
    RootScope, Rooted, StorageType, Store, StringEncoding, StructRef, StructRefPre, StructType, Val, ValType,
};
use std::collections::HashMap;

pub(crate) fn main() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ())?;
    let var = |element| FieldType::new(Mutability::Var, element);

    // Strings: UTF-16 in i16 elements, as Kotlin and Dart have them.
    let utf16 = ArrayType::new(&engine, var(StorageType::I16))?;
    let name = ArrayRef::new_string(&mut store, &utf16, "Ada Λ", StringEncoding::Utf16)?;
    println!("{} in {} units", name.read_string(&mut store, StringEncoding::Utf16)?, name.len(&mut store)?);

    // Numbers: a whole range in one copy.
    let samples = ArrayType::new(&engine, var(StorageType::ValType(ValType::F64)))?;
    let wave: Vec<f64> = (0..1000).map(|i| f64::from(i).sin()).collect();
    let array = ArrayRef::from_slice(&mut store, &samples, &wave)?;
    let mut middle = [0.0; 10];
    array.copy_to_slice(&mut store, 500, &mut middle)?;
    assert_eq!(middle, wave[500..510]);

    // A struct type with a reference to the string type; allocation and access are prepared once.
    let string = ValType::Ref(RefType::new(true, HeapType::from(utf16.clone())));
    let person =
        StructType::new(&engine, [var(StorageType::ValType(ValType::I64)), var(StorageType::ValType(string))])?;
    let person_pre = StructRefPre::new(&mut store, &person)?;
    let (age, name_of) = (person.accessor(0)?, person.accessor(1)?);

    // References made inside a scope end with it, except those that are owned.
    let mut people: Vec<OwnedRooted<StructRef>> = Vec::new();
    for i in 0..1000i64 {
        let mut scope = RootScope::new(&mut store);
        let made = StructRef::new(&mut scope, &person_pre, &[Val::I64(i), name.into()])?;
        if i % 100 == 0 {
            people.push(made.to_owned_rooted(&mut scope)?);
        }
    }
    store.gc(None)?;

    // Objects as keys: an identity stays the object's wherever a collection moves it.
    let mut visits: HashMap<Identity, u32> = HashMap::new();
    for round in 0..3 {
        let mut scope = RootScope::new(&mut store);
        for owned in &people {
            let one: Rooted<StructRef> = owned.to_rooted(&mut scope)?;
            let years: i64 = age.read(&mut scope, &one)?;
            age.write(&mut scope, &one, years + 1)?;
            *visits.entry(one.identity(&mut scope)?).or_default() += round;
        }
        heapwright::AsContextMut::as_context_mut(&mut scope).gc()?;
    }
    assert!(visits.len() == people.len() && visits.values().all(|&n| n == 3));
    let last = people[9].to_rooted(&mut store)?;
    assert_eq!(age.read::<i64>(&mut store, &last)?, 903);
    let called = name_of.get(&mut store, &last)?.unwrap_anyref().expect("a name");
    assert!(Rooted::ref_eq(&store, &called, &name)?);

    // Mistakes are typed errors.
    let error = array.copy_to_slice(&mut store, 995, &mut middle).unwrap_err();
    println!("{error}");
    assert_eq!(error.downcast_ref(), Some(&GcError::OutOfBounds { start: 995, count: 10, length: 1000 }));
    let error = name.set(&mut store, 0, Val::I32(70_000)).unwrap_err();
    println!("{error}");
    assert_eq!(error.downcast_ref(), Some(&GcError::PackedRange { value: 70_000, bits: 16 }));
    Ok(())
}
