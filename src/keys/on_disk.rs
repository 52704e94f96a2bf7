//! What a configuration names and must be there when the server starts.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::excerpt::excerpt;
use crate::named_file;

/// What becomes of a file or folder that a configuration names and that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absent {
    /// The configuration is wrong: it is about to be served. The default.
    #[default]
    Fault,
    /// The configuration is good, with a [warning](crate::config::Config::warnings): it may be for another machine.
    Warning,
    /// Nobody knows: no file system is looked at.
    Unchecked,
}

/// What must be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathKind {
    /// A folder whose files are served.
    Folder,
    /// A regular file.
    File,
    /// A folder in which a socket can be made; the path is the socket's.
    Socket,
    /// A folder in which a file can be made, or the file; the path is the file's.
    MadeFile,
}

impl PathKind {
    /// Checks what is at `path`.
    ///
    /// # Errors
    /// The text says what it is instead, and what to do.
    pub(crate) fn check(self, path: &Path) -> Result<(), String> {
        match self {
            Self::Folder => check_folder(path),
            Self::File => check_file(path),
            Self::Socket if is_no_socket(path) => {
                let shown = format!("{:?}", excerpt(&path.display().to_string(), 300));
                Err(format!("{shown} is there and is no socket; move it away, or choose another path"))
            }
            Self::MadeFile if path.is_dir() => Err(fault(path, "file", &ErrorKind::IsADirectory.into())),
            Self::Socket | Self::MadeFile => {
                match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    Some(parent) => check_folder(parent),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Whether something other than a socket is at `path`, in whose place none can be made.
fn is_no_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.file_type().is_socket())
}

fn check_folder(path: &Path) -> Result<(), String> {
    std::fs::read_dir(path).map(drop).map_err(|error| fault(path, "folder", &error))
}

/// Checks that a regular file is there and can be read.
///
/// # Errors
/// The text says what it is instead, and what to do.
pub(crate) fn check_file(path: &Path) -> Result<(), String> {
    named_file::open(path).map(drop).map_err(|error| fault(path, "file", &error))
}

/// What is at `path`, which should be a `what`, and what to do.
fn fault(path: &Path, what: &str, error: &Error) -> String {
    let shown = format!("{:?}", excerpt(&path.display().to_string(), 300));
    match error.kind() {
        ErrorKind::NotFound => format!("there is no {what} {shown}; create it or correct the path"),
        ErrorKind::NotADirectory if what == "folder" => {
            format!("{shown} is not a folder; give the folder it is in")
        }
        ErrorKind::IsADirectory => format!("{shown} is a folder; give a file in it"),
        ErrorKind::PermissionDenied => {
            format!("the {what} {shown} may not be read; change its permissions or the user")
        }
        _ => format!("the {what} {shown} cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_path_or_another_kind_of_file_is_a_fault() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (kind, path, expected) in [
            (PathKind::Folder, place.path().to_owned(), None),
            (PathKind::Folder, at("none"), Some("there is no folder")),
            (PathKind::Folder, at("file"), Some("is not a folder; give the folder it is in")),
            (PathKind::Folder, "nul\0".into(), Some("cannot be read")),
            (PathKind::File, at("file"), None),
            (PathKind::File, at("none"), Some("there is no file")),
            (PathKind::File, place.path().to_owned(), Some("is a folder; give a file in it")),
            (PathKind::File, "/dev/null".into(), Some("this is a device, not a regular file")),
            (PathKind::Socket, at("s"), None),
            (PathKind::Socket, "s".into(), None),
            (PathKind::Socket, at("socket"), None),
            (PathKind::Socket, at("file"), Some("is there and is no socket; move it away")),
            (PathKind::Socket, place.path().to_owned(), Some("is there and is no socket")),
            (PathKind::Socket, at("none/s"), Some("there is no folder")),
            (PathKind::MadeFile, at("log"), None),
            (PathKind::MadeFile, at("file"), None),
            (PathKind::MadeFile, at("none/log"), Some("there is no folder")),
            (PathKind::MadeFile, place.path().to_owned(), Some("is a folder; give a file in it")),
        ] {
            let fault = kind.check(&path).err();
            let as_expected = match (&fault, expected) {
                (Some(fault), Some(expected)) => fault.contains(expected),
                (fault, expected) => fault.is_none() && expected.is_none(),
            };
            assert!(as_expected, "{kind:?} {path:?}: {fault:?}");
        }
    }
}
