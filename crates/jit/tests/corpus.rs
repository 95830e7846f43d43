//! Programs of real compilers: they compile, and the tables that describe their code are consistent.

use heapwright_gc_heap::{AllocSpec, Barriers, Moves, Spec};
use heapwright_jit::artifact::CompiledModule;
use heapwright_jit::{Compiler, Settings};
use std::path::{Path, PathBuf};

static SPEC: Spec = Spec {
    name: "test",
    summary: "objects move, and nothing has a barrier",
    cites: &[],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::AtSafepoint,
    needs_roots: true,
    inline_limit: 4096,
};

fn programs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/corpus").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut programs: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "wasm")).collect();
    programs.sort();
    assert!(!programs.is_empty());
    programs
}

fn compile_all(folder: &str) {
    let compiler = Compiler::new(Settings { verify: true, ..Settings::default() }, &SPEC).expect("supported");
    for path in programs(folder) {
        let bytes = std::fs::read(&path).expect("a readable file");
        let module = compiler.compile_module(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        check(&module, bytes.len());
    }
}

fn ascending(offsets: &[u32]) -> bool {
    offsets.windows(2).all(|w| w[0] < w[1])
}

fn check(module: &CompiledModule, module_length: usize) {
    assert_eq!(module.funcs.len() + module.info.imported_funcs as usize, module.info.funcs.len());
    assert!(module.funcs.windows(2).all(|w| w[0].end() <= w[1].start));
    assert!(module.funcs.iter().all(|f| f.end() as usize <= module.text.len()));

    let maps = &module.tables.stack_maps;
    assert!(ascending(&maps.returns));
    for &offset in &maps.returns {
        assert!(module.func_at(offset - 1).is_some());
        let slots = maps.lookup(offset).expect("a listed return is found");
        assert!(slots.iter().all(|slot| slot % 4 == 0 && *slot > 0));
    }
    assert!(ascending(&module.tables.traps.offsets));
    assert!(module.tables.traps.offsets.iter().all(|&offset| module.func_at(offset).is_some()));

    let handlers = &module.tables.handlers;
    assert!(ascending(&handlers.returns));
    for &offset in &handlers.returns {
        let found = handlers.lookup(offset).expect("a listed return is found");
        assert!(!found.handlers.is_empty());
        assert!(found.context > 0 && found.context <= found.frame_size);
        for handler in found.handlers {
            assert_eq!(module.func_at(handler.code), module.func_at(offset - 1), "a handler in its own function");
            assert!(handler.tag.is_none_or(|tag| (tag as usize) < module.info.tags.len()));
        }
    }
    assert!(ascending(&module.tables.addresses.code));
    let wasm = module.tables.addresses.wasm.iter().filter(|&&w| w != u32::MAX);
    assert!(wasm.clone().count() > 0 && wasm.clone().all(|&w| (w as usize) < module_length));
}

#[test]
fn moonbit() {
    compile_all("moonbit");
}

#[test]
fn ocaml() {
    compile_all("ocaml");
}

#[test]
fn kotlin() {
    compile_all("kotlin");
}

#[test]
fn dart() {
    compile_all("dart");
}
