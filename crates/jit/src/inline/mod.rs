//! Which calls the translator replaces by the body of what they call.
//!
//! The decision is made once a module, before anything is translated, and bottom-up: a function is *inlinable* when it
//! is small after all inlinable functions that it calls have been put into it ([`plan`]). So what is inlined, is
//! inlined whole, and the code of a function depends on the module alone, not on the order in which functions are
//! compiled.
//!
//! Everything is bounded, because the guest chooses it: an inlinable function has at most [`MOST_WEIGHT`] with all that
//! is in it, and at most [`MOST_DEPTH`] bodies in each other; what is added to one function is bounded by a constant
//! and its own size ([`Inliner::budget`]), so that compile time stays linear in the module's size. Most of that is for
//! loops: elsewhere a call costs little beside what is around it, and code that is run once is most of the code.
//!
//! Calls through references become such calls where [`candidates`] has a guess.

mod bodies;
mod candidates;
mod plan;
mod weigh;

pub(crate) use bodies::BodyTable;
pub(crate) use candidates::Candidates;
pub(crate) use plan::Plan;

use crate::module::FunctionBody;
use wasmparser::WasmFeatures;

/// The largest weight of an inlinable function; see [`weigh`].
const MOST_WEIGHT: u32 = 40;
/// The largest weight that is added to what is run once a call.
const MOST_ONCE: u32 = 10;
/// A function of this weight takes about as much code as its call: it is inlined where nothing larger may be.
const NEGLIGIBLE: u32 = 6;
/// How many inlined bodies may stand in each other.
const MOST_DEPTH: u8 = 8;
/// What may be added to what any function runs once. Most functions are small, so most of what inlining costs at
/// compile time is due to this.
const LEAST_BUDGET: u32 = 4;
/// What may be added to any function where it is run often.
const OFTEN_BUDGET: u32 = 120;
/// For how many bytes of its body one unit more may be added to a function.
const BYTES_PER_WEIGHT: u32 = 16;
/// What a comparison with a candidate, and the code for what it does not meet, add to a function.
pub(crate) const GUARD: u32 = 6;
/// Bodies of more bytes are not inlined, and not even looked at.
const MOST_BYTES: usize = 256;
/// Nothing is inlined into bodies of more bytes.
const HUGE: usize = 64 << 10;

/// Gives the translator the bodies to inline.
#[derive(Clone, Copy)]
pub(crate) struct Inliner<'a> {
    /// The module's bytes.
    pub(crate) wasm: &'a [u8],
    /// Where the bodies are in them.
    pub(crate) bodies: &'a BodyTable,
    /// What is inlined.
    pub(crate) plan: &'a Plan,
    /// The language.
    pub(crate) features: WasmFeatures,
}

/// How often a place of a function is run, as far as the code shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heat {
    /// Once a call, if at all.
    Once,
    /// It is in a loop, or a profile says so.
    Often,
}

/// How much may still be added to a function.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget(Option<Left>);

/// By where it is added.
#[derive(Clone, Copy, Debug)]
struct Left {
    once: u32,
    often: u32,
}

impl<'a> Inliner<'a> {
    /// What may be added to a function whose body has so many bytes.
    pub(crate) fn budget(&self, bytes: usize) -> Budget {
        let by_size = bytes as u32 / BYTES_PER_WEIGHT;
        let left = Left { once: LEAST_BUDGET + by_size, often: OFTEN_BUDGET + by_size };
        Budget((bytes <= HUGE).then_some(left))
    }

    /// The body of a function, when its calls may be replaced by it.
    pub(crate) fn body(&self, function: u32, defined: u32) -> Option<FunctionBody<'a>> {
        self.bodies.get(self.wasm, self.features, function, defined)
    }
}

impl Budget {
    /// Pays for a body of this weight, if that is possible. The smallest cost nothing: they replace a call of about
    /// their size.
    pub(crate) fn pay(&mut self, weight: u32, heat: Heat) -> bool {
        self.0.is_some() && (weight <= NEGLIGIBLE || self.pay_in_full(weight, heat))
    }

    /// The same where even small bodies have to be counted, because they may come again and again.
    pub(crate) fn pay_in_full(&mut self, weight: u32, heat: Heat) -> bool {
        let Some(left) = &mut self.0 else { return false };
        let left = match heat {
            Heat::Once if weight > MOST_ONCE => return false,
            Heat::Once => &mut left.once,
            Heat::Often => &mut left.often,
        };
        let Some(rest) = left.checked_sub(weight.max(1)) else { return false };
        *left = rest;
        true
    }
}
