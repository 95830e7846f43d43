//! What names mean in a script: instances, module definitions, and what can be imported.

use crate::Dialect;
use heapwright::{AsContextMut, Extern, Instance, LinkError, Linker, Module, Result};
use std::collections::HashMap;
use wast::token::Id;

/// An instance, or why there is none.
#[derive(Clone, Copy)]
enum Slot {
    Ready(Instance),
    /// The module on this line failed.
    Failed(usize),
}

/// The names of a script so far.
pub(crate) struct Bindings {
    dialect: Dialect,
    hosts: Linker<()>,
    registered: HashMap<String, Instance>,
    instances: HashMap<String, Slot>,
    current: Option<Slot>,
    definitions: HashMap<String, Module>,
    last_definition: Option<Module>,
}

impl Bindings {
    /// Only what the host offers.
    pub(crate) fn new(hosts: Linker<()>, dialect: Dialect) -> Bindings {
        Bindings {
            dialect,
            hosts,
            registered: HashMap::new(),
            instances: HashMap::new(),
            current: None,
            definitions: HashMap::new(),
            last_definition: None,
        }
    }

    /// Instantiates a module with what is registered under its imports' names.
    pub(crate) fn instantiate(&self, mut store: impl AsContextMut<Data = ()>, module: &Module) -> Result<Instance> {
        let mut imports = Vec::new();
        for import in module.imports() {
            let item: Option<Extern> = match self.registered.get(import.module()) {
                Some(instance) => instance.get_export(&mut store, import.name()),
                None => match self.hosts.get(&mut store, import.module(), import.name())? {
                    Some(item) => Some(item),
                    // Scripts of other engines import from a named module without registering it.
                    None => match self.instances.get(import.module()) {
                        Some(Slot::Ready(instance)) if self.dialect.is_foreign() => {
                            instance.get_export(&mut store, import.name())
                        }
                        _ => None,
                    },
                },
            };
            let unknown = || LinkError {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
                expected: import.ty().to_string(),
                got: None,
            };
            imports.push(item.ok_or_else(unknown)?);
        }
        Instance::new(store, module, &imports)
    }

    /// Makes an instance the current one, and gives it a name.
    pub(crate) fn bind(&mut self, name: Option<Id<'_>>, instance: Instance) {
        self.set(name, Slot::Ready(instance));
    }

    /// Remembers that the current module, on `line`, has no instance.
    pub(crate) fn bind_failed(&mut self, name: Option<Id<'_>>, line: usize) {
        self.set(name, Slot::Failed(line));
    }

    fn set(&mut self, name: Option<Id<'_>>, slot: Slot) {
        self.current = Some(slot);
        if let Some(name) = name {
            self.instances.insert(name.name().to_owned(), slot);
        }
    }

    /// The instance of this name, or the current one.
    pub(crate) fn instance(&self, name: Option<Id<'_>>) -> Result<Instance, String> {
        let slot = match name {
            Some(name) => self.instances.get(name.name()).copied(),
            None => self.current,
        };
        match (slot, name) {
            (Some(Slot::Ready(instance)), _) => Ok(instance),
            (Some(Slot::Failed(line)), _) => Err(format!("no instance: the module on line {line} failed")),
            (None, Some(name)) => Err(format!("no instance is named ${}", name.name())),
            (None, None) => Err("no module was instantiated before".to_owned()),
        }
    }

    /// Lets later modules import from an instance.
    pub(crate) fn register(&mut self, name: &str, instance: Instance) {
        self.registered.insert(name.to_owned(), instance);
    }

    /// Remembers a definition.
    pub(crate) fn define(&mut self, name: Option<Id<'_>>, module: Module) {
        if let Some(name) = name {
            self.definitions.insert(name.name().to_owned(), module.clone());
        }
        self.last_definition = Some(module);
    }

    /// The definition of this name, or the last one.
    pub(crate) fn definition(&self, name: Option<Id<'_>>) -> Result<Module, String> {
        match name {
            Some(name) => {
                self.definitions.get(name.name()).cloned().ok_or_else(|| format!("no module is named ${}", name.name()))
            }
            None => self.last_definition.clone().ok_or_else(|| "no module was defined before".to_owned()),
        }
    }
}
