//! The conformance kit: scenarios that every collector has to pass.
//!
//! A collector needs no test of its own to be tested here. What a scenario may demand of it follows from its
//! declaration only: one that declares `needs_roots: false` never frees, and is excused from reclaiming.
//!
//! - `programs`: random programs against a model in plain Rust; the reachable graphs must be isomorphic, nothing
//!   unreachable may be left, every host value is dropped once. A failing program is shortened and printed.
//! - `shapes`: what collectors get wrong: deep lists, cycles, wide objects, large arrays.
//! - `churn`: much garbage in a small heap.
//! - `growth`: tiny heaps, objects that do not fit, recovery from out-of-memory.
//! - `hosts`: host values are dropped when their box dies, and not before.
//! - `forged`: corrupted heaps give an error, never a panic or an endless loop.
//! - `zeal`: collections at the n-th allocation, poison, verification with fresh roots.
//! - `declared`: the declarations are well-formed and mean what they say.
//! - `elisions`: a store that may go without its barrier loses nothing.
//!
//! ```no_run
//! # let registration: &'static heapwright_collectors::Registration = &heapwright_collectors::all()[0];
//! heapwright_fuzzing::conformance::check(registration);
//! ```

mod churn;
mod declared;
pub mod elisions;
mod forged;
mod growth;
mod hosts;
mod programs;
mod shapes;
mod zeal;

use crate::shrink::quietly;
use heapwright_collectors::Registration;

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Module and name.
    pub name: &'static str,
    /// Runs it for a collector; panics when the collector fails.
    pub run: fn(&'static Registration),
    /// Whether it takes minutes in a debug build.
    pub slow: bool,
}

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($(Scenario {
            name: concat!(stringify!($module), "::", stringify!($name)),
            run: $module::$name,
            slow: false,
        }),+),+]
    };
}

/// The kit, quick scenarios first.
static SCENARIOS: &[Scenario] = scenarios! {
    declared: barrier_programs_are_well_formed, objects_move_only_if_declared, runs_repeat;
    shapes: all_kinds_keep_their_contents, many_roots_of_one_object, cycles_are_reclaimed, old_objects_keep_young_ones,
        large_arrays_follow_their_stores, what_a_large_array_drops_is_freed_in_time, an_old_list_dies_from_its_head,
        a_deep_list_is_no_problem;
    hosts: values_go_with_their_boxes, values_in_cycles_go_too, dropping_the_heap_drops_its_values;
    zeal: zeal_counts_allocations, freed_memory_is_poisoned, roots_are_enumerated_anew;
    programs: programs_match_the_model, programs_match_the_model_under_zeal, arbitrary_cases_match_the_model,
        long_programs_in_a_tight_heap;
    elisions: declared_elisions_lose_nothing, the_same_stores_with_their_barriers;
    growth: an_empty_heap_is_full, one_page_under_zeal, large_objects_fit_or_are_refused,
        out_of_memory_is_recovered_from, live_data_grows_the_heap;
    forged: wild_references, interior_references, inconsistent_roots, forged_headers, forged_log_bits,
        random_words_anywhere, overlapping_arrays, overlapping_arrays_of_credible_references;
    churn: only_rings, a_deep_stack_of_roots, garbage_in_a_tiny_fixed_heap, garbage_in_a_small_heap;
};

/// The full measure.
static SLOW: Scenario =
    Scenario { name: "churn::ten_gibibytes_in_a_small_heap", run: churn::ten_gibibytes_in_a_small_heap, slow: true };

/// Every scenario.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().chain([&SLOW])
}

/// Runs every scenario that is not slow.
///
/// # Panics
///
/// With the names and messages of those that the collector fails.
pub fn check(registration: &'static Registration) {
    let failed: Vec<String> = failures(registration).map(|(name, message)| format!("{name}: {message}")).collect();
    assert!(failed.is_empty(), "{} fails\n{}", registration.spec.name, failed.join("\n"));
}

/// The scenarios that a collector fails, each with its message; run as the iterator is advanced.
pub fn failures(registration: &'static Registration) -> impl Iterator<Item = (&'static str, String)> {
    SCENARIOS.iter().filter_map(move |scenario| Some((scenario.name, quietly(|| (scenario.run)(registration)).err()?)))
}
