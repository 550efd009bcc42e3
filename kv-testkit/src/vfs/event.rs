use std::fmt;

/// A kind of file operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the method of `Vfs` or `File` with this name")]
pub enum Kind {
    Open,
    Create,
    Rename,
    Link,
    Remove,
    List,
    SyncDirectory,
    OpenDirectory,
    CreateDirectory,
    Lock,
    Random,
    Read,
    Write,
    Sync,
    DropCache,
    Len,
    SetLen,
    Map,
}

impl Kind {
    /// Whether it changes what is on the disk, or how much of that survives a crash. Only such
    /// operations are in a [trace](crate::vfs::TestVfs::take_trace).
    pub fn changes(self) -> bool {
        use Kind::{Create, CreateDirectory, Link, Remove, Rename, SetLen, Sync, SyncDirectory, Write};
        matches!(self, Create | CreateDirectory | Link | Remove | Rename | SetLen | Sync | SyncDirectory | Write)
    }

    /// Whether it only reads a file. A directory is read by [`Kind::List`], which is none of these.
    pub fn only_reads(self) -> bool {
        use Kind::{DropCache, Len, Map, Open, Read};
        matches!(self, Open | Read | DropCache | Len | Map)
    }

    /// The operation's name in error messages.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Remove => "remove",
            Self::List => "list",
            Self::SyncDirectory => "sync directory",
            Self::OpenDirectory => "open directory",
            Self::CreateDirectory => "create directory",
            Self::Lock => "lock",
            Self::Random => "get random bytes for",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Sync => "sync",
            Self::DropCache => "drop the cache of",
            Self::Len => "measure",
            Self::SetLen => "resize",
            Self::Map => "map",
        }
    }
}

/// A file operation that was attempted. It is displayed as `write log/a 4096+512`, `rename a.tmp a`
/// or `sync directory log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The kind of operation.
    pub kind: Kind,
    /// The file or directory, from the top directory of the [`TestVfs`](crate::vfs::TestVfs); empty
    /// for the top directory itself.
    pub path: String,
    /// The new name, for a [`Kind::Rename`] or a [`Kind::Link`]; otherwise empty.
    pub to: String,
    /// The offset in bytes, for a [`Kind::Read`] or [`Kind::Write`]; the new length, for a
    /// [`Kind::SetLen`].
    pub offset: u64,
    /// How many bytes, for a [`Kind::Read`] or [`Kind::Write`].
    pub bytes: usize,
}

impl Event {
    pub(crate) fn new(kind: Kind, path: String) -> Self {
        Self { kind, path, to: String::new(), offset: 0, bytes: 0 }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, path, to, offset, bytes } = self;
        let verb = match kind {
            Kind::Open => "open",
            Kind::Create => "create",
            Kind::Rename => return write!(f, "rename {path} {to}"),
            Kind::Link => return write!(f, "link {path} {to}"),
            Kind::Remove => "remove",
            Kind::List => "list directory",
            Kind::SyncDirectory => "sync directory",
            Kind::OpenDirectory => "open directory",
            Kind::CreateDirectory => "create directory",
            Kind::Lock => "lock",
            Kind::Random => "random for",
            Kind::Read => return write!(f, "read {path} {offset}+{bytes}"),
            Kind::Write => return write!(f, "write {path} {offset}+{bytes}"),
            Kind::Sync => "sync",
            Kind::DropCache => "drop cache of",
            Kind::Len => "length of",
            Kind::SetLen => return write!(f, "set length {path} {offset}"),
            Kind::Map => "map",
        };
        f.write_str(verb)?;
        if path.is_empty() { Ok(()) } else { write!(f, " {path}") }
    }
}
