//! What the hot paths may cost, counted in the code that the golden files show.
//!
//! The counts follow from a collector's declaration, so a new collector is held to them without a line here. Cold
//! blocks stand behind the last hot one, so the hot path of a function with one return ends there.

use super::{explain, operations, prelude};
use heapwright_gc_heap::barrier::{Expr, Input, Likely, Stmt};
use heapwright_gc_heap::{AllocSpec, BulkBarrier, Elision, Spec};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Operations whose work is a builtin's: it outweighs the call.
const CALLED: [&str; 9] = [
    "array.init_data",
    "array.init_elem",
    "array.new_data",
    "array.new_elem",
    "call_ref",
    "safepoint-call",
    "struct.set-after-call",
    "throw",
    "try_table",
];

/// What stands on a hot path.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Loads and stores through a base and a 32-bit offset: the heap and the type space.
    heap_loads: usize,
    heap_stores: usize,
    /// Loads and stores through one register: contexts.
    context_loads: usize,
    context_stores: usize,
    /// Stores into the frame, after the prologue.
    spills: usize,
    compares: usize,
    calls: usize,
}

impl Counts {
    fn of(asm: &str) -> Counts {
        let (_, body) = asm.split_once("block0:").expect("code starts with block 0");
        let (hot, _) = body.split_once("retq").unwrap_or((body, ""));
        let mut counts = Counts::default();
        for line in hot.lines().map(str::trim).filter(|line| !line.starts_with(';')) {
            let (name, operands) = line.split_once(' ').unwrap_or((line, ""));
            if name.starts_with("call") {
                counts.calls += 1;
            }
            let compares = name.starts_with("cmp") || name.starts_with("test");
            counts.compares += usize::from(compares);
            let Some((before, address)) = operands.split_once('(').filter(|_| !name.starts_with("lea")) else {
                continue;
            };
            let (address, after) = address.split_once(')').expect("a closed address");
            // The destination comes last; comparisons have none.
            let store = after.is_empty() && !compares && !before.is_empty() && before.contains(',');
            let counter = match (address.contains("rsp"), address.contains(','), store) {
                (true, _, true) => &mut counts.spills,
                (true, _, false) => continue,
                (false, true, true) => &mut counts.heap_stores,
                (false, true, false) => &mut counts.heap_loads,
                (false, false, true) => &mut counts.context_stores,
                (false, false, false) => &mut counts.context_loads,
            };
            *counter += 1;
        }
        counts
    }
}

/// Counts and CLIF of an operation under a collector.
fn code(spec: &'static Spec, name: &str) -> (Counts, String) {
    static SOURCES: OnceLock<(String, HashMap<String, String>)> = OnceLock::new();
    let (prelude, sources) = SOURCES.get_or_init(|| (prelude(), operations().into_iter().collect()));
    let text = explain(spec, prelude, sources.get(name).unwrap_or_else(|| panic!("no source of {name}")));
    (Counts::of(&text.asm), text.clif)
}

/// The counts alone.
fn counts(spec: &'static Spec, name: &str) -> Counts {
    code(spec, name).0
}

fn each(test: impl Fn(&'static Spec)) {
    heapwright_collectors::all().iter().for_each(|collector| test(collector.spec));
}

#[test]
fn a_load_of_a_field_is_one_load() {
    each(|spec| {
        for name in ["struct.get", "struct.get-nullable"] {
            let expected = Counts { heap_loads: 1, context_loads: 1, ..Counts::default() };
            assert_eq!(counts(spec, name), expected, "{name} under {}", spec.name);
        }
        let packed = counts(spec, "struct.get-packed");
        assert_eq!((packed.heap_loads, packed.compares), (2, 0), "{}", spec.name);
        if spec.barriers.load.is_none() {
            let expected = Counts { heap_loads: 1, context_loads: 1, ..Counts::default() };
            assert_eq!(counts(spec, "struct.get-ref"), expected, "{}", spec.name);
        }
    });
}

/// The null check of a field access is the access: its load has a trap code, that of a non-null reference has none.
#[test]
fn a_null_check_is_a_trap_code() {
    each(|spec| {
        let trapping = |name| {
            let (_, clif) = code(spec, name);
            let access = |line: &&str| line.contains("load.") && !line.contains("aligned");
            let access = clif.lines().find(access).expect("a heap access").to_owned();
            access.contains("user")
        };
        assert!(!trapping("struct.get") && trapping("struct.get-nullable"));
        assert!(!trapping("array.len") && trapping("array.len-nullable"));
        assert!(!trapping("ref.cast-final") && trapping("ref.cast-final-nullable"));
        assert_eq!(counts(spec, "array.len"), counts(spec, "array.len-nullable"));
        assert_eq!(counts(spec, "array.get"), counts(spec, "array.get-nullable"));
        assert_eq!(counts(spec, "struct.set"), counts(spec, "struct.set-nullable"));
    });
}

#[test]
fn a_store_without_barrier_is_one_store() {
    each(|spec| {
        let plain = Counts { heap_stores: 1, context_loads: 1, ..Counts::default() };
        for name in ["struct.set", "struct.set-nullable", "struct.set-packed"] {
            assert_eq!(counts(spec, name), plain, "{name} under {}", spec.name);
        }
        if spec.barriers.store.is_none() {
            assert_eq!(counts(spec, "struct.set-ref"), plain, "{}", spec.name);
        }
        if spec.barriers.store.is_none() || spec.elide.contains(&Elision::NullStored) {
            assert_eq!(counts(spec, "struct.set-null"), plain, "{}", spec.name);
        }
    });
}

/// A store into an object that was just allocated is a store, if the collector says so and initialising stores cost
/// nothing.
#[test]
fn a_store_into_a_fresh_object_is_one_store() {
    each(|spec| {
        let free = spec.barriers.store.is_none() || spec.elide.contains(&Elision::FreshObject);
        if !free || spec.barriers.init.is_some() || spec.alloc != AllocSpec::Bump {
            return;
        }
        for name in ["struct.set-fresh", "struct.set-fresh-branch", "array.set-fresh"] {
            let counts = counts(spec, name);
            assert_eq!((counts.heap_loads, counts.calls), (0, 0), "{name} under {}: {counts:?}", spec.name);
        }
        // The limit, and the condition of the branch.
        assert_eq!(counts(spec, "struct.set-fresh").compares, 1, "{}", spec.name);
        assert_eq!(counts(spec, "struct.set-fresh-branch").compares, 2, "{}", spec.name);
    });
}

/// Nothing is fresh after a call, and nothing was stored into.
#[test]
fn a_call_ends_what_is_known_of_objects() {
    each(|spec| {
        let Some(program) = spec.barriers.store else { return };
        let headers = usize::from(often(program.body, |expr| matches!(expr, Expr::Header(..))));
        let old = usize::from(often(program.body, |expr| expr == Expr::Input(Input::Old)));
        assert_eq!(counts(spec, "struct.set-after-call").heap_loads, headers + old, "{}", spec.name);
    });
}

#[test]
fn an_element_costs_its_length_and_one_compare() {
    each(|spec| {
        for name in ["array.get", "array.get-nullable", "array.get-constant", "array.get-packed"] {
            let counts = counts(spec, name);
            assert_eq!((counts.heap_loads, counts.compares, counts.calls), (2, 1, 0), "{name} under {}", spec.name);
        }
        let counts = counts(spec, "array.set");
        assert_eq!((counts.heap_loads, counts.heap_stores, counts.compares), (1, 1, 1), "{}", spec.name);
    });
}

/// One bounds compare, one cursor store, one header store of a type word that is loaded once, one store a further
/// header word, one a field.
#[test]
fn an_allocation_is_a_compare_and_stores() {
    each(|spec| {
        if spec.alloc != AllocSpec::Bump {
            return;
        }
        let header = 1 + spec.header.len();
        let names = [
            ("struct.new", 2, true),
            ("struct.new-ref", 2, spec.barriers.init.is_none()),
            ("array.new_fixed", 3, true),
        ];
        for (name, stores, plain) in names {
            if !plain {
                continue;
            }
            let found = counts(spec, name);
            // Store context, cursor, limit, type word; the heap's base once before and once after the paths meet.
            let expected = Counts {
                heap_stores: header + stores,
                context_loads: 6,
                context_stores: 1,
                compares: 1,
                ..Counts::default()
            };
            assert_eq!(found, expected, "{name} under {}", spec.name);
        }
    });
}

/// Objects that are allocated one after the other share the comparison with the limit, and the update of the cursor.
#[test]
fn consecutive_allocations_are_one() {
    each(|spec| {
        if spec.alloc != AllocSpec::Bump || spec.barriers.init.is_some() {
            return;
        }
        for name in ["struct.new-twice", "struct.new-nested"] {
            let counts = counts(spec, name);
            assert_eq!((counts.compares, counts.context_stores), (1, 1), "{name} under {}: {counts:?}", spec.name);
        }
    });
}

/// What a collection costs in spills and reloads is paid on the slow path.
#[test]
fn hot_paths_spill_nothing() {
    each(|spec| {
        for name in ["struct.new-ref", "struct.new-twice", "struct.new-loop", "safepoint-alloc", "array.new_fixed-ref"]
        {
            let counts = counts(spec, name);
            assert_eq!((counts.spills, counts.calls), (0, 0), "{name} under {}", spec.name);
        }
    });
}

#[test]
fn a_cast_to_a_final_type_is_one_load_and_one_compare() {
    each(|spec| {
        for (name, tests) in [("ref.cast-final", 0), ("ref.cast-final-nullable", 0), ("ref.cast-final-any", 2)] {
            let counts = counts(spec, name);
            assert_eq!(
                (counts.heap_loads, counts.compares, counts.calls),
                (1, 1 + tests, 0),
                "{name} under {}",
                spec.name
            );
        }
        // The field of what was just cast needs no check of its own.
        let counts = counts(spec, "ref.cast-get");
        assert_eq!((counts.heap_loads, counts.compares), (2, 1), "{}", spec.name);
    });
}

/// The header and what its type displays: two loads and a compare. Where the module has no subtype, a compare decides
/// what its own objects are, and the display is out of line.
#[test]
fn a_cast_to_an_open_type_never_calls() {
    each(|spec| {
        for (name, tests) in [("ref.cast-open", 0), ("ref.cast-open-any", 1), ("ref.test-open", 0)] {
            let counts = counts(spec, name);
            assert_eq!(
                (counts.heap_loads, counts.compares, counts.calls),
                (2, 1 + tests, 0),
                "{name} under {}",
                spec.name
            );
        }
        let counts = counts(spec, "ref.cast-open-leaf");
        assert_eq!((counts.heap_loads, counts.compares, counts.calls), (1, 1, 0), "{}", spec.name);
    });
}

/// What was an i31 before an allocation is one after it.
#[test]
fn an_i31_is_tested_once() {
    each(|spec| {
        let tests = |name| {
            let (_, clif) = code(spec, name);
            clif.lines().filter(|line| line.contains("user16")).count()
        };
        assert_eq!(tests("ref.cast-i31-twice"), 1, "{}", spec.name);
    });
}

/// The function table and a signature to compare with; then the entry's signature, code and context.
#[test]
fn a_call_through_a_reference_is_a_compare_and_a_call() {
    each(|spec| {
        let expected = Counts { heap_loads: 3, context_loads: 2, compares: 1, calls: 1, ..Counts::default() };
        assert_eq!(counts(spec, "call_ref"), expected, "{}", spec.name);
    });
}

/// What a barrier program seldom asks for is not loaded for it.
#[test]
fn inputs_are_computed_where_they_are_read() {
    each(|spec| {
        let Some(program) = spec.barriers.store else { return };
        let reads = |input| often(program.body, |expr| expr == Expr::Input(input));
        let headers = usize::from(often(program.body, |expr| matches!(expr, Expr::Header(..))));
        let expected = headers + usize::from(reads(Input::Old));
        assert_eq!(counts(spec, "struct.set-ref").heap_loads, expected, "{}", spec.name);
        assert_eq!(counts(spec, "array.set-ref").heap_loads, expected + 1, "{}", spec.name);
    });
}

/// Whether an expression stands on a path of a barrier program that is not unlikely.
fn often(body: &[Stmt], which: impl Fn(Expr) -> bool + Copy) -> bool {
    body.iter().any(|step| match *step {
        Stmt::Let(_, expr) => which(expr),
        Stmt::If(_, likely, then, other) => {
            (likely != Likely::No && often(then, which)) || (likely != Likely::Yes && often(other, which))
        }
        _ => false,
    })
}

/// The value that a global or a table slot held is not loaded for a barrier that does not want it.
#[test]
fn roots_are_stored_like_anything_else() {
    each(|spec| {
        if spec.barriers.root_store.is_none() {
            let expected = Counts { context_stores: 1, ..Counts::default() };
            assert_eq!(counts(spec, "global.set"), expected, "{}", spec.name);
            let expected = Counts { heap_stores: 1, context_loads: 2, compares: 1, ..Counts::default() };
            assert_eq!(counts(spec, "table.set"), expected, "{}", spec.name);
        }
    });
}

#[test]
fn no_hot_path_calls_a_builtin() {
    let barrier_calls = |spec: &Spec, name: &str| {
        // A barrier for each element is the builtin's business.
        let bulk = ["array.fill-ref", "array.copy-ref"].contains(&name);
        bulk && spec.barriers.store.is_some() && matches!(spec.barriers.bulk, BulkBarrier::Elements)
    };
    let prelude = prelude();
    each(|spec| {
        for (name, source) in operations() {
            if CALLED.contains(&name.as_str()) || barrier_calls(spec, &name) {
                continue;
            }
            let asm = explain(spec, &prelude, &source).asm;
            assert_eq!(Counts::of(&asm).calls, 0, "{name} under {}:\n{asm}", spec.name);
        }
    });
}

#[test]
fn counting_knows_loads_from_stores() {
    let asm = "  movq %rbx, (%rsp)\nblock0:\n  movl 4(%rsi, %rdi), %eax\n  movl %eax, 8(%rsi, %rdi)\n  cmpl 4(%rdi, %r8), %edx\n  \
               movl $0x0, 8(%rcx, %rdx)\n  movq 8(%rdi), %rcx\n  movl %edx, 0x18(%rcx)\n  leal 8(%rax, %rdx, 4), %ecx\n  \
               movl %eax, 4(%rsp)\n  movq (%rsp), %rbx\n  retq\nblock1:\n  call    *%rax\n";
    let expected =
        Counts { heap_loads: 2, heap_stores: 2, context_loads: 1, context_stores: 1, spills: 1, compares: 1, calls: 0 };
    assert_eq!(Counts::of(asm), expected);
}
