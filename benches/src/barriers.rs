//! Barriers, one kind of store at a time.

/// A measured loop: the name of its export, how many barriers one round runs, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The export.
    pub name: &'static str,
    /// Stores (or loads) a round.
    pub accesses: u32,
    /// What is measured.
    pub what: &'static str,
}

/// All loops.
pub const CASES: [Case; 12] = [
    case("young_young", 4, "a young reference into a young object"),
    case("young_old", 4, "an old reference into a young object"),
    case("old_old", 4, "an old reference into an old object"),
    case("old_young", 4, "a young reference into an old object that has one already"),
    case("old_young_null", 4, "a young reference and null, in turns, into an old object: each young one is news"),
    case("old_null", 4, "null into an old object"),
    case("old_i31", 4, "an i31 into an old object"),
    case("spread", 1, "a young reference into one of 1024 old objects after the other"),
    case("element", 1, "a young reference into one element of an old array after the other"),
    case("fill", 64, "array.fill of 64 elements of an old array"),
    case("load", 4, "four loads of references"),
    case("roots", 2, "a store into a global and one into a table"),
];

const fn case(name: &'static str, accesses: u32, what: &'static str) -> Case {
    Case { name, accesses, what }
}

/// The module. `old` and `young` make the objects; the other exports take a number of rounds. Four stores a round go to
/// four fields, so that neither the loop nor one slot's store forwarding is what is measured.
pub fn module() -> String {
    let four = |object: &str, values: [&str; 4]| -> String {
        values.iter().enumerate().map(|(i, v)| format!("(struct.set $quad {i} (local.get ${object}) {v})")).collect()
    };
    let (old, young) = ("(local.get $o2)", "(local.get $y2)");
    let (null, i31) = ("(ref.null any)", "(ref.i31 (local.get $n))");
    let bodies: [(&str, String); 12] = [
        ("young_young", four("y", [young; 4])),
        ("young_old", four("y", [old; 4])),
        ("old_old", four("o", [old; 4])),
        ("old_young", four("o", [young; 4])),
        (
            "old_young_null",
            // Chosen at run time, so that no store overwrites another of the same round and no null is known as one.
            format!("(local.set $seen (select (result anyref) {young} {null} (i32.and (local.get $n) (i32.const 1))))")
                + &four("o", ["(local.get $seen)"; 4]),
        ),
        ("old_null", four("o", [null; 4])),
        ("old_i31", four("o", [i31; 4])),
        (
            "spread",
            format!(
                "(struct.set $quad 0 (ref.cast (ref $quad) (array.get $list (local.get $list)
                   (i32.and (local.get $n) (i32.const 1023)))) {young})"
            ),
        ),
        (
            "element",
            format!("(array.set $list (local.get $targets) (i32.and (local.get $n) (i32.const 1023)) {young})"),
        ),
        (
            "fill",
            format!(
                "(array.fill $list (local.get $targets) (i32.and (local.get $n) (i32.const 511)) {young} (i32.const 64))"
            ),
        ),
        (
            "load",
            (0..4).map(|i| format!("(local.set $seen (struct.get $quad {i} (local.get $o)))")).collect::<String>()
                + "(if (ref.eq (ref.cast eqref (local.get $seen)) (local.get $o)) (then (unreachable)))",
        ),
        ("roots", format!("(global.set $g {young}) (table.set $t (i32.const 1) {old})")),
    ];
    let prologue = "(local $o (ref $quad)) (local $o2 (ref $quad)) (local $y (ref $quad)) (local $y2 (ref $quad))
        (local $list (ref $list)) (local $targets (ref $list)) (local $seen anyref)
        (local.set $o (ref.as_non_null (global.get $old1))) (local.set $o2 (ref.as_non_null (global.get $old2)))
        (local.set $y (ref.as_non_null (global.get $young1))) (local.set $y2 (ref.as_non_null (global.get $young2)))
        (local.set $list (ref.as_non_null (global.get $olds)))
        (local.set $targets (ref.as_non_null (global.get $old_targets)))";
    let loops: String = bodies
        .iter()
        .map(|(name, body)| {
            format!(
                "(func (export \"{name}\") (param $n i32) {prologue}
                   (loop $more {body}
                     (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))\n"
            )
        })
        .collect();
    let globals: String = ["old1", "old2", "young1", "young2"]
        .map(|name| format!("(global ${name} (mut (ref null $quad)) (ref.null $quad))"))
        .concat();
    format!(
        "(module
           (type $quad (sub final (struct (field (mut anyref)) (field (mut anyref)) (field (mut anyref)) (field (mut anyref)))))
           (type $list (sub final (array (mut anyref))))
           {globals}
           (global $olds (mut (ref null $list)) (ref.null $list))
           (global $old_targets (mut (ref null $list)) (ref.null $list))
           (global $g (mut anyref) (ref.null any))
           (table $t 2 anyref)
           (func (export \"old\") (param i32) (local $i i32)
             (global.set $old1 (struct.new_default $quad))
             (global.set $old2 (struct.new_default $quad))
             (global.set $old_targets (array.new_default $list (i32.const 1024)))
             (global.set $olds (array.new_default $list (i32.const 1024)))
             (loop $more
               (array.set $list (global.get $olds) (local.get $i) (struct.new_default $quad))
               (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1024)))))
           (func (export \"young\") (param i32)
             (global.set $young1 (struct.new_default $quad))
             (global.set $young2 (struct.new_default $quad)))
           {loops})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    /// Every loop runs under every collector, and nothing is collected meanwhile.
    #[test]
    fn loops_run() {
        for collector in heapwright::Collector::all() {
            let mut world = World::new(collector, &module());
            for case in CASES {
                world.time(case.name, 3000);
            }
        }
    }
}
