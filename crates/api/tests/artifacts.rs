//! Compiled modules as bytes, as files and in the cache: they run like the original, and what is not theirs is refused
//! with a reason.

use heapwright::{
    ArtifactError, Cache, Collector, Config, DEFAULT_CACHE_LIMIT, Engine, Event, EventSink, Instance, Module,
    ResourcesRequired, Result, Store, Trap,
};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// Everything that has a table of its own: references in frames over a collection, traps, handlers, data segments, a
/// function table, a start function.
const PROGRAM: &str = r#"
(module $artifact
  (type $list (struct (field $value i32) (field $next (ref null $list))))
  (type $binary (func (param i32 i32) (result i32)))
  (memory 2)
  (data (i32.const 100) "\2a")
  (tag $odd (param i32))
  (table funcref (elem $add $sub))
  (global $started (mut i32) (i32.const 0))
  (start $begin)
  (func $begin (global.set $started (i32.const 1)))
  (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))
  (func $make (param $n i32) (result (ref null $list))
    (if (result (ref null $list)) (local.get $n)
      (then (struct.new $list (local.get $n) (call $make (i32.sub (local.get $n) (i32.const 1)))))
      (else (ref.null $list))))
  (func $sum (param $l (ref null $list)) (result i32)
    (if (result i32) (ref.is_null (local.get $l))
      (then (i32.const 0))
      (else (i32.add (struct.get $list $value (local.get $l)) (call $sum (struct.get $list $next (local.get $l)))))))
  (func $check (param i32) (if (i32.and (local.get 0) (i32.const 1)) (then (throw $odd (local.get 0)))))
  (func (export "run") (param $n i32) (result i32)
    (local $l (ref null $list))
    (local.set $l (call $make (local.get $n)))
    (i32.add (call $sum (local.get $l))
      (i32.add (i32.load8_u (i32.const 100))
        (call_indirect (type $binary) (global.get $started) (block $caught (result i32)
          (try_table (catch $odd $caught) (call $check (local.get $n)))
          (i32.const -1000))
          (i32.const 1)))))
  (func (export "trap") (result i32) (i32.div_u (i32.const 1) (i32.const 0))))
"#;

fn engine(change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config::new();
    change(&mut config);
    Engine::new(&config).unwrap()
}

/// What the program gives, worked out by hand: the sum of the list, 42 from memory, and 1 (the start function has run)
/// less what was caught, which is `n` when it is odd and -1000 when nothing was thrown.
fn expected(n: i32) -> i32 {
    let thrown = if n % 2 == 1 { n } else { -1000 };
    (1..=n).sum::<i32>() + 42 + (1 - thrown)
}

fn check(module: &Module) -> Result<()> {
    let mut store = Store::new(module.engine(), ())?;
    let instance = Instance::new(&mut store, module, &[])?;
    let run = instance.typed_func::<i32, i32>(&mut store, "run")?;
    for n in [10, 11] {
        assert_eq!(run.call(&mut store, n)?, expected(n));
    }
    let trapped = instance.typed_func::<(), i32>(&mut store, "trap")?.call(&mut store, ()).unwrap_err();
    let trap = trapped.downcast_ref::<Trap>().expect("a trap");
    assert_eq!(trap.to_string(), "integer divide by zero");
    let frame = &trap.backtrace().frames()[0];
    assert_eq!((frame.module().name(), frame.module_offset().is_some()), (Some("artifact"), true));
    Ok(())
}

fn deserialize(engine: &Engine, bytes: &[u8]) -> Result<Module> {
    // SAFETY: the bytes are those of `serialize` in this process, or such with damage that the checksum finds out.
    unsafe { Module::deserialize(engine, bytes) }
}

#[track_caller]
fn refused(engine: &Engine, bytes: &[u8]) -> ArtifactError {
    let error = deserialize(engine, bytes).expect_err("refused");
    error.downcast_ref::<ArtifactError>().unwrap_or_else(|| panic!("no artifact error: {error:#}")).clone()
}

#[test]
fn compiled_modules_run_under_every_collector() -> Result<()> {
    let dir = TempDir::new()?;
    for collector in Collector::all() {
        let compile = engine(|c| _ = c.collector(collector));
        let run = engine(|c| _ = c.collector(collector).zeal(1));
        let module = Module::new(&compile, PROGRAM)?;
        let bytes = module.serialize()?;
        assert_eq!(bytes, compile.precompile_module(PROGRAM.as_bytes())?);
        assert!(Engine::is_precompiled(&bytes) && !Engine::is_precompiled(PROGRAM.as_bytes()));
        let path = dir.path().join(collector.name());
        fs::write(&path, &bytes)?;
        // SAFETY: the file is this test's.
        let mapped = unsafe { Module::deserialize_file(&run, &path)? };
        for again in [deserialize(&run, &bytes)?, mapped] {
            check(&again)?;
            assert_eq!(again.text(), module.text());
            assert!(again.address_map().eq(module.address_map()));
            assert_eq!(again.serialize()?, bytes);
        }
    }
    Ok(())
}

#[test]
fn a_module_without_code() -> Result<()> {
    let engine = Engine::default();
    let bytes = Module::new(&engine, "(module)")?.serialize()?;
    let module = deserialize(&engine, &bytes)?;
    Instance::new(&mut Store::new(&engine, ())?, &module, &[])?;
    Ok(())
}

#[test]
fn any_flipped_bit_is_found_out() {
    let engine = Engine::default();
    let bytes = engine.precompile_module(PROGRAM.as_bytes()).unwrap();
    let header = 0..128;
    let rest = (128..bytes.len()).step_by(7);
    for (i, at) in header.chain(rest).enumerate() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (i % 8);
        let error = refused(&engine, &flipped);
        let expected = match at {
            0..8 => matches!(error, ArtifactError::NotAnArtifact),
            8..12 => matches!(error, ArtifactError::WrongFormat { .. }),
            48..56 => matches!(error, ArtifactError::WrongLength { .. }),
            _ => error == ArtifactError::Corrupted,
        };
        assert!(expected, "byte {at}: {error:?}");
    }
}

#[test]
fn files_that_are_cut_off_or_grown() {
    let engine = Engine::default();
    let bytes = engine.precompile_module(PROGRAM.as_bytes()).unwrap();
    for length in (8..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(matches!(refused(&engine, &bytes[..length]), ArtifactError::WrongLength { .. }), "{length} bytes");
    }
    assert_eq!(refused(&engine, &bytes[..7]), ArtifactError::NotAnArtifact);
    assert_eq!(refused(&engine, &[]), ArtifactError::NotAnArtifact);
    assert_eq!(refused(&engine, b"\0asm\x01\0\0\0"), ArtifactError::NotAnArtifact);
    let grown = [&bytes[..], &[0]].concat();
    assert!(matches!(refused(&engine, &grown), ArtifactError::WrongLength { .. }));
}

#[test]
fn code_for_another_engine_is_refused() {
    let collectors: Vec<Collector> = Collector::all().collect();
    let bytes = engine(|c| _ = c.collector(collectors[0])).precompile_module(PROGRAM.as_bytes()).unwrap();
    for &other in &collectors[1..] {
        let error = refused(&engine(|c| _ = c.collector(other)), &bytes);
        let (found, expected) = (collectors[0].name().to_owned(), other.name().to_owned());
        assert_eq!(error, ArtifactError::WrongCollector { found, expected });
    }
    let of = |change: fn(&mut Config)| {
        engine(|config| {
            config.collector(Collector::all().next().expect("there are collectors"));
            change(config);
        })
    };
    type Change = fn(&mut Config);
    let changes: [(&str, Change); 3] = [
        ("optimize: true", |c| _ = c.optimize(false)),
        ("signal_traps: true", |c| _ = c.signals_based_traps(false)),
        ("count_barriers: false", |c| _ = c.count_barriers(true)),
    ];
    for (was, change) in changes {
        match refused(&of(change), &bytes) {
            ArtifactError::WrongSettings { found, expected } => {
                assert_eq!(found, was);
                assert_ne!(expected, was);
            }
            other => panic!("{was}: {other:?}"),
        }
    }
    // These change no code.
    let same = of(|c| _ = c.parallel_compilation(false).verify_code(false).max_heap(1 << 24).zeal(3));
    check(&deserialize(&same, &bytes).unwrap()).unwrap();
}

#[test]
fn a_module_says_what_it_needs() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, PROGRAM)?;
    let ResourcesRequired { memories, max_initial_memory, tables, max_initial_table, gc_heap, instance } =
        module.resources_required();
    assert_eq!((memories, max_initial_memory), (1, Some(2 << 16)));
    assert_eq!((tables, max_initial_table, gc_heap), (1, Some(2), true));
    assert!(instance > 0);
    let plain = Module::new(&engine, r#"(module (import "a" "m" (memory 3)) (import "a" "t" (table 5 funcref)))"#)?;
    let needs = plain.resources_required();
    assert_eq!((needs.memories, needs.max_initial_memory, needs.tables, needs.gc_heap), (0, None, 0, false));
    assert!(module.has_start() && !plain.has_start());
    Ok(())
}

#[test]
fn code_is_found_by_function_and_by_address() -> Result<()> {
    let module = Module::new(&Engine::default(), PROGRAM)?;
    let functions: Vec<_> = module.functions().collect();
    assert_eq!(functions.len(), 8);
    assert_eq!((functions[1].index, functions[1].name), (1, Some("add")));
    let codes: Vec<_> = functions.iter().map(|f| f.code.clone().expect("compiled")).collect();
    assert!(codes.windows(2).all(|w| w[0].end <= w[1].start) && codes[7].end <= module.text().len());
    let map: Vec<_> = module.address_map().collect();
    assert!(map.windows(2).all(|w| w[0].0 < w[1].0));
    // An instruction of each function has code inside that function, and functions stand in the order of their bodies.
    let firsts: Vec<u32> = codes
        .iter()
        .map(|code| map.iter().filter(|(at, _)| code.contains(at)).find_map(|&(_, wasm)| wasm).expect("an instruction"))
        .collect();
    assert!(firsts.is_sorted_by(|a, b| a < b), "{firsts:?}");
    Ok(())
}

/// Counts compilations.
#[derive(Clone, Default)]
struct Compilations(Arc<AtomicUsize>);

impl EventSink for Compilations {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Compile { .. }) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Compilations {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// The only file of a cache.
fn entry(cache: &Cache) -> PathBuf {
    let files: Vec<_> = fs::read_dir(cache.dir()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

#[test]
fn the_cache_is_filled_used_and_repaired() -> Result<()> {
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path(), DEFAULT_CACHE_LIMIT)?;
    let compiled = Compilations::default();
    let cached = engine(|c| _ = c.cache(Some(cache.clone())).event_sink(compiled.clone()));
    let text = Module::new(&cached, PROGRAM)?.text().to_vec();
    let path = entry(&cache);
    let written = fs::read(&path)?;
    let again = Module::new(&cached, PROGRAM)?;
    check(&again)?;
    assert_eq!(again.text(), text);
    assert_eq!((cache.contents()?.entries, compiled.count()), (1, 1));

    let damages = [|b: &mut Vec<u8>| b[5000] ^= 1, |b: &mut Vec<u8>| b.truncate(100), |b: &mut Vec<u8>| b.clear()];
    for (i, damage) in damages.into_iter().enumerate() {
        let mut damaged = written.clone();
        damage(&mut damaged);
        fs::write(&path, damaged)?;
        check(&Module::new(&cached, PROGRAM)?)?;
        assert_eq!(fs::read(&path)?, written, "the entry is made anew");
        assert_eq!(compiled.count(), i + 2);
    }
    // An entry of another module under this one's name.
    fs::write(&path, cached.precompile_module(b"(module (func))")?)?;
    check(&Module::new(&cached, PROGRAM)?)?;
    assert_eq!(fs::read(&path)?, written);
    Ok(())
}

#[test]
fn cached_code_belongs_to_settings_and_module() -> Result<()> {
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path(), DEFAULT_CACHE_LIMIT)?;
    let mut expected = 0;
    for collector in Collector::all() {
        for optimize in [true, false] {
            let engine = engine(|c| _ = c.collector(collector).optimize(optimize).cache(Some(cache.clone())));
            for _ in 0..2 {
                check(&Module::new(&engine, PROGRAM)?)?;
            }
            expected += 1;
            assert_eq!(cache.contents()?.entries, expected);
        }
    }
    let engine = engine(|c| _ = c.cache(Some(cache.clone())));
    Module::new(&engine, "(module (func))")?;
    assert_eq!(cache.contents()?.entries, expected + 1);
    assert!(Module::new(&engine, "(module (func (result i32)))").is_err());
    assert_eq!(cache.contents()?.entries, expected + 1, "what is invalid is not kept");
    Ok(())
}

#[test]
fn a_cache_that_cannot_be_written_is_no_obstacle() -> Result<()> {
    let dir = TempDir::new()?;
    let cache = Cache::open(dir.path().join("gone"), DEFAULT_CACHE_LIMIT)?;
    let engine = engine(|c| _ = c.cache(Some(cache)));
    fs::remove_dir(dir.path().join("gone"))?;
    check(&Module::new(&engine, PROGRAM)?)
}
