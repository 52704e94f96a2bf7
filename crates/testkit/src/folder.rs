//! Folders with files, removed when they are dropped.

use std::fs::{self, File};

use tempfile::TempDir;

/// A folder with these files. Folders in their names are made.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// A folder with one file of zeroes that takes no room on the disk.
pub fn sparse(name: &str, len: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join(name)).unwrap().set_len(len).unwrap();
    folder
}
