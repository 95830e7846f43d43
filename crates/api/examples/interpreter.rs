//! One program as machine code and as bytecode: the interpreter needs neither executable memory nor signal handlers.
//!
//! `cargo run --example interpreter`

use heapwright::{Collector, Config, Engine, Instance, Module, Result, Store, Trap, TrapCode};

const LISTS: &str = r#"(module
  (type $list (struct (field i32) (field (ref null $list))))
  ;; Makes a list of n, n - 1, …, 1, and adds it up.
  (func (export "sum") (param $n i32) (result i32) (local $list (ref null $list)) (local $sum i32)
    (loop $make
      (local.set $list (struct.new $list (local.get $n) (local.get $list)))
      (br_if $make (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (loop $add
      (local.set $sum (i32.add (local.get $sum) (struct.get $list 0 (local.get $list))))
      (local.set $list (struct.get $list 1 (local.get $list)))
      (br_if $add (i32.eqz (ref.is_null (local.get $list)))))
    (local.get $sum))
  (func (export "trap") (result i32)
    (struct.get $list 0 (ref.null $list))))"#;

pub(crate) fn main() -> Result<()> {
    for target in ["x86_64-unknown-linux-gnu", "pulley64"] {
        for collector in Collector::all() {
            let mut config = Config::new();
            config.target(target)?.collector(collector);
            let engine = Engine::new(&config)?;
            let module = Module::new(&engine, LISTS)?;
            let mut store = Store::new(&engine, ())?;
            let instance = Instance::new(&mut store, &module, &[])?;

            let sum = instance.typed_func::<i32, i32>(&mut store, "sum")?;
            assert_eq!(sum.call(&mut store, 1000)?, 500_500);

            let trap = instance.typed_func::<(), i32>(&mut store, "trap")?;
            let error = trap.call(&mut store, ()).expect_err("a null reference has no fields");
            let trap = error.downcast_ref::<Trap>().expect("it is a trap");
            assert_eq!(trap.code(), TrapCode::NullStructReference);
            println!("{target}, {}: 1 + … + 1000 = 500500", collector.name());
        }
    }
    Ok(())
}
