//! A module that compilers choke on: one function that builds a large object graph in a straight line, as compilers of
//! programs with much constant data emit it.

use std::fmt::Write;

/// `struct.new`s in the function.
const ALLOCATIONS: usize = 5_600;
/// Locals that hold objects which live long: so many references are live at each allocation.
const KEPT: usize = 64;

/// The module in the binary format. Its function `build` makes a list of objects, each of which refers to the one
/// before and to one of those that are kept, and gives the sum of what some of them hold.
pub(super) fn huge_function() -> Vec<u8> {
    let mut body = String::new();
    for i in 0..ALLOCATIONS {
        let kept = i * 7 % KEPT;
        // Ten operators, and two more now and then to keep what was made.
        write!(
            body,
            "(local.set $last (struct.new $node (i32.const {i}) (local.get $last) (local.get $k{kept})
               (local.get $sum)))
             (local.set $sum (i32.xor (local.get $sum) (i32.const {})))\n",
            i * 31
        )
        .expect("a string takes anything");
        if i % 3 == 0 {
            writeln!(body, "(local.set $k{} (local.get $last))", i / 3 % KEPT).expect("a string takes anything");
        }
    }
    let locals: String = (0..KEPT).map(|k| format!("(local $k{k} (ref null $node))")).collect();
    let sums: String = (0..KEPT)
        .map(|k| format!("(local.set $sum (i32.add (local.get $sum) (struct.get $node 0 (local.get $k{k}))))"))
        .collect();
    let text = format!(
        "(module
           (type $node (struct (field i32) (field (ref null $node)) (field (ref null $node)) (field i32)))
           (func $build (export \"build\") (result i32)
             (local $last (ref null $node)) (local $sum i32) {locals}
             {body} {sums}
             (local.get $sum)))"
    );
    wat::parse_str(text).expect("the text is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapwright::{Engine, Instance, Module, Store};
    use wasmparser::{Operator, Parser, Payload};

    #[test]
    fn the_function_is_as_huge_as_it_should_be() {
        let bytes = huge_function();
        let (mut operators, mut allocations, mut functions) = (0, 0, 0);
        for payload in Parser::new(0).parse_all(&bytes) {
            if let Payload::CodeSectionEntry(body) = payload.unwrap() {
                functions += 1;
                for operator in body.get_operators_reader().unwrap() {
                    operators += 1;
                    allocations += usize::from(matches!(operator.unwrap(), Operator::StructNew { .. }));
                }
            }
        }
        assert_eq!((functions, allocations), (1, ALLOCATIONS));
        assert!((60_000..61_000).contains(&operators), "{operators}");
    }

    /// The kept objects are the last ones of every third: their numbers are known.
    #[test]
    fn it_builds_what_it_should() {
        let engine = Engine::default();
        let module = Module::from_binary(&engine, &huge_function()).unwrap();
        let mut store = Store::new(&engine, ()).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let sum = instance.typed_func::<(), i32>(&mut store, "build").unwrap().call(&mut store, ()).unwrap();
        let folded = (0..ALLOCATIONS).fold(0, |sum, i| sum ^ (i * 31) as i32);
        let threes: Vec<usize> = (0..ALLOCATIONS).step_by(3).collect();
        let kept: usize = threes[threes.len() - KEPT..].iter().sum();
        assert_eq!(sum, folded.wrapping_add(kept as i32));
    }
}
