//! Listings say of code what the compiled module's tables say.

use crate::compile::{Compiler, FunctionListing, Mark, Settings, Target};
use heapwright_collectors::by_name;
use std::collections::BTreeSet;

const MODULE: &str = r#"(module
    (type $node (struct (field (mut i32)) (field (mut (ref null $node)))))
    (import "" "out" (func $out (param i32)))
    (func $list (param $n i32) (result (ref null $node)) (local $head (ref null $node))
      (loop $again
        (local.set $head (struct.new $node (local.get $n) (local.get $head)))
        (call $out (local.get $n))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $head))
    (func $link (param $from (ref null $node)) (param $to (ref null $node))
      (struct.set $node 1 (local.get $from) (local.get $to)))
    (func $divide (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func (param i32) (result i32)
      (call $link (call $list (local.get 0)) (call $list (i32.const 3)))
      (call $divide (local.get 0) (i32.const 7))))"#;

fn compiler(collector: &str, target: Target) -> Compiler {
    let settings = Settings { target, verify: true, ..Settings::default() };
    Compiler::new(settings, by_name(collector).expect("a collector").spec).expect("a compiler")
}

fn list(compiler: &Compiler) -> Vec<FunctionListing> {
    compiler.list(&wat::parse_str(MODULE).expect("valid text"), |_, _, _| true).expect("a valid module")
}

#[test]
fn a_listing_is_what_the_module_has() {
    for target in [Target::Native, Target::Pulley64] {
        for collector in ["copying", "generational", "drc"] {
            let compiler = compiler(collector, target);
            let module = compiler.compile_module(&wat::parse_str(MODULE).expect("valid text")).expect("valid");
            let listings = list(&compiler);
            assert_eq!(listings.iter().map(|f| f.index).collect::<Vec<_>>(), [1, 2, 3, 4]);
            let names: Vec<_> = listings.iter().map(|f| f.name.as_deref()).collect();
            assert_eq!(names, [Some("list"), Some("link"), Some("divide"), None]);
            let (mut maps, mut inlined) = (0, 0);
            for (listing, range) in listings.iter().zip(&module.funcs) {
                let text = &module.text[range.start as usize..range.end() as usize];
                assert_eq!(listing.code.len(), text.len());
                // All but the addresses of functions, which were linked.
                let mut code = listing.code.clone();
                for &(at, _) in &listing.calls {
                    code[at as usize..][..4].copy_from_slice(&text[at as usize..][..4]);
                }
                assert!(code == text, "{collector}: code of function {}", listing.index);
                for (at, slots) in &listing.stack_maps {
                    assert_eq!(module.stack_map_at(range.start + at), Some(&slots[..]));
                }
                for &(at, trap) in &listing.traps {
                    assert_eq!(module.trap_at(range.start + at), Some(trap));
                }
                for pair in listing.places.windows(2) {
                    assert!(pair[0].code < pair[1].code);
                    let at = range.start + pair[0].code;
                    // An inlined body is listed as its call.
                    let call = module.inlined_at(at).last().map(|inlined| inlined.call);
                    inlined += usize::from(call.is_some());
                    assert_eq!(pair[0].wasm, call.or(module.wasm_offset_at(at)), "{collector}: {pair:?}");
                }
                maps += listing.stack_maps.len();
            }
            assert_eq!(maps, module.tables.stack_maps.returns.len(), "no map is left out");
            assert!(maps > 0 && inlined > 0);
        }
    }
}

#[test]
fn allocations_and_barriers_are_marked() {
    let marks = |collector, index: usize| -> (BTreeSet<String>, BTreeSet<String>) {
        let listing = &list(&compiler(collector, Target::Native))[index];
        let name = |mark: Option<Mark>| mark.map(|mark| format!("{mark:?}"));
        let clif = listing.clif.iter().filter_map(|line| name(line.mark)).collect();
        (clif, listing.places.iter().filter_map(|place| name(place.mark)).collect())
    };
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|&name| name.to_owned()).collect() };
    // The list's nodes are fresh: no barrier. Links need one where old objects are remembered or references counted.
    for (collector, list, link) in [
        ("null", &["Allocation"][..], &[][..]),
        ("copying", &["Allocation"], &[]),
        ("generational", &["Allocation"], &["Barrier"]),
    ] {
        assert_eq!(marks(collector, 0), (set(list), set(list)), "{collector}");
        assert_eq!(marks(collector, 1), (set(link), set(link)), "{collector}");
    }
    assert!(marks("drc", 1).0.contains("Barrier"));
    assert_eq!(marks("drc", 2), (set(&[]), set(&[])));
}

#[test]
fn every_instruction_of_the_listing_has_its_place() {
    let bytes = wat::parse_str(MODULE).expect("valid text");
    for listing in list(&compiler("generational", Target::Native)) {
        for line in &listing.clif {
            let offset = line.wasm.map(|offset| offset as usize);
            assert!(offset.is_none_or(|offset| listing.body.contains(&offset)), "{line:?}");
            assert!(!line.text.contains('@') || line.text.contains("stack_map"), "{line:?}");
        }
        assert!(listing.clif.iter().any(|line| line.wasm.is_some()));
        assert!(listing.body.end <= bytes.len());
    }
}

#[test]
fn what_is_not_wanted_is_not_listed() {
    let bytes = wat::parse_str(MODULE).expect("valid text");
    let mut asked = Vec::new();
    let listings = compiler("null", Target::Native).list(&bytes, |index, name, size| {
        asked.push((index, name.map(str::to_owned), size));
        name == Some("divide")
    });
    let listings = listings.expect("valid");
    assert_eq!(listings.iter().map(|f| f.index).collect::<Vec<_>>(), [3]);
    assert_eq!(asked.iter().map(|(index, ..)| *index).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(asked[2].2, listings[0].body.len());
}

/// A location's marks take the two bits that no module offset uses.
#[test]
fn locations_hold_offset_and_mark() {
    use super::super::listing::split;
    assert_eq!(split(7), (Some(7), None));
    assert_eq!(split(7 | 1 << 30), (Some(7), Some(Mark::Allocation)));
    assert_eq!(split(7 | 2 << 30), (Some(7), Some(Mark::Barrier)));
    assert_eq!(split(u32::MAX), (None, None));
}
