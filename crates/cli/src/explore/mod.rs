//! `heapwright explore`: one page with Wasm, CLIF and machine code of each function side by side.
//!
//! The page is `page.html` with a JSON document in it; everything that depends on the module stands in the document.
//! Lines know the offset of the Wasm instruction that they belong to, and the page links those with the same offset.

mod code;
mod wasm;

use crate::args::ExploreArgs;
use crate::failure::{self, Failure};
use crate::load;
use crate::output::print;
use heapwright::{Engine, FunctionListing, Mark, replace_file};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The page without its data.
const PAGE: &str = include_str!("page.html");
/// What the data takes the place of.
const PLACE: &str = "/*DATA*/";

/// Writes the page.
pub(crate) fn run(args: &ExploreArgs) -> Result<u8, Failure> {
    let file = args.file.display();
    let out = match &args.output {
        Some(output) => output.clone(),
        None if load::is_stdin(&args.file) => {
            return Err(Failure::usage("--output is needed for a module from standard input"));
        }
        None => default_output(&args.file),
    };
    let bytes = load::module(&args.file)?.binary;
    let config = args.engine.config().map_err(Failure::usage)?;
    let engine = Engine::new(&config).map_err(|e| Failure::unusable(format_args!("{e:#}")))?;
    let mut choice = Choice::new(args);
    let listed = engine
        .list_functions(&bytes, |index, name, size| choice.take(index, name, size))
        .map_err(|e| Failure::unusable(format_args!("cannot load {file}: {e:#}")))?;
    choice.report()?;

    let text = wasm::Text::of(&bytes, &listed)
        .map_err(|e| Failure::unusable(format_args!("cannot print {file} as text: {e:#}")))?;
    let dialect = code::Dialect::of(args.engine.dev.target.as_deref());
    let name = args.file.file_name().unwrap_or(args.file.as_os_str()).to_string_lossy();
    let data = json!({
        "file": name,
        "collector": engine.collector().name(),
        "summary": engine.collector().spec().summary,
        "machine": dialect.name(),
        "total": choice.total,
        "functions": listed.iter().map(|f| function(f, &text, dialect)).collect::<Value>(),
    });
    // Inside a script element nothing may look like markup.
    let data = data.to_string().replace('<', "\\u003c");
    let page = PAGE.replacen(PLACE, &data, 1);
    replace_file(&out, page.as_bytes())
        .map_err(|e| Failure::unusable(format_args!("cannot write {}: {e}", out.display())))?;
    print(&format!("{}\n", out.display()))?;
    Ok(0)
}

fn default_output(file: &Path) -> PathBuf {
    Path::new(file.file_name().unwrap_or(file.as_os_str())).with_extension("html")
}

/// Which functions are shown.
struct Choice<'a> {
    args: &'a ExploreArgs,
    /// Functions seen so far.
    total: usize,
    /// Those among them that are wanted, and those that are shown.
    wanted: usize,
    shown: usize,
    /// Bytes of Wasm in those that are shown.
    bytes: u64,
    /// What was asked for by name or index and not found yet.
    missing: HashSet<&'a str>,
}

impl<'a> Choice<'a> {
    fn new(args: &'a ExploreArgs) -> Choice<'a> {
        let missing = args.functions.iter().map(String::as_str).collect();
        Choice { args, total: 0, wanted: 0, shown: 0, bytes: 0, missing }
    }

    /// Whether to show the next function. One alone may be of any size if it was asked for.
    fn take(&mut self, index: u32, name: Option<&str>, size: usize) -> bool {
        self.total += 1;
        let asked: Vec<&str> = self.args.functions.iter().map(String::as_str).collect();
        let is = |what: &str| Some(what) == name || what.parse() == Ok(index);
        let named = asked.iter().any(|what| is(what));
        self.missing.retain(|what| !is(what));
        if !named && !asked.is_empty() {
            return false;
        }
        self.wanted += 1;
        let bytes = self.bytes + size as u64;
        let fits = bytes <= self.args.max_wasm || (named && self.shown == 0);
        // What follows one that does not fit is left out too: a page shows the first functions, not a sample.
        let whole = self.shown + 1 == self.wanted;
        let taken = whole && fits && self.shown < self.args.limit;
        if taken {
            (self.shown, self.bytes) = (self.shown + 1, bytes);
        }
        taken
    }

    /// Says what is left out and why.
    fn report(&self) -> Result<(), Failure> {
        let file = self.args.file.display();
        if !self.missing.is_empty() {
            let mut missing: Vec<&str> = self.missing.iter().copied().collect();
            missing.sort_unstable();
            return Err(Failure::unusable(format_args!("{file} defines no function {}", missing.join(", "))));
        }
        if self.shown < self.wanted {
            let (shown, wanted) = (self.shown, self.wanted);
            let reason = match shown == self.args.limit {
                true => format!("--limit {shown} allows no more"),
                false => format!("--max-wasm allows no more than {} bytes of Wasm", self.args.max_wasm),
            };
            let left_out =
                format!("the page has the first {shown} of {wanted} functions: {reason}; --function picks others");
            failure::warn(format_args!("{file}: {left_out}"));
        }
        Ok(())
    }
}

/// A function for the page: its lines of Wasm `[offset, text]`, of CLIF `[offset, mark, text]`, and of machine code
/// `[offset, mark, address, text, notes]`. Offsets that are not known are -1.
fn function(listing: &FunctionListing, text: &wasm::Text, dialect: code::Dialect) -> Value {
    let clif: Vec<Value> =
        listing.clif.iter().map(|line| json!([offset(line.wasm), letter(line.mark), line.text])).collect();
    json!({
        "index": listing.index,
        "name": listing.name,
        "size": listing.body.len(),
        "bytes": listing.code.len(),
        "maps": listing.stack_maps.len(),
        "wasm": text.function(listing.index),
        "clif": clif,
        "code": code::lines(listing, dialect),
    })
}

fn offset(wasm: Option<u32>) -> i64 {
    wasm.map_or(-1, i64::from)
}

fn letter(mark: Option<Mark>) -> &'static str {
    match mark {
        Some(Mark::Allocation) => "a",
        Some(Mark::Barrier) => "b",
        None => "",
    }
}
