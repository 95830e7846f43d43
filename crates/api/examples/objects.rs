//! GC objects from Rust: make a type, build objects, pass them to WebAssembly, read what comes back.
//!
//! `cargo run --example objects`

use heapwright::{
    AnyRef, ArrayRef, ArrayType, Engine, FieldType, Instance, Module, Mutability, Result, Rooted, StorageType, Store,
    StructRef, StructType, Val, ValType,
};

pub(crate) fn main() -> Result<()> {
    let engine = Engine::default();
    // A type is the same type wherever its structure is the same: this one is the module's $point.
    let coordinate = FieldType::new(Mutability::Var, StorageType::ValType(ValType::F64));
    let point = StructType::new(&engine, [coordinate.clone(), coordinate])?;
    let module = Module::new(
        &engine,
        r#"(module
             (type $point (struct (field (mut f64)) (field (mut f64))))
             (type $bytes (array (mut i8)))
             (func (export "mirror") (param anyref) (result anyref)
               (local $p (ref $point))
               (local.set $p (ref.cast (ref $point) (local.get 0)))
               (struct.new $point
                 (struct.get $point 1 (local.get $p))
                 (struct.get $point 0 (local.get $p))))
             (func (export "sum") (param anyref) (result i32)
               (local $a (ref $bytes)) (local $i i32) (local $sum i32)
               (local.set $a (ref.cast (ref $bytes) (local.get 0)))
               (block $done
                 (loop $next
                   (br_if $done (i32.ge_u (local.get $i) (array.len (local.get $a))))
                   (local.set $sum
                     (i32.add (local.get $sum) (array.get_u $bytes (local.get $a) (local.get $i))))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br $next)))
               (local.get $sum)))"#,
    )?;

    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;

    let p = StructRef::new(&mut store, &point, &[Val::from(1.5), Val::from(-2.0)])?;
    let mirror = instance.typed_func::<Option<Rooted<AnyRef>>, Option<Rooted<AnyRef>>>(&mut store, "mirror")?;
    let mirrored = mirror.call(&mut store, Some(p.to_anyref()))?.expect("a point comes back");
    let mirrored = mirrored.as_struct(&mut store)?.expect("it is a struct");
    let fields: Vec<f64> = mirrored.fields(&mut store)?.iter().map(Val::unwrap_f64).collect();
    println!("mirrored: {fields:?}");
    assert_eq!(fields, [-2.0, 1.5]);

    let byte = FieldType::new(Mutability::Var, StorageType::I8);
    let bytes = ArrayRef::new(&mut store, &ArrayType::new(&engine, byte)?, &Val::I32(7), 100)?;
    bytes.set(&mut store, 99, Val::I32(250))?;
    let sum = instance.typed_func::<Option<Rooted<AnyRef>>, i32>(&mut store, "sum")?;
    let total = sum.call(&mut store, Some(bytes.to_anyref()))?;
    println!("sum: {total}");
    assert_eq!(total, 99 * 7 + 250);

    // Mistakes are errors.
    assert!(bytes.get(&mut store, 100).is_err());
    assert!(p.set_field(&mut store, 0, Val::I32(1)).is_err());
    Ok(())
}
