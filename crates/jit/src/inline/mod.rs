//! Which calls the translator replaces by the body of what they call.
//!
//! The decision is made once a module, before anything is translated, and bottom-up: a function is *inlinable* when it is small after all
//! inlinable functions that it calls have been put into it ([`plan`]). So what is inlined, is inlined whole, and the code of a function
//! depends on the module alone, not on the order in which functions are compiled.
//!
//! Everything is bounded, because the guest chooses it: an inlinable function has at most [`MOST_WEIGHT`] with all that is in it, and at most [`MOST_DEPTH`] bodies
//! in each other; what is added to one function is bounded by its own size ([`Inliner::budget`]), so that compile time stays linear in
//! the module's size.

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
const MOST_WEIGHT: u32 = 32;
/// A function of this weight takes about as much code as its call: it is inlined where nothing larger may be.
const NEGLIGIBLE: u32 = 6;
/// How many inlined bodies may stand in each other.
const MOST_DEPTH: u8 = 8;
/// What may be added to any function. Most functions are small, so most of what inlining costs at compile time is due to this.
const LEAST_BUDGET: u32 = 48;
/// For how many bytes of its body one unit more may be added to a function.
const BYTES_PER_WEIGHT: u32 = 8;
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

/// How much may still be added to a function.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget(Option<u32>);

impl<'a> Inliner<'a> {
    /// What may be added to a function whose body has so many bytes.
    pub(crate) fn budget(&self, bytes: usize) -> Budget {
        Budget((bytes <= HUGE).then(|| LEAST_BUDGET + bytes as u32 / BYTES_PER_WEIGHT))
    }

    /// The body of a function, when its calls may be replaced by it.
    pub(crate) fn body(&self, function: u32, defined: u32) -> Option<FunctionBody<'a>> {
        self.bodies.get(self.wasm, self.features, function, defined)
    }
}

impl Budget {
    /// Pays for a body of this weight, if that is possible. The smallest cost nothing: they replace a call of about their size.
    pub(crate) fn pay(&mut self, weight: u32) -> bool {
        self.0.is_some() && (weight <= NEGLIGIBLE || self.pay_in_full(weight))
    }

    /// The same where even small bodies have to be counted, because they may come again and again.
    pub(crate) fn pay_in_full(&mut self, weight: u32) -> bool {
        let left = self.0.and_then(|left| left.checked_sub(weight.max(1)));
        self.0 = left.or(self.0);
        left.is_some()
    }
}
