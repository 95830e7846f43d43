//! Why an artifact is refused.

use std::error::Error;
use std::fmt;

/// Why an artifact is refused. Nothing of it has been executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactError {
    /// It does not begin like an artifact.
    NotAnArtifact,
    /// The file format is another one.
    WrongFormat {
        /// The file's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// Bytes are missing, or there are too many.
    WrongLength {
        /// Bytes there are.
        found: u64,
        /// Bytes that the header announces, or that a header has.
        expected: u64,
    },
    /// The checksum does not fit: some byte is not what was written.
    Corrupted,
    /// Another build of the compiler made it.
    WrongVersion {
        /// The build that made it.
        found: String,
        /// This one.
        expected: String,
    },
    /// It is for another kind of machine, or for a processor that can more than this one.
    WrongTarget {
        /// What it is for, or needs.
        found: String,
        /// What there is.
        expected: String,
    },
    /// It was compiled for another collector.
    WrongCollector {
        /// That collector.
        found: String,
        /// The engine's.
        expected: String,
    },
    /// It was compiled for the collector of this name when that declared something else.
    WrongSpec {
        /// The collector.
        collector: String,
    },
    /// The engine's settings would give other code.
    WrongSettings {
        /// The settings that differ, as the artifact has them.
        found: String,
        /// The same settings of the engine.
        expected: String,
    },
    /// The checksum fits, but the contents make no sense: no engine wrote it.
    Malformed(String),
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArtifactError::NotAnArtifact => f.write_str("this is no compiled module"),
            ArtifactError::WrongFormat { found, expected } => {
                write!(f, "the compiled module has file format {found}, and this engine reads format {expected}")
            }
            ArtifactError::WrongLength { found, expected } => {
                write!(f, "the compiled module has {found} bytes instead of {expected}")
            }
            ArtifactError::Corrupted => f.write_str("the compiled module is corrupted: its checksum does not fit"),
            ArtifactError::WrongVersion { found, expected } => {
                write!(f, "the module was compiled by version {found}, and this is version {expected}")
            }
            ArtifactError::WrongTarget { found, expected } => {
                write!(f, "the module was compiled for {found}, and this engine has {expected}")
            }
            ArtifactError::WrongCollector { found, expected } => {
                write!(f, "the module was compiled for the collector `{found}`, and the engine uses `{expected}`")
            }
            ArtifactError::WrongSpec { collector } => {
                write!(f, "the module was compiled for another declaration of the collector `{collector}`")
            }
            ArtifactError::WrongSettings { found, expected } => {
                write!(f, "the module was compiled with {found}, and the engine has {expected}")
            }
            ArtifactError::Malformed(what) => write!(f, "the compiled module is malformed: {what}"),
        }
    }
}

impl Error for ArtifactError {}
