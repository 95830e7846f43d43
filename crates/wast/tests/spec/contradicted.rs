//! Directives of old proposals that WebAssembly 3.0 contradicts.
//!
//! A proposal's scripts stay as they were when it was finished, and later proposals changed some answers. Such a
//! directive is listed here with what contradicts it. It has to *fail*: an entry that passes is reported as stale.

use heapwright_wast::Summary;

/// Directives of one script that are no longer right.
struct Contradicted {
    script: &'static str,
    lines: &'static [usize],
    /// What changed.
    why: &'static str,
    /// The script that tests the answer of 3.0.
    covered_by: &'static str,
}

const SEVERAL_MEMORIES: &str = "a module may have several memories";
const MEMORY_INDEX: &str = "what was a reserved zero byte of memory.size and memory.grow is a memory index in LEB128";
const LONG_LIMITS: &str = "limits and offsets are 64-bit numbers, so their encodings may be longer";
const LATE_SEGMENTS: &str = "a segment that does not fit traps, and what was written before it stays";

const TABLE: &[Contradicted] = &[
    Contradicted {
        script: "function-references/binary.wast",
        lines: &[145, 165, 184, 203, 242, 261, 279, 297],
        why: MEMORY_INDEX,
        covered_by: "multi-memory/memory_grow.wast and multi-memory/memory_size0.wast",
    },
    Contradicted {
        script: "memory64/binary.wast",
        lines: &[876, 896, 915, 934, 973, 992, 1010, 1028],
        why: MEMORY_INDEX,
        covered_by: "multi-memory/memory_grow.wast and multi-memory/memory_size0.wast",
    },
    Contradicted {
        script: "multi-value/binary.wast",
        lines: &[162, 182, 201, 220, 259, 278, 296, 314],
        why: MEMORY_INDEX,
        covered_by: "multi-memory/memory_grow.wast and multi-memory/memory_size0.wast",
    },
    Contradicted {
        script: "reference-types/binary.wast",
        lines: &[756, 776, 795, 814, 853, 872, 890, 908],
        why: MEMORY_INDEX,
        covered_by: "multi-memory/memory_grow.wast and multi-memory/memory_size0.wast",
    },
    Contradicted {
        script: "reference-types/binary.wast",
        lines: &[157, 354, 362, 419],
        why: LONG_LIMITS,
        covered_by: "latest/binary-leb128.wast",
    },
    Contradicted {
        script: "reference-types/binary-leb128.wast",
        lines: &[217, 225, 404, 461],
        why: LONG_LIMITS,
        covered_by: "latest/binary-leb128.wast",
    },
    Contradicted {
        script: "reference-types/imports.wast",
        lines: &[416, 420, 424],
        why: SEVERAL_MEMORIES,
        covered_by: "multi-memory/imports0.wast",
    },
    Contradicted {
        script: "memory64/memory.wast",
        lines: &[10, 11],
        why: SEVERAL_MEMORIES,
        covered_by: "multi-memory/memory-multi.wast",
    },
    Contradicted {
        script: "memory64/memory64.wast",
        lines: &[8, 9],
        why: SEVERAL_MEMORIES,
        covered_by: "multi-memory/memory-multi.wast",
    },
    Contradicted {
        script: "reference-types/unreached-invalid.wast",
        lines: &[539],
        why: "in unreachable code, labels of br_table need not agree in their types",
        covered_by: "latest/unreached-valid.wast (meet-bottom)",
    },
    Contradicted {
        script: "mutable-global/linking.wast",
        lines: &[206, 227, 236, 238, 248, 298, 334, 342, 344, 354],
        why: LATE_SEGMENTS,
        covered_by: "latest/linking.wast",
    },
];

/// What [`settle`] found.
pub(crate) struct Settled {
    /// How many failures the table explains.
    pub(crate) settled: usize,
    /// A message for each entry that explains nothing.
    pub(crate) stale: Vec<String>,
}

/// Takes the failures that the table explains out of a summary.
pub(crate) fn settle(script: &str, summary: &mut Summary) -> Settled {
    let mut result = Settled { settled: 0, stale: Vec::new() };
    for entry in TABLE.iter().filter(|entry| entry.script == script) {
        for &line in entry.lines {
            match summary.failures.iter().position(|failure| failure.line == line) {
                Some(at) => {
                    summary.failures.remove(at);
                    summary.failed -= 1;
                    result.settled += 1;
                }
                None => result.stale.push(format!(
                    "{script}:{line}: listed as contradicted ({}; see {}) but did not fail",
                    entry.why, entry.covered_by
                )),
            }
        }
    }
    result
}
