//! What is run, by every collector and by Node: the modules and calls of a script, without what the script expects.

use wast::core::WastArgCore;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke};

/// A step.
pub(crate) enum Command {
    /// Compile and instantiate.
    Module { id: usize, bytes: Vec<u8> },
    /// Offer the exports of an instance for import.
    Register { name: String, id: usize },
    /// Call an export.
    Invoke { id: usize, name: String, args: Vec<Arg> },
    /// Compare memories and globals.
    Dump { id: usize },
}

/// An argument of a call.
#[derive(Clone)]
pub(crate) enum Arg {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    Null,
    Host(u32),
}

/// A script's commands, and what of it cannot be run outside a script runner.
pub(crate) struct Commands {
    pub(crate) commands: Vec<Command>,
    pub(crate) left_out: usize,
}

/// The commands of a script.
pub(crate) fn of_script(text: &str) -> Result<Commands, String> {
    // The parser does not know this pattern, and results are not looked at here.
    let text = text.replace("(ref.exn)", "(ref.any)");
    let fail = |e: wast::Error| e.to_string();
    let buffer = ParseBuffer::new(&text).map_err(fail)?;
    let script = parser::parse::<Wast<'_>>(&buffer).map_err(fail)?;
    let mut reader = Reader::default();
    for directive in script.directives {
        reader.directive(directive).map_err(fail)?;
    }
    for id in 0..reader.modules {
        reader.commands.push(Command::Dump { id });
    }
    Ok(Commands { commands: reader.commands, left_out: reader.left_out })
}

#[derive(Default)]
struct Reader {
    commands: Vec<Command>,
    left_out: usize,
    modules: usize,
    current: Option<usize>,
    named: Vec<(String, usize)>,
    definitions: Vec<(Option<String>, Vec<u8>)>,
}

impl Reader {
    fn module(&mut self, bytes: Vec<u8>) -> usize {
        let id = self.modules;
        self.modules += 1;
        self.commands.push(Command::Module { id, bytes });
        id
    }

    fn bind(&mut self, name: Option<String>, id: usize) {
        self.current = Some(id);
        self.named.extend(name.map(|name| (name, id)));
    }

    fn find(&self, name: Option<wast::token::Id<'_>>) -> Option<usize> {
        let Some(name) = name else { return self.current };
        self.named.iter().rev().find(|(known, _)| known == name.name()).map(|&(_, id)| id)
    }

    fn directive(&mut self, directive: WastDirective<'_>) -> Result<(), wast::Error> {
        let owned = |name: Option<wast::token::Id<'_>>| name.map(|n| n.name().to_owned());
        match directive {
            WastDirective::Module(mut source) => {
                let name = owned(source.name());
                let bytes = source.encode()?;
                let id = self.module(bytes);
                self.bind(name, id);
            }
            WastDirective::ModuleDefinition(mut source) => {
                let name = owned(source.name());
                self.definitions.push((name, source.encode()?));
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let wanted = owned(module);
                let found = self.definitions.iter().rev().find(|(name, _)| wanted.is_none() || *name == wanted);
                if let Some((_, bytes)) = found {
                    let id = self.module(bytes.clone());
                    self.bind(owned(instance), id);
                }
            }
            WastDirective::Register { name, module, .. } => {
                if let Some(id) = self.find(module) {
                    self.commands.push(Command::Register { name: name.to_owned(), id });
                }
            }
            WastDirective::Invoke(invoke)
            | WastDirective::AssertExhaustion { call: invoke, .. }
            | WastDirective::AssertReturn { exec: WastExecute::Invoke(invoke), .. }
            | WastDirective::AssertTrap { exec: WastExecute::Invoke(invoke), .. }
            | WastDirective::AssertException { exec: WastExecute::Invoke(invoke), .. } => self.invoke(&invoke),
            WastDirective::AssertTrap { exec: WastExecute::Wat(module), .. }
            | WastDirective::AssertUnlinkable { module, .. } => {
                let bytes = QuoteWat::Wat(module).encode()?;
                self.module(bytes);
            }
            // These run nothing.
            WastDirective::AssertInvalid { .. } | WastDirective::AssertMalformed { .. } => {}
            _ => self.left_out += 1,
        }
        Ok(())
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) {
        let args: Option<Vec<Arg>> = invoke.args.iter().map(argument).collect();
        match (self.find(invoke.module), args) {
            (Some(id), Some(args)) => {
                self.commands.push(Command::Invoke { id, name: invoke.name.to_owned(), args });
            }
            _ => self.left_out += 1,
        }
    }
}

fn argument(arg: &WastArg<'_>) -> Option<Arg> {
    let WastArg::Core(arg) = arg else { return None };
    Some(match arg {
        WastArgCore::I32(v) => Arg::I32(*v),
        WastArgCore::I64(v) => Arg::I64(*v),
        WastArgCore::F32(v) => Arg::F32(v.bits),
        WastArgCore::F64(v) => Arg::F64(v.bits),
        WastArgCore::RefNull(_) => Arg::Null,
        WastArgCore::RefExtern(n) | WastArgCore::RefHost(n) => Arg::Host(*n),
        WastArgCore::V128(_) => return None,
    })
}
