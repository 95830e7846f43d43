//! The column of machine code.

use super::{letter, offset};
use heapwright::FunctionListing;
use serde_json::{Value, json};

/// Whose instructions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    X64,
    Pulley,
    /// A processor for which there is no disassembler here.
    Other,
}

impl Dialect {
    /// What is compiled for a target; `None` is this machine.
    pub(super) fn of(target: Option<&str>) -> Dialect {
        match target {
            Some(triple) if triple.starts_with("pulley") => Dialect::Pulley,
            _ if cfg!(target_arch = "x86_64") => Dialect::X64,
            _ => Dialect::Other,
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Dialect::X64 => "x86-64",
            Dialect::Pulley => "Pulley bytecode",
            Dialect::Other => std::env::consts::ARCH,
        }
    }

    /// The register that frames are counted from.
    fn frame_pointer(self) -> &'static str {
        match self {
            Dialect::X64 => "rbp",
            Dialect::Pulley | Dialect::Other => "fp",
        }
    }
}

/// The lines of a function's code, each with what stands beside it: the references that the frame holds at a call, the
/// trap of an instruction, the function that is called.
pub(super) fn lines(listing: &FunctionListing, dialect: Dialect) -> Vec<Value> {
    let instructions = match dialect {
        Dialect::X64 => x64(&listing.code),
        Dialect::Pulley => pulley(&listing.code),
        Dialect::Other => Vec::new(),
    };
    if instructions.is_empty() {
        // As the compiler writes it, which says nothing of addresses.
        return listing.asm.lines().map(|text| json!([-1, "", -1, text, []])).collect();
    }
    let end = listing.code.len() as u32;
    let ends = instructions.iter().skip(1).map(|(start, _)| *start).chain([end]);
    let lines = instructions.iter().zip(ends).map(|((start, text), end)| line(listing, dialect, *start..end, text));
    lines.collect()
}

/// Instructions with their offsets.
fn x64(code: &[u8]) -> Vec<(u32, String)> {
    use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter};
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut formatter = NasmFormatter::new();
    let options = formatter.options_mut();
    options.set_branch_leading_zeros(false);
    options.set_space_after_operand_separator(true);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        found.push((instruction.ip() as u32, text));
    }
    found
}

/// As [`x64`]; empty if the code cannot be decoded.
fn pulley(code: &[u8]) -> Vec<(u32, String)> {
    let mut disassembler = pulley_interpreter::disas::Disassembler::new(code);
    disassembler.hexdump(false);
    if pulley_interpreter::decode::Decoder::decode_all(&mut disassembler).is_err() {
        return Vec::new();
    }
    // Each line is an offset, a colon and the instruction.
    let line = |line: &str| {
        let (at, text) = line.split_once(':')?;
        Some((u32::from_str_radix(at.trim(), 16).ok()?, text.trim().to_owned()))
    };
    disassembler.disas().lines().map(line).collect::<Option<_>>().unwrap_or_default()
}

fn line(listing: &FunctionListing, dialect: Dialect, at: std::ops::Range<u32>, text: &str) -> Value {
    let place = listing.places.partition_point(|place| place.code <= at.start).checked_sub(1);
    let place = place.map(|i| listing.places[i]);
    let mut notes: Vec<(&str, String)> = Vec::new();
    let call = listing.calls.partition_point(|(offset, _)| *offset < at.start);
    if let Some((_, callee)) = listing.calls.get(call).filter(|(offset, _)| at.contains(offset)) {
        notes.push(("call", callee.to_string()));
    }
    if let Ok(map) = listing.stack_maps.binary_search_by_key(&at.end, |map| map.0) {
        let fp = dialect.frame_pointer();
        let slots: Vec<String> = listing.stack_maps[map].1.iter().map(|slot| format!("{fp}-{slot:#x}")).collect();
        notes.push(("map", slots.join(" ")));
    }
    if let Ok(trap) = listing.traps.binary_search_by_key(&at.start, |trap| trap.0) {
        notes.push(("trap", listing.traps[trap].1.to_string()));
    }
    json!([offset(place.and_then(|p| p.wasm)), letter(place.and_then(|p| p.mark)), at.start, text, notes])
}
