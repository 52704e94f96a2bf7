//! Files that are open for a response serve others of the same file too.
//!
//! A thousand downloads of one file would need a thousand descriptors beside their sockets'. Reads say where
//! they begin, so one is enough.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Weak};

use crate::rt;
use crate::sync::Mutex;

/// Files that were not in use any more are looked for when there are so many at least.
const LEAST: usize = 64;

/// The files that responses read from, by device and inode: a name may be given to another file meanwhile.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    files: HashMap<(u64, u64), Weak<File>>,
    /// How many there may be before those that are closed are taken out.
    full: usize,
}

impl OpenFiles {
    /// The file itself, or the same one if a response has it open already; then `file` is closed. Unless a file
    /// `closes_at_once`, it is closed on the blocking pool, then or later.
    pub(super) fn share(&self, file: File, metadata: &Metadata, closes_at_once: bool) -> Arc<File> {
        let file = Arc::new(file);
        let mut table = self.0.lock();
        let key = (metadata.dev(), metadata.ino());
        if let Some(open) = table.files.get(&key).and_then(Weak::upgrade) {
            // It is closed outside the lock.
            drop(table);
            if !closes_at_once {
                rt::close_on_pool(file);
            }
            return open;
        }
        table.files.insert(key, Arc::downgrade(&file));
        if table.files.len() > table.full {
            // Seldom, and as much as came since: so it costs each file the same.
            table.files.retain(|_, file| file.strong_count() > 0);
            table.full = (2 * table.files.len()).max(LEAST);
        }
        drop(table);
        if !closes_at_once {
            rt::close_when_unused(Arc::clone(&file));
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> (File, Metadata) {
        let file = File::open(path).unwrap();
        let metadata = file.metadata().unwrap();
        (file, metadata)
    }

    #[test]
    fn a_file_in_use_is_shared_and_one_of_its_name_or_after_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "first").unwrap();
        let files = OpenFiles::default();
        let share = || {
            let (file, metadata) = open(&path);
            files.share(file, &metadata, true)
        };
        let (one, two) = (share(), share());
        assert!(Arc::ptr_eq(&one, &two));
        std::fs::write(folder.path().join("b"), "second").unwrap();
        std::fs::rename(folder.path().join("b"), &path).unwrap();
        let other = share();
        assert!(!Arc::ptr_eq(&one, &other));
        assert_eq!(std::io::read_to_string(&*other).unwrap(), "second");
        assert_eq!(std::io::read_to_string(&*one).unwrap(), "first");
        drop((one, two, other));
        assert_eq!(Arc::strong_count(&share()), 1);
    }

    #[test]
    fn what_is_closed_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let files = OpenFiles::default();
        let mut kept = Vec::new();
        for n in 0..10 * LEAST {
            let path = folder.path().join(n.to_string());
            std::fs::write(&path, "").unwrap();
            let (file, metadata) = open(&path);
            let file = files.share(file, &metadata, true);
            if n < 3 {
                kept.push(file);
            }
            assert!(files.0.lock().files.len() <= LEAST + 1);
        }
        let table = files.0.lock();
        assert_eq!(table.files.values().filter(|file| file.strong_count() > 0).count(), 3);
    }
}
