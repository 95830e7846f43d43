//! Totals over all tests.

use heapwright_wast::Summary;
use std::fmt;

/// Counts of directives over all tests that ran.
#[derive(Default)]
pub(crate) struct Totals {
    scripts: usize,
    core: Counts,
    simd: Counts,
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    validator_only: usize,
    contradicted: usize,
}

impl Totals {
    /// Adds a script of a set, of which `contradicted` directives are known to contradict the specification.
    pub(crate) fn add(&mut self, set: &str, summary: &Summary, contradicted: usize) {
        self.scripts += 1;
        let counts = if set.contains("simd") { &mut self.simd } else { &mut self.core };
        counts.passed += summary.passed;
        counts.failed += summary.failed;
        counts.skipped += summary.skipped;
        counts.validator_only += summary.validator_only;
        counts.contradicted += contradicted;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { scripts, core, simd } = self;
        writeln!(f, "Directives of {scripts} runs of scripts:")?;
        writeln!(f, "  executed:        {} passed, {} failed, {} skipped", core.passed, core.failed, core.skipped)?;
        writeln!(f, "  executed, SIMD:  {} passed, {} failed, {} skipped", simd.passed, simd.failed, simd.skipped)?;
        writeln!(f, "  validator only:  {} passed", core.validator_only + simd.validator_only)?;
        let contradicted = core.contradicted + simd.contradicted;
        writeln!(f, "  superseded:      {contradicted} contradict WebAssembly 3.0 and were seen to fail")
    }
}
