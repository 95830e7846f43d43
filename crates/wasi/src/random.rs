//! Random bytes: the host's, or a seeded sequence for reproducible runs.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory;
use std::io;

/// A source of random bytes for a guest.
pub trait Random: Send {
    /// Fills `buf`.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()>;
}

/// The host's cryptographic random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        getrandom::fill(buf).map_err(|error| match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::other(error.to_string()),
        })
    }
}

/// A fixed sequence of bytes for each seed, for reproducible runs: the SplitMix64 generator, its
/// outputs in little-endian order.
///
/// The sequence is one of bytes: it does not depend on how a guest cuts its requests. Anyone who knows
/// the seed knows the bytes, so this is no source of secrets.
#[derive(Clone, Copy, Debug)]
pub struct SeededRandom {
    state: u64,
    word: [u8; 8],
    /// How many bytes of `word` have been handed out.
    used: usize,
}

impl SeededRandom {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> SeededRandom {
        SeededRandom { state: seed, word: [0; 8], used: 8 }
    }

    fn next_word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        for byte in buf {
            if self.used == self.word.len() {
                self.word = self.next_word().to_le_bytes();
                self.used = 0;
            }
            *byte = self.word[self.used];
            self.used += 1;
        }
        Ok(())
    }
}

impl WasiCtx {
    /// `random_get`: fills `len` bytes at `buf` with random data.
    pub fn random_get(&mut self, mem: &mut [u8], buf: u32, len: u32) -> Result<(), Errno> {
        let buf = memory::bytes_mut(mem, buf, len)?;
        Ok(self.random.fill(buf)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The first outputs of SplitMix64 for the seed 1234567, from the generator's published reference.
    #[test]
    fn seeded_bytes_are_splitmix64() {
        let mut random = SeededRandom::new(1_234_567);
        let mut bytes = [0u8; 24];
        random.fill(&mut bytes).unwrap();
        let words: Vec<u64> = bytes.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect();
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn seeded_bytes_do_not_depend_on_the_cuts() {
        let mut whole = [0u8; 41];
        SeededRandom::new(7).fill(&mut whole).unwrap();
        let mut pieces = [0u8; 41];
        let mut random = SeededRandom::new(7);
        let (a, rest) = pieces.split_at_mut(3);
        let (b, c) = rest.split_at_mut(17);
        for piece in [a, b, c] {
            random.fill(piece).unwrap();
        }
        assert_eq!(whole, pieces);
    }
}
