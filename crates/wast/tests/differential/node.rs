//! Running commands under Node.

use crate::commands::{Arg, Command};
use crate::ours::{Answers, NOT_COMPARED};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process;

/// The first version of Node with WebAssembly's garbage collection complete.
const OLDEST: u32 = 22;

/// Needed by some versions for exceptions as values, unknown to others.
const FLAGS: &[&str] = &["--experimental-wasm-exnref"];

/// A Node that can be compared with.
#[derive(Clone)]
pub(crate) struct Node {
    program: PathBuf,
    flags: Vec<&'static str>,
    pub(crate) version: String,
}

impl Node {
    /// The program that `HEAPWRIGHT_NODE` names, or else `node`; or why there is none.
    pub(crate) fn find() -> Result<Node, String> {
        let named = std::env::var_os("HEAPWRIGHT_NODE");
        let program = named.map_or_else(|| PathBuf::from("node"), PathBuf::from);
        let output = process::Command::new(&program).arg("--version").output();
        let output = output.map_err(|e| format!("{} cannot be run: {e}", program.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major = version.strip_prefix('v').and_then(|v| v.split('.').next()).and_then(|v| v.parse::<u32>().ok());
        match major {
            Some(major) if major >= OLDEST => {}
            _ => return Err(format!("{} is {version:?}, and {OLDEST} or later is needed", program.display())),
        }
        let known = |flag: &&str| {
            let tried = process::Command::new(&program).args([flag, "-e", "0"]).output();
            tried.is_ok_and(|output| output.status.success())
        };
        let flags = FLAGS.iter().copied().filter(known).collect();
        Ok(Node { program, flags, version })
    }

    /// How each command ended. `ours` says of which types the results are.
    pub(crate) fn run(&self, label: &str, commands: &[Command], ours: &Answers) -> Result<Vec<String>, String> {
        let mut text = String::new();
        let mut sent = Vec::new();
        for (i, command) in commands.iter().enumerate() {
            if let Some(line) = line(command, ours.types[i].as_deref()) {
                text.push_str(&line);
                text.push('\n');
                sent.push(i);
            }
        }
        let name: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("differential-{name}.txt"));
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/differential/run.mjs");
        let output = process::Command::new(&self.program).args(&self.flags).arg(driver).arg(&file).output();
        let output = output.map_err(|e| format!("{}: {e}", self.program.display()))?;
        let lines: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        if !output.status.success() || lines.len() != sent.len() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("Node ended with {} after {} answers: {errors}", output.status, lines.len()));
        }
        let mut answers = vec![NOT_COMPARED.to_owned(); commands.len()];
        for (i, line) in sent.into_iter().zip(lines) {
            answers[i] = line;
        }
        Ok(answers)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A command for the driver script; `None` for a call that JavaScript cannot make.
fn line(command: &Command, types: Option<&str>) -> Option<String> {
    Some(match command {
        Command::Module { id, bytes } => format!("module {id} {}", hex(bytes)),
        Command::Register { name, id } => format!("register {} {id}", hex(name.as_bytes())),
        Command::Dump { id } => format!("dump {id}"),
        Command::Invoke { id, name, args } => {
            let mut line = format!("invoke {id} {} {}", hex(name.as_bytes()), types?);
            for arg in args {
                let _ = match arg {
                    Arg::I32(v) => write!(line, " i32:{v}"),
                    Arg::I64(v) => write!(line, " i64:{v}"),
                    Arg::F32(bits) => write!(line, " f32:{bits:08x}"),
                    Arg::F64(bits) => write!(line, " f64:{bits:016x}"),
                    Arg::Null => write!(line, " null"),
                    Arg::Host(n) => write!(line, " host:{n}"),
                };
            }
            line
        }
    })
}
