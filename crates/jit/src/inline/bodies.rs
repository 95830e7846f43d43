//! Where the bodies of a module are, for looking at any of them again.

use crate::module::FunctionBody;
use std::ops::Range;
use wasmparser::{BinaryReader, FuncToValidate, ValidatorResources, WasmFeatures};

/// Places of the bodies of a module's functions.
pub(crate) struct BodyTable {
    /// What the validator knows of the module; `None` without functions.
    resources: Option<ValidatorResources>,
    bodies: Vec<Body>,
}

struct Body {
    ty: u32,
    /// Where it is in the module.
    range: Range<usize>,
}

impl BodyTable {
    /// Notes the bodies of a parsed module.
    pub(crate) fn new(bodies: &[FunctionBody<'_>]) -> BodyTable {
        let resources = bodies.first().map(|body| body.validator.resources.clone());
        let range = |body: &FunctionBody<'_>| {
            let range = body.body.range();
            range.start as usize..range.end as usize
        };
        let bodies = bodies.iter().map(|body| Body { ty: body.validator.ty, range: range(body) }).collect();
        BodyTable { resources, bodies }
    }

    /// Number of functions.
    pub(crate) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Bytes of a defined function's body.
    pub(super) fn bytes(&self, defined: u32) -> usize {
        self.bodies[defined as usize].range.len()
    }

    /// The body of a defined function, as the parser gave it; `index` is the function's index with imports counted.
    pub(crate) fn get<'a>(
        &self,
        wasm: &'a [u8],
        features: WasmFeatures,
        index: u32,
        defined: u32,
    ) -> Option<FunctionBody<'a>> {
        let Body { ty, range } = self.bodies.get(defined as usize)?;
        let resources = self.resources.clone()?;
        let body = BinaryReader::new_features(wasm.get(range.clone())?, range.start as u64, features);
        let validator = FuncToValidate { resources, index, ty: *ty, features };
        Some(FunctionBody { index, validator, body: wasmparser::FunctionBody::new(body) })
    }
}
