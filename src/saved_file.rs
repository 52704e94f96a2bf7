//! A small file that the program itself writes: read, and replaced as a whole.
//!
//! The new text goes into a file beside it, which is on the disk before it takes the name. Whatever happens, the name stands for the
//! old text or for the new one. Two processes do not write at once: whoever writes holds a lock of the folder, which ends with its
//! process. So what has the new file's name then was left by one that is dead.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::named_file;
use crate::rt::folder;

/// The largest file: 1 MiB, as of a configuration.
pub(crate) const MAX_FILE: u64 = 1 << 20;

/// Mode of a new file: it may name clients.
const MODE: u32 = 0o640;

/// How long a save waits for others in its folder.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How often it tries meanwhile.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// What a user can do about a file of this kind.
#[derive(Debug)]
pub(crate) struct Remedies {
    /// How another file is named: "name another file with …".
    pub(crate) name_another: &'static str,
    /// How it gets shorter: "take limits out with …".
    pub(crate) shorten: &'static str,
}

/// Why a file cannot be read or written.
#[derive(Debug)]
pub(crate) struct SaveError {
    path: PathBuf,
    remedies: &'static Remedies,
    is_write: bool,
    error: io::Error,
}

impl SaveError {
    /// Whether it was to be written.
    pub(crate) fn is_write(&self) -> bool {
        self.is_write
    }

    fn remedy(&self) -> String {
        let first = match self.error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if self.is_write => {
                "let the server's user write into that folder (with systemd also by ReadWritePaths=)"
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return "make room on its disk".to_owned(),
            ErrorKind::FileTooLarge if self.is_write => return self.remedies.shorten.to_owned(),
            ErrorKind::ResourceBusy => return "nothing is changed".to_owned(),
            ErrorKind::NotFound => "make its folder",
            _ => "look at it",
        };
        format!("{first}, or {}", self.remedies.name_another)
    }
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_write { "written" } else { "read" };
        write!(f, "{} cannot be {verb}: {}; {}", self.path.display(), self.error, self.remedy())
    }
}

/// A file on the disk.
pub(crate) struct Saved {
    /// Where links lead to.
    path: PathBuf,
    remedies: &'static Remedies,
    text: String,
    /// Mode, user and group of the file; `None` if there is none yet.
    owned: Option<(u32, u32, u32)>,
}

impl Saved {
    /// Reads the file at `path`, which need not be there. Blocks.
    ///
    /// # Errors
    /// It cannot be read, is longer than [`MAX_FILE`], is not UTF-8, or a link to nothing.
    pub(crate) fn open(path: &Path, remedies: &'static Remedies) -> Result<Self, SaveError> {
        let failed = |error| SaveError { path: path.to_owned(), remedies, is_write: false, error };
        let resolved = match fs::canonicalize(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    let text = "it is a link to nothing";
                    return Err(failed(io::Error::other(text)));
                }
                return Ok(Self { path: path.to_owned(), remedies, text: String::new(), owned: None });
            }
            resolved => resolved.map_err(failed)?,
        };
        let file = named_file::open(&resolved).map_err(failed)?;
        let owner = file.metadata().map_err(failed)?;
        let bytes = named_file::read_at_most(file, MAX_FILE).map_err(failed)?;
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| failed(io::Error::other("it is not UTF-8 text")))?;
        let owned = Some((owner.mode() & 0o7777, owner.uid(), owner.gid()));
        Ok(Self { path: resolved, remedies, text, owned })
    }

    /// Its text; empty if there is no file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is a file.
    pub(crate) fn is_there(&self) -> bool {
        self.owned.is_some()
    }

    /// Puts `text` in its place: all of it or nothing. Blocks until it is on the disk. Mode and, as far as the process may, user and
    /// group stay.
    ///
    /// # Errors
    /// It cannot be written; the file is as it was.
    pub(crate) fn replace(&self, text: &str) -> Result<(), SaveError> {
        let failed = |error| self.unwritten(error);
        if text.len() as u64 > MAX_FILE {
            let text = "it would have more than 1 MiB";
            return Err(failed(io::Error::new(ErrorKind::FileTooLarge, text)));
        }
        let folder = folder::of(&self.path);
        let _lock = lock(folder, LOCK_PATIENCE).map_err(failed)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".new");
        let new = folder.join(name);
        self.put(&new, text).map_err(failed)?;
        if let Err(error) = folder::sync(folder) {
            // The old text may be back after a crash: nobody is told that the new one holds.
            let _ = match self.owned {
                Some(_) => self.put(&new, &self.text),
                None => fs::remove_file(&self.path),
            };
            return Err(failed(error));
        }
        Ok(())
    }

    /// Writes `text` to `new`, and gives that the name.
    fn put(&self, new: &Path, text: &str) -> io::Result<()> {
        let put = self.write(new, text).and_then(|()| fs::rename(new, &self.path));
        // It may not even be there.
        put.inspect_err(|_| _ = fs::remove_file(new))
    }

    /// Removes the file if there was none when it was opened, else puts its text back.
    pub(crate) fn restore(&self) -> Result<(), SaveError> {
        match self.owned {
            Some(_) => self.replace(&self.text),
            None => fs::remove_file(&self.path).map_err(|error| self.unwritten(error)),
        }
    }

    fn unwritten(&self, error: io::Error) -> SaveError {
        SaveError { path: self.path.clone(), remedies: self.remedies, is_write: true, error }
    }

    fn write(&self, new: &Path, text: &str) -> io::Result<()> {
        // A power cut may have left one.
        match fs::remove_file(new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
        if let Some((_, user, group)) = self.owned {
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (user, group) && fchown(&file, Some(user), Some(group)).is_err() {
                // Without privileges a process may give a file to its own groups alone.
                let _ = fchown(&file, None, Some(group));
            }
        }
        let mode = self.owned.map_or(MODE, |(mode, ..)| mode);
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

/// A folder that is locked until this is dropped.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was started meanwhile may share the descriptor until it runs its program.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Locks `folder` against others that write such files there, until the result is dropped; waits for them at most `patience`. A file
/// system without locks, or a folder that cannot be read, is not locked. Blocks.
///
/// # Errors
/// It is still locked.
fn lock(folder: &Path, patience: Duration) -> io::Result<Option<Lock>> {
    let Ok(folder) = File::open(folder) else { return Ok(None) };
    let mut waited = Duration::ZERO;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Lock(folder))),
            Err(Errno::WOULDBLOCK) if waited < patience => {
                thread::sleep(LOCK_RETRY);
                waited += LOCK_RETRY;
            }
            Err(Errno::WOULDBLOCK) => {
                let text = "another process is writing in its folder just now; try again";
                return Err(io::Error::new(ErrorKind::ResourceBusy, text));
            }
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    static REMEDIES: Remedies = Remedies { name_another: "name another", shorten: "take limits out" };

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder.path()).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_is_for_its_owner_and_group_and_an_old_ones_mode_stays() {
        let folder = folder();
        let path = folder.path().join("a.toml");
        let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
        let saved = Saved::open(&path, &REMEDIES).unwrap();
        assert_eq!((saved.text(), saved.is_there()), ("", false));
        saved.replace("a = 1\n").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), ("a = 1\n", 0o640));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let saved = Saved::open(&path, &REMEDIES).unwrap();
        saved.replace("a = 2\n").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), ("a = 2\n", 0o604));
        saved.restore().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 1\n");
        assert_eq!(names(&folder), ["a.toml"]);
    }

    #[test]
    fn what_a_power_cut_left_is_neither_read_nor_in_the_way() {
        let folder = folder();
        let path = folder.path().join("a.toml");
        fs::write(&path, "a = 1\n").unwrap();
        for left in ["", "a = 2", "a = 2\n"] {
            fs::write(folder.path().join(".a.toml.new"), left).unwrap();
            let saved = Saved::open(&path, &REMEDIES).unwrap();
            assert_eq!(saved.text(), "a = 1\n");
            saved.replace("a = 1\n").unwrap();
            assert_eq!(names(&folder), ["a.toml"]);
        }
        // What stands there may be somebody's trap: a link is not followed.
        let other = folder.path().join("other");
        fs::write(&other, "other").unwrap();
        symlink(&other, folder.path().join(".a.toml.new")).unwrap();
        Saved::open(&path, &REMEDIES).unwrap().replace("a = 3\n").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 3\n");
    }

    #[test]
    fn while_another_process_writes_in_the_folder_nothing_is_changed() {
        let folder = folder();
        let path = folder.path().join("a.toml");
        fs::write(&path, "a = 1\n").unwrap();
        let half = folder.path().join(".a.toml.new");
        fs::write(&half, "a = ").unwrap();
        // Another opening of the folder, as of another process.
        let other = lock(folder.path(), Duration::ZERO).unwrap();
        assert!(other.is_some());
        let error = Saved::open(&path, &REMEDIES).unwrap().replace("a = 2\n").unwrap_err().to_string();
        assert!(error.contains("another process is writing in its folder just now; try again"), "{error}");
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(&half).unwrap()),
            ("a = 1\n".into(), "a = ".into())
        );
        drop(other);
        Saved::open(&path, &REMEDIES).unwrap().replace("a = 2\n").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), half.exists()), ("a = 2\n", false));
    }

    #[test]
    fn a_link_stays_one_and_its_end_is_replaced() {
        let folder = folder();
        let (path, end) = (folder.path().join("link.toml"), folder.path().join("below/end.toml"));
        fs::create_dir(folder.path().join("below")).unwrap();
        symlink("below/end.toml", &path).unwrap();
        let error = Saved::open(&path, &REMEDIES).err().unwrap().to_string();
        assert!(error.contains("link.toml cannot be read: it is a link to nothing"), "{error}");
        fs::write(&end, "a = 1\n").unwrap();
        Saved::open(&path, &REMEDIES).unwrap().replace("a = 2\n").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&end).unwrap(), "a = 2\n");
    }

    #[test]
    fn what_cannot_be_written_stays_and_the_error_says_what_to_do() {
        let folder = folder();
        for (path, expected) in [
            ("none/a.toml", "cannot be written: No such file or directory (os error 2); make its folder"),
            ("/proc/a.toml", "cannot be written: No such file or directory"),
        ] {
            let path = folder.path().join(path);
            let error = Saved::open(&path, &REMEDIES).unwrap().replace("a = 1\n").unwrap_err();
            assert!(error.is_write() && error.to_string().contains(expected), "{error}");
        }
        let path = folder.path().join("a.toml");
        fs::write(&path, "a = 1\n").unwrap();
        let error =
            Saved::open(&path, &REMEDIES).unwrap().replace(&"#".repeat(MAX_FILE as usize + 1)).unwrap_err();
        assert!(error.to_string().contains("more than 1 MiB"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 1\n");
        fs::write(&path, b"\xff").unwrap();
        assert!(Saved::open(&path, &REMEDIES).err().unwrap().to_string().contains("not UTF-8"));
        fs::write(&path, "#".repeat(MAX_FILE as usize + 1)).unwrap();
        assert!(Saved::open(&path, &REMEDIES).err().unwrap().to_string().contains("more than"));
    }
}
