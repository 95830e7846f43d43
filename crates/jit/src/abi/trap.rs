//! Trap codes.

use cranelift_codegen::ir::TrapCode;

macro_rules! traps {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why execution stopped.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum Trap { $($(#[doc = $doc])* $name = $code,)* }

        impl Trap {
            /// Every trap.
            pub const ALL: &'static [Trap] = &[$(Trap::$name,)*];

            /// The trap with this number.
            pub fn from_number(number: u8) -> Option<Trap> {
                match number { $($code => Some(Trap::$name),)* _ => None }
            }

            /// The message, in the specification's words where it has any.
            pub fn message(self) -> &'static str {
                match self { $(Trap::$name => $text,)* }
            }
        }
    };
}

traps! {
    /// `unreachable` was executed.
    Unreachable = 1, "unreachable";
    /// A linear memory access out of bounds.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// A table access out of bounds.
    TableOutOfBounds = 3, "out of bounds table access";
    /// `call_indirect` beyond the table's end.
    UndefinedElement = 4, "undefined element";
    /// `call_indirect` through a null element.
    UninitializedElement = 5, "uninitialized element";
    /// `call_indirect` with another type.
    IndirectCallTypeMismatch = 6, "indirect call type mismatch";
    /// `call_ref` of a null reference.
    NullFunctionReference = 7, "null function reference";
    /// Integer overflow.
    IntegerOverflow = 8, "integer overflow";
    /// Division by zero.
    IntegerDivideByZero = 9, "integer divide by zero";
    /// Conversion of a float that no integer represents.
    InvalidConversionToInteger = 10, "invalid conversion to integer";
    /// A null struct was accessed.
    NullStructReference = 11, "null structure reference";
    /// A null array was accessed.
    NullArrayReference = 12, "null array reference";
    /// A null i31 was read.
    NullI31Reference = 13, "null i31 reference";
    /// `ref.as_non_null` or another null reference.
    NullReference = 14, "null reference";
    /// An array access out of bounds.
    ArrayOutOfBounds = 15, "out of bounds array access";
    /// `ref.cast` failed.
    CastFailure = 16, "cast failure";
    /// `throw_ref` of null.
    NullExceptionReference = 17, "null exception reference";
    /// The stack is used up.
    StackOverflow = 18, "call stack exhausted";
    /// An array of this size cannot exist.
    AllocationTooLarge = 19, "allocation size too large";
    /// The GC heap is full.
    GcHeapOutOfMemory = 20, "GC heap out of memory";
    /// The GC heap holds something that the engine never wrote.
    HeapCorrupted = 21, "GC heap corrupted";
    /// Fuel is used up.
    OutOfFuel = 22, "all fuel consumed";
    /// The epoch deadline passed.
    Interrupt = 23, "interrupt";
    /// `call_ref` through an id whose function has another machine signature: only a corrupted heap does that.
    ForgedFunctionReference = 24, "GC heap corrupted: forged function reference";
    /// Code that validation and the compiler exclude was reached.
    Internal = 25, "internal error";
}

impl Trap {
    /// The code of an access to the GC heap and its tables in code that checks its bounds. Cranelift's Pulley backend
    /// knows it.
    pub const HEAP_BOUNDS: TrapCode = TrapCode::HEAP_OUT_OF_BOUNDS;

    /// The Cranelift code that compiled code carries.
    pub fn code(self) -> TrapCode {
        TrapCode::unwrap_user(self as u8)
    }

    /// The trap behind a Cranelift code.
    pub fn from_code(code: TrapCode) -> Option<Trap> {
        if code == TrapCode::STACK_OVERFLOW {
            Some(Trap::StackOverflow)
        } else if code == TrapCode::INTEGER_OVERFLOW {
            Some(Trap::IntegerOverflow)
        } else if code == TrapCode::INTEGER_DIVISION_BY_ZERO {
            Some(Trap::IntegerDivideByZero)
        } else if code == TrapCode::BAD_CONVERSION_TO_INTEGER {
            Some(Trap::InvalidConversionToInteger)
        } else if code == Trap::HEAP_BOUNDS {
            Some(Trap::HeapCorrupted)
        } else {
            Trap::from_number(code.as_raw().get())
        }
    }
}

impl core::fmt::Display for Trap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Trap {}
