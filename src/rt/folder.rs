//! Folders, which have the names of files.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The folder that has the name of `path`.
pub(crate) fn of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Has the names of `folder` on the disk. A file system that cannot do so, or a folder that cannot be read, keeps them as it keeps
/// all names. Blocks.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    let Ok(folder) = File::open(folder) else { return Ok(()) };
    match folder.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}
