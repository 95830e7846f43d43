//! Which values are references.

use super::edges::{branches, terminator};
use cranelift_codegen::ir::{BlockArg, Function, InstructionData, Opcode, Value, types};
use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashSet;

/// Number of a reference value.
pub(super) type RefId = u32;

/// The function's reference values, numbered.
pub(super) struct Refs {
    pub(super) values: Vec<Value>,
    /// One more than the number, or 0.
    ids: SecondaryMap<Value, u32>,
}

impl Refs {
    /// Extends `seeds`, the values known to be references by their definition, to the block parameters that they are
    /// passed to and the selects that choose them.
    pub(super) fn find(func: &Function, seeds: &FxHashSet<Value>) -> Refs {
        let flows = Flows::scan(func);
        let mut refs = Refs { values: Vec::new(), ids: SecondaryMap::with_capacity(func.dfg.num_values()) };
        let mut seeds: Vec<Value> = seeds.iter().copied().filter(|&v| func.dfg.value_is_attached(v)).collect();
        seeds.sort_unstable();
        for seed in seeds {
            debug_assert_eq!(func.dfg.value_type(seed), types::I32, "{seed} is no reference");
            refs.add(seed);
        }
        let mut next = 0;
        while let Some(&value) = refs.values.get(next) {
            next += 1;
            let mut flow = flows.first[value];
            while let Some((to, rest)) = flow.checked_sub(1).map(|i| flows.list[i as usize]) {
                refs.add(to);
                flow = rest;
            }
        }
        refs
    }

    fn add(&mut self, value: Value) {
        if self.ids[value] == 0 {
            self.values.push(value);
            self.ids[value] = self.values.len() as u32;
        }
    }

    /// The number of a value, if it is a reference.
    pub(super) fn id(&self, value: Value) -> Option<RefId> {
        self.ids[value].checked_sub(1)
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Which values an `i32` becomes, as linked lists: positions in `list` are one more than the index, 0 ends a list.
struct Flows {
    first: SecondaryMap<Value, u32>,
    list: Vec<(Value, u32)>,
}

impl Flows {
    fn scan(func: &Function) -> Flows {
        let mut flows = Flows { first: SecondaryMap::with_capacity(func.dfg.num_values()), list: Vec::new() };
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if let InstructionData::Ternary { opcode: Opcode::Select | Opcode::SelectSpectreGuard, args } =
                    func.dfg.insts[inst]
                {
                    let result = func.dfg.first_result(inst);
                    flows.add(func, args[1], result);
                    flows.add(func, args[2], result);
                }
            }
            for target in terminator(func, block).into_iter().flat_map(|inst| branches(func, inst)) {
                let params = func.dfg.block_params(target.block(&func.dfg.value_lists));
                for (arg, &param) in target.args(&func.dfg.value_lists).zip(params) {
                    if let BlockArg::Value(value) = arg {
                        flows.add(func, value, param);
                    }
                }
            }
        }
        flows
    }

    fn add(&mut self, func: &Function, from: Value, to: Value) {
        if func.dfg.value_type(to) == types::I32 {
            self.list.push((to, self.first[from]));
            self.first[from] = self.list.len() as u32;
        }
    }
}
