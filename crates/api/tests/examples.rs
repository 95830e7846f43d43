//! The examples run, and what they assert holds. (`instantiations` is a measurement.)

macro_rules! examples {
    ($($path:literal $name:ident)*) => {
        $(
            #[path = $path]
            mod $name;

            #[test]
            fn $name() {
                $name::main().unwrap();
            }
        )*
    };
}

examples! {
    "../examples/artifacts.rs" artifacts
    "../examples/backtrace.rs" backtrace
    "../examples/externref.rs" externref
    "../examples/hello.rs" hello
    "../examples/host_gc.rs" host_gc
    "../examples/interpreter.rs" interpreter
    "../examples/limits.rs" limits
    "../examples/objects.rs" objects
    "../examples/pooling.rs" pooling
    "../examples/threads.rs" threads
}
