//! Backtraces: what they say of each frame, of the source, and how they are switched off.

use heapwright::{
    Caller, Config, Engine, Linker, Module, Result, Store, ThrownException, Trap, TrapCode, WasmBacktrace,
    WasmBacktraceDetails,
};

/// C code with DWARF: see `fixtures/positions.c`, whose lines the test names.
const POSITIONS: &[u8] = include_bytes!("fixtures/positions.wasm");

fn engine(change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config::new();
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    change(&mut config);
    Engine::new(&config).unwrap()
}

/// Calls `run` of a module without imports, which must trap.
fn trap(engine: &Engine, bytes: &[u8], argument: i32) -> Trap {
    let module = Module::new(engine, bytes).unwrap();
    let mut store = Store::new(engine, ()).unwrap();
    let instance = heapwright::Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.typed_func::<i32, i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, argument).unwrap_err();
    error.downcast_ref::<Trap>().expect("a trap").clone()
}

type Position<'a> = (Option<&'a str>, Option<u32>);

fn positions(trace: &WasmBacktrace) -> Vec<Vec<Position<'_>>> {
    trace.frames().iter().map(|f| f.symbols().iter().map(|s| (s.name(), s.line())).collect()).collect()
}

#[test]
fn dwarf_gives_lines_and_inlined_functions() {
    let engine = engine(|_| {});
    let divided = trap(&engine, POSITIONS, 7);
    assert_eq!(divided.code(), TrapCode::IntegerDivideByZero);
    let (quotient, ratio) = ((Some("quotient"), Some(4)), (Some("ratio"), Some(8)));
    let (inner, run) = ((Some("inner"), Some(16)), (Some("run"), Some(20)));
    assert_eq!(positions(divided.backtrace()), [vec![quotient, ratio, inner], vec![run]]);
    let symbol = &divided.backtrace().frames()[0].symbols()[0];
    assert!(symbol.file().unwrap().ends_with("positions.c"), "{symbol:?}");
    // `return a / b` begins at column 5, the division itself stands at column 14.
    assert_eq!(symbol.column(), Some(14));

    let text = divided.backtrace().to_string();
    let order =
        ["!quotient\n", "positions.c:4:14", "inlined into ratio", "positions.c:8:", "inlined into inner", "!run\n"];
    let found: Vec<_> = order.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"))).collect();
    assert!(found.is_sorted(), "{text}");

    let trapped = trap(&engine, POSITIONS, 101);
    assert_eq!(trapped.code(), TrapCode::Unreachable);
    assert_eq!(positions(trapped.backtrace()), [vec![(Some("inner"), Some(14))], vec![run]]);
}

#[test]
fn details_and_backtraces_have_switches() {
    let plain = engine(|c| _ = c.wasm_backtrace_details(WasmBacktraceDetails::Disable));
    let trace = trap(&plain, POSITIONS, 7);
    let frames = trace.backtrace().frames();
    assert_eq!(frames.iter().map(|f| f.func_name()).collect::<Vec<_>>(), [Some("inner"), Some("run")]);
    assert!(frames.iter().all(|f| f.symbols().is_empty()));
    assert!(!trace.backtrace().to_string().contains("positions.c"));

    for signals in [true, false] {
        let off = engine(|c| _ = c.wasm_backtrace(false).signals_based_traps(signals));
        let trace = trap(&off, POSITIONS, 7);
        assert_eq!(trace.code(), TrapCode::IntegerDivideByZero);
        assert!(trace.backtrace().frames().is_empty());
    }
}

#[test]
fn offsets_are_those_of_the_binary() -> Result<()> {
    // (module (func) (func (export "run") (param i32) (result i32) (local i64) local.get 0; i32.const 0; i32.div_u))
    let bytes = wat::parse_str(
        r#"(module (func) (func (export "run") (param i32) (result i32) (local i64)
             local.get 0 i32.const 0 i32.div_u))"#,
    )?;
    let trap = trap(&engine(|_| {}), &bytes, 1);
    let frame = &trap.backtrace().frames()[0];
    assert_eq!((frame.func_index(), frame.func_name()), (1, None));
    // One group of locals is 1 + 2 bytes, each of the instructions before the division 2.
    assert_eq!(frame.func_offset(), Some(7));
    let at = frame.module_offset().unwrap();
    // local.get 0, i32.const 0, i32.div_u, end
    assert_eq!(bytes[at - 4..at + 2], [0x20, 0, 0x41, 0, 0x6e, 0x0b]);
    Ok(())
}

const THROWS: &str = r#"(module $m
    (import "" "pass" (func $pass))
    (tag $t (param i32))
    (func $throws (export "throws") (throw $t (i32.const 1)))
    (func $outer (export "outer") (call $pass))
    (func $caught (export "caught") (drop (block (result i32) (try_table (catch $t 0) (call $pass)) (i32.const 2)))))"#;

/// `pass` calls the export `throws` of its caller and hands on what it throws.
fn thrower(engine: &Engine) -> Result<(Store<usize>, heapwright::Instance)> {
    let mut linker = Linker::<usize>::new(engine);
    linker.func_wrap("", "pass", |mut caller: Caller<'_, usize>| -> Result<()> {
        *caller.data_mut() = WasmBacktrace::capture(&caller).frames().len();
        let Some(heapwright::Extern::Func(throws)) = caller.get_export("throws") else { panic!("no `throws`") };
        throws.call(&mut caller, &[], &mut [])
    })?;
    let mut store = Store::new(engine, 0)?;
    let instance = linker.instantiate(&mut store, &Module::new(engine, THROWS)?)?;
    Ok((store, instance))
}

fn names(trace: &WasmBacktrace) -> Vec<&str> {
    trace.frames().iter().filter_map(|f| f.func_name()).collect()
}

#[test]
fn uncaught_exceptions_say_where_they_were_thrown() -> Result<()> {
    let (mut store, instance) = thrower(&engine(|_| {}))?;
    let mut call = |name| instance.typed_func::<(), ()>(&mut store, name).unwrap().call(&mut store, ());
    let error = call("throws").unwrap_err();
    let thrown = error.downcast_ref::<ThrownException>().expect("an exception");
    assert_eq!(names(thrown.backtrace()), ["throws"]);
    assert!(thrown.backtrace().to_string().contains("m!throws"));
    // Through a host function: still where it was thrown, with the frames on both sides of the host.
    let error = call("outer").unwrap_err();
    let thrown = error.downcast_ref::<ThrownException>().expect("an exception");
    assert_eq!(names(thrown.backtrace()), ["throws", "outer"]);
    call("caught")?;
    assert_eq!(*store.data(), 1, "frames that the host function captured");
    Ok(())
}

#[test]
fn exceptions_carry_no_frames_when_backtraces_are_off() -> Result<()> {
    let (mut store, instance) = thrower(&engine(|c| _ = c.wasm_backtrace(false)))?;
    let outer = instance.typed_func::<(), ()>(&mut store, "outer")?;
    let error = outer.call(&mut store, ()).unwrap_err();
    let thrown = error.downcast_ref::<ThrownException>().expect("an exception");
    assert!(thrown.backtrace().frames().is_empty());
    assert_eq!(*store.data(), 0);
    Ok(())
}

#[test]
fn names_neither_break_lines_nor_fill_memory() {
    let long = "n".repeat(1 << 20);
    let text = format!(
        r#"(module $"m\0aerror: forged"
             (func $"{long}" unreachable)
             (func $"a\1b[31m\0d\0ab" (export "f") (call 0)))"#
    );
    let engine = Engine::default();
    let module = Module::new(&engine, text).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let instance = heapwright::Instance::new(&mut store, &module, &[]).unwrap();
    let func = instance.typed_func::<(), ()>(&mut store, "f").unwrap();
    let error = func.call(&mut store, ()).unwrap_err();
    let trap = error.downcast_ref::<Trap>().unwrap();
    assert_eq!(trap.backtrace().frames()[0].func_name(), Some(long.as_str()), "who asks gets the name as it is");
    let shown = trap.backtrace().to_string();
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.len() < 2000 && shown.contains(r"m\nerror: forged!a\u{1b}[31m\r\nb"), "{shown}");
    let imports = Module::new(&engine, r#"(module (import "a\0ab" "c\07" (func)))"#).unwrap();
    let error = heapwright::Instance::new(&mut store, &imports, &[]).unwrap_err().to_string();
    let named = Linker::new(&engine).instantiate(&mut store, &imports).unwrap_err().to_string();
    assert!(!error.contains(char::is_control) && named.contains(r"`a\nb::c\u{7}`"), "{error}; {named}");
}
