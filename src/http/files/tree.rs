//! The folder that a root's name leads to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::confine::Root;
use super::file_cache::FileCache;

/// A root that is open, and the files below it that are kept open. Where there is no folder by the root's name there
/// is none.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Root,
    pub(super) cache: Arc<FileCache>,
}

impl Tree {
    pub(super) fn new(root: Root) -> Self {
        let cache = Arc::new(root.folder().map_or_else(FileCache::none, FileCache::below));
        Self { root, cache }
    }

    /// What a name leads to now, if that is a folder.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match Root::new(path) {
            Ok(root) => Ok(Some(Self::new(root))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
