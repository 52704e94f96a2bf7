//! Files named by the user: configurations, tokens, certificates, keys, and files served raw.
//!
//! Such a name may lead to something else. Opening a FIFO waits for a writer, perhaps forever; so nothing is opened
//! here that could wait, and only regular files are read. Any module may import this; it imports none.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the regular file at `path` for reading. Links are followed.
///
/// # Errors
/// The system's, or `InvalidInput` for what is there and is no regular file; the text says what it is.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Neither waits for a FIFO's other end or a modem, nor acquires a controlling terminal.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // The error of open(2) for a socket.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            return Err(not_regular("a socket or a device without its driver"));
        }
        opened => opened?,
    };
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    if kind.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    Err(not_regular(if kind.is_fifo() { "a FIFO" } else { "a device" }))
}

/// Opens the regular file at `path`, which keeps a secret, for reading.
///
/// # Errors
/// Those of [`open`], and `PermissionDenied` if others than its owner and group may read or write it; the text says what to do.
pub(crate) fn open_secret(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    if let Some(mode) = exposed(&file)? {
        let text =
            format!("its mode {mode:03o} lets everyone on this machine read or write it; run chmod o-rw");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(file)
}

/// Opens the regular file or device at `path` for appending; creates a file with mode 0640, less the umask. Links are
/// followed.
///
/// # Errors
/// The system's, or `InvalidInput` for what is there and may wait for a reader.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_char_device() {
        return Ok(file);
    }
    Err(not_regular(if kind.is_fifo() { "a FIFO" } else { "a device" }))
}

/// Reads the regular file at `path`, which may have at most `most` bytes.
///
/// # Errors
/// Those of [`open`], the system's, and `FileTooLarge`.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_at_most(open(path)?, most)
}

/// Reads `source`, which may have at most `most` bytes.
///
/// # Errors
/// The system's, and `FileTooLarge`.
pub(crate) fn read_at_most(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let text = format!("it has more than {most} bytes; this is another file by mistake");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// The permission bits of `file` if others than its owner and group may read or write it: it keeps no secret.
///
/// # Errors
/// The system's.
pub(crate) fn exposed(file: &File) -> io::Result<Option<u32>> {
    let mode = file.metadata()?.mode() & 0o7777;
    Ok((mode & 0o006 != 0).then_some(mode))
}

/// The system's `error` at opening a file, and what to do about it.
pub(crate) fn told(error: &io::Error) -> String {
    // What this module says itself has no number of the system's.
    let remedy = error.raw_os_error().and_then(|_| match error.kind() {
        io::ErrorKind::NotFound => Some("create it or correct the path"),
        io::ErrorKind::IsADirectory => Some("give a file in it"),
        io::ErrorKind::PermissionDenied => Some("change its permissions or the user"),
        _ => None,
    });
    remedy.map_or_else(|| error.to_string(), |remedy| format!("{error}; {remedy}"))
}

fn not_regular(what: &str) -> io::Error {
    let text = format!("this is {what}, not a regular file; name a regular file, or a link to one");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn only_regular_files_are_opened_and_none_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("fifo"), at("link")).unwrap();
        for (path, kind, text) in [
            (at("fifo"), io::ErrorKind::InvalidInput, "this is a FIFO, not a regular file"),
            (at("link"), io::ErrorKind::InvalidInput, "this is a FIFO"),
            (at("socket"), io::ErrorKind::InvalidInput, "this is a socket"),
            ("/dev/null".into(), io::ErrorKind::InvalidInput, "this is a device"),
            (folder.path().to_owned(), io::ErrorKind::IsADirectory, "Is a directory"),
            (at("none"), io::ErrorKind::NotFound, "No such file"),
        ] {
            let error = open(&path).unwrap_err();
            assert_eq!(error.kind(), kind, "{path:?}");
            assert!(error.to_string().contains(text), "{path:?}: {error}");
        }
    }

    #[test]
    fn what_the_system_says_has_its_remedy_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| told(&open(path).unwrap_err());
        assert_eq!(
            told(&folder.path().join("none")),
            "No such file or directory (os error 2); create it or correct the path"
        );
        assert_eq!(told(folder.path()), "Is a directory (os error 21); give a file in it");
        assert_eq!(
            told(Path::new("/dev/null")),
            "this is a device, not a regular file; name a regular file, or a link to one"
        );
    }

    #[test]
    fn a_file_is_appended_to_and_one_that_is_not_there_is_made_for_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for text in ["one", "two"] {
            std::io::Write::write_all(&mut append(&at("log")).unwrap(), text.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read(at("log")).unwrap(), b"onetwo");
        assert_eq!(std::fs::metadata(at("log")).unwrap().mode() & 0o137, 0);
        append(Path::new("/dev/null")).unwrap();
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _reader = OpenOptions::new().read(true).write(true).open(at("fifo")).unwrap();
        assert!(append(&at("fifo")).unwrap_err().to_string().contains("this is a FIFO"));
        assert_eq!(append(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(append(&at("none/log")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_and_not_a_byte_further() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "12345").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link, 5).unwrap(), b"12345");
        assert_eq!(read(&file, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
