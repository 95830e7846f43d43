//! What compiled code depends on beside the module itself: code runs only where all of it is the same.

use super::ArtifactError;
use crate::Settings;
use cranelift_codegen::isa::TargetIsa;
use heapwright_gc_heap::Spec;
use serde::{Deserialize, Serialize};

/// The build of the compiler: version, fingerprint of its sources, code generator.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("HEAPWRIGHT_FINGERPRINT"));

/// What compiled code depends on beside the module. Stands in every artifact, and is part of the key of cached code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The build of the compiler.
    build: String,
    /// The target triple.
    target: String,
    /// Target-independent settings of the code generator.
    flags: Vec<String>,
    /// Abilities of the processor that the code may use.
    processor: Vec<String>,
    /// Name of the collector.
    collector: String,
    /// blake3 of all that the collector declares.
    spec: [u8; 32],
    /// The settings that change code.
    settings: String,
}

impl Identity {
    /// The identity of what a compiler with these properties makes.
    pub(crate) fn new(isa: &dyn TargetIsa, settings: &Settings, spec: &Spec) -> Identity {
        let shared = isa.flags().iter().filter(|v| v.name != "enable_verifier");
        let own = isa.isa_flags();
        let enabled = own.iter().filter(|v| v.as_bool() != Some(false));
        let mut processor: Vec<String> =
            enabled.map(|v| if v.as_bool().is_some() { v.name.to_owned() } else { v.to_string() }).collect();
        processor.sort();
        // Whatever else is added to the settings is compared; these three alone change no code.
        let settings = Settings { verify: false, parallel: false, ahead: false, ..settings.clone() };
        Identity {
            build: format!("{BUILD} (cranelift {})", cranelift_codegen::VERSION),
            target: isa.triple().to_string(),
            flags: shared.map(|v| v.to_string()).collect(),
            processor,
            collector: spec.name.to_owned(),
            spec: *blake3::hash(&spec.canonical_bytes()).as_bytes(),
            settings: format!("{settings:?}"),
        }
    }

    /// One sequence of bytes, different for different identities.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("an identity is plain data, and memory grows")
    }

    /// Whether code with the identity `found` can run in an engine with this one.
    ///
    /// # Errors
    ///
    /// The first difference. A processor that can more than the code asks for is none.
    pub fn admits(&self, found: &Identity) -> Result<(), ArtifactError> {
        if found.build != self.build {
            let (found, expected) = (found.build.clone(), self.build.clone());
            return Err(ArtifactError::WrongVersion { found, expected });
        }
        if found.target != self.target {
            let (found, expected) = (found.target.clone(), self.target.clone());
            return Err(ArtifactError::WrongTarget { found, expected });
        }
        let missing: Vec<&str> =
            found.processor.iter().filter(|p| !self.processor.contains(p)).map(String::as_str).collect();
        if !missing.is_empty() {
            let found = format!("a processor with {}", missing.join(", "));
            return Err(ArtifactError::WrongTarget { found, expected: "a processor without".to_owned() });
        }
        if found.collector != self.collector {
            let (found, expected) = (found.collector.clone(), self.collector.clone());
            return Err(ArtifactError::WrongCollector { found, expected });
        }
        if found.spec != self.spec {
            return Err(ArtifactError::WrongSpec { collector: self.collector.clone() });
        }
        if found.settings != self.settings {
            let (found, expected) = differences(&found.settings, &self.settings);
            return Err(ArtifactError::WrongSettings { found, expected });
        }
        if found.flags != self.flags {
            let only = |a: &[String], b: &[String]| {
                a.iter().filter(|flag| !b.contains(flag)).map(String::as_str).collect::<Vec<_>>().join(", ")
            };
            let (found, expected) = (only(&found.flags, &self.flags), only(&self.flags, &found.flags));
            return Err(ArtifactError::WrongSettings { found, expected });
        }
        Ok(())
    }
}

/// The parts of two debug texts that differ: `name: value` of each field.
fn differences(a: &str, b: &str) -> (String, String) {
    let fields = |text: &'_ str| -> Vec<String> {
        let inner = text.split_once('{').map_or(text, |(_, rest)| rest).trim_end_matches('}');
        inner.split(',').map(|field| field.trim().to_owned()).collect()
    };
    let (a, b) = (fields(a), fields(b));
    let only = |x: &[String], y: &[String]| {
        x.iter().filter(|field| !y.contains(field)).map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    (only(&a, &b), only(&b, &a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compiler;

    #[test]
    fn only_what_differs_is_named() {
        let a = "Settings { signal_traps: true, optimize: true, memory_guard: 5 }";
        let b = "Settings { signal_traps: false, optimize: true, memory_guard: 6 }";
        let (a, b) = differences(a, b);
        assert_eq!(
            (a.as_str(), b.as_str()),
            ("signal_traps: true, memory_guard: 5", "signal_traps: false, memory_guard: 6")
        );
    }

    fn identity() -> Identity {
        let spec = heapwright_collectors::default().spec;
        Compiler::new(Settings::default(), spec).expect("a compiler for this machine").identity()
    }

    #[test]
    fn each_part_is_compared() {
        let ours = identity();
        assert_eq!(ours.admits(&ours), Ok(()));
        let but = |change: fn(&mut Identity)| {
            let mut found = ours.clone();
            change(&mut found);
            assert_ne!(found.canonical_bytes(), ours.canonical_bytes());
            ours.admits(&found).expect_err("it differs")
        };
        assert!(matches!(but(|i| i.build.push('x')), ArtifactError::WrongVersion { .. }));
        assert!(matches!(but(|i| i.target = "pulley64".into()), ArtifactError::WrongTarget { .. }));
        match but(|i| i.processor.push("has_flight".into())) {
            ArtifactError::WrongTarget { found, .. } => assert!(found.contains("has_flight"), "{found}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(but(|i| i.collector = "other".into()), ArtifactError::WrongCollector { .. }));
        assert!(matches!(but(|i| i.spec[31] ^= 1), ArtifactError::WrongSpec { .. }));
        assert!(matches!(but(|i| i.settings.push('x')), ArtifactError::WrongSettings { .. }));
        assert!(matches!(but(|i| i.flags.push("x=1".into())), ArtifactError::WrongSettings { .. }));
    }

    #[test]
    fn a_better_processor_will_do() {
        let ours = identity();
        let mut found = ours.clone();
        assert!(!found.processor.is_empty());
        found.processor.clear();
        assert_eq!(ours.admits(&found), Ok(()));
    }

    #[test]
    fn verification_changes_no_code() {
        let spec = heapwright_collectors::default().spec;
        let of = |settings| Compiler::new(settings, spec).expect("a compiler for this machine").identity();
        let settings = Settings::default();
        let verified = Settings {
            verify: !settings.verify,
            parallel: !settings.parallel,
            ahead: !settings.ahead,
            ..settings.clone()
        };
        assert_eq!(of(verified), of(settings.clone()));
        assert_ne!(of(Settings { memory_guard: 64 << 20, ..settings.clone() }), of(settings));
    }
}
