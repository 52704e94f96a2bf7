//! Why a file of streams cannot be used, and what to do.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

use super::backend::LockError;

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) struct DiskError {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Taken { here: bool },
    Foreign,
    Form(u64),
    Damaged(String),
    Io(io::Error),
}

impl DiskError {
    /// The engine gave up.
    pub(super) fn closed(path: &Path) -> Self {
        Self { path: path.to_owned(), kind: Kind::Io(io::Error::other("the engine failed")) }
    }

    /// Whether the file is open elsewhere; `Some(true)` in this process.
    pub(super) fn is_taken(&self) -> Option<bool> {
        match self.kind {
            Kind::Taken { here } => Some(here),
            _ => None,
        }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store file {} ", self.path.display())?;
        match &self.kind {
            Kind::Taken { .. } => {
                f.write_str("is in use by another server; give each a file of its own, or stop the other one")
            }
            Kind::Foreign => {
                f.write_str("is not a store of event streams; name another file, or move it away")
            }
            Kind::Form(form) => write!(
                f,
                "has form {form}, which a later version wrote; use that version, or name another file"
            ),
            Kind::Damaged(how) => {
                write!(f, "is damaged ({how}); move it away: the streams then begin anew")
            }
            Kind::Io(error) => {
                let remedy = match error.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its disk",
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                        "let the server's user write it and its folder (with systemd also by ReadWritePaths=)"
                    }
                    ErrorKind::NotFound => "make its folder, or name another file",
                    _ => "look at it and at its disk, or name another file",
                };
                write!(f, "cannot be used: {error}; {remedy}")
            }
        }
    }
}

impl From<StorageError> for Kind {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => Self::Io(error),
            StorageError::Corrupted(how) => Self::Damaged(how),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

impl From<TransactionError> for Kind {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

impl From<TableError> for Kind {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<CommitError> for Kind {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

impl From<DatabaseError> for Kind {
    fn from(error: DatabaseError) -> Self {
        match error {
            // What does not begin as a file of the engine.
            DatabaseError::Storage(StorageError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                Self::Foreign
            }
            DatabaseError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<LockError> for Kind {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Taken { here } => Self::Taken { here },
            LockError::Io(error) => Self::Io(error),
        }
    }
}
