//! The functions of a module whose calls are replaced by their bodies.

use super::weigh::{CALL, Weighed, weigh};
use super::{BodyTable, MOST_BYTES, MOST_DEPTH, MOST_WEIGHT};
use rayon::prelude::*;
use wasmparser::{FuncValidatorAllocations, WasmFeatures};

/// What is inlined.
pub(crate) struct Plan {
    imported: u32,
    /// By defined function.
    functions: Vec<Decision>,
}

/// What was decided about a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// Calls of it stay calls.
    Called,
    /// It is inlined: what it weighs then, and how many bodies are in each other there.
    Inlined { weight: u32, depth: u8 },
}

impl Plan {
    /// Decides for the functions of a module. Bodies that are not `validated` yet are validated here as far as they
    /// matter: an invalid one is never inlined, and is reported where it is compiled.
    pub(crate) fn new(
        wasm: &[u8],
        bodies: &BodyTable,
        features: WasmFeatures,
        imported: u32,
        validated: bool,
        parallel: bool,
    ) -> Plan {
        let weigh_one = |allocations: &mut FuncValidatorAllocations, defined: u32| {
            if bodies.bytes(defined) > MOST_BYTES {
                return None;
            }
            let body = bodies.get(wasm, features, imported + defined, defined)?;
            // Malformed code is never inlined either.
            let weighed = weigh(&body.body, MOST_WEIGHT).ok().flatten()?;
            if !validated {
                let mut validator = body.validator.into_validator(std::mem::take(allocations));
                let valid = validator.validate(&body.body).is_ok();
                *allocations = validator.into_allocations();
                if !valid {
                    return None;
                }
            }
            Some(weighed)
        };
        let all = 0..bodies.len() as u32;
        let weighed: Vec<Option<Weighed>> = if parallel {
            all.into_par_iter().with_min_len(64).map_init(Default::default, weigh_one).collect()
        } else {
            let mut allocations = Default::default();
            all.map(|defined| weigh_one(&mut allocations, defined)).collect()
        };
        Plan { imported, functions: decide(&weighed, imported) }
    }

    /// The weight of a function (imports counted) with all that is inlined in it, when it is inlined.
    pub(crate) fn weight(&self, function: u32) -> Option<u32> {
        let defined = function.checked_sub(self.imported)?;
        match self.functions.get(defined as usize)? {
            Decision::Inlined { weight, .. } => Some(*weight),
            Decision::Called => None,
        }
    }
}

/// Decides bottom-up. A call to a function that is being decided closes a cycle: its callee stays a call. The walk
/// keeps its own stack, since the guest chooses how deep calls go.
fn decide(weighed: &[Option<Weighed>], imported: u32) -> Vec<Decision> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open { recursive: bool },
        Done,
    }
    let mut states = vec![State::New; weighed.len()];
    let mut decisions = vec![Decision::Called; weighed.len()];
    // The functions that are open, each with the number of its callees that were looked at.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for first in 0..weighed.len() {
        if states[first] != State::New {
            continue;
        }
        states[first] = State::Open { recursive: false };
        open.push((first, 0));
        while let Some((function, next)) = open.last_mut() {
            let function = *function;
            let callees = weighed[function].as_ref().map_or(&[][..], |w| &w.callees);
            if let Some(callee) = callees.get(*next) {
                *next += 1;
                let Some(callee) = callee.checked_sub(imported).map(|c| c as usize) else { continue };
                match states[callee] {
                    State::New => {
                        states[callee] = State::Open { recursive: false };
                        open.push((callee, 0));
                    }
                    State::Open { .. } => states[callee] = State::Open { recursive: true },
                    State::Done => {}
                }
                continue;
            }
            open.pop();
            let recursive = states[function] == State::Open { recursive: true };
            states[function] = State::Done;
            if let Some(weighed) = weighed[function].as_ref().filter(|_| !recursive) {
                decisions[function] = combine(weighed, &decisions, imported);
            }
        }
    }
    decisions
}

/// Decides about a function whose callees are decided.
fn combine(weighed: &Weighed, decisions: &[Decision], imported: u32) -> Decision {
    let (mut weight, mut depth) = (weighed.weight, 1);
    for callee in &weighed.callees {
        let callee = callee.checked_sub(imported).map_or(Decision::Called, |c| decisions[c as usize]);
        if let Decision::Inlined { weight: inner, depth: inner_depth } = callee {
            weight = weight + inner - CALL;
            depth = depth.max(inner_depth + 1);
        }
    }
    if weight <= MOST_WEIGHT && depth <= MOST_DEPTH { Decision::Inlined { weight, depth } } else { Decision::Called }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(weight: u32, callees: &[u32]) -> Option<Weighed> {
        Some(Weighed { weight: weight + CALL * callees.len() as u32, callees: callees.to_vec() })
    }

    fn decisions(weighed: &[Option<Weighed>]) -> Vec<Option<(u32, u8)>> {
        let decided = decide(weighed, 0).into_iter().map(|decision| match decision {
            Decision::Called => None,
            Decision::Inlined { weight, depth } => Some((weight, depth)),
        });
        decided.collect()
    }

    #[test]
    fn weights_add_up_from_below() {
        let found = decisions(&[body(1, &[1, 2]), body(3, &[]), None, body(2, &[0, 1])]);
        assert_eq!(found, [Some((4 + CALL, 2)), Some((3, 1)), None, Some((9 + CALL, 3))]);
        // Together they are too heavy: the callee alone is inlined.
        assert_eq!(decisions(&[body(30, &[1]), body(30, &[])]), [None, Some((30, 1))]);
    }

    #[test]
    fn recursion_stays_a_call() {
        assert_eq!(decisions(&[body(1, &[0])]), [None]);
        // One of a cycle is called; the others may stand in it.
        assert_eq!(decisions(&[body(1, &[1]), body(2, &[0])]), [None, Some((2 + CALL, 1))]);
        let found = decisions(&[body(1, &[1]), body(1, &[2]), body(1, &[1])]);
        assert_eq!(found, [Some((1 + CALL, 1)), None, Some((1 + CALL, 1))]);
    }

    #[test]
    fn chains_end() {
        // Each calls the next and does nothing else.
        let count = 200_000;
        let chain: Vec<_> = (0..count).map(|i| if i + 1 < count { body(0, &[i + 1]) } else { body(0, &[]) }).collect();
        let found = decisions(&chain);
        assert!(found.iter().flatten().all(|&(_, depth)| depth <= MOST_DEPTH));
        assert!(found.iter().filter(|d| d.is_none()).count() >= count as usize / (MOST_DEPTH as usize + 1) - 1);
    }

    #[test]
    fn trees_are_bounded() {
        // Each calls the next twice: what is inlined doubles at each level, up to the bound.
        let tree: Vec<_> = (0..20).map(|i| if i < 19 { body(1, &[i + 1, i + 1]) } else { body(1, &[]) }).collect();
        assert!(decisions(&tree).iter().flatten().all(|&(weight, _)| weight <= MOST_WEIGHT));
        assert!(decisions(&tree).contains(&None));
    }

    #[test]
    fn imports_are_calls() {
        let found = decide(&[body(1, &[0, 2]), body(2, &[1])], 1);
        assert_eq!(found[0], Decision::Called, "it calls itself by way of the other");
        assert_eq!(found[1], Decision::Inlined { weight: 2 + CALL, depth: 1 });
    }
}
