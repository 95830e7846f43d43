//! Names of a store's things.

/// A function of a store: its id in the function table, which is also its value as a function reference. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct FuncId(pub(crate) u32);

impl FuncId {
    /// The value of a (non-null) function reference to it.
    pub fn as_funcref(self) -> u32 {
        self.0
    }
}

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The index.
            pub fn index(self) -> u32 {
                self.0
            }
        }
    )*};
}

ids! {
    /// An instance of a store.
    InstanceId
    /// A global of a store.
    GlobalId
    /// A table of a store.
    TableId
    /// A memory of a store.
    MemoryId
    /// A tag of a store. Two tags are the same exactly when their ids are.
    TagId
}

/// Something that can be imported or exported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extern {
    /// A function.
    Func(FuncId),
    /// A global.
    Global(GlobalId),
    /// A table.
    Table(TableId),
    /// A memory.
    Memory(MemoryId),
    /// A tag.
    Tag(TagId),
}
