//! The control-flow graph of the reachable blocks, numbered in reverse postorder.

use super::edges::{branches, terminator};
use cranelift_codegen::ir::{Block, Function};
use cranelift_entity::SecondaryMap;

/// Position of a block in reverse postorder. Every block comes after those that dominate it; an edge to the same or a
/// smaller index closes a loop.
pub(in crate::gc) type Index = u32;

const UNREACHABLE: Index = u32::MAX;

/// The graph. Several branches from one block to another are one edge.
pub(in crate::gc) struct Cfg {
    /// The blocks in order.
    pub(in crate::gc) order: Vec<Block>,
    index: SecondaryMap<Block, Index>,
    preds: Rows<Index>,
    /// Each successor, with the position of this block among the successor's predecessors.
    succs: Rows<(Index, u32)>,
}

/// A vector of vectors in two allocations.
pub(in crate::gc) struct Rows<T> {
    ends: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy> Rows<T> {
    /// Distributes `(row, item)` pairs, keeping the order within each row.
    pub(in crate::gc) fn collect(rows: usize, pairs: impl Iterator<Item = (u32, T)> + Clone, filler: T) -> Rows<T> {
        let mut ends = vec![0u32; rows];
        for (row, _) in pairs.clone() {
            ends[row as usize] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            let start = total;
            total += *end;
            *end = start;
        }
        let mut items = vec![filler; total as usize];
        for (row, item) in pairs {
            let at = &mut ends[row as usize];
            items[*at as usize] = item;
            *at += 1;
        }
        Rows { ends, items }
    }

    /// One row.
    pub(in crate::gc) fn row(&self, row: u32) -> &[T] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.items[start as usize..self.ends[row as usize] as usize]
    }
}

impl Cfg {
    pub(in crate::gc) fn new(func: &Function) -> Cfg {
        let (order, index) = reverse_postorder(func);
        // Edges by source, each destination once. `seen` holds the source that reached a block last.
        let mut edges: Vec<(Index, Index)> = Vec::new();
        let mut seen = vec![UNREACHABLE; order.len()];
        for (from, &block) in order.iter().enumerate() {
            for target in terminator(func, block).into_iter().flat_map(|inst| branches(func, inst)) {
                let to = index[target.block(&func.dfg.value_lists)];
                if seen[to as usize] != from as Index {
                    seen[to as usize] = from as Index;
                    edges.push((from as Index, to));
                }
            }
        }
        let preds = Rows::collect(order.len(), edges.iter().map(|&(from, to)| (to, from)), 0);
        let mut places = vec![0u32; order.len()];
        let succs: Vec<_> = edges
            .iter()
            .map(|&(from, to)| {
                let place = places[to as usize];
                places[to as usize] += 1;
                (from, (to, place))
            })
            .collect();
        let succs = Rows::collect(order.len(), succs.iter().copied(), (0, 0));
        Cfg { order, index, preds, succs }
    }

    /// A block's position, if it is reachable.
    pub(in crate::gc) fn index(&self, block: Block) -> Option<Index> {
        Some(self.index[block]).filter(|&i| i != UNREACHABLE)
    }

    /// Reachable predecessors.
    pub(in crate::gc) fn preds(&self, block: Index) -> &[Index] {
        self.preds.row(block)
    }

    /// Successors, each with the position of `block` among its predecessors.
    pub(in crate::gc) fn succs(&self, block: Index) -> &[(Index, u32)] {
        self.succs.row(block)
    }

    /// Whether several blocks lead to this one.
    pub(in crate::gc) fn is_merge(&self, block: Index) -> bool {
        self.preds(block).len() > 1
    }

    /// Whether an edge from inside closes a loop here.
    pub(in crate::gc) fn is_loop_header(&self, block: Index) -> bool {
        self.preds(block).iter().any(|&pred| pred >= block)
    }
}

fn reverse_postorder(func: &Function) -> (Vec<Block>, SecondaryMap<Block, Index>) {
    let mut index = SecondaryMap::with_default(UNREACHABLE);
    let mut order = Vec::new();
    let Some(entry) = func.layout.entry_block() else { return (order, index) };
    let mut visited: SecondaryMap<Block, bool> = SecondaryMap::new();
    // Blocks on the path, each with the number of branches that are still to be followed.
    let degree = |block| terminator(func, block).map_or(0, |inst| branches(func, inst).len());
    let mut path = vec![(entry, degree(entry))];
    visited[entry] = true;
    while let Some((block, left)) = path.last_mut() {
        let block = *block;
        if *left == 0 {
            order.push(block);
            path.pop();
            continue;
        }
        *left -= 1;
        let inst = terminator(func, block).expect("a block with branches has a last instruction");
        let next = branches(func, inst)[*left].block(&func.dfg.value_lists);
        if !visited[next] {
            visited[next] = true;
            path.push((next, degree(next)));
        }
    }
    order.reverse();
    for (i, &block) in order.iter().enumerate() {
        index[block] = i as Index;
    }
    (order, index)
}
