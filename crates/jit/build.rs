//! Gives the compiler's build a fingerprint: compiled code is only good for the compiler, and the layouts, that made
//! it.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // The heap's layouts are in compiled code too. Published alone, the crate finds only itself, and versions are
    // exact.
    for root in [here.join("src"), here.join("../gc-heap/src")] {
        if root.is_dir() {
            println!("cargo:rerun-if-changed={}", root.display());
            add(&root, &mut hash);
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=HEAPWRIGHT_FINGERPRINT={:016x}", hash.0);
}

/// Adds names and contents of all files below, in the order of their names.
fn add(dir: &Path, hash: &mut Fnv) {
    let entries = fs::read_dir(dir).expect("the sources can be listed");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("the sources can be listed").path()).collect();
    paths.sort();
    for path in paths {
        hash.bytes(path.file_name().expect("a listed file has a name").as_encoded_bytes());
        if path.is_dir() {
            add(&path, hash);
        } else {
            hash.bytes(&fs::read(&path).expect("the sources can be read"));
        }
    }
}

/// FNV-1a with 64 bits: this hash tells builds apart, and protects nothing.
struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().copied().chain((bytes.len() as u64).to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
