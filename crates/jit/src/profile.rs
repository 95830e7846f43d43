//! Whom the calls of modules called in earlier runs.
//!
//! A profile is text, one fact a line, so that it can be read, compared and kept beside a program's sources:
//!
//! ```text
//! heapwright call profile 1
//! module 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
//! call 1234 17 5000
//! call 1234 18 20
//! ```
//!
//! A module is told by the hash of its bytes. Then come its calls through references and tables: byte offset of the
//! instruction in the module, index of the function that was called, how often. A profile that does not fit its module
//! costs time and nothing else: whatever it says is compared with the callee before it is relied on.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The first line.
const HEAD: &str = "heapwright call profile 1";

/// Of a call, by function: how often it was called.
type Callees = BTreeMap<u32, u64>;

/// The calls of a module by their offsets.
pub(crate) type Calls = BTreeMap<u32, Callees>;

/// Whom the calls of modules called in earlier runs.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CallProfile {
    modules: BTreeMap<[u8; 32], Calls>,
}

impl CallProfile {
    /// An empty profile.
    pub fn new() -> CallProfile {
        CallProfile::default()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Adds calls of a module: each is the offset of the instruction in the module, the index of the function that was
    /// called (imports counted), and how often it was.
    pub fn add(&mut self, wasm: &[u8], calls: impl IntoIterator<Item = (u32, u32, u64)>) {
        let known = self.modules.entry(key(wasm)).or_default();
        for (call, function, count) in calls {
            add(known, call, function, count);
        }
    }

    /// Adds what another profile says.
    pub fn merge(&mut self, other: &CallProfile) {
        for (&module, calls) in &other.modules {
            let known = self.modules.entry(module).or_default();
            for (&call, callees) in calls {
                callees.iter().for_each(|(&function, &count)| add(known, call, function, count));
            }
        }
    }

    /// What is known of a module.
    pub(crate) fn of(&self, wasm: &[u8]) -> Option<&Calls> {
        self.modules.get(&key(wasm))
    }
}

fn key(wasm: &[u8]) -> [u8; 32] {
    *blake3::hash(wasm).as_bytes()
}

fn add(calls: &mut Calls, call: u32, function: u32, count: u64) {
    let known = calls.entry(call).or_default().entry(function).or_default();
    *known = known.saturating_add(count);
}

/// A short form that tells different profiles apart: settings are compared by it.
impl fmt::Debug for CallProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallProfile({})", blake3::hash(self.to_string().as_bytes()))
    }
}

impl fmt::Display for CallProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        for (module, calls) in &self.modules {
            writeln!(f, "module {}", blake3::Hash::from_bytes(*module))?;
            for (call, callees) in calls {
                callees.iter().try_for_each(|(function, count)| writeln!(f, "call {call} {function} {count}"))?;
            }
        }
        Ok(())
    }
}

/// Why a text is no profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    line: usize,
    message: &'static str,
}

impl ProfileError {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no call profile: line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ProfileError {}

impl FromStr for CallProfile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<CallProfile, ProfileError> {
        let mut profile = CallProfile::new();
        let mut module = None;
        let mut lines = text.lines().zip(1..);
        if lines.next().is_none_or(|(line, _)| line != HEAD) {
            return Err(ProfileError { line: 1, message: "`heapwright call profile 1` is expected" });
        }
        for (text, line) in lines {
            let refuse = |message| ProfileError { line, message };
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            match *words {
                [] => {}
                ["module", hash] => {
                    let hash = blake3::Hash::from_hex(hash).map_err(|_| refuse("a hash of 64 digits is expected"))?;
                    module = Some(*hash.as_bytes());
                    profile.modules.entry(*hash.as_bytes()).or_default();
                }
                ["call", call, function, count] => {
                    let number = |_| refuse("a number is expected");
                    let module = module.ok_or_else(|| refuse("a module is expected before its calls"))?;
                    let calls = profile.modules.entry(module).or_default();
                    let (call, function) = (call.parse().map_err(number)?, function.parse().map_err(number)?);
                    add(calls, call, function, count.parse().map_err(number)?);
                }
                _ => return Err(refuse("`module HASH` or `call OFFSET FUNCTION COUNT` is expected")),
            }
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> CallProfile {
        let mut profile = CallProfile::new();
        profile.add(b"one", [(70, 3, 5), (70, 1, 2), (9, 3, 1), (70, 3, 5)]);
        profile.add(b"other", [(1, 2, u64::MAX), (1, 2, 7)]);
        profile
    }

    #[test]
    fn text_says_everything() {
        let text = profile().to_string();
        assert_eq!(text.lines().filter(|line| line.starts_with("module ")).count(), 2);
        assert!(text.contains("call 9 3 1\ncall 70 1 2\ncall 70 3 10\n"), "{text}");
        assert!(text.contains(&format!("call 1 2 {}\n", u64::MAX)), "{text}");
        assert_eq!(text.parse(), Ok(profile()));
        assert_eq!(CallProfile::new().to_string().parse(), Ok(CallProfile::new()));
    }

    #[test]
    fn merging_adds_up() {
        let mut sum = profile();
        sum.merge(&profile());
        assert_eq!(sum.of(b"one").map(|calls| (calls[&70][&3], calls[&70][&1], calls[&9][&3])), Some((20, 4, 2)));
        assert_eq!(sum.of(b"none"), None);
        assert_ne!(format!("{sum:?}"), format!("{:?}", profile()));
        assert_eq!(format!("{:?}", profile()), format!("{:?}", profile()));
    }

    #[test]
    fn what_is_no_profile_is_refused_with_its_line() {
        let hash = "module ".to_owned() + &"0".repeat(64);
        let bad = [
            (1, String::new()),
            (1, "heapwright call profile 2\n".to_owned()),
            (2, format!("{HEAD}\ncall 1 2 3\n")),
            (2, format!("{HEAD}\nmodule 12\n")),
            (4, format!("{HEAD}\n{hash}\n\ncall 1 2\n")),
            (3, format!("{HEAD}\n{hash}\ncall 1 -2 3\n")),
            (3, format!("{HEAD}\n{hash}\ncall 1 2 18446744073709551616\n")),
            (3, format!("{HEAD}\n{hash}\nnonsense\n")),
        ];
        for (line, text) in bad {
            assert_eq!(text.parse::<CallProfile>().map_err(|e| e.line()), Err(line), "{text}");
        }
    }
}
