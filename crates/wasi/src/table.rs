//! The descriptor table: what a guest's descriptor numbers stand for and what it may do with them.

use crate::errno::Errno;
use crate::readdir::Cursor;
use crate::types::{Fdflags, Filetype, Rights};
use cap_std::fs::Dir;
use std::fs::File;

/// A file opened through a preopened directory.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) filetype: Filetype,
}

/// A directory: a preopened one or one opened through it.
#[derive(Debug)]
pub(crate) struct OpenDir {
    pub(crate) dir: Dir,
    /// The guest's name of a preopened directory.
    pub(crate) preopened_as: Option<String>,
    /// Where `fd_readdir` has got to.
    pub(crate) cursor: Option<Cursor>,
}

impl OpenDir {
    /// A handle of its own on the directory, open for reading. The one kept is for looking paths up,
    /// and may be neither listed nor synced.
    pub(crate) fn readable(&self) -> Result<File, Errno> {
        Ok(self.dir.open(".")?.into_std())
    }
}

/// What a descriptor stands for. The standard streams themselves are kept in the context, so that they
/// can be flushed after the guest has closed or renumbered them.
#[derive(Debug)]
pub(crate) enum Kind {
    Stdin,
    Stdout,
    Stderr,
    File(OpenFile),
    Dir(OpenDir),
}

/// An entry of the table.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) kind: Kind,
    pub(crate) base: Rights,
    pub(crate) inheriting: Rights,
    pub(crate) flags: Fdflags,
}

impl Descriptor {
    /// Fails unless every right in `rights` is held.
    pub(crate) fn require(&self, rights: Rights) -> Result<(), Errno> {
        if self.base.contains(rights) { Ok(()) } else { Err(Errno::NotCapable) }
    }

    /// The directory this is, if `rights` are held on it.
    pub(crate) fn dir(&self, rights: Rights) -> Result<&OpenDir, Errno> {
        match &self.kind {
            Kind::Dir(dir) => {
                self.require(rights)?;
                Ok(dir)
            }
            _ => Err(Errno::NotDir),
        }
    }

    /// The seekable file this is, if `rights` are held on it. What the kind of descriptor can never do
    /// is reported as POSIX does, before rights are looked at: C libraries and the runtimes on them
    /// tell a pipe from a file by "invalid seek".
    pub(crate) fn file(&self, rights: Rights) -> Result<&OpenFile, Errno> {
        match &self.kind {
            Kind::File(file) => {
                self.require(rights)?;
                Ok(file)
            }
            Kind::Dir(_) => Err(Errno::IsDir),
            Kind::Stdin | Kind::Stdout | Kind::Stderr => Err(Errno::Spipe),
        }
    }
}

/// Descriptors by number.
#[derive(Debug)]
pub(crate) struct Table {
    slots: Vec<Option<Descriptor>>,
    /// The most descriptors which may be open at once; numbers stay below it.
    limit: usize,
}

impl Table {
    pub(crate) fn new(limit: usize) -> Table {
        Table {
            slots: Vec::new(),
            // Descriptor numbers are below 2^31 by the specification.
            limit: limit.min(1 << 31),
        }
    }

    fn slot(&mut self, fd: u32) -> Option<&mut Option<Descriptor>> {
        self.slots.get_mut(usize::try_from(fd).ok()?)
    }

    pub(crate) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        usize::try_from(fd).ok().and_then(|at| self.slots.get(at)).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub(crate) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.slot(fd).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// Whether another descriptor can be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.len() < self.limit || self.slots.iter().any(Option::is_none)
    }

    /// Adds a descriptor at the lowest free number.
    ///
    /// The specification would have the number random, to keep programs from relying on it; as in every
    /// C library there is, programs do rely on it, and a run should repeat itself.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let at = match self.slots.iter().position(Option::is_none) {
            Some(at) => at,
            None if self.slots.len() < self.limit => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => return Err(Errno::Mfile),
        };
        self.slots[at] = Some(descriptor);
        u32::try_from(at).map_err(|_| Errno::Mfile)
    }

    /// Removes a descriptor.
    pub(crate) fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.slot(fd).and_then(Option::take).ok_or(Errno::Badf)
    }

    /// Moves descriptor `from` to the number of descriptor `to`, which is returned.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Descriptor>, Errno> {
        self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(self.get_mut(to).map(|old| std::mem::replace(old, moved)).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind) -> Descriptor {
        Descriptor { kind, base: Rights::empty(), inheriting: Rights::empty(), flags: Fdflags::empty() }
    }

    #[test]
    fn lowest_free_number_first() {
        let mut table = Table::new(3);
        assert_eq!(table.insert(entry(Kind::Stdin)), Ok(0));
        assert_eq!(table.insert(entry(Kind::Stdout)), Ok(1));
        assert_eq!(table.insert(entry(Kind::Stderr)), Ok(2));
        assert!(!table.has_room());
        assert_eq!(table.insert(entry(Kind::Stdin)), Err(Errno::Mfile));
        table.remove(1).unwrap();
        assert!(table.has_room());
        assert_eq!(table.remove(1).err(), Some(Errno::Badf));
        assert_eq!(table.insert(entry(Kind::Stdin)), Ok(1));
        assert_eq!(table.get(u32::MAX).err(), Some(Errno::Badf));
    }

    #[test]
    fn renumbering_replaces() {
        let mut table = Table::new(8);
        table.insert(entry(Kind::Stdin)).unwrap();
        table.insert(entry(Kind::Stdout)).unwrap();
        assert!(matches!(table.renumber(0, 1), Ok(Some(Descriptor { kind: Kind::Stdout, .. }))));
        assert!(matches!(table.get(1).unwrap().kind, Kind::Stdin));
        assert_eq!(table.get(0).err(), Some(Errno::Badf));
        assert_eq!(table.renumber(1, 0).err(), Some(Errno::Badf));
        assert_eq!(table.renumber(0, 1).err(), Some(Errno::Badf));
        assert!(matches!(table.renumber(1, 1), Ok(None)));
    }
}
