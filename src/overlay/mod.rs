//! The overlay: limits that were set by hand and saved, in a file beside the configuration, over whose limits they go.
//!
//! Tables are called as the addresses of the admin API: `[routes."/logs/".total]` is `/v1/limits/routes/%2Flogs%2F/total`.
//! What a table does not say is as in the configuration.

mod edit;
mod read;

use std::path::{Path, PathBuf};

use crate::live_limits::{LimitChange, Name, Sources};
use crate::saved_file::Remedies;

pub(crate) use edit::{with_change, with_only, without, without_all};

/// What a user can do about the file of an overlay.
pub(crate) static REMEDIES: Remedies = Remedies {
    name_another: "name another file with overlay in the configuration",
    shorten: "take limits out with limits reset --save",
};

/// The most clients with saved limits of their own.
pub(crate) const MAX_CLIENTS: usize = 1000;

/// The limits of an overlay, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    pub(crate) entries: Vec<SavedLimit>,
}

/// A limit of an overlay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SavedLimit {
    pub(crate) name: Name,
    pub(crate) change: LimitChange,
    /// The lines of its values.
    pub(crate) sources: Sources,
    /// Its first line.
    pub(crate) line: usize,
}

impl Overlay {
    /// The limit of this name.
    pub(crate) fn get(&self, name: &Name) -> Option<&SavedLimit> {
        self.entries.iter().find(|entry| entry.name == *name)
    }

    /// The number of clients with limits of their own.
    pub(crate) fn clients(&self) -> usize {
        self.entries.iter().filter(|entry| entry.name.of_each().is_some()).count()
    }
}

/// The overlay that belongs to the configuration at `path`: `gate.overlay.toml` beside `gate.toml`.
pub(crate) fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_stem()?.to_owned();
    name.push(".overlay.toml");
    Some(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_stands_beside_its_configuration() {
        for (path, expected) in [
            ("gate.toml", "gate.overlay.toml"),
            ("/etc/a.b/sluicegate.toml", "/etc/a.b/sluicegate.overlay.toml"),
            ("conf", "conf.overlay.toml"),
            ("./x.y.toml", "./x.y.overlay.toml"),
        ] {
            assert_eq!(beside(Path::new(path)).unwrap(), Path::new(expected));
        }
        assert_eq!(beside(Path::new("/")), None);
    }
}
