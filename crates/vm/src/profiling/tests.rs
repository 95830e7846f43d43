//! The files, read back as the formats say.

use super::*;
use std::fs;

const CODE: [u8; 5] = [0x89, 0xf8, 0x83, 0xc0, 0x01];

fn sample() -> [Function<'static>; 2] {
    let function =
        |name: &str, address, lines| Function { name: name.into(), address, code: &CODE, lines, file: "m.wasm" };
    [function("one", 0x1000, vec![(0x1000, 70), (0x1002, 72)]), function("wasm-function[2]", 0x2000, vec![])]
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("heapwright-{}-{name}", std::process::id()))
}

#[test]
fn a_perf_map_has_a_line_a_function() {
    let path = path("perf.map");
    PerfMap::new(path.clone()).unwrap().write(sample().into_iter()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "1000 5 one\n2000 5 wasm-function[2]\n");
    fs::remove_file(path).unwrap();
}

/// Reads numbers off a file.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }
    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.bytes(4).try_into().unwrap())
    }
    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.bytes(8).try_into().unwrap())
    }
    fn string(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let string = self.bytes(end);
        self.bytes(1);
        string
    }
}

#[test]
fn a_jitdump_has_lines_before_code() {
    let path = path("jit.dump");
    JitDump::new(path.clone()).unwrap().write(sample().into_iter()).unwrap();
    let file = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    let mut file = Reader(&file);
    assert_eq!([file.u32(), file.u32(), file.u32()], [0x4a69_5444, 1, 40]);
    assert!(file.u32() != 0 && file.u32() == 0 && file.u32() == std::process::id());
    let mut before = file.u64();
    assert_eq!(file.u64(), 0);
    let (mut seen, mut loaded) = (Vec::new(), 0);
    while !file.0.is_empty() {
        let (kind, size, time) = (file.u32(), file.u32(), file.u64());
        assert!(time >= before, "time goes back");
        before = time;
        let mut body = Reader(file.bytes(size as usize - 16));
        if kind == 2 {
            assert_eq!((body.u64(), body.u64()), (0x1000, 2));
            assert_eq!((body.u64(), body.u32(), body.u32(), body.string()), (0x1000, 70, 0, &b"m.wasm"[..]));
            assert_eq!((body.u64(), body.u32(), body.u32(), body.string()), (0x1002, 72, 0, &[0xff][..]));
        } else {
            assert_eq!((kind, body.u32()), (0, std::process::id()));
            assert!(body.u32() != 0, "a thread");
            let (virtual_address, address) = (body.u64(), body.u64());
            assert_eq!(virtual_address, address);
            assert_eq!((body.u64(), body.u64()), (5, loaded));
            loaded += 1;
            let name = String::from_utf8(body.string().to_vec()).unwrap();
            assert_eq!(body.bytes(5), CODE);
            seen.push(name);
        }
        assert!(body.0.is_empty());
        seen.push(kind.to_string());
    }
    assert_eq!(seen, ["2", "one", "0", "wasm-function[2]", "0"]);
}

#[test]
fn names_stay_on_their_line() {
    assert_eq!(one_line("a\nb\0c"), "a b c");
}
