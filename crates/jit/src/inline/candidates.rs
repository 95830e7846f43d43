//! Which functions a call through a reference probably meets, judged by the whole module.
//!
//! What compilers of object-oriented languages emit names its possible callees: virtual tables stand in constant
//! expressions, so a method that is read from a field of type `T` is what constants of `T` and its subtypes have there.
//! And where only few functions of a type ever become references, it is one of those.
//!
//! Where a profile of earlier runs knows the module, it is asked instead.
//!
//! This is no proof. Objects are also made while the program runs, and references come from other modules. Whoever uses
//! a candidate compares the reference with it first.

use crate::module::{ConstExpr, ConstOp, ElementItems, ModuleInfo};
use crate::profile::Calls;
use heapwright_gc_heap::TypeRef;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// More candidates than this are as good as none.
const MOST: usize = 4;

/// The candidates of a module.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// By struct type and field: what constants have there.
    fields: FxHashMap<(u32, u32), Few>,
    /// By function type: the functions of this type, or of a subtype, that may become references.
    types: FxHashMap<u32, Few>,
    /// By offset of the call: whom it called in earlier runs, the most frequent first. Only with a profile.
    calls: Option<FxHashMap<u32, SmallVec<[u32; MOST]>>>,
}

/// A function is expected at a call when this part of its calls called it.
const LEAST_PART: u64 = 8;

/// Functions of which there are few; without any once there were more.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Few {
    Of(SmallVec<[u32; MOST]>),
    Many,
}

impl Few {
    /// Adds one; `false` when that changes nothing.
    fn add(&mut self, function: u32) -> bool {
        match self {
            Few::Of(functions) if functions.contains(&function) => false,
            Few::Of(functions) if functions.len() < MOST => {
                functions.push(function);
                true
            }
            Few::Of(_) => {
                *self = Few::Many;
                true
            }
            Few::Many => false,
        }
    }
}

impl Default for Few {
    fn default() -> Few {
        Few::Of(SmallVec::new())
    }
}

impl Candidates {
    /// Asks a profile, or else looks through a module's declarations, in time linear in their size and the depth of the
    /// types that they name.
    pub(crate) fn new(module: &ModuleInfo, profile: Option<&Calls>) -> Candidates {
        let mut candidates =
            Candidates { calls: profile.map(|calls| expected(module, calls)), ..Candidates::default() };
        if candidates.calls.is_some() {
            return candidates;
        }
        for &function in module.escaping.iter().filter(|&&function| function >= module.imported_funcs) {
            for ty in supertypes(module, module.funcs[function as usize]) {
                // What has been said of a type has been said of its supertypes.
                if !candidates.types.entry(ty).or_default().add(function) {
                    break;
                }
            }
        }
        let globals = module.globals.iter().filter_map(|global| global.init.as_ref());
        let tables = module.tables.iter().filter_map(|table| table.init.as_ref());
        let elements = module.elements.iter().flat_map(|segment| match &segment.items {
            ElementItems::Exprs(exprs) => exprs.as_slice(),
            ElementItems::Funcs(_) => &[],
        });
        for expr in globals.chain(tables).chain(elements) {
            candidates.read(module, expr);
        }
        candidates
    }

    /// The functions that the call at an offset of the module probably calls; `None` when that is to be asked by type.
    pub(crate) fn of_call(&self, offset: u64) -> Option<&[u32]> {
        let calls = self.calls.as_ref()?;
        let functions = u32::try_from(offset).ok().and_then(|offset| calls.get(&offset));
        Some(functions.map_or(&[], |functions| functions))
    }

    /// The functions that a field of an object of static type `ty` probably refers to.
    pub(crate) fn of_field(&self, ty: u32, field: u32) -> &[u32] {
        few(self.fields.get(&(ty, field)))
    }

    /// The functions that a reference of static type `ty` probably refers to.
    pub(crate) fn of_type(&self, ty: u32) -> &[u32] {
        few(self.types.get(&ty))
    }

    /// Notes the functions in the objects that a constant expression makes.
    fn read(&mut self, module: &ModuleInfo, expr: &ConstExpr) {
        // What is on the operand stack: the function that it is, if it is one.
        let mut operands: Vec<Option<u32>> = Vec::new();
        for op in expr {
            let rest = operands.len().saturating_sub(op.operands(module));
            let own = match *op {
                ConstOp::RefFunc(function) => Some(function),
                ConstOp::StructNew(ty) => {
                    for (field, function) in operands[rest..].iter().enumerate() {
                        if let Some(function) = *function {
                            self.add_field(module, ty, field as u32, function);
                        }
                    }
                    None
                }
                _ => None,
            };
            operands.truncate(rest);
            operands.push(own);
        }
    }

    fn add_field(&mut self, module: &ModuleInfo, ty: u32, field: u32, function: u32) {
        if function < module.imported_funcs {
            return;
        }
        for ty in supertypes(module, ty) {
            if !module.is_constant_field(ty, field) || !self.fields.entry((ty, field)).or_default().add(function) {
                break;
            }
        }
    }
}

/// Whom each call of a profile is expected to call.
fn expected(module: &ModuleInfo, calls: &Calls) -> FxHashMap<u32, SmallVec<[u32; MOST]>> {
    let known = |function: u32| function >= module.imported_funcs && module.escape_index.contains_key(&function);
    let expected = calls.iter().map(|(&call, callees)| {
        let all = callees.values().fold(0u64, |sum, &count| sum.saturating_add(count));
        let mut often: Vec<(u64, u32)> = callees
            .iter()
            .filter(|&(&function, &count)| known(function) && count >= all / LEAST_PART)
            .map(|(&function, &count)| (count, function))
            .collect();
        often.sort_by_key(|&(count, function)| (std::cmp::Reverse(count), function));
        (call, often.into_iter().map(|(_, function)| function).take(MOST).collect())
    });
    expected.collect()
}

fn few(functions: Option<&Few>) -> &[u32] {
    match functions {
        Some(Few::Of(functions)) => functions,
        Some(Few::Many) | None => &[],
    }
}

/// A type of the module and its supertypes.
fn supertypes(module: &ModuleInfo, ty: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(ty), |&ty| match module.types[ty as usize].supertype {
        Some(TypeRef::Module(parent)) => Some(parent),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::parse;
    use heapwright_gc_heap::HeaderLayout;

    fn candidates(text: &str) -> Candidates {
        let wasm = wat::parse_str(text).expect("valid text");
        let parsed = parse(&wasm, crate::compile::features(), HeaderLayout { extra_words: 0 }).expect("a valid module");
        Candidates::new(&parsed.info, None)
    }

    #[test]
    fn profiles_come_first() {
        let wasm = wat::parse_str(CLASSES).expect("valid text");
        let parsed = parse(&wasm, crate::compile::features(), HeaderLayout { extra_words: 0 }).expect("a valid module");
        let often = |callees: &[(u32, u64)]| {
            let calls = Calls::from([(100, callees.iter().copied().collect())]);
            let candidates = Candidates::new(&parsed.info, Some(&calls));
            assert!(candidates.of_field(2, 0).is_empty() && candidates.of_type(1).is_empty());
            assert_eq!(candidates.of_call(101), Some(&[][..]), "a call that was never seen");
            candidates.of_call(100).expect("a profile").to_vec()
        };
        assert_eq!(often(&[(0, 10), (2, 1000), (3, 500)]), [2, 3], "one is rare");
        assert_eq!(often(&[(9, 1000), (u32::MAX, 1000), (1, 1000)]), [1], "no such functions");
        assert_eq!(often(&[(0, 1), (1, 1), (2, 1), (3, 1), (5, 1)]), [0, 1, 2, 3]);
        assert_eq!(often(&[(0, u64::MAX), (1, u64::MAX)]), [0, 1]);
        assert_eq!(candidates(CLASSES).of_call(100), None);
    }

    /// Methods 0 to 5 and virtual tables of three classes: the second and the third inherit from the first.
    const CLASSES: &str = r#"(module
      (type $method (sub (func)))
      (type $special (sub $method (func)))
      (type $base (sub (struct (field (ref $method)) (field (ref $method)))))
      (type $left (sub $base (struct (field (ref $method)) (field (ref $method)) (field (ref $special)))))
      (type $right (sub $base (struct (field (ref $method)) (field (ref $method)))))
      (type $pair (struct (field (ref $left)) (field (ref $base))))
      (type $open (struct (field (mut (ref $method)))))
      (func (type $method)) (func (type $method)) (func (type $method))
      (func (type $method)) (func (type $method)) (func (type $special))
      (global (ref $base) (struct.new $base (ref.func 0) (ref.func 1)))
      (global (ref $pair) (struct.new $pair
        (struct.new $left (ref.func 0) (ref.func 2) (ref.func 5))
        (struct.new $right (ref.func 3) (ref.func 1))))
      (global (ref $open) (struct.new $open (ref.func 4))))"#;

    #[test]
    fn constants_of_subtypes_count() {
        let found = candidates(CLASSES);
        let (base, left, right, pair, open) = (2, 3, 4, 5, 6);
        assert_eq!(found.of_field(base, 0), [0, 3]);
        assert_eq!(found.of_field(base, 1), [1, 2]);
        assert_eq!((found.of_field(left, 0), found.of_field(left, 1)), (&[0][..], &[2][..]));
        assert_eq!(found.of_field(left, 2), [5]);
        assert_eq!((found.of_field(right, 0), found.of_field(right, 1)), (&[3][..], &[1][..]));
        assert!(found.of_field(pair, 0).is_empty(), "an object is no function");
        assert!(found.of_field(open, 0).is_empty(), "what may change says nothing");
        // Six functions become references, one of them of the subtype.
        assert!(found.of_type(0).is_empty());
        assert_eq!(found.of_type(1), [5]);
    }

    #[test]
    fn many_are_none() {
        let tables = |count: usize| {
            let functions = "(func (type $f))".repeat(count);
            let globals: String =
                (0..count).map(|i| format!("(global (ref $t) (struct.new $t (ref.func {i})))")).collect();
            let found = candidates(&format!(
                "(module (type $f (func)) (type $t (struct (field (ref $f)))) {functions} {globals})"
            ));
            (found.of_field(1, 0).len(), found.of_type(0).len())
        };
        assert_eq!([1, 4, 5, 9].map(tables), [(1, 1), (4, 4), (0, 0), (0, 0)]);
    }

    #[test]
    fn imports_are_no_candidates() {
        let found = candidates(
            r#"(module (type $f (func)) (type $t (struct (field (ref $f)))) (import "" "" (func (type $f)))
              (func (type $f)) (global (ref $t) (struct.new $t (ref.func 0))) (elem declare func 1))"#,
        );
        assert!(found.of_field(1, 0).is_empty());
        assert_eq!(found.of_type(0), [1]);
    }
}
